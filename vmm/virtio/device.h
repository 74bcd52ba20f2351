#pragma once
/*
 * What a virtio device must provide, what it may call, and the core between it and its transport.
 *
 *	device (devices/)       knows requests;  knows no bus, no interrupt, no register
 *	core (device.c)         knows the specification's status, feature and queue rules, once
 *	transport (transport/)  knows register offsets and interrupts; knows no device
 *
 * Register accesses come on vCPU threads, kicks on the loop's thread.  The core holds the device's
 * lock in each of them, so a device needs no lock of its own.  Trust: all that registers and queues
 * carry is the guest's.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loop/loop.h"
#include "virtio/queue.h"

struct err;
struct vdev;

#define VDEV_QUEUES_MAX 8u

/* Virtio 1.2 sec. 2.1: device status. */
#define VDEV_ACKNOWLEDGE 1u
#define VDEV_DRIVER	 2u
#define VDEV_DRIVER_OK	 4u
#define VDEV_FEATURES_OK 8u
#define VDEV_NEEDS_RESET 64u
#define VDEV_FAILED	 128u

/* Sec. 6: what the core offers for every device. */
#define VDEV_F_INDIRECT	 (1ull << 28)
#define VDEV_F_EVENT_IDX (1ull << 29)
#define VDEV_F_VERSION_1 (1ull << 32)

struct vdev_ops {
	const char *name;   /* "blk": in logs, metrics and the API */
	uint16_t device_id; /* virtio 1.2 sec. 5 */
	uint16_t n_queues;
	uint16_t config_size; /* bytes of device-specific configuration */

	/* Feature bits beyond those of the core.  Any thread, lock held. */
	uint64_t (*features)(const struct vdev *d);
	/* The driver is ready, the queues are checked.  Loop's thread, before the first kick of
	 * this activation; NULL: nothing to do.  Negative: NEEDS_RESET. */
	int (*activate)(struct vdev *d, uint64_t features);
	/* Queue `index` was kicked: drain it.  Loop's thread.  Negative: NEEDS_RESET; never
	 * fatal. */
	int (*kick)(struct vdev *d, unsigned index);
	/* Forget all requests and touch guest memory no more.  Any thread, must not call the loop;
	 * NULL: nothing to do. */
	void (*quiesce)(struct vdev *d);
	/* off + len <= config_size is checked by the core.  NULL: not readable or not writable. */
	void (*config_read)(const struct vdev *d, unsigned off, void *dst, unsigned len);
	void (*config_write)(struct vdev *d, unsigned off, const void *src, unsigned len);
	/* Give back everything, half-built is fine, and the object itself.  Loop's thread. */
	void (*destroy)(struct vdev *d);
};

/* What a transport provides.  Loop's or vCPU's thread, lock held, must not call the core. */
struct vdev_sink {
	void (*queue_irq)(void *ctx, unsigned index);
	void (*config_irq)(void *ctx);
	void *ctx;
};

struct vdev_kick {
	struct watch watch;
	struct vdev *dev;
	unsigned index;
};

/* Devices embed it first. */
struct vdev {
	const struct vdev_ops *ops;
	struct guestmem *gm; /* borrowed */
	struct loop *loop;   /* borrowed */
	struct vdev_sink sink;
	pthread_mutex_t lock; /* guards all below */
	uint8_t status, generation;
	uint64_t driver_features;
	bool running;	  /* DRIVER_OK, and not broken since */
	bool to_activate; /* running, but ops->activate is still to be called */
	struct vq queues[VDEV_QUEUES_MAX];
	struct vdev_kick kicks[VDEV_QUEUES_MAX]; /* watch.fd: owned eventfd */
	/* Counters, for people. */
	uint64_t kicks_n, irqs_n, resets_n, faults_n;
};

/* Prepare the core's part; on failure vdev_done gives back what there is. */
int vdev_init(struct vdev *d, const struct vdev_ops *ops, struct guestmem *gm, struct loop *loop,
	      struct err *e);
void vdev_done(struct vdev *d); /* called by ops->destroy */
void vdev_free(struct vdev *d); /* NULL is fine */

/* --- for devices --- */

/* The used-buffer notification of this queue, if its driver wants one.  Lock held. */
void vdev_notify(struct vdev *d, unsigned index);
/* Let fn carry out every request of the queue, then notify.  fn returns how many bytes it wrote to
 * the request, or negative: the device is broken.  A driver that never ceases gets its turn again
 * later, so that it can't keep the loop for itself.  Lock held; chain is the device's room for a
 * request. */
int vdev_drain(struct vdev *d, unsigned index, struct vq_chain *chain,
	       int64_t (*fn)(struct vdev *d, struct vq_chain *c));
/* The configuration has changed.  Loop's thread, lock not held. */
void vdev_config_changed(struct vdev *d);
/* Run fn with the lock held if the device is running; for callbacks of a device's own watches.
 * Negative results of fn mean NEEDS_RESET.  False: it was not running. */
bool vdev_with_lock(struct vdev *d, int (*fn)(struct vdev *d));

/* --- for transports; each takes the lock --- */

uint64_t vdev_features(struct vdev *d);
/* Word 0 or 1 of what the driver accepts; only before FEATURES_OK. */
void vdev_accept(struct vdev *d, unsigned word, uint32_t bits);
uint32_t vdev_accepted(struct vdev *d, unsigned word);
uint8_t vdev_status(struct vdev *d);
void vdev_set_status(struct vdev *d, uint8_t status);
uint8_t vdev_generation(struct vdev *d);

enum vdev_ring { VDEV_DESC, VDEV_AVAIL, VDEV_USED };
/* Queue registers: unknown indices read as 0 and ignore writes; writes count only between
 * FEATURES_OK and DRIVER_OK. */
uint16_t vdev_queue_size(struct vdev *d, unsigned index);
void vdev_queue_set_size(struct vdev *d, unsigned index, uint16_t size);
bool vdev_queue_ready(struct vdev *d, unsigned index);
void vdev_queue_set_ready(struct vdev *d, unsigned index, bool ready);
uint64_t vdev_queue_addr(struct vdev *d, unsigned index, enum vdev_ring ring);
/* The low or the high half of a ring's address. */
void vdev_queue_set_addr(struct vdev *d, unsigned index, enum vdev_ring ring, bool high,
			 uint32_t v);
/* The eventfd that carries this queue's kicks, or -1. */
int vdev_kick_fd(const struct vdev *d, unsigned index);
/* A kick that did not come through the eventfd. */
void vdev_kick_now(struct vdev *d, unsigned index);

void vdev_config_read(struct vdev *d, uint64_t off, void *dst, unsigned len);
void vdev_config_write(struct vdev *d, uint64_t off, const void *src, unsigned len);
