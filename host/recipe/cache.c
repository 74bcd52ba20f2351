/*
 * Finished bundles, kept so that a host whose state was wiped need not fetch and unpack packages
 * again.
 *
 *	<cache>/<key>/{kernel,initrd,rootfs,manifest.json}
 *	key = SHA-256 over: CACHE_VERSION, the recipe's text and each file that it places,
 *	      hearth-init, and apt's package lists of the suite, which name every package's
 *	      version and digest
 *
 * The same key therefore means the same packages, and the bundle was test-booted before it was
 * kept.  What is fetched is verified against its manifest's digests.  Called by run.c.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/str.h"
#include "json/json.h"
#include "recipe/recipe_internal.h"

#define CACHE_VERSION "1" /* raise it when the same input would make another bundle */
#define CACHE_KEEP    4u  /* bundles; the oldest go */

static const char *const bundle_files[] = {IMAGE_KERNEL, IMAGE_INITRD, IMAGE_ROOTFS,
					   IMAGE_MANIFEST};

/* malloc'ed; NULL: no cache. */
static char *cache_dir(const struct recipe_job *job)
{
	const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");

	if (job->cache_dir)
		return *job->cache_dir ? mem_strdup(job->cache_dir) : NULL;
	if (xdg && *xdg == '/')
		return mem_printf("%s/hearth/images", xdg);
	return home && *home == '/' ? mem_printf("%s/.cache/hearth/images", home) : NULL;
}

static int add_file(struct buf *b, const char *path, struct err *e)
{
	char hex[HASH_TEXT_LEN];
	int rc = hash_file(path, hex, e);

	if (!rc && buf_printf(b, "%s\n", hex))
		rc = err_nomem(e);
	return rc;
}

static int add_placed_files(struct buf *b, const struct spec *s, struct err *e)
{
	size_t n;
	json_t *at;

	json_array_foreach(s->files, n, at)
	{
		const char *from = json_string_value(json_object_get(at, "from"));
		auto_free char *path = from ? mem_printf("%s/%s", s->dir, from) : NULL;
		int rc = path ? add_file(b, path, e) : from ? err_nomem(e) : 0;

		if (rc)
			return rc;
	}
	return 0;
}

int cache_key(const struct spec *s, const struct recipe_job *job, const struct buf *lists,
	      char ret[HASH_TEXT_LEN], struct err *e)
{
	auto_free char *copy = mem_strdup(buf_text(lists));
	char *next = copy, *path;
	auto_buf b = {0};
	int rc = copy && !buf_printf(&b, "%s\n%s\n", CACHE_VERSION, s->text) ? 0 : err_nomem(e);

	if (!rc)
		rc = add_file(&b, job->init_path, e);
	if (!rc)
		rc = add_placed_files(&b, s, e);
	while (!rc && (path = str_word(&next, "\n")))
		rc = add_file(&b, path, e);
	if (!rc)
		hash_bytes(b.data, b.len, ret);
	return rc;
}

static int copy_bundle(const char *from, const char *to, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(bundle_files); i++) {
		auto_free char *src = mem_printf("%s/%s", from, bundle_files[i]);
		auto_free char *dst = mem_printf("%s/%s", to, bundle_files[i]);
		int rc;

		if (!src || !dst)
			return err_nomem(e);
		if (access(src, F_OK) && str_eq(bundle_files[i], IMAGE_INITRD))
			continue;
		rc = bundle_copy(src, dst, e);
		if (rc)
			return rc;
	}
	return 0;
}

int cache_fetch(const struct recipe_job *job, const char *key, const struct image_build *b,
		struct image **ret)
{
	auto_free char *dir = cache_dir(job);
	auto_free char *from = dir ? mem_printf("%s/%s", dir, key) : NULL;
	AUTO(image) i = NULL;
	int rc;

	if (!from || access(from, F_OK))
		return -ENOENT;
	rc = copy_bundle(from, b->bundle, NULL);
	if (!rc)
		rc = build_check(b, &i, NULL);
	if (rc) { /* damaged or cut short: begin as if it had never been */
		(void)fd_remove_tree(from, NULL);
		(void)fd_remove_tree(b->bundle, NULL);
		(void)mkdir(b->bundle, 0755); /* the build that follows says if it could not */
		return -ENOENT;
	}
	(void)utimensat(AT_FDCWD, from, NULL,
			0); /* used last is dropped last; a failure costs nothing */
	*ret = take_ptr(i);
	return 0;
}

/* Remove the oldest beyond CACHE_KEEP, and what an interrupted copy left. */
static void prune(const char *dir)
{
	for (;;) {
		char oldest[PATH_MAX] = "";
		struct timespec when = {0};
		DIR *d = opendir(dir);
		struct dirent *de;
		unsigned n = 0;

		while (d && (de = readdir(d))) {
			struct stat st;

			if (*de->d_name == '.' ||
			    fstatat(dirfd(d), de->d_name, &st, AT_SYMLINK_NOFOLLOW))
				continue;
			if (n++ == 0 || st.st_mtim.tv_sec < when.tv_sec ||
			    (st.st_mtim.tv_sec == when.tv_sec &&
			     st.st_mtim.tv_nsec < when.tv_nsec)) {
				when = st.st_mtim;
				if (!str_fmt(oldest, sizeof(oldest), "%s/%s", dir, de->d_name))
					n--;
			}
		}
		if (d)
			(void)closedir(d); /* it was only read */
		if (n <= CACHE_KEEP || fd_remove_tree(oldest, NULL))
			return;
	}
}

void cache_keep(const struct recipe_job *job, const char *key, const char *bundle)
{
	auto_free char *dir = cache_dir(job);
	auto_free char *to = dir ? mem_printf("%s/%s", dir, key) : NULL;
	auto_free char *tmp = dir ? mem_printf("%s/.new-%d", dir, (int)getpid()) : NULL;

	if (!to || !tmp || fd_mkdirs(dir, 0700, NULL) || fd_remove_tree(tmp, NULL) ||
	    mkdir(tmp, 0700))
		return;
	if (copy_bundle(bundle, tmp, NULL) || rename(tmp, to))
		(void)fd_remove_tree(tmp, NULL); /* full, or another build was first */
	else
		prune(dir);
}
