/*
 * The rules of a network as JSON for nft(8) (libnftables-json(5)), handed over on standard input.
 * Called by net.c and uplink.c on the thread that called host/net; nft inherits its namespace.
 *
 * In the network's namespace (docs/network.md shows them in nft's own language):
 *	table bridge hearth	set pins; chain from_vm: only pinned IPv4 and ARP;
 *				chain between: VM to VM
 *	table inet hearth	chain input: answers only; chain forward: VM to uplink;
 *				chain nat_out: masquerade
 * On the host, only with NAT: table inet <instance>-<network> with input, forward and nat_out.
 *
 * One nft call is one transaction: chains are emptied and filled again without a moment in between,
 * and the set with the pins of running VMs stays.
 */
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/parse.h"
#include "base/proc.h"
#include "base/str.h"
#include "json/json.h"
#include "net/net_internal.h"

#define NFT_TIMEOUT_MS 10000 /* a call takes some 5 ms; an answer later than this is none */
#define NFT_OUTPUT_MAX (4u << 20)

/* Where closed networks lie (RFC 6890): the host's LAN, its containers, cloud metadata services. */
static const struct {
	const char *addr;
	unsigned len;
} closed_ranges[] = {
	{"0.0.0.0", 8},	     {"10.0.0.0", 8},	 {"100.64.0.0", 10}, {"127.0.0.0", 8},
	{"169.254.0.0", 16}, {"172.16.0.0", 12}, {"192.0.0.0", 24},  {"192.168.0.0", 16},
	{"198.18.0.0", 15},  {"224.0.0.0", 4},	 {"240.0.0.0", 4},
};

/* Commands for one table; `failed` is checked once at the end. */
struct rules {
	json_t *cmds; /* owned: array */
	const char *family, *table;
	bool failed;
};

static void command(struct rules *r, const char *verb, const char *what, json_t *object)
{
	if (json_push(r->cmds, net_object(verb, net_object(what, object, NULL), NULL)))
		r->failed = true;
}

static json_t *str(const char *s)
{
	return json_string(s);
}

static void table(struct rules *r, const char *verb)
{
	command(r, verb, "table",
		net_object("family", str(r->family), "name", str(r->table), NULL));
}

/* A base chain, made if it is missing and emptied. */
static void chain(struct rules *r, const char *name, const char *hook, int prio, const char *policy)
{
	const char *type = str_eq(hook, "postrouting") ? "nat" : "filter";

	command(r, "add", "chain",
		net_object("family", str(r->family), "table", str(r->table), "name", str(name),
			   "type", str(type), "hook", str(hook), "prio", json_integer(prio),
			   "policy", str(policy), NULL));
	command(r, "flush", "chain",
		net_object("family", str(r->family), "table", str(r->table), "name", str(name),
			   NULL));
}

/* Append a rule; a statement that could not be made fails the whole, never shortens the rule. */
static void rule_of(struct rules *r, const char *chain_name, json_t *statements)
{
	command(r, "add", "rule",
		net_object("family", str(r->family), "table", str(r->table), "chain",
			   str(chain_name), "expr", statements, NULL));
}
#define rule(r, chain_name, ...) rule_of(r, chain_name, NET_LIST(__VA_ARGS__))

static json_t *meta(const char *key)
{
	return net_object("meta", net_object("key", str(key), NULL), NULL);
}

static json_t *field(const char *protocol, const char *name)
{
	return net_object("payload",
			  net_object("protocol", str(protocol), "field", str(name), NULL), NULL);
}

static json_t *match(const char *op, json_t *left, json_t *right)
{
	return net_object("match", net_object("op", str(op), "left", left, "right", right, NULL),
			  NULL);
}

static json_t *from(const char *link)
{
	return match("==", meta("iifname"), str(link));
}

static json_t *to(const char *op, const char *link)
{
	return match(op, meta("oifname"), str(link));
}

static json_t *verdict(const char *name)
{
	return net_object(name, json_null(), NULL);
}

static json_t *count(void)
{
	return verdict("counter");
}

static json_t *answers(void)
{
	return match("in", net_object("ct", net_object("key", str("state"), NULL), NULL),
		     NET_LIST(str("established"), str("related")));
}

static json_t *pinned(const char *mac_protocol, const char *mac_field, const char *ip_protocol,
		      const char *ip_field)
{
	json_t *key = NET_LIST(meta("iifname"), field(mac_protocol, mac_field),
			       field(ip_protocol, ip_field));

	return match("==", net_object("concat", key, NULL), str("@pins"));
}

static json_t *address(const char *op, const char *which, uint32_t ip)
{
	char text[IPV4_TEXT_LEN];

	format_ipv4(ip, text);
	return match(op, field("ip", which), str(text));
}

static json_t *prefix(const char *addr, unsigned len)
{
	return net_object("prefix",
			  net_object("addr", str(addr), "len", json_integer((json_int_t)len), NULL),
			  NULL);
}

static json_t *closed(void)
{
	json_t *ranges[ARRAY_LEN(closed_ranges)];

	for (size_t i = 0; i < ARRAY_LEN(ranges); i++)
		ranges[i] = prefix(closed_ranges[i].addr, closed_ranges[i].len);
	return match("==", field("ip", "daddr"),
		     net_object("set", net_list(ranges, ARRAY_LEN(ranges)), NULL));
}

/* What VMs may begin through `in`: the named DNS servers wherever they are, then nothing closed.
 * What passes these rules is open; the caller's next rule or the chain's policy accepts it. */
static void egress(struct rules *r, const char *chain_name, const char *in, const struct network *n)
{
	for (unsigned i = 0; i < n->dns_n; i++) {
		static const char *const protocols[] = {"udp", "tcp"};

		for (size_t p = 0; p < ARRAY_LEN(protocols); p++)
			rule(r, chain_name, from(in), address("==", "daddr", n->dns[i]),
			     match("==", field(protocols[p], "dport"), json_integer(53)),
			     verdict("accept"));
	}
	rule(r, chain_name, from(in), closed(), count(), verdict("drop"));
}

/* Run nft with the commands; what it prints goes to out (NULL: nowhere). */
static int nft(const char *const *argv, const char *input, struct buf *out, struct err *e)
{
	auto_buf errors = {.max = 4096}; /* of a failure only the first line is used */
	struct proc_run run = {.argv = argv,
			       .in = input,
			       .in_len = input ? strlen(input) : 0,
			       .out = out,
			       .err = &errors,
			       .timeout_ms = NFT_TIMEOUT_MS};
	int rc = proc_run(&run, e);

	if (rc == -ENOENT)
		return err_remedy(e, "apt-get install nftables");
	if (rc <= 0)
		return rc;
	return err_set(e, -EIO, ERR_HOST, "net.nft", "nft exited with %d: %.*s", rc,
		       (int)strcspn(buf_text(&errors), "\n"), buf_text(&errors));
}

/* Takes r->cmds. */
static int apply(struct rules *r, struct err *e)
{
	static const char *const argv[] = {"nft", "-j", "-f", "-", NULL};
	auto_json json_t *doc = net_object("nftables", r->cmds, NULL);
	auto_free char *text = doc && !r->failed ? json_text(doc) : NULL;

	r->cmds = NULL;
	return text ? nft(argv, text, NULL, e) : err_nomem(e);
}

static void bridge_rules(struct rules *r, const struct network *n)
{
	r->family = "bridge";
	table(r, "add");
	command(r, "add", "set",
		net_object("family", str(r->family), "table", str(r->table), "name", str("pins"),
			   "type", NET_LIST(str("ifname"), str("ether_addr"), str("ipv4_addr")),
			   NULL));
	/* -300 (dstnat of the bridge family): before the bridge learns or forwards anything. */
	chain(r, "from_vm", "prerouting", -300, "drop");
	rule(r, "from_vm", match("==", field("ip", "saddr"), str("0.0.0.0")), count(),
	     verdict("drop"));
	rule(r, "from_vm", pinned("ether", "saddr", "ip", "saddr"), verdict("accept"));
	rule(r, "from_vm", pinned("ether", "saddr", "arp", "saddr ip"),
	     pinned("arp", "saddr ether", "arp", "saddr ip"), verdict("accept"));
	rule(r, "from_vm", count());
	chain(r, "between", "forward", 0, n->isolated ? "drop" : "accept");
	rule(r, "between", count());
}

static void inet_rules(struct rules *r, const struct network *n, bool uplink)
{
	char cidr[IPV4_TEXT_LEN];

	format_ipv4(n->cidr, cidr);
	r->family = "inet";
	table(r, "add");
	chain(r, "input", "input", 0, "drop");
	rule(r, "input", answers(), verdict("accept"));
	rule(r, "input", from("lo"), verdict("accept"));
	rule(r, "input", count());
	chain(r, "forward", "forward", 0, "drop");
	/* Bridged packets come here too where the host has loaded br_netfilter. */
	if (!n->isolated)
		rule(r, "forward", from(NET_BRIDGE), to("==", NET_BRIDGE), verdict("accept"));
	chain(r, "nat_out", "postrouting", 100, "accept");
	if (!uplink)
		return;
	rule(r, "forward", answers(), verdict("accept"));
	egress(r, "forward", NET_BRIDGE, n);
	rule(r, "forward", from(NET_BRIDGE), to("==", NET_UPLINK), count(), verdict("accept"));
	rule(r, "nat_out", match("==", field("ip", "saddr"), prefix(cidr, n->prefix)),
	     to("==", NET_UPLINK), count(), verdict("masquerade"));
}

static int inside(const struct net *n, bool uplink, bool fresh, struct err *e)
{
	static const char *const families[] = {"bridge", "inet"};
	struct rules r = {.cmds = json_array(), .table = NET_TABLE};

	for (size_t i = 0; fresh && i < ARRAY_LEN(families); i++) {
		r.family = families[i];
		table(&r, "add"); /* so that it is there to be deleted */
		table(&r, "delete");
	}
	bridge_rules(&r, &n->conf);
	inet_rules(&r, &n->conf, uplink);
	return apply(&r, e);
}

int ruleset_inside(const struct net *n, bool uplink, struct err *e)
{
	struct err first = {0};
	int rc = inside(n, uplink, false, &first);

	/* -EIO: nft refused, as when a table of another version is in the way: begin afresh (the
	 * pins come back with net_reconcile). */
	if (rc == -EIO)
		return inside(n, uplink, true, e);
	if (rc && e)
		*e = first;
	return rc;
}

int ruleset_host(const struct net *n, uint32_t inner, struct err *e)
{
	struct rules r = {.cmds = json_array(), .family = "inet", .table = n->names.ns};
	const char *veth = n->names.veth;

	table(&r, "add");
	table(&r, "delete");
	table(&r, "add");
	chain(&r, "input", "input", 0, "accept");
	rule(&r, "input", from(veth), answers(), verdict("accept"));
	rule(&r, "input", from(veth), count(), verdict("drop"));
	chain(&r, "forward", "forward", 0, "accept");
	rule(&r, "forward", from(veth), address("!=", "saddr", inner), verdict("drop"));
	rule(&r, "forward", from(veth), answers(), verdict("accept"));
	egress(&r, "forward", veth, &n->conf);
	rule(&r, "forward", to("==", veth), answers(), verdict("accept"));
	rule(&r, "forward", to("==", veth), count(), verdict("drop"));
	chain(&r, "nat_out", "postrouting", 100, "accept");
	rule(&r, "nat_out", address("==", "saddr", inner), to("!=", veth), count(),
	     verdict("masquerade"));
	return apply(&r, e);
}

int ruleset_host_remove(const char *name, struct err *e)
{
	struct rules r = {.cmds = json_array(), .family = "inet", .table = name};

	table(&r, "add");
	table(&r, "delete");
	return apply(&r, e);
}

static int keep_drop(json_t *chain_object, const char *own, json_t *ret)
{
	const char *hook = json_string_value(json_object_get(chain_object, "hook"));
	const char *policy = json_string_value(json_object_get(chain_object, "policy"));
	const char *family = json_string_value(json_object_get(chain_object, "family"));
	const char *name = json_string_value(json_object_get(chain_object, "table"));
	const char *chain_name = json_string_value(json_object_get(chain_object, "name"));

	if (!hook || !policy || !family || !name || !chain_name || !str_eq(hook, "forward") ||
	    !str_eq(policy, "drop") || str_eq(name, own) || str_eq(family, "bridge"))
		return 0;
	return json_push(ret, json_pack("{s:s,s:s,s:s}", "family", family, "table", name, "chain",
					chain_name));
}

int ruleset_foreign_drops(const char *own, json_t **ret, struct err *e)
{
	static const char *const argv[] = {"nft", "-j", "list", "chains", NULL};
	auto_json json_t *doc = NULL, *drops = json_array();
	auto_buf out = {.max = NFT_OUTPUT_MAX};
	json_t *item;
	size_t i;
	int rc = nft(argv, NULL, &out, e);

	if (rc)
		return rc;
	/* Not json_parse: a host's own rules may be larger and deeper than requests are. */
	doc = json_loadb(buf_text(&out), out.len, JSON_REJECT_DUPLICATES, NULL);
	if (!doc || !drops)
		return err_set(e, -EBADMSG, ERR_HOST, "net.nft",
			       "nft -j list chains: expected JSON, got %zu bytes of something else",
			       out.len);
	json_array_foreach(json_object_get(doc, "nftables"), i, item)
	{
		json_t *c = json_object_get(item, "chain");

		if (c && keep_drop(c, own, drops))
			return err_nomem(e);
	}
	*ret = take_ptr(drops);
	return 0;
}
