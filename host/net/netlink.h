#pragma once
/*
 * One netlink socket and requests over it: send, wait for the kernel's answer, hand each message of
 * a dump to a callback.  The socket belongs for ever to the network namespace it was opened in,
 * whichever thread uses it later.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libmnl/libmnl.h>

struct err;

#define NL_REQUEST_MAX 4096 /* bytes; our largest request is a batch of set elements */

struct nl {
	struct mnl_socket *sock; /* owned; NULL: closed */
	uint32_t seq;		 /* of the last request */
};

/* bus: NETLINK_ROUTE or NETLINK_NETFILTER.  In the calling thread's present namespace. */
int nl_open(struct nl *nl, int bus, struct err *e);
void nl_close(struct nl *nl); /* zeroed or closed is fine */

/* Begin a request in buf (NL_REQUEST_MAX bytes). */
struct nlmsghdr *nl_begin(struct nl *nl, void *buf, uint16_t type, uint16_t flags);

typedef int nl_each_fn(const struct nlmsghdr *msg, void *arg); /* negative ends the walk with it */

/* Send one request with an acknowledgement, or a dump (NLM_F_DUMP), and wait for its end. Negative:
 * the kernel's errno.  On failure *ret_why (NULL: not wanted) is the kernel's own sentence or "".
 */
#define NL_WHY_MAX 120
int nl_talk(struct nl *nl, struct nlmsghdr *req, nl_each_fn *each, void *arg,
	    char ret_why[NL_WHY_MAX]);
/* Send `len` bytes of several requests, the last of which has the socket's newest number; the first
 * failure among them is the result. */
int nl_talk_batch(struct nl *nl, const void *reqs, size_t len, char ret_why[NL_WHY_MAX]);
