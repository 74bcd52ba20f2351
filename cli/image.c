/*
 * Verbs of images: builds with their progress, lists, removal.
 * Called by main.c by way of the table of verbs.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/follow.h"
#include "cli/text.h"
#include "cli/verbs.h"
#include "json/json.h"

#define ROUND_MS     1000u
#define DIGEST_SHOWN 12

struct build {
	struct cli *cli;
	struct progress progress;
	size_t told;	 /* rows of phases that were printed */
	json_t *job;	 /* owned: as last seen */
	struct buf path; /* "/api/jobs/job-…" */
};

static void build_done(struct build *b)
{
	progress_done(&b->progress);
	json_decref(b->job);
	buf_done(&b->path);
}

/* Each phase has a row when it begins and one when it is over. */
static void tell_phases(struct build *b)
{
	struct progress *p = &b->progress;
	json_t *row;

	for (; (row = json_array_get(js_get(b->job, "phases"), b->told)); b->told++) {
		const char *name = js_text(row, "phase"), *state = js_text(row, "state");
		uint64_t now_ms = (clock_mono_ns() - p->begin_ns) / NS_PER_MS;
		char took[TIME_TEXT], text[1024];

		if (str_eq(state, "start")) {
			(void)snprintf(p->what, sizeof(p->what), "%s", name); /* cut if longer */
			if (!b->cli->err_is_terminal) /* a terminal has the ticking line */
				progress_line(p, now_ms, name, "...");
			continue;
		}
		(void)snprintf(text, sizeof(text), "%s after %s  %s", state, js_ms(row, "ms", took),
			       js_text(row, "text")); /* cut if longer */
		progress_line(p, now_ms, name, text);
	}
}

static int look(struct build *b, struct err *e)
{
	auto_answer got = {0};
	int rc = api_get(b->cli, buf_text(&b->path), &got, e);

	if (rc)
		return rc;
	json_decref(b->job);
	b->job = json_incref(got.json);
	tell_phases(b);
	return 0;
}

static bool is_running(const struct build *b)
{
	return !b->job || str_eq(js_text(b->job, "state"), "running");
}

static int woken(void *ctx, const json_t *event, const char *text, size_t len)
{
	(void)ctx; /* the event says that something happened; the job says what */
	(void)event;
	(void)text;
	(void)len;
	return 0;
}

/* Look at the job whenever anything happens, and once a second in case the stream breaks. */
static int watch(struct build *b, struct err *e)
{
	auto_follow events = {0};
	bool broken = follow_begin(b->cli, "/api/events", woken, NULL, &events, NULL) != 0;
	int rc = 0;

	while (!rc && is_running(b)) {
		rc = look(b, e);
		if (rc || !is_running(b))
			break;
		progress_tick(&b->progress);
		if (broken)
			(void)poll(NULL, 0, (int)ROUND_MS); /* a signal only shortens it */
		else
			rc = http_wait(&b->cli->http, ROUND_MS, e);
		broken = broken || events.call.ended || follow_take(&events, NULL);
	}
	progress_done(&b->progress);
	return rc;
}

static int failed(struct build *b, struct err *e)
{
	json_t *error = js_get(b->job, "error");
	enum err_kind kind = err_kind_parse(js_text(error, "kind"));
	const char *text =
		json_is_string(error) ? json_string_value(error) : js_text(error, "message");
	struct cli *c = b->cli;

	if (!str_copy(c->error_id, sizeof(c->error_id), js_text(error, "code")) || !*c->error_id)
		(void)snprintf(c->error_id, sizeof(c->error_id), "image.build"); /* fits */
	if (json_is_object(error)) {
		json_decref(c->error);
		c->error = json_incref(error);
	}
	(void)err_set(e, -EREMOTEIO, kind == ERR_KIND_N_ ? ERR_HOST : kind, c->error_id, "%s",
		      text);
	return *js_text(error, "remedy") ? err_remedy(e, "%s", js_text(error, "remedy"))
					 : -EREMOTEIO;
}

static int job_json_out(const struct build *b, struct err *e)
{
	struct answer got = {0};
	auto_free char *text = json_text(b->job);
	int rc;

	if (!text)
		return err_nomem(e);
	got.text.data = text; /* borrowed */
	got.text.len = strlen(text);
	rc = out_json(&got, e);
	return rc;
}

static int run_job(struct cli *c, const struct args *a, json_t *body, struct err *e)
{
	struct build b __attribute__((cleanup(build_done))) = {.cli = c};
	auto_answer got = {0};
	auto_buf line = {0};
	int rc = api_send(c, "POST", "/api/images", body, &got, e);

	if (rc)
		return rc;
	progress_init(&b.progress, c, args_flag(a, "quiet"), 0);
	if (args_flag(a, "no-wait")) {
		if (c->json)
			return out_json(&got, e);
		(void)buf_printf(&line, "%s\n", js_text(got.json, "id"));
		return out_buf(&line, e);
	}
	rc = api_path(&b.path, "jobs", js_text(got.json, "id"), "", e);
	if (!rc)
		rc = watch(&b, e);
	if (rc)
		return rc;
	if (!str_eq(js_text(b.job, "state"), "ok"))
		return failed(&b, e);
	if (c->json)
		return job_json_out(&b, e);
	(void)buf_printf(&line, "%s\n", js_text(b.job, "digest"));
	return out_buf(&line, e);
}

int verb_image_build(struct cli *c, const struct args *a, struct err *e)
{
	const char *name = args_text(a, "name");
	auto_json json_t *body = json_object();

	if (json_put(body, "name", json_string(name ? name : a->words[0])) ||
	    json_put(body, "recipe", json_string(a->words[0])))
		return err_nomem(e);
	return run_job(c, a, body, e);
}

int verb_image_import(struct cli *c, const struct args *a, struct err *e)
{
	auto_json json_t *body = NULL;
	int rc = args_body(a, &body, e);

	if (rc)
		return rc;
	if (!args_flag(a, "kernel") || !args_flag(a, "rootfs"))
		return err_set(e, -EINVAL, ERR_CALLER, "cli.option",
			       "image import: --kernel FILE and --rootfs FILE are needed");
	if (json_put(body, "name", json_string(a->words[0])))
		return err_nomem(e);
	return run_job(c, a, body, e);
}

static void image_row(struct table *t, const json_t *image)
{
	const json_t *kernel = js_get(image, "kernel");
	uint64_t bytes = (uint64_t)(js_int(kernel, "bytes") + js_int(image, "initrdBytes") +
				    js_int(js_get(image, "rootfs"), "bytes"));
	char size[TIME_TEXT];

	table_cell(t, TINT_NONE, js_text(image, "name"));
	table_cellf(t, TINT_NONE, "%.*s", DIGEST_SHOWN, js_text(image, "digest"));
	table_cellf(t, TINT_NONE, "%s", js_text(kernel, "version"));
	table_cellf(t, TINT_NONE, "%s", js_text(kernel, "format"));
	table_cell(t, TINT_NONE, text_bytes(bytes, size));
	table_cellf(t, TINT_NONE, "%lld MiB", (long long)js_int(image, "minRamMib"));
	table_cellf(t, TINT_NONE, "%lld", (long long)js_int(image, "vms"));
	table_cell(t, TINT_DIM, js_text(image, "created"));
}

int verb_image_list(struct cli *c, const struct args *a, struct err *e)
{
	static const struct column columns[] = {
		{"NAME", false}, {"DIGEST", false}, {"KERNEL", false}, {"FORMAT", false},
		{"SIZE", true},	 {"MEMORY", true},  {"VMS", true},     {"CREATED", false}};
	auto_table t = {.columns = columns, .n = ARRAY_LEN(columns)};
	auto_buf out = {0};
	auto_answer got = {0};
	size_t i;
	json_t *image;
	int rc = api_get(c, "/api/images", &got, e);

	if (rc)
		return rc;
	if (c->json)
		return out_json(&got, e);
	if (args_flag(a, "ids"))
		return out_ids(js_get(got.json, "images"), "name", e);
	json_array_foreach(js_get(got.json, "images"), i, image) image_row(&t, image);
	rc = table_print(&t, &c->out, &out, e);
	return rc ? rc : out_buf(&out, e);
}

int verb_image_show(struct cli *c, const struct args *a, struct err *e)
{
	return show_object(c, "images", a->words[0], e);
}

int verb_image_rm(struct cli *c, const struct args *a, struct err *e)
{
	return remove_each(c, "images", a, e);
}

int verb_image_gc(struct cli *c, const struct args *a, struct err *e)
{
	auto_answer got = {0};
	int rc = api_send(c, "POST", "/api/images/gc", NULL, &got, e);

	(void)a;
	if (rc)
		return rc;
	return c->json ? out_json(&got, e) : out_facts(c, got.json, e);
}
