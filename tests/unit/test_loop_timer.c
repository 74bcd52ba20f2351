/*
 * Tests of loop/timer: order, equal deadlines, re-arming and stopping from callbacks.
 */
#include "loop/loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "unit.h"

#define MANY 1000

struct item {
	struct timer t;
	unsigned name;
	struct item *stops; /* stopped by this one's callback */
	uint64_t again_ns;  /* re-armed at, when not 0 */
};

static struct loop *l;
static unsigned fired[4 * MANY], fired_n;

static int start(void **state)
{
	(void)state;
	fired_n = 0;
	return loop_new(&l, NULL);
}

static int finish(void **state)
{
	(void)state;
	loop_free(l);
	return 0;
}

static void note(struct timer *t)
{
	struct item *i = container_of(t, struct item, t);

	assert_int_equal(t->heap_pos, 0);
	assert_true(clock_mono_ns() >= t->due_ns); /* never early */
	fired[fired_n++] = i->name;
	if (i->stops)
		loop_timer_stop(l, &i->stops->t);
	if (i->again_ns)
		assert_int_equal(loop_timer(l, t, i->again_ns), 0);
}

static struct item named(unsigned name)
{
	return (struct item){.t.fire = note, .name = name};
}

static void step(void)
{
	assert_int_equal(loop_step(l, 0, NULL), 0);
}

/* All are due; they fire by deadline, and by arming where deadlines are equal. */
static void fires_in_order(void **state)
{
	static struct item items[MANY];
	uint64_t now = clock_mono_ns();

	(void)state;
	for (unsigned i = 0; i < MANY; i++) {
		unsigned place = i * 7919 % MANY; /* 7919 is prime to MANY: every place once */

		items[place] = named(place);
		assert_int_equal(loop_timer(l, &items[place].t, now - MANY + place / 2), 0);
	}
	step();
	assert_int_equal(fired_n, MANY);
	for (unsigned i = 0; i < MANY; i++)
		assert_int_equal(fired[i] / 2, i / 2);
	for (unsigned i = 0; i < MANY; i += 2) {
		unsigned first = fired[i], second = fired[i + 1];

		assert_int_equal(first ^ second, 1);
		assert_true(items[first].t.seq < items[second].t.seq);
	}
}

/* Random arming, re-arming and stopping against a plain array as the model. */
static void heap_agrees_with_a_model(void **state)
{
	static struct item items[100];
	uint64_t due[100] = {0}, past = clock_mono_ns() - 1000000, seed = 42;
	uint64_t last = 0;
	unsigned armed = 0;

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		items[i] = named(i);
	for (unsigned n = 0; n < 20000; n++) {
		unsigned i, what;

		seed = seed * 6364136223846793005ull + 1442695040888963407ull; /* Knuth's MMIX */
		i = (unsigned)(seed >> 33) % 100;
		what = (unsigned)(seed >> 50) % 3;
		if (what == 0) {
			loop_timer_stop(l, &items[i].t);
			due[i] = 0;
		} else {
			due[i] = past + (seed >> 20) % 900000 + 1;
			assert_int_equal(loop_timer(l, &items[i].t, due[i]), 0);
		}
	}
	for (unsigned i = 0; i < 100; i++)
		armed += due[i] != 0;
	step();
	assert_int_equal(fired_n, armed);
	for (unsigned i = 0; i < fired_n; i++) {
		assert_true(due[fired[i]] >= last);
		last = due[fired[i]];
		due[fired[i]] = 0;
	}
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(due[i], 0);
}

static void stops_from_a_callback(void **state)
{
	struct item a = named(1), b = named(2), c = named(3);

	(void)state;
	a.stops = &b;
	assert_int_equal(loop_timer(l, &a.t, 1), 0);
	assert_int_equal(loop_timer(l, &b.t, 2), 0);
	assert_int_equal(loop_timer(l, &c.t, 3), 0);
	step();
	assert_int_equal(fired_n, 2);
	assert_int_equal(fired[0], 1);
	assert_int_equal(fired[1], 3);
	loop_timer_stop(l, &b.t); /* not armed: fine */
}

/* A timer that is always overdue lets the others and the descriptors have their turn. */
static void overdue_timers_take_turns(void **state)
{
	struct item greedy = named(1), other = named(2);

	(void)state;
	greedy.again_ns = 1;
	assert_int_equal(loop_timer(l, &greedy.t, 1), 0);
	step();
	assert_int_equal(fired_n, 1);
	step();
	assert_int_equal(fired_n, 2);
	assert_int_equal(loop_timer_in(l, &other.t, 0), 0);
	while (other.t.heap_pos)
		step();
	assert_int_equal(fired[fired_n - 1] + fired[fired_n - 2], 3); /* one round, both */
	loop_timer_stop(l, &greedy.t);
}

static void waits_for_the_deadline(void **state)
{
	struct item a = named(1), never = named(2);
	uint64_t before = clock_mono_ns();

	(void)state;
	assert_int_equal(loop_timer_in(l, &a.t, 20 * NS_PER_MS), 0);
	assert_int_equal(loop_timer_in(l, &never.t, UINT64_MAX), 0); /* no wrap to the past */
	assert_true(never.t.due_ns == UINT64_MAX);
	step();
	while (!fired_n)
		assert_int_equal(loop_step(l, -1, NULL), 0);
	assert_true(clock_mono_ns() - before >= 20 * NS_PER_MS);
	assert_int_equal(fired[0], 1);
	assert_int_not_equal(never.t.heap_pos, 0);
}

static struct item deadline;

static void answer(struct watch *w, uint32_t got)
{
	(void)got;
	loop_timer_stop(l, &deadline.t);
	loop_unwatch(l, w);
	fired[fired_n++] = 77;
}

/* Both the answer and its time limit are due: the answer wins. */
static void answers_win_over_limits(void **state)
{
	struct watch w = {.want = EPOLLIN, .ready = answer};
	int p[2];

	(void)state;
	assert_int_equal(pipe(p), 0);
	assert_int_equal(write(p[1], "x", 1), 1);
	w.fd = p[0];
	deadline = named(1);
	assert_int_equal(loop_timer(l, &deadline.t, 1), 0);
	assert_int_equal(loop_watch(l, &w, NULL), 0);
	step();
	assert_int_equal(fired_n, 1);
	assert_int_equal(fired[0], 77);
	assert_int_equal(close(p[0]), 0);
	assert_int_equal(close(p[1]), 0);
}

static int arm_all(struct item *items, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		items[i] = named(i);
		if (loop_timer(l, &items[i].t, 1000 + i))
			break;
	}
	return items[n - 1].t.heap_pos ? 0 : -ENOMEM;
}

static void survives_lack_of_memory(void **state)
{
	static struct item items[100];
	unsigned armed = 0;

	(void)state;
	mem_fail_after(1); /* the first step of the heap, then no more */
	assert_int_equal(arm_all(items, 100), -ENOMEM);
	mem_fail_after(-1);
	for (unsigned i = 0; i < 100; i++)
		armed += items[i].t.heap_pos != 0;
	assert_true(armed > 0 && armed < 100);
	mem_fail_after(0);
	assert_int_equal(loop_timer(l, &items[0].t, 5), 0); /* re-arming needs none */
	mem_fail_after(-1);
	step();
	assert_int_equal(fired_n, armed);
}

#define T(f) cmocka_unit_test_setup_teardown(f, start, finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(fires_in_order),	    T(heap_agrees_with_a_model),
		T(stops_from_a_callback),   T(overdue_timers_take_turns),
		T(waits_for_the_deadline),  T(answers_win_over_limits),
		T(survives_lack_of_memory),
	};

	return RUN_TESTS(tests);
}
