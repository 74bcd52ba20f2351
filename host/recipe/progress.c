/*
 * Progress of a build as JSON lines, one object a line, for the controller that started it.
 * Called by every step of a build, in its own process.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "json/json.h"
#include "recipe/recipe_internal.h"

/* Consumes v.  A reader that has gone away must not end the build. */
static void emit(const struct progress *p, json_t *v)
{
	char *text = v && p->fd >= 0 ? json_dumps(v, JSON_COMPACT) : NULL;
	auto_buf line = {0};

	if (text && !buf_printf(&line, "%s\n", text))
		(void)fd_write_all(p->fd, line.data, line.len);
	free(text);
	json_decref(v);
}

void progress_start(struct progress *p, const char *phase, const char *text)
{
	p->phase = phase;
	p->since_ns = clock_mono_ns();
	emit(p, json_pack("{ssssss}", "phase", phase, "state", "start", "text", text));
}

void progress_end(struct progress *p, int rc, const char *text, const struct err *e)
{
	uint64_t ms = (clock_mono_ns() - p->since_ns) / NS_PER_MS;

	emit(p, json_pack("{sssssIss}", "phase", p->phase, "state", rc < 0 ? "fail" : "ok", "ms",
			  (json_int_t)ms, "text", rc < 0 && e ? e->text : text));
}

void progress_result(struct progress *p, const char *digest, const char *name, bool cached)
{
	emit(p,
	     json_pack("{s{sssssb}}", "result", "digest", digest, "name", name, "cached", cached));
}

void progress_error(struct progress *p, const struct err *e)
{
	emit(p, json_pack("{s{ssssssss}}", "error", "code", e->id ? e->id : "bug", "kind",
			  err_kind_name(e->kind), "message", e->text, "remedy", e->remedy));
}
