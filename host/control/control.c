/*
 * The controller as a whole: comes up (store, networks, adoption, watches), goes away without
 * touching a VM.  Called by hearthd's main and by tests, on the loop's thread.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/control_internal.h"

/* fork to exec takes under 1 ms; on a machine that swaps, more */
#define LOCK_LASTS_NS (2 * NS_PER_S)

/* The lock of a hearthd that was just killed may be held a moment longer by a helper program that
 * it was starting: between fork and exec that has a copy of every descriptor. */
static int open_store(struct control *c, struct err *e)
{
	uint64_t due = clock_mono_ns() + LOCK_LASTS_NS;
	struct err said = {0};
	char path[PATH_CAP];
	int rc;

	if (!str_fmt(path, sizeof(path), "%s/hearth.db", c->conf->state_dir))
		return err_set(e, -ENAMETOOLONG, ERR_CALLER, "path.too-long", "state directory");
	while ((rc = store_open(path, &c->store, &said)) < 0 && str_eq(said.id, "store.in-use") &&
	       clock_mono_ns() < due)
		(void)poll(NULL, 0, 10); /* then look again: the lock is what we wait for */
	if (rc < 0 && e)
		*e = said;
	return rc;
}

int control_new(struct loop *l, const struct control_conf *conf, struct control **ret,
		struct err *e)
{
	struct control *c = mem_zalloc(sizeof(*c));
	int rc;

	if (!c)
		return err_nomem(e);
	c->loop = l;
	c->conf = conf;
	c->engines = conf->engines ? conf->engines : engines;
	c->inotify_fd = -1;
	if (conf->libexec_dir)
		engine_init(conf->libexec_dir);
	c->started_ns = clock_mono_ns();
	if ((rc = paths_init(c, e)) < 0 || (rc = open_store(c, e)) < 0 ||
	    (rc = console_watch_init(c, e)) < 0 || (rc = networks_open(c, e)) < 0 ||
	    (rc = adopt_all(c, e)) < 0 || (rc = evidence_load(c, e)) < 0 ||
	    (rc = host_measure(c, e)) < 0) {
		control_free(c);
		return rc;
	}
	events_flush(c);
	log_info("control.up", LU("vms", c->vms_n), LU("adopted", c->count.adopted),
		 LU("lost", c->lost_n), LU("took_us", (clock_mono_ns() - c->started_ns) / 1000));
	*ret = c;
	return 0;
}

static bool is_busy(const struct control *c)
{
	for (const struct vm *v = c->first; v; v = v->next)
		if (v->work)
			return true;
	return c->host_job != NULL;
}

/* Workers hold copies and a network: what they are at is waited for, what comes after it is left to
 * the next hearthd, which finds it in the store. */
void control_free(struct control *c)
{
	struct vm *next;

	if (!c)
		return;
	c->closing = true;
	while (is_busy(c) && loop_step(c->loop, -1, NULL) == 0)
		;
	if (c->store)
		events_done(c);
	image_jobs_done(c);
	for (struct vm *v = c->first; v; v = next) {
		next = v->next;
		waiters_gone(v);
		verify_gone(v);
		vm_forget(v);
	}
	evidence_done(c);
	networks_close(c);
	console_watch_done(c);
	host_done(c);
	store_close(c->store);
	free(c);
}

struct store *control_store(struct control *c)
{
	return c->store;
}
