/*
 * Published bundles: find, list, verify, remove, collect garbage.
 * Called by the controller's workers and by tools.  Trust: names come from users, directories are
 * ours.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/str.h"
#include "image/image_internal.h"
#include "json/json.h"
#include "model/id.h"

#define PREFIX_MIN 8u /* digits: what `hearth image list` prints at least */

/* All digests that have a directory, sorted. */
struct digests {
	char (*at)[HASH_TEXT_LEN]; /* owned */
	size_t n;
};

static int by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

static int digests_load(const char *images_dir, struct digests *ret, struct err *e)
{
	struct digests l = {0};
	DIR *d = opendir(images_dir);
	struct dirent *de;
	int rc = 0;

	if (!d && errno != ENOENT)
		return err_sys(e, errno, "image.list", "%s", images_dir);
	while (!rc && d && (de = readdir(d))) {
		void *grown = digest_valid(de->d_name)
				      ? mem_realloc(l.at, (l.n + 1) * sizeof(*l.at))
				      : l.at;

		if (!digest_valid(de->d_name))
			continue;
		if (!grown) {
			rc = err_nomem(e);
			break;
		}
		l.at = grown;
		memcpy(l.at[l.n++], de->d_name, HASH_TEXT_LEN);
	}
	if (d)
		(void)closedir(d); /* it was only read */
	if (l.n)
		qsort(l.at, l.n, sizeof(*l.at), by_text);
	if (rc)
		free(l.at);
	else
		*ret = l;
	return rc;
}

static bool listed(const char *const *set, size_t n, const char *digest)
{
	return str_index(set, n, digest) >= 0;
}

static bool is_named(const struct name_list *names, const char *digest)
{
	for (size_t i = 0; i < names->n; i++)
		if (str_eq(names->at[i].digest, digest))
			return true;
	return false;
}

/* --- opening --- */

static int check_sizes(const struct image *i, struct err *e)
{
	const uint64_t want[] = {i->kernel_bytes, i->initrd_bytes, i->rootfs_bytes};

	for (size_t n = 0; n < ARRAY_LEN(want); n++) {
		auto_free char *path = mem_printf("%s/%s", i->dir, manifest_files[n]);
		struct stat st;

		if (!path)
			return err_nomem(e);
		if (n == 1 && !i->has_initrd)
			continue;
		if (stat(path, &st))
			return err_set(e, -errno, ERR_HOST, "image.digest-mismatch",
				       "image file %s: %s", path, strerror(errno));
		if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != want[n])
			return err_set(e, -EBADMSG, ERR_HOST, "image.digest-mismatch",
				       "image file %s has %lld bytes, its manifest says %llu: it "
				       "was changed",
				       path, (long long)st.st_size, (unsigned long long)want[n]);
	}
	return 0;
}

/* name: the one that it was found by, NULL: none. */
static int open_digest(const char *images_dir, const char *digest, const char *name,
		       struct image **ret, struct err *e)
{
	AUTO(image) i = mem_zalloc(sizeof(*i));
	char real[HASH_TEXT_LEN];
	int rc;

	if (!i || !(i->dir = mem_printf("%s/%s", images_dir, digest)))
		return err_nomem(e);
	if (access(i->dir, F_OK))
		return err_set(e, -ENOENT, ERR_ABSENT, "image.absent",
			       "no image with digest %s in %s", digest, images_dir);
	rc = manifest_read(i->dir, i, e);
	if (!rc)
		rc = manifest_digest(i->manifest, real, e);
	if (rc)
		return rc;
	if (!str_eq(real, digest))
		return err_set(e, -EBADMSG, ERR_HOST, "image.digest-mismatch",
			       "%s/" IMAGE_MANIFEST ": its facts have digest %s: it was changed",
			       i->dir, real);
	memcpy(i->digest, digest, HASH_TEXT_LEN);
	text_set(i->name, sizeof(i->name), name ? name : ""); /* valid names fit */
	rc = check_sizes(i, e);
	if (!rc)
		*ret = take_ptr(i);
	return rc;
}

int build_check(const struct image_build *b, struct image **ret, struct err *e)
{
	AUTO(image) i = mem_zalloc(sizeof(*i));
	int rc;

	if (!i || !(i->dir = mem_strdup(b->bundle)))
		return err_nomem(e);
	rc = manifest_read(i->dir, i, e);
	if (!rc)
		rc = manifest_digest(i->manifest, i->digest, e);
	if (!rc)
		rc = check_sizes(i, e);
	if (!rc)
		rc = image_verify(i, e);
	if (!rc)
		*ret = take_ptr(i);
	return rc;
}

void image_free(struct image *i)
{
	if (!i)
		return;
	free(i->dir);
	json_decref(i->manifest);
	free(i);
}

/* A digest for what a user wrote; *ret_name: it is a name. */
static int resolve(const char *images_dir, const char *ref, char ret_digest[HASH_TEXT_LEN],
		   bool *ret_name, struct err *e)
{
	struct digests all = {0};
	size_t len = strlen(ref), hits = 0;
	int rc;

	*ret_name = !name_read(images_dir, ref, ret_digest);
	if (*ret_name)
		return 0;
	if (len < PREFIX_MIN || len >= HASH_TEXT_LEN || strspn(ref, "0123456789abcdef") != len)
		return err_set(e, -ENOENT, ERR_ABSENT, "image.absent", "no image named \"%.80s\"",
			       ref);
	rc = digests_load(images_dir, &all, e);
	for (size_t i = 0; !rc && i < all.n; i++) {
		if (!str_starts(all.at[i], ref))
			continue;
		memcpy(ret_digest, all.at[i], HASH_TEXT_LEN);
		hits++;
	}
	free(all.at);
	if (!rc && !hits)
		return err_set(e, -ENOENT, ERR_ABSENT, "image.absent",
			       "no image whose digest begins with %s", ref);
	if (!rc && hits > 1)
		return err_set(e, -EINVAL, ERR_CALLER, "image.ambiguous",
			       "%zu images have digests that begin with %s", hits, ref);
	return rc;
}

int image_open(const char *images_dir, const char *ref, struct image **ret, struct err *e)
{
	char digest[HASH_TEXT_LEN];
	bool by_name;
	int rc = resolve(images_dir, ref, digest, &by_name, e);

	return rc ? rc : open_digest(images_dir, digest, by_name ? ref : NULL, ret, e);
}

int image_verify(const struct image *i, struct err *e)
{
	for (size_t n = 0; n < ARRAY_LEN(manifest_files); n++) {
		auto_free char *path = mem_printf("%s/%s", i->dir, manifest_files[n]);
		char hex[HASH_TEXT_LEN];
		const char *want;
		uint64_t bytes;
		int rc;

		if (!path)
			return err_nomem(e);
		if (!manifest_file(i->manifest, manifest_files[n], &bytes, &want))
			continue; /* no initrd */
		rc = hash_file(path, hex, e);
		if (rc)
			return rc;
		if (!str_eq(hex, want))
			return err_set(e, -EBADMSG, ERR_HOST, "image.digest-mismatch",
				       "image file %s has SHA-256 %s, its manifest says %s: it was "
				       "changed or damaged",
				       path, hex, want);
	}
	return 0;
}

int image_each(const char *images_dir, image_fn *fn, void *ctx, struct err *e)
{
	struct name_list names = {0};
	struct digests all = {0};
	int rc = names_load(images_dir, &names, e);

	if (!rc)
		rc = digests_load(images_dir, &all, e);
	for (size_t i = 0; rc >= 0 && i < names.n; i++) {
		AUTO(image) at = NULL;

		if (!open_digest(images_dir, names.at[i].digest, names.at[i].name, &at, NULL))
			rc = fn(ctx, at);
	}
	for (size_t i = 0; rc >= 0 && i < all.n; i++) {
		AUTO(image) at = NULL;

		if (!is_named(&names, all.at[i]) &&
		    !open_digest(images_dir, all.at[i], NULL, &at, NULL))
			rc = fn(ctx, at);
	}
	free(names.at);
	free(all.at);
	return rc < 0 ? rc : 0;
}

/* --- removing --- */

int bundle_remove(const char *images_dir, const char *digest, struct err *e)
{
	char hex[17];
	auto_free char *from = mem_printf("%s/%s", images_dir, digest);
	auto_free char *to = NULL;

	random_hex(hex, 8);
	to = mem_printf("%s/.gone-%s", images_dir, hex);
	if (!from || !to)
		return err_nomem(e);
	if (rename(from, to))
		return errno == ENOENT ? 0 : err_sys(e, errno, "image.remove", "%s", from);
	return fd_remove_tree(to, e);
}

int image_remove(const char *images_dir, const char *ref, const char *const *used, size_t used_n,
		 struct err *e)
{
	struct name_list names = {0};
	auto_close int lock = -1;
	char digest[HASH_TEXT_LEN];
	bool by_name, keep;
	int rc = images_lock(images_dir, &lock, e);

	if (!rc)
		rc = resolve(images_dir, ref, digest, &by_name, e);
	if (!rc && by_name)
		rc = name_remove(images_dir, ref, e);
	if (!rc)
		rc = names_load(images_dir, &names, e);
	if (rc)
		return rc;
	keep = is_named(&names, digest) || listed(used, used_n, digest);
	free(names.at);
	if (keep && !by_name)
		return err_set(e, -EBUSY, ERR_STATE, "image.in-use", "image %.12s is in use by %s",
			       digest,
			       listed(used, used_n, digest) ? "a VM" : "a name; remove the name");
	return keep ? 0 : bundle_remove(images_dir, digest, e);
}

/* Remove entries of the directory whose names begin so, and count what they took. */
static int remove_debris(const char *images_dir, const char *prefix, uint64_t *bytes, struct err *e)
{
	DIR *d = opendir(images_dir);
	struct dirent *de;
	int rc = 0;

	if (!d)
		return err_sys(e, errno, "image.gc", "%s", images_dir);
	while (!rc && (de = readdir(d))) {
		auto_free char *path = mem_printf("%s/%s", images_dir, de->d_name);
		uint64_t usage = 0;

		if (!str_starts(de->d_name, prefix))
			continue;
		rc = path ? fd_tree_usage(path, &usage, e) : err_nomem(e);
		if (!rc)
			rc = fd_remove_tree(path, e);
		if (!rc)
			*bytes += usage;
	}
	(void)closedir(d); /* it was only read */
	return rc;
}

struct swept {
	uint64_t bytes;
};

static void count_swept(void *ctx, const char *dir)
{
	struct swept *s = ctx;
	uint64_t usage = 0;

	if (!fd_tree_usage(dir, &usage, NULL))
		s->bytes += usage;
}

int image_gc(const char *images_dir, const char *const *used, size_t used_n, uint64_t *ret_bytes,
	     struct err *e)
{
	struct name_list names = {0};
	struct digests all = {0};
	struct swept swept = {0};
	auto_close int lock = -1;
	uint64_t bytes = 0;
	int rc = build_sweep(images_dir, count_swept, &swept, e);

	if (!rc)
		rc = images_lock(images_dir, &lock, e);
	if (!rc)
		rc = names_load(images_dir, &names, e);
	if (!rc)
		rc = digests_load(images_dir, &all, e);
	for (size_t i = 0; !rc && i < all.n; i++) {
		auto_free char *dir = mem_printf("%s/%s", images_dir, all.at[i]);
		uint64_t usage = 0;

		if (is_named(&names, all.at[i]) || listed(used, used_n, all.at[i]))
			continue;
		rc = dir ? fd_tree_usage(dir, &usage, e) : err_nomem(e);
		if (!rc)
			rc = bundle_remove(images_dir, all.at[i], e);
		if (!rc)
			bytes += usage;
	}
	if (!rc)
		rc = remove_debris(images_dir, ".gone-", &bytes, e);
	if (!rc)
		rc = remove_debris(images_dir, ".failed-", &bytes, e);
	free(names.at);
	free(all.at);
	if (!rc)
		*ret_bytes = bytes + swept.bytes;
	return rc;
}
