/*
 * A sorted table of regions and a binary search.
 */
#include "bus/bus.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/err.h"

int bus_add(struct bus *b, const struct bus_region *region, struct err *e)
{
	unsigned at = 0;

	if (b->regions_n == BUS_REGIONS_MAX)
		return err_set(e, -ENOSPC, ERR_LIMIT, "bus.full",
			       "%s: the bus has room for %u regions", region->name,
			       BUS_REGIONS_MAX);
	while (at < b->regions_n && b->regions[at].base < region->base)
		at++;
	if ((at > 0 && region->base - b->regions[at - 1].base < b->regions[at - 1].size) ||
	    (at < b->regions_n && b->regions[at].base - region->base < region->size))
		return err_set(e, -EEXIST, ERR_BUG, "bus.overlap",
			       "%s at %#llx overlaps another region", region->name,
			       (unsigned long long)region->base);
	memmove(&b->regions[at + 1], &b->regions[at], (b->regions_n - at) * sizeof(b->regions[0]));
	b->regions[at] = *region;
	b->regions_n++;
	return 0;
}

static const struct bus_region *find(struct bus *b, uint64_t addr, unsigned len)
{
	unsigned lo = 0, hi = b->regions_n;
	const struct bus_region *r;

	while (lo < hi) {
		unsigned mid = lo + (hi - lo) / 2;

		if (b->regions[mid].base <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	r = lo ? &b->regions[lo - 1] : NULL;
	if (r && addr - r->base < r->size && len <= r->size - (addr - r->base))
		return r;
	(void)__atomic_add_fetch(&b->unclaimed, 1, __ATOMIC_RELAXED);
	return NULL;
}

void bus_read(struct bus *b, uint64_t addr, void *data, unsigned len)
{
	const struct bus_region *r = find(b, addr, len);

	memset(data, r ? 0 : 0xff, len);
	if (r)
		r->ops->read(r->ctx, addr - r->base, data, len);
}

void bus_write(struct bus *b, uint64_t addr, const void *data, unsigned len)
{
	const struct bus_region *r = find(b, addr, len);

	if (r)
		r->ops->write(r->ctx, addr - r->base, data, len);
}
