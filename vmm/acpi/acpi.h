#pragma once
/*
 * The ACPI tables of the machine: RSDP, XSDT, FADT (hardware-reduced), MADT, MCFG, DSDT.
 *
 * Called by the machine before the vCPUs run.  Each device stands in them exactly once; the
 * addresses come from those who own them.  Trust: only our own values come here.
 */
#include <stddef.h>
#include <stdint.h>

#include "guestmem/guestmem.h"

struct buf;
struct err;

/* One virtio-mmio device. */
struct acpi_mmio {
	uint32_t gpa, len;
	uint32_t gsi;
};

struct acpi_pci {
	uint64_t ecam_gpa;	   /* 0: no PCI */
	uint64_t ecam_size;	   /* 1 MiB for the one bus */
	uint32_t mem32, mem32_end; /* windows: first byte and last byte */
	uint64_t mem64, mem64_end;
};

struct acpi_machine {
	unsigned vcpus_n;
	uint32_t ioapic_gpa, lapic_gpa;
	uint16_t serial_port, serial_len, rtc_port, power_port;
	uint32_t serial_gsi;
	const struct acpi_mmio *mmio;
	size_t mmio_n;
	struct acpi_pci pci;
};

/* The DSDT's body; failures are in b->failed. */
void acpi_dsdt(const struct acpi_machine *m, struct buf *b);
/* Write all tables to [at, end) and the RSDP to rsdp_gpa. */
int acpi_write(struct guestmem *gm, const struct acpi_machine *m, gpa_t at, gpa_t end,
	       gpa_t rsdp_gpa, struct err *e);
