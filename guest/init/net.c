/*
 * The net phase: finds the VM's network card and gives it its address.
 *
 * A card is found by its MAC, never by name, because names depend on the kernel, the bus and udev.
 * This phase runs before the root is mounted, so that the host can prove the network meanwhile.
 */
#include <limits.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/parse.h"
#include "base/str.h"
#include "init/arp.h"
#include "init/init.h"
#include "init/textfile.h"

#define NIC_WAIT_NS (2 * NS_PER_S) /* drivers probe while their module loads: the rest is slack */
#define CARRIER_WAIT_NS                                                                            \
	(500 * NS_PER_MS) /* virtio-net reports its link within one config interrupt */
#define LOOPBACK_INDEX 1  /* net/core/dev.c: lo is the first device of a namespace */

/* The card that the parameters mean: its index, or -1 with the fault that would be reported now. */
static int pick(const struct net_params *n, const struct nic *nics, size_t count, struct fault *f)
{
	char mac[MAC_TEXT_LEN] = "";

	if (n->has_mac)
		format_mac(n->mac, mac);
	if (count == 0)
		return fault_set(f, FAULT_NIC_MISSING, mac,
				 "no network card appeared within %llu s", NIC_WAIT_NS / NS_PER_S);
	for (size_t i = 0; n->has_mac && i < count; i++)
		if (memcmp(nics[i].mac, n->mac, sizeof(n->mac)) == 0)
			return (int)i;
	if (n->has_mac)
		return fault_set(f, FAULT_NIC_MAC_MISSING, mac, "no network card has this MAC");
	if (count == 1)
		return 0;
	/* ip= may name the device, by the kernel's first name for it: only to choose one. */
	for (size_t i = 0; *n->device && i < count; i++)
		if (str_eq(nics[i].name, n->device))
			return (int)i;
	return fault_set(f, FAULT_NIC_AMBIGUOUS, n->device, "%zu network cards and no MAC", count);
}

static int find_nic(struct boot *b, int fd, struct nic *ret, struct fault *f)
{
	uint64_t deadline = clock_mono_ns() + NIC_WAIT_NS;
	struct nic nics[NICS_MAX];

	for (;;) {
		size_t n;
		int rc = rtnl_nics(fd, nics, &n);

		if (rc)
			return fault_set(f, FAULT_NET_SETUP, "list of links", "%s", strerror(-rc));
		rc = pick(&b->params.net, nics, n, f);
		if (rc >= 0) {
			*ret = nics[rc];
			return 0;
		}
		/* More cards would not make the choice clearer. */
		if (f->code == FAULT_NIC_AMBIGUOUS || watch_wait(&b->watch, deadline))
			return -1;
	}
}

/* Hearth's networks carry IPv4; without this the kernel greets routers and groups by itself as soon
 * as the link is up (RFC 4861, RFC 3810).  A kernel without IPv6 has no such file. */
static void silence_ipv6(const struct nic *nic)
{
	char path[PATH_MAX];

	if (str_fmt(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6", nic->name))
		(void)textfile_write(path, "1"); /* see above; its frames are dropped on the host */
}

static int configure(int fd, const struct nic *nic, const struct net_params *n, struct fault *f)
{
	char text[IPV4_TEXT_LEN];
	int rc;

	silence_ipv6(nic);
	/* Address before link: the route needs the link up, and the first frame the address. */
	format_ipv4(n->ip, text);
	rc = n->has_ip ? rtnl_addr_add(fd, nic->index, n->ip, n->prefix) : 0;
	if (rc)
		return fault_set(f, FAULT_NET_SETUP, text, "address on %s: %s", nic->name,
				 strerror(-rc));
	rc = rtnl_link_up(fd, nic->index, n->mtu);
	if (rc)
		return fault_set(f, FAULT_NET_SETUP, nic->name, "link up with MTU %u: %s", n->mtu,
				 strerror(-rc));
	format_ipv4(n->gw, text);
	rc = n->has_gw ? rtnl_default_route(fd, nic->index, n->gw, n->prefix == 32) : 0;
	if (rc)
		return fault_set(f, FAULT_NET_SETUP, text, "default route over %s: %s", nic->name,
				 strerror(-rc));
	return 0;
}

static bool wait_carrier(struct boot *b, int fd, struct nic *nic)
{
	uint64_t deadline = clock_mono_ns() + CARRIER_WAIT_NS;
	struct nic nics[NICS_MAX];
	size_t n;

	for (;;) {
		if (rtnl_nics(fd, nics, &n))
			return false;
		for (size_t i = 0; i < n; i++)
			if (nics[i].index == nic->index && nics[i].has_carrier)
				return true;
		if (watch_wait(&b->watch, deadline))
			return false;
	}
}

static void report(const struct net_params *n, const struct nic *nic, struct line *ok)
{
	char text[MAC_TEXT_LEN];

	line_str(ok, "dev", nic->name);
	format_mac(nic->mac, text);
	line_str(ok, "mac", text);
	if (n->has_ip) {
		format_ipv4(n->ip, text);
		line_fmt(ok, "ip", "%s/%u", text, n->prefix);
	}
	if (n->has_gw) {
		format_ipv4(n->gw, text);
		line_str(ok, "gw", text);
	}
	if (n->mtu)
		line_u64(ok, "mtu", n->mtu);
	line_str(ok, "carrier", nic->has_carrier ? "yes" : "no");
}

static int raise_loopback(int fd, struct fault *f)
{
	int rc = rtnl_link_up(fd, LOOPBACK_INDEX, 0);

	return rc ? fault_set(f, FAULT_NET_SETUP, "lo", "%s", strerror(-rc)) : 0;
}

int phase_net(struct boot *b, struct line *ok, struct fault *f)
{
	const struct net_params *n = &b->params.net;
	auto_close int fd = -1;
	int rc = rtnl_open(&fd);

	if (rc)
		return fault_set(f, FAULT_NET_SETUP, "rtnetlink", "%s", strerror(-rc));
	if (!n->has_mac && !n->has_ip && !n->mtu) {
		line_str(ok, "why", "no network fields");
		return raise_loopback(fd, f) ?: PHASE_SKIPPED;
	}
	if (find_nic(b, fd, &b->nic, f) || configure(fd, &b->nic, n, f))
		return -1;
	b->nic.has_carrier = wait_carrier(b, fd, &b->nic);
	b->has_nic = true;
	report(n, &b->nic, ok);
	if (n->has_ip) {
		rc = arp_announce(&b->nic, n->ip);
		line_str(ok, "arp", rc ? strerror(-rc) : "announced");
	}
	return raise_loopback(fd, f); /* last: nobody waits for it yet */
}
