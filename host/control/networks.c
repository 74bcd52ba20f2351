/*
 * Networks: brought up at start, created and removed by people, shown with their use.
 *
 * Loop's thread.  A network that can't be brought up does not stop hearthd: VMs that need it are
 * refused with its fault, and every such request tries again.
 */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"
#include "control/control_internal.h"
#include "control/text.h"
#include "json/json.h"

struct netw *netw_find(struct control *c, const char *name)
{
	struct netw *n = c->networks;

	while (n && !str_eq(n->conf.name, name))
		n = n->next;
	return n;
}

static struct netw *netw_new(const struct network *conf)
{
	struct netw *n = mem_zalloc(sizeof(*n));

	if (!n)
		return NULL;
	if (pthread_mutex_init(&n->lock, NULL)) {
		free(n);
		return NULL;
	}
	n->conf = *conf;
	return n;
}

static void netw_free(struct netw *n)
{
	net_close(n->net);
	(void)pthread_mutex_destroy(&n->lock); /* not held: no job is under way */
	free(n);
}

static void link_netw(struct control *c, struct netw *n)
{
	struct netw **p = &c->networks;

	while (*p)
		p = &(*p)->next;
	*p = n;
}

int netw_ready(struct netw *n, const struct control *c, struct err *e)
{
	int rc = 0;

	(void)pthread_mutex_lock(&n->lock); /* never fails for a valid, not recursive mutex */
	if (!n->net) {
		memset(&n->fault, 0, sizeof(n->fault));
		rc = net_open(c->conf->instance, &n->conf, c->conf->uplink, &n->net, &n->fault);
		if (rc < 0) {
			n->net = NULL;
			log_error("network.down", LS("network", n->conf.name), LE(&n->fault));
			if (e)
				*e = n->fault;
			(void)err_prefix(e, "network %s", n->conf.name);
		}
	}
	(void)pthread_mutex_unlock(&n->lock);
	return rc;
}

static int on_network(void *ctx, const struct network *conf)
{
	struct control *c = ctx;
	struct netw *n = netw_new(conf);

	if (!n)
		return -ENOMEM;
	link_netw(c, n);
	return 0;
}

static int make_default(struct control *c, struct err *e)
{
	struct network n = {.name = "default", .prefix = 24, .isolated = true};
	int rc;

	n.nat = c->conf->uplink;
	n.created_us = clock_wall_us();
	if (parse_ipv4("192.168.100.0", &n.cidr) < 0)
		return err_set(e, -EINVAL, ERR_BUG, "network.default", "default network");
	rc = network_check(&n, e);
	if (rc == 0)
		rc = store_network_insert(c->store, &n, e);
	if (rc == 0 && on_network(c, &n) < 0)
		rc = err_nomem(e);
	return rc;
}

int networks_open(struct control *c, struct err *e)
{
	int rc = store_network_each(c->store, on_network, c, e);

	if (rc == -ENOMEM && (!e || !e->code))
		rc = err_nomem(e);
	if (rc == 0 && !c->networks)
		rc = make_default(c, e);
	for (struct netw *n = c->networks; rc == 0 && n; n = n->next)
		/* A fault is kept and told to who needs the network; without memory nothing is
		 * known of it. */
		if (netw_ready(n, c, NULL) == -ENOMEM)
			rc = err_nomem(e);
	return rc;
}

void networks_close(struct control *c)
{
	while (c->networks) {
		struct netw *n = c->networks;

		c->networks = n->next;
		netw_free(n);
	}
}

static int admin_only(const struct actor *a, const char *what, struct err *e)
{
	return a->role == ROLE_ADMIN ? 0
				     : err_set(e, -EPERM, ERR_DENIED, "role.admin-only",
					       "only an admin may %s", what);
}

/* Addresses of two networks would be ambiguous to whoever reads them. */
static int overlaps(const struct control *c, const struct network *n, struct err *e)
{
	for (const struct netw *o = c->networks; o; o = o->next) {
		unsigned wider = o->conf.prefix < n->prefix ? o->conf.prefix : n->prefix;
		uint32_t mask = ipv4_mask(wider);

		if ((o->conf.cidr & mask) == (n->cidr & mask))
			return err_set(e, -EEXIST, ERR_STATE, "network.overlap",
				       "network %s: its addresses overlap with those of network %s",
				       n->name, o->conf.name);
	}
	return 0;
}

int control_network_create(struct control *c, const struct actor *a, struct network *n,
			   struct err *e)
{
	struct netw *w;
	unsigned count = 0;
	int rc = admin_only(a, "create networks", e);

	for (const struct netw *o = c->networks; o; o = o->next)
		count++;
	if (rc == 0 && count >= LIMIT_NETWORKS)
		rc = err_set(e, -EDQUOT, ERR_LIMIT, "network.limit", "at most %d networks",
			     LIMIT_NETWORKS);
	if (rc == 0)
		rc = network_check(n, e);
	if (rc == 0 && netw_find(c, n->name))
		rc = err_set(e, -EEXIST, ERR_STATE, "network.exists", "network %s exists", n->name);
	if (rc == 0)
		rc = overlaps(c, n, e);
	if (rc < 0)
		return rc;
	n->created_us = clock_wall_us();
	w = netw_new(n);
	if (!w)
		return err_nomem(e);
	/* durable first: what is brought up can be found again */
	rc = store_network_insert(c->store, n, e);
	if (rc < 0) {
		netw_free(w);
		return rc;
	}
	rc = netw_ready(w, c, e);
	if (rc < 0) {
		(void)net_remove(c->conf->instance, n->name, NULL); /* rc holds the first reason */
		(void)store_network_delete(c->store, n->name, NULL);
		netw_free(w);
		return rc;
	}
	link_netw(c, w);
	event_add(c, NULL, "network", a->user_id, "network %s created", n->name);
	return 0;
}

static void unlink_netw(struct control *c, struct netw *n)
{
	struct netw **p = &c->networks;

	while (*p != n)
		p = &(*p)->next;
	*p = n->next;
}

int control_network_remove(struct control *c, const struct actor *a, const char *name,
			   struct err *e)
{
	struct netw *n = netw_find(c, name);
	int rc = admin_only(a, "remove networks", e);

	if (rc == 0 && !n)
		rc = err_set(e, -ENOENT, ERR_ABSENT, "network.absent", "no network %.64s", name);
	for (const struct vm *v = c->first; rc == 0 && v; v = v->next)
		if (v->netw == n)
			rc = err_set(e, -EBUSY, ERR_STATE, "network.in-use",
				     "network %s: vm %s uses it", name, v->rec.id);
	if (rc < 0)
		return rc;
	/* Objects first: a crash between leaves a network that can be removed again. */
	net_close(take_ptr(n->net));
	rc = net_remove(c->conf->instance, name, e);
	if (rc == 0)
		rc = store_network_delete(c->store, name, e);
	if (rc < 0)
		return rc;
	unlink_netw(c, n);
	event_add(c, NULL, "network", a->user_id, "network %s removed", n->conf.name);
	netw_free(n);
	return 0;
}

static json_t *dns_json(const struct network *n)
{
	json_t *all = json_array();
	char ip[IPV4_TEXT_LEN];

	for (unsigned i = 0; i < n->dns_n; i++) {
		format_ipv4(n->dns[i], ip);
		if (json_push(all, json_string(ip)) < 0) {
			json_decref(all);
			return NULL;
		}
	}
	return all;
}

static int put_conf(json_t *o, const struct network *n)
{
	char cidr[IPV4_TEXT_LEN], gateway[IPV4_TEXT_LEN], at[CLOCK_TEXT_LEN];

	format_ipv4(n->cidr, cidr);
	format_ipv4(n->gateway, gateway);
	clock_text(n->created_us, at);
	return json_put(o, "name", json_string(n->name)) < 0 ||
			       json_put(o, "cidr", json_sprintf("%s/%u", cidr, n->prefix)) < 0 ||
			       json_put(o, "gateway", json_string(gateway)) < 0 ||
			       json_put(o, "dns", dns_json(n)) < 0 ||
			       json_put(o, "mtu", json_integer(n->mtu)) < 0 ||
			       json_put(o, "nat", json_boolean(n->nat)) < 0 ||
			       json_put(o, "isolated", json_boolean(n->isolated)) < 0 ||
			       json_put(o, "created", json_string(at)) < 0
		       ? -ENOMEM
		       : 0;
}

static int describe(struct control *c, struct netw *n, json_t **ret, struct err *e)
{
	auto_json json_t *o = json_object();
	json_t *host = NULL;
	uint32_t used = 0;
	int rc = store_lease_count(c->store, n->conf.name, &used, e);

	if (rc < 0)
		return rc;
	(void)pthread_mutex_lock(&n->lock);
	if (n->net)
		rc = net_describe(n->net, &host, e);
	(void)pthread_mutex_unlock(&n->lock);
	if (rc < 0)
		return rc;
	if (put_conf(o, &n->conf) < 0 || json_put(o, "used", json_integer(used)) < 0 ||
	    json_put(o, "capacity", json_integer(network_capacity(&n->conf))) < 0 ||
	    json_put(o, "up", json_boolean(n->net != NULL)) < 0 ||
	    json_put(o, "fault", n->net ? json_null() : json_string(n->fault.text)) < 0 ||
	    json_put(o, "host", host ? host : json_null()) < 0)
		return err_nomem(e);
	*ret = json_incref(o);
	return 0;
}

int control_network_json(struct control *c, const char *name, json_t **ret, struct err *e)
{
	auto_json json_t *all = NULL;

	if (name) {
		struct netw *n = netw_find(c, name);

		if (!n)
			return err_set(e, -ENOENT, ERR_ABSENT, "network.absent", "no network %.64s",
				       name);
		return describe(c, n, ret, e);
	}
	all = json_array();
	for (struct netw *n = c->networks; n; n = n->next) {
		json_t *o;
		int rc = describe(c, n, &o, e);

		if (rc < 0)
			return rc;
		if (json_push(all, o) < 0)
			return err_nomem(e);
	}
	*ret = json_incref(all);
	return 0;
}
