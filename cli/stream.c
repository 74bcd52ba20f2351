/*
 * Verbs that print what a VM wrote and what happened to it, as it stands or as it comes.
 * Called by main.c by way of the table of verbs.  Trust: consoles are the guest's bytes.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/follow.h"
#include "cli/text.h"
#include "cli/verbs.h"
#include "json/json.h"

#define ROUND_MS     1000u
#define CONSOLE_TAIL "4096"
#define EVENTS_PAGE  10000u /* the most that hearthd gives at once */

/* --- console --- */

/* On to standard output: as it is, or harmless where a terminal would obey it. */
static int pass_on(struct neutral *n, bool raw, struct buf *in, struct err *e)
{
	auto_buf clean = {0};
	int rc;

	if (raw) {
		rc = out_write(buf_text(in), in->len, e);
	} else {
		rc = neutral_feed(n, in->data, in->len, &clean) ? err_nomem(e) : out_buf(&clean, e);
	}
	buf_reset(in);
	return rc;
}

static int console(struct cli *c, const char *path, bool follow, bool raw, struct err *e)
{
	struct neutral n = {.colours = c->out.colours};
	struct http_ask ask = {
		.method = "GET", .path = path, .timeout_ms = follow ? 0 : HTTP_ANSWER_MS};
	auto_answer failure = {0};
	auto_buf rest = {0};
	auto_call call = {0};
	long status = 0;
	int rc = http_begin(&c->http, &ask, &call, e);

	raw = raw || !isatty(STDOUT_FILENO);
	while (!rc && !call.ended) {
		rc = http_wait(&c->http, ROUND_MS, e);
		(void)curl_easy_getinfo(call.easy, CURLINFO_RESPONSE_CODE,
					&status); /* 0: none yet */
		if (!rc && status == 200 && call.in.len)
			rc = pass_on(&n, raw, &call.in, e);
	}
	if (rc)
		return rc;
	if (status && status != 200) {
		rc = api_result(c, &call, &failure, e);
		return rc ? rc
			  : err_set(e, -EPROTO, ERR_HOST, "hearthd.not-console",
				    "HTTP %ld is no console", status);
	}
	if (!raw && !neutral_end(&n, &rest))
		rc = out_buf(&rest, e);
	return rc ? rc : http_result(&call, e);
}

int verb_vm_logs(struct cli *c, const struct args *a, struct err *e)
{
	bool follow = args_flag(a, "follow");
	auto_buf path = {0};
	int rc = api_path(&path, "vms", a->words[0], follow ? "/console?follow=1" : "/console", e);

	if (!rc)
		rc = args_query(a, &path, e);
	return rc ? rc : console(c, buf_text(&path), follow, args_flag(a, "raw"), e);
}

int verb_vm_console(struct cli *c, const struct args *a, struct err *e)
{
	const char *tail = args_text(a, "tail");
	auto_buf path = {0};
	int rc = api_path(&path, "vms", a->words[0], "/console?follow=1", e);

	if (!rc && url_param(&path, "tail", tail ? tail : CONSOLE_TAIL))
		rc = err_nomem(e);
	return rc ? rc : console(c, buf_text(&path), true, args_flag(a, "raw"), e);
}

/* --- events --- */

struct printer {
	struct cli *cli;
	bool with_vm; /* of all VMs: say which */
	struct err *e;
};

static const char *event_what(const json_t *ev)
{
	return str_eq(js_text(ev, "kind"), "state") ? js_text(ev, "to") : js_text(ev, "kind");
}

/* One line, as it comes: columns of fixed width. */
static int print_event(void *ctx, const json_t *ev, const char *text, size_t len)
{
	struct printer *p = ctx;
	const struct style *s = &p->cli->out;
	bool state = str_eq(js_text(ev, "kind"), "state");
	enum tint tint = state ? state_tint(js_text(ev, "to")) : TINT_NONE;
	auto_free char *at = text_clean(js_text(ev, "at")), *vm = text_clean(js_text(ev, "vm")),
		       *what = text_clean(event_what(ev)),
		       *actor = text_clean(js_text(ev, "actor")),
		       *why = text_clean(js_text(ev, "text"));
	auto_buf out = {0};

	if (p->cli->json) {
		(void)buf_add(&out, text, len);
		(void)buf_add(&out, "\n", 1);
		return out_buf(&out, p->e);
	}
	if (!at || !vm || !what || !actor || !why)
		return err_nomem(p->e);
	(void)buf_printf(&out, "%6lld  %s  ", (long long)js_int(ev, "seq"), at);
	if (p->with_vm)
		(void)buf_printf(&out, "%-11s  ", *vm ? vm : "-");
	(void)buf_printf(&out, "%s%-11s%s  %-14s  %s\n", tint_on(s, tint), what, tint_off(s, tint),
			 actor, why);
	return out_buf(&out, p->e);
}

static int follow_events(struct cli *c, const char *path, struct printer *p, struct err *e)
{
	auto_follow f = {0};
	auto_answer failure = {0};
	int rc = follow_begin(c, path, print_event, p, &f, e);

	while (!rc && !f.call.ended) {
		rc = http_wait(&c->http, ROUND_MS, e);
		if (!rc)
			rc = follow_take(&f, e);
	}
	if (rc)
		return rc;
	rc = http_result(&f.call, e);
	if (rc || f.call.in.len == 0)
		return rc;
	return api_result(c, &f.call, &failure, e); /* what is left is no stream but an error */
}

static int print_page(struct printer *p, const json_t *events, struct err *e)
{
	size_t i;
	json_t *ev;
	int rc = 0;

	json_array_foreach(events, i, ev)
	{
		rc = print_event(p, ev, "", 0);
		if (rc)
			return rc < 0 ? rc : err_nomem(e);
	}
	return 0;
}

static int list_events(struct cli *c, const struct args *a, struct printer *p, struct err *e)
{
	uint64_t after = args_number(a, "after", 0);
	size_t n;

	do {
		auto_buf path = {0};
		auto_answer got = {0};
		char rest[80];
		json_t *events;
		int rc;

		(void)snprintf(rest, sizeof(rest), "/events?limit=%u&after=%llu", EVENTS_PAGE,
			       (unsigned long long)after); /* fits */
		rc = api_path(&path, "vms", a->words[0], rest, e);
		if (!rc)
			rc = api_get(c, buf_text(&path), &got, e);
		events = js_get(got.json, "events");
		n = json_array_size(events);
		if (!rc)
			rc = c->json ? out_json(&got, e) : print_page(p, events, e);
		if (rc)
			return rc;
		if (n)
			after = (uint64_t)js_int(json_array_get(events, n - 1), "seq");
	} while (n == EVENTS_PAGE);
	return 0;
}

int verb_vm_events(struct cli *c, const struct args *a, struct err *e)
{
	struct printer p = {.cli = c, .with_vm = a->words_n == 0, .e = e};
	auto_buf path = {0};
	int rc;

	if (!args_flag(a, "follow") && a->words_n == 0) {
		(void)err_set(e, -EINVAL, ERR_CALLER, "cli.argument", "vm events: ID is missing");
		return err_remedy(e,
				  "hearth vm events ID, or hearth vm events --follow for all VMs");
	}
	if (!args_flag(a, "follow"))
		return list_events(c, a, &p, e);
	if (a->words_n)
		rc = api_path(&path, "vms", a->words[0], "/events", e);
	else
		rc = buf_puts(&path, "/api/events") ? err_nomem(e) : 0;
	if (!rc)
		rc = args_query(a, &path, e);
	return rc ? rc : follow_events(c, buf_text(&path), &p, e);
}
