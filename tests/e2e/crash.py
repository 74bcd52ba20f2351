"""Ends hearthd at exact points: crash.c, compiled once and preloaded into the hearthd under test."""
import mmap
import os
import pathlib
import struct
import subprocess
import tempfile

SOURCE = pathlib.Path(__file__).with_name("crash.c")
PAGE = 4096
COUNTDOWN, EFFECTS, ROW_ARMED, ROW = 0, 8, 16, 24  # offsets in struct page
ROW_MAX = 112


class Crash:
    """The page that the preloaded library obeys; `env` goes to Hearthd(env=...)."""

    def __init__(self):
        self.dir = tempfile.TemporaryDirectory(prefix="hearth-crash-")
        library, page = pathlib.Path(self.dir.name, "crash.so"), pathlib.Path(self.dir.name, "page")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"], check=True)
        page.write_bytes(bytes(PAGE))
        fd = os.open(page, os.O_RDWR)
        self.page = mmap.mmap(fd, PAGE)
        os.close(fd)
        self.env = {"LD_PRELOAD": str(library), "HEARTH_TEST_CRASH": str(page)}

    def _put(self, at, number):
        self.page[at:at + 8] = struct.pack("q", number)

    def _get(self, at):
        return struct.unpack("q", self.page[at:at + 8])[0]

    def after(self, effects):
        """Kill before the n-th change of the outside world from now on."""
        self._put(EFFECTS, 0)
        self._put(COUNTDOWN, effects)

    def at_row(self, frm, to):
        """Kill right after the commit of the state row frm -> to of any VM, before anything follows from it."""
        row = f"'state', '{frm}', '{to}'".encode()
        assert len(row) < ROW_MAX
        self.page[ROW:ROW + ROW_MAX] = row.ljust(ROW_MAX, b"\0")
        self._put(ROW_ARMED, 1)

    def off(self):
        self._put(COUNTDOWN, 0)
        self._put(ROW_ARMED, 0)

    @property
    def countdown(self):
        return self._get(COUNTDOWN)

    @property
    def effects(self):
        return self._get(EFFECTS)

    def close(self):
        self.page.close()
        self.dir.cleanup()
