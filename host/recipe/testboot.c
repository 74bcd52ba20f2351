/*
 * Boots a bundle before it is published, and watches until it has proven itself: hearth-init's
 * phases and the image's probes on the console, the address by ARP and ICMP on the TAP.
 *
 * The process moves into mount and network namespaces of its own first, so that whatever happens,
 * nothing of the test stays behind and nothing of the host is touched.
 *
 * Called by run.c, in the process of one build; one loop, one VM.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/str.h"
#include "console/console.h"
#include "engine/engine.h"
#include "json/json.h"
#include "loop/loop.h"
#include "net/net.h"
#include "recipe/bootlog.h"
#include "recipe/recipe_internal.h"

#define LIMIT_BOOT_NS (120 * NS_PER_S) /* emulated and on a busy host a boot takes 10 to 40 s */
#define LIMIT_END_NS  (10 * NS_PER_S)  /* from kill to reaped */
#define DISK_MIB      512u
#define READ_MAX      (64u << 10)
#define PRIVATE_DIR                                                                                \
	"/run/hearth-build" /* a tmpfs in our own mount namespace: sockets, names of namespaces */
#define NETWORK_ADDRESS 0xc0a8c800u /* 192.168.200.0/24; nobody outside our namespace sees it */

struct boot {
	const struct image *image; /* borrowed */
	struct loop *loop;	   /* owned, as all below */
	struct net *net;
	struct net_port port;
	bool port_is_open;
	struct proof *proof;
	struct engine_vm *vm;
	const struct engine_ops *engine;
	char vm_dir[PATH_MAX], run_dir[64], console[PATH_MAX];
	int tap_fd;

	struct engine_watch ew;
	struct proof_watch pw;
	struct watch inotify;
	struct timer limit;
	struct bootlog log;
	uint64_t offset; /* of the console that was read */

	uint32_t can;
	char version[64];
	bool kvm, overlay;
	enum vm_transport transport;
	uint64_t start_ns;

	bool proven;  /* all steps of the network's proof hold */
	bool timeout; /* the time limit passed */
	bool ended;   /* the engine is gone */
	struct engine_end end;
};

/* --- surroundings --- */

static int isolate(struct err *e)
{
	if (unshare(CLONE_NEWNS | CLONE_NEWNET))
		return err_sys(e, errno, "testboot.namespace", "namespaces of the test boot");
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return err_sys(e, errno, "testboot.namespace", "private mounts");
	if ((mkdir(PRIVATE_DIR, 0755) && errno != EEXIST) ||
	    (mkdir("/run/netns", 0755) && errno != EEXIST))
		return err_sys(e, errno, "testboot.namespace", PRIVATE_DIR);
	if (mount("tmpfs", PRIVATE_DIR, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=16m") ||
	    mount("tmpfs", "/run/netns", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=1m"))
		return err_sys(e, errno, "testboot.namespace", "private /run/netns");
	return 0;
}

static int make_dirs(struct boot *b, const struct image_build *build, struct err *e)
{
	if (!str_fmt(b->vm_dir, sizeof(b->vm_dir), "%s/vm", build->dir) ||
	    !str_fmt(b->console, sizeof(b->console), "%s/vm/console.log", build->dir) ||
	    !str_fmt(b->run_dir, sizeof(b->run_dir), PRIVATE_DIR "/vm"))
		return err_sys(e, ENAMETOOLONG, "testboot.dir", "%s", build->dir);
	if (mkdir(b->vm_dir, 0755) || mkdir(b->run_dir, 0755))
		return err_sys(e, errno, "testboot.dir", "%s", b->vm_dir);
	return 0;
}

static int make_network(struct boot *b, struct err *e)
{
	struct network n = {
		.name = "test", .cidr = NETWORK_ADDRESS, .prefix = 24, .isolated = true};
	int rc = network_check(&n, e);

	if (!rc)
		rc = net_open("build", &n, false, &b->net, e);
	if (rc)
		return rc;
	b->port = (struct net_port){.number = 1, .ip = network_address(net_conf(b->net), 0)};
	network_mac(b->port.ip, b->port.mac);
	rc = net_port_open(b->net, &b->port, &b->tap_fd, e);
	b->port_is_open = !rc;
	return rc;
}

/* The first engine that can boot here; with KVM only where it was measured to be real. */
static int choose_engine(struct boot *b, struct err *e)
{
	bool mmio = image_is_mmio_only(b->image);
	uint32_t need = (mmio ? ENGINE_MMIO : ENGINE_PCI) |
			(str_starts(b->image->kernel_format, "ELF") ? ENGINE_ELF : ENGINE_BZIMAGE);
	struct kvm_report kvm;
	int rc = 0;

	kvm_measure(&kvm);
	b->transport = mmio ? VM_MMIO : VM_PCI;
	for (size_t i = 0; engines[i]; i++) {
		rc = engines[i]->probe(&b->can, b->version, e);
		b->kvm = !rc && kvm.verdict == KVM_REAL && (b->can & ENGINE_KVM);
		if (rc || (b->can & need) != need || (!b->kvm && !(b->can & ENGINE_TCG)))
			continue;
		b->engine = engines[i];
		return 0;
	}
	return rc ? rc
		  : err_set(e, -ENOTSUP, ERR_HOST, "testboot.no-engine",
			    "no engine on this host boots a kernel of format %s over %s: %s",
			    b->image->kernel_format, vm_transport_name(b->transport), kvm.text);
}

/* --- start --- */

static int compose(const struct boot *b, char ret[LIMIT_CMDLINE_LEN + 1], struct err *e)
{
	const struct network *n = net_conf(b->net);
	struct cmdline_spec s = {
		.transport = b->transport,
		.root = b->overlay ? VM_ROOT_OVERLAY : VM_ROOT_DIRECT,
		.drives_n = b->overlay ? 2 : 1,
		.root_fs = b->image->rootfs_fs,
		.has_init = b->image->has_init,
		.ip = b->port.ip,
		.gateway = n->gateway,
		.prefix = n->prefix,
		.mtu = n->mtu,
		.hostname = "test-boot",
		.console = "ttyS0",
		.tcg = !b->kvm,
	};

	memcpy(s.mac, b->port.mac, sizeof(s.mac));
	return cmdline_compose(&s, ret, e);
}

static int launch(struct boot *b, const struct recipe_job *job, const struct image_build *build,
		  struct err *e)
{
	char cmdline[LIMIT_CMDLINE_LEN + 1], kernel[PATH_MAX], initrd[PATH_MAX], rootfs[PATH_MAX],
		disk[PATH_MAX];
	struct vm_process proc;
	struct vm_spec s = {
		.id = "vm-test",
		.vm_dir = b->vm_dir,
		.run_dir = b->run_dir,
		.vcpus = 1,
		.ram_mib = b->image->min_ram_mib,
		.transport = b->transport,
		.kernel = kernel,
		.initrd = b->image->has_initrd ? initrd : NULL,
		.cmdline = cmdline,
		.tap_fd = b->tap_fd,
		.uid = job->uid ? job->uid : RECIPE_UID,
	};
	int rc = compose(b, cmdline, e);

	if (rc)
		return rc;
	if (!str_fmt(kernel, sizeof(kernel), "%s/" IMAGE_KERNEL, build->bundle) ||
	    !str_fmt(initrd, sizeof(initrd), "%s/" IMAGE_INITRD, build->bundle) ||
	    !str_fmt(rootfs, sizeof(rootfs), "%s/" IMAGE_ROOTFS, build->bundle) ||
	    !str_fmt(disk, sizeof(disk), "%s/disk.ext4", b->vm_dir))
		return err_sys(e, ENAMETOOLONG, "testboot.dir", "%s", build->bundle);
	rc = image_make_disk(b->image, !b->overlay, disk, DISK_MIB, e);
	if (rc)
		return rc;
	if (b->overlay)
		s.drives[s.drives_n++] =
			(struct vm_drive){.id = "root", .path = rootfs, .read_only = true};
	s.drives[s.drives_n++] =
		(struct vm_drive){.id = b->overlay ? "disk" : "root", .path = disk};
	memcpy(s.mac, b->port.mac, sizeof(s.mac));
	b->start_ns = clock_mono_ns();
	rc = b->engine->launch(b->loop, &s, b->kvm, &b->ew, &b->vm, &proc, e);
	(void)close(take_fd(b->tap_fd)); /* the engine has its own copy */
	return rc;
}

/* --- watching --- */

static bool is_proven(const struct boot *b)
{
	return b->proven && bootlog_holds(&b->log);
}

static void read_console(struct boot *b)
{
	for (;;) {
		auto_buf text = {0};
		uint64_t dropped;

		if (console_read(b->console, &b->offset, READ_MAX, &text, &dropped, NULL) ||
		    !text.len)
			return;
		bootlog_feed(&b->log, text.data, text.len);
	}
}

static void on_inotify(struct watch *w, uint32_t got)
{
	struct boot *b = container_of(w, struct boot, inotify);
	char events[4096];

	(void)got;
	while (read(w->fd, events, sizeof(events)) > 0)
		continue; /* that something was written is all that is asked */
	read_console(b);
}

static void on_started(struct engine_watch *w)
{
	(void)w; /* the console tells more */
}

static void on_event(struct engine_watch *w, const char *name, const char *text)
{
	(void)w, (void)name, (void)text; /* likewise */
}

static void on_ended(struct engine_watch *w, const struct engine_end *end)
{
	struct boot *b = container_of(w, struct boot, ew);

	b->ended = true;
	b->end = *end;
}

static void on_step(struct proof_watch *w, enum proof_step s, const struct proof_result *r)
{
	(void)w, (void)s, (void)r; /* read at the end, all together */
}

static void on_done(struct proof_watch *w)
{
	container_of(w, struct boot, pw)->proven = true;
}

static void on_limit(struct timer *t)
{
	container_of(t, struct boot, limit)->timeout = true;
}

static int watch_boot(struct boot *b, struct err *e)
{
	int rc;

	b->inotify = (struct watch){.fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK),
				    .want = EPOLLIN,
				    .ready = on_inotify};
	if (b->inotify.fd < 0 || inotify_add_watch(b->inotify.fd, b->vm_dir, IN_MODIFY) < 0)
		return err_sys(e, errno, "testboot.console", "inotify on %s", b->vm_dir);
	rc = loop_watch(b->loop, &b->inotify, e);
	b->limit.fire = on_limit;
	if (!rc && loop_timer_in(b->loop, &b->limit, LIMIT_BOOT_NS))
		rc = err_nomem(e);
	return rc;
}

/* Until it is proven, has ended, or the time is over. */
static int run_boot(struct boot *b, struct err *e)
{
	int rc = 0;

	while (rc >= 0 && !is_proven(b) && !b->ended && !b->timeout)
		rc = loop_step(b->loop, -1, e);
	if (rc < 0)
		return rc;
	read_console(b); /* what was written last */
	return 0;
}

/* --- verdict --- */

static int refuse(struct boot *b, struct err *e)
{
	const struct bootlog_line *l = b->log.fault.number ? &b->log.fault : &b->log.last;
	struct proof_result steps[PROOF_STEP_N_];
	int code = b->timeout ? -ETIMEDOUT : -EIO;
	enum err_kind kind = b->timeout ? ERR_TIMEOUT : ERR_GUEST;

	if (b->log.fault.number)
		return err_set(e, code, kind, "image.test-boot",
			       "test boot: line %u of the console: %s", l->number, l->text);
	if (b->ended)
		return err_set(e, code, kind, "image.test-boot",
			       "test boot: the VM ended (%s); last line of the console, %u: %s",
			       b->end.text, l->number,
			       l->number ? l->text : "(nothing was printed)");
	proof_results(b->proof, steps);
	for (int s = 0; !b->proven && s < PROOF_STEP_N_; s++)
		if (steps[s].verdict != PROOF_HOLDS)
			return err_set(e, code, kind, "image.test-boot",
				       "test boot: %llu s passed and the network's step \"%s\" "
				       "does not hold: %s %s; last line "
				       "of the console, %u: %s",
				       (unsigned long long)(LIMIT_BOOT_NS / NS_PER_S),
				       proof_step_name((enum proof_step)s), steps[s].code,
				       steps[s].evidence, l->number, l->text);
	for (unsigned i = 0; i < b->image->probes_n; i++)
		if (b->image->probes[i].type == PROBE_CONSOLE && !b->log.probe[i].number)
			return err_set(e, code, kind, "image.test-boot",
				       "test boot: %llu s passed and the console never showed "
				       "\"%s\"; last line of the console, "
				       "%u: %s",
				       (unsigned long long)(LIMIT_BOOT_NS / NS_PER_S),
				       b->image->probes[i].text, l->number, l->text);
	return err_set(
		e, code, kind, "image.test-boot",
		"test boot: the console has no line of hearth-init for %s; last line, %u: %s",
		!b->log.net.number    ? "net"
		: !b->log.root.number ? "root"
				      : "handover",
		l->number, l->text);
}

static json_t *line_json(const struct bootlog_line *l)
{
	return l->number ? json_pack("{s:i,s:s}", "line", (int)l->number, "text", l->text)
			 : json_null();
}

static int report(struct boot *b, json_t **ret, struct err *e)
{
	uint64_t ms = (clock_mono_ns() - b->start_ns) / NS_PER_MS;
	struct proof_result steps[PROOF_STEP_N_];
	json_t *network = json_array(), *probes = json_array();
	int rc = 0;

	proof_results(b->proof, steps);
	for (int s = 0; s < PROOF_STEP_N_; s++)
		rc |= json_push(network,
				json_pack("{s:s,s:s}", "step", proof_step_name((enum proof_step)s),
					  "evidence", steps[s].evidence));
	for (unsigned i = 0; i < b->image->probes_n; i++)
		rc |= json_push(probes, line_json(&b->log.probe[i]));
	*ret = rc ? NULL
		  : json_pack("{s:s,s:s,s:b,s:s,s:s,s:i,s:I,s:o,s:o,s:o,s:O,s:O}", "engine",
			      b->engine->name, "version", b->version, "kvm", b->kvm, "transport",
			      vm_transport_name(b->transport), "root",
			      vm_root_name(b->overlay ? VM_ROOT_OVERLAY : VM_ROOT_DIRECT),
			      "ram_mib", (int)b->image->min_ram_mib, "took_ms", (json_int_t)ms,
			      "net", line_json(&b->log.net), "mounted", line_json(&b->log.root),
			      "handover", line_json(&b->log.handover), "probes", probes, "network",
			      network);
	json_decref(network);
	json_decref(probes);
	return *ret ? 0 : err_nomem(e);
}

/* Everything goes, in the order in which it hangs together. */
static void tear_down(struct boot *b)
{
	if (b->vm) {
		b->timeout = false;
		if (!b->ended)
			b->engine->stop(b->vm, 0);
		(void)loop_timer_in(b->loop, &b->limit, LIMIT_END_NS);
		while (!b->ended && !b->timeout && loop_step(b->loop, -1, NULL) >= 0)
			continue;
		if (!b->ended)
			(void)engine_kill_leftover(
				b->vm_dir,
				NULL); /* the last resort; nobody could act on its failure */
		b->engine->forget(b->vm);
	}
	proof_free(b->proof);
	if (b->tap_fd >= 0)
		(void)close(b->tap_fd); /* takes the TAP away */
	if (b->net) {			/* with our namespaces they would go anyway */
		if (b->port_is_open)
			(void)net_port_close(b->net, &b->port, NULL);
		net_close(b->net);
		(void)net_remove("build", "test", NULL);
	}
	if (b->inotify.fd >= 0) {
		loop_unwatch(b->loop, &b->inotify);
		(void)close(b->inotify.fd); /* it was only read */
	}
	loop_free(b->loop);
}

static int go(struct boot *b, const struct recipe_job *job, const struct image_build *build,
	      struct err *e)
{
	int rc = isolate(e);

	if (!rc)
		rc = make_dirs(b, build, e);
	if (!rc)
		rc = loop_new(&b->loop, e);
	if (!rc)
		rc = choose_engine(b, e);
	if (!rc)
		rc = make_network(b, e);
	if (!rc)
		rc = watch_boot(b, e);
	if (!rc)
		rc = launch(b, job, build, e);
	if (!rc)
		rc = proof_start(b->loop, b->net, &b->port, b->image->ports, b->image->ports_n,
				 &b->pw, &b->proof, e);
	if (!rc)
		rc = run_boot(b, e);
	return rc;
}

int test_boot(const struct recipe_job *job, const struct image_build *build, const struct image *i,
	      json_t **ret_report, struct err *e)
{
	struct boot *b = calloc(1, sizeof(*b));
	int rc;

	if (!b)
		return err_nomem(e);
	*b = (struct boot){.image = i,
			   .tap_fd = -1,
			   .inotify = {.fd = -1},
			   .log = {.image = i},
			   .ew = {on_started, on_ended, on_event},
			   .pw = {on_step, on_done},
			   .overlay = i->has_init && i->drivers[DRV_OVERLAY] != DRV_ABSENT};
	rc = go(b, job, build, e);
	if (!rc)
		rc = is_proven(b) ? report(b, ret_report, e) : refuse(b, e);
	tear_down(b);
	free(b);
	return rc;
}
