#pragma once
/*
 * A growable byte buffer with a ceiling, always followed by a NUL byte so that text can be printed.
 *
 * Appending never half-succeeds: on -ENOMEM or -E2BIG (max reached) the buffer is as before and
 * `failed` is set, so a series of appends may be checked once at its end.
 */
#include <stdbool.h>
#include <stddef.h>

struct buf {
	char *data;  /* owned; NULL while empty; data[len] == 0 otherwise */
	size_t len;  /* bytes in use */
	size_t cap;  /* bytes allocated */
	size_t max;  /* ceiling for len; 0: 256 MiB */
	bool failed; /* an append failed since buf_reset */
};

int buf_add(struct buf *b, const void *data, size_t len);
int buf_puts(struct buf *b, const char *s);
int buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Make room for `len` more bytes and return where they go (then raise b->len); NULL on failure. */
char *buf_room(struct buf *b, size_t len);
/* Drop the first n bytes. */
void buf_drop(struct buf *b, size_t n);
void buf_reset(struct buf *b); /* keeps the memory */
void buf_done(struct buf *b);  /* frees it; b is usable again */
/* The text, "" if empty; valid until the next change. */
const char *buf_text(const struct buf *b);
/* Hand over the memory (caller frees it); never NULL unless memory is exhausted. */
char *buf_take(struct buf *b);

#define auto_buf __attribute__((cleanup(buf_done))) struct buf
