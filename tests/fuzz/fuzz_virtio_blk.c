/*
 * Fuzz target: a hostile driver of the block device, through queue, core and MMIO transport.
 *
 * Input: 1 byte of feature bits, 256 bytes of descriptors, 38 bytes of available ring, the rest:
 * guest memory from FAKE_DATA on (headers, indirect tables).  The queue is kicked, reset and kicked
 * again.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>

#include "../unit/fake_driver.h"
#include "devices/devices.h"
#include "fuzz.h"

#define DESCS_LEN 256u
#define AVAIL_LEN 38u
#define DISK_LEN  32768

static void put(struct fake *f, gpa_t gpa, size_t max, const uint8_t **data, size_t *size)
{
	size_t n = *size < max ? *size : max;

	assert(gm_write(f->gm, gpa, *data, n) == 0);
	*data += n;
	*size -= n;
}

static void round_of(struct fake *f, const uint8_t *data, size_t size)
{
	uint64_t features = size ? (uint64_t)data[0] << 24 : 0;

	if (size) {
		data++;
		size--;
	}
	(void)fake_start(f, features & (VDEV_F_INDIRECT | VDEV_F_EVENT_IDX), 1);
	put(f, fake_desc_gpa(0), DESCS_LEN, &data, &size);
	put(f, fake_avail_gpa(0), AVAIL_LEN, &data, &size);
	put(f, FAKE_DATA, FAKE_MEM - FAKE_DATA, &data, &size);
	for (unsigned i = 0; i < 3; i++)
		fake_kick(f, 0);
	/* Whatever it was: the device runs, or it asks for a reset. */
	assert((fake_get(f, 0x70) & ~(uint32_t)VDEV_NEEDS_RESET) == 0xf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int disk = memfd_create("disk", MFD_CLOEXEC);
	struct blk_config c = {.writeback = true};
	struct vdev *dev;
	struct fake f;
	char path[32];

	assert(disk >= 0 && ftruncate(disk, DISK_LEN) == 0);
	assert(snprintf(path, sizeof(path), "/proc/self/fd/%d", disk) < (int)sizeof(path));
	c.path = path;
	fake_memory(&f);
	assert(blk_new(&c, f.gm, f.loop, &dev, NULL) == 0);
	fake_attach(&f, dev);
	round_of(&f, data, size);
	round_of(&f, data, size);
	fake_done(&f);
	(void)close(disk);
	return 0;
}
