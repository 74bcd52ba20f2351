/*
 * The trail of a VM's present run: its states, phases, proof steps and probes with their times, so
 * that `hearth vm show` tells where the time went.
 *
 * Built from events as they become durable; after a restart of hearthd read back from the store
 * when someone asks.  Loop's thread.
 */
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/parse.h"
#include "control/control_internal.h"
#include "control/text.h"
#include "json/json.h"

static const char *const kinds[] = {"state", "phase", "proof", "probe"};

void trail_reset(struct vm *v)
{
	for (unsigned i = 0; i < v->trail_n; i++)
		free(v->trail[i].text);
	v->trail_n = 0;
}

/* The first word of an event's text is what happened: "modules ok n=7 ms=12". */
static void first_word(const char *text, char *dst, size_t cap)
{
	text_cut(dst, cap, "%.*s", (int)strcspn(text, " :"), text);
}

static int64_t stated_ms(const char *text)
{
	const char *p = strstr(text, " ms=");
	char digits[16];
	uint64_t ms;

	if (!p)
		return -1;
	text_cut(digits, sizeof(digits), "%.*s", (int)strspn(p + 4, "0123456789"), p + 4);
	return parse_u64(digits, 0, 1u << 30, &ms) == 0 ? (int64_t)ms : -1;
}

/* A run begins with creating, or with the starting that a person asked for. */
static bool begins_run(const struct vm_event *ev)
{
	return str_eq(ev->to, "creating") ||
	       (str_eq(ev->to, "starting") && !str_eq(ev->from, "creating"));
}

static void add(struct vm *v, const struct vm_event *ev)
{
	struct trail *t, *more;
	bool is_state = str_eq(ev->kind, "state");

	if (str_index(kinds, ARRAY_LEN(kinds), ev->kind) < 0)
		return;
	if (is_state && begins_run(ev))
		trail_reset(v);
	if (v->trail_n >= VM_TRAIL_MAX)
		return;
	more = mem_realloc(v->trail, (v->trail_n + 1) * sizeof(*more));
	if (!more)
		return; /* the event itself is stored; only this view lacks it */
	v->trail = more;
	t = &v->trail[v->trail_n++];
	memset(t, 0, sizeof(*t));
	text_cut(t->kind, sizeof(t->kind), "%s", ev->kind);
	t->mono_us = ev->mono_us;
	t->wall_us = ev->wall_us;
	t->ms = is_state ? -1 : stated_ms(ev->text);
	t->text = mem_strdup(ev->text);
	if (is_state)
		text_cut(t->name, sizeof(t->name), "%s", ev->to);
	else
		first_word(ev->text, t->name, sizeof(t->name));
}

void trail_add(struct vm *v, const struct vm_event *ev)
{
	if (!v->trail_loaded && !str_eq(ev->to, "creating"))
		trail_load(v);
	else {
		v->trail_loaded = true;
		add(v, ev);
	}
	vm_changed(v);
}

/* The evidence of the last failure are the rows of kind "evidence" since its last start. */
static int on_event(void *ctx, const struct vm_event *ev)
{
	struct vm *v = ctx;

	add(v, ev);
	if (str_eq(ev->kind, "state") && begins_run(ev))
		(void)json_array_clear(v->evidence);
	if (str_eq(ev->kind, "evidence"))
		/* else a line is missing */
		(void)json_array_append_new(v->evidence, json_string(ev->text));
	return 0;
}

void trail_load(struct vm *v)
{
	if (v->trail_loaded)
		return;
	v->trail_loaded = true;
	trail_reset(v);
	/* A store that can't be read leaves the trail empty; whoever needs the rows hears it from
	 * events. */
	(void)store_event_each(v->c->store, v->rec.id, 0, UINT32_MAX, on_event, v, NULL);
}

bool trail_has(struct vm *v, const char *kind, const char *text)
{
	char name[sizeof(v->trail[0].name)];

	trail_load(v);
	first_word(text, name, sizeof(name));
	for (unsigned i = 0; i < v->trail_n; i++)
		if (str_eq(v->trail[i].kind, kind) && str_eq(v->trail[i].name, name))
			return true;
	return false;
}

static json_t *one(const struct vm *v, unsigned i)
{
	const struct trail *t = &v->trail[i];
	json_t *o = json_object(), *ms = NULL;
	char at[CLOCK_TEXT_LEN];

	if (t->ms >= 0)
		ms = json_integer(t->ms);
	else if (str_eq(t->kind, "state"))
		for (unsigned k = i + 1; k < v->trail_n && !ms; k++)
			if (str_eq(v->trail[k].kind, "state") && v->trail[k].mono_us >= t->mono_us)
				ms = json_real((double)(v->trail[k].mono_us - t->mono_us) / 1000.0);
	clock_text(t->wall_us, at);
	if (json_put(o, "name", json_string(t->name)) < 0 ||
	    json_put(o, "kind", json_string(t->kind)) < 0 ||
	    json_put(o, "at", json_string(at)) < 0 ||
	    json_put(o, "offsetMs",
		     json_real((double)(int64_t)(t->mono_us - v->trail[0].mono_us) / 1000.0)) < 0 ||
	    json_put(o, "ms", ms ? ms : json_null()) < 0 ||
	    json_put(o, "text", json_string(t->text ? t->text : "")) < 0) {
		json_decref(o);
		return NULL;
	}
	return o;
}

json_t *trail_json(struct vm *v)
{
	json_t *all = json_array();

	trail_load(v);
	for (unsigned i = 0; all && i < v->trail_n; i++)
		if (json_push(all, one(v, i)) < 0) {
			json_decref(all);
			return NULL;
		}
	return all;
}
