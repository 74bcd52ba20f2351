/*
 * Makes the files of a bundle: from a recipe, or from files that were given.
 * Called by run.c.  Trust: given files may be hostile; they are inspected, copied, never executed.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/str.h"
#include "json/json.h"
#include "recipe/recipe_internal.h"

#define MKE2FS_TIMEOUT_MS 600000u
#define IMPORT_RAM_MIB	  128u /* a guess for images that say nothing; the test boot runs with it */
#define MIB		  (1ull << 20)

/* What root and network need, before the root file system's own driver and the recipe's wishes. */
static const enum image_driver boot_drivers[] = {DRV_VIRTIO_PCI, DRV_VIRTIO_MMIO, DRV_VIRTIO_BLK,
						 DRV_VIRTIO_NET, DRV_EXT4,	  DRV_OVERLAY};

int bundle_copy(const char *from, const char *to, struct err *e)
{
	auto_close int src = open(from, O_RDONLY | O_CLOEXEC);
	auto_close int dst = src < 0 ? -1 : open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	uint64_t bytes;
	int rc;

	if (src < 0 || dst < 0)
		return err_sys(e, errno, "recipe.copy", "%s", src < 0 ? from : to);
	if (!ioctl(dst, FICLONE, src))
		return 0;
	rc = fd_copy_sparse(src, dst, &bytes, e);
	if (rc == -ENOSPC)
		return err_set(e, rc, ERR_LIMIT, "disk.full",
			       "%s: no space left on the host's file system", to);
	return rc ? err_prefix(e, "%s", from) : 0;
}

static int in_bundle(const struct making *m, const char *name, char ret[PATH_MAX], struct err *e)
{
	return str_fmt(ret, PATH_MAX, "%s/%s", m->b.bundle, name)
		       ? 0
		       : err_sys(e, ENAMETOOLONG, "recipe.path", "%s", m->b.bundle);
}

/* --- kernel, drivers, initramfs --- */

static int list_modules(struct making *m, const struct modules *mods, const json_t *more,
			struct module_list *ret, struct err *e)
{
	const char *names[ARRAY_LEN(boot_drivers) + 1 + 64];
	json_t *list = json_array(), *at;
	size_t n = 0, i;
	int rc;

	for (; n < ARRAY_LEN(boot_drivers); n++)
		names[n] = image_driver_modules[boot_drivers[n]];
	names[n++] = m->image.rootfs_fs; /* file systems are modules of the same name */
	json_array_foreach(more, i, at)
	{
		const char *name = json_string_value(at);

		if (modules_has(mods, name) == DRV_ABSENT) {
			json_decref(list);
			return err_set(e, -ENOENT, ERR_CALLER, "recipe.no-module",
				       "kernel %s has no module %s, which the recipe asks for",
				       m->image.kernel_version, name);
		}
		names[n++] = name; /* the recipe's list has at most 64 */
	}
	rc = modules_closure(mods, names, n, ret, e);
	for (i = 0; !rc && i < ret->n; i++)
		if (json_push(list, json_string(ret->path[i])))
			rc = err_nomem(e);
	if (rc)
		json_decref(list);
	else if (json_put(m->extra, "modules", list))
		rc = err_nomem(e);
	return rc;
}

bool image_is_mmio_only(const struct image *i)
{
	return i->drivers[DRV_VIRTIO_PCI] == DRV_ABSENT &&
	       i->drivers[DRV_VIRTIO_MMIO] != DRV_ABSENT;
}

/* What any way of booting needs: a bus, a disk, the root's file system. */
static int check_drivers(const struct making *m, struct err *e)
{
	struct image i = m->image;

	i.min_ram_mib = 0;
	i.kernel_bytes = i.initrd_bytes = 0; /* RAM is another question */
	return image_preflight(&i, 1, image_is_mmio_only(&m->image), e);
}

static void kernel_facts_to_image(struct making *m, const struct kernel *k,
				  const struct modules *mods)
{
	bool packed = k->facts.compression[0];

	(void)snprintf(m->image.kernel_format, sizeof(m->image.kernel_format), "%s%s%s",
		       k->facts.format, packed ? "+" : "",
		       k->facts.compression); /* both are short names of ours */
	text_set(m->image.kernel_version, sizeof(m->image.kernel_version), k->facts.version);
	drivers_tell(k, mods, m->image.drivers);
}

int make_boot_files(struct making *m, struct kernel *k, const char *modules_dir,
		    const json_t *extra_modules, bool own_initrd, struct err *e)
{
	AUTO(modules) mods = NULL;
	struct module_list list = {.n = 0};
	char path[PATH_MAX];
	/* hearth-init goes in wherever the kernel may take an initramfs and nobody brought one. */
	bool make_initrd = !own_initrd && kernel_config(k, "BLK_DEV_INITRD") != 'n';
	int rc = in_bundle(m, IMAGE_INITRD, path, e);

	if (!rc && modules_dir)
		rc = modules_load(modules_dir, &mods, e);
	if (rc)
		return rc;
	kernel_facts_to_image(m, k, mods);
	/* A user's initrd may carry what the kernel does not: the test boot tells. */
	for (int d = 0; own_initrd && d < DRV_N_; d++)
		if (m->image.drivers[d] == DRV_ABSENT)
			m->image.drivers[d] = DRV_UNKNOWN;
	m->image.has_initrd = own_initrd || make_initrd;
	m->image.has_init = make_initrd;
	rc = check_drivers(m, e);
	if (!rc && make_initrd && mods)
		rc = list_modules(m, mods, extra_modules, &list, e);
	if (!rc && make_initrd)
		rc = initramfs_write(path, m->job->init_path, modules_dir, &list, e);
	return rc;
}

/* --- from a recipe --- */

static int make_rootfs(const struct making *m, const struct spec *s, const char *tree,
		       struct err *e)
{
	char path[PATH_MAX], size[16];
	/* resize_inode stays: a direct root may grow in the guest.  Zeroed inode tables:
	 * host/image/disk.c */
	const char *argv[] = {"/sbin/mke2fs",
			      "-q",
			      "-t",
			      "ext4",
			      "-m",
			      "0",
			      "-L",
			      "hearth-root",
			      "-E",
			      "root_owner=0:0,assume_storage_prezeroed=1,nodiscard",
			      "-d",
			      tree,
			      path,
			      size,
			      NULL};
	int rc = in_bundle(m, IMAGE_ROOTFS, path, e);

	if (rc)
		return rc;
	(void)snprintf(size, sizeof(size), "%uM", s->rootfs_mib); /* fits */
	rc = run_logged(argv, NULL, m->b.dir, "rootfs.log", MKE2FS_TIMEOUT_MS, e);
	return rc < 0 ? err_prefix(e, "root file system of %u MiB", s->rootfs_mib) : rc;
}

/* The kernel's modules into the tree, where the guest's own tools look for them. */
static int move_modules(const struct kernel_files *k, const char *tree, char ret[PATH_MAX],
			struct err *e)
{
	char dir[PATH_MAX];
	int rc;

	if (!str_fmt(dir, sizeof(dir), "%s/usr/lib/modules", tree) ||
	    !str_fmt(ret, PATH_MAX, "%s/%s", dir, k->version))
		return err_sys(e, ENAMETOOLONG, "recipe.path", "%s", tree);
	rc = fd_mkdirs(dir, 0755, e);
	if (!rc && rename(k->modules, ret))
		rc = err_sys(e, errno, "recipe.modules", "%s", ret);
	return rc;
}

int make_from_recipe(struct making *m, const struct spec *s, json_t *sources, struct err *e)
{
	auto_free char *tree = mem_printf("%s/tree", m->b.dir);
	struct kernel_files files;
	char modules[PATH_MAX], path[PATH_MAX];
	struct kernel k = {0};
	int rc;

	if (!tree)
		return err_nomem(e);
	progress_start(&m->progress, "packages", "unpacking Debian packages with mmdebstrap");
	rc = packages_unpack(s, sources, m->b.dir, e);
	progress_end(&m->progress, rc, "packages unpacked", e);
	if (rc)
		return rc;

	progress_start(&m->progress, "kernel", s->kernel);
	rc = packages_kernel(s, m->b.dir, &files, e);
	if (!rc)
		rc = kernel_load(files.image, &k, e);
	if (!rc)
		rc = kernel_check(files.image, &k.facts, e);
	if (!rc)
		rc = kernel_config_file(&k, files.config, e);
	if (!rc)
		rc = move_modules(&files, tree, modules, e);
	if (!rc)
		rc = in_bundle(m, IMAGE_KERNEL, path, e);
	if (!rc)
		rc = bundle_copy(files.image, path, e);
	text_set(m->image.rootfs_fs, sizeof(m->image.rootfs_fs), "ext4");
	if (!rc)
		rc = make_boot_files(m, &k, modules, s->modules, false, e);
	kernel_done(&k);
	progress_end(&m->progress, rc, m->image.kernel_version, e);
	if (rc)
		return rc;

	progress_start(&m->progress, "rootfs", "files of the recipe, then mke2fs");
	rc = tree_apply(s, tree, e);
	if (!rc)
		rc = make_rootfs(m, s, tree, e);
	progress_end(&m->progress, rc, "root file system written", e);
	if (!rc && json_put(m->extra, "source",
			    json_pack("{s:s,s:s,s:s,s:O}", "kind", "recipe", "recipe", s->name,
				      "kernel_package", files.package, "packages", s->packages)))
		rc = err_nomem(e);
	return rc;
}

/* --- from files --- */

static int import_kernel(struct making *m, struct kernel *k, struct err *e)
{
	char path[PATH_MAX];
	int rc = kernel_load(m->job->kernel, k, e);

	if (!rc)
		rc = kernel_check(m->job->kernel, &k->facts, e);
	if (!rc)
		rc = in_bundle(m, IMAGE_KERNEL, path, e);
	return rc ? rc : bundle_copy(m->job->kernel, path, e);
}

static int import_rootfs(struct making *m, struct err *e)
{
	struct rootfs_facts f;
	char path[PATH_MAX];
	int rc = rootfs_inspect(m->job->rootfs, &f, e);

	if (!rc)
		rc = in_bundle(m, IMAGE_ROOTFS, path, e);
	if (rc)
		return rc;
	text_set(m->image.rootfs_fs, sizeof(m->image.rootfs_fs), f.fs);
	return bundle_copy(m->job->rootfs, path, e);
}

static int import_initrd(struct making *m, struct err *e)
{
	char path[PATH_MAX];
	struct stat st;
	int rc = in_bundle(m, IMAGE_INITRD, path, e);

	if (rc)
		return rc;
	if (stat(m->job->initrd, &st))
		return err_sys(e, errno, "initrd.open", "initrd %s", m->job->initrd);
	if (!S_ISREG(st.st_mode) || !st.st_size)
		return err_set(e, -EINVAL, ERR_CALLER, "initrd.format", "initrd %s: %s",
			       m->job->initrd,
			       S_ISREG(st.st_mode) ? "an empty file" : "not a regular file");
	return bundle_copy(m->job->initrd, path, e);
}

void make_sizes(struct making *m)
{
	struct stat st;
	char path[PATH_MAX];

	if (!in_bundle(m, IMAGE_KERNEL, path, NULL) && !stat(path, &st))
		m->image.kernel_bytes = (uint64_t)st.st_size;
	if (m->image.has_initrd && !in_bundle(m, IMAGE_INITRD, path, NULL) && !stat(path, &st))
		m->image.initrd_bytes = (uint64_t)st.st_size;
}

/* Room for kernel and initrd, and no less than the default. */
static uint32_t import_ram(struct making *m)
{
	uint64_t bytes;

	make_sizes(m);
	bytes = (m->image.kernel_bytes + m->image.initrd_bytes) * IMAGE_RAM_FACTOR;
	return bytes > IMPORT_RAM_MIB * MIB ? (uint32_t)((bytes + MIB - 1) / MIB) : IMPORT_RAM_MIB;
}

int make_from_files(struct making *m, struct err *e)
{
	const struct recipe_job *j = m->job;
	struct kernel k = {0};
	int rc;

	progress_start(&m->progress, "import", j->kernel);
	/* Cheap questions first: all three are answered before anything large is copied. */
	rc = import_kernel(m, &k, e);
	if (!rc)
		rc = import_rootfs(m, e);
	if (!rc && j->initrd)
		rc = import_initrd(m, e);
	if (!rc)
		rc = make_boot_files(m, &k, j->modules, NULL, j->initrd != NULL, e);
	kernel_done(&k);
	progress_end(&m->progress, rc, m->image.kernel_version, e);
	if (rc)
		return rc;
	m->image.min_ram_mib = j->min_ram_mib ? j->min_ram_mib : import_ram(m);
	rc = json_put(m->extra, "source",
		      json_pack("{s:s,s:s,s:s,s:o,s:o}", "kind", "import", "kernel", j->kernel,
				"rootfs", j->rootfs, "initrd",
				j->initrd ? json_string(j->initrd) : json_null(), "modules",
				j->modules ? json_string(j->modules) : json_null()));
	return rc ? err_nomem(e) : 0;
}
