/*
 * Answers without an end: event streams and consoles that are followed.
 *
 * A stream keeps no queue.  It keeps a cursor (an event's number, an offset in the console file)
 * and a few KiB of text made from what lies behind the cursor.  Only when the client has taken
 * these does it look for more, so a slow client costs nothing but its own delay; one that takes
 * nothing at all is dropped by libmicrohttpd's inactivity time-out, and logged.  When there is
 * nothing more the connection sleeps (hold.c) until an event, a change of the file, or the
 * heartbeat wakes it.
 *
 * Called by libmicrohttpd's reader callback and by what wakes; loop's thread.
 */
#include <stdio.h>
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "rest/rest_internal.h"

#define BLOCK 4096 /* bytes a reader callback is asked for: a quarter of POOL_BYTES */

void stream_wake(struct stream *s)
{
	hold_wake(s->q);
}

/* Copy pending text out; the buffer is kept for the next. */
static ssize_t take(struct stream *s, char *dst, size_t max)
{
	size_t n = s->pending.len - s->sent;

	if (n > max)
		n = max;
	memcpy(dst, s->pending.data + s->sent, n);
	s->sent += n;
	s->active_ns = clock_mono_ns();
	if (s->sent == s->pending.len) {
		buf_reset(&s->pending);
		s->sent = 0;
	}
	return (ssize_t)n;
}

static ssize_t reader(void *cls, uint64_t pos, char *dst, size_t max)
{
	struct stream *s = cls;
	int rc;

	(void)pos; /* the cursor knows */
	if (s->q->gone || s->q->rest->stopping)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (s->pending.len > s->sent)
		return take(s, dst, max);
	if (s->ended)
		return MHD_CONTENT_READER_END_OF_STREAM;
	rc = s->ops->fill(s);
	if (s->pending.failed)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	s->ended = rc == -ENODATA;
	if (s->pending.len > 0)
		return take(s, dst, max);
	if (s->ended)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (rc < 0)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	hold_sleep(s->q);
	return 0;
}

int stream_start(struct request *q, const struct stream_ops *ops, const char *vm, uint64_t cursor,
		 struct err *e)
{
	struct rest *r = q->rest;
	struct stream *s = mem_zalloc(sizeof(*s));
	struct MHD_Response *response;

	assert(!q->stream);
	if (!s)
		return err_nomem(e);
	q->stream = s;
	s->q = q;
	s->ops = ops;
	s->cursor = cursor;
	s->wd = -1;
	s->active_ns = clock_mono_ns();
	(void)snprintf(s->vm, sizeof(s->vm), "%s", vm); /* ids fit */
	s->next = r->streams;
	s->prevp = &r->streams;
	if (s->next)
		s->next->prevp = &s->next;
	r->streams = s;
	/* The request owns the stream and outlives the reader's last call: no free callback. */
	response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, reader, s, NULL);
	if (!response)
		return err_nomem(e);
	if (answer_stream(q, ops->type, response))
		return err_nomem(e);
	return 0;
}

void stream_free(struct stream *s)
{
	if (!s)
		return;
	if (s->ops->done)
		s->ops->done(s);
	*s->prevp = s->next;
	if (s->next)
		s->next->prevp = s->prevp;
	buf_done(&s->pending);
	free(s);
}

static void beat(struct timer *t)
{
	struct rest *r = container_of(t, struct rest, beat_timer);
	uint64_t now = clock_mono_ns();

	for (struct stream *s = r->streams; s; s = s->next) {
		if (!s->ops->beat || !s->q->asleep || now - s->active_ns < BEAT_S * NS_PER_S / 2)
			continue;
		s->ops->beat(s);
		stream_wake(s);
	}
	(void)loop_timer_in(r->loop, &r->beat_timer, BEAT_S * NS_PER_S); /* has its place */
}

/* Called for each event as it is committed; the streams read it from the store when they run. */
static void happened(struct event_sub *sub, const struct vm_event *ev)
{
	struct rest *r = container_of(sub, struct rest, sub);

	r->last_seq = ev->seq;
	for (struct stream *s = r->streams; s; s = s->next)
		if (!*s->vm || str_eq(s->vm, ev->vm))
			stream_wake(s);
}

static int exists(void *ctx, const struct vm_event *ev)
{
	(void)ev;
	*(bool *)ctx = true;
	return 0;
}

/* The newest event's number: "is there one behind n" is true below it and false from it on. */
static int find_last_seq(struct rest *r, struct err *e)
{
	uint64_t lo = 0, hi = INT64_MAX; /* SQLite's largest row id */

	while (lo < hi) {
		uint64_t mid = lo + (hi - lo) / 2;
		bool more = false;
		int rc =
			store_event_each(control_store(r->control), NULL, mid, 1, exists, &more, e);

		if (rc)
			return rc;
		if (more)
			lo = mid + 1;
		else
			hi = mid;
	}
	r->last_seq = lo;
	return 0;
}

int stream_init(struct rest *r, struct err *e)
{
	int rc = find_last_seq(r, e);

	if (rc)
		return rc;
	rc = console_follow_init(r, e);
	if (rc)
		return rc;
	r->beat_timer.fire = beat;
	if (loop_timer_in(r->loop, &r->beat_timer, BEAT_S * NS_PER_S))
		return err_nomem(e);
	r->sub.fn = happened;
	control_subscribe(r->control, &r->sub);
	return 0;
}

void stream_fini(struct rest *r)
{
	assert(!r->streams); /* every request has ended */
	if (r->sub.fn)
		control_unsubscribe(r->control, &r->sub);
	loop_timer_stop(r->loop, &r->beat_timer);
	console_follow_done(r);
}
