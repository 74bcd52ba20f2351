/*
 * Tests cli/text.c: what a guest writes can't command the terminal, and nothing is lost.
 */
#include "unit.h"

#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "cli/text.h"

/* Feed in pieces of `step` bytes. */
static void feed(struct neutral n, const char *in, size_t len, size_t step, struct buf *out)
{
	for (size_t i = 0; i < len; i += step)
		assert_int_equal(neutral_feed(&n, in + i, len - i < step ? len - i : step, out), 0);
	assert_int_equal(neutral_end(&n, out), 0);
}

static void gives(struct neutral how, const char *in, size_t len, const char *expected)
{
	for (size_t step = 1; step <= len; step++) {
		auto_buf out = {0};

		feed(how, in, len, step, &out);
		assert_string_equal(buf_text(&out), expected);
	}
}

#define GIVES(how, in, expected) gives(how, in, sizeof(in) - 1, expected)

static const struct neutral plain = {0}, coloured = {.colours = true},
			    one_line = {.one_line = true};

static void test_harmless_passes(void **state)
{
	(void)state;
	GIVES(plain, "plain\n\ttext ~\n", "plain\n\ttext ~\n");
	GIVES(plain, "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x94\xa5",
	      "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x94\xa5");
	GIVES(plain, "serial\r\nline\r\r\n", "serial\nline\n");
}

static void test_controls_are_shown(void **state)
{
	(void)state;
	GIVES(plain, "\x1b]0;title\x07", "^[]0;title^G");
	GIVES(plain, "\x1b[2J\x1b[6n", "^[[2J^[[6n");
	GIVES(plain, "\x1b[31;1H", "^[[31;1H");
	GIVES(plain, "ok\rno", "ok^Mno");
	GIVES(plain, "\x1bPq\x1b\\", "^[Pq^[\\");
	GIVES(plain, "a\0b\x7f\b", "a^@b^?^H");
	GIVES(plain, "\x1b\x1b[m", "^[");
	GIVES(plain, "\x1b[\n", "^[[\n");
	GIVES(plain, "\x1b\xc3\xa4", "^[\xc3\xa4");
}

static void test_c1_and_bidi_are_shown(void **state)
{
	(void)state;
	GIVES(plain,
	      "\xc2\x9b"
	      "2J",
	      "<U+009B>2J");
	GIVES(plain,
	      "\x9b"
	      "2J",
	      "<9B>2J");
	GIVES(plain,
	      "\xe2\x80\xae"
	      "x",
	      "<U+202E>x");
	GIVES(plain, "\xe2\x81\xa6", "<U+2066>");
}

static void test_no_utf8_is_shown(void **state)
{
	(void)state;
	GIVES(plain, "\xff\xc0\xaf", "<FF><C0><AF>");
	GIVES(plain, "\xed\xa0\x80", "<ED><A0><80>"); /* a surrogate */
	GIVES(plain, "\xe2\x82", "<E2><82>");	      /* cut off */
	GIVES(plain,
	      "\xe2\x82"
	      "A",
	      "<E2><82>A");
	GIVES(plain, "\xf0\x9f\xe2\x82\xac", "<F0><9F>\xe2\x82\xac");
}

static void test_colours(void **state)
{
	(void)state;
	GIVES(coloured, "\x1b[0;32m OK \x1b[0m.", "\x1b[0;32m OK \x1b[0m.");
	GIVES(coloured, "\x1b[31mred", "\x1b[31mred\x1b[0m"); /* switched off at the end */
	GIVES(coloured, "\x1b[38;5;200mx\x1b[m", "\x1b[38;5;200mx\x1b[m");
	GIVES(plain, "\x1b[0;32m OK \x1b[0m.", " OK .");
	GIVES(coloured, "\x1b[>4;1m", "^[[>4;1m"); /* xterm's modifyOtherKeys is no colour */
	GIVES(coloured, "\x1b[0123456789;0123456789;0123456789m",
	      "^[[0123456789;0123456789;0123456789m");
}

static void test_one_line(void **state)
{
	auto_free char *clean = text_clean("a\nb\tc\r\n\x1b[1mx");

	(void)state;
	GIVES(one_line, "a\nb\tc\r\n", "a^Jb^Ic^M^J");
	assert_string_equal(clean, "a^Jb^Ic^M^Jx");
}

static int clean_it(void)
{
	auto_free char *clean =
		text_clean("\x1b]0;a title that makes the buffer grow\x07 and on and on");

	return clean ? 0 : -ENOMEM;
}

static void test_without_memory(void **state)
{
	(void)state;
	EACH_ALLOCATION_FAILS(clean_it(), (void)0);
}

static void test_width(void **state)
{
	(void)state;
	assert_int_equal(text_width("abc", 3), 3);
	assert_int_equal(text_width("gr\xc3\xbc\xc3\x9f", 6), 4);
	assert_int_equal(text_width("\xe6\xbc\xa2\xe5\xad\x97", 6), 4); /* two wide characters */
	assert_int_equal(text_width("e\xcc\x81", 3), 1);		/* combining */
	assert_int_equal(text_width("\xff\xc3", 2), 2);
	assert_int_equal(text_fit("\xe6\xbc\xa2\xe5\xad\x97", 6, 3),
			 3); /* the second does not fit */
	assert_int_equal(text_fit("abc", 3, 10), 3);
	assert_int_equal(text_fit("abc", 3, 0), 0);
}

static void test_times(void **state)
{
	char t[TIME_TEXT];

	(void)state;
	assert_string_equal(text_ms(0, t), "0 ms");
	assert_string_equal(text_ms(999, t), "999 ms");
	assert_string_equal(text_ms(2310, t), "2.31 s");
	assert_string_equal(text_ms(59999, t), "59.99 s");
	assert_string_equal(text_ms(185000, t), "3 min 05 s");
	assert_string_equal(text_ms(15000000, t), "4 h 10 min");
	assert_string_equal(text_ms(266400000, t), "3 d 2 h");
	assert_string_equal(text_ms(UINT64_MAX, t), "213503982334 d 14 h");
	assert_string_equal(text_bytes(1023, t), "1023 B");
	assert_string_equal(text_bytes(1536, t), "1.5 KiB");
	assert_string_equal(text_bytes(300ull << 20, t), "300 MiB");
	assert_string_equal(text_bytes(UINT64_MAX, t), "15 EiB");
}

static void test_age(void **state)
{
	uint64_t now = 1794000000ull * 1000000; /* 2026-11-06T21:20:00Z */

	(void)state;
	assert_int_equal(text_age_ms("2026-11-06T21:19:58.123456Z", now), 2000);
	assert_int_equal(text_age_ms("2026-11-06T21:21:00Z", now), 0); /* their clock is ahead */
	assert_int_equal(text_age_ms("yesterday", now), -1);
	assert_int_equal(text_age_ms("", now), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_harmless_passes),
		cmocka_unit_test(test_controls_are_shown),
		cmocka_unit_test(test_c1_and_bidi_are_shown),
		cmocka_unit_test(test_no_utf8_is_shown),
		cmocka_unit_test(test_colours),
		cmocka_unit_test(test_one_line),
		cmocka_unit_test(test_without_memory),
		cmocka_unit_test(test_width),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_age),
	};

	if (!setlocale(LC_CTYPE, "C.UTF-8"))
		return 77; /* widths need a UTF-8 locale */
	return RUN_TESTS(tests);
}
