/*
 * Writes the tables one behind the other, each with its header and checksum (ACPI 6.4 sec. 5.2.6).
 *
 * Header: 0 "SIGN"  4 u32 length  8 u8 revision  9 u8 checksum: all bytes sum up to 0  10 OEM id[6]
 *	16 OEM table id[8]  24 u32 OEM revision  28 creator id[4]  32 u32 creator revision
 */
#include "acpi/acpi.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"

#define HEADER_LEN	 36u
#define CHECKSUM_AT	 9u
#define TABLE_ALIGN	 16u
#define FADT_LEN	 276u /* revision 6 (sec. 5.2.9) */
#define RSDP_LEN	 36u
#define RSDP_V1_LEN	 20u /* its first checksum covers these */
#define IOAPIC_ID	 0u
#define LAPIC_ENABLED	 1u
#define SPACE_IO	 1u
#define FADT_RESET	 (1u << 10) /* the reset register is there */
#define FADT_HW_REDUCED	 (1u << 20)
#define BOOT_ARCH_NO_VGA 0x4u /* no 8042 either: its flag, bit 1, is not set */
#define RESET_VALUE	 1u

struct writer {
	struct guestmem *gm;
	gpa_t at, end;
};

static void put(struct buf *b, uint64_t v, size_t bytes)
{
	v = htole64(v);
	(void)buf_add(b, &v, bytes); /* kept in b->failed */
}

static void zeroes(struct buf *b, size_t n)
{
	while (n--)
		put(b, 0, 1);
}

static void header(struct buf *b, const char *signature, uint8_t revision)
{
	(void)buf_puts(b, signature);
	put(b, 0, 4);
	put(b, revision, 1);
	put(b, 0, 1);
	(void)buf_add(b, "HEARTHHEARTHVM", 14); /* OEM id and OEM table id */
	put(b, 1, 4);
	(void)buf_add(b, "HRTH", 4);
	put(b, 1, 4);
}

static uint8_t checksum(const char *data, size_t len)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + (uint8_t)data[i]);
	return (uint8_t)-sum;
}

/* Fill in length and checksum, and write the table to the guest; *ret_gpa is where. */
static int finish(struct writer *w, struct buf *b, gpa_t *ret_gpa, struct err *e)
{
	uint32_t len = htole32((uint32_t)b->len);

	if (b->failed)
		return err_nomem(e);
	memcpy(b->data + 4, &len, sizeof(len));
	b->data[CHECKSUM_AT] = (char)checksum(b->data, b->len);
	if (!gm_inside(w->at, b->len, w->at, w->end - w->at) ||
	    gm_write(w->gm, w->at, b->data, b->len))
		return err_set(e, -ENOSPC, ERR_LIMIT, "acpi.space",
			       "the ACPI tables do not fit below %#llx",
			       (unsigned long long)w->end);
	*ret_gpa = w->at;
	w->at = (w->at + b->len + TABLE_ALIGN - 1) & ~(gpa_t)(TABLE_ALIGN - 1);
	return 0;
}

/* A generic address of one byte in I/O space (sec. 5.2.3.2). */
static void io_register(struct buf *b, uint16_t port)
{
	put(b, SPACE_IO, 1);
	put(b, 8, 1);
	put(b, 0, 1);
	put(b, 1, 1); /* byte access */
	put(b, port, 8);
}

static void fadt(const struct acpi_machine *m, gpa_t dsdt, struct buf *b)
{
	header(b, "FACP", 6);
	zeroes(b, 4);		   /* FACS: hardware-reduced ACPI needs none */
	put(b, (uint32_t)dsdt, 4); /* below 1 MiB */
	zeroes(b, 109 - 44);
	put(b, BOOT_ARCH_NO_VGA, 2);
	zeroes(b, 1);
	put(b, FADT_HW_REDUCED | FADT_RESET, 4);
	io_register(b, (uint16_t)(m->power_port + 2));
	put(b, RESET_VALUE, 1);
	zeroes(b, 2);
	put(b, 4, 1); /* minor version: 6.4 */
	zeroes(b, 8); /* X_FIRMWARE_CTRL */
	put(b, dsdt, 8);
	zeroes(b, 244 - 148);
	io_register(b, m->power_port);
	io_register(b, (uint16_t)(m->power_port + 1));
	(void)buf_puts(b, "HEARTH"); /* hypervisor vendor identity, 8 bytes */
	zeroes(b, FADT_LEN - b->len);
}

static void madt(const struct acpi_machine *m, struct buf *b)
{
	header(b, "APIC", 5);
	put(b, m->lapic_gpa, 4);
	put(b, 0, 4); /* no 8259 pair */
	for (unsigned i = 0; i < m->vcpus_n; i++) {
		put(b, 0, 1); /* processor local APIC, 8 bytes (sec. 5.2.12.2) */
		put(b, 8, 1);
		put(b, i, 1);
		put(b, i, 1);
		put(b, LAPIC_ENABLED, 4);
	}
	put(b, 1, 1); /* I/O APIC, 12 bytes (sec. 5.2.12.3) */
	put(b, 12, 1);
	put(b, IOAPIC_ID, 1);
	put(b, 0, 1);
	put(b, m->ioapic_gpa, 4);
	put(b, 0, 4);
}

/* PCI Firmware 3.3 sec. 4.1.2: one segment, bus 0 alone. */
static void mcfg(const struct acpi_machine *m, struct buf *b)
{
	header(b, "MCFG", 1);
	zeroes(b, 8);
	put(b, m->pci.ecam_gpa, 8);
	zeroes(b, 8); /* segment 0, buses 0 to 0, reserved */
}

static int write_rsdp(struct guestmem *gm, gpa_t at, gpa_t xsdt, struct err *e)
{
	auto_buf b = {0};

	(void)buf_add(&b, "RSD PTR ", 8);
	put(&b, 0, 1); /* checksum of the first 20 bytes */
	(void)buf_add(&b, "HEARTH", 6);
	put(&b, 2, 1);
	put(&b, 0, 4); /* no RSDT */
	put(&b, RSDP_LEN, 4);
	put(&b, xsdt, 8);
	zeroes(&b, 4);
	if (b.failed)
		return err_nomem(e);
	b.data[8] = (char)checksum(b.data, RSDP_V1_LEN);
	b.data[32] = (char)checksum(b.data, RSDP_LEN);
	if (gm_write(gm, at, b.data, b.len))
		return err_set(e, -ENOSPC, ERR_LIMIT, "acpi.space", "no memory at %#llx",
			       (unsigned long long)at);
	return 0;
}

static int write_dsdt(struct writer *w, const struct acpi_machine *m, gpa_t *ret, struct err *e)
{
	auto_buf b = {0};

	header(&b, "DSDT", 2);
	acpi_dsdt(m, &b);
	return finish(w, &b, ret, e);
}

static int write_others(struct writer *w, const struct acpi_machine *m, gpa_t dsdt,
			struct buf *xsdt, struct err *e)
{
	static void (*const tables[])(const struct acpi_machine *, struct buf *) = {madt, mcfg};
	auto_buf b = {0};
	gpa_t at;
	int rc;

	fadt(m, dsdt, &b);
	rc = finish(w, &b, &at, e);
	put(xsdt, at, 8);
	for (size_t i = 0; i < ARRAY_LEN(tables) && !rc; i++) {
		if (tables[i] == mcfg && !m->pci.ecam_gpa)
			continue;
		buf_reset(&b);
		tables[i](m, &b);
		rc = finish(w, &b, &at, e);
		put(xsdt, at, 8);
	}
	return rc;
}

int acpi_write(struct guestmem *gm, const struct acpi_machine *m, gpa_t at, gpa_t end,
	       gpa_t rsdp_gpa, struct err *e)
{
	struct writer w = {gm, (at + TABLE_ALIGN - 1) & ~(gpa_t)(TABLE_ALIGN - 1), end};
	auto_buf xsdt = {0};
	gpa_t dsdt = 0, root = 0;
	int rc;

	header(&xsdt, "XSDT", 1);
	rc = write_dsdt(&w, m, &dsdt, e);
	if (!rc)
		rc = write_others(&w, m, dsdt, &xsdt, e);
	if (!rc)
		rc = finish(&w, &xsdt, &root, e);
	if (!rc)
		rc = write_rsdp(gm, rsdp_gpa, root, e);
	return rc;
}
