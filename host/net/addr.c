/*
 * Composes and reads rtnetlink messages for IPv4 addresses and routes.
 * Called by the other files of this folder on the thread that called host/net.
 * Formats: rtnetlink(7), Linux include/uapi/linux/if_addr.h, rtnetlink.h.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/parse.h"
#include "net/link.h"

#define ADDRS_MAX 16 /* a link of ours has one; more than this are foreign and refused */

struct walk_addr {
	addr_each_fn *fn;
	void *arg;
};

static int read_local(const struct nlattr *a, void *arg)
{
	uint32_t *addr = arg;

	/* IFA_LOCAL is the address itself; IFA_ADDRESS would be the other end of a tunnel. */
	if (mnl_attr_get_type(a) == IFA_LOCAL && mnl_attr_get_payload_len(a) == 4)
		*addr = ntohl(mnl_attr_get_u32(a));
	return MNL_CB_OK;
}

static int walk_addr(const struct nlmsghdr *h, void *arg)
{
	const struct ifaddrmsg *m = mnl_nlmsg_get_payload(h);
	const struct walk_addr *w = arg;
	struct addr a = {0};

	if (h->nlmsg_type != RTM_NEWADDR || mnl_nlmsg_get_payload_len(h) < sizeof(*m) ||
	    m->ifa_family != AF_INET)
		return 0;
	if (mnl_attr_parse(h, sizeof(*m), read_local, &a.addr) < 0)
		return -EBADMSG;
	a.index = (int)m->ifa_index;
	a.prefix = m->ifa_prefixlen;
	return w->fn(&a, w->arg);
}

int addr_each(struct nl *nl, addr_each_fn *fn, void *arg, struct err *e)
{
	_Alignas(struct nlmsghdr) char buf[NL_REQUEST_MAX];
	struct nlmsghdr *h = nl_begin(nl, buf, RTM_GETADDR, NLM_F_DUMP);
	struct walk_addr w = {.fn = fn, .arg = arg};
	struct ifaddrmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	int rc;

	m->ifa_family = AF_INET;
	rc = nl_talk(nl, h, walk_addr, &w, NULL);
	return rc < 0 ? err_sys(e, -rc, "net.address", "list addresses") : 0;
}

static int change(struct nl *nl, uint16_t type, uint16_t flags, const struct addr *a, struct err *e)
{
	_Alignas(struct nlmsghdr) char buf[NL_REQUEST_MAX];
	struct nlmsghdr *h = nl_begin(nl, buf, type, flags);
	struct ifaddrmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	char why[NL_WHY_MAX], text[IPV4_TEXT_LEN];
	uint32_t last = a->addr | ~ipv4_mask(a->prefix);
	int rc;

	m->ifa_family = AF_INET;
	m->ifa_prefixlen = (uint8_t)a->prefix;
	m->ifa_scope = RT_SCOPE_UNIVERSE;
	m->ifa_index = (uint32_t)a->index;
	mnl_attr_put_u32(h, IFA_LOCAL, htonl(a->addr));
	mnl_attr_put_u32(h, IFA_ADDRESS, htonl(a->addr));
	if (type == RTM_NEWADDR)
		mnl_attr_put_u32(h, IFA_BROADCAST, htonl(last));
	rc = nl_talk(nl, h, NULL, NULL, why);
	if (!rc)
		return 0;
	format_ipv4(a->addr, text);
	return err_set(e, rc, ERR_HOST, "net.address", "address %s/%u: %s", text, a->prefix,
		       why[0] ? why : strerror(-rc));
}

struct found {
	struct addr want, other[ADDRS_MAX];
	size_t other_n;
	bool there;
};

static int compare(const struct addr *a, void *arg)
{
	struct found *f = arg;

	if (a->index != f->want.index)
		return 0;
	if (a->addr == f->want.addr && a->prefix == f->want.prefix)
		f->there = true;
	else if (f->other_n == ADDRS_MAX)
		return -E2BIG;
	else
		f->other[f->other_n++] = *a;
	return 0;
}

int addr_set(struct nl *nl, const struct addr *a, struct err *e)
{
	struct found f = {.want = *a};
	int rc = addr_each(nl, compare, &f, e);

	for (size_t i = 0; !rc && i < f.other_n; i++)
		rc = change(nl, RTM_DELADDR, 0, &f.other[i], e);
	if (!rc && !f.there)
		rc = change(nl, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, a, e);
	return rc;
}

struct walk_route {
	route_each_fn *fn;
	void *arg;
};

struct route_attrs {
	uint32_t dst;
	int out_index;
};

static int read_route(const struct nlattr *a, void *arg)
{
	struct route_attrs *r = arg;

	if (mnl_attr_get_payload_len(a) != 4)
		return MNL_CB_OK;
	if (mnl_attr_get_type(a) == RTA_DST)
		r->dst = ntohl(mnl_attr_get_u32(a));
	if (mnl_attr_get_type(a) == RTA_OIF)
		r->out_index = (int)mnl_attr_get_u32(a);
	return MNL_CB_OK;
}

static int walk_route(const struct nlmsghdr *h, void *arg)
{
	const struct rtmsg *m = mnl_nlmsg_get_payload(h);
	const struct walk_route *w = arg;
	struct route_attrs r = {0};

	if (h->nlmsg_type != RTM_NEWROUTE || mnl_nlmsg_get_payload_len(h) < sizeof(*m) ||
	    m->rtm_family != AF_INET || m->rtm_type != RTN_UNICAST)
		return 0;
	if (mnl_attr_parse(h, sizeof(*m), read_route, &r) < 0)
		return -EBADMSG;
	return w->fn(r.dst, m->rtm_dst_len, r.out_index, w->arg);
}

int route_each(struct nl *nl, route_each_fn *fn, void *arg, struct err *e)
{
	_Alignas(struct nlmsghdr) char buf[NL_REQUEST_MAX];
	struct nlmsghdr *h = nl_begin(nl, buf, RTM_GETROUTE, NLM_F_DUMP);
	struct walk_route w = {.fn = fn, .arg = arg};
	struct rtmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	int rc;

	m->rtm_family = AF_INET;
	rc = nl_talk(nl, h, walk_route, &w, NULL);
	return rc < 0 ? err_sys(e, -rc, "net.route", "list routes") : 0;
}

int route_set_default(struct nl *nl, uint32_t gateway, int out_index, struct err *e)
{
	_Alignas(struct nlmsghdr) char buf[NL_REQUEST_MAX];
	struct nlmsghdr *h = nl_begin(nl, buf, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
	struct rtmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	char why[NL_WHY_MAX], text[IPV4_TEXT_LEN];
	int rc;

	m->rtm_family = AF_INET;
	m->rtm_table = RT_TABLE_MAIN;
	m->rtm_protocol = RTPROT_STATIC;
	m->rtm_scope = RT_SCOPE_UNIVERSE;
	m->rtm_type = RTN_UNICAST;
	mnl_attr_put_u32(h, RTA_GATEWAY, htonl(gateway));
	mnl_attr_put_u32(h, RTA_OIF, (uint32_t)out_index);
	rc = nl_talk(nl, h, NULL, NULL, why);
	if (!rc)
		return 0;
	format_ipv4(gateway, text);
	return err_set(e, rc, ERR_HOST, "net.route", "default route via %s: %s", text,
		       why[0] ? why : strerror(-rc));
}
