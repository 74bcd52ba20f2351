/*
 * Starts hearth-shim with a job and descriptors; the shim starts the engine.  Called by the engines
 * on the loop's thread; blocks until the shim says that the engine runs, a few milliseconds.
 *
 * The lock of the VM's directory is taken here and inherited by the shim, so that there is no
 * moment in which a started VM is not locked; job.h of the shim and docs/engines.md describe the
 * rest.
 */
#include "engine/launch.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/str.h"
#include "json/json.h"

#define JOB_FD	  3 /* numbers in the shim; shim/job.h */
#define LOCK_FD	  4
#define STATUS_FD 5
#define LISTEN_FD 6
#define HIGH_FD	  128 /* ours are moved here first, so that no dup2 overwrites one still needed */
#define STATUS_MS                                                                                  \
	10000 /* from spawn to exec: milliseconds; a machine that swaps may need seconds */
#define STATUS_MAX 8192
#define NOFILE	   256 /* the engine's: its descriptors and those of 8 drives */
#define PIDS_MAX   128 /* vCPUs (32), QEMU's I/O pool (64), main threads */

static const char *libexec_dir; /* borrowed from engine_init's caller */

void engine_init(const char *dir)
{
	libexec_dir = dir;
}

void launch_arg(struct launch *la, const char *fmt, ...)
{
	va_list ap;
	char *s = NULL;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		s = NULL;
	va_end(ap);
	if (!la->argv)
		la->argv = json_array(); /* NULL fails in json_push */
	if (!s || json_push(la->argv, json_string(s)))
		la->failed = true;
	free(s);
}

int launch_keep(struct launch *la, int fd)
{
	int high;

	assert(la->keep_n < LAUNCH_KEEP_MAX); /* LIMIT_DRIVES bounds it */
	high = fcntl(fd, F_DUPFD_CLOEXEC, HIGH_FD);
	if (high < 0)
		return -errno;
	la->keep[la->keep_n] = high;
	return LAUNCH_KEEP_FD + la->keep_n++;
}

static int keep_or_say(struct launch *la, int fd, const char *what, struct err *e)
{
	int n = launch_keep(la, fd);

	return n < 0 ? err_sys(e, -n, "engine.descriptors", "%s", what) : n;
}

int launch_open(struct launch *la, const char *path, int flags, struct err *e)
{
	auto_close int fd = open(path, flags | O_CLOEXEC);

	if (fd < 0)
		return err_sys(e, errno, "engine.open", "%s", path);
	return keep_or_say(la, fd, path, e);
}

int launch_listen(struct launch *la, const char *run_dir, const char *name, struct err *e)
{
	char path[4096];
	auto_close int fd = -1;
	int rc;

	if (!str_fmt(path, sizeof(path), "%s/%s", run_dir, name))
		return err_sys(e, ENAMETOOLONG, "engine.listen", "%s", run_dir);
	rc = fd_listen_unix(path, 0600, 4, &fd, e);
	return rc ? rc : keep_or_say(la, fd, path, e);
}

bool launch_find(const char *program, char *ret, size_t cap)
{
	const char *path = getenv("PATH");
	auto_free char *copy = mem_strdup(path && *path ? path : "/usr/bin:/bin");
	char *pos = copy, *dir;

	while (copy && (dir = str_word(&pos, ":")))
		if (str_fmt(ret, cap, "%s/%s", dir, program) && access(ret, X_OK) == 0)
			return true;
	return false;
}

/* hearth-shim lies in libexec; in a build tree beside the program that runs. */
static int find_shim(char *ret, size_t cap, struct err *e)
{
	char self[4000];
	ssize_t n;

	if (libexec_dir && str_fmt(ret, cap, "%s/hearth-shim", libexec_dir) &&
	    access(ret, X_OK) == 0)
		return 0;
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n > 0 && !libexec_dir) {
		self[n] = '\0';
		*(strrchr(self, '/')) = '\0';
		if (str_fmt(ret, cap, "%s/hearth-shim", self) && access(ret, X_OK) == 0)
			return 0;
		if (str_fmt(ret, cap, "%s/../shim/hearth-shim", self) && access(ret, X_OK) == 0)
			return 0;
	}
	(void)err_set(e, -ENOENT, ERR_HOST, "engine.no-shim", "%s/hearth-shim: not there",
		      libexec_dir ? libexec_dir : "(no libexec directory set)");
	return err_remedy(e, "install hearth completely, or set libexec_dir in the configuration");
}

/* The console of the run before stays beside the new one. */
static void rotate(const char *dir, const char *name)
{
	char from[4200], to[4208];

	if (str_fmt(from, sizeof(from), "%s/%s", dir, name) &&
	    str_fmt(to, sizeof(to), "%s.1", from))
		(void)rename(from, to); /* there may be none */
}

static int take_lock(const char *vm_dir, int *ret_fd, struct err *e)
{
	char path[4200];
	auto_close int fd = -1;

	if (!str_fmt(path, sizeof(path), "%s/lock", vm_dir))
		return err_sys(e, ENAMETOOLONG, "engine.lock", "%s", vm_dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_sys(e, errno, "engine.lock", "%s", path);
	if (flock(fd, LOCK_EX | LOCK_NB))
		return errno == EWOULDBLOCK
			       ? err_set(e, -EBUSY, ERR_STATE, "engine.running",
					 "%s: held by a shim: the VM runs already", path)
			       : err_sys(e, errno, "engine.lock", "%s", path);
	*ret_fd = fcntl(fd, F_DUPFD_CLOEXEC, HIGH_FD); /* the same open file: the same lock */
	return *ret_fd < 0 ? err_sys(e, errno, "engine.lock", "%s", path) : 0;
}

static json_t *job_json(const struct launch *la, const struct vm_spec *spec)
{
	json_t *keep = json_array(), *groups = json_array(), *job;
	uint64_t memory = ((uint64_t)spec->ram_mib + la->extra_mib) << 20;
	int rc = keep && groups ? 0 : -ENOMEM;

	for (int i = 0; i < la->keep_n && !rc; i++)
		rc = json_push(keep, json_integer(LAUNCH_KEEP_FD + i));
	if (!rc && la->group)
		rc = json_push(groups, json_integer(la->group));
	job = json_pack(
		"{s:s, s:s, s:O, s:I, s:I, s:o, s:i, s:i, s:i, s:i, s:i, s:o, s:I, s:i, s:i}", "vm",
		spec->id, "dir", spec->vm_dir, "argv", la->argv, "uid", (json_int_t)spec->uid,
		"gid", (json_int_t)spec->uid, "groups", groups, "nofile", NOFILE, "lock_fd",
		LOCK_FD, "status_fd", STATUS_FD, "listen_fd", LISTEN_FD, "serial_fd",
		LAUNCH_SERIAL_FD, "keep", keep, "memory_bytes", (json_int_t)memory, "pids",
		PIDS_MAX, "cpu_weight", spec->vcpus < 100 ? (int)spec->vcpus * 100 : 10000);
	if (job && !rc && spec->cgroup)
		rc = json_put(job, "cgroup", json_string(spec->cgroup));
	if (rc) {
		json_decref(job);
		return NULL;
	}
	return job;
}

static int job_memfd(const struct launch *la, const struct vm_spec *spec, int *ret_fd,
		     struct err *e)
{
	auto_json json_t *job = job_json(la, spec);
	auto_free char *text = job ? json_text(job) : NULL;
	auto_close int fd = -1;
	int rc;

	if (!text)
		return err_nomem(e);
	fd = memfd_create("hearth-job", MFD_CLOEXEC);
	if (fd < 0)
		return err_sys(e, errno, "engine.job", "job of the shim");
	rc = fd_write_all(fd, text, strlen(text));
	*ret_fd = rc ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, HIGH_FD);
	return *ret_fd < 0 ? err_sys(e, rc ? -rc : errno, "engine.job", "job of the shim") : 0;
}

/* Everything that one spawn needs; descriptors owned, all >= HIGH_FD. */
struct hands {
	int job, lock, status, listen;
	int status_read;
};

static void hands_close(struct hands *h)
{
	int *all[] = {&h->job, &h->lock, &h->status, &h->listen, &h->status_read};

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (*all[i] >= 0)
			(void)close(take_fd(*all[i])); /* nothing of ours was buffered */
}

static int hands_make(struct launch *la, const struct vm_spec *spec, struct hands *h, struct err *e)
{
	char path[4200];
	auto_close int listen_fd = -1;
	int p[2], rc;

	if (!str_fmt(path, sizeof(path), "%s/serial.sock", spec->run_dir))
		return err_sys(e, ENAMETOOLONG, "engine.listen", "%s", spec->run_dir);
	rc = fd_listen_unix(path, 0600, 4, &listen_fd, e);
	if (!rc)
		rc = job_memfd(la, spec, &h->job, e);
	if (rc)
		return rc;
	if (pipe2(p, O_CLOEXEC))
		return err_sys(e, errno, "engine.start", "pipe");
	h->status_read = p[0];
	h->status = fcntl(p[1], F_DUPFD_CLOEXEC, HIGH_FD);
	(void)close(p[1]); /* the copy counts */
	h->listen = fcntl(listen_fd, F_DUPFD_CLOEXEC, HIGH_FD);
	return h->status < 0 || h->listen < 0 ? err_sys(e, errno, "engine.start", "descriptors")
					      : 0;
}

static int add_actions(const struct launch *la, const struct hands *h,
		       posix_spawn_file_actions_t *fa)
{
	const int fixed[][2] = {{h->job, JOB_FD},
				{h->lock, LOCK_FD},
				{h->status, STATUS_FD},
				{h->listen, LISTEN_FD}};
	int rc = 0;

	for (int as = 0; as <= 2 && !rc; as++)
		rc = posix_spawn_file_actions_addopen(fa, as, "/dev/null", O_RDWR, 0);
	for (size_t i = 0; i < ARRAY_LEN(fixed) && !rc; i++)
		rc = posix_spawn_file_actions_adddup2(fa, fixed[i][0], fixed[i][1]);
	for (int i = 0; i < la->keep_n && !rc; i++)
		rc = posix_spawn_file_actions_adddup2(fa, la->keep[i], LAUNCH_KEEP_FD + i);
	if (!rc)
		rc = posix_spawn_file_actions_addchdir_np(fa, "/");
	return -rc;
}

static int spawn_shim(const struct launch *la, const struct hands *h, const struct vm_spec *spec,
		      pid_t *ret_pid, struct err *e)
{
	char shim[4200];
	/* The id shows in ps(1); the job says everything else. */
	const char *argv[] = {"hearth-shim", spec->id, NULL};
	static const char *const env[] = {"LC_ALL=C", NULL};
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int rc = find_shim(shim, sizeof(shim), e);

	if (rc)
		return rc;
	if (posix_spawn_file_actions_init(&fa))
		return err_nomem(e);
	if (posix_spawnattr_init(&attr)) {
		(void)posix_spawn_file_actions_destroy(&fa);
		return err_nomem(e);
	}
	(void)sigemptyset(&none); /* these five can't fail with valid arguments */
	(void)sigfillset(&all);
	(void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK |
						      POSIX_SPAWN_SETSIGDEF);
	(void)posix_spawnattr_setsigmask(&attr, &none);
	(void)posix_spawnattr_setsigdefault(&attr, &all);
	rc = add_actions(la, h, &fa);
	if (!rc)
		rc = -posix_spawn(ret_pid, shim, &fa, &attr, (char *const *)(uintptr_t)argv,
				  (char *const *)(uintptr_t)env);
	(void)posix_spawnattr_destroy(&attr);
	(void)posix_spawn_file_actions_destroy(&fa);
	return rc ? err_sys(e, -rc, "engine.start", "%s", shim) : 0;
}

/* The shim's one line, read to the end; empty when it died before it could say anything. */
static int read_status(int fd, struct buf *ret, struct err *e)
{
	uint64_t due = clock_mono_ns() + STATUS_MS * NS_PER_MS;

	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		uint64_t now = clock_mono_ns();
		char *room = buf_room(ret, STATUS_MAX);
		ssize_t n;

		if (!room || ret->len > STATUS_MAX)
			return err_set(e, -E2BIG, ERR_BUG, "engine.shim", "shim talks too much");
		if (now >= due || poll(&p, 1, (int)((due - now) / NS_PER_MS) + 1) == 0)
			return err_set(e, -ETIMEDOUT, ERR_HOST, "engine.shim-silent",
				       "hearth-shim did not start the engine within %d s",
				       STATUS_MS / 1000);
		n = read(fd, room, STATUS_MAX);
		if (n == 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return err_sys(e, errno, "engine.shim", "status of the shim");
		if (n > 0)
			ret->len += (size_t)n;
	}
}

/* {"code":…,"errno":…,"text":…} or the identities. */
static int parse_status(const struct buf *text, pid_t shim, struct vm_process *ret, struct err *e)
{
	auto_json json_t *j = NULL;
	const char *code = NULL, *why = NULL;
	json_int_t shim_ticks, engine_ticks;
	int engine_pid, errno_was = EIO;

	if (!text->len)
		return err_set(e, -ECHILD, ERR_HOST, "engine.shim", "hearth-shim ended at once");
	if (json_parse(buf_text(text), text->len, &j, NULL))
		return err_set(e, -EPROTO, ERR_BUG, "engine.shim", "hearth-shim said %.80s",
			       buf_text(text));
	if (json_unpack(j, "{s:s, s:i, s:s}", "code", &code, "errno", &errno_was, "text", &why) ==
	    0)
		return err_set(e, -(errno_was > 0 ? errno_was : EIO), ERR_HOST, "engine.start",
			       "%s", why);
	if (json_unpack(j, "{s:I, s:i, s:I}", "shim_ticks", &shim_ticks, "engine_pid", &engine_pid,
			"engine_ticks", &engine_ticks))
		return err_set(e, -EPROTO, ERR_BUG, "engine.shim", "hearth-shim said %.80s",
			       buf_text(text));
	*ret = (struct vm_process){.shim_pid = shim,
				   .engine_pid = engine_pid,
				   .shim_ticks = (uint64_t)shim_ticks,
				   .engine_ticks = (uint64_t)engine_ticks};
	clock_boot_id(ret->boot_id);
	return 0;
}

static int run_shim(const struct launch *la, struct hands *h, const struct vm_spec *spec,
		    struct vm_process *ret, struct err *e)
{
	auto_buf status = {0};
	pid_t pid;
	int rc = spawn_shim(la, h, spec, &pid, e);

	if (rc)
		return rc;
	(void)close(take_fd(h->status)); /* so that the shim's is the last one */
	rc = read_status(h->status_read, &status, e);
	if (!rc)
		rc = parse_status(&status, pid, ret, e);
	if (!rc)
		return 0;
	(void)kill(pid, SIGKILL); /* a child of ours, not reaped yet: the pid is its own */
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	return rc;
}

int launch_go(struct launch *la, const struct vm_spec *spec, struct vm_process *ret, struct err *e)
{
	static const char *const kept[] = {"console.log", "vmm.log", "exit.json"};
	struct hands h = {-1, -1, -1, -1, -1};
	int rc;

	if (la->failed)
		return err_nomem(e);
	rc = take_lock(spec->vm_dir, &h.lock, e);
	if (!rc) {
		for (size_t i = 0; i < ARRAY_LEN(kept); i++)
			rotate(spec->vm_dir, kept[i]);
		rc = hands_make(la, spec, &h, e);
	}
	if (!rc)
		rc = run_shim(la, &h, spec, ret, e);
	hands_close(&h);
	return rc;
}

void launch_done(struct launch *la)
{
	for (int i = 0; i < la->keep_n; i++)
		(void)close(la->keep[i]); /* ours was only a copy */
	la->keep_n = 0;
	json_decref(la->argv);
	la->argv = NULL;
}
