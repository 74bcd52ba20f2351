"""api/openapi.yaml is the contract: hearthd's routes are exactly those, and its answers fit their schemas."""
import re
import subprocess

import jsonschema
import pytest
import yaml

from hearth import HEARTHD, ROOT


@pytest.fixture(scope="module")
def spec():
    return yaml.safe_load((ROOT / "api/openapi.yaml").read_text())


def spec_routes(spec):
    base = spec.get("servers", [{"url": ""}])[0]["url"].rstrip("/")
    base = re.sub(r"^https?://[^/]+", "", base)
    return {(m.upper(), re.sub(r"\{[^}]+\}", "{}", (p if p.startswith("/api") or p == "/metrics" else base + p)))
            for p, ops in spec["paths"].items() for m in ops if m in ("get", "post", "put", "patch", "delete")}


def test_routes_are_the_contract(spec):
    out = subprocess.run([str(HEARTHD), "--print-routes"], capture_output=True, text=True, check=True).stdout
    have = {(l.split()[0], re.sub(r"\{[^}]+\}", "{}", l.split()[1])) for l in out.splitlines() if l.strip()}
    assert have == spec_routes(spec)


class Contract:
    """Asks hearthd and holds every answer against the contract: its status, its type and its schema."""

    def __init__(self, spec, h):
        self.spec, self.h, self.asked = spec, h, set()

    def resolve(self, node):
        while isinstance(node, dict) and "$ref" in node:
            at = self.spec
            for part in node["$ref"].lstrip("#/").split("/"):
                at = at[part]
            node = at
        return node

    def inline(self, node):
        node = self.resolve(node)
        if isinstance(node, dict):
            return {k: self.inline(v) for k, v in node.items()}
        return [self.inline(v) for v in node] if isinstance(node, list) else node

    def ask(self, method, path, expect, body=None, query="", **names):
        op = self.spec["paths"][path][method.lower()]
        a = self.h.request(method, path.format(**names) + query, body)
        assert a.status == expect, (method, path, a)
        responses = {str(k): v for k, v in op["responses"].items()}
        response = self.resolve(responses[str(a.status)] if str(a.status) in responses else responses["default"])
        content = response.get("content", {})
        if content:
            kind = a.headers["Content-Type"].split(";")[0]
            assert kind in content, (method, path, kind, list(content))
            if kind == "application/json":
                jsonschema.validate(a.json, self.inline(content[kind]["schema"]))
        else:
            assert not a.body, (method, path, a)
        self.asked.add((method, path))
        return a


def test_every_route_answers_as_written(spec, shared):
    """Every route of the contract is called with success, and each answer is what the contract says."""
    c = Contract(spec, shared)
    for path in ("/api/health", "/api/openapi.yaml", "/metrics", "/api/vms", "/api/images", "/api/networks", "/api/tokens"):
        c.ask("GET", path, 200)
    body = {"userId": "alice", "vmType": "cli", "labels": {"a": "b"}}
    proven = c.ask("POST", "/api/vms", 200, body, "?wait=network&timeout=120").json["id"]
    c.ask("GET", "/api/host", 200)  # measured by now: the VM's engine was chosen by it
    made = c.ask("POST", "/api/vms/create", 202, {**body, "start": False}).json["id"]
    for path in ("/api/vms/{id}", "/api/vms/{id}/console", "/api/vms/{id}/events", "/api/vms/{id}/verify"):
        c.ask("GET", path, 200, id=proven)
    c.ask("PATCH", "/api/vms/{id}", 200, {"labels": {"a": None}}, id=made)
    c.ask("POST", "/api/vms/{id}/stop", 200, {}, "?force=1&wait=stopped&timeout=60", id=proven)
    c.ask("POST", "/api/vms/{id}/start", 202, {}, id=proven)
    for vm_id in (proven, made):
        c.ask("DELETE", "/api/vms/{id}", 200, None, "?wait=gone&timeout=60", id=vm_id)
    c.ask("POST", "/api/networks", 201, {"name": "contract", "cidr": "10.78.0.0/24"})
    c.ask("GET", "/api/networks/{name}", 200, name="contract")
    c.ask("DELETE", "/api/networks/{name}", 204, name="contract")
    token = c.ask("POST", "/api/tokens", 201, {"userId": "alice", "role": "viewer"}).json["id"]
    c.ask("DELETE", "/api/tokens/{id}", 204, id=token)
    c.ask("GET", "/api/images/{ref}", 200, ref="base")
    job = c.ask("POST", "/api/images", 202, {"name": "contract", "recipe": "no-such-recipe"}).json["id"]
    c.ask("GET", "/api/jobs/{id}", 200, id=job)
    c.ask("POST", "/api/images/gc", 200, {})
    c.ask("DELETE", "/api/images/{ref}", 404, ref="contract")
    events = {("GET", "/api/events")}  # streams for ever: test_vm.test_events_stream
    assert c.asked | events == {(m.upper(), p) for p, ops in spec["paths"].items() for m in ops
                                if m in ("get", "post", "put", "patch", "delete")}


def test_errors_have_one_shape(spec, shared):
    for a in (shared.get("/api/vms/vm-00000000"), shared.get("/api/nothing"), shared.request("PUT", "/api/vms"),
              shared.post("/api/vms", {"x": 1}), shared.get("/api/images/none"), shared.delete("/api/networks/none")):
        error = a.error
        assert set(error) >= {"code", "message", "cause", "remedy", "evidence"}, error
        assert isinstance(error["evidence"], list)
