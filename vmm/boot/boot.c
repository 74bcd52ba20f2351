/*
 * Loads kernel, initramfs and command line, and writes the memory map.
 */
#include "boot/boot.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/err.h"
#include "boot/boot_internal.h"

/* the largest with debug data that is meant to boot */
#define KERNEL_FILE_MAX ((uint64_t)512 << 20)

/* --- command line --- */

int boot_cmdline_check(const char *cmdline, struct err *e)
{
	size_t len = strlen(cmdline);

	for (size_t i = 0; i < len; i++)
		if (cmdline[i] < 0x20 || cmdline[i] > 0x7e)
			return err_set(e, -EINVAL, ERR_CALLER, "cmdline.byte",
				       "kernel command line: byte %zu is not printable ASCII", i);
	if (len >= BOOT_CMDLINE_MAX)
		return err_set(e, -E2BIG, ERR_CALLER, "cmdline.length",
			       "kernel command line: %zu bytes, the kernel takes %u", len,
			       BOOT_CMDLINE_MAX - 1);
	return 0;
}

int boot_cmdline_add(struct buf *cmdline, const char *word)
{
	const char *text = buf_text(cmdline), *args = strstr(text, " -- ");
	auto_buf out = {0};
	size_t head = args ? (size_t)(args - text) : cmdline->len;

	(void)buf_add(&out, text, head); /* failures are kept in out.failed */
	(void)buf_printf(&out, "%s%s", head ? " " : "", word);
	(void)buf_puts(&out, text + head);
	if (out.failed)
		return -ENOMEM;
	buf_done(cmdline);
	*cmdline = out;
	out = (struct buf){0};
	return 0;
}

/* --- memory map --- */

size_t memmap_make(const struct guestmem *gm, const struct boot_files *files,
		   struct memmap_entry ret[MEMMAP_MAX])
{
	struct gm_slot slots[GM_REGIONS_MAX];
	size_t slots_n = gm_slots(gm, slots), n = 0;

	ret[n++] = (struct memmap_entry){0, BOOT_TABLES_GPA, MEMMAP_RAM};
	ret[n++] = (struct memmap_entry){BOOT_TABLES_GPA, BOOT_KERNEL_GPA - BOOT_TABLES_GPA,
					 MEMMAP_RESERVED};
	for (size_t i = 0; i < slots_n; i++) {
		gpa_t from = slots[i].gpa ? slots[i].gpa : BOOT_KERNEL_GPA;

		ret[n++] = (struct memmap_entry){from, slots[i].gpa + slots[i].size - from,
						 MEMMAP_RAM};
	}
	if (files->ecam_size)
		ret[n++] =
			(struct memmap_entry){files->ecam_gpa, files->ecam_size, MEMMAP_RESERVED};
	return n;
}

/* --- files --- */

static int load_kernel(struct guestmem *gm, int fd, struct boot_kernel *ret, struct err *e)
{
	struct image file;
	struct stat st;
	void *map;
	int rc;

	if (fstat(fd, &st))
		return err_sys(e, errno, "kernel.open", "kernel");
	if (!S_ISREG(st.st_mode) || st.st_size <= 0 || (uint64_t)st.st_size > KERNEL_FILE_MAX)
		return err_set(e, -EINVAL, ERR_CALLER, "kernel.format",
			       "kernel: expected a file of 1 byte to %llu MiB",
			       (unsigned long long)(KERNEL_FILE_MAX >> 20));
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		return err_sys(e, errno, "kernel.open", "kernel");
	file = (struct image){map, (size_t)st.st_size};
	rc = elf_load(gm, &file, true, ret, e);
	if (rc == -ENOEXEC)
		rc = bzimage_load(gm, &file, ret, e);
	if (rc == -ENOEXEC)
		rc = err_set(e, -ENOEXEC, ERR_CALLER, "kernel.format",
			     "kernel: expected an ELF file or a bzImage for x86-64");
	(void)munmap(map, file.len); /* what we mapped */
	return rc;
}

/* At the top of the RAM below 2 GiB, where nothing of the kernel's can be. */
static int load_initrd(struct guestmem *gm, int fd, gpa_t kernel_end, struct boot_placed *ret,
		       struct err *e)
{
	struct gm_slot slots[GM_REGIONS_MAX];
	struct stat st;
	gpa_t top, at;
	int rc;

	if (fstat(fd, &st) || !S_ISREG(st.st_mode))
		return err_set(e, -EINVAL, ERR_CALLER, "initrd.open",
			       "initrd: expected a regular file");
	(void)gm_slots(gm, slots);
	top = slots[0].gpa + slots[0].size;
	if (top > BOOT_INITRD_END)
		top = BOOT_INITRD_END;
	at = (uint64_t)st.st_size <= top ? (top - (uint64_t)st.st_size) & ~(gpa_t)(GM_PAGE - 1) : 0;
	if (at < kernel_end)
		return err_set(
			e, -ENOSPC, ERR_CALLER, "initrd.size",
			"initrd of %llu KiB and the kernel do not fit into %llu MiB of memory",
			(unsigned long long)st.st_size >> 10,
			(unsigned long long)(gm_size(gm) >> 20));
	rc = gm_load_file(gm, at, fd, 0, (uint64_t)st.st_size);
	if (rc)
		return err_sys(e, -rc, "initrd.read", "initrd");
	*ret = (struct boot_placed){at, (uint64_t)st.st_size};
	return 0;
}

int boot_load(struct guestmem *gm, const struct boot_files *files, struct boot_entry *ret,
	      struct err *e)
{
	struct boot_kernel k = {.has_header = false};
	struct boot_placed at = {0, 0};
	int rc = boot_cmdline_check(files->cmdline, e);

	if (!rc)
		rc = load_kernel(gm, files->kernel_fd, &k, e);
	if (!rc && files->initrd_fd >= 0)
		rc = load_initrd(gm, files->initrd_fd, k.end, &at, e);
	if (!rc && gm_write(gm, BOOT_CMDLINE_GPA, files->cmdline, strlen(files->cmdline) + 1))
		rc = err_set(e, -ENOSPC, ERR_CALLER, "memory.size",
			     "memory is too small for a kernel command line");
	if (!rc)
		rc = k.entry.protocol == BOOT_PVH ? pvh_write(gm, files, &at, e)
						  : linux64_write(gm, &k, files, &at, e);
	if (!rc)
		*ret = k.entry;
	return rc;
}
