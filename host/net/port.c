/*
 * Ports of VMs: TAPs made in the namespace, put on the bridge, pinned; counters; what to do about
 * those that a crash left.
 * Called by the controller through host/net, on a worker thread or the loop's.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/str.h"
#include "net/net_internal.h"

/* A lease that this network can't have: our own bug, told apart from the host's trouble. */
static int check_port(const struct net *n, const struct net_port *p, struct err *e)
{
	uint32_t mask = ipv4_mask(n->conf.prefix), host = p->ip & ~mask;
	char ip[IPV4_TEXT_LEN];

	format_ipv4(p->ip, ip);
	if (!p->number)
		return err_set(e, -EINVAL, ERR_BUG, "net.bad-port", "lease number 0");
	if ((p->ip & mask) != n->conf.cidr || host == 0 || host == ~mask ||
	    p->ip == n->conf.gateway)
		return err_set(e, -EINVAL, ERR_BUG, "net.bad-port",
			       "hv%u: %s is no host address of network %s", p->number, ip,
			       n->conf.name);
	if (p->mac[0] & 1)
		return err_set(e, -EINVAL, ERR_BUG, "net.bad-port",
			       "hv%u: MAC begins with %02x: expected no group address", p->number,
			       p->mac[0]);
	return 0;
}

/* In the namespace: a new TAP; one of that name that somebody holds is never joined. */
static int make_tap(const char *name, int *ret_fd, struct err *e)
{
	/* Linux Documentation/networking/tuntap.rst; IFF_TUN_EXCL: -EBUSY where the name exists. */
	struct ifreq r = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_TUN_EXCL};
	auto_close int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0) {
		(void)err_sys(e, errno, "net.tun", "/dev/net/tun");
		return err_remedy(e, "modprobe tun; hearthd needs CAP_NET_ADMIN");
	}
	memcpy(r.ifr_name, name, strlen(name) + 1);
	if (ioctl(fd, TUNSETIFF, &r)) {
		if (errno == EBUSY)
			return err_set(e, -EBUSY, ERR_STATE, "net.tap-busy",
				       "TAP %s is still held by a process", name);
		return err_sys(e, errno, "net.tun", "TAP %s", name);
	}
	*ret_fd = take_fd(fd);
	return 0;
}

/* Isolated before it is up, so that no frame passes in between.  Idempotent. */
static int attach(struct net *n, const struct link *l, struct err *e)
{
	struct link_change join = {.name = l->name, .index = l->index, .mtu = n->conf.mtu};
	struct link_change up = {.name = l->name, .index = l->index, .up = true};
	struct err why = {0};
	int rc;

	join.master = n->bridge;
	rc = link_change(&n->rt, &join, &why);
	/* Linux net/bridge/br_private.h: BR_MAX_PORTS 1 << 10, port number 0 unused. */
	if (rc == -EXFULL)
		return err_set(e, rc, ERR_LIMIT, "net.ports-full",
			       "network %s: its bridge has 1023 VMs, as many as Linux allows",
			       n->conf.name);
	if (rc) {
		if (e)
			*e = why;
		return rc;
	}
	rc = link_isolate(&n->rt, l->name, l->index, n->conf.isolated, e);
	return rc ? rc : link_change(&n->rt, &up, e);
}

int net_port_open(struct net *n, const struct net_port *p, int *ret_tap_fd, struct err *e)
{
	struct netns_visit visit;
	auto_close int tap = -1;
	char name[IFNAMSIZ];
	struct link l;
	int rc = check_port(n, p, e);

	if (!rc)
		rc = netns_enter(&visit, n->ns_fd, e);
	if (rc)
		return rc;
	net_tap_name(p->number, name);
	rc = make_tap(name, &tap, e);
	netns_leave(&visit);
	if (!rc) {
		rc = link_find(&n->rt, name, &l);
		if (rc)
			rc = err_sys(e, -rc, "net.link", "TAP %s", name);
	}
	if (!rc)
		rc = pins_add(&n->nf, p, 1, e);
	if (!rc)
		rc = attach(n, &l, e);
	if (rc) {
		(void)pins_remove(&n->nf, p, NULL); /* the failure to report is the first one */
		return rc;
	}
	*ret_tap_fd = take_fd(tap);
	return 0;
}

int net_port_close(struct net *n, const struct net_port *p, struct err *e)
{
	return pins_remove(&n->nf, p, e);
}

int net_port_stats(struct net *n, uint32_t number, struct net_port_stats *ret)
{
	struct net_port_stats s = {0};
	char name[IFNAMSIZ];
	struct link l;
	int rc;

	net_tap_name(number, name);
	rc = link_find(&n->rt, name, &l);
	if (rc && rc != -ENODEV)
		return rc;
	if (!rc)
		s = (struct net_port_stats){.exists = true,
					    .carrier = l.carrier,
					    .rx_frames = l.rx_frames,
					    .rx_bytes = l.rx_bytes,
					    .tx_frames = l.tx_frames,
					    .tx_bytes = l.tx_bytes};
	*ret = s;
	return 0;
}

/* --- after a restart --- */

struct sweep {
	struct net *n;
	const struct net_port *live;
	size_t live_n;
	struct net_port *stray; /* owned: pins to remove */
	size_t stray_n, stray_cap;
	struct link *taps; /* owned: all TAPs of the namespace */
	size_t taps_n, taps_cap;
};

static const struct net_port *live_port(const struct sweep *s, uint32_t number)
{
	for (size_t i = 0; i < s->live_n; i++)
		if (s->live[i].number == number)
			return &s->live[i];
	return NULL;
}

static int collect_pin(const struct net_port *pin, void *arg)
{
	struct sweep *s = arg;
	const struct net_port *p = live_port(s, pin->number);
	struct net_port *more;

	if (p && !memcmp(p->mac, pin->mac, sizeof(p->mac)) && (pin->ip == 0 || pin->ip == p->ip))
		return 0;
	if (s->stray_n == s->stray_cap) {
		more = mem_realloc(s->stray, (2 * s->stray_cap + 8) * sizeof(*more));
		if (!more)
			return -ENOMEM;
		s->stray = more;
		s->stray_cap = 2 * s->stray_cap + 8;
	}
	s->stray[s->stray_n++] = *pin;
	return 0;
}

static int collect_tap(const struct link *l, void *arg)
{
	struct sweep *s = arg;
	struct link *more;
	uint32_t number;

	if (!net_tap_number(l->name, &number) || !str_eq(l->kind, "tun"))
		return 0;
	if (s->taps_n == s->taps_cap) {
		more = mem_realloc(s->taps, (2 * s->taps_cap + 8) * sizeof(*more));
		if (!more)
			return -ENOMEM;
		s->taps = more;
		s->taps_cap = 2 * s->taps_cap + 8;
	}
	s->taps[s->taps_n++] = *l;
	return 0;
}

/* TAPs of live VMs go back on the bridge should it have been made anew; others go. */
static int sweep_taps(struct sweep *s, uint32_t *removed, struct err *e)
{
	for (size_t i = 0; i < s->taps_n; i++) {
		const struct link *l = &s->taps[i];
		uint32_t number = 0;
		int rc;

		(void)net_tap_number(l->name, &number); /* collect_tap took only such names */
		if (live_port(s, number)) {
			rc = attach(s->n, l, e);
		} else {
			rc = link_delete(&s->n->rt, l->name, e);
			++*removed;
		}
		if (rc)
			return rc;
	}
	return 0;
}

/* Two elements are one VM's pin: the one with the address counts. */
static int sweep_pins(struct sweep *s, uint32_t *removed, struct err *e)
{
	for (size_t i = 0; i < s->stray_n; i++) {
		int rc = pins_remove(&s->n->nf, &s->stray[i], e);

		if (rc)
			return rc;
		*removed += s->stray[i].ip != 0;
	}
	return pins_add(&s->n->nf, s->live, s->live_n, e);
}

int net_reconcile(struct net *n, const struct net_port *live, size_t live_n, uint32_t *ret_removed,
		  struct err *e)
{
	struct sweep s = {.n = n, .live = live, .live_n = live_n};
	uint32_t removed = 0;
	int rc = pins_each(&n->nf, collect_pin, &s, e);

	if (!rc)
		rc = link_each(&n->rt, collect_tap, &s, e);
	if (!rc)
		rc = sweep_pins(&s, &removed, e);
	if (!rc)
		rc = sweep_taps(&s, &removed, e);
	free(s.stray);
	free(s.taps);
	if (rc)
		return rc;
	*ret_removed = removed;
	return 0;
}
