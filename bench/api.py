#!/usr/bin/python3
"""The API with 1,000 recorded VMs: latency of the list, rate of single reads over loopback with 32 connections
(by wrk), memory and idle CPU of hearthd.

Usage: sudo bench/api.py [VMS]     needs wrk (apt-get install wrk)
"""
import json
import os
import pathlib
import re
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests/e2e"))
from hearth import Hearthd, UnixConnection  # noqa: E402
from figures import images, print_table  # noqa: E402

TICK = os.sysconf("SC_CLK_TCK")


def cpu_ticks(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return int(fields[11]) + int(fields[12])


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    h = Hearthd(images(), config="[limits]\nHostVms=4096\nUserVms=4096\nHostRam=0\n")
    try:
        h.start()
        assert h.post("/api/networks", {"name": "wide", "cidr": "10.64.0.0/16"}).status in (200, 201)
        start = time.monotonic()
        ids = [h.create(wait=None, start=False, network="wide", ramMib=256)["id"] for _ in range(n)]
        made = time.monotonic() - start
        token = h.post("/api/tokens", {"userId": "admin", "role": "admin"}).json["token"]
        c = UnixConnection(h.socket, 30)
        took = []
        for _ in range(500):
            start = time.perf_counter()
            c.request("GET", "/api/vms")
            body = c.getresponse().read()
            took.append((time.perf_counter() - start) * 1000)
        c.close()
        assert len(json.loads(body)["vms"]) == n
        took.sort()
        rates = []
        for i in range(5):
            out = subprocess.run(["nsenter", f"--net=/run/netns/{h.netns}", "wrk", "-t1", "-c32", "-d4s", "-H",
                                  f"Authorization: Bearer {token}", f"http://127.0.0.1:3000/api/vms/{ids[i]}"],
                                 capture_output=True, text=True, check=True).stdout
            assert "Non-2xx" not in out, out
            rates.append(float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1]))
        status = pathlib.Path(f"/proc/{h.process.pid}/status").read_text()
        rss = int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024
        before, t0 = cpu_ticks(h.process.pid), time.monotonic()
        time.sleep(30)  # the measured interval itself
        idle = (cpu_ticks(h.process.pid) - before) / TICK / (time.monotonic() - t0) * 100
    finally:
        h.close()
    print_table(f"API with {n} recorded VMs", [
        ("GET /api/vms, ms", took), ("GET /api/vms p99, ms", [took[int(len(took) * 0.99)]]),
        ("GET /api/vms/{id}, requests/s, 32 conn.", rates), ("hearthd VmRSS, MiB", [rss]),
        ("idle CPU over 30 s, %", [idle]), ("create of a record, ms each", [made / n * 1000])])


if __name__ == "__main__":
    main()
