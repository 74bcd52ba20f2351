/*
 * The model: network arithmetic at its limits, ids and names, copies of records.
 */
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/parse.h"
#include "base/str.h"
#include "model/id.h"
#include "model/network.h"
#include "model/vm.h"

static struct network net(const char *cidr)
{
	struct network n = {.name = "n"};

	assert_int_equal(parse_cidr(cidr, &n.cidr, &n.prefix), 0);
	return n;
}

static void good_networks(void **state)
{
	struct network n = net("192.168.100.0/24"), small = net("10.0.0.8/29"),
		       large = net("10.1.0.0/16");
	struct err e;
	uint8_t mac[6];

	(void)state;
	assert_int_equal(network_check(&n, &e), 0);
	assert_int_equal(n.gateway, 0xc0a86401u);
	assert_int_equal(n.mtu, 1500);
	assert_int_equal(network_capacity(&n), 253);
	assert_int_equal(network_address(&n, 0), 0xc0a86402u);
	assert_int_equal(network_address(&n, 252), 0xc0a864feu);
	small.gateway = small.cidr + 6; /* the last host: addresses come before it */
	assert_int_equal(network_check(&small, &e), 0);
	assert_int_equal(network_capacity(&small), 5);
	assert_int_equal(network_address(&small, 0), small.cidr + 1);
	assert_int_equal(network_address(&small, 4), small.cidr + 5);
	assert_int_equal(network_check(&large, &e), 0);
	network_mac(0xc0a86405u, mac);
	assert_memory_equal(mac, "\x06\x00\xc0\xa8\x64\x05", 6);
}

static void bad_networks(void **state)
{
	static const struct {
		const char *cidr, *id;
		uint32_t gateway;
		unsigned mtu;
	} bad[] = {
		{"192.168.100.1/24", "network.bad-cidr", 0, 0},
		{"10.0.0.0/15", "network.bad-cidr", 0, 0},
		{"10.0.0.0/30", "network.bad-cidr", 0, 0},
		{"127.0.0.0/24", "network.bad-cidr", 0, 0},
		{"224.0.0.0/24", "network.bad-cidr", 0, 0},
		{"169.254.0.0/24", "network.bad-cidr", 0, 0},
		{"0.0.0.0/24", "network.bad-cidr", 0, 0},
		{"10.0.0.0/24", "network.bad-gateway", 0x0a000000u, 0},
		{"10.0.0.0/24", "network.bad-gateway", 0x0a0000ffu, 0},
		{"10.0.0.0/24", "network.bad-gateway", 0x0a000101u, 0},
		{"10.0.0.0/24", "network.bad-mtu", 0, 575},
		{"10.0.0.0/24", "network.bad-mtu", 0, 9001},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct network n = net(bad[i].cidr);
		struct err e;

		n.mtu = bad[i].mtu;
		n.gateway = bad[i].gateway ? bad[i].gateway : 0;
		if (str_eq(bad[i].id, "network.bad-gateway") && i == 7)
			n.gateway = n.cidr; /* the network's own address */
		assert_int_equal(network_check(&n, &e), -EINVAL);
		assert_string_equal(e.id, bad[i].id);
		assert_non_null(strstr(e.text, "expected"));
	}
}

static void ids_and_names(void **state)
{
	char id[ID_LEN], other[ID_LEN], longest[LIMIT_NAME_LEN + 2];

	(void)state;
	id_new("vm", id);
	id_new("vm", other);
	assert_true(id_valid("vm", id));
	assert_string_not_equal(id, other);
	assert_false(id_valid("tok", id));
	assert_false(id_valid("vm", "vm-1234567") || id_valid("vm", "vm-123456789") ||
		     id_valid("vm", "vm-1234567G") || id_valid("vm", "vm-1234567/") ||
		     id_valid("vm", ""));
	assert_true(name_valid("a") && name_valid("web-1"));
	assert_false(name_valid("") || name_valid("-a") || name_valid("a-") || name_valid("A") ||
		     name_valid("a.b") || name_valid("../a"));
	memset(longest, 'a', sizeof(longest));
	longest[LIMIT_NAME_LEN + 1] = '\0';
	assert_false(name_valid(longest));
	longest[LIMIT_NAME_LEN] = '\0';
	assert_true(name_valid(longest));
}

static void states_have_names(void **state)
{
	(void)state;
	for (int s = 0; s < VM_STATE_N_; s++)
		assert_int_equal(vm_state_parse(vm_state_name((enum vm_state)s)), s);
	assert_int_equal(vm_state_parse("running"), VM_STATE_N_);
	assert_true(vm_state_has_process(VM_BOOTING) && vm_state_has_process(VM_STOPPING));
	assert_false(vm_state_has_process(VM_CREATING) || vm_state_has_process(VM_FAILED));
}

static void copies_are_deep(void **state)
{
	struct vm_rec a = {.vcpus = 3, .labels = strdup("{}")}, b = {0};

	(void)state;
	EACH_ALLOCATION_FAILS(vm_rec_copy(&b, &a), (void)0);
	assert_ptr_not_equal(a.labels, b.labels);
	assert_string_equal(b.labels, "{}");
	assert_int_equal(b.vcpus, 3);
	vm_rec_done(&a);
	vm_rec_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_networks),   cmocka_unit_test(bad_networks),
		cmocka_unit_test(ids_and_names),   cmocka_unit_test(states_have_names),
		cmocka_unit_test(copies_are_deep),
	};

	return RUN_TESTS(tests);
}
