/*
 * Speaks rtnetlink: lists network cards, raises links, sets address and default route.
 *
 *	message   = nlmsghdr (16 bytes) body attributes; host order, each part padded to 4 bytes
 *	body      = ifinfomsg | ifaddrmsg | rtmsg
 *	attribute = u16 length, u16 type, data              (rtnetlink(7), netlink(7))
 *
 * Called by the network phase.  Trust: answers come from the kernel (nl_pid 0).
 */
#include "init/rtnl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_arp.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/parse.h"

struct request {
	struct nlmsghdr head;
	union {
		struct ifinfomsg link;
		struct ifaddrmsg addr;
		struct rtmsg route;
		char room[128]; /* the body and a few attributes of 4 bytes */
	};
};

int rtnl_open(int *ret_fd)
{
	struct sockaddr_nl addr = {.nl_family = AF_NETLINK};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		int rc = -errno;

		(void)close(fd);
		return rc;
	}
	*ret_fd = fd;
	return 0;
}

static void request_init(struct request *r, uint16_t type, uint16_t flags, size_t body_len)
{
	memset(r, 0, sizeof(*r));
	r->head.nlmsg_type = type;
	r->head.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	r->head.nlmsg_len = (uint32_t)NLMSG_LENGTH(body_len);
}

static void request_u32(struct request *r, uint16_t type, uint32_t value)
{
	struct rtattr *a = (struct rtattr *)(void *)((char *)r + NLMSG_ALIGN(r->head.nlmsg_len));

	a->rta_type = type;
	a->rta_len = RTA_LENGTH(sizeof(value));
	memcpy(RTA_DATA(a), &value, sizeof(value));
	r->head.nlmsg_len = (uint32_t)(NLMSG_ALIGN(r->head.nlmsg_len) + RTA_LENGTH(sizeof(value)));
}

/* Receive one datagram from the kernel. */
static ssize_t receive(int fd, void *data, size_t cap)
{
	for (;;) {
		struct sockaddr_nl from = {0};
		socklen_t from_len = sizeof(from);
		ssize_t n = recvfrom(fd, data, cap, MSG_TRUNC, (struct sockaddr *)&from, &from_len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if ((size_t)n > cap)
			return -EMSGSIZE;
		if (from.nl_pid == 0)
			return n;
	}
}

/* Send a request that only asks for an acknowledgement. */
static int request_run(int fd, struct request *r)
{
	union {
		struct nlmsghdr head;
		char room[1024];
	} answer;
	const struct nlmsgerr *result;
	ssize_t n;

	r->head.nlmsg_flags |= NLM_F_ACK;
	if (send(fd, r, r->head.nlmsg_len, 0) < 0)
		return -errno;
	n = receive(fd, &answer, sizeof(answer));
	if (n < 0)
		return (int)n;
	if (n < (ssize_t)NLMSG_LENGTH(sizeof(*result)) || answer.head.nlmsg_type != NLMSG_ERROR)
		return -EPROTO;
	result = NLMSG_DATA(&answer.head);
	return result->error;
}

static void take_link(const struct nlmsghdr *h, struct nic ret_nics[NICS_MAX], size_t *n)
{
	const struct ifinfomsg *link = NLMSG_DATA(h);
	struct rtattr *a = IFLA_RTA(link);
	int left = (int)(h->nlmsg_len - NLMSG_LENGTH(sizeof(*link)));
	struct nic nic = {.index = link->ifi_index, .has_carrier = link->ifi_flags & IFF_LOWER_UP};
	bool has_mac = false;

	if (link->ifi_type != ARPHRD_ETHER || *n == NICS_MAX)
		return;
	for (; RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		if (a->rta_type == IFLA_IFNAME && RTA_PAYLOAD(a) <= sizeof(nic.name))
			memcpy(nic.name, RTA_DATA(a), RTA_PAYLOAD(a));
		if (a->rta_type == IFLA_ADDRESS && RTA_PAYLOAD(a) == sizeof(nic.mac)) {
			memcpy(nic.mac, RTA_DATA(a), sizeof(nic.mac));
			has_mac = true;
		}
	}
	nic.name[sizeof(nic.name) - 1] = '\0';
	if (has_mac)
		ret_nics[(*n)++] = nic;
}

int rtnl_nics(int fd, struct nic ret_nics[NICS_MAX], size_t *ret_n)
{
	struct request r;
	union {
		struct nlmsghdr head;
		char room[32768]; /* netlink(7): dumps come in datagrams of at most 32 KiB */
	} answer;
	size_t found = 0;

	request_init(&r, RTM_GETLINK, NLM_F_DUMP, sizeof(r.link));
	if (send(fd, &r, r.head.nlmsg_len, 0) < 0)
		return -errno;
	for (;;) {
		ssize_t n = receive(fd, &answer, sizeof(answer));
		size_t left = (size_t)n;
		struct nlmsghdr *h = &answer.head;

		if (n < 0)
			return (int)n;
		for (; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
			if (h->nlmsg_type == NLMSG_DONE) {
				*ret_n = found;
				return 0;
			}
			if (h->nlmsg_type == NLMSG_ERROR)
				return ((struct nlmsgerr *)NLMSG_DATA(h))->error ?: -EPROTO;
			if (h->nlmsg_type == RTM_NEWLINK &&
			    h->nlmsg_len >= NLMSG_LENGTH(sizeof(r.link)))
				take_link(h, ret_nics, &found);
		}
	}
}

int rtnl_link_up(int fd, int index, uint32_t mtu)
{
	struct request r;

	request_init(&r, RTM_NEWLINK, 0, sizeof(r.link));
	r.link.ifi_family = AF_UNSPEC;
	r.link.ifi_index = index;
	r.link.ifi_flags = IFF_UP;
	r.link.ifi_change = IFF_UP;
	if (mtu)
		request_u32(&r, IFLA_MTU, mtu);
	return request_run(fd, &r);
}

int rtnl_addr_add(int fd, int index, uint32_t addr, unsigned prefix)
{
	struct request r;
	int rc;

	request_init(&r, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, sizeof(r.addr));
	r.addr.ifa_family = AF_INET;
	r.addr.ifa_prefixlen = (uint8_t)prefix;
	r.addr.ifa_index = (uint32_t)index;
	request_u32(&r, IFA_LOCAL, htonl(addr));
	request_u32(&r, IFA_ADDRESS, htonl(addr));
	if (prefix < 31) /* RFC 3021: a /31 has no broadcast address */
		request_u32(&r, IFA_BROADCAST, htonl(addr | ~ipv4_mask(prefix)));
	rc = request_run(fd, &r);
	return rc == -EEXIST ? 0 : rc;
}

int rtnl_default_route(int fd, int index, uint32_t gw, bool on_link)
{
	struct request r;
	int rc;

	request_init(&r, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, sizeof(r.route));
	r.route.rtm_family = AF_INET;
	r.route.rtm_table = RT_TABLE_MAIN;
	r.route.rtm_protocol = RTPROT_BOOT;
	r.route.rtm_scope = RT_SCOPE_UNIVERSE;
	r.route.rtm_type = RTN_UNICAST;
	r.route.rtm_flags = on_link ? RTNH_F_ONLINK : 0;
	request_u32(&r, RTA_GATEWAY, htonl(gw));
	request_u32(&r, RTA_OIF, (uint32_t)index);
	rc = request_run(fd, &r);
	return rc == -EEXIST ? 0 : rc;
}
