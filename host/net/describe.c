/*
 * Tells what a network owns and what it changed on the host, read from the kernel at this moment.
 * Called by the controller through host/net for `hearth network show`.
 */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/parse.h"
#include "base/str.h"
#include "json/json.h"
#include "net/net_internal.h"

struct parts {
	const struct net *n;
	json_t *taps, *pins;
};

static int add_tap(const struct link *l, void *arg)
{
	struct parts *p = arg;
	uint32_t number;

	if (!net_tap_number(l->name, &number) || l->master != p->n->bridge)
		return 0;
	return json_push(p->taps, json_string(l->name));
}

static int add_pin(const struct net_port *pin, void *arg)
{
	char mac[MAC_TEXT_LEN], ip[IPV4_TEXT_LEN], name[IFNAMSIZ];
	struct parts *p = arg;

	if (!pin->ip)
		return 0; /* the same pin's element for ARP probes */
	net_tap_name(pin->number, name);
	format_mac(pin->mac, mac);
	format_ipv4(pin->ip, ip);
	return json_push(p->pins, json_pack("{s:s,s:s,s:s}", "tap", name, "mac", mac, "ip", ip));
}

int net_describe(struct net *n, json_t **ret, struct err *e)
{
	auto_json json_t *taps = json_array(), *pins = json_array(), *host = json_array();
	auto_json json_t *warnings = json_array();
	struct parts p = {.n = n, .taps = taps, .pins = pins};
	char gateway[IPV4_TEXT_LEN], mac[MAC_TEXT_LEN];
	json_t *all;
	int rc;

	if (!taps || !pins || !host || !warnings)
		return err_nomem(e);
	rc = link_each(&n->rt, add_tap, &p, e);
	if (!rc)
		rc = pins_each(&n->nf, add_pin, &p, e);
	if (!rc)
		rc = uplink_describe(&n->names, host, warnings, e);
	if (rc)
		return rc;
	format_ipv4(n->conf.gateway, gateway);
	format_mac(n->bridge_mac, mac);
	all = json_pack("{s:s,s:s,s:s,s:s,s:O,s:O,s:O,s:O}", "namespace", n->names.ns, "bridge",
			NET_BRIDGE, "gateway", gateway, "mac", mac, "taps", taps, "pins", pins,
			"host", host, "warnings", warnings);
	if (!all)
		return err_nomem(e);
	*ret = all;
	return 0;
}
