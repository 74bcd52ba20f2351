#pragma once
/*
 * What the controller needs from any VMM.  An engine's process is started under a small shim of our
 * own (hearth-shim) that keeps the console and the exit status while hearthd is away.
 *
 * Everything is called on the loop's thread and answers through callbacks on it.  The controller
 * asks for abilities by bit, never for names.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <jansson.h>

#include "base/err.h"
#include "model/limits.h"
#include "model/vm.h"

struct loop;

enum engine_can {
	ENGINE_KVM = 1 << 0, /* runs on KVM */
	ENGINE_TCG = 1 << 1, /* runs without KVM */
	ENGINE_PCI = 1 << 2,
	ENGINE_MMIO = 1 << 3,
	ENGINE_VSOCK = 1 << 4,
	ENGINE_POWERDOWN = 1 << 5, /* can ask the guest to power off */
	ENGINE_PAUSE = 1 << 6,
	ENGINE_BZIMAGE = 1 << 7,
	ENGINE_ELF = 1 << 8,
};

struct vm_drive {
	const char *id; /* "root", "disk" */
	const char *
		path; /* borrowed until launch returns; opened by hearthd, passed as a descriptor */
	bool read_only;
};

/* Everything that an engine is given; strings borrowed until launch returns. */
struct vm_spec {
	const char *id;
	const char *vm_dir;  /* <state>/vms/<id>: console.log, vmm.log, exit.json live here */
	const char *run_dir; /* <run>/vms/<id>: sockets */
	uint32_t vcpus, ram_mib;
	enum vm_transport transport;
	const char *kernel, *initrd; /* paths; initrd may be NULL */
	const char *cmdline;	     /* final */
	struct vm_drive drives[LIMIT_DRIVES];
	unsigned drives_n;
	int tap_fd; /* owned by the caller, may be closed after launch; -1: no NIC */
	uint8_t mac[6];
	uint32_t cid;	    /* vsock; 0: none */
	uid_t uid;	    /* unprivileged user and group of the engine's process */
	const char *cgroup; /* name of the VM's cgroup below the host's base; NULL: none */
};

struct engine_vm; /* a handle on one running (or just ended) VMM process */

enum engine_exit { /* how the VMM ended; enumerated, so that an ordinary end is never an error */
		   EXIT_GUEST_POWEROFF,
		   EXIT_GUEST_RESET,
		   EXIT_GUEST_PANIC,
		   EXIT_KILLED,
		   EXIT_VMM_ERROR,
		   EXIT_UNKNOWN,
		   EXIT_N_
};
extern const char *const engine_exit_names[EXIT_N_];

struct engine_end {
	enum engine_exit how;
	int status;	/* exit status, or 128 + signal; -1 unknown */
	char text[400]; /* one sentence: "qemu exited with 1: <last line of vmm.log>" */
};

struct engine_watch {				 /* owner's callbacks for one VM; loop's thread */
	void (*started)(struct engine_watch *w); /* vCPUs run (QMP said so) */
	void (*ended)(struct engine_watch *w,
		      const struct engine_end *end); /* reaped; exactly once, last call */
	void (*event)(struct engine_watch *w, const char *name,
		      const char *text); /* e.g. guest panic, hang */
};

struct engine_ops {
	const char *name; /* "hearth", "firecracker", "qemu" */
	/* Find the program, its version and abilities.  Blocks up to a second; ERR_HOST with
	 * remedy. */
	int (*probe)(uint32_t *ret_can, char ret_version[64], struct err *e);
	/* Starts the shim and the VMM; opens drives, so their errors come from here. ret_proc is to
	 * be committed by the caller at once.  kvm: use KVM (the host's measured verdict). */
	int (*launch)(struct loop *l, const struct vm_spec *spec, bool kvm, struct engine_watch *w,
		      struct engine_vm **ret, struct vm_process *ret_proc, struct err *e);
	/* Take over a VM started by an earlier hearthd.  -ESRCH: the process is gone; then *ret_end
	 * says how it ended as far as exit.json tells. */
	int (*adopt)(struct loop *l, const char *vm_dir, const char *run_dir,
		     const struct vm_process *proc, struct engine_watch *w, struct engine_vm **ret,
		     struct engine_end *ret_end, struct err *e);
	/* Ask the guest to power off; kill after grace_ms.  0: kill now.  May be called again to
	 * shorten. */
	void (*stop)(struct engine_vm *v, uint64_t grace_ms);
	/* Facts for `vm show`: pids, QMP status, RSS.  New reference; NULL if none. */
	json_t *(*info)(struct engine_vm *v);
	void (*forget)(
		struct engine_vm *v); /* drops our handle, not the VM; no callback after it */
};
/* Where hearth-shim lies; before the first launch; borrowed for good.  Not called: beside the
 * program that runs, or in ../shim of it (build tree). */
void engine_init(const char *libexec_dir);

extern const struct engine_ops engine_qemu;
/* All engines, NULL-terminated, in order of preference. */
extern const struct engine_ops *const engines[];
const struct engine_ops *engine_find(const char *name); /* NULL: no such engine */

/* Identify the processes of a crashed launch: kill every process whose shim holds <vm_dir>/lock,
 * wait until it is reaped.  For roll-back of a start that was never committed. */
int engine_kill_leftover(const char *vm_dir, struct err *e);

/* --- the kernel command line, composed from typed fields (engine/cmdline.c) --- */
struct cmdline_spec {
	enum vm_transport transport;
	enum vm_root root;
	unsigned drives_n;   /* virtio-blk drives: vda, vdb, … */
	const char *root_fs; /* "ext4" */
	bool has_init; /* initrd with hearth-init: hearth.* fields; else root= for the kernel */
	uint32_t ip, gateway; /* host order; 0: no network */
	unsigned prefix, mtu;
	uint32_t dns[LIMIT_DNS];
	unsigned dns_n;
	uint8_t mac[6];
	const char *hostname;
	const char *console;   /* "ttyS0" */
	bool tcg;	       /* engine specifics that only emulation needs */
	const char *user_args; /* the user's additions, checked: see below */
};
/* Compose and check: keys may not repeat those that Hearth owns, and a root=, pci=off, acpi=off,
 * console= or hearth.* that contradicts drives or transport is refused with the reason and the
 * value that would work ("cmdline.root-contradicts", "cmdline.pci-off", "cmdline.acpi-off",
 * "cmdline.duplicate", "cmdline.not-printable", "cmdline.too-long"). */
int cmdline_compose(const struct cmdline_spec *s, char ret[LIMIT_CMDLINE_LEN + 1], struct err *e);

/* --- is KVM real? (engine/kvmprobe.c) --- */
enum kvm_verdict { KVM_REAL, KVM_EMULATED, KVM_ABSENT, KVM_DENIED, KVM_VERDICT_N_ };
extern const char *const kvm_verdict_names[KVM_VERDICT_N_];
struct kvm_report {
	enum kvm_verdict verdict;
	double guest_mips; /* million guest loop instructions a second */
	double host_mips;  /* the same loop on the host, same run */
	uint64_t took_us;
	char text[300]; /* the sentence with the figures, or the errno and its meaning */
};
/* Runs a loop of a few million instructions in 64-bit mode under KVM and on the host and compares;
 * at most ~300 ms, also when KVM emulates.  Blocks: run on a worker. */
void kvm_measure(struct kvm_report *ret);
