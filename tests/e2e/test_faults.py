"""What goes wrong on a host: each fault is named with its cause, and nothing is lost or left over."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import time

import pytest

from hearth import BOOT_TIMEOUT, STAGE


QEMU = shutil.which("qemu-system-x86_64")


def failed_cause(h, vm_id, timeout=BOOT_TIMEOUT):
    assert h.wait_state(vm_id, ("failed", "ready"), timeout) == "failed"
    cause = h.vm(vm_id)["cause"]
    assert cause["code"] and cause["cause"], cause
    return cause


def fake_qemu(directory, script):
    """A program named like QEMU, found first in hearthd's PATH."""
    path = pathlib.Path(directory) / "bin"
    path.mkdir(mode=0o755)
    for p in [path, *path.parents][:4]:  # the engine's user must get there
        p.chmod(p.stat().st_mode | 0o011)
    program = path / "qemu-system-x86_64"
    program.write_text(script)
    program.chmod(0o755)
    return {"PATH": f"{path}:{os.environ['PATH']}"}


def test_qemu_missing(fresh, tmp_path):
    bins = tmp_path / "bin"  # everything but QEMU
    bins.mkdir()
    for d in ("/usr/sbin", "/usr/bin", "/sbin", "/bin"):
        for p in pathlib.Path(d).glob("*"):
            if not p.name.startswith("qemu-system") and not (bins / p.name).exists():
                (bins / p.name).symlink_to(p)
    h = fresh(env={"PATH": str(bins)}).start()
    a = h.post("/api/vms", {"userId": "alice", "vmType": "cli"})
    if a.status < 400:
        said = json.dumps(failed_cause(h, a.json["id"]))
        h.remove(a.json["id"])
    else:
        said = json.dumps(a.error)
    assert "engine.missing" in said and "apt-get install qemu-system-x86" in said, said
    assert h.leftovers() == {}


@pytest.mark.parametrize("when", ["asked", "started"])
def test_qemu_dies_at_start(fresh, tmp_path, when):
    """A QEMU that can't even say its version, and one that ends when it is to run a VM: its own words are told."""
    answer = f'case "$*" in -version|"-M help") exec {QEMU} "$@";; esac\n' if when == "started" else ""
    env = fake_qemu(tmp_path, f'#!/bin/sh\n{answer}echo "qemu: cannot do this" >&2\nexit 1\n')
    h = fresh(env=env).start()
    v = h.create(wait=None)
    cause = failed_cause(h, v["id"], 60)
    assert "cannot do this" in json.dumps(cause), cause
    assert cause["code"] == ("engine.broken" if when == "asked" else "ENGINE_FAILED"), cause
    h.remove(v["id"])
    assert h.leftovers() == {}


def test_qemu_hangs_at_start(fresh, tmp_path):
    """A QEMU that runs and never answers QMP: the time limit of `starting` ends it, and says so."""
    env = fake_qemu(tmp_path, f'#!/bin/sh\ncase "$*" in -version|"-M help") exec {QEMU} "$@";; esac\nexec sleep 1000\n')
    h = fresh(env=env, config="[timeouts]\nStarting=2s\n").start()
    v = h.create(wait=None)
    cause = failed_cause(h, v["id"], 60)
    assert cause["code"] == "ENGINE_SILENT" and "2000 ms" in cause["cause"] and cause["remedy"], cause
    assert h.processes() == []
    h.remove(v["id"])
    assert h.leftovers() == {}


def test_qemu_killed_later(shared):
    v = shared.create(wait="network")
    os.kill(shared.vm(v["id"])["pids"]["engine"], signal.SIGKILL)
    cause = failed_cause(shared, v["id"], 30)
    assert "9" in cause["cause"] or "kill" in cause["cause"].lower(), cause
    a = shared.post(f"/api/vms/{v['id']}/start?wait=network&timeout={BOOT_TIMEOUT}")
    assert a.status == 200, a
    shared.remove(v["id"])


def test_qemu_hangs(shared):
    v = shared.create(wait="network")
    engine = shared.vm(v["id"])["pids"]["engine"]
    os.kill(engine, signal.SIGSTOP)
    a = shared.post(f"/api/vms/{v['id']}/stop?wait=stopped&timeout=90")
    assert a.status == 200 and a.json["state"] in ("stopped", "failed"), a
    assert engine not in shared.processes()
    shared.remove(v["id"])


def test_a_wrong_root_is_named(shared):
    """init= that does not exist: hearth-init says so, and the API carries its code."""
    v = shared.create(wait=None, bootArgs="init=/sbin/no-such-init")
    cause = failed_cause(shared, v["id"])
    assert "no-such-init" in json.dumps(cause), cause
    assert "phase=" in json.dumps(cause["evidence"]) and cause["remedy"], cause
    shared.remove(v["id"])


def test_a_wait_that_times_out_says_what_misses(shared):
    a = shared.post("/api/vms?wait=ready&timeout=1", {"userId": "alice", "vmType": "cli"})
    assert a.status == 504, a
    listed = shared.get("/api/vms?state=booting").body + shared.get("/api/vms").body
    assert b"vm-" in listed
    error = json.dumps(a.error)
    assert "timeout" in error and any(s in error for s in ("creating", "starting", "booting", "connecting")), error
    for v in shared.get("/api/vms").json["vms"]:
        shared.remove(v["id"])


def test_address_pool_exhausted(shared):
    assert shared.post("/api/networks", {"name": "tiny", "cidr": "10.77.0.0/29"}).status in (200, 201)
    made = [shared.create(wait=None, network="tiny", start=False)["id"] for _ in range(5)]
    a = shared.post("/api/vms", {"userId": "alice", "vmType": "cli", "network": "tiny", "start": False})
    assert a.status in (409, 429, 503) and "5 of 5" in json.dumps(a.error), a
    assert shared.delete("/api/networks/tiny").status == 409
    for vm_id in made:
        shared.remove(vm_id)
    assert shared.delete("/api/networks/tiny").status in (200, 204)
    assert not [n for n in shared.network_namespaces() if n.endswith("-tiny")]


def test_mac_and_address_clash(shared):
    mac = "02:00:00:00:00:07"
    first = shared.create(wait=None, start=False, mac=mac, ip="192.168.100.77")
    assert first["ip"] == "192.168.100.77" and first["mac"] == mac
    for clash in ({"mac": mac}, {"ip": "192.168.100.77"}):
        a = shared.post("/api/vms", {"userId": "alice", "vmType": "cli", "start": False, **clash})
        assert a.status == 409 and first["id"] in json.dumps(a.error), a
    shared.remove(first["id"])


def test_limits_are_admitted_before_anything_is_made(fresh):
    h = fresh(config="[limits]\nUserVms=2\nHostVms=3\n").start()
    ids = [h.create(wait=None, start=False)["id"] for _ in range(2)]
    a = h.post("/api/vms", {"userId": "alice", "vmType": "cli", "start": False})
    assert a.status == 429 and "user alice's limit of VMs is 2: 2 in use" in a.error["message"], a
    ids.append(h.create(wait=None, start=False, userId="bob")["id"])
    a = h.post("/api/vms", {"userId": "carol", "vmType": "cli", "start": False})
    assert a.status == 429 and "this host's limit of VMs is 3: 3 in use" in a.error["message"], a
    a = h.post("/api/vms", {"userId": "carol", "vmType": "cli", "start": False, "ramMib": 1 << 20})
    assert a.status in (429, 503), a
    for vm_id in ids:
        h.remove(vm_id)
    assert h.leftovers() == {}


@contextlib.contextmanager
def small_disk(path, options):
    path.mkdir(mode=0o711, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"mode=711,{options}", "tmpfs", str(path)], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def test_a_disk_without_room_is_seen_before_anything_is_made(fresh):
    h = fresh()
    with small_disk(h.state / "vms", "size=64m"):
        h.start()
        a = h.post("/api/vms", {"userId": "alice", "vmType": "cli"})
        assert a.status == 429 and "disk space" in a.error["message"] and "512 MiB" in a.error["message"], a
        assert h.get("/api/vms").json["vms"] == [] and h.leftovers() == {}


@pytest.mark.parametrize("files,which", [(0, ""), (1, "/disk"), (2, "/cmdline")])
def test_disk_full_while_creating(fresh, files, which):
    """Room enough when it was asked for, none when the disk is made: what was made is taken away again."""
    h = fresh(config="[limits]\nDiskReserve=0M\n")
    with small_disk(h.state / "vms", f"size=64m,nr_inodes={1 + files}"):  # one for its root
        h.start()
        v = h.create(wait=None)
        cause = failed_cause(h, v["id"], 60)
        assert cause["code"] == "disk.full" and f"{v['id']}{which}" in cause["cause"] and cause["remedy"], cause
        h.remove(v["id"])
        assert h.leftovers() == {}
        h.stop()


def test_disk_full_under_the_database(fresh):
    """What can't be recorded is refused and not begun; with room again all goes on."""
    h = fresh()
    images, vms, small = h.state / "images", h.dir / "vms", h.dir / "small"
    vms.mkdir(mode=0o711)
    with small_disk(small, "size=2m"):
        for p in (images, vms):  # these have room
            (small / p.name).mkdir(mode=0o711)
            subprocess.run(["mount", "--bind", str(p), str(small / p.name)], check=True)
        h.args += ["--state-dir", str(small)]
        try:
            h.start()
            first = h.create(wait=None, start=False)
            with contextlib.suppress(OSError), open(small / "filler", "wb", buffering=0) as f:
                while f.write(b"x" * 4096):
                    pass
            codes = [h.create(wait=None, start=False, expect=(202, 503)).get("error", {}).get("code") for _ in range(40)]
            assert set(codes[-5:]) == {"store.full"}, codes  # what the file had room for before is fine
            known = 1 + codes.count(None)
            assert len(h.get("/api/vms").json["vms"]) == known
            (small / "filler").unlink()
            h.remove(first["id"])
            h.create(wait=None, start=False)
            assert len(h.get("/api/vms").json["vms"]) == known
        finally:
            h.stop()
            for p in (images, vms):
                subprocess.run(["umount", str(small / p.name)], check=True)


def test_a_damaged_image_is_refused(fresh):
    h = fresh()
    bundle = next(p for p in (h.state / "images").iterdir() if (p / "manifest.json").exists())
    kernel = bundle / "initrd"
    data = bytearray(kernel.read_bytes())
    data[len(data) // 2] ^= 0xff
    kernel.unlink()
    kernel.write_bytes(data)
    h.start()
    a = h.post("/api/vms", {"userId": "alice", "vmType": "cli"})
    if a.status < 400:
        said = json.dumps(failed_cause(h, a.json["id"]))
        h.remove(a.json["id"])
    else:
        said = json.dumps(a.error)
    assert "image.digest-mismatch" in said and "initrd" in said, said


@pytest.mark.parametrize("damage,word", [("locked", "store.locked"), ("corrupt", "store.corrupt"), ("newer", "store.newer"),
                                         ("read-only", "store.read-only")])
def test_store_faults_at_start(fresh, damage, word):
    h = fresh().start()
    v = h.create(wait=None, start=False)
    h.stop()
    db = h.state / "hearth.db"
    holder = None
    if damage == "locked":
        holder = sqlite3.connect(db, isolation_level=None)
        holder.execute("PRAGMA locking_mode = EXCLUSIVE")  # in WAL mode a writer alone would not keep readers out
        holder.execute("BEGIN EXCLUSIVE")
    elif damage == "read-only":
        subprocess.run(["mount", "--bind", str(h.state), str(h.state)], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", str(h.state)], check=True)
    elif damage == "corrupt":
        keep = db.read_bytes()
        db.write_bytes(b"x" * 8192)
    else:
        c = sqlite3.connect(db)
        c.execute("PRAGMA user_version = 999")
        c.close()
    assert h.start(expect_exit=True) not in (0, None)
    assert word in h.log_text(), h.log_text()[-1500:]
    if damage == "locked":
        holder.close()
    elif damage == "read-only":
        subprocess.run(["umount", str(h.state)], check=True)
    elif damage == "corrupt":
        db.write_bytes(keep)
    else:
        c = sqlite3.connect(db)
        c.execute("PRAGMA user_version = 1")
        c.close()
    h.start()
    assert h.vm(v["id"])["state"] == "stopped"  # nothing was lost
    h.remove(v["id"])


def test_a_store_that_locks_while_running(fresh):
    h = fresh().start()
    v = h.create(wait=None, start=False)
    other = sqlite3.connect(h.state / "hearth.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    a = h.post("/api/vms", {"userId": "alice", "vmType": "cli", "start": False})
    assert a.status == 503 and a.error["code"] == "store.locked", a
    other.rollback()
    other.close()
    assert len(h.get("/api/vms").json["vms"]) == 1
    w = h.create(wait=None, start=False)
    h.remove(v["id"])
    h.remove(w["id"])
    assert h.leftovers() == {}


def test_a_store_that_turns_read_only_while_running(fresh):
    """What can't be recorded is refused with the reason; reading goes on; so does writing once it can."""
    h = fresh().start()
    v = h.create(wait=None, start=False)
    files = [str(p) for p in h.state.glob("hearth.db*") if not p.name.endswith((".lock", "-shm"))]
    if subprocess.run(["chattr", "+i", *files], capture_output=True).returncode:
        pytest.skip("this file system has no immutable files")
    try:
        a = h.post("/api/vms", {"userId": "alice", "vmType": "cli", "start": False})
        assert a.status == 503 and a.error["code"].startswith("store.") and a.error["remedy"], a
        assert [x["id"] for x in h.get("/api/vms").json["vms"]] == [v["id"]]
    finally:
        subprocess.run(["chattr", "-i", *files], check=True)
    w = h.create(wait=None, start=False)
    for x in (v, w):
        h.remove(x["id"])
    assert h.leftovers() == {}


def test_a_clock_that_jumps(fresh):
    """Wall time a year off in hearthd's eyes: nothing expires, deadlines hold (they use the monotonic clock)."""
    h = fresh()
    # not the program faketime: it stays hearthd's parent, and a kill would only reach that
    library = next(iter(pathlib.Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")), None)
    if not library:
        assert os.environ.get("CI") != "true", "faketime is in packaging/build-packages.txt"
        pytest.skip("faketime is not installed")
    h.start()
    v = h.create(wait="network")
    for env in ({"LD_PRELOAD": str(library), "FAKETIME": "+400d", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}, {}):
        h.kill()
        h.env = env
        h.start()
        assert h.wait_state(v["id"], ("ready", "failed")) == "ready"
    years = {line[:4] for line in h.log_text().splitlines() if "hearthd.ready" in line}
    assert len(years) == 2, years  # it did jump
    h.remove(v["id"])
    assert h.leftovers() == {}


def test_the_host_report_measures_kvm(shared):
    got = shared.get("/api/host").json
    assert got["kvm"]["text"] and "ok" in got["kvm"]
    for part in ("engines", "cgroup", "memory", "disk", "nftables", "namespaces", "clock"):
        assert part in got, got.keys()
    out = shared.cli("host", "check", check=False)
    assert "kvm" in out.stdout.lower()


def test_metrics_and_health(shared):
    text = shared.get("/metrics").body.decode()
    assert "# TYPE" in text and "hearth_" in text
    assert shared.get("/api/health").json
    assert STAGE.exists()
