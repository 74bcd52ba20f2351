/*
 * Encodes ACPI machine language; each function writes one term of ACPI 6.4 sec. 20.2 or one
 * descriptor of sec. 6.4.
 */
#include "acpi/aml.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

/* bytes: the lead byte's bits 7-6 say 2 more, its bits 3-0 are the lowest */
#define PKG_LEN	      3u
#define SEGMENT	      4u
#define OP_ZERO	      0x00u
#define OP_ONE	      0x01u
#define OP_NAME	      0x08u
#define OP_BYTE	      0x0au
#define OP_WORD	      0x0bu
#define OP_DWORD      0x0cu
#define OP_STRING     0x0du
#define OP_QWORD      0x0eu
#define OP_SCOPE      0x10u
#define OP_BUFFER     0x11u
#define OP_PACKAGE    0x12u
#define OP_METHOD     0x14u
#define OP_DUAL_NAME  0x2eu
#define OP_MULTI_NAME 0x2fu
#define OP_EXT	      0x5bu
#define OP_EXT_DEVICE 0x82u
#define OP_ARG0	      0x68u
#define OP_LEQUAL     0x93u
#define OP_IF	      0xa0u
#define OP_RETURN     0xa4u

static void put8(struct buf *b, unsigned v)
{
	uint8_t byte = (uint8_t)v;

	(void)buf_add(b, &byte, 1); /* kept in b->failed; so everywhere here */
}

static void put_le(struct buf *b, uint64_t v, size_t bytes)
{
	v = htole64(v);
	(void)buf_add(b, &v, bytes);
}

static size_t open_body(struct buf *b)
{
	put_le(b, 0, PKG_LEN);
	return b->len;
}

void aml_close(struct buf *b, size_t opened)
{
	size_t len = b->len - opened + PKG_LEN;
	uint8_t *p = (uint8_t *)b->data + opened - PKG_LEN;

	if (b->failed)
		return;
	assert(len < 1u << 20);
	p[0] = (uint8_t)(0x80u | (len & 0xfu));
	p[1] = (uint8_t)(len >> 4);
	p[2] = (uint8_t)(len >> 12);
}

static void put_path(struct buf *b, const char *path)
{
	size_t n;

	if (*path == '\\') {
		put8(b, '\\');
		path++;
	}
	n = strlen(path) / SEGMENT;
	assert(n >= 1 && strlen(path) % SEGMENT == 0);
	if (n == 2) {
		put8(b, OP_DUAL_NAME);
	} else if (n > 2) {
		put8(b, OP_MULTI_NAME);
		put8(b, (unsigned)n);
	}
	(void)buf_puts(b, path);
}

size_t aml_scope(struct buf *b, const char *path)
{
	size_t opened;

	put8(b, OP_SCOPE);
	opened = open_body(b);
	put_path(b, path);
	return opened;
}

size_t aml_device(struct buf *b, const char *path)
{
	size_t opened;

	put8(b, OP_EXT);
	put8(b, OP_EXT_DEVICE);
	opened = open_body(b);
	put_path(b, path);
	return opened;
}

size_t aml_method(struct buf *b, const char *path, unsigned args_n)
{
	size_t opened;

	put8(b, OP_METHOD);
	opened = open_body(b);
	put_path(b, path);
	put8(b, args_n | 1u << 3); /* serialised */
	return opened;
}

size_t aml_package(struct buf *b, unsigned elements_n)
{
	size_t opened;

	put8(b, OP_PACKAGE);
	opened = open_body(b);
	put8(b, elements_n);
	return opened;
}

size_t aml_if_arg_is(struct buf *b, unsigned arg, uint64_t value)
{
	size_t opened;

	put8(b, OP_IF);
	opened = open_body(b);
	put8(b, OP_LEQUAL);
	put8(b, OP_ARG0 + arg);
	aml_int(b, value);
	return opened;
}

void aml_name(struct buf *b, const char *path)
{
	put8(b, OP_NAME);
	put_path(b, path);
}

void aml_int(struct buf *b, uint64_t v)
{
	if (v <= 1) {
		put8(b, v ? OP_ONE : OP_ZERO);
	} else if (v <= UINT8_MAX) {
		put8(b, OP_BYTE);
		put_le(b, v, 1);
	} else if (v <= UINT16_MAX) {
		put8(b, OP_WORD);
		put_le(b, v, 2);
	} else if (v <= UINT32_MAX) {
		put8(b, OP_DWORD);
		put_le(b, v, 4);
	} else {
		put8(b, OP_QWORD);
		put_le(b, v, 8);
	}
}

static unsigned hex_digit(char c)
{
	return (unsigned)(c <= '9' ? c - '0' : c - 'A' + 10);
}

/* Sec. 19.3.4: three letters of five bits, four hexadecimal digits, big endian. */
void aml_eisa_id(struct buf *b, const char *id)
{
	uint32_t v = (uint32_t)(id[0] - '@') << 26 | (uint32_t)(id[1] - '@') << 21 |
		     (uint32_t)(id[2] - '@') << 16;

	for (unsigned i = 0; i < 4; i++)
		v |= hex_digit(id[3 + i]) << (12 - 4 * i);
	put8(b, OP_DWORD);
	put_le(b, __builtin_bswap32(v), 4); /* big endian in a little-endian word */
}

void aml_str(struct buf *b, const char *s)
{
	put8(b, OP_STRING);
	(void)buf_add(b, s, strlen(s) + 1);
}

void aml_bytes(struct buf *b, const void *data, size_t len)
{
	size_t opened;

	put8(b, OP_BUFFER);
	opened = open_body(b);
	aml_int(b, len);
	(void)buf_add(b, data, len);
	aml_close(b, opened);
}

void aml_return_int(struct buf *b, uint64_t v)
{
	put8(b, OP_RETURN);
	aml_int(b, v);
}

void aml_return_bytes(struct buf *b, const void *data, size_t len)
{
	put8(b, OP_RETURN);
	aml_bytes(b, data, len);
}

/* --- resource templates --- */

#define RES_SIZE_LEN 3u /* WordPrefix and the size, filled in at the end */

size_t aml_resources(struct buf *b)
{
	size_t opened;

	put8(b, OP_BUFFER);
	opened = open_body(b);
	put8(b, OP_WORD);
	put_le(b, 0, 2);
	return opened;
}

void aml_resources_close(struct buf *b, size_t opened)
{
	size_t len;

	put8(b, 0x79); /* end tag; checksum 0 means: not checked (sec. 6.4.2.9) */
	put8(b, 0);
	if (b->failed)
		return;
	len = b->len - opened - RES_SIZE_LEN;
	assert(len <= UINT16_MAX);
	b->data[opened + 1] = (char)(len & 0xff);
	b->data[opened + 2] = (char)(len >> 8);
	aml_close(b, opened);
}

void aml_res_io(struct buf *b, uint16_t port, uint8_t len)
{
	put8(b, 0x47);
	put8(b, 1); /* decodes 16 bits */
	put_le(b, port, 2);
	put_le(b, port, 2);
	put8(b, 1);
	put8(b, len);
}

void aml_res_irq(struct buf *b, uint32_t gsi)
{
	put8(b, 0x89);
	put_le(b, 6, 2);
	put8(b, 0x03); /* consumer, edge, active high, exclusive */
	put8(b, 1);
	put_le(b, gsi, 4);
}

void aml_res_memory32(struct buf *b, uint32_t base, uint32_t len)
{
	put8(b, 0x86);
	put_le(b, 9, 2);
	put8(b, 1); /* writable */
	put_le(b, base, 4);
	put_le(b, len, 4);
}

/* Word, DWord and QWord address space descriptors (sec. 6.4.3.5): a producer's fixed window. */
static void address_space(struct buf *b, size_t width, uint8_t kind, uint8_t flags, uint64_t first,
			  uint64_t last)
{
	put8(b, width == 2 ? 0x88 : width == 4 ? 0x87 : 0x8a);
	put_le(b, 3 + 5 * width, 2);
	put8(b, kind);
	put8(b, 0x0c); /* minimum and maximum fixed, positive decode */
	put8(b, flags);
	put_le(b, 0, width); /* granularity */
	put_le(b, first, width);
	put_le(b, last, width);
	put_le(b, 0, width); /* translation */
	put_le(b, last - first + 1, width);
}

void aml_res_bus_range(struct buf *b, uint16_t first, uint16_t last)
{
	address_space(b, 2, 2, 0, first, last);
}

void aml_res_io_range(struct buf *b, uint16_t first, uint16_t last)
{
	address_space(b, 2, 1, 3, first, last); /* the whole range, ISA and not */
}

void aml_res_memory_range32(struct buf *b, uint32_t first, uint32_t last)
{
	address_space(b, 4, 0, 1, first, last); /* read-write, not cached */
}

void aml_res_memory_range64(struct buf *b, uint64_t first, uint64_t last)
{
	address_space(b, 8, 0, 1, first, last);
}
