#pragma once
/*
 * What the files of host/net share: the open network, the names of its kernel objects, its rules.
 */
#include <jansson.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "net/link.h"
#include "net/net.h"
#include "net/netlink.h"
#include "net/netns.h"

#define NET_BRIDGE	 "br0"	  /* in the network's own namespace nothing can clash with it */
#define NET_UPLINK	 "uplink" /* that namespace's end of the veth pair */
#define NET_TABLE	 "hearth" /* nftables tables in that namespace: bridge and inet */
#define NET_RUN_DIR	 "/run/hearth/net"
#define NET_INSTANCE_MAX 8 /* bytes; keeps names of namespaces short to type */

struct net_names {
	char ns[NETNS_NAME_LEN]; /* "hearth-default": namespace, host's nftables table, journal */
	char veth[IFNAMSIZ];	 /* "hv-default": the host's end of the veth pair */
	char alias[LINK_ALIAS_LEN]; /* "hearth:hearth/default": marks links as ours (ip link, alias)
				     */
};
/* instance: 1 to NET_INSTANCE_MAX of a-z and 0-9; network: as name_valid. */
int net_names(const char *instance, const char *network, struct net_names *ret, struct err *e);
void net_tap_name(uint32_t number, char ret_name[IFNAMSIZ]); /* "hv17"; any number fits */
/* The number in "hv17"; false when the name is not of that form. */
bool net_tap_number(const char *name, uint32_t *ret_number);

struct net {
	struct network conf;
	struct net_names names;
	int ns_fd;    /* owned */
	struct nl rt; /* rtnetlink of the namespace */
	struct nl nf; /* nfnetlink of the namespace */
	int bridge;   /* index of NET_BRIDGE */
	uint8_t bridge_mac[6];
};

/* --- sysctl.c: values under /proc/sys/net of the calling thread's namespace --- */

#define SYSCTL_VALUE_LEN 32
/* name: "ipv4/ip_forward".  -ENOENT (e untouched) when this kernel has no such setting. */
int sysctl_read(const char *name, char ret_value[SYSCTL_VALUE_LEN], struct err *e);
/* Writes only what differs. */
int sysctl_write(const char *name, const char *value, struct err *e);

/* --- object.c: JSON from parts; takes every reference, NULL if one is NULL or memory ran out
 * --- */

/* key, value (json_t *), key, value, …, NULL */
json_t *net_object(const char *key, ...) __attribute__((sentinel, warn_unused_result));
json_t *net_list(json_t *const *items, size_t n) __attribute__((warn_unused_result));
#define NET_LIST(...)                                                                              \
	net_list((json_t *const[]){__VA_ARGS__},                                                   \
		 sizeof((json_t *const[]){__VA_ARGS__}) / sizeof(json_t *))

/* --- ruleset.c: the rules as JSON for nft(8) --- */

/* Rules of the network's namespace; the pins in it are kept.  Called inside the namespace. */
int ruleset_inside(const struct net *n, bool uplink, struct err *e);
/* The host's table: masquerade for `inner`, nothing else through the pair.  In the host's
 * namespace. */
int ruleset_host(const struct net *n, uint32_t inner, struct err *e);
/* Remove the host's table; missing is fine. */
int ruleset_host_remove(const char *table, struct err *e);
/* Base chains of the host that drop forwarded packets by policy and are not `table`'s: an array of
 * {"family","table","chain"}.  New reference. */
int ruleset_foreign_drops(const char *table, json_t **ret, struct err *e);

/* --- pins.c: elements of the set "pins" --- */

int pins_add(struct nl *nf, const struct net_port *ports, size_t n, struct err *e);
/* Missing is fine. */
int pins_remove(struct nl *nf, const struct net_port *port, struct err *e);
typedef int pins_each_fn(const struct net_port *pin, void *arg);
int pins_each(struct nl *nf, pins_each_fn *fn, void *arg, struct err *e);

/* --- uplink.c: veth pair, link range, host table, ip_forward --- */

/* Called in the host's namespace. */
int uplink_up(struct net *n, struct err *e);
int uplink_down(const struct net_names *names, struct err *e);
/* Append what is changed on the host to `host`, and findings with remedies to `warnings`. */
int uplink_describe(const struct net_names *names, json_t *host, json_t *warnings, struct err *e);

/* --- journal.c: what was changed on the host, durable until it is undone --- */

int journal_lock(int *ret_fd, struct err *e); /* close it to unlock; around every change */
/* Note that this network is about to change the host. */
int journal_add(const struct net_names *names, struct err *e);
bool journal_has(const struct net_names *names);
/* Take the note away; the last one of this host also restores ip_forward. */
int journal_remove(const struct net_names *names, struct err *e);
/* Turn ip_forward on, its former value kept. */
int journal_forward_on(struct err *e);
/* The former value, if it was Hearth that turned it on. */
bool journal_forward_from(char ret_value[SYSCTL_VALUE_LEN]);
