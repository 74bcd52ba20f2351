/*
 * Unpacks a bzImage's payload by the library of its format.
 *
 * All of Linux's formats end in the unpacked size, u32: gzip by its own trailer (RFC 1952 sec.
 * 2.3.1), the others by what the kernel's build appends (scripts/Makefile.lib, size_append).  LZ4
 * is the "legacy" frame: magic, then blocks of u32 length and data, each of at most 8 MiB unpacked
 * (lz4_Frame_format.md).  Trust: the stream may be hostile; its result is bounded.
 */
#include <bzlib.h>
#include <errno.h>
#include <lz4.h>
#include <lzma.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "base/err.h"
#include "base/mem.h"
#include "boot/boot_internal.h"

/* a kernel with all of its debug data stripped has 60 MiB */
#define UNPACKED_MAX  ((size_t)512 << 20)
#define LZ4_BLOCK_MAX (8u << 20)
#define SIZE_LEN      4u
/* the kernel's build uses a dictionary of 128 MiB at most */
#define XZ_MEMORY ((uint64_t)256 << 20)

/* Each unpacks exactly cap bytes into dst; 0, or -EBADMSG. */
typedef int unpack_fn(const uint8_t *src, size_t len, uint8_t *dst, size_t cap);

static int from_gzip(const uint8_t *src, size_t len, uint8_t *dst, size_t cap)
{
	z_stream z = {.next_in = (Bytef *)src, /* zlib does not write to it */
		      .avail_in = (uInt)(len + SIZE_LEN),
		      .next_out = dst,
		      .avail_out = (uInt)cap};
	int rc;

	if (inflateInit2(&z, 16 + MAX_WBITS) != Z_OK) /* 16: with the gzip header */
		return -ENOMEM;
	rc = inflate(&z, Z_FINISH);
	(void)inflateEnd(&z); /* frees */
	return rc == Z_STREAM_END && z.total_out == cap ? 0 : -EBADMSG;
}

static int from_lz4(const uint8_t *src, size_t len, uint8_t *dst, size_t cap)
{
	size_t at = 4, done = 0;

	while (len - at >= 4 && done < cap) {
		size_t block = image_le32(src + at);
		size_t room = cap - done < LZ4_BLOCK_MAX ? cap - done : LZ4_BLOCK_MAX;
		int n;

		at += 4;
		if (block > len - at)
			return -EBADMSG;
		n = LZ4_decompress_safe((const char *)src + at, (char *)dst + done, (int)block,
					(int)room);
		if (n <= 0)
			return -EBADMSG;
		at += block;
		done += (size_t)n;
	}
	return done == cap ? 0 : -EBADMSG;
}

static int from_zstd(const uint8_t *src, size_t len, uint8_t *dst, size_t cap)
{
	return ZSTD_decompress(dst, cap, src, len) == cap ? 0 : -EBADMSG;
}

static int from_xz(const uint8_t *src, size_t len, uint8_t *dst, size_t cap)
{
	uint64_t memory = XZ_MEMORY;
	size_t in = 0, out = 0;
	lzma_ret rc = lzma_stream_buffer_decode(&memory, 0, NULL, src, &in, len, dst, &out, cap);

	return rc == LZMA_OK && out == cap ? 0 : -EBADMSG;
}

static int from_lzma(const uint8_t *src, size_t len, uint8_t *dst, size_t cap)
{
	lzma_stream s = LZMA_STREAM_INIT;
	lzma_ret rc = lzma_alone_decoder(&s, XZ_MEMORY);

	s.next_in = src;
	s.avail_in = len;
	s.next_out = dst;
	s.avail_out = cap;
	while (rc == LZMA_OK && s.avail_out)
		rc = lzma_code(&s, LZMA_RUN);
	lzma_end(&s);
	return (rc == LZMA_OK || rc == LZMA_STREAM_END) && !s.avail_out ? 0 : -EBADMSG;
}

static int from_bzip2(const uint8_t *src, size_t len, uint8_t *dst, size_t cap)
{
	unsigned out = (unsigned)cap;
	/* The library does not write to its input. */
	int rc = BZ2_bzBuffToBuffDecompress((char *)dst, &out, (char *)src, (unsigned)len, 0, 0);

	return rc == BZ_OK && out == cap ? 0 : -EBADMSG;
}

static int from_plain(const uint8_t *src, size_t len, uint8_t *dst, size_t cap)
{
	if (len < cap)
		return -EBADMSG;
	memcpy(dst, src, cap);
	return 0;
}

static const struct {
	const char *name, *magic;
	size_t magic_len;
	unpack_fn *unpack;
} formats[] = {
	{"gzip", "\x1f\x8b", 2, from_gzip},	    {"lz4", "\x02\x21\x4c\x18", 4, from_lz4},
	{"zstd", "\x28\xb5\x2f\xfd", 4, from_zstd}, {"xz", "\xfd\x37zXZ", 5, from_xz},
	{"lzma", "\x5d\x00\x00", 3, from_lzma},	    {"bzip2", "BZh", 3, from_bzip2},
	{"none", "\177ELF", 4, from_plain},
};

int payload_unpack(const struct image *payload, uint8_t **ret, size_t *ret_len, struct err *e)
{
	auto_free uint8_t *out = NULL;
	size_t cap, i = 0;
	int rc;

	while (i < ARRAY_LEN(formats) &&
	       (payload->len < formats[i].magic_len + SIZE_LEN ||
		memcmp(payload->data, formats[i].magic, formats[i].magic_len) != 0))
		i++;
	if (i == ARRAY_LEN(formats))
		return err_set(e, -EOPNOTSUPP, ERR_CALLER, "kernel.compression",
			       "kernel: bzImage: compressed by a method that is not known here");
	cap = formats[i].unpack == from_plain ? payload->len
					      : image_le32(payload->data + payload->len - SIZE_LEN);
	if (!cap || cap > UNPACKED_MAX)
		return err_set(e, -EINVAL, ERR_CALLER, "kernel.payload",
			       "kernel: bzImage: says that it unpacks to %zu bytes", cap);
	out = malloc(cap); /* written whole by what follows: not zeroed before */
	if (!out)
		return err_nomem(e);
	rc = formats[i].unpack(payload->data,
			       payload->len - (formats[i].unpack == from_plain ? 0 : SIZE_LEN), out,
			       cap);
	if (rc)
		return err_set(e, rc, ERR_CALLER, "kernel.payload",
			       "kernel: bzImage: its payload (%s) is damaged", formats[i].name);
	*ret = take_ptr(out);
	*ret_len = cap;
	return 0;
}
