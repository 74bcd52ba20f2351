#pragma once
/*
 * Small questions about and copies of NUL-terminated strings.
 */
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static inline bool str_eq(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

static inline bool str_starts(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

static inline bool str_ends(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);

	return n >= m && memcmp(s + n - m, suffix, m) == 0;
}

/* Copy src into dst of cap bytes; always terminated.  False when it did not fit (then dst is
 * ""). */
bool str_copy(char *dst, size_t cap, const char *src) __attribute__((warn_unused_result));

/* snprintf that says whether it fitted; on false dst is cut but terminated. */
bool str_fmt(char *dst, size_t cap, const char *fmt, ...)
	__attribute__((format(printf, 3, 4), warn_unused_result));

/* Index of s in table (entries may be NULL), or -1. */
int str_index(const char *const *table, size_t n, const char *s);

/* True iff s is valid UTF-8 of n bytes without NUL (RFC 3629: no surrogates, no overlong forms). */
bool str_is_utf8(const char *s, size_t n);

/* The next word of *pos separated by any of seps (empty words skipped), written-to in place like
 * strsep; NULL at the end. */
char *str_word(char **pos, const char *seps);
