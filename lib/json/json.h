#pragma once
/*
 * Strict JSON by jansson: duplicates refused, depth and size bounded, objects bound to C structs by
 * a table that names every field, its type and its limits.  An unknown field, a wrong type or a
 * value outside its limits gives one sentence: what, where, expected what.
 *
 * Example:
 *	static const struct json_field fields[] = {
 *		JSON_STR(struct req, user_id, "userId", 1, 64, JSON_REQUIRED),
 *		JSON_INT(struct req, vcpus, "vcpus", 1, 32, 0),
 *		JSON_END,
 *	};
 */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

#define JSON_MAX_BYTES (1u << 20) /* largest request body and document */
#define JSON_MAX_DEPTH 16	  /* nothing of ours is deeper than 6 */

enum json_type {
	JSON_T_STR,  /* char[size]; min..max bytes of UTF-8 without control characters */
	JSON_T_INT,  /* int64_t; min..max */
	JSON_T_BOOL, /* bool */
	JSON_T_ENUM, /* int; index in names[] */
	JSON_T_RAW,  /* json_t *, a new reference the caller must json_decref; any value */
	JSON_T_OBJ,  /* json_t *, as RAW but must be an object */
	JSON_T_ARR,  /* json_t *, as RAW but must be an array of at most max elements */
	JSON_T_END,
};

#define JSON_REQUIRED 1u /* its absence is an error */
#define JSON_NULLABLE 2u /* null is as good as absent */

struct json_field {
	const char *name;
	enum json_type type;
	unsigned flags;
	size_t offset, size; /* where the value goes, bytes of room */
	int64_t min, max;
	const char *const *names; /* JSON_T_ENUM: values, in enum order */
	size_t names_n;
	size_t set_offset; /* where a bool "was given" goes; SIZE_MAX: nowhere */
};

#define JSON_STR(st, m, key, lo, hi, fl)                                                           \
	{                                                                                          \
		.name = (key), .type = JSON_T_STR, .flags = (fl), .offset = offsetof(st, m),       \
		.size = sizeof(((st *)0)->m), .min = (lo), .max = (hi), .set_offset = SIZE_MAX     \
	}
#define JSON_INT(st, m, key, lo, hi, fl)                                                           \
	{                                                                                          \
		.name = (key), .type = JSON_T_INT, .flags = (fl), .offset = offsetof(st, m),       \
		.size = sizeof(((st *)0)->m), .min = (lo), .max = (hi), .set_offset = SIZE_MAX     \
	}
#define JSON_BOOL(st, m, key, fl)                                                                  \
	{                                                                                          \
		.name = (key), .type = JSON_T_BOOL, .flags = (fl), .offset = offsetof(st, m),      \
		.size = sizeof(((st *)0)->m), .set_offset = SIZE_MAX                               \
	}
#define JSON_ENUM(st, m, key, tbl, n, fl)                                                          \
	{                                                                                          \
		.name = (key), .type = JSON_T_ENUM, .flags = (fl), .offset = offsetof(st, m),      \
		.size = sizeof(((st *)0)->m), .names = (tbl), .names_n = (n),                      \
		.set_offset = SIZE_MAX                                                             \
	}
#define JSON_REF(st, m, key, ty, hi, fl)                                                           \
	{                                                                                          \
		.name = (key), .type = (ty), .flags = (fl), .offset = offsetof(st, m),             \
		.size = sizeof(((st *)0)->m), .max = (hi), .set_offset = SIZE_MAX                  \
	}
#define JSON_END                                                                                   \
	{                                                                                          \
		.type = JSON_T_END                                                                 \
	}

/* Parse text strictly (RFC 8259, no duplicates, no NUL, at most JSON_MAX_DEPTH deep, one value).
 * Failures: ERR_CALLER with id "json.syntax" (the text has line and column) or "json.too-large"; or
 * memory. */
int json_parse(const char *text, size_t len, json_t **ret, struct err *e);

/* Fill dst from obj; fields that are absent leave dst as it was.  Failures: ERR_CALLER with id
 * "json.unknown-field", "json.missing-field", "json.type", "json.range".  `what` begins the
 * sentence ("request", "manifest.json").  On failure dst is untouched; references that it held
 * before are not given back, so start with NULL. */
int json_bind(json_t *obj, const char *what, const struct json_field *fields, void *dst,
	      struct err *e);

/* Compact text, keys in insertion order; malloc'd; NULL when memory is exhausted. */
char *json_text(const json_t *v);

/* AUTO-style reference: auto_json json_t *v = NULL; */
static inline void cleanup_json(json_t **v)
{
	json_decref(*v);
}
#define auto_json __attribute__((cleanup(cleanup_json)))

/* Put without thinking about failure: both return -ENOMEM when val is NULL or memory ran out; the
 * reference to val is taken in any case. */
int json_put(json_t *obj, const char *key, json_t *val) __attribute__((warn_unused_result));
int json_push(json_t *arr, json_t *val) __attribute__((warn_unused_result));
