/*
 * The life of a virtio device: status, features, queues (virtio 1.2 sec. 2.1-2.6, 3.1).
 */
#include "virtio/device.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/err.h"

static void lock(struct vdev *d)
{
	(void)pthread_mutex_lock(&d->lock); /* a plain mutex can't fail */
}

static void unlock(struct vdev *d)
{
	(void)pthread_mutex_unlock(&d->lock);
}

static uint64_t offered(const struct vdev *d)
{
	return d->ops->features(d) | VDEV_F_INDIRECT | VDEV_F_EVENT_IDX | VDEV_F_VERSION_1;
}

/* Sec. 2.1.2: the device has met an error from which only a reset helps. */
static void fail(struct vdev *d)
{
	d->faults_n++;
	d->running = d->to_activate = false;
	d->status |= VDEV_NEEDS_RESET;
	if (d->ops->quiesce)
		d->ops->quiesce(d);
	if (d->status & VDEV_DRIVER_OK)
		d->sink.config_irq(d->sink.ctx);
}

/* --- the loop's thread --- */

static void activate_if_due(struct vdev *d)
{
	if (!d->to_activate)
		return;
	d->to_activate = false;
	if (d->ops->activate && d->ops->activate(d, d->driver_features) < 0)
		fail(d);
}

static void on_posted(void *arg)
{
	struct vdev *d = arg;

	lock(d);
	activate_if_due(d);
	unlock(d);
}

static void on_kick(struct watch *w, uint32_t got)
{
	struct vdev_kick *k = container_of(w, struct vdev_kick, watch);
	struct vdev *d = k->dev;
	uint64_t n;

	(void)got;
	if (read(w->fd, &n, sizeof(n)) < 0)
		return; /* nobody else reads it, so it comes again */
	lock(d);
	activate_if_due(d);
	if (d->running && d->queues[k->index].ready) {
		d->kicks_n++;
		if (d->ops->kick(d, k->index) < 0)
			fail(d);
	}
	unlock(d);
}

bool vdev_with_lock(struct vdev *d, int (*fn)(struct vdev *d))
{
	bool ran;

	lock(d);
	activate_if_due(d);
	ran = d->running;
	if (ran && fn(d) < 0)
		fail(d);
	unlock(d);
	return ran;
}

void vdev_notify(struct vdev *d, unsigned index)
{
	if (!vq_wants_irq(&d->queues[index]))
		return;
	d->irqs_n++;
	d->sink.queue_irq(d->sink.ctx, index);
}

int vdev_drain(struct vdev *d, unsigned index, struct vq_chain *chain,
	       int64_t (*fn)(struct vdev *d, struct vq_chain *c))
{
	struct vq *q = &d->queues[index];
	unsigned done = 0;
	int rc = 0;

	do {
		while (done < VQ_SIZE_MAX && (rc = vq_next(q, chain)) > 0) {
			int64_t written = fn(d, chain);

			if (written < 0)
				return (int)written;
			vq_done(q, chain->head, (uint32_t)written);
			done++;
		}
		if (rc < 0)
			return rc;
	} while (done < VQ_SIZE_MAX && vq_rearm(q));
	if (done == VQ_SIZE_MAX)
		vdev_kick_now(d, index);
	if (done)
		vdev_notify(d, index);
	return 0;
}

void vdev_config_changed(struct vdev *d)
{
	lock(d);
	d->generation++;
	if (d->status & VDEV_DRIVER_OK)
		d->sink.config_irq(d->sink.ctx);
	unlock(d);
}

/* --- life --- */

static void no_queue_irq(void *ctx, unsigned index)
{
	(void)ctx, (void)index;
}

static void no_config_irq(void *ctx)
{
	(void)ctx;
}

int vdev_init(struct vdev *d, const struct vdev_ops *ops, struct guestmem *gm, struct loop *loop,
	      struct err *e)
{
	assert(ops->n_queues <= VDEV_QUEUES_MAX);
	d->ops = ops;
	d->gm = gm;
	d->loop = loop;
	d->sink = (struct vdev_sink){no_queue_irq, no_config_irq, NULL};
	(void)pthread_mutex_init(&d->lock, NULL); /* without attributes it can't fail */
	for (unsigned i = 0; i < VDEV_QUEUES_MAX; i++)
		d->kicks[i] =
			(struct vdev_kick){{.fd = -1, .want = EPOLLIN, .ready = on_kick}, d, i};
	for (unsigned i = 0; i < ops->n_queues; i++) {
		struct watch *w = &d->kicks[i].watch;
		int rc;

		d->queues[i].size = VQ_SIZE_MAX;
		w->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (w->fd < 0)
			return err_sys(e, errno, "virtio.eventfd", "%s: eventfd", ops->name);
		rc = loop_watch(loop, w, e);
		if (rc)
			return rc;
	}
	return 0;
}

void vdev_done(struct vdev *d)
{
	if (!d->ops)
		return;
	for (unsigned i = 0; i < d->ops->n_queues; i++) {
		struct watch *w = &d->kicks[i].watch;

		loop_unwatch(d->loop, w);
		cleanup_close(&w->fd);
	}
}

void vdev_free(struct vdev *d)
{
	if (d)
		d->ops->destroy(d);
}

/* --- registers --- */

static void reset(struct vdev *d)
{
	d->running = d->to_activate = false;
	if (d->ops->quiesce)
		d->ops->quiesce(d);
	d->status = 0;
	d->driver_features = 0;
	d->resets_n++;
	for (unsigned i = 0; i < d->ops->n_queues; i++)
		d->queues[i] = (struct vq){.size = VQ_SIZE_MAX};
}

static void start(struct vdev *d)
{
	bool event_idx = d->driver_features & VDEV_F_EVENT_IDX;

	for (unsigned i = 0; i < d->ops->n_queues; i++) {
		if (d->queues[i].ready && vq_start(&d->queues[i], d->gm, event_idx)) {
			fail(d);
			return;
		}
	}
	d->running = d->to_activate = true;
	/* Without memory for the post the first kick activates it. */
	(void)loop_post(d->loop, on_posted, d);
}

void vdev_set_status(struct vdev *d, uint8_t status)
{
	uint8_t added;

	lock(d);
	added = status & (uint8_t)~d->status;
	if (status == 0) {
		reset(d);
	} else if ((status & d->status) == (d->status & (uint8_t)~VDEV_NEEDS_RESET)) {
		/* Sec. 2.1.1: a driver must not clear bits, and must not set NEEDS_RESET. */
		added &= (uint8_t)~VDEV_NEEDS_RESET;
		if ((added & VDEV_FEATURES_OK) && ((d->driver_features & ~offered(d)) ||
						   !(d->driver_features & VDEV_F_VERSION_1)))
			added &= (uint8_t)~VDEV_FEATURES_OK;
		if ((added & VDEV_DRIVER_OK) && !((d->status | added) & VDEV_FEATURES_OK))
			added &= (uint8_t)~VDEV_DRIVER_OK;
		d->status |= added;
		if (added & VDEV_DRIVER_OK)
			start(d);
	}
	unlock(d);
}

uint8_t vdev_status(struct vdev *d)
{
	uint8_t v;

	lock(d);
	v = d->status;
	unlock(d);
	return v;
}

uint8_t vdev_generation(struct vdev *d)
{
	uint8_t v;

	lock(d);
	v = d->generation;
	unlock(d);
	return v;
}

uint64_t vdev_features(struct vdev *d)
{
	uint64_t v;

	lock(d);
	v = offered(d);
	unlock(d);
	return v;
}

void vdev_accept(struct vdev *d, unsigned word, uint32_t bits)
{
	lock(d);
	if (word < 2 && !(d->status & VDEV_FEATURES_OK)) {
		d->driver_features &= ~(0xffffffffull << (32 * word));
		d->driver_features |= (uint64_t)bits << (32 * word);
	}
	unlock(d);
}

uint32_t vdev_accepted(struct vdev *d, unsigned word)
{
	uint32_t v;

	lock(d);
	v = word < 2 ? (uint32_t)(d->driver_features >> (32 * word)) : 0;
	unlock(d);
	return v;
}

/* The queue if its registers may be written now. */
static struct vq *settable(struct vdev *d, unsigned index)
{
	bool now = (d->status & (VDEV_FEATURES_OK | VDEV_DRIVER_OK)) == VDEV_FEATURES_OK;

	return now && index < d->ops->n_queues ? &d->queues[index] : NULL;
}

uint16_t vdev_queue_size(struct vdev *d, unsigned index)
{
	uint16_t v;

	lock(d);
	v = index < d->ops->n_queues ? d->queues[index].size : 0;
	unlock(d);
	return v;
}

void vdev_queue_set_size(struct vdev *d, unsigned index, uint16_t size)
{
	struct vq *q;

	lock(d);
	q = settable(d, index);
	if (q && !q->ready)
		q->size = size; /* checked by vq_start */
	unlock(d);
}

bool vdev_queue_ready(struct vdev *d, unsigned index)
{
	bool v;

	lock(d);
	v = index < d->ops->n_queues && d->queues[index].ready;
	unlock(d);
	return v;
}

void vdev_queue_set_ready(struct vdev *d, unsigned index, bool ready)
{
	struct vq *q;

	lock(d);
	q = settable(d, index);
	if (q)
		q->ready = ready;
	unlock(d);
}

static gpa_t *ring_addr(struct vq *q, enum vdev_ring ring)
{
	return ring == VDEV_DESC ? &q->desc_gpa : ring == VDEV_AVAIL ? &q->avail_gpa : &q->used_gpa;
}

uint64_t vdev_queue_addr(struct vdev *d, unsigned index, enum vdev_ring ring)
{
	uint64_t v;

	lock(d);
	v = index < d->ops->n_queues ? *ring_addr(&d->queues[index], ring) : 0;
	unlock(d);
	return v;
}

void vdev_queue_set_addr(struct vdev *d, unsigned index, enum vdev_ring ring, bool high, uint32_t v)
{
	struct vq *q;

	lock(d);
	q = settable(d, index);
	if (q && !q->ready) {
		gpa_t *addr = ring_addr(q, ring);

		*addr = high ? (*addr & 0xffffffffu) | (uint64_t)v << 32
			     : (*addr & ~0xffffffffull) | v;
	}
	unlock(d);
}

int vdev_kick_fd(const struct vdev *d, unsigned index)
{
	return index < d->ops->n_queues ? d->kicks[index].watch.fd : -1;
}

void vdev_kick_now(struct vdev *d, unsigned index)
{
	uint64_t one = 1;

	/* Full means that a kick is under way already. */
	if (index < d->ops->n_queues && write(d->kicks[index].watch.fd, &one, sizeof(one)) < 0)
		return;
}

void vdev_config_read(struct vdev *d, uint64_t off, void *dst, unsigned len)
{
	lock(d);
	memset(dst, 0, len);
	if (d->ops->config_read && gm_inside(off, len, 0, d->ops->config_size))
		d->ops->config_read(d, (unsigned)off, dst, len);
	unlock(d);
}

void vdev_config_write(struct vdev *d, uint64_t off, const void *src, unsigned len)
{
	lock(d);
	if (d->ops->config_write && gm_inside(off, len, 0, d->ops->config_size))
		d->ops->config_write(d, (unsigned)off, src, len);
	unlock(d);
}
