#pragma once
/*
 * Text for people, cut where its room ends: names, sentences and lines that are still useful when
 * cut.
 */
#include <stdarg.h>
#include <stddef.h>

/* Cut at cap - 1 bytes, never inside a UTF-8 sequence; always terminated. */
void text_cut(char *dst, size_t cap, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void text_vcut(char *dst, size_t cap, const char *fmt, va_list ap)
	__attribute__((format(printf, 3, 0)));
