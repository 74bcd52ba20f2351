#pragma once
/*
 * What makers of images need: facts about kernels, drivers and root file systems, the initramfs,
 * and the private build directory that becomes a bundle by one rename.
 *
 * Used by host/recipe; all of it blocks.  Trust: files are a user's and may be hostile.
 */
#include <assert.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"
#include "image/image.h"

struct err;

/* Copy a text that is known to fit: a literal, or one that was checked. */
static inline void text_set(char *dst, size_t cap, const char *src)
{
	bool fits = str_copy(dst, cap, src);

	assert(fits);
	(void)fits;
}

/* --- kernel (kernel.c) --- */

/* A kernel with its unpacked image, for questions about what is in it. */
struct kernel {
	struct kernel_facts facts;
	struct buf
		image; /* the ELF that a bzImage's payload holds; empty if it can't be unpacked */
	struct buf
		config; /* text of IKCONFIG, or what kernel_config_file added; empty if unknown */
};
int kernel_load(const char *path, struct kernel *ret, struct err *e);
void kernel_done(struct kernel *k);
/* The configuration as a file beside the kernel, as distributions ship it. */
int kernel_config_file(struct kernel *k, const char *path, struct err *e);
/* 'y', 'm', 'n' (not set), or '?' when there is no configuration. key: "VIRTIO_BLK" */
char kernel_config(const struct kernel *k, const char *key);
/* The refusal of what is no kernel: "kernel.format". 0 when it can be booted. */
int kernel_check(const char *path, const struct kernel_facts *f, struct err *e);

/* --- modules (modules.c) --- */
struct modules; /* modules.dep, modules.builtin and modules.softdep of one kernel */
int modules_load(const char *dir, struct modules **ret, struct err *e);
void modules_free(struct modules *m);
DEFINE_AUTO(modules)
/* name: as lsmod prints it; '-' and '_' are the same.  DRV_UNKNOWN: not a module, and there is no
 * modules.builtin to tell built-in from absent. */
enum image_presence modules_has(const struct modules *m, const char *name);

#define MODULES_MAX 256u /* as many as hearth-init loads */
struct module_list {
	const char *path[MODULES_MAX]; /* relative to the directory; borrowed from struct modules */
	size_t n;
};
/* The modules that must be loaded for these drivers, each after those it depends on; drivers that
 * are built in or absent add nothing.  -E2BIG beyond MODULES_MAX, -ELOOP for a circle in
 * modules.dep. */
int modules_closure(const struct modules *m, const char *const *names, size_t names_n,
		    struct module_list *ret, struct err *e);

/* --- drivers (drivers.c) --- */
extern const char
	*const image_driver_modules[DRV_N_]; /* "virtio_pci", …, "vmw_vsock_virtio_transport" */
/* Decide each driver: modules' files where given, else the configuration, else the unpacked kernel
 * (a driver whose name is not in it can't be built in), else unknown.  m may be NULL. */
void drivers_tell(const struct kernel *k, const struct modules *m, enum image_presence ret[DRV_N_]);

/* --- root file system (rootfs.c) --- */
struct rootfs_facts {
	char fs[16];	/* "ext4", "ext3", "ext2", "squashfs", "erofs", "xfs", "btrfs" */
	uint64_t bytes; /* of the file */
};
/* "rootfs.not-a-filesystem" says what the file is instead; "rootfs.truncated". */
int rootfs_inspect(const char *path, struct rootfs_facts *ret, struct err *e);
/* What a file's first bytes (as many as MAGIC_HEAD) are; NULL if nothing we know. */
#define MAGIC_HEAD (68u << 10) /* btrfs has its magic at 64 KiB + 64 */
const char *magic_name(const void *head, size_t len);

/* --- initramfs (initramfs.c) --- */
/* Write an initramfs in newc format: /init, the modules (unpacked, /lib/modules/NAME.ko), their
 * list /hearth/modules, /dev/console.  The same input gives the same bytes. dir, list: NULL, no
 * modules */
int initramfs_write(const char *path, const char *init_path, const char *modules_dir,
		    const struct module_list *list, struct err *e);

/* --- what recipes and manifests have in common (manifest.c) --- */
/* Arrays of {"type":…} and of numbers into i; NULL: none.  what begins the sentence. */
int image_read_probes(json_t *v, const char *what, struct image *i, struct err *e);
int image_read_ports(json_t *v, const char *what, struct image *i, struct err *e);

/* --- building (build.c) --- */
struct image_build {
	char images_dir[PATH_MAX];
	char dir[PATH_MAX];    /* <images>/.build-<pid>-<random>: logs, work, the lock */
	char bundle[PATH_MAX]; /* <dir>/bundle: becomes <images>/<digest> */
	int lock_fd;	       /* owned; its flock says that the builder lives */
};
int build_begin(const char *images_dir, struct image_build *ret, struct err *e);
/* Directories of builders that have died; fn may look into them before they are removed. */
int build_sweep(const char *images_dir, void (*fn)(void *ctx, const char *dir), void *ctx,
		struct err *e);
/* Write manifest.json from the facts in i (dir, sizes and digest are filled in) and `extra` (an
 * object whose members are added: source, test_boot, …; borrowed). */
int build_manifest(const struct image_build *b, struct image *i, json_t *extra, struct err *e);
/* Open and verify a bundle that was copied into the build directory. */
int build_check(const struct image_build *b, struct image **ret, struct err *e);
/* Sync, rename to <images>/<digest>, point the name at it, remove the build directory. A bundle
 * that exists already is kept and the new one dropped. */
int build_publish(struct image_build *b, const char *name, const char *digest, struct err *e);
/* Remove the build directory; keep: only give the lock back, as for a dead builder. */
void build_abandon(struct image_build *b, bool keep);
