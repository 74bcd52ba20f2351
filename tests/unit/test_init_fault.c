/*
 * Tests of guest/init/fault: numbers are distinct and in range, hints exist, and the documentation
 * names every code with its number.
 */
#include "init/fault.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "unit.h"

static void table(void **state)
{
	(void)state;
	for (int i = 0; i < FAULT_N_; i++) {
		const struct fault_info *info = fault_info((enum fault_code)i);

		assert_true(info->exit >= 10 && info->exit <= 99);
		assert_true(strlen(info->hint) > 10);
		for (int k = 0; k < i; k++)
			assert_int_not_equal(info->exit, fault_info((enum fault_code)k)->exit);
	}
}

static void recording(void **state)
{
	struct fault f = {0};
	char long_name[2 * sizeof(f.looked)];

	(void)state;
	assert_int_equal(fault_set(&f, FAULT_INIT_MISSING, "/sbin/init", "%d of %s", 3, "it"), -1);
	assert_int_equal(f.code, FAULT_INIT_MISSING);
	assert_string_equal(f.looked, "/sbin/init");
	assert_string_equal(f.why, "3 of it");
	memset(long_name, 'x', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	(void)fault_set(&f, FAULT_INTERNAL, long_name, "%s", long_name);
	assert_int_equal(strlen(f.looked), sizeof(f.looked) - 1);
	assert_int_equal(strlen(f.why), sizeof(f.why) - 1);
}

static void documented(void **state)
{
	char text[65536];
	FILE *doc = fopen(INIT_DOC, "re");
	size_t n;

	(void)state;
	assert_non_null(doc);
	n = fread(text, 1, sizeof(text) - 1, doc);
	text[n] = '\0';
	(void)fclose(doc);
	for (int i = 0; i < FAULT_N_; i++) {
		const struct fault_info *info = fault_info((enum fault_code)i);
		char row[100];

		(void)snprintf(row, sizeof(row), "| `%s` | %d |", info->name, info->exit);
		if (!strstr(text, row))
			fail_msg("%s lacks the row \"%s\"", INIT_DOC, row);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table),
		cmocka_unit_test(recording),
		cmocka_unit_test(documented),
	};

	return RUN_TESTS(tests);
}
