#pragma once
/*
 * Builds the machine that a struct vm_config describes, runs its vCPUs, and ends it.
 *
 * All functions are called on the main thread, which runs the loop; the vCPUs have threads of their
 * own, named "fc_vcpu N".  What a guest does can end its machine, but never this process by itself.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "machine/config.h"

struct err;
struct loop;
struct machine;

enum machine_end {
	END_POWEROFF,	  /* the guest asked for it, by ACPI */
	END_RESET,	  /* by ACPI or keyboard controller */
	END_TRIPLE_FAULT, /* as a reset with reboot=t, or a kernel that lost its way */
	END_FAILED,	  /* KVM can't go on */
	END_N_
};

/* Called once on the loop's thread; `why` is for people and only END_FAILED has one. */
typedef void machine_ended_fn(void *ctx, enum machine_end end, const char *why);

/* Build it; nothing runs yet.  cfg is copied, loop is borrowed. */
int machine_new(const struct vm_config *cfg, struct loop *loop, machine_ended_fn *ended, void *ctx,
		struct machine **ret, struct err *e);
/* Stops what runs. */
void machine_free(struct machine *m);
DEFINE_AUTO(machine)

int machine_start(struct machine *m, struct err *e);
/* Both wait until every vCPU has heard it; both are idempotent. */
void machine_pause(struct machine *m);
void machine_resume(struct machine *m);
bool machine_is_paused(const struct machine *m);

const char *machine_end_name(enum machine_end end); /* "poweroff", … */
