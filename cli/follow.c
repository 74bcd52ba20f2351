/*
 * Streams of events and the progress that people see.
 * Called by the verbs that wait or follow.  Trust: events hold text of guests; it is made harmless.
 */
#include "cli/follow.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/str.h"
#include "cli/text.h"
#include "json/json.h"

#define TICK_MS	  1000u
#define LAST_MS	  100u	 /* events and the answer that they lead to come by two connections */
#define MARGIN_MS 15000u /* hearthd's own time-out must be the first to end a held request */

int follow_begin(struct cli *c, const char *path, follow_fn *fn, void *ctx, struct follow *ret,
		 struct err *e)
{
	*ret = (struct follow){.cli = c, .fn = fn, .ctx = ctx};
	return http_begin(&c->http,
			  &(struct http_ask){.method = "GET",
					     .path = path,
					     .accept = "text/event-stream",
					     .silence_ms = FOLLOW_SILENCE_MS},
			  &ret->call, e);
}

static int on_event(void *ctx, const char *kind, const char *id, const char *data, size_t len)
{
	struct follow *f = ctx;
	auto_json json_t *event = NULL;

	(void)kind; /* both stand in the data too */
	(void)id;
	if (json_parse(data, len, &event, NULL) || !json_is_object(event))
		return -EPROTO;
	return f->fn(f->ctx, event, data, len);
}

int follow_take(struct follow *f, struct err *e)
{
	long status = 0;
	int rc;

	(void)curl_easy_getinfo(f->call.easy, CURLINFO_RESPONSE_CODE, &status); /* 0: none yet */
	if (status && status != 200)
		return 0; /* the answer is an error; whoever ends the call reads it */
	rc = sse_feed(&f->sse, buf_text(&f->call.in), f->call.in.len, on_event, f);
	buf_reset(&f->call.in);
	if (rc == -EPROTO || rc == -E2BIG)
		return err_set(e, rc, ERR_HOST, "hearthd.not-events",
			       "the stream of events holds something that is no event");
	return rc == -ENOMEM ? err_nomem(e) : rc;
}

void follow_end(struct follow *f)
{
	http_end(&f->call);
	sse_done(&f->sse);
}

/* --- progress --- */

void progress_init(struct progress *p, struct cli *c, bool off, uint64_t hold_ms)
{
	uint64_t now = clock_mono_ns();

	*p = (struct progress){.cli = c,
			       .off = off || c->json,
			       .begin_ns = now,
			       .hold_ns = now + hold_ms * NS_PER_MS};
}

static void untick(struct progress *p)
{
	if (p->ticking)
		(void)fd_write_all(STDERR_FILENO, "\r\x1b[K", 4); /* only progress */
	p->ticking = false;
}

static void show_held(struct progress *p)
{
	if (!p->held.len || clock_mono_ns() < p->hold_ns)
		return;
	untick(p);
	p->tick_ns = clock_mono_ns() + NS_PER_S; /* the line says it for now */
	(void)fd_write_all(STDERR_FILENO, buf_text(&p->held), p->held.len); /* only progress */
	buf_reset(&p->held);
}

void progress_line(struct progress *p, uint64_t ms, const char *what, const char *text)
{
	const struct style *s = &p->cli->err;
	enum tint tint = state_tint(what);
	auto_free char *clean_what = text_clean(what), *clean = text_clean(text);
	char time[TIME_TEXT];

	if (p->off || !clean_what || !clean)
		return;
	if (tint == TINT_DOUBT || tint == TINT_DIM)
		tint = TINT_HEAD;
	(void)buf_printf(&p->held, "%12s  %s%-11s%s %s\n", text_ms(ms, time), tint_on(s, tint),
			 clean_what, tint_off(s, tint), clean);
	show_held(p);
}

int progress_event(void *ctx, const json_t *event, const char *text, size_t len)
{
	struct progress *p = ctx;
	uint64_t at = (uint64_t)js_int(event, "monoUs");
	const char *what = js_text(event, "to");

	(void)text;
	(void)len;
	if (!p->first_us)
		p->first_us = at;
	if (!str_eq(js_text(event, "kind"), "state"))
		what = js_text(event, "kind");
	else
		(void)snprintf(p->what, sizeof(p->what), "%s", what); /* no state is longer */
	/* After a reboot of the host the clock begins anew. */
	progress_line(p, at > p->first_us ? (at - p->first_us) / 1000 : 0, what,
		      js_text(event, "text"));
	return 0;
}

void progress_tick(struct progress *p)
{
	char time[TIME_TEXT], line[96];
	uint64_t now = clock_mono_ns();

	show_held(p);
	if (p->off || !p->cli->err_is_terminal || now < p->hold_ns || now < p->tick_ns || !*p->what)
		return;
	p->tick_ns = now + NS_PER_S;
	(void)snprintf(line, sizeof(line), "\r%12s  %.31s ...\x1b[K",
		       text_ms((now - p->begin_ns) / NS_PER_S * 1000, time), p->what); /* fits */
	(void)fd_write_all(STDERR_FILENO, line, strlen(line)); /* only progress */
	p->ticking = true;
}

void progress_done(struct progress *p)
{
	untick(p);
	buf_done(&p->held);
}

/* --- held requests --- */

int newest_event(struct cli *c, const char *vm, uint64_t *ret_seq, struct err *e)
{
	auto_buf path = {0};
	auto_answer a = {0};
	json_t *events;
	size_t n;
	int rc = api_path(&path, "vms", vm, "/events?limit=10000", e);

	if (!rc)
		rc = api_get(c, buf_text(&path), &a, e);
	if (rc)
		return rc;
	events = js_get(a.json, "events");
	n = json_array_size(events);
	*ret_seq = n ? (uint64_t)js_int(json_array_get(events, n - 1), "seq") : 0;
	return 0;
}

static int events_path(struct buf *path, const char *vm, uint64_t after, struct err *e)
{
	char rest[48];

	(void)snprintf(rest, sizeof(rest), "/events?after=%llu",
		       (unsigned long long)after); /* fits */
	return api_path(path, "vms", vm, rest, e);
}

int ask_with_progress(struct cli *c, const struct http_ask *ask, const char *vm, uint64_t after,
		      struct progress *p, struct answer *ret, struct err *e)
{
	struct http_ask held = *ask;
	auto_buf path = {0};
	auto_call call = {0};
	auto_follow events = {0};
	int rc = events_path(&path, vm, after, e);

	held.timeout_ms += MARGIN_MS;
	if (!rc)
		rc = http_begin(&c->http, &held, &call, e);
	/* Without memory for the stream there is no progress, but still an answer. */
	if (!rc && !p->off && follow_begin(c, buf_text(&path), progress_event, p, &events, NULL))
		p->off = true;
	while (!rc && !call.ended) {
		rc = http_wait(&c->http, TICK_MS, e);
		if (!rc && !p->off && follow_take(&events, NULL))
			p->off = true; /* an odd stream: the answer is what counts */
		progress_tick(p);
	}
	if (!rc && !p->off && !events.call.ended && !http_wait(&c->http, LAST_MS, NULL))
		(void)follow_take(&events, NULL); /* as above */
	progress_done(p);
	if (!rc)
		rc = api_result(c, &call, ret, e);
	if (rc && e && e->kind == ERR_HOST && !c->error) /* hearthd itself is gone */
		return err_remedy(e, "VMs go on; when hearthd runs again: hearth vm show %.64s",
				  *vm ? vm : "ID");
	return rc;
}
