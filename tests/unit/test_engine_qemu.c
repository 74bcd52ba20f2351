/*
 * Tests of engine/qemu with the real QEMU (TCG), the real shim and a tiny guest (guest/tiny.S):
 * start, console, every way to end, hanging and killed processes, adoption by another process, no
 * leftovers.
 *
 * Run as "test_engine_qemu launch DIR ID CMDLINE" (or run …), it is the hearthd that is killed: it
 * starts a VM, writes the processes' record to descriptor 3 and waits.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/proc.h"
#include "base/str.h"
#include "console/console.h"
#include "engine/engine.h"
#include "engine/qmp.h"
#include "json/json.h"
#include "loop/loop.h"
#include "unit.h"

#define UID	64001
#define WAIT_MS 60000 /* far beyond what anything here takes: only a failure waits so long */

static char dir[64], exe_dir[4096], kernel[4200];
static char vm_id[16]; /* this run's: others may test at the same time */
static struct loop *loop;

/* One VM under test and what its engine has said. */
struct bench {
	struct engine_watch watch;
	struct engine_vm *vm;
	struct vm_process proc;
	bool started, ended;
	struct engine_end end;
	char events[1024]; /* "name name …" */
	char hang[400];
};

static void on_started(struct engine_watch *w)
{
	struct bench *b = container_of(w, struct bench, watch);

	assert_false(b->started);
	b->started = true;
}

static void on_ended(struct engine_watch *w, const struct engine_end *end)
{
	struct bench *b = container_of(w, struct bench, watch);

	assert_false(b->ended);
	b->ended = true;
	b->end = *end;
}

static void on_event(struct engine_watch *w, const char *name, const char *text)
{
	struct bench *b = container_of(w, struct bench, watch);
	size_t n = strlen(b->events);

	assert_false(b->ended); /* ended is the last call */
	assert_true(str_fmt(b->events + n, sizeof(b->events) - n, "%s ", name));
	if (str_eq(name, "hang"))
		assert_true(str_copy(b->hang, sizeof(b->hang), text));
}

static int set_up(void **state)
{
	(void)state;
	assert_true(str_copy(dir, sizeof(dir), "/tmp/hearth-test-qemu-XXXXXX"));
	if (!mkdtemp(dir))
		return -1;
	return loop_new(&loop, NULL);
}

static int tear_down(void **state)
{
	(void)state;
	loop_free(loop);
	(void)engine_kill_leftover(dir, NULL); /* of a test that failed */
	qmp_answer_ms = 10000;
	return fd_remove_tree(dir, NULL);
}

static struct vm_spec spec(const char *cmdline)
{
	return (struct vm_spec){
		.id = vm_id,
		.vm_dir = dir,
		.run_dir = dir,
		.vcpus = 1,
		.ram_mib = 32,
		.transport = VM_PCI,
		.kernel = kernel,
		.cmdline = cmdline,
		.tap_fd = -1,
		.uid = UID,
		.cgroup = vm_id,
	};
}

static void bench_init(struct bench *b)
{
	memset(b, 0, sizeof(*b));
	b->watch = (struct engine_watch){on_started, on_ended, on_event};
}

static void launch_spec(struct bench *b, const struct vm_spec *s)
{
	struct err e = {0};

	bench_init(b);
	if (engine_qemu.launch(loop, s, false, &b->watch, &b->vm, &b->proc, &e))
		fail_msg("%s: %s", e.id, e.text);
	assert_true(proc_is(b->proc.shim_pid, b->proc.shim_ticks));
}

static void launch(struct bench *b, const char *cmdline)
{
	struct vm_spec s = spec(cmdline);

	launch_spec(b, &s);
}

/* Run the loop until the condition holds. */
#define UNTIL(cond)                                                                                \
	do {                                                                                       \
		uint64_t due_ = clock_mono_ns() + WAIT_MS * NS_PER_MS;                             \
                                                                                                   \
		while (!(cond) && clock_mono_ns() < due_)                                          \
			assert_int_equal(loop_step(loop, 20, NULL), 0);                            \
		assert_true(cond);                                                                 \
	} while (0)

static bool console_has(const char *text)
{
	char path[128];
	auto_buf b = {0};
	uint64_t offset = 0, dropped;

	assert_true(str_fmt(path, sizeof(path), "%s/console.log", dir));
	assert_int_equal(console_read(path, &offset, 1 << 20, &b, &dropped, NULL), 0);
	return strstr(buf_text(&b), text);
}

static char found_group[4096];

static int look_for_group(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)at;
	if (type == FTW_D && str_ends(path, vm_id))
		return str_copy(found_group, sizeof(found_group), path) ? 1 : 2;
	return 0;
}

static bool group_exists(void)
{
	return nftw("/sys/fs/cgroup", look_for_group, 16, FTW_PHYS) == 1;
}

/* Nothing of the VM is left but its files. */
static void assert_clean(const struct bench *b)
{
	char path[128];
	int fd;

	assert_false(proc_is(b->proc.shim_pid, b->proc.shim_ticks));
	assert_false(proc_is(b->proc.engine_pid, b->proc.engine_ticks));
	assert_false(group_exists());
	assert_true(str_fmt(path, sizeof(path), "%s/qmp.sock", dir));
	assert_int_equal(access(path, F_OK), -1);
	assert_true(str_fmt(path, sizeof(path), "%s/serial.sock", dir));
	assert_int_equal(access(path, F_OK), -1);
	assert_true(str_fmt(path, sizeof(path), "%s/lock", dir));
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
	close(fd);
}

static void assert_ends(struct bench *b, enum engine_exit how, const char *says)
{
	UNTIL(b->ended);
	if (b->end.how != how || !strstr(b->end.text, says))
		fail_msg("expected %s \"%s\", got %s \"%s\"", engine_exit_names[how], says,
			 engine_exit_names[b->end.how], b->end.text);
	assert_clean(b);
	engine_qemu.forget(b->vm);
	b->vm = NULL;
}

static void runs_and_is_killed(void **state)
{
	struct bench b;
	auto_json json_t *info = NULL;

	(void)state;
	launch(&b, "h");
	UNTIL(b.started && console_has("tiny: up\r\n"));
	info = engine_qemu.info(b.vm);
	assert_string_equal(json_string_value(json_object_get(info, "qmp")), "ready");
	assert_string_equal(json_string_value(json_object_get(info, "status")), "running");
	assert_int_equal(json_integer_value(json_object_get(info, "engine_pid")),
			 b.proc.engine_pid);
	assert_true(json_integer_value(json_object_get(info, "engine_rss_kib")) > 1000);
	engine_qemu.stop(b.vm, 0);
	assert_ends(&b, EXIT_KILLED, "killed by hearthd");
	assert_int_equal(b.end.status, 128 + SIGKILL);
}

/* What the kernel says about the engine's privileges. */
static void assert_status_line(pid_t pid, const char *line)
{
	char path[64];
	auto_buf text = {0};

	assert_true(str_fmt(path, sizeof(path), "/proc/%d/status", (int)pid));
	assert_int_equal(fd_read_file(path, 1 << 16, &text, NULL), 0);
	if (!strstr(buf_text(&text), line))
		fail_msg("expected \"%s\" in:\n%s", line, buf_text(&text));
}

static unsigned count_fds(pid_t pid, const char *holding)
{
	unsigned n = 0;

	for (int i = 0; i < 256; i++) {
		char path[64], target[256];
		ssize_t len;

		assert_true(str_fmt(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, i));
		len = readlink(path, target, sizeof(target) - 1);
		target[len > 0 ? len : 0] = '\0';
		n += len > 0 && strstr(target, holding);
	}
	return n;
}

static void has_no_privileges(void **state)
{
	struct bench b;
	/* not O_CLOEXEC: must not get through */
	auto_close int leak = open("/etc/passwd", O_RDONLY);

	(void)state;
	assert_true(leak >= 0);
	launch(&b, "h");
	UNTIL(b.started);
	assert_status_line(b.proc.engine_pid, "Uid:\t64001\t64001\t64001\t64001\n");
	assert_status_line(b.proc.engine_pid, "Gid:\t64001\t64001\t64001\t64001\n");
	assert_status_line(b.proc.engine_pid, "Groups:\t \n");
	assert_status_line(b.proc.engine_pid, "CapEff:\t0000000000000000\n");
	assert_status_line(b.proc.engine_pid, "CapBnd:\t0000000000000000\n");
	assert_status_line(b.proc.engine_pid, "NoNewPrivs:\t1\n");
	assert_status_line(b.proc.engine_pid, "Seccomp:\t2\n");
	assert_int_equal(count_fds(b.proc.engine_pid, "/etc/passwd"), 0);
	assert_int_equal(count_fds(b.proc.engine_pid, "/lock"), 0);
	/* The shim keeps nothing of the engine's, and may do nothing but end it. */
	assert_int_equal(count_fds(b.proc.shim_pid, "/etc/passwd"), 0);
	assert_int_equal(count_fds(b.proc.shim_pid, "tiny-guest"), 0);
	assert_status_line(b.proc.shim_pid, "CapEff:\t0000000000000020\n"); /* CAP_KILL is bit 5 */
	assert_int_equal(getsid(b.proc.shim_pid), b.proc.shim_pid);
	engine_qemu.stop(b.vm, 0);
	assert_ends(&b, EXIT_KILLED, "");
}

static void tells_guest_ends_apart(void **state)
{
	struct bench b;

	(void)state;
	launch(&b, "p");
	assert_ends(&b, EXIT_GUEST_POWEROFF, "powered off");
	assert_int_equal(b.end.status, 0);
	assert_true(console_has("tiny: up"));
	launch(&b, "r");
	assert_ends(&b, EXIT_GUEST_RESET, "reset");
	launch(&b, "k");
	assert_ends(&b, EXIT_GUEST_PANIC, "Kernel panic - not syncing: tiny guest was told to");
	assert_int_equal(b.end.status, 0);
}

static void keeps_the_console_of_the_run_before(void **state)
{
	char path[128];
	struct bench b;

	(void)state;
	launch(&b, "k");
	assert_ends(&b, EXIT_GUEST_PANIC, "");
	launch(&b, "p");
	assert_ends(&b, EXIT_GUEST_POWEROFF, ""); /* not the panic of the run before */
	assert_false(console_has("panic"));
	assert_true(str_fmt(path, sizeof(path), "%s/console.log.1", dir));
	assert_int_equal(console_size(path),
			 strlen("Kernel panic - not syncing: tiny guest was told to\r\n"));
}

static void asks_then_kills(void **state)
{
	struct bench b;

	(void)state;
	launch(&b, "b");
	UNTIL(b.started && console_has("tiny: up"));
	engine_qemu.stop(b.vm, WAIT_MS);
	assert_ends(&b, EXIT_GUEST_POWEROFF, "powered off");
	launch(&b, "h"); /* does not listen */
	UNTIL(b.started);
	engine_qemu.stop(b.vm, WAIT_MS);
	engine_qemu.stop(b.vm, 100); /* sooner */
	assert_ends(&b, EXIT_KILLED, "killed by hearthd");
	launch(&b, "b");
	engine_qemu.stop(b.vm, WAIT_MS); /* before it ran: there is nobody to ask */
	assert_ends(&b, EXIT_KILLED, "killed by hearthd");
	assert_false(b.started);
}

static void bounds_a_console_flood(void **state)
{
	char path[128];
	struct stat st;
	struct bench b;

	(void)state;
	launch(&b, "f");
	assert_true(str_fmt(path, sizeof(path), "%s/console.log", dir));
	UNTIL(console_size(path) > CONSOLE_HEAD + CONSOLE_TAIL + (512u << 10));
	assert_int_equal(stat(path, &st), 0);
	assert_true((uint64_t)st.st_blocks * 512 <= CONSOLE_HEAD + CONSOLE_TAIL + (256u << 10));
	engine_qemu.stop(b.vm, 0);
	assert_ends(&b, EXIT_KILLED, "");
}

static int connect_serial(void)
{
	char path[128];
	int fd;

	assert_true(str_fmt(path, sizeof(path), "%s/serial.sock", dir));
	assert_int_equal(fd_connect_unix(path, &fd, NULL), 0);
	assert_int_equal(fd_set_nonblock(fd, true), 0);
	return fd;
}

/* The serial line goes both ways, to several clients, none of which can block it. */
static void serves_the_serial_line(void **state)
{
	int clients[4], one_more;
	char got[64] = "", rest;
	struct bench b;
	size_t n = 0;

	(void)state;
	launch(&b, "e");
	UNTIL(console_has("tiny: up"));
	for (size_t i = 0; i < ARRAY_LEN(clients); i++)
		clients[i] = connect_serial();
	one_more = connect_serial();
	UNTIL(read(one_more, &rest, 1) == 0); /* closed: four are enough */
	assert_int_equal(write(clients[1], "hello", 5), 5);
	UNTIL(console_has("hello"));
	for (uint64_t due = clock_mono_ns() + WAIT_MS * NS_PER_MS;
	     n < 5 && clock_mono_ns() < due;) {
		ssize_t r = read(clients[3], got + n, sizeof(got) - 1 - n);

		n += r > 0 ? (size_t)r : 0;
	}
	assert_string_equal(got, "hello");
	for (size_t i = 0; i < ARRAY_LEN(clients); i++)
		close(clients[i]);
	close(one_more);
	one_more = connect_serial(); /* a slot is free again */
	assert_int_equal(write(one_more, "again", 5), 5);
	UNTIL(console_has("again"));
	close(one_more);
	engine_qemu.stop(b.vm, 0);
	assert_ends(&b, EXIT_KILLED, "");
}

static void names_a_stopped_engine(void **state)
{
	struct bench b;

	(void)state;
	launch(&b, "h");
	UNTIL(b.started);
	qmp_answer_ms = 300;
	assert_int_equal(kill(b.proc.engine_pid, SIGSTOP), 0);
	UNTIL(strstr(b.events, "engine.not-answering"));
	assert_int_equal(kill(b.proc.engine_pid, SIGCONT), 0);
	UNTIL(strstr(b.events, "engine.answering"));
	assert_int_equal(kill(b.proc.engine_pid, SIGSTOP), 0);
	engine_qemu.stop(b.vm, 200); /* it can't answer the button; the kill works all the same */
	assert_ends(&b, EXIT_KILLED, "killed by hearthd");
}

static void names_a_hanging_guest(void **state)
{
	struct bench b;

	(void)state;
	launch(&b, "q");
	UNTIL(b.hang[0]);
	assert_non_null(strstr(b.hang, "no console output"));
	assert_non_null(strstr(b.hang, "RIP 001000")); /* .text of the tiny guest */
	engine_qemu.stop(b.vm, 0);
	assert_ends(&b, EXIT_KILLED, "");
}

static void says_who_killed_the_engine(void **state)
{
	struct bench b;

	(void)state;
	launch(&b, "h");
	UNTIL(b.started);
	assert_int_equal(kill(b.proc.engine_pid, SIGKILL), 0);
	assert_ends(&b, EXIT_KILLED, "not by hearthd");
	launch(&b, "h");
	UNTIL(b.started);
	assert_int_equal(kill(b.proc.engine_pid, SIGSEGV), 0);
	assert_ends(&b, EXIT_VMM_ERROR, "crashed with signal 11");
	launch(&b, "h");
	UNTIL(b.started);
	assert_int_equal(kill(b.proc.shim_pid, SIGKILL), 0); /* the engine goes with it */
	assert_ends(&b, EXIT_UNKNOWN, "no exit record");
	launch(&b, "h"); /* and a new start finds nothing in its way */
	UNTIL(b.started);
	assert_int_equal(kill(b.proc.shim_pid, SIGTERM), 0); /* a host's shutdown: recorded */
	assert_ends(&b, EXIT_KILLED, "signal 9");
}

static void reports_an_engine_that_can_not_start(void **state)
{
	struct vm_spec s = spec("h");
	char text_file[128];
	struct err e = {0};
	struct bench b;

	(void)state;
	assert_true(str_fmt(text_file, sizeof(text_file), "%s/not-a-kernel", dir));
	assert_int_equal(fd_replace_file(text_file, "hello\n", 6, 0644, NULL), 0);
	s.kernel = text_file;
	launch_spec(&b, &s);
	assert_ends(&b, EXIT_VMM_ERROR, "qemu exited with 1: qemu"); /* and its own last line */
	assert_int_equal(chmod(text_file, 0600), 0);
	bench_init(&b);
	assert_int_equal(engine_qemu.launch(loop, &s, false, &b.watch, &b.vm, &b.proc, &e),
			 -EACCES);
	assert_string_equal(e.id, "engine.unreadable");
	s = spec("h");
	s.drives[0] = (struct vm_drive){"root", "/nonexistent/disk", true};
	s.drives_n = 1;
	assert_int_equal(engine_qemu.launch(loop, &s, false, &b.watch, &b.vm, &b.proc, &e),
			 -ENOENT);
	assert_non_null(strstr(e.text, "/nonexistent/disk"));
}

static void names_a_missing_engine(void **state)
{
	auto_free char *path = mem_strdup(getenv("PATH"));
	struct vm_spec s = spec("h");
	struct bench b;
	struct err e = {0};
	uint32_t can;
	char version[64];

	(void)state;
	assert_int_equal(engine_qemu.probe(&can, version, &e), 0);
	assert_true(can & ENGINE_TCG && can & ENGINE_PCI && can & ENGINE_MMIO);
	assert_true(strchr(version, '.') != NULL);
	assert_int_equal(setenv("PATH", dir, 1), 0);
	bench_init(&b);
	assert_int_equal(engine_qemu.probe(&can, version, &e), -ENOENT);
	assert_string_equal(e.id, "engine.missing");
	assert_int_equal(engine_qemu.launch(loop, &s, false, &b.watch, &b.vm, &b.proc, &e),
			 -ENOENT);
	assert_string_equal(e.id, "engine.missing");
	assert_string_equal(e.remedy, "apt-get install qemu-system-x86");
	assert_int_equal(setenv("PATH", path, 1), 0);
}

static void starts_a_vm_only_once(void **state)
{
	struct vm_spec s = spec("h");
	struct err e = {0};
	struct bench a, b;

	(void)state;
	launch(&a, "h");
	bench_init(&b);
	assert_int_equal(engine_qemu.launch(loop, &s, false, &b.watch, &b.vm, &b.proc, &e),
			 -EADDRINUSE);
	UNTIL(a.started);
	engine_qemu.stop(a.vm, 0);
	assert_ends(&a, EXIT_KILLED, "");
}

static void kills_leftovers(void **state)
{
	struct bench b;

	(void)state;
	assert_int_equal(engine_kill_leftover(dir, NULL), 0); /* nothing was ever started */
	launch(&b, "h");
	engine_qemu.forget(b.vm);
	assert_int_equal(engine_kill_leftover(dir, NULL), 0);
	assert_false(group_exists());
	assert_false(proc_is(b.proc.shim_pid, b.proc.shim_ticks));
	assert_false(proc_is(b.proc.engine_pid, b.proc.engine_ticks));
	assert_int_equal(engine_kill_leftover(dir, NULL), 0);
}

/* --- adoption --- */

/* Start a hearthd that launches a VM; returns its pid when it has told us the record: at once after
 * the launch, or when the guest runs. */
static pid_t start_launcher(const char *cmdline, struct vm_process *ret, bool at_once)
{
	char exe[4200];
	int p[2];
	pid_t pid;
	size_t n = 0;

	assert_true(str_fmt(exe, sizeof(exe), "%s/test_engine_qemu", exe_dir));
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		if (dup2(p[1], 3) == 3)
			execl(exe, exe, at_once ? "launch" : "run", dir, vm_id, cmdline,
			      (char *)NULL);
		_exit(127);
	}
	close(p[1]);
	while (n < sizeof(*ret)) {
		ssize_t r = read(p[0], (char *)ret + n, sizeof(*ret) - n);

		assert_true(r > 0);
		n += (size_t)r;
	}
	close(p[0]);
	return pid;
}

static int run_launcher(const char *vm_dir, const char *id, const char *cmdline, bool at_once)
{
	struct bench b;

	if (!str_copy(dir, sizeof(dir), vm_dir) || !str_copy(vm_id, sizeof(vm_id), id) ||
	    loop_new(&loop, NULL))
		return 1;
	launch(&b, cmdline);
	while (!at_once && !b.started && !b.ended)
		if (loop_step(loop, -1, NULL))
			return 1;
	if (fd_write_all(3, &b.proc, sizeof(b.proc)))
		return 1;
	return loop_run(loop, NULL); /* until it is killed */
}

static void kill_hearthd(pid_t pid)
{
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static int adopt(struct bench *b)
{
	struct vm_process proc = b->proc;
	struct err e = {0};
	int rc;

	bench_init(b);
	b->proc = proc;
	rc = engine_qemu.adopt(loop, dir, dir, &proc, &b->watch, &b->vm, &b->end, &e);
	if (rc && rc != -ESRCH)
		fail_msg("%s: %s", e.id, e.text);
	return rc;
}

static void adopts_after_a_crash(void **state)
{
	struct bench b;
	pid_t hearthd;

	(void)state;
	hearthd = start_launcher("b", &b.proc, true); /* before the vCPUs run */
	kill_hearthd(hearthd);
	assert_true(proc_is(b.proc.engine_pid, b.proc.engine_ticks));
	assert_int_equal(adopt(&b), 0);
	UNTIL(b.started && console_has("tiny: up"));
	engine_qemu.forget(b.vm); /* as a hearthd that ends: the VM runs on */
	assert_true(proc_is(b.proc.engine_pid, b.proc.engine_ticks));
	assert_int_equal(adopt(&b), 0);
	UNTIL(b.started);
	engine_qemu.stop(b.vm, WAIT_MS);
	assert_ends(&b, EXIT_GUEST_POWEROFF, "powered off");
}

static void learns_of_an_end_it_did_not_see(void **state)
{
	struct bench b;
	pid_t hearthd;

	(void)state;
	hearthd = start_launcher("k", &b.proc, false);
	kill_hearthd(hearthd);
	UNTIL(!proc_is(b.proc.shim_pid, b.proc.shim_ticks));
	assert_int_equal(adopt(&b), -ESRCH);
	assert_int_equal(b.end.how, EXIT_GUEST_PANIC);
	assert_int_equal(b.end.status, 0);
	/* The record of another run says nothing about this one. */
	b.proc.engine_ticks++;
	assert_int_equal(adopt(&b), -ESRCH);
	assert_int_equal(b.end.status, -1);
	/* Nor does one of another boot, whose pids may belong to anybody now. */
	hearthd = start_launcher("h", &b.proc, false);
	kill_hearthd(hearthd);
	b.proc.boot_id[0] ^= 1;
	assert_int_equal(adopt(&b), -ESRCH);
	b.proc.boot_id[0] ^= 1;
	assert_int_equal(adopt(&b), 0);
	engine_qemu.stop(b.vm, 0);
	assert_ends(&b, EXIT_KILLED, "killed by hearthd");
}

static void runs_on_mmio_with_drives(void **state)
{
	struct vm_spec s = spec("h");
	char disk[128];
	struct bench b;

	(void)state;
	assert_true(str_fmt(disk, sizeof(disk), "%s/disk", dir));
	assert_int_equal(fd_replace_file(disk, dir, sizeof(dir), 0600, NULL), 0);
	assert_int_equal(truncate(disk, 1 << 20), 0);
	for (int i = 0; i < VM_TRANSPORT_N_; i++) {
		s.transport = (enum vm_transport)i;
		s.drives_n = LIMIT_DRIVES;
		for (unsigned d = 0; d < s.drives_n; d++) /* only one may write */
			s.drives[d] = (struct vm_drive){"disk", disk, d > 0};
		launch_spec(&b, &s);
		UNTIL(b.started && console_has("tiny: up"));
		engine_qemu.stop(b.vm, 0);
		assert_ends(&b, EXIT_KILLED, "killed by hearthd");
	}
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		T(runs_and_is_killed),
		T(has_no_privileges),
		T(tells_guest_ends_apart),
		T(keeps_the_console_of_the_run_before),
		T(asks_then_kills),
		T(bounds_a_console_flood),
		T(serves_the_serial_line),
		T(names_a_stopped_engine),
		T(names_a_hanging_guest),
		T(says_who_killed_the_engine),
		T(reports_an_engine_that_can_not_start),
		T(names_a_missing_engine),
		T(starts_a_vm_only_once),
		T(kills_leftovers),
		T(adopts_after_a_crash),
		T(learns_of_an_end_it_did_not_see),
		T(runs_on_mmio_with_drives),
	};
	static char shim_dir[4200];
	ssize_t n = readlink("/proc/self/exe", exe_dir, sizeof(exe_dir) - 1);
	char *slash;

	exe_dir[n > 0 ? n : 0] = '\0';
	slash = strrchr(exe_dir, '/');
	if (!slash)
		return 1;
	*slash = '\0';
	if (!str_fmt(shim_dir, sizeof(shim_dir), "%s/../../host/shim", exe_dir) ||
	    !str_fmt(kernel, sizeof(kernel), "%s/guest/tiny-guest", exe_dir))
		return 1;
	engine_init(shim_dir);
	if (argc == 5)
		return run_launcher(argv[2], argv[3], argv[4], str_eq(argv[1], "launch"));
	if (!str_fmt(vm_id, sizeof(vm_id), "vm-%08x", (unsigned)getpid()))
		return 1;
	if (geteuid() != 0) {
		print_message("skipped: engines run as users of their own, which needs root\n");
		return getenv("HEARTH_MUST_RUN") ? 1 : 77;
	}
	return RUN_TESTS(tests);
}
