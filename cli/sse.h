#pragma once
/*
 * A stream of server-sent events, fed piece by piece.
 *
 * Format (HTML Living Standard sec. 9.2.5, 9.2.6): UTF-8, an optional U+FEFF at the very beginning;
 * lines end by CR LF, LF or CR.  "field: value" (one blank behind the colon is not part of it), a
 * line that begins with a colon is a comment (hearthd's heartbeat), an empty line ends the event.
 * Fields: event (its kind), data (several are joined by LF), id (kept for the events after it),
 * retry and unknown ones are skipped.  An event without data is none.
 *
 * Trust: the server's bytes; lengths are bounded here.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

#define SSE_DATA_MAX (1u << 20) /* as JSON_MAX_BYTES: an event of ours has below 2 KiB */
#define SSE_NAME_MAX 64

struct sse {
	struct buf line, data;
	char event[SSE_NAME_MAX]; /* "message" when the stream does not say */
	char id[SSE_NAME_MAX];
	bool begun;  /* the first line is over */
	bool had_cr; /* a LF right behind belongs to it */
	bool any;    /* a data field was seen */
};

/* data is borrowed for the call; nonzero ends the walk and is returned by sse_feed. */
typedef int sse_fn(void *ctx, const char *event, const char *id, const char *data, size_t len);

/* 0, what fn said, -E2BIG for an event beyond SSE_DATA_MAX, or -ENOMEM. */
int sse_feed(struct sse *s, const char *bytes, size_t len, sse_fn *fn, void *ctx);
void sse_done(struct sse *s);
#define auto_sse __attribute__((cleanup(sse_done))) struct sse
