/*
 * Parses a stream of server-sent events; the format stands in sse.h.
 * Called by the verbs that follow something.  Trust: the server's bytes.
 */
#include "cli/sse.h"

#include <errno.h>
#include <string.h>

#include "base/str.h"

static void set_name(char dst[SSE_NAME_MAX], const char *value)
{
	if (!str_copy(dst, SSE_NAME_MAX, value))
		dst[0] = '\0'; /* longer than any of ours: as if it were not there */
}

static int take_field(struct sse *s, const char *name, const char *value)
{
	if (str_eq(name, "event")) {
		set_name(s->event, value);
	} else if (str_eq(name, "id")) {
		set_name(s->id, value);
	} else if (str_eq(name, "data")) {
		s->data.max = SSE_DATA_MAX;
		if ((s->any && buf_add(&s->data, "\n", 1)) || buf_puts(&s->data, value))
			return s->data.len + strlen(value) >= SSE_DATA_MAX ? -E2BIG : -ENOMEM;
		s->any = true;
	}
	return 0;
}

static int dispatch(struct sse *s, sse_fn *fn, void *ctx)
{
	int rc = 0;

	if (s->any)
		rc = fn(ctx, *s->event ? s->event : "message", s->id, buf_text(&s->data),
			s->data.len);
	buf_reset(&s->data);
	s->event[0] = '\0';
	s->any = false;
	return rc;
}

static int end_line(struct sse *s, sse_fn *fn, void *ctx)
{
	auto_buf line = s->line; /* taken: fn may take its time, and the next line starts empty */
	char *text, *colon;

	s->line = (struct buf){0};
	if (!line.len)
		return dispatch(s, fn, ctx);
	text = line.data;
	if (!s->begun && str_starts(text, "\xef\xbb\xbf"))
		text += 3;
	colon = strchr(text, ':');
	if (colon == text)
		return 0;
	if (!colon)
		return take_field(s, text, "");
	*colon = '\0';
	return take_field(s, text, colon + 1 + (colon[1] == ' '));
}

static int add(struct sse *s, const char *bytes, size_t len)
{
	s->line.max = SSE_DATA_MAX;
	if (!buf_add(&s->line, bytes, len))
		return 0;
	return s->line.len + len > SSE_DATA_MAX ? -E2BIG : -ENOMEM;
}

int sse_feed(struct sse *s, const char *bytes, size_t len, sse_fn *fn, void *ctx)
{
	size_t i = 0;
	int rc = 0;

	while (i < len && !rc) {
		size_t n = 0;

		if (s->had_cr && bytes[i] == '\n') {
			s->had_cr = false;
			i++;
			continue;
		}
		s->had_cr = false;
		while (i + n < len && bytes[i + n] != '\n' && bytes[i + n] != '\r')
			n++;
		rc = n ? add(s, bytes + i, n) : 0;
		i += n;
		if (rc || i == len)
			break;
		s->had_cr = bytes[i++] == '\r';
		rc = end_line(s, fn, ctx);
		s->begun = true;
	}
	return rc;
}

void sse_done(struct sse *s)
{
	buf_done(&s->line);
	buf_done(&s->data);
}
