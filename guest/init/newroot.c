/*
 * Moves the mounts into the new root, makes it "/" and empties the initramfs, whose memory is
 * otherwise lost for the VM's life (Documentation/filesystems/ramfs-rootfs-initramfs.rst,
 * "switch_root").
 *
 * Called by the root phase.  Once this is done, no symbolic link in the root can lead out of it.
 */
#include "init/newroot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "init/fault.h"
#include "init/params.h"

#define INITRAMFS_DEPTH 32 /* deeper than lib/modules/RELEASE/kernel/drivers/net/ethernet/... */

static const struct {
	const char *path;
	bool is_needed; /* a root without it is no root; the other is made if it can be */
} moved[] = {{"/dev", true}, {"/proc", true}, {"/sys", true}, {"/run", false}};

static int move_mounts(const char *target, struct fault *f)
{
	for (size_t i = 0; i < ARRAY_LEN(moved); i++) {
		char to[PATH_LEN];
		struct stat st;

		if (!str_fmt(to, sizeof(to), "%s%s", target, moved[i].path))
			return fault_set(f, FAULT_INTERNAL, target, "path too long");
		if (!moved[i].is_needed)
			(void)mkdir(to, 0755); /* there already, or read-only: seen below */
		/* lstat: a symbolic link could lead out of the new root. */
		if (lstat(to, &st) == 0 && S_ISDIR(st.st_mode) &&
		    mount(moved[i].path, to, NULL, MS_MOVE, NULL) == 0)
			continue;
		if (moved[i].is_needed)
			return fault_set(f, FAULT_ROOT_NOT_A_SYSTEM, moved[i].path,
					 "the root file system has no directory %s", moved[i].path);
		(void)umount2(moved[i].path, MNT_DETACH); /* its memory goes with the initramfs */
	}
	return 0;
}

/* Delete everything below the directory (owned here) that lies on the same file system. */
static void empty_directory(int dir_fd, dev_t dev, unsigned depth)
{
	DIR *dir = fdopendir(dir_fd);

	if (!dir) {
		(void)close(dir_fd);
		return;
	}
	for (struct dirent *e; (e = readdir(dir));) {
		struct stat st;
		bool is_dir;

		if (str_eq(e->d_name, ".") || str_eq(e->d_name, "..") ||
		    fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) || st.st_dev != dev)
			continue;
		is_dir = S_ISDIR(st.st_mode);
		if (is_dir && depth > 0) {
			int sub = openat(dirfd(dir), e->d_name,
					 O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

			if (sub >= 0)
				empty_directory(sub, dev, depth - 1);
		}
		/* A directory that is a mount point stays (EBUSY). */
		(void)unlinkat(dirfd(dir), e->d_name, is_dir ? AT_REMOVEDIR : 0);
	}
	(void)closedir(dir);
}

/* Only ever a file system in memory: what else is mounted at "/" is not ours to delete. */
static void empty_initramfs(int root_fd)
{
	struct statfs fs;
	struct stat st;

	if (fstatfs(root_fd, &fs) == 0 && fstat(root_fd, &st) == 0 &&
	    (fs.f_type == RAMFS_MAGIC || fs.f_type == TMPFS_MAGIC))
		empty_directory(root_fd, st.st_dev, INITRAMFS_DEPTH);
	else
		(void)close(root_fd);
}

int newroot_enter(const char *target, struct fault *f)
{
	int old_root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (old_root < 0)
		return fault_set(f, FAULT_INTERNAL, "/", "open: %s", strerror(errno));
	if (move_mounts(target, f)) {
		(void)close(old_root);
		return -1;
	}
	if (chdir(target) || mount(".", "/", NULL, MS_MOVE, NULL) || chroot(".") || chdir("/")) {
		int rc = errno;

		(void)close(old_root);
		return fault_set(f, FAULT_HANDOVER_FAILED, target, "entering the new root: %s",
				 strerror(rc));
	}
	empty_initramfs(old_root);
	return 0;
}
