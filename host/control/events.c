/*
 * Events: rows of a VM's history, queued until the next transaction, for FLUSH_NS at
 * most, and handed to live subscribers once they are durable.
 *
 * Called on the loop's thread by everything in this folder.  Queueing saves an fsync for each of
 * the dozen phases of a boot; a state move writes the queue in its own transaction, so that
 * the order of the rows is the order of what happened.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "control/control_internal.h"
#include "control/text.h"
#include "json/json.h"

/* An fsync beside a busy guest takes 5 to 20 ms (measured 2026-11-23): the observations that end in
 * one answer, such as the last steps of a proof, must not each wait for one. */
#define FLUSH_NS (5 * NS_PER_MS)

static void flush_due(struct timer *t)
{
	events_flush(container_of(t, struct control, flush));
}

static void flush_in(struct control *c, uint64_t delay_ns)
{
	c->flush.fire = flush_due;
	(void)loop_timer_in(c->loop, &c->flush, delay_ns); /* else the next event tries */
}

static struct vm_event *slot(struct control *c)
{
	if (c->queue_n == EVENT_QUEUE_MAX)
		events_flush(c);
	if (c->queue_n == EVENT_QUEUE_MAX) {
		/* The store takes nothing now: the newest of the queue is the least important to
		 * keep, because what led to this moment came before it. */
		c->queue_n--;
		c->events_dropped++;
	}
	if (!c->flush.heap_pos)
		flush_in(c, FLUSH_NS);
	memset(&c->queue[c->queue_n], 0, sizeof(c->queue[0]));
	return &c->queue[c->queue_n++];
}

static struct vm_event *begin(struct control *c, const struct vm *v, const char *kind,
			      const char *actor)
{
	struct vm_event *ev = slot(c);

	if (v)
		memcpy(ev->vm, v->rec.id, sizeof(ev->vm));
	ev->wall_us = clock_wall_us();
	ev->mono_us = clock_boot_ns() / 1000;
	text_cut(ev->kind, sizeof(ev->kind), "%s", kind);
	text_cut(ev->actor, sizeof(ev->actor), "%s", actor);
	return ev;
}

void event_add(struct control *c, const struct vm *v, const char *kind, const char *actor,
	       const char *fmt, ...)
{
	struct vm_event *ev = begin(c, v, kind, actor);
	va_list ap;

	va_start(ap, fmt);
	text_vcut(ev->text, sizeof(ev->text), fmt, ap);
	va_end(ap);
}

void event_add_state(struct control *c, const struct vm *v, enum vm_state from, enum vm_state to,
		     const char *actor, const char *text)
{
	struct vm_event *ev = begin(c, v, "state", actor);

	if (from < VM_STATE_N_)
		text_cut(ev->from, sizeof(ev->from), "%s", lifecycle_state_name(from));
	text_cut(ev->to, sizeof(ev->to), "%s", lifecycle_state_name(to));
	text_cut(ev->text, sizeof(ev->text), "%s", text);
}

void events_unqueue(struct control *c, unsigned keep_n)
{
	if (c->queue_n > keep_n)
		c->queue_n = keep_n;
}

int events_write(struct control *c, struct err *e)
{
	for (unsigned i = 0; i < c->queue_n; i++) {
		int rc = store_event_append(c->store, &c->queue[i], e);

		if (rc < 0)
			return rc;
	}
	return 0;
}

/* A subscriber may unsubscribe itself or any other from its callback: sub_next is kept right. */
static void tell(struct control *c, const struct vm_event *ev)
{
	for (struct event_sub *s = c->subs; s; s = c->sub_next) {
		c->sub_next = s->next;
		s->fn(s, ev);
	}
	c->sub_next = NULL;
}

void events_publish(struct control *c)
{
	struct vm_event now[EVENT_QUEUE_MAX];
	unsigned n = c->queue_n;

	c->store_failing = false; /* what was queued has just been committed */
	/* The queue is free before anyone is told, because a subscriber may cause new events. */
	memcpy(now, c->queue, n * sizeof(now[0]));
	c->queue_n = 0;
	for (unsigned i = 0; i < n; i++) {
		struct vm *v = now[i].vm[0] ? vm_by_id(c, now[i].vm) : NULL;

		if (v)
			trail_add(v, &now[i]);
		tell(c, &now[i]);
	}
}

void events_flush(struct control *c)
{
	struct err e = {0};

	if (!c->queue_n)
		return;
	if (store_begin(c->store, &e) < 0)
		goto again;
	if (events_write(c, &e) < 0 || store_commit(c->store, &e) < 0) {
		store_rollback(c->store);
		goto again;
	}
	events_publish(c);
	return;
again:
	if (!c->store_failing) /* say it once, not at every event */
		log_error("events.not-stored", LE(&e), LU("queued", c->queue_n));
	c->store_failing = true;
	c->count.store_faults++;
	flush_in(c, STORE_RETRY_NS);
}

void events_done(struct control *c)
{
	events_flush(c);
	loop_timer_stop(c->loop, &c->flush);
}

void control_subscribe(struct control *c, struct event_sub *s)
{
	s->next = c->subs;
	s->prevp = &c->subs;
	if (c->subs)
		c->subs->prevp = &s->next;
	c->subs = s;
}

void control_unsubscribe(struct control *c, struct event_sub *s)
{
	if (!s->prevp)
		return;
	if (c->sub_next == s)
		c->sub_next = s->next;
	*s->prevp = s->next;
	if (s->next)
		s->next->prevp = s->prevp;
	s->next = NULL;
	s->prevp = NULL;
}

json_t *event_json(const struct vm_event *ev)
{
	char at[CLOCK_TEXT_LEN];
	json_t *o = json_object();

	clock_text(ev->wall_us, at);
	if (json_put(o, "seq", json_integer((json_int_t)ev->seq)) < 0 ||
	    (ev->vm[0] && json_put(o, "vm", json_string(ev->vm)) < 0) ||
	    json_put(o, "at", json_string(at)) < 0 ||
	    json_put(o, "monoUs", json_integer((json_int_t)ev->mono_us)) < 0 ||
	    json_put(o, "kind", json_string(ev->kind)) < 0 ||
	    (ev->from[0] && json_put(o, "from", json_string(ev->from)) < 0) ||
	    (ev->to[0] && json_put(o, "to", json_string(ev->to)) < 0) ||
	    json_put(o, "actor", json_string(ev->actor)) < 0 ||
	    json_put(o, "text", json_string(ev->text)) < 0) {
		json_decref(o);
		return NULL;
	}
	return o;
}

bool control_event_visible(struct control *c, const struct actor *a, const struct vm_event *ev)
{
	const struct vm *v;
	const struct grave *g;

	if (a->role == ROLE_ADMIN)
		return true;
	if (!ev->vm[0])
		return str_eq(ev->kind, "image"); /* of the host: only what any user may list */
	v = vm_by_id(c, ev->vm);
	if (v)
		return str_eq(v->rec.user_id, a->user_id);
	g = grave_find(c, ev->vm);
	return g && str_eq(g->user_id, a->user_id);
}
