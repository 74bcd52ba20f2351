/*
 * Deadlines: a binary heap of the timers that their owners embed.
 * Called on the loop's thread only.
 */
#include "loop/loop.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>

#include "base/clock.h"
#include "base/mem.h"
#include "loop/loop_internal.h"

#define HEAP_MIN 16u /* first allocation: a quiet daemon has about ten timers */

static bool before(const struct timer *a, const struct timer *b)
{
	return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->seq < b->seq;
}

/* Positions are 1-based: the children of i are 2i and 2i + 1. */
static void put(struct timer_heap *h, uint32_t pos, struct timer *t)
{
	h->at[pos - 1] = t;
	t->heap_pos = pos;
}

static void sift_up(struct timer_heap *h, struct timer *t)
{
	uint32_t pos = t->heap_pos;

	for (; pos > 1 && before(t, h->at[pos / 2 - 1]); pos /= 2)
		put(h, pos, h->at[pos / 2 - 1]);
	put(h, pos, t);
}

static void sift_down(struct timer_heap *h, struct timer *t)
{
	uint32_t pos = t->heap_pos;

	while (2 * pos <= h->n) {
		uint32_t child = 2 * pos;

		if (child < h->n && before(h->at[child], h->at[child - 1]))
			child++;
		if (!before(h->at[child - 1], t))
			break;
		put(h, pos, h->at[child - 1]);
		pos = child;
	}
	put(h, pos, t);
}

static int reserve(struct timer_heap *h)
{
	uint32_t cap = h->cap ? 2 * h->cap : HEAP_MIN;
	struct timer **at;

	if (h->n < h->cap)
		return 0;
	assert(cap > h->cap); /* 2^31 timers are a leak, not a load */
	at = mem_realloc(h->at, cap * sizeof(struct timer *));
	if (!at)
		return -ENOMEM;
	h->at = at;
	h->cap = cap;
	return 0;
}

int loop_timer(struct loop *l, struct timer *t, uint64_t due_ns)
{
	struct timer_heap *h = &l->timers;

	assert(t->fire);
	if (!t->heap_pos) {
		int rc = reserve(h);

		if (rc)
			return rc;
		put(h, ++h->n, t);
	}
	/* A time before this round counts as the round's: a timer that re-arms itself in the past
	 * takes its turn behind the others that are due, see timers_fire. */
	t->due_ns = due_ns > l->now_ns ? due_ns : l->now_ns;
	t->seq = h->next_seq++;
	sift_up(h, t);
	sift_down(h, t);
	return 0;
}

int loop_timer_in(struct loop *l, struct timer *t, uint64_t delay_ns)
{
	uint64_t due;

	if (__builtin_add_overflow(clock_mono_ns(), delay_ns, &due))
		due = UINT64_MAX;
	return loop_timer(l, t, due);
}

void loop_timer_stop(struct loop *l, struct timer *t)
{
	struct timer_heap *h = &l->timers;
	uint32_t pos = t->heap_pos;
	struct timer *last;

	if (!pos)
		return;
	assert(pos <= h->n && h->at[pos - 1] == t); /* else it was armed on another loop */
	t->heap_pos = 0;
	last = h->at[--h->n];
	if (last == t)
		return;
	put(h, pos, last);
	sift_up(h, last);
	sift_down(h, last);
}

/* How long epoll may wait: until the first deadline, rounded up so that no round comes too early
 * and finds nothing to do. */
int timers_wait_ms(const struct loop *l, int at_most_ms)
{
	uint64_t now, ms;

	if (!l->timers.n || at_most_ms == 0)
		return at_most_ms;
	now = clock_mono_ns();
	if (l->timers.at[0]->due_ns <= now)
		return 0;
	ms = (l->timers.at[0]->due_ns - now - 1) / NS_PER_MS + 1;
	if (at_most_ms > 0 && ms > (uint64_t)at_most_ms)
		return at_most_ms;
	return ms > INT_MAX ? INT_MAX : (int)ms;
}

/* Fire what is due now.  Timers that a callback arms wait for the next round, so that none can keep
 * the loop from its descriptors; they stand behind all older ones that are due. */
void timers_fire(struct loop *l)
{
	struct timer_heap *h = &l->timers;
	uint64_t end_seq = h->next_seq;

	if (!h->n)
		return;
	l->now_ns = clock_mono_ns();
	while (h->n && h->at[0]->due_ns <= l->now_ns && h->at[0]->seq < end_seq) {
		struct timer *t = h->at[0];

		loop_timer_stop(l, t);
		t->fire(t);
	}
}
