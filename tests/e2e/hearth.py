"""What every end-to-end test uses: a real hearthd in a network namespace of its own, driven over its Unix
socket, and the means to see what it leaves behind.

Nothing here ever touches the machine's own network: hearthd runs inside a namespace that the test made, with
--no-uplink, and its TCP listener is on that namespace's loopback.
"""
import contextlib
import http.client
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import sqlite3
import string
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
STAGE = pathlib.Path(os.environ.get("HEARTH_STAGE", ROOT / "build/stage")) / "usr"
HEARTHD = STAGE / "sbin/hearthd"
HEARTH = STAGE / "bin/hearth"
LIBEXEC = STAGE / "libexec/hearth"
RECIPES = STAGE / "share/hearth/images"
BOOT_TIMEOUT = 120  # seconds; TCG on a loaded machine


def names_in(directory):
    return {p.name for p in directory.iterdir()} if directory.exists() else set()


class Answer:
    """One HTTP answer: status, headers, body, and the body as JSON."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        return self.json["error"]

    def __repr__(self):
        return f"<{self.status} {self.body[:600]!r}>"


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


class Hearthd:
    """One state directory and the hearthd that runs on it; may be killed and started again."""

    def __init__(self, images=None, config="", args=(), env=None, instance=None, isolated=True, uplink=False):
        tag = "".join(random.choices(string.ascii_lowercase + string.digits, k=5))
        self.instance = instance or f"t{tag}"
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="hearth-e2e-"))
        self.dir.chmod(0o711)
        self.state, self.run = self.dir / "state", self.dir / "run"
        self.state.mkdir(mode=0o711)
        self.run.mkdir(mode=0o711)
        if images:  # the bundles are read-only and shared; names are this hearthd's own
            shutil.copytree(images, self.state / "images", symlinks=True, copy_function=os.link)
        self.socket = self.run / "hearth.sock"
        self.log = self.dir / "hearthd.log"
        self.netns = f"te2e-{tag}" if isolated else None  # not isolated: for apt-get, to build an image
        self.config, self.args, self.env = config, list(args), env or {}
        self.uplink = ["--no-uplink"] if not uplink else []  # with one: only in a namespace whose uplink is the test's
        assert isolated or not uplink
        self.process = None
        if self.netns:
            subprocess.run(["ip", "netns", "add", self.netns], check=True)
            subprocess.run(["ip", "-n", self.netns, "link", "set", "lo", "up"], check=True)

    # -- the process

    def command(self, *args):
        conf = self.dir / "hearthd.conf"
        conf.write_text(self.config)
        prefix = [shutil.which("nsenter", path="/usr/bin:/bin"), f"--net=/run/netns/{self.netns}"] if self.netns else []
        return [*prefix, str(HEARTHD), "--config", str(conf), "--state-dir", str(self.state), "--run-dir", str(self.run), "--socket", str(self.socket), "--instance",
                self.instance, "--libexec-dir", str(LIBEXEC), "--recipes-dir", str(RECIPES), *self.uplink,
                *self.args, *args]

    def start(self, wait=True, expect_exit=False):
        out = open(self.log, "ab")
        self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                        env={**os.environ, **self.env}, start_new_session=True)
        out.close()
        if expect_exit:
            return self.process.wait(timeout=30)
        if wait:
            self.wait_up()
        return self

    def wait_up(self, timeout=60):
        """Wait until the API answers; each round observes the process and the socket."""
        due = time.monotonic() + timeout
        while time.monotonic() < due:
            assert self.process.poll() is None, f"hearthd ended with {self.process.returncode}:\n{self.log_text()[-3000:]}"
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self.get("/api/health", timeout=10).status == 200:
                    return
            time.sleep(0.02)
        raise AssertionError(f"hearthd did not answer within {timeout} s:\n{self.log_text()[-3000:]}")

    def kill(self, sig=signal.SIGKILL):
        self.process.send_signal(sig)
        self.process.wait(timeout=30)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.kill(signal.SIGTERM)

    def log_text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    # -- the API

    def request(self, method, path, body=None, headers=None, timeout=BOOT_TIMEOUT + 60):
        c = UnixConnection(self.socket, timeout)
        try:
            headers = dict(headers or {})
            if body is not None and not isinstance(body, (bytes, str)):
                body = json.dumps(body)
            if body is not None:
                headers.setdefault("Content-Type", "application/json")
            c.request(method, path, body=body, headers=headers)
            r = c.getresponse()
            return Answer(r.status, r.headers, r.read())
        finally:
            c.close()

    def get(self, path, **kw):
        return self.request("GET", path, **kw)

    def post(self, path, body=None, **kw):
        return self.request("POST", path, body if body is not None else {}, **kw)

    def delete(self, path, **kw):
        return self.request("DELETE", path, **kw)

    def create(self, wait="network", timeout=BOOT_TIMEOUT, expect=None, **fields):
        fields = {"userId": "alice", "vmType": "cli", **fields}
        query = f"?wait={wait}&timeout={timeout}" if wait else ""
        a = self.post(f"/api/vms{query}", fields)
        wanted = expect or (200, 201, 202)
        assert a.status in (wanted if isinstance(wanted, tuple) else (wanted,)), f"{a}\n{self.log_text()[-2000:]}"
        return a.json

    def vm(self, vm_id):
        return self.get(f"/api/vms/{vm_id}").json

    def wait_state(self, vm_id, states, timeout=BOOT_TIMEOUT):
        """Wait until the VM is in one of the states (None: gone), by asking again and again."""
        states = states if isinstance(states, (tuple, list, set)) else (states,)
        due = time.monotonic() + timeout
        while time.monotonic() < due:
            a = self.get(f"/api/vms/{vm_id}")
            now = None if a.status == 404 else a.json["state"]
            if now in states:
                return now
            time.sleep(0.05)
        raise AssertionError(f"{vm_id} is {now}, not {states}, after {timeout} s\n{self.log_text()[-3000:]}")

    def remove(self, vm_id):
        a = self.delete(f"/api/vms/{vm_id}?wait=gone&timeout=60")
        assert a.status in (200, 202, 204), a

    def cli(self, *args, check=True, **kw):
        env = {**os.environ, "HEARTH_SOCKET": str(self.socket), "NO_COLOR": "1"}
        r = subprocess.run([str(HEARTH), *args], env=env, capture_output=True, text=True, timeout=BOOT_TIMEOUT + 60, **kw)
        if check:
            assert r.returncode == 0, f"hearth {' '.join(args)}: {r.returncode}\n{r.stdout}\n{r.stderr}"
        return r

    def console(self, vm_id):
        return self.get(f"/api/vms/{vm_id}/console").body.decode(errors="replace")

    # -- what is left over

    def processes(self):
        """Pids of all processes that belong to this state directory's VMs (shim and engine)."""
        return [pid for pid, _ in self.processes_by_vm()]

    def processes_by_vm(self):
        """(pid, id of its VM or None) of every process of ours but hearthd itself."""
        found = []
        for p in pathlib.Path("/proc").iterdir():
            if not p.name.isdigit() or int(p.name) == os.getpid():
                continue
            with contextlib.suppress(OSError):
                words = (p / "cmdline").read_bytes()
                state = re.search(r"\) (\S)", (p / "stat").read_text()).group(1)
                file = self._file_of_ours(p)  # an engine may have our disks only as descriptors
                if state != "Z" and (str(self.dir).encode() in words or file) and b"hearthd\0" not in words:
                    m = re.search(rb"vm-[0-9a-f]{8}", file.encode() + words)
                    found.append((int(p.name), m and m[0].decode()))
        return found

    def _file_of_ours(self, proc):
        with contextlib.suppress(OSError):
            for fd in (proc / "fd").iterdir():
                with contextlib.suppress(OSError):
                    if (path := os.readlink(fd)).startswith(str(self.state / "vms")):
                        return path
        return ""

    def leftovers(self, timeout=20):
        """Everything that belongs to no VM: processes, directories, sockets, leases, TAPs, pins, control groups.  Some of
        it is given back right after a state is committed: look until it is gone."""
        due = time.monotonic() + timeout
        while (left := self._leftovers_now()) and time.monotonic() < due:
            time.sleep(0.02)
        return left

    def _leftovers_now(self):
        vms = self.get("/api/vms").json["vms"]
        ids = {v["id"] for v in vms}
        live = {v["id"] for v in vms if v["state"] in ("starting", "booting", "connecting", "ready", "stopping")}
        allowed = {
            "vm directories": (names_in(self.state / "vms"), ids),
            "run directories": (names_in(self.run / "vms"), live),
            "leases": ({row[0] for row in self.sql("SELECT vm FROM lease")}, ids),
            "records": ({row[0] for row in self.sql("SELECT id FROM vm")}, ids),
            "control groups": (self.cgroups(), live),
            "taps": (set(self.taps()), {v["tap"] for v in vms if v["id"] in live}),
            "pins": (self.pins(), {(v["tap"], v["mac"], ip) for v in vms if v["id"] in live for ip in (v["ip"], "0.0.0.0")}),
            "lost": (names_in(self.state / "lost"), set()),
        }
        found = {what: sorted(there - may) for what, (there, may) in allowed.items() if there - may}
        strays = [pid for pid, vm_id in self.processes_by_vm() if vm_id not in live]
        if strays:
            found["processes"] = strays
        half = [str(p) for p in (self.state / "vms").glob("*/*.half")]
        if half:
            found["half-made disks"] = half
        return found

    def sql(self, query):
        """Rows of hearthd's own store, read-only."""
        with contextlib.closing(sqlite3.connect(f"file:{self.state / 'hearth.db'}?mode=ro", uri=True, timeout=10)) as db:
            return db.execute(query).fetchall()

    def sql_write(self, query, values=()):
        """Change the store while hearthd is not running."""
        with contextlib.closing(sqlite3.connect(self.state / "hearth.db")) as db, db:
            db.execute(query, values)

    def cgroups(self):
        """Ids of VMs of this store, also of deleted ones, that have a control group in any hierarchy."""
        ours = {row[0] for row in self.sql("SELECT DISTINCT vm FROM event")}
        mounts = {line.split()[4] for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
                  if " - cgroup" in line}
        return {p.name for m in mounts for p in pathlib.Path(m).glob("**/hearth/vm-*") if p.name in ours}

    def pins(self):
        """(TAP, MAC, address) of every element of the set `pins`, in all networks."""
        found = set()
        for ns in self.network_namespaces():
            r = subprocess.run(["ip", "netns", "exec", ns, "nft", "-j", "list", "ruleset"], capture_output=True, text=True)
            for o in json.loads(r.stdout or '{"nftables":[]}')["nftables"]:
                if o.get("set", {}).get("name") == "pins":
                    found |= {tuple(e["concat"]) for e in o["set"].get("elem", [])}
        return found

    def descriptors(self):
        """What each open descriptor of hearthd is."""
        found = []
        for fd in pathlib.Path(f"/proc/{self.process.pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                found.append(os.readlink(fd))
        return found

    def rss_kib(self):
        return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{self.process.pid}/status").read_text())[1])

    def processes_of(self, vm_id):
        """Pids among processes() that belong to this VM."""
        return [pid for pid, owner in self.processes_by_vm() if owner == vm_id]

    def network_namespaces(self):
        return [p.name for p in pathlib.Path("/run/netns").glob(f"{self.instance}-*")]

    def taps(self):
        taps = []
        for ns in self.network_namespaces():
            out = subprocess.run(["ip", "-n", ns, "-j", "link", "show"], capture_output=True, text=True).stdout
            taps += [l["ifname"] for l in json.loads(out or "[]") if re.fullmatch(r"hv\d+", l["ifname"])]
        return taps

    def close(self):
        """End everything of this hearthd, by pid; the machine is as before."""
        self.stop()
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for ns in filter(None, [*self.network_namespaces(), self.netns]):
            subprocess.run(["ip", "netns", "del", ns], capture_output=True)
        shutil.rmtree(self.dir, ignore_errors=True)
