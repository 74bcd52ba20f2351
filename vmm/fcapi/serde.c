/*
 * Binds JSON as Rust's serde_json does: the same sentences, with line and column.
 *
 * serde reads the text from front to back and names the place where it stopped: behind the key for
 * an unknown field, behind the closing brace for a missing one, behind the value for a wrong one.
 * We parse first and look for that place afterwards, in the text.
 */
#include "fcapi/serde.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/str.h"

#define DEPTH_MAX 16u

__attribute__((format(printf, 2, 3))) static int fail(char why[SERDE_TEXT_MAX], const char *fmt,
						      ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(why, SERDE_TEXT_MAX, fmt, ap); /* cut is fine: for people */
	va_end(ap);
	return -EINVAL;
}

/* --- places --- */

static size_t skip_string(const struct serde_source *s, size_t at)
{
	for (at++; at < s->len && s->text[at] != '"'; at++)
		if (s->text[at] == '\\')
			at++;
	return at < s->len ? at + 1 : s->len;
}

/* Just behind `key` of the first object that has it. */
static size_t behind_key(const struct serde_source *s, const char *key)
{
	size_t n = strlen(key), at = 0;

	while (at < s->len) {
		size_t end;

		if (s->text[at] != '"') {
			at++;
			continue;
		}
		end = skip_string(s, at);
		if (end - at == n + 2 && !memcmp(s->text + at + 1, key, n)) {
			size_t colon = end;

			while (colon < s->len && strchr(" \t\r\n", s->text[colon]))
				colon++;
			if (colon < s->len && s->text[colon] == ':')
				return end;
		}
		at = end;
	}
	return s->len;
}

static size_t behind_value(const struct serde_source *s, const char *key)
{
	size_t at = behind_key(s, key);

	while (at < s->len && strchr(": \t\r\n", s->text[at]))
		at++;
	if (at < s->len && s->text[at] == '"')
		return skip_string(s, at);
	while (at < s->len && !strchr(",}] \t\r\n", s->text[at]))
		at++;
	return at;
}

static size_t behind_all(const struct serde_source *s)
{
	size_t at = s->len;

	while (at > 0 && strchr(" \t\r\n", s->text[at - 1]))
		at--;
	return at;
}

struct place {
	unsigned line, column;
};

static struct place place_of(const struct serde_source *s, size_t at)
{
	struct place p = {1, 0};

	for (size_t i = 0; i < at && i < s->len; i++) {
		p.column++;
		if (s->text[i] == '\n')
			p = (struct place){p.line + 1, 0};
	}
	return p;
}

/* --- values --- */

static const char *type_name(enum serde_type t, size_t size)
{
	if (t == SERDE_UINT)
		return size == 1 ? "u8" : size == 2 ? "u16" : size == 4 ? "u32" : "u64";
	return t == SERDE_STR ? "a string" : t == SERDE_BOOL ? "a boolean" : "a map";
}

static const char *value_name(json_t *v, char *room, size_t cap)
{
	bool fits = true;

	if (json_is_string(v))
		fits = str_fmt(room, cap, "string \"%s\"", json_string_value(v));
	else if (json_is_integer(v))
		fits = str_fmt(room, cap, "integer `%lld`", (long long)json_integer_value(v));
	else if (json_is_real(v))
		fits = str_fmt(room, cap, "floating point `%g`", json_real_value(v));
	else if (json_is_boolean(v))
		fits = str_fmt(room, cap, "boolean `%s`", json_is_true(v) ? "true" : "false");
	else
		return json_is_null(v) ? "null" : json_is_array(v) ? "sequence" : "map";
	(void)fits; /* a long string is cut: for people */
	return room;
}

static int wrong_type(const struct serde_source *s, json_t *v, const struct serde_field *f,
		      char why[SERDE_TEXT_MAX])
{
	struct place p = place_of(s, behind_value(s, f->name));
	bool range = f->type == SERDE_UINT && json_is_integer(v);
	char room[160];

	return fail(why, "invalid %s: %s, expected %s at line %u column %u",
		    range ? "value" : "type", value_name(v, room, sizeof(room)),
		    type_name(f->type, f->size), p.line, p.column);
}

static int list_names(struct buf *b, const char *const *names, size_t n)
{
	(void)buf_puts(b, n > 2 ? "one of " : "");
	for (size_t i = 0; i < n; i++)
		(void)buf_printf(b, "%s`%s`", i == 0 ? "" : n == 2 ? " or " : ", ", names[i]);
	return b->failed ? -ENOMEM : 0;
}

static int bind_enum(const struct serde_source *s, json_t *v, const struct serde_field *f,
		     unsigned *dst, char why[SERDE_TEXT_MAX])
{
	struct place p = place_of(s, behind_value(s, f->name));
	auto_buf list = {0};
	size_t n = 0;

	if (!json_is_string(v))
		return wrong_type(s, v, f, why);
	for (n = 0; f->names[n]; n++) {
		if (str_eq(f->names[n], json_string_value(v))) {
			*dst = (unsigned)n;
			return 0;
		}
	}
	if (list_names(&list, f->names, n))
		return fail(why, "out of memory");
	return fail(why, "unknown variant `%s`, expected %s at line %u column %u",
		    json_string_value(v), buf_text(&list), p.line, p.column);
}

static int bind_uint(const struct serde_source *s, json_t *v, const struct serde_field *f,
		     void *dst, char why[SERDE_TEXT_MAX])
{
	uint64_t n = (uint64_t)json_integer_value(v);

	if (!json_is_integer(v) || json_integer_value(v) < 0 ||
	    (f->size < sizeof(n) && n >> (8 * f->size)))
		return wrong_type(s, v, f, why);
	memcpy(dst, &n, f->size); /* little endian, as the machines that we build for */
	return 0;
}

static int bind_str(const struct serde_source *s, json_t *v, const struct serde_field *f, char *dst,
		    char why[SERDE_TEXT_MAX])
{
	if (!json_is_string(v))
		return wrong_type(s, v, f, why);
	if (json_string_length(v) != strlen(json_string_value(v)) ||
	    !str_copy(dst, f->size, json_string_value(v)))
		return fail(why, "field `%s`: more than %zu bytes", f->name, f->size - 1);
	return 0;
}

static int bind_value(const struct serde_source *s, json_t *v, const struct serde_field *f,
		      void *dst, char why[SERDE_TEXT_MAX])
{
	switch (f->type) {
	case SERDE_STR:
		return bind_str(s, v, f, dst, why);
	case SERDE_UINT:
		return bind_uint(s, v, f, dst, why);
	case SERDE_ENUM:
		return bind_enum(s, v, f, dst, why);
	case SERDE_ANY:
		*(json_t **)dst = v;
		return 0;
	case SERDE_OBJ:
		return serde_bind(s, v, f->struct_name, f->fields, dst, why);
	default:
		if (!json_is_boolean(v))
			return wrong_type(s, v, f, why);
		*(bool *)dst = json_is_true(v);
		return 0;
	}
}

static int unknown(const struct serde_source *s, const char *key, const struct serde_field *fields,
		   char why[SERDE_TEXT_MAX])
{
	struct place p = place_of(s, behind_key(s, key));
	const char *names[64] = {NULL};
	auto_buf list = {0};
	size_t n = 0;

	for (; fields[n].type != SERDE_END && n < ARRAY_LEN(names); n++)
		names[n] = fields[n].name;
	if (list_names(&list, names, n))
		return fail(why, "out of memory");
	return fail(why, "unknown field `%s`, %s%s at line %u column %u", key,
		    n ? "expected " : "there are no fields", buf_text(&list), p.line, p.column);
}

static const struct serde_field *find(const struct serde_field *fields, const char *key)
{
	while (fields->type != SERDE_END && !str_eq(fields->name, key))
		fields++;
	return fields;
}

int serde_bind(const struct serde_source *src, json_t *v, const char *struct_name,
	       const struct serde_field *fields, void *dst, char ret_why[SERDE_TEXT_MAX])
{
	struct place end = place_of(src, behind_all(src));
	const char *key;
	json_t *value;
	char room[160];

	if (!json_is_object(v))
		return fail(ret_why, "invalid type: %s, expected struct %s at line %u column %u",
			    value_name(v, room, sizeof(room)), struct_name, end.line, end.column);
	json_object_foreach(v, key, value)
	{
		const struct serde_field *f = find(fields, key);
		int rc;

		if (f->type == SERDE_END && (f->flags & SERDE_ALLOW_UNKNOWN))
			continue;
		if (f->type == SERDE_END)
			return unknown(src, key, fields, ret_why);
		if ((f->flags & SERDE_NULLABLE) && json_is_null(value))
			continue;
		rc = bind_value(src, value, f, (char *)dst + f->offset, ret_why);
		if (rc)
			return rc;
		if (f->given_offset != SIZE_MAX)
			*(bool *)((char *)dst + f->given_offset) = true;
	}
	for (const struct serde_field *f = fields; f->type != SERDE_END; f++)
		if ((f->flags & SERDE_REQUIRED) && !json_object_get(v, f->name))
			return fail(ret_why, "missing field `%s` at line %u column %u", f->name,
				    end.line, end.column);
	return 0;
}

/* jansson would follow any depth up to 2048 by recursion; nothing of ours is deeper than 6. */
static bool too_deep(const struct serde_source *s)
{
	unsigned depth = 0;

	for (size_t at = 0; at < s->len;) {
		char c = s->text[at];

		if (c == '"') {
			at = skip_string(s, at);
			continue;
		}
		if ((c == '{' || c == '[') && ++depth > DEPTH_MAX)
			return true;
		if ((c == '}' || c == ']') && depth)
			depth--;
		at++;
	}
	return false;
}

json_t *serde_parse(const struct serde_source *src, char ret_why[SERDE_TEXT_MAX])
{
	json_error_t je;
	json_t *v;

	if (too_deep(src)) {
		(void)fail(ret_why, "recursion limit exceeded");
		return NULL;
	}
	v = json_loadb(src->text, src->len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &je);
	if (!v)
		(void)fail(ret_why, "%s at line %d column %d", je.text, je.line, je.column);
	return v;
}
