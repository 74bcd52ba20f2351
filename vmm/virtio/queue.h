#pragma once
/*
 * A split virtqueue, seen from the device (virtio 1.2 sec. 2.7), hardened against its driver.
 *
 * Called by the virtio core and by devices, with the device's lock held.  Trust: addresses,
 * indices, descriptors and lengths are the guest's.  What is read is copied, checked, and only the
 * copy is used; a broken ring is -EPROTO once and for all, until the device is reset.
 *
 *	descriptor  {le64 addr, le32 len, le16 flags, le16 next}, `size` of them
 *	available   {le16 flags, le16 idx, le16 ring[size], le16 used_event}
 *	used        {le16 flags, le16 idx, {le32 id, le32 len} ring[size], le16 avail_event}
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "guestmem/guestmem.h"

#define VQ_SIZE_MAX 256u
#define VQ_SEGS_MAX 256u /* of one chain; Linux builds at most seg_max + 2, and we say 254 */

struct vq {
	/* Set by the driver through the transport, kept by the core. */
	uint16_t size;
	gpa_t desc_gpa, avail_gpa, used_gpa;
	bool ready;
	/* Ours, from vq_start on. */
	struct guestmem *gm; /* borrowed */
	struct gm_span desc, avail, used;
	bool event_idx, broken;
	uint16_t next_avail, seen_avail, next_used, signalled_used;
	bool signalled_valid; /* signalled_used holds the index of the last interrupt */
};

/* One request: first what the device reads, then what it writes. */
struct vq_chain {
	uint16_t head;
	unsigned out_n, in_n;	  /* segments in iov[0..out_n) and iov[out_n..out_n+in_n) */
	uint32_t out_len, in_len; /* bytes */
	struct iovec iov[VQ_SEGS_MAX];
};

/* Check the driver's addresses and begin at index 0.  -EFAULT, -EINVAL. */
int vq_start(struct vq *q, struct guestmem *gm, bool event_idx);

/* 1: *ret holds the next request; 0: there is none; -EPROTO: the ring is broken. */
int vq_next(struct vq *q, struct vq_chain *ret);
/* Give the last vq_next back, as if it had not been called (there was no room for it). */
void vq_unread(struct vq *q);
/* The device is done with a request, `written` bytes were written to it. */
void vq_done(struct vq *q, uint16_t head, uint32_t written);
/* Ask for a kick at the next request that vq_next has not seen; true when one has come in between:
 * then go on. */
bool vq_rearm(struct vq *q);
/* True iff the driver wants an interrupt for what was done since the last true. */
bool vq_wants_irq(struct vq *q);

/* Copy len bytes at offset off of the request's readable or writable part; false when it has not as
 * many. */
bool chain_read(const struct vq_chain *c, uint32_t off, void *dst, uint32_t len);
bool chain_write(struct vq_chain *c, uint32_t off, const void *src, uint32_t len);
