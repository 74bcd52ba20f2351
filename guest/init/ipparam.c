/*
 * Parses the kernel's ip= parameter into network fields.
 *
 *	ip=client:server:gateway:netmask:hostname:device:autoconf:dns0:dns1:ntp0
 *	ip=autoconf
 *
 * Documentation/admin-guide/nfs/nfsroot.rst; net/ipv4/ipconfig.c (ip_auto_config_setup).  Every
 * field may be empty.  server and ntp0 serve NFS roots and time, which hearth-init does not do:
 * they are checked and dropped. Called by the command line parser.  Trust: whoever composed the
 * command line; may be anything.
 */
#include "init/ipparam.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "base/str.h"

enum ip_field {
	IP_CLIENT,
	IP_SERVER,
	IP_GATEWAY,
	IP_NETMASK,
	IP_HOSTNAME,
	IP_DEVICE,
	IP_AUTOCONF,
	IP_DNS0,
	IP_DNS1,
	IP_NTP0,
	IP_FIELD_N_
};

static const char *const autoconf_static[] = {"", "off", "none", "on", "any"};
static const char *const autoconf_protocol[] = {"dhcp", "bootp", "rarp", "both"};

bool hostname_is_valid(const char *s)
{
	size_t n = strlen(s);
	bool edge = true; /* at the start of a label, where no hyphen may stand */

	if (n == 0 || n >= HOSTNAME_LEN)
		return false;
	for (size_t i = 0; i < n; i++) {
		bool alnum = (s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') ||
			     (s[i] >= '0' && s[i] <= '9');

		if (!alnum && (edge || (s[i] != '-' && s[i] != '.')))
			return false;
		if (s[i] == '.' && s[i - 1] == '-')
			return false;
		edge = s[i] == '.';
	}
	return !edge && s[n - 1] != '-';
}

/* The mask of the address's class, which the kernel assumes when none is given. */
static unsigned class_prefix(uint32_t ip)
{
	return ip >> 31 == 0 ? 8 : ip >> 30 == 2 ? 16 : 24;
}

static bool mask_prefix(uint32_t mask, unsigned *ret_prefix)
{
	for (unsigned p = 1; p <= 32; p++) {
		if (ipv4_mask(p) != mask)
			continue;
		*ret_prefix = p;
		return true;
	}
	return false;
}

/* Split at ':' into exactly the known fields, missing ones empty; false when there are more. */
static bool split(char *text, const char *ret_fields[IP_FIELD_N_])
{
	for (size_t i = 0; i < IP_FIELD_N_; i++)
		ret_fields[i] = "";
	for (size_t i = 0; text; i++) {
		if (i == IP_FIELD_N_)
			return false;
		ret_fields[i] = text;
		text = strchr(text, ':');
		if (text)
			*text++ = '\0';
	}
	return true;
}

/* An optional address: true when empty (then *ret_has is false) or valid. */
static bool optional_ipv4(const char *s, bool *ret_has, uint32_t *ret)
{
	*ret_has = *s != '\0';
	return !*s || parse_ipv4(s, ret) == 0;
}

static const char *take_static(const char *const *field, struct net_params *n)
{
	bool has;
	uint32_t v;

	if (parse_ipv4(field[IP_CLIENT], &n->ip))
		return "an IPv4 client address as first field";
	n->has_ip = true;
	n->prefix = class_prefix(n->ip);
	if (!optional_ipv4(field[IP_SERVER], &has, &v))
		return "an IPv4 server address or nothing as second field";
	if (!optional_ipv4(field[IP_GATEWAY], &n->has_gw, &n->gw))
		return "an IPv4 gateway or nothing as third field";
	if (!optional_ipv4(field[IP_NETMASK], &has, &v) || (has && !mask_prefix(v, &n->prefix)))
		return "a contiguous netmask such as 255.255.255.0 as fourth field";
	if (*field[IP_HOSTNAME] &&
	    (!hostname_is_valid(field[IP_HOSTNAME]) ||
	     !str_copy(n->hostname, sizeof(n->hostname), field[IP_HOSTNAME])))
		return "a host name or nothing as fifth field";
	if (!str_copy(n->device, sizeof(n->device), field[IP_DEVICE]))
		return "a device name of at most 15 characters as sixth field";
	n->dns_n = 0;
	for (enum ip_field i = IP_DNS0; i <= IP_DNS1; i++) {
		if (!optional_ipv4(field[i], &has, &v))
			return "IPv4 name servers as eighth and ninth field";
		if (has)
			n->dns[n->dns_n++] = v;
	}
	if (!optional_ipv4(field[IP_NTP0], &has, &v))
		return "an IPv4 time server or nothing as tenth field";
	return NULL;
}

enum ip_result ipparam_parse(const char *value, struct net_params *net, const char **ret_expected)
{
	char text[256];
	const char *field[IP_FIELD_N_];
	struct net_params n = *net;
	const char *expected;

	*ret_expected = "client:server:gateway:netmask:hostname:device:autoconf:dns0:dns1:ntp0";
	if (!str_copy(text, sizeof(text), value) || !split(text, field))
		return IP_MALFORMED;
	if (str_eq(value, "off") || str_eq(value, "none"))
		return IP_OK;
	if (str_index(autoconf_protocol, ARRAY_LEN(autoconf_protocol), field[IP_AUTOCONF]) >= 0 ||
	    str_index(autoconf_protocol, ARRAY_LEN(autoconf_protocol), value) >= 0)
		return IP_AUTO;
	if (str_index(autoconf_static, ARRAY_LEN(autoconf_static), field[IP_AUTOCONF]) < 0) {
		*ret_expected = "off, none, on, any or nothing as seventh field (autoconf)";
		return IP_MALFORMED;
	}
	/* Without a client address every other word asks for autoconfiguration, "ip=" included. */
	if (str_eq(value, "on") || str_eq(value, "any") || !*field[IP_CLIENT])
		return IP_AUTO;
	expected = take_static(field, &n);
	if (expected) {
		*ret_expected = expected;
		return IP_MALFORMED;
	}
	*net = n;
	return IP_OK;
}
