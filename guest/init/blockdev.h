#pragma once
/*
 * The disks of this machine: listing, finding the one that root= means, looking at their first
 * bytes.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "init/superblock.h"

#define BLOCKDEV_NAME_LEN 32
#define BLOCKDEVS_MAX	  64u

struct blockdev {
	char name[BLOCKDEV_NAME_LEN]; /* "vda", "vda1" */
	uint64_t size_bytes;
	bool read_only;
};

/* Disks and partitions in order of name, without ram and loop devices; returns how many. */
size_t blockdev_list(struct blockdev ret_devs[BLOCKDEVS_MAX]);
/* True for /dev/NAME, PARTUUID=, UUID= and LABEL=. */
bool blockdev_spec_is_known(const char *spec);
/* The device that spec means now: 0, or -ENOENT. */
int blockdev_find(const char *spec, struct blockdev *ret);
/* What the disk holds: 0, or -Exxx when it cannot be read. */
int blockdev_probe(const struct blockdev *dev, struct superblock *ret);
