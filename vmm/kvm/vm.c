/*
 * A VM of KVM: memory slots, the interrupt controllers in the kernel, notifications.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>

#include "base/err.h"
#include "base/mem.h"
#include "kvm/kvm_internal.h"

/* 3 pages; only Intel processors without unrestricted guest use them */
#define TSS_GPA		 0xfffbd000ull
#define IDENTITY_MAP_GPA 0xfffbc000ull

static int open_kvm(struct kvm_vm *vm, struct err *e)
{
	int version;

	vm->kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vm->kvm_fd < 0)
		return err_sys(e, errno, "kvm.open", "/dev/kvm");
	version = ioctl(vm->kvm_fd, KVM_GET_API_VERSION, 0);
	if (version != KVM_API_VERSION)
		return err_set(e, -EPROTO, ERR_HOST, "kvm.version",
			       "/dev/kvm: expected API version %d, it has %d", KVM_API_VERSION,
			       version);
	vm->run_size = (size_t)ioctl(vm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	vm->tsc_deadline = ioctl(vm->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0;
	vm->cpuid.nent = CPUID_MAX;
	if (ioctl(vm->kvm_fd, KVM_GET_SUPPORTED_CPUID, &vm->cpuid))
		return err_sys(e, errno, "kvm.cpuid", "KVM_GET_SUPPORTED_CPUID");
	return 0;
}

static int add_memory(struct kvm_vm *vm, const struct guestmem *gm, struct err *e)
{
	struct gm_slot slots[GM_REGIONS_MAX];
	size_t n = gm_slots(gm, slots);

	for (size_t i = 0; i < n; i++) {
		struct kvm_userspace_memory_region r = {
			.slot = (uint32_t)i,
			.guest_phys_addr = slots[i].gpa,
			.memory_size = slots[i].size,
			.userspace_addr = (uint64_t)(uintptr_t)slots[i].hva,
		};

		if (ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &r))
			return err_sys(e, errno, "kvm.memory", "guest memory at %#llx",
				       (unsigned long long)slots[i].gpa);
	}
	return 0;
}

int kvm_vm_new(const struct guestmem *gm, struct kvm_vm **ret, struct err *e)
{
	AUTO(kvm_vm) vm = mem_zalloc(sizeof(*vm));
	uint64_t identity = IDENTITY_MAP_GPA;
	int rc;

	if (!vm)
		return err_nomem(e);
	vm->kvm_fd = vm->fd = -1;
	rc = open_kvm(vm, e);
	if (rc)
		return rc;
	do /* a signal may interrupt it (Linux kvm_create_vm: mmu_notifier_register) */
		vm->fd = ioctl(vm->kvm_fd, KVM_CREATE_VM, 0);
	while (vm->fd < 0 && errno == EINTR);
	if (vm->fd < 0)
		return err_sys(e, errno, "kvm.create", "KVM_CREATE_VM");
	rc = add_memory(vm, gm, e);
	if (rc)
		return rc;
	if (ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity) ||
	    ioctl(vm->fd, KVM_SET_TSS_ADDR, TSS_GPA) || ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0))
		return err_sys(e, errno, "kvm.irqchip", "KVM_CREATE_IRQCHIP");
	*ret = take_ptr(vm);
	return 0;
}

void kvm_vm_free(struct kvm_vm *vm)
{
	if (!vm)
		return;
	cleanup_close(&vm->fd);
	cleanup_close(&vm->kvm_fd);
	free(vm);
}

void kvm_vm_msi(struct kvm_vm *vm, uint64_t addr, uint32_t data)
{
	struct kvm_msi msi = {
		.address_lo = (uint32_t)addr, .address_hi = (uint32_t)(addr >> 32), .data = data};

	/* 0: the guest blocked it; an error: the address is no interrupt's.  Both are the
	 * guest's. */
	(void)ioctl(vm->fd, KVM_SIGNAL_MSI, &msi);
}

void kvm_vm_irq(struct kvm_vm *vm, uint32_t gsi, bool level)
{
	struct kvm_irq_level irq = {.irq = gsi, .level = level};

	(void)ioctl(vm->fd, KVM_IRQ_LINE, &irq); /* fails only without an irqchip, which we made */
}

int kvm_vm_irqfd(struct kvm_vm *vm, int fd, uint32_t gsi, struct err *e)
{
	struct kvm_irqfd irqfd = {.fd = (uint32_t)fd, .gsi = gsi};

	if (ioctl(vm->fd, KVM_IRQFD, &irqfd))
		return err_sys(e, errno, "kvm.irqfd", "KVM_IRQFD on interrupt %u", gsi);
	return 0;
}

int kvm_vm_notify(struct kvm_vm *vm, const struct kvm_notify *n, bool on)
{
	struct kvm_ioeventfd io = {
		.datamatch = n->value,
		.addr = n->addr,
		.len = n->len,
		.fd = n->fd,
		.flags = (n->match ? KVM_IOEVENTFD_FLAG_DATAMATCH : 0u) |
			 (on ? 0u : KVM_IOEVENTFD_FLAG_DEASSIGN),
	};

	return ioctl(vm->fd, KVM_IOEVENTFD, &io) ? -errno : 0;
}
