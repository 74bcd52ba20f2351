/*
 * Recognises file systems, and what people attach in their place, by magic bytes.
 *
 *	ext2/3/4  superblock at 1024: u16 magic 0xef53 at +56, u32 compat +92, incompat +96, uuid
 *		  +104, label[16] +120 (Linux Documentation/filesystems/ext4/super.rst)
 *	xfs       at 0: "XFSB", uuid +32, label[12] +108 (XFS Algorithms & Data Structures)
 *	btrfs     at 65536: uuid +32, "_BHRfS_M" +64, label[256] +299 (btrfs on-disk format)
 *	squashfs  at 0: "hsqs" (Documentation/filesystems/squashfs.rst)
 *	erofs     at 1024: u32 0xe0f5e1e2, uuid +48, label[16] +64 (fs/erofs/erofs_fs.h)
 *
 * Called for each disk that is looked at, and by the unit tests.  Trust: every byte may be
 * hostile.
 */
#include "init/superblock.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"

#define EXT_SB		       1024u
#define EXT_COMPAT_JOURNAL     0x4u
#define EXT_INCOMPAT_RECOVER   0x4u
#define EXT4_INCOMPAT_FEATURES 0x2c0u /* extents, 64bit, flex_bg: any of them makes it ext4 */

struct magic {
	const char *name;
	size_t offset;
	const char *bytes;
	size_t len;
	enum content content;
	size_t uuid_at, label_at, label_len; /* 0: none */
};

#define MAGIC(name, at, bytes, ...)                                                                \
	{                                                                                          \
		name, at, bytes, sizeof(bytes) - 1, __VA_ARGS__                                    \
	}

/* The first that fits counts: longer magics before ext's two bytes, which may stand there by
 * chance. */
static const struct magic magics[] = {
	MAGIC("squashfs", 0, "hsqs", CONTENT_FILESYSTEM, 0, 0, 0),
	MAGIC("erofs", 1024, "\xe2\xe1\xf5\xe0", CONTENT_FILESYSTEM, 1024 + 48, 1024 + 64, 16),
	MAGIC("xfs", 0, "XFSB", CONTENT_FILESYSTEM, 32, 108, 12),
	MAGIC("ext4", EXT_SB + 56, "\x53\xef", CONTENT_FILESYSTEM, EXT_SB + 104, EXT_SB + 120, 16),
	MAGIC("btrfs", 65536 + 64, "_BHRfS_M", CONTENT_FILESYSTEM, 65536 + 32, 65536 + 299, 64),
	MAGIC("iso9660", 32769, "CD001", CONTENT_FILESYSTEM, 0, 32808, 32),
	MAGIC("a qcow2 image", 0, "QFI\xfb", CONTENT_OTHER, 0, 0, 0),
	MAGIC("a VMDK image", 0, "KDMV", CONTENT_OTHER, 0, 0, 0),
	MAGIC("a VHDX image", 0, "vhdxfile", CONTENT_OTHER, 0, 0, 0),
	MAGIC("a LUKS volume", 0, "LUKS\xba\xbe", CONTENT_OTHER, 0, 0, 0),
	MAGIC("an LVM volume", 512, "LABELONE", CONTENT_OTHER, 0, 0, 0),
	MAGIC("swap space", 4086, "SWAPSPACE2", CONTENT_OTHER, 0, 0, 0),
	MAGIC("a gzip file", 0, "\x1f\x8b", CONTENT_OTHER, 0, 0, 0),
	MAGIC("an xz file", 0, "\xfd\x37zXZ", CONTENT_OTHER, 0, 0, 0),
	MAGIC("a zstd file", 0, "\x28\xb5\x2f\xfd", CONTENT_OTHER, 0, 0, 0),
	MAGIC("a tar archive", 257, "ustar", CONTENT_OTHER, 0, 0, 0),
	MAGIC("a cpio archive", 0, "070701", CONTENT_OTHER, 0, 0, 0),
	MAGIC("an ELF program", 0,
	      "\x7f"
	      "ELF",
	      CONTENT_OTHER, 0, 0, 0),
	MAGIC("a Linux kernel", 514, "HdrS", CONTENT_OTHER, 0, 0, 0),
	MAGIC("a partition table (GPT)", 512, "EFI PART", CONTENT_OTHER, 0, 0, 0),
	MAGIC("a partition table (MBR) or FAT", 510, "\x55\xaa", CONTENT_OTHER, 0, 0, 0),
};

static uint32_t le32(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void take_uuid(const uint8_t *u, char ret_text[UUID_TEXT_LEN])
{
	static const uint8_t none[16];

	if (memcmp(u, none, 16) == 0)
		return;
	/* Fits: 32 digits and 4 hyphens. */
	(void)snprintf(ret_text, UUID_TEXT_LEN,
		       "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0],
		       u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12],
		       u[13], u[14], u[15]);
}

static void take_label(const uint8_t *p, size_t len, char ret_label[LABEL_LEN])
{
	memcpy(ret_label, p, len);
	ret_label[len] = '\0';
	for (len = strlen(ret_label); len > 0 && ret_label[len - 1] == ' '; len--)
		ret_label[len - 1] = '\0'; /* iso9660 pads with blanks */
}

/* ext2, ext3 and ext4 share the magic and differ by feature bits. */
static void take_ext(const uint8_t *sb, struct superblock *s)
{
	uint32_t compat = le32(sb + 92), incompat = le32(sb + 96);

	if (!(incompat & EXT4_INCOMPAT_FEATURES))
		s->name = compat & EXT_COMPAT_JOURNAL ? "ext3" : "ext2";
	s->needs_recovery = incompat & EXT_INCOMPAT_RECOVER;
}

static bool inside(size_t len, size_t at, size_t n)
{
	return at <= len && n <= len - at;
}

static bool is_zero(const uint8_t *p, size_t n)
{
	return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

void superblock_probe(const uint8_t *head, size_t len, struct superblock *ret)
{
	struct superblock s = {.content = CONTENT_UNKNOWN, .name = ""};

	for (size_t i = 0; i < 8 && i < len; i++)
		(void)snprintf(s.first + 2 * i, 3, "%02x", head[i]); /* fits: 2 digits */
	if (is_zero(head, len)) {
		s.content = CONTENT_EMPTY;
		*ret = s;
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(magics); i++) {
		const struct magic *m = &magics[i];

		if (!inside(len, m->offset, m->len) ||
		    memcmp(head + m->offset, m->bytes, m->len) != 0)
			continue;
		s.content = m->content;
		s.name = m->name;
		if (m->uuid_at && inside(len, m->uuid_at, 16))
			take_uuid(head + m->uuid_at, s.uuid);
		if (m->label_at && inside(len, m->label_at, m->label_len))
			take_label(head + m->label_at, m->label_len, s.label);
		if (str_eq(m->name, "ext4") && inside(len, EXT_SB, 100))
			take_ext(head + EXT_SB, &s);
		break;
	}
	*ret = s;
}
