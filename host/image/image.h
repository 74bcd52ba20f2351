#pragma once
/*
 * Image bundles: {kernel, initrd, rootfs, manifest.json} in a directory named by digest,
 * <images>/<digest>/, and names that point at them, <images>/names/<name> (symlink).
 *
 * The digest is SHA-256 over the sorted list of "path sha256" lines of the bundle's files, the
 * manifest excluded but for the facts that requests rely on (docs/images.md).  A bundle never
 * changes once it is published.  Blocking; call on a worker or in tools.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "model/limits.h"

struct err;

/* Drivers that decide whether a VM boots. */
enum image_driver {
	DRV_VIRTIO_PCI,
	DRV_VIRTIO_MMIO,
	DRV_VIRTIO_BLK,
	DRV_VIRTIO_NET,
	DRV_VIRTIO_SCSI,
	DRV_VSOCK,
	DRV_EXT4,
	DRV_OVERLAY,
	DRV_N_
};
enum image_presence { DRV_ABSENT, DRV_MODULE, DRV_BUILTIN, DRV_UNKNOWN, DRV_PRESENCE_N_ };
extern const char *const image_driver_names[DRV_N_];
extern const char *const image_presence_names[DRV_PRESENCE_N_];

enum probe_type { PROBE_CONSOLE, PROBE_TCP, PROBE_N_ };
extern const char *const image_probe_names[PROBE_N_];
struct image_probe {
	enum probe_type type;
	char text[128]; /* console: a literal that must appear on the console after hand-over */
	uint16_t port;	/* tcp */
};

struct image {
	char digest[HASH_TEXT_LEN];
	char name[LIMIT_NAME_LEN +
		  1];		  /* that it was published under; "" if none points at it now */
	char *dir;		  /* owned: <images>/<digest> */
	char kernel_version[128]; /* "6.1.0-49-cloud-amd64" */
	char kernel_format[32];	  /* "bzImage+xz", "ELF", … */
	bool has_initrd;
	bool has_init; /* the initrd holds hearth-init: the command line carries hearth.* fields */
	char rootfs_fs[16];				   /* "ext4" */
	uint64_t kernel_bytes, initrd_bytes, rootfs_bytes; /* apparent sizes */
	enum image_presence drivers[DRV_N_];
	uint32_t min_ram_mib; /* as the recipe states it; the test boot runs with it */
	struct image_probe probes[LIMIT_PROBES];
	unsigned probes_n;
	uint16_t ports[LIMIT_PORTS]; /* TCP ports proven with the network */
	unsigned ports_n;
	uint64_t created_us;
	json_t *manifest; /* owned: the whole of manifest.json; immutable */
};

#define IMAGE_KERNEL   "kernel"
#define IMAGE_INITRD   "initrd"
#define IMAGE_ROOTFS   "rootfs"
#define IMAGE_MANIFEST "manifest.json"

/* A bzImage unpacks to 3-4 times its size, an initrd is held twice while it is unpacked
 * (failures.md 7: 111 MiB of initrd in 256 MiB of RAM). */
#define IMAGE_RAM_FACTOR 4u

/* ref: a name, a full digest, or a unique prefix of at least 8 digits.  ERR_ABSENT "image.absent";
 * "image.digest-mismatch" when a file is missing or has another size than the manifest says. */
int image_open(const char *images_dir, const char *ref, struct image **ret, struct err *e);
void image_free(struct image *i);
DEFINE_AUTO(image)
/* Full check of files against the manifest's digests: "image.digest-mismatch" names the file. */
int image_verify(const struct image *i, struct err *e);
/* The same for every start of a VM: files that are as they were when they last passed aren't read
 * again (stamp.c). */
int image_check_files(const struct image *i, struct err *e);

/* One call per name, sorted, then one per bundle without a name (name ""); i is the callee's only
 * for the call.  A damaged bundle is skipped.  A negative result of fn ends the walk and is
 * returned. */
typedef int image_fn(void *ctx, const struct image *i);
int image_each(const char *images_dir, image_fn *fn, void *ctx, struct err *e);

/* By name: remove the name, and the bundle if no other name and no digest in `used` refers to it.
 * By digest: remove the bundle; ERR_STATE "image.in-use" while a name or `used` refers to it. */
int image_remove(const char *images_dir, const char *ref, const char *const *used, size_t used_n,
		 struct err *e);
/* Remove bundles without a name and not in `used`, and dead build directories. */
int image_gc(const char *images_dir, const char *const *used, size_t used_n, uint64_t *ret_bytes,
	     struct err *e);

/* Host-side checks before anything is created: RAM below the minimum or below
 * IMAGE_RAM_FACTOR * (kernel + initrd) is "image.ram-too-small"; root on virtio-blk whose driver is
 * absent or a module without initrd is "GUEST_NO_ROOT_DRIVER" (failures.md 1, 7). */
int image_preflight(const struct image *i, uint32_t ram_mib, bool mmio, struct err *e);

/* 0, or -EINVAL "image.no-overlay": hearth-init mounts the overlay, by the kernel's overlayfs. */
int image_can_overlay(const struct image *i, struct err *e);

/* Make the per-VM disk: an empty sparse ext4 of disk_mib for the overlay, or (direct) a writable
 * copy of the rootfs (reflink where the file system can) that is at least disk_mib long.  path must
 * not exist; nothing is left there on failure.  A full disk is ERR_LIMIT "disk.full". */
int image_make_disk(const struct image *i, bool direct, const char *path, uint64_t disk_mib,
		    struct err *e);

/* Record "disk.full" about path; code is -ENOSPC or -EDQUOT and returned. */
int disk_full(struct err *e, int code, const char *path);

/* --- facts read from files (image/kernel.c) --- */
struct kernel_facts {
	char format[16]; /* "bzImage", "ELF", "gzip", "text", "empty", "unknown" … by magic */
	/* Of a bzImage's payload: "gzip", "xz", "lzma", "lz4", "zstd", "bzip2", "lzo", "none". */
	char compression[16];
	char version[128]; /* "" if it can't be told */
	char why[160];	   /* what it is and what to do, where it is not bootable; else "" */
	bool bootable;	   /* bzImage or ELF for x86-64 */
	bool has_config;   /* IKCONFIG found */
};
/* Any regular file gets facts; errors are only those of reading it. */
int kernel_inspect(const char *path, struct kernel_facts *ret, struct err *e);
