/*
 * The routes of networks.  Called by request.c; loop's thread.
 */
#include <stdio.h>
#include <errno.h>

#include "base/parse.h"
#include "base/str.h"
#include "json/json.h"
#include "rest/rest_internal.h"

struct net_request {
	char name[LIMIT_NAME_LEN + 1], cidr[20], gateway[IPV4_TEXT_LEN];
	json_t *dns; /* NULL: none */
	int64_t mtu;
	bool nat, isolated;
};

static const struct json_field create_fields[] = {
	JSON_STR(struct net_request, name, "name", 1, LIMIT_NAME_LEN, JSON_REQUIRED),
	JSON_STR(struct net_request, cidr, "cidr", 9, 18, JSON_REQUIRED),
	JSON_STR(struct net_request, gateway, "gateway", 7, 15, 0),
	JSON_REF(struct net_request, dns, "dns", JSON_T_ARR, LIMIT_DNS, 0),
	JSON_INT(struct net_request, mtu, "mtu", 576, 9000, 0),
	JSON_BOOL(struct net_request, nat, "nat", 0),
	JSON_BOOL(struct net_request, isolated, "isolated", 0),
	JSON_END,
};

static int bad_address(struct err *e, const char *field, const char *text, const char *expected)
{
	return err_set(e, -EINVAL, ERR_CALLER, "network.address",
		       "request.%s: \"%.64s\", expected %s", field, text, expected);
}

static int parse_dns(const json_t *dns, struct network *n, struct err *e)
{
	size_t i;
	json_t *v;

	json_array_foreach(dns, i, v)
	{
		const char *text = json_is_string(v) ? json_string_value(v) : "";

		if (parse_ipv4(text, &n->dns[i]))
			return bad_address(e, "dns", text, "an IPv4 address");
		n->dns_n = (unsigned)i + 1;
	}
	return 0;
}

static int to_network(const struct net_request *r, struct network *n, struct err *e)
{
	if (parse_cidr(r->cidr, &n->cidr, &n->prefix))
		return bad_address(e, "cidr", r->cidr, "a network as 192.168.100.0/24");
	if (*r->gateway && parse_ipv4(r->gateway, &n->gateway))
		return bad_address(e, "gateway", r->gateway, "an IPv4 address");
	n->mtu = (unsigned)r->mtu;
	n->nat = r->nat;
	n->isolated = r->isolated;
	(void)snprintf(n->name, sizeof(n->name), "%s", r->name); /* same size */
	return parse_dns(r->dns, n, e);
}

int route_network_list(struct request *q, struct err *e)
{
	json_t *list = NULL;
	int rc = control_network_json(q->rest->control, NULL, &list, e);

	return rc ? rc : answer_wrapped(q, MHD_HTTP_OK, "networks", list, e);
}

int route_network_show(struct request *q, struct err *e)
{
	json_t *network = NULL;
	int rc = control_network_json(q->rest->control, q->arg, &network, e);

	return rc ? rc : answer_json(q, MHD_HTTP_OK, network, e);
}

int route_network_create(struct request *q, struct err *e)
{
	struct net_request r = {.isolated = true};
	auto_json json_t *body = NULL, *dns = NULL;
	struct network n = {0};
	json_t *made = NULL;
	int rc = body_json(q, &body, e);

	if (!rc)
		rc = json_bind(body, "request", create_fields, &r, e);
	dns = r.dns;
	if (!rc)
		rc = to_network(&r, &n, e);
	if (!rc)
		rc = control_network_create(q->rest->control, &q->actor, &n, e);
	if (!rc)
		rc = control_network_json(q->rest->control, n.name, &made, e);
	return rc ? rc : answer_json(q, MHD_HTTP_CREATED, made, e);
}

int route_network_remove(struct request *q, struct err *e)
{
	int rc = control_network_remove(q->rest->control, &q->actor, q->arg, e);

	if (rc)
		return rc;
	return answer_none(q, MHD_HTTP_NO_CONTENT) ? err_nomem(e) : 0;
}
