/*
 * Changes in an unpacked root file system: files, links, masked units, removals.
 *
 * Every path is resolved with openat2(RESOLVE_IN_ROOT), so that no link in the tree and no ".." in
 * a recipe can lead to the host's files (openat2(2)).
 *
 * Called by builds.  Trust: the tree holds packages, the recipe is an administrator's.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/str.h"
#include "json/json.h"
#include "recipe/recipe_internal.h"

#define FILE_MAX ((size_t)64 << 20) /* one file that a recipe places */
#define UNITS	 "/etc/systemd/system"

static int open_in(int tree_fd, const char *path, int flags, unsigned mode)
{
	struct open_how how = {
		.flags = (unsigned)(flags | O_CLOEXEC), .mode = mode, .resolve = RESOLVE_IN_ROOT};
	int fd = (int)syscall(SYS_openat2, tree_fd, path, &how, sizeof(how));

	return fd < 0 ? -errno : fd;
}

/* The directory of a path, made as needed; *ret_base is its last part, borrowed from path. */
static int open_parent(int tree_fd, const char *path, const char **ret_base, struct err *e)
{
	char part[PATH_MAX];
	const char *slash = strrchr(path, '/');
	int fd;

	if (*path != '/' || !slash || !slash[1] || str_eq(slash, "/.") || str_eq(slash, "/..") ||
	    !str_copy(part, sizeof(part), path))
		return err_set(e, -EINVAL, ERR_CALLER, "recipe.path",
			       "\"%.200s\": expected an absolute path of a file", path);
	part[slash - path] = '\0';
	for (char *p = part + 1; *part; p++) {
		char at = *p;
		const char *name;

		if (at != '/' && at != '\0')
			continue;
		*p = '\0';
		fd = open_in(tree_fd, part, O_RDONLY | O_DIRECTORY, 0);
		if (fd == -ENOENT) { /* one level: its own parent is there by now */
			auto_close int up = open_parent(tree_fd, part, &name, e);

			if (up < 0)
				return up;
			if (mkdirat(up, name, 0755) && errno != EEXIST)
				return err_sys(e, errno, "recipe.path", "%s", part);
		} else if (fd < 0) {
			return err_sys(e, -fd, "recipe.path", "%s", part);
		} else {
			(void)close(fd); /* it only showed that the directory is there */
		}
		if (at == '\0')
			break;
		*p = '/';
	}
	fd = open_in(tree_fd, *part ? part : "/", O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return err_sys(e, -fd, "recipe.path", "%s", path);
	*ret_base = slash + 1;
	return fd;
}

int tree_put(int tree_fd, const char *path, const void *data, size_t len, unsigned mode,
	     struct err *e)
{
	const char *base;
	auto_close int dir = open_parent(tree_fd, path, &base, e);
	auto_close int fd = -1;

	if (dir < 0)
		return dir;
	if (unlinkat(dir, base, 0) && errno != ENOENT)
		return err_sys(e, errno, "recipe.file", "%s", path);
	fd = openat(dir, base, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || fd_write_all(fd, data, len) || fchmod(fd, mode))
		return err_sys(e, errno, "recipe.file", "%s", path);
	return 0;
}

int tree_link(int tree_fd, const char *path, const char *target, struct err *e)
{
	const char *base;
	auto_close int dir = open_parent(tree_fd, path, &base, e);

	if (dir < 0)
		return dir;
	if ((unlinkat(dir, base, 0) && errno != ENOENT) || symlinkat(target, dir, base))
		return err_sys(e, errno, "recipe.link", "%s", path);
	return 0;
}

/* {"path": "/etc/x", "text": "…" or "from": "files/x", "mode": "0644"} */
static int put_file(const struct spec *s, int tree_fd, json_t *v, struct err *e)
{
	struct row {
		char path[512], from[256], mode[8];
		json_t *text;
	} r = {.mode = "0644"};
	static const struct json_field fields[] = {
		JSON_STR(struct row, path, "path", 2, 511, JSON_REQUIRED),
		JSON_STR(struct row, from, "from", 1, 255, 0),
		JSON_STR(struct row, mode, "mode", 4, 4, 0),
		JSON_REF(struct row, text, "text", JSON_T_RAW, 0, 0),
		JSON_END,
	};
	auto_buf data = {0};
	unsigned mode;
	char end;
	int rc = json_bind(v, "files", fields, &r, e);
	auto_json json_t *text = r.text;

	if (rc)
		return rc;
	if (strspn(r.mode, "01234567") != 4 || sscanf(r.mode, "%o%c", &mode, &end) != 1 ||
	    !json_is_string(text) == !r.from[0] || strstr(r.from, ".."))
		return err_set(e, -EINVAL, ERR_CALLER, "recipe.file",
			       "files: %s: expected \"text\" or else \"from\" below the recipe, "
			       "and an octal \"mode\" "
			       "such as 0644",
			       r.path);
	if (text)
		return tree_put(tree_fd, r.path, json_string_value(text), json_string_length(text),
				mode, e);
	{
		auto_free char *from = mem_printf("%s/%s", s->dir, r.from);

		rc = from ? fd_read_file(from, FILE_MAX, &data, e) : err_nomem(e);
	}
	return rc ? rc : tree_put(tree_fd, r.path, buf_text(&data), data.len, mode, e);
}

/* {"path": "/etc/x", "to": "target"} */
static int put_link(int tree_fd, json_t *v, struct err *e)
{
	struct row {
		char path[512], to[512];
	} r = {0};
	static const struct json_field fields[] = {
		JSON_STR(struct row, path, "path", 2, 511, JSON_REQUIRED),
		JSON_STR(struct row, to, "to", 1, 511, JSON_REQUIRED),
		JSON_END,
	};
	int rc = json_bind(v, "links", fields, &r, e);

	return rc ? rc : tree_link(tree_fd, r.path, r.to, e);
}

static int put_mask(int tree_fd, const char *unit, struct err *e)
{
	char path[512];

	if (!str_fmt(path, sizeof(path), UNITS "/%s", unit) || strchr(unit, '/'))
		return err_set(e, -EINVAL, ERR_CALLER, "recipe.mask",
			       "mask: \"%.80s\" is no unit's name", unit);
	return tree_link(tree_fd, path, "/dev/null", e);
}

static int remove_path(int tree_fd, const char *path, struct err *e)
{
	const char *base;
	auto_close int dir = open_parent(tree_fd, path, &base, e);
	auto_free char *proc = mem_printf("/proc/self/fd/%d/%s", dir, base);

	if (dir < 0)
		return dir;
	return proc ? fd_remove_tree(proc, e) : err_nomem(e);
}

int tree_apply(const struct spec *s, const char *tree, struct err *e)
{
	auto_close int fd = open(tree, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	size_t n;
	json_t *at;
	int rc = fd < 0 ? err_sys(e, errno, "recipe.tree", "%s", tree) : 0;

	if (rc)
		return rc;
	json_array_foreach(s->remove, n,
			   at) if ((rc = remove_path(fd, json_string_value(at), e))) return rc;
	json_array_foreach(s->files, n, at) if ((rc = put_file(s, fd, at, e))) return rc;
	json_array_foreach(s->links, n, at) if ((rc = put_link(fd, at, e))) return rc;
	json_array_foreach(s->mask, n,
			   at) if ((rc = put_mask(fd, json_string_value(at), e))) return rc;
	return 0;
}
