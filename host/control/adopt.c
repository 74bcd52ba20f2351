/*
 * After a start of hearthd: every VM that an earlier one left is adopted, its half-done steps are
 * finished, and what belongs to no VM is taken away.
 *
 * Loop's thread, before the loop runs; blocks.  Nothing is guessed: a process is ours if pid, start
 * time and boot id match, a launch that was never committed is found by the lock in its directory,
 * a directory without a record is moved aside and reported, never deleted.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/control_internal.h"
#include "control/text.h"

static int on_record(void *ctx, struct vm_rec *r)
{
	struct control *c = ctx;
	struct vm *v = vm_new(c);

	if (!v) {
		vm_rec_done(r);
		return -ENOMEM;
	}
	v->rec = *r; /* taken with what it owns */
	v->netw = netw_find(c, v->rec.network);
	vm_index(v);
	return 0;
}

static void host_rebooted(struct engine_end *end)
{
	memset(end, 0, sizeof(*end));
	end->how = EXIT_UNKNOWN;
	end->status = -1;
	text_cut(end->text, sizeof(end->text), "the host was restarted since it was started");
}

/* A VM that runs needs nothing of its image any more; without it only the probes are unknown. */
static int adopt_image(struct vm *v, struct run *r, struct err *e)
{
	struct err why = {0};
	int rc = image_open(v->c->images_dir, v->rec.digest, &r->image, &why);

	if (rc == 0)
		return 0;
	r->image = rc == -ENOMEM ? NULL : mem_zalloc(sizeof(*r->image));
	if (!r->image)
		return err_nomem(e);
	log_warn("adopt.image", LS("vm", v->rec.id), LE(&why));
	event_add(v->c, v, "adopt", "hearthd",
		  "its image can't be read, its probes are left out: %s", why.text);
	return 0;
}

/* Not the VM's fault: whoever starts hearthd again finds it as it is. */
static bool is_want(int rc)
{
	return rc == -ENOMEM || rc == -EMFILE || rc == -ENFILE || rc == -ENOSPC;
}

/* 0: adopted; -ESRCH: gone, end says how; else trouble. */
static int adopt_process(struct vm *v, struct engine_end *end, struct err *e)
{
	char boot_id[CLOCK_BOOT_ID_LEN], vm_dir[PATH_CAP], run_dir[PATH_CAP];
	const struct engine_ops *ops = NULL;
	struct run *r;
	int rc;

	clock_boot_id(boot_id);
	if (!str_eq(boot_id, v->rec.proc.boot_id)) {
		host_rebooted(end);
		return -ESRCH;
	}
	for (unsigned i = 0; v->c->engines[i]; i++)
		if (str_eq(v->c->engines[i]->name, v->rec.engine_used))
			ops = v->c->engines[i];
	if (!ops || !vm_path(v, NULL, vm_dir) || !vm_run_path(v, run_dir))
		return err_set(e, -ENOENT, ERR_HOST, "engine.unknown",
			       "vm %s: this hearthd has no engine %s", v->rec.id,
			       v->rec.engine_used);
	v->run = r = run_new(v);
	if (!r)
		return err_nomem(e);
	r->ops = ops;
	r->launched_ns = clock_mono_ns();
	rc = adopt_image(v, r, e);
	if (rc < 0)
		return rc;
	r->replaying = true; /* read anew, because the scan's facts are not stored */
	rc = console_watch_start(v);
	if (rc < 0)
		return err_set(e, rc, ERR_HOST, "console.watch", "vm %s: can't watch its console",
			       v->rec.id);
	console_watch_file(v);
	console_drain(v);
	r->replaying = false;
	return ops->adopt(v->c->loop, vm_dir, run_dir, &v->rec.proc, &r->watch, &r->engine, end, e);
}

static void kill_leftover(const struct vm *v)
{
	char dir[PATH_CAP];
	struct err e = {0};

	if (vm_path(v, NULL, dir) && engine_kill_leftover(dir, &e) < 0)
		log_error("adopt.leftover", LS("vm", v->rec.id), LE(&e));
}

/* A launch whose identity was never committed, or nothing at all: kill what is there and go on by
 * the table. */
static void no_process(struct vm *v)
{
	struct engine_end end = {.how = EXIT_UNKNOWN, .status = -1};

	kill_leftover(v);
	if (state_rules[v->rec.state].on_restart == RESTART_ADOPT_OR_REDO) {
		event_add(v->c, v, "adopt", "hearthd", "the launch was interrupted: done again");
		vm_next(v);
		return;
	}
	if (v->rec.state == VM_DELETING || v->rec.state == VM_STOPPING) {
		vm_next(v);
		return;
	}
	text_cut(end.text, sizeof(end.text), "no process is recorded for it");
	run_ended(v, &end);
}

static void resume(struct vm *v)
{
	struct err e = {0};
	int rc;

	v->c->count.adopted++;
	event_add(v->c, v, "adopt", "hearthd", "adopted in state %s: engine pid %d",
		  lifecycle_state_name(v->rec.state), v->rec.proc.engine_pid);
	switch (v->rec.state) {
	case VM_STOPPING:
		run_stop(v, v->rec.cause[0] ? 0 : v->c->conf->grace_ms);
		break;
	case VM_DELETING:
		run_stop(v, 0);
		break;
	default:
		rc = v->netw ? proving_start(v, &e) : -ENETDOWN;
		if (rc < 0) /* not the VM's fault: it goes on running as it stands */
			event_add(v->c, v, "adopt", "hearthd", "can't prove its network: %s",
				  e.text);
		break;
	}
}

/* The engine of a VM in BOOTING and beyond must not be started twice: what can't be adopted is
 * killed first. */
static int adopt_running(struct vm *v, struct err *ret_e)
{
	struct engine_end end = {.how = EXIT_UNKNOWN, .status = -1};
	struct err e = {0};
	int rc;

	v->port_open = true;
	if (!v->rec.proc.shim_pid) {
		no_process(v);
		return 0;
	}
	rc = adopt_process(v, &end, &e);
	if (rc == 0) {
		resume(v);
		return 0;
	}
	if (is_want(rc)) {
		if (ret_e)
			*ret_e = e;
		return rc;
	}
	if (v->run)
		v->run->engine = NULL;
	kill_leftover(v); /* a shim without its engine, or an engine that we can't talk to */
	if (rc != -ESRCH)
		text_cut(end.text, sizeof(end.text), "could not be adopted: %s", e.text);
	console_drain(v);
	event_add(v->c, v, "adopt", "hearthd", "its engine is gone: %s", end.text);
	run_ended(v, &end);
	return 0;
}

static void remove_run_dir(struct control *c, const char *name)
{
	char path[PATH_CAP + 300];
	struct err e = {0};

	(void)snprintf(path, sizeof(path), "%s/%s", c->run_vms_dir, name);
	if (fd_remove_tree(path, &e) < 0) /* sockets only: nothing to keep */
		log_warn("adopt.run-dir", LE(&e));
}

static int adopt_one(struct vm *v, struct err *e)
{
	vm_limit_arm(v);
	switch (state_rules[v->rec.state].on_restart) {
	case RESTART_KEEP:
		/* net_reconcile took the pins of VMs that do not run; sockets of their last run may
		 * be left. */
		remove_run_dir(v->c, v->rec.id);
		break;
	case RESTART_REDO:
		kill_leftover(v);
		vm_next(v);
		break;
	case RESTART_ADOPT:
	case RESTART_ADOPT_OR_REDO:
		return adopt_running(v, e);
	}
	return 0;
}

/* Pins and TAPs of VMs that have a process stay; all others go. */
static void reconcile(struct control *c, struct netw *n)
{
	auto_free struct net_port *live = mem_calloc(c->vms_n + 1, sizeof(*live));
	struct err e = {0};
	uint32_t removed = 0;
	size_t k = 0;

	if (!n->net || !live)
		return;
	for (const struct vm *v = c->first; v; v = v->next)
		if (v->netw == n && v->rec.proc.shim_pid) {
			live[k].number = v->rec.lease.number;
			live[k].ip = v->rec.lease.ip;
			memcpy(live[k].mac, v->rec.lease.mac, sizeof(live[k].mac));
			k++;
		}
	if (net_reconcile(n->net, live, k, &removed, &e) < 0)
		log_error("adopt.network", LS("network", n->conf.name), LE(&e));
	else if (removed)
		log_warn("adopt.network", LS("network", n->conf.name), LU("removed", removed));
}

/* A VM's directory that no record knows: whatever runs from it is ended, its files are moved
 * aside. */
static void set_aside(struct control *c, const char *name)
{
	char from[PATH_CAP + 300], to[PATH_CAP + 330];
	struct err e = {0};

	(void)snprintf(from, sizeof(from), "%s/%s", c->vms_dir, name);
	(void)snprintf(to, sizeof(to), "%s/%s-%llu", c->lost_dir, name,
		       (unsigned long long)(clock_wall_us() / US_PER_S));
	if (engine_kill_leftover(from, &e) < 0)
		log_error("adopt.leftover", LS("path", from), LE(&e));
	if (rename(from, to) < 0) {
		log_error("adopt.lost", LS("path", from), LI("errno", errno));
		return;
	}
	c->lost_n++;
	log_warn("adopt.lost", LS("from", from), LS("to", to));
	event_add(c, NULL, "adopt", "hearthd", "%s has no record: moved to %.200s", name, to);
}

static int strays(struct control *c, const char *dir, void (*each)(struct control *, const char *),
		  struct err *e)
{
	DIR *d = opendir(dir);
	const struct dirent *de;

	if (!d)
		return err_sys(e, errno, "adopt.dir", "%s", dir);
	while ((de = readdir(d)))
		if (de->d_name[0] != '.' && !vm_by_id(c, de->d_name))
			each(c, de->d_name);
	(void)closedir(d); /* read-only */
	return 0;
}

int adopt_all(struct control *c, struct err *e)
{
	struct vm *next;
	int rc = store_vm_each(c->store, on_record, c, e);

	if (rc == -ENOMEM && (!e || !e->code))
		rc = err_nomem(e);
	if (rc == 0)
		rc = strays(c, c->vms_dir, set_aside, e);
	if (rc == 0)
		rc = strays(c, c->run_vms_dir, remove_run_dir, e);
	if (rc < 0)
		return rc;
	for (struct netw *n = c->networks; n; n = n->next)
		reconcile(c, n);
	for (struct vm *v = c->first; rc == 0 && v; v = next) {
		next = v->next;
		rc = adopt_one(v, e);
	}
	return rc;
}
