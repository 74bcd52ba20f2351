#pragma once
/*
 * Links, addresses and routes by rtnetlink: what this folder needs of rtnetlink(7), no more.  Every
 * call works in the namespace that the socket belongs to.
 */
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "net/netlink.h"

struct err;

#define LINK_ALIAS_LEN 96 /* "hearth:" + instance + '/' + network + NUL, with room */

struct link {
	int index;
	unsigned flags; /* IFF_UP … */
	char name[IFNAMSIZ];
	char kind[16]; /* "bridge", "veth", "tun"; "" for others */
	char alias[LINK_ALIAS_LEN];
	int master; /* index; 0: none */
	uint32_t mtu;
	uint8_t mac[6];
	bool carrier;
	uint64_t rx_frames, rx_bytes, tx_frames, tx_bytes;
};

/* Read a link from an RTM_NEWLINK or RTM_DELLINK message; -EBADMSG if it is none. */
int link_read(const struct nlmsghdr *h, struct link *ret);

/* -ENODEV if there is none (e untouched by it). */
int link_find(struct nl *nl, const char *name, struct link *ret);
typedef int link_each_fn(const struct link *l, void *arg);
int link_each(struct nl *nl, link_each_fn *fn, void *arg, struct err *e);

int link_add_bridge(struct nl *nl, const char *name, struct err *e);
/* A pair: `name` here, `peer` in the namespace peer_ns_fd. */
int link_add_veth(struct nl *nl, const char *name, const char *peer, int peer_ns_fd, struct err *e);

struct link_change {	  /* zero: leave as it is */
	const char *name; /* of the link, for the sentence */
	int index;
	bool up;
	uint32_t mtu;
	int master;
	const uint8_t *mac;
	const char *alias;
};
int link_change(struct nl *nl, const struct link_change *c, struct err *e);
/* The bridge port's flag IFLA_BRPORT_ISOLATED: isolated ports reach only ports that are not. */
int link_isolate(struct nl *nl, const char *name, int index, bool isolated, struct err *e);
/* Missing is fine. */
int link_delete(struct nl *nl, const char *name, struct err *e);

struct addr {
	int index;     /* of the link */
	uint32_t addr; /* host order */
	unsigned prefix;
};
typedef int addr_each_fn(const struct addr *a, void *arg);
int addr_each(struct nl *nl, addr_each_fn *fn, void *arg, struct err *e);
/* Give the link this address and no other IPv4 address. */
int addr_set(struct nl *nl, const struct addr *a, struct err *e);

/* IPv4 unicast routes of all tables; default routes have prefix 0. */
typedef int route_each_fn(uint32_t dst, unsigned prefix, int out_index, void *arg);
int route_each(struct nl *nl, route_each_fn *fn, void *arg, struct err *e);
int route_set_default(struct nl *nl, uint32_t gateway, int out_index, struct err *e);
