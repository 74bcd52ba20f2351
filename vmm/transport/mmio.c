/*
 * virtio over MMIO, version 2 (virtio 1.2 sec. 4.2.2).
 *
 * Registers, 32 bits each:
 *	0x000 magic   0x004 version   0x008 device id   0x00c vendor id
 *	0x010 device features   0x014 their word   0x020 driver features   0x024 their word
 *	0x030 queue   0x034 its largest size   0x038 size   0x044 ready   0x050 notify
 *	0x060 interrupt status   0x064 acknowledge   0x070 status
 *	0x080 descriptors, low and high   0x090 available ring   0x0a0 used ring
 *	0x0b0 shared memory's length   0x0fc configuration's generation   0x100 configuration
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/err.h"
#include "transport/transport.h"

#define MAGIC	   0x74726976u
#define VERSION	   2u
#define NOTIFY	   0x50u
#define CONFIG	   0x100u
#define IRQ_QUEUE  1u
#define IRQ_CONFIG 2u

struct virtio_mmio {
	struct vdev *dev; /* owned */
	struct transport_host host;
	uint64_t gpa;
	int irq_fd; /* owned */
	/* Written by the guest alone; two vCPUs that race for them harm only themselves. */
	uint32_t device_word, driver_word, queue;
	uint32_t irq_status; /* atomic */
};

static void raise_irq(struct virtio_mmio *t, uint32_t bit)
{
	uint64_t one = 1;

	(void)__atomic_or_fetch(&t->irq_status, bit, __ATOMIC_SEQ_CST);
	if (write(t->irq_fd, &one, sizeof(one)) < 0)
		return; /* full: an interrupt is under way already */
}

static void queue_irq(void *ctx, unsigned index)
{
	(void)index;
	raise_irq(ctx, IRQ_QUEUE);
}

static void config_irq(void *ctx)
{
	raise_irq(ctx, IRQ_CONFIG);
}

static uint32_t read_queue_register(struct virtio_mmio *t, unsigned off)
{
	switch (off) {
	case 0x034:
		return vdev_queue_size(t->dev, t->queue) ? VQ_SIZE_MAX : 0;
	case 0x038:
		return vdev_queue_size(t->dev, t->queue);
	default:
		return vdev_queue_ready(t->dev, t->queue);
	}
}

static uint32_t read_register(struct virtio_mmio *t, unsigned off)
{
	switch (off) {
	case 0x000:
		return MAGIC;
	case 0x004:
		return VERSION;
	case 0x008:
		return t->dev->ops->device_id;
	case 0x010:
		return t->device_word < 2
			       ? (uint32_t)(vdev_features(t->dev) >> (32 * t->device_word))
			       : 0;
	case 0x034:
	case 0x038:
	case 0x044:
		return read_queue_register(t, off);
	case 0x060:
		return __atomic_load_n(&t->irq_status, __ATOMIC_SEQ_CST);
	case 0x070:
		return vdev_status(t->dev);
	case 0x0b0:
	case 0x0b4:
		return 0xffffffffu; /* there is no shared memory */
	case 0x0fc:
		return vdev_generation(t->dev);
	default:
		return 0;
	}
}

static void on_read(void *ctx, uint64_t off, void *data, unsigned len)
{
	struct virtio_mmio *t = ctx;
	uint32_t v;

	if (off >= CONFIG) {
		vdev_config_read(t->dev, off - CONFIG, data, len);
		return;
	}
	if (len != 4 || off % 4)
		return; /* sec. 4.2.2.2: only whole registers */
	v = htole32(read_register(t, (unsigned)off));
	memcpy(data, &v, sizeof(v));
}

static void write_ring_address(struct virtio_mmio *t, unsigned off, uint32_t v)
{
	static const enum vdev_ring rings[] = {VDEV_DESC, VDEV_AVAIL, VDEV_USED};
	unsigned ring = (off - 0x80) / 0x10;

	if (off % 0x10 <= 4 && ring < ARRAY_LEN(rings))
		vdev_queue_set_addr(t->dev, t->queue, rings[ring], off % 0x10 == 4, v);
}

static void write_register(struct virtio_mmio *t, unsigned off, uint32_t v)
{
	switch (off) {
	case 0x014:
		t->device_word = v;
		break;
	case 0x020:
		vdev_accept(t->dev, t->driver_word, v);
		break;
	case 0x024:
		t->driver_word = v;
		break;
	case 0x030:
		t->queue = v;
		break;
	case 0x038:
		vdev_queue_set_size(t->dev, t->queue, v > VQ_SIZE_MAX ? 0 : (uint16_t)v);
		break;
	case 0x044:
		vdev_queue_set_ready(t->dev, t->queue, v & 1);
		break;
	case NOTIFY:
		vdev_kick_now(t->dev, v);
		break;
	case 0x064:
		(void)__atomic_and_fetch(&t->irq_status, ~v, __ATOMIC_SEQ_CST);
		break;
	case 0x070:
		vdev_set_status(t->dev, (uint8_t)v);
		if (v == 0)
			__atomic_store_n(&t->irq_status, 0, __ATOMIC_SEQ_CST);
		break;
	default:
		if (off >= 0x80 && off < 0xb0)
			write_ring_address(t, off, v);
	}
}

static void on_write(void *ctx, uint64_t off, const void *data, unsigned len)
{
	struct virtio_mmio *t = ctx;
	uint32_t v;

	if (off >= CONFIG) {
		vdev_config_write(t->dev, off - CONFIG, data, len);
		return;
	}
	if (len != 4 || off % 4)
		return;
	memcpy(&v, data, sizeof(v));
	write_register(t, (unsigned)off, le32toh(v));
}

int virtio_mmio_new(struct vdev *dev, uint64_t gpa, int irq_fd, const struct transport_host *host,
		    struct bus *mmio, struct virtio_mmio **ret, struct err *e)
{
	static const struct bus_ops ops = {on_read, on_write};
	struct virtio_mmio *t = mem_zalloc(sizeof(*t));
	int rc;

	if (!t) {
		vdev_free(dev);
		cleanup_close(&irq_fd);
		return err_nomem(e);
	}
	*t = (struct virtio_mmio){.dev = dev, .host = *host, .gpa = gpa, .irq_fd = irq_fd};
	dev->sink = (struct vdev_sink){queue_irq, config_irq, t};
	rc = bus_add(mmio, &(struct bus_region){dev->ops->name, gpa, VIRTIO_MMIO_SIZE, &ops, t}, e);
	if (rc) {
		virtio_mmio_free(t);
		return rc;
	}
	for (unsigned i = 0; i < dev->ops->n_queues; i++)
		host->kick_at(host->ctx, gpa + NOTIFY, true, i, vdev_kick_fd(dev, i), true);
	*ret = t;
	return 0;
}

void virtio_mmio_free(struct virtio_mmio *t)
{
	if (!t)
		return;
	vdev_free(t->dev);
	cleanup_close(&t->irq_fd);
	free(t);
}
