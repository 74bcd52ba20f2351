#pragma once
/*
 * What vm.c, vcpu.c and cpuid.c share.
 */
#include <linux/kvm.h>

#include "kvm/kvm.h"

#define CPUID_MAX 256u /* KVM_MAX_CPUID_ENTRIES of Linux 5.13 on */

/* struct kvm_cpuid2 with room for its entries. */
struct cpuid_table {
	uint32_t nent, padding;
	struct kvm_cpuid_entry2 entries[CPUID_MAX];
};

struct kvm_vm {
	int kvm_fd, fd;		  /* owned */
	size_t run_size;	  /* bytes to map for a vCPU's struct kvm_run */
	struct cpuid_table cpuid; /* what this host's KVM can offer */
	bool tsc_deadline;	  /* KVM_CAP_TSC_DEADLINE_TIMER */
};

/* Turn what KVM supports into what vCPU id of vcpus_n sees. */
void cpuid_shape(struct cpuid_table *t, const struct kvm_vm *vm, unsigned id, unsigned vcpus_n);
