/*
 * Binds JSON objects to C structs by a table of fields, and says in one sentence what does not fit.
 * Called by the API layers and by readers of documents, on any thread.  Trust: the object is
 * hostile, the table is ours.
 */
#include "json/json.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#define QUOTE_MAX 48 /* bytes of a hostile text that an error repeats: enough to know it */
#define QUOTE_LEN (QUOTE_MAX + 6) /* opening quote, "...", closing quote, NUL */

/* One field that is being looked at, for sentences. */
struct place {
	const char *what;
	const struct json_field *field;
	struct err *e;
};

/* True at a control character: C0, DEL, or C1 (U+0080..U+009F), which terminals obey, too. */
static bool is_control(const char *s)
{
	const unsigned char *p = (const unsigned char *)s;

	return p[0] < 0x20 || p[0] == 0x7f || (p[0] == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f);
}

/* The text in quotes, cut, with everything unprintable replaced. */
static const char *quote(const char *s, char ret[QUOTE_LEN])
{
	size_t n = 0;

	ret[n++] = '"';
	for (; *s && n <= QUOTE_MAX; s++)
		ret[n++] = *s >= 0x20 && *s < 0x7f ? *s : '?';
	(void)snprintf(ret + n, QUOTE_LEN - n, "%s", *s ? "...\"" : "\""); /* fits */
	return ret;
}

static const char *type_name(const json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "an array";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
		return "an integer";
	case JSON_REAL:
		return "a number that is no integer";
	case JSON_TRUE:
	case JSON_FALSE:
		return "a boolean";
	case JSON_NULL:
		return "null";
	}
	return "an unknown type";
}

/* What the field should be: "an integer from 1 to 32". */
static void describe(const struct json_field *f, struct buf *b)
{
	switch (f->type) {
	case JSON_T_STR:
		(void)buf_printf(b, "a string of %" PRId64 " to %" PRId64 " bytes", f->min, f->max);
		break;
	case JSON_T_INT:
		(void)buf_printf(b, "an integer from %" PRId64 " to %" PRId64, f->min, f->max);
		break;
	case JSON_T_BOOL:
		(void)buf_puts(b, "true or false");
		break;
	case JSON_T_ENUM:
		(void)buf_puts(b, "one of");
		for (size_t i = 0; i < f->names_n; i++)
			if (f->names[i])
				(void)buf_printf(b, " \"%s\"", f->names[i]);
		break;
	case JSON_T_OBJ:
		(void)buf_puts(b, "an object");
		break;
	case JSON_T_ARR:
		(void)buf_printf(b, "an array of at most %" PRId64 " elements", f->max);
		break;
	case JSON_T_RAW:
	case JSON_T_END:
		(void)buf_puts(b, "a value");
		break;
	}
}

/* "request.vcpus: <problem>, expected an integer from 1 to 32".  A description that memory is too
 * short for is left out; the problem itself is always told. */
static int complain(const struct place *p, int code, const char *id, const char *problem)
{
	auto_buf want = {0};

	describe(p->field, &want);
	return err_set(p->e, code, ERR_CALLER, id, "%s.%s: %s, expected %s", p->what,
		       p->field->name, problem, want.failed ? "another value" : buf_text(&want));
}

static int wrong_type(const struct place *p, const json_t *v)
{
	char problem[64];

	if (json_is_real(v))
		(void)snprintf(problem, sizeof(problem), "found %g", json_real_value(v)); /* fits */
	else
		(void)snprintf(problem, sizeof(problem), "found %s", type_name(v)); /* fits */
	return complain(p, -EINVAL, "json.type", problem);
}

static int check_string(const struct place *p, const json_t *v)
{
	const struct json_field *f = p->field;
	const char *s = json_string_value(v);
	size_t n = json_string_length(v);
	char problem[64];

	if (n < (size_t)f->min || n > (size_t)f->max) {
		(void)snprintf(problem, sizeof(problem), "found %zu byte%s", n,
			       n == 1 ? "" : "s"); /* fits */
		return complain(p, -ERANGE, "json.range", problem);
	}
	for (size_t i = 0; i < n; i++) {
		if (!is_control(s + i))
			continue;
		(void)snprintf(problem, sizeof(problem), "control character at byte %zu",
			       i + 1); /* fits */
		return complain(p, -ERANGE, "json.range", problem);
	}
	return 0;
}

static int check_int(const struct place *p, const json_t *v)
{
	int64_t i = json_integer_value(v);
	char problem[64];

	if (i >= p->field->min && i <= p->field->max)
		return 0;
	(void)snprintf(problem, sizeof(problem), "found %" PRId64, i); /* fits */
	return complain(p, -ERANGE, "json.range", problem);
}

static int check_enum(const struct place *p, const json_t *v)
{
	char quoted[QUOTE_LEN], problem[QUOTE_LEN + 8];

	if (str_index(p->field->names, p->field->names_n, json_string_value(v)) >= 0)
		return 0;
	(void)snprintf(problem, sizeof(problem), "found %s",
		       quote(json_string_value(v), quoted)); /* fits */
	return complain(p, -ERANGE, "json.range", problem);
}

static int check_array(const struct place *p, const json_t *v)
{
	char problem[64];

	if (json_array_size(v) <= (size_t)p->field->max)
		return 0;
	(void)snprintf(problem, sizeof(problem), "found %zu elements",
		       json_array_size(v)); /* fits */
	return complain(p, -ERANGE, "json.range", problem);
}

static int check_value(const struct place *p, const json_t *v)
{
	switch (p->field->type) {
	case JSON_T_STR:
		return json_is_string(v) ? check_string(p, v) : wrong_type(p, v);
	case JSON_T_INT:
		return json_is_integer(v) ? check_int(p, v) : wrong_type(p, v);
	case JSON_T_BOOL:
		return json_is_boolean(v) ? 0 : wrong_type(p, v);
	case JSON_T_ENUM:
		return json_is_string(v) ? check_enum(p, v) : wrong_type(p, v);
	case JSON_T_OBJ:
		return json_is_object(v) ? 0 : wrong_type(p, v);
	case JSON_T_ARR:
		return json_is_array(v) ? check_array(p, v) : wrong_type(p, v);
	case JSON_T_RAW:
	case JSON_T_END:
		break;
	}
	return 0;
}

/* The table is ours: a mistake in it must not wait for a hostile request to show. */
static void check_table(const struct json_field *f)
{
	switch (f->type) {
	case JSON_T_STR:
		assert(f->min >= 0 && f->min <= f->max && (uint64_t)f->max < f->size);
		break;
	case JSON_T_INT:
		assert(f->size == sizeof(int64_t) && f->min <= f->max);
		break;
	case JSON_T_BOOL:
		assert(f->size == sizeof(bool));
		break;
	case JSON_T_ENUM:
		assert(f->size == sizeof(int) && f->names && f->names_n > 0);
		break;
	case JSON_T_ARR:
		assert(f->max > 0);
		assert(f->size == sizeof(json_t *));
		break;
	case JSON_T_RAW:
	case JSON_T_OBJ:
		assert(f->size == sizeof(json_t *));
		break;
	case JSON_T_END:
		break;
	}
}

/* The field's value; NULL when it is absent, or null where null is as good. */
static json_t *given(json_t *obj, const struct json_field *f)
{
	json_t *v = json_object_get(obj, f->name);

	return v && json_is_null(v) && (f->flags & JSON_NULLABLE) ? NULL : v;
}

static const struct json_field *find(const struct json_field *fields, const char *name)
{
	for (; fields->type != JSON_T_END; fields++)
		if (str_eq(fields->name, name))
			return fields;
	return NULL;
}

static int unknown_field(const char *what, const struct json_field *fields, const char *name,
			 struct err *e)
{
	auto_buf known = {0};
	char quoted[QUOTE_LEN];

	for (const struct json_field *f = fields; f->type != JSON_T_END; f++)
		(void)buf_printf(&known, " %s",
				 f->name); /* known.failed: told below without them */
	return err_set(e, -EINVAL, ERR_CALLER, "json.unknown-field",
		       "%s: unknown field %s, expected one of:%s", what, quote(name, quoted),
		       known.failed ? " (out of memory)" : buf_text(&known));
}

static int check_all(json_t *obj, const char *what, const struct json_field *fields, struct err *e)
{
	const char *name;
	json_t *v;

	if (!json_is_object(obj))
		return err_set(e, -EINVAL, ERR_CALLER, "json.type",
			       "%s: found %s, expected an object", what,
			       obj ? type_name(obj) : "nothing");
	json_object_foreach(obj, name, v)
	{
		if (!find(fields, name))
			return unknown_field(what, fields, name, e);
	}
	for (const struct json_field *f = fields; f->type != JSON_T_END; f++) {
		struct place p = {what, f, e};
		int rc = 0;

		check_table(f);
		v = given(obj, f);
		if (v)
			rc = check_value(&p, v);
		else if (f->flags & JSON_REQUIRED)
			rc = complain(&p, -EINVAL, "json.missing-field", "missing");
		if (rc)
			return rc;
	}
	return 0;
}

/* Write a value that check_value let through. */
static void store(const struct json_field *f, json_t *v, void *dst)
{
	char *to = (char *)dst + f->offset;

	switch (f->type) {
	case JSON_T_STR:
		memcpy(to, json_string_value(v), json_string_length(v) + 1);
		break;
	case JSON_T_INT:
		*(int64_t *)(void *)to = json_integer_value(v);
		break;
	case JSON_T_BOOL:
		*(bool *)(void *)to = json_is_true(v);
		break;
	case JSON_T_ENUM:
		*(int *)(void *)to = str_index(f->names, f->names_n, json_string_value(v));
		break;
	case JSON_T_RAW:
	case JSON_T_OBJ:
	case JSON_T_ARR:
		*(json_t **)(void *)to = json_incref(v);
		break;
	case JSON_T_END:
		break;
	}
	if (f->set_offset != SIZE_MAX)
		*(bool *)(void *)((char *)dst + f->set_offset) = true;
}

int json_bind(json_t *obj, const char *what, const struct json_field *fields, void *dst,
	      struct err *e)
{
	int rc = check_all(obj, what, fields, e);

	if (rc)
		return rc;
	for (const struct json_field *f = fields; f->type != JSON_T_END; f++) {
		json_t *v = given(obj, f);

		if (v)
			store(f, v, dst);
	}
	return 0;
}
