#pragma once
/*
 * The two ways in which a guest reaches a virtio device: registers in memory, or a PCI function
 * (virtio 1.2 sec. 4.2 and 4.1).
 *
 * Made by the machine before the vCPUs run; registers are accessed on vCPU threads.  A transport
 * owns its device.  Trust: every access is the guest's.
 */
#include <stdbool.h>
#include <stdint.h>

#include "bus/bus.h"
#include "pci/msix.h"
#include "pci/pci.h"
#include "virtio/device.h"

struct err;

/* What transports need of the machine; without KVM (in tests) kick_at does nothing. */
struct transport_host {
	/* A 16-bit or 32-bit write of `value` (match), or of anything, to addr signals fd, without
	 * a call of ours.  Failure: writes come through the bus, only slower. */
	void (*kick_at)(void *ctx, uint64_t addr, bool match, uint32_t value, int fd, bool on);
	void (*msi)(void *ctx, uint64_t addr, uint32_t data); /* any thread */
	void *ctx;
};

/* --- mmio.c --- */

#define VIRTIO_MMIO_SIZE 0x1000u

struct virtio_mmio;
/* irq_fd: owned eventfd that raises the device's interrupt.  Takes dev, also on failure. */
int virtio_mmio_new(struct vdev *dev, uint64_t gpa, int irq_fd, const struct transport_host *host,
		    struct bus *mmio, struct virtio_mmio **ret, struct err *e);
void virtio_mmio_free(struct virtio_mmio *t);

/* --- pci.c --- */

struct virtio_pci;
/* Takes dev, also on failure. */
int virtio_pci_new(struct vdev *dev, const struct transport_host *host, struct pci_host *pci,
		   struct virtio_pci **ret, struct err *e);
void virtio_pci_free(struct virtio_pci *t);
struct pci_function *virtio_pci_function(struct virtio_pci *t); /* for tests */
