/*
 * Tests of base/clock: monotony, the text of times, the boot id.
 */
#include "base/clock.h"

#include <string.h>
#include <time.h>

#include "unit.h"

static void never_goes_back(void **state)
{
	uint64_t mono = clock_mono_ns(), boot = clock_boot_ns();

	(void)state;
	for (int i = 0; i < 1000; i++) {
		uint64_t m = clock_mono_ns(), b = clock_boot_ns();

		assert_true(m >= mono && b >= boot);
		mono = m;
		boot = b;
	}
}

static void agrees_with_time(void **state)
{
	time_t before = time(NULL);
	uint64_t us = clock_wall_us();
	time_t after = time(NULL);

	(void)state;
	/* time(2) is read from the last tick, so it may be a tick behind. */
	assert_in_range(us / US_PER_S, (uint64_t)before - 1, (uint64_t)after + 1);
}

static void prints_rfc3339(void **state)
{
	static const struct {
		uint64_t us;
		const char *text;
	} rows[] = {
		{0, "1970-01-01T00:00:00.000000Z"},
		{1, "1970-01-01T00:00:00.000001Z"},
		{951782400000000, "2000-02-29T00:00:00.000000Z"},
		{1795469418123456, "2026-11-23T21:30:18.123456Z"},
		{253402300799999999, "9999-12-31T23:59:59.999999Z"},
		{253402300800000000, "?"},
		{UINT64_MAX, "?"},
	};
	char text[CLOCK_TEXT_LEN];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		clock_text(rows[i].us, text);
		assert_string_equal(text, rows[i].text);
	}
}

static void knows_the_boot(void **state)
{
	char a[CLOCK_BOOT_ID_LEN], b[CLOCK_BOOT_ID_LEN];

	(void)state;
	clock_boot_id(a);
	clock_boot_id(b);
	assert_int_equal(strlen(a), CLOCK_BOOT_ID_LEN - 1);
	assert_string_equal(a, b);
	assert_int_equal(strspn(a, "0123456789abcdef-"), CLOCK_BOOT_ID_LEN - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(never_goes_back),
		cmocka_unit_test(agrees_with_time),
		cmocka_unit_test(prints_rfc3339),
		cmocka_unit_test(knows_the_boot),
	};

	return RUN_TESTS(tests);
}
