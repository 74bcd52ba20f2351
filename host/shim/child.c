/*
 * Starts the engine as a child of the shim.  Called once by hearth-shim's main; the child's half
 * runs between fork and exec in a process with one thread.
 *
 * The order in the child matters: groups and limits while still root, then groups, gid and uid,
 * then the parent-death signal, which a change of credentials clears (prctl(2), PR_SET_PDEATHSIG).
 */
#include "shim/child.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"
#include "shim/job.h"

/* What the child says when it could not execute. */
struct failure {
	int errno_was;
	char step[28];
};

struct plan {
	const struct job *job;
	int serial_fd, out_fd, go_fd, fail_fd;
	pid_t parent;
};

static int wire_stdio(const struct plan *p)
{
	auto_close int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (null < 0 || dup2(null, 0) < 0 || dup2(p->out_fd, 1) < 0 || dup2(p->out_fd, 2) < 0)
		return -errno;
	return 0;
}

/* dup2 gives a descriptor that survives exec; the kept ones lie at their numbers already. */
static int wire_rest(const struct plan *p)
{
	if (dup2(p->serial_fd, (int)p->job->serial_fd) < 0)
		return -errno;
	for (int i = 0; i < p->job->keep_n; i++)
		if (fcntl(p->job->keep[i], F_SETFD, 0))
			return -errno;
	return 0;
}

static int limit(const struct plan *p)
{
	struct rlimit none = {0, 0}, files = {(rlim_t)p->job->nofile, (rlim_t)p->job->nofile};

	/* A core would hold the guest's memory. */
	return setrlimit(RLIMIT_CORE, &none) || setrlimit(RLIMIT_NOFILE, &files) ? -errno : 0;
}

/* Take away what no later exec may regain; needs CAP_SETPCAP, so before the uid changes. */
static int drop_bounding(const struct plan *p)
{
	(void)p;
	for (unsigned long cap = 0; cap <= CAP_LAST_CAP; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) &&
		    errno != EINVAL) /* EINVAL: older kernel */
			return -errno;
	return 0;
}

static int become_user(const struct plan *p)
{
	gid_t gid = (gid_t)p->job->gid;
	uid_t uid = (uid_t)p->job->uid;

	if (setgroups((size_t)p->job->groups_n, p->job->groups) || setresgid(gid, gid, gid) ||
	    setresuid(uid, uid, uid))
		return -errno;
	return 0;
}

static int tie_to_parent(const struct plan *p)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	if (getppid() != p->parent)
		_exit(1); /* it died before the signal was set */
	return 0;
}

static int reset_signals(const struct plan *p)
{
	sigset_t none;

	(void)p;
	for (int s = 1; s < NSIG; s++)
		(void)signal(s, SIG_DFL); /* SIGKILL and SIGSTOP refuse, rightly */
	(void)sigemptyset(&none);	  /* can't fail with a valid set */
	(void)umask(077);
	return sigprocmask(SIG_SETMASK, &none, NULL) ? -errno : 0;
}

static __attribute__((noreturn)) void run_child(const struct plan *p)
{
	static const struct {
		const char *name;
		int (*run)(const struct plan *p);
	} steps[] = {
		{"standard streams", wire_stdio}, {"descriptors", wire_rest},
		{"resource limits", limit},	  {"capability bounding set", drop_bounding},
		{"user and groups", become_user}, {"parent-death signal", tie_to_parent},
		{"signals", reset_signals},
	};
	static const char *const env[] = {"PATH=/usr/bin:/bin", "LC_ALL=C", NULL};
	struct failure f = {0};
	char go;

	if (read(p->go_fd, &go, 1) != 1)
		_exit(1); /* the shim gave up */
	for (size_t i = 0; i < ARRAY_LEN(steps) && !f.errno_was; i++) {
		f.errno_was = -steps[i].run(p);
		(void)!str_copy(f.step, sizeof(f.step), steps[i].name); /* ours, and short */
	}
	if (!f.errno_was) {
		/* Returns only on failure. */
		(void)execve(p->job->argv[0], p->job->argv, (char *const *)(uintptr_t)env);
		f.errno_was = errno;
		(void)!str_copy(f.step, sizeof(f.step), "exec"); /* fits */
	}
	(void)!write(p->fail_fd, &f,
		     sizeof(f)); /* if even that fails, the shim sees an early end */
	_exit(127);
}

int child_fork(const struct job *j, int serial_fd, int out_fd, struct child *ret, struct err *e)
{
	int go[2], fail[2], pidfd = -1;
	struct clone_args args = {
		.flags = CLONE_PIDFD,
		.pidfd = (uint64_t)(uintptr_t)&pidfd,
		.exit_signal = SIGCHLD,
	};
	pid_t parent = getpid();
	long pid;

	if (pipe2(go, O_CLOEXEC) || pipe2(fail, O_CLOEXEC))
		return err_sys(e, errno, "shim.fork", "pipe");
	pid = syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0) {
		const struct plan p = {j, serial_fd, out_fd, go[0], fail[1], parent};

		(void)close(go[1]); /* so that the shim's end is the only one: its death ends us */
		run_child(&p);
	}
	(void)close(go[0]); /* the child's ends; a pipe's close reports nothing */
	(void)close(fail[1]);
	if (pid < 0) {
		(void)close(go[1]);
		(void)close(fail[0]);
		return err_sys(e, errno, "shim.fork", "engine's process");
	}
	*ret = (struct child){(pid_t)pid, pidfd, go[1], fail[0]};
	return 0;
}

int child_go(struct child *c, const char *program, struct err *e)
{
	struct failure f = {0};
	ssize_t n;

	if (write(c->go_fd, "g", 1) != 1)
		return err_sys(e, errno, "shim.exec", "%s: ended before it ran", program);
	(void)close(take_fd(c->go_fd));
	do
		n = read(c->fail_fd, &f, sizeof(f));
	while (n < 0 && errno == EINTR);
	(void)close(take_fd(c->fail_fd));
	if (n == 0)
		return 0; /* closed by exec */
	if (n != sizeof(f))
		return err_set(e, -EIO, ERR_HOST, "shim.exec", "%s: ended before it ran", program);
	f.step[sizeof(f.step) - 1] = '\0';
	return err_sys(e, f.errno_was, "shim.exec", "%s: %s", program, f.step);
}
