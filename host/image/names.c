/*
 * Names of images: <images>/names/<name> is a symbolic link to ../<digest>.
 * Called by bundle.c and build.c; changes happen under the lock of the directory of images.
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
#include "image/image_internal.h"
#include "model/id.h"

#define NAMES_MAX 4096u /* as many as VMs can be recorded: nobody has more images than VMs */

bool digest_valid(const char *s)
{
	return strlen(s) == HASH_TEXT_LEN - 1 && strspn(s, "0123456789abcdef") == HASH_TEXT_LEN - 1;
}

int images_lock(const char *images_dir, int *ret_fd, struct err *e)
{
	auto_free char *path = mem_printf("%s/.lock", images_dir);
	int rc = path ? fd_mkdirs(images_dir, 0755, e) : err_nomem(e);

	return rc ? rc : fd_lock(path, ret_fd, e);
}

int dir_sync(const char *path, struct err *e)
{
	auto_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fsync(fd))
		return err_sys(e, errno, "image.sync", "%s", path);
	return 0;
}

int name_read(const char *images_dir, const char *name, char ret[HASH_TEXT_LEN])
{
	char target[HASH_TEXT_LEN + 8], path[PATH_MAX];
	ssize_t n;

	if (!name_valid(name) || !str_fmt(path, sizeof(path), "%s/names/%s", images_dir, name))
		return -ENOENT;
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return -errno;
	target[n] = '\0';
	if (!str_starts(target, "../") || !digest_valid(target + 3))
		return -ENOENT;
	memcpy(ret, target + 3, HASH_TEXT_LEN);
	return 0;
}

int name_write(const char *images_dir, const char *name, const char *digest, struct err *e)
{
	auto_free char *dir = mem_printf("%s/names", images_dir);
	auto_free char *path = mem_printf("%s/names/%s", images_dir, name);
	auto_free char *tmp = mem_printf("%s/names/.%s.new", images_dir, name);
	auto_free char *target = mem_printf("../%s", digest);
	int rc = dir && path && tmp && target ? fd_mkdirs(dir, 0755, e) : err_nomem(e);

	if (rc)
		return rc;
	if (unlink(tmp) && errno != ENOENT) /* of a writer that died; we hold the lock */
		return err_sys(e, errno, "image.name", "%s", tmp);
	if (symlink(target, tmp) || rename(tmp, path))
		return err_sys(e, errno, "image.name", "%s", path);
	return dir_sync(dir, e);
}

int name_remove(const char *images_dir, const char *name, struct err *e)
{
	auto_free char *path = mem_printf("%s/names/%s", images_dir, name);

	if (!path)
		return err_nomem(e);
	if (unlink(path) && errno != ENOENT)
		return err_sys(e, errno, "image.name", "%s", path);
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b); /* the name is the first member */
}

static int names_read(DIR *d, const char *images_dir, struct name_list *l, struct err *e)
{
	struct dirent *de;

	while ((de = readdir(d))) {
		void *grown;

		if (!name_valid(de->d_name))
			continue;
		if (l->n == NAMES_MAX)
			return err_set(e, -E2BIG, ERR_LIMIT, "image.too-many-names",
				       "%s: more than %u names of images", images_dir, NAMES_MAX);
		grown = mem_realloc(l->at, (l->n + 1) * sizeof(*l->at));
		if (!grown)
			return err_nomem(e);
		l->at = grown;
		if (name_read(images_dir, de->d_name, l->at[l->n].digest))
			continue; /* no link of ours, or just removed */
		text_set(l->at[l->n].name, sizeof(l->at[l->n].name),
			 de->d_name); /* valid names fit */
		l->n++;
	}
	return 0;
}

int names_load(const char *images_dir, struct name_list *ret, struct err *e)
{
	auto_free char *dir = mem_printf("%s/names", images_dir);
	struct name_list l = {0};
	DIR *d = dir ? opendir(dir) : NULL;
	int rc;

	if (!dir)
		return err_nomem(e);
	if (!d && errno != ENOENT)
		return err_sys(e, errno, "image.names", "%s", dir);
	rc = d ? names_read(d, images_dir, &l, e) : 0;
	if (d)
		(void)closedir(d); /* it was only read */
	if (rc) {
		free(l.at);
		return rc;
	}
	if (l.n)
		qsort(l.at, l.n, sizeof(*l.at), by_name);
	*ret = l;
	return 0;
}
