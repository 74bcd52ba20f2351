/*
 * Verbs that change VMs and list them.
 * Called by main.c by way of the table of verbs.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/follow.h"
#include "cli/text.h"
#include "cli/verbs.h"
#include "json/json.h"

#define WAIT_MS	  120000u /* of --wait and of stop and rm */
#define KEY_BYTES 16	  /* random ones of an idempotency key: no two requests share one */

/* Add wait= and timeout=; the time-out is said by us, so that both sides count the same. */
static int add_wait(struct buf *path, const char *until, uint64_t timeout_ms, struct err *e)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%llums", (unsigned long long)timeout_ms); /* fits */
	if (url_param(path, "wait", until) || url_param(path, "timeout", text))
		return err_nomem(e);
	return 0;
}

/* NULL: don't wait. */
static const char *wait_of(const struct args *a)
{
	const char *until = args_text(a, "wait");

	return until && !str_eq(until, "none") ? until : NULL;
}

static uint64_t timeout_of(const struct args *a)
{
	return args_number(a, "timeout", WAIT_MS);
}

/* The id for programs on standard output, a sentence for people beside it. */
static int print_made(struct cli *c, const struct answer *got, bool quiet, const char *until,
		      struct err *e)
{
	auto_free char *id = text_clean(js_text(got->json, "id"));
	auto_free char *ip = text_clean(js_text(got->json, "ip"));
	auto_free char *state = text_clean(js_text(got->json, "state"));
	auto_buf out = {0};

	if (c->json)
		return out_json(got, e);
	if (!id || !ip || !state || buf_printf(&out, "%s\n", id))
		return err_nomem(e);
	if (!quiet)
		say(c, state_tint(state), "%s: %s, %s%s", id, state, ip,
		    until ? (str_eq(until, "ready") ? ", ready" : ", network proven") : "");
	return out_buf(&out, e);
}

static int create_waiting(struct cli *c, const struct args *a, struct http_ask *ask,
			  const char *until, struct answer *ret, struct err *e)
{
	auto_answer first = {0};
	auto_buf path = {0};
	auto_progress p = {0};
	int rc;

	progress_init(&p, c, args_flag(a, "quiet"), 0);
	if (buf_puts(&path, "/api/vms"))
		return err_nomem(e);
	rc = add_wait(&path, until, timeout_of(a), e);
	if (rc)
		return rc;
	/* With progress wanted: create first, then send the same request with the same key once
	 * more, now held; that gives the id whose events are shown meanwhile. */
	if (!p.off)
		rc = api_ask(c, ask, &first, e);
	if (rc)
		return rc;
	ask->path = buf_text(&path);
	ask->timeout_ms = timeout_of(a);
	return ask_with_progress(c, ask, js_text(first.json, "id"), 0, &p, ret, e);
}

int verb_vm_create(struct cli *c, const struct args *a, struct err *e)
{
	char random[2 * KEY_BYTES + 1];
	const char *key = args_text(a, "key"), *until = wait_of(a);
	auto_json json_t *body = NULL;
	auto_free char *text = NULL;
	auto_answer got = {0};
	struct http_ask ask;
	int rc = args_body(a, &body, e);

	if (rc)
		return rc;
	if (!js_get(body, "vmType") && json_put(body, "vmType", json_string("cli")))
		return err_nomem(e);
	rc = add_owner(c, body, e);
	if (rc)
		return rc;
	text = json_text(body);
	if (!text)
		return err_nomem(e);
	random_hex(random, KEY_BYTES);
	ask = (struct http_ask){.method = "POST",
				.path = "/api/vms",
				.body = text,
				.key = key ? key : random,
				.timeout_ms = HTTP_ANSWER_MS};
	rc = until ? create_waiting(c, a, &ask, until, &got, e) : api_ask(c, &ask, &got, e);
	return rc ? rc : print_made(c, &got, args_flag(a, "quiet"), until, e);
}

/* --- start, stop, rm: one after the other, going on behind a failure --- */

struct change {
	const char *method, *rest; /* "/start" */
	const char *wait;	   /* NULL: don't wait */
	const char *query;	   /* "?force=1" or "" */
	const char *done;	   /* "stopped" */
	uint64_t hold_ms;
};

static int change_one(struct cli *c, const struct args *a, const char *vm, const void *ctx,
		      struct err *e)
{
	const struct change *ch = ctx;
	auto_buf path = {0};
	auto_answer got = {0};
	auto_progress p = {0};
	auto_free char *id = NULL;
	uint64_t after = 0;
	struct http_ask ask = {.method = ch->method, .timeout_ms = HTTP_ANSWER_MS};
	int rc = api_path(&path, "vms", vm, ch->rest, e);

	if (!rc && buf_puts(&path, ch->query))
		rc = err_nomem(e);
	if (!rc && ch->wait)
		rc = add_wait(&path, ch->wait, timeout_of(a), e);
	progress_init(&p, c, args_flag(a, "quiet"), ch->hold_ms);
	ask.path = buf_text(&path);
	if (rc)
		return rc;
	if (ch->wait && !p.off)
		rc = newest_event(c, vm, &after, e);
	if (ch->wait)
		ask.timeout_ms = timeout_of(a);
	if (!rc)
		rc = ch->wait ? ask_with_progress(c, &ask, vm, after, &p, &got, e)
			      : api_ask(c, &ask, &got, e);
	if (rc)
		return rc;
	if (c->json)
		return out_json(&got, e);
	id = text_clean(js_text(got.json, "id"));
	if (!args_flag(a, "quiet"))
		say(c, TINT_NONE, "%s: %s", id && *id ? id : vm,
		    ch->wait ? ch->done : js_text(got.json, "state"));
	return 0;
}

int verb_vm_start(struct cli *c, const struct args *a, struct err *e)
{
	const char *until = wait_of(a);
	struct change ch = {.method = "POST", .rest = "/start", .wait = until, .query = ""};

	ch.done = until && str_eq(until, "ready") ? "ready" : "network proven";
	return for_each_word(c, a, change_one, &ch, e);
}

int verb_vm_stop(struct cli *c, const struct args *a, struct err *e)
{
	struct change ch = {
		.method = "POST", .rest = "/stop", .done = "stopped", .hold_ms = PROGRESS_QUICK_MS};

	ch.wait = args_flag(a, "no-wait") ? NULL : "stopped";
	ch.query = args_flag(a, "force") ? "?force=1" : "";
	return for_each_word(c, a, change_one, &ch, e);
}

int verb_vm_rm(struct cli *c, const struct args *a, struct err *e)
{
	struct change ch = {.method = "DELETE",
			    .rest = "",
			    .query = "",
			    .done = "removed",
			    .hold_ms = PROGRESS_QUICK_MS};

	ch.wait = args_flag(a, "no-wait") ? NULL : "gone";
	return for_each_word(c, a, change_one, &ch, e);
}

/* --- list, label --- */

static void list_row(struct table *t, const json_t *vm)
{
	const char *state = js_text(vm, "state");
	json_t *cause = js_get(vm, "cause");
	int64_t age = text_age_ms(js_text(vm, "since"), clock_wall_us());
	char time[TIME_TEXT];

	table_cell(t, TINT_NONE, js_text(vm, "id"));
	table_cell(t, TINT_NONE, js_text(vm, "name"));
	table_cell(t, TINT_NONE, js_text(vm, "userId"));
	table_cell(t, TINT_NONE, js_text(vm, "vmType"));
	table_cell(t, state_tint(state), state);
	table_cell(t, TINT_DIM, age < 0 ? "" : text_ms((uint64_t)age, time));
	table_cell(t, TINT_NONE, js_text(vm, "ip"));
	table_cell(t, TINT_NONE, js_text(js_get(vm, "image"), "name"));
	table_cellf(t, TINT_NONE, "%lld MiB", (long long)js_int(vm, "ramMib"));
	table_cell(t, TINT_BAD, json_is_object(cause) ? js_text(cause, "code") : "");
}

int verb_vm_list(struct cli *c, const struct args *a, struct err *e)
{
	static const struct column columns[] = {
		{"ID", false},	  {"NAME", false},  {"USER", false},	{"TYPE", false},
		{"STATE", false}, {"FOR", true},    {"ADDRESS", false}, {"IMAGE", false},
		{"MEMORY", true}, {"CAUSE", false},
	};
	auto_table t = {.columns = columns, .n = ARRAY_LEN(columns)};
	auto_buf path = {0}, out = {0};
	auto_answer got = {0};
	size_t i;
	json_t *vm;
	int rc = buf_puts(&path, "/api/vms") ? err_nomem(e) : args_query(a, &path, e);

	if (!rc)
		rc = api_get(c, buf_text(&path), &got, e);
	if (rc)
		return rc;
	if (c->json)
		return out_json(&got, e);
	if (args_flag(a, "ids"))
		return out_ids(js_get(got.json, "vms"), "id", e);
	json_array_foreach(js_get(got.json, "vms"), i, vm) list_row(&t, vm);
	rc = table_print(&t, &c->out, &out, e);
	return rc ? rc : out_buf(&out, e);
}

/* "a=b" sets, "a-" removes. */
static int add_label(json_t *labels, const char *word, struct err *e)
{
	const char *eq = strchr(word, '=');
	size_t n = eq ? (size_t)(eq - word) : strlen(word) - 1;
	auto_free char *key = NULL;

	if (n == 0 || (!eq && word[n] != '-'))
		return err_set(e, -EINVAL, ERR_CALLER, "cli.argument",
			       "\"%.100s\": expected KEY=VALUE or KEY-", word);
	key = mem_strndup(word, n);
	if (!key || json_put(labels, key, eq ? json_string(eq + 1) : json_null()))
		return err_nomem(e);
	return 0;
}

int verb_vm_label(struct cli *c, const struct args *a, struct err *e)
{
	auto_json json_t *body = json_object();
	json_t *labels = json_object();
	auto_buf path = {0};
	auto_answer got = {0};
	int rc = json_put(body, "labels", labels) ? err_nomem(e) : 0;

	for (unsigned i = 1; !rc && i < a->words_n; i++)
		rc = add_label(labels, a->words[i], e);
	if (!rc)
		rc = api_path(&path, "vms", a->words[0], "", e);
	if (!rc)
		rc = api_send(c, "PATCH", buf_text(&path), body, &got, e);
	if (rc)
		return rc;
	return c->json ? out_json(&got, e) : out_facts(c, js_get(got.json, "labels"), e);
}
