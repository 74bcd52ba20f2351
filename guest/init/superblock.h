#pragma once
/*
 * Telling from its first bytes what a disk holds.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SUPERBLOCK_HEAD_LEN (65536u + 4096u) /* btrfs has the farthest superblock: 64 KiB */
#define UUID_TEXT_LEN	    37
#define LABEL_LEN	    (4 * 16 + 1)

enum content {
	CONTENT_EMPTY,	    /* only zero bytes */
	CONTENT_FILESYSTEM, /* one that can be a root */
	CONTENT_OTHER,	    /* known, but no root: a partition table, qcow2, swap, ... */
	CONTENT_UNKNOWN,
};

struct superblock {
	enum content content;
	const char *name; /* static: "ext4", "a qcow2 image", ...; "" when empty or unknown */
	char uuid[UUID_TEXT_LEN]; /* lower case; "" none */
	char label[LABEL_LEN];	  /* as found, hostile; "" none */
	bool needs_recovery;	  /* ext3/4: the journal holds work, a mount would write */
	char first[17];		  /* the first 8 bytes in hexadecimal */
};

/* len may be less than SUPERBLOCK_HEAD_LEN on a small disk. */
void superblock_probe(const uint8_t *head, size_t len, struct superblock *ret);
