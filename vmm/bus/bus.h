#pragma once
/*
 * An address space of devices: one for MMIO, one for port I/O.
 *
 * The machine adds the devices before the vCPUs run; afterwards the table never changes, so that
 * every vCPU thread dispatches through it without a lock.  Trust: address, length and data of each
 * access were chosen by the guest.
 */
#include <stdbool.h>
#include <stdint.h>

#define BUS_REGIONS_MAX 96u /* 32 devices with a window each, the legacy ports, room */
#define BUS_ACCESS_MAX	8u  /* bytes of the longest access */

struct err;

/* Called on the vCPU's thread.  off is relative to the region's base; off and len (1, 2, 4 or 8)
 * lie within the region.  data holds zeroes before a read. */
struct bus_ops {
	void (*read)(void *ctx, uint64_t off, void *data, unsigned len);
	void (*write)(void *ctx, uint64_t off, const void *data, unsigned len);
};

struct bus_region {
	const char *name; /* static, for people */
	uint64_t base, size;
	const struct bus_ops *ops;
	void *ctx; /* borrowed */
};

struct bus {
	struct bus_region regions[BUS_REGIONS_MAX]; /* by base */
	unsigned regions_n;
	uint64_t unclaimed; /* accesses that no region took; relaxed atomic */
};

/* -EEXIST on overlap, -ENOSPC when full.  Only before the vCPUs run. */
int bus_add(struct bus *b, const struct bus_region *region, struct err *e);

/* Unclaimed reads give all ones (as an empty PC bus), unclaimed writes vanish; both are counted. */
void bus_read(struct bus *b, uint64_t addr, void *data, unsigned len);
void bus_write(struct bus *b, uint64_t addr, const void *data, unsigned len);
