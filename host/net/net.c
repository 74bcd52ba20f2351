/*
 * Opens, closes, removes and describes a network: the order in which its parts come and go.
 * Called by the controller through host/net, on a worker thread or the loop's; blocks for some ms.
 */
#include "net/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/str.h"
#include "json/json.h"
#include "net/net_internal.h"

/* Of the namespace as a whole.  A missing one is a kernel without that feature. */
static const struct {
	const char *name, *value, *why;
} settings[] = {
	{"ipv6/conf/all/disable_ipv6", "1", "no router solicitations and MLD reports on VM links"},
	{"ipv6/conf/default/disable_ipv6", "1", "the same for links yet to come"},
	{"ipv4/conf/all/arp_ignore", "1", "the uplink's address isn't answered on the bridge"},
	{"ipv4/conf/all/arp_announce", "2", "ARP requests to VMs come from the gateway address"},
	{"ipv4/conf/all/send_redirects", "0", "VMs have one way out"},
	{"ipv4/conf/default/send_redirects", "0", "the same for links yet to come"},
	{"ipv4/conf/all/accept_redirects", "0", "the namespace believes no VM about routes"},
	{"ipv4/conf/all/rp_filter", "1", "a VM's address comes from the bridge only"},
	{"bridge/bridge-nf-call-iptables", "0", "bridged frames have the bridge family's rules"},
	{"bridge/bridge-nf-call-arptables", "0", "the same"},
};

static int apply_settings(bool forward, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
		int rc = sysctl_write(settings[i].name, settings[i].value, e);

		if (rc && rc != -ENOENT)
			return rc;
	}
	return sysctl_write("ipv4/ip_forward", forward ? "1" : "0", e);
}

static int count_foreign(const struct link *l, void *arg)
{
	uint32_t number;
	unsigned *n = arg;

	*n += !str_eq(l->name, "lo") && !str_eq(l->name, NET_UPLINK) &&
	      !net_tap_number(l->name, &number);
	return 0;
}

/* A namespace of our name that holds other links, but not our bridge, is somebody else's. */
static int check_owner(struct net *n, struct link *ret_bridge, bool *ret_found, struct err *e)
{
	unsigned links = 0;
	int rc = link_find(&n->rt, NET_BRIDGE, ret_bridge);

	*ret_found = rc == 0;
	if (rc && rc != -ENODEV)
		return err_sys(e, -rc, "net.link", "link %s", NET_BRIDGE);
	/* Without an alias: a crash came between making and marking it. */
	if (!rc && str_eq(ret_bridge->kind, "bridge") &&
	    (!ret_bridge->alias[0] || str_eq(ret_bridge->alias, n->names.alias)))
		return 0;
	rc = link_each(&n->rt, count_foreign, &links, e);
	if (rc || !links)
		return rc;
	(void)err_set(e, -EEXIST, ERR_HOST, "net.netns-foreign",
		      "namespace %s exists, holds %u links and isn't Hearth's", n->names.ns, links);
	return err_remedy(e,
			  "remove it (ip netns del %s) or start hearthd with another instance name",
			  n->names.ns);
}

static int bring_up_lo(struct net *n, struct err *e)
{
	struct link lo;
	int rc = link_find(&n->rt, "lo", &lo);

	if (rc)
		return err_sys(e, -rc, "net.link", "link lo");
	return link_change(&n->rt,
			   &(struct link_change){.name = "lo", .index = lo.index, .up = true}, e);
}

/* Bridge with the gateway's address and a MAC that never changes (a bridge would else take its
 * lowest port's, and VMs would hold a stale one). */
static int open_bridge(struct net *n, struct err *e)
{
	struct link l = {0};
	bool found;
	int rc = check_owner(n, &l, &found, e);

	if (!rc && !found) {
		rc = link_add_bridge(&n->rt, NET_BRIDGE, e);
		if (!rc && link_find(&n->rt, NET_BRIDGE, &l))
			rc = err_set(e, -ENODEV, ERR_HOST, "net.link", "link %s vanished",
				     NET_BRIDGE);
	}
	if (rc)
		return rc;
	n->bridge = l.index;
	network_mac(n->conf.gateway, n->bridge_mac);
	rc = link_change(&n->rt,
			 &(struct link_change){.name = NET_BRIDGE,
					       .index = l.index,
					       .up = true,
					       .mtu = n->conf.mtu,
					       .mac = n->bridge_mac,
					       .alias = n->names.alias},
			 e);
	return rc ? rc
		  : addr_set(&n->rt, &(struct addr){l.index, n->conf.gateway, n->conf.prefix}, e);
}

/* Everything inside the namespace, in which the calling thread is.  The rules come before the
 * links, so that nothing is reachable for a moment. */
static int open_inside(struct net *n, bool uplink, struct err *e)
{
	struct link l;
	bool found;
	int rc = nl_open(&n->rt, NETLINK_ROUTE, e);

	if (!rc)
		rc = nl_open(&n->nf, NETLINK_NETFILTER, e);
	if (!rc)
		rc = check_owner(n, &l, &found, e);
	if (!rc)
		rc = apply_settings(uplink, e);
	if (!rc)
		rc = ruleset_inside(n, uplink, e);
	if (!rc)
		rc = bring_up_lo(n, e);
	return rc ? rc : open_bridge(n, e);
}

static int open_parts(struct net *n, bool uplink, struct err *e)
{
	struct netns_visit visit;
	bool made;
	int rc = netns_open(n->names.ns, &n->ns_fd, &made, e);

	if (!rc)
		rc = netns_enter(&visit, n->ns_fd, e);
	if (rc)
		return rc;
	rc = open_inside(n, uplink, e);
	netns_leave(&visit);
	if (rc)
		return rc;
	/* Down only undoes what the journal of an earlier run, with NAT, says. */
	return uplink ? uplink_up(n, e) : uplink_down(&n->names, e);
}

int net_open(const char *instance, const struct network *conf, bool uplink, struct net **ret,
	     struct err *e)
{
	struct net *n = mem_zalloc(sizeof(*n));
	int rc;

	if (!n)
		return err_nomem(e);
	n->ns_fd = -1;
	n->conf = *conf;
	rc = net_names(instance, conf->name, &n->names, e);
	if (!rc)
		rc = network_check(&n->conf, e);
	if (!rc)
		rc = open_parts(n, uplink && conf->nat, e);
	if (rc) {
		net_close(n);
		return err_prefix(e, "network %s", conf->name);
	}
	*ret = n;
	return 0;
}

void net_close(struct net *n)
{
	if (!n)
		return;
	nl_close(&n->rt);
	nl_close(&n->nf);
	if (n->ns_fd >= 0)
		(void)close(n->ns_fd); /* a read-only descriptor: nothing to lose */
	free(n);
}

const struct network *net_conf(const struct net *n)
{
	return &n->conf;
}

/* Our links in the namespace go now; a VM that still runs keeps the rest of it alive, unconnected.
 */
static int remove_inside(const struct net_names *names, struct err *e)
{
	struct net n = {.names = *names, .ns_fd = -1};
	struct netns_visit visit;
	struct link bridge;
	bool found;
	int rc = netns_find(names->ns, &n.ns_fd, e);

	if (rc)
		return rc == -ENOENT ? netns_remove(names->ns, e) : rc;
	rc = netns_enter(&visit, n.ns_fd, e);
	if (!rc) {
		rc = nl_open(&n.rt, NETLINK_ROUTE, e);
		netns_leave(&visit);
	}
	if (!rc)
		rc = check_owner(&n, &bridge, &found, e);
	if (!rc && found)
		rc = link_delete(&n.rt, NET_BRIDGE, e);
	nl_close(&n.rt);
	(void)close(n.ns_fd); /* a read-only descriptor: nothing to lose */
	return rc ? rc : netns_remove(names->ns, e);
}

int net_remove(const char *instance, const char *network, struct err *e)
{
	struct net_names names;
	int rc = net_names(instance, network, &names, e);

	if (!rc)
		rc = uplink_down(&names, e);
	if (!rc)
		rc = remove_inside(&names, e);
	return rc ? err_prefix(e, "network %s", network) : 0;
}

int net_tcp_connect(struct net *n, uint32_t ip, uint16_t port, int *ret_fd, struct err *e)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(ip)}};
	auto_close int fd = -1;
	struct netns_visit visit;
	char text[IPV4_TEXT_LEN];
	int rc = netns_enter(&visit, n->ns_fd, e);

	if (rc)
		return rc;
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	rc = fd < 0 ? -errno : 0;
	netns_leave(&visit);
	/* A socket stays in the namespace it was made in. */
	if (!rc && connect(fd, (struct sockaddr *)&to, sizeof(to)) && errno != EINPROGRESS)
		rc = -errno;
	if (rc) {
		format_ipv4(ip, text);
		return err_sys(e, -rc, "net.connect", "connect to %s:%u", text, port);
	}
	*ret_fd = take_fd(fd);
	return 0;
}
