/*
 * Before a VM is made: can this image boot with so much RAM, and the VM's own disk.
 *
 * The overlay's disk is an empty ext4 made by mke2fs for each VM: 4 ms and 0.2 MiB at 4 GiB, no
 * slower than growing a copied template, always of the right size, with an UUID of its own
 * (measured November 2026).  "assume_storage_prezeroed" tells the guest that inode tables are zero
 * already; without it the guest's kernel writes them all in the background, 64 MiB for 4 GiB.  No
 * resize_inode: it takes 2 MiB and only serves file systems that grow.
 *
 * Called on the controller's workers.  Trust: the request was bounded by its caller.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/str.h"
#include "image/image_internal.h"

#define MKE2FS		  "/sbin/mke2fs" /* absolute: PATH of an unprivileged shell lacks /sbin */
#define MKE2FS_TIMEOUT_MS 120000	 /* 16 TiB take 0.6 s on an idle host */
#define MIB		  (1ull << 20)

static bool is_reachable(const struct image *i, enum image_driver d)
{
	return i->drivers[d] == DRV_BUILTIN || i->drivers[d] == DRV_UNKNOWN ||
	       (i->drivers[d] == DRV_MODULE && i->has_initrd);
}

static int check_driver(const struct image *i, enum image_driver d, const char *what, struct err *e)
{
	if (is_reachable(i, d))
		return 0;
	(void)err_set(e, -ENODEV, ERR_CALLER, "GUEST_NO_ROOT_DRIVER",
		      "image %s: kernel %s has the driver %s, which %s needs, %s",
		      i->name[0] ? i->name : i->digest,
		      i->kernel_version[0] ? i->kernel_version : "(no version)",
		      image_driver_names[d], what,
		      i->drivers[d] == DRV_MODULE
			      ? "only as a module, and the image has no initramfs that loads it"
			      : "neither built in nor as a module");
	return err_remedy(
		e,
		"import the kernel with its modules (--modules /lib/modules/VERSION), so that an "
		"initramfs with them is made, or use a kernel with the driver built in");
}

int image_preflight(const struct image *i, uint32_t ram_mib, bool mmio, struct err *e)
{
	enum image_driver bus = mmio ? DRV_VIRTIO_MMIO : DRV_VIRTIO_PCI;
	uint64_t boot_bytes = i->kernel_bytes + i->initrd_bytes;
	uint64_t need_mib = (boot_bytes * IMAGE_RAM_FACTOR + MIB - 1) / MIB;
	int rc;

	if (ram_mib < i->min_ram_mib)
		return err_set(e, -EINVAL, ERR_CALLER, "image.ram-too-small",
			       "%u MiB of RAM are too little: image %s needs at least %u MiB",
			       ram_mib, i->name, i->min_ram_mib);
	if (ram_mib < need_mib)
		return err_set(e, -EINVAL, ERR_CALLER, "image.ram-too-small",
			       "%u MiB of RAM are too little: kernel and initrd of image %s have "
			       "%llu MiB, and %u times "
			       "as much is needed to unpack them",
			       ram_mib, i->name, (unsigned long long)((boot_bytes + MIB - 1) / MIB),
			       IMAGE_RAM_FACTOR);
	rc = check_driver(i, DRV_VIRTIO_BLK, "the root disk", e);
	if (!rc)
		rc = check_driver(i, bus, mmio ? "a disk on MMIO" : "a disk on PCI", e);
	if (!rc && str_starts(i->rootfs_fs, "ext")) /* ext4 serves ext2 and ext3, too */
		rc = check_driver(i, DRV_EXT4, "the root file system", e);
	return rc;
}

/* --- disks --- */

int disk_full(struct err *e, int code, const char *path)
{
	(void)err_set(e, code, ERR_LIMIT, "disk.full",
		      "%s: no space left on the host's file system", path);
	return err_remedy(e, "free space (hearth image gc, hearth vm rm), or move the state "
			     "directory to a larger disk");
}

static int disk_error(struct err *e, int code, const char *path)
{
	if (code != -ENOSPC && code != -EDQUOT)
		return err_sys(e, -code, "disk.make", "disk %s", path);
	return disk_full(e, code, path);
}

static int make_empty(const char *path, int fd, uint64_t disk_mib, struct err *e)
{
	const char *argv[] = {MKE2FS,
			      "-q",
			      "-F",
			      "-t",
			      "ext4",
			      "-m",
			      "0",
			      "-L",
			      "hearth-disk",
			      "-O",
			      "^resize_inode",
			      "-E",
			      "assume_storage_prezeroed=1,nodiscard",
			      path,
			      NULL};
	auto_buf out = {.max = 4096};
	struct proc_run run = {
		.argv = argv, .out = &out, .err = &out, .timeout_ms = MKE2FS_TIMEOUT_MS};
	int rc;

	if (ftruncate(fd, (off_t)(disk_mib * MIB)))
		return disk_error(e, -errno, path);
	rc = proc_run(&run, e);
	if (rc <= 0)
		return rc;
	/* mke2fs says nothing else of its cause: exit status 1 covers all. */
	if (strstr(buf_text(&out), strerror(ENOSPC)))
		return disk_error(e, -ENOSPC, path);
	return err_set(e, -EIO, ERR_HOST, "disk.make", "disk %s: mke2fs ended with %d: %.300s",
		       path, rc, buf_text(&out));
}

static int make_copy(const struct image *i, const char *path, int fd, uint64_t disk_mib,
		     struct err *e)
{
	auto_free char *from = mem_printf("%s/" IMAGE_ROOTFS, i->dir);
	auto_close int src = from ? open(from, O_RDONLY | O_CLOEXEC) : -1;
	uint64_t copied;
	int rc = 0;

	if (!from)
		return err_nomem(e);
	if (src < 0)
		return err_sys(e, errno, "disk.make", "%s", from);
	if (ioctl(fd, FICLONE, src)) /* the file system can't share blocks: copy */
		rc = fd_copy_sparse(src, fd, &copied, e);
	if (rc)
		return rc == -ENOSPC || rc == -EDQUOT ? disk_error(e, rc, path) : rc;
	if (disk_mib * MIB > i->rootfs_bytes && ftruncate(fd, (off_t)(disk_mib * MIB)))
		return disk_error(e, -errno, path);
	return 0;
}

int image_can_overlay(const struct image *i, struct err *e)
{
	if (i->has_init && i->drivers[DRV_OVERLAY] != DRV_ABSENT)
		return 0;
	return err_set(e, -EINVAL, ERR_CALLER, "image.no-overlay",
		       "image %s can't have its root as an overlay: %s; use root \"direct\"",
		       *i->name ? i->name : i->digest,
		       i->has_init ? "its kernel has no overlayfs"
				   : "it has no initramfs with hearth-init");
}

int image_make_disk(const struct image *i, bool direct, const char *path, uint64_t disk_mib,
		    struct err *e)
{
	auto_close int fd = -1;
	int rc;

	if (disk_mib < 1 || disk_mib > LIMIT_DISK_MIB)
		return err_set(e, -EINVAL, ERR_CALLER, "disk.size",
			       "disk of %llu MiB: expected 1 to %u MiB",
			       (unsigned long long)disk_mib, LIMIT_DISK_MIB);
	rc = direct ? 0 : image_can_overlay(i, e);
	if (rc)
		return rc;
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return disk_error(e, -errno, path);
	rc = direct ? make_copy(i, path, fd, disk_mib, e) : make_empty(path, fd, disk_mib, e);
	if (rc)
		(void)unlink(path); /* the failure to report is the one above */
	return rc;
}
