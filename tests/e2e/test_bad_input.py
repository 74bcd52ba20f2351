"""Bad requests: each gets a clear sentence that names what and what was expected, and changes nothing."""
import json
import socket
import subprocess

import pytest

from hearth import UnixConnection

GOOD = {"userId": "alice", "vmType": "cli", "start": False}


def refused(h, body, status=400, *words, path="/api/vms", headers=None):
    before = h.get("/api/vms").body
    a = h.request("POST", path, body, headers=headers)
    assert a.status == status, a
    error = a.error
    assert error["code"] and error["message"]
    said = json.dumps(error)
    for word in words:
        assert word in said, (word, said)
    assert h.get("/api/vms").body == before
    return error


@pytest.mark.parametrize("text,word", [
    ("", "empty"), ("{", "line 1"), ("[]", "object"), ("{\"userId\":\"a\",}", "line 1"), ("nul", "line 1"),
    ("{\"userId\":\"a\",\"userId\":\"b\"}", "duplicate"), ("{\"userId\":\"\\u0000\"}", ""), ("\xff\xfe", ""),
    ("[" * 5000, ""), ("{\"userId\":\"a\"} x", ""), ("1e999", ""),
])
def test_malformed_json(shared, text, word):
    refused(shared, text.encode("latin-1"), 400, word)


@pytest.mark.parametrize("field,value,words", [
    ("vcpus", 0, ("vcpus", "1")), ("vcpus", 0.5, ("vcpus", "integer")), ("vcpus", 10000, ("vcpus", "32")),
    ("vcpus", "two", ("vcpus", "integer")), ("vcpus", -1, ("vcpus",)), ("vcpus", 1e300, ("vcpus",)),
    ("vcpus", None, ("vcpus",)), ("vcpus", [1], ("vcpus",)), ("vcpus", 99999999999999999999, ()),
    ("ramMib", 16, ("16 MiB", "at least 128 MiB")), ("ramMib", 0, ("ramMib",)), ("ramMib", 1 << 60, ("ramMib",)),
    ("diskMib", 0, ("diskMib",)), ("diskMib", 1 << 60, ("diskMib",)),
    ("userId", "", ("userId",)), ("userId", "a" * 65, ("userId", "64")), ("userId", 5, ("userId", "string")),
    ("userId", "a\nb", ("userId",)), ("vmType", "none-such", ("none-such", "cli")), ("name", "Bad_Name", ("name",)),
    ("name", "../../etc", ("name",)), ("name", "a" * 64, ("name", "63")), ("transport", "scsi", ("pci", "mmio")),
    ("root", "nfs", ("overlay", "direct")), ("engine", "vmware", ("vmware",)), ("image", "none", ("none",)),
    ("network", "none", ("none",)), ("ip", "192.168.100.1", ("192.168.100.1",)), ("ip", "10.0.0.1", ("10.0.0.1",)),
    ("ip", "1.2.3", ("ip",)), ("mac", "01:00:00:00:00:01", ("01:00:00:00:00:01",)), ("mac", "zz", ("mac",)),
    ("bootArgs", "root=/dev/sda", ("/dev/sda", "/dev/vda")), ("bootArgs", "pci=off", ("pci=off",)),
    ("bootArgs", "acpi=off", ("acpi=off",)), ("bootArgs", "a\nb", ("bootArgs",)),
    ("bootArgs", "hearth.ip=1.2.3.4/8", ("hearth.ip",)), ("bootArgs", "x" * 1025, ("bootArgs", "1024")),
    ("labels", {"a": 1}, ("labels",)), ("labels", {str(i): "x" for i in range(33)}, ("labels", "32")),
    ("labels", {"k" * 200: "v"}, ("label",)), ("start", "yes", ("start", "true or false")), ("unknownField", 1, ("unknownField",)),
    ("vcpu", 2, ("vcpu",)),
])
def test_bad_fields(shared, field, value, words):
    status = 404 if field in ("image", "network") else (400, 409)
    body = {**GOOD, field: value}
    before = shared.get("/api/vms").body
    a = shared.post("/api/vms", body)
    assert a.status == status if isinstance(status, int) else a.status in status, a
    said = json.dumps(a.error)
    for word in words:
        assert word in said, (word, said)
    assert shared.get("/api/vms").body == before


def test_missing_user(shared):
    refused(shared, {"vmType": "cli"}, 400, "userId")


def test_content_type_and_methods(shared):
    refused(shared, json.dumps(GOOD), 415, "application/json", headers={"Content-Type": "text/plain"})
    a = shared.request("DELETE", "/api/vms")
    assert a.status == 405 and "GET" in a.headers["Allow"] and "POST" in a.headers["Allow"]
    assert shared.get("/api/nothing").status == 404 and shared.get("/api/nothing").error["code"]
    assert shared.get("/").status == 404
    assert shared.get("/api/vms/../../etc/passwd").status in (400, 404)
    assert shared.get("/api/vms/vm-%00").status in (400, 404)


def test_bad_queries(shared):
    for query in ("wait=banana", "wait=ready&timeout=x", "wait=ready&timeout=-1", "wait=ready&timeout=99999999999", "what=1"):
        a = shared.post(f"/api/vms?{query}", GOOD)
        assert a.status == 400, (query, a)
        assert query.split("=")[0] in json.dumps(a.error) or "timeout" in json.dumps(a.error)


def test_huge_bodies_are_cut_short(shared):
    c = UnixConnection(shared.socket, 30)
    c.connect()
    c.sock.sendall(b"POST /api/vms HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10737418240\r\n\r\n")
    answer = c.sock.recv(65536)
    assert b" 413 " in answer.split(b"\r\n")[0] + b" ", answer[:200]
    c.close()
    refused(shared, b"{\"userId\":\"" + b"a" * (2 << 20) + b"\"}", 413)


def test_garbage_instead_of_http(shared):
    for text in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET\r\n\r\n", b"A" * 100000, b"GET / HTTP/9.9\r\n\r\n\r\n"):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(30)
        s.connect(str(shared.socket))
        try:
            s.sendall(text)
            s.shutdown(socket.SHUT_WR)
            while s.recv(65536):
                pass
        except (BrokenPipeError, ConnectionResetError):
            pass
        s.close()
    assert shared.get("/api/health").status == 200


def test_2000_open_connections(shared):
    """Idle and half-written requests hold nobody else up."""
    import resource
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
    held = []
    for i in range(2000):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(30)
        s.connect(str(shared.socket))
        if i % 2:
            s.sendall(b"GET /api/vms HTTP/1.1\r\nHost: x\r\nX-Half: ")
        held.append(s)
    assert shared.get("/api/health").status == 200
    assert shared.get("/api/vms").status == 200
    for s in held:
        s.close()
    assert shared.get("/api/health").status == 200


def test_slow_clients_are_dropped(fresh):
    h = fresh(config="[hearthd]\nRequestTimeout=2s\n").start()
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(60)
    s.connect(str(h.socket))
    s.sendall(b"POST /api/vms HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
    while s.recv(4096):  # ends only when hearthd closes the connection
        pass
    s.close()
    assert h.get("/api/health").status == 200


def test_bad_configuration_is_named_with_its_line(fresh):
    cases = [("[hearthd]\nnonsense=1\n", ("line 2", "nonsense")), ("[nowhere]\n", ("line 1", "nowhere")),
             ("x=1\n", ("line 1",)), ("[limits]\nVmsPerUser=many\n", ("line 2",)), ("[hearthd\n", ("line 1",))]
    for config, words in cases:
        h = fresh(config=config)
        r = subprocess.run(h.command("--check-config"), capture_output=True, text=True)
        assert r.returncode == 2, (config, r)
        said = (r.stdout + r.stderr).replace(":1:", ": line 1:").replace(":2:", ": line 2:")
        for word in words:
            assert word in said, (config, word, said)
        assert h.start(expect_exit=True) == 2
    assert subprocess.run(fresh().command("--check-config"), capture_output=True).returncode == 0


def test_a_public_listener_is_refused(fresh):
    h = fresh(args=["--listen", "0.0.0.0:3000"])
    assert h.start(expect_exit=True) != 0
    assert "0.0.0.0" in h.log_text()


def test_tokens_decide_on_tcp(shared):
    """Over TCP nothing works without a token; a user sees only their own VMs; a viewer changes nothing."""
    def ask(method, path, token=None, body=None):
        cmd = ["nsenter", f"--net=/run/netns/{shared.netns}", "curl", "-s", "-o", "/dev/stdout", "-w", "\n%{http_code}",
               "-X", method, f"http://127.0.0.1:3000{path}"]
        if token:
            cmd += ["-H", f"Authorization: Bearer {token}"]
        if body is not None:
            cmd += ["-H", "Content-Type: application/json", "-d", json.dumps(body)]
        text, _, code = subprocess.run(cmd, capture_output=True, text=True, check=True).stdout.rpartition("\n")
        return int(code), text

    def token(user, role):
        a = shared.post("/api/tokens", {"userId": user, "role": role})
        assert a.status in (200, 201), a
        return a.json["token"]

    assert ask("GET", "/api/health")[0] == 200
    assert ask("GET", "/api/vms")[0] == 401 and ask("GET", "/api/vms", "hrt_" + "0" * 64)[0] == 401
    mine = shared.post("/api/vms", {**GOOD, "userId": "carol"}).json["id"]
    carol, dave, viewer = token("carol", "user"), token("dave", "user"), token("carol", "viewer")
    assert ask("GET", f"/api/vms/{mine}", carol)[0] == 200
    assert ask("GET", f"/api/vms/{mine}", dave)[0] == 404 and mine not in ask("GET", "/api/vms", dave)[1]
    assert ask("GET", f"/api/vms/{mine}/console", dave)[0] == 404
    assert ask("GET", f"/api/vms/{mine}", viewer)[0] == 200
    assert ask("DELETE", f"/api/vms/{mine}", viewer)[0] == 403 and ask("DELETE", f"/api/vms/{mine}", dave)[0] == 404
    assert ask("POST", "/api/vms", dave, {**GOOD, "userId": "carol"})[0] == 403
    assert ask("POST", "/api/tokens", dave, {"userId": "dave", "role": "admin"})[0] == 403
    assert ask("POST", "/api/networks", dave, {"name": "x", "cidr": "10.9.0.0/24"})[0] == 403
    db = (shared.state / "hearth.db").read_bytes() + (shared.state / "hearth.db-wal").read_bytes()
    assert carol.encode() not in db and carol not in shared.log_text()
    for t in shared.get("/api/tokens").json.get("tokens", []):
        assert shared.delete(f"/api/tokens/{t['id']}").status in (200, 204)
    assert ask("GET", "/api/vms", carol)[0] == 401
    shared.remove(mine)
