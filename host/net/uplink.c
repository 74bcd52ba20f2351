/*
 * The way from a network's namespace to the host's: a veth pair, a /30 of link-local addresses, the
 * host's nftables table and ip_forward.
 * Called by net.c and describe.c in the host's namespace, on the thread that called host/net.
 *
 * Of the /30 the first address is the host's end, the second the namespace's.  VMs leave
 * masqueraded as the second one, and the host masquerades that to its own address: two networks may
 * so have the same cidr, and the host needs no route to either.
 */
#include <errno.h>
#include <stdio.h>
#include <linux/netlink.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/parse.h"
#include "base/str.h"
#include "json/json.h"
#include "net/net_internal.h"

/* RFC 3927 sec. 2.1: 169.254.1.0 to 169.254.254.255. */
#define RANGE_FIRST  0xa9fe0100u
#define RANGE_BLOCKS (254u * 64u) /* of 4 addresses */
#define BLOCK_PREFIX 30
/* Cloud providers answer metadata, DNS and time in here: 169.254.169.0/24. */
#define METADATA 0xa9fea900u
/* Routes as wide as zeroconf's 169.254.0.0/16 don't clash: ours is the more specific one. */
#define WIDE_PREFIX 16

static bool overlap(uint32_t a, unsigned a_len, uint32_t b, unsigned b_len)
{
	uint32_t mask = ipv4_mask(a_len < b_len ? a_len : b_len);

	return (a & mask) == (b & mask);
}

struct search {
	uint32_t block; /* candidate */
	int own;	/* index of our own veth, which clashes with nothing */
	bool taken;
};

static int try_route(uint32_t dst, unsigned len, int out_index, void *arg)
{
	struct search *s = arg;

	if (len > WIDE_PREFIX && out_index != s->own && overlap(dst, len, s->block, BLOCK_PREFIX))
		s->taken = true;
	return 0;
}

static int try_addr(const struct addr *a, void *arg)
{
	struct search *s = arg;

	if (a->index != s->own && overlap(a->addr, 32, s->block, BLOCK_PREFIX))
		s->taken = true;
	return try_route(a->addr, a->prefix, a->index, arg);
}

/* A block that no address or route of the host lies in; the same one for the same name if possible.
 */
static int choose_block(struct nl *rt, const char *name, int own, uint32_t *ret, struct err *e)
{
	char hash[HASH_TEXT_LEN], start_text[9];
	uint64_t start = 0;

	hash_bytes(name, strlen(name), hash);
	(void)snprintf(start_text, sizeof(start_text), "%.8s", hash);
	if (parse_hex64(start_text, &start))
		return err_set(e, -EINVAL, ERR_BUG, "net.link-range", "hash %s", start_text);
	for (uint32_t i = 0; i < RANGE_BLOCKS; i++) {
		struct search s = {.own = own};
		int rc;

		s.block = RANGE_FIRST + 4 * (uint32_t)((start + i) % RANGE_BLOCKS);
		if (overlap(s.block, BLOCK_PREFIX, METADATA, 24))
			continue;
		rc = addr_each(rt, try_addr, &s, e);
		if (!rc)
			rc = route_each(rt, try_route, &s, e);
		if (rc)
			return rc;
		if (!s.taken) {
			*ret = s.block;
			return 0;
		}
	}
	return err_set(e, -EADDRNOTAVAIL, ERR_HOST, "net.no-link-range",
		       "no free /30 between 169.254.1.0 and 169.254.254.255 on this host");
}

struct own_block {
	int index;
	uint32_t block; /* 0: none */
};

static int find_block(const struct addr *a, void *arg)
{
	struct own_block *o = arg;

	if (a->index == o->index && a->prefix == BLOCK_PREFIX && a->addr >= RANGE_FIRST &&
	    a->addr < RANGE_FIRST + 4 * RANGE_BLOCKS)
		o->block = a->addr & ipv4_mask(BLOCK_PREFIX);
	return 0;
}

/* The host's end of the pair, made if it is missing; a foreign link of that name is refused. */
static int veth_open(struct net *n, struct nl *rt, struct link *ret, struct err *e)
{
	const char *veth = n->names.veth;
	struct link inner;
	int rc = link_find(rt, veth, ret);

	if (!rc && !str_eq(ret->alias, n->names.alias) &&
	    /* A crash between making and marking it leaves no alias: then its peer tells. */
	    (ret->alias[0] || !str_eq(ret->kind, "veth") || link_find(&n->rt, NET_UPLINK, &inner)))
		return err_set(e, -EEXIST, ERR_HOST, "net.link-foreign",
			       "link %s exists on this host and isn't Hearth's (alias '%s')", veth,
			       ret->alias);
	if (!rc && link_find(&n->rt, NET_UPLINK,
			     &inner)) { /* its peer is elsewhere: of an old namespace */
		rc = link_delete(rt, veth, e);
		if (rc)
			return rc;
		rc = -ENODEV;
	}
	if (rc == -ENODEV) {
		rc = link_add_veth(rt, veth, NET_UPLINK, n->ns_fd, e);
		if (!rc)
			rc = link_find(rt, veth, ret);
	}
	return rc < 0 && (!e || !e->code) ? err_sys(e, -rc, "net.link", "link %s", veth) : rc;
}

static int no_ipv6(const char *link, struct err *e)
{
	char name[64];
	int rc;

	if (!str_fmt(name, sizeof(name), "ipv6/conf/%s/disable_ipv6", link))
		return err_set(e, -ENAMETOOLONG, ERR_BUG, "net.sysctl", "%s", link);
	rc = sysctl_write(name, "1", e);
	return rc == -ENOENT ? 0 : rc; /* this kernel has no IPv6 */
}

static int host_end(struct net *n, struct nl *rt, uint32_t *ret_block, struct err *e)
{
	struct own_block own = {0};
	struct link l = {0};
	int rc = veth_open(n, rt, &l, e);

	if (!rc)
		rc = no_ipv6(n->names.veth, e);
	own.index = l.index;
	if (!rc)
		rc = addr_each(rt, find_block, &own, e);
	if (!rc && !own.block)
		rc = choose_block(rt, n->names.ns, l.index, &own.block, e);
	if (rc)
		return rc;
	*ret_block = own.block;
	rc = link_change(rt,
			 &(struct link_change){.name = n->names.veth,
					       .index = l.index,
					       .up = true,
					       .mtu = n->conf.mtu,
					       .alias = n->names.alias},
			 e);
	return rc ? rc : addr_set(rt, &(struct addr){l.index, own.block + 1, BLOCK_PREFIX}, e);
}

static int inner_end(struct net *n, uint32_t block, struct err *e)
{
	struct link l;
	int rc = link_find(&n->rt, NET_UPLINK, &l);

	if (rc)
		return err_sys(e, -rc, "net.link", "link %s in %s", NET_UPLINK, n->names.ns);
	rc = addr_set(&n->rt, &(struct addr){l.index, block + 2, BLOCK_PREFIX}, e);
	if (!rc)
		rc = link_change(&n->rt,
				 &(struct link_change){.name = NET_UPLINK,
						       .index = l.index,
						       .up = true,
						       .mtu = n->conf.mtu,
						       .alias = n->names.alias},
				 e);
	return rc ? rc : route_set_default(&n->rt, block + 1, l.index, e);
}

int uplink_up(struct net *n, struct err *e)
{
	auto_close int lock = -1;
	struct nl rt = {0};
	uint32_t block;
	int rc = journal_lock(&lock, e);

	if (!rc)
		rc = journal_add(&n->names, e);
	if (!rc)
		rc = nl_open(&rt, NETLINK_ROUTE, e);
	if (!rc)
		rc = host_end(n, &rt, &block, e);
	nl_close(&rt);
	/* The rules before the way is open. */
	if (!rc)
		rc = ruleset_host(n, block + 2, e);
	if (!rc)
		rc = journal_forward_on(e);
	return rc ? rc : inner_end(n, block, e);
}

int uplink_down(const struct net_names *names, struct err *e)
{
	auto_close int lock = -1;
	struct nl rt = {0};
	struct link l;
	int rc;

	if (!journal_has(names))
		return 0; /* nothing of the host was touched, not even NET_RUN_DIR */
	rc = journal_lock(&lock, e);
	if (rc)
		return rc;
	rc = ruleset_host_remove(names->ns, e);
	if (!rc)
		rc = nl_open(&rt, NETLINK_ROUTE, e);
	/* No alias: made and not yet marked when hearthd died; the note says that it is ours. */
	if (!rc && !link_find(&rt, names->veth, &l) && str_eq(l.kind, "veth") &&
	    (!l.alias[0] || str_eq(l.alias, names->alias)))
		rc = link_delete(&rt, names->veth, e);
	nl_close(&rt);
	return rc ? rc : journal_remove(names, e);
}

static int warn_drops(const struct net_names *names, json_t *warnings, struct err *e)
{
	auto_json json_t *drops = NULL;
	json_t *d;
	size_t i;
	int rc = ruleset_foreign_drops(names->ns, &drops, e);

	if (rc)
		return rc;
	json_array_foreach(drops, i, d)
	{
		const char *family = json_string_value(json_object_get(d, "family"));
		const char *table = json_string_value(json_object_get(d, "table"));
		const char *chain = json_string_value(json_object_get(d, "chain"));
		json_t *w = net_object(
			"code", json_string("NET_FORWARD_DROP"), "text",
			json_sprintf("the host's chain %s %s %s drops forwarded packets by policy "
				     "(Docker sets it so); an accept in Hearth's own table can't "
				     "override that, so VMs get no answers from outside",
				     family, table, chain),
			"remedy",
			json_sprintf(
				"nft insert rule %s %s %s iifname %s accept; nft insert rule "
				"%s %s %s oifname %s ct state established,related accept (with "
				"Docker: in its chain DOCKER-USER, which it keeps)",
				family, table, chain, names->veth, family, table, chain,
				names->veth),
			NULL);

		if (json_push(warnings, w))
			return err_nomem(e);
	}
	return 0;
}

static int describe_links(const struct net_names *names, json_t *host, struct err *e)
{
	struct own_block own = {0};
	char text[IPV4_TEXT_LEN];
	struct nl rt = {0};
	struct link l;
	int rc = nl_open(&rt, NETLINK_ROUTE, e);

	if (rc)
		return rc;
	if (!link_find(&rt, names->veth, &l)) {
		own.index = l.index;
		rc = addr_each(&rt, find_block, &own, e);
		format_ipv4(own.block + 1, text);
		if (!rc &&
		    json_push(host,
			      net_object("what", json_string("link"), "name", json_string(l.name),
					 "alias", json_string(l.alias), "address",
					 json_sprintf("%s/%d", text, BLOCK_PREFIX), NULL)))
			rc = err_nomem(e);
	}
	nl_close(&rt);
	return rc;
}

int uplink_describe(const struct net_names *names, json_t *host, json_t *warnings, struct err *e)
{
	char from[SYSCTL_VALUE_LEN];
	int rc;

	if (!journal_has(names))
		return 0;
	rc = describe_links(names, host, e);
	if (rc)
		return rc;
	if (json_push(host, net_object("what", json_string("nft table"), "name",
				       json_sprintf("inet %s", names->ns), NULL)))
		return err_nomem(e);
	if (journal_forward_from(from) &&
	    json_push(host, json_pack("{s:s,s:s,s:s}", "what", "sysctl net.ipv4.ip_forward", "from",
				      from, "to", "1")))
		return err_nomem(e);
	return warn_drops(names, warnings, e);
}
