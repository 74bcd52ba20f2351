/*
 * One virtual processor: its first registers, and the call that runs it.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "kvm/kvm_internal.h"

/* AMD64 manual vol. 2 sec. 3.1 and 7.7: register bits; appendix A: MSR numbers. */
#define CR0_PE		   0x1u
#define CR0_ET		   0x10u
#define CR0_PG		   0x80000000u
#define CR4_PAE		   0x20u
#define EFER_LME	   0x100u
#define EFER_LMA	   0x400u
#define FLAGS_FIXED	   0x2u
#define MSR_MISC_ENABLE	   0x1a0u
#define MISC_FAST_STRING   0x1u
#define MSR_MTRR_DEF_TYPE  0x2ffu
#define MTRR_ON_WRITE_BACK 0x806u /* without MTRRs Linux gives up its PAT, too */

struct vcpu {
	int fd;		     /* owned */
	struct kvm_run *run; /* owned mapping, shared with KVM */
	size_t run_size;
};

static int set_cpuid(struct vcpu *v, const struct kvm_vm *vm, unsigned id, unsigned vcpus_n,
		     struct err *e)
{
	auto_free struct cpuid_table *t = mem_zalloc(sizeof(*t));

	if (!t)
		return err_nomem(e);
	*t = vm->cpuid;
	cpuid_shape(t, vm, id, vcpus_n);
	if (ioctl(v->fd, KVM_SET_CPUID2, t))
		return err_sys(e, errno, "kvm.cpuid", "KVM_SET_CPUID2");
	return 0;
}

static int set_msrs(struct vcpu *v, struct err *e)
{
	struct {
		uint32_t nmsrs, padding; /* struct kvm_msrs with its entries */
		struct kvm_msr_entry entries[2];
	} m = {.nmsrs = 2,
	       .entries = {{.index = MSR_MISC_ENABLE, .data = MISC_FAST_STRING},
			   {.index = MSR_MTRR_DEF_TYPE, .data = MTRR_ON_WRITE_BACK}}};

	if (ioctl(v->fd, KVM_SET_MSRS, &m) != 2)
		return err_sys(e, errno, "kvm.msrs", "KVM_SET_MSRS");
	return 0;
}

int vcpu_new(struct kvm_vm *vm, unsigned id, unsigned vcpus_n, struct vcpu **ret, struct err *e)
{
	AUTO(vcpu) v = mem_zalloc(sizeof(*v));
	void *run;
	int rc;

	if (!v)
		return err_nomem(e);
	v->fd = ioctl(vm->fd, KVM_CREATE_VCPU, (unsigned long)id);
	if (v->fd < 0)
		return err_sys(e, errno, "kvm.vcpu", "KVM_CREATE_VCPU %u", id);
	run = mmap(NULL, vm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
	if (run == MAP_FAILED)
		return err_sys(e, errno, "kvm.vcpu", "vCPU %u: struct kvm_run", id);
	v->run = run;
	v->run_size = vm->run_size;
	rc = set_cpuid(v, vm, id, vcpus_n, e);
	if (!rc)
		rc = set_msrs(v, e);
	if (!rc)
		*ret = take_ptr(v);
	return rc;
}

void vcpu_free(struct vcpu *v)
{
	if (!v)
		return;
	if (v->run)
		(void)munmap(v->run, v->run_size); /* what we mapped */
	cleanup_close(&v->fd);
	free(v);
}

static struct kvm_segment segment(unsigned selector, unsigned type, bool long_code)
{
	return (struct kvm_segment){.limit = 0xffffffffu,
				    .selector = (uint16_t)selector,
				    .type = (uint8_t)type,
				    .present = 1,
				    .s = 1,
				    .db = !long_code,
				    .l = long_code,
				    .g = 1};
}

/* Flat segments; for Linux's 64-bit entry also paging over the identity map that boot/ wrote. */
static void shape_sregs(struct kvm_sregs *s, enum boot_protocol protocol)
{
	bool wide = protocol == BOOT_LINUX64;
	struct kvm_segment data = segment(0x18, 3, false);

	s->cs = segment(0x10, 11, wide);
	s->ds = s->es = s->fs = s->gs = s->ss = data;
	s->tr = (struct kvm_segment){.limit = 0x67, .type = 11, .present = 1};
	s->gdt = (struct kvm_dtable){.base = BOOT_GDT_GPA, .limit = 4 * 8 - 1};
	s->idt = (struct kvm_dtable){0};
	s->cr0 = CR0_PE | CR0_ET;
	if (!wide)
		return;
	s->cr0 |= CR0_PG;
	s->cr3 = BOOT_PML4_GPA;
	s->cr4 = CR4_PAE;
	s->efer = EFER_LME | EFER_LMA;
}

int vcpu_set_entry(struct vcpu *v, const struct boot_entry *entry, struct err *e)
{
	struct kvm_regs regs = {.rip = entry->ip, .rflags = FLAGS_FIXED, .rsp = BOOT_STACK_GPA};
	struct kvm_sregs sregs;

	if (entry->protocol == BOOT_PVH)
		regs.rbx = BOOT_PVH_GPA;
	else
		regs.rsi = BOOT_ZERO_GPA;
	if (ioctl(v->fd, KVM_GET_SREGS, &sregs))
		return err_sys(e, errno, "kvm.registers", "KVM_GET_SREGS");
	shape_sregs(&sregs, entry->protocol);
	if (ioctl(v->fd, KVM_SET_SREGS, &sregs) || ioctl(v->fd, KVM_SET_REGS, &regs))
		return err_sys(e, errno, "kvm.registers", "KVM_SET_SREGS");
	return 0;
}

static void on_kick(int signo)
{
	(void)signo; /* its arrival makes KVM_RUN return */
}

void vcpu_kick_prepare(void)
{
	struct sigaction sa = {.sa_handler = on_kick};

	(void)sigaction(SIGRTMIN, &sa, NULL); /* a valid signal and address can't fail */
}

void vcpu_kick(struct vcpu *v, pthread_t thread)
{
	/* Seen by KVM before it enters the guest, so that no kick is lost between two runs
	 * (api.rst 4.10, immediate_exit). */
	__atomic_store_n(&v->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	(void)pthread_kill(thread, SIGRTMIN); /* a thread that has ended needs no kick */
}

static void failed(struct vcpu_exit *ret, const char *what, uint64_t a, uint64_t b)
{
	ret->kind = VCPU_FAILED;
	(void)snprintf(ret->why, sizeof(ret->why), "%s (%#llx, %#llx)", what, (unsigned long long)a,
		       (unsigned long long)b); /* cut is fine: for people */
}

static void take_exit(struct kvm_run *run, struct vcpu_exit *ret)
{
	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		*ret = (struct vcpu_exit){.kind = VCPU_PIO,
					  .addr = run->io.port,
					  .data = (uint8_t *)run + run->io.data_offset,
					  .len = run->io.size,
					  .count = run->io.count,
					  .write = run->io.direction == KVM_EXIT_IO_OUT};
		break;
	case KVM_EXIT_MMIO:
		*ret = (struct vcpu_exit){.kind = VCPU_MMIO,
					  .addr = run->mmio.phys_addr,
					  .data = run->mmio.data,
					  .len = run->mmio.len,
					  .count = 1,
					  .write = run->mmio.is_write};
		break;
	case KVM_EXIT_SHUTDOWN:
	case KVM_EXIT_SYSTEM_EVENT:
		ret->kind = VCPU_SHUTDOWN;
		break;
	case KVM_EXIT_HLT:
		ret->kind = VCPU_HALTED;
		break;
	case KVM_EXIT_INTR:
		ret->kind = VCPU_KICKED;
		break;
	case KVM_EXIT_FAIL_ENTRY:
		failed(ret, "the processor refused to enter the guest",
		       run->fail_entry.hardware_entry_failure_reason, run->fail_entry.cpu);
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		failed(ret, "KVM internal error", run->internal.suberror,
		       run->internal.ndata ? run->internal.data[0] : 0);
		break;
	default:
		failed(ret, "an exit that is not handled", run->exit_reason, 0);
	}
}

void vcpu_run(struct vcpu *v, struct vcpu_exit *ret)
{
	ret->why[0] = '\0';
	if (!ioctl(v->fd, KVM_RUN, 0))
		take_exit(v->run, ret);
	else if (errno == EINTR || errno == EAGAIN)
		ret->kind = VCPU_KICKED;
	else
		failed(ret, "KVM_RUN", (uint64_t)errno, 0);
	/* Before the caller looks why it was kicked: a kick that comes later sets it again. */
	if (ret->kind == VCPU_KICKED)
		__atomic_store_n(&v->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
}
