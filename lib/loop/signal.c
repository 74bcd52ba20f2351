/*
 * Signals as calls on the loop, by signalfd.  Called by main programs, on the loop's thread.
 */
#include "loop/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "loop/loop_internal.h"

/* One call of loop_signals. */
struct signals {
	struct watch watch; /* signalfd, owned */
	void (*fn)(int signo, void *arg);
	void *arg;
	struct signals *next;
};

/* One signal a round: fn may well end the program's use of the loop. */
static void arrived(struct watch *w, uint32_t got)
{
	struct signals *s = container_of(w, struct signals, watch);
	struct signalfd_siginfo info;

	(void)got;
	if (read(w->fd, &info, sizeof(info)) ==
	    (ssize_t)sizeof(info)) /* else it was taken already */
		s->fn((int)info.ssi_signo, s->arg);
}

static int start(struct loop *l, struct signals *s, const sigset_t *set)
{
	int rc = pthread_sigmask(SIG_BLOCK, set, NULL);

	if (rc)
		return -rc;
	s->watch.fd = signalfd(-1, set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->watch.fd < 0)
		return -errno;
	s->watch.want = EPOLLIN;
	s->watch.ready = arrived;
	return loop_watch(l, &s->watch, NULL);
}

static void signals_free(struct signals *s)
{
	if (s->watch.fd >= 0)
		(void)close(s->watch.fd); /* a signalfd's close reports nothing */
	free(s);
}

int loop_signals(struct loop *l, const sigset_t *set, void (*fn)(int signo, void *arg), void *arg,
		 struct err *e)
{
	struct signals *s = mem_zalloc(sizeof(*s));
	int rc;

	if (!s)
		return err_nomem(e);
	s->watch.fd = -1;
	s->fn = fn;
	s->arg = arg;
	rc = start(l, s, set);
	if (rc) {
		signals_free(s);
		return err_sys(e, -rc, "loop.signals", "signals");
	}
	s->next = l->signals;
	l->signals = s;
	return 0;
}

void signals_done(struct loop *l)
{
	while (l->signals) {
		struct signals *s = l->signals;

		l->signals = s->next;
		signals_free(s);
	}
}
