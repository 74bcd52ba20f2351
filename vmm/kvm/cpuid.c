/*
 * What a vCPU sees by CPUID: KVM's offer, with the hypervisor bit, the topology and its own ids.
 *
 * Intel SDM vol. 2A CPUID, AMD64 manual vol. 3 appendix E; leaves 0x40000000 and 0x40000001 come
 * from KVM (Linux Documentation/virt/kvm/x86/cpuid.rst).  All vCPUs are cores of one package.
 */
#include <string.h>

#include "kvm/kvm_internal.h"

#define LEAF1_ECX_TSC_DEADLINE (1u << 24)
#define LEAF1_ECX_HYPERVISOR   (1u << 31) /* without it the guest looks for no kvm-clock */
#define LEAF1_EDX_HTT	       (1u << 28) /* more than one logical processor a package */
#define LEVEL_SMT	       1u
#define LEVEL_CORE	       2u

static unsigned bits_for(unsigned n)
{
	unsigned bits = 0;

	while ((1u << bits) < n)
		bits++;
	return bits;
}

static void leaf_1(struct kvm_cpuid_entry2 *c, const struct kvm_vm *vm, unsigned id, unsigned n)
{
	c->ecx |= LEAF1_ECX_HYPERVISOR;
	if (vm->tsc_deadline) /* spares the guest the calibration of its APIC timer */
		c->ecx |= LEAF1_ECX_TSC_DEADLINE;
	c->ebx = (c->ebx & 0xffffu) | id << 24 | n << 16;
	c->edx = n > 1 ? c->edx | LEAF1_EDX_HTT : c->edx & ~LEAF1_EDX_HTT;
}

/* Extended topology: one thread a core, n cores a package. */
static void leaf_topology(struct kvm_cpuid_entry2 *c, unsigned id, unsigned n)
{
	c->edx = id;
	c->ecx = c->index;
	if (c->index == 0) {
		c->eax = 0;
		c->ebx = 1;
		c->ecx |= LEVEL_SMT << 8;
	} else if (c->index == 1) {
		c->eax = bits_for(n);
		c->ebx = n;
		c->ecx |= LEVEL_CORE << 8;
	} else {
		c->eax = c->ebx = 0;
	}
}

static void shape(struct kvm_cpuid_entry2 *c, const struct kvm_vm *vm, unsigned id, unsigned n)
{
	switch (c->function) {
	case 0x1:
		leaf_1(c, vm, id, n);
		break;
	case 0x4: /* bits 31-26: cores a package, bits 25-14: processors that share this cache */
		c->eax = (c->eax & 0x3fffu) | (n - 1) << 26;
		break;
	case 0xb:
	case 0x1f:
		leaf_topology(c, id, n);
		break;
	case 0x80000008: /* bits 15-12: size of the core id, bits 7-0: cores less 1 */
		c->ecx = (c->ecx & ~0xf0ffu) | bits_for(n) << 12 | (n - 1);
		break;
	case 0x8000001e: /* AMD: APIC id, compute unit */
		c->eax = id;
		c->ebx = id & 0xffu;
		c->ecx = 0;
		break;
	default:
		break;
	}
}

/* KVM offers leaf 0xb with index 0 only; the guest needs the core level beside it. */
static void add_core_level(struct cpuid_table *t)
{
	struct kvm_cpuid_entry2 *c = t->entries;
	bool has_0 = false, has_1 = false;

	for (unsigned i = 0; i < t->nent; i++)
		if (c[i].function == 0xb)
			*(c[i].index == 1 ? &has_1 : &has_0) = true;
	if (!has_0 || has_1 || t->nent == CPUID_MAX)
		return;
	c[t->nent++] = (struct kvm_cpuid_entry2){
		.function = 0xb, .index = 1, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX};
}

void cpuid_shape(struct cpuid_table *t, const struct kvm_vm *vm, unsigned id, unsigned vcpus_n)
{
	add_core_level(t);
	for (unsigned i = 0; i < t->nent; i++)
		shape(&t->entries[i], vm, id, vcpus_n);
}
