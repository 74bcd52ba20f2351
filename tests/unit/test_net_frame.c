/*
 * Tests of the proof's frame parser: what it takes, and that nothing malformed is taken.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "net/frame.h"

static const uint8_t mac[6] = {6, 0, 0xc0, 0xa8, 0x64, 2};

/* The byte order on the wire is written out by hand (RFC 826). */
static const uint8_t request[FRAME_ARP_LEN] = {
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 6, 0, 0xc0, 0xa8, 0x64, 2,	  8,	6,
	0,    1,    8,	  0,	6,    4,    0, 1, 6,	0,    0xc0, 0xa8, 0x64, 2,
	0xc0, 0xa8, 0x64, 1,	0,    0,    0, 0, 0,	0,    0xc0, 0xa8, 0x64, 5,
};

static void arp_round_trip(void **state)
{
	uint8_t wire[FRAME_ARP_LEN];
	struct frame f;

	(void)state;
	frame_arp_request(mac, 0xc0a86401, 0xc0a86405, wire);
	assert_memory_equal(wire, request, sizeof(request));
	assert_int_equal(frame_parse(wire, sizeof(wire), &f), 0);
	assert_int_equal(f.kind, FRAME_ARP);
	assert_int_equal(f.arp_op, 1);
	assert_int_equal(f.sender_ip, 0xc0a86401);
	assert_int_equal(f.target_ip, 0xc0a86405);
	assert_memory_equal(f.sender_mac, mac, 6);
	assert_memory_equal(f.src, mac, 6);
}

/* Each length is parsed in memory of exactly that length, so that the sanitizer sees one byte
 * more. */
static void short_frames_are_no_arp(void **state)
{
	(void)state;
	for (size_t len = 0; len < FRAME_ARP_LEN; len++) {
		auto_free uint8_t *exact = malloc(len ? len : 1);
		struct frame f = {.kind = FRAME_IPV4};
		int rc;

		memcpy(exact, request, len);
		rc = frame_parse(exact, len, &f);
		assert_int_equal(rc, len < 14 ? -EBADMSG : 0);
		assert_int_equal(f.kind, len < 14 ? FRAME_IPV4 : FRAME_OTHER);
	}
}

/* Other hardware, other protocol, other lengths. */
static void odd_arp_is_other(void **state)
{
	static const size_t at[] = {14, 15, 16, 17, 18, 19};
	struct frame f;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(at); i++) {
		uint8_t wire[FRAME_ARP_LEN];

		memcpy(wire, request, sizeof(wire));
		wire[at[i]] ^= 0x40;
		assert_int_equal(frame_parse(wire, sizeof(wire), &f), 0);
		assert_int_equal(f.kind, FRAME_OTHER);
	}
}

static void ipv4_addresses(void **state)
{
	uint8_t wire[34] = {[12] = 8, [14] = 0x45, [26] = 192, 168, 100, 2, 192, 168, 100, 1};
	struct frame f;

	(void)state;
	assert_int_equal(frame_parse(wire, sizeof(wire), &f), 0);
	assert_int_equal(f.kind, FRAME_IPV4);
	assert_int_equal(f.ip_src, 0xc0a86402);
	assert_int_equal(f.ip_dst, 0xc0a86401);
	assert_int_equal(frame_parse(wire, sizeof(wire) - 1, &f), 0);
	assert_int_equal(f.kind, FRAME_OTHER);
	wire[14] = 0x65;
	assert_int_equal(frame_parse(wire, sizeof(wire), &f), 0);
	assert_int_equal(f.kind, FRAME_OTHER);
}

static void echo_replies(void **state)
{
	uint8_t packet[60 + FRAME_ECHO_LEN] = {0x45};
	uint16_t seq = 7;

	(void)state;
	frame_echo_request(0x1122334455667788, 513, packet + 20);
	assert_int_equal(packet[20], 8);
	/* our own request */
	assert_false(frame_is_echo_reply(packet, 36, 0x1122334455667788, &seq));
	packet[20] = 0;
	assert_true(frame_is_echo_reply(packet, 36, 0x1122334455667788, &seq));
	assert_int_equal(seq, 513);
	seq = 7;
	assert_false(frame_is_echo_reply(packet, 36, 0x1122334455667789, &seq)); /* another's */
	for (size_t len = 0; len < 36; len++)
		assert_false(frame_is_echo_reply(packet, len, 0x1122334455667788, &seq));
	packet[0] = 0x4f; /* options that the packet doesn't hold */
	assert_false(frame_is_echo_reply(packet, 36, 0x1122334455667788, &seq));
	packet[0] = 0x44; /* a header shorter than IPv4's */
	assert_false(frame_is_echo_reply(packet, 36, 0x1122334455667788, &seq));
	assert_int_equal(seq, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arp_round_trip),   cmocka_unit_test(short_frames_are_no_arp),
		cmocka_unit_test(odd_arp_is_other), cmocka_unit_test(ipv4_addresses),
		cmocka_unit_test(echo_replies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
