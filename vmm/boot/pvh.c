/*
 * The start-of-day structure of the PVH protocol (Xen public/arch-x86/hvm/start_info.h), version 1:
 *
 *	 0 u32 magic 0x336ec578   4 u32 version 1     8 u32 flags      12 u32 nr_modules
 *	16 u64 modlist_paddr     24 u64 cmdline_paddr 32 u64 rsdp_paddr
 *	40 u64 memmap_paddr      48 u32 memmap_entries 52 u32 reserved
 * module: u64 paddr, u64 size, u64 cmdline_paddr, u64 reserved
 * memory map entry: u64 addr, u64 size, u32 type, u32 reserved
 */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "boot/boot_internal.h"

#define PVH_MAGIC      0x336ec578u
#define PVH_MODULE_GPA (BOOT_PVH_GPA + 0x40u)
#define PVH_MEMMAP_GPA 0x7000u

struct start_info {
	uint32_t magic, version, flags, nr_modules;
	uint64_t modlist_paddr, cmdline_paddr, rsdp_paddr, memmap_paddr;
	uint32_t memmap_entries, reserved;
};

struct module {
	uint64_t paddr, size, cmdline_paddr, reserved;
};

struct map_entry {
	uint64_t addr, size;
	uint32_t type, reserved;
};

int pvh_write(struct guestmem *gm, const struct boot_files *files, const struct boot_placed *at,
	      struct err *e)
{
	struct module module = {.paddr = htole64(at->initrd_gpa), .size = htole64(at->initrd_len)};
	struct memmap_entry map[MEMMAP_MAX];
	struct map_entry entries[MEMMAP_MAX] = {{0}};
	uint32_t n = (uint32_t)memmap_make(gm, files, map);
	struct start_info info = {
		.magic = htole32(PVH_MAGIC),
		.version = htole32(1),
		.nr_modules = htole32(at->initrd_len ? 1 : 0),
		.modlist_paddr = htole64(at->initrd_len ? PVH_MODULE_GPA : 0),
		.cmdline_paddr = htole64(BOOT_CMDLINE_GPA),
		.rsdp_paddr = htole64(BOOT_RSDP_GPA),
		.memmap_paddr = htole64(PVH_MEMMAP_GPA),
		.memmap_entries = htole32(n),
	};

	for (uint32_t i = 0; i < n; i++)
		entries[i] = (struct map_entry){htole64(map[i].gpa), htole64(map[i].size),
						htole32(map[i].type), 0};
	if (gm_write(gm, BOOT_PVH_GPA, &info, sizeof(info)) ||
	    gm_write(gm, PVH_MODULE_GPA, &module, sizeof(module)) ||
	    gm_write(gm, PVH_MEMMAP_GPA, entries, n * sizeof(entries[0])))
		return err_set(e, -ENOSPC, ERR_CALLER, "memory.size",
			       "memory is too small for the kernel's boot data");
	return 0;
}
