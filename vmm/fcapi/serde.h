#pragma once
/*
 * JSON objects bound to C structs by tables, with the error texts of Rust's serde, which
 * Firecracker uses and its clients match on.
 *
 * Called by bodies.c on the main thread.  Trust: the text may be hostile.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SERDE_TEXT_MAX 512

enum serde_type {
	SERDE_STR,  /* char[size] */
	SERDE_UINT, /* size 1, 2, 4 or 8: a number that the type holds */
	SERDE_BOOL,
	SERDE_ENUM, /* unsigned; index in names[], which ends with NULL */
	SERDE_OBJ,  /* another table: fields, at offset */
	SERDE_ANY,  /* json_t *, borrowed from the value that is bound */
	SERDE_END,
};

#define SERDE_REQUIRED	    1u
#define SERDE_NULLABLE	    2u /* Option<T>: null is as good as absent */
#define SERDE_ALLOW_UNKNOWN 4u /* in the last entry: fields of other names pass */

struct serde_field {
	const char *name;
	enum serde_type type;
	unsigned flags;
	size_t offset, size;
	size_t given_offset; /* where a bool "was given" goes; SIZE_MAX: nowhere */
	const char *const *names;
	const struct serde_field *fields;
	const char *struct_name; /* SERDE_OBJ: the name in serde's texts */
};

/* The text that `v` was parsed from, so that an error can name line and column. */
struct serde_source {
	const char *text;
	size_t len;
};

/* Parse one value; NULL and a sentence in ret_why on failure. */
json_t *serde_parse(const struct serde_source *src, char ret_why[SERDE_TEXT_MAX]);
/* Fill dst; 0, or -EINVAL and a sentence.  On failure dst may be half filled in. */
int serde_bind(const struct serde_source *src, json_t *v, const char *struct_name,
	       const struct serde_field *fields, void *dst, char ret_why[SERDE_TEXT_MAX]);
