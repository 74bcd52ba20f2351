/*
 * Tests of guest/init/superblock: each magic at its place, ids and labels, short disks, noise.
 */
#include "init/superblock.h"

#include <stdlib.h>
#include <string.h>

#include "unit.h"

static uint8_t head[SUPERBLOCK_HEAD_LEN];

static struct superblock probe(size_t len)
{
	/* A copy of exactly len bytes, so that ASan sees any read beyond a small disk. */
	auto_free uint8_t *copy = malloc(len ? len : 1);
	struct superblock s;

	assert_non_null(copy);
	memcpy(copy, head, len);
	superblock_probe(copy, len, &s);
	return s;
}

static void clear(void)
{
	memset(head, 0, sizeof(head));
}

static const struct {
	size_t at;
	const char *bytes;
	size_t len;
	enum content content;
	const char *name;
} magics[] = {
	{1080, "\x53\xef", 2, CONTENT_FILESYSTEM, "ext2"},
	{0, "hsqs", 4, CONTENT_FILESYSTEM, "squashfs"},
	{1024, "\xe2\xe1\xf5\xe0", 4, CONTENT_FILESYSTEM, "erofs"},
	{0, "XFSB", 4, CONTENT_FILESYSTEM, "xfs"},
	{65600, "_BHRfS_M", 8, CONTENT_FILESYSTEM, "btrfs"},
	{32769, "CD001", 5, CONTENT_FILESYSTEM, "iso9660"},
	{0, "QFI\xfb", 4, CONTENT_OTHER, "a qcow2 image"},
	{4086, "SWAPSPACE2", 10, CONTENT_OTHER, "swap space"},
	{0,
	 "\x7f"
	 "ELF",
	 4, CONTENT_OTHER, "an ELF program"},
	{514, "HdrS", 4, CONTENT_OTHER, "a Linux kernel"},
	{512, "EFI PART", 8, CONTENT_OTHER, "a partition table (GPT)"},
	{510, "\x55\xaa", 2, CONTENT_OTHER, "a partition table (MBR) or FAT"},
};

static void each_magic(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(magics); i++) {
		struct superblock s;

		clear();
		memcpy(head + magics[i].at, magics[i].bytes, magics[i].len);
		s = probe(sizeof(head));
		assert_int_equal(s.content, magics[i].content);
		assert_string_equal(s.name, magics[i].name);
		/* One byte short of the magic, it is not there. */
		s = probe(magics[i].at + magics[i].len - 1);
		assert_string_equal(s.name, "");
	}
}

static void ext_family(void **state)
{
	struct superblock s;

	(void)state;
	clear();
	memcpy(head + 1080, "\x53\xef", 2);
	head[1024 + 92] = 4; /* has_journal */
	s = probe(sizeof(head));
	assert_string_equal(s.name, "ext3");
	assert_false(s.needs_recovery);
	head[1024 + 96] = 0x42; /* extents, filetype */
	memcpy(head + 1024 + 104,
	       "\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef", 16);
	memcpy(head + 1024 + 120, "sixteen-letters!", 16);
	s = probe(sizeof(head));
	assert_string_equal(s.name, "ext4");
	assert_string_equal(s.uuid, "01234567-89ab-cdef-0123-456789abcdef");
	assert_string_equal(s.label, "sixteen-letters!");
	head[1024 + 96] |= 4; /* recover */
	assert_true(probe(sizeof(head)).needs_recovery);
}

static void longer_magics_first(void **state)
{
	struct superblock s;

	(void)state;
	/* A squashfs whose data happen to hold ext's two bytes. */
	clear();
	memcpy(head, "hsqs", 4);
	memcpy(head + 1080, "\x53\xef", 2);
	s = probe(sizeof(head));
	assert_string_equal(s.name, "squashfs");
	/* An ext4 made over a btrfs, whose superblock is still there. */
	clear();
	memcpy(head + 1080, "\x53\xef", 2);
	memcpy(head + 65600, "_BHRfS_M", 8);
	assert_string_equal(probe(sizeof(head)).name, "ext2");
}

static void empty_and_unknown(void **state)
{
	struct superblock s;

	(void)state;
	clear();
	for (size_t len = 0; len < 3000; len += 7)
		assert_int_equal(probe(len).content, CONTENT_EMPTY);
	assert_int_equal(probe(sizeof(head)).content, CONTENT_EMPTY);
	head[sizeof(head) - 1] = 1;
	s = probe(sizeof(head));
	assert_int_equal(s.content, CONTENT_UNKNOWN);
	assert_string_equal(s.first, "0000000000000000");
	memcpy(head, "hello, w", 8);
	assert_string_equal(probe(sizeof(head)).first, "68656c6c6f2c2077");
	assert_string_equal(probe(3).first, "68656c");
}

static void short_disks_and_noise(void **state)
{
	uint32_t seed = 7;

	(void)state;
	for (size_t i = 0; i < sizeof(head); i++) {
		seed = seed * 1664525u + 1013904223u; /* the same noise in each run */
		head[i] = (uint8_t)(seed >> 24);
	}
	for (size_t i = 0; i < ARRAY_LEN(magics); i++) {
		memcpy(head + magics[i].at, magics[i].bytes, magics[i].len);
		for (size_t len = 0; len < sizeof(head); len += len < 1400 ? 1 : 211) {
			struct superblock s = probe(len);

			assert_true(strlen(s.label) < LABEL_LEN);
			assert_true(strlen(s.uuid) == 0 || strlen(s.uuid) == UUID_TEXT_LEN - 1);
		}
		memset(head + magics[i].at, 0xa5, magics[i].len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_magic),
		cmocka_unit_test(ext_family),
		cmocka_unit_test(longer_magics_first),
		cmocka_unit_test(empty_and_unknown),
		cmocka_unit_test(short_disks_and_noise),
	};

	return RUN_TESTS(tests);
}
