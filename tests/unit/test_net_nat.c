/*
 * Tests of a network's way out: a namespace plays the internet, with a server on a public address,
 * a LAN behind it, and no route back to any VM; so an answer proves the masquerade.
 */
#include "net_sandbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/str.h"
#include "net/net_internal.h"
#include "net_guest.h"

#define SERVER 0xc6336407u /* 198.51.100.7, RFC 5737 */
#define LAN    0x0a010203u /* 10.1.2.3 */
#define WAN    0xcb007101u /* 203.0.113.1, the host's own address */

struct world {
	struct network conf;
	struct net *n;
	struct net_port a;
	int tap;
	uint8_t gw[6];
};

static void make_internet(void)
{
	static const char *const steps[][12] = {
		{"ip", "netns", "add", "internet"},
		{"ip", "link", "add", "wan", "type", "veth", "peer", "name", "isp", "netns",
		 "internet"},
		{"ip", "addr", "add", "203.0.113.1/24", "dev", "wan"},
		{"ip", "link", "set", "wan", "up"},
		{"ip", "-n", "internet", "addr", "add", "203.0.113.2/24", "dev", "isp"},
		{"ip", "-n", "internet", "addr", "add", "198.51.100.7/32", "dev", "lo"},
		{"ip", "-n", "internet", "addr", "add", "10.1.2.3/32", "dev", "lo"},
		{"ip", "-n", "internet", "link", "set", "lo", "up"},
		{"ip", "-n", "internet", "link", "set", "isp", "up"},
		{"ip", "route", "add", "default", "via", "203.0.113.2"},
	};

	for (size_t i = 0; i < ARRAY_LEN(steps); i++)
		free(run_text(steps[i]));
}

static int world_open(void **state)
{
	static struct world w;
	struct err e = {0};

	w = (struct world){.conf = sandbox_network("default", true)};
	w.conf.dns[0] = LAN;
	w.conf.dns_n = 1;
	network_mac(w.conf.gateway, w.gw);
	make_internet();
	w.a = sandbox_port(&w.conf, 1);
	if (net_open("hearth", &w.conf, true, &w.n, &e) || net_port_open(w.n, &w.a, &w.tap, &e))
		fail_msg("%s", e.text);
	*state = &w;
	return 0;
}

static int world_close(void **state)
{
	struct world *w = *state;
	struct err e = {0};

	close(w->tap);
	net_close(w->n);
	RUN("ip", "link", "del", "wan");
	RUN("ip", "netns", "del", "internet");
	return net_remove("hearth", "default", &e);
}

/* The next ICMP message that reaches the guest, which answers ARP meanwhile; NULL: none. */
static const uint8_t *next_icmp(struct world *w, uint8_t data[GUEST_FRAME_MAX], int timeout_ms)
{
	struct frame f;
	size_t n;

	while ((n = guest_receive(w->tap, data, timeout_ms))) {
		if (frame_parse(data, n, &f))
			continue;
		if (f.kind == FRAME_ARP && f.arp_op == 1 && f.target_ip == w->a.ip)
			guest_arp(w->tap, 2, w->a.mac, w->a.mac, w->a.ip, w->gw, f.sender_ip);
		if (f.kind == FRAME_IPV4 && n >= 50 && data[23] == 1)
			return data + 34;
	}
	return NULL;
}

/* Ping the server until it answers: the links of a new network need a moment. */
static bool server_answers(struct world *w, int tries)
{
	uint8_t data[GUEST_FRAME_MAX];
	uint64_t cookie = 4;
	const uint8_t *icmp = NULL;

	for (int i = 0; i < tries; i++) {
		guest_ping(w->tap, &w->a, w->gw, SERVER, cookie);
		icmp = next_icmp(w, data, 100);
		if (icmp && icmp[0] == 0 && !memcmp(icmp + 8, &cookie, sizeof(cookie))) {
			while (next_icmp(w, data, 50))
				continue; /* answers to earlier pings */
			return true;
		}
		assert_null(icmp); /* nothing else is asked for */
	}
	return false;
}

#define TRIES 100 /* 10 s in all, only when the test fails */

static void server_is_reached_masqueraded(void **state)
{
	struct world *w = *state;
	char *rules;

	assert_true(server_answers(w, TRIES));
	rules = RUN_TEXT("nft", "list", "chain", "inet", "hearth-default", "nat_out");
	assert_null(strstr(rules, "packets 0")); /* its counter counts */
	free(rules);
}

/* Closed: the host's own addresses and what lies behind it privately; asked before the open one. */
static void host_and_lan_are_closed(void **state)
{
	struct world *w = *state;
	uint8_t data[GUEST_FRAME_MAX];
	uint64_t cookie = 9;
	const uint8_t *icmp;

	assert_true(server_answers(w, TRIES));
	guest_ping(w->tap, &w->a, w->gw, WAN, 1);
	guest_ping(w->tap, &w->a, w->gw, LAN, 2);
	guest_ping(w->tap, &w->a, w->gw, 0xa9fea9fe, 3); /* 169.254.169.254: metadata */
	guest_tcp(w->tap, w->a.mac, w->gw, w->a.ip, 40000, WAN, 22, TCP_SYN, 0);
	guest_ping(w->tap, &w->a, w->gw, SERVER, cookie);
	icmp = next_icmp(w, data, ANSWER_LIMIT_MS);
	assert_non_null(icmp);
	assert_memory_equal(icmp + 8, &cookie, sizeof(cookie));
}

/* The named DNS server answers on port 53 although it stands in the LAN; on no other port.  It runs
 * no service: that it was reached shows in its "port unreachable". */
static void named_dns_server_is_open(void **state)
{
	struct world *w = *state;
	uint8_t data[GUEST_FRAME_MAX], udp[12] = {0x9c, 0x40, 0, 54, 0, 12};
	const uint8_t *icmp;

	assert_true(server_answers(w, TRIES));
	guest_ipv4(w->tap, w->a.mac, w->gw, w->a.ip, LAN, 17, udp, sizeof(udp));
	udp[3] = 53;
	guest_ipv4(w->tap, w->a.mac, w->gw, w->a.ip, LAN, 17, udp, sizeof(udp));
	icmp = next_icmp(w, data, ANSWER_LIMIT_MS);
	assert_non_null(icmp);
	assert_int_equal(icmp[0], 3);
	assert_int_equal(get16(icmp + 8 + 20 + 2), 53);
}

/* Docker's policy: named, nothing of it touched, and the remedy works as it is printed. */
static void foreign_drop_is_named_and_mended(void **state)
{
	struct world *w = *state;
	struct err e = {0};
	char *remedy, *before, *after;
	json_t *d = NULL;

	assert_true(server_answers(w, TRIES));
	RUN("nft", "add", "table", "ip", "filter");
	RUN("nft", "add", "chain", "ip", "filter", "FORWARD",
	    "{ type filter hook forward priority 0; policy drop; }");
	before = RUN_TEXT("nft", "-s", "list", "table", "ip", "filter");
	assert_false(server_answers(w, 2));
	if (net_describe(w->n, &d, &e))
		fail_msg("%s", e.text);
	after = RUN_TEXT("nft", "-s", "list", "table", "ip", "filter");
	assert_string_equal(before, after);
	remedy = strdup(json_string_value(
		json_object_get(json_array_get(json_object_get(d, "warnings"), 0), "remedy")));
	assert_non_null(strstr(remedy, " (with Docker"));
	*strstr(remedy, " (with Docker") = '\0';
	RUN("sh", "-ec", remedy);
	assert_true(server_answers(w, TRIES));
	RUN("nft", "delete", "table", "ip", "filter");
	json_decref(d);
	free(remedy);
	free(before);
	free(after);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, world_open, world_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(server_is_reached_masqueraded),
		TEST(host_and_lan_are_closed),
		TEST(named_dns_server_is_open),
		TEST(foreign_drop_is_named_and_mended),
	};
	int rc = sandbox_enter();

	return rc ? rc : cmocka_run_group_tests(tests, NULL, NULL);
}
