#pragma once
/*
 * The only door to guest memory.
 *
 * Called by the loaders before the guest runs, by the virtio core and its devices afterwards, from
 * any thread.  Trust: every gpa and len that reaches this file was chosen by the guest.  No
 * function returns a pointer without a length.  A range is valid only if it lies wholly inside one
 * region; everything else is -EFAULT.  The table of regions never changes after gm_new.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/cleanup.h"

typedef uint64_t gpa_t; /* guest-physical address, bytes */

struct err;
struct guestmem;

#define GM_PAGE	       4096u
#define GM_REGIONS_MAX 4u /* below the hole, above it, room for what a machine adds */

struct gm_range {
	gpa_t gpa;
	uint64_t size; /* bytes, a multiple of GM_PAGE, not 0 */
};

/* What KVM needs for one memory slot. */
struct gm_slot {
	gpa_t gpa;
	uint64_t size;
	void *hva; /* start of the mapping; borrowed */
};

/* A checked view; lives as long as the guestmem. */
struct gm_span {
	uint8_t *host;
	size_t len; /* bytes */
};

/* Zeroed memory (private, pages come when touched).  Ranges ascend and do not touch each other. */
int gm_new(const struct gm_range *ranges, size_t ranges_n, struct guestmem **ret, struct err *e);
void gm_free(struct guestmem *gm);
static inline void guestmem_free(struct guestmem *gm)
{
	gm_free(gm);
}
DEFINE_AUTO(guestmem)

size_t gm_slots(const struct guestmem *gm, struct gm_slot ret[GM_REGIONS_MAX]);
uint64_t gm_size(const struct guestmem *gm); /* bytes of all regions */

/* Copy in or out.  Reading by copy is what stops the guest from changing a value between our check
 * and our use. */
int gm_read(const struct guestmem *gm, gpa_t gpa, void *dst, size_t len)
	__attribute__((warn_unused_result));
int gm_write(struct guestmem *gm, gpa_t gpa, const void *src, size_t len)
	__attribute__((warn_unused_result));

/* Check once, use often: rings at DRIVER_OK, payload buffers for readv and writev. */
int gm_view(struct guestmem *gm, gpa_t gpa, uint64_t len, struct gm_span *ret)
	__attribute__((warn_unused_result));

/* Copies within a view.  off and len are checked against it; beyond it is our bug and aborts. */
void gm_span_read(const struct gm_span *s, size_t off, void *dst, size_t len);
void gm_span_write(const struct gm_span *s, size_t off, const void *src, size_t len);

/* Ring words.  An off beyond the view or not even is our bug and aborts.  Acquire and release as
 * virtio 1.2 sec. 2.7.13 and 2.7.14 need it. */
uint16_t gm_load_le16(const struct gm_span *s, size_t off);
void gm_store_le16(const struct gm_span *s, size_t off, uint16_t v);

/* Read from fd, from its offset `at` on, len bytes straight to the guest; -EIO when the file is
 * shorter. */
int gm_load_file(struct guestmem *gm, gpa_t gpa, int fd, uint64_t at, uint64_t len)
	__attribute__((warn_unused_result));

/* True iff [gpa, gpa+len) lies in [base, base+size); never overflows. */
static inline bool gm_inside(gpa_t gpa, uint64_t len, gpa_t base, uint64_t size)
{
	return gpa >= base && len <= size && gpa - base <= size - len;
}
