#!/usr/bin/python3
"""What a new VM costs before its engine starts: disk (blocks of its directory) and time in state creating.

Usage: sudo bench/disk.py [RUNS]
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests/e2e"))
from hearth import Hearthd  # noqa: E402
from figures import images, print_table  # noqa: E402


def usage(path):
    return sum(p.lstat().st_blocks * 512 for p in [path, *path.rglob("*")])


def main():
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    h = Hearthd(images())
    disk, took = [], []
    try:
        h.start()
        for _ in range(runs):
            v = h.create(wait=None)
            h.wait_state(v["id"], ("starting", "booting", "connecting", "ready"))
            disk.append(usage(h.state / "vms" / v["id"]) / 2**20)
            states = {p["name"]: p for p in h.vm(v["id"])["phases"] if p["kind"] == "state"}
            took.append(states["starting"]["offsetMs"] - states["creating"]["offsetMs"])
            h.remove(v["id"])
    finally:
        h.close()
    print_table("a new VM before its engine starts", [("disk, MiB", disk), ("time, ms", took)])


if __name__ == "__main__":
    main()
