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
#include "fcapi/server.h"
#include "hearth-vmm/args.h"
#include "loop/loop.h"
#include "machine/machine.h"

#define CONFIG_EXIT	152
#define CONFIG_FILE_MAX (1u << 20)

struct program {
	struct loop *loop; /* owned */
	struct api_vm vm;
	struct api_server *server; /* owned; NULL with --no-api */
	struct machine *machine;   /* owned */
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
	log_info("vm.ended", LS("vm", program.vm.config.id), LS("reason", machine_end_name(end)),
		 LS("why", why));
	loop_stop(program.loop);
}

static int fail(const char *event, const struct err *e, int status)
{
	log_error(event, LS("vm", program.vm.config.id), LS("code", e->id), LS("error", e->text));
	return status;
}

static int read_config(const char *path)
{
	auto_buf text = {0};
	char why[BODY_TEXT_MAX];
	struct err e = {0};

	if (fd_read_file(path, CONFIG_FILE_MAX, &text, &e))
		return fail("vm.config", &e, CONFIG_EXIT);
	if (!body_config_file(&program.vm.config, buf_text(&text), text.len, why))
		return 0;
	log_error("vm.config", LS("vm", program.vm.config.id), LS("file", path), LS("error", why));
	return CONFIG_EXIT;
}

static int start_machine(void *ctx, char *ret_why, size_t cap)
{
	struct err e = {0};
	int rc;

	(void)ctx;
	rc = machine_new(&program.vm.config, program.loop, on_ended, NULL, &program.machine, &e);
	if (!rc)
		rc = machine_start(program.machine, &e);
	if (rc) {
		(void)snprintf(ret_why, cap, "%s", e.text); /* cut is fine: for people */
		(void)fail("vm.start", &e, 1);
		machine_free(program.machine);
		program.machine = NULL;
		return rc;
	}
	log_info("vm.started", LS("vm", program.vm.config.id), LU("vcpus", program.vm.config.vcpus),
		 LU("mem_mib", program.vm.config.mem_mib));
	return 0;
}

static void set_paused(void *ctx, bool paused)
{
	(void)ctx;
	if (paused)
		machine_pause(program.machine);
	else
		machine_resume(program.machine);
	log_info(paused ? "vm.paused" : "vm.resumed", LS("vm", program.vm.config.id));
}

static bool is_paused(void *ctx)
{
	(void)ctx;
	return machine_is_paused(program.machine);
}

static int start_server(const struct args *a)
{
	struct err e = {0};

	if (a->no_api)
		return 0;
	if (api_server_new(a->api_sock, a->max_payload, &program.vm, program.loop, &program.server,
			   &e))
		return fail("api.start", &e, 1);
	log_info("api.started", LS("socket", a->api_sock));
	return 0;
}

/* --config-file: all of it at once. */
static int start_from_file(const char *path)
{
	char why[BODY_TEXT_MAX];
	int rc = read_config(path);

	if (rc)
		return rc;
	if (start_machine(NULL, why, sizeof(why)))
		return 1; /* said already */
	program.vm.started = true;
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
	program.vm.config.pci = a->enable_pci;
	rc = start_server(a);
	if (!rc && a->config_file)
		rc = start_from_file(a->config_file);
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
				     : a.version ? "Firecracker v" API_VERSION " (hearth-vmm)"
						 : "no snapshots: not supported by hearth-vmm");
		return 0;
	}
	program.vm.start = start_machine;
	program.vm.set_paused = set_paused;
	program.vm.is_paused = is_paused;
	body_defaults(&program.vm.config);
	(void)snprintf(program.vm.config.id, sizeof(program.vm.config.id), "%s", a.id);
	status = run(&a);
	api_server_free(program.server);
	machine_free(program.machine);
	loop_free(program.loop);
	return status;
}
