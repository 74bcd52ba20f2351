#pragma once
/*
 * Puts a kernel, its initramfs, its command line and its tables into guest memory, and says how the
 * first vCPU enters it.
 *
 * Called by the machine on the main thread before any vCPU runs.  Trust: kernel and initramfs are
 * files of a user and may be hostile; nothing here writes outside guest memory because of them.
 *
 * Where things lie (the same as Firecracker, so that its users' knowledge holds):
 *	0x500     GDT                       0x6000  PVH start_info, modules; 0x7000 map
 *	0x7000    zero page (64-bit entry)  0x8ff0  stack
 *	0x9000    PML4, PDPT, PD            0x20000 command line, 2048 bytes
 *	0x9fc00   ACPI tables, up to 0xe0000, where the RSDP lies
 *	1 MiB     kernel; the initramfs at the top of the RAM below 2 GiB
 */
#include <stdbool.h>
#include <stdint.h>

#include "guestmem/guestmem.h"

struct err;
struct buf;

#define BOOT_GDT_GPA	 0x500u
#define BOOT_PVH_GPA	 0x6000u
#define BOOT_ZERO_GPA	 0x7000u
#define BOOT_STACK_GPA	 0x8ff0u
#define BOOT_PML4_GPA	 0x9000u
#define BOOT_CMDLINE_GPA 0x20000u
#define BOOT_CMDLINE_MAX 2048u /* bytes with the NUL: Linux x86 COMMAND_LINE_SIZE */
#define BOOT_TABLES_GPA	 0x9fc00u
#define BOOT_RSDP_GPA	 0xe0000u
#define BOOT_KERNEL_GPA	 0x100000u
/* header field initrd_addr_max of every x86 kernel, plus 1 */
#define BOOT_INITRD_END 0x80000000ull

/* Above the RAM below 4 GiB begins the hole for devices. */
#define BOOT_HOLE_GPA	0xc0000000ull
#define BOOT_ABOVE_GPA	0x100000000ull
#define BOOT_IOAPIC_GPA 0xfec00000u
#define BOOT_LAPIC_GPA	0xfee00000u

enum boot_protocol {
	BOOT_LINUX64, /* long mode, RSI = zero page (Documentation/x86/boot.rst, 64-bit) */
	BOOT_PVH,     /* 32-bit protected mode, EBX = start_info (Xen docs/misc/pvh.pandoc) */
};

/* How the first vCPU begins. */
struct boot_entry {
	enum boot_protocol protocol;
	gpa_t ip;
};

struct boot_files {
	int kernel_fd;	     /* borrowed */
	int initrd_fd;	     /* borrowed; -1: none */
	const char *cmdline; /* checked by boot_cmdline_check */
	gpa_t ecam_gpa;	     /* reserved in the memory map; 0: none */
	uint64_t ecam_size;
};

/* What a kernel file gave: where it is entered, and what of a bzImage's header the zero page needs.
 */
struct boot_kernel {
	struct boot_entry entry;
	gpa_t end;	     /* first byte behind it, with its BSS */
	bool has_header;     /* header[] holds setup_header of a bzImage */
	uint8_t header[128]; /* from offset 0x1f1 on */
	size_t header_len;
};

/* Load all of it; *ret says how to enter. */
int boot_load(struct guestmem *gm, const struct boot_files *files, struct boot_entry *ret,
	      struct err *e);

/* -EINVAL when a byte is not printable ASCII, -E2BIG when it is too long for the kernel. */
int boot_cmdline_check(const char *cmdline, struct err *e);
/* Put `word` at the end of the kernel's part: before a " -- " that begins the arguments of init. */
int boot_cmdline_add(struct buf *cmdline, const char *word);
