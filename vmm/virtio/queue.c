/*
 * Reads requests from a split virtqueue and gives them back.
 */
#include "virtio/queue.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <string.h>

#define DESC_LEN      16u
#define DESC_NEXT     1u
#define DESC_WRITE    2u
#define DESC_INDIRECT 4u
#define AVAIL_NO_IRQ  1u
#define RING_IDX      2u /* offsets in both rings */
#define RING_ENTRIES  4u
#define USED_LEN      8u

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

static int broken(struct vq *q)
{
	q->broken = true;
	return -EPROTO;
}

int vq_start(struct vq *q, struct guestmem *gm, bool event_idx)
{
	size_t n = q->size;

	/* Sec. 2.7: a power of two; alignments of 16, 2 and 4. */
	if (n == 0 || n > VQ_SIZE_MAX || (n & (n - 1)) || q->desc_gpa % 16 || q->avail_gpa % 2 ||
	    q->used_gpa % 4)
		return -EINVAL;
	if (gm_view(gm, q->desc_gpa, n * DESC_LEN, &q->desc) ||
	    gm_view(gm, q->avail_gpa, RING_ENTRIES + 2 * n + 2, &q->avail) ||
	    gm_view(gm, q->used_gpa, RING_ENTRIES + USED_LEN * n + 2, &q->used))
		return -EFAULT;
	q->gm = gm;
	q->event_idx = event_idx;
	q->broken = q->signalled_valid = false;
	q->next_avail = q->seen_avail = q->next_used = q->signalled_used = 0;
	return 0;
}

static struct desc read_desc(const struct gm_span *table, size_t index)
{
	struct desc d;

	gm_span_read(table, index * DESC_LEN, &d, sizeof(d));
	return (struct desc){le64toh(d.addr), le32toh(d.len), le16toh(d.flags), le16toh(d.next)};
}

static int add_segment(struct vq *q, const struct desc *d, struct vq_chain *c)
{
	uint32_t *total = d->flags & DESC_WRITE ? &c->in_len : &c->out_len;
	struct gm_span span;

	if (c->out_n + c->in_n == VQ_SEGS_MAX || d->len == 0 ||
	    (c->in_n && !(d->flags & DESC_WRITE)) || /* sec. 2.7.4.2: readable ones come first */
	    __builtin_add_overflow(*total, d->len, total) || gm_view(q->gm, d->addr, d->len, &span))
		return broken(q);
	c->iov[c->out_n + c->in_n] = (struct iovec){span.host, span.len};
	*(d->flags & DESC_WRITE ? &c->in_n : &c->out_n) += 1;
	return 0;
}

static int walk(struct vq *q, struct vq_chain *c)
{
	struct gm_span table = q->desc;
	size_t index = c->head, entries = q->size, seen = 0;
	bool indirect = false;

	for (;;) {
		struct desc d;

		/* A chain that visits more entries than there are is a loop. */
		if (index >= entries || seen++ == entries)
			return broken(q);
		d = read_desc(&table, index);
		if (d.flags & DESC_INDIRECT) {
			/* Sec. 2.7.5.3.1: not within another, not with NEXT. */
			if (indirect || (d.flags & DESC_NEXT) || d.len == 0 || d.len % DESC_LEN ||
			    gm_view(q->gm, d.addr, d.len, &table))
				return broken(q);
			indirect = true;
			entries = d.len / DESC_LEN;
			index = seen = 0;
			continue;
		}
		if (add_segment(q, &d, c))
			return -EPROTO;
		if (!(d.flags & DESC_NEXT))
			return 1;
		index = d.next;
	}
}

int vq_next(struct vq *q, struct vq_chain *ret)
{
	uint16_t avail, pending, head;

	if (q->broken)
		return -EPROTO;
	/* Acquire: the driver wrote ring entries and descriptors before this index. */
	q->seen_avail = avail = gm_load_le16(&q->avail, RING_IDX);
	pending = (uint16_t)(avail - q->next_avail);
	if (pending == 0)
		return 0;
	if (pending > q->size)
		return broken(q);
	head = gm_load_le16(&q->avail, RING_ENTRIES + 2u * (q->next_avail % q->size));
	if (head >= q->size)
		return broken(q);
	ret->head = head;
	ret->out_n = ret->in_n = 0;
	ret->out_len = ret->in_len = 0;
	q->next_avail++;
	return walk(q, ret);
}

void vq_unread(struct vq *q)
{
	q->next_avail--;
}

void vq_done(struct vq *q, uint16_t head, uint32_t written)
{
	uint32_t element[2] = {htole32(head), htole32(written)};

	gm_span_write(&q->used, RING_ENTRIES + (size_t)USED_LEN * (q->next_used % q->size), element,
		      sizeof(element));
	q->next_used++;
	/* Release: the driver that sees this index sees the element and the data, too. */
	gm_store_le16(&q->used, RING_IDX, q->next_used);
}

bool vq_rearm(struct vq *q)
{
	if (q->broken)
		return false;
	if (q->event_idx)
		gm_store_le16(&q->used, RING_ENTRIES + (size_t)USED_LEN * q->size, q->seen_avail);
	/* Our avail_event before our read of the index; the driver has the same between its write
	 * of the index and its read of avail_event, so that one of the two sees the other. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return gm_load_le16(&q->avail, RING_IDX) != q->seen_avail;
}

bool vq_wants_irq(struct vq *q)
{
	uint16_t old = q->signalled_used, event;
	bool valid = q->signalled_valid;

	/* Our used index before our read of what the driver wants; it has the same the other
	 * way. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!q->event_idx)
		return !(gm_load_le16(&q->avail, 0) & AVAIL_NO_IRQ);
	event = gm_load_le16(&q->avail, RING_ENTRIES + 2u * q->size);
	q->signalled_used = q->next_used;
	q->signalled_valid = true;
	/* Sec. 2.7.7.2: iff used_event lies in [old, next_used). */
	return !valid || (uint16_t)(q->next_used - event - 1) < (uint16_t)(q->next_used - old);
}

static bool copy(const struct iovec *iov, unsigned n, uint32_t off, void *buf, uint32_t len,
		 bool to_guest)
{
	uint8_t *p = buf;

	for (unsigned i = 0; i < n && len; i++) {
		size_t part;

		if (off >= iov[i].iov_len) {
			off -= (uint32_t)iov[i].iov_len;
			continue;
		}
		part = iov[i].iov_len - off < len ? iov[i].iov_len - off : len;
		if (to_guest)
			memcpy((uint8_t *)iov[i].iov_base + off, p, part);
		else
			memcpy(p, (uint8_t *)iov[i].iov_base + off, part);
		p += part;
		len -= (uint32_t)part;
		off = 0;
	}
	return len == 0;
}

bool chain_read(const struct vq_chain *c, uint32_t off, void *dst, uint32_t len)
{
	return gm_inside(off, len, 0, c->out_len) && copy(c->iov, c->out_n, off, dst, len, false);
}

bool chain_write(struct vq_chain *c, uint32_t off, const void *src, uint32_t len)
{
	/* copy only reads from src when it writes to the guest. */
	return gm_inside(off, len, 0, c->in_len) &&
	       copy(c->iov + c->out_n, c->in_n, off, (void *)src, len, true);
}
