#pragma once
/*
 * A host of its own for a test of host/net: a fresh network namespace plays the host, a private
 * /run holds the namespaces' names and the journal, so that the real host stays untouched. Used by
 * the test_net_*.c programs; root only.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/icmp6.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/parse.h"
#include "base/proc.h"
#include "net/net.h"

#define SKIPPED		77
#define ANSWER_LIMIT_MS 5000 /* far beyond any answer on this machine; reached only on failure */

/* Exit status to end with, or 0: the sandbox is there. */
static inline int sandbox_enter(void)
{
	if (geteuid() != 0) {
		(void)fprintf(stderr, "skipped: needs root for namespaces and TAPs\n");
		return SKIPPED;
	}
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) ||
	    mount("", "/", "none", MS_REC | MS_PRIVATE, NULL) ||
	    mount("tmpfs", "/run", "tmpfs", 0, "mode=0755")) {
		perror("sandbox");
		return 1;
	}
	return 0;
}

/* Run a program to its end in the calling thread's namespaces; its output, or the end of the test.
 */
static inline char *run_text(const char *const *argv)
{
	struct buf out = {.max = 4u << 20};
	struct err e = {0};
	int rc = proc_run(
		&(struct proc_run){.argv = argv, .out = &out, .err = &out, .timeout_ms = 20000},
		&e);

	if (rc) {
		(void)fprintf(stderr, "%s %s: %d %s\n%s\n", argv[0], argv[1], rc, e.text,
			      buf_text(&out));
		abort();
	}
	return buf_take(&out);
}
#define RUN_TEXT(...) run_text((const char *const[]){__VA_ARGS__, NULL})
#define RUN(...)      free(RUN_TEXT(__VA_ARGS__))

/* All that host/net may change on the host, as text to compare. */
static inline char *host_picture(void)
{
	char *links = RUN_TEXT("ip", "-j", "addr"), *routes = RUN_TEXT("ip", "-j", "route");
	char *rules = RUN_TEXT("nft", "-j", "list", "ruleset");
	struct buf sysctl = {0}, all = {0};

	(void)fd_read_file("/proc/sys/net/ipv4/ip_forward", 64, &sysctl, NULL);
	(void)buf_printf(&all, "%s\n%s\n%s\n%s\n", links, routes, rules, buf_text(&sysctl));
	free(links);
	free(routes);
	free(rules);
	buf_done(&sysctl);
	return buf_take(&all);
}

static inline struct network sandbox_network(const char *name, bool nat)
{
	struct network n = {
		.cidr = 0xc0a86400, .prefix = 24, .mtu = 1500, .isolated = true, .nat = nat};
	struct err e = {0};

	(void)snprintf(n.name, sizeof(n.name), "%s", name);
	if (network_check(&n, &e)) {
		(void)fprintf(stderr, "%s\n", e.text);
		abort();
	}
	return n;
}

static inline struct net_port sandbox_port(const struct network *n, uint32_t number)
{
	struct net_port p = {.number = number, .ip = network_address(n, number - 1)};

	network_mac(p.ip, p.mac);
	return p;
}

/* --- a guest in C: frames written into and read from a TAP --- */

#define VNET_LEN 10 /* struct virtio_net_hdr, all zero: no offloads */

struct arp_frame {
	struct ether_header eth;
	struct arphdr arp;
	uint8_t sender_mac[6], sender_ip[4], target_mac[6], target_ip[4];
} __attribute__((packed));

static inline void put_be32(uint8_t *p, uint32_t v)
{
	v = htonl(v);
	memcpy(p, &v, 4);
}

static inline uint32_t get_be32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return ntohl(v);
}

static inline void guest_send(int tap, const void *frame, size_t len)
{
	uint8_t buf[2048] = {0};

	memcpy(buf + VNET_LEN, frame, len);
	if (write(tap, buf, VNET_LEN + len) != (ssize_t)(VNET_LEN + len))
		perror("guest_send");
}

/* The next frame, without its vnet header; 0: none within the time. */
static inline size_t guest_receive(int tap, uint8_t *frame, size_t cap, int timeout_ms)
{
	struct pollfd p = {.fd = tap, .events = POLLIN};
	uint8_t buf[VNET_LEN + 2048];
	ssize_t n;

	if (poll(&p, 1, timeout_ms) <= 0)
		return 0;
	n = read(tap, buf, sizeof(buf));
	if (n <= VNET_LEN)
		return 0;
	n -= VNET_LEN;
	memcpy(frame, buf + VNET_LEN, (size_t)n < cap ? (size_t)n : cap);
	return (size_t)n;
}

static inline struct arp_frame arp_make(uint16_t op, const uint8_t sender_mac[6],
					uint32_t sender_ip, const uint8_t target_mac[6],
					uint32_t target_ip)
{
	struct arp_frame f = {.arp = {htons(ARPHRD_ETHER), htons(ETHERTYPE_IP), 6, 4, htons(op)}};

	f.eth.ether_type = htons(ETHERTYPE_ARP);
	memcpy(f.eth.ether_shost, sender_mac, 6);
	memset(f.eth.ether_dhost, 0xff, 6);
	memcpy(f.sender_mac, sender_mac, 6);
	if (target_mac) {
		memcpy(f.eth.ether_dhost, target_mac, 6);
		memcpy(f.target_mac, target_mac, 6);
	}
	put_be32(f.sender_ip, sender_ip);
	put_be32(f.target_ip, target_ip);
	return f;
}
