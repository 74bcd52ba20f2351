/*
 * Runs a VM: composes the command line, launches the engine, and hears from it until its end.
 *
 * Loop's thread.  The order matters for crashes: the state is starting and durable before the
 * launch, the process's identity is committed right after it; what lies between is found by the
 * lock that the shim holds (engine_kill_leftover).
 */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "control/control_internal.h"
#include "control/text.h"

struct run *run_new(struct vm *v)
{
	struct run *r = mem_zalloc(sizeof(*r));

	if (!r)
		return NULL;
	r->vm = v;
	r->con.file_wd = r->con.dir_wd = -1;
	for (unsigned i = 0; i < LIMIT_PROBES; i++)
		r->probes[i].watch.fd = -1;
	engine_watch_init(r);
	return r;
}

void run_free(struct run *r)
{
	if (!r)
		return;
	proving_stop(r);
	console_watch_stop(r);
	if (r->engine)
		r->ops->forget(r->engine);
	line_scan_free(r->con.scan);
	image_free(r->image);
	free(r);
}

int launch_cmdline(const struct vm *v, const struct image *i, bool tcg,
		   char ret[LIMIT_CMDLINE_LEN + 1], struct err *e)
{
	const struct network *n = &v->netw->conf;
	struct cmdline_spec s = {
		.transport = v->rec.transport,
		.root = v->rec.root,
		.drives_n = v->rec.root == VM_ROOT_DIRECT ? 1 : 2,
		.root_fs = i->rootfs_fs,
		.has_init = i->has_init,
		.ip = v->rec.lease.ip,
		.gateway = n->gateway,
		.prefix = n->prefix,
		.mtu = n->mtu,
		.dns_n = n->dns_n,
		.hostname = v->rec.name,
		.console = "ttyS0",
		.tcg = tcg,
		.user_args = v->rec.boot_args,
	};

	memcpy(s.dns, n->dns, sizeof(s.dns));
	memcpy(s.mac, v->rec.lease.mac, sizeof(s.mac));
	return cmdline_compose(&s, ret, e);
}

struct launch_paths { /* what a vm_spec borrows */
	char vm_dir[PATH_CAP], run_dir[PATH_CAP], kernel[PATH_CAP], initrd[PATH_CAP],
		rootfs[PATH_CAP], disk[PATH_CAP];
};

static int fill_paths(const struct vm *v, const struct image *i, struct launch_paths *p,
		      struct err *e)
{
	if (!vm_path(v, NULL, p->vm_dir) || !vm_run_path(v, p->run_dir) ||
	    !vm_path(v, "disk.ext4", p->disk) ||
	    !str_fmt(p->kernel, PATH_CAP, "%s/%s", i->dir, IMAGE_KERNEL) ||
	    !str_fmt(p->initrd, PATH_CAP, "%s/%s", i->dir, IMAGE_INITRD) ||
	    !str_fmt(p->rootfs, PATH_CAP, "%s/%s", i->dir, IMAGE_ROOTFS))
		return err_set(e, -ENAMETOOLONG, ERR_HOST, "path.too-long", "%.200s: path too long",
			       i->dir);
	return 0;
}

static void fill_spec(const struct vm *v, const struct image *i, const struct launch_paths *p,
		      struct vm_spec *s)
{
	s->id = v->rec.id;
	s->vm_dir = p->vm_dir;
	s->run_dir = p->run_dir;
	s->vcpus = v->rec.vcpus;
	s->ram_mib = v->rec.ram_mib;
	s->transport = v->rec.transport;
	s->kernel = p->kernel;
	s->initrd = i->has_initrd ? p->initrd : NULL;
	s->tap_fd = v->tap_fd;
	memcpy(s->mac, v->rec.lease.mac, sizeof(s->mac));
	s->cid = 0; /* vsock belongs to the agent, which is not built yet */
	s->uid = v->c->conf->uid_base + v->rec.lease.number;
	s->cgroup = v->rec.id;
	if (v->rec.root == VM_ROOT_OVERLAY)
		s->drives[s->drives_n++] =
			(struct vm_drive){.id = "root", .path = p->rootfs, .read_only = true};
	s->drives[s->drives_n++] = (struct vm_drive){
		.id = v->rec.root == VM_ROOT_OVERLAY ? "disk" : "root", .path = p->disk};
}

/* Everything up to the living process; its identity goes into next. */
static int launch(struct vm *v, struct vm_rec *next, char version[64], struct err *e)
{
	const struct engine_fact *f = host_engine(v->c, &v->rec, e);
	char cmdline[LIMIT_CMDLINE_LEN + 1];
	struct run *r = v->run;
	bool kvm;
	int rc;
	struct vm_spec spec = {.cmdline = cmdline};

	if (!f)
		return e->code;
	kvm = v->c->host.kvm.verdict == KVM_REAL && (f->can & ENGINE_KVM);
	rc = launch_cmdline(v, r->image, !kvm, cmdline, e);
	if (rc < 0 || (rc = launch_write_cmdline(v, cmdline, e)) < 0)
		return rc;
	auto_free struct launch_paths *p = mem_zalloc(sizeof(*p));
	if (!p)
		return err_nomem(e);
	rc = fill_paths(v, r->image, p, e);
	if (rc < 0)
		return rc;
	fill_spec(v, r->image, p, &spec);
	rc = launch_write_config(v, &spec, f, kvm, e);
	if (rc < 0)
		return rc;
	rc = console_watch_start(v);
	if (rc < 0)
		return err_set(e, rc, ERR_HOST, "console.watch", "can't watch the console: %s",
			       strerror(-rc));
	r->ops = f->ops;
	r->launched_ns = clock_mono_ns();
	memset(&next->proc, 0, sizeof(next->proc));
	rc = f->ops->launch(v->c->loop, &spec, kvm, &r->watch, &r->engine, &next->proc, e);
	if (rc < 0)
		return rc;
	console_watch_file(v); /* the console of the run before was moved aside by the launch */
	text_cut(next->engine_used, sizeof(next->engine_used), "%s", f->ops->name);
	text_cut(version, 64, "%s%s", f->version, kvm ? " with KVM" : "");
	next->starts++;
	return 0;
}

void run_launch(struct vm *v)
{
	struct vm_rec next = v->rec;
	struct cause cause = {0};
	struct err e = {0};
	char version[64] = "";
	int rc;

	run_free(v->run);
	v->run = run_new(v);
	rc = v->run ? 0 : err_nomem(&e);
	if (rc == 0) {
		v->run->image = take_ptr(v->image);
		rc = launch(v, &next, version, &e);
	}
	if (v->tap_fd >= 0) {
		(void)close(v->tap_fd); /* a copy of ours would keep the TAP and its carrier up */
		v->tap_fd = -1;
	}
	v->prepared = false; /* port and image belong to this run now */
	if (rc < 0) {
		cause_from_err(&cause, &e);
		vm_fail(v, &cause, "hearthd");
		return;
	}
	event_add(v->c, v, "engine", "hearthd",
		  "%s %s: shim pid %d, engine pid %d, launched in %llu us", next.engine_used,
		  version, next.proc.shim_pid, next.proc.engine_pid,
		  (unsigned long long)((clock_mono_ns() - v->run->launched_ns) / 1000));
	rc = vm_save(v, &next, &e);
	if (rc == 0)
		rc = proving_start(v, &e);
	if (rc < 0) { /* what can't be committed or observed does not run */
		cause_from_err(&cause, &e);
		run_stop(v, 0);
		vm_fail(v, &cause, "hearthd");
	}
}

void run_stop(struct vm *v, uint64_t grace_ms)
{
	if (!v->run || !v->run->engine)
		return;
	proving_stop(v->run);
	v->run->ops->stop(v->run->engine, grace_ms);
}

static void on_started(struct engine_watch *w)
{
	struct run *r = container_of(w, struct run, watch);
	struct vm *v = r->vm;

	vm_feed(v, EV_LAUNCHED, "engine", NULL);
	if (v->run == r && r->frames_seen)
		vm_feed(v, EV_FRAMES, "proof", NULL);
	if (v->run == r)
		proving_check_ready(v);
}

static void on_ended(struct engine_watch *w, const struct engine_end *end)
{
	struct run *r = container_of(w, struct run, watch);
	struct engine_end copy = *end;

	console_drain(r->vm); /* the last words decide */
	r->ops->forget(r->engine);
	r->engine = NULL;
	run_ended(r->vm, &copy);
}

static void on_event(struct engine_watch *w, const char *name, const char *text)
{
	struct run *r = container_of(w, struct run, watch);

	event_add(r->vm->c, r->vm, "engine", "engine", "%s: %s", name, text);
}

void engine_watch_init(struct run *r)
{
	r->watch.started = on_started;
	r->watch.ended = on_ended;
	r->watch.event = on_event;
}

/* An end that someone asked for, or the guest's own power-off once it was ready. */
static bool is_ordinary(const struct vm *v, const struct engine_end *end)
{
	switch (v->rec.state) {
	case VM_STOPPING:
	case VM_DELETING:
		return true;
	case VM_READY:
		return (end->how == EXIT_GUEST_POWEROFF || end->how == EXIT_GUEST_RESET) &&
		       !(v->run && v->run->con.scan &&
			 line_scan_fact(v->run->con.scan, FACT_PANIC));
	default:
		return false;
	}
}

void run_ended(struct vm *v, const struct engine_end *end)
{
	struct cause cause;

	v->end = *end;
	event_add(v->c, v, "engine", "engine", "ended, %s: %s", engine_exit_names[end->how],
		  end->text);
	if (is_ordinary(v, end)) {
		vm_feed(v, v->rec.cause[0] ? EV_DIED : EV_EXITED, "engine", NULL);
		return;
	}
	decide_cause(v, end, &cause);
	vm_feed(v, EV_DIED, "engine", &cause);
}
