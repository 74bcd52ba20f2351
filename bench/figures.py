"""Shared by the benchmarks: the base image, and tables of minimum, median and maximum."""
import os
import pathlib
import shutil
import statistics
import tempfile

from hearth import Hearthd


def images():
    """A directory of images with `base`; built once (from Hearth's cache where it is there) and kept for this boot."""
    keep = pathlib.Path(tempfile.gettempdir()) / f"hearth-bench-images-{os.getuid()}"
    if not (keep / "names").exists():
        shutil.rmtree(keep, ignore_errors=True)
        h = Hearthd(isolated=False, args=["--listen", "none"])
        try:
            h.start()
            h.cli("image", "build", "base")
            shutil.move(h.state / "images", keep)
        finally:
            h.close()
    return keep


def print_table(title, rows):
    print(f"{title}\n{'':44}{'min':>10}{'median':>10}{'max':>10}{'runs':>6}")
    for name, values in rows:
        print(f"{name:44}{min(values):10.2f}{statistics.median(values):10.2f}{max(values):10.2f}{len(values):6}")
