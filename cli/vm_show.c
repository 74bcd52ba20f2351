/*
 * Verbs that explain one VM: what it is, where its time went, whether it works now.
 * Called by main.c by way of the table of verbs.
 */
#include <stdio.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/text.h"
#include "cli/verbs.h"

#define EXIT_FAILS   6 /* as ERR_GUEST */
#define EXIT_UNKNOWN 9 /* as ERR_TIMEOUT: not proven */
#define DIGEST_SHOWN 12

static const struct column no_heads[] = {{NULL, false}, {NULL, false}};

static void fact(struct table *t, const char *key, const char *text)
{
	if (!*text)
		return;
	table_cell(t, TINT_DIM, key);
	table_cell(t, TINT_NONE, text);
}

static void labels_fact(struct table *t, json_t *labels)
{
	auto_buf all = {0};
	const char *key;
	json_t *value;

	json_object_foreach(labels, key, value)(void)
		buf_printf(&all, "%s%s=%s", all.len ? ", " : "", key,
			   json_string_value(value) ? json_string_value(value) : "");
	t->failed = t->failed || all.failed;
	fact(t, "labels", buf_text(&all));
}

static void size_fact(struct table *t, const json_t *vm)
{
	table_cell(t, TINT_DIM, "size");
	table_cellf(t, TINT_NONE, "%lld vCPU, %lld MiB memory, %lld MiB disk, root %s",
		    (long long)js_int(vm, "vcpus"), (long long)js_int(vm, "ramMib"),
		    (long long)js_int(vm, "diskMib"), js_text(vm, "root"));
}

static void engine_fact(struct table *t, const json_t *vm)
{
	const json_t *engine = js_get(vm, "engine"), *pids = js_get(vm, "pids");
	const char *used = js_text(engine, "used");
	char pid[32] = "";

	if (json_is_object(pids))
		(void)snprintf(pid, sizeof(pid), ", pid %lld",
			       (long long)js_int(pids, "engine")); /* fits */
	table_cell(t, TINT_DIM, "engine");
	table_cellf(t, TINT_NONE, "%s, asked for %s, virtio over %s, run %lld%s",
		    *used ? used : "none yet", js_text(engine, "asked"), js_text(vm, "transport"),
		    (long long)js_int(vm, "starts"), pid);
}

static void show_facts(struct table *t, const json_t *vm)
{
	const json_t *image = js_get(vm, "image"), *network = js_get(vm, "network");

	table_cell(t, TINT_HEAD, js_text(vm, "id"));
	table_cell(t, state_tint(js_text(vm, "state")), js_text(vm, "state"));
	fact(t, "since", js_text(vm, "since"));
	fact(t, "created", js_text(vm, "created"));
	fact(t, "name", js_text(vm, "name"));
	fact(t, "user", js_text(vm, "userId"));
	fact(t, "type", js_text(vm, "vmType"));
	table_cell(t, TINT_DIM, "image");
	table_cellf(t, TINT_NONE, "%s (%.*s)", js_text(image, "name"), DIGEST_SHOWN,
		    js_text(image, "digest"));
	table_cell(t, TINT_DIM, "network");
	table_cellf(t, TINT_NONE, "%s: %s/%lld, gateway %s, %s", js_text(network, "name"),
		    js_text(vm, "ip"), (long long)js_int(network, "prefix"),
		    js_text(network, "gateway"),
		    js_bool(vm, "networkProven") ? "proven" : "not proven");
	table_cell(t, TINT_DIM, "nic");
	table_cellf(t, TINT_NONE, "%s on %s", js_text(vm, "mac"), js_text(vm, "tap"));
	size_fact(t, vm);
	engine_fact(t, vm);
	labels_fact(t, js_get(vm, "labels"));
	fact(t, "boot args", js_text(vm, "bootArgs"));
	fact(t, "cmdline", js_text(vm, "cmdline"));
	if (js_bool(vm, "wantDelete"))
		fact(t, "delete", "asked for");
}

static void show_cause(struct table *t, const json_t *cause)
{
	size_t i;
	json_t *line;

	fact(t, "cause", js_text(cause, "cause"));
	fact(t, "code", js_text(cause, "code"));
	json_array_foreach(js_get(cause, "evidence"), i, line) if (json_is_string(line))
		fact(t, i ? " " : "evidence", json_string_value(line));
	fact(t, "remedy", js_text(cause, "remedy"));
}

static void show_phases(struct table *t, const json_t *phases)
{
	size_t i;
	json_t *p;
	char at[TIME_TEXT], took[TIME_TEXT];

	json_array_foreach(phases, i, p)
	{
		bool state = str_eq(js_text(p, "kind"), "state");

		table_cell(t, TINT_DIM, js_ms(p, "offsetMs", at));
		table_cell(t, TINT_NONE,
			   json_is_number(js_get(p, "ms")) ? js_ms(p, "ms", took) : " ");
		table_cell(t, state ? state_tint(js_text(p, "name")) : TINT_NONE,
			   js_text(p, "name"));
		table_cell(t, TINT_NONE, js_text(p, "text"));
	}
}

static void show_proof(struct table *t, const json_t *proof)
{
	size_t i;
	json_t *row;

	json_array_foreach(proof, i, row)
	{
		const char *code = js_text(row, "code");

		table_cell(t, TINT_NONE, js_text(row, "step"));
		table_cell(t, verdict_tint(js_text(row, "verdict")), js_text(row, "verdict"));
		table_cell(t, TINT_NONE,
			   *js_text(row, "evidence") ? js_text(row, "evidence") : code);
	}
}

static int section(struct cli *c, const char *title, const struct table *t, struct buf *out,
		   struct err *e)
{
	if (!t->cells_n)
		return t->failed ? err_nomem(e) : 0;
	if (*title)
		(void)buf_printf(out, "\n%s%s%s\n", tint_on(&c->out, TINT_HEAD), title,
				 tint_off(&c->out, TINT_HEAD));
	return table_print(t, &c->out, out, e);
}

static int show(struct cli *c, const json_t *vm, struct buf *out, struct err *e)
{
	static const struct column phase_columns[] = {
		{"AT", true}, {"TOOK", true}, {"PHASE", false}, {"WHY", false}};
	static const struct column proof_columns[] = {
		{"STEP", false}, {"VERDICT", false}, {"EVIDENCE", false}};
	auto_table facts = {.columns = no_heads, .n = 2},
		   cause = {.columns = no_heads, .n = 2, .indent = 2};
	auto_table phases = {.columns = phase_columns, .n = 4, .indent = 2};
	auto_table proof = {.columns = proof_columns, .n = 3, .indent = 2};
	int rc;

	show_facts(&facts, vm);
	show_cause(&cause, js_get(vm, "cause"));
	show_phases(&phases, js_get(vm, "phases"));
	show_proof(&proof, js_get(vm, "proof"));
	rc = section(c, "", &facts, out, e);
	if (!rc)
		rc = section(c, "why it failed", &cause, out, e);
	if (!rc)
		rc = section(c, "where the time went", &phases, out, e);
	return rc ? rc : section(c, "proof of its network", &proof, out, e);
}

int verb_vm_show(struct cli *c, const struct args *a, struct err *e)
{
	auto_buf path = {0}, out = {0};
	auto_answer got = {0};
	int rc = api_path(&path, "vms", a->words[0], "", e);

	if (!rc)
		rc = api_get(c, buf_text(&path), &got, e);
	if (!rc && c->json)
		return out_json(&got, e);
	if (!rc)
		rc = show(c, got.json, &out, e);
	return rc ? rc : out_buf(&out, e);
}

/* --- verify --- */

struct verdicts {
	unsigned holds, fails, unknown, unbuilt;
};

static void count(struct verdicts *v, const char *verdict)
{
	if (str_eq(verdict, "holds"))
		v->holds++;
	else if (str_eq(verdict, "fails"))
		v->fails++;
	else if (str_eq(verdict, "not-built-yet"))
		v->unbuilt++;
	else
		v->unknown++; /* also a verdict of a newer hearthd */
}

static void verify_row(struct table *t, const json_t *row, struct verdicts *v)
{
	const char *verdict = js_text(row, "verdict");
	bool unbuilt = str_eq(verdict, "not-built-yet");
	char time[TIME_TEXT];

	count(v, verdict);
	table_cellf(t, TINT_NONE, "%lld", (long long)js_int(row, "row"));
	table_cell(t, TINT_NONE, js_text(row, "title"));
	table_cell(t, verdict_tint(verdict), unbuilt ? "not built yet" : verdict);
	table_cell(t, TINT_DIM, js_ms(row, "ms", time));
	table_cell(t, TINT_NONE, js_text(row, "evidence"));
}

int verb_vm_verify(struct cli *c, const struct args *a, struct err *e)
{
	static const struct column columns[] = {{"#", true},
						{"WHAT", false},
						{"VERDICT", false},
						{"TIME", true},
						{"EVIDENCE", false}};
	auto_table t = {.columns = columns, .n = ARRAY_LEN(columns)};
	auto_buf path = {0}, out = {0};
	auto_answer got = {0};
	struct verdicts v = {0};
	size_t i;
	json_t *row;
	int rc = api_path(&path, "vms", a->words[0], "/verify", e);

	if (!rc)
		rc = api_get(c, buf_text(&path), &got, e);
	if (rc)
		return rc;
	json_array_foreach(js_get(got.json, "rows"), i, row) verify_row(&t, row, &v);
	if (!c->json)
		rc = table_print(&t, &c->out, &out, e);
	if (!rc && !c->json)
		(void)buf_printf(&out, "%u hold, %u fail, %u unknown, %u not built yet\n", v.holds,
				 v.fails, v.unknown, v.unbuilt);
	if (!rc)
		rc = c->json ? out_json(&got, e) : out_buf(&out, e);
	if (rc)
		return rc;
	if (v.fails)
		return EXIT_FAILS;
	return v.unknown || !v.holds ? EXIT_UNKNOWN : 0; /* an empty table proves nothing */
}
