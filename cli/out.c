/*
 * Prints answers, facts, remarks and errors.
 * Called by the verbs and main.c.  Trust: texts come from guests and servers and are made harmless.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/text.h"
#include "json/json.h"

#define FACTS_DEPTH 8 /* no answer of hearthd is deeper than 6 */

int out_write(const void *data, size_t len, struct err *e)
{
	int rc = fd_write_all(STDOUT_FILENO, data, len);

	return rc < 0 ? err_sys(e, -rc, "cli.output", "standard output") : 0;
}

int out_buf(const struct buf *b, struct err *e)
{
	return b->failed ? err_nomem(e) : out_write(buf_text(b), b->len, e);
}

int out_json(const struct answer *a, struct err *e)
{
	int rc = out_write(buf_text(&a->text), a->text.len, e);

	if (!rc && a->text.len && a->text.data[a->text.len - 1] != '\n')
		rc = out_write("\n", 1, e);
	return rc;
}

void say(struct cli *c, enum tint tint, const char *fmt, ...)
{
	auto_buf line = {0};
	char text[2048]; /* an event's text has at most 600 bytes */
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)buf_printf(&line, "%s%s%s\n", tint_on(&c->err, tint), text, tint_off(&c->err, tint));
	(void)fd_write_all(STDERR_FILENO, buf_text(&line),
			   line.len); /* progress that nobody reads */
}

enum tint state_tint(const char *state)
{
	if (str_eq(state, "ready"))
		return TINT_GOOD;
	if (str_eq(state, "failed"))
		return TINT_BAD;
	return str_eq(state, "stopped") || str_eq(state, "gone") ? TINT_DIM : TINT_DOUBT;
}

enum tint verdict_tint(const char *verdict)
{
	if (str_eq(verdict, "holds"))
		return TINT_GOOD;
	if (str_eq(verdict, "fails"))
		return TINT_BAD;
	return str_eq(verdict, "not-built-yet") ? TINT_DIM : TINT_DOUBT;
}

int out_ids(const json_t *rows, const char *key, struct err *e)
{
	auto_buf out = {0};
	size_t i;
	json_t *row;

	json_array_foreach(rows, i, row)
	{
		auto_free char *id = text_clean(js_text(row, key));

		if (!id)
			return err_nomem(e);
		if (*id)
			(void)buf_printf(&out, "%s\n", id);
	}
	return out_buf(&out, e);
}

/* --- facts --- */

static bool is_plain(const json_t *v)
{
	return !json_is_object(v) && !json_is_array(v);
}

static bool all_plain(const json_t *arr)
{
	size_t i;
	json_t *v;

	json_array_foreach(arr, i, v) if (!is_plain(v)) return false;
	return true;
}

/* Does it need lines of its own? */
static bool has_parts(const json_t *v)
{
	return json_object_size(v) > 0 || (json_is_array(v) && !all_plain(v));
}

static void plain_text(const json_t *v, struct buf *b)
{
	if (json_is_string(v))
		(void)buf_puts(b, json_string_value(v));
	else if (json_is_integer(v))
		(void)buf_printf(b, "%lld", (long long)json_integer_value(v));
	else if (json_is_real(v))
		(void)buf_printf(b, "%.3g", json_real_value(v));
	else
		(void)buf_puts(b, json_is_boolean(v) ? (json_is_true(v) ? "yes" : "no") : "-");
}

static void list_text(const json_t *v, struct buf *b)
{
	size_t i;
	json_t *item;

	if (is_plain(v)) {
		plain_text(v, b);
		return;
	}
	json_array_foreach(v, i, item)
	{
		if (i)
			(void)buf_puts(b, ", ");
		plain_text(item, b);
	}
}

static void add_facts(struct table *t, const json_t *v, unsigned depth);

static void add_fact(struct table *t, const char *key, const json_t *v, unsigned depth)
{
	auto_buf text = {0}, name = {0};

	(void)buf_printf(&name, "%*s%s", (int)(2 * depth), "", key);
	if (!has_parts(v))
		list_text(v, &text);
	if (name.failed || text.failed)
		t->failed = true;
	table_cell(t, TINT_DIM, buf_text(&name));
	table_cell(t, TINT_NONE, text.len || !has_parts(v) ? buf_text(&text) : " ");
	if (has_parts(v) && depth < FACTS_DEPTH)
		add_facts(t, v, depth + 1);
}

static void add_facts(struct table *t, const json_t *v, unsigned depth)
{
	const char *key;
	json_t *value;
	size_t i;
	void *it;

	if (json_is_array(v)) {
		json_array_foreach(v, i, value)
		{
			char number[24];

			(void)snprintf(number, sizeof(number), "%zu", i + 1); /* fits */
			add_fact(t, number, value, depth);
		}
		return;
	}
	for (it = json_object_iter((json_t *)v); it; it = json_object_iter_next((json_t *)v, it)) {
		key = json_object_iter_key(it);
		add_fact(t, key, json_object_iter_value(it), depth);
	}
}

int out_facts(struct cli *c, const json_t *obj, struct err *e)
{
	static const struct column columns[] = {{NULL, false}, {NULL, false}};
	auto_table t = {.columns = columns, .n = 2};
	auto_buf out = {0};
	int rc;

	add_facts(&t, obj, 0);
	rc = table_print(&t, &c->out, &out, e);
	return rc ? rc : out_buf(&out, e);
}

/* --- errors --- */

static int own_error_json(const struct err *e, struct buf *out)
{
	auto_json json_t *obj = json_object();
	auto_free char *text = NULL;

	if (json_put(obj, "code", json_string(e->id)) ||
	    json_put(obj, "kind", json_string(err_kind_name(e->kind))) ||
	    json_put(obj, "message", json_string(e->text)) ||
	    json_put(obj, "cause", json_string(e->id)) ||
	    json_put(obj, "remedy", json_string(e->remedy)) ||
	    json_put(obj, "evidence", json_array()))
		return -ENOMEM;
	text = json_text(obj);
	return text ? buf_printf(out, "{\"error\":%s}\n", text) : -ENOMEM;
}

static void print_error_json(struct cli *c, const struct err *e)
{
	auto_buf out = {0};
	auto_free char *text = c->error ? json_text(c->error) : NULL;

	if (text)
		(void)buf_printf(&out, "{\"error\":%s}\n", text);
	else
		(void)own_error_json(e, &out); /* without memory the exit status still tells */
	(void)fd_write_all(STDERR_FILENO, buf_text(&out), out.len);
}

static void error_line(struct cli *c, struct buf *out, const char *key, const char *value)
{
	auto_free char *clean = text_clean(value);

	if (clean && *clean)
		(void)buf_printf(out, "  %s%-8s%s  %s\n", tint_on(&c->err, TINT_DIM), key,
				 tint_off(&c->err, TINT_DIM), clean);
}

static void print_error_text(struct cli *c, const struct err *e)
{
	auto_buf out = {0};
	auto_free char *text = text_clean(e->text);
	size_t i;
	json_t *line;

	(void)buf_printf(&out, "%shearth: %s%s\n", tint_on(&c->err, TINT_BAD),
			 text ? text : "no memory", tint_off(&c->err, TINT_BAD));
	if (c->error && !str_eq(js_text(c->error, "cause"), e->id))
		error_line(c, &out, "cause", js_text(c->error, "cause"));
	json_array_foreach(js_get(c->error, "evidence"), i, line) if (json_is_string(line))
		error_line(c, &out, i ? "" : "evidence", json_string_value(line));
	error_line(c, &out, "remedy", e->remedy);
	error_line(c, &out, "code", e->id);
	(void)fd_write_all(STDERR_FILENO, buf_text(&out), out.len); /* nowhere else to say it */
}

void say_error(struct cli *c, const struct err *e)
{
	if (c->json)
		print_error_json(c, e);
	else
		print_error_text(c, e);
	json_decref(c->error);
	c->error = NULL;
}
