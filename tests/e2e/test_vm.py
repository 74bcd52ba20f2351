"""The life of a VM as a user meets it: created, proven, shown, stopped, started again, deleted."""
import json
import re
import time

import pytest

from hearth import BOOT_TIMEOUT


def events(h, vm_id):
    a = h.get(f"/api/vms/{vm_id}/events").json
    return a["events"] if isinstance(a, dict) else a


def rows(h, vm_id):
    a = h.get(f"/api/vms/{vm_id}/verify").json
    found = a["rows"] if isinstance(a, dict) else a
    return {r["row"]: r for r in found}


def test_a_created_vm_is_proven_and_ready(shared, vm):
    got = shared.vm(vm["id"])
    assert got["state"] == "ready" and got["networkProven"] is True and got["cause"] is None
    assert got["ip"].startswith("192.168.100.") and re.fullmatch(r"06(:[0-9a-f]{2}){5}", got["mac"])
    assert got["transport"] == "pci" and got["root"] == "overlay" and got["engine"]["used"] == "qemu"
    assert {p["step"]: p["verdict"] for p in got["proof"]} == {
        "carrier": "holds", "frames": "holds", "arp": "holds", "icmp": "holds", "tcp": "holds"}
    arp = next(p for p in got["proof"] if p["step"] == "arp")
    assert got["ip"] in arp["evidence"] and got["mac"] in arp["evidence"]


def test_where_the_time_went_is_told(shared, vm):
    got = shared.vm(vm["id"])
    states = [p["name"] for p in got["phases"] if p["kind"] == "state"]
    assert states == ["creating", "starting", "booting", "connecting", "ready"]
    offsets = [p["offsetMs"] for p in got["phases"]]
    assert offsets == sorted(offsets) and offsets[-1] > 0
    kinds = {e["kind"] for e in events(shared, vm["id"])}
    assert {"state", "phase", "proof"} <= kinds


def test_the_acceptance_table_shows_evidence(shared, vm):
    table = rows(shared, vm["id"])
    assert sorted(table) == list(range(1, 11))
    for n in range(1, 7):
        assert table[n]["verdict"] == "holds", table[n]
        assert table[n]["evidence"]
    assert "1af4:" in table[2]["evidence"]
    assert "vda" in table[3]["evidence"]
    assert shared.vm(vm["id"])["ip"] in table[5]["evidence"]
    assert all(table[n]["verdict"] == "not-built-yet" for n in range(7, 11))


def test_the_console_has_the_first_byte_and_every_phase(shared, vm):
    text = shared.console(vm["id"])
    for phase in ("modules", "net", "root", "handover"):
        assert re.search(rf"hearth-init: phase={phase} ok ", text), text[-2000:]
    assert "login:" in text
    # the same bytes by offset
    part = shared.get(f"/api/vms/{vm['id']}/console?offset=10").body.decode(errors="replace")
    assert part[:200] == text[10:210]


def test_names_labels_and_filters(shared, vm):
    vid = vm["id"]
    a = shared.request("PATCH", f"/api/vms/{vid}", {"labels": {"team": "blue", "tier": "1"}})
    assert a.status == 200 and a.json["labels"] == {"team": "blue", "tier": "1"}
    a = shared.request("PATCH", f"/api/vms/{vid}", {"labels": {"tier": None}})
    assert a.json["labels"] == {"team": "blue"}

    def found(query):
        got = shared.get(f"/api/vms?{query}").json
        return [v["id"] for v in (got["vms"] if isinstance(got, dict) else got)]

    assert vid in found("label=team%3Dblue") and vid in found("state=ready") and vid in found("user=alice")
    assert vid not in found("label=team%3Dred") and vid not in found("state=stopped") and vid not in found("user=bob")


def test_stop_and_start_keep_disk_and_address(shared):
    v = shared.create(wait="ready", name="keeper")
    a = shared.post(f"/api/vms/{v['id']}/stop?wait=stopped&timeout=60")
    assert a.status == 200 and a.json["state"] == "stopped", a
    assert a.json["pids"] is None and not shared.processes_of(v["id"])
    a = shared.post(f"/api/vms/{v['id']}/start?wait=network&timeout={BOOT_TIMEOUT}")
    assert a.status == 200, a
    again = shared.vm(v["id"])
    assert (again["ip"], again["mac"], again["starts"]) == (v["ip"], v["mac"], 2)
    shared.remove(v["id"])


def test_a_graceful_stop_is_the_guests_own(shared):
    v = shared.create(wait="ready")
    a = shared.post(f"/api/vms/{v['id']}/stop?wait=stopped&timeout=90")
    assert a.json["state"] == "stopped"
    text = " ".join(e["text"] for e in events(shared, v["id"]))
    assert "guest-poweroff" in text or "powered off" in text, text
    shared.remove(v["id"])


def test_deleted_vms_leave_evidence_and_nothing_else(shared):
    v = shared.create(wait="network")
    shared.remove(v["id"])
    assert shared.get(f"/api/vms/{v['id']}").status == 404
    assert "hearth-init" in shared.console(v["id"])
    who = [e for e in events(shared, v["id"]) if e.get("to") == "deleting" or e["kind"] == "delete"]
    assert who and all(e["actor"] for e in who)
    assert not (shared.state / "vms" / v["id"]).exists()


@pytest.mark.parametrize("transport,root", [("mmio", "overlay"), ("pci", "direct"), ("mmio", "direct")])
def test_transport_and_root(shared, transport, root):
    v = shared.create(wait="network", transport=transport, root=root)
    due = time.monotonic() + BOOT_TIMEOUT
    while "phase=handover" not in shared.console(v["id"]) and time.monotonic() < due:
        time.sleep(0.05)
    table = rows(shared, v["id"])
    assert {n: table[n]["verdict"] for n in range(1, 7)} == {n: "holds" for n in range(1, 7)}, table
    assert f"mode={root}" in shared.console(v["id"])
    assert ("1af4:" in table[2]["evidence"]) == (transport == "pci")
    shared.remove(v["id"])


def test_an_idempotency_key_makes_one_vm(shared):
    body = {"userId": "alice", "vmType": "cli", "start": False}
    key = {"Idempotency-Key": f"key-{time.monotonic_ns()}"}
    first = shared.post("/api/vms", body, headers=key)
    second = shared.post("/api/vms", body, headers=key)
    assert first.json["id"] == second.json["id"]
    other = shared.post("/api/vms", {**body, "vcpus": 2}, headers=key)
    assert other.status in (409, 422), other
    shared.remove(first.json["id"])


def test_two_vms_do_not_reach_each_other_but_both_are_proven(shared, vm):
    v = shared.create(wait="network")
    assert v["ip"] != shared.vm(vm["id"])["ip"]
    assert v["networkProven"]
    shared.remove(v["id"])


def test_events_stream(shared):
    """Server-sent events arrive as they happen and can be resumed by their number."""
    import http.client
    from hearth import UnixConnection
    c = UnixConnection(shared.socket, 30)
    c.request("GET", "/api/events", headers={"Accept": "text/event-stream"})
    r = c.getresponse()
    assert r.status == 200 and r.headers["Content-Type"].startswith("text/event-stream")
    v = shared.post("/api/vms", {"userId": "alice", "vmType": "cli", "start": False}).json
    seen = []
    while not seen or v["id"] not in json.dumps(seen):
        line = r.fp.readline().decode()
        assert line, "stream ended"
        if line.startswith("data:"):
            seen.append(json.loads(line[5:]))
    c.close()
    shared.remove(v["id"])


def test_console_follow_streams(shared):
    from hearth import UnixConnection
    v = shared.create(wait=None)
    c = UnixConnection(shared.socket, BOOT_TIMEOUT)
    c.request("GET", f"/api/vms/{v['id']}/console?follow=1")
    r = c.getresponse()
    got = b""
    while b"phase=net ok" not in got:
        block = r.read1(4096)
        assert block, got[-500:]
        got += block
    c.close()
    shared.remove(v["id"])


def test_cli_shows_what_the_api_says(shared, vm):
    out = shared.cli("vm", "list").stdout
    assert vm["id"] in out and "ready" in out
    assert json.loads(shared.cli("vm", "show", vm["id"], "--json").stdout)["id"] == vm["id"]
    table = shared.cli("vm", "verify", vm["id"])
    assert "holds" in table.stdout and "not built yet" in table.stdout
    assert shared.cli("vm", "show", "vm-00000000", check=False).returncode == 3
    assert shared.cli("vm", "create", "--vcpus", "0", check=False).returncode == 2
    assert "hearth-init" in shared.cli("vm", "logs", vm["id"]).stdout


def test_nothing_is_left_over(shared, vm):
    assert shared.leftovers() == {}


SNIFFER = """
import socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
print('ready', flush=True)
while True:
    f, where = s.recvfrom(2048)
    if where[0].startswith('hv') and f[:1] and f[6] == 6 and where[2] != 4:  # not what we send out
        arp_target = f[38:42].hex() if f[12:14] == b'\\x08\\x06' else ''
        print(f[12:14].hex(), f[23] if f[12:14] == b'\\x08\\x00' else arp_target, flush=True)
"""


def test_the_image_sends_nothing_by_itself(shared):
    """From its first frame until it is ready a VM only announces itself, asks for its gateway's MAC, and answers our
    echo: every frame on every TAP is looked at."""
    import ipaddress
    import subprocess
    ns = next(n for n in shared.network_namespaces() if n.endswith("-default"))
    sniffer = subprocess.Popen(["nsenter", f"--net=/run/netns/{ns}", "/usr/bin/python3", "-c", SNIFFER],
                               stdout=subprocess.PIPE, text=True)
    assert sniffer.stdout.readline() == "ready\n"
    v = shared.create(wait="ready")
    gateway = shared.vm(v["id"])["network"]["gateway"]
    shared.remove(v["id"])
    sniffer.terminate()
    seen = sniffer.communicate()[0].split("\n")[:-1]
    assert seen, "the sniffer saw nothing, so it proves nothing"
    allowed = {f"0806 {int(ipaddress.ip_address(a)):08x}" for a in (v["ip"], gateway)} | {"0800 1"}
    assert set(seen) <= allowed, sorted(set(seen) - allowed)
