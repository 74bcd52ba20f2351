/*
 * hearth-vmm: one microVM on KVM, driven as Firecracker is.
 *
 * The main thread runs the loop; each vCPU has a thread of its own.  Exit status as Firecracker's:
 * 0 when the guest ended by itself or a signal asked for it, 1 when it could not be run or crashed,
 * 152 for a configuration file that is wrong, 153 for such a command line.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/str.h"
#include "fcapi/bodies.h"
#include "hearth-vmm/args.h"
#include "loop/loop.h"
#include "machine/machine.h"

#define CONFIG_EXIT	152
#define CONFIG_FILE_MAX (1u << 20)
#define VERSION		"1.17.0-dev" /* of Firecracker's interface: clients compare it */

struct program {
	struct loop *loop; /* owned */
	struct vm_config config;
	struct machine *machine; /* owned */
	int status;
};

static struct program program;

static void on_signal(int signo, void *arg)
{
	(void)arg;
	log_info("vm.signal", LI("signal", signo));
	loop_stop(program.loop);
}

static void on_ended(void *ctx, enum machine_end end, const char *why)
{
	(void)ctx;
	program.status = end == END_POWEROFF || end == END_RESET ? 0 : 1;
	log_info("vm.ended", LS("vm", program.config.id), LS("reason", machine_end_name(end)),
		 LS("why", why));
	loop_stop(program.loop);
}

static int fail(const char *event, const struct err *e, int status)
{
	log_error(event, LS("vm", program.config.id), LS("code", e->id), LS("error", e->text));
	return status;
}

static int read_config(const char *path)
{
	auto_buf text = {0};
	char why[BODY_TEXT_MAX];
	struct err e = {0};

	if (fd_read_file(path, CONFIG_FILE_MAX, &text, &e))
		return fail("vm.config", &e, CONFIG_EXIT);
	if (!body_config_file(&program.config, buf_text(&text), text.len, why))
		return 0;
	log_error("vm.config", LS("vm", program.config.id), LS("file", path), LS("error", why));
	return CONFIG_EXIT;
}

static int start_machine(void)
{
	struct err e = {0};

	if (machine_new(&program.config, program.loop, on_ended, NULL, &program.machine, &e) ||
	    machine_start(program.machine, &e))
		return fail("vm.start", &e, 1);
	log_info("vm.started", LS("vm", program.config.id), LU("vcpus", program.config.vcpus),
		 LU("mem_mib", program.config.mem_mib));
	return 0;
}

static int run(const struct args *a)
{
	struct err e = {0};
	sigset_t signals;
	int rc;

	(void)sigemptyset(&signals); /* valid arguments: these can't fail */
	(void)sigaddset(&signals, SIGTERM);
	(void)sigaddset(&signals, SIGINT);
	(void)signal(SIGPIPE, SIG_IGN); /* a console whose reader has gone must not end the VM */
	if (loop_new(&program.loop, &e) ||
	    loop_signals(program.loop, &signals, on_signal, NULL, &e))
		return fail("vmm.start", &e, 1);
	rc = a->config_file ? read_config(a->config_file) : 0;
	program.config.pci = a->enable_pci;
	if (!rc && a->config_file)
		rc = start_machine();
	if (rc)
		return rc;
	if (loop_run(program.loop, &e))
		return fail("vmm.loop", &e, 1);
	return program.status;
}

int main(int argc, char *argv[])
{
	struct args a;
	struct err e = {0};
	int status;

	if (args_parse(argc, argv, &a, &e)) {
		(void)fprintf(stderr, "Arguments parsing error: %s\n\n%s", e.text, args_help);
		return ARGS_EXIT;
	}
	if (a.help || a.version || a.snapshot_version) {
		(void)printf("%s\n", a.help	 ? args_help
				     : a.version ? "Firecracker v" VERSION " (hearth-vmm)"
						 : "no snapshots: not supported by hearth-vmm");
		return 0;
	}
	body_defaults(&program.config);
	(void)snprintf(program.config.id, sizeof(program.config.id), "%s", a.id);
	status = run(&a);
	machine_free(program.machine);
	loop_free(program.loop);
	return status;
}
