/*
 * The private directory of one build, and the rename that publishes it.
 *
 *	<images>/.build-<pid>-<random>/lock     flock'ed by the builder as long as it lives
 *	<images>/.build-<pid>-<random>/bundle/  becomes <images>/<digest>
 *	<images>/.build-<pid>-<random>/…        logs and work files of the builder
 *
 * A directory whose lock is free belongs to a builder that has died.  Making, publishing and
 * sweeping happen under the lock of <images>, so no directory is seen between mkdir and flock.
 *
 * Called by recipes, in a process of their own.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/str.h"
#include "image/image_internal.h"

#define PREFIX ".build-"

int build_begin(const char *images_dir, struct image_build *ret, struct err *e)
{
	struct image_build b = {.lock_fd = -1};
	auto_close int images = -1, lock = -1;
	char hex[9], path[PATH_MAX];
	int rc = images_lock(images_dir, &images, e);

	if (rc)
		return rc;
	random_hex(hex, 4);
	if (!str_copy(b.images_dir, sizeof(b.images_dir), images_dir) ||
	    !str_fmt(b.dir, sizeof(b.dir), "%s/" PREFIX "%d-%s", images_dir, (int)getpid(), hex) ||
	    !str_fmt(b.bundle, sizeof(b.bundle), "%s/bundle", b.dir) ||
	    !str_fmt(path, sizeof(path), "%s/lock", b.dir))
		return err_sys(e, ENAMETOOLONG, "image.build", "%s", images_dir);
	if (mkdir(b.dir, 0755) || mkdir(b.bundle, 0755))
		return err_sys(e, errno, "image.build", "%s", b.dir);
	lock = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB))
		return err_sys(e, errno, "image.build", "%s", path);
	b.lock_fd = take_fd(lock);
	*ret = b;
	return 0;
}

static bool is_dead(const char *dir)
{
	auto_free char *path = mem_printf("%s/lock", dir);
	auto_close int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;

	if (!path)
		return false;
	if (fd < 0)
		return errno == ENOENT; /* its builder died between mkdir and open */
	return flock(fd, LOCK_EX | LOCK_NB) == 0;
}

int build_sweep(const char *images_dir, void (*fn)(void *ctx, const char *dir), void *ctx,
		struct err *e)
{
	auto_close int lock = -1;
	struct dirent *de;
	int rc = images_lock(images_dir, &lock, e);
	DIR *d = rc ? NULL : opendir(images_dir);

	if (!rc && !d)
		return err_sys(e, errno, "image.gc", "%s", images_dir);
	while (!rc && (de = readdir(d))) {
		auto_free char *dir = mem_printf("%s/%s", images_dir, de->d_name);

		if (!dir)
			rc = err_nomem(e);
		else if (str_starts(de->d_name, PREFIX) && is_dead(dir)) {
			if (fn)
				fn(ctx, dir);
			rc = fd_remove_tree(dir, e);
		}
	}
	if (d)
		(void)closedir(d); /* it was only read */
	return rc;
}

static int sync_bundle(const struct image_build *b, struct err *e)
{
	static const char *const all[] = {IMAGE_KERNEL, IMAGE_INITRD, IMAGE_ROOTFS, IMAGE_MANIFEST};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		auto_free char *path = mem_printf("%s/%s", b->bundle, all[i]);
		auto_close int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

		if (!path)
			return err_nomem(e);
		if (fd < 0 && errno == ENOENT)
			continue; /* no initrd; the manifest was checked when it was written */
		/* Immutable from here on, readable by the engines' users. */
		if (fd < 0 || fchmod(fd, 0444) || fsync(fd))
			return err_sys(e, errno, "image.sync", "%s", path);
	}
	return dir_sync(b->bundle, e);
}

int build_publish(struct image_build *b, const char *name, const char *digest, struct err *e)
{
	auto_free char *to = mem_printf("%s/%s", b->images_dir, digest);
	auto_close int lock = -1;
	int rc = to ? sync_bundle(b, e) : err_nomem(e);

	if (!rc)
		rc = images_lock(b->images_dir, &lock, e);
	if (rc)
		return rc;
	stamp_write(b->bundle); /* the digest was computed from these very files */
	if (rename(b->bundle, to) && errno != EEXIST && errno != ENOTEMPTY)
		return err_sys(e, errno, "image.publish", "%s", to);
	rc = dir_sync(b->images_dir, e);
	if (!rc)
		rc = name_write(b->images_dir, name, digest, e);
	if (!rc)
		build_abandon(b, false);
	return rc;
}

void build_abandon(struct image_build *b, bool keep)
{
	char failed[PATH_MAX];
	const char *base = strrchr(b->dir, '-');

	if (b->lock_fd < 0)
		return;
	if (keep && base && str_fmt(failed, sizeof(failed), "%s/.failed%s", b->images_dir, base) &&
	    !rename(b->dir, failed))
		text_set(b->dir, sizeof(b->dir), failed); /* shorter than the old one */
	else
		(void)fd_remove_tree(b->dir, NULL); /* what is left, the next sweep takes */
	(void)close(take_fd(b->lock_fd));	    /* gives the lock back */
}
