/*
 * Asks hearthd and understands its answers; the shape of errors is DESIGN.md 3's.
 * Called by the verbs.  Trust: answers come from whatever listens at the address.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/text.h"
#include "json/json.h"

#define POLL_MS 1000u /* no more than a round of http_wait; the call's own time-out ends it */

void answer_done(struct answer *a)
{
	json_decref(a->json);
	buf_done(&a->text);
	*a = (struct answer){0};
}

json_t *js_get(const json_t *obj, const char *key)
{
	return json_object_get(obj, key);
}

const char *js_text(const json_t *obj, const char *key)
{
	const char *s = json_string_value(js_get(obj, key));

	return s ? s : "";
}

int64_t js_int(const json_t *obj, const char *key)
{
	return json_integer_value(js_get(obj, key));
}

bool js_bool(const json_t *obj, const char *key)
{
	return json_is_true(js_get(obj, key));
}

const char *js_ms(const json_t *obj, const char *key, char ret[TIME_TEXT])
{
	const json_t *v = js_get(obj, key);
	double ms = json_number_value(v); /* 0 for anything else */

	if (!json_is_number(v) || ms < 0 || ms > 1e15)
		return "";
	if (ms >= 10 || ms == 0)
		return text_ms((uint64_t)ms, ret);
	(void)snprintf(ret, TIME_TEXT, "%.1f ms", ms); /* fits */
	return ret;
}

/* For answers without a described error: who can fix it, by status (base/err.h). */
static enum err_kind kind_of_status(long status)
{
	for (int k = 0; k < ERR_KIND_N_; k++)
		if (err_http_status((enum err_kind)k) == status)
			return (enum err_kind)k;
	if (status == 401)
		return ERR_DENIED;
	return status >= 400 && status < 500 ? ERR_CALLER : ERR_HOST;
}

static int not_json(const struct answer *a, const struct err *why, struct err *e)
{
	char start[81];
	auto_free char *clean = NULL;

	(void)snprintf(start, sizeof(start), "%s", buf_text(&a->text)); /* its beginning will do */
	clean = text_clean(start);
	(void)err_set(e, -EPROTO, kind_of_status(a->status), "hearthd.not-json",
		      "an answer (HTTP %ld) that is not hearthd's: %s; it begins with \"%s\"",
		      a->status, why->text, clean ? clean : "");
	return err_remedy(e, "check which program listens there (--socket, --url)");
}

/* Answers are longer than the bodies that hearthd takes, so lib/json's ceiling does not fit; what
 * parses here is bounded by HTTP_ANSWER_MAX and jansson's own depth of 2,048. */
static int parse(struct answer *a, struct err *e)
{
	json_error_t je;
	struct err why;

	a->json = json_loadb(buf_text(&a->text), a->text.len, JSON_REJECT_DUPLICATES, &je);
	if (a->json)
		return 0;
	(void)err_set(&why, -EPROTO, ERR_HOST, "json.syntax", "line %d column %d: %s", je.line,
		      je.column, a->text.len ? "no JSON" : "empty");
	return not_json(a, &why, e);
}

/* The error object as a struct err; the object is kept for cause and evidence. */
static int described(struct cli *c, const struct answer *a, struct err *e)
{
	json_t *obj = js_get(a->json, "error");
	enum err_kind kind = err_kind_parse(js_text(obj, "kind"));
	static const struct err no_error = {.text = "no error object"};

	if (!json_is_object(obj) || !*js_text(obj, "code"))
		return not_json(a, &no_error, e);
	if (kind == ERR_KIND_N_)
		kind = kind_of_status(a->status);
	(void)snprintf(c->error_id, sizeof(c->error_id), "%.60s", js_text(obj, "code"));
	json_decref(c->error);
	c->error = json_incref(obj);
	(void)err_set(e, -EREMOTEIO, kind, c->error_id, "%s", js_text(obj, "message"));
	return *js_text(obj, "remedy") ? err_remedy(e, "%s", js_text(obj, "remedy")) : -EREMOTEIO;
}

int api_result(struct cli *c, struct http_call *call, struct answer *ret, struct err *e)
{
	int rc = http_result(call, e);

	if (rc)
		return rc;
	ret->text = call->in;
	call->in = (struct buf){0};
	ret->status = 0;
	(void)curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &ret->status); /* 0: none */
	if (ret->status == 204)
		return 0;
	rc = parse(ret, e);
	if (rc)
		return rc;
	if (ret->status < 200 || ret->status > 299)
		return described(c, ret, e);
	return 0;
}

int api_ask(struct cli *c, const struct http_ask *ask, struct answer *ret, struct err *e)
{
	auto_call call = {0};
	int rc = http_begin(&c->http, ask, &call, e);

	while (!rc && !call.ended)
		rc = http_wait(&c->http, POLL_MS, e);
	return rc ? rc : api_result(c, &call, ret, e);
}

int api_get(struct cli *c, const char *path, struct answer *ret, struct err *e)
{
	return api_ask(
		c, &(struct http_ask){.method = "GET", .path = path, .timeout_ms = HTTP_ANSWER_MS},
		ret, e);
}

int api_send(struct cli *c, const char *method, const char *path, json_t *body, struct answer *ret,
	     struct err *e)
{
	auto_free char *text = body ? json_text(body) : NULL;

	if (body && !text)
		return err_nomem(e);
	return api_ask(
		c,
		&(struct http_ask){
			.method = method, .path = path, .body = text, .timeout_ms = HTTP_ANSWER_MS},
		ret, e);
}

int api_path(struct buf *ret, const char *collection, const char *id, const char *rest,
	     struct err *e)
{
	if (buf_printf(ret, "/api/%s/", collection) || url_escape(ret, id) || buf_puts(ret, rest))
		return err_nomem(e);
	return 0;
}
