/*
 * Tests of guest/init/ipparam: the examples of the kernel's nfsroot.rst, every field, what is
 * refused.
 */
#include "init/ipparam.h"

#include <string.h>

#include "unit.h"

static const struct {
	const char *value;
	enum ip_result result;
	uint32_t ip;
	unsigned prefix;
	uint32_t gw;
	const char *device;
	unsigned dns_n;
} cases[] = {
	{"off", IP_OK, 0, 0, 0, "", 0},
	{"none", IP_OK, 0, 0, 0, "", 0},
	{"dhcp", IP_AUTO, 0, 0, 0, "", 0},
	{"on", IP_AUTO, 0, 0, 0, "", 0},
	{"any", IP_AUTO, 0, 0, 0, "", 0},
	{"both", IP_AUTO, 0, 0, 0, "", 0},
	{"", IP_AUTO, 0, 0, 0, "", 0},
	{"::::::dhcp", IP_AUTO, 0, 0, 0, "", 0},
	{"10.0.0.5::10.0.0.1:255.255.255.0::eth0:dhcp", IP_AUTO, 0, 0, 0, "", 0},
	{":::::eth0:", IP_AUTO, 0, 0, 0, "", 0},
	/* failures.md 12: off and on are the same for a static address. */
	{"10.0.0.5::10.0.0.1:255.255.255.0::eth0:off", IP_OK, 0x0a000005, 24, 0x0a000001, "eth0",
	 0},
	{"10.0.0.5::10.0.0.1:255.255.255.0::eth0:on", IP_OK, 0x0a000005, 24, 0x0a000001, "eth0", 0},
	{"10.0.0.5::10.0.0.1:255.255.255.0::eth0", IP_OK, 0x0a000005, 24, 0x0a000001, "eth0", 0},
	{"10.0.0.5:10.0.0.9::255.255.255.252:h::none:1.1.1.1:2.2.2.2:3.3.3.3", IP_OK, 0x0a000005,
	 30, 0, "", 2},
	/* Without a mask, the class of the address. */
	{"10.0.0.5", IP_OK, 0x0a000005, 8, 0, "", 0},
	{"172.16.0.5", IP_OK, 0xac100005, 16, 0, "", 0},
	{"192.168.0.5", IP_OK, 0xc0a80005, 24, 0, "", 0},
	{"10.0.0.5/24", IP_MALFORMED, 0, 0, 0, "", 0},
	{"10.0.0", IP_MALFORMED, 0, 0, 0, "", 0},
	{"10.0.0.5:x", IP_MALFORMED, 0, 0, 0, "", 0},
	{"10.0.0.5::x", IP_MALFORMED, 0, 0, 0, "", 0},
	{"10.0.0.5:::255.0.255.0", IP_MALFORMED, 0, 0, 0, "", 0},
	{"10.0.0.5:::0.0.0.0", IP_MALFORMED, 0, 0, 0, "", 0},
	{"10.0.0.5:::24", IP_MALFORMED, 0, 0, 0, "", 0},
	{"10.0.0.5::::bad_name", IP_MALFORMED, 0, 0, 0, "", 0},
	{"10.0.0.5:::::a-device-name15", IP_OK, 0x0a000005, 8, 0, "a-device-name15", 0},
	{"10.0.0.5:::::a-device-name-too-long", IP_MALFORMED, 0, 0, 0, "", 0},
	{"10.0.0.5::::::sometimes", IP_MALFORMED, 0, 0, 0, "", 0},
	{"10.0.0.5:::::::1.1.1", IP_MALFORMED, 0, 0, 0, "", 0},
	{"10.0.0.5:::::::::x", IP_MALFORMED, 0, 0, 0, "", 0},
	{"10.0.0.5::::::::::", IP_MALFORMED, 0, 0, 0, "", 0},
	{"sometimes", IP_MALFORMED, 0, 0, 0, "", 0},
};

static void all_forms(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct net_params n = {.mtu = 5};
		const char *expected = NULL;
		enum ip_result got = ipparam_parse(cases[i].value, &n, &expected);

		if (got != cases[i].result || n.ip != cases[i].ip || n.prefix != cases[i].prefix ||
		    n.gw != cases[i].gw || n.dns_n != cases[i].dns_n ||
		    strcmp(n.device, cases[i].device) != 0 || n.has_ip != (cases[i].ip != 0) ||
		    n.has_gw != (cases[i].gw != 0) || n.mtu != 5 || !expected)
			fail_msg("ip=%s: result %d ip %08x/%u gw %08x device \"%s\" dns %u",
				 cases[i].value, (int)got, n.ip, n.prefix, n.gw, n.device, n.dns_n);
	}
}

static void host_names(void **state)
{
	static const char *const good[] = {"a", "web-1", "a.b.c", "1", "A-B"};
	static const char *const bad[] = {"",	  "-a",	 "a-",	"a..b",	    ".a",  "a.",
					  "a-.b", "a_b", "a b", "\xc3\xa4", "a\nb"};
	char name[HOSTNAME_LEN + 1];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_true(hostname_is_valid(good[i]));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(hostname_is_valid(bad[i]));
	memset(name, 'a', sizeof(name));
	name[HOSTNAME_LEN - 1] = '\0';
	assert_true(hostname_is_valid(name));
	name[HOSTNAME_LEN - 1] = 'a';
	name[HOSTNAME_LEN] = '\0';
	assert_false(hostname_is_valid(name));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_forms),
		cmocka_unit_test(host_names),
	};

	return RUN_TESTS(tests);
}
