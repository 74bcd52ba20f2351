/*
 * Fuzz target: kernel files, ELF and bzImage with every compression, loaded into 32 MiB of memory.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "boot/boot.h"
#include "fuzz.h"

#define MEM (32u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gm_range range = {0, MEM};
	struct boot_files files = {memfd_create("kernel", MFD_CLOEXEC), -1, "quiet", 0, 0};
	struct boot_entry entry = {BOOT_PVH, 0};
	struct err e = {.code = 0};
	struct guestmem *gm;
	int rc;

	assert(gm_new(&range, 1, &gm, NULL) == 0);
	assert(files.kernel_fd >= 0 && write(files.kernel_fd, data, size) == (ssize_t)size);
	rc = boot_load(gm, &files, &entry, &e);
	if (rc)
		assert(rc < 0 && e.code == rc && e.text[0] && entry.ip == 0);
	else
		assert(entry.ip >= BOOT_KERNEL_GPA && entry.ip < MEM);
	gm_free(gm);
	(void)close(files.kernel_fd);
	return 0;
}
