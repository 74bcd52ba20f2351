/*
 * Answers: a body with its headers, and the one shape of errors (DESIGN.md 3).
 * Called by handlers and request.c; loop's thread.
 */
#include <stdio.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "json/json.h"
#include "rest/rest_internal.h"

#define EVIDENCE_N 8 /* the last rows of a VM's history say why it failed */

int answer_header(struct request *q, const char *name, const char *value)
{
	return MHD_add_response_header(q->response, name, value) == MHD_YES ? 0 : -ENOMEM;
}

/* Make q's answer of `response`, which may be NULL for want of memory. */
static int set(struct request *q, unsigned status, const char *type, struct MHD_Response *response)
{
	if (!response)
		return -ENOMEM;
	if (q->response)
		MHD_destroy_response(q->response);
	q->response = response;
	q->status = status;
	if (type && answer_header(q, MHD_HTTP_HEADER_CONTENT_TYPE, type))
		return -ENOMEM;
	/* Answers hold what only this caller may see; no cache keeps them, no browser guesses
	 * types. */
	if (answer_header(q, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store") ||
	    answer_header(q, "X-Content-Type-Options", "nosniff"))
		return -ENOMEM;
	return answer_header(q, "X-Request-Id", q->id);
}

/* libmicrohttpd's parameter is not const, but MUST_COPY and PERSISTENT only read it. */
static struct MHD_Response *from_text(const char *text, size_t len,
				      enum MHD_ResponseMemoryMode mode)
{
	union {
		const char *in;
		void *out;
	} u = {.in = text};

	return MHD_create_response_from_buffer(len, u.out, mode);
}

int answer_copy(struct request *q, unsigned status, const char *type, const char *text, size_t len)
{
	return set(q, status, type, from_text(text, len, MHD_RESPMEM_MUST_COPY));
}

int answer_none(struct request *q, unsigned status)
{
	return set(q, status, NULL, from_text("", 0, MHD_RESPMEM_PERSISTENT));
}

int answer_stream(struct request *q, const char *type, struct MHD_Response *response)
{
	return set(q, MHD_HTTP_OK, type, response);
}

int answer_take(struct request *q, unsigned status, const char *type, struct buf *b)
{
	size_t len = b->len;
	char *text = b->failed ? NULL : buf_take(b);
	struct MHD_Response *response;

	if (!text)
		return -ENOMEM;
	response = MHD_create_response_from_buffer(len, text, MHD_RESPMEM_MUST_FREE);
	if (!response)
		free(text);
	return set(q, status, type, response);
}

int answer_json(struct request *q, unsigned status, json_t *v, struct err *e)
{
	auto_free char *text = v ? json_text(v) : NULL;
	struct MHD_Response *response;

	json_decref(v);
	if (!text)
		return err_nomem(e);
	response = MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
	if (response)
		(void)take_ptr(text); /* the response's now */
	return set(q, status, "application/json", response) ? err_nomem(e) : 0;
}

int answer_wrapped(struct request *q, unsigned status, const char *key, json_t *v, struct err *e)
{
	auto_json json_t *obj = json_object();

	if (json_put(obj, key, v))
		return err_nomem(e);
	return answer_json(q, status, json_incref(obj), e);
}

json_t *answer_string(const char *s)
{
	size_t n = strlen(s);
	auto_free char *copy = NULL;

	if (str_is_utf8(s, n))
		return json_stringn(s, n);
	copy = mem_strdup(s);
	if (!copy)
		return NULL;
	for (char *p = copy; *p; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	return json_string(copy);
}

struct tail { /* the last EVIDENCE_N rows of a walk */
	char rows[EVIDENCE_N][sizeof(((struct vm_event *)0)->text) + 40];
	unsigned n;
};

static int tail_row(void *ctx, const struct vm_event *ev)
{
	struct tail *t = ctx;

	if (*ev->text)
		(void)snprintf(t->rows[t->n++ % EVIDENCE_N], sizeof(t->rows[0]), "%s: %s", ev->kind,
			       ev->text); /* cut if too long */
	return 0;
}

/* What was observed of the VM that the answer is about, newest last. */
static json_t *evidence(struct request *q)
{
	json_t *arr = json_array();
	auto_free struct tail *t = NULL;
	unsigned from;

	if (!*q->vm)
		return arr;
	t = mem_zalloc(sizeof(*t));
	if (!t ||
	    store_event_each(control_store(q->rest->control), q->vm, 0, 4096, tail_row, t, NULL))
		return arr; /* an error without evidence is still an error */
	from = t->n > EVIDENCE_N ? t->n - EVIDENCE_N : 0;
	for (unsigned i = from; i < t->n; i++)
		if (json_push(arr, answer_string(t->rows[i % EVIDENCE_N])))
			break;
	return arr;
}

/* The deeper cause where the VM's record knows one, else the code itself. */
static const char *cause_of(struct request *q, const struct err *e)
{
	struct vm *v = *q->vm ? control_vm_find(q->rest->control, &q->actor, q->vm, NULL) : NULL;
	const struct vm_rec *rec = v ? vm_record(v) : NULL;

	return rec && *rec->cause ? rec->cause : e->id;
}

static json_t *error_json(struct request *q, const struct err *e)
{
	auto_json json_t *obj = json_object();
	json_t *outer = json_object();

	if (json_put(obj, "code", json_string(e->id)) ||
	    json_put(obj, "kind", json_string(err_kind_name(e->kind))) ||
	    json_put(obj, "message", answer_string(e->text)) ||
	    json_put(obj, "cause", answer_string(cause_of(q, e))) ||
	    json_put(obj, "remedy", answer_string(e->remedy)) ||
	    json_put(obj, "evidence", evidence(q)) ||
	    (*q->vm && json_put(obj, "vm", json_string(q->vm))) ||
	    json_put(obj, "requestId", json_string(q->id)) ||
	    json_put(outer, "error", json_incref(obj))) {
		json_decref(outer);
		return NULL;
	}
	return outer;
}

static const struct {
	const char *id;
	unsigned status;
} special[] = {
	/* Codes whose HTTP status is finer than their kind's. */
	{"http.no-method", MHD_HTTP_METHOD_NOT_ALLOWED},
	{"http.body-too-large", MHD_HTTP_CONTENT_TOO_LARGE},
	{"json.too-large", MHD_HTTP_CONTENT_TOO_LARGE},
	{"http.content-type", MHD_HTTP_UNSUPPORTED_MEDIA_TYPE},
	{"auth.missing", MHD_HTTP_UNAUTHORIZED},
	{"auth.token", MHD_HTTP_UNAUTHORIZED},
	{"auth.expired", MHD_HTTP_UNAUTHORIZED},
	{"idempotency.mismatch", MHD_HTTP_UNPROCESSABLE_CONTENT},
};

static unsigned status_of(const struct err *e)
{
	for (unsigned i = 0; i < ARRAY_LEN(special); i++)
		if (str_eq(special[i].id, e->id))
			return special[i].status;
	return (unsigned)err_http_status(e->kind);
}

/* Headers that HTTP asks for with some statuses (RFC 9110 sec. 15.5.2, 15.5.6, 10.2.3). */
static int status_headers(struct request *q)
{
	char allow[64];

	switch (q->status) {
	case MHD_HTTP_UNAUTHORIZED:
		return answer_header(q, MHD_HTTP_HEADER_WWW_AUTHENTICATE,
				     "Bearer realm=\"hearth\"");
	case MHD_HTTP_METHOD_NOT_ALLOWED:
		route_allow(q->url, allow, sizeof(allow));
		return answer_header(q, MHD_HTTP_HEADER_ALLOW, allow);
	case MHD_HTTP_TOO_MANY_REQUESTS:
		return answer_header(q, MHD_HTTP_HEADER_RETRY_AFTER,
				     "10"); /* a VM's end frees its share */
	case MHD_HTTP_SERVICE_UNAVAILABLE:
		return answer_header(q, MHD_HTTP_HEADER_RETRY_AFTER, "5");
	default:
		return 0;
	}
}

int answer_error(struct request *q, const struct err *given)
{
	struct err e = *given;
	int rc;

	if (!e.id) { /* a callee broke the rule that a failure is described */
		(void)err_set(&e, -EIO, ERR_BUG, "bug.no-error", "no reason was recorded");
	}
	rc = answer_json(q, status_of(&e), error_json(q, &e), NULL);
	return rc ? rc : status_headers(q);
}
