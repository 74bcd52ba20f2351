/*
 * Loads a bzImage: unpacks its payload, an ELF kernel, on the host; where that can't be done, the
 * guest's own unpacker is loaded.
 *
 * bzImage (Linux Documentation/x86/boot.rst), offsets from the file's start, little endian:
 *	0x1f1 u8  setup_sects (0 means 4)     0x1fe u16 0xaa55
 *	0x201 u8 the header ends at 0x202 + this
 *	0x202 "HdrS"   0x206 u16 protocol     0x211 u8 loadflags, bit 0: loaded high
 *	0x236 u16 xloadflags, bit 0: has the 64-bit entry at 0x200
 *	0x248 u32 payload_offset, from the end of the setup sectors;  0x24c u32 payload_length
 *	0x258 u64 pref_address      0x260 u32 init_size: memory that it needs from there on
 * The payload is one compressed stream and, in its last four bytes, its unpacked size.
 */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "boot/boot_internal.h"

#define HEADER_AT      0x1f1u
#define HEADER_NEED    0x264u /* up to and with init_size */
#define PROTOCOL_64BIT 0x20cu
#define XLF_KERNEL_64  1u
#define LOADED_HIGH    1u
#define ENTRY_64BIT    0x200u
#define SECTOR	       512u

static int bad(struct err *e, const char *why)
{
	return err_set(e, -EINVAL, ERR_CALLER, "kernel.bzimage", "kernel: bzImage: %s", why);
}

static void take_header(const struct image *file, struct boot_kernel *k)
{
	size_t end = 0x202u + file->data[0x201];

	k->header_len = end - HEADER_AT;
	if (k->header_len > sizeof(k->header))
		k->header_len = sizeof(k->header);
	if (k->header_len > file->len - HEADER_AT)
		k->header_len = file->len - HEADER_AT;
	memcpy(k->header, file->data + HEADER_AT, k->header_len);
	k->has_header = true;
}

/* The protected-mode part as it is: the guest unpacks itself. */
static int load_packed(struct guestmem *gm, const struct image *file, uint64_t setup,
		       struct boot_kernel *k, struct err *e)
{
	uint64_t len = file->len - setup, need = image_le32(file->data + 0x260);
	struct gm_span span;

	if (image_le16(file->data + 0x206) < PROTOCOL_64BIT ||
	    !(image_le16(file->data + 0x236) & XLF_KERNEL_64))
		return bad(e, "has no 64-bit entry (boot protocol 2.12, XLF_KERNEL_64)");
	/* init_size counts from pref_address, to which it moves itself; it runs upwards from
	 * here. */
	if (gm_view(gm, BOOT_KERNEL_GPA, len, &span) ||
	    !gm_inside(image_le32(file->data + 0x258), need, 0, gm_size(gm)))
		return err_set(e, -ENOSPC, ERR_CALLER, "kernel.memory",
			       "kernel: needs %llu MiB to unpack itself, memory has %llu",
			       (unsigned long long)need >> 20,
			       (unsigned long long)(gm_size(gm) >> 20));
	gm_span_write(&span, 0, file->data + setup, len);
	k->entry = (struct boot_entry){BOOT_LINUX64, BOOT_KERNEL_GPA + ENTRY_64BIT};
	k->end = image_le32(file->data + 0x258) + need;
	return 0;
}

int bzimage_load(struct guestmem *gm, const struct image *file, struct boot_kernel *ret,
		 struct err *e)
{
	struct boot_kernel k = {.has_header = false};
	auto_free uint8_t *unpacked = NULL;
	struct image payload, kernel;
	uint64_t setup, at, len;
	int rc;

	if (file->len < HEADER_NEED || memcmp(file->data + 0x202, "HdrS", 4) != 0 ||
	    image_le16(file->data + 0x1fe) != 0xaa55)
		return -ENOEXEC;
	setup = ((file->data[0x1f1] ? file->data[0x1f1] : 4u) + 1u) * (uint64_t)SECTOR;
	at = setup + image_le32(file->data + 0x248);
	len = image_le32(file->data + 0x24c);
	if (!(file->data[0x211] & LOADED_HIGH))
		return bad(e, "a zImage, which is loaded low");
	if (setup >= file->len || !gm_inside(at, len, setup, file->len - setup))
		return bad(e, "truncated");
	payload = (struct image){file->data + at, len};
	rc = payload_unpack(&payload, &unpacked, &kernel.len, e);
	if (!rc) {
		kernel.data = unpacked;
		/* The 64-bit entry: Linux has less to do there than behind its PVH entry. */
		rc = elf_load(gm, &kernel, false, &k, e);
	}
	if (rc == -EOPNOTSUPP || rc == -ENOEXEC)
		rc = load_packed(gm, file, setup, &k, e);
	if (rc)
		return rc;
	take_header(file, &k);
	*ret = k;
	return 0;
}
