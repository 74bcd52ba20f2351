/*
 * Tests of guest/init/hosts: a line is added once, replaced at the next boot, and never doubled.
 */
#include "init/hosts.h"

#include "base/buf.h"
#include "unit.h"

#define OWN(name) "127.0.1.1\t" name "\t# by hearth-init\n"

static const struct {
	const char *old, *hostname, *now;
} cases[] = {
	{"", "web-1", OWN("web-1")},
	{"127.0.0.1\tlocalhost\n", "web-1", "127.0.0.1\tlocalhost\n" OWN("web-1")},
	{"127.0.0.1 localhost", "web-1", "127.0.0.1 localhost\n" OWN("web-1")},
	/* The next boot, with another name. */
	{"127.0.0.1 localhost\n" OWN("web-1"), "web-2", "127.0.0.1 localhost\n" OWN("web-2")},
	{OWN("web-1") "::1 ip6-localhost\n", "web-1", "::1 ip6-localhost\n" OWN("web-1")},
	/* Somebody else's line names the host. */
	{"10.0.0.5 a web-1 b\n", "web-1", "10.0.0.5 a web-1 b\n"},
	{"10.0.0.5 web-1#x\n", "web-1", "10.0.0.5 web-1#x\n"},
	{"10.0.0.5 web-1", "web-1", "10.0.0.5 web-1\n"},
	/* Not named: in a comment, as part of a name, as an address, on the next line. */
	{"10.0.0.5 a # web-1\n", "web-1", "10.0.0.5 a # web-1\n" OWN("web-1")},
	{"10.0.0.5 web-10\n", "web-1", "10.0.0.5 web-10\n" OWN("web-1")},
	{"web-1 a\n", "web-1", "web-1 a\n" OWN("web-1")},
	{"10.0.0.5\nweb-1\n", "web-1", "10.0.0.5\nweb-1\n" OWN("web-1")},
	{"\n\n#\n", "web-1", "\n\n#\n" OWN("web-1")},
};

static void rewrites(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		auto_buf now = {0};

		assert_int_equal(hosts_update(cases[i].old, cases[i].hostname, &now), 0);
		assert_string_equal(buf_text(&now), cases[i].now);
	}
}

static void twice_is_once(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		auto_buf once = {0}, twice = {0};

		assert_int_equal(hosts_update(cases[i].old, cases[i].hostname, &once), 0);
		assert_int_equal(hosts_update(buf_text(&once), cases[i].hostname, &twice), 0);
		assert_string_equal(buf_text(&once), buf_text(&twice));
	}
}

static void ceiling(void **state)
{
	auto_buf now = {.max = 10};

	(void)state;
	assert_true(hosts_update("127.0.0.1 localhost\n", "web-1", &now) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rewrites),
		cmocka_unit_test(twice_is_once),
		cmocka_unit_test(ceiling),
	};

	return RUN_TESTS(tests);
}
