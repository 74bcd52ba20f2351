#pragma once
/*
 * Shared within host/recipe only.
 */
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/buf.h"
#include "image/make.h"
#include "recipe/recipe.h"

struct err;

/* --- progress.c --- */
struct progress {
	int fd; /* borrowed; -1: nobody listens */
	const char *phase;
	uint64_t since_ns;
};
void progress_start(struct progress *p, const char *phase, const char *text);
/* End the phase, with what is worth knowing; rc < 0: it failed, e says why. */
void progress_end(struct progress *p, int rc, const char *text, const struct err *e);
void progress_result(struct progress *p, const char *digest, const char *name, bool cached);
void progress_error(struct progress *p, const struct err *e);

/* --- spec.c: images/<name>/recipe.json, docs/images.md --- */
#define SPEC_LIST_MAX 256 /* packages, units, files: several times the desktop's */
struct spec {
	json_t *doc; /* owned */
	char *dir;   /* owned: <recipes_dir>/<recipe> */
	char *text;  /* owned: the file as it is, for the cache's key */
	char name[LIMIT_NAME_LEN + 1], suite[32], variant[32], kernel[128];
	json_t *components, *packages, *modules, *exclude, *files, *links, *remove,
		*mask; /* owned; may be NULL */
	uint32_t rootfs_mib;
	struct image facts; /* probes, ports, min_ram_mib only */
};
int spec_load(const char *recipes_dir, const char *recipe, struct spec *ret, struct err *e);
/* From memory, for tests and fuzzing: dir stays NULL. */
int spec_parse(const char *text, size_t len, const char *what, struct spec *ret, struct err *e);
void spec_done(struct spec *s);

/* --- tree.c: changes in an unpacked root, none of which can leave it --- */
/* Put files, links, masks of the recipe into the tree and remove what it says. */
int tree_apply(const struct spec *s, const char *tree, struct err *e);
int tree_put(int tree_fd, const char *path, const void *data, size_t len, unsigned mode,
	     struct err *e);
int tree_link(int tree_fd, const char *path, const char *target, struct err *e);

/* --- packages.c --- */
/* deb lines of this machine's own apt configuration for the suite and its updates and security. */
int packages_sources(const struct spec *s, json_t **ret_lines, struct buf *ret_lists,
		     struct err *e);
/* Unpack the recipe's packages into dir/tree. */
int packages_unpack(const struct spec *s, json_t *sources, const char *dir, struct err *e);
/* Unpack the kernel's package; ret: the path of the kernel, of its configuration, its modules'
 * directory. */
struct kernel_files {
	char image[PATH_MAX], config[PATH_MAX], modules[PATH_MAX], version[128], package[128];
};
int packages_kernel(const struct spec *s, const char *dir, struct kernel_files *ret, struct err *e);
/* Run a program with its output in dir/<log>; a failure names the last line that tells why, with
 * its number. */
int run_logged(const char *const *argv, const char *cwd, const char *dir, const char *log,
	       uint64_t timeout_ms, struct err *e);
/* The number and text of the line of a log that tells why: the last that looks like an error, else
 * the last. 0: the log is empty. */
unsigned log_reason(const char *text, char *ret, size_t cap);

/* --- build.c, import.c: fill b->bundle and *i (i->dir = b->bundle), extra gets source and modules
 * --- */
struct making {
	const struct recipe_job *job;
	struct image_build b;
	struct image image;
	json_t *extra; /* owned */
	struct progress progress;
};
int make_from_recipe(struct making *m, const struct spec *s, json_t *sources, struct err *e);
int make_from_files(struct making *m, struct err *e);
/* Sizes of kernel and initrd into the image, for questions about RAM. */
void make_sizes(struct making *m);
/* Copy a file, sharing blocks where the file system can; to must not exist. */
int bundle_copy(const char *from, const char *to, struct err *e);
/* Its disk and NIC can only be on MMIO. */
bool image_is_mmio_only(const struct image *i);
/* Common end: facts of the kernel and drivers, initramfs with hearth-init where wanted. modules_dir
 * NULL: none */
int make_boot_files(struct making *m, struct kernel *k, const char *modules_dir,
		    const json_t *extra_modules, bool own_initrd, struct err *e);

/* --- testboot.c --- */
/* Boot the bundle and watch it until it has proven itself; *ret_report goes into the manifest. */
int test_boot(const struct recipe_job *job, const struct image_build *b, const struct image *i,
	      json_t **ret_report, struct err *e);

/* --- cache.c: finished bundles by the digest of what they were made from --- */
int cache_key(const struct spec *s, const struct recipe_job *job, const struct buf *lists,
	      char ret[HASH_TEXT_LEN], struct err *e);
/* Copy the cached bundle into the build directory; -ENOENT: there is none, or a damaged one. */
int cache_fetch(const struct recipe_job *job, const char *key, const struct image_build *b,
		struct image **ret);
/* Keep a copy; a failure costs only time, so none is reported. */
void cache_keep(const struct recipe_job *job, const char *key, const char *bundle);
