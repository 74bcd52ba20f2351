/*
 * Verbs of networks, tokens and the host, and what the verbs of all objects share.
 * Called by main.c by way of the table of verbs.
 */
#include <errno.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/text.h"
#include "cli/verbs.h"
#include "json/json.h"

#define EXIT_HOST 5 /* as ERR_HOST: this machine lacks something */

int add_owner(struct cli *c, json_t *body, struct err *e)
{
	uid_t uid = geteuid();

	if (js_get(body, "userId"))
		return 0;
	if (!c->http.socket)
		return err_set(e, -EINVAL, ERR_CALLER, "cli.option",
			       "over TCP --user must say whose it is");
	if (json_put(body, "userId", uid ? json_sprintf("uid-%u", uid) : json_string("root")))
		return err_nomem(e);
	return 0;
}

int show_object(struct cli *c, const char *collection, const char *id, struct err *e)
{
	auto_buf path = {0};
	auto_answer got = {0};
	int rc = api_path(&path, collection, id, "", e);

	if (!rc)
		rc = api_get(c, buf_text(&path), &got, e);
	if (rc)
		return rc;
	return c->json ? out_json(&got, e) : out_facts(c, got.json, e);
}

static int remove_one(struct cli *c, const char *collection, const char *id, struct err *e)
{
	auto_buf path = {0};
	auto_answer got = {0};
	int rc = api_path(&path, collection, id, "", e);

	if (!rc)
		rc = api_send(c, "DELETE", buf_text(&path), NULL, &got, e);
	if (!rc && !c->json)
		say(c, TINT_NONE, "%s: removed", id);
	return rc;
}

int for_each_word(struct cli *c, const struct args *a, word_fn *fn, const void *ctx, struct err *e)
{
	int status = 0;

	for (unsigned i = 0; i < a->words_n; i++) {
		int rc = fn(c, a, a->words[i], ctx, e);

		if (!rc)
			continue;
		if (a->words_n == 1)
			return rc;
		say_error(c, e);
		if (!status)
			status = err_exit_status(e->kind);
	}
	return status;
}

static int remove_word(struct cli *c, const struct args *a, const char *id, const void *ctx,
		       struct err *e)
{
	(void)a;
	return remove_one(c, ctx, id, e);
}

int remove_each(struct cli *c, const char *collection, const struct args *a, struct err *e)
{
	return for_each_word(c, a, remove_word, collection, e);
}

/* --- networks --- */

int verb_network_create(struct cli *c, const struct args *a, struct err *e)
{
	auto_json json_t *body = NULL;
	auto_answer got = {0};
	int rc = args_body(a, &body, e);

	if (!rc && !args_flag(a, "cidr")) {
		(void)err_set(e, -EINVAL, ERR_CALLER, "cli.option",
			      "network create: --cidr A.B.C.D/N is needed");
		return err_remedy(e, "hearth network create %s --cidr 192.168.101.0/24",
				  a->words[0]);
	}
	if (!rc && json_put(body, "name", json_string(a->words[0])))
		rc = err_nomem(e);
	if (!rc)
		rc = api_send(c, "POST", "/api/networks", body, &got, e);
	if (rc)
		return rc;
	return c->json ? out_json(&got, e) : out_facts(c, got.json, e);
}

static const char *yes_no(const json_t *obj, const char *key)
{
	return js_bool(obj, key) ? "yes" : "no";
}

static void network_row(struct table *t, const json_t *n)
{
	table_cell(t, TINT_NONE, js_text(n, "name"));
	table_cell(t, TINT_NONE, js_text(n, "cidr"));
	table_cell(t, TINT_NONE, js_text(n, "gateway"));
	table_cell(t, TINT_NONE, yes_no(n, "nat"));
	table_cell(t, TINT_NONE, yes_no(n, "isolated"));
	table_cellf(t, TINT_NONE, "%lld of %lld", (long long)js_int(n, "used"),
		    (long long)js_int(n, "capacity"));
	table_cell(t, js_bool(n, "up") ? TINT_GOOD : TINT_BAD,
		   js_bool(n, "up") ? "up" : js_text(n, "fault"));
}

int verb_network_list(struct cli *c, const struct args *a, struct err *e)
{
	static const struct column columns[] = {
		{"NAME", false},     {"ADDRESSES", false}, {"GATEWAY", false}, {"NAT", false},
		{"ISOLATED", false}, {"LEASED", false},	   {"STATE", false}};
	auto_table t = {.columns = columns, .n = ARRAY_LEN(columns)};
	auto_buf out = {0};
	auto_answer got = {0};
	size_t i;
	json_t *n;
	int rc = api_get(c, "/api/networks", &got, e);

	if (rc)
		return rc;
	if (c->json)
		return out_json(&got, e);
	if (args_flag(a, "ids"))
		return out_ids(js_get(got.json, "networks"), "name", e);
	json_array_foreach(js_get(got.json, "networks"), i, n) network_row(&t, n);
	rc = table_print(&t, &c->out, &out, e);
	return rc ? rc : out_buf(&out, e);
}

int verb_network_show(struct cli *c, const struct args *a, struct err *e)
{
	return show_object(c, "networks", a->words[0], e);
}

int verb_network_rm(struct cli *c, const struct args *a, struct err *e)
{
	return remove_each(c, "networks", a, e);
}

/* --- tokens --- */

int verb_token_create(struct cli *c, const struct args *a, struct err *e)
{
	auto_json json_t *body = NULL;
	auto_free char *token = NULL, *id = NULL, *role = NULL;
	const char *role_default;
	auto_answer got = {0};
	auto_buf out = {0};
	int rc = args_body(a, &body, e);

	/* Only admins get here: a token for oneself is an admin's, as the first one has to be. */
	role_default = !rc && js_get(body, "userId") ? "user" : "admin";
	if (!rc)
		rc = add_owner(c, body, e);
	if (!rc && !js_get(body, "role") && json_put(body, "role", json_string(role_default)))
		rc = err_nomem(e);
	if (!rc)
		rc = api_send(c, "POST", "/api/tokens", body, &got, e);
	if (rc)
		return rc;
	if (c->json)
		return out_json(&got, e);
	token = text_clean(js_text(got.json, "token"));
	id = text_clean(js_text(got.json, "id"));
	role = text_clean(js_text(got.json, "role"));
	if (!token || !id || !role || buf_printf(&out, "%s\n", token))
		return err_nomem(e);
	say(c, TINT_NONE, "%s: role %s; this is the only time that the token is shown", id, role);
	return out_buf(&out, e);
}

static void token_row(struct table *t, const json_t *token)
{
	const char *end = js_text(token, "expiresAt");

	table_cell(t, TINT_NONE, js_text(token, "id"));
	table_cell(t, TINT_NONE, js_text(token, "userId"));
	table_cell(t, TINT_NONE, js_text(token, "role"));
	table_cell(t, TINT_DIM, js_text(token, "createdAt"));
	table_cell(t, TINT_NONE, *end ? end : "never");
}

int verb_token_list(struct cli *c, const struct args *a, struct err *e)
{
	static const struct column columns[] = {{"ID", false},
						{"USER", false},
						{"ROLE", false},
						{"CREATED", false},
						{"ENDS", false}};
	auto_table t = {.columns = columns, .n = ARRAY_LEN(columns)};
	auto_buf out = {0};
	auto_answer got = {0};
	size_t i;
	json_t *token;
	int rc = api_get(c, "/api/tokens", &got, e);

	if (rc)
		return rc;
	if (c->json)
		return out_json(&got, e);
	if (args_flag(a, "ids"))
		return out_ids(js_get(got.json, "tokens"), "id", e);
	json_array_foreach(js_get(got.json, "tokens"), i, token) token_row(&t, token);
	rc = table_print(&t, &c->out, &out, e);
	return rc ? rc : out_buf(&out, e);
}

int verb_token_rm(struct cli *c, const struct args *a, struct err *e)
{
	return remove_each(c, "tokens", a, e);
}

/* --- host and versions --- */

static void host_row(struct table *t, const char *name, const json_t *part, bool *all_ok)
{
	bool ok = js_bool(part, "ok");

	*all_ok = *all_ok && ok;
	table_cell(t, TINT_NONE, name);
	table_cell(t, ok ? TINT_GOOD : TINT_DOUBT, ok ? "ok" : "lacks");
	table_cell(t, TINT_NONE, js_text(part, "text"));
	if (ok || !*js_text(part, "remedy"))
		return;
	table_cell(t, TINT_NONE, " ");
	table_cell(t, TINT_DIM, "remedy");
	table_cell(t, TINT_NONE, js_text(part, "remedy"));
}

int verb_host_check(struct cli *c, const struct args *a, struct err *e)
{
	static const struct column columns[] = {
		{"WHAT", false}, {"VERDICT", false}, {"MEASURED", false}};
	auto_table t = {.columns = columns, .n = ARRAY_LEN(columns)};
	auto_buf out = {0};
	auto_answer got = {0};
	const char *name;
	json_t *part, *item;
	size_t i;
	bool ok = true;
	int rc = api_get(c, "/api/host", &got, e);

	(void)a;
	if (rc)
		return rc;
	json_object_foreach(got.json, name, part)
	{
		if (json_is_object(part))
			host_row(&t, name, part, &ok);
		json_array_foreach(part, i, item) /* engines */
			host_row(&t, *js_text(item, "name") ? js_text(item, "name") : name, item,
				 &ok);
	}
	if (json_is_boolean(js_get(got.json,
				   "ok"))) /* hearthd weighs: no firewall matters, no KVM may not */
		ok = js_bool(got.json, "ok");
	if (c->json)
		rc = out_json(&got, e);
	else
		rc = table_print(&t, &c->out, &out, e);
	if (!rc && !c->json)
		rc = out_buf(&out, e);
	return rc ? rc : ok ? 0 : EXIT_HOST;
}

int verb_version(struct cli *c, const struct args *a, struct err *e)
{
	auto_answer got = {0};
	auto_buf out = {0};
	struct err why;
	int rc = api_get(c, "/api/health", &got, &why);
	auto_free char *text = text_clean(rc ? why.text : js_text(got.json, "version"));

	(void)a;
	if (!text)
		return err_nomem(e);
	if (c->json)
		(void)buf_printf(&out, "{\"hearth\":\"%s\",\"hearthd\":%s}\n", HEARTH_VERSION,
				 rc ? "null" : buf_text(&got.text));
	else
		(void)buf_printf(&out, "hearth  %s\nhearthd %s%s%s\n", HEARTH_VERSION,
				 rc ? "(" : "", text, rc ? ")" : "");
	return out_buf(&out, e);
}
