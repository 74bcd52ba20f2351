/*
 * The engine "qemu": QEMU's microvm machine under KVM or TCG, started through hearth-shim, asked
 * and watched through QMP.  Called by the controller on the loop's thread (probe: on any).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/proc.h"
#include "base/str.h"
#include "console/console.h"
#include "engine/engine.h"
#include "engine/launch.h"
#include "engine/qemu_args.h"
#include "engine/qmp.h"
#include "json/json.h"
#include "loop/loop.h"

#define PROGRAM	  "qemu-system-x86_64"
#define MAJOR_MIN 6	/* microvm with PCIe: QEMU 5.2; with ACPI tables that hold: 6.0 */
#define HEALTH_MS 10000 /* a question to QEMU so often: 8 VMs cost less than a wake-up a second */
#define POWERDOWN_MS                                                                               \
	2000	      /* the button again: a guest that is still booting loses the first press */
#define SAMPLE_MS 200 /* between two looks at a silent vCPU */
#define SAMPLES	  3
#define MOP_UP_MS 3000	/* from the word that it shuts down to its end; 20 ms is usual */
#define QUIET_MS  10000 /* no console byte for so long after the start is worth a look */

struct engine_vm {
	struct loop *loop;	    /* borrowed */
	struct engine_watch *watch; /* borrowed */
	char *vm_dir, *run_dir;	    /* owned */
	struct procs procs;
	struct qmp *qmp; /* owned */
	struct qmp_owner qmp_owner;
	struct timer health, powerdown, kill, mop_up, sample;
	uint64_t kill_due_ns; /* 0: no stop was asked for */
	uint64_t started_ns;  /* 0: not yet */
	char status[32];      /* QMP's word: "running", "paused", … */
	enum ending_said said;
	bool killed, silent, ended;
	bool draining, forgotten; /* forget was called from within procs_ended */
	bool fresh;		  /* launched by us and not let run yet */
	bool shutting_down;	  /* QEMU said so: no more commands, see mop_up */
	bool looked;		  /* a silent console was looked into */
	int samples_n;
	char rip[SAMPLES][20];
	bool halted;
};

/* --- the end --- */

static void stop_timers(struct engine_vm *v)
{
	loop_timer_stop(v->loop, &v->health);
	loop_timer_stop(v->loop, &v->powerdown);
	loop_timer_stop(v->loop, &v->kill);
	loop_timer_stop(v->loop, &v->mop_up);
	loop_timer_stop(v->loop, &v->sample);
}

static void remove_socket(const struct engine_vm *v, const char *name)
{
	char path[4200];

	if (str_fmt(path, sizeof(path), "%s/%s", v->run_dir, name))
		(void)unlink(path); /* the next start would remove it too */
}

static void qemu_forget(struct engine_vm *v);

static void procs_ended(struct procs *p)
{
	struct engine_vm *v = container_of(p, struct engine_vm, procs);
	struct engine_end end;

	v->draining = true;
	qmp_drain(v->qmp); /* its last event may still lie in the socket */
	v->draining = false;
	if (v->forgotten) { /* by its owner, in a callback of the line above */
		qemu_forget(v);
		return;
	}
	v->ended = true;
	stop_timers(v);
	qmp_free(take_ptr(v->qmp));
	engine_remove_groups(v->vm_dir);
	remove_socket(v, "qmp.sock");
	remove_socket(v, "serial.sock");
	ending_read(v->vm_dir, "qemu", &v->procs.proc, v->said, v->killed, &end);
	v->watch->ended(v->watch, &end); /* may forget v */
}

static void kill_now(struct timer *t)
{
	struct engine_vm *v = container_of(t, struct engine_vm, kill);

	v->killed = true;
	procs_kill(&v->procs);
}

/* QEMU 7.2 hangs for ever in monitor_cleanup() when a command arrives while it shuts down (seen
 * with query-status, 2026-11-23).  Its disks are flushed and closed before that, so it may be
 * killed. */
static void mop_up(struct timer *t)
{
	struct engine_vm *v = container_of(t, struct engine_vm, mop_up);

	procs_kill(&v->procs);
}

static void shuts_down(struct engine_vm *v)
{
	v->shutting_down = true;
	loop_timer_stop(v->loop, &v->health);
	loop_timer_stop(v->loop, &v->powerdown);
	loop_timer_stop(v->loop, &v->sample);
	if (loop_timer_in(v->loop, &v->mop_up, MOP_UP_MS * NS_PER_MS))
		procs_kill(&v->procs); /* no memory to wait with */
}

static void press_button(struct timer *t)
{
	struct engine_vm *v = container_of(t, struct engine_vm, powerdown);

	(void)qmp_command(v->qmp, "system_powerdown", NULL, NULL); /* again soon; then the kill */
	(void)loop_timer_in(v->loop, &v->powerdown, POWERDOWN_MS * NS_PER_MS); /* as above */
}

static void qemu_stop(struct engine_vm *v, uint64_t grace_ms)
{
	uint64_t now = clock_mono_ns(), due = UINT64_MAX;

	if (v->ended)
		return;
	if (grace_ms < (UINT64_MAX - now) / NS_PER_MS)
		due = now + grace_ms * NS_PER_MS;
	if (v->kill_due_ns && v->kill_due_ns <= due)
		return; /* a stop may be made shorter, never longer */
	v->kill_due_ns = due;
	if (grace_ms == 0 || loop_timer(v->loop, &v->kill, due)) {
		kill_now(&v->kill); /* also when there is no memory to wait with */
		return;
	}
	if (!v->powerdown.heap_pos && !v->shutting_down)
		press_button(&v->powerdown);
}

/* --- what QMP says --- */

static void is_running(struct engine_vm *v)
{
	if (v->started_ns)
		return;
	v->started_ns = clock_mono_ns();
	v->watch->started(v->watch); /* may forget v */
}

/* The vCPUs wait (-S) until QMP is agreed on, so that no event of a short-lived guest is lost. */
static void continued(struct qmp_owner *o, const json_t *ret, const char *why)
{
	struct engine_vm *v = container_of(o, struct engine_vm, qmp_owner);

	(void)why; /* health asks for the status and tries again */
	if (!ret || !str_copy(v->status, sizeof(v->status), "running"))
		return;
	is_running(v);
}

static void let_run(struct engine_vm *v)
{
	if (v->kill_due_ns)
		kill_now(&v->kill); /* a stop came first: nothing has run yet */
	else
		(void)qmp_command(v->qmp, "cont", NULL, continued); /* as above */
}

static void got_status(struct qmp_owner *o, const json_t *ret, const char *why)
{
	struct engine_vm *v = container_of(o, struct engine_vm, qmp_owner);
	const char *status = json_string_value(json_object_get(ret, "status"));

	(void)why; /* query-status has no reason to fail; the next one will tell */
	if (!status || !str_copy(v->status, sizeof(v->status), status))
		return;
	if (str_eq(status, "prelaunch"))
		let_run(v);
	else if (str_eq(status, "running"))
		is_running(v);
}

static void qmp_ready(struct qmp_owner *o)
{
	struct engine_vm *v = container_of(o, struct engine_vm, qmp_owner);

	if (v->fresh)
		let_run(v);
	else
		/* asked again by health */
		(void)qmp_command(v->qmp, "query-status", NULL, got_status);
	v->fresh = false;
}

static void qmp_event(struct qmp_owner *o, const char *name, const json_t *data)
{
	struct engine_vm *v = container_of(o, struct engine_vm, qmp_owner);
	const char *reason = json_string_value(json_object_get(data, "reason"));
	char text[200];

	if (str_eq(name, "SHUTDOWN") && reason) {
		shuts_down(v);
		if (str_eq(reason, "guest-shutdown"))
			v->said = SAID_POWEROFF;
		else if (str_eq(reason, "guest-reset"))
			v->said = SAID_RESET;
		else if (str_eq(reason, "guest-panic"))
			v->said = SAID_PANIC;
		if (str_fmt(text, sizeof(text), "QEMU shuts down: %s", reason))
			v->watch->event(v->watch, "shutdown", text);
	} else if (str_eq(name, "GUEST_PANICKED")) {
		v->said = SAID_PANIC;
		v->watch->event(v->watch, "panic", "the guest's kernel reported a panic (pvpanic)");
	} else if (str_eq(name, "STOP")) {
		/* fits; health asks QEMU */
		(void)!str_copy(v->status, sizeof(v->status), "paused");
	} else if (str_eq(name, "RESUME")) {
		(void)!str_copy(v->status, sizeof(v->status), "running"); /* fits */
		is_running(v);
	} else if (str_eq(name, "BLOCK_IO_ERROR")) {
		v->watch->event(v->watch, "disk-error",
				"QEMU could not serve a disk request of the guest");
	}
}

static void qmp_silent(struct qmp_owner *o, bool is_silent)
{
	struct engine_vm *v = container_of(o, struct engine_vm, qmp_owner);
	char text[120];

	v->silent = is_silent;
	if (v->shutting_down)
		return; /* mop_up sees to it */
	if (is_silent && !v->said)
		v->said = ending_console_said(v->vm_dir);
	if (is_silent && v->said)
		shuts_down(v); /* the guest has ended, and the event came while nobody listened */
	else if (!is_silent)
		v->watch->event(v->watch, "engine.answering", "QEMU answers again");
	else if (str_fmt(text, sizeof(text),
			 "QEMU (pid %d) has not answered for %llu s: stopped or hanging",
			 (int)v->procs.proc.engine_pid, (unsigned long long)(qmp_answer_ms / 1000)))
		v->watch->event(v->watch, "engine.not-answering", text);
}

/* --- a guest that says nothing --- */

static void ask_registers(struct timer *t);

static void name_hang(struct engine_vm *v)
{
	char text[300];

	for (int i = 1; i < SAMPLES; i++)
		if (!str_eq(v->rip[0], v->rip[i]))
			return; /* it runs: a kernel may well be silent */
	if (v->halted || !v->rip[0][0])
		return;
	if (str_fmt(text, sizeof(text),
		    "no console output %llu s after the vCPUs started, and vCPU 0 stays at RIP %s "
		    "without being halted: the kernel waits for something that does not come "
		    "(a timer tick, when its TSC was not calibrated)",
		    (unsigned long long)((clock_mono_ns() - v->started_ns) / NS_PER_S), v->rip[0]))
		v->watch->event(v->watch, "hang", text);
}

/* "RIP=ffffffff81002f9f RFL=00000246 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=0" among other lines;
 * "EIP=00100035 EFL=…" outside of 64-bit mode. */
static void got_registers(struct qmp_owner *o, const json_t *ret, const char *why)
{
	struct engine_vm *v = container_of(o, struct engine_vm, qmp_owner);
	const char *text = json_string_value(ret), *rip = text ? strstr(text, "IP=") : NULL;
	size_t n = rip ? strspn(rip + 3, "0123456789abcdef") : 0;

	(void)why; /* without registers there is no evidence, and no event */
	if (n == 0 || n > 16 || v->samples_n >= SAMPLES)
		return;
	memcpy(v->rip[v->samples_n], rip + 3, n);
	v->rip[v->samples_n++][n] = '\0';
	v->halted = v->halted || strstr(text, "HLT=1");
	if (v->samples_n == SAMPLES)
		name_hang(v);
	else
		(void)loop_timer_in(v->loop, &v->sample,
				    SAMPLE_MS * NS_PER_MS); /* else no verdict */
}

static void ask_registers(struct timer *t)
{
	struct engine_vm *v = container_of(t, struct engine_vm, sample);

	(void)qmp_command(v->qmp, "human-monitor-command",
			  json_pack("{s:s}", "command-line", "info registers"), got_registers);
}

static void look_at_console(struct engine_vm *v)
{
	char path[4200];

	if (v->looked || !v->started_ns || clock_mono_ns() - v->started_ns < QUIET_MS * NS_PER_MS)
		return;
	v->looked = true;
	if (str_fmt(path, sizeof(path), "%s/console.log", v->vm_dir) && console_size(path) == 0)
		ask_registers(&v->sample);
}

static void check_health(struct timer *t)
{
	struct engine_vm *v = container_of(t, struct engine_vm, health);

	(void)loop_timer_in(v->loop, &v->health,
			    HEALTH_MS * NS_PER_MS);		     /* no memory: no more checks */
	(void)qmp_command(v->qmp, "query-status", NULL, got_status); /* not connected: known */
	look_at_console(v);
}

/* --- making and dropping handles --- */

static void qemu_forget(struct engine_vm *v)
{
	if (!v)
		return;
	if (v->draining) {
		v->forgotten = true;
		return;
	}
	stop_timers(v);
	qmp_free(v->qmp);
	procs_done(&v->procs);
	free(v->vm_dir);
	free(v->run_dir);
	free(v);
}

static int new_handle(struct loop *l, const char *vm_dir, const char *run_dir,
		      const struct vm_process *proc, struct engine_watch *w, struct engine_vm **ret,
		      struct err *e)
{
	struct engine_vm *v = mem_zalloc(sizeof(*v));
	char path[4200];
	int rc;

	if (!v)
		return err_nomem(e);
	v->loop = l;
	v->watch = w;
	v->qmp_owner = (struct qmp_owner){qmp_ready, qmp_event, qmp_silent};
	v->health.fire = check_health;
	v->mop_up.fire = mop_up;
	v->powerdown.fire = press_button;
	v->kill.fire = kill_now;
	v->sample.fire = ask_registers;
	v->vm_dir = mem_strdup(vm_dir);
	v->run_dir = mem_strdup(run_dir);
	rc = v->vm_dir && v->run_dir ? 0 : err_nomem(e);
	if (!rc && !str_fmt(path, sizeof(path), "%s/qmp.sock", run_dir))
		rc = err_sys(e, ENAMETOOLONG, "engine.qmp-path", "%s", run_dir);
	if (!rc)
		rc = procs_watch(&v->procs, l, proc, procs_ended, e);
	if (!rc)
		rc = qmp_new(l, path, &v->qmp_owner, &v->qmp, e);
	if (!rc && loop_timer_in(l, &v->health, HEALTH_MS * NS_PER_MS))
		rc = err_nomem(e);
	if (rc) {
		qemu_forget(v);
		return rc;
	}
	*ret = v;
	return 0;
}

static int no_program(struct err *e)
{
	(void)err_set(e, -ENOENT, ERR_HOST, "engine.missing", PROGRAM ": not found in PATH");
	return err_remedy(e, "apt-get install qemu-system-x86");
}

static int qemu_launch(struct loop *l, const struct vm_spec *spec, bool kvm, struct engine_watch *w,
		       struct engine_vm **ret, struct vm_process *ret_proc, struct err *e)
{
	struct launch la = {0};
	struct vm_process proc;
	char program[4096];
	int rc;

	if (!launch_find(PROGRAM, program, sizeof(program)))
		return no_program(e);
	rc = qemu_args(&la, spec, kvm, program, e);
	if (!rc)
		rc = launch_go(&la, spec, &proc, e);
	launch_done(&la);
	if (rc)
		return err_prefix(e, "qemu");
	rc = new_handle(l, spec->vm_dir, spec->run_dir, &proc, w, ret, e);
	if (!rc)
		(*ret)->fresh = true;
	if (rc == -ESRCH) { /* it ended within these few microseconds: say why */
		struct engine_end end;

		ending_read(spec->vm_dir, "qemu", &proc, SAID_NOTHING, false, &end);
		return err_set(e, -ECHILD, ERR_HOST, "engine.start", "%s", end.text);
	}
	if (rc) {
		(void)engine_kill_leftover(spec->vm_dir,
					   NULL); /* the error above is the one to report */
		return rc;
	}
	*ret_proc = proc;
	return 0;
}

static int qemu_adopt(struct loop *l, const char *vm_dir, const char *run_dir,
		      const struct vm_process *proc, struct engine_watch *w, struct engine_vm **ret,
		      struct engine_end *ret_end, struct err *e)
{
	int rc = new_handle(l, vm_dir, run_dir, proc, w, ret, e);

	if (rc == -ESRCH) {
		engine_remove_groups(vm_dir);
		ending_read(vm_dir, "qemu", proc, SAID_NOTHING, false, ret_end);
	}
	return rc;
}

/* --- facts --- */

static uint64_t rss_kib(pid_t pid)
{
	char path[40];
	auto_buf text = {0};
	unsigned long long pages;

	if (!str_fmt(path, sizeof(path), "/proc/%d/statm", (int)pid) ||
	    fd_read_file(path, 4096, &text, NULL) ||
	    sscanf(buf_text(&text), "%*u %llu", &pages) != 1) /* proc(5): size, resident, … */
		return 0;
	return pages * (uint64_t)sysconf(_SC_PAGESIZE) / 1024;
}

static json_t *qemu_info(struct engine_vm *v)
{
	const struct vm_process *p = &v->procs.proc;
	const char *qmp = v->ended		 ? "closed"
			  : v->silent		 ? "not answering"
			  : qmp_is_ready(v->qmp) ? "ready"
						 : "connecting";

	return json_pack("{s:i, s:i, s:s, s:s, s:I, s:I}", "shim_pid", (int)p->shim_pid,
			 "engine_pid", (int)p->engine_pid, "qmp", qmp, "status", v->status,
			 "engine_rss_kib", (json_int_t)rss_kib(p->engine_pid), "shim_rss_kib",
			 (json_int_t)rss_kib(p->shim_pid));
}

/* "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)" -> "7.2.22". */
static int parse_version(const char *text, char ret[64], struct err *e)
{
	const char *at = strstr(text, "version ");
	size_t n = at ? strspn(at + 8, "0123456789.") : 0;
	uint32_t major;
	char first[8];

	if (n == 0 || n > 63)
		return err_set(e, -EPROTO, ERR_HOST, "engine.version",
			       PROGRAM " -version said: %.80s", text);
	memcpy(ret, at + 8, n);
	ret[n] = '\0';
	if (!str_fmt(first, sizeof(first), "%.*s", (int)strcspn(ret, "."), ret) ||
	    parse_u32(first, 0, 999, &major) || major < MAJOR_MIN)
		return err_set(e, -ENOTSUP, ERR_HOST, "engine.too-old",
			       PROGRAM " %s: %d.0 or later is needed", ret, MAJOR_MIN);
	return 0;
}

static int ask(const char *const *argv, struct buf *out, struct buf *said, struct err *e)
{
	return proc_run(
		&(struct proc_run){.argv = argv, .out = out, .err = said, .timeout_ms = 5000}, e);
}

static int qemu_probe(uint32_t *ret_can, char ret_version[64], struct err *e)
{
	char program[4096], version[64];
	auto_buf out = {0}, machines = {0}, said = {.max = 4096}; /* of a failure the first line */
	const char *const ask_version[] = {program, "-version", NULL};
	const char *const ask_machines[] = {program, "-M", "help", NULL};
	int rc;

	if (!launch_find(PROGRAM, program, sizeof(program)))
		return no_program(e);
	rc = ask(ask_version, &out, &said, e);
	if (!rc)
		rc = ask(ask_machines, &machines, &said, e);
	if (rc > 0)
		return err_set(e, -EIO, ERR_HOST, "engine.broken", "%s exited with %d%s%.*s",
			       program, rc, said.len ? ": " : "",
			       (int)strcspn(buf_text(&said), "\n"), buf_text(&said));
	if (rc < 0)
		return rc;
	rc = parse_version(buf_text(&out), version, e);
	if (rc)
		return rc;
	if (!strstr(buf_text(&machines), "\nmicrovm "))
		return err_set(e, -ENOTSUP, ERR_HOST, "engine.no-microvm",
			       "%s has no machine microvm", program);
	*ret_can = ENGINE_KVM | ENGINE_TCG | ENGINE_PCI | ENGINE_MMIO | ENGINE_POWERDOWN |
		   ENGINE_BZIMAGE | ENGINE_ELF;
	if (access("/dev/vhost-vsock", R_OK | W_OK) == 0)
		*ret_can |= ENGINE_VSOCK;
	memcpy(ret_version, version, sizeof(version));
	return 0;
}

const struct engine_ops engine_qemu = {
	.name = "qemu",
	.probe = qemu_probe,
	.launch = qemu_launch,
	.adopt = qemu_adopt,
	.stop = qemu_stop,
	.info = qemu_info,
	.forget = qemu_forget,
};
