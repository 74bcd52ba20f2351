#pragma once
/*
 * Reads what the proof needs of an Ethernet frame or an ICMP answer, and writes an ARP request.
 *
 * Trust: every byte was chosen by a guest.  Parsing copies; nothing is believed before its length
 * is checked.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_SNAP                                                                                 \
	64 /* bytes of a frame that the parser looks at: Ethernet + longest IPv4 needed */
#define FRAME_ARP_LEN 42 /* Ethernet 14 + ARP for IPv4 28 */

enum frame_kind { FRAME_OTHER, FRAME_ARP, FRAME_IPV4 };

struct frame {
	uint8_t dst[6], src[6];
	uint16_t type; /* EtherType, host order */
	enum frame_kind kind;
	/* FRAME_ARP, for Ethernet and IPv4 */
	uint16_t arp_op; /* 1 request, 2 reply */
	uint8_t sender_mac[6], target_mac[6];
	uint32_t sender_ip, target_ip; /* host order */
	/* FRAME_IPV4 */
	uint32_t ip_src, ip_dst; /* host order */
};

/* -EBADMSG when it is shorter than an Ethernet header; malformed contents are FRAME_OTHER. */
int frame_parse(const uint8_t *data, size_t len, struct frame *ret);

void frame_arp_request(const uint8_t src_mac[6], uint32_t src_ip, uint32_t target_ip,
		       uint8_t ret[FRAME_ARP_LEN]);

/* True iff an IPv4 packet is an ICMP echo reply with this cookie; *ret_seq is its sequence
 * number. */
bool frame_is_echo_reply(const uint8_t *packet, size_t len, uint64_t cookie, uint16_t *ret_seq);

#define FRAME_ECHO_LEN 16 /* ICMP header 8 + cookie 8 */
void frame_echo_request(uint64_t cookie, uint16_t seq, uint8_t ret[FRAME_ECHO_LEN]);
