/*
 * Composes and reads rtnetlink messages for links: bridge, veth, bridge ports, counters.
 * Called by the other files of this folder on the thread that called host/net.
 * Formats: rtnetlink(7), Linux include/uapi/linux/if_link.h, rtnetlink.h.
 */
#include "net/link.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <string.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/str.h"

static int failed(struct err *e, int rc, const char *why, const char *name, const char *what)
{
	return err_set(e, rc, ERR_HOST, "net.link", "link %s: %s: %s", name, what,
		       why[0] ? why : strerror(-rc));
}

static void read_stats(const struct nlattr *a, struct link *l)
{
	struct rtnl_link_stats64 s;

	if (mnl_attr_get_payload_len(a) < sizeof(s))
		return;
	memcpy(&s, mnl_attr_get_payload(a), sizeof(s)); /* attributes are aligned to 4 bytes only */
	l->rx_frames = s.rx_packets;
	l->rx_bytes = s.rx_bytes;
	l->tx_frames = s.tx_packets;
	l->tx_bytes = s.tx_bytes;
}

static void read_text(const struct nlattr *a, char *dst, size_t cap)
{
	if (mnl_attr_validate(a, MNL_TYPE_NUL_STRING) || !str_copy(dst, cap, mnl_attr_get_str(a)))
		dst[0] = '\0'; /* longer than any of ours */
}

static int read_info(const struct nlattr *a, void *arg)
{
	struct link *l = arg;

	if (mnl_attr_get_type(a) == IFLA_INFO_KIND)
		read_text(a, l->kind, sizeof(l->kind));
	return MNL_CB_OK;
}

static int read_attr(const struct nlattr *a, void *arg)
{
	size_t len = mnl_attr_get_payload_len(a);
	struct link *l = arg;

	switch (mnl_attr_get_type(a)) {
	case IFLA_IFNAME:
		read_text(a, l->name, sizeof(l->name));
		break;
	case IFLA_IFALIAS:
		read_text(a, l->alias, sizeof(l->alias));
		break;
	case IFLA_ADDRESS:
		if (len == sizeof(l->mac))
			memcpy(l->mac, mnl_attr_get_payload(a), len);
		break;
	case IFLA_MASTER:
		l->master = len == 4 ? (int)mnl_attr_get_u32(a) : 0;
		break;
	case IFLA_MTU:
		l->mtu = len == 4 ? mnl_attr_get_u32(a) : 0;
		break;
	case IFLA_CARRIER:
		l->carrier = len == 1 && mnl_attr_get_u8(a);
		break;
	case IFLA_STATS64:
		read_stats(a, l);
		break;
	case IFLA_LINKINFO:
		(void)mnl_attr_parse_nested(a, read_info, l); /* unreadable: kind stays "" */
		break;
	default:
		break;
	}
	return MNL_CB_OK;
}

int link_read(const struct nlmsghdr *h, struct link *ret)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(h);
	struct link l = {0};

	if ((h->nlmsg_type != RTM_NEWLINK && h->nlmsg_type != RTM_DELLINK) ||
	    mnl_nlmsg_get_payload_len(h) < sizeof(*info))
		return -EBADMSG;
	l.index = info->ifi_index;
	l.flags = info->ifi_flags;
	if (mnl_attr_parse(h, sizeof(*info), read_attr, &l) < 0)
		return -EBADMSG;
	*ret = l;
	return 0;
}

static struct nlmsghdr *begin(struct nl *nl, void *buf, uint16_t type, uint16_t flags, int index)
{
	struct nlmsghdr *h = nl_begin(nl, buf, type, flags);
	struct ifinfomsg *info = mnl_nlmsg_put_extra_header(h, sizeof(*info));

	info->ifi_family = AF_UNSPEC;
	info->ifi_index = index;
	return h;
}

static int keep(const struct nlmsghdr *h, void *arg)
{
	return link_read(h, arg);
}

int link_find(struct nl *nl, const char *name, struct link *ret)
{
	_Alignas(struct nlmsghdr) char buf[NL_REQUEST_MAX];
	struct nlmsghdr *h = begin(nl, buf, RTM_GETLINK, 0, 0);

	mnl_attr_put_strz(h, IFLA_IFNAME, name);
	return nl_talk(nl, h, keep, ret, NULL);
}

struct walk {
	link_each_fn *fn;
	void *arg;
};

static int walk_link(const struct nlmsghdr *h, void *arg)
{
	const struct walk *w = arg;
	struct link l;
	int rc = link_read(h, &l);

	return rc ? rc : w->fn(&l, w->arg);
}

int link_each(struct nl *nl, link_each_fn *fn, void *arg, struct err *e)
{
	_Alignas(struct nlmsghdr) char buf[NL_REQUEST_MAX];
	struct walk w = {.fn = fn, .arg = arg};
	int rc = nl_talk(nl, begin(nl, buf, RTM_GETLINK, NLM_F_DUMP, 0), walk_link, &w, NULL);

	return rc < 0 ? err_sys(e, -rc, "net.link", "list links") : 0;
}

int link_add_bridge(struct nl *nl, const char *name, struct err *e)
{
	_Alignas(struct nlmsghdr) char buf[NL_REQUEST_MAX];
	struct nlmsghdr *h = begin(nl, buf, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0);
	char why[NL_WHY_MAX];
	struct nlattr *info, *data;
	int rc;

	mnl_attr_put_strz(h, IFLA_IFNAME, name);
	info = mnl_attr_nest_start(h, IFLA_LINKINFO);
	mnl_attr_put_strz(h, IFLA_INFO_KIND, "bridge");
	data = mnl_attr_nest_start(h, IFLA_INFO_DATA);
	/* No IGMP of its own; and a port forwards from its first moment (STP is off by default). */
	mnl_attr_put_u8(h, IFLA_BR_MCAST_SNOOPING, 0);
	mnl_attr_put_u32(h, IFLA_BR_FORWARD_DELAY, 0);
	mnl_attr_nest_end(h, data);
	mnl_attr_nest_end(h, info);
	rc = nl_talk(nl, h, NULL, NULL, why);
	return rc ? failed(e, rc, why, name, "make bridge") : 0;
}

int link_add_veth(struct nl *nl, const char *name, const char *peer, int peer_ns_fd, struct err *e)
{
	_Alignas(struct nlmsghdr) char buf[NL_REQUEST_MAX];
	struct nlmsghdr *h = begin(nl, buf, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0);
	struct nlattr *info, *data, *other;
	struct ifinfomsg *peer_info;
	char why[NL_WHY_MAX];
	int rc;

	mnl_attr_put_strz(h, IFLA_IFNAME, name);
	info = mnl_attr_nest_start(h, IFLA_LINKINFO);
	mnl_attr_put_strz(h, IFLA_INFO_KIND, "veth");
	data = mnl_attr_nest_start(h, IFLA_INFO_DATA);
	other = mnl_attr_nest_start(h, VETH_INFO_PEER);
	peer_info = mnl_nlmsg_put_extra_header(h, sizeof(*peer_info)); /* zeroed: no wishes */
	(void)peer_info;
	mnl_attr_put_strz(h, IFLA_IFNAME, peer);
	mnl_attr_put_u32(h, IFLA_NET_NS_FD, (uint32_t)peer_ns_fd);
	mnl_attr_nest_end(h, other);
	mnl_attr_nest_end(h, data);
	mnl_attr_nest_end(h, info);
	rc = nl_talk(nl, h, NULL, NULL, why);
	return rc ? failed(e, rc, why, name, "make veth pair") : 0;
}

int link_change(struct nl *nl, const struct link_change *c, struct err *e)
{
	_Alignas(struct nlmsghdr) char buf[NL_REQUEST_MAX];
	struct nlmsghdr *h = begin(nl, buf, RTM_NEWLINK, 0, c->index);
	struct ifinfomsg *info = mnl_nlmsg_get_payload(h);
	char why[NL_WHY_MAX];
	int rc;

	if (c->up) {
		info->ifi_flags = IFF_UP;
		info->ifi_change = IFF_UP;
	}
	if (c->mtu)
		mnl_attr_put_u32(h, IFLA_MTU, c->mtu);
	if (c->master)
		mnl_attr_put_u32(h, IFLA_MASTER, (uint32_t)c->master);
	if (c->mac)
		mnl_attr_put(h, IFLA_ADDRESS, 6, c->mac);
	if (c->alias)
		mnl_attr_put_strz(h, IFLA_IFALIAS, c->alias);
	rc = nl_talk(nl, h, NULL, NULL, why);
	return rc ? failed(e, rc, why, c->name, "change") : 0;
}

int link_isolate(struct nl *nl, const char *name, int index, bool isolated, struct err *e)
{
	_Alignas(struct nlmsghdr) char buf[NL_REQUEST_MAX];
	struct nlmsghdr *h = begin(nl, buf, RTM_SETLINK, 0, index);
	struct ifinfomsg *info = mnl_nlmsg_get_payload(h);
	char why[NL_WHY_MAX];
	struct nlattr *port;
	int rc;

	info->ifi_family = AF_BRIDGE; /* port settings live there (net/bridge/br_netlink.c) */
	port = mnl_attr_nest_start(h, IFLA_PROTINFO | NLA_F_NESTED);
	mnl_attr_put_u8(h, IFLA_BRPORT_ISOLATED, isolated);
	mnl_attr_nest_end(h, port);
	rc = nl_talk(nl, h, NULL, NULL, why);
	return rc ? failed(e, rc, why, name, "isolate the bridge port") : 0;
}

int link_delete(struct nl *nl, const char *name, struct err *e)
{
	_Alignas(struct nlmsghdr) char buf[NL_REQUEST_MAX];
	struct nlmsghdr *h = begin(nl, buf, RTM_DELLINK, 0, 0);
	char why[NL_WHY_MAX];
	int rc;

	mnl_attr_put_strz(h, IFLA_IFNAME, name);
	rc = nl_talk(nl, h, NULL, NULL, why);
	return rc && rc != -ENODEV ? failed(e, rc, why, name, "delete") : 0;
}
