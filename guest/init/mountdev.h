#pragma once
/*
 * Mounting one disk, with every reason for refusal told apart.
 */
#include <stdbool.h>
#include <stdint.h>

#include "init/blockdev.h"
#include "init/params.h"

struct fault;
struct watch;

struct mount_want {
	const char *spec;   /* what blockdev_find takes */
	const char *target; /* directory; made if absent */
	enum root_access access;
	const char *fstype; /* "": what the superblock says; else names with commas between */
	const char *flags;  /* mount options with commas between, "" none */
	bool is_shared;	    /* other VMs read this disk: refuse a mount that would write to it */
	uint64_t wait_ns;
};

struct mounted {
	struct blockdev dev;
	char fs[DEVSPEC_LEN]; /* the type that was mounted */
	bool is_writable;
};

/* Wait for the disk and mount it; -1 with the fault set. */
int mountdev(const struct mount_want *want, struct watch *watch, struct mounted *ret,
	     struct fault *f);
/* True when the kernel has this file system (proc(5), /proc/filesystems). */
bool filesystem_is_known(const char *name);
