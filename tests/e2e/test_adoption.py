"""hearthd may die at any moment; VMs may not, and nothing may be left over."""
import concurrent.futures
import random
import signal
import time

import pytest

from hearth import BOOT_TIMEOUT

KILLS = 30  # random points, as the issue demands


def pids(h, vm_id):
    return h.vm(vm_id)["pids"]


def test_a_running_vm_is_adopted(fresh):
    h = fresh().start()
    v = h.create(wait="ready")
    before = pids(h, v["id"])
    size = len(h.get(f"/api/vms/{v['id']}/console").body)
    h.kill(signal.SIGKILL)
    h.start()
    assert h.wait_state(v["id"], ("ready", "failed")) == "ready"
    again = h.vm(v["id"])
    assert again["pids"] == before and again["starts"] == 1 and again["ip"] == v["ip"] and again["networkProven"]
    assert len(h.get(f"/api/vms/{v['id']}/console").body) >= size
    a = h.post(f"/api/vms/{v['id']}/stop?wait=stopped&timeout=90")
    assert a.json["state"] == "stopped"
    h.remove(v["id"])
    assert h.leftovers() == {}


def test_a_vm_that_ended_meanwhile_is_told(fresh):
    h = fresh().start()
    v = h.create(wait="network")
    engine = pids(h, v["id"])["engine"]
    h.kill(signal.SIGKILL)
    import os
    os.kill(engine, signal.SIGKILL)
    due = time.monotonic() + 30
    while h.processes() and time.monotonic() < due:
        time.sleep(0.02)
    h.start()
    assert h.wait_state(v["id"], ("failed", "stopped")) == "failed"
    cause = h.vm(v["id"])["cause"]
    assert cause["code"] and "9" in cause["cause"], cause
    h.remove(v["id"])
    assert h.leftovers() == {}


def test_an_orderly_stop_leaves_vms_running(fresh):
    h = fresh().start()
    v = h.create(wait="network")
    before = pids(h, v["id"])
    h.stop()
    assert h.processes(), "the VM ended with hearthd"
    h.start()
    assert h.wait_state(v["id"], ("ready", "failed")) == "ready"
    assert pids(h, v["id"]) == before
    h.remove(v["id"])
    assert h.leftovers() == {}


def test_two_hearthds_on_one_state_directory(fresh):
    h = fresh().start()
    import subprocess
    r = subprocess.run(h.command("--socket", str(h.run / "other.sock"), "--listen", "none"), capture_output=True, text=True, timeout=30)
    assert r.returncode != 0 and str(h.process.pid) in r.stderr and "store.in-use" in r.stderr, r
    assert h.get("/api/health").status == 200


def churn(h, stop):
    """Create, start, stop and delete VMs until told to stop; hearthd may vanish under every call."""
    mine = []
    rnd = random.Random(len(h.instance))
    while not stop.is_set():
        try:
            act = rnd.random()
            if act < 0.5 or not mine:
                a = h.post("/api/vms", {"userId": "alice", "vmType": "cli"}, timeout=10)
                if a.status in (200, 201, 202):
                    mine.append(a.json["id"])
            elif act < 0.65:
                h.post(f"/api/vms/{rnd.choice(mine)}/stop?force=1", timeout=10)
            elif act < 0.75:
                h.post(f"/api/vms/{rnd.choice(mine)}/start", timeout=10)
            else:
                h.delete(f"/api/vms/{mine.pop(rnd.randrange(len(mine)))}", timeout=10)
        except (OSError, Exception) as e:  # the connection breaks when hearthd is killed: that is the point
            if isinstance(e, AssertionError):
                raise
        stop.wait(rnd.uniform(0.0, 0.25))


@pytest.mark.parametrize("seed", [1])
def test_killed_at_random_points(fresh, seed):
    """hearthd is killed KILLS times during create, start, stop and delete of several VMs at once; afterwards every
    VM settles, can be deleted, and nothing at all is left over."""
    import threading
    h = fresh(config="[limits]\nHostVms=6\n").start()
    rnd = random.Random(seed)
    stop = threading.Event()
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        workers = [pool.submit(churn, h, stop) for _ in range(3)]
        try:
            for _ in range(KILLS):
                time.sleep(rnd.uniform(0.02, 1.5))  # the random point itself, not a wait for anything
                h.kill(signal.SIGKILL)
                h.start()
        finally:
            stop.set()
        for w in workers:
            w.result()
    listed = h.get("/api/vms").json
    listed = listed["vms"] if isinstance(listed, dict) else listed
    for v in listed:
        h.wait_state(v["id"], ("ready", "stopped", "failed", None), BOOT_TIMEOUT)
    assert h.leftovers() == {}
    for v in listed:
        if h.get(f"/api/vms/{v['id']}").status == 200:
            h.remove(v["id"])
    assert h.leftovers() == {}
    assert not h.processes() and not h.taps()
    used = h.get("/api/networks/default").json
    assert used.get("used", used.get("leases", 0)) == 0, used
    v = h.create(wait="network")  # and it still works
    h.remove(v["id"])
