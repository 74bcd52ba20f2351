#pragma once
/*
 * The life cycle of a VM as a table: which event leads from which state to which, why, what a state
 * may hold, how long it may last and what a restart of hearthd does with it.
 *
 * Pure data and look-ups: no I/O, no clock.  The rows stand in lifecycle.def.
 */
#include <stdint.h>

#include "model/vm.h"

struct buf;

enum vm_ev {
	EV_PREPARED, /* disk and port are there */
	EV_LAUNCHED, /* the engine says that the vCPUs run */
	EV_FRAMES,   /* a frame with the leased MAC was seen */
	EV_PROVEN,   /* network proven, probes hold */
	EV_LOST,     /* an adopted VM's proof did not hold at once */
	EV_START,
	EV_STOP,
	EV_DELETE,   /* people ask */
	EV_EXITED,   /* the engine is reaped, and its end was an ordinary one */
	EV_DIED,     /* the engine is reaped, and there is a cause */
	EV_FAILED,   /* something decisive failed; an engine may still run */
	EV_TIMEOUT,  /* the state's limit is over */
	EV_RELEASED, /* nothing is held any more */
	EV_N_
};
extern const char *const vm_ev_names[EV_N_]; /* "prepared", … */

#define VM_GONE VM_STATE_N_ /* the state after the last: no record */

enum { HOLD_DISK = 1, HOLD_LEASE = 2, HOLD_PORT = 4, HOLD_PROC = 8, HOLD_ALL = 15 };

enum vm_restart {
	RESTART_KEEP,  /* nothing runs: nothing to do */
	RESTART_REDO,  /* the step is idempotent: do it again */
	RESTART_ADOPT, /* take the process over, or feed its end */
	/* as ADOPT; a launch that was never committed is killed and done again */
	RESTART_ADOPT_OR_REDO,
};

struct state_rule {
	unsigned holds;	   /* HOLD_x */
	uint32_t limit_ms; /* 0: none */
	enum vm_ev on_limit;
	enum vm_restart on_restart;
};
extern const struct state_rule state_rules[VM_STATE_N_];

struct move_rule {
	enum vm_state from;
	enum vm_ev ev;
	enum vm_state to; /* VM_GONE at the end */
	const char *why;
};
extern const struct move_rule move_rules[];
extern const unsigned move_rules_n;

/* NULL: the event means nothing in this state. */
const struct move_rule *lifecycle_move(enum vm_state from, enum vm_ev ev);
/* What people can ask for now: "start, delete"; "nothing" if they can't. */
void lifecycle_possible(enum vm_state from, char *ret, unsigned cap);
/* "creating", …, "gone" */
const char *lifecycle_state_name(enum vm_state s);
/* Both tables as Markdown: the text between the markers of docs/lifecycle.md. */
int lifecycle_print(struct buf *ret);
