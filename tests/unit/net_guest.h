#pragma once
/*
 * A guest in C: frames written into and read from a TAP, as a VM's driver would; ARP, ICMP echo and
 * TCP handshakes answered as a script says.
 * Used by the test_net_*.c programs.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "net/frame.h"
#include "net/net.h"

#define VNET_LEN	10    /* struct virtio_net_hdr, all zero: no offloads */
#define GUEST_FRAME_MAX 1514  /* Ethernet, MTU 1500 */
#define ANSWER_LIMIT_MS 10000 /* far beyond any answer; reached only when a test fails */

static const uint8_t mac_all[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

static inline void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

static inline uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline unsigned get16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

/* Internet checksum (RFC 1071) over data, beginning with a sum. */
static inline uint16_t inet_sum(const uint8_t *d, size_t len, uint32_t sum)
{
	for (size_t i = 0; i < len; i++)
		sum += i & 1 ? d[i] : (uint32_t)d[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static inline void guest_send(int tap, const uint8_t *frame, size_t len)
{
	uint8_t buf[VNET_LEN + GUEST_FRAME_MAX] = {0};

	memcpy(buf + VNET_LEN, frame, len);
	if (write(tap, buf, VNET_LEN + len) != (ssize_t)(VNET_LEN + len))
		perror("guest_send");
}

/* The next frame, without its vnet header; 0: none within the time. */
static inline size_t guest_receive(int tap, uint8_t frame[GUEST_FRAME_MAX], int timeout_ms)
{
	struct pollfd p = {.fd = tap, .events = POLLIN};
	uint8_t buf[VNET_LEN + GUEST_FRAME_MAX];
	ssize_t n = poll(&p, 1, timeout_ms) > 0 ? read(tap, buf, sizeof(buf)) : 0;

	if (n <= VNET_LEN)
		return 0;
	memcpy(frame, buf + VNET_LEN, (size_t)n - VNET_LEN);
	return (size_t)n - VNET_LEN;
}

static inline void guest_arp(int tap, unsigned op, const uint8_t src[6],
			     const uint8_t sender_mac[6], uint32_t sender_ip, const uint8_t dst[6],
			     uint32_t target_ip)
{
	uint8_t f[FRAME_ARP_LEN];

	frame_arp_request(sender_mac, sender_ip, target_ip, f);
	memcpy(f, dst, 6);
	memcpy(f + 6, src, 6);
	put16(f + 20, op);
	if (op == 2)
		memcpy(f + 32, dst, 6);
	guest_send(tap, f, sizeof(f));
}

/* An IPv4 packet with its payload, checksum of the header filled in. */
static inline void guest_ipv4(int tap, const uint8_t src[6], const uint8_t dst[6], uint32_t from,
			      uint32_t to, unsigned protocol, const uint8_t *payload, size_t len)
{
	uint8_t f[GUEST_FRAME_MAX] = {0}, *ip = f + 14;

	memcpy(f, dst, 6);
	memcpy(f + 6, src, 6);
	put16(f + 12, 0x0800);
	ip[0] = 0x45;
	put16(ip + 2, (unsigned)(20 + len));
	ip[8] = 64;
	ip[9] = (uint8_t)protocol;
	put32(ip + 12, from);
	put32(ip + 16, to);
	put16(ip + 10, inet_sum(ip, 20, 0));
	memcpy(ip + 20, payload, len);
	guest_send(tap, f, 34 + len);
}

#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

static inline void guest_tcp(int tap, const uint8_t src[6], const uint8_t dst[6], uint32_t from,
			     unsigned from_port, uint32_t to, unsigned to_port, unsigned flags,
			     uint32_t ack)
{
	uint8_t t[20] = {0}, pseudo[12] = {0};
	uint32_t sum = 0;

	put16(t, from_port);
	put16(t + 2, to_port);
	put32(t + 4, 1000); /* sequence number */
	put32(t + 8, ack);
	t[12] = 5 << 4;
	t[13] = (uint8_t)flags;
	put16(t + 14, 8192);
	put32(pseudo, from);
	put32(pseudo + 4, to);
	pseudo[9] = 6;
	put16(pseudo + 10, sizeof(t));
	for (size_t i = 0; i < sizeof(pseudo); i += 2)
		sum += get16(pseudo + i);
	put16(t + 16, inet_sum(t, sizeof(t), sum));
	guest_ipv4(tap, src, dst, from, to, 6, t, sizeof(t));
}

static inline void guest_ping(int tap, const struct net_port *p, const uint8_t gateway[6],
			      uint32_t to, uint64_t cookie)
{
	uint8_t echo[FRAME_ECHO_LEN];

	frame_echo_request(cookie, 1, echo);
	guest_ipv4(tap, p->mac, gateway, p->ip, to, 1, echo, sizeof(echo));
}

/* What a guest answers with; zero: a silent one. */
struct guest_script {
	uint32_t ip; /* it believes that this is its address; 0: none */
	uint8_t mac[6];
	bool pings;    /* answers echo requests */
	unsigned open; /* this TCP port accepts, others refuse */
};

static inline void guest_answer_tcp(int tap, const struct guest_script *s, const uint8_t *f)
{
	const uint8_t *ip = f + 14, *t = ip + 20;
	bool accepts = s->open && get16(t + 2) == s->open;

	if ((t[13] & (TCP_SYN | TCP_ACK)) == TCP_SYN)
		guest_tcp(tap, s->mac, f + 6, s->ip, get16(t + 2), get32(ip + 12), get16(t),
			  accepts ? TCP_SYN | TCP_ACK : TCP_RST | TCP_ACK, get32(t + 4) + 1);
}

/* Read one frame and answer it as the script says; false: there was none. */
static inline bool guest_answer(int tap, const struct guest_script *s)
{
	uint8_t f[GUEST_FRAME_MAX] = {0};
	size_t n = guest_receive(tap, f, 0);
	const uint8_t *ip = f + 14;

	if (!n)
		return false;
	if (!s->ip)
		return true;
	if (n >= FRAME_ARP_LEN && get16(f + 12) == 0x0806 && get16(f + 20) == 1 &&
	    get32(f + 38) == s->ip)
		guest_arp(tap, 2, s->mac, s->mac, s->ip, f + 6, get32(f + 28));
	if (n < 42 || get16(f + 12) != 0x0800 || get32(ip + 16) != s->ip)
		return true;
	if (ip[9] == 1 && ip[20] == 8 && s->pings) {
		uint8_t echo[1480];
		size_t len = get16(ip + 2) - 20u;

		if (len < 8 || len > sizeof(echo) || 34 + len > n)
			return true;
		memcpy(echo, ip + 20, len);
		echo[0] = 0;
		put16(echo + 2, 0);
		put16(echo + 2, inet_sum(echo, len, 0));
		guest_ipv4(tap, s->mac, f + 6, s->ip, get32(ip + 12), 1, echo, len);
	}
	if (ip[9] == 6 && n >= 54)
		guest_answer_tcp(tap, s, f);
	return true;
}
