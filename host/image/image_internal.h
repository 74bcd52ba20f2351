#pragma once
/*
 * Shared within host/image only.
 */
#include <stddef.h>

#include "image/image.h"
#include "image/make.h"

struct buf;

#define UNPACK_KERNEL_MAX ((size_t)192 << 20) /* a vmlinux without debug data has 30 to 80 MiB */
#define UNPACK_MODULE_MAX ((size_t)16 << 20)  /* the largest of Debian's has 6 MiB */

/* Append what the stream holds.  -EOPNOTSUPP: not compressed in a way that we know; -EBADMSG:
 * damaged;
 * -EFBIG: more than max (give or take one read).  A stream that ends badly after data counts as its
 * data. */
int unpack(const void *data, size_t len, size_t max, struct buf *ret);

/* --- modules.c: as modules_load, from texts; builtin may be NULL --- */
int modules_parse(const char *dep, const char *builtin, const char *softdep, struct modules **ret,
		  struct err *e);

/* --- manifest.c --- */
#define MANIFEST_FORMAT 1
/* Read <dir>/manifest.json into ret (dir and digest stay as they are). "image.manifest" */
int manifest_read(const char *dir, struct image *ret, struct err *e);
/* From memory; what names it in sentences.  For tests and fuzzing, too. */
int manifest_parse(const char *text, size_t len, const char *what, struct image *ret,
		   struct err *e);
/* Digest of the bundle from the manifest's file digests and facts. */
int manifest_digest(const json_t *manifest, char ret[HASH_TEXT_LEN], struct err *e);
/* Size and SHA-256 that the manifest states for a file; false if it has no such file. */
bool manifest_file(const json_t *manifest, const char *name, uint64_t *ret_bytes,
		   const char **ret_sha256);
extern const char *const manifest_files[3]; /* kernel, initrd, rootfs */

/* --- names.c --- */
/* Exclusive lock on the directory of images, for the short steps that change names or bundles. */
int images_lock(const char *images_dir, int *ret_fd, struct err *e);
/* The digest that a name points at; -ENOENT. */
int name_read(const char *images_dir, const char *name, char ret[HASH_TEXT_LEN]);
int name_write(const char *images_dir, const char *name, const char *digest, struct err *e);
int name_remove(const char *images_dir, const char *name, struct err *e);
bool digest_valid(const char *s);
/* All names, sorted: malloc'ed strings in a malloc'ed array. */
struct name_list {
	struct {
		char name[LIMIT_NAME_LEN + 1];
		char digest[HASH_TEXT_LEN];
	} * at; /* owned */
	size_t n;
};
int names_load(const char *images_dir, struct name_list *ret, struct err *e);
/* Take a bundle away so that it is never seen half-removed. */
int bundle_remove(const char *images_dir, const char *digest, struct err *e);
int dir_sync(const char *path, struct err *e);

/* --- stamp.c --- */
/* Note that the files of the bundle in dir fit their digests now. */
void stamp_write(const char *dir);
