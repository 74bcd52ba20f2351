/*
 * Parses the kernel command line into typed fields and checks that they agree with each other.
 *
 *	word  = key [ "=" value ], separated by blanks; double quotes protect blanks and are dropped
 *	"--"    ends the kernel's part: what follows belongs to the real init
 *							(kernel/params.c next_arg, parse_args)
 *
 * Called once by process 1, and by the fuzzer.  Trust: whoever composed the command line.
 */
#include "init/cmdline.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "base/str.h"
#include "init/ipparam.h"

/* Sets one field from its value; false when the value is not of the expected form. */
typedef bool field_set_fn(struct params *p, const char *value);

struct field {
	const char *key;
	field_set_fn *set;
	const char *expected;
	bool is_flag; /* stands without a value */
};

static bool set_mac(struct params *p, const char *v)
{
	/* Bit 0 of the first octet marks a group address, which no card has (IEEE 802 sec. 8.2). */
	if (parse_mac(v, p->net.mac) || (p->net.mac[0] & 1))
		return false;
	p->net.has_mac = true;
	return true;
}

static bool set_ip(struct params *p, const char *v)
{
	if (parse_cidr(v, &p->net.ip, &p->net.prefix) || p->net.prefix == 0)
		return false;
	p->net.has_ip = true;
	return true;
}

static bool set_gw(struct params *p, const char *v)
{
	if (parse_ipv4(v, &p->net.gw))
		return false;
	p->net.has_gw = true;
	return true;
}

static bool set_dns(struct params *p, const char *v)
{
	char text[DNS_MAX * IPV4_TEXT_LEN];
	char *next = text;

	if (!*v || !str_copy(text, sizeof(text), v))
		return false;
	p->net.dns_n = 0;
	while (next) {
		char *one = next;

		next = strchr(one, ',');
		if (next)
			*next++ = '\0';
		if (p->net.dns_n == DNS_MAX || parse_ipv4(one, &p->net.dns[p->net.dns_n]))
			return false;
		p->net.dns_n++;
	}
	return true;
}

static bool set_mtu(struct params *p, const char *v)
{
	return parse_u32(v, 576, 65535, &p->net.mtu) == 0; /* RFC 791: every host accepts 576 */
}

static bool set_hostname(struct params *p, const char *v)
{
	return hostname_is_valid(v) && str_copy(p->net.hostname, sizeof(p->net.hostname), v);
}

static bool set_mode(struct params *p, const char *v)
{
	p->root.mode = str_eq(v, "overlay")  ? ROOT_OVERLAY
		       : str_eq(v, "direct") ? ROOT_DIRECT
					     : ROOT_UNSET;
	return p->root.mode != ROOT_UNSET;
}

static bool set_base(struct params *p, const char *v)
{
	return str_starts(v, "/dev/") && v[5] && str_copy(p->root.base, sizeof(p->root.base), v);
}

static bool set_disk(struct params *p, const char *v)
{
	return str_starts(v, "/dev/") && v[5] && str_copy(p->root.disk, sizeof(p->root.disk), v);
}

static bool set_root(struct params *p, const char *v)
{
	return *v && str_copy(p->root.root, sizeof(p->root.root), v);
}

static bool set_fstype(struct params *p, const char *v)
{
	return *v && str_copy(p->root.fstype, sizeof(p->root.fstype), v);
}

static bool set_flags(struct params *p, const char *v)
{
	return str_copy(p->root.flags, sizeof(p->root.flags), v);
}

static bool set_delay(struct params *p, const char *v)
{
	return parse_u32(v, 0, 600, &p->root.delay_s) == 0;
}

static bool set_init(struct params *p, const char *v)
{
	return *v == '/' && str_copy(p->root.init, sizeof(p->root.init), v);
}

static bool set_ro(struct params *p, const char *v)
{
	(void)v;
	p->root.access = ACCESS_RO;
	return true;
}

static bool set_rw(struct params *p, const char *v)
{
	(void)v;
	p->root.access = ACCESS_RW;
	return true;
}

static bool set_wait(struct params *p, const char *v)
{
	(void)v;
	p->root.wait = true;
	return true;
}

static const struct field fields[] = {
	{"hearth.mac", set_mac, "a unicast MAC address such as 06:00:c0:a8:64:05", false},
	{"hearth.ip", set_ip, "an IPv4 address and prefix length 1..32 such as 192.168.100.5/24",
	 false},
	{"hearth.gw", set_gw, "an IPv4 address", false},
	{"hearth.dns", set_dns, "one to three IPv4 addresses with commas between", false},
	{"hearth.mtu", set_mtu, "a number from 576 to 65535", false},
	{"hearth.hostname", set_hostname, "a host name of letters, digits, '-' and '.', at most 64",
	 false},
	{"hearth.root", set_mode, "overlay or direct", false},
	{"hearth.base", set_base, "a device such as /dev/vda", false},
	{"hearth.disk", set_disk, "a device such as /dev/vdb", false},
	{"root", set_root, "/dev/NAME, PARTUUID=, UUID= or LABEL=, at most 127 bytes", false},
	{"rootfstype", set_fstype, "file system names with commas between", false},
	{"rootflags", set_flags, "mount options, at most 255 bytes", false},
	{"rootdelay", set_delay, "seconds from 0 to 600", false},
	{"init", set_init, "an absolute path, at most 255 bytes", false},
	{"ro", set_ro, "no value", true},
	{"rw", set_rw, "no value", true},
	{"rootwait", set_wait, "no value", true},
};
static_assert(ARRAY_LEN(fields) <= 64, "one bit of `seen` a field");

/* Drop the quote at the start of *text, and the one that then ends it. */
static bool unquote(char **text, char *end)
{
	if (**text != '"')
		return false;
	(*text)++;
	if (end > *text && end[-1] == '"')
		end[-1] = '\0';
	return true;
}

/* The next word of *pos with its quotes taken off; NULL at the end (kernel/params.c next_arg). */
static char *next_word(char **pos, char **ret_value)
{
	char *word = *pos, *end, *value = NULL;
	bool quoted = false;

	while (isspace((unsigned char)*word))
		word++;
	if (!*word)
		return NULL;
	for (end = word; *end && (quoted || !isspace((unsigned char)*end)); end++) {
		if (*end == '=' && !value)
			value = end;
		if (*end == '"')
			quoted = !quoted;
	}
	*pos = *end ? end + 1 : end;
	*end = '\0';
	if (value) {
		*value++ = '\0';
		(void)unquote(&value, end);
	}
	if (unquote(&word, value ? value - 1 : end) && value && end > value && end[-1] == '"')
		end[-1] = '\0';
	*ret_value = value;
	return word;
}

static int bad_field(struct fault *f, enum fault_code code, const char *key, const char *value,
		     const char *expected)
{
	char looked[320];

	(void)snprintf(looked, sizeof(looked), "%s%s%s", key, value ? "=" : "", value ? value : "");
	return fault_set(f, code, looked, "expected %s", expected);
}

static int set_field(const struct field *fields_i, struct params *p, const char *key,
		     const char *value, uint64_t *seen, struct fault *f)
{
	uint64_t bit = 1ull << (fields_i - fields);

	if ((*seen & bit) && str_starts(key, "hearth."))
		return bad_field(f, FAULT_CMDLINE_DUPLICATE, key, value, "this field only once");
	*seen |= bit;
	if (fields_i->is_flag != !value || !fields_i->set(p, value))
		return bad_field(f, FAULT_CMDLINE_FIELD, key, value, fields_i->expected);
	return 0;
}

static int take_word(struct params *p, const char *key, const char *value, uint64_t *seen,
		     struct fault *f)
{
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		if (str_eq(fields[i].key, key))
			return set_field(&fields[i], p, key, value, seen, f);
	/* hearth.agent.* is read by hearth-agent, in the running system. */
	if (str_starts(key, "hearth.") && !str_starts(key, "hearth.agent."))
		return bad_field(f, FAULT_CMDLINE_UNKNOWN, key, value, "a known hearth.* field");
	return 0;
}

/* ip= counts only when no hearth.ip= is there: one owner of the address. */
static int take_ip(struct params *p, const char *ip, struct fault *f)
{
	struct net_params n = p->net;
	const char *expected;

	switch (ipparam_parse(ip, &n, &expected)) {
	case IP_MALFORMED:
		return bad_field(f, FAULT_CMDLINE_FIELD, "ip", ip, expected);
	case IP_AUTO:
		return bad_field(f, FAULT_IP_AUTOCONF, "ip", ip, "a static address");
	case IP_OK:
		break;
	}
	/* Fields that hearth.* has set stay as they are. */
	if (p->net.has_gw) {
		n.has_gw = true;
		n.gw = p->net.gw;
	}
	if (p->net.dns_n > 0) {
		memcpy(n.dns, p->net.dns, sizeof(n.dns));
		n.dns_n = p->net.dns_n;
	}
	if (*p->net.hostname)
		memcpy(n.hostname, p->net.hostname, sizeof(n.hostname));
	p->net = n;
	return 0;
}

static bool is_host_address(uint32_t ip, unsigned prefix)
{
	uint32_t host = ip & ~ipv4_mask(prefix);

	/* 0/8, loopback, multicast and above are no interface's address (RFC 1122 sec. 3.2.1.3);
	 * up to /30 the first and last of a network are not either (RFC 3021 for /31). */
	if (ip >> 24 == 0 || ip >> 24 == 127 || ip >> 28 >= 0xe)
		return false;
	return prefix >= 31 || (host != 0 && host != ~ipv4_mask(prefix));
}

static int check_net(const struct net_params *n, struct fault *f)
{
	char ip[IPV4_TEXT_LEN], gw[IPV4_TEXT_LEN];
	uint32_t mask = ipv4_mask(n->prefix);

	format_ipv4(n->ip, ip);
	format_ipv4(n->gw, gw);
	if (!n->has_ip && n->has_gw)
		return fault_set(f, FAULT_CMDLINE_CONFLICT, gw, "a gateway without an address");
	if (!n->has_ip)
		return 0;
	if (!is_host_address(n->ip, n->prefix))
		return fault_set(f, FAULT_CMDLINE_FIELD, ip,
				 "expected an address that a host may have; with /%u this is none",
				 n->prefix);
	if (!n->has_gw)
		return 0;
	if (n->gw == n->ip)
		return fault_set(f, FAULT_CMDLINE_CONFLICT, gw,
				 "the gateway is the address itself");
	/* With /32 the gateway is reached directly on the link. */
	if (n->prefix < 32 && (n->gw & mask) != (n->ip & mask))
		return fault_set(f, FAULT_CMDLINE_CONFLICT, gw, "the gateway is outside %s/%u", ip,
				 n->prefix);
	return 0;
}

static int check_root(struct root_params *r, struct fault *f)
{
	bool has_overlay = *r->base || *r->disk;

	if (r->mode == ROOT_UNSET)
		r->mode = has_overlay ? ROOT_OVERLAY : ROOT_DIRECT;
	if (r->mode == ROOT_DIRECT && has_overlay)
		return fault_set(f, FAULT_CMDLINE_CONFLICT, "hearth.root=direct",
				 "hearth.base= and hearth.disk= belong to hearth.root=overlay");
	if (r->mode == ROOT_OVERLAY && (!*r->base || !*r->disk))
		return fault_set(f, FAULT_CMDLINE_NO_ROOT, *r->base ? "hearth.disk" : "hearth.base",
				 "hearth.root=overlay needs both hearth.base= and hearth.disk=");
	if (r->mode == ROOT_OVERLAY && str_eq(r->base, r->disk))
		return fault_set(f, FAULT_CMDLINE_CONFLICT, r->disk,
				 "hearth.base and hearth.disk are one disk");
	if (r->mode == ROOT_DIRECT && !*r->root)
		return fault_set(f, FAULT_CMDLINE_NO_ROOT, "root", "no root file system is named");
	return 0;
}

int cmdline_parse(char *text, struct params *ret, struct fault *f)
{
	struct params p = {0};
	const char *ip = NULL;
	uint64_t seen = 0;
	char *key, *value;

	while ((key = next_word(&text, &value)) && (value || !str_eq(key, "--"))) {
		if (str_eq(key, "ip") && value)
			ip = value;
		else if (take_word(&p, key, value, &seen, f))
			return -1;
	}
	if ((ip && !p.net.has_ip && take_ip(&p, ip, f)) || check_net(&p.net, f) ||
	    check_root(&p.root, f))
		return -1;
	*ret = p;
	return 0;
}
