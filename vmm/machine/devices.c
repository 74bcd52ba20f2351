/*
 * Makes the virtio devices of the configuration and puts all of them on PCI or all on MMIO.
 *
 * Their order is Firecracker's: drives (the root device is the first), network, entropy.  The guest
 * finds them in it, so that the root drive is /dev/vda.
 */
#include <errno.h>
#include <sys/eventfd.h>

#include "base/err.h"
#include "devices/devices.h"
#include "machine/machine_internal.h"

#define MMIO_GPA  0xc0001000ull /* as Firecracker's first device */
#define GSI_FIRST 5u
#define GSI_LAST  23u
#define MMIO_KICK 4u /* bytes of a write to QueueNotify */

static void kick_at(void *ctx, uint64_t addr, bool match, uint32_t value, int fd, bool on)
{
	struct machine *m = ctx;
	struct kvm_notify n = {addr, match ? MMIO_KICK : 0, match, value, fd};

	/* Where it can't be had, writes come through the bus: slower, but right. */
	(void)kvm_vm_notify(m->vm, &n, on);
}

static void msi(void *ctx, uint64_t addr, uint32_t data)
{
	struct machine *m = ctx;

	kvm_vm_msi(m->vm, addr, data);
}

static int attach_mmio(struct machine *m, struct vdev *dev, struct err *e)
{
	struct transport_host host = {kick_at, msi, m};
	unsigned i = m->mmio_n;
	uint32_t gsi = GSI_FIRST + i;
	int fd, rc;

	if (gsi > GSI_LAST) {
		vdev_free(dev);
		return err_set(e, -ENOSPC, ERR_LIMIT, "machine.devices",
			       "on MMIO there is room for %u devices; --enable-pci has more",
			       GSI_LAST - GSI_FIRST + 1);
	}
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	rc = fd < 0 ? err_sys(e, errno, "machine.eventfd", "eventfd")
		    : kvm_vm_irqfd(m->vm, fd, gsi, e);
	if (rc) {
		cleanup_close(&fd);
		vdev_free(dev);
		return rc;
	}
	m->acpi_mmio[i] = (struct acpi_mmio){(uint32_t)MMIO_GPA + i * VIRTIO_MMIO_SIZE,
					     VIRTIO_MMIO_SIZE, gsi};
	rc = virtio_mmio_new(dev, m->acpi_mmio[i].gpa, fd, &host, &m->mmio, &m->mmio_devices[i], e);
	if (!rc)
		m->mmio_n++;
	return rc;
}

static int attach(struct machine *m, struct vdev *dev, struct err *e)
{
	struct transport_host host = {kick_at, msi, m};
	int rc;

	if (!m->cfg.pci)
		return attach_mmio(m, dev, e);
	rc = virtio_pci_new(dev, &host, &m->pci, &m->pci_devices[m->pci_n], e);
	if (!rc)
		m->pci_n++;
	return rc;
}

static int add_drive(struct machine *m, const struct vm_drive *d, struct err *e)
{
	struct blk_config c = {d->path, d->read_only, d->writeback};
	struct vdev *dev;
	int rc = blk_new(&c, m->gm, m->loop, &dev, e);

	return rc ? rc : attach(m, dev, e);
}

static int add_net(struct machine *m, const struct vm_net *n, struct err *e)
{
	struct net_config c = {n->tap, n->has_mac ? n->mac : NULL, n->mtu};
	struct vdev *dev;
	int rc = net_new(&c, m->gm, m->loop, &dev, e);

	return rc ? rc : attach(m, dev, e);
}

int devices_attach(struct machine *m, struct err *e)
{
	struct vdev *dev;
	int rc = 0;

	if (m->cfg.pci) {
		pci_host_init(&m->pci);
		rc = pci_host_attach(&m->pci, &m->pio, &m->mmio, e);
	}
	for (unsigned i = 0; i < m->cfg.drives_n && !rc; i++)
		rc = add_drive(m, &m->cfg.drives[i], e);
	for (unsigned i = 0; i < m->cfg.nets_n && !rc; i++)
		rc = add_net(m, &m->cfg.nets[i], e);
	if (!rc && m->cfg.entropy) {
		rc = rng_new(m->gm, m->loop, &dev, e);
		if (!rc)
			rc = attach(m, dev, e);
	}
	return rc;
}

void devices_detach(struct machine *m)
{
	while (m->mmio_n)
		virtio_mmio_free(m->mmio_devices[--m->mmio_n]);
	while (m->pci_n)
		virtio_pci_free(m->pci_devices[--m->pci_n]);
}
