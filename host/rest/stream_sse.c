/*
 * Server-sent events (HTML Living Standard sec. 9.2): "id:" is the event's number, "event:" its
 * kind, "data:" the event as JSON in one line.  A client that comes back with Last-Event-ID goes on
 * behind it. Called by stream.c and the handlers of events; loop's thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "base/str.h"
#include "json/json.h"
#include "rest/rest_internal.h"

#define BATCH 64 /* events a look-up: about 20 KiB of text at the most usual lengths */

struct batch {
	struct stream *s;
	unsigned rows;
	int rc;
};

static int add_event(void *ctx, const struct vm_event *ev)
{
	struct batch *b = ctx;
	struct stream *s = b->s;
	auto_free char *text = NULL;
	json_t *v;

	b->rows++;
	s->cursor = ev->seq;
	if (!control_event_visible(s->q->rest->control, &s->q->actor, ev))
		return 0;
	v = event_json(ev);
	text = v ? json_text(v) : NULL;
	json_decref(v);
	if (!text)
		return b->rc = -ENOMEM;
	return b->rc = buf_printf(&s->pending, "id: %llu\nevent: %s\ndata: %s\n\n",
				  (unsigned long long)ev->seq, ev->kind, text);
}

static int fill(struct stream *s)
{
	struct batch b = {.s = s};
	int rc = store_event_each(control_store(s->q->rest->control), *s->vm ? s->vm : NULL,
				  s->cursor, BATCH, add_event, &b, NULL);

	if (b.rc || rc < 0)
		return b.rc ? b.rc : rc;
	/* A whole batch that this actor may not see: say how far we are, so that others get their
	 * turn. */
	if (b.rows == BATCH && s->pending.len == 0)
		return buf_printf(&s->pending, ": at %llu\n\n", (unsigned long long)s->cursor);
	return s->pending.len > 0;
}

static void beat(struct stream *s)
{
	(void)buf_puts(&s->pending, ":\n\n"); /* without memory there is just no heartbeat */
}

const struct stream_ops sse_ops = {.type = "text/event-stream", .fill = fill, .beat = beat};

/* Where to begin: ?after=, else Last-Event-ID, else `otherwise`. */
static int begin_at(struct request *q, uint64_t otherwise, uint64_t *ret, struct err *e)
{
	const char *last = MHD_lookup_connection_value(q->conn, MHD_HEADER_KIND, "Last-Event-ID");

	*ret = otherwise;
	if (last && parse_u64(last, 0, INT64_MAX, ret))
		return err_set(e, -EINVAL, ERR_CALLER, "http.last-event-id",
			       "Last-Event-ID: \"%.64s\", expected an event's number", last);
	return query_u64(q, "after", INT64_MAX, ret, e);
}

int route_events(struct request *q, struct err *e)
{
	uint64_t after;
	int rc = begin_at(q, q->rest->last_seq, &after, e);

	return rc ? rc : stream_start(q, &sse_ops, "", after, e);
}

/* --- the history of one VM, also of one that is gone --- */

struct history {
	struct request *q;
	json_t *rows;
	unsigned seen;
	bool visible;
};

static int add_row(void *ctx, const struct vm_event *ev)
{
	struct history *h = ctx;

	h->seen++;
	if (!control_event_visible(h->q->rest->control, &h->q->actor, ev))
		return 0;
	h->visible = true;
	return h->rows ? json_push(h->rows, event_json(ev)) : 0;
}

/* 404 unless there is a VM or evidence of one that this actor may see. */
static int resolve(struct request *q, char ret_id[ID_LEN], struct err *e)
{
	struct vm *v = control_vm_find(q->rest->control, &q->actor, q->arg, e);
	struct history h = {.q = q};
	int rc;

	if (v)
		return str_copy(ret_id, ID_LEN, vm_record(v)->id) ? 0 : -EINVAL;
	if (!id_valid("vm", q->arg) || !str_copy(ret_id, ID_LEN, q->arg))
		return -ENOENT; /* e says it */
	rc = store_event_each(control_store(q->rest->control), ret_id, 0, 1, add_row, &h, e);
	if (rc)
		return rc;
	return h.visible ? 0 : -ENOENT;
}

static bool wants_stream(struct request *q)
{
	const char *accept =
		MHD_lookup_connection_value(q->conn, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT);

	return accept && strstr(accept, "text/event-stream");
}

int route_vm_events(struct request *q, struct err *e)
{
	struct history h = {.q = q};
	uint64_t after = 0;
	uint32_t limit = 1000;
	char id[ID_LEN];
	int rc = resolve(q, id, e);

	if (!rc)
		rc = begin_at(q, 0, &after, e);
	if (!rc)
		rc = query_u32(q, "limit", 10000, &limit, e);
	if (rc)
		return rc;
	if (wants_stream(q))
		return stream_start(q, &sse_ops, id, after, e);
	h.rows = json_array();
	rc = h.rows ? store_event_each(control_store(q->rest->control), id, after, limit, add_row,
				       &h, e)
		    : err_nomem(e);
	if (rc) {
		json_decref(h.rows);
		return rc;
	}
	return answer_wrapped(q, MHD_HTTP_OK, "events", h.rows, e);
}
