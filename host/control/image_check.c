/*
 * Is what a VM boots still what was published?  Kernel and initrd of a bundle are hashed once in
 * the life of hearthd, and again when their file is another one or was written.
 *
 * Called by jobs on worker threads; the cache has a lock.  The rootfs, hundreds of MiB, is not
 * hashed here: its size is checked whenever the bundle is opened, and `image_verify` reads all of
 * it.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/hash.h"
#include "control/control_internal.h"
#include "control/text.h"

#define CHECKED_MAX 64u /* files remembered: kernel and initrd of 32 images; then the oldest goes */

struct checked {
	char digest[HASH_TEXT_LEN]; /* of the file's content as the manifest says */
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec written;
};

static struct {
	pthread_mutex_t lock;
	struct checked files[CHECKED_MAX];
	unsigned next;
} cache = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct checked describe(const char *sha256, const struct stat *st)
{
	struct checked c = {
		.dev = st->st_dev, .ino = st->st_ino, .size = st->st_size, .written = st->st_mtim};

	text_cut(c.digest, sizeof(c.digest), "%s", sha256);
	return c;
}

static bool same(const struct checked *a, const struct checked *b)
{
	return str_eq(a->digest, b->digest) && a->dev == b->dev && a->ino == b->ino &&
	       a->size == b->size && a->written.tv_sec == b->written.tv_sec &&
	       a->written.tv_nsec == b->written.tv_nsec;
}

static bool is_known(const struct checked *c)
{
	bool found = false;

	(void)pthread_mutex_lock(&cache.lock); /* never fails for a valid, not recursive mutex */
	for (unsigned i = 0; i < CHECKED_MAX && !found; i++)
		found = same(&cache.files[i], c);
	(void)pthread_mutex_unlock(&cache.lock);
	return found;
}

static void remember(const struct checked *c)
{
	(void)pthread_mutex_lock(&cache.lock);
	cache.files[cache.next++ % CHECKED_MAX] = *c;
	(void)pthread_mutex_unlock(&cache.lock);
}

static int check_file(const struct image *i, const char *name, struct err *e)
{
	const json_t *file = json_object_get(json_object_get(i->manifest, "files"), name);
	const char *sha256 = json_string_value(json_object_get(file, "sha256"));
	char path[PATH_CAP], now[HASH_TEXT_LEN];
	struct checked c;
	struct stat st;
	int rc;

	if (!sha256 || !str_fmt(path, sizeof(path), "%s/%s", i->dir, name) || stat(path, &st) < 0)
		return err_set(e, -EINVAL, ERR_HOST, "image.digest-mismatch",
			       "image %.12s: its file %s is missing or has no digest", i->digest,
			       name);
	c = describe(sha256, &st);
	if (is_known(&c))
		return 0;
	rc = hash_file(path, now, e);
	if (rc < 0)
		return rc;
	if (!str_eq(now, sha256)) {
		(void)err_set(e, -EINVAL, ERR_HOST, "image.digest-mismatch",
			      "image %.12s: %s has the digest %.12s…, its manifest says %.12s…",
			      i->digest, path, now, sha256);
		return err_remedy(e, "the file was changed or damaged: build the image again");
	}
	remember(&c);
	return 0;
}

int image_check(const struct image *i, struct err *e)
{
	int rc = check_file(i, IMAGE_KERNEL, e);

	return rc == 0 && i->has_initrd ? check_file(i, IMAGE_INITRD, e) : rc;
}
