/*
 * Moves a VM along the life-cycle table: commit first, change memory after, then do what the new
 * state demands.
 *
 * Called on the loop's thread by every file of this folder.  vm_next is level-triggered: it
 * compares what the state may hold with what is held, so that a restart of hearthd continues by
 * calling it.
 */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "control/control_internal.h"
#include "control/text.h"

void vm_changed(struct vm *v)
{
	free(v->json);
	v->json = NULL;
}

/* Write the queued events and the record in one transaction. */
static int commit(struct vm *v, const struct vm_rec *next, bool gone, struct err *e)
{
	struct store *s = v->c->store;
	int rc = store_begin(s, e);

	if (rc < 0)
		return rc;
	rc = events_write(v->c, e);
	if (rc == 0 && gone)
		rc = store_lease_free(s, v->rec.id, e);
	if (rc == 0)
		rc = gone ? store_vm_delete(s, v->rec.id, e) : store_vm_update(s, next, e);
	if (rc == 0)
		rc = store_commit(s, e);
	if (rc < 0) {
		store_rollback(s);
		v->c->count.store_faults++;
	}
	return rc;
}

int vm_save(struct vm *v, const struct vm_rec *next, struct err *e)
{
	int rc = commit(v, next, false, e);

	if (rc < 0)
		return rc;
	v->rec = *next;
	vm_changed(v);
	events_publish(v->c);
	return 0;
}

static int wrong_state(const struct vm *v, enum vm_ev ev, struct err *e)
{
	char possible[64];

	lifecycle_possible(v->rec.state, possible, sizeof(possible));
	return err_set(e, -EBUSY, ERR_STATE, "vm.wrong-state",
		       "vm %s is %s, so it can't %s; possible: %s", v->rec.id,
		       lifecycle_state_name(v->rec.state), vm_ev_names[ev], possible);
}

static void record_cause(struct vm *v, struct vm_rec *next, const struct cause *cause)
{
	text_cut(next->cause, sizeof(next->cause), "%s", cause->code);
	text_cut(next->cause_text, sizeof(next->cause_text), "%s", cause->text);
	text_cut(next->remedy, sizeof(next->remedy), "%s", cause->remedy);
	event_add(v->c, v, "cause", "hearthd", "%s: %s", cause->code, cause->text);
	for (unsigned i = 0; i < cause->evidence_n; i++)
		event_add(v->c, v, "evidence", "hearthd", "%s", cause->evidence[i]);
}

static void keep_evidence(struct vm *v, const struct cause *cause)
{
	(void)json_array_clear(v->evidence);
	for (unsigned i = 0; i < cause->evidence_n; i++)
		(void)json_array_append_new(v->evidence, json_string(cause->evidence[i]));
	cause_counted(v->c, cause->code);
}

void cause_counted(struct control *c, const char *code)
{
	unsigned i = 0;

	while (i + 1 < CAUSE_COUNTERS && c->count.causes[i].n &&
	       !str_eq(c->count.causes[i].code, code))
		i++;
	text_cut(c->count.causes[i].code, sizeof(c->count.causes[i].code), "%s",
		 i + 1 < CAUSE_COUNTERS ? code : "other");
	c->count.causes[i].n++;
}

/* What a state demands on being entered; the rest is vm_next's. */
static void entered(struct vm *v, enum vm_state from, enum vm_ev ev)
{
	enum vm_state now = v->rec.state;

	if (ev == EV_START) {
		v->prepared = v->proven = false;
		memset(v->proof, 0, sizeof(v->proof));
		(void)json_array_clear(v->evidence);
	}
	if (!(state_rules[now].holds & HOLD_PROC) && from != now) {
		run_free(v->run);
		v->run = NULL;
		v->proven = false;
		if (v->tap_fd >= 0 && !(state_rules[now].holds & HOLD_PORT)) {
			(void)close(v->tap_fd); /* ours alone: the TAP goes with it */
			v->tap_fd = -1;
		}
	}
	if (now == VM_FAILED)
		v->c->count.failed++;
	if (now == VM_STOPPING || now == VM_DELETING)
		run_stop(v, ev == EV_STOP && from != now ? v->c->conf->grace_ms : 0);
}

static void finish_gone(struct vm *v)
{
	struct control *c = v->c;

	c->count.deleted++;
	c->count.moves[VM_GONE]++;
	evidence_add(c, v);
	events_publish(c);
	waiters_gone(v);
	verify_gone(v);
	log_info("vm.gone", LS("vm", v->rec.id));
	vm_forget(v);
}

/* A move to the state it is in changes nothing that is stored. */
static bool is_repeat(const struct vm *v, const struct move_rule *m, const struct cause *cause)
{
	return m->to == v->rec.state && !cause;
}

int vm_move(struct vm *v, enum vm_ev ev, const char *actor, const struct cause *cause,
	    const char *why, struct err *e)
{
	const struct move_rule *m = lifecycle_move(v->rec.state, ev);
	enum vm_state from = v->rec.state;
	struct vm_rec next = v->rec; /* shares the labels */
	unsigned queued;
	int rc;

	if (!m)
		return wrong_state(v, ev, e);
	if (cause && next.cause[0] && ev != EV_START)
		cause = NULL; /* the first failure is the one that counts */
	if (is_repeat(v, m, cause)) {
		entered(v, from, ev);
		vm_limit_arm(v);
		vm_next(v);
		return 0;
	}
	events_flush(v->c); /* room, and a mark to go back to when this is refused */
	queued = v->c->queue_n;
	if (ev == EV_START)
		next.cause[0] = next.cause_text[0] = next.remedy[0] = 0;
	if (cause)
		record_cause(v, &next, cause);
	event_add_state(v->c, v, from, m->to, actor, why ? why : m->why);
	next.state = m->to;
	next.changed_us = clock_wall_us();
	next.want_delete |= ev == EV_DELETE;
	if (m->to == VM_GONE || !(state_rules[m->to].holds & HOLD_PROC))
		memset(&next.proc, 0, sizeof(next.proc));
	rc = commit(v, &next, m->to == VM_GONE, e);
	if (rc < 0) {
		events_unqueue(v->c, queued);
		return rc;
	}
	if (m->to == VM_GONE) {
		finish_gone(v);
		return 0;
	}
	v->rec = next;
	if (cause)
		keep_evidence(v, cause);
	v->c->count.moves[m->to]++;
	vm_changed(v);
	entered(v, from, ev);
	vm_limit_arm(v);
	log_info("vm.state", LS("vm", v->rec.id), LS("from", lifecycle_state_name(from)),
		 LS("to", lifecycle_state_name(m->to)), LS("by", actor),
		 LS("cause", next.cause[0] ? next.cause : NULL));
	events_publish(v->c);
	waiters_check(v);
	vm_next(v);
	return 0;
}

static void try_again(struct timer *t)
{
	struct vm *v = container_of(t, struct vm, again);
	int ev = v->pending_ev;
	struct cause cause = v->pending_cause;

	v->pending_ev = -1;
	if (ev >= 0)
		vm_feed(v, (enum vm_ev)ev, v->pending_actor, cause.code[0] ? &cause : NULL);
	else
		vm_next(v);
}

void vm_feed(struct vm *v, enum vm_ev ev, const char *actor, const struct cause *cause)
{
	struct control *c = v->c;
	struct err e = {0};
	char id[ID_LEN];

	if (!lifecycle_move(v->rec.state, ev))
		return; /* it came too late: the state has moved on */
	memcpy(id, v->rec.id, sizeof(id));
	if (vm_move(v, ev, actor, cause, NULL, &e) == 0)
		return; /* v may be gone */
	log_error("vm.move-not-stored", LS("vm", id), LS("event", vm_ev_names[ev]), LE(&e));
	/* A process that has ended outweighs whatever else waits. */
	if (v->pending_ev != EV_EXITED && v->pending_ev != EV_DIED) {
		v->pending_ev = (int)ev;
		memset(&v->pending_cause, 0, sizeof(v->pending_cause));
		if (cause)
			v->pending_cause = *cause;
		text_cut(v->pending_actor, sizeof(v->pending_actor), "%s", actor);
	}
	v->again.fire = try_again;
	if (loop_timer_in(c->loop, &v->again, STORE_RETRY_NS) < 0)
		log_error("vm.no-timer", LS("vm", id));
}

static void limit_over(struct timer *t)
{
	struct vm *v = container_of(t, struct vm, limit);
	enum vm_state s = v->rec.state;
	char actor[48];
	struct cause cause;

	text_cut(actor, sizeof(actor), "rule:%s-limit", lifecycle_state_name(s));
	if (s == VM_STOPPING || s == VM_DELETING) {
		log_warn("vm.limit", LS("vm", v->rec.id), LS("state", lifecycle_state_name(s)));
		vm_feed(v, state_rules[s].on_limit, actor, NULL);
		return;
	}
	if (v->run)
		console_drain(v);
	if (v->rec.state != s)
		return; /* the last lines decided it */
	decide_cause(v, NULL, &cause);
	vm_feed(v, state_rules[s].on_limit, actor, &cause);
}

uint64_t vm_limit_ms(const struct vm *v)
{
	enum vm_state s = v->rec.state;
	uint64_t ms = v->c->conf->limit_ms[s] ? v->c->conf->limit_ms[s] : state_rules[s].limit_ms;

	/* the limit is for the reaping, after the grace time */
	return s == VM_STOPPING ? ms + v->c->conf->grace_ms : ms;
}

void vm_limit_arm(struct vm *v)
{
	uint64_t ms = vm_limit_ms(v);

	loop_timer_stop(v->c->loop, &v->limit);
	v->limit.fire = limit_over;
	if (ms && loop_timer_in(v->c->loop, &v->limit, ms * NS_PER_MS) < 0)
		log_error("vm.no-timer", LS("vm", v->rec.id));
}

void vm_fail(struct vm *v, const struct cause *why, const char *actor)
{
	vm_feed(v, EV_FAILED, actor, why);
}

static void next_job(struct vm *v, enum vm_job what)
{
	struct cause cause = {0};
	int rc = work_start(v, what);

	if (rc == 0)
		return;
	log_error("vm.no-worker", LS("vm", v->rec.id), LI("rc", rc));
	if (what == JOB_PREPARE) {
		cause_set(&cause, "HOST_NO_MEMORY",
			  "hearthd could not start the job that prepares the VM");
		vm_feed(v, EV_FAILED, "hearthd", &cause);
		return;
	}
	v->again.fire = try_again;
	/* the state's limit tries again, too */
	(void)loop_timer_in(v->c->loop, &v->again, STORE_RETRY_NS);
}

void vm_next(struct vm *v)
{
	bool runs = v->run && v->run->engine;

	if (v->work || v->pending_ev >= 0 || v->c->closing)
		return; /* one thing at a time */
	switch (v->rec.state) {
	case VM_CREATING:
		if (v->prepared)
			vm_feed(v, EV_PREPARED, "hearthd", NULL);
		else
			next_job(v, JOB_PREPARE);
		break;
	case VM_STARTING:
		if (runs)
			break;
		if (!v->prepared)
			next_job(v, JOB_PREPARE);
		else if (v->c->host.done) /* which engine is a matter of measuring */
			run_launch(v);
		break;
	case VM_STOPPING:
		if (!runs)
			vm_feed(v, v->rec.cause[0] ? EV_DIED : EV_EXITED, "hearthd", NULL);
		break;
	case VM_STOPPED:
	case VM_FAILED:
		if (v->port_open)
			next_job(v, JOB_PORT_CLOSE);
		break;
	case VM_DELETING:
		if (!runs)
			next_job(v, JOB_RELEASE);
		break;
	case VM_BOOTING:
	case VM_CONNECTING:
	case VM_READY:
	case VM_STATE_N_:
		break;
	}
}
