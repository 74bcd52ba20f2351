"""What a VM reaches and what it does not: tried from inside VMs, against a host and an uplink that are namespaces of the test."""
import re
import subprocess
import sys
import time

import pytest

from hearth import BOOT_TIMEOUT

HOST, SERVER = "203.0.113.1", "203.0.113.10"  # RFC 5737: documentation addresses, nobody's
SERVE = """
import socket
s = socket.create_server(("%s", 8000))
print("up", flush=True)
while True:
    c, peer = s.accept()
    c.sendall(b"e2e tcp " + peer[0].encode() + b"\\n")
    c.close()
""" % SERVER


def ip(netns, *args):
    return subprocess.run(["ip", "-n", netns, *args], check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def world(images):
    """hearthd as ./run starts it, in a namespace that plays the host; behind its uplink a server with no way back to VMs."""
    from hearth import Hearthd
    h = Hearthd(images, uplink=True)
    outside = f"{h.netns}-up"
    server = None
    try:
        subprocess.run(["ip", "netns", "add", outside], check=True)
        ip(h.netns, "link", "add", "uplink", "type", "veth", "peer", "name", "uplink", "netns", outside)
        for netns, address in ((h.netns, HOST), (outside, SERVER)):
            ip(netns, "address", "add", f"{address}/24", "dev", "uplink")
            ip(netns, "link", "set", "uplink", "up")
        ip(h.netns, "route", "add", "default", "via", SERVER)
        server = subprocess.Popen(["ip", "netns", "exec", outside, sys.executable, "-c", SERVE], stdout=subprocess.PIPE, text=True)
        assert server.stdout.readline() == "up\n"
        h.before = host_state(h)
        yield h.start()
    finally:
        if server:
            server.kill()
            server.wait()
        h.close()
        subprocess.run(["ip", "netns", "del", outside], check=False)


def host_state(h):
    """What a network may change on the host: links, addresses, routes, rules, forwarding."""
    def inside(*cmd):
        return subprocess.run(["nsenter", f"--net=/run/netns/{h.netns}", *cmd], check=True, capture_output=True, text=True).stdout
    names = [line.split("@")[0].split()[0] for line in inside("ip", "-br", "link").splitlines()]
    return [names, inside("ip", "-4", "-o", "address"), inside("ip", "route"), inside("nft", "list", "ruleset"), inside("cat", "/proc/sys/net/ipv4/ip_forward")]


def asks(**targets):
    """Boot arguments: systemd of the guest pings each target and says on the console who answered."""
    pings = "".join(f"ping -qc2 -W2 {address} >/dev/null && echo e2e {name} yes || echo e2e {name} no; " for name, address in targets.items())
    script = f"{{ cat </dev/tcp/{SERVER}/8000 & {pings} }} >/dev/console 2>/dev/null"  # not ttyS0: its getty hangs that up
    return f"systemd.unit=kernel-command-line.target systemd.run=\"/bin/bash -c '{script}'\" systemd.run_success_action=none systemd.run_failure_action=none"


def answers(h, vm_id, names):
    """{name: "yes" or "no"} as the guest found it; "tcp": the address that the server saw, or None."""
    due = time.monotonic() + BOOT_TIMEOUT
    while True:
        text = h.console(vm_id)
        found = dict(re.findall(r"(?m)e2e (\w+) ([\w.]+)\r?$", text))
        if set(names) <= set(found):
            return {**{"tcp": None}, **found}
        assert time.monotonic() < due and h.vm(vm_id)["state"] != "failed", (found, text[-3000:])
        time.sleep(0.1)


def test_who_reaches_whom(world):
    """Default network: NAT, VMs isolated. A network made open: neighbours, and no way out. Never: the host."""
    a = world.post("/api/networks", {"name": "open", "cidr": "10.77.0.0/24", "nat": False, "isolated": False})
    assert a.status == 201 and a.json["nat"] is False, a
    default = world.get("/api/networks/default").json
    assert default["nat"] is True and default["isolated"] is True, default
    names = ("default", "open")
    peers = {n: world.create(wait=None, network=n) for n in names}
    for peer in peers.values():
        assert world.wait_state(peer["id"], ("ready", "failed")) == "ready"
    asking = {n: world.create(wait=None, network=n, bootArgs=asks(
        peer=peers[n]["ip"], gateway=world.get(f"/api/networks/{n}").json["gateway"], host=HOST, server=SERVER)) for n in names}
    got = {n: answers(world, asking[n]["id"], ("peer", "gateway", "host", "server")) for n in names}
    assert got == {
        "default": {"peer": "no", "gateway": "no", "host": "no", "server": "yes", "tcp": HOST},  # the uplink sees the host's address
        "open": {"peer": "yes", "gateway": "no", "host": "no", "server": "no", "tcp": None},
    }
    for v in (*peers.values(), *asking.values()):
        world.remove(v["id"])
    assert world.leftovers() == {}


def test_changes_of_the_host_are_listed_and_undone(world):
    if world.get("/api/networks/open").status == 200:
        assert world.delete("/api/networks/open").status == 204
    changed = host_state(world)
    assert changed != world.before
    listed = world.get("/api/networks/default").json["host"]["host"]
    shown = world.cli("network", "show", "default").stdout
    assert {x["what"] for x in listed} == {"link", "nft table", "sysctl net.ipv4.ip_forward"}, listed
    for x in listed:
        assert x.get("name", x["what"]) in shown, (x, shown)
    link = next(x for x in listed if x["what"] == "link")
    assert link["name"] in changed[0] and link["address"] in changed[1]
    table = next(x for x in listed if x["what"] == "nft table")
    assert re.findall(r"(?m)^table (.*) \{$", changed[3]) == [table["name"]]  # and no other
    sysctl = next(x for x in listed if x["what"].startswith("sysctl"))
    assert (sysctl["from"], sysctl["to"]) == (world.before[4].strip(), changed[4].strip()), sysctl
    world.cli("network", "rm", "default")
    assert host_state(world) == world.before
    assert world.network_namespaces() == []
