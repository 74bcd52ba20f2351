/*
 * Tells by magic bytes what a file is, for sentences such as "expected a kernel, got a gzip file".
 * Called by kernel.c and rootfs.c.  Trust: every byte may be hostile.
 */
#include <stdint.h>
#include <string.h>

#include "base/cleanup.h"
#include "image/make.h"

#define TEXT_PROBE 512u /* bytes that must be printable for "a text file" */

struct magic {
	const char *name;
	size_t at;
	const char *bytes;
	size_t len;
};
#define MAGIC(name, at, bytes)                                                                     \
	{                                                                                          \
		name, at, bytes, sizeof(bytes) - 1                                                 \
	}

/* The first that fits counts: short magics, which any data may hold by chance, stand last. */
static const struct magic magics[] = {
	MAGIC("a qcow2 disk image", 0, "QFI\xfb"),
	MAGIC("a VMDK disk image", 0, "KDMV"),
	MAGIC("a VHDX disk image", 0, "vhdxfile"),
	MAGIC("a LUKS volume", 0, "LUKS\xba\xbe"),
	MAGIC("an LVM volume", 512, "LABELONE"),
	MAGIC("swap space", 4086, "SWAPSPACE2"),
	MAGIC("an ISO 9660 image", 32769, "CD001"),
	MAGIC("an arm64 kernel", 56, "ARM\x64"),
	MAGIC("an x86 kernel", 514, "HdrS"),
	MAGIC("an ELF file", 0,
	      "\x7f"
	      "ELF"),
	MAGIC("a tar archive", 257, "ustar"),
	MAGIC("a cpio archive", 0, "070701"),
	MAGIC("a Debian package", 0, "!<arch>\ndebian"),
	MAGIC("a zip archive", 0, "PK\x03\x04"),
	MAGIC("xz data", 0, "\xfd\x37zXZ"),
	MAGIC("zstd data", 0, "\x28\xb5\x2f\xfd"),
	MAGIC("lz4 data", 0, "\x04\x22\x4d\x18"),
	MAGIC("lz4 data", 0, "\x02\x21\x4c\x18"),
	MAGIC("bzip2 data", 0, "BZh"),
	MAGIC("gzip data", 0, "\x1f\x8b"),
	MAGIC("a whole disk with a partition table (GPT)", 512, "EFI PART"),
	MAGIC("a whole disk with a partition table (MBR)", 510, "\x55\xaa"),
	MAGIC("a Windows or EFI program", 0, "MZ"),
};

static bool is_text(const uint8_t *p, size_t len)
{
	size_t n = len < TEXT_PROBE ? len : TEXT_PROBE;

	for (size_t i = 0; i < n; i++)
		if (!(p[i] >= 0x20 && p[i] != 0x7f) && !strchr("\t\n\r\f\x1b", p[i]))
			return false;
	return n > 0 && !memchr(p, 0, n);
}

const char *magic_name(const void *head, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(magics); i++) {
		const struct magic *m = &magics[i];

		if (len >= m->at + m->len && !memcmp((const char *)head + m->at, m->bytes, m->len))
			return m->name;
	}
	if (is_text(head, len))
		return "a text file";
	return NULL;
}
