#pragma once
/*
 * A virtio driver in C, for tests: speaks rings in a guestmem of 1 MiB, through the MMIO transport,
 * on a loop, without KVM.  Queue i lies at (i + 1) * 64 KiB; buffers are the test's, from 512 KiB
 * on.
 */
#include <endian.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/err.h"
#include "guestmem/guestmem.h"
#include "loop/loop.h"
#include "transport/transport.h"

#define FAKE_MMIO     0xc0001000ull
#define FAKE_SIZE     16u /* entries of a queue */
#define FAKE_DATA     0x80000u
#define FAKE_MEM      0x100000u
#define FAKE_NEXT     1u
#define FAKE_WRITE    2u
#define FAKE_INDIRECT 4u

struct fake_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

struct fake {
	struct loop *loop;
	struct guestmem *gm;
	struct bus mmio;
	struct virtio_mmio *transport;
	int irq_fd; /* a copy of the transport's */
	uint16_t avail[VDEV_QUEUES_MAX];
};

static inline void fake_no_kick(void *ctx, uint64_t addr, bool match, uint32_t value, int fd,
				bool on)
{
	(void)ctx, (void)addr, (void)match, (void)value, (void)fd, (void)on;
}

static inline void fake_no_msi(void *ctx, uint64_t addr, uint32_t data)
{
	(void)ctx, (void)addr, (void)data;
}

static inline uint64_t fake_desc_gpa(unsigned queue)
{
	return (queue + 1ull) << 16;
}

static inline uint64_t fake_avail_gpa(unsigned queue)
{
	return fake_desc_gpa(queue) + 0x2000;
}

static inline uint64_t fake_used_gpa(unsigned queue)
{
	return fake_desc_gpa(queue) + 0x4000;
}

static inline uint32_t fake_get(struct fake *f, unsigned off)
{
	uint32_t v;

	bus_read(&f->mmio, FAKE_MMIO + off, &v, sizeof(v));
	return le32toh(v);
}

static inline void fake_set(struct fake *f, unsigned off, uint32_t v)
{
	v = htole32(v);
	bus_write(&f->mmio, FAKE_MMIO + off, &v, sizeof(v));
}

static inline void fake_memory(struct fake *f)
{
	struct gm_range range = {0, FAKE_MEM};

	memset(f, 0, sizeof(*f));
	if (gm_new(&range, 1, &f->gm, NULL) || loop_new(&f->loop, NULL))
		abort();
}

/* Takes dev. */
static inline void fake_attach(struct fake *f, struct vdev *dev)
{
	struct transport_host host = {fake_no_kick, fake_no_msi, NULL};
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	f->irq_fd = dup(fd);
	if (virtio_mmio_new(dev, FAKE_MMIO, fd, &host, &f->mmio, &f->transport, NULL))
		abort();
}

static inline void fake_done(struct fake *f)
{
	virtio_mmio_free(f->transport);
	loop_free(f->loop);
	gm_free(f->gm);
	(void)close(f->irq_fd);
}

static inline void fake_set_addr(struct fake *f, unsigned off, uint64_t v)
{
	fake_set(f, off, (uint32_t)v);
	fake_set(f, off + 4, (uint32_t)(v >> 32));
}

/* Up to DRIVER_OK with the features accepted; returns the status that the device then has. */
static inline uint32_t fake_start(struct fake *f, uint64_t features, unsigned queues)
{
	fake_set(f, 0x70, 0);
	fake_set(f, 0x70, VDEV_ACKNOWLEDGE | VDEV_DRIVER);
	for (unsigned word = 0; word < 2; word++) {
		fake_set(f, 0x24, word);
		fake_set(f, 0x20, (uint32_t)((features | VDEV_F_VERSION_1) >> (32 * word)));
	}
	fake_set(f, 0x70, VDEV_ACKNOWLEDGE | VDEV_DRIVER | VDEV_FEATURES_OK);
	for (unsigned i = 0; i < queues; i++) {
		uint8_t zero[0x6000] = {0};

		if (gm_write(f->gm, fake_desc_gpa(i), zero, sizeof(zero)))
			abort();
		f->avail[i] = 0;
		fake_set(f, 0x30, i);
		fake_set(f, 0x38, FAKE_SIZE);
		fake_set_addr(f, 0x80, fake_desc_gpa(i));
		fake_set_addr(f, 0x90, fake_avail_gpa(i));
		fake_set_addr(f, 0xa0, fake_used_gpa(i));
		fake_set(f, 0x44, 1);
	}
	fake_set(f, 0x70, VDEV_ACKNOWLEDGE | VDEV_DRIVER | VDEV_FEATURES_OK | VDEV_DRIVER_OK);
	(void)loop_step(f->loop, 0, NULL);
	return fake_get(f, 0x70);
}

static inline void fake_put_desc(struct fake *f, gpa_t table, unsigned index, struct fake_desc d)
{
	d = (struct fake_desc){htole64(d.addr), htole32(d.len), htole16(d.flags), htole16(d.next)};
	if (gm_write(f->gm, table + index * 16ull, &d, sizeof(d)))
		abort();
}

static inline void fake_push(struct fake *f, unsigned queue, uint16_t head)
{
	uint16_t le = htole16(head), idx;

	if (gm_write(f->gm, fake_avail_gpa(queue) + 4 + 2ull * (f->avail[queue] % FAKE_SIZE), &le,
		     2))
		abort();
	idx = htole16(++f->avail[queue]);
	if (gm_write(f->gm, fake_avail_gpa(queue) + 2, &idx, 2))
		abort();
}

static inline void fake_kick(struct fake *f, unsigned queue)
{
	fake_set(f, 0x50, queue);
	(void)loop_step(f->loop, 0, NULL);
}

/* Put a chain of descriptors at index 0 and following, push and kick it. */
static inline void fake_send(struct fake *f, unsigned queue, struct fake_desc *d, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (i + 1 < n)
			d[i].flags |= FAKE_NEXT;
		d[i].next = (uint16_t)(i + 1);
		fake_put_desc(f, fake_desc_gpa(queue), i, d[i]);
	}
	fake_push(f, queue, 0);
	fake_kick(f, queue);
}

static inline uint16_t fake_used(struct fake *f, unsigned queue)
{
	uint16_t v;

	if (gm_read(f->gm, fake_used_gpa(queue) + 2, &v, sizeof(v)))
		abort();
	return le16toh(v);
}

/* Bytes that the device says it wrote to its last request. */
static inline uint32_t fake_written(struct fake *f, unsigned queue)
{
	uint32_t v;
	uint16_t last = (uint16_t)(fake_used(f, queue) - 1);

	if (gm_read(f->gm, fake_used_gpa(queue) + 8 + 8ull * (last % FAKE_SIZE), &v, sizeof(v)))
		abort();
	return le32toh(v);
}

static inline bool fake_irq(struct fake *f)
{
	uint64_t n;

	return read(f->irq_fd, &n, sizeof(n)) == sizeof(n);
}
