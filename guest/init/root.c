/*
 * The root phase: mounts the root file system, as an overlay of the image's disk and the VM's own
 * disk or directly, and makes it "/".
 *
 * overlay: base disk (read-only, shared by VMs) is the lower layer; the VM's disk holds the
 * directories "upper" and "work"
 *	    (Documentation/filesystems/overlayfs.rst).
 */
#include <errno.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "init/init.h"
#include "init/mountdev.h"
#include "init/newroot.h"

#define WAIT_NS (5 * NS_PER_S) /* drivers probe while their module loads: the rest is slack */
#define WAIT_LONG_NS                                                                               \
	(30 * NS_PER_S) /* rootwait: "indefinitely" for the kernel, which tells nobody */

#define NEW_ROOT "/newroot"
#define BASE_DIR "/base"
#define DISK_DIR "/disk"

static uint64_t wait_time(const struct root_params *r)
{
	uint64_t ns = r->wait ? WAIT_LONG_NS : WAIT_NS;
	uint64_t delay = r->delay_s * NS_PER_S;

	return delay > ns ? delay : ns;
}

static int mount_direct(struct boot *b, struct line *ok, struct fault *f)
{
	const struct root_params *r = &b->params.root;
	struct mount_want want = {.spec = r->root,
				  .target = NEW_ROOT,
				  .access = r->access,
				  .fstype = r->fstype,
				  .flags = r->flags,
				  .wait_ns = wait_time(r)};
	struct mounted m;

	if (mountdev(&want, &b->watch, &m, f))
		return -1;
	b->root_is_writable = m.is_writable;
	line_str(ok, "mode", "direct");
	line_str(ok, "dev", m.dev.name);
	line_str(ok, "fs", m.fs);
	line_str(ok, "access", m.is_writable ? "rw" : "ro");
	return 0;
}

/* Make the upper directory look like the image's root, which it will stand for. */
static int make_layers(struct fault *f)
{
	struct stat base, upper;

	if (stat(BASE_DIR, &base))
		return fault_set(f, FAULT_OVERLAY_FAILED, BASE_DIR, "%s", strerror(errno));
	if (lstat(DISK_DIR "/upper", &upper) == 0)
		return 0; /* a later boot of this VM: its owner may have changed them */
	if (mkdir(DISK_DIR "/upper", 0700) || chown(DISK_DIR "/upper", base.st_uid, base.st_gid) ||
	    chmod(DISK_DIR "/upper", base.st_mode & 07777))
		return fault_set(f, FAULT_OVERLAY_FAILED, "upper", "on the VM's disk: %s",
				 strerror(errno));
	return 0;
}

static int mount_overlay(struct boot *b, struct line *ok, struct fault *f)
{
	const struct root_params *r = &b->params.root;
	struct mount_want base = {.spec = r->base,
				  .target = BASE_DIR,
				  .access = ACCESS_RO,
				  .fstype = "",
				  .flags = "",
				  .is_shared = true,
				  .wait_ns = wait_time(r)};
	struct mount_want disk = {.spec = r->disk,
				  .target = DISK_DIR,
				  .access = ACCESS_RW,
				  .fstype = "",
				  .flags = "",
				  .wait_ns = wait_time(r)};
	struct mounted base_m, disk_m;

	if (!filesystem_is_known("overlay"))
		return fault_set(f, FAULT_OVERLAY_UNSUPPORTED, "overlay",
				 "no such file system in this kernel");
	if (mountdev(&base, &b->watch, &base_m, f) || mountdev(&disk, &b->watch, &disk_m, f) ||
	    make_layers(f))
		return -1;
	if ((mkdir(DISK_DIR "/work", 0700) || mkdir(NEW_ROOT, 0755)) && errno != EEXIST)
		return fault_set(f, FAULT_OVERLAY_FAILED, "work", "on the VM's disk: %s",
				 strerror(errno));
	(void)mkdir(NEW_ROOT, 0755); /* there already, unless "work" was */
	if (mount("overlay", NEW_ROOT, "overlay", r->access == ACCESS_RO ? MS_RDONLY : 0,
		  "lowerdir=" BASE_DIR ",upperdir=" DISK_DIR "/upper,workdir=" DISK_DIR "/work"))
		return fault_set(f, FAULT_OVERLAY_FAILED, r->disk, "%s over %s: %s", disk_m.fs,
				 base_m.fs, strerror(errno));
	b->root_is_writable = r->access != ACCESS_RO;
	line_str(ok, "mode", "overlay");
	line_str(ok, "dev", base_m.dev.name);
	line_str(ok, "fs", base_m.fs);
	line_str(ok, "disk", disk_m.dev.name);
	line_str(ok, "access", b->root_is_writable ? "rw" : "ro");
	return 0;
}

int phase_root(struct boot *b, struct line *ok, struct fault *f)
{
	int rc = b->params.root.mode == ROOT_OVERLAY ? mount_overlay(b, ok, f)
						     : mount_direct(b, ok, f);

	return rc ? rc : newroot_enter(NEW_ROOT, f);
}
