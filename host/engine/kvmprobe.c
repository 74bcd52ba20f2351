/*
 * Is KVM real?  Runs a loop in 64-bit mode under KVM and on the host and compares the times.
 * Called by the controller's host check on a worker thread; blocks up to LIMIT_MS.
 *
 * A /dev/kvm may exist and emulate every instruction in software (nested offers of clouds, build
 * machines): then a VM would take minutes to boot, and TCG is the better engine.
 *
 * The measuring runs in a child process of its own: an ioctl that hangs or a crash hurts nobody,
 * and the loop is made longer step by step, so that also a slow KVM is measured within the limit.
 * The child only makes system calls (it is forked from a program with threads).
 * Source: Linux Documentation/virt/kvm/api.rst; Intel SDM vol. 3A 4.5 (page tables), 10.8.5 (long
 * mode).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "engine/engine.h"

#define LIMIT_MS  300u		  /* what a host check may take for this */
#define REAP_MS	  200		  /* from SIGKILL to the end */
#define ENOUGH_NS (8 * NS_PER_MS) /* a run this long measures to a per cent */
#define FIRST_N	  1000u		  /* iterations of the first run: 1 ms at 4 MIPS */
#define LAST_N	  16384000u	  /* of the last one: 20 ms on a slow real CPU */
#define GROW	  4u
#define REAL_MIN  0.125 /* share of the host's speed; real KVM reaches 0.9, emulation 0.01 */

#define MEM_BYTES 0x10000u /* guest memory: page tables and code */
#define PML4	  0x1000u
#define PDPT	  0x2000u
#define PD	  0x3000u
#define CODE	  0x8000u

const char *const kvm_verdict_names[KVM_VERDICT_N_] = {
	[KVM_REAL] = "real",
	[KVM_EMULATED] = "emulated",
	[KVM_ABSENT] = "absent",
	[KVM_DENIED] = "denied",
};

/* rcx = iterations; five instructions each, as a mix of dependent and independent ones. */
#define LOOP_INSNS 5
static const uint8_t loop_code[] = {
	0xf3, 0x0f, 0x1e, 0xfa, /* endbr64: the host calls it indirectly */
	0x48, 0x01, 0xc8,	/* add rax, rcx */
	0x48, 0x31, 0xc2,	/* xor rdx, rax */
	0x48, 0xff, 0xc0,	/* inc rax */
	0x48, 0xff, 0xc9,	/* dec rcx */
	0x75, 0xf2,		/* jnz to the add */
};
#define INSN_HLT 0xf4 /* ends the loop in the guest: KVM_EXIT_HLT */
#define INSN_RET 0xc3 /* and on the host */

/* What the child found. */
struct found {
	int step; /* enum step: where it got to */
	int errno_was;
	unsigned exit_reason; /* of KVM_RUN, when it was not HLT */
	double guest_mips, host_mips;
};

enum step { STEP_OPEN, STEP_CREATE, STEP_SETUP, STEP_RUN, STEP_DONE };

struct vm {
	int kvm, vm, vcpu;
	struct kvm_run *run;
	uint8_t *mem;
};

static void put64(uint8_t *mem, uint32_t at, uint64_t value)
{
	memcpy(mem + at, &value, sizeof(value)); /* little-endian as the guest */
}

static void fill_memory(uint8_t *mem)
{
	put64(mem, PML4, PDPT | 3); /* present, writable */
	put64(mem, PDPT, PD | 3);
	put64(mem, PD, 0x83); /* and a 2 MiB page at 0 */
	memcpy(mem + CODE, loop_code, sizeof(loop_code));
	mem[CODE + sizeof(loop_code)] = INSN_HLT;
}

static int set_long_mode(const struct vm *v)
{
	struct kvm_segment code = {.limit = 0xffffffff,
				   .selector = 8,
				   .type = 11,
				   .present = 1,
				   .s = 1,
				   .l = 1,
				   .g = 1};
	struct kvm_segment data = {.limit = 0xffffffff,
				   .selector = 16,
				   .type = 3,
				   .present = 1,
				   .s = 1,
				   .db = 1,
				   .g = 1};
	struct kvm_sregs s;

	if (ioctl(v->vcpu, KVM_GET_SREGS, &s))
		return -errno;
	s.cs = code;
	s.ds = s.es = s.fs = s.gs = s.ss = data;
	s.cr3 = PML4;
	s.cr4 = 0x20;	    /* PAE */
	s.cr0 = 0x80000011; /* PG, ET, PE */
	s.efer = 0x500;	    /* LMA, LME */
	return ioctl(v->vcpu, KVM_SET_SREGS, &s) ? -errno : 0;
}

static int make_vm(struct vm *v, enum step *step)
{
	struct kvm_userspace_memory_region slot = {.memory_size = MEM_BYTES};
	int size;

	*step = STEP_OPEN;
	v->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (v->kvm < 0 || ioctl(v->kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		return errno ? -errno : -ENOTTY;
	*step = STEP_CREATE;
	v->vm = ioctl(v->kvm, KVM_CREATE_VM, 0);
	if (v->vm < 0)
		return -errno;
	*step = STEP_SETUP;
	v->mem = mmap(NULL, MEM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (v->mem == MAP_FAILED)
		return -errno;
	fill_memory(v->mem);
	slot.userspace_addr = (uint64_t)(uintptr_t)v->mem;
	if (ioctl(v->vm, KVM_SET_USER_MEMORY_REGION, &slot))
		return -errno;
	v->vcpu = ioctl(v->vm, KVM_CREATE_VCPU, 0);
	size = ioctl(v->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (v->vcpu < 0 || size <= 0)
		return -errno;
	v->run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, v->vcpu, 0);
	return v->run == MAP_FAILED ? -errno : set_long_mode(v);
}

/* One run of n iterations in the guest, timed. */
static int run_guest(const struct vm *v, uint64_t n, uint64_t *ret_ns, unsigned *ret_reason)
{
	struct kvm_regs regs = {.rip = CODE, .rcx = n, .rflags = 2};
	uint64_t start;

	if (ioctl(v->vcpu, KVM_SET_REGS, &regs))
		return -errno;
	start = clock_mono_ns();
	if (ioctl(v->vcpu, KVM_RUN, 0))
		return -errno;
	*ret_ns = clock_mono_ns() - start;
	*ret_reason = v->run->exit_reason;
	return v->run->exit_reason == KVM_EXIT_HLT ? 0 : -EIO;
}

/* The same code on the host; 0: no executable memory. */
static uint64_t run_host(const uint8_t *code, uint64_t n)
{
	uint64_t start = clock_mono_ns();

	__asm__ volatile("sub $128, %%rsp\n\tcall *%1\n\tadd $128, %%rsp" /* past the red zone */
			 : "+c"(n)
			 : "r"(code)
			 : "rax", "rdx", "cc", "memory");
	return clock_mono_ns() - start;
}

static double mips(uint64_t n, uint64_t ns)
{
	return (double)(n * LOOP_INSNS) * 1e3 / (double)(ns ? ns : 1);
}

static void measure_host(struct found *f)
{
	uint8_t *code =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t ns = 0;

	if (code == MAP_FAILED)
		return;
	memcpy(code, loop_code, sizeof(loop_code));
	code[sizeof(loop_code)] = INSN_RET;
	if (mprotect(code, 4096, PROT_READ | PROT_EXEC))
		return;
	for (uint64_t n = FIRST_N; n <= LAST_N && ns < ENOUGH_NS; n *= GROW) {
		ns = run_host(code, n);
		f->host_mips = mips(n, ns);
	}
}

/* Longer and longer runs, each reported at once: the last one before the limit counts. */
static void measure_guest(const struct vm *v, struct found *f, int out)
{
	uint64_t ns = 0;

	for (uint64_t n = FIRST_N; n <= LAST_N && ns < ENOUGH_NS; n *= GROW) {
		f->errno_was = -run_guest(v, n, &ns, &f->exit_reason);
		if (f->errno_was)
			return;
		f->guest_mips = mips(n, ns);
		(void)!write(out, f, sizeof(*f)); /* nobody listens any more: then we are killed */
	}
	f->step = STEP_DONE;
}

static __attribute__((noreturn)) void child(int out)
{
	struct vm v = {-1, -1, -1, NULL, NULL};
	struct found f = {0};
	enum step step;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0,
		    0); /* best effort; LIMIT_MS bounds us anyway */
	measure_host(&f);
	errno = 0;
	f.errno_was = -make_vm(&v, &step);
	f.step = step;
	if (!f.errno_was) {
		f.step = STEP_RUN;
		(void)!write(out, &f, sizeof(f)); /* as in measure_guest */
		measure_guest(&v, &f, out);
	}
	(void)!write(out, &f, sizeof(f)); /* as above */
	_exit(0);
}

/* Read the newest report until the child has ended or time is up; true: it ended in time. */
static bool collect(int in, uint64_t due_ns, struct found *ret)
{
	for (;;) {
		struct pollfd p = {.fd = in, .events = POLLIN};
		uint64_t now = clock_mono_ns();
		struct found f;
		ssize_t n;

		if (now >= due_ns)
			return false;
		if (poll(&p, 1, (int)((due_ns - now) / NS_PER_MS) + 1) <= 0)
			continue;
		n = read(in, &f, sizeof(f)); /* writes of this size are whole: pipe(7), PIPE_BUF */
		if (n == 0)
			return true;
		if (n == (ssize_t)sizeof(f))
			*ret = f;
	}
}

static void say_open(struct kvm_report *r, int errno_was)
{
	static const struct {
		int errno_was;
		enum kvm_verdict verdict;
		const char *why;
	} meanings[] = {
		{ENOENT, KVM_ABSENT,
		 "no such device: the kvm_intel or kvm_amd module is not loaded, or the "
		 "CPU's virtualisation is off or not passed on to this machine"},
		{ENODEV, KVM_ABSENT, "the node exists without a driver behind it"},
		{ENXIO, KVM_ABSENT, "the node exists without a driver behind it"},
		{EACCES, KVM_DENIED,
		 "the node's mode does not allow this user; add it to group kvm"},
		{EPERM, KVM_DENIED, "a policy (container, snap, seccomp) forbids it"},
		{ENOTTY, KVM_ABSENT, "the node is not KVM's"},
	};

	r->verdict = KVM_ABSENT;
	(void)snprintf(r->text, sizeof(r->text), "/dev/kvm: %s", strerror(errno_was));
	for (size_t i = 0; i < ARRAY_LEN(meanings); i++) {
		if (meanings[i].errno_was != errno_was)
			continue;
		r->verdict = meanings[i].verdict;
		(void)snprintf(r->text, sizeof(r->text), "/dev/kvm: %s (%s)", meanings[i].why,
			       strerrorname_np(errno_was)); /* both fit */
	}
}

static void say_create(struct kvm_report *r, int errno_was)
{
	r->verdict = KVM_DENIED;
	(void)snprintf(r->text, sizeof(r->text), "/dev/kvm opens, but creating a VM fails: %s%s",
		       strerror(errno_was),
		       errno_was == EBUSY ? " (another hypervisor, such as VirtualBox, has the CPU)"
					  : "");
}

static void say_no_run(struct kvm_report *r, const struct found *f)
{
	r->verdict = KVM_ABSENT;
	if (f->errno_was == EIO && f->exit_reason)
		(void)snprintf(
			r->text, sizeof(r->text),
			"KVM makes a VM but can't run one instruction of it (exit reason %u%s): "
			"nested virtualisation is not supported here",
			f->exit_reason,
			f->exit_reason == KVM_EXIT_FAIL_ENTRY ? ", failed entry" : "");
	else
		(void)snprintf(r->text, sizeof(r->text),
			       "KVM makes a VM but can't set it up or run it: %s",
			       strerror(f->errno_was));
}

static void say_speed(struct kvm_report *r)
{
	double share = r->host_mips > 0 ? r->guest_mips / r->host_mips : 0;

	if (share >= REAL_MIN) {
		r->verdict = KVM_REAL;
		(void)snprintf(r->text, sizeof(r->text),
			       "a guest runs %.0f million instructions a second, %.0f %% of the "
			       "host's %.0f",
			       r->guest_mips, share * 100, r->host_mips);
		return;
	}
	r->verdict = KVM_EMULATED;
	if (r->guest_mips > 0)
		(void)snprintf(r->text, sizeof(r->text),
			       "/dev/kvm emulates: a guest runs %.2f million instructions a "
			       "second, the host "
			       "%.0f: %.0f times slower",
			       r->guest_mips, r->host_mips, r->host_mips / r->guest_mips);
	else
		(void)snprintf(r->text, sizeof(r->text),
			       "/dev/kvm emulates: a guest did not finish %u instructions in %u "
			       "ms; the host "
			       "runs %.0f million a second",
			       FIRST_N * LOOP_INSNS, LIMIT_MS, r->host_mips);
}

static void judge(const struct found *f, bool in_time, struct kvm_report *r)
{
	r->guest_mips = f->guest_mips;
	r->host_mips = f->host_mips;
	if (f->host_mips <= 0) {
		r->verdict = KVM_ABSENT;
		(void)snprintf(r->text, sizeof(r->text), "KVM: could not be measured in %u ms",
			       LIMIT_MS);
	} else if (f->step == STEP_OPEN && f->errno_was) {
		say_open(r, f->errno_was);
	} else if (f->step == STEP_CREATE && f->errno_was) {
		say_create(r, f->errno_was);
	} else if (f->errno_was || (!in_time && f->step < STEP_RUN)) {
		say_no_run(r, f);
	} else {
		say_speed(r);
	}
}

/* A child that hangs in an ioctl which ignores even SIGKILL is left behind as it is. */
static void reap(pid_t pid, int pidfd)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};

	(void)kill(pid, SIGKILL); /* not reaped yet: the pid is its own */
	if (poll(&p, 1, REAP_MS) == 1)
		(void)waitpid(pid, NULL, 0); /* it has ended, so this does not block */
	(void)close(pidfd);		     /* a pidfd's close reports nothing */
}

void kvm_measure(struct kvm_report *ret)
{
	uint64_t start = clock_mono_ns();
	int pidfd = -1;
	struct clone_args args = {
		.flags = CLONE_PIDFD, .pidfd = (uint64_t)(uintptr_t)&pidfd, .exit_signal = SIGCHLD};
	struct found f = {0};
	bool in_time = false;
	int p[2];
	long pid;

	memset(ret, 0, sizeof(*ret));
	ret->verdict = KVM_ABSENT;
	if (pipe2(p, O_CLOEXEC)) {
		(void)snprintf(ret->text, sizeof(ret->text), "KVM: no pipe to measure through: %s",
			       strerror(errno));
		return;
	}
	pid = syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0)
		child(p[1]);
	(void)close(p[1]); /* the child's end */
	if (pid > 0)
		in_time = collect(p[0], start + LIMIT_MS * NS_PER_MS, &f);
	(void)close(p[0]);
	if (pid > 0)
		reap((pid_t)pid, pidfd);
	judge(&f, in_time, ret);
	ret->took_us = (clock_mono_ns() - start) / 1000;
}
