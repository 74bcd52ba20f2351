#pragma once
/*
 * The one folder that makes KVM ioctls: a VM, its interrupts and notifications, its vCPUs
 * (Linux Documentation/virt/kvm/api.rst).
 *
 * kvm_vm_* are called by the machine on the main thread while it is built, kvm_vm_msi, kvm_vm_irq
 * and kvm_vm_notify from any thread later.  A vcpu belongs to the thread that runs it, except
 * vcpu_kick.  Trust: what a vcpu_exit carries was chosen by the guest.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "boot/boot.h"
#include "guestmem/guestmem.h"

struct err;
struct kvm_vm;
struct vcpu;

#define KVM_VCPUS_MAX 32u /* as Firecracker's API allows */

/* Memory slots are registered here, before irqchip and vCPUs: the same calls cost 50 times as much
 * after them (DESIGN.md 7, measured November 2026).  gm is borrowed and outlives the VM. */
int kvm_vm_new(const struct guestmem *gm, struct kvm_vm **ret, struct err *e);
void kvm_vm_free(struct kvm_vm *vm);
DEFINE_AUTO(kvm_vm)

/* Inject a message-signalled interrupt; a message to nobody vanishes, as on hardware. */
void kvm_vm_msi(struct kvm_vm *vm, uint64_t addr, uint32_t data);
/* Set an I/O APIC pin's level. */
void kvm_vm_irq(struct kvm_vm *vm, uint32_t gsi, bool level);
/* Let a write to fd raise an edge on pin gsi. */
int kvm_vm_irqfd(struct kvm_vm *vm, int fd, uint32_t gsi, struct err *e);

/* A guest write to this address signals fd, and no vCPU leaves the guest for longer than that. */
struct kvm_notify {
	gpa_t addr;
	unsigned len; /* 0: of any length */
	bool match;   /* only when `value` is written */
	uint32_t value;
	int fd; /* borrowed eventfd */
};
int kvm_vm_notify(struct kvm_vm *vm, const struct kvm_notify *n, bool on);

enum vcpu_exit_kind {
	VCPU_PIO,
	VCPU_MMIO,
	VCPU_KICKED,   /* vcpu_kick, or a signal: look whether to go on */
	VCPU_SHUTDOWN, /* triple fault, or the guest asked KVM for an end */
	VCPU_HALTED,   /* HLT without an interrupt controller: can't come with ours */
	VCPU_FAILED,   /* KVM can't go on; `why` says what it knows */
};

struct vcpu_exit {
	enum vcpu_exit_kind kind;
	uint64_t addr; /* port or guest-physical address */
	uint8_t *data; /* read: to be filled in; write: what came.  Valid until the next vcpu_run */
	unsigned len;  /* bytes of one access */
	unsigned count; /* PIO: accesses of a string instruction, one behind the other in data */
	bool write;
	char why[120]; /* VCPU_FAILED only */
};

int vcpu_new(struct kvm_vm *vm, unsigned id, unsigned vcpus_n, struct vcpu **ret, struct err *e);
void vcpu_free(struct vcpu *v);
DEFINE_AUTO(vcpu)
/* The first vCPU's registers; the others wait for the guest to start them. */
int vcpu_set_entry(struct vcpu *v, const struct boot_entry *entry, struct err *e);
/* Run until the guest needs something.  Never fails: what goes wrong is VCPU_FAILED. */
void vcpu_run(struct vcpu *v, struct vcpu_exit *ret);
/* Make the running or next vcpu_run of `thread` return VCPU_KICKED.  From any thread. */
void vcpu_kick(struct vcpu *v, pthread_t thread);
/* The signal that vcpu_kick sends: installs its handler, which does nothing.  Once per process. */
void vcpu_kick_prepare(void);
