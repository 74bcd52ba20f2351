/*
 * hearth-shim: the small process that stays beside one VM's engine, whatever becomes of hearthd.
 * Started by hearthd (engine/launch.c) in a session of its own; one thread.
 *
 * It holds the lock of the VM's directory, starts the engine without privileges, keeps its console
 * and its log, waits for its end and writes exit.json.  docs/decisions/001-shim.md says why.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/proc.h"
#include "base/str.h"
#include "json/json.h"
#include "shim/cgroup.h"
#include "shim/child.h"
#include "shim/job.h"
#include "shim/relay.h"

struct shim {
	struct job job;
	struct cgroups cgroups;
	struct child child;
	struct buf notes; /* what the host did not allow, in sentences */
	uint64_t own_ticks, engine_ticks;
	uint64_t started_us;	       /* wall clock */
	int serial_fd, out_fd;	       /* our ends; the relay takes them over */
	int engine_serial, engine_out; /* the engine's ends, until it runs */
};

/* {"shim_pid":…}: who we are, as hearthd and a later hearthd read it. */
static json_t *identity(const struct shim *s)
{
	char boot_id[CLOCK_BOOT_ID_LEN];

	clock_boot_id(boot_id);
	return json_pack("{s:i, s:I, s:i, s:I, s:s}", "shim_pid", (int)getpid(), "shim_ticks",
			 (json_int_t)s->own_ticks, "engine_pid", (int)s->child.pid, "engine_ticks",
			 (json_int_t)s->engine_ticks, "boot_id", boot_id);
}

/* {"groups":[…]}: what must be removed when we are killed before we can. */
static json_t *groups(const struct shim *s)
{
	json_t *list = json_array();

	for (int i = 0; i < s->cgroups.n; i++)
		if (s->cgroups.at[i].path[0] && json_push(list, json_string(s->cgroups.at[i].path)))
			break; /* an empty group is left, no more */
	return list;
}

/* Put our identity into the lock file, for a hearthd that never got our status.  A reader that
 * comes in the middle of the write sees no valid JSON and looks again. */
static int write_record(const struct shim *s, struct err *e)
{
	auto_json json_t *who = identity(s);
	auto_free char *text = who && !json_put(who, "groups", groups(s)) ? json_text(who) : NULL;
	int fd = (int)s->job.lock_fd;

	if (!text)
		return err_nomem(e);
	if (ftruncate(fd, 0) || pwrite(fd, text, strlen(text), 0) != (ssize_t)strlen(text))
		return err_sys(e, errno, "shim.lock", "%s/lock", s->job.dir);
	return 0;
}

/* One line for the waiting hearthd, which may be dead: then the lock file tells the next one. */
static void report(const struct shim *s, const struct err *e)
{
	auto_json json_t *status =
		e ? json_pack("{s:s, s:i, s:s}", "code", e->id, "errno", -e->code, "text", e->text)
		  : identity(s);
	auto_free char *text = NULL;

	if (status && !e && s->notes.len)
		(void)!json_put(status, "notes", json_string(buf_text(&s->notes))); /* a note */
	text = status ? json_text(status) : NULL;
	if (text)
		(void)fd_write_all((int)s->job.status_fd, text, strlen(text)); /* see above */
	(void)close((int)s->job.status_fd); /* hearthd reads to the end */
}

static int make_streams(struct shim *s, struct err *e)
{
	int serial[2], out[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, serial) || pipe2(out, O_CLOEXEC))
		return err_sys(e, errno, "shim.streams", "serial line and log pipe");
	s->serial_fd = serial[0];
	s->engine_serial = serial[1];
	s->out_fd = out[0];
	s->engine_out = out[1];
	return 0;
}

/* Keep nothing that is the engine's: a TAP lives as long as its last descriptor. */
static void close_engine_fds(struct shim *s)
{
	for (int i = 0; i < s->job.keep_n; i++)
		(void)close(s->job.keep[i]); /* ours was only a copy */
	(void)close((int)s->job.serial_fd);
	(void)close(s->engine_serial);
	(void)close(s->engine_out);
	(void)close(JOB_FD);
}

/* From here on we need no privilege but to end the engine, which runs as another user. */
static int drop_capabilities(struct err *e)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {0};

	if (geteuid() != 0)
		return 0;
	data[0].effective = data[0].permitted = 1u << CAP_KILL;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_capset, &head, data))
		return err_sys(e, errno, "shim.capabilities", "shim");
	return 0;
}

static int start(struct shim *s, struct err *e)
{
	int rc;

	/* Reserve the number of the engine's serial line before anything of ours takes it. */
	if (dup3(JOB_FD, (int)s->job.serial_fd, O_CLOEXEC) < 0)
		return err_sys(e, errno, "shim.streams", "descriptor %" PRId64, s->job.serial_fd);
	rc = proc_start_time(getpid(), &s->own_ticks);
	if (rc)
		return err_sys(e, -rc, "shim.proc", "/proc is needed");
	rc = write_record(s, e);
	if (!rc)
		rc = make_streams(s, e);
	if (rc)
		return rc;
	cgroups_make(&s->job, &s->cgroups, &s->notes);
	rc = child_fork(&s->job, s->engine_serial, s->engine_out, &s->child, e);
	if (!rc && (rc = proc_start_time(s->child.pid, &s->engine_ticks)))
		rc = err_sys(e, -rc, "shim.proc", "engine's process");
	if (!rc)
		rc = write_record(s, e);
	if (!rc)
		rc = child_go(&s->child, s->job.argv[0], e);
	close_engine_fds(s);
	if (!rc)
		rc = drop_capabilities(e);
	return rc;
}

/* exit.json: how the engine ended, for hearthd now or later. */
static int write_exit(const struct shim *s, const struct relay_end *end, struct err *e)
{
	auto_json json_t *who = identity(s);
	auto_free char *text = NULL;
	char path[4200];
	bool killed = WIFSIGNALED(end->status);
	int rc = who ? 0 : -ENOMEM;

	if (!rc)
		rc = json_put(who, "status",
			      json_integer(killed ? 128 + WTERMSIG(end->status)
						  : WEXITSTATUS(end->status)));
	if (!rc)
		rc = json_put(who, "signal", json_integer(killed ? WTERMSIG(end->status) : 0));
	if (!rc)
		rc = json_put(who, "started_us", json_integer((json_int_t)s->started_us));
	if (!rc)
		rc = json_put(who, "wall_us", json_integer((json_int_t)clock_wall_us()));
	if (!rc)
		rc = json_put(who, "oom_kills",
			      json_integer((json_int_t)cgroups_oom_kills(&s->cgroups)));
	if (!rc)
		rc = json_put(who, "console_bytes", json_integer((json_int_t)end->console_bytes));
	text = rc ? NULL : json_text(who);
	if (!text || !str_fmt(path, sizeof(path), "%s/exit.json", s->job.dir))
		return err_nomem(e);
	return fd_replace_file(path, text, strlen(text), 0640, e);
}

/* What hearthd sends to its children, or a terminal to its group, is not meant for VMs. */
static void ignore_signals(void)
{
	static const int ignored[] = {SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGUSR1, SIGUSR2};

	for (size_t i = 0; i < ARRAY_LEN(ignored); i++)
		(void)signal(ignored[i], SIG_IGN); /* valid numbers: can't fail */
}

int main(void)
{
	static struct shim s;
	struct relay_end end;
	struct err e = {0};
	int rc;

	ignore_signals();
	(void)umask(027);
	/* -EINVAL on kernels before 5.11: then the engine would inherit: refuse. */
	if (close_range(JOB_FD, ~0u, CLOSE_RANGE_CLOEXEC))
		return 1;
	rc = job_read(JOB_FD, &s.job, &e);
	if (rc) {
		(void)fd_write_all(2, e.text, strlen(e.text)); /* /dev/null unless run by hand */
		return 1;
	}
	s.started_us = clock_wall_us();
	rc = start(&s, &e);
	report(&s, rc ? &e : NULL);
	if (!rc) {
		cgroups_enter(&s.cgroups, s.child.pid);
		cgroups_join_shims(&s.cgroups);
	}
	if (!rc)
		rc = relay_run(s.job.dir, s.serial_fd, s.out_fd, (int)s.job.listen_fd,
			       s.child.pidfd, &end, &e);
	if (!rc)
		rc = write_exit(&s, &end, &e);
	cgroups_remove(&s.cgroups);
	return rc ? 1 : 0; /* the lock goes with the process */
}
