/*
 * Tests of base/parse: each form with its limits, what is close to it but wrong, and round trips.
 */
#include "base/parse.h"

#include <errno.h>
#include <string.h>

#include "unit.h"

static const char *const never_numbers[] = {"",	   " ",	  " 1",	 "1 ",	 "+1",
					    "-1",  "1x",  "x",	 "0x10", "1.0",
					    "1e3", "\t1", "1\n", "--1",	 "\xd9\xa1"};

static void numbers(void **state)
{
	uint64_t v = 77;
	uint32_t w = 77;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(never_numbers); i++) {
		assert_int_equal(parse_u64(never_numbers[i], 0, UINT64_MAX, &v), -EINVAL);
		assert_int_equal(parse_u32(never_numbers[i], 0, UINT32_MAX, &w), -EINVAL);
	}
	assert_int_equal(v, 77);
	assert_int_equal(parse_u64("18446744073709551615", 0, UINT64_MAX, &v), 0);
	assert_true(v == UINT64_MAX);
	assert_int_equal(parse_u64("18446744073709551616", 0, UINT64_MAX, &v), -ERANGE);
	assert_int_equal(parse_u64("99999999999999999999999999", 0, UINT64_MAX, &v), -ERANGE);
	assert_int_equal(parse_u64("99999999999999999999999999x", 0, UINT64_MAX, &v), -EINVAL);
	assert_int_equal(parse_u64("4", 5, 7, &v), -ERANGE);
	assert_int_equal(parse_u64("8", 5, 7, &v), -ERANGE);
	assert_int_equal(parse_u64("5", 5, 7, &v), 0);
	assert_int_equal(parse_u64("007", 5, 7, &v), 0);
	assert_int_equal(v, 7);
	assert_int_equal(parse_u32("4294967295", 0, UINT32_MAX, &w), 0);
	assert_int_equal(w, UINT32_MAX);
	assert_int_equal(parse_u32("4294967296", 0, UINT32_MAX, &w), -ERANGE);
}

static void hexadecimal(void **state)
{
	static const char *const bad[] = {"", "0x", "x1", "0x0x1", "g", "1g", " 1", "1 ", "-1"};
	uint64_t v = 77;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(parse_hex64(bad[i], &v), -EINVAL);
	assert_int_equal(v, 77);
	assert_int_equal(parse_hex64("0xDeadBeef", &v), 0);
	assert_int_equal(v, 0xdeadbeef);
	assert_int_equal(parse_hex64("0Xff", &v), 0);
	assert_int_equal(v, 0xff);
	assert_int_equal(parse_hex64("ffffffffffffffff", &v), 0);
	assert_true(v == UINT64_MAX);
	assert_int_equal(parse_hex64("10000000000000000", &v), -ERANGE);
}

static void sizes_and_durations(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} sizes[] = {{"0", 0},		 {"4096", 4096},
		     {"10B", 10},	 {"512K", 512 << 10},
		     {"64M", 64 << 20},	 {"2GiB", 2ull << 30},
		     {"1T", 1ull << 40}, {"16777215TiB", 16777215ull << 40}};
	static const struct {
		const char *text;
		uint64_t ms;
	} times[] = {{"250ms", 250},   {"30", 30000},	{"30s", 30000},
		     {"5min", 300000}, {"2h", 7200000}, {"7d", 604800000}};
	static const char *const bad[] = {"", "M", "1.5G", "-1", "1 M", "1Q", "1MM", " 1M", "1m"};
	uint64_t v = 77;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(parse_size(bad[i], &v), -EINVAL);
		assert_int_equal(parse_duration_ms(bad[i], &v), -EINVAL);
	}
	assert_int_equal(v, 77);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		assert_int_equal(parse_size(sizes[i].text, &v), 0);
		assert_true(v == sizes[i].bytes);
	}
	for (size_t i = 0; i < ARRAY_LEN(times); i++) {
		assert_int_equal(parse_duration_ms(times[i].text, &v), 0);
		assert_true(v == times[i].ms);
	}
	assert_int_equal(parse_size("16777216T", &v), -ERANGE);
	assert_int_equal(parse_size("18446744073709551616", &v), -ERANGE);
	assert_int_equal(parse_duration_ms("213503982335d", &v), -ERANGE);
}

static void booleans(void **state)
{
	static const char *const yes[] = {"yes", "true", "on", "1"}, *const no[] = {"no", "false",
										    "off", "0"};
	static const char *const bad[] = {"", "Yes", "2", "y", "true "};
	bool v;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		v = false;
		assert_int_equal(parse_bool(yes[i], &v), 0);
		assert_true(v);
		assert_int_equal(parse_bool(no[i], &v), 0);
		assert_false(v);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(parse_bool(bad[i], &v), -EINVAL);
}

static void ipv4(void **state)
{
	static const char *const bad[] = {"",
					  "1",
					  "1.2.3",
					  "1.2.3.4.5",
					  "1.2.3.4 ",
					  " 1.2.3.4",
					  "1.2.3.256",
					  "1.2.3.04",
					  "01.2.3.4",
					  "1..2.3",
					  "1.2.3.",
					  ".1.2.3",
					  "1.2.3.-4",
					  "a.b.c.d",
					  "1.2.3.0x4",
					  "1.2.3.4/24",
					  "1,2,3,4",
					  "1.2.3.00",
					  "1.2.3.99999999999999999999"};
	char text[IPV4_TEXT_LEN];
	uint32_t a = 77;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(parse_ipv4(bad[i], &a), -EINVAL);
	assert_int_equal(a, 77);
	assert_int_equal(parse_ipv4("192.168.100.5", &a), 0);
	assert_int_equal(a, 0xc0a86405);
	assert_int_equal(parse_ipv4("0.0.0.0", &a), 0);
	assert_int_equal(a, 0);
	for (uint32_t i = 0; i < 100000; i++) {
		uint32_t want = i * 2654435761u; /* spreads over all addresses */

		format_ipv4(want, text);
		assert_int_equal(parse_ipv4(text, &a), 0);
		assert_int_equal(a, want);
	}
	format_ipv4(UINT32_MAX, text);
	assert_string_equal(text, "255.255.255.255");
}

static void cidr(void **state)
{
	static const char *const bad[] = {"",		"1.2.3.4",     "1.2.3.4/",  "1.2.3/8",
					  "1.2.3.4/-1", "1.2.3.4/8/8", "1.2.3.4/ 8"};
	uint32_t a = 77;
	unsigned prefix = 77;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(parse_cidr(bad[i], &a, &prefix), -EINVAL);
	assert_int_equal(parse_cidr("1.2.3.4/33", &a, &prefix), -ERANGE);
	assert_int_equal(a, 77);
	assert_int_equal(prefix, 77);
	assert_int_equal(parse_cidr("192.168.100.7/24", &a, &prefix), 0);
	assert_int_equal(a, 0xc0a86407);
	assert_int_equal(prefix, 24);
	assert_int_equal(parse_cidr("0.0.0.0/0", &a, &prefix), 0);
	assert_int_equal(parse_cidr("1.1.1.1/32", &a, &prefix), 0);
	assert_int_equal(ipv4_mask(0), 0);
	assert_int_equal(ipv4_mask(1), 0x80000000);
	assert_int_equal(ipv4_mask(24), 0xffffff00);
	assert_int_equal(ipv4_mask(32), 0xffffffff);
}

static void mac(void **state)
{
	static const char *const bad[] = {"",
					  "06:00:c0:a8:64",
					  "06:00:c0:a8:64:5",
					  "06:00:c0:a8:64:05 ",
					  "06-00-c0-a8-64-05",
					  "06:00:c0:a8:64:0g",
					  "0x:00:c0:a8:64:05",
					  "06:00:c0:a8:64:0x",
					  "06:00:c0:a8:64::5",
					  "0X:00:c0:a8:64:05",
					  "x0:00:c0:a8:64:05",
					  " 6:00:c0:a8:64:05"};
	uint8_t m[6] = {1, 2, 3, 4, 5, 6};
	char text[MAC_TEXT_LEN];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(parse_mac(bad[i], m), -EINVAL);
	assert_memory_equal(m, "\1\2\3\4\5\6", 6);
	assert_int_equal(parse_mac("06:00:C0:a8:64:ff", m), 0);
	assert_memory_equal(m, "\x06\x00\xc0\xa8\x64\xff", 6);
	format_mac(m, text);
	assert_string_equal(text, "06:00:c0:a8:64:ff");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers),
		cmocka_unit_test(hexadecimal),
		cmocka_unit_test(sizes_and_durations),
		cmocka_unit_test(booleans),
		cmocka_unit_test(ipv4),
		cmocka_unit_test(cidr),
		cmocka_unit_test(mac),
	};

	return RUN_TESTS(tests);
}
