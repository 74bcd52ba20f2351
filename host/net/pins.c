/*
 * Elements of the nftables set "pins": which TAP may send from which MAC and address.
 * Called by port.c on the thread that called host/net.
 *
 * Written straight by nfnetlink: one system call in place of a fork of nft (figures in
 * docs/network.md).  The set is made by ruleset.c with the key type ifname . ether_addr .
 *ipv4_addr; each part fills whole 4-byte registers (Linux net/netfilter/nf_tables_api.c):
 *
 *	 0..15  interface name, padded with NUL
 *	16..21  MAC          22..23  zero
 *	24..27  IPv4 address, network byte order
 *
 * Every VM has two elements: its address, and 0.0.0.0 for ARP probes (RFC 5227 sec. 2.1.1); a rule
 * before the look-up refuses IPv4 packets from 0.0.0.0.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"
#include "net/net_internal.h"

#define SET_NAME    "pins"
#define BATCH_PORTS 32 /* 64 elements of 40 bytes fit NL_REQUEST_MAX */

struct key {
	char tap[IFNAMSIZ];
	uint8_t mac[6], zero[2];
	uint8_t ip[4];
};
_Static_assert(sizeof(struct key) == 28, "the set's key has 28 bytes");

static void key_of(const struct net_port *p, uint32_t ip, struct key *ret)
{
	uint32_t be = htonl(ip);

	*ret = (struct key){{0}, {0}, {0}, {0}};
	net_tap_name(p->number, ret->tap);
	memset(ret->tap + strlen(ret->tap), 0, sizeof(ret->tap) - strlen(ret->tap));
	memcpy(ret->mac, p->mac, sizeof(ret->mac));
	memcpy(ret->ip, &be, sizeof(be));
}

static struct nlmsghdr *begin(struct nl *nl, void *buf, uint16_t msg, uint16_t flags)
{
	struct nlmsghdr *h = nl_begin(nl, buf, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | msg), flags);
	struct nfgenmsg *g = mnl_nlmsg_put_extra_header(h, sizeof(*g));

	g->nfgen_family = NFPROTO_BRIDGE;
	g->version = NFNETLINK_V0;
	mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_TABLE, NET_TABLE);
	mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_SET, SET_NAME);
	return h;
}

/* The brackets of a transaction: NFNL_MSG_BATCH_BEGIN and _END. */
static size_t bracket(void *buf, uint16_t type, uint32_t seq)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *g = mnl_nlmsg_put_extra_header(h, sizeof(*g));

	h->nlmsg_type = type;
	h->nlmsg_flags = NLM_F_REQUEST;
	h->nlmsg_seq = seq;
	g->nfgen_family = AF_UNSPEC;
	g->version = NFNETLINK_V0;
	g->res_id = htons(NFNL_SUBSYS_NFTABLES);
	return h->nlmsg_len;
}

static void put_element(struct nlmsghdr *h, const struct key *k)
{
	struct nlattr *elem = mnl_attr_nest_start(h, NFTA_LIST_ELEM);
	struct nlattr *key = mnl_attr_nest_start(h, NFTA_SET_ELEM_KEY);

	mnl_attr_put(h, NFTA_DATA_VALUE, sizeof(*k), k);
	mnl_attr_nest_end(h, key);
	mnl_attr_nest_end(h, elem);
}

/* One transaction that adds or deletes the keys. */
static int change(struct nl *nl, uint16_t msg, uint16_t flags, const struct key *keys, size_t n,
		  char why[NL_WHY_MAX])
{
	_Alignas(struct nlmsghdr) char buf[NL_REQUEST_MAX];
	size_t len = bracket(buf, NFNL_MSG_BATCH_BEGIN, ++nl->seq);
	struct nlmsghdr *h = begin(nl, buf + len, msg, flags | NLM_F_ACK);
	struct nlattr *list = mnl_attr_nest_start(h, NFTA_SET_ELEM_LIST_ELEMENTS);

	for (size_t i = 0; i < n; i++)
		put_element(h, &keys[i]);
	mnl_attr_nest_end(h, list);
	len += MNL_ALIGN(h->nlmsg_len);
	len += bracket(buf + len, NFNL_MSG_BATCH_END, nl->seq);
	return nl_talk_batch(nl, buf, len, why);
}

int pins_add(struct nl *nf, const struct net_port *ports, size_t n, struct err *e)
{
	struct key keys[2 * BATCH_PORTS];
	char why[NL_WHY_MAX];

	for (size_t done = 0; done < n;) {
		size_t now = n - done < BATCH_PORTS ? n - done : BATCH_PORTS;
		int rc;

		for (size_t i = 0; i < now; i++) {
			key_of(&ports[done + i], ports[done + i].ip, &keys[2 * i]);
			key_of(&ports[done + i], 0, &keys[2 * i + 1]);
		}
		/* An element that is there already is left as it is (no NLM_F_EXCL). */
		rc = change(nf, NFT_MSG_NEWSETELEM, NLM_F_CREATE, keys, 2 * now, why);
		if (rc)
			return err_set(e, rc, ERR_HOST, "net.pins",
				       "pin %zu ports in nftables set %s: %s", now, SET_NAME,
				       why[0] ? why : strerror(-rc));
		done += now;
	}
	return 0;
}

int pins_remove(struct nl *nf, const struct net_port *port, struct err *e)
{
	char why[NL_WHY_MAX];
	struct key keys[2];
	int rc;

	key_of(port, port->ip, &keys[0]);
	key_of(port, 0, &keys[1]);
	rc = change(nf, NFT_MSG_DELSETELEM, 0, keys, 2, why);
	/* One of the two is missing: the transaction as a whole did nothing, so each by itself. */
	for (size_t i = 0; rc == -ENOENT && i < 2; i++) {
		int one = change(nf, NFT_MSG_DELSETELEM, 0, &keys[i], 1, why);

		if (one && one != -ENOENT)
			rc = one;
	}
	if (rc && rc != -ENOENT)
		return err_set(e, rc, ERR_HOST, "net.pins",
			       "remove pin of hv%u from nftables set %s: %s", port->number,
			       SET_NAME, why[0] ? why : strerror(-rc));
	return 0;
}

struct walk {
	pins_each_fn *fn;
	void *arg;
	int rc;
};

static int read_value(const struct nlattr *a, void *arg)
{
	struct key *k = arg;

	if (mnl_attr_get_type(a) == NFTA_DATA_VALUE && mnl_attr_get_payload_len(a) == sizeof(*k))
		memcpy(k, mnl_attr_get_payload(a), sizeof(*k));
	return MNL_CB_OK;
}

static int read_key(const struct nlattr *a, void *arg)
{
	return mnl_attr_get_type(a) == NFTA_SET_ELEM_KEY ? mnl_attr_parse_nested(a, read_value, arg)
							 : MNL_CB_OK;
}

static int read_element(const struct nlattr *a, void *arg)
{
	struct walk *w = arg;
	struct net_port pin = {0};
	struct key k = {{0}, {0}, {0}, {0}};
	uint32_t be;

	if (mnl_attr_parse_nested(a, read_key, &k) < 0)
		return MNL_CB_ERROR;
	k.tap[sizeof(k.tap) - 1] = '\0';
	/* A name that is none of ours: number stays 0, which no lease has. */
	(void)net_tap_number(k.tap, &pin.number);
	memcpy(pin.mac, k.mac, sizeof(pin.mac));
	memcpy(&be, k.ip, sizeof(be));
	pin.ip = ntohl(be);
	w->rc = w->fn(&pin, w->arg);
	return w->rc < 0 ? MNL_CB_ERROR : MNL_CB_OK;
}

static int read_list(const struct nlattr *a, void *arg)
{
	return mnl_attr_get_type(a) == NFTA_SET_ELEM_LIST_ELEMENTS
		       ? mnl_attr_parse_nested(a, read_element, arg)
		       : MNL_CB_OK;
}

static int walk_message(const struct nlmsghdr *h, void *arg)
{
	struct walk *w = arg;

	if (mnl_attr_parse(h, sizeof(struct nfgenmsg), read_list, w) < 0)
		return w->rc < 0 ? w->rc : -EBADMSG;
	return 0;
}

int pins_each(struct nl *nf, pins_each_fn *fn, void *arg, struct err *e)
{
	_Alignas(struct nlmsghdr) char buf[NL_REQUEST_MAX];
	struct walk w = {.fn = fn, .arg = arg};
	int rc =
		nl_talk(nf, begin(nf, buf, NFT_MSG_GETSETELEM, NLM_F_DUMP), walk_message, &w, NULL);

	return rc < 0 ? err_sys(e, -rc, "net.pins", "list nftables set %s", SET_NAME) : 0;
}
