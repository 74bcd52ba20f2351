#pragma once
/*
 * A VM's record: what was asked for, what it holds, where it stands.  The store keeps it, the
 * controller alone changes it, the API prints it.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/clock.h"
#include "base/hash.h"
#include "model/id.h"
#include "model/limits.h"

struct err;

enum vm_state {
	VM_CREATING,   /* leases, disk */
	VM_STARTING,   /* the engine's process */
	VM_BOOTING,    /* kernel, then init; no frame seen from the guest yet */
	VM_CONNECTING, /* the guest is on its network: address being proven */
	VM_READY,      /* proven, and the image's probes hold */
	VM_STOPPING,   /* asked to power off, killed after the grace time */
	VM_STOPPED,    /* no process; disk and lease are kept */
	VM_FAILED,     /* no process; cause says why; disk and lease are kept for a restart */
	VM_DELETING,   /* everything is being given back */
	VM_STATE_N_
};
const char *vm_state_name(enum vm_state s);	/* "creating", … */
enum vm_state vm_state_parse(const char *name); /* VM_STATE_N_ if unknown */
bool vm_state_has_process(enum vm_state s);	/* starting … ready, stopping */

enum vm_transport { VM_PCI, VM_MMIO, VM_TRANSPORT_N_ };
const char *vm_transport_name(enum vm_transport t); /* "pci", "mmio" */
enum vm_root { VM_ROOT_OVERLAY, VM_ROOT_DIRECT, VM_ROOT_N_ };
const char *vm_root_name(enum vm_root r); /* "overlay", "direct" */
extern const char *const vm_state_names[VM_STATE_N_];
extern const char *const vm_transport_names[VM_TRANSPORT_N_];
extern const char *const vm_root_names[VM_ROOT_N_];

/* What a VM of a class gets when the request does not say (configuration file: [class cli]). */
struct vm_class {
	char name[LIMIT_NAME_LEN + 1]; /* "cli", "desktop" */
	char image[LIMIT_NAME_LEN + 1];
	uint32_t vcpus, ram_mib, disk_mib;
};

struct vm_process {
	pid_t shim_pid, engine_pid;	   /* 0: none */
	uint64_t shim_ticks, engine_ticks; /* start times, proc(5) field 22 */
	char boot_id[CLOCK_BOOT_ID_LEN];
};

struct vm_lease {
	uint32_t
		/* unique on this host, from 1; names the TAP (hv17), the uid and the vsock CID */
		number;
	uint32_t ip; /* host byte order */
	uint8_t mac[6];
};

struct vm_rec {
	char id[ID_LEN];
	char user_id[LIMIT_USER_LEN + 1];
	char name[LIMIT_NAME_LEN + 1]; /* unique per user; default: the id */
	char type[LIMIT_NAME_LEN + 1]; /* class */
	char image[LIMIT_NAME_LEN + 1];
	char digest[HASH_TEXT_LEN]; /* of the bundle it was created from; never changes */
	char network[LIMIT_NAME_LEN + 1];
	char engine[16];      /* asked for: "auto" or a name */
	char engine_used[16]; /* what runs it; "" before the first start */
	enum vm_transport transport;
	enum vm_root root;
	uint32_t vcpus, ram_mib, disk_mib;
	char boot_args[LIMIT_BOOT_ARGS_LEN + 1]; /* the user's additions to the command line */
	char *labels; /* JSON object text, owned, never NULL once loaded */

	enum vm_state state;
	bool want_delete;     /* a delete was asked for; it survives every crash */
	char cause[64];	      /* stable code of the failure; "" if none */
	char cause_text[600]; /* the sentence */
	char remedy[300];
	uint32_t starts; /* how often an engine was started: generation of the run */

	struct vm_lease lease;
	struct vm_process proc;
	uint64_t created_us, changed_us; /* wall clock */
};

void vm_rec_done(struct vm_rec *r);			       /* frees what it owns */
int vm_rec_copy(struct vm_rec *dst, const struct vm_rec *src); /* deep; -ENOMEM */

/* One row of the VM's history. */
struct vm_event {
	uint64_t seq;	  /* global, growing */
	char vm[ID_LEN];  /* "" for events of the host */
	uint64_t wall_us; /* for people */
	uint64_t mono_us; /* CLOCK_BOOTTIME µs: for differences; comparable within one boot */
	char kind[32];	  /* "state", "phase", "proof", "probe", "engine", "delete", "adopt", … */
	char from[16], to[16];		/* states, for kind "state" */
	char actor[LIMIT_USER_LEN + 8]; /* "user:alice", "rule:boot-timeout", "hearthd" */
	char text[600];			/* why, with the evidence */
};
