#pragma once
/*
 * The machine and what its files share.
 */
#include <pthread.h>

#include "acpi/acpi.h"
#include "base/buf.h"
#include "boot/boot.h"
#include "bus/bus.h"
#include "kvm/kvm.h"
#include "legacy/legacy.h"
#include "loop/loop.h"
#include "machine/machine.h"
#include "transport/transport.h"

struct machine_vcpu {
	struct machine *machine;
	struct vcpu *vcpu; /* owned */
	pthread_t thread;
	unsigned id;
	bool started;
};

struct machine {
	struct vm_config cfg;
	struct loop *loop; /* borrowed */
	machine_ended_fn *ended;
	void *ended_ctx;
	struct guestmem *gm; /* owned */
	struct kvm_vm *vm;   /* owned */
	struct bus pio, mmio;
	struct serial serial;
	struct platform platform;
	struct boot_entry entry;
	struct pci_host pci;
	struct virtio_mmio *mmio_devices[VM_DEVICES_MAX]; /* owned */
	struct acpi_mmio acpi_mmio[VM_DEVICES_MAX];
	unsigned mmio_n;
	struct virtio_pci *pci_devices[VM_DEVICES_MAX]; /* owned */
	unsigned pci_n;
	struct watch stdin_watch, tick_watch;
	bool stdin_watched;
	int tick_fd; /* owned timerfd: the console is to be served */

	struct machine_vcpu vcpus[KVM_VCPUS_MAX];
	unsigned vcpus_n;
	/* Guarded by lock; changed is signalled when a vCPU stops or goes on. */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool stop, pause;
	unsigned waiting_n; /* vCPUs that have heard `pause` */

	/* Written once by whoever ends it first (ending is the gate), read on the loop. */
	bool ending;
	enum machine_end end;
	char end_why[160];
};

/* From any thread; the first caller's reason counts. */
void machine_end(struct machine *m, enum machine_end end, const char *why);

/* vcpus.c */
int vcpus_make(struct machine *m, struct err *e);
int vcpus_start(struct machine *m, struct err *e);
void vcpus_stop(struct machine *m);

/* console.c */
int console_attach(struct machine *m, struct err *e);
void console_detach(struct machine *m);

/* devices.c */
int devices_attach(struct machine *m, struct err *e);
void devices_detach(struct machine *m);

/* kernel.c: command line, tables, kernel and initramfs into guest memory. */
int kernel_place(struct machine *m, struct err *e);
