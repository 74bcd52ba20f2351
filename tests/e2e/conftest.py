"""Fixtures: the base image, built once a session by the real build; a hearthd per module; a fresh one per test."""
import os
import pathlib
import shutil

import pytest

from hearth import BOOT_TIMEOUT, Hearthd


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    """A directory of images with `base`, built by `hearth image build base` (from the cache where it is there)."""
    h = Hearthd(isolated=False, args=["--listen", "none"])
    h.start()
    try:
        r = h.cli("image", "build", "base", check=False)
        assert r.returncode == 0, f"image build failed:\n{r.stdout}\n{r.stderr}\n{h.log_text()[-4000:]}"
        keep = pathlib.Path(os.environ.get("HEARTH_E2E_TMP", "/tmp")) / f"hearth-e2e-images-{os.getpid()}"
        shutil.move(h.state / "images", keep)
    finally:
        h.close()
    yield keep
    shutil.rmtree(keep, ignore_errors=True)


@pytest.fixture(scope="module")
def shared(images):
    """A hearthd that the tests of a module share; they leave it as they found it."""
    h = Hearthd(images).start()
    yield h
    h.close()


@pytest.fixture
def fresh(images):
    """A hearthd of the test's own, which it may kill."""
    made = []

    def make(**kw):
        h = Hearthd(images, **kw)
        made.append(h)
        return h

    yield make
    for h in made:
        h.close()


@pytest.fixture(scope="module")
def vm(shared):
    """A proven VM that the tests of a module share."""
    v = shared.create(wait="ready", timeout=BOOT_TIMEOUT)
    yield v
    shared.remove(v["id"])
