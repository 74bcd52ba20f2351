/*
 * The entropy device (virtio 1.2 sec. 5.4): fills the driver's buffers from getrandom(2).
 */
#include <stdlib.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/mem.h"
#include "devices/devices.h"

#define REQUEST_MAX (64u << 10) /* bytes a request: the guest must not hold us up for longer */

struct rng {
	struct vdev dev;
	struct vq_chain chain;
};

static uint64_t features(const struct vdev *d)
{
	(void)d;
	return 0;
}

static int64_t fill(struct vdev *d, struct vq_chain *c)
{
	uint32_t done = 0;

	(void)d;
	for (unsigned i = c->out_n; i < c->out_n + c->in_n && done < REQUEST_MAX; i++) {
		size_t n = c->iov[i].iov_len;

		if (n > REQUEST_MAX - done)
			n = REQUEST_MAX - done;
		random_bytes(c->iov[i].iov_base, n);
		done += (uint32_t)n;
	}
	return done;
}

static int kick(struct vdev *d, unsigned index)
{
	return vdev_drain(d, index, &((struct rng *)(void *)d)->chain, fill);
}

static void destroy(struct vdev *d)
{
	vdev_done(d);
	free(d);
}

int rng_new(struct guestmem *gm, struct loop *loop, struct vdev **ret, struct err *e)
{
	static const struct vdev_ops ops = {
		.name = "rng",
		.device_id = 4,
		.n_queues = 1,
		.features = features,
		.kick = kick,
		.destroy = destroy,
	};
	struct rng *r = mem_zalloc(sizeof(*r));
	int rc;

	if (!r)
		return err_nomem(e);
	rc = vdev_init(&r->dev, &ops, gm, loop, e);
	if (rc) {
		destroy(&r->dev);
		return rc;
	}
	*ret = &r->dev;
	return 0;
}
