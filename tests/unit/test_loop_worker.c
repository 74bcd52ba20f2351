/*
 * Tests of loop/worker: jobs run elsewhere and end here; order, threads, the end of the loop.
 */
#include "loop/loop.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "loop/loop_internal.h"
#include "unit.h"

#define MANY 500

struct task {
	struct job job;
	unsigned name;
	pthread_t ran_on;
	bool ran, finished;
};

static struct loop *l;
static pthread_t loop_thread;
static unsigned finished_n, finished_last;
static _Atomic unsigned running_now, running_most, ran_n;
static int gate[2]; /* jobs that wait read from it */

static int start(void **state)
{
	(void)state;
	loop_thread = pthread_self();
	finished_n = finished_last = 0;
	running_most = ran_n = 0;
	return pipe(gate) || loop_new(&l, NULL);
}

static int finish(void **state)
{
	(void)state;
	loop_free(l);
	return close(gate[0]) || close(gate[1]);
}

static void run(struct job *j)
{
	struct task *t = container_of(j, struct task, job);
	unsigned now = atomic_fetch_add(&running_now, 1) + 1;

	if (now > atomic_load(&running_most))
		atomic_store(&running_most, now);
	t->ran_on = pthread_self();
	t->ran = true;
	atomic_fetch_add(&ran_n, 1);
	atomic_fetch_sub(&running_now, 1);
}

static void wait_at_gate(struct job *j)
{
	struct task *t = container_of(j, struct task, job);
	char c;

	assert_int_equal(read(gate[0], &c, 1), 1);
	t->ran = true;
	atomic_fetch_add(&ran_n, 1);
}

static void done(struct job *j)
{
	struct task *t = container_of(j, struct task, job);

	assert_true(pthread_equal(pthread_self(), loop_thread));
	assert_true(t->ran && !t->finished);
	t->finished = true;
	finished_n++;
	finished_last = t->name;
}

static struct task task(unsigned name, void (*how)(struct job *j))
{
	return (struct task){.job = {.run = how, .done = done}, .name = name};
}

static void finish_jobs(unsigned n)
{
	while (finished_n < n)
		assert_int_equal(loop_step(l, -1, NULL), 0);
}

static void jobs_run_elsewhere(void **state)
{
	static struct task t[MANY];

	(void)state;
	for (unsigned i = 0; i < MANY; i++) {
		t[i] = task(i, run);
		assert_int_equal(loop_work(l, &t[i].job), 0);
	}
	finish_jobs(MANY);
	assert_int_equal(loop_step(l, 0, NULL), 0);
	assert_int_equal(finished_n, MANY);
	assert_true(running_most >= 1 && running_most <= LOOP_WORKERS);
	for (unsigned i = 0; i < MANY; i++) {
		assert_true(t[i].finished);
		assert_false(pthread_equal(t[i].ran_on, loop_thread));
	}
}

/* All workers but one stand at the gate: the rest of the jobs runs in order on the one. */
static void first_in_first_out(void **state)
{
	struct task blocked[LOOP_WORKERS - 1], t[20];

	(void)state;
	for (unsigned i = 0; i < LOOP_WORKERS - 1; i++) {
		blocked[i] = task(100 + i, wait_at_gate);
		assert_int_equal(loop_work(l, &blocked[i].job), 0);
	}
	for (unsigned i = 0; i < 20; i++) {
		t[i] = task(i, run);
		assert_int_equal(loop_work(l, &t[i].job), 0);
	}
	for (unsigned i = 0; i < 20; i++) {
		while (!t[i].finished)
			assert_int_equal(loop_step(l, -1, NULL), 0);
		for (unsigned later = i + 1; later < 20; later++)
			assert_true(t[later].finished <= t[i].finished);
	}
	assert_int_equal(finished_last, 19);
	for (unsigned i = 0; i < LOOP_WORKERS - 1; i++)
		assert_int_equal(write(gate[1], "x", 1), 1);
	finish_jobs(20 + LOOP_WORKERS - 1);
}

static void work_again(struct job *j)
{
	done(j);
	if (finished_n < 5) {
		container_of(j, struct task, job)->finished = false;
		assert_int_equal(loop_work(l, j), 0);
	}
}

static void done_may_queue_again(void **state)
{
	struct task t = task(1, run);

	(void)state;
	t.job.done = work_again;
	assert_int_equal(loop_work(l, &t.job), 0);
	finish_jobs(5);
	assert_int_equal(ran_n, 5);
}

/* Opens the gate for the jobs that run, once loop_free has said that no other may begin. */
static void *open_gate_at_the_end(void *arg)
{
	bool quit = false;

	(void)arg;
	while (!quit) {
		assert_int_equal(pthread_mutex_lock(&l->lock), 0);
		quit = l->quit;
		assert_int_equal(pthread_mutex_unlock(&l->lock), 0);
		(void)sched_yield(); /* always succeeds on Linux */
	}
	for (unsigned i = 0; i < LOOP_WORKERS; i++)
		assert_int_equal(write(gate[1], "x", 1), 1);
	return NULL;
}

static bool all_are_busy(void)
{
	bool busy;

	assert_int_equal(pthread_mutex_lock(&l->lock), 0);
	busy = l->workers_n == LOOP_WORKERS && l->idle_n == 0 && !l->todo.first;
	assert_int_equal(pthread_mutex_unlock(&l->lock), 0);
	return busy;
}

/* What loop_free does first: it waits for the jobs that run and drops the others.  Those that ran
 * end with the loop, undelivered. */
static void freeing_joins_and_drops(void **state)
{
	struct task t[LOOP_WORKERS + 3];
	pthread_t opener;

	(void)state;
	for (unsigned i = 0; i < LOOP_WORKERS + 3; i++)
		t[i] = task(i, wait_at_gate);
	for (unsigned i = 0; i < LOOP_WORKERS; i++)
		assert_int_equal(loop_work(l, &t[i].job), 0);
	while (!all_are_busy())
		(void)sched_yield(); /* always succeeds on Linux */
	for (unsigned i = LOOP_WORKERS; i < LOOP_WORKERS + 3; i++)
		assert_int_equal(loop_work(l, &t[i].job), 0);
	assert_int_equal(pthread_create(&opener, NULL, open_gate_at_the_end, NULL), 0);
	workers_done(l);
	assert_int_equal(pthread_join(opener, NULL), 0);
	assert_int_equal(ran_n, LOOP_WORKERS);
	for (unsigned i = 0; i < LOOP_WORKERS + 3; i++)
		assert_int_equal(t[i].ran, i < LOOP_WORKERS);
}

static sigset_t worker_mask;

static void read_mask(struct job *j)
{
	run(j);
	assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &worker_mask), 0);
}

static void workers_take_no_signals(void **state)
{
	struct task t = task(1, read_mask);
	sigset_t before, after;

	(void)state;
	assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &before), 0);
	assert_int_equal(loop_work(l, &t.job), 0);
	finish_jobs(1);
	assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &after), 0);
	for (int s = 1; s < 32; s++) {
		assert_int_equal(sigismember(&before, s), sigismember(&after, s));
		if (s != SIGKILL && s != SIGSTOP)
			assert_int_equal(sigismember(&worker_mask, s), 1);
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, start, finish)

static void a_descriptor_is_closed_on_a_worker(void **state)
{
	struct loop *other = NULL;
	int p[2];
	char c;

	(void)state;
	assert_int_equal(pipe2(p, O_CLOEXEC | O_NONBLOCK), 0);
	loop_close(l, p[1]);
	while (read(p[0], &c, 1) < 0) /* the end comes when the last writer is closed */
		assert_true(loop_step(l, 10, NULL) >= 0);
	assert_int_equal(close(p[0]), 0);
	assert_int_equal(pipe2(p, O_CLOEXEC | O_NONBLOCK), 0);
	assert_int_equal(loop_new(&other, NULL), 0);
	loop_close(other, p[1]); /* also when the loop ends before a worker came to it */
	loop_free(other);
	assert_int_equal(read(p[0], &c, 1), 0);
	assert_int_equal(close(p[0]), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(jobs_run_elsewhere),	    T(first_in_first_out),
		T(done_may_queue_again),    T(freeing_joins_and_drops),
		T(workers_take_no_signals), T(a_descriptor_is_closed_on_a_worker),
	};

	return RUN_TESTS(tests);
}
