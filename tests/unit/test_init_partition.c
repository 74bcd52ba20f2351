/*
 * Tests of guest/init/partition: GPT with both block sizes, MBR, tables that lie.
 */
#include "init/partition.h"

#include <stdlib.h>
#include <string.h>

#include "unit.h"

#define HEAD_LEN 69632u

static uint8_t head[HEAD_LEN];

static void put(size_t at, uint64_t v, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		head[at + i] = (uint8_t)(v >> (8 * i));
}

static void make_gpt(size_t block, uint64_t first, uint32_t count, uint32_t size)
{
	memset(head, 0, sizeof(head));
	memcpy(head + block, "EFI PART", 8);
	put(block + 72, first, 8);
	put(block + 80, count, 4);
	put(block + 84, size, 4);
}

static unsigned find(size_t len, const char *partuuid)
{
	auto_free uint8_t *copy = malloc(len ? len : 1);

	assert_non_null(copy);
	memcpy(copy, head, len);
	return partition_find(copy, len, partuuid);
}

static void gpt(void **state)
{
	static const size_t blocks[] = {512, 4096};
	/* As the UEFI specification prints it: the first three groups are little-endian on disk. */
	static const uint8_t guid[16] = {0x78, 0x56, 0x34, 0x12, 0xbc, 0x9a, 0xf0, 0xde,
					 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(blocks); i++) {
		size_t entry = 2 * blocks[i] + 4 * 128;

		make_gpt(blocks[i], 2, 128, 128);
		memcpy(head + entry + 16, guid, 16);
		/* Without a type the entry is unused (UEFI 2.9 table 5-7). */
		assert_int_equal(find(HEAD_LEN, "12345678-9abc-def0-0123-456789abcdef"), 0);
		head[entry] = 0xaf;
		assert_int_equal(find(HEAD_LEN, "12345678-9abc-def0-0123-456789abcdef"), 5);
		assert_int_equal(find(HEAD_LEN, "12345678-9ABC-DEF0-0123-456789ABCDEF"), 5);
		assert_int_equal(find(HEAD_LEN, "12345678-9abc-def0-0123-456789abcdee"), 0);
		assert_int_equal(find(entry + 20, "12345678-9abc-def0-0123-456789abcdef"), 0);
	}
}

static void mbr(void **state)
{
	(void)state;
	memset(head, 0, sizeof(head));
	put(440, 0x0a0b0c0d, 4);
	head[446 + 16 + 4] = 0x83;
	assert_int_equal(find(HEAD_LEN, "0a0b0c0d-02"), 0); /* no 55 aa yet */
	put(510, 0xaa55, 2);
	assert_int_equal(find(HEAD_LEN, "0a0b0c0d-02"), 2);
	assert_int_equal(find(512, "0A0B0C0D-02"), 2);
	assert_int_equal(find(HEAD_LEN, "0a0b0c0d-01"), 0); /* unused entry */
	assert_int_equal(find(511, "0a0b0c0d-02"), 0);
	assert_int_equal(find(HEAD_LEN, ""), 0);
}

static void tables_that_lie(void **state)
{
	static const struct {
		uint64_t first;
		uint32_t count, size;
	} lies[] = {{UINT64_MAX, 128, 128},
		    {1ull << 55, 128, 128},
		    {2, UINT32_MAX, 128},
		    {2, UINT32_MAX, UINT32_MAX},
		    {2, 128, 0},
		    {2, 128, 127},
		    {0, UINT32_MAX, 4096},
		    {136, 128, 128},
		    {135, 128, 4096}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
		make_gpt(512, lies[i].first, lies[i].count, lies[i].size);
		make_gpt(4096, lies[i].first, lies[i].count, lies[i].size);
		for (size_t len = 0; len <= HEAD_LEN; len += 331)
			assert_int_equal(find(len, "12345678-9abc-def0-0123-456789abcdef"), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gpt),
		cmocka_unit_test(mbr),
		cmocka_unit_test(tables_that_lie),
	};

	return RUN_TESTS(tests);
}
