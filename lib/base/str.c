/*
 * Bounded copies and formatting, UTF-8 validation, word splitting.
 * Called from everywhere; input may be hostile, so nothing here trusts a length it did not measure.
 */
#include "base/str.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

bool str_copy(char *dst, size_t cap, const char *src)
{
	size_t n = strlen(src);

	if (n >= cap) {
		if (cap)
			dst[0] = '\0';
		return false;
	}
	memcpy(dst, src, n + 1);
	return true;
}

bool str_fmt(char *dst, size_t cap, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(dst, cap, fmt, ap);
	va_end(ap);
	return n >= 0 && (size_t)n < cap;
}

int str_index(const char *const *table, size_t n, const char *s)
{
	for (size_t i = 0; i < n; i++)
		if (table[i] && str_eq(table[i], s))
			return (int)i;
	return -1;
}

/* Length of the valid UTF-8 sequence at p, 0 if there is none; `left` bytes may be read. */
static size_t utf8_len(const unsigned char *p, size_t left)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n;
	uint32_t c;

	if (p[0] < 0x80)
		return p[0] ? 1 : 0;
	n = p[0] >= 0xf0 && p[0] < 0xf8 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc2 ? 2 : 0;
	if (!n || n > left || p[0] >= 0xf8)
		return 0;
	c = p[0] & (0xffu >> (n + 1));
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	return n;
}

bool str_is_utf8(const char *s, size_t n)
{
	const unsigned char *p = (const unsigned char *)s;

	for (size_t i = 0; i < n;) {
		size_t step = utf8_len(p + i, n - i);

		if (!step)
			return false;
		i += step;
	}
	return true;
}

char *str_word(char **pos, const char *seps)
{
	char *word;

	if (!*pos)
		return NULL;
	word = *pos + strspn(*pos, seps);
	if (!*word) {
		*pos = NULL;
		return NULL;
	}
	*pos = word + strcspn(word, seps);
	if (**pos)
		*(*pos)++ = '\0';
	else
		*pos = NULL;
	return word;
}
