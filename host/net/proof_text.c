/*
 * Says of an undecided step of the proof what was seen instead.
 * Called by proof.c on the loop's thread.
 */
#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"
#include "net/proof_internal.h"

static void say(struct proof_result *r, const char *code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void say(struct proof_result *r, const char *code, const char *fmt, ...)
{
	va_list ap;

	(void)snprintf(r->code, sizeof(r->code), "%s", code);
	va_start(ap, fmt);
	(void)vsnprintf(r->evidence, sizeof(r->evidence), fmt, ap);
	va_end(ap);
}

void proof_explain(const struct proof *p, enum proof_step s, struct proof_result *r)
{
	double seconds = proof_ms_since(p->began_ns) / 1000;

	r->at_ns = clock_boot_ns();
	r->wall_us = clock_wall_us();
	if (s == PROOF_CARRIER)
		say(r, "NET_NO_CARRIER", "TAP %s: no state seen", p->tap);
	else if (s == PROOF_FRAMES)
		say(r, "NET_NO_FRAMES", "carrier %s, 0 frames from %s on %s in %.1f s",
		    proof_holds(p, PROOF_CARRIER) ? "up" : "down", p->mac, p->tap, seconds);
	else if (s == PROOF_ARP && p->frames_n)
		say(r, "NET_NO_ARP",
		    "%u ARP requests for %s on %s, no reply in %.1f s; %u frames seen from %s, the "
		    "last of type 0x%04x",
		    p->round, p->ip, p->tap, seconds, p->frames_n, p->mac, p->last_type);
	else if (s == PROOF_ARP)
		say(r, "NET_NO_ARP", "%u ARP requests for %s on %s, no reply in %.1f s", p->round,
		    p->ip, p->tap, seconds);
	else if (!proof_holds(p, PROOF_ARP))
		say(r, s == PROOF_ICMP ? "NET_NO_ICMP" : "NET_PORT_SILENT",
		    "not tried: nobody answers ARP for %s yet", p->ip);
	else if (s == PROOF_ICMP)
		say(r, "NET_NO_ICMP", "%u echo requests to %s, no reply, the last sent %.1f ms ago",
		    p->echo_n, p->ip, proof_ms_since(p->echo_sent_ns));
	else
		tcp_evidence(p, r);
}
