/*
 * Calls posted from other threads: a locked list and an eventfd that wakes the loop.
 * loop_post is called on any thread; the calls run on the loop's.
 */
#include "loop/loop.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/mem.h"
#include "loop/loop_internal.h"

struct post {
	void (*fn)(void *arg);
	void *arg;
	struct post *next;
};

static struct post *next_post(struct loop *l)
{
	struct post *p;

	(void)pthread_mutex_lock(&l->lock); /* a normal mutex can't fail, here and below */
	p = l->posts;
	if (p) {
		l->posts = p->next;
		l->posts_n--;
	}
	if (!l->posts)
		l->posts_last = &l->posts;
	(void)pthread_mutex_unlock(&l->lock);
	return p;
}

static size_t posts_waiting(struct loop *l)
{
	size_t n;

	(void)pthread_mutex_lock(&l->lock);
	n = l->posts_n;
	(void)pthread_mutex_unlock(&l->lock);
	return n;
}

/* The wake eventfd is readable.  Only what waits now is run: a call that posts itself again leaves
 * the loop its other work.  Taken one by one, because a call may itself run rounds of this loop. */
static void woken(struct watch *w, uint32_t got)
{
	struct loop *l = container_of(w, struct loop, wake);
	eventfd_t count;

	(void)got;
	(void)eventfd_read(w->fd, &count); /* EAGAIN: an inner round was quicker */
	for (size_t n = posts_waiting(l); n > 0; n--) {
		struct post *p = next_post(l);
		struct post call;

		if (!p)
			break;
		call = *p;
		free(p);
		call.fn(call.arg);
	}
	workers_deliver(l);
}

int posts_init(struct loop *l)
{
	l->posts_last = &l->posts;
	l->wake.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->wake.fd < 0)
		return -errno;
	l->wake.want = EPOLLIN;
	l->wake.ready = woken;
	return loop_watch(l, &l->wake, NULL);
}

void posts_done(struct loop *l)
{
	struct post *p;

	if (l->wake.fd < 0)
		return;
	while ((p = next_post(l)))
		free(p);
	(void)close(l->wake.fd); /* an eventfd's close reports nothing */
}

void posts_wake(struct loop *l)
{
	int rc = eventfd_write(l->wake.fd, 1);

	assert(rc == 0); /* only 2^64 - 1 unread wake-ups would fill it */
}

int loop_post(struct loop *l, void (*fn)(void *arg), void *arg)
{
	struct post *p = mem_zalloc(sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->fn = fn;
	p->arg = arg;
	(void)pthread_mutex_lock(&l->lock);
	*l->posts_last = p;
	l->posts_last = &p->next;
	l->posts_n++;
	(void)pthread_mutex_unlock(&l->lock);
	posts_wake(l);
	return 0;
}
