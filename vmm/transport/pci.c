/*
 * virtio over PCI, modern (virtio 1.2 sec. 4.1): one 64-bit BAR with everything, MSI-X alone.
 *
 * BAR 0, 512 KiB, as Firecracker lays it out:
 *	0x00000 common configuration   0x02000 interrupt status   0x04000 device configuration
 *	0x06000 notify, 4 bytes a queue   0x08000 MSI-X table   0x48000 MSI-X pending bits
 * Common configuration (sec. 4.1.4.3): 0 device feature word  4 device features  8 driver feature
 *	word  12 driver features  16 u16 MSI-X vector of the configuration  18 u16 number of queues
 *	20 u8 status  21 u8 generation  22 u16 queue  24 u16 size  26 u16 vector  28 u16 enable
 *	30 u16 notify offset  32 u64 descriptors  40 u64 available ring  48 u64 used ring
 *	56 u16 notify data  58 u16 reset
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "transport/transport.h"

#define VENDOR_VIRTIO  0x1af4u
#define DEVICE_BASE    0x1040u
#define BAR_SIZE       0x80000u
#define COMMON_AT      0x0u
#define COMMON_LEN     56u
#define ISR_AT	       0x2000u
#define DEVICE_AT      0x4000u
#define DEVICE_LEN     0x1000u
#define NOTIFY_AT      0x6000u
#define NOTIFY_LEN     0x1000u
#define NOTIFY_STEP    4u
#define TABLE_AT       0x8000u
#define TABLE_LEN      0x40000u
#define PENDING_AT     0x48000u
#define PENDING_LEN    0x800u
#define ISR_QUEUE      1u
#define ISR_CONFIG     2u
#define CLASS_NET      0x020000u
#define CLASS_BLOCK    0x018000u
#define CLASS_OTHER    0xffff00u
#define REVISION       1u
#define CAP_VENDOR     0x09u
#define CAP_LEN	       16u
#define CAP_NOTIFY_LEN 20u
#define CAP_PCI_LEN    20u

/* Sec. 4.1.4: types of the vendor capability. */
enum { CFG_COMMON = 1, CFG_NOTIFY = 2, CFG_ISR = 3, CFG_DEVICE = 4, CFG_PCI = 5 };

struct virtio_pci {
	struct vdev *dev; /* owned */
	struct transport_host host;
	struct pci_function function;
	struct msix msix;
	uint64_t base;	      /* where KVM was told to look for kicks; 0: nowhere */
	unsigned pci_cfg_cap; /* offset of the CFG_PCI capability */
	/* Written by the guest alone; two vCPUs that race for them harm only themselves. */
	uint32_t device_word, driver_word;
	uint16_t queue;
	uint16_t config_vector, queue_vectors[VDEV_QUEUES_MAX]; /* atomic */
	uint8_t isr;						/* atomic */
};

/* --- interrupts --- */

static void send_msi(void *ctx, uint64_t addr, uint32_t data)
{
	struct virtio_pci *t = ctx;

	t->host.msi(t->host.ctx, addr, data);
}

static void queue_irq(void *ctx, unsigned index)
{
	struct virtio_pci *t = ctx;

	(void)__atomic_or_fetch(&t->isr, ISR_QUEUE, __ATOMIC_SEQ_CST);
	msix_raise(&t->msix, __atomic_load_n(&t->queue_vectors[index], __ATOMIC_SEQ_CST));
}

static void config_irq(void *ctx)
{
	struct virtio_pci *t = ctx;

	(void)__atomic_or_fetch(&t->isr, ISR_CONFIG, __ATOMIC_SEQ_CST);
	msix_raise(&t->msix, __atomic_load_n(&t->config_vector, __ATOMIC_SEQ_CST));
}

/* Sec. 4.1.5.1.2.1: a vector that does not exist reads back as "none". */
static void set_vector(struct virtio_pci *t, uint16_t *vector, uint64_t v)
{
	uint16_t checked = v < t->msix.vectors_n ? (uint16_t)v : MSIX_NONE;

	__atomic_store_n(vector, checked, __ATOMIC_SEQ_CST);
}

static void reset(struct virtio_pci *t)
{
	vdev_set_status(t->dev, 0);
	__atomic_store_n(&t->isr, 0, __ATOMIC_SEQ_CST);
	set_vector(t, &t->config_vector, MSIX_NONE);
	for (unsigned i = 0; i < VDEV_QUEUES_MAX; i++)
		set_vector(t, &t->queue_vectors[i], MSIX_NONE);
	t->queue = 0;
}

/* --- common configuration --- */

static uint16_t *queue_vector(struct virtio_pci *t)
{
	return t->queue < t->dev->ops->n_queues ? &t->queue_vectors[t->queue] : NULL;
}

static uint64_t common_read(struct virtio_pci *t, unsigned off)
{
	uint16_t *vector = queue_vector(t);

	switch (off) {
	case 0:
		return t->device_word;
	case 4:
		return t->device_word < 2
			       ? (uint32_t)(vdev_features(t->dev) >> (32 * t->device_word))
			       : 0;
	case 8:
		return t->driver_word;
	case 12:
		return vdev_accepted(t->dev, t->driver_word);
	case 16:
		return __atomic_load_n(&t->config_vector, __ATOMIC_SEQ_CST);
	case 18:
		return t->dev->ops->n_queues;
	case 20:
		return vdev_status(t->dev);
	case 21:
		return vdev_generation(t->dev);
	case 22:
		return t->queue;
	case 24:
		return vdev_queue_size(t->dev, t->queue);
	case 26:
		return vector ? __atomic_load_n(vector, __ATOMIC_SEQ_CST) : MSIX_NONE;
	case 28:
		return vdev_queue_ready(t->dev, t->queue);
	case 30:
		return t->queue;
	default:
		return 0;
	}
}

static void common_write(struct virtio_pci *t, unsigned off, uint64_t v)
{
	uint16_t *vector = queue_vector(t);

	switch (off) {
	case 0:
		t->device_word = (uint32_t)v;
		break;
	case 8:
		t->driver_word = (uint32_t)v;
		break;
	case 12:
		vdev_accept(t->dev, t->driver_word, (uint32_t)v);
		break;
	case 16:
		set_vector(t, &t->config_vector, v);
		break;
	case 20:
		if (v)
			vdev_set_status(t->dev, (uint8_t)v);
		else
			reset(t);
		break;
	case 22:
		t->queue = (uint16_t)v;
		break;
	case 24:
		vdev_queue_set_size(t->dev, t->queue, (uint16_t)v);
		break;
	case 26:
		if (vector)
			set_vector(t, vector, v);
		break;
	case 28:
		if (v == 1) /* sec. 4.1.4.3.2: a driver never writes 0 */
			vdev_queue_set_ready(t->dev, t->queue, true);
		break;
	default:
		break;
	}
}

/* Ring addresses are 64 bits wide and may be accessed in halves (sec. 4.1.3.1). */
static void ring_access(struct virtio_pci *t, unsigned off, uint8_t *data, unsigned len, bool write)
{
	enum vdev_ring ring = (enum vdev_ring)((off - 32) / 8);

	for (unsigned at = 0; at + 4 <= len && (len == 4 || len == 8) && off % 4 == 0; at += 4) {
		bool high = (off + at) % 8;
		uint64_t whole;

		if (write) {
			vdev_queue_set_addr(t->dev, t->queue, ring, high,
					    (uint32_t)pci_get(data + at, 4));
			continue;
		}
		whole = vdev_queue_addr(t->dev, t->queue, ring);
		pci_put(data + at, high ? whole >> 32 : whole, 4);
	}
}

/* --- the BAR --- */

static void bar_read(void *ctx, uint64_t off, void *data, unsigned len)
{
	struct virtio_pci *t = ctx;

	memset(data, 0, len);
	if (gm_inside(off, len, COMMON_AT + 32, 24))
		ring_access(t, (unsigned)off, data, len, false);
	else if (gm_inside(off, len, COMMON_AT, COMMON_LEN))
		pci_put(data, common_read(t, (unsigned)off), len);
	else if (off == ISR_AT)
		*(uint8_t *)data = __atomic_exchange_n(&t->isr, 0, __ATOMIC_SEQ_CST);
	else if (gm_inside(off, len, DEVICE_AT, DEVICE_LEN))
		vdev_config_read(t->dev, off - DEVICE_AT, data, len);
	else if (gm_inside(off, len, TABLE_AT, TABLE_LEN))
		msix_table_read(&t->msix, off - TABLE_AT, data, len);
	else if (gm_inside(off, len, PENDING_AT, PENDING_LEN))
		msix_pending_read(&t->msix, off - PENDING_AT, data, len);
}

static void bar_write(void *ctx, uint64_t off, const void *data, unsigned len)
{
	struct virtio_pci *t = ctx;
	uint8_t copy[BUS_ACCESS_MAX];

	memcpy(copy, data, len);
	if (gm_inside(off, len, COMMON_AT + 32, 24))
		ring_access(t, (unsigned)off, copy, len, true);
	else if (gm_inside(off, len, COMMON_AT, COMMON_LEN))
		common_write(t, (unsigned)off, pci_get(copy, len));
	else if (gm_inside(off, len, DEVICE_AT, DEVICE_LEN))
		vdev_config_write(t->dev, off - DEVICE_AT, copy, len);
	else if (gm_inside(off, len, NOTIFY_AT, NOTIFY_LEN) && off % NOTIFY_STEP == 0)
		vdev_kick_now(t->dev, (unsigned)(off - NOTIFY_AT) / NOTIFY_STEP);
	else if (gm_inside(off, len, TABLE_AT, TABLE_LEN))
		msix_table_write(&t->msix, off - TABLE_AT, copy, len);
}

static void bar_moved(void *ctx, uint64_t base)
{
	struct virtio_pci *t = ctx;

	for (unsigned i = 0; i < t->dev->ops->n_queues; i++) {
		uint64_t at = NOTIFY_AT + i * NOTIFY_STEP;
		int fd = vdev_kick_fd(t->dev, i);

		if (t->base)
			t->host.kick_at(t->host.ctx, t->base + at, false, 0, fd, false);
		if (base)
			t->host.kick_at(t->host.ctx, base + at, false, 0, fd, true);
	}
	t->base = base;
}

/* --- configuration space --- */

/* Sec. 4.1.4.9: a window into the BAR for those who can't map it: cap + 4 BAR, + 8 offset, + 12
 * length, + 16 data. */
static bool pci_cfg_window(const struct virtio_pci *t, uint32_t *ret_off, unsigned *ret_len)
{
	const uint8_t *cap = t->function.config + t->pci_cfg_cap;
	uint64_t off = pci_get(cap + 8, 4), len = pci_get(cap + 12, 4);

	if (cap[4] != 0 || (len != 1 && len != 2 && len != 4) ||
	    !gm_inside(off, len, 0, BAR_SIZE) || off % len)
		return false;
	*ret_off = (uint32_t)off;
	*ret_len = (unsigned)len;
	return true;
}

static void config_reads(void *ctx, unsigned off, unsigned len)
{
	struct virtio_pci *t = ctx;
	unsigned data_at = t->pci_cfg_cap + 16, n;
	uint32_t at;

	if (off < data_at + 4 && off + len > data_at && pci_cfg_window(t, &at, &n))
		bar_read(t, at, t->function.config + data_at, n);
}

static void config_written(void *ctx, unsigned off, unsigned len)
{
	struct virtio_pci *t = ctx;
	unsigned data_at = t->pci_cfg_cap + 16, n;
	uint32_t at;

	msix_config_written(&t->msix, &t->function);
	if (off < data_at + 4 && off + len > data_at && pci_cfg_window(t, &at, &n))
		bar_write(t, at, t->function.config + data_at, n);
}

static void add_cap(struct pci_function *f, uint8_t type, uint32_t off, uint32_t len)
{
	uint8_t cap[CAP_NOTIFY_LEN] = {CAP_VENDOR, 0, CAP_LEN, type};
	unsigned cap_len = type == CFG_NOTIFY ? CAP_NOTIFY_LEN : CAP_LEN;

	cap[2] = (uint8_t)cap_len;
	pci_put(cap + 8, off, 4);
	pci_put(cap + 12, len, 4);
	pci_put(cap + 16, NOTIFY_STEP, 4);
	(void)pci_function_cap(f, cap, NULL, cap_len); /* its place is of no interest */
}

static void make_function(struct virtio_pci *t)
{
	static const struct pci_function_ops ops = {bar_read, bar_write, config_written,
						    config_reads, bar_moved};
	static const uint8_t pci_cap[CAP_PCI_LEN] = {CAP_VENDOR, 0, CAP_PCI_LEN, CFG_PCI};
	static const uint8_t pci_writable[CAP_PCI_LEN] = {
		[4] = 0xff,  [8] = 0xff,  [9] = 0xff,  [10] = 0xff, [11] = 0xff,
		[12] = 0xff, [13] = 0xff, [14] = 0xff, [15] = 0xff, [16] = 0xff,
		[17] = 0xff, [18] = 0xff, [19] = 0xff};
	uint16_t id = t->dev->ops->device_id;
	uint32_t class = id == 1 ? CLASS_NET : id == 2 ? CLASS_BLOCK : CLASS_OTHER;
	struct pci_function *f = &t->function;

	f->ops = &ops;
	f->ctx = t;
	f->bar_size = BAR_SIZE;
	pci_function_init(f, VENDOR_VIRTIO, (uint16_t)(DEVICE_BASE + id), class << 8 | REVISION);
	add_cap(f, CFG_COMMON, COMMON_AT, COMMON_LEN);
	add_cap(f, CFG_ISR, ISR_AT, 1);
	add_cap(f, CFG_DEVICE, DEVICE_AT, DEVICE_LEN);
	add_cap(f, CFG_NOTIFY, NOTIFY_AT, NOTIFY_LEN);
	t->pci_cfg_cap = pci_function_cap(f, pci_cap, pci_writable, CAP_PCI_LEN);
	msix_init(&t->msix, f, t->dev->ops->n_queues + 1u, TABLE_AT, PENDING_AT);
	t->msix.send = send_msi;
	t->msix.ctx = t;
}

int virtio_pci_new(struct vdev *dev, const struct transport_host *host, struct pci_host *pci,
		   struct virtio_pci **ret, struct err *e)
{
	struct virtio_pci *t = mem_zalloc(sizeof(*t));
	unsigned slot;
	int rc;

	if (!t) {
		vdev_free(dev);
		return err_nomem(e);
	}
	t->dev = dev;
	t->host = *host;
	t->config_vector = MSIX_NONE;
	memset(t->queue_vectors, 0xff, sizeof(t->queue_vectors)); /* MSIX_NONE */
	dev->sink = (struct vdev_sink){queue_irq, config_irq, t};
	make_function(t);
	rc = pci_host_add(pci, &t->function, &slot, e);
	if (rc) {
		virtio_pci_free(t);
		return rc;
	}
	*ret = t;
	return 0;
}

void virtio_pci_free(struct virtio_pci *t)
{
	if (!t)
		return;
	vdev_free(t->dev);
	free(t);
}

struct pci_function *virtio_pci_function(struct virtio_pci *t)
{
	return &t->function;
}
