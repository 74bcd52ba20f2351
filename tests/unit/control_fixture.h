#pragma once
/*
 * A controller on a real store, real networks and real disks, with a scripted engine: its "VMM" is
 * a sleeping process, its "guest" answers ARP and ICMP on the TAP that it was given.
 *
 * Used by test_control_vm.c and test_control_adopt.c; root only (namespaces), in a sandbox of its
 * own.
 */
#include "net_guest.h"
#include "net_sandbox.h"

#include <signal.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "unit.h"

#include "base/mem.h"
#include "base/proc.h"
#include "base/str.h"
#include "control/control_internal.h"
#include "image/image_internal.h"
#include "json/json.h"

#define GIVE_UP_MS 30000 /* far beyond anything here; reached only when a test fails */
#define FAKES	   64

struct fake { /* one VMM process with its guest; outlives every controller */
	pid_t pid;
	uint64_t ticks;
	int tap; /* -1: closed */
	struct watch guest;
	struct guest_script guest_says;
	char vm_dir[512];
	struct engine_end end;
	bool over;
	struct engine_vm *handle;
};

struct engine_vm {
	struct fake *f;
	struct engine_watch *watch;
	struct timer starts, ends;
};

static struct {
	const char *launch_error; /* launch refuses with this text */
	const char *console;	  /* what the guest writes when it starts */
	bool mute;		  /* the guest sends and answers nothing */
	bool never_started;	  /* the engine never says that the vCPUs run */
	bool deaf;		  /* ignores powerdown */
	unsigned launches;
	unsigned fakes_n;
	struct fake fakes[FAKES];
} script;

static const char good_console[] =
	"[    0.0] Linux version 6.1.0\n"
	"hearth-init: phase=devices ok transport=pci pci=\"1af4:1042@00:02.0\" blk=\"vda vdb\" "
	"ms=1\n"
	"hearth-init: phase=root ok mode=overlay dev=vda fs=ext4 disk=vdb ms=2\n"
	"hearth-init: phase=handover ok init=/sbin/init\n"
	"Debian GNU/Linux 12 test ttyS0\n\ntest login: ";

static char tmp_dir[64];
static struct loop *test_loop;
static struct control *ctl;
static struct control_conf conf;
static struct err err;
static const struct actor admin = {.user_id = "root", .role = ROLE_ADMIN};
static const struct actor alice = {.user_id = "alice", .role = ROLE_USER};
static const struct actor bob = {.user_id = "bob", .role = ROLE_USER};

/* --- the guest --- */

static inline void guest_announce(struct fake *f)
{
	guest_arp(f->tap, 1, f->guest_says.mac, f->guest_says.mac, f->guest_says.ip, mac_all,
		  f->guest_says.ip);
}

static inline void guest_ready(struct watch *w, uint32_t got)
{
	struct fake *f = container_of(w, struct fake, guest);

	(void)got;
	(void)guest_answer(f->tap, &f->guest_says); /* no frame: the loop will tell again */
}

static inline void guest_close(struct fake *f)
{
	if (f->tap < 0)
		return;
	loop_unwatch(test_loop, &f->guest);
	(void)close(f->tap);
	f->tap = -1;
}

static inline void fake_write_console(const struct fake *f, const char *text)
{
	char path[600];

	(void)snprintf(path, sizeof(path), "%s/console.log", f->vm_dir);
	auto_close int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
}

/* --- the engine --- */

static inline void fake_over(struct fake *f, enum engine_exit how, const char *text)
{
	if (f->over)
		return;
	(void)kill(f->pid, SIGKILL);
	(void)waitpid(f->pid, NULL, 0);
	guest_close(f);
	f->over = true;
	f->end.how = how;
	f->end.status = 0;
	(void)snprintf(f->end.text, sizeof(f->end.text), "%s", text);
	if (f->handle)
		assert_int_equal(loop_timer(test_loop, &f->handle->ends, 0), 0);
}

static inline void on_ends(struct timer *t)
{
	struct engine_vm *v = container_of(t, struct engine_vm, ends);

	v->watch->ended(v->watch, &v->f->end);
}

static inline void on_starts(struct timer *t)
{
	struct engine_vm *v = container_of(t, struct engine_vm, starts);
	struct fake *f = v->f;

	v->watch->started(v->watch);
	if (f->tap >= 0 && !script.mute)
		guest_announce(f);
}

static inline int fake_probe(uint32_t *can, char version[64], struct err *e)
{
	(void)e;
	*can = ENGINE_TCG | ENGINE_PCI | ENGINE_MMIO | ENGINE_POWERDOWN | ENGINE_BZIMAGE |
	       ENGINE_ELF;
	(void)snprintf(version, 64, "1.0");
	return 0;
}

static inline struct engine_vm *fake_handle(struct fake *f, struct engine_watch *w)
{
	struct engine_vm *v = calloc(1, sizeof(*v));

	assert_non_null(v);
	v->f = f;
	v->watch = w;
	v->starts.fire = on_starts;
	v->ends.fire = on_ends;
	f->handle = v;
	if (!script.never_started)
		assert_int_equal(loop_timer(test_loop, &v->starts, 0), 0);
	return v;
}

static inline int fake_launch(struct loop *l, const struct vm_spec *s, bool kvm,
			      struct engine_watch *w, struct engine_vm **ret,
			      struct vm_process *ret_proc, struct err *e)
{
	static const char *const argv[] = {"sleep", "1000", NULL};
	struct fake *f = &script.fakes[script.fakes_n];
	struct err e2 = {0};
	extern char **environ;
	char dir[600];

	(void)kvm;
	script.launches++;
	if (script.launch_error)
		return err_set(e, -EIO, ERR_HOST, "engine.start", "%s", script.launch_error);
	assert_true(script.fakes_n < FAKES);
	script.fakes_n++;
	memset(f, 0, sizeof(*f));
	(void)snprintf(f->vm_dir, sizeof(f->vm_dir), "%s", s->vm_dir);
	(void)snprintf(dir, sizeof(dir), "%s/console.log", s->vm_dir);
	(void)unlink(dir); /* a real engine moves the last run's aside */
	assert_int_equal(
		posix_spawnp(&f->pid, "sleep", NULL, NULL, (char *const *)(uintptr_t)argv, environ),
		0);
	assert_int_equal(proc_start_time(f->pid, &f->ticks), 0);
	f->tap = fcntl(s->tap_fd, F_DUPFD_CLOEXEC, 0);
	f->guest_says.pings = true;
	memcpy(f->guest_says.mac, s->mac, 6);
	f->guest_says.ip = get32(s->mac + 2); /* network_mac holds it */
	f->guest = (struct watch){.fd = f->tap, .want = EPOLLIN, .ready = guest_ready};
	if (!script.mute)
		assert_int_equal(loop_watch(l, &f->guest, &e2), 0);
	if (script.console)
		fake_write_console(f, script.console);
	*ret = fake_handle(f, w);
	*ret_proc = (struct vm_process){f->pid, f->pid, f->ticks, f->ticks, ""};
	clock_boot_id(ret_proc->boot_id);
	return 0;
}

static inline int fake_adopt(struct loop *l, const char *vm_dir, const char *run_dir,
			     const struct vm_process *p, struct engine_watch *w,
			     struct engine_vm **ret, struct engine_end *end, struct err *e)
{
	(void)l;
	(void)vm_dir;
	(void)run_dir;
	for (unsigned i = 0; i < script.fakes_n; i++) {
		struct fake *f = &script.fakes[i];

		if (f->pid != p->engine_pid || f->ticks != p->engine_ticks)
			continue;
		if (!f->over) {
			*ret = fake_handle(f, w);
			return 0;
		}
		*end = f->end;
		return -ESRCH;
	}
	end->how = EXIT_UNKNOWN;
	(void)snprintf(end->text, sizeof(end->text), "not known to the script");
	return err_set(e, -ESRCH, ERR_HOST, "engine.gone", "gone");
}

static inline void fake_stop(struct engine_vm *v, uint64_t grace_ms)
{
	if (grace_ms && script.deaf)
		return;
	fake_over(v->f, grace_ms ? EXIT_GUEST_POWEROFF : EXIT_KILLED,
		  grace_ms ? "powered off" : "killed");
}

static inline void fake_forget(struct engine_vm *v)
{
	loop_timer_stop(test_loop, &v->starts);
	loop_timer_stop(test_loop, &v->ends);
	v->f->handle = NULL;
	free(v);
}

static const struct engine_ops fake_engine = {.name = "fake",
					      .probe = fake_probe,
					      .launch = fake_launch,
					      .adopt = fake_adopt,
					      .stop = fake_stop,
					      .forget = fake_forget};
static const struct engine_ops *const fake_engines[] = {&fake_engine, NULL};

/* --- the controller under test --- */

static inline void publish_image(void)
{
	struct image i = {.kernel_format = "ELF",
			  .rootfs_fs = "ext4",
			  .has_initrd = true,
			  .has_init = true,
			  .min_ram_mib = 16,
			  .probes_n = 1,
			  .created_us = 1};
	auto_json json_t *extra = json_pack("{s{ss}}", "source", "recipe", "test");
	struct image_build b;
	char path[2 * PATH_MAX], images[200];

	(void)snprintf(images, sizeof(images), "%s/state/images", tmp_dir);
	assert_int_equal(fd_mkdirs(images, 0755, NULL), 0);
	if (build_begin(images, &b, &err))
		fail_msg("%s", err.text);
	i.dir = b.bundle;
	i.probes[0] = (struct image_probe){.type = PROBE_CONSOLE, .text = " login:"};
	for (int d = 0; d < DRV_N_; d++)
		i.drivers[d] = DRV_MODULE;
	for (size_t n = 0; n < ARRAY_LEN(manifest_files); n++) {
		(void)snprintf(path, sizeof(path), "%s/%s", b.bundle, manifest_files[n]);
		assert_int_equal(fd_replace_file(path, "x", 1, 0644, &err), 0);
	}
	(void)snprintf(i.name, sizeof(i.name), "base");
	if (build_manifest(&b, &i, extra, &err) || build_publish(&b, "base", i.digest, &err))
		fail_msg("%s", err.text);
	json_decref(i.manifest);
}

static inline int try_control(void)
{
	return control_new(test_loop, &conf, &ctl, &err);
}

static inline void control_up(void)
{
	memset(&err, 0, sizeof(err));
	if (try_control() < 0)
		fail_msg("%s: %s", err.id, err.text);
}

/* hearthd goes and comes back; VMs go on. */
static inline void control_again(void)
{
	control_free(ctl);
	ctl = NULL;
	control_up();
}

static inline int fixture_setup(void **state)
{
	static char state_dir[128], run_dir[128];

	(void)state;
	memset(&script, 0, sizeof(script));
	script.console = good_console;
	(void)snprintf(tmp_dir, sizeof(tmp_dir), "/tmp/hearth-control-XXXXXX");
	if (!mkdtemp(tmp_dir) || chmod(tmp_dir, 0711) || loop_new(&test_loop, &err))
		return -1;
	(void)snprintf(state_dir, sizeof(state_dir), "%s/state", tmp_dir);
	(void)snprintf(run_dir, sizeof(run_dir), "%s/run", tmp_dir);
	conf = (struct control_conf){.state_dir = state_dir,
				     .run_dir = run_dir,
				     .instance = "tctl",
				     .engine = "auto",
				     .uid_base = 200000,
				     .evidence_ms = 24ull * 3600 * 1000,
				     .grace_ms = 5000,
				     .classes = {{"cli", "base", 1, 64, 64}},
				     .classes_n = 1,
				     .engines = fake_engines};
	publish_image();
	control_up();
	return 0;
}

static inline int fixture_teardown(void **state)
{
	(void)state;
	mem_fail_after(-1);
	control_free(ctl);
	ctl = NULL;
	for (unsigned i = 0; i < script.fakes_n; i++)
		fake_over(&script.fakes[i], EXIT_KILLED, "test is over");
	(void)net_remove("tctl", "default", NULL);
	(void)net_remove("tctl", "other", NULL);
	loop_free(test_loop);
	return fd_remove_tree(tmp_dir, NULL);
}

static inline void step(void)
{
	assert_int_equal(loop_step(test_loop, 20, &err), 0);
}

/* Rounds of the loop until the condition holds; a failed test, not a measurement, after
 * GIVE_UP_MS. */
#define RUN_UNTIL(cond)                                                                            \
	do {                                                                                       \
		uint64_t due_ = clock_mono_ns() + GIVE_UP_MS * NS_PER_MS;                          \
		while (!(cond)) {                                                                  \
			if (clock_mono_ns() > due_)                                                \
				fail_msg("never: %s", #cond);                                      \
			step();                                                                    \
		}                                                                                  \
	} while (0)

static inline struct vm_request request(void)
{
	return (struct vm_request){
		.user_id = "alice", .vm_type = "cli", .transport = -1, .root = -1, .start = true};
}

static inline struct vm *create_vm(void)
{
	struct vm_request q = request();
	struct vm *v = NULL;
	bool repeated;

	memset(&err, 0, sizeof(err));
	if (control_vm_create(ctl, &alice, &q, NULL, NULL, &v, &repeated, &err) < 0)
		fail_msg("%s: %s", err.id, err.text);
	return v;
}

static inline struct vm *vm_of(const char *id)
{
	return vm_by_id(ctl, id);
}

static inline enum vm_state state_of(const char *id)
{
	struct vm *v = vm_of(id);

	return v ? v->rec.state : VM_GONE;
}

static inline void wait_state(const char *id, enum vm_state s)
{
	uint64_t due = clock_mono_ns() + GIVE_UP_MS * NS_PER_MS;

	while (state_of(id) != s) {
		if (clock_mono_ns() > due)
			fail_msg("%s stays %s, expected %s; cause %s: %s", id,
				 lifecycle_state_name(state_of(id)), lifecycle_state_name(s),
				 vm_of(id) ? vm_of(id)->rec.cause : "-",
				 vm_of(id) ? vm_of(id)->rec.cause_text : "-");
		step();
	}
}

static inline bool path_exists(const char *dir, const char *id, const char *file)
{
	char path[512];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/%s/%s/%s", tmp_dir, dir, id, file);
	return stat(path, &st) == 0;
}

static inline unsigned leases(void)
{
	uint32_t n = 0;

	assert_int_equal(store_lease_count(ctl->store, "default", &n, &err), 0);
	return n;
}

static inline unsigned alive(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < script.fakes_n; i++)
		n += !script.fakes[i].over;
	return n;
}
