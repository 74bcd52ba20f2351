/*
 * Derives the names of a network's kernel objects from the names of the hearthd and the network.
 * Called by net.c and describe.c; pure.
 * Trust: network names come from clients; what does not fit is refused here.
 */
#include <errno.h>
#include <stdio.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/parse.h"
#include "base/str.h"
#include "model/id.h"
#include "net/net_internal.h"

#define VETH_PREFIX	 "hv-"
#define VETH_HASH_DIGITS 12	  /* fills the 15 bytes of an interface name */
#define INSTANCE_PLAIN	 "hearth" /* its networks have readable veth names */

/* No '-': "a-b" + "c" and "a" + "b-c" would share one namespace. */
static bool instance_valid(const char *s)
{
	size_t n = strlen(s);

	return n >= 1 && n <= NET_INSTANCE_MAX &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789") == n;
}

int net_names(const char *instance, const char *network, struct net_names *ret, struct err *e)
{
	char hash[HASH_TEXT_LEN];
	struct net_names n;

	if (!instance_valid(instance))
		return err_set(e, -EINVAL, ERR_CALLER, "net.bad-instance",
			       "instance '%.40s': expected 1 to %d of a-z and 0-9", instance,
			       NET_INSTANCE_MAX);
	if (!name_valid(network))
		return err_set(e, -EINVAL, ERR_CALLER, "network.bad-name",
			       "network name '%.80s': expected a-z, 0-9 and '-', not at the ends",
			       network);
	if (!str_fmt(n.ns, sizeof(n.ns), "%s-%s", instance, network) ||
	    !str_fmt(n.alias, sizeof(n.alias), "hearth:%s/%s", instance, network))
		return err_set(e, -ENAMETOOLONG, ERR_BUG, "net.name-too-long", "network %s",
			       network);
	if (!str_eq(instance, INSTANCE_PLAIN) ||
	    !str_fmt(n.veth, sizeof(n.veth), VETH_PREFIX "%s", network)) {
		hash_bytes(n.ns, strlen(n.ns), hash);
		if (!str_fmt(n.veth, sizeof(n.veth), VETH_PREFIX "%.*s", VETH_HASH_DIGITS, hash))
			return err_set(e, -ENAMETOOLONG, ERR_BUG, "net.name-too-long", "veth of %s",
				       network);
	}
	*ret = n;
	return 0;
}

void net_tap_name(uint32_t number, char ret_name[IFNAMSIZ])
{
	(void)snprintf(ret_name, IFNAMSIZ, "hv%u", number); /* at most 12 bytes */
}

bool net_tap_number(const char *name, uint32_t *ret_number)
{
	char again[IFNAMSIZ];
	uint32_t number;

	if (!str_starts(name, "hv") || parse_u32(name + 2, 1, UINT32_MAX, &number))
		return false;
	net_tap_name(number, again);
	if (!str_eq(again, name)) /* "hv01" */
		return false;
	*ret_number = number;
	return true;
}
