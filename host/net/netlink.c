/*
 * Netlink request and answer on top of libmnl.
 * Called by the other files of this folder on the thread that called host/net.
 * Trust: answers come from the kernel; attributes are still checked before they are read.
 */
#include "net/netlink.h"

#include <errno.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/str.h"

/* Linux builds dump messages of at most 32 KiB (net/netlink/af_netlink.c, netlink_dump). */
#define RECEIVE_MAX 32768

int nl_open(struct nl *nl, int bus, struct err *e)
{
	int on = 1;

	nl->seq = 0;
	nl->sock = mnl_socket_open2(bus, SOCK_CLOEXEC);
	if (!nl->sock)
		return err_sys(e, errno, "net.netlink", "netlink socket");
	if (mnl_socket_bind(nl->sock, 0, MNL_SOCKET_AUTOPID)) {
		int rc = err_sys(e, errno, "net.netlink", "netlink socket: bind");

		nl_close(nl);
		return rc;
	}
	/* Only for better sentences: a kernel without it answers with the errno alone. */
	(void)mnl_socket_setsockopt(nl->sock, NETLINK_EXT_ACK, &on, sizeof(on));
	return 0;
}

void nl_close(struct nl *nl)
{
	if (nl->sock)
		(void)mnl_socket_close(nl->sock); /* nothing is buffered */
	nl->sock = NULL;
}

struct nlmsghdr *nl_begin(struct nl *nl, void *buf, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);

	h->nlmsg_type = type;
	h->nlmsg_flags = NLM_F_REQUEST | flags;
	h->nlmsg_seq = ++nl->seq;
	return h;
}

static int keep_message(const struct nlattr *a, void *arg)
{
	const char **text = arg;

	if (mnl_attr_get_type(a) == NLMSGERR_ATTR_MSG && !mnl_attr_validate(a, MNL_TYPE_NUL_STRING))
		*text = mnl_attr_get_str(a);
	return MNL_CB_OK;
}

/* The result in an NLMSG_ERROR (0: acknowledged) and the kernel's sentence beside it. */
static int read_error(const struct nlmsghdr *h, char why[NL_WHY_MAX])
{
	const struct nlmsgerr *er = mnl_nlmsg_get_payload(h);
	const char *text = NULL;
	size_t echoed;

	if (mnl_nlmsg_get_payload_len(h) < sizeof(*er))
		return -EBADMSG;
	if (er->error && (h->nlmsg_flags & NLM_F_ACK_TLVS)) {
		/* NLM_F_CAPPED: only the header of the request is echoed before the attributes. */
		echoed = h->nlmsg_flags & NLM_F_CAPPED ? 0 : er->msg.nlmsg_len - MNL_NLMSG_HDRLEN;
		if (mnl_nlmsg_get_payload_len(h) >= sizeof(*er) + MNL_ALIGN(echoed))
			(void)mnl_attr_parse(h, (unsigned)(sizeof(*er) + MNL_ALIGN(echoed)),
					     keep_message, &text); /* no text: none to show */
	}
	if (text && why && !str_copy(why, NL_WHY_MAX, text))
		why[0] = '\0';
	return er->error;
}

/* One message of an answer: true when it ends the request. */
static bool take(struct nl *nl, const struct nlmsghdr *h, nl_each_fn *each, void *arg, char *why,
		 int *rc)
{
	int now = 0;

	switch (h->nlmsg_type) {
	case NLMSG_NOOP:
		return false;
	case NLMSG_ERROR:
		now = read_error(h, *rc ? NULL : why);
		*rc = *rc ? *rc : now;
		/* A failure with an older number may concern the whole batch (its first message).
		 */
		return h->nlmsg_seq == nl->seq;
	case NLMSG_DONE:
		return true;
	default:
		if (h->nlmsg_seq == nl->seq && each && !*rc)
			now = each(h, arg);
		*rc = *rc ? *rc : now < 0 ? now : 0;
		return false;
	}
}

/* Receive until the answer with the newest number ended.  first: number of the request's first
 * message, whose failure ends a whole batch. */
static int receive(struct nl *nl, uint32_t first, nl_each_fn *each, void *arg, char *why)
{
	_Alignas(struct nlmsghdr) char buf[RECEIVE_MAX];
	bool ended = false;
	int rc = 0;

	while (!ended) {
		ssize_t n = mnl_socket_recvfrom(nl->sock, buf, sizeof(buf));
		const struct nlmsghdr *h = (const void *)buf;
		int left = (int)n;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		for (; !ended && mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left)) {
			if (h->nlmsg_seq < first)
				continue; /* the tail of an answer that nobody waited for */
			ended = take(nl, h, each, arg, why, &rc) || (h->nlmsg_seq == first && rc);
		}
	}
	return rc;
}

int nl_talk_batch(struct nl *nl, const void *reqs, size_t len, char why[NL_WHY_MAX])
{
	const struct nlmsghdr *first = reqs;

	if (why)
		why[0] = '\0';
	if (mnl_socket_sendto(nl->sock, reqs, len) < 0)
		return -errno;
	return receive(nl, first->nlmsg_seq, NULL, NULL, why);
}

int nl_talk(struct nl *nl, struct nlmsghdr *req, nl_each_fn *each, void *arg, char why[NL_WHY_MAX])
{
	if (why)
		why[0] = '\0';
	if ((req->nlmsg_flags & NLM_F_DUMP) != NLM_F_DUMP)
		req->nlmsg_flags |= NLM_F_ACK;
	if (mnl_socket_sendto(nl->sock, req, req->nlmsg_len) < 0)
		return -errno;
	return receive(nl, req->nlmsg_seq, each, arg, why);
}
