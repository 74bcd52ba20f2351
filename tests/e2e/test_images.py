"""Images: built, listed, imported, refused with the reason, collected."""
import gzip
import json
import os
import subprocess
import time

import pytest

from hearth import BOOT_TIMEOUT


@pytest.fixture(scope="module")
def bundle(shared):
    a = shared.get("/api/images/base")
    assert a.status == 200, a
    return shared.state / "images" / a.json["digest"]


def build(h, timeout=300, **body):
    """Start a build or import and wait for its end: (job, None) or the error of the answer."""
    a = h.post("/api/images", body)
    if a.status >= 400:
        return None, a.error
    job = a.json["id"]
    due = time.monotonic() + timeout
    while time.monotonic() < due:
        j = h.get(f"/api/jobs/{job}").json
        if j["state"] != "running":
            return j, j["error"]
        time.sleep(0.1)
    raise AssertionError(f"job {job} is still running")


def test_the_manifest_holds_facts(shared):
    m = shared.get("/api/images/base").json
    text = json.dumps(m)
    assert "bzImage" in text and "cloud-amd64" in text
    for driver, presence in (("virtio_pci", "module"), ("virtio_blk", "module"), ("virtio_net", "module"), ("ext4", "builtin"), ("overlay", "module")):
        assert driver in text
    assert len(m["digest"]) == 64


def test_images_in_use_stay(fresh):
    """A name may go at any time; the bundle goes with its last user."""
    h = fresh().start()
    v = h.create(wait=None, start=False)
    digest = v["image"]["digest"]
    assert [i["name"] for i in h.get("/api/images").json["images"]] == ["base"]
    a = h.delete(f"/api/images/{digest}")
    assert a.status == 409 and a.error["code"] == "image.in-use", a
    assert h.delete("/api/images/base").status == 204
    assert h.get("/api/images/base").status == 404 and h.get(f"/api/images/{digest}").status == 200
    assert h.post("/api/images/gc").status == 200
    assert h.get(f"/api/images/{digest}").status == 200
    h.remove(v["id"])
    assert h.post("/api/images/gc").status == 200
    assert h.get(f"/api/images/{digest}").status == 404


def kinds(tmp, kernel):
    real = kernel.read_bytes()
    yield "text", b"this is a text file, not a kernel\n" * 100, ("text",)
    yield "empty", b"", ("empty",)
    yield "gzip", gzip.compress(real[:65536]), ("gzip",)
    yield "cut", real[:600], ()
    yield "noise", os.urandom(65536), ()


def test_kernels_that_are_none_are_refused(shared, bundle, tmp_path):
    for name, data, words in kinds(tmp_path, bundle / "kernel"):
        path = tmp_path / name
        path.write_bytes(data)
        job, error = build(shared, name=f"bad-{name}", kernel=str(path), rootfs=str(bundle / "rootfs"))
        assert error, (name, job)
        for word in words:
            assert word in json.dumps(error), (name, error)
        assert shared.get(f"/api/images/bad-{name}").status == 404


def test_a_rootfs_that_is_no_file_system(shared, bundle, tmp_path):
    path = tmp_path / "rootfs"
    path.write_bytes(b"not a file system" * 10000)
    _, error = build(shared, name="badroot", kernel=str(bundle / "kernel"), rootfs=str(path), initrd=str(bundle / "initrd"))
    assert error and "file system" in json.dumps(error), error


def test_a_kernel_without_root_driver_and_initrd_is_refused_with_that_sentence(shared, bundle):
    _, error = build(shared, name="noinit", kernel=str(bundle / "kernel"), rootfs=str(bundle / "rootfs"))
    text = json.dumps(error)
    assert error and "virtio_blk" in text and "initr" in text, error
    assert shared.get("/api/images/noinit").status == 404


def vmlinux(bzimage):
    """The ELF kernel inside a bzImage: setup_sects, payload_offset, payload_length (Linux Documentation/x86/boot.rst)."""
    sects = bzimage[0x1f1] or 4
    at = (sects + 1) * 512 + int.from_bytes(bzimage[0x248:0x24c], "little")
    payload = bzimage[at:at + int.from_bytes(bzimage[0x24c:0x250], "little")]
    tools = {b"\x02!L\x18": "lz4", b"\xfd7zX": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
    # the build appends the unpacked size, 4 bytes
    return subprocess.run([tools[payload[:4]], "-dc"], input=payload[:-4], capture_output=True, check=True).stdout


def test_an_import_is_test_booted_and_published(shared, bundle, tmp_path):
    """A kernel and root of one's own, here as ELF; base itself is a bzImage."""
    kernel = tmp_path / "vmlinux"
    kernel.write_bytes(vmlinux((bundle / "kernel").read_bytes()))
    job, error = build(shared, name="mine", kernel=str(kernel), rootfs=str(bundle / "rootfs"), initrd=str(bundle / "initrd"))
    assert not error, error
    assert "ELF" in json.dumps(shared.get("/api/images/mine").json)
    assert any("boot" in p["phase"] for p in job["phases"]), job
    v = shared.create(wait="network", image="mine")
    assert v["root"] == "direct"  # its initramfs is not known to be Hearth's, so it can't have an overlay
    a = shared.post("/api/vms", {"userId": "alice", "vmType": "cli", "image": "mine", "root": "overlay"})
    assert a.status == 400 and a.error["code"] == "image.no-overlay" and "mine" in a.error["message"], a
    shared.remove(v["id"])
    assert shared.delete("/api/images/mine").status in (200, 204)
    assert shared.get("/api/images/mine").status == 404
    assert shared.post("/api/images/gc").status == 200


def test_a_failed_build_leaves_nothing(shared):
    images = shared.state / "images"
    assert [p.name for p in images.glob(".*") if p.is_dir()] == []
    assert [p.name for p in (images / "names").iterdir()] == ["base"]


def test_missing_files_are_named(shared):
    _, error = build(shared, name="none", kernel="/no/such/kernel", rootfs="/no/such/rootfs")
    assert error and "/no/such/kernel" in json.dumps(error), error
    _, error = build(shared, name="none", recipe="no-such-recipe")
    assert error and "no-such-recipe" in json.dumps(error), error
    assert BOOT_TIMEOUT
