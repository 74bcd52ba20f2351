/*
 * hearth-init: process 1 of the initramfs.  Runs the phases in order; the last one becomes the
 * real init.
 *
 * When a phase fails, one line says why, and the machine is powered off, so that the VMM ends:
 * never a bare panic.
 */
#include <linux/reboot.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/reboot.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "init/evidence.h"
#include "init/init.h"

struct phase {
	const char *name;
	int (*run)(struct boot *b, struct line *ok, struct fault *f); /* see init.h */
};

/* The network stands before the root: the host proves it while the root is mounted. */
static const struct phase phases[] = {
	{"early", phase_early}, {"cmdline", phase_cmdline},   {"modules", phase_modules},
	{"net", phase_net},	{"devices", phase_devices},   {"root", phase_root},
	{"files", phase_files}, {"handover", phase_handover},
};

/* False when the kernel's log says that ACPI is on but knows no S5: power-off would then only halt
 * the processor, and the VMM would stay.  drivers/acpi/sleep.c prints "(supports S0 S5)". */
static bool can_power_off(void)
{
	static char
		text[1 << 18]; /* the default size of the log; more is older than what we seek */
	int n = klogctl(3 /* SYSLOG_ACTION_READ_ALL */, text, sizeof(text) - 1);
	const char *states;

	if (n <= 0)
		return true;
	text[n] = '\0';
	states = strstr(text, "(supports S0");
	if (!states)
		return true;
	return memmem(states, strcspn(states, "\n"), "S5", 2) != NULL;
}

static __attribute__((noreturn)) void stop_machine(void)
{
	console_drain();
	sync();
	if (can_power_off())
		(void)reboot(RB_POWER_OFF);
	(void)reboot(RB_AUTOBOOT); /* a reset ends a VMM too */
	for (;;)
		(void)pause(); /* process 1 must not end: that is a panic */
}

static void fail(const char *phase, const struct fault *f)
{
	const struct fault_info *info = fault_info(f->code);
	struct line l = {.len = 0};

	line_str(&l, "code", info->name);
	line_u64(&l, "exit", (uint64_t)info->exit);
	if (*f->looked)
		line_str(&l, "looked", f->looked);
	line_str(&l, "why", f->why);
	evidence_add(&l, info->see);
	line_str(&l, "hint", info->hint);
	console_line(phase, "fail", &l);
}

static int run_phase(const struct phase *p, struct boot *b)
{
	uint64_t start = clock_mono_ns();
	struct line ok = {.len = 0};
	struct fault f = {.code = FAULT_INTERNAL};
	int rc = p->run(b, &ok, &f);

	if (rc < 0) {
		fail(p->name, &f);
		return -1;
	}
	line_u64(&ok, "ms", (clock_mono_ns() - start) / NS_PER_MS);
	console_line(p->name, rc == PHASE_SKIPPED ? "skip" : "ok", &ok);
	return 0;
}

int main(int argc, char **argv)
{
	static struct boot b;

	(void)argc;
	if (getpid() != 1) {
		(void)fprintf(stderr, "hearth-init: runs as process 1 of an initramfs only\n");
		return 2;
	}
	b.argv = argv;
	for (size_t i = 0; i < ARRAY_LEN(phases); i++)
		if (run_phase(&phases[i], &b))
			break;
	stop_machine();
}
