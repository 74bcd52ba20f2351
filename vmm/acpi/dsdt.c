/*
 * The DSDT: serial port, clock, virtio-mmio devices or the PCI host bridge, and the sleep state S5.
 */
#include "acpi/acpi.h"

#include <stdio.h>

#include "acpi/aml.h"
#include "base/str.h"

#define SLEEP_S5     5u /* SLP_TYP of legacy/platform.c */
#define PCI_CF8	     0xcf8u
#define DSM_FUNCTION 5u /* keep the boot configuration (PCI Firmware 3.3 sec. 4.6.5) */

static void serial_and_clock(const struct acpi_machine *m, struct buf *b)
{
	size_t device = aml_device(b, "COM1"), res;

	aml_name(b, "_HID");
	aml_eisa_id(b, "PNP0501");
	aml_name(b, "_UID");
	aml_int(b, 0);
	aml_name(b, "_CRS");
	res = aml_resources(b);
	aml_res_io(b, m->serial_port, (uint8_t)m->serial_len);
	aml_res_irq(b, m->serial_gsi);
	aml_resources_close(b, res);
	aml_close(b, device);

	device = aml_device(b, "RTC_");
	aml_name(b, "_HID");
	aml_eisa_id(b, "PNP0B00");
	aml_name(b, "_CRS");
	res = aml_resources(b);
	aml_res_io(b, m->rtc_port, 2);
	aml_resources_close(b, res);
	aml_close(b, device);
}

static void virtio_mmio(const struct acpi_mmio *d, unsigned index, struct buf *b)
{
	char name[5];
	size_t device, res;

	(void)snprintf(name, sizeof(name), "V%03X", index & 0xfffu); /* fits */
	device = aml_device(b, name);
	aml_name(b, "_HID");
	aml_str(b, "LNRO0005"); /* Linux drivers/virtio/virtio_mmio.c */
	aml_name(b, "_UID");
	aml_int(b, index);
	aml_name(b, "_CRS");
	res = aml_resources(b);
	aml_res_memory32(b, d->gpa, d->len);
	aml_res_irq(b, d->gsi);
	aml_resources_close(b, res);
	aml_close(b, device);
}

/* _DSM of the host bridge: function 0 says that function 5 is there, function 5 says that the guest
 * must keep our BAR assignment. */
static void pci_dsm(struct buf *b)
{
	static const uint8_t has[] = {1 | 1 << DSM_FUNCTION}, none[] = {0};
	size_t method = aml_method(b, "_DSM", 4), branch;

	branch = aml_if_arg_is(b, 2, 0);
	aml_return_bytes(b, has, sizeof(has));
	aml_close(b, branch);
	branch = aml_if_arg_is(b, 2, DSM_FUNCTION);
	aml_return_int(b, 0);
	aml_close(b, branch);
	aml_return_bytes(b, none, sizeof(none));
	aml_close(b, method);
}

static void pci_bridge(const struct acpi_pci *p, struct buf *b)
{
	size_t device = aml_device(b, "PCI0"), res;

	aml_name(b, "_HID");
	aml_eisa_id(b, "PNP0A08");
	aml_name(b, "_CID");
	aml_eisa_id(b, "PNP0A03");
	aml_name(b, "_UID");
	aml_int(b, 0);
	aml_name(b, "_SEG");
	aml_int(b, 0);
	aml_name(b, "_BBN");
	aml_int(b, 0);
	aml_name(b, "_CRS");
	res = aml_resources(b);
	aml_res_bus_range(b, 0, 0);
	aml_res_io(b, PCI_CF8, 8);
	aml_res_memory_range32(b, p->mem32, p->mem32_end);
	aml_res_memory_range64(b, p->mem64, p->mem64_end);
	aml_res_io_range(b, 0, PCI_CF8 - 1);
	aml_res_io_range(b, PCI_CF8 + 8, 0xffff);
	aml_resources_close(b, res);
	pci_dsm(b);
	aml_close(b, device);

	device = aml_device(b, "ECAM"); /* reserves the window, or Linux calls it a firmware bug */
	aml_name(b, "_HID");
	aml_eisa_id(b, "PNP0C02");
	aml_name(b, "_CRS");
	res = aml_resources(b);
	aml_res_memory32(b, (uint32_t)p->ecam_gpa, (uint32_t)p->ecam_size);
	aml_resources_close(b, res);
	aml_close(b, device);
}

void acpi_dsdt(const struct acpi_machine *m, struct buf *b)
{
	size_t scope = aml_scope(b, "\\_SB_"), package;

	serial_and_clock(m, b);
	for (size_t i = 0; i < m->mmio_n; i++)
		virtio_mmio(&m->mmio[i], (unsigned)i, b);
	if (m->pci.ecam_gpa)
		pci_bridge(&m->pci, b);
	aml_close(b, scope);
	aml_name(b, "\\_S5_");
	package = aml_package(b, 2);
	aml_int(b, SLEEP_S5);
	aml_int(b, 0);
	aml_close(b, package);
}
