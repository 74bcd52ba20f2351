/*
 * The epoll loop: watches of descriptors and the round that serves them.
 * Called by main programs and by everything that waits; one thread per loop.
 */
#include "loop/loop.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "loop/loop_internal.h"

int loop_new(struct loop **ret, struct err *e)
{
	struct loop *l = mem_zalloc(sizeof(*l));
	int rc;

	if (!l)
		return err_nomem(e);
	workers_init(l);
	l->wake.fd = -1;
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	rc = l->epoll_fd < 0 ? -errno : posts_init(l);
	if (rc) {
		loop_free(l);
		return err_sys(e, -rc, "loop.new", "event loop");
	}
	*ret = l;
	return 0;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	assert(!l->round); /* a callback would return into freed memory */
	workers_done(l);
	signals_done(l);
	posts_done(l);
	if (l->epoll_fd >= 0)
		(void)close(l->epoll_fd); /* an epoll's close reports nothing */
	free(l->timers.at);
	free(l);
}

int loop_watch(struct loop *l, struct watch *w, struct err *e)
{
	struct epoll_event ev = {.events = w->want, .data.ptr = w};

	assert(!w->active && w->ready);
	if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, w->fd, &ev))
		return err_sys(e, errno, "loop.watch", "watch of descriptor %d", w->fd);
	w->active = true;
	return 0;
}

void loop_rewatch(struct loop *l, struct watch *w)
{
	struct epoll_event ev = {.events = w->want, .data.ptr = w};
	int rc;

	assert(w->active);
	rc = epoll_ctl(l->epoll_fd, EPOLL_CTL_MOD, w->fd, &ev);
	assert(rc == 0); /* else the owner closed the descriptor first */
}

/* Forget the events that were fetched for w but not served yet. */
static void forget(struct loop *l, const struct watch *w)
{
	for (struct round *r = l->round; r; r = r->outer)
		for (int i = 0; i < r->n; i++)
			if (r->events[i].data.ptr == w)
				r->events[i].data.ptr = NULL;
}

void loop_unwatch(struct loop *l, struct watch *w)
{
	int rc;

	if (!w->active)
		return;
	rc = epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
	assert(rc == 0); /* else the owner closed the descriptor first */
	w->active = false;
	forget(l, w);
}

static void serve(struct round *r)
{
	for (int i = 0; i < r->n; i++) {
		struct watch *w = r->events[i].data.ptr;
		uint32_t got;

		if (!w)
			continue;
		/* An earlier callback of this round may have changed what is wanted. */
		got = r->events[i].events & (w->want | EPOLLERR | EPOLLHUP);
		if (got)
			w->ready(w, got);
	}
}

int loop_step(struct loop *l, int timeout_ms, struct err *e)
{
	struct round r = {.outer = l->round};
	int n = epoll_wait(l->epoll_fd, r.events, ROUND_EVENTS, timers_wait_ms(l, timeout_ms));

	if (n < 0 && errno != EINTR)
		return err_sys(e, errno, "loop.wait", "event loop");
	r.n = n < 0 ? 0 : n;
	l->round = &r;
	serve(&r);
	timers_fire(l);
	l->round = r.outer;
	return 0;
}

int loop_run(struct loop *l, struct err *e)
{
	int rc = 0;

	while (!rc && !l->stop)
		rc = loop_step(l, -1, e);
	l->stop = false;
	return rc;
}

void loop_stop(struct loop *l)
{
	l->stop = true;
}
