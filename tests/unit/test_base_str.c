/*
 * Tests of base/str: bounds, UTF-8 of every shape, words.
 */
#include "base/str.h"

#include <string.h>

#include "unit.h"

static void compares_ends(void **state)
{
	(void)state;
	assert_true(str_eq("a", "a") && !str_eq("a", "ab") && str_eq("", ""));
	assert_true(str_starts("abc", "ab") && str_starts("abc", "") && !str_starts("ab", "abc"));
	assert_true(str_ends("abc", "bc") && str_ends("abc", "") && !str_ends("bc", "abc"));
}

static void copies_within_bounds(void **state)
{
	char dst[4] = "zzz";

	(void)state;
	assert_true(str_copy(dst, sizeof(dst), "abc"));
	assert_string_equal(dst, "abc");
	assert_false(str_copy(dst, sizeof(dst), "abcd"));
	assert_string_equal(dst, "");
	dst[0] = 'q';
	assert_false(str_copy(dst, 0, "")); /* nothing is written into nothing */
	assert_int_equal(dst[0], 'q');
	assert_true(str_fmt(dst, sizeof(dst), "%d", 123));
	assert_false(str_fmt(dst, sizeof(dst), "%d", 1234));
	assert_string_equal(dst, "123");
}

static void finds_in_tables(void **state)
{
	static const char *const t[] = {"a", NULL, "c"};

	(void)state;
	assert_int_equal(str_index(t, 3, "c"), 2);
	assert_int_equal(str_index(t, 3, "b"), -1);
	assert_int_equal(str_index(t, 0, "a"), -1);
}

/* Encode by RFC 3629's table, without looking at the code under test. */
static size_t encode(uint32_t c, char *p)
{
	if (c < 0x80)
		return p[0] = (char)c, 1;
	if (c < 0x800)
		return p[0] = (char)(0xc0 | c >> 6), p[1] = (char)(0x80 | (c & 63)), 2;
	if (c < 0x10000)
		return p[0] = (char)(0xe0 | c >> 12), p[1] = (char)(0x80 | (c >> 6 & 63)),
		       p[2] = (char)(0x80 | (c & 63)), 3;
	return p[0] = (char)(0xf0 | c >> 18), p[1] = (char)(0x80 | (c >> 12 & 63)),
	       p[2] = (char)(0x80 | (c >> 6 & 63)), p[3] = (char)(0x80 | (c & 63)), 4;
}

static void knows_every_character(void **state)
{
	(void)state;
	for (uint32_t c = 0; c < 0x120000; c++) {
		bool good = c != 0 && c <= 0x10ffff && !(c >= 0xd800 && c <= 0xdfff);
		char text[4];
		size_t n = encode(c, text);

		if (str_is_utf8(text, n) != good)
			fail_msg("U+%04X", c);
		if (n > 1 && str_is_utf8(text, n - 1))
			fail_msg("U+%04X cut short", c);
	}
	assert_true(str_is_utf8("", 0));
	assert_true(str_is_utf8("gr\xc3\xbc\xc3\x9f", 6));
}

static void refuses_overlong_and_stray(void **state)
{
	static const char *const bad[] = {"\x80",
					  "\xc0\xaf",
					  "\xc1\xbf",
					  "\xe0\x80\xaf",
					  "\xe0\x9f\xbf",
					  "\xf0\x80\x80\xaf",
					  "\xf0\x8f\xbf\xbf",
					  "\xf5\x80\x80\x80",
					  "\xfe",
					  "\xff",
					  "\xf8\x88\x80\x80\x80",
					  "a\xc3",
					  "\xc3(",
					  "\xe2\x82("};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(str_is_utf8(bad[i], strlen(bad[i])));
	assert_false(str_is_utf8("a\0b", 3));
}

static void splits_words(void **state)
{
	char text[] = ",,a,bc,,d,", empty[] = "", only[] = ",,,", one[] = "x";
	char *pos = text;

	(void)state;
	assert_string_equal(str_word(&pos, ","), "a");
	assert_string_equal(str_word(&pos, ","), "bc");
	assert_string_equal(str_word(&pos, ","), "d");
	assert_null(str_word(&pos, ","));
	assert_null(str_word(&pos, ","));
	pos = empty;
	assert_null(str_word(&pos, ","));
	pos = only;
	assert_null(str_word(&pos, ","));
	pos = one;
	assert_string_equal(str_word(&pos, ","), "x");
	assert_null(str_word(&pos, ","));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(compares_ends),
		cmocka_unit_test(copies_within_bounds),
		cmocka_unit_test(finds_in_tables),
		cmocka_unit_test(knows_every_character),
		cmocka_unit_test(refuses_overlong_and_stray),
		cmocka_unit_test(splits_words),
	};

	return RUN_TESTS(tests);
}
