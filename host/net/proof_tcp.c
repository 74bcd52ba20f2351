/*
 * The proof's last step: every TCP port that the image declares accepts a connection.
 * Called by proof.c on the loop's thread.  A refused port is tried again at each tick.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "net/proof_internal.h"

static void close_port(struct proof_port *t)
{
	loop_unwatch(t->proof->loop, &t->watch);
	if (t->watch.fd >= 0)
		(void)close(take_fd(t->watch.fd)); /* nothing was sent */
}

static void all_open(struct proof *p)
{
	char list[PROOF_EVIDENCE_LEN / 2] = "";
	size_t used = 0;

	for (unsigned i = 0; i < p->ports_n; i++) {
		if (!p->ports[i].open)
			return;
		used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%u", i ? ", " : "",
					 p->ports[i].port); /* 16 ports of 7 bytes fit */
	}
	proof_set(p, PROOF_TCP, PROOF_HOLDS, "", "port%s %s of %s accept%s after %.1f ms",
		  p->ports_n > 1 ? "s" : "", list, p->ip, p->ports_n > 1 ? "" : "s",
		  proof_ms_since(p->began_ns));
}

/* An attempt has ended. */
static void ended(struct proof_port *t, int error)
{
	struct proof *p = t->proof;

	close_port(t);
	t->open = error == 0;
	t->last_errno = error;
	if (t->open)
		all_open(p);
	else if (error == ECONNREFUSED)
		proof_set(p, PROOF_TCP, PROOF_FAILS, "NET_PORT_REFUSED",
			  "port %u of %s refuses connections: nothing listens there yet", t->port,
			  p->ip);
}

static void on_ready(struct watch *w, uint32_t got)
{
	struct proof_port *t = container_of(w, struct proof_port, watch);
	socklen_t len = sizeof(int);
	int error = 0;

	(void)got; /* ready means decided; the error says how */
	if (getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &error, &len))
		error = errno;
	ended(t, error);
	proof_tell(t->proof);
}

static void try_port(struct proof *p, struct proof_port *t)
{
	int rc;

	t->attempts++;
	t->began_ns = clock_mono_ns();
	rc = net_tcp_connect(p->net, p->port.ip, t->port, &t->watch.fd, NULL);
	t->watch.want = EPOLLOUT;
	t->watch.ready = on_ready;
	if (!rc)
		rc = loop_watch(p->loop, &t->watch, NULL);
	if (rc) {
		close_port(t);
		t->last_errno = -rc; /* the next tick tries again */
	}
}

void tcp_try(struct proof *p)
{
	for (unsigned i = 0; i < p->ports_n; i++)
		if (!p->ports[i].open && p->ports[i].watch.fd < 0)
			try_port(p, &p->ports[i]);
}

void tcp_close(struct proof *p)
{
	for (unsigned i = 0; i < p->ports_n; i++)
		close_port(&p->ports[i]);
}

void tcp_evidence(const struct proof *p, struct proof_result *r)
{
	for (unsigned i = 0; i < p->ports_n; i++) {
		const struct proof_port *t = &p->ports[i];

		if (t->open)
			continue;
		(void)snprintf(r->code, sizeof(r->code), "NET_PORT_SILENT");
		(void)snprintf(
			r->evidence, sizeof(r->evidence),
			"port %u of %s: no answer to a connection for %.1f s (attempt %u%s%s)",
			t->port, p->ip, proof_ms_since(t->began_ns) / 1000, t->attempts,
			t->last_errno ? ", before: " : "",
			t->last_errno ? strerror(t->last_errno) : "");
		return;
	}
}
