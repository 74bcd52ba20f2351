#pragma once
/*
 * What the files of boot/ share: a kernel file as a whole, and little-endian fields in it.
 */
#include <endian.h>
#include <stddef.h>
#include <string.h>

#include "boot/boot.h"

/* A kernel file mapped read-only.  It may shrink while we read: then SIGBUS ends this process, as
 * it ends Firecracker (exit 149). */
struct image {
	const uint8_t *data;
	size_t len;
};

static inline uint16_t image_le16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return le16toh(v);
}

static inline uint32_t image_le32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

/* Both fill *ret; -ENOEXEC when it is another format than theirs (then the other is tried). */
int elf_load(struct guestmem *gm, const struct image *file, bool allow_pvh, struct boot_kernel *ret,
	     struct err *e);
int bzimage_load(struct guestmem *gm, const struct image *file, struct boot_kernel *ret,
		 struct err *e);

/* Unpack a bzImage's payload; *ret is malloc'd.  -EOPNOTSUPP: a compression that we don't know. */
int payload_unpack(const struct image *payload, uint8_t **ret, size_t *ret_len, struct err *e);

struct boot_placed {
	gpa_t initrd_gpa;
	uint64_t initrd_len; /* 0: none */
};

/* The zero page, GDT and page tables of the 64-bit protocol. */
int linux64_write(struct guestmem *gm, const struct boot_kernel *k, const struct boot_files *files,
		  const struct boot_placed *at, struct err *e);
/* start_info and what it points at. */
int pvh_write(struct guestmem *gm, const struct boot_files *files, const struct boot_placed *at,
	      struct err *e);

/* The guest's memory map, as both protocols give it (types of ACPI 6.4 sec. 15). */
#define MEMMAP_MAX	12u
#define MEMMAP_RAM	1u
#define MEMMAP_RESERVED 2u
struct memmap_entry {
	uint64_t gpa, size;
	uint32_t type;
};
size_t memmap_make(const struct guestmem *gm, const struct boot_files *files,
		   struct memmap_entry ret[MEMMAP_MAX]);
