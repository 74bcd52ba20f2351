/*
 * Runs helper programs to their end and tells processes apart by start time.
 * Called on worker threads and in the command line; blocks.
 */
#include "base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"

extern char **environ;

#define READ_STEP 16384 /* bytes a read(2) from the child */

/* The parent's ends of the child's three streams; -1: not a pipe. */
struct pipes {
	int in, out, err;
	size_t in_done;
};

static void pipes_close(struct pipes *p)
{
	int *all[] = {&p->in, &p->out, &p->err};

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (*all[i] >= 0)
			(void)close(take_fd(*all[i])); /* a pipe's close reports nothing */
}

/* Give the child one end of a new pipe as descriptor `as`; keep the other one. */
static int wire(posix_spawn_file_actions_t *fa, int as, int *ret_ours)
{
	int p[2], child, ours;

	if (pipe2(p, O_CLOEXEC))
		return -errno;
	child = as == 0 ? p[0] : p[1];
	ours = as == 0 ? p[1] : p[0];
	/* dup2 clears O_CLOEXEC in the child; its copy of `child` closes at exec. */
	if (posix_spawn_file_actions_adddup2(fa, child, as)) {
		(void)close(p[0]);
		(void)close(p[1]);
		return -ENOMEM;
	}
	*ret_ours = ours;
	return child;
}

static int wire_all(const struct proc_run *run, posix_spawn_file_actions_t *fa, struct pipes *p,
		    int child_fd[3])
{
	int rc = 0;

	if (run->cwd)
		rc = -posix_spawn_file_actions_addchdir_np(fa, run->cwd);
	if (!rc && run->in)
		rc = child_fd[0] = wire(fa, 0, &p->in);
	else if (!rc)
		rc = -posix_spawn_file_actions_addopen(fa, 0, "/dev/null", O_RDONLY, 0);
	for (int as = 1; rc >= 0 && as <= 2; as++) {
		const struct buf *want = as == 1 ? run->out : run->err;

		if (run->log_fd > 0)
			rc = -posix_spawn_file_actions_adddup2(fa, run->log_fd, as);
		else if (as == 2 && want && run->err == run->out)
			rc = -posix_spawn_file_actions_adddup2(fa, 1, 2);
		else if (want)
			rc = child_fd[as] = wire(fa, as, as == 1 ? &p->out : &p->err);
		else
			rc = -posix_spawn_file_actions_addopen(fa, as, "/dev/null", O_WRONLY, 0);
	}
	return rc < 0 ? rc : 0;
}

static int spawn(const struct proc_run *run, struct pipes *p, pid_t *ret_pid)
{
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t attr;
	int child_fd[3] = {-1, -1, -1}, rc;
	sigset_t none, def;

	if (posix_spawn_file_actions_init(&fa))
		return -ENOMEM;
	if (posix_spawnattr_init(&attr)) {
		(void)posix_spawn_file_actions_destroy(&fa);
		return -ENOMEM;
	}
	/* A group of its own, so that a timeout reaches grandchildren; signals as a shell gives
	 * them. */
	(void)sigemptyset(&none);
	(void)sigfillset(&def);
	(void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
						      POSIX_SPAWN_SETSIGDEF);
	(void)posix_spawnattr_setsigmask(&attr, &none);
	(void)posix_spawnattr_setsigdefault(&attr, &def);
	rc = wire_all(run, &fa, p, child_fd);
	if (!rc)
		rc = -posix_spawnp(ret_pid, run->argv[0], &fa, &attr, (char *const *)run->argv,
				   environ);
	for (int i = 0; i < 3; i++)
		if (child_fd[i] >= 0)
			(void)close(child_fd[i]); /* the child's end of a pipe */
	(void)posix_spawnattr_destroy(&attr);
	(void)posix_spawn_file_actions_destroy(&fa);
	return rc;
}

/* Read once into b; closes *fd at its end.  A full buffer keeps draining, so the child never
 * blocks. */
static void drain(int *fd, struct buf *b)
{
	char block[READ_STEP];
	ssize_t n = read(*fd, block, sizeof(block));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0)
		(void)close(take_fd(*fd)); /* end of a pipe */
	else
		(void)buf_add(b, block, (size_t)n); /* b->failed tells the caller */
}

/* write(2) without SIGPIPE, whatever the program does about that signal.  It is sent to the writing
 * thread, so blocking it here and taking it away again disturbs nobody else. */
static ssize_t write_quietly(int fd, const void *data, size_t len)
{
	sigset_t pipe_set, old;
	ssize_t n;
	int errno_now;

	(void)sigemptyset(&pipe_set);
	(void)sigaddset(&pipe_set, SIGPIPE);
	(void)pthread_sigmask(SIG_BLOCK, &pipe_set, &old); /* can't fail with valid sets */
	n = write(fd, data, len);
	errno_now = errno;
	if (n < 0 && errno_now == EPIPE)
		(void)sigtimedwait(&pipe_set, NULL, &(struct timespec){0}); /* EAGAIN: ignored */
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	errno = errno_now;
	return n;
}

static void feed(const struct proc_run *run, struct pipes *p)
{
	const char *rest = (const char *)run->in + p->in_done;
	ssize_t n = write_quietly(p->in, rest, run->in_len - p->in_done);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n > 0)
		p->in_done += (size_t)n;
	if (n < 0 || p->in_done == run->in_len)
		(void)close(take_fd(p->in)); /* the child stopped reading, or has it all */
}

/* Move data until the child has exited and its output has ended, or until the deadline. */
static int pump(const struct proc_run *run, struct pipes *p, int pidfd)
{
	uint64_t due = run->timeout_ms ? clock_mono_ns() + run->timeout_ms * NS_PER_MS : 0;
	bool alive = true;

	while (alive || p->out >= 0 || p->err >= 0) {
		struct pollfd w[4] = {
			{.fd = alive ? pidfd : -1, .events = POLLIN},
			{.fd = p->in, .events = POLLOUT},
			{.fd = p->out, .events = POLLIN},
			{.fd = p->err, .events = POLLIN},
		};
		uint64_t now = clock_mono_ns();
		int wait_ms = !due ? -1 : now >= due ? 0 : (int)((due - now) / NS_PER_MS + 1);

		/* Once it has exited, what is in the pipes is all; a stray grandchild may hold
		 * them. */
		int n = poll(w, 4, alive ? wait_ms : 0);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0 && alive)
			return -ETIMEDOUT;
		if (n == 0)
			break;
		if (w[0].revents)
			alive = false;
		if (w[1].revents)
			feed(run, p);
		if (w[2].revents)
			drain(&p->out, run->out);
		if (w[3].revents)
			drain(&p->err, run->err);
	}
	return 0;
}

int proc_run(const struct proc_run *run, struct err *e)
{
	struct pipes p = {-1, -1, -1, 0};
	auto_close int pidfd = -1;
	int rc, status;
	pid_t pid;

	rc = spawn(run, &p, &pid);
	if (rc) {
		pipes_close(&p);
		return err_sys(e, -rc, "program.start", "%s", run->argv[0]);
	}
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	rc = pidfd < 0 ? -errno : 0;
	if (!rc && p.in >= 0)
		rc = fd_set_nonblock(p.in, true);
	if (!rc)
		rc = pump(run, &p, pidfd);
	if (rc)
		(void)kill(-pid, SIGKILL); /* it may have ended by itself just now */
	pipes_close(&p);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	if (rc == -ETIMEDOUT)
		return err_set(e, rc, ERR_HOST, "program.timeout",
			       "%s: still running after %llu ms", run->argv[0],
			       (unsigned long long)run->timeout_ms);
	if (rc)
		return err_sys(e, -rc, "program.run", "%s", run->argv[0]);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* State letter and start time of a process, from /proc/PID/stat. */
static int read_stat(pid_t pid, char *ret_state, uint64_t *ret_ticks)
{
	char path[32], text[1024];
	auto_close int fd = -1;
	unsigned long long ticks;
	const char *after;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid); /* fits */
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return -ESRCH;
	text[n] = '\0';
	after = strrchr(text, ')'); /* the name may itself hold ") " */
	if (!after || sscanf(after,
			     ") %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d "
			     "%*d %*d %llu",
			     ret_state, &ticks) != 2)
		return -ESRCH;
	*ret_ticks = ticks;
	return 0;
}

int proc_start_time(pid_t pid, uint64_t *ret_ticks)
{
	char state;

	return read_stat(pid, &state, ret_ticks);
}

bool proc_is(pid_t pid, uint64_t ticks)
{
	char state;
	uint64_t now;

	return pid > 0 && !read_stat(pid, &state, &now) && now == ticks && state != 'Z' &&
	       state != 'X';
}
