/*
 * How an engine ended, in one word and one sentence.  Called by the engines when both processes are
 * gone, or by adopt when they were gone before.
 *
 * Evidence in this order: our own kill, the wait status in exit.json, what the engine's protocol
 * said, and, when nobody was there to listen (hearthd was down), the kernel's last words on the
 * console: "reboot: Power down", "reboot: Restarting system" (Linux kernel/reboot.c) and "Kernel
 * panic - not syncing: " (kernel/panic.c), which are printed at every log level.
 * Trust: console text was chosen by the guest; it decides only which word describes its own end.
 */
#include "engine/launch.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/fd.h"
#include "base/proc.h"
#include "base/str.h"
#include "console/console.h"
#include "json/json.h"

#define LAST_WORDS 8192u /* of the console; a panic's register dump and trace take about 4 KiB */
#define LINE_MAX   200u
#define EXIT_MAX   65536u

const char *const engine_exit_names[EXIT_N_] = {
	[EXIT_GUEST_POWEROFF] = "guest-poweroff", [EXIT_GUEST_RESET] = "guest-reset",
	[EXIT_GUEST_PANIC] = "guest-panic",	  [EXIT_KILLED] = "killed",
	[EXIT_VMM_ERROR] = "vmm-error",		  [EXIT_UNKNOWN] = "unknown",
};

/* What exit.json tells; status -1: nothing. */
struct exit_record {
	int status, signal;
	bool oom;
};

static void read_tail(const char *path, size_t max, struct buf *ret)
{
	uint64_t size = console_size(path), at = size > max ? size - max : 0, dropped;

	while (at < size)
		if (console_read(path, &at, max, ret, &dropped, NULL) || at == 0)
			return;
}

/* Copy one line without control characters, cut to fit. */
static void copy_line(const char *line, size_t len, char *ret, size_t cap)
{
	size_t n = 0;

	for (size_t i = 0; i < len && n + 1 < cap; i++)
		if ((unsigned char)line[i] >= ' ' && line[i] != 0x7f)
			ret[n++] = line[i];
	/* Cut back to whole UTF-8, which a cut or a stray byte may have broken. */
	while (n && !str_is_utf8(ret, n))
		n--;
	ret[n] = '\0';
}

void ending_last_line(const char *path, char *ret, size_t cap)
{
	auto_buf text = {0};
	size_t end;

	ret[0] = '\0';
	read_tail(path, LAST_WORDS, &text);
	for (end = text.len; end && !ret[0];) {
		size_t start = end;

		while (start && text.data[start - 1] != '\n')
			start--;
		copy_line(text.data + start, end - start, ret, cap < LINE_MAX ? cap : LINE_MAX);
		end = start ? start - 1 : 0;
	}
}

static struct exit_record read_exit(const char *vm_dir, const struct vm_process *proc)
{
	struct exit_record r = {.status = -1};
	char path[4200];
	const char *boot_id;
	auto_buf text = {0};
	auto_json json_t *j = NULL;
	json_int_t pid, ticks, status, signo, oom;

	if (!str_fmt(path, sizeof(path), "%s/exit.json", vm_dir) ||
	    fd_read_file(path, EXIT_MAX, &text, NULL) ||
	    json_parse(buf_text(&text), text.len, &j, NULL))
		return r;
	if (json_unpack(j, "{s:I, s:I, s:s, s:I, s:I, s:I}", "engine_pid", &pid, "engine_ticks",
			&ticks, "boot_id", &boot_id, "status", &status, "signal", &signo,
			"oom_kills", &oom))
		return r;
	/* The record of another run of this VM says nothing about this one. */
	if (pid != proc->engine_pid || (uint64_t)ticks != proc->engine_ticks ||
	    !str_eq(boot_id, proc->boot_id))
		return r;
	r.status = (int)status;
	r.signal = (int)signo;
	r.oom = oom > 0;
	return r;
}

static enum ending_said console_said(const char *vm_dir, char *ret_panic, size_t cap)
{
	static const struct {
		const char *text;
		enum ending_said said;
	} words[] = {
		{"Kernel panic - not syncing", SAID_PANIC}, /* before the reset that follows it */
		{"reboot: Power down", SAID_POWEROFF},
		{"reboot: System halted", SAID_POWEROFF},
		{"reboot: Restarting system", SAID_RESET},
	};
	char path[4200];
	auto_buf text = {0};

	ret_panic[0] = '\0';
	if (!str_fmt(path, sizeof(path), "%s/console.log", vm_dir))
		return SAID_NOTHING;
	read_tail(path, LAST_WORDS, &text);
	for (size_t i = 0; text.len && i < ARRAY_LEN(words); i++) {
		const char *at = memmem(text.data, text.len, words[i].text, strlen(words[i].text));

		if (!at)
			continue;
		if (words[i].said == SAID_PANIC)
			copy_line(at, strcspn(at, "\n"), ret_panic, cap);
		return words[i].said;
	}
	return SAID_NOTHING;
}

enum ending_said ending_console_said(const char *vm_dir)
{
	char panic[LINE_MAX];

	return console_said(vm_dir, panic, sizeof(panic));
}

static void say(struct engine_end *end, enum engine_exit how, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static void say(struct engine_end *end, enum engine_exit how, const char *fmt, ...)
{
	va_list ap;

	end->how = how;
	va_start(ap, fmt);
	(void)vsnprintf(end->text, sizeof(end->text), fmt, ap); /* a cut sentence is still one */
	va_end(ap);
}

static void say_signal(struct engine_end *end, const char *engine, const struct exit_record *r,
		       const char *last)
{
	const char *name = sigdescr_np(r->signal);

	if (r->oom)
		say(end, EXIT_KILLED,
		    "%s was killed by the kernel: out of memory in its control group", engine);
	else if (r->signal == SIGKILL || r->signal == SIGTERM || r->signal == SIGINT)
		say(end, EXIT_KILLED, "%s was killed by signal %d (%s), not by hearthd", engine,
		    r->signal, name ? name : "?");
	else
		say(end, EXIT_VMM_ERROR, "%s crashed with signal %d (%s)%s%s", engine, r->signal,
		    name ? name : "?", last[0] ? ": " : "", last);
}

static void say_guest(struct engine_end *end, enum ending_said said, const char *panic)
{
	switch (said) {
	case SAID_POWEROFF:
		say(end, EXIT_GUEST_POWEROFF, "the guest powered off");
		break;
	case SAID_RESET:
		say(end, EXIT_GUEST_RESET, "the guest restarted or reset itself");
		break;
	case SAID_PANIC:
		say(end, EXIT_GUEST_PANIC, "%s", panic[0] ? panic : "the guest's kernel panicked");
		break;
	default:
		say(end, EXIT_UNKNOWN, "the engine ended without saying why");
	}
}

void ending_read(const char *vm_dir, const char *engine, const struct vm_process *proc,
		 enum ending_said said, bool by_us, struct engine_end *ret)
{
	struct exit_record r = read_exit(vm_dir, proc);
	char log[4200], last[LINE_MAX] = "", panic[LINE_MAX];
	enum ending_said console = console_said(vm_dir, panic, sizeof(panic));

	if (str_fmt(log, sizeof(log), "%s/vmm.log", vm_dir))
		ending_last_line(log, last, sizeof(last));
	ret->status = r.status;
	/* The guest had ended, and the engine hung in its own end: a kill then changes nothing. */
	if (said != SAID_NOTHING && r.signal == SIGKILL)
		ret->status = r.status = r.signal = 0;
	/* A panic that restarts looks like a reset to the engine. */
	if (console == SAID_PANIC || said == SAID_NOTHING)
		said = console;
	if (by_us && (r.status < 0 || r.signal == SIGKILL))
		say(ret, EXIT_KILLED, "killed by hearthd");
	else if (r.status < 0)
		say(ret, EXIT_UNKNOWN,
		    "%s and its shim were killed from outside, or the host went down: no exit "
		    "record",
		    engine);
	else if (r.signal)
		say_signal(ret, engine, &r, last);
	else if (r.status)
		say(ret, EXIT_VMM_ERROR, "%s exited with %d%s%s", engine, r.status,
		    last[0] ? ": " : "", last);
	else
		say_guest(ret, said, panic);
}
