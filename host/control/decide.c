/*
 * Decides why a VM failed, from everything that is known of it: what its guest said, how its engine
 * ended, what the proof of its network saw instead.
 *
 * Loop's thread, when a time limit is over, an engine ended, or the guest said something decisive.
 * A cause that is not known is said to be unknown, with the last good phase and the last line.
 */
#include <string.h>

#include "control/control_internal.h"

static void show_last(const struct vm *v, struct cause *c)
{
	const struct line_scan *s = v->run ? v->run->con.scan : NULL;
	const struct line_note *last = s ? line_scan_last(s) : NULL;

	if (s && line_scan_phase(s)[0])
		cause_evidence(c, "last phase of hearth-init that was ok: %s", line_scan_phase(s));
	if (last)
		cause_evidence(c, "last line, console.log:%llu: %s",
			       (unsigned long long)last->number, last->text);
	else
		cause_evidence(c, "the guest wrote nothing on its console");
}

static void from_end(const struct vm *v, const struct engine_end *end, struct cause *c)
{
	static const char *const codes[EXIT_N_] = {
		[EXIT_GUEST_POWEROFF] = "GUEST_POWERED_OFF", [EXIT_GUEST_RESET] = "GUEST_RESET",
		[EXIT_GUEST_PANIC] = "GUEST_KERNEL_PANIC",   [EXIT_KILLED] = "ENGINE_KILLED",
		[EXIT_VMM_ERROR] = "ENGINE_FAILED",	     [EXIT_UNKNOWN] = "ENGINE_ENDED",
	};

	cause_set(c, codes[end->how], "in state %s: %s", lifecycle_state_name(v->rec.state),
		  end->text);
	if (end->how == EXIT_VMM_ERROR || end->how == EXIT_KILLED || end->how == EXIT_UNKNOWN)
		cause_remedy(c, "see its log: hearth vm logs %s", v->rec.id);
	cause_evidence(c, "engine end: %s, status %d", engine_exit_names[end->how], end->status);
	show_last(v, c);
}

/* The first step that does not hold is what stops all later ones. */
static const struct proof_result *first_missing(const struct vm *v, enum proof_step *ret)
{
	for (int s = 0; s < PROOF_STEP_N_; s++)
		if (v->proof[s].verdict != PROOF_HOLDS) {
			*ret = (enum proof_step)s;
			return &v->proof[s];
		}
	return NULL;
}

static void from_proof(const struct vm *v, struct cause *c)
{
	enum proof_step step = PROOF_CARRIER;
	const struct proof_result *r = first_missing(v, &step);
	const struct line_scan *s = v->run->con.scan;

	if (step <= PROOF_FRAMES && s && !line_scan_lines(s)) {
		cause_set(c, "GUEST_SILENT",
			  "the guest wrote nothing and sent no frame: its kernel does not run or "
			  "hangs "
			  "before its first line");
		cause_remedy(
			c,
			"start it again; if it stays, see hearth host check and the engine's log");
		return;
	}
	cause_set(c, r->code[0] ? r->code : "NET_NOT_PROVEN",
		  "the network is not proven, step %s: %s", proof_step_name(step),
		  r->evidence[0] ? r->evidence : "nothing was observed");
	for (int i = 0; i < PROOF_STEP_N_; i++)
		if (v->proof[i].verdict == PROOF_HOLDS)
			cause_evidence(c, "%s holds: %s", proof_step_name((enum proof_step)i),
				       v->proof[i].evidence);
	show_last(v, c);
}

static void from_probes(const struct vm *v, struct cause *c)
{
	const struct image *i = v->run->image;

	for (unsigned k = 0; k < i->probes_n; k++) {
		if (v->run->probes[k].holds)
			continue;
		if (i->probes[k].type == PROBE_TCP)
			cause_set(c, "PROBE_FAILED",
				  "the network is proven, but TCP port %u does not accept",
				  i->probes[k].port);
		else
			cause_set(c, "PROBE_FAILED",
				  "the network is proven, but \"%s\" was not seen on the console",
				  i->probes[k].text);
		break;
	}
	if (!c->code[0]) /* all hold: the move itself could not be made in time */
		cause_set(c, "TIME_LIMIT", "proven, but not within the time limit");
	show_last(v, c);
}

static void from_waiting(const struct vm *v, struct cause *c)
{
	if (v->rec.state == VM_CREATING)
		cause_set(c, "PREPARE_TIMEOUT", "disk and network port were not made in time");
	else if (!v->run || !v->run->engine)
		cause_set(c, "LAUNCH_TIMEOUT", "the engine was not launched in time");
	else
		cause_set(c, "ENGINE_SILENT",
			  "the engine was started, but did not say within %llu ms, the limit of "
			  "state %s, that its vCPUs run",
			  (unsigned long long)vm_limit_ms(v), lifecycle_state_name(v->rec.state));
	cause_remedy(c, "the host may be overloaded: see hearth host check");
}

void decide_cause(struct vm *v, const struct engine_end *end, struct cause *c)
{
	struct run *r = v->run;

	memset(c, 0, sizeof(*c));
	if (r && r->con.scan &&
	    cause_from_console(r->con.scan, v->rec.transport, v->rec.ram_mib, v->cmdline, c)) {
		if (end)
			cause_evidence(c, "engine end: %s", end->text);
		return;
	}
	if (end) {
		from_end(v, end, c);
		return;
	}
	if (v->rec.state == VM_CREATING || v->rec.state == VM_STARTING || !r) {
		from_waiting(v, c);
		return;
	}
	if (r->proof)
		proof_results(r->proof, v->proof);
	if (v->proven)
		from_probes(v, c);
	else
		from_proof(v, c);
}
