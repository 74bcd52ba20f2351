#pragma once
/*
 * The state of one boot and the phases that work on it, in order.
 *
 * A phase returns 0 and adds fields to its ok line; PHASE_SKIPPED with a field "why"; or -1 with
 * the fault set, which ends the boot.  Phases run once, in process 1, on its only thread.
 */
#include <stdbool.h>

#include "init/console.h"
#include "init/fault.h"
#include "init/params.h"
#include "init/rtnl.h"
#include "init/watch.h"

#define PHASE_SKIPPED 1

/* "1" while hearth-init runs: closing a packet socket and most mounts wait for an RCU grace period,
 * which is otherwise up to 10 ms each (kernel-parameters.txt, rcupdate.rcu_expedited). */
#define RCU_EXPEDITED "/sys/kernel/rcu_expedited"

struct boot {
	char *const *argv; /* borrowed from main: argv[1..] belong to the real init */
	struct params params;
	struct watch watch;
	bool has_nic; /* nic was set up by the net phase */
	struct nic nic;
	bool root_is_writable;
};

/* /proc /sys /dev /run, the console, the watch. */
int phase_early(struct boot *b, struct line *ok, struct fault *f);
int phase_cmdline(struct boot *b, struct line *ok, struct fault *f);
int phase_modules(struct boot *b, struct line *ok, struct fault *f);
int phase_net(struct boot *b, struct line *ok, struct fault *f);
/* Only tells what is there. */
int phase_devices(struct boot *b, struct line *ok, struct fault *f);
/* Mounts the root and makes it "/": what follows cannot leave it. */
int phase_root(struct boot *b, struct line *ok, struct fault *f);
int phase_files(struct boot *b, struct line *ok, struct fault *f);
/* Returns only on failure. */
int phase_handover(struct boot *b, struct line *ok, struct fault *f);
