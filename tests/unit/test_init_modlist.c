/*
 * Tests of guest/init/modlist: order, comments, parameters, limits.
 */
#include "init/modlist.h"

#include <errno.h>
#include <string.h>

#include "unit.h"

static void lines(void **state)
{
	char text[] =
		"# by the image builder\n\nkernel/a.ko\n  kernel/b.ko.xz\tx=1 y=2\r\n#x\n/abs/c.ko";
	struct module m[MODULES_MAX];

	(void)state;
	assert_int_equal(modlist_parse(text, m), 3);
	assert_string_equal(m[0].path, "kernel/a.ko");
	assert_string_equal(m[0].params, "");
	assert_string_equal(m[1].path, "kernel/b.ko.xz");
	assert_string_equal(m[1].params, "x=1 y=2");
	assert_string_equal(m[2].path, "/abs/c.ko");
}

static void nothing(void **state)
{
	static const char *const empty[] = {"", "\n", " \n\t\n", "#only\n# comments"};
	struct module m[MODULES_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(empty); i++) {
		auto_free char *text = strdup(empty[i]);

		assert_int_equal(modlist_parse(text, m), 0);
	}
}

static void limit(void **state)
{
	static char text[2 * (MODULES_MAX + 1) + 1];
	struct module m[MODULES_MAX];

	(void)state;
	for (size_t i = 0; i < MODULES_MAX; i++)
		memcpy(text + 2 * i, "m\n", 3);
	assert_int_equal(modlist_parse(text, m), MODULES_MAX);
	for (size_t i = 0; i <= MODULES_MAX; i++)
		memcpy(text + 2 * i, "m\n", 3);
	assert_int_equal(modlist_parse(text, m), -E2BIG);
}

static void compressed_files(void **state)
{
	(void)state;
	assert_int_equal(modlist_flags("a.ko"), 0);
	assert_int_equal(modlist_flags("a.xz.ko"), 0);
	assert_int_equal(modlist_flags("xz"), 0);
	assert_int_equal(modlist_flags("a.ko.xz"), 4); /* MODULE_INIT_COMPRESSED_FILE */
	assert_int_equal(modlist_flags("a.ko.zst"), 4);
	assert_int_equal(modlist_flags("a.ko.gz"), 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines),
		cmocka_unit_test(nothing),
		cmocka_unit_test(limit),
		cmocka_unit_test(compressed_files),
	};

	return RUN_TESTS(tests);
}
