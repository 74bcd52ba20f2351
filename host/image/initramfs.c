/*
 * Writes an initramfs: hearth-init, the modules it loads, their list, a console.
 *
 * newc (Linux Documentation/driver-api/early-userspace/buffer-format.rst): per file "070701" and
 * thirteen 8-digit hexadecimal fields (ino mode uid gid nlink mtime filesize devmajor devminor
 * rdevmajor rdevminor namesize check), name with NUL, data, each padded to 4 bytes; at the end an
 * entry "TRAILER!!!".
 *
 * Not compressed: every kernel takes it, and reading 2 MiB more costs the guest less than unpacking
 * them (docs/images.md has the figures).
 *
 * Called by recipes.  Trust: module files are a user's; they are copied, never interpreted.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/str.h"
#include "image/image_internal.h"

#define INITRAMFS_MAX ((size_t)256 << 20)
#define INIT_MAX      ((size_t)16 << 20) /* hearth-init is static and small */
#define MODULE_DIR    "lib/modules"

struct cpio {
	struct buf out;
	uint32_t ino;
};

static int pad(struct buf *b)
{
	return buf_add(b, "\0\0\0", (4 - b->len % 4) % 4);
}

static int put(struct cpio *c, const char *name, mode_t mode, dev_t rdev, const void *data,
	       size_t len)
{
	int rc = buf_printf(&c->out, "070701%08x%08x%08x%08x%08x%08x%08zx%08x%08x%08x%08x%08zx%08x",
			    c->ino++, mode, 0u, 0u, S_ISDIR(mode) ? 2u : 1u, 0u, len, 0u, 0u,
			    major(rdev), minor(rdev), strlen(name) + 1, 0u);

	if (!rc)
		rc = buf_add(&c->out, name, strlen(name) + 1);
	if (!rc)
		rc = pad(&c->out);
	if (!rc && len)
		rc = buf_add(&c->out, data, len);
	return rc ? rc : pad(&c->out);
}

static int put_frame(struct cpio *c, const char *init_path, struct err *e)
{
	static const char *const dirs[] = {"dev",  "hearth", "lib", MODULE_DIR,
					   "proc", "run",    "sys"};
	auto_buf init = {0};
	int rc = fd_read_file(init_path, INIT_MAX, &init, e);

	if (rc)
		return err_prefix(e, "initramfs");
	for (size_t i = 0; !rc && i < ARRAY_LEN(dirs); i++)
		rc = put(c, dirs[i], S_IFDIR | 0755, 0, NULL, 0);
	/* Process 1 of the kernel opens it before anything is mounted. */
	if (!rc)
		rc = put(c, "dev/console", S_IFCHR | 0600, makedev(5, 1), NULL, 0);
	if (!rc)
		rc = put(c, "init", S_IFREG | 0755, 0, init.data, init.len);
	return rc ? err_nomem(e) : 0;
}

/* Compressed modules are unpacked: whether the guest's kernel could do so is one more "if". */
static int read_module(const char *dir, const char *rel, struct buf *ret, struct err *e)
{
	auto_free char *path = mem_printf("%s/%s", dir, rel);
	auto_buf packed = {0};
	int rc;

	if (!path)
		return err_nomem(e);
	if (str_ends(rel, ".ko"))
		return fd_read_file(path, UNPACK_MODULE_MAX, ret, e);
	rc = fd_read_file(path, UNPACK_MODULE_MAX, &packed, e);
	if (rc)
		return rc;
	rc = unpack(packed.data, packed.len, UNPACK_MODULE_MAX, ret);
	return rc ? err_set(e, rc, ERR_CALLER, "modules.format", "%s: cannot be unpacked: %s", path,
			    strerror(-rc))
		  : 0;
}

static int put_modules(struct cpio *c, const char *dir, const struct module_list *list,
		       struct err *e)
{
	auto_buf names = {0};
	int rc = 0;

	for (size_t i = 0; i < list->n; i++) {
		const char *base = strrchr(list->path[i], '/');
		auto_buf data = {0};
		char name[PATH_MAX];
		const char *ko;

		base = base ? base + 1 : list->path[i];
		ko = strstr(base, ".ko");
		if (!str_fmt(name, sizeof(name), MODULE_DIR "/%.*s.ko", (int)(ko ? ko - base : 0),
			     base) ||
		    !ko)
			return err_set(e, -EINVAL, ERR_CALLER, "modules.format",
				       "%s: no module's name", list->path[i]);
		rc = read_module(dir, list->path[i], &data, e);
		if (rc)
			return rc;
		rc = put(c, name, S_IFREG | 0644, 0, data.data, data.len);
		if (!rc)
			rc = buf_printf(&names, "/%s\n", name);
		if (rc)
			return err_nomem(e);
	}
	rc = put(c, "hearth/modules", S_IFREG | 0644, 0, names.data, names.len);
	return rc ? err_nomem(e) : 0;
}

int initramfs_write(const char *path, const char *init_path, const char *modules_dir,
		    const struct module_list *list, struct err *e)
{
	struct cpio c = {.out = {.max = INITRAMFS_MAX}, .ino = 1};
	int rc = put_frame(&c, init_path, e);

	if (!rc && list)
		rc = put_modules(&c, modules_dir, list, e);
	if (!rc && put(&c, "TRAILER!!!", 0, 0, NULL, 0))
		rc = err_nomem(e);
	if (!rc)
		rc = fd_replace_file(path, c.out.data, c.out.len, 0644, e);
	buf_done(&c.out);
	return rc;
}
