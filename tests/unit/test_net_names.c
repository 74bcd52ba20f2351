/*
 * Tests of the names that a network's kernel objects get: safe, short enough, never shared.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"
#include "net/net_internal.h"

static struct net_names names(const char *instance, const char *network)
{
	struct net_names n;
	struct err e = {0};

	if (net_names(instance, network, &n, &e))
		fail_msg("%s", e.text);
	return n;
}

static void readable_where_they_fit(void **state)
{
	struct net_names n = names("hearth", "default");

	(void)state;
	assert_string_equal(n.ns, "hearth-default");
	assert_string_equal(n.veth, "hv-default");
	assert_string_equal(n.alias, "hearth:hearth/default");
	assert_string_equal(names("hearth", "twelve-bytes").veth, "hv-twelve-bytes");
}

static void long_and_foreign_ones_are_hashed(void **state)
{
	char longest[LIMIT_NAME_LEN + 1];
	struct net_names a, b;

	(void)state;
	memset(longest, 'n', LIMIT_NAME_LEN);
	longest[LIMIT_NAME_LEN] = '\0';
	a = names("hearth", longest);
	assert_int_equal(strlen(a.veth), IFNAMSIZ - 1);
	assert_true(str_starts(a.veth, "hv-"));
	longest[LIMIT_NAME_LEN - 1] = 'm';
	b = names("hearth", longest);
	assert_string_not_equal(a.veth, b.veth);
	/* another hearthd's network of the same name */
	assert_string_not_equal(names("other", "default").veth, names("hearth", "default").veth);
	assert_string_not_equal(names("other", "default").veth, names("third", "default").veth);
	assert_true(strlen(names("eightlet", longest).ns) < NETNS_NAME_LEN);
}

static void bad_names_are_refused(void **state)
{
	static const char *const bad[][2] = {
		{"", "default"},    {"ninelette", "default"}, {"a-b", "c"},
		{"A", "default"},   {"../x", "default"},      {"hearth", ""},
		{"hearth", "../x"}, {"hearth", "a b"},	      {"hearth", "-a"},
		{"hearth", "a;b"},
	};
	struct net_names n;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct err e = {0};

		assert_int_equal(net_names(bad[i][0], bad[i][1], &n, &e), -EINVAL);
		assert_int_equal(e.kind, ERR_CALLER);
	}
}

static void tap_names_come_from_numbers(void **state)
{
	static const char *const bad[] = {"hv",	  "hv0", "hv01",	"hv-1",
					  "hv1x", "br0", "hv4294967296"};
	char name[IFNAMSIZ];
	uint32_t number = 7;

	(void)state;
	net_tap_name(17, name);
	assert_string_equal(name, "hv17");
	net_tap_name(UINT32_MAX, name);
	assert_string_equal(name, "hv4294967295");
	assert_true(net_tap_number(name, &number));
	assert_int_equal(number, UINT32_MAX);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(net_tap_number(bad[i], &number));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(readable_where_they_fit),
		cmocka_unit_test(long_and_foreign_ones_are_hashed),
		cmocka_unit_test(bad_names_are_refused),
		cmocka_unit_test(tap_names_come_from_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
