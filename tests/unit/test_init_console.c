/*
 * Tests of guest/init/console: bare and quoted values, cutting, and that no value can forge
 * anything.
 */
#include "init/console.h"

#include <stdio.h>
#include <string.h>

#include "unit.h"

static void assert_field(const char *value, const char *text)
{
	struct line l = {.len = 0};

	line_str(&l, "k", value);
	assert_string_equal(l.text, text);
	assert_int_equal(l.len, strlen(text));
}

static void quoting(void **state)
{
	(void)state;
	assert_field("vda", " k=vda");
	assert_field("/sbin/init", " k=/sbin/init");
	assert_field("192.168.100.5/24", " k=192.168.100.5/24");
	assert_field("06:00:c0:a8:64:05", " k=06:00:c0:a8:64:05");
	assert_field("", " k=\"\"");
	assert_field("a b", " k=\"a b\"");
	assert_field("a=b", " k=\"a=b\"");
	assert_field("say \"hi\"\\", " k=\"say \\\"hi\\\"\\\\\"");
	assert_field("x\nhearth-init: phase=root ok", " k=\"x\\x0ahearth-init: phase=root ok\"");
	assert_field("\x1b[2J\x7f\xc3\xa4\r", " k=\"\\x1b[2J\\x7f\\xc3\\xa4\\x0d\"");
}

static void numbers_and_formats(void **state)
{
	struct line l = {.len = 0};

	(void)state;
	line_u64(&l, "ms", UINT64_MAX);
	line_fmt(&l, "ip", "%s/%u", "10.0.0.1", 8u);
	assert_string_equal(l.text, " ms=18446744073709551615 ip=10.0.0.1/8");
}

/* Of any value, what stands in the line is printable, within quotes if not bare, and ends there. */
static void assert_harmless(const struct line *l)
{
	const char *p = l->text;

	while (*p) {
		assert_int_equal(*p++, ' ');
		assert_int_equal(*p++, 'k');
		assert_int_equal(*p++, '=');
		if (*p != '"') {
			while (*p && *p != ' ')
				assert_true(*p++ != '"');
			continue;
		}
		for (p++; *p != '"'; p++) {
			assert_true(*p >= 0x20 && *p < 0x7f);
			if (*p == '\\')
				p++;
		}
		p++;
	}
}

static void every_byte_and_length(void **state)
{
	static char value[3 * LINE_VALUE_MAX];

	(void)state;
	for (int c = 1; c < 256; c++) {
		for (size_t n = 0; n < sizeof(value); n += n < 8 ? 1 : 61) {
			struct line l = {.len = 0};

			memset(value, c, n);
			value[n] = '\0';
			for (int i = 0; i < 8;
			     i++) /* more than a line holds: fields are whole or absent */
				line_str(&l, "k", value);
			assert_int_equal(l.len, strlen(l.text));
			assert_true(l.len < LINE_MAX_LEN);
			assert_harmless(&l);
		}
	}
}

static void cut_values_say_so(void **state)
{
	static char value[LINE_VALUE_MAX + 2];
	struct line l = {.len = 0};

	(void)state;
	memset(value, 'a', LINE_VALUE_MAX);
	line_str(&l, "k", value);
	assert_int_equal(l.len, 3 + LINE_VALUE_MAX); /* just fits, bare */
	l = (struct line){.len = 0};
	memset(value, 'a', LINE_VALUE_MAX + 1);
	line_str(&l, "k", value);
	assert_string_equal(l.text + l.len - 4, "...\"");
	assert_true(l.len <= 3 + LINE_VALUE_MAX + 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quoting),
		cmocka_unit_test(numbers_and_formats),
		cmocka_unit_test(every_byte_and_length),
		cmocka_unit_test(cut_values_say_so),
	};

	return RUN_TESTS(tests);
}
