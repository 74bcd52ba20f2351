#!/usr/bin/python3
"""Eight VMs created at once: all must be proven; how long the slowest takes against one alone.

Usage: sudo bench/eight.py
"""
import concurrent.futures
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests/e2e"))
from hearth import Hearthd  # noqa: E402
from figures import images, print_table  # noqa: E402


def create(h):
    start = time.monotonic()
    v = h.create(wait="network", timeout=300)
    assert v["networkProven"], v
    return time.monotonic() - start, v["id"]


def main():
    h = Hearthd(images())
    try:
        h.start()
        alone = []
        for _ in range(3):
            took, vm_id = create(h)
            alone.append(took)
            h.remove(vm_id)
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            made = list(pool.map(lambda _: create(h), range(8)))
        for _, vm_id in made:
            h.remove(vm_id)
        left = h.leftovers()
    finally:
        h.close()
    together = [t for t, _ in made]
    print_table("eight at once", [("one alone, s", alone), ("eight at once, s", together),
                                  ("slowest of eight / one alone", [max(together) / sorted(alone)[1]])])
    assert left == {}, left


if __name__ == "__main__":
    main()
