/*
 * One request from its first header to its last byte.  libmicrohttpd calls request_access three or
 * more times: with the headers, with pieces of the body, when all is there, and again after a held
 * request woke up.
 *
 * The headers are judged first (route, role, parameters, type), so that a refused request costs
 * nothing; its body is still read to the end before the answer goes out, because closing a socket
 * with unread data in it resets the connection and the client would never see the reason.
 *
 * Trust: everything was chosen by the client.
 */
#include <stdio.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/str.h"
#include "rest/rest_internal.h"

/* The client's own id where it is harmless in a log and a header, else a new one. */
static void choose_id(struct request *q)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	const char *given = MHD_lookup_connection_value(q->conn, MHD_HEADER_KIND, "X-Request-Id");

	if (given && *given && strspn(given, allowed) == strlen(given) &&
	    str_copy(q->id, sizeof(q->id), given))
		return;
	(void)snprintf(q->id, sizeof(q->id), "%s-%llu", q->rest->id_prefix,
		       (unsigned long long)q->rest->requests); /* 8 + 21 bytes fit in 65 */
}

static struct request *request_new(struct rest *r, struct MHD_Connection *conn, const char *method,
				   const char *url)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(conn, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct request *q = mem_zalloc(sizeof(*q));

	if (!q)
		return NULL;
	r->requests++;
	q->rest = r;
	q->peer = info->socket_context;
	q->peer->req = q;
	q->conn = conn;
	q->method = method;
	q->url = url;
	q->begin_ns = clock_mono_ns();
	q->hangup.fd = -1;
	q->body.max = BODY_MAX;
	choose_id(q);
	return q;
}

static void request_free(struct request *q)
{
	hold_cancel(q);
	stream_free(q->stream);
	if (q->response)
		MHD_destroy_response(q->response);
	buf_done(&q->body);
	q->peer->req = NULL;
	free(q);
}

static int find_route(struct request *q, struct err *e)
{
	char allow[64];

	q->route = route_find(q->method, q->url, q->arg);
	if (q->route)
		return 0;
	route_allow(q->url, allow, sizeof(allow));
	if (*allow)
		return err_set(e, -ENOTSUP, ERR_CALLER, "http.no-method",
			       "%.16s %.200s: this path has %s only", q->method, q->url, allow);
	return err_set(e, -ENOENT, ERR_ABSENT, "http.no-route", "%.16s %.200s: no such route",
		       q->method, q->url);
}

/* A body must call itself JSON (RFC 8259); "application/json; charset=utf-8" is fine too. */
static int check_type(struct request *q, struct err *e)
{
	static const char json[] = "application/json";
	const char *type =
		MHD_lookup_connection_value(q->conn, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_TYPE);
	size_t n = sizeof(json) - 1;

	if (type && strncasecmp(type, json, n) == 0 && (!type[n] || strchr("; ", type[n])))
		return 0;
	return err_set(e, -EINVAL, ERR_CALLER, "http.content-type",
		       "Content-Type: \"%.64s\", expected application/json", type ? type : "");
}

static int too_large(struct request *q, struct err *e)
{
	q->too_long = true;
	return err_set(e, -EFBIG, ERR_CALLER, "http.body-too-large",
		       "request body: more than the %u bytes that are read", BODY_MAX);
}

/* Length and type of the body as announced; *ret_hopeless: too long even to be read and dropped. */
static int check_body(struct request *q, bool *ret_hopeless, struct err *e)
{
	const char *text = MHD_lookup_connection_value(q->conn, MHD_HEADER_KIND,
						       MHD_HTTP_HEADER_CONTENT_LENGTH);
	uint64_t len = 0;

	/* What is no number was refused by libmicrohttpd; an absurd one ends up as too large. */
	if (text && parse_u64(text, 0, UINT64_MAX, &len))
		len = UINT64_MAX;
	*ret_hopeless = len > BODY_DRAIN_MAX;
	if (len > BODY_MAX)
		return too_large(q, e);
	if (len || MHD_lookup_connection_value(q->conn, MHD_HEADER_KIND,
					       MHD_HTTP_HEADER_TRANSFER_ENCODING))
		return check_type(q, e);
	return 0;
}

/* Everything that the headers decide. */
static int judge(struct request *q, bool *ret_hopeless, struct err *e)
{
	int rc = check_body(q, ret_hopeless, e);

	if (!rc)
		rc = find_route(q, e);
	if (!rc)
		rc = auth_check(q, e);
	if (!rc)
		rc = query_check(q, e);
	return rc;
}

static enum MHD_Result hand_over(struct request *q)
{
	enum MHD_Result ok;

	if (!q->response) /* no memory for an answer: close */
		return MHD_NO;
	ok = MHD_queue_response(q->conn, q->status, q->response);
	MHD_destroy_response(q->response); /* libmicrohttpd holds its own reference */
	q->response = NULL;
	return ok;
}

static enum MHD_Result begin(struct request *q)
{
	struct err e = {0};
	bool hopeless = false;

	if (judge(q, &hopeless, &e) && answer_error(q, &e))
		return MHD_NO;
	return hopeless ? hand_over(q) : MHD_YES;
}

static enum MHD_Result take_body(struct request *q, const char *data, size_t len)
{
	struct err e = {0};

	q->body_len += len;
	if (q->body_len > BODY_DRAIN_MAX)
		return MHD_NO; /* chunked without end: nothing better to say than good-bye */
	if (q->response)
		return MHD_YES; /* refused already: read on, keep nothing */
	if (q->body_len <= BODY_MAX)
		return buf_add(&q->body, data, len) ? MHD_NO : MHD_YES;
	(void)too_large(q, &e);
	return answer_error(q, &e) ? MHD_NO : MHD_YES;
}

static void dispatch(struct request *q)
{
	struct err e = {0};

	q->started = true;
	q->peer->busy = true;
	if (q->response)
		return; /* refused by its headers or its length */
	if (q->route->run(q, &e) < 0)
		(void)answer_error(q, &e); /* without memory for it the connection is closed */
}

enum MHD_Result request_access(void *cls, struct MHD_Connection *conn, const char *url,
			       const char *method, const char *version, const char *data,
			       size_t *len, void **ctx)
{
	struct request *q = *ctx;

	(void)version; /* libmicrohttpd deals with it */
	if (!q) {
		q = *ctx = request_new(cls, conn, method, url);
		return q ? begin(q) : MHD_NO;
	}
	if (*len) {
		size_t n = *len;

		*len = 0; /* all of it was taken */
		return take_body(q, data, n);
	}
	if (q->gone || q->rest->stopping)
		return MHD_NO;
	if (!q->started)
		dispatch(q);
	return q->asleep ? MHD_YES : hand_over(q);
}

static const char *const ends[] = {
	[MHD_REQUEST_TERMINATED_COMPLETED_OK] = "ok",
	[MHD_REQUEST_TERMINATED_WITH_ERROR] = "error",
	[MHD_REQUEST_TERMINATED_TIMEOUT_REACHED] = "timeout",
	[MHD_REQUEST_TERMINATED_DAEMON_SHUTDOWN] = "shutdown",
	[MHD_REQUEST_TERMINATED_READ_ERROR] = "client-gone",
	[MHD_REQUEST_TERMINATED_CLIENT_ABORT] = "client-gone",
};

static void log_request(const struct request *q, const char *end)
{
	bool reads = str_eq(q->method, "GET") || str_eq(q->method, "HEAD");
	/* The path without its parameters; ids stand in it, secrets never do. */
	const struct log_field fields[] = {
		LS("method", q->method),
		LS("path", q->url),
		LU("status", q->status),
		LS("end", end),
		LU("took_us", (clock_mono_ns() - q->begin_ns) / 1000),
		LS("user", q->actor.user_id),
		LS("via", q->peer->on_unix ? "unix" : "tcp"),
		LS("request", q->id),
		{.key = NULL},
	};

	log_write(reads ? LOG_LV_DEBUG : LOG_LV_INFO, "http.request", fields);
}

void request_completed(void *cls, struct MHD_Connection *conn, void **ctx,
		       enum MHD_RequestTerminationCode why)
{
	struct request *q = *ctx;
	struct rest *r = cls;

	(void)conn; /* q knows it */
	if (!q)
		return;
	*ctx = NULL;
	if (q->status >= 100 && q->status < 600)
		r->by_class[q->status / 100]++;
	if (why == MHD_REQUEST_TERMINATED_TIMEOUT_REACHED) {
		r->dropped++;
		log_info("http.dropped",
			 LS("reason", q->status ? "reads too slowly" : "sends too slowly"),
			 LS("path", q->url), LS("user", q->actor.user_id), LS("request", q->id));
	}
	log_request(q, (size_t)why < ARRAY_LEN(ends) ? ends[why] : "-");
	q->peer->busy = false;
	q->peer->since_ns = clock_mono_ns();
	request_free(q);
}
