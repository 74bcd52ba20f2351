/*
 * Tests of loop/signal: real signals become calls on the loop.
 */
#include "loop/loop.h"

#include <errno.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "unit.h"

static struct loop *l;
static int seen[65], seen_n;

static int start(void **state)
{
	(void)state;
	seen_n = 0;
	for (int i = 0; i < 65; i++)
		seen[i] = 0;
	return loop_new(&l, NULL);
}

static int finish(void **state)
{
	(void)state;
	loop_free(l);
	return 0;
}

static void note(int signo, void *arg)
{
	assert_ptr_equal(arg, seen);
	seen[signo]++;
	seen_n++;
}

static void take(int a, int b)
{
	sigset_t set;

	assert_int_equal(sigemptyset(&set), 0);
	assert_int_equal(sigaddset(&set, a), 0);
	assert_int_equal(sigaddset(&set, b), 0);
	assert_int_equal(loop_signals(l, &set, note, seen, NULL), 0);
}

static void signals_become_calls(void **state)
{
	(void)state;
	take(SIGUSR1, SIGTERM);
	take(SIGUSR2, SIGHUP); /* a second set, by another owner */
	assert_int_equal(kill(getpid(), SIGTERM), 0);
	assert_int_equal(kill(getpid(), SIGUSR1), 0);
	assert_int_equal(kill(getpid(), SIGUSR1), 0); /* pending signals merge */
	assert_int_equal(kill(getpid(), SIGHUP), 0);
	while (seen_n < 3)
		assert_int_equal(loop_step(l, -1, NULL), 0);
	assert_int_equal(loop_step(l, 0, NULL), 0);
	assert_int_equal(seen_n, 3);
	assert_int_equal(seen[SIGTERM], 1);
	assert_int_equal(seen[SIGUSR1], 1);
	assert_int_equal(seen[SIGHUP], 1);
}

static void children_are_told(void **state)
{
	pid_t pid;

	(void)state;
	take(SIGCHLD, SIGUSR1);
	pid = fork();
	if (pid == 0)
		_exit(7);
	assert_true(pid > 0);
	while (!seen[SIGCHLD])
		assert_int_equal(loop_step(l, -1, NULL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* After loop_free they stay blocked, so that one that comes late kills nobody. */
static void stay_blocked(void **state)
{
	sigset_t now;

	(void)state;
	take(SIGUSR1, SIGTERM);
	loop_free(l);
	assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &now), 0);
	assert_int_equal(sigismember(&now, SIGTERM), 1);
	assert_int_equal(kill(getpid(), SIGTERM), 0);
	assert_int_equal(loop_new(&l, NULL), 0);
	take(SIGTERM, SIGUSR1); /* and the next loop gets it */
	assert_int_equal(loop_step(l, -1, NULL), 0);
	assert_int_equal(seen[SIGTERM], 1);
}

static void survives_lack_of_memory(void **state)
{
	sigset_t set;
	struct err e = {0};

	(void)state;
	assert_int_equal(sigemptyset(&set), 0);
	EACH_ALLOCATION_FAILS(loop_signals(l, &set, note, seen, &e), (void)0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, start, finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(signals_become_calls),
		T(children_are_told),
		T(stay_blocked),
		T(survives_lack_of_memory),
	};

	return RUN_TESTS(tests);
}
