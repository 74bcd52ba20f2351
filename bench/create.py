#!/usr/bin/python3
"""create?wait=network against bare QEMU: the same program, arguments, kernel, initrd and disks, from exec to the same
proof (the leased MAC answers ARP for the leased address, then ICMP).  Prints medians, their ratio, and hearthd's own
share as its events tell it.

Usage: sudo bench/create.py [RUNS]     (default 7; the two take turns)
"""
import ctypes
import datetime
import fcntl
import os
import pathlib
import re
import select
import signal
import socket
import statistics
import struct
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests/e2e"))
from hearth import Hearthd  # noqa: E402
from figures import images, print_table  # noqa: E402

TUNSETIFF, IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x400454CA, 2, 0x1000, 0x4000
libc = ctypes.CDLL(None, use_errno=True)


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


class BareNetwork:
    """A namespace with one TAP that carries the gateway's address; this process moves into it."""

    def __init__(self, gateway, ip, mac):
        self.gateway, self.ip, self.mac = socket.inet_aton(gateway), socket.inet_aton(ip), bytes.fromhex(mac.replace(":", ""))
        self.own = b"\x02\x00\x00\x00\x00\x01"

    def tap(self):
        fd = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", b"bare0", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
        subprocess.run(["ip", "link", "set", "bare0", "up"], check=True)
        return fd

    def prove(self, timeout=40):
        """Until ARP and ICMP are answered; asks again with the guest's first frame and every 200 ms, as Hearth does."""
        s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        s.bind(("bare0", 3))
        arp = b"\xff" * 6 + self.own + b"\x08\x06" + struct.pack("!HHBBH", 1, 0x800, 6, 4, 1) + self.own + self.gateway + b"\0" * 6 + self.ip
        icmp = struct.pack("!BBHHH", 8, 0, 0, 7, 1) + b"hearth!!"
        icmp = icmp[:2] + struct.pack("!H", checksum(icmp)) + icmp[4:]
        head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(icmp), 0, 0, 64, 1, 0, self.gateway, self.ip)
        head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
        echo = self.mac + self.own + b"\x08\x00" + head + icmp
        due, seen, arped = time.monotonic() + timeout, False, False
        ask = float("inf")
        while time.monotonic() < due:
            ready, _, _ = select.select([s], [], [], max(0.0, min(ask, due) - time.monotonic()))
            if not ready:
                s.send(echo if arped else arp)
                ask = time.monotonic() + 0.2
                continue
            frame = s.recv(2048)
            if frame[6:12] != self.mac:
                if frame[12:14] == b"\x08\x06" and frame[38:42] == self.gateway and frame[6:12] == self.mac:
                    pass
                continue
            if frame[12:14] == b"\x08\x06" and frame[20:22] == b"\0\x01" and frame[38:42] == self.gateway:
                # the guest asks for the gateway's MAC before it can answer the echo
                s.send(self.mac + self.own + b"\x08\x06" + struct.pack("!HHBBH", 1, 0x800, 6, 4, 2) + self.own + self.gateway + self.mac + self.ip)
            if not seen:
                seen = True
                s.send(arp)
                ask = time.monotonic() + 0.2
            elif not arped and frame[12:14] == b"\x08\x06" and frame[20:22] == b"\0\x02" and frame[28:32] == self.ip:
                arped = True
                s.send(echo)
                ask = time.monotonic() + 0.2
            elif frame[12:14] == b"\x08\x00" and frame[23] == 1 and frame[34] == 0:
                s.close()
                return time.monotonic()
        raise SystemExit("bare QEMU: no proof in time")


def recipe(h):
    """The engine's exact argument vector and what its descriptors are, read from a VM that Hearth runs."""
    v = h.create(wait="network")
    pid = h.vm(v["id"])["pids"]["engine"]
    argv = [a for a in pathlib.Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:-1] if a != "-S"]  # hearthd says when
    disks = h.dir / "bare-disks"
    disks.mkdir(exist_ok=True)
    text = " ".join(argv)
    size = next((h.state / "vms" / v["id"]).glob("disk*")).stat().st_size
    with open(disks / "template", "wb") as f:
        f.truncate(size)
    subprocess.run(["/sbin/mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", "-O", "^resize_inode", "-E",
                    "assume_storage_prezeroed=1,nodiscard", disks / "template"], check=True)  # as host/image/disk.c
    bundle = h.state / "images" / h.vm(v["id"])["image"]["digest"]
    files = {}  # what each inherited descriptor is; QEMU has closed or moved its own
    for option in ("kernel", "initrd"):
        files[int(re.search(rf"-{option} /proc/self/fd/(\d+)", text)[1])] = str(bundle / option)
    files[int(re.search(r"add-fd fd=(\d+),set=1", text)[1])] = str(bundle / "rootfs")
    files[int(re.search(r"add-fd fd=(\d+),set=2", text)[1])] = ("copy", str(disks / "template"), str(disks / "disk"))
    gw = h.vm(v["id"])["network"]["gateway"]
    got = (argv, files, gw, v["ip"], v["mac"])
    h.remove(v["id"])
    return got


def bare_once(argv, files, net, cwd):
    """One run in a child of its own, in a namespace of its own; seconds from exec to proof."""
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(r)
        assert libc.unshare(0x40000000) == 0  # CLONE_NEWNET
        text = " ".join(argv)
        fds = {int(re.search(r"tap,id=n0,fd=(\d+)", text)[1]): net.tap()}
        qmp = socket.socket(socket.AF_UNIX)
        path = pathlib.Path(cwd) / "bare-qmp.sock"
        path.unlink(missing_ok=True)
        qmp.bind(str(path))
        qmp.listen(1)
        fds[int(re.search(r"id=qmp,fd=(\d+)", text)[1])] = qmp.fileno()
        mine, theirs = socket.socketpair()
        fds[int(re.search(r"id=serial,fd=(\d+)", text)[1])] = theirs.fileno()
        for n, flags in [(int(m), os.O_RDONLY) for m in re.findall(r"/proc/self/fd/(\d+)", text)] + \
                        [(int(m), None) for m in re.findall(r"add-fd fd=(\d+)", text)]:
            what = files[n]
            if isinstance(what, tuple):
                pathlib.Path(what[2]).unlink(missing_ok=True)
                subprocess.run(["cp", "--sparse=always", what[1], what[2]], check=True)
                fds[n] = os.open(what[2], os.O_RDWR)
            else:
                fds[n] = os.open(what, flags if flags is not None else os.O_RDONLY)
        high = {n: fcntl.fcntl(fd, fcntl.F_DUPFD, 200) for n, fd in fds.items()}
        start = time.monotonic()
        child = os.fork()
        if child == 0:
            for n, fd in high.items():
                os.dup2(fd, n)
            null = os.open("/dev/null", os.O_RDWR)
            os.dup2(null, 1)
            os.dup2(null, 2)
            os.execvp(argv[0], argv)
        reader = os.fork()
        if reader == 0:  # the console must be drained
            while mine.recv(65536):
                pass
            os._exit(0)
        took = net.prove() - start
        for p in (child, reader):
            os.kill(p, signal.SIGKILL)
            os.waitpid(p, 0)
        os.write(w, str(took).encode())
        os._exit(0)
    os.close(w)
    text = os.read(r, 64)
    os.close(r)
    os.waitpid(pid, 0)
    if not text:
        raise SystemExit("bare QEMU failed")
    return float(text)


def own_share(events, asked, answered):
    """hearthd's own part of one create, ms: from the request until the engine's program runs (record, disk, TAP, shim), and
    from the last observation of the proof until the client has its answer.  asked, answered: wall clock, seconds."""
    def wall(kind, text):
        at = next(e["at"] for e in reversed(events) if e["kind"] == kind and text in e["text"])
        return datetime.datetime.fromisoformat(at.replace("Z", "+00:00")).timestamp()
    return (wall("engine", "launched") - asked + answered - wall("proof", "icmp holds")) * 1000


def main():
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    h = Hearthd(images())
    hearth, bare, own, ratios = [], [], [], []
    try:
        h.start()
        argv, files, gw, ip, mac = recipe(h)
        net = BareNetwork(gw, ip, mac)
        bare_once(argv, files, net, h.dir)
        for _ in range(runs):
            bare.append(bare_once(argv, files, net, h.dir))
            asked, start = time.time(), time.monotonic()
            v = h.create(wait="network")
            hearth.append(time.monotonic() - start)
            answered = time.time()
            own.append(own_share(h.get(f"/api/vms/{v['id']}/events").json["events"], asked, answered))
            h.remove(v["id"])
            ratios.append(hearth[-1] / bare[-1])
    finally:
        h.close()
    print_table("create?wait=network", [
        ("bare QEMU, exec to proof, ms", [t * 1000 for t in bare]),
        ("hearthd, request to answer, ms", [t * 1000 for t in hearth]),
        ("ratio, pair by pair", ratios),
        ("hearthd's own share, ms", own),
        ("difference of medians, ms", [(statistics.median(hearth) - statistics.median(bare)) * 1000]),
    ])


if __name__ == "__main__":
    main()
