/*
 * Watches the two processes of a VM, shim and engine, by pidfd, and tells when both have ended.
 * Called by the engines on the loop's thread.
 *
 * The shim ends last in every ordinary case, after it has written exit.json.  If it is killed, the
 * kernel kills the engine (PR_SET_PDEATHSIG); if it hangs although the engine has ended, we kill
 * it.
 */
#include "engine/launch.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/proc.h"
#include "base/str.h"

#define LINGER_MS 10000 /* for exit.json to reach a slow disk */

bool procs_same_boot(const struct vm_process *proc)
{
	char now[CLOCK_BOOT_ID_LEN];

	clock_boot_id(now);
	return str_eq(now, proc->boot_id);
}

/* pidfd of the process that started at `ticks`, or -1: it has ended.  The ticks are read after the
 * pidfd is open, so that a reused pid can't slip in between. */
static int open_pidfd(pid_t pid, uint64_t ticks)
{
	auto_close int fd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;

	return fd >= 0 && proc_is(pid, ticks) ? take_fd(fd) : -1;
}

static void drop(struct procs *p, struct watch *w)
{
	if (w->fd < 0)
		return;
	loop_unwatch(p->loop, w);
	(void)close(take_fd(w->fd)); /* a pidfd's close reports nothing */
}

static void signal_to(const struct watch *w, int signo)
{
	if (w->fd >= 0)
		(void)syscall(SYS_pidfd_send_signal, w->fd, signo, NULL,
			      0); /* ESRCH: it has ended */
}

static void check_ended(struct procs *p)
{
	if (p->shim.fd >= 0 || p->engine.fd >= 0)
		return;
	loop_timer_stop(p->loop, &p->linger);
	p->ended(p);
}

static void shim_ended(struct watch *w, uint32_t got)
{
	struct procs *p = container_of(w, struct procs, shim);

	(void)got;
	(void)waitpid(p->proc.shim_pid, NULL, WNOHANG); /* ECHILD: started by an earlier hearthd */
	drop(p, w);
	signal_to(&p->engine, SIGKILL); /* the kernel has sent it already */
	check_ended(p);
}

static void engine_gone(struct watch *w, uint32_t got)
{
	struct procs *p = container_of(w, struct procs, engine);

	(void)got;
	drop(p, w);
	/* No memory for the timer: then a hanging shim is waited for, as without it. */
	(void)loop_timer_in(p->loop, &p->linger, LINGER_MS * NS_PER_MS);
	check_ended(p);
}

static void linger_over(struct timer *t)
{
	struct procs *p = container_of(t, struct procs, linger);

	signal_to(&p->shim, SIGKILL);
}

int procs_watch(struct procs *p, struct loop *l, const struct vm_process *proc,
		void (*ended)(struct procs *p), struct err *e)
{
	bool same = procs_same_boot(proc);
	int rc = 0;

	memset(p, 0, sizeof(*p));
	p->loop = l;
	p->proc = *proc;
	p->ended = ended;
	p->linger.fire = linger_over;
	p->shim = (struct watch){.fd = -1, .want = EPOLLIN, .ready = shim_ended};
	p->engine = (struct watch){.fd = -1, .want = EPOLLIN, .ready = engine_gone};
	if (same) {
		p->shim.fd = open_pidfd(proc->shim_pid, proc->shim_ticks);
		p->engine.fd = open_pidfd(proc->engine_pid, proc->engine_ticks);
	}
	if (p->shim.fd < 0 && p->engine.fd < 0)
		return err_set(e, -ESRCH, ERR_STATE, "engine.gone",
			       "shim %d and engine %d have ended", (int)proc->shim_pid,
			       (int)proc->engine_pid);
	if (p->shim.fd >= 0)
		rc = loop_watch(l, &p->shim, e);
	if (!rc && p->engine.fd >= 0)
		rc = loop_watch(l, &p->engine, e);
	if (!rc && p->shim.fd < 0)
		signal_to(&p->engine, SIGKILL); /* without its shim nobody keeps its console */
	if (!rc && p->engine.fd < 0)
		rc = loop_timer_in(l, &p->linger, LINGER_MS * NS_PER_MS) ? err_nomem(e) : 0;
	if (rc)
		procs_done(p);
	return rc;
}

void procs_kill(struct procs *p)
{
	signal_to(&p->engine, SIGKILL);
}

void procs_done(struct procs *p)
{
	if (!p->loop)
		return;
	loop_timer_stop(p->loop, &p->linger);
	drop(p, &p->shim);
	drop(p, &p->engine);
}
