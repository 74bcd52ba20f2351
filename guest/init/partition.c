/*
 * Looks up a partition by its PARTUUID in a GPT or MBR.
 *
 *	GPT at block 1 (of 512 or 4096 bytes): "EFI PART", u64 first block of entries +72, u32
 *	    count +80, u32 entry size +84; entry: type GUID, unique GUID +16.  A GUID's first three
 *	    groups are little-endian.  (UEFI 2.9 sec. 5.3.2, 5.3.3)
 *	MBR: u32 disk signature at 440, entries of 16 bytes at 446 with the type at +4, 0x55 0xaa at
 *	    510.  The PARTUUID is SSSSSSSS-PP, PP the number in hexadecimal, as the kernel makes it
 *	    up.  Primary partitions only.
 *
 * Called while the root is looked for.  Trust: every byte may be hostile.
 */
#include "init/partition.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"

#define GUID_TEXT_LEN 37
#define GPT_ENTRIES   256u /* 128 by the standard; a bound that the disk does not choose */

static uint64_t le(const uint8_t *p, unsigned bytes)
{
	uint64_t v = 0;

	while (bytes-- > 0)
		v = v << 8 | p[bytes];
	return v;
}

static void format_guid(const uint8_t *g, char ret[GUID_TEXT_LEN])
{
	/* Fits: 32 digits and 4 hyphens. */
	(void)snprintf(ret, GUID_TEXT_LEN, "%08x-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x",
		       (unsigned)le(g, 4), (unsigned)le(g + 4, 2), (unsigned)le(g + 6, 2), g[8],
		       g[9], g[10], g[11], g[12], g[13], g[14], g[15]);
}

static unsigned find_gpt(const uint8_t *head, size_t len, size_t block, const char *partuuid)
{
	const uint8_t *h = head + block;
	uint64_t first, count, size;

	if (len < block + 92 || memcmp(h, "EFI PART", 8) != 0)
		return 0;
	first = le(h + 72, 8);
	count = le(h + 80, 4);
	size = le(h + 84, 4);
	if (first > len / block || size < 128 || size > 4096)
		return 0; /* entries beyond the head: no common tool puts them there */
	for (uint64_t i = 0; i < count && i < GPT_ENTRIES; i++) {
		uint64_t at = first * block + i * size;
		char text[GUID_TEXT_LEN];

		if (at > len || len - at < 32)
			return 0;
		format_guid(head + at + 16, text);
		if (le(head + at, 8) && strcasecmp(text, partuuid) == 0)
			return (unsigned)i + 1;
	}
	return 0;
}

static unsigned find_mbr(const uint8_t *head, size_t len, const char *partuuid)
{
	char text[16];

	if (len < 512 || head[510] != 0x55 || head[511] != 0xaa || !le(head + 440, 4))
		return 0;
	for (unsigned i = 0; i < 4; i++) {
		(void)snprintf(text, sizeof(text), "%08x-%02x", (unsigned)le(head + 440, 4),
			       i + 1); /* fits */
		if (head[446 + 16 * i + 4] && strcasecmp(text, partuuid) == 0)
			return i + 1;
	}
	return 0;
}

unsigned partition_find(const uint8_t *head, size_t len, const char *partuuid)
{
	static const size_t blocks[] = {512, 4096};

	for (size_t i = 0; i < ARRAY_LEN(blocks); i++) {
		unsigned n = find_gpt(head, len, blocks[i], partuuid);

		if (n)
			return n;
	}
	return find_mbr(head, len, partuuid);
}
