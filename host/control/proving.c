/*
 * Proves a VM: its network by net/proof.h, then the probes that its image declares.
 *
 * Loop's thread; everything is an answer to something observed: a frame, an echo, a text on the
 * console, an accepted connection.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"
#include "control/control_internal.h"
#include "control/text.h"
#include "json/json.h"

/* a refused port is asked again: services start one by one */
#define PROBE_AGAIN_NS (200 * NS_PER_MS)
/* an adopted VM that was ready answers within a round trip */
#define RECHECK_NS (2 * NS_PER_S)

const char *const proof_verdict_names[3] = {"unknown", "holds", "fails"};

json_t *proof_json(const struct proof_result res[PROOF_STEP_N_])
{
	json_t *all = json_array();

	for (int s = 0; all && s < PROOF_STEP_N_; s++) {
		const struct proof_result *r = &res[s];
		json_t *o = json_object();
		char at[CLOCK_TEXT_LEN];

		clock_text(r->wall_us, at);
		if (json_put(o, "step", json_string(proof_step_name((enum proof_step)s))) < 0 ||
		    json_put(o, "verdict", json_string(proof_verdict_names[r->verdict])) < 0 ||
		    json_put(o, "at", r->wall_us ? json_string(at) : json_null()) < 0 ||
		    json_put(o, "code", r->code[0] ? json_string(r->code) : json_null()) < 0 ||
		    json_put(o, "evidence", json_string(r->evidence)) < 0 ||
		    json_push(all, o) < 0) {
			json_decref(all); /* o is taken or freed by json_push */
			return NULL;
		}
	}
	return all;
}

/* --- probes --- */

static bool probes_hold(const struct run *r)
{
	for (unsigned i = 0; i < r->image->probes_n; i++)
		if (!r->probes[i].holds)
			return false;
	return true;
}

static void probe_holds(struct run *r, unsigned i, const char *how)
{
	const struct image_probe *p = &r->image->probes[i];

	r->probes[i].holds = true;
	if (r->replaying)
		return; /* it was told by the hearthd before */
	if (p->type == PROBE_TCP)
		event_add(r->vm->c, r->vm, "probe", "probe", "tcp:%u %s", p->port, how);
	else
		event_add(r->vm->c, r->vm, "probe", "probe", "console \"%s\" %s", p->text, how);
}

static void probe_close(struct run *r, unsigned i)
{
	struct watch *w = &r->probes[i].watch;

	if (w->fd < 0)
		return;
	loop_unwatch(r->vm->c->loop, w);
	(void)close(w->fd); /* a probe's socket carries no data */
	w->fd = -1;
}

static void probe_later(struct run *r);

static void probe_connected(struct watch *w, uint32_t got)
{
	struct probe_state *p = container_of(w, struct probe_state, watch);
	struct run *r = NULL;
	int error = 0;
	socklen_t len = sizeof(error);
	unsigned i = p->index;

	(void)got; /* SO_ERROR tells what it was */
	r = container_of(p - i, struct run, probes[0]);
	if (getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	probe_close(r, i);
	if (error) {
		probe_later(r);
		return;
	}
	probe_holds(r, i, "accepts connections");
	proving_check_ready(r->vm);
}

static void probe_tcp(struct run *r, unsigned i)
{
	struct vm *v = r->vm;
	struct watch *w = &r->probes[i].watch;
	struct err e = {0};
	int rc;

	if (w->fd >= 0)
		return;				  /* still connecting */
	(void)pthread_mutex_lock(&v->netw->lock); /* never fails for a valid, not recursive mutex */
	rc = v->netw->net ? net_tcp_connect(v->netw->net, v->rec.lease.ip, r->image->probes[i].port,
					    &w->fd, &e)
			  : -ENETDOWN;
	(void)pthread_mutex_unlock(&v->netw->lock);
	if (rc < 0) {
		w->fd = -1;
		probe_later(r);
		return;
	}
	w->want = EPOLLOUT;
	w->ready = probe_connected;
	r->probes[i].index = i;
	if (loop_watch(v->c->loop, w, &e) < 0) {
		(void)close(w->fd);
		w->fd = -1;
		probe_later(r);
	}
}

static void probe_all(struct run *r)
{
	for (unsigned i = 0; i < r->image->probes_n; i++)
		if (!r->probes[i].holds && r->image->probes[i].type == PROBE_TCP)
			probe_tcp(r, i);
}

static void probe_again(struct timer *t)
{
	probe_all(container_of(t, struct run, probe_again));
}

static void probe_later(struct run *r)
{
	r->probe_again.fire = probe_again;
	if (r->probe_again.heap_pos == 0)
		(void)loop_timer_in(r->vm->c->loop, &r->probe_again, PROBE_AGAIN_NS);
}

/* The text may be split over reads and need not end a line ("login: "), so it is looked for in a
 * window that overlaps by the length of the longest text. */
void proving_probe_text(struct vm *v, const char *data, size_t len)
{
	struct run *r = v->run;
	struct console_state *con = &r->con;
	char joined[sizeof(con->window) + 4096];

	while (len) {
		size_t n = len < 4096 ? len : 4096, all;

		memcpy(joined, con->window, con->window_n);
		memcpy(joined + con->window_n, data, n);
		all = con->window_n + n;
		for (unsigned i = 0; i < r->image->probes_n; i++) {
			const struct image_probe *p = &r->image->probes[i];

			if (p->type == PROBE_CONSOLE && !r->probes[i].holds &&
			    memmem(joined, all, p->text, strlen(p->text)))
				probe_holds(r, i, "seen");
		}
		con->window_n = all < sizeof(con->window) - 1 ? all : sizeof(con->window) - 1;
		memcpy(con->window, joined + all - con->window_n, con->window_n);
		data += n;
		len -= n;
	}
}

void proving_check_ready(struct vm *v)
{
	struct run *r = v->run;

	if (!r || !v->proven)
		return;
	if (!r->probes_begun) {
		r->probes_begun = true;
		probe_all(r);
	}
	if (v->rec.state == VM_CONNECTING && probes_hold(r))
		vm_feed(v, EV_PROVEN, "proof", NULL);
}

/* --- the network --- */

static void on_step(struct proof_watch *w, enum proof_step s, const struct proof_result *res)
{
	struct run *r = container_of(w, struct run, proof_watch);
	struct vm *v = r->vm;
	bool holds = res->verdict == PROOF_HOLDS;
	const char *code = holds ? "holds" : res->code;

	v->proof[s] = *res;
	vm_changed(v);
	if (!str_eq(r->proof_code[s], code)) { /* the same failure is told once */
		text_cut(r->proof_code[s], sizeof(r->proof_code[s]), "%s", code);
		event_add(v->c, v, "proof", "proof", "%s %s: %s", proof_step_name(s), code,
			  res->evidence);
	}
	if (s == PROOF_FRAMES && holds) {
		r->frames_seen = true;
		if (v->rec.state == VM_STARTING) /* adopted: a frame shows that the vCPUs run */
			vm_feed(v, EV_LAUNCHED, "proof", NULL);
		vm_feed(v, EV_FRAMES, "proof", NULL);
	}
}

static void end_recheck(struct run *r)
{
	r->rechecking = false;
	loop_timer_stop(r->vm->c->loop, &r->recheck);
}

static void on_done(struct proof_watch *w)
{
	struct run *r = container_of(w, struct run, proof_watch);
	struct vm *v = r->vm;
	uint64_t us = (clock_mono_ns() - r->launched_ns) / 1000;

	proof_results(r->proof, v->proof);
	proof_free(take_ptr(r->proof));
	v->proven = true;
	vm_changed(v);
	if (r->rechecking) {
		end_recheck(r);
		event_add(v->c, v, "adopt", "proof", "the network holds: %s",
			  v->proof[PROOF_ICMP].evidence);
	} else {
		event_add(v->c, v, "proof", "proof", "network proven: %s",
			  v->proof[PROOF_ARP].evidence);
		v->c->count.proven_n++;
		v->c->count.proven_us_sum += us;
	}
	proving_check_ready(v);
	events_flush(v->c); /* who waited reads the history next */
	waiters_check(v);
}

static void recheck_over(struct timer *t)
{
	struct run *r = container_of(t, struct run, recheck);

	end_recheck(r);
	vm_feed(r->vm, EV_LOST, "rule:recheck", NULL);
}

int proving_start(struct vm *v, struct err *e)
{
	struct run *r = v->run;
	struct net_port port = {.number = v->rec.lease.number, .ip = v->rec.lease.ip};
	int rc;

	memcpy(port.mac, v->rec.lease.mac, sizeof(port.mac));
	r->proof_watch.step = on_step;
	r->proof_watch.done = on_done;
	(void)pthread_mutex_lock(&v->netw->lock);
	rc = v->netw->net
		     ? proof_start(v->c->loop, v->netw->net, &port, r->image->ports,
				   r->image->ports_n, &r->proof_watch, &r->proof, e)
		     : err_set(e, -ENETDOWN, ERR_HOST, "network.down", "network %s is not up: %s",
			       v->netw->conf.name, v->netw->fault.text);
	(void)pthread_mutex_unlock(&v->netw->lock);
	if (rc == 0 && v->rec.state == VM_READY) {
		r->rechecking = true;
		r->recheck.fire = recheck_over;
		rc = loop_timer_in(v->c->loop, &r->recheck, RECHECK_NS);
	}
	return rc;
}

void proving_stop(struct run *r)
{
	struct loop *l = r->vm->c->loop;

	if (r->proof) {
		/* what was seen instead, for the failure's sentence */
		proof_results(r->proof, r->vm->proof);
		proof_free(take_ptr(r->proof));
	}
	end_recheck(r);
	loop_timer_stop(l, &r->probe_again);
	for (unsigned i = 0; i < LIMIT_PROBES; i++)
		probe_close(r, i);
}
