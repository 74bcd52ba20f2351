#pragma once
/*
 * The engine's control group, on cgroup v2, on v1 and on the hybrid of both, as far as the host
 * allows.  Nothing here is fatal: what is missing is noted in a sentence and the VM runs without.
 *
 * The groups are siblings of hearthd's own one, <parent>/hearth/<vm> and, for all shims together,
 * <parent>/hearth/shims: limits of what contains hearthd (slice, container) hold for the VMs too,
 * and a service manager that kills hearthd's own group does not reach them.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct buf;
struct job;

#define CGROUP_TREES 8 /* cgroup2, memory, pids, cpu, systemd, with room */

struct cgroup_tree {
	char shims[512]; /* the shims' group in this tree */
	char path[512];	 /* the VM's group in this tree; "": none */
	int procs_fd;	 /* owned; its cgroup.procs, for the engine to enter; -1: not here */
};

struct cgroups {
	struct cgroup_tree at[CGROUP_TREES];
	int n;
};

/* Make the groups and set the limits.  Sentences about what did not work are appended to notes,
 * each ended by "; ". */
void cgroups_make(const struct job *j, struct cgroups *ret, struct buf *notes);
/* Move the engine into its group.  Once hearthd knows that it runs, for the kernel makes a move
 * wait for a grace period, some 5 ms in each tree; vCPUs start only later. */
void cgroups_enter(const struct cgroups *g, pid_t pid);
/* Move the shim itself into the shims' group; only when the engine runs, because the kernel makes
 * the first move wait for a grace period, some 5 ms. */
void cgroups_join_shims(const struct cgroups *g);
/* Processes of the group that the kernel killed for want of memory so far. */
uint64_t cgroups_oom_kills(const struct cgroups *g);
/* Remove the groups, which must be empty by now. */
void cgroups_remove(struct cgroups *g);
