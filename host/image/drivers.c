/*
 * Decides for each driver that matters whether it is built in, a module or absent.
 * Called by recipes.  Trust: kernel and module directory are a user's and may be hostile.
 */
#include <assert.h>
#include <string.h>

#include "base/cleanup.h"
#include "image/image_internal.h"

const char *const image_driver_names[DRV_N_] = {
	[DRV_VIRTIO_PCI] = "virtio_pci",
	[DRV_VIRTIO_MMIO] = "virtio_mmio",
	[DRV_VIRTIO_BLK] = "virtio_blk",
	[DRV_VIRTIO_NET] = "virtio_net",
	[DRV_VIRTIO_SCSI] = "virtio_scsi",
	[DRV_VSOCK] = "vsock",
	[DRV_EXT4] = "ext4",
	[DRV_OVERLAY] = "overlay",
};

const char *const image_presence_names[DRV_PRESENCE_N_] = {
	[DRV_ABSENT] = "absent",
	[DRV_MODULE] = "module",
	[DRV_BUILTIN] = "builtin",
	[DRV_UNKNOWN] = "unknown",
};

const char *const image_driver_modules[DRV_N_] = {
	[DRV_VIRTIO_PCI] = "virtio_pci",
	[DRV_VIRTIO_MMIO] = "virtio_mmio",
	[DRV_VIRTIO_BLK] = "virtio_blk",
	[DRV_VIRTIO_NET] = "virtio_net",
	[DRV_VIRTIO_SCSI] = "virtio_scsi",
	[DRV_VSOCK] = "vmw_vsock_virtio_transport",
	[DRV_EXT4] = "ext4",
	[DRV_OVERLAY] = "overlay",
};

/* The option that builds it, and the name under which it registers: a string in the kernel's image
 * if and only if it is built in (drivers/virtio/virtio_pci_common.c and so on, `.driver.name`). */
static const struct {
	const char *config, *string;
} facts[DRV_N_] = {
	[DRV_VIRTIO_PCI] = {"VIRTIO_PCI", "virtio-pci"},
	[DRV_VIRTIO_MMIO] = {"VIRTIO_MMIO", "virtio-mmio"},
	[DRV_VIRTIO_BLK] = {"VIRTIO_BLK", "virtio_blk"},
	[DRV_VIRTIO_NET] = {"VIRTIO_NET", "virtio_net"},
	[DRV_VIRTIO_SCSI] = {"SCSI_VIRTIO", "virtio_scsi"},
	[DRV_VSOCK] = {"VIRTIO_VSOCKETS", "vmw_vsock_virtio_transport"},
	[DRV_EXT4] = {"EXT4_FS", "ext4"},
	[DRV_OVERLAY] = {"OVERLAY_FS", "overlay"},
};

/* Is the name in the image as a whole string, or as the tail of one (linkers merge tails)? */
static bool holds_string(const struct buf *image, const char *s)
{
	return memmem(image->data, image->len, s, strlen(s) + 1);
}

static enum image_presence tell(const struct kernel *k, const struct modules *m,
				enum image_driver d)
{
	enum image_presence p = m ? modules_has(m, image_driver_modules[d]) : DRV_UNKNOWN;

	if (p != DRV_UNKNOWN)
		return p;
	switch (kernel_config(k, facts[d].config)) {
	case 'y':
		return DRV_BUILTIN;
	case 'm': /* without the files of its modules it might as well not be there */
	case 'n':
		return DRV_ABSENT;
	default:
		break;
	}
	if (k->image.len && !holds_string(&k->image, facts[d].string))
		return DRV_ABSENT;
	return DRV_UNKNOWN;
}

void drivers_tell(const struct kernel *k, const struct modules *m, enum image_presence ret[DRV_N_])
{
	static_assert(ARRAY_LEN(facts) == DRV_N_, "one row per driver");
	for (int d = 0; d < DRV_N_; d++)
		ret[d] = tell(k, m, (enum image_driver)d);
}
