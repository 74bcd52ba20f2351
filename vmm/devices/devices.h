#pragma once
/*
 * Makers of virtio devices.  Called by the machine on the main thread; what they make is driven by
 * the virtio core and given back by vdev_free.
 */
#include <stdbool.h>
#include <stdint.h>

#include "virtio/device.h"

struct err;

struct blk_config {
	const char *path;
	bool read_only;
	bool writeback; /* offer FLUSH, and carry it out */
};
/* Opens the file or block device. */
int blk_new(const struct blk_config *c, struct guestmem *gm, struct loop *loop, struct vdev **ret,
	    struct err *e);

struct net_config {
	const char *tap;    /* a TAP's name, or "fd:7": an inherited descriptor of one */
	const uint8_t *mac; /* six bytes, or NULL: the guest chooses */
	uint16_t mtu;	    /* 0: not said */
};
int net_new(const struct net_config *c, struct guestmem *gm, struct loop *loop, struct vdev **ret,
	    struct err *e);

int rng_new(struct guestmem *gm, struct loop *loop, struct vdev **ret, struct err *e);
