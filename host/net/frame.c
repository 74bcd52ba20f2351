/*
 * Frames of the network's proof.
 * Called by proof.c and proof_wire.c on the loop's thread, and by the fuzz target.
 * Trust: every byte parsed here was chosen by a guest.
 *
 *	Ethernet (IEEE 802.3)	0 destination[6]  6 source[6]  12 type[2]
 *	ARP (RFC 826)		14 hardware[2]=1  16 protocol[2]=0x0800  18 lengths 6, 4
 *				20 operation[2]  22 sender MAC[6]  28 sender IP[4]
 *				32 target MAC[6]  38 target IP[4]
 *	IPv4 (RFC 791)		14 version 4 and header length  26 source[4]  30 destination[4]
 *	ICMP echo (RFC 792)	0 type (8 request, 0 reply)  1 code 0  2 checksum[2]  4 id[2]
 *				6 sequence[2]  8 cookie[8], ours
 */
#include "net/frame.h"

#include <errno.h>
#include <string.h>

#define ETH_LEN	     14
#define IPV4_LEN     20
#define TYPE_IPV4    0x0800
#define TYPE_ARP     0x0806
#define ECHO_REQUEST 8
#define ECHO_ID	     0x6865 /* "he"; the cookie, not this, tells our answers from others */

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

static void parse_arp(const uint8_t *d, size_t len, struct frame *f)
{
	if (len < FRAME_ARP_LEN || get16(d + 14) != 1 || get16(d + 16) != TYPE_IPV4 || d[18] != 6 ||
	    d[19] != 4)
		return;
	f->kind = FRAME_ARP;
	f->arp_op = get16(d + 20);
	memcpy(f->sender_mac, d + 22, 6);
	f->sender_ip = get32(d + 28);
	memcpy(f->target_mac, d + 32, 6);
	f->target_ip = get32(d + 38);
}

int frame_parse(const uint8_t *d, size_t len, struct frame *ret)
{
	struct frame f = {.kind = FRAME_OTHER};

	if (len < ETH_LEN)
		return -EBADMSG;
	memcpy(f.dst, d, 6);
	memcpy(f.src, d + 6, 6);
	f.type = get16(d + 12);
	if (f.type == TYPE_ARP)
		parse_arp(d, len, &f);
	if (f.type == TYPE_IPV4 && len >= ETH_LEN + IPV4_LEN && d[14] >> 4 == 4) {
		f.kind = FRAME_IPV4;
		f.ip_src = get32(d + 26);
		f.ip_dst = get32(d + 30);
	}
	*ret = f;
	return 0;
}

void frame_arp_request(const uint8_t src_mac[6], uint32_t src_ip, uint32_t target_ip,
		       uint8_t ret[FRAME_ARP_LEN])
{
	memset(ret, 0xff, 6);
	memcpy(ret + 6, src_mac, 6);
	put16(ret + 12, TYPE_ARP);
	put16(ret + 14, 1);
	put16(ret + 16, TYPE_IPV4);
	ret[18] = 6;
	ret[19] = 4;
	put16(ret + 20, 1);
	memcpy(ret + 22, src_mac, 6);
	put32(ret + 28, src_ip);
	memset(ret + 32, 0, 6);
	put32(ret + 38, target_ip);
}

bool frame_is_echo_reply(const uint8_t *d, size_t len, uint64_t cookie, uint16_t *ret_seq)
{
	size_t header;

	if (len < IPV4_LEN || d[0] >> 4 != 4)
		return false;
	header = (size_t)(d[0] & 15) * 4;
	if (header < IPV4_LEN || len < header + FRAME_ECHO_LEN)
		return false;
	d += header;
	if (d[0] != 0 || d[1] != 0 || memcmp(d + 8, &cookie, sizeof(cookie)))
		return false;
	*ret_seq = get16(d + 6);
	return true;
}

/* The Internet checksum (RFC 1071). */
static uint16_t checksum(const uint8_t *d, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < len; i += 2)
		sum += get16(d + i);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

void frame_echo_request(uint64_t cookie, uint16_t seq, uint8_t ret[FRAME_ECHO_LEN])
{
	memset(ret, 0, FRAME_ECHO_LEN);
	ret[0] = ECHO_REQUEST;
	put16(ret + 4, ECHO_ID);
	put16(ret + 6, seq);
	memcpy(ret + 8, &cookie, sizeof(cookie));
	put16(ret + 2, checksum(ret, FRAME_ECHO_LEN));
}
