"""hearthd may die at any moment; VMs may not, nothing may be left over, and no VM may be touched twice.

Three kinds of death: at every row of the life-cycle table (right after its commit), before every n-th change of the
outside world (crash.c counts them), and at random points under load.
"""
import concurrent.futures
import contextlib
import http.client
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from crash import Crash
from hearth import BOOT_TIMEOUT, ROOT

KILLS = 30  # random points, as the issue demands
STRIDE = int(os.environ.get("HEARTH_CRASH_STRIDE", "3"))  # 1: before every single change; about three times as long
RUNNING = ("starting", "booting", "connecting", "ready")
SETTLED = ("ready", "stopped", "failed", None)


def pids(h, vm_id):
    return h.vm(vm_id)["pids"]


def nothing_left(h):
    left = h.leftovers()
    assert left == {}, f"{left}\n{h.log_text()[-4000:]}"


def proven(h, vm_id):
    """The VM is ready and its network was proven by the hearthd that runs now."""
    due = time.monotonic() + BOOT_TIMEOUT
    while True:
        v = h.vm(vm_id)
        if v["state"] == "ready" and v["networkProven"]:
            return v
        assert v["state"] not in ("failed", "stopped") and time.monotonic() < due, f"{v}\n{h.log_text()[-3000:]}"
        time.sleep(0.02)


def no_process(h, timeout=30):
    due = time.monotonic() + timeout
    while h.processes() and time.monotonic() < due:
        time.sleep(0.02)
    assert not h.processes()


def test_a_running_vm_is_adopted(fresh):
    h = fresh().start()
    v = h.create(wait="ready")
    before = pids(h, v["id"])
    console = h.console(v["id"])
    h.kill(signal.SIGKILL)
    h.start()
    again = proven(h, v["id"])
    assert again["pids"] == before and again["starts"] == 1 and again["ip"] == v["ip"]
    assert h.console(v["id"]).startswith(console), "the console's first bytes are not what they were"
    rows = h.sql(f"SELECT from_state, to_state FROM event WHERE vm = '{v['id']}' AND kind = 'state' ORDER BY seq")
    assert rows[-1] == ("connecting", "ready") and len(rows) == 5, "adoption alone is no change of state"
    a = h.post(f"/api/vms/{v['id']}/stop?wait=stopped&timeout=90")
    assert a.json["state"] == "stopped"
    h.remove(v["id"])
    nothing_left(h)


def test_a_vm_that_ended_meanwhile_is_told(fresh):
    h = fresh().start()
    v = h.create(wait="network")
    engine = pids(h, v["id"])["engine"]
    h.kill(signal.SIGKILL)
    os.kill(engine, signal.SIGKILL)
    no_process(h)
    h.start()
    assert h.wait_state(v["id"], ("failed", "stopped")) == "failed"
    cause = h.vm(v["id"])["cause"]
    assert cause["code"] and "9" in cause["cause"], cause
    h.remove(v["id"])
    nothing_left(h)


def test_a_pid_that_is_somebody_elses_is_not_adopted(fresh):
    """The record names a pid that lives, but started at another time: it is no VM of ours and is left alone."""
    h = fresh().start()
    v = h.create(wait="network")
    engine = pids(h, v["id"])["engine"]
    h.kill(signal.SIGKILL)
    os.kill(engine, signal.SIGKILL)
    no_process(h)
    other = subprocess.Popen(["sleep", "600"])
    try:
        h.sql_write("UPDATE vm SET shim_pid = ?, engine_pid = ?", (other.pid, other.pid))
        h.start()
        assert h.wait_state(v["id"], ("failed", "stopped")) == "failed"
        h.remove(v["id"])
        assert other.poll() is None, "hearthd killed a process that is not its own"
    finally:
        other.kill()
        other.wait()
    nothing_left(h)


def test_an_orderly_stop_leaves_vms_running(fresh):
    h = fresh().start()
    v = h.create(wait="network")
    before = pids(h, v["id"])
    h.stop()
    assert h.process.returncode == 0
    assert h.processes(), "the VM ended with hearthd"
    h.start()
    assert proven(h, v["id"])["pids"] == before
    h.remove(v["id"])
    nothing_left(h)


def test_a_vm_outlives_its_images_manifest(fresh):
    """What hearthd can't read of an image is no reason to end a VM that runs from it."""
    h = fresh().start()
    v = h.create(wait="ready")
    h.kill()
    bundle = h.state / "images" / v["image"]["digest"]
    bundle.rename(bundle.with_name("gone"))
    h.start()
    again = proven(h, v["id"])
    assert again["pids"] == v["pids"] and again["starts"] == 1
    assert h.sql("SELECT 1 FROM event WHERE kind = 'adopt' AND text LIKE 'its image can''t be read%'")
    h.remove(v["id"])
    nothing_left(h)


def test_two_hearthds_on_one_state_directory(fresh):
    h = fresh().start()
    r = subprocess.run(h.command("--socket", str(h.run / "other.sock"), "--listen", "none"),
                       capture_output=True, text=True, timeout=30)
    assert r.returncode != 0 and str(h.process.pid) in r.stderr, r
    assert h.get("/api/health").status == 200


def test_a_killed_shim_leaves_nothing(fresh):
    h = fresh().start()
    v = h.create(wait="network")
    os.kill(pids(h, v["id"])["shim"], signal.SIGKILL)
    assert h.wait_state(v["id"], ("failed", "stopped")) == "failed"
    nothing_left(h)
    assert h.post(f"/api/vms/{v['id']}/start?wait=network&timeout=60").json["networkProven"], "it starts again"
    h.remove(v["id"])
    nothing_left(h)


def test_nothing_grows_over_twenty_rounds(fresh):
    """No descriptor and no memory is lost in create, run and delete."""
    h = fresh().start()

    def rounds(n):
        for _ in range(n):
            v = h.create(wait=None)
            h.wait_state(v["id"], RUNNING[1:])
            h.remove(v["id"])
        nothing_left(h)

    rounds(3)  # caches, pools and the log have their size
    before, rss = h.descriptors(), h.rss_kib()
    rounds(20)
    after = h.descriptors()
    assert len(after) <= len(before), sorted(set(after) - set(before))
    assert h.rss_kib() - rss < 2048, f"{rss} KiB before, {h.rss_kib()} KiB after 20 rounds"


# --- every row of the life-cycle table


def table_rows():
    """(from, to) of every move that is stored: host/control/lifecycle.def, without those to the same state."""
    text = (ROOT / "host/control/lifecycle.def").read_text()
    rows = re.findall(r"^M\((\w+), \w+, (\w+),", text, re.M)
    return {(a.lower(), b.lower()) for a, b in rows if a != b}


class Rows:
    """Kills hearthd right after the commit of a row, starts it again, and keeps account."""

    def __init__(self, h, crash):
        self.h, self.crash, self.done = h, crash, set()
        self.pids = {}

    def kill_at(self, frm, to, act=None, restart=True):
        """Arm, do what leads to the row (None: it comes by itself, or with the start of hearthd), and see it die."""
        self.crash.at_row(frm, to)
        if self.h.process.poll() is not None:
            self.h.start(wait=False)
        if act:
            with contextlib.suppress(OSError, http.client.HTTPException):
                act()
        try:
            status = self.h.process.wait(timeout=BOOT_TIMEOUT)
        finally:
            self.crash.off()
        assert status == -signal.SIGKILL, self.h.log_text()[-3000:]
        last = self.h.sql("SELECT from_state, to_state FROM event WHERE kind = 'state' ORDER BY seq DESC LIMIT 1")
        assert last == [(frm, to)]
        self.done.add((frm, to))
        if restart:
            self.h.start()

    def post(self, path, body=None):
        return lambda: self.h.post(path, body or {}, timeout=20)

    def delete(self, vm_id):
        return lambda: self.h.delete(f"/api/vms/{vm_id}", timeout=20)

    def newest(self):
        return self.h.sql("SELECT id FROM vm ORDER BY created_us DESC LIMIT 1")[0][0]


@pytest.fixture
def crash():
    c = Crash()
    yield c
    c.close()


CREATE = {"userId": "alice", "vmType": "cli"}


def once(h, vm_id):
    """The VM has exactly one engine, and the one that its record names."""
    recorded = pids(h, vm_id)
    found = set(h.processes_of(vm_id))
    assert found == {recorded["shim"], recorded["engine"]}, f"{found} run, {recorded} is recorded"


def power_off(h, vm_id):
    """As the person at the serial line, who is logged in as root by the image."""
    s = socket.socket(socket.AF_UNIX)
    s.connect(str(h.run / "vms" / vm_id / "serial.sock"))
    s.sendall(b"\npoweroff\n")
    return s


def rows_of_a_long_life(r):
    h = r.h
    r.kill_at("creating", "starting", r.post("/api/vms", CREATE), restart=False)
    a = r.newest()
    r.kill_at("starting", "booting", restart=False)
    r.kill_at("booting", "connecting", restart=False)
    engine = h.sql(f"SELECT engine_pid FROM vm WHERE id = '{a}'")[0][0]
    r.kill_at("connecting", "ready")
    v = proven(h, a)
    assert v["starts"] == 1 and v["pids"]["engine"] == engine
    once(h, a)
    h.kill()
    os.kill(engine, signal.SIGSTOP)
    r.kill_at("ready", "connecting", restart=False)
    os.kill(engine, signal.SIGCONT)
    h.start()
    assert proven(h, a)["pids"]["engine"] == engine
    with contextlib.closing(power_off(h, a)):
        r.kill_at("ready", "stopped")
    nothing_left(h)
    r.kill_at("stopped", "starting", r.post(f"/api/vms/{a}/start"))
    b, c = h.create(wait=None)["id"], h.create(wait=None)["id"]
    for vm_id in (a, b, c):
        proven(h, vm_id)
        once(h, vm_id)
    r.kill_at("ready", "stopping", r.post(f"/api/vms/{a}/stop"), restart=False)
    r.kill_at("stopping", "stopped")
    assert h.vm(a)["state"] == "stopped" and h.vm(a)["cause"] is None
    r.kill_at("stopped", "deleting", r.delete(a), restart=False)
    r.kill_at("deleting", "gone")
    assert h.get(f"/api/vms/{a}").status == 404
    engine = proven(h, b)["pids"]["engine"]
    proven(h, c)
    r.kill_at("ready", "failed", lambda: os.kill(engine, signal.SIGKILL))
    assert h.vm(b)["state"] == "failed" and h.vm(b)["cause"]["code"]
    r.kill_at("failed", "deleting", r.delete(b))
    r.kill_at("ready", "deleting", r.delete(c))
    for vm_id in (b, c):
        h.wait_state(vm_id, None)
    nothing_left(h)


def rows_of_early_ends(r):
    h = r.h
    a = h.create(wait=None)["id"]

    def kill_engine():
        os.kill(pids(h, a)["engine"], signal.SIGKILL)

    def start():
        h.post(f"/api/vms/{a}/start")

    h.wait_state(a, "connecting")
    r.kill_at("connecting", "stopping", r.post(f"/api/vms/{a}/stop"))
    h.post(f"/api/vms/{a}/stop?force=1&wait=stopped")
    start()
    h.wait_state(a, "connecting")
    r.kill_at("connecting", "failed", kill_engine)
    assert h.vm(a)["state"] == "failed"
    r.kill_at("failed", "starting", r.post(f"/api/vms/{a}/start"))
    h.wait_state(a, "booting")
    r.kill_at("booting", "failed", kill_engine)
    start()
    h.wait_state(a, "booting")
    r.kill_at("booting", "stopping", r.post(f"/api/vms/{a}/stop"))
    r.kill_at("stopping", "deleting", r.delete(a))
    h.wait_state(a, None)
    for state in ("booting", "connecting"):
        a = h.create(wait=None)["id"]
        h.wait_state(a, state)
        r.kill_at(state, "deleting", r.delete(a))
        h.wait_state(a, None)
    nothing_left(h)


def rows_before_the_engine(r):
    """creating: its port's name is taken, so that opening it is tried for a while and then fails."""
    h = r.h
    ns = h.network_namespaces()[0]
    for state in ("deleting", "failed"):
        a = h.create(wait=None, start=False)["id"]
        tap = h.vm(a)["tap"]
        h.remove(a)  # the lease that comes next has the same number
        subprocess.run(["ip", "-n", ns, "tuntap", "add", tap, "mode", "tap"], check=True)
        if state == "failed":
            r.kill_at("creating", "failed", r.post("/api/vms", CREATE))
            a = r.newest()
            assert h.vm(a)["state"] == "failed" and tap in h.vm(a)["cause"]["cause"]
            h.remove(a)
        else:
            a = h.create(wait=None)["id"]
            assert h.vm(a)["state"] == "creating"
            r.kill_at("creating", "deleting", r.delete(a))
            h.wait_state(a, None)
        nothing_left(h)


SILENT = """#!/bin/sh
case "$*" in
"-version" | "-M help") exec /usr/bin/qemu-system-x86_64 "$@" ;;
*) exec /bin/sleep 600 ;;
esac
"""


def rows_of_a_silent_engine(r, where):
    """starting lasts as long as the engine does not say that its vCPUs run."""
    h = r.h
    program = where / "qemu-system-x86_64"
    program.write_text(SILENT)
    program.chmod(0o755)
    h.kill()
    h.env["PATH"] = f"{where}:/usr/sbin:/sbin"
    h.start()
    a = h.create(wait=None)["id"]

    def wait_engine():
        due = time.monotonic() + 30
        while not pids(h, a):
            assert time.monotonic() < due
            time.sleep(0.02)
        once(h, a)
        return pids(h, a)["engine"]

    engine = wait_engine()
    r.kill_at("starting", "failed", lambda: os.kill(engine, signal.SIGKILL))
    assert h.vm(a)["state"] == "failed"
    h.post(f"/api/vms/{a}/start")
    wait_engine()
    r.kill_at("starting", "stopping", r.post(f"/api/vms/{a}/stop?force=1"))
    h.post(f"/api/vms/{a}/stop?force=1&wait=stopped")
    h.post(f"/api/vms/{a}/start")
    wait_engine()
    r.kill_at("starting", "deleting", r.delete(a))
    h.wait_state(a, None)
    a = h.create(wait=None, start=False)["id"]
    h.wait_state(a, "stopped")
    while h.get("/api/host").status != 200:  # measured: the engine was there
        time.sleep(0.02)
    program.unlink()
    r.kill_at("stopping", "failed", r.post(f"/api/vms/{a}/start"))
    assert h.vm(a)["cause"]["code"] == "engine.missing", h.vm(a)["cause"]
    h.remove(a)
    nothing_left(h)


def test_killed_at_every_row(fresh, crash, tmp_path):
    tmp_path.chmod(0o755)
    r = Rows(fresh(env=crash.env).start(), crash)
    rows_of_a_long_life(r)
    rows_of_early_ends(r)
    rows_before_the_engine(r)
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(0o755)  # the engine's user must reach its program
    rows_of_a_silent_engine(r, tmp_path)
    assert r.done == table_rows(), f"not killed at: {sorted(table_rows() - r.done)}"


# --- every change of the outside world


def sweep(h, crash, prepare, act, reached, after):
    """For n = 1, 1 + STRIDE, …: kill before the n-th change that act makes, until it makes fewer; after every death
    start hearthd again and let `after` judge.  Returns how often it died."""
    n = 1 + random.randrange(STRIDE)
    deaths = 0
    while True:
        vm_id = prepare()
        crash.after(n)
        answer = None
        with contextlib.suppress(OSError, http.client.HTTPException):
            answer = act(vm_id)
        with contextlib.suppress(OSError, http.client.HTTPException):
            while h.process.poll() is None and not reached(vm_id or (answer and answer.json["id"])):
                time.sleep(0.005)
        died = h.process.poll() is not None
        left, counted = crash.countdown, crash.effects
        crash.off()
        if not died and left > 0:
            after(vm_id or answer.json["id"])
            return deaths
        assert h.process.wait(timeout=10) == -signal.SIGKILL, f"n={n}, {counted} counted\n{h.log_text()[-3000:]}"
        deaths += 1
        h.start()
        try:
            after(vm_id)
        except AssertionError as e:
            raise AssertionError(f"killed before change {n}: {e}\n{h.log_text()[-3000:]}") from e
        n += STRIDE


def state_of(h, vm_id):
    a = h.get(f"/api/vms/{vm_id}", timeout=10)
    return None if a.status == 404 else a.json["state"]


def test_killed_before_every_change(fresh, crash):
    h = fresh(env=crash.env).start()

    def remove_all():
        for v in h.get("/api/vms").json["vms"]:
            h.remove(v["id"])
        nothing_left(h)

    def judge_created(_):
        vms = h.get("/api/vms").json["vms"]
        assert len(vms) <= 1
        for v in vms:  # what was committed is finished
            assert h.wait_state(v["id"], (*RUNNING[1:], "failed")) != "failed", h.vm(v["id"])["cause"]
            once(h, v["id"])
            assert h.vm(v["id"])["starts"] == 1
        remove_all()

    def stopped():
        vms = h.get("/api/vms").json["vms"]
        vm_id = vms[0]["id"] if vms else h.create(wait=None, start=False)["id"]
        h.post(f"/api/vms/{vm_id}/stop?force=1&wait=stopped")
        h.wait_state(vm_id, "stopped")
        return vm_id

    def running():
        vm_id = stopped()
        h.post(f"/api/vms/{vm_id}/start")
        h.wait_state(vm_id, RUNNING[1:])
        return vm_id

    def judge_started(vm_id):
        state = h.wait_state(vm_id, (*RUNNING[1:], "failed", "stopped"))
        assert state != "failed", h.vm(vm_id)["cause"]
        if state != "stopped":
            once(h, vm_id)
        nothing_left(h)

    def judge_stopped(vm_id):
        state = h.wait_state(vm_id, (*RUNNING[1:], "failed", "stopped", "stopping"))
        assert state != "failed", h.vm(vm_id)["cause"]
        nothing_left(h)

    def judge_removed(vm_id):
        if state_of(h, vm_id) not in (None, "deleting"):
            h.remove(vm_id)
        h.wait_state(vm_id, None)
        nothing_left(h)

    deaths = [
        sweep(h, crash, lambda: None, lambda _: h.post("/api/vms", CREATE, timeout=10),
              lambda vm_id: state_of(h, vm_id) in RUNNING[1:], judge_created),
        sweep(h, crash, stopped, lambda vm_id: h.post(f"/api/vms/{vm_id}/start", timeout=10),
              lambda vm_id: state_of(h, vm_id) in RUNNING[1:], judge_started),
        sweep(h, crash, running, lambda vm_id: h.post(f"/api/vms/{vm_id}/stop?force=1", timeout=10),
              lambda vm_id: state_of(h, vm_id) == "stopped", judge_stopped),
        sweep(h, crash, running, lambda vm_id: h.delete(f"/api/vms/{vm_id}", timeout=10),
              lambda vm_id: state_of(h, vm_id) is None, judge_removed),
    ]
    assert min(deaths) >= 3, deaths
    remove_all()


def test_killed_while_it_starts(fresh, crash):
    """Adoption itself is interrupted before every n-th change, with one VM running, one stopped and one half deleted."""
    h = fresh(env=crash.env).start()
    run, stopped = h.create(wait="network")["id"], h.create(wait=None, start=False)["id"]
    h.wait_state(stopped, "stopped")
    before = proven(h, run)["pids"]
    deaths = 0
    n = 1 + random.randrange(STRIDE)
    while True:
        h.kill()
        crash.after(n)
        h.start(wait=False)
        with contextlib.suppress(OSError, http.client.HTTPException, AssertionError):
            h.wait_up()
        left = crash.countdown
        crash.off()
        if left > 0:
            break
        assert h.process.wait(timeout=10) == -signal.SIGKILL
        deaths += 1
        n += STRIDE
        h.start()
        assert pids(h, run) == before
        once(h, run)
    assert deaths >= 5
    assert proven(h, run)["pids"] == before and h.vm(stopped)["state"] == "stopped"
    nothing_left(h)
    for vm_id in (run, stopped):
        h.remove(vm_id)
    nothing_left(h)


# --- random points under load


def churn(h, stop, seed):
    """Create, start, stop and delete VMs until told to stop; hearthd may vanish under every call."""
    mine = []
    rnd = random.Random(seed)
    while not stop.is_set():
        act = rnd.random()
        with contextlib.suppress(OSError, http.client.HTTPException):  # it was killed: that is the point
            if act < 0.5 or not mine:
                a = h.post("/api/vms", CREATE, timeout=10)
                if a.status in (200, 201, 202):
                    mine.append(a.json["id"])
            elif act < 0.65:
                h.post(f"/api/vms/{rnd.choice(mine)}/stop?force=1", timeout=10)
            elif act < 0.75:
                h.post(f"/api/vms/{rnd.choice(mine)}/start", timeout=10)
            else:
                h.delete(f"/api/vms/{mine.pop(rnd.randrange(len(mine)))}", timeout=10)
        stop.wait(rnd.uniform(0.0, 0.25))


def test_killed_at_random_points(fresh):
    """hearthd is killed KILLS times during create, start, stop and delete of several VMs at once; afterwards every
    VM settles, can be deleted, and nothing at all is left over."""
    seed = int(os.environ.get("HEARTH_CRASH_SEED", time.time_ns() % 100000))
    print(f"HEARTH_CRASH_SEED={seed}")  # shown if it fails
    h = fresh(config="[limits]\nHostVms=6\n").start()
    rnd = random.Random(seed)
    stop = threading.Event()
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        workers = [pool.submit(churn, h, stop, seed + i) for i in range(3)]
        try:
            for _ in range(KILLS):
                time.sleep(rnd.uniform(0.02, 1.0))  # the random point itself, not a wait for anything
                h.kill(signal.SIGKILL)
                h.start()
        finally:
            stop.set()
        for w in workers:
            w.result()
    vms = h.get("/api/vms").json["vms"]
    for v in vms:
        state = h.wait_state(v["id"], SETTLED)
        if state == "ready":
            once(h, v["id"])
        if state == "failed":
            pytest.fail(f"{h.vm(v['id'])['cause']}")
    nothing_left(h)
    for v in vms:
        if h.get(f"/api/vms/{v['id']}").status == 200:
            h.remove(v["id"])
    nothing_left(h)
    assert not h.processes() and not h.taps() and not h.pins() and not h.cgroups()
    assert h.get("/api/networks/default").json["used"] == 0
    assert not list(pathlib.Path(h.state / "vms").iterdir())
    h.remove(h.create(wait="network")["id"])  # and it still works
