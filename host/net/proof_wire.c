/*
 * The proof's sockets: frames on the TAP, claims on the whole network, link messages, ICMP.
 * Called by proof.c on the loop's thread.  Sockets are made inside the namespace and stay in it.
 * Trust: what is received was sent by guests; a wake-up takes at most BATCH frames, and a guest
 * that floods is looked at again after REST_NS.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <linux/filter.h>
#include <linux/icmp.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/rtnetlink.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "net/proof_internal.h"

#define BATCH	     64 /* frames a wake-up: some 100 µs */
#define REST_NS	     (10 * NS_PER_MS)
#define LINK_MESSAGE 32768 /* as netlink.c */

/* --- receiving --- */

static void rest(struct proof *p, struct watch *w)
{
	p->resting = true;
	w->want = 0;
	loop_rewatch(p->loop, w);
	(void)loop_timer_in(p->loop, &p->tick, REST_NS); /* armed already: needs no memory */
}

void wire_resume(struct proof *p)
{
	p->resting = false;
	p->frames.want = p->claims.want = EPOLLIN;
	loop_rewatch(p->loop, &p->frames);
	loop_rewatch(p->loop, &p->claims);
}

/* A pending error (the TAP went) makes the socket ready for ever unless it is fetched. */
static void clear_error(int fd)
{
	socklen_t len = sizeof(int);
	int error;

	(void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len); /* link messages tell the story */
}

/* The next frame; false: no more now.  *ret_len: its real length. */
static bool receive(int fd, struct frame *ret, struct sockaddr_ll *from, size_t *ret_len)
{
	uint8_t data[FRAME_SNAP];
	socklen_t from_len = sizeof(*from);
	ssize_t n;

	do {
		n = recvfrom(fd, data, sizeof(data), MSG_TRUNC, (struct sockaddr *)from, &from_len);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return false;
	*ret_len = (size_t)n;
	if (frame_parse(data, *ret_len < sizeof(data) ? *ret_len : sizeof(data), ret))
		*ret = (struct frame){.kind = FRAME_OTHER}; /* shorter than a header: from nobody */
	return true;
}

static void on_frames(struct watch *w, uint32_t got)
{
	struct proof *p = container_of(w, struct proof, frames);
	struct sockaddr_ll from;
	struct frame f;
	size_t len;
	int n = 0;

	if (got & EPOLLERR)
		clear_error(w->fd);
	for (; n < BATCH && receive(w->fd, &f, &from, &len); n++)
		proof_on_frame(p, &f, len);
	if (n == BATCH)
		rest(p, w);
	proof_tell(p);
}

/* The name of another port of the network, asked of the kernel in the namespace. */
static void name_of(struct proof *p, int index, char ret[IFNAMSIZ])
{
	struct netns_visit visit;

	ret[0] = '?';
	ret[1] = '\0';
	if (netns_enter(&visit, p->net->ns_fd, NULL))
		return;
	if (!if_indextoname((unsigned)index, ret))
		ret[0] = '?', ret[1] = '\0';
	netns_leave(&visit);
}

static void on_claims(struct watch *w, uint32_t got)
{
	struct proof *p = container_of(w, struct proof, claims);
	char name[IFNAMSIZ];
	struct sockaddr_ll from;
	struct frame f;
	size_t len;
	int n = 0;

	if (got & EPOLLERR)
		clear_error(w->fd);
	for (; n < BATCH && receive(w->fd, &f, &from, &len); n++) {
		/* The bridge shows again what its ports have shown. */
		if (from.sll_ifindex == p->tap_index || from.sll_ifindex == p->net->bridge)
			continue;
		if (!p->elsewhere.seen || memcmp(p->elsewhere.mac, f.sender_mac, 6))
			name_of(p, from.sll_ifindex, name);
		else
			memcpy(name, p->elsewhere.link, sizeof(name));
		proof_on_claim(p, &f, name);
	}
	if (n == BATCH)
		rest(p, w);
	proof_tell(p);
}

/* Messages were lost: ask how the TAP is now. */
static void ask_link(struct proof *p)
{
	struct netns_visit visit;
	struct nl rt = {0};
	struct link l = {0};
	int rc;

	if (!p->tap_index || netns_enter(&visit, p->net->ns_fd, NULL))
		return;
	rc = nl_open(&rt, NETLINK_ROUTE, NULL);
	netns_leave(&visit);
	if (rc)
		return;
	rc = link_find(&rt, p->tap, &l);
	nl_close(&rt);
	if (!rc || rc == -ENODEV)
		proof_on_link(p, &l, rc == -ENODEV || l.index != p->tap_index);
}

/* One datagram of link messages; false: no more now. */
static bool take_links(struct proof *p)
{
	_Alignas(struct nlmsghdr) char buf[LINK_MESSAGE];
	ssize_t n = recv(p->links.fd, buf, sizeof(buf), 0);
	const struct nlmsghdr *h = (const void *)buf;
	int left = n > 0 ? (int)n : 0;
	struct link l;

	if (n < 0 && errno == ENOBUFS)
		ask_link(p);
	for (; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left)) {
		const struct ifinfomsg *info = mnl_nlmsg_get_payload(h);

		/* Of family AF_BRIDGE are messages about the port, not about the link. */
		if (!link_read(h, &l) && l.index == p->tap_index && info->ifi_family == AF_UNSPEC)
			proof_on_link(p, &l, h->nlmsg_type == RTM_DELLINK);
	}
	return n >= 0;
}

static void on_links(struct watch *w, uint32_t got)
{
	struct proof *p = container_of(w, struct proof, links);

	(void)got;
	/* A TAP that goes is first down, then gone: what is told is the last word. */
	for (int i = 0; i < BATCH && take_links(p); i++)
		continue;
	proof_tell(p);
}

static void on_echo(struct watch *w, uint32_t got)
{
	struct proof *p = container_of(w, struct proof, echo);
	uint8_t packet[128]; /* longest IPv4 header 60 + echo 16 */
	uint16_t seq;
	ssize_t n;

	if (got & EPOLLERR)
		clear_error(w->fd);
	for (int i = 0; i < BATCH; i++) {
		n = recv(w->fd, packet, sizeof(packet), 0);
		if (n < 0)
			break;
		if (frame_is_echo_reply(packet, (size_t)n, p->cookie, &seq))
			proof_on_echo(p, seq);
	}
	proof_tell(p);
}

/* --- sending --- */

void wire_send_arp(struct proof *p, bool all_ports)
{
	struct sockaddr_ll to = {
		.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ARP), .sll_halen = 6};
	uint8_t frame[FRAME_ARP_LEN];

	if (!p->tap_index)
		return;
	memset(to.sll_addr, 0xff, 6);
	to.sll_ifindex = all_ports ? p->net->bridge : p->tap_index;
	frame_arp_request(p->net->bridge_mac, p->net->conf.gateway, p->port.ip, frame);
	/* A full queue or a TAP that just went: the next round comes in 50 ms. */
	(void)sendto(p->frames.fd, frame, sizeof(frame), 0, (struct sockaddr *)&to, sizeof(to));
}

void wire_send_echo(struct proof *p)
{
	uint8_t request[FRAME_ECHO_LEN];

	p->echo_sent_ns = clock_mono_ns();
	p->echo_n++;
	frame_echo_request(p->cookie, (uint16_t)p->echo_n, request);
	(void)send(p->echo.fd, request, sizeof(request), 0); /* the next one comes in 200 ms */
}

/* --- opening --- */

static int set_filter(int fd, struct sock_filter *code, size_t n)
{
	struct sock_fprog prog = {.len = (unsigned short)n, .filter = code};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)) ? -errno : 0;
}

void wire_only_arp(struct proof *p)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12), /* EtherType */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_ARP, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, FRAME_SNAP),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};

	if (!p->arp_only)
		(void)set_filter(p->frames.fd, code, ARRAY_LEN(code)); /* else it costs more */
	p->arp_only = true;
}

/* Everything in, FRAME_SNAP bytes of it; ifindex 0: all links.  ETH_P_ALL sees a frame before the
 * bridge and its rules do, so also one that the pins drop. */
static int packet_socket(int ifindex, struct sock_filter *code, size_t n)
{
	struct sockaddr_ll at = {
		.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = ifindex};
	auto_close int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1, rc;

	if (fd < 0)
		return -errno;
	/* Before bind, so that nothing else ever enters. */
	rc = set_filter(fd, code, n);
	if (rc)
		return rc;
	if (setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)) ||
	    bind(fd, (struct sockaddr *)&at, sizeof(at)))
		return -errno;
	return take_fd(fd);
}

static int frames_socket(const struct proof *p)
{
	struct sock_filter all[] = {BPF_STMT(BPF_RET | BPF_K, FRAME_SNAP)};

	if (p->tap_index)
		return packet_socket(p->tap_index, all, ARRAY_LEN(all));
	/* No TAP: a socket that hears nothing, so that the rest needs no exceptions. */
	return socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static int claims_socket(const struct proof *p)
{
	struct sock_filter claims[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12), /* EtherType */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_ARP, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 28), /* ARP sender address */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, p->port.ip, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, FRAME_SNAP),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};

	return packet_socket(0, claims, ARRAY_LEN(claims));
}

static int echo_socket(const struct proof *p)
{
	auto_close int fd = socket(AF_INET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_ICMP);
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr = {htonl(p->port.ip)}};
	struct icmp_filter only = {.data = ~(1u << ICMP_ECHOREPLY)};

	if (fd < 0 || setsockopt(fd, SOL_RAW, ICMP_FILTER, &only, sizeof(only)) ||
	    connect(fd, (struct sockaddr *)&to, sizeof(to)))
		return -errno;
	return take_fd(fd);
}

static int links_socket(void)
{
	struct sockaddr_nl at = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
	auto_close int fd =
		socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)))
		return -errno;
	return take_fd(fd);
}

/* In the namespace.  Link messages are subscribed to before the link is asked for, so that no
 * change can fall between. */
static int open_inside(struct proof *p, struct link *ret_tap)
{
	struct nl rt = {0};
	int rc;

	p->links.fd = links_socket();
	if (p->links.fd < 0)
		return p->links.fd;
	rc = nl_open(&rt, NETLINK_ROUTE, NULL);
	if (rc)
		return rc;
	rc = link_find(&rt, p->tap, ret_tap);
	nl_close(&rt);
	if (rc && rc != -ENODEV)
		return rc;
	p->tap_index = rc ? 0 : ret_tap->index;
	p->frames.fd = frames_socket(p);
	if (p->frames.fd >= 0)
		p->claims.fd = claims_socket(p);
	if (p->claims.fd >= 0)
		p->echo.fd = echo_socket(p);
	if (p->frames.fd < 0)
		return p->frames.fd;
	return p->claims.fd < 0 ? p->claims.fd : p->echo.fd < 0 ? p->echo.fd : 0;
}

static int watch_all(struct proof *p, struct err *e)
{
	struct watch *all[] = {&p->frames, &p->claims, &p->links, &p->echo};
	int rc = 0;

	p->frames.ready = on_frames;
	p->claims.ready = on_claims;
	p->links.ready = on_links;
	p->echo.ready = on_echo;
	for (size_t i = 0; !rc && i < ARRAY_LEN(all); i++) {
		all[i]->want = EPOLLIN;
		rc = loop_watch(p->loop, all[i], e);
	}
	return rc;
}

int wire_open(struct proof *p, struct err *e)
{
	struct netns_visit visit;
	struct link tap;
	int rc = netns_enter(&visit, p->net->ns_fd, e);

	if (rc)
		return rc;
	rc = open_inside(p, &tap);
	netns_leave(&visit);
	if (rc)
		return err_sys(e, -rc, "net.proof", "sockets to observe %s", p->tap);
	if (p->tap_index)
		proof_on_link(p, &tap, false);
	else
		proof_set(p, PROOF_CARRIER, PROOF_FAILS, "NET_NO_CARRIER",
			  "TAP %s doesn't exist: no VMM holds it", p->tap);
	return watch_all(p, e);
}

void wire_close(struct proof *p)
{
	struct watch *all[] = {&p->frames, &p->claims, &p->links, &p->echo};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		loop_unwatch(p->loop, all[i]);
		if (all[i]->fd >= 0)
			loop_close(p->loop, take_fd(all[i]->fd));
	}
}
