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


def test_every_route_answers_as_written(spec, shared, vm):
    """Each GET route is asked with real ids; its answer's status and body are what the contract says."""
    def resolve(node):
        while isinstance(node, dict) and "$ref" in node:
            at = spec
            for part in node["$ref"].lstrip("#/").split("/"):
                at = at[part]
            node = at
        return node

    def inline(node):
        node = resolve(node)
        if isinstance(node, dict):
            return {k: inline(v) for k, v in node.items()}
        return [inline(v) for v in node] if isinstance(node, list) else node

    tried = 0
    for path, ops in spec["paths"].items():
        if "get" not in ops:
            continue
        full = path if path.startswith("/api") or path == "/metrics" else "/api" + path
        url = full.replace("{id}", vm["id"] if "/vms/" in full else "job-00000000").replace("{ref}", "base").replace("{name}", "default")
        op = ops["get"]
        content = resolve(op["responses"].get("200", op["responses"].get(200))).get("content", {})
        if "application/json" not in content or "text/event-stream" in content and url == "/api/events":
            continue
        a = shared.get(url)
        assert str(a.status) in {str(k) for k in op["responses"]}, (url, a)
        if a.status == 200:
            schema = inline(content["application/json"]["schema"])
            jsonschema.validate(a.json, schema)
            tried += 1
    assert tried >= 8


def test_errors_have_one_shape(spec, shared):
    for a in (shared.get("/api/vms/vm-00000000"), shared.get("/api/nothing"), shared.request("PUT", "/api/vms"),
              shared.post("/api/vms", {"x": 1}), shared.get("/api/images/none"), shared.delete("/api/networks/none")):
        error = a.error
        assert set(error) >= {"code", "message", "cause", "remedy", "evidence"}, error
        assert isinstance(error["evidence"], list)
