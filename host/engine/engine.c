/*
 * The table of engines, and the removal of what a crashed launch left.  Called by the controller.
 */
#include "engine/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/proc.h"
#include "base/str.h"
#include "engine/launch.h"
#include "json/json.h"

#define RECORD_MAX  8192
#define LEFTOVER_MS 10000 /* a killed QEMU gives back gigabytes of memory before it is gone */
#define LOOK_MS	    5	  /* between two looks at a shim that has not yet said who it is */

const struct engine_ops *const engines[] = {&engine_qemu, NULL};

const struct engine_ops *engine_find(const char *name)
{
	for (size_t i = 0; engines[i]; i++)
		if (str_eq(engines[i]->name, name))
			return engines[i];
	return NULL;
}

static int parse_record(int lock_fd, json_t **ret)
{
	auto_buf text = {0};

	if (lseek(lock_fd, 0, SEEK_SET) < 0 || fd_read_all(lock_fd, RECORD_MAX, &text) || !text.len)
		return -ENODATA;
	return json_parse(buf_text(&text), text.len, ret, NULL);
}

void engine_remove_groups(const char *vm_dir)
{
	char path[4200];
	auto_close int fd = -1;
	auto_json json_t *j = NULL;
	const json_t *groups;

	if (!str_fmt(path, sizeof(path), "%s/lock", vm_dir))
		return;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || parse_record(fd, &j))
		return;
	groups = json_object_get(j, "groups");
	for (size_t i = 0; i < json_array_size(groups); i++) {
		const char *group = json_string_value(json_array_get(groups, i));

		if (group)
			/* the shim was quicker; or of another boot, long gone */
			(void)rmdir(group);
	}
}

/* Who holds or held the lock, as the shim wrote it; false: nothing (yet) or half a line. */
static bool read_record(int lock_fd, struct vm_process *ret)
{
	auto_json json_t *j = NULL;
	int shim, engine;
	json_int_t shim_ticks, engine_ticks;
	const char *boot_id;

	if (parse_record(lock_fd, &j) ||
	    json_unpack(j, "{s:i, s:I, s:i, s:I, s:s}", "shim_pid", &shim, "shim_ticks",
			&shim_ticks, "engine_pid", &engine, "engine_ticks", &engine_ticks,
			"boot_id", &boot_id))
		return false;
	*ret = (struct vm_process){shim, engine, (uint64_t)shim_ticks, (uint64_t)engine_ticks, ""};
	return str_copy(ret->boot_id, sizeof(ret->boot_id), boot_id) && procs_same_boot(ret);
}

/* Kill one process beyond doubt and wait for its end. */
static int kill_and_wait(pid_t pid, uint64_t ticks, uint64_t due_ns, struct err *e)
{
	auto_close int fd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
	struct pollfd p = {.fd = fd, .events = POLLIN};
	uint64_t now = clock_mono_ns();
	int rc;

	if (fd < 0 || !proc_is(pid, ticks))
		return 0;
	if (syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) && errno != ESRCH)
		return err_sys(e, errno, "engine.kill", "process %d", (int)pid);
	do
		rc = poll(&p, 1, now < due_ns ? (int)((due_ns - now) / NS_PER_MS) : 0);
	while (rc < 0 && errno == EINTR);
	(void)waitpid(pid, NULL, WNOHANG); /* a shim of our own; ECHILD for all others */
	return rc == 1 ? 0
		       : err_set(e, -ETIMEDOUT, ERR_HOST, "engine.kill", "process %d does not end",
				 (int)pid);
}

static int kill_recorded(int lock_fd, uint64_t due_ns, struct err *e)
{
	struct vm_process who;
	int rc;

	if (!read_record(lock_fd, &who))
		return 0;
	rc = kill_and_wait(who.shim_pid, who.shim_ticks, due_ns, e);
	return rc ? rc : kill_and_wait(who.engine_pid, who.engine_ticks, due_ns, e);
}

int engine_kill_leftover(const char *vm_dir, struct err *e)
{
	uint64_t due_ns = clock_mono_ns() + LEFTOVER_MS * NS_PER_MS;
	char path[4200];
	auto_close int fd = -1;
	int rc;

	if (!str_fmt(path, sizeof(path), "%s/lock", vm_dir))
		return err_sys(e, ENAMETOOLONG, "engine.lock", "%s", vm_dir);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : err_sys(e, errno, "engine.lock", "%s", path);
	/* Without the lock no shim lives and none can start; its engine may still be dying. */
	while (flock(fd, LOCK_EX | LOCK_NB)) {
		if (errno != EWOULDBLOCK)
			return err_sys(e, errno, "engine.lock", "%s", path);
		if (clock_mono_ns() >= due_ns)
			return err_set(e, -ETIMEDOUT, ERR_HOST, "engine.lock",
				       "%s: still held, and its holder has not said who it is",
				       path);
		rc = kill_recorded(fd, due_ns, e);
		if (rc)
			return rc;
		(void)poll(NULL, 0,
			   LOOK_MS); /* a shim that was just spawned writes its record soon */
	}
	rc = kill_recorded(fd, due_ns, e);
	if (!rc)
		engine_remove_groups(vm_dir);
	return rc;
}
