/*
 * Fuzz target: what an import looks at in a kernel and in a root file system.
 */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "fuzz.h"
#include "image/image_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	enum image_presence drivers[DRV_N_];
	struct rootfs_facts r = {.fs = ""};
	struct err e = {0};
	struct kernel k;
	char path[32];

	assert(fd >= 0 && !fd_write_all(fd, data, size));
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	assert(!kernel_load(path, &k, &e)); /* any regular file gets facts */
	assert(k.facts.format[0]);
	assert(k.facts.bootable == !k.facts.why[0]);
	assert(!kernel_check(path, &k.facts, &e) == k.facts.bootable);
	drivers_tell(&k, NULL, drivers);
	kernel_done(&k);
	if (rootfs_inspect(path, &r, &e))
		assert(!r.fs[0] && e.text[0]);
	else
		assert(r.fs[0] && r.bytes == size);
	(void)close(fd);
	return 0;
}
