/*
 * Tests of loop/loop: watches that change while a round is being served, nested rounds, failures.
 */
#include "loop/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "unit.h"

#define PAIRS 200 /* more than one round serves */

/* One end of a socket pair under watch. */
struct end {
	struct watch w;
	int other_fd;
	unsigned calls;
	struct end *victim; /* unwatched by this one's callback */
};

static struct loop *l;

static int start(void **state)
{
	(void)state;
	return loop_new(&l, NULL);
}

static int finish(void **state)
{
	(void)state;
	loop_free(l);
	l = NULL;
	return 0;
}

static void count(struct watch *w, uint32_t got)
{
	struct end *x = container_of(w, struct end, w);

	assert_true(w->active);
	assert_true(got & (EPOLLIN | EPOLLOUT | EPOLLHUP));
	x->calls++;
	if (x->victim)
		loop_unwatch(l, &x->victim->w);
}

static void open_end(struct end *x, uint32_t want)
{
	int p[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, p), 0);
	*x = (struct end){.w = {.fd = p[0], .want = want, .ready = count}, .other_fd = p[1]};
	assert_int_equal(loop_watch(l, &x->w, NULL), 0);
}

static void close_end(struct end *x)
{
	loop_unwatch(l, &x->w);
	(void)close(x->w.fd); /* a test's socket */
	(void)close(x->other_fd);
}

static void poke(const struct end *x)
{
	assert_int_equal(write(x->other_fd, "x", 1), 1);
}

static void serves_what_is_ready(void **state)
{
	struct end a, b;
	char c;

	(void)state;
	open_end(&a, EPOLLIN);
	open_end(&b, EPOLLIN);
	assert_int_equal(loop_step(l, 0, NULL), 0);
	assert_int_equal(a.calls + b.calls, 0);
	poke(&b);
	assert_int_equal(loop_step(l, -1, NULL), 0);
	assert_int_equal(a.calls, 0);
	assert_int_equal(b.calls, 1);
	assert_int_equal(read(b.w.fd, &c, 1), 1);
	assert_int_equal(loop_step(l, 0, NULL), 0);
	assert_int_equal(b.calls, 1);
	a.w.want = EPOLLOUT;
	loop_rewatch(l, &a.w);
	assert_int_equal(loop_step(l, -1, NULL), 0);
	assert_int_equal(a.calls, 1);
	assert_int_equal(close(take_fd(b.other_fd)), 0);
	b.w.want = 0; /* hang-up comes unasked */
	loop_rewatch(l, &b.w);
	assert_int_equal(loop_step(l, -1, NULL), 0);
	assert_int_equal(b.calls, 2);
	close_end(&a);
	close_end(&b);
}

/* Both are ready in one round; whichever comes first takes the other out. */
static void unwatch_holds_within_a_round(void **state)
{
	struct end a, b;

	(void)state;
	open_end(&a, EPOLLIN);
	open_end(&b, EPOLLIN);
	a.victim = &b;
	b.victim = &a;
	poke(&a);
	poke(&b);
	assert_int_equal(loop_step(l, -1, NULL), 0);
	assert_int_equal(a.calls + b.calls, 1);
	assert_true(a.w.active != b.w.active);
	close_end(&a);
	close_end(&b);
}

static void free_victim(struct watch *w, uint32_t got)
{
	struct end *x = container_of(w, struct end, w);

	(void)got;
	x->calls++;
	if (!x->victim)
		return;
	close_end(x->victim);
	memset(x->victim, 0x5a, sizeof(*x->victim));
	free(take_ptr(x->victim));
}

/* The victim's memory is gone before its turn in the round would come. */
static void victims_may_be_freed(void **state)
{
	struct end *x[PAIRS];
	struct end killer;

	(void)state;
	open_end(&killer, EPOLLIN);
	killer.w.ready = free_victim;
	for (int i = 0; i < PAIRS; i++) {
		x[i] = calloc(1, sizeof(*x[i]));
		assert_non_null(x[i]);
		open_end(x[i], EPOLLIN);
		x[i]->w.ready = free_victim;
		poke(x[i]);
	}
	for (int i = 0; i + 1 < PAIRS; i += 2)
		x[i]->victim = x[i + 1];
	for (int round = 0; round < 10; round++)
		assert_int_equal(loop_step(l, 0, NULL), 0);
	for (int i = 0; i < PAIRS; i += 2) {
		assert_null(x[i]->victim);
		assert_true(x[i]->calls >= 1);
		close_end(x[i]);
		free(x[i]);
	}
	close_end(&killer);
}

static void lose_interest(struct watch *w, uint32_t got)
{
	struct end *x = container_of(w, struct end, w);

	(void)got;
	x->calls++;
	x->victim->w.want = EPOLLOUT;
	loop_rewatch(l, &x->victim->w);
}

/* EPOLLIN was fetched for both, then one changes what the other wants: it must not see EPOLLIN. */
static void expects_output_only(struct watch *w, uint32_t got)
{
	struct end *x = container_of(w, struct end, w);

	if (x->w.want == EPOLLOUT)
		assert_int_equal(got & EPOLLIN, 0);
	lose_interest(w, got);
}

static void rewatch_holds_within_a_round(void **state)
{
	struct end a, b;

	(void)state;
	open_end(&a, EPOLLIN);
	open_end(&b, EPOLLIN);
	a.victim = &b;
	b.victim = &a;
	a.w.ready = b.w.ready = expects_output_only;
	poke(&a);
	poke(&b);
	for (int i = 0; i < 4; i++)
		assert_int_equal(loop_step(l, -1, NULL), 0);
	assert_true(a.calls > 0 && b.calls > 0);
	close_end(&a);
	close_end(&b);
}

static void step_inside(struct watch *w, uint32_t got)
{
	struct end *x = container_of(w, struct end, w);
	char c;

	(void)got;
	assert_int_equal(read(w->fd, &c, 1), 1);
	x->calls++;
	assert_int_equal(loop_step(l, 0, NULL), 0);
}

static void rounds_nest(void **state)
{
	struct end a, b;

	(void)state;
	open_end(&a, EPOLLIN);
	open_end(&b, EPOLLIN);
	a.w.ready = step_inside;
	b.victim = &b;
	poke(&a); /* ready first, and epoll keeps that order */
	poke(&b);
	assert_int_equal(loop_step(l, -1, NULL), 0);
	assert_int_equal(a.calls, 1);
	assert_int_equal(b.calls, 1); /* inside; the outer round had fetched it, too */
	close_end(&a);
	close_end(&b);
}

static void stop_now(struct watch *w, uint32_t got)
{
	count(w, got);
	loop_stop(l);
}

static void runs_until_stopped(void **state)
{
	struct end a;

	(void)state;
	open_end(&a, EPOLLOUT);
	a.w.ready = stop_now;
	assert_int_equal(loop_run(l, NULL), 0);
	assert_int_equal(loop_run(l, NULL), 0); /* a stop counts once */
	assert_int_equal(a.calls, 2);
	loop_stop(l);
	assert_int_equal(loop_run(l, NULL), 0); /* asked for before it began */
	assert_int_equal(a.calls, 2);
	close_end(&a);
}

static void tells_what_cannot_be_watched(void **state)
{
	auto_close int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct watch w = {.fd = file, .want = EPOLLIN, .ready = count};
	struct err e = {0};

	(void)state;
	assert_int_equal(loop_watch(l, &w, &e), -EPERM); /* a regular file is always ready */
	assert_string_equal(e.id, "loop.watch");
	assert_false(w.active);
	loop_unwatch(l, &w);
	w.fd = -1;
	assert_int_equal(loop_watch(l, &w, &e), -EBADF);
}

static void frees_watched_and_nothing(void **state)
{
	struct loop *other = NULL;
	int before = dup(0), after;

	(void)state;
	assert_int_equal(close(before), 0);
	loop_free(NULL);
	EACH_ALLOCATION_FAILS(loop_new(&other, NULL), loop_free(other));
	after = dup(0);
	assert_int_equal(close(after), 0);
	assert_int_equal(before, after); /* no descriptor stays behind */
}

#define T(f) cmocka_unit_test_setup_teardown(f, start, finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(serves_what_is_ready),
		T(unwatch_holds_within_a_round),
		T(victims_may_be_freed),
		T(rewatch_holds_within_a_round),
		T(rounds_nest),
		T(runs_until_stopped),
		T(tells_what_cannot_be_watched),
		T(frees_watched_and_nothing),
	};

	return RUN_TESTS(tests);
}
