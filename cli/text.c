/*
 * Makes foreign text harmless for a terminal, measures it, and words times and sizes.
 * Called by everything in cli/ that prints.  Trust: every byte was chosen by the guest or server.
 *
 * Sequences: ECMA-48 sec. 5.4 (CSI is ESC [, then parameters 0x30-0x3f, then a final byte
 * 0x40-0x7e), sec. 8.3.117 (SGR, colours: final byte m).
 */
#include "cli/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <wchar.h>

#include "base/buf.h"
#include "base/str.h"

#define ESC	0x1b
#define KIB	1024ull
#define NO_CHAR UINT32_MAX

/* Length of the UTF-8 character that begins with c; 0: none begins so (RFC 3629 sec. 4). */
static unsigned utf8_len(unsigned char c)
{
	if (c < 0x80)
		return 1;
	if (c >= 0xc2 && c <= 0xdf)
		return 2;
	if (c >= 0xe0 && c <= 0xef)
		return 3;
	return c >= 0xf0 && c <= 0xf4 ? 4 : 0;
}

/* The character of exactly n bytes, or NO_CHAR. */
static uint32_t utf8_char(const unsigned char *s, unsigned n)
{
	uint32_t v = n == 1 ? s[0] : s[0] & (0xffu >> (n + 1));

	if (!s[0] || !str_is_utf8((const char *)s, n))
		return NO_CHAR;
	for (unsigned i = 1; i < n; i++)
		v = v << 6 | (s[i] & 0x3fu);
	return v;
}

/* C1 controls act as ESC sequences; bidirectional controls (Unicode UAX #9) reorder what is read;
 * U+2028 and U+2029 are line ends to some terminals. */
static bool is_control(uint32_t c)
{
	return (c >= 0x80 && c <= 0x9f) || c == 0x061c || c == 0x200e || c == 0x200f ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

static int show_byte(unsigned char c, struct buf *out)
{
	if (c < 0x20 || c == 0x7f)
		return buf_printf(out, "^%c", c ^ 0x40); /* ^[ is ESC, ^? DEL: as cat -v */
	if (c < 0x7f)
		return buf_add(out, &c, 1);
	return buf_printf(out, "<%02X>", c);
}

static int show_held(struct neutral *n, struct buf *out)
{
	unsigned held = n->held_n;
	int rc = 0;

	n->held_n = 0;
	for (unsigned i = 0; i < held && !rc; i++)
		rc = show_byte(n->held[i], out);
	return rc;
}

/* CR CR LF is what serial consoles write for a line end; a CR elsewhere would let the guest
 * overwrite the line. */
static int settle_returns(struct neutral *n, bool at_line_end, struct buf *out)
{
	unsigned count = n->returns;
	int rc = 0;

	n->returns = 0;
	if (at_line_end && !n->one_line)
		return 0;
	while (count-- && !rc)
		rc = show_byte('\r', out);
	return rc;
}

/* Something harmless or not, but no part of a sequence. */
static int one_byte(struct neutral *n, unsigned char c, struct buf *out)
{
	if ((c == '\n' || c == '\t') && !n->one_line)
		return buf_add(out, &c, 1);
	if (c == ESC || utf8_len(c) > 1) {
		n->held[n->held_n++] = c;
		return 0;
	}
	return show_byte(c, out);
}

/* Is the held text, ended by c, a colour?  Everything between "ESC [" and c is parameters. */
static int end_of_sequence(struct neutral *n, unsigned char c, struct buf *out)
{
	unsigned held = n->held_n;
	int rc;

	if (c != 'm') {
		rc = show_held(n, out);
		return rc ? rc : one_byte(n, c, out);
	}
	n->held_n = 0;
	if (!n->colours)
		return 0;
	n->coloured =
		!(held == 2 || (held == 3 && n->held[2] == '0')); /* ESC[m and ESC[0m end it */
	rc = buf_add(out, n->held, held);
	return rc ? rc : buf_add(out, &c, 1);
}

static int in_sequence(struct neutral *n, unsigned char c, struct buf *out)
{
	bool part = n->held_n == 1 ? c == '[' : (c >= '0' && c <= '9') || c == ';' || c == ':';
	int rc;

	if (part && n->held_n < NEUTRAL_HELD) {
		n->held[n->held_n++] = c;
		return 0;
	}
	if (n->held_n > 1)
		return end_of_sequence(n, c, out);
	rc = show_held(n, out);
	return rc ? rc : one_byte(n, c, out);
}

static int in_character(struct neutral *n, unsigned char c, struct buf *out)
{
	unsigned want = utf8_len(n->held[0]);
	uint32_t v;
	int rc;

	if ((c & 0xc0) != 0x80) {
		rc = show_held(n, out);
		return rc ? rc : one_byte(n, c, out);
	}
	n->held[n->held_n++] = c;
	if (n->held_n < want)
		return 0;
	v = utf8_char(n->held, want);
	if (v == NO_CHAR)
		return show_held(n, out);
	n->held_n = 0;
	return is_control(v) ? buf_printf(out, "<U+%04X>", (unsigned)v)
			     : buf_add(out, n->held, want);
}

int neutral_feed(struct neutral *n, const void *data, size_t len, struct buf *out)
{
	const unsigned char *at = data;
	int rc = 0;

	for (size_t i = 0; i < len && !rc; i++) {
		if (at[i] == '\r') {
			rc = show_held(n, out);
			n->returns++;
			continue;
		}
		if (n->returns)
			rc = settle_returns(n, at[i] == '\n', out);
		if (rc)
			break;
		if (!n->held_n)
			rc = one_byte(n, at[i], out);
		else if (n->held[0] == ESC)
			rc = in_sequence(n, at[i], out);
		else
			rc = in_character(n, at[i], out);
	}
	return rc;
}

int neutral_end(struct neutral *n, struct buf *out)
{
	int rc = show_held(n, out);

	n->returns = 0; /* nothing follows that they could overwrite */
	if (n->coloured && !rc)
		rc = buf_puts(out, "\x1b[0m");
	n->coloured = false;
	return rc;
}

char *text_clean(const char *s)
{
	struct neutral n = {.one_line = true};
	auto_buf out = {0};

	if (neutral_feed(&n, s, strlen(s), &out) || neutral_end(&n, &out))
		return NULL;
	return buf_take(&out);
}

/* Bytes of the next character and its columns. */
static size_t next_char(const char *s, size_t len, size_t *ret_columns)
{
	unsigned n = utf8_len((unsigned char)*s);
	uint32_t v = n && n <= len ? utf8_char((const unsigned char *)s, n) : NO_CHAR;
	int w = v == NO_CHAR ? 1 : wcwidth((wchar_t)v); /* -1: unknown to this locale */

	*ret_columns = w < 0 ? 1 : (size_t)w;
	return v == NO_CHAR ? 1 : n;
}

size_t text_width(const char *s, size_t len)
{
	size_t columns = 0, w;

	for (size_t i = 0; i < len; columns += w)
		i += next_char(s + i, len - i, &w);
	return columns;
}

size_t text_fit(const char *s, size_t len, size_t columns)
{
	size_t i = 0, used = 0, w;

	while (i < len) {
		size_t n = next_char(s + i, len - i, &w);

		if (used + w > columns)
			break;
		used += w;
		i += n;
	}
	return i;
}

const char *text_ms(uint64_t ms, char ret[TIME_TEXT])
{
	unsigned long long s = ms / 1000;

	if (ms < 1000)
		(void)snprintf(ret, TIME_TEXT, "%u ms", (unsigned)ms);
	else if (ms < 60000)
		(void)snprintf(ret, TIME_TEXT, "%llu.%02u s", s, (unsigned)(ms % 1000 / 10));
	else if (s < 3600)
		(void)snprintf(ret, TIME_TEXT, "%llu min %02llu s", s / 60, s % 60);
	else if (s < 86400)
		(void)snprintf(ret, TIME_TEXT, "%llu h %02llu min", s / 3600, s / 60 % 60);
	else
		(void)snprintf(ret, TIME_TEXT, "%llu d %llu h", s / 86400, s / 3600 % 24);
	return ret;
}

const char *text_bytes(uint64_t bytes, char ret[TIME_TEXT])
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	unsigned u = 0;
	uint64_t whole = bytes, rest = 0;

	while (whole >= KIB) {
		rest = whole % KIB;
		whole /= KIB;
		u++;
	}
	if (u && whole < 10)
		(void)snprintf(ret, TIME_TEXT, "%u.%u %s", (unsigned)whole,
			       (unsigned)(rest * 10 / KIB), units[u]);
	else
		(void)snprintf(ret, TIME_TEXT, "%u %s", (unsigned)whole, units[u]);
	return ret;
}

int64_t text_age_ms(const char *rfc3339, uint64_t now_us)
{
	struct tm tm = {0};
	const char *rest = strptime(rfc3339, "%Y-%m-%dT%H:%M:%S", &tm);
	int64_t then_s, age;

	if (!rest || !str_ends(rest, "Z"))
		return -1;
	then_s = (int64_t)timegm(&tm);
	age = (int64_t)(now_us / 1000) - then_s * 1000;
	return age < 0 ? 0 : age; /* a server's clock may be ahead of ours */
}
