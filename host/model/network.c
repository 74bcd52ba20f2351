/*
 * Computes everything of a network from its one object: gateway, capacity, addresses, MACs.
 * Called by the controller, the store and host/net on any thread.
 * Trust: the object comes from a client or the configuration file; network_check is its gate.
 */
#include "model/network.h"

#include <errno.h>

#include "base/err.h"
#include "base/parse.h"
#include "model/id.h"

#define PREFIX_MIN  16	 /* 65,533 leases: far above LIMIT_VMS */
#define PREFIX_MAX  29	 /* 5 leases: smaller makes no sense with a gateway */
#define MTU_DEFAULT 1500 /* Ethernet */
#define MTU_MIN	    576	 /* RFC 791: what every host must accept */
#define MTU_MAX	    9000 /* jumbo frames; the VMM's buffers hold 64 KiB */

static int check_ranges(const struct network *n, struct err *e)
{
	if (!name_valid(n->name))
		return err_set(e, -EINVAL, ERR_CALLER, "network.bad-name",
			       "network name '%.80s': expected 1 to %d of a-z, 0-9 and '-', not at "
			       "the ends",
			       n->name, LIMIT_NAME_LEN);
	if (n->prefix < PREFIX_MIN || n->prefix > PREFIX_MAX)
		return err_set(e, -EINVAL, ERR_CALLER, "network.bad-cidr",
			       "network %s: prefix length /%u: expected /%d to /%d", n->name,
			       n->prefix, PREFIX_MIN, PREFIX_MAX);
	if (n->mtu < MTU_MIN || n->mtu > MTU_MAX)
		return err_set(e, -EINVAL, ERR_CALLER, "network.bad-mtu",
			       "network %s: mtu %u: expected %d to %d", n->name, n->mtu, MTU_MIN,
			       MTU_MAX);
	if (n->dns_n > LIMIT_DNS)
		return err_set(e, -EINVAL, ERR_CALLER, "network.bad-dns",
			       "network %s: %u DNS servers: expected at most %d", n->name, n->dns_n,
			       LIMIT_DNS);
	return 0;
}

/* Addresses that may be used between machines: not loopback, multicast, "this network" or
 * link-local. */
static bool is_usable(uint32_t addr)
{
	uint32_t top = addr >> 24;

	return top != 0 && top != 127 && top < 224 && addr >> 16 != 0xa9fe;
}

int network_check(struct network *n, struct err *e)
{
	char cidr[IPV4_TEXT_LEN], gw[IPV4_TEXT_LEN];
	uint32_t mask, last;
	int rc;

	if (!n->mtu)
		n->mtu = MTU_DEFAULT;
	rc = check_ranges(n, e);
	if (rc)
		return rc;
	mask = ipv4_mask(n->prefix);
	format_ipv4(n->cidr, cidr);
	if (n->cidr & ~mask) {
		char right[IPV4_TEXT_LEN];

		format_ipv4(n->cidr & mask, right);
		return err_set(e, -EINVAL, ERR_CALLER, "network.bad-cidr",
			       "network %s: cidr %s/%u has host bits set: expected %s/%u", n->name,
			       cidr, n->prefix, right, n->prefix);
	}
	if (!is_usable(n->cidr))
		return err_set(e, -EINVAL, ERR_CALLER, "network.bad-cidr",
			       "network %s: cidr %s/%u: expected unicast addresses, such as "
			       "192.168.100.0/24",
			       n->name, cidr, n->prefix);
	last = n->cidr | ~mask;
	if (!n->gateway)
		n->gateway = n->cidr + 1;
	format_ipv4(n->gateway, gw);
	if (n->gateway <= n->cidr || n->gateway >= last)
		return err_set(e, -EINVAL, ERR_CALLER, "network.bad-gateway",
			       "network %s: gateway %s: expected a host address of %s/%u", n->name,
			       gw, cidr, n->prefix);
	return 0;
}

uint32_t network_capacity(const struct network *n)
{
	return (1u << (32 - n->prefix)) - 3; /* all but network, broadcast and gateway */
}

uint32_t network_address(const struct network *n, uint32_t i)
{
	uint32_t addr = n->cidr + 1 + i;

	return addr >= n->gateway ? addr + 1 : addr;
}

void network_mac(uint32_t addr, uint8_t ret_mac[6])
{
	ret_mac[0] =
		0x06; /* locally administered, unicast (IEEE 802, second-least bit of byte 0) */
	ret_mac[1] = 0x00;
	ret_mac[2] = (uint8_t)(addr >> 24);
	ret_mac[3] = (uint8_t)(addr >> 16);
	ret_mac[4] = (uint8_t)(addr >> 8);
	ret_mac[5] = (uint8_t)addr;
}
