/*
 * Tests of loop/post: calls from many threads arrive, in order, on the loop's thread.
 */
#include "loop/loop.h"

#include <errno.h>
#include <pthread.h>

#include "unit.h"

#define THREADS	   4
#define PER_THREAD 2000

static struct loop *l;
static pthread_t loop_thread;
static unsigned arrived[THREADS], total;

static int start(void **state)
{
	(void)state;
	loop_thread = pthread_self();
	total = 0;
	for (int i = 0; i < THREADS; i++)
		arrived[i] = 0;
	return loop_new(&l, NULL);
}

static int finish(void **state)
{
	(void)state;
	loop_free(l);
	return 0;
}

/* arg is thread * PER_THREAD + number. */
static void arrive(void *arg)
{
	unsigned n = (unsigned)(uintptr_t)arg;

	assert_true(pthread_equal(pthread_self(), loop_thread));
	assert_int_equal(n % PER_THREAD, arrived[n / PER_THREAD]++); /* first in, first out */
	if (++total == THREADS * PER_THREAD)
		loop_stop(l);
}

static void *post_many(void *arg)
{
	uintptr_t first = (uintptr_t)arg * PER_THREAD;

	for (uintptr_t i = 0; i < PER_THREAD; i++)
		while (loop_post(l, arrive, (void *)(first + i)))
			continue;
	return NULL;
}

static void threads_post(void **state)
{
	pthread_t t[THREADS];

	(void)state;
	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, post_many, (void *)i), 0);
	assert_int_equal(loop_run(l, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(t[i], NULL), 0);
	assert_int_equal(total, THREADS * PER_THREAD);
	assert_int_equal(loop_step(l, 0, NULL), 0);
}

static void post_again(void *arg)
{
	(void)arg;
	total++;
	assert_int_equal(loop_post(l, post_again, NULL), 0);
}

/* A call that posts itself does not hold the round. */
static void takes_turns(void **state)
{
	(void)state;
	assert_int_equal(loop_post(l, post_again, NULL), 0);
	for (unsigned i = 1; i <= 5; i++) {
		assert_int_equal(loop_step(l, -1, NULL), 0);
		assert_int_equal(total, i);
	}
}

static void count(void *arg)
{
	(void)arg;
	total++;
}

static void step_inside(void *arg)
{
	(void)arg;
	assert_int_equal(loop_step(l, 0, NULL), 0); /* no new wake-up: the outer round runs it */
	assert_int_equal(loop_post(l, count, NULL), 0);
	assert_int_equal(loop_step(l, -1, NULL), 0);
	assert_true(total >= 1);
}

static void rounds_nest(void **state)
{
	(void)state;
	assert_int_equal(loop_post(l, step_inside, NULL), 0);
	assert_int_equal(loop_post(l, count, NULL), 0);
	assert_int_equal(loop_step(l, -1, NULL), 0);
	assert_int_equal(loop_step(l, 0, NULL), 0);
	assert_int_equal(total, 2);
}

static void drops_what_is_left(void **state)
{
	(void)state;
	for (int i = 0; i < 10; i++)
		assert_int_equal(loop_post(l, count, NULL), 0);
	mem_fail_after(0);
	assert_int_equal(loop_post(l, count, NULL), -ENOMEM);
	mem_fail_after(-1);
	loop_free(l); /* leaks are AddressSanitizer's to find */
	assert_int_equal(total, 0);
	assert_int_equal(loop_new(&l, NULL), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, start, finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(threads_post),
		T(takes_turns),
		T(rounds_nest),
		T(drops_what_is_left),
	};

	return RUN_TESTS(tests);
}
