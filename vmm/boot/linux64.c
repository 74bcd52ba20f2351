/*
 * The zero page, GDT and page tables of Linux's 64-bit boot protocol
 * (Documentation/x86/boot.rst, "64-bit boot protocol"; Documentation/x86/zero-page.rst).
 *
 * Zero page: 0x070 u64 acpi_rsdp_addr   0x1e8 u8 e820_entries   0x1f1 setup_header
 *	0x2d0 e820_table of {u64 addr, u64 size, u32 type}
 * In setup_header, from the page's start: 0x1fe u16 0xaa55  0x202 "HdrS"  0x206 u16 protocol
 *	0x210 u8 type_of_loader  0x211 u8 loadflags  0x218 u32 ramdisk_image
 *	0x21c u32 ramdisk_size   0x228 u32 cmd_line_ptr   0x230 u32 kernel_alignment
 *	0x236 u16 xloadflags     0x238 u32 cmdline_size
 */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "boot/boot_internal.h"

#define LOADER_UNDEFINED 0xffu
#define PROTOCOL	 0x20fu /* 2.15, Linux 5.5: what the fields below belong to */
#define E820_SIZE	 20u
#define HUGE_PAGE	 (2u << 20)

/* Page table bits (AMD64 manual vol. 2 sec. 5.4): present, writable, page size. */
#define PTE_TABLE 0x3u
#define PTE_HUGE  0x83u

static void put16(uint8_t *p, uint16_t v)
{
	v = htole16(v);
	memcpy(p, &v, sizeof(v));
}

static void put32(uint8_t *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, sizeof(v));
}

static void put64(uint8_t *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, sizeof(v));
}

static void fill_header(uint8_t *page, const struct boot_kernel *k, const struct boot_placed *at)
{
	if (k->has_header) {
		memcpy(page + 0x1f1, k->header, k->header_len);
	} else { /* an ELF brings none: say what the kernel asks for */
		put16(page + 0x1fe, 0xaa55);
		memcpy(page + 0x202, "HdrS", 4);
		put16(page + 0x206, PROTOCOL);
		put32(page + 0x230, HUGE_PAGE);
		put32(page + 0x238, BOOT_CMDLINE_MAX - 1);
	}
	page[0x210] = LOADER_UNDEFINED;
	put32(page + 0x228, BOOT_CMDLINE_GPA);
	put32(page + 0x218, (uint32_t)at->initrd_gpa); /* below 2 GiB */
	put32(page + 0x21c, (uint32_t)at->initrd_len);
}

static void fill_memmap(uint8_t *page, const struct guestmem *gm, const struct boot_files *files)
{
	struct memmap_entry map[MEMMAP_MAX];
	size_t n = memmap_make(gm, files, map);

	page[0x1e8] = (uint8_t)n;
	for (size_t i = 0; i < n; i++) {
		uint8_t *p = page + 0x2d0 + i * E820_SIZE;

		put64(p, map[i].gpa);
		put64(p + 8, map[i].size);
		put32(p + 16, map[i].type);
	}
}

/* Identity map of the first GiB in pages of 2 MiB: kernel, zero page and command line. */
static int write_page_tables(struct guestmem *gm)
{
	uint8_t tables[3 * GM_PAGE] = {0};

	put64(tables, (BOOT_PML4_GPA + GM_PAGE) | PTE_TABLE);
	put64(tables + GM_PAGE, (BOOT_PML4_GPA + 2 * GM_PAGE) | PTE_TABLE);
	for (size_t i = 0; i < GM_PAGE / 8; i++)
		put64(tables + 2 * (size_t)GM_PAGE + i * 8, i * HUGE_PAGE | PTE_HUGE);
	return gm_write(gm, BOOT_PML4_GPA, tables, sizeof(tables));
}

/* Selectors 0x10 code and 0x18 data, as the protocol demands; the vCPU's registers cache them. */
static int write_gdt(struct guestmem *gm)
{
	static const uint64_t gdt[] = {0, 0, 0x00af9b000000ffffull, 0x00cf93000000ffffull};
	uint8_t bytes[sizeof(gdt)];

	for (size_t i = 0; i < ARRAY_LEN(gdt); i++)
		put64(bytes + i * 8, gdt[i]);
	return gm_write(gm, BOOT_GDT_GPA, bytes, sizeof(bytes));
}

int linux64_write(struct guestmem *gm, const struct boot_kernel *k, const struct boot_files *files,
		  const struct boot_placed *at, struct err *e)
{
	uint8_t page[GM_PAGE] = {0};

	fill_header(page, k, at);
	fill_memmap(page, gm, files);
	put64(page + 0x70, BOOT_RSDP_GPA);
	if (gm_write(gm, BOOT_ZERO_GPA, page, sizeof(page)) || write_page_tables(gm) ||
	    write_gdt(gm))
		return err_set(e, -ENOSPC, ERR_CALLER, "memory.size",
			       "memory is too small for the kernel's boot data");
	return 0;
}
