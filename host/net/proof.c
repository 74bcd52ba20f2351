/*
 * The proof of a VM's network: observations come in, verdicts go out.
 * Called by the controller on the loop's thread; proof_wire.c and proof_tcp.c bring the
 * observations. Trust: frames come from guests.  They may make their own proof fail or hold; what
 * they send is bounded per wake-up, and other guests' frames are heard only where they claim the
 * leased address.
 *
 * A claim from another port of the network is named, but doesn't fail a proof whose own guest
 * answers: the pins drop the other's frames, and one VM shall not be able to fail another's proof.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/parse.h"
#include "net/proof_internal.h"

/* Before the first frame the guest's driver isn't up: what is sent only fills the TAP's queue. */
#define TICK_QUIET_NS (200 * NS_PER_MS)
#define TICK_NS	      (50 * NS_PER_MS)
#define ARP_GAP_NS    (5 * NS_PER_MS)	 /* at most so often, however many frames the guest sends */
#define FLOOD_GAP_NS  (1000 * NS_PER_MS) /* requests that reach all VMs of the network */
#define ECHO_GAP_NS   (200 * NS_PER_MS)
#define ALL_FRAMES    256 /* then only ARP is looked at: enough to know who sends */

static const char *const step_names[] = {
	[PROOF_CARRIER] = "carrier", [PROOF_FRAMES] = "frames", [PROOF_ARP] = "arp",
	[PROOF_ICMP] = "icmp",	     [PROOF_TCP] = "tcp",
};
_Static_assert(ARRAY_LEN(step_names) == PROOF_STEP_N_, "a name for every step");

const char *proof_step_name(enum proof_step s)
{
	return step_names[s];
}

double proof_ms_since(uint64_t mono_ns)
{
	return (double)(clock_mono_ns() - mono_ns) / (double)NS_PER_MS;
}

bool proof_holds(const struct proof *p, enum proof_step s)
{
	return p->results[s].verdict == PROOF_HOLDS;
}

void proof_set(struct proof *p, enum proof_step s, int verdict, const char *code, const char *fmt,
	       ...)
{
	struct proof_result r = {.at_ns = clock_boot_ns(), .wall_us = clock_wall_us()};
	struct proof_result *now = &p->results[s];
	va_list ap;

	r.verdict = (__typeof__(r.verdict))verdict;
	if (now->verdict == PROOF_HOLDS && r.verdict == PROOF_HOLDS)
		return; /* the first observation is the evidence; of failures it is the newest */
	(void)snprintf(r.code, sizeof(r.code), "%s", code);
	va_start(ap, fmt);
	(void)vsnprintf(r.evidence, sizeof(r.evidence), fmt, ap);
	va_end(ap);
	if (now->verdict != r.verdict || strcmp(now->code, r.code))
		p->changed |= 1u << s;
	*now = r;
}

static bool all_hold(const struct proof *p)
{
	for (int s = 0; s < PROOF_STEP_N_; s++)
		if (!proof_holds(p, (enum proof_step)s))
			return false;
	return true;
}

void proof_tell(struct proof *p)
{
	bool gone = false;

	p->gone = &gone;
	for (int s = 0; s < PROOF_STEP_N_ && !p->finished; s++) {
		struct proof_result r = p->results[s];

		if (!(p->changed & 1u << s))
			continue;
		p->changed &= ~(1u << s);
		p->owner->step(p->owner, (enum proof_step)s, &r);
		if (gone)
			return;
	}
	if (!p->finished && all_hold(p)) {
		p->finished = true;
		tcp_close(p);
		wire_close(p);
		loop_timer_stop(p->loop, &p->tick);
		p->owner->done(p->owner);
		if (gone)
			return;
	}
	p->gone = NULL;
}

/* --- observations --- */

void proof_on_link(struct proof *p, const struct link *l, bool deleted)
{
	if (deleted)
		proof_set(p, PROOF_CARRIER, PROOF_FAILS, "NET_NO_CARRIER",
			  "TAP %s is gone: the VMM has closed it", p->tap);
	else if ((l->flags & IFF_UP) && l->carrier)
		proof_set(p, PROOF_CARRIER, PROOF_HOLDS, "",
			  "TAP %s is up with carrier after %.1f ms", p->tap,
			  proof_ms_since(p->began_ns));
	else
		proof_set(p, PROOF_CARRIER, PROOF_FAILS, "NET_NO_CARRIER",
			  "TAP %s is %s with carrier %s: no VMM drives it", p->tap,
			  l->flags & IFF_UP ? "up" : "down", l->carrier ? "on" : "off");
}

static void ask(struct proof *p)
{
	uint64_t now = clock_mono_ns();

	if (proof_holds(p, PROOF_ARP) || now - p->arp_sent_ns < ARP_GAP_NS)
		return;
	p->arp_sent_ns = now;
	p->round++;
	wire_send_arp(p, false);
	if (now - p->flood_ns >= FLOOD_GAP_NS) {
		p->flood_ns = now;
		wire_send_arp(p, true);
	}
}

/* The leased MAC has answered for the leased address. */
static void answered(struct proof *p)
{
	char other[MAC_TEXT_LEN];

	if (proof_holds(p, PROOF_ARP))
		return; /* the answer to an earlier request */
	/* Both answer: a whole round must pass without the other one. */
	if (p->here.seen && p->here.round + 2 > p->round)
		return;
	if (p->elsewhere.seen) {
		format_mac(p->elsewhere.mac, other);
		proof_set(p, PROOF_ARP, PROOF_HOLDS, "",
			  "ARP reply %s is-at %s on %s after %.1f ms; %s on %s claims it too, and "
			  "its frames are dropped",
			  p->ip, p->mac, p->tap, proof_ms_since(p->arp_sent_ns), other,
			  p->elsewhere.link);
	} else {
		proof_set(p, PROOF_ARP, PROOF_HOLDS, "",
			  "ARP reply %s is-at %s on %s after %.1f ms", p->ip, p->mac, p->tap,
			  proof_ms_since(p->arp_sent_ns));
	}
	wire_only_arp(p);
	wire_send_echo(p);
	tcp_try(p);
}

static void wrong_address(struct proof *p, const char *what, uint32_t saw)
{
	char text[IPV4_TEXT_LEN];

	if (proof_holds(p, PROOF_ARP))
		return; /* it has the leased address, and another one */
	format_ipv4(saw, text);
	proof_set(p, PROOF_ARP, PROOF_FAILS, "GUEST_WRONG_ADDRESS",
		  "expected %s, saw %s: %s from %s on %s", p->ip, text, what, p->mac, p->tap);
}

static void claimed(struct proof *p, struct proof_claim *c, const struct frame *f, const char *link)
{
	char other[MAC_TEXT_LEN];

	c->seen = true;
	memcpy(c->mac, f->sender_mac, sizeof(c->mac));
	(void)snprintf(c->link, sizeof(c->link), "%s", link);
	c->round = p->round;
	if (c == &p->elsewhere && proof_holds(p, PROOF_ARP))
		return;
	format_mac(c->mac, other);
	proof_set(p, PROOF_ARP, PROOF_FAILS, "NET_DUPLICATE_ADDRESS",
		  "ARP says %s is-at %s on %s; it is leased to %s on %s", p->ip, other, c->link,
		  p->mac, p->tap);
}

static void on_arp(struct proof *p, const struct frame *f)
{
	bool leased_mac = !memcmp(f->sender_mac, p->port.mac, 6);

	if (f->sender_ip == p->port.ip && !leased_mac)
		claimed(p, &p->here, f, p->tap);
	else if (!leased_mac)
		return;
	else if (f->sender_ip == p->port.ip && f->arp_op == 2 && p->round &&
		 f->target_ip == p->net->conf.gateway && !memcmp(f->src, p->port.mac, 6))
		answered(p);
	else if (f->sender_ip && f->sender_ip != p->port.ip)
		wrong_address(p, f->arp_op == 2 ? "ARP reply" : "ARP request", f->sender_ip);
	else if (!f->sender_ip && f->target_ip != p->port.ip &&
		 f->target_ip != p->net->conf.gateway)
		wrong_address(p, "ARP probe", f->target_ip);
}

/* Broadcasts from 0.0.0.0 are a guest that asks for an address (RFC 2131), not a wrong one. */
static void on_ipv4(struct proof *p, const struct frame *f)
{
	if (f->ip_src && f->ip_src != p->port.ip)
		wrong_address(p, "IPv4 packet", f->ip_src);
}

void proof_on_frame(struct proof *p, const struct frame *f, size_t len)
{
	if (!memcmp(f->src, p->port.mac, 6)) {
		p->frames_n++;
		p->last_type = f->type;
		proof_set(p, PROOF_FRAMES, PROOF_HOLDS, "",
			  "frame from %s on %s after %.1f ms (type 0x%04x, %zu bytes)", p->mac,
			  p->tap, proof_ms_since(p->began_ns), f->type, len);
		if (f->kind == FRAME_IPV4)
			on_ipv4(p, f);
	} else {
		p->foreign_n++;
		memcpy(p->foreign_mac, f->src, 6);
		if (!proof_holds(p, PROOF_FRAMES)) {
			char other[MAC_TEXT_LEN];

			format_mac(f->src, other);
			proof_set(p, PROOF_FRAMES, PROOF_FAILS, "GUEST_WRONG_MAC",
				  "expected frames from %s on %s, saw one from %s", p->mac, p->tap,
				  other);
		}
	}
	if (f->kind == FRAME_ARP)
		on_arp(p, f);
	if (p->frames_n + p->foreign_n >= ALL_FRAMES)
		wire_only_arp(p);
	ask(p);
}

void proof_on_claim(struct proof *p, const struct frame *f, const char *link)
{
	if (f->kind == FRAME_ARP && f->sender_ip == p->port.ip)
		claimed(p, &p->elsewhere, f, link);
}

void proof_on_echo(struct proof *p, uint16_t seq)
{
	/* Only the newest request's time is known. */
	if (seq == (uint16_t)p->echo_n)
		proof_set(p, PROOF_ICMP, PROOF_HOLDS, "", "echo reply from %s after %.1f ms", p->ip,
			  proof_ms_since(p->echo_sent_ns));
	else
		proof_set(p, PROOF_ICMP, PROOF_HOLDS, "", "echo reply from %s to request %u of %u",
			  p->ip, seq, p->echo_n);
	if (!p->ports_n)
		p->changed |= 1u << PROOF_TCP; /* true from the start, told last */
}

/* --- time --- */

static void on_tick(struct timer *t)
{
	struct proof *p = container_of(t, struct proof, tick);
	bool rested = p->resting;

	if (rested)
		wire_resume(p);
	ask(p);
	if (proof_holds(p, PROOF_ARP)) {
		if (!proof_holds(p, PROOF_ICMP) && clock_mono_ns() - p->echo_sent_ns >= ECHO_GAP_NS)
			wire_send_echo(p);
		tcp_try(p);
	}
	/* An armed timer needs no memory: its place in the heap is kept by the loop. */
	(void)loop_timer_in(p->loop, &p->tick,
			    p->frames_n + p->foreign_n ? TICK_NS : TICK_QUIET_NS);
	proof_tell(p);
}

/* --- life --- */

static void start_ports(struct proof *p, const uint16_t *ports, unsigned n)
{
	p->ports_n = n;
	for (unsigned i = 0; i < LIMIT_PORTS; i++) {
		p->ports[i].watch.fd = -1;
		p->ports[i].proof = p;
		if (i < n)
			p->ports[i].port = ports[i];
	}
	if (!n) {
		proof_set(p, PROOF_TCP, PROOF_HOLDS, "", "no ports declared");
		p->changed = 0; /* told after the echo */
	}
}

int proof_start(struct loop *l, struct net *n, const struct net_port *port, const uint16_t *ports,
		unsigned ports_n, struct proof_watch *w, struct proof **ret, struct err *e)
{
	struct proof *p;
	int rc;

	if (ports_n > LIMIT_PORTS)
		return err_set(e, -E2BIG, ERR_LIMIT, "net.too-many-ports",
			       "%u TCP ports declared: expected at most %d", ports_n, LIMIT_PORTS);
	p = mem_zalloc(sizeof(*p));
	if (!p)
		return err_nomem(e);
	p->loop = l;
	p->net = n;
	p->owner = w;
	p->port = *port;
	p->began_ns = clock_mono_ns();
	net_tap_name(port->number, p->tap);
	format_ipv4(port->ip, p->ip);
	format_mac(port->mac, p->mac);
	random_bytes(&p->cookie, sizeof(p->cookie));
	p->tick.fire = on_tick;
	p->frames.fd = p->claims.fd = p->links.fd = p->echo.fd = -1;
	start_ports(p, ports, ports_n);
	rc = wire_open(p, e);
	if (!rc && loop_timer_in(l, &p->tick, 0))
		rc = err_nomem(e);
	if (rc) {
		proof_free(p);
		return rc;
	}
	*ret = p;
	return 0;
}

void proof_results(struct proof *p, struct proof_result ret[PROOF_STEP_N_])
{
	for (int s = 0; s < PROOF_STEP_N_; s++) {
		ret[s] = p->results[s];
		if (ret[s].verdict == PROOF_UNKNOWN)
			proof_explain(p, (enum proof_step)s, &ret[s]);
	}
}

void proof_free(struct proof *p)
{
	if (!p)
		return;
	if (p->gone)
		*p->gone = true;
	loop_timer_stop(p->loop, &p->tick);
	tcp_close(p);
	wire_close(p);
	free(p);
}
