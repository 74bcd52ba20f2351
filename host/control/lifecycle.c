/*
 * Look-ups in the life-cycle table and its printed form.  Called by the controller on the loop's
 * thread and by the test that checks the table; no input from outside.
 */
#include "control/lifecycle.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/cleanup.h"

const char *const vm_ev_names[EV_N_] = {
	[EV_PREPARED] = "prepared", [EV_LAUNCHED] = "launched", [EV_FRAMES] = "frames",
	[EV_PROVEN] = "proven",	    [EV_LOST] = "lost",		[EV_START] = "start",
	[EV_STOP] = "stop",	    [EV_DELETE] = "delete",	[EV_EXITED] = "exited",
	[EV_DIED] = "died",	    [EV_FAILED] = "failed",	[EV_TIMEOUT] = "timeout",
	[EV_RELEASED] = "released",
};

#define S(state, hold, limit, event, restart)                                                      \
	[VM_##state] = {.holds = (hold),                                                           \
			.limit_ms = (limit),                                                       \
			.on_limit = EV_##event,                                                    \
			.on_restart = (restart)},
#define M(...)
const struct state_rule state_rules[VM_STATE_N_] = {
#include "control/lifecycle.def"
};
#undef S
#undef M
static_assert(ARRAY_LEN(state_rules) == VM_STATE_N_, "a rule for every state");

#define S(...)
#define M(f, event, t, reason) {.from = VM_##f, .ev = EV_##event, .to = VM_##t, .why = (reason)},
const struct move_rule move_rules[] = {
#include "control/lifecycle.def"
};
#undef S
#undef M
const unsigned move_rules_n = ARRAY_LEN(move_rules);

/* A move within one process's life may not lose track of the process: it must be held on both
 * sides. */
#define S(state, hold, limit, event, restart)                                                      \
	static_assert(((hold)&HOLD_PROC) == 0 ||                                                   \
			      ((hold) & (HOLD_PORT | HOLD_LEASE | HOLD_DISK)) ==                   \
				      (HOLD_PORT | HOLD_LEASE | HOLD_DISK),                        \
		      "a process needs disk, lease and port");
#define M(...)
#include "control/lifecycle.def"
#undef S
#undef M

const struct move_rule *lifecycle_move(enum vm_state from, enum vm_ev ev)
{
	for (unsigned i = 0; i < move_rules_n; i++)
		if (move_rules[i].from == from && move_rules[i].ev == ev)
			return &move_rules[i];
	return NULL;
}

void lifecycle_possible(enum vm_state from, char *ret, unsigned cap)
{
	static const enum vm_ev asked[] = {EV_START, EV_STOP, EV_DELETE};
	unsigned n = 0;

	(void)snprintf(ret, cap, "nothing");
	for (unsigned i = 0; i < ARRAY_LEN(asked); i++)
		if (lifecycle_move(from, asked[i]) && n < cap)
			n += (unsigned)snprintf(ret + n, cap - n, "%s%s", n ? ", " : "",
						vm_ev_names[asked[i]]);
}

const char *lifecycle_state_name(enum vm_state s)
{
	return s == VM_GONE ? "gone" : vm_state_name(s);
}

static void print_holds(struct buf *b, unsigned holds)
{
	static const char *const names[] = {"disk", "lease", "port", "process"};
	bool first = true;

	for (unsigned i = 0; i < ARRAY_LEN(names); i++)
		if (holds & 1u << i) {
			(void)buf_printf(b, "%s%s", first ? "" : ", ", names[i]);
			first = false;
		}
}

int lifecycle_print(struct buf *b)
{
	static const char *const restart[] = {
		[RESTART_KEEP] = "nothing to do",
		[RESTART_REDO] = "the step is done again (it is idempotent)",
		[RESTART_ADOPT] = "the process is adopted, or its end is fed in",
		[RESTART_ADOPT_OR_REDO] =
			"adopted; a launch that was never committed is killed and done again",
	};

	(void)buf_puts(b, "| state | may hold | limit | then | after a restart of hearthd |\n"
			  "|---|---|---|---|---|\n");
	for (unsigned s = 0; s < VM_STATE_N_; s++) {
		const struct state_rule *r = &state_rules[s];

		(void)buf_printf(b, "| %s | ", lifecycle_state_name(s));
		print_holds(b, r->holds);
		if (r->limit_ms)
			(void)buf_printf(b, " | %u s | %s", r->limit_ms / 1000,
					 vm_ev_names[r->on_limit]);
		else
			(void)buf_puts(b, " | none | -");
		(void)buf_printf(b, " | %s |\n", restart[r->on_restart]);
	}
	(void)buf_puts(b, "\n| from | event | to | why |\n|---|---|---|---|\n");
	for (unsigned i = 0; i < move_rules_n; i++)
		(void)buf_printf(b, "| %s | %s | %s | %s |\n",
				 lifecycle_state_name(move_rules[i].from),
				 vm_ev_names[move_rules[i].ev],
				 lifecycle_state_name(move_rules[i].to), move_rules[i].why);
	return b->failed ? -ENOMEM : 0;
}
