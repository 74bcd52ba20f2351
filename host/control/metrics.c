/*
 * Counters in Prometheus' text format 0.0.4, and the health of hearthd.  Loop's thread.
 */
#include <errno.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "control/control_internal.h"
#include "json/json.h"

static void head(struct buf *b, const char *name, const char *type, const char *help)
{
	(void)buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void plain(struct buf *b, const char *name, const char *type, const char *help, uint64_t v)
{
	head(b, name, type, help);
	(void)buf_printf(b, "%s %llu\n", name, (unsigned long long)v);
}

static void by_state(const struct control *c, struct buf *b)
{
	unsigned n[VM_STATE_N_] = {0};

	for (const struct vm *v = c->first; v; v = v->next)
		n[v->rec.state]++;
	head(b, "hearth_vms", "gauge", "VMs by state");
	for (unsigned s = 0; s < VM_STATE_N_; s++)
		(void)buf_printf(b, "hearth_vms{state=\"%s\"} %u\n", lifecycle_state_name(s), n[s]);
	head(b, "hearth_moves_total", "counter", "life-cycle moves by the state entered");
	for (unsigned s = 0; s <= VM_STATE_N_; s++)
		(void)buf_printf(b, "hearth_moves_total{to=\"%s\"} %llu\n", lifecycle_state_name(s),
				 (unsigned long long)c->count.moves[s]);
}

static void by_cause(const struct control *c, struct buf *b)
{
	head(b, "hearth_failures_total", "counter", "failed VMs by cause");
	for (unsigned i = 0; i < CAUSE_COUNTERS && c->count.causes[i].n; i++) {
		(void)buf_puts(b, "hearth_failures_total{cause=\"");
		/* Codes may come from the guest's console: only what needs no escaping passes. */
		for (const char *p = c->count.causes[i].code; *p; p++)
			(void)buf_printf(b, "%c", *p == '"' || *p == '\\' || *p == '\n' ? '?' : *p);
		(void)buf_printf(b, "\"} %llu\n", (unsigned long long)c->count.causes[i].n);
	}
}

int control_metrics(struct control *c, struct buf *b)
{
	by_state(c, b);
	by_cause(c, b);
	plain(b, "hearth_vms_created_total", "counter", "VMs created", c->count.created);
	plain(b, "hearth_vms_deleted_total", "counter", "VMs deleted", c->count.deleted);
	plain(b, "hearth_vms_adopted_total", "counter", "VMs adopted at start", c->count.adopted);
	plain(b, "hearth_admission_refused_total", "counter", "requests over a limit",
	      c->count.refused);
	plain(b, "hearth_store_faults_total", "counter", "transactions that failed",
	      c->count.store_faults);
	plain(b, "hearth_events_dropped_total", "counter", "events lost while the store took none",
	      c->events_dropped);
	plain(b, "hearth_guest_log_suppressed_total", "counter",
	      "log lines that guests caused, not written", log_guest_suppressed());
	plain(b, "hearth_evidence_vms", "gauge", "deleted VMs whose evidence is kept", c->graves_n);
	head(b, "hearth_network_proven_seconds", "summary",
	     "from launch of the engine to the proven network");
	(void)buf_printf(b, "hearth_network_proven_seconds_sum %.6f\n",
			 (double)c->count.proven_us_sum / 1e6);
	(void)buf_printf(b, "hearth_network_proven_seconds_count %llu\n",
			 (unsigned long long)c->count.proven_n);
	head(b, "hearth_uptime_seconds", "gauge", "since hearthd started");
	(void)buf_printf(b, "hearth_uptime_seconds %.3f\n",
			 (double)(clock_mono_ns() - c->started_ns) / (double)NS_PER_S);
	return b->failed ? -ENOMEM : 0;
}

json_t *control_health(struct control *c)
{
	unsigned down = 0, failed = 0;
	bool ok;

	for (const struct netw *n = c->networks; n; n = n->next)
		down += !n->net;
	for (const struct vm *v = c->first; v; v = v->next)
		failed += v->rec.state == VM_FAILED;
	ok = !down && !c->store_failing;
	return json_pack("{s:b,s:s,s:i,s:i,s:i,s:b,s:f}", "ok", ok, "store",
			 c->store_failing ? "not writable" : "ok", "vms", (int)c->vms_n, "failed",
			 (int)failed, "networksDown", (int)down, "hostMeasured", c->host.done,
			 "uptimeS", (double)(clock_mono_ns() - c->started_ns) / (double)NS_PER_S);
}
