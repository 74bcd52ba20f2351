/*
 * Fuzz target: register accesses to the PCI host and to the entropy device on it: configuration
 * space by ports and ECAM, BARs moved, MSI-X table, common configuration, notifications.
 *
 * Input: operations of 12 bytes: u8 where (port, ECAM, BAR, elsewhere in the window), u8 length and
 * direction, u16 nothing, u32 offset, u32 value.
 */
#include "../unit/fake_driver.h"
#include "devices/devices.h"
#include "fuzz.h"

#define OP_LEN	12u
#define OPS_MAX 512u

static uint64_t address(uint8_t where, uint32_t off)
{
	switch (where % 4) {
	case 0:
		return PCI_CONFIG_PORTS + off % 8;
	case 1:
		return PCI_ECAM_GPA + off % PCI_ECAM_SIZE;
	case 2:
		return PCI_MEM64_GPA + off % 0x90000;
	default:
		return PCI_MEM32_GPA + off % (PCI_MEM32_END - PCI_MEM32_GPA);
	}
}

static void operate(struct bus *pio, struct bus *mmio, const uint8_t *op)
{
	uint64_t addr = address(op[0], (uint32_t)pci_get(op + 4, 4));
	unsigned len = 1u << (op[1] & 3);
	uint8_t data[BUS_ACCESS_MAX] = {0};
	struct bus *b = op[0] % 4 == 0 ? pio : mmio;

	memcpy(data, op + 8, 4);
	if (op[1] & 0x80)
		bus_read(b, addr, data, len);
	else
		bus_write(b, addr, data, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct transport_host host = {fake_no_kick, fake_no_msi, NULL};
	struct bus pio = {.regions_n = 0};
	static struct pci_host pci; /* large; set up anew each time */
	struct virtio_pci *t;
	struct vdev *dev;
	struct fake f;

	pci = (struct pci_host){.address = 0};
	fake_memory(&f);
	pci_host_init(&pci);
	assert(pci_host_attach(&pci, &pio, &f.mmio, NULL) == 0);
	assert(rng_new(f.gm, f.loop, &dev, NULL) == 0);
	assert(virtio_pci_new(dev, &host, &pci, &t, NULL) == 0);
	for (unsigned i = 0; i < OPS_MAX && size >= OP_LEN; i++, data += OP_LEN, size -= OP_LEN)
		operate(&pio, &f.mmio, data);
	(void)loop_step(f.loop, 0, NULL);
	virtio_pci_free(t);
	loop_free(f.loop);
	gm_free(f.gm);
	return 0;
}
