/*
 * Tells what a kernel file is, and reads version and configuration out of it.
 *
 * bzImage (Linux Documentation/x86/boot.rst), offsets from the file's start, little endian:
 *	0x1f1 u8  setup_sects (0 means 4)     0x1fe u16 0xaa55      0x202 "HdrS"
 *	0x206 u16 protocol version            0x20e u16 kernel_version: of a string, less 0x200
 *	0x211 u8  loadflags, bit 0: loaded high (bzImage; without it a zImage)
 *	0x248 u32 payload_offset (2.08+), from the end of the setup sectors
 *	0x24c u32 payload_length
 * The payload is the kernel's ELF in one compressed stream; after all but gzip stands its size, u32
 * (Linux scripts/Makefile.lib, size_append).
 * IKCONFIG (kernel/configs.c): "IKCFG_ST", gzip stream, "IKCFG_ED", somewhere in the ELF.
 *
 * Called by recipes, on worker threads.  Trust: the file is a user's and may be hostile.
 */
#include <elf.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/parse.h"
#include "base/str.h"
#include "image/image_internal.h"

#define KERNEL_FILE_MAX                                                                            \
	((size_t)256 << 20) /* the largest with debug data that is still meant to be booted */
#define CONFIG_MAX	 ((size_t)2 << 20) /* a full x86 configuration has 250 KiB */
#define HDRS_AT		 0x202u
#define HEADER_LEN	 0x250u /* up to and with payload_length */
#define PROTOCOL_PAYLOAD 0x208u /* first version with payload_offset */
#define SETUP_SECTS_OLD	 4u
#define SECTOR		 512u

static uint16_t le16_at(const char *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return le16toh(v);
}

static uint32_t le32_at(const char *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

static int whole_file(const char *path, struct buf *ret, struct err *e)
{
	struct stat st;

	if (stat(path, &st))
		return err_sys(e, errno, "kernel.open", "kernel %s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(e, -EINVAL, ERR_CALLER, "kernel.not-a-file",
			       "kernel %s: not a regular file", path);
	ret->max = KERNEL_FILE_MAX + 1;
	return fd_read_file(path, KERNEL_FILE_MAX, ret, e);
}

__attribute__((format(printf, 3, 4))) static void refuse(struct kernel_facts *f, const char *format,
							 const char *why, ...)
{
	va_list ap;

	va_start(ap, why);
	(void)vsnprintf(f->why, sizeof(f->why), why, ap); /* cut is fine: a sentence for people */
	va_end(ap);
	text_set(f->format, sizeof(f->format), format); /* literals of ours fit */
	f->bootable = false;
}

/* Copy a version: what stands before the first blank, printable, bounded. */
static void take_version(struct kernel_facts *f, const char *p, const char *end)
{
	size_t n = 0;

	while (p + n < end && n < sizeof(f->version) - 1 && p[n] > 0x20 && p[n] < 0x7f)
		n++;
	memcpy(f->version, p, n);
	f->version[n] = '\0';
}

/* --- bzImage --- */

static const struct {
	const char *name;
	const char *bytes;
	size_t len;
} payloads[] = {
	{"gzip", "\x1f\x8b", 2},
	{"xz", "\xfd\x37zXZ", 5},
	{"zstd", "\x28\xb5\x2f\xfd", 4},
	{"lz4", "\x02\x21\x4c\x18", 4},
	{"bzip2", "BZh", 3},
	{"lzma", "\x5d\x00\x00", 3},
	{"lzo", "\x89LZO", 4},
	{"none",
	 "\x7f"
	 "ELF",
	 4},
};

static const char *payload_kind(const char *p, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(payloads); i++)
		if (len >= payloads[i].len && !memcmp(p, payloads[i].bytes, payloads[i].len))
			return payloads[i].name;
	return "unknown";
}

static void bzimage(const struct buf *file, struct kernel_facts *f, struct buf *ret_image)
{
	const char *d = file->data;
	uint64_t setup = (d[0x1f1] ? (uint8_t)d[0x1f1] : SETUP_SECTS_OLD) + 1;
	uint64_t version_at = (uint64_t)le16_at(d + 0x20e) + 0x200;
	uint64_t at, len;

	text_set(f->format, sizeof(f->format), "bzImage");
	if (!(d[0x211] & 1)) {
		refuse(f, "zImage",
		       "a zImage, loaded low: only bzImage and ELF kernels can be booted");
		return;
	}
	if (version_at > 0x200 && version_at < file->len)
		take_version(f, d + version_at, d + file->len);
	f->bootable = true;
	if (le16_at(d + 0x206) < PROTOCOL_PAYLOAD)
		return; /* Linux before 2.6.26 does not say where its payload is */
	at = setup * SECTOR + le32_at(d + 0x248);
	len = le32_at(d + 0x24c);
	if (at + len > file->len) {
		refuse(f, "bzImage",
		       "a truncated bzImage: its payload ends at byte %llu, the file at %zu",
		       (unsigned long long)(at + len), file->len);
		return;
	}
	text_set(f->compression, sizeof(f->compression), payload_kind(d + at, (size_t)len));
	ret_image->max = UNPACK_KERNEL_MAX + ((size_t)4 << 20);
	if (!str_eq(f->compression, "gzip") && !str_eq(f->compression, "none") && len > 4)
		len -= 4;
	/* Facts that need it stay unknown when it can't be unpacked; the guest's own unpacker
	 * decides. */
	if (str_eq(f->compression, "none")
		    ? buf_add(ret_image, d + at, (size_t)len)
		    : unpack(d + at, (size_t)len, UNPACK_KERNEL_MAX, ret_image))
		buf_done(ret_image);
}

/* --- ELF --- */

static bool elf_has_interpreter(const struct buf *file, const Elf64_Ehdr *h)
{
	for (unsigned i = 0; i < h->e_phnum; i++) {
		uint64_t at = h->e_phoff + (uint64_t)i * sizeof(Elf64_Phdr);
		Elf64_Phdr p;

		if (at < h->e_phoff || file->len < sizeof(p) || at > file->len - sizeof(p))
			return false;
		memcpy(&p, file->data + at, sizeof(p));
		if (p.p_type == PT_INTERP)
			return true;
	}
	return false;
}

static void elf(const struct buf *file, struct kernel_facts *f)
{
	Elf64_Ehdr h;

	text_set(f->format, sizeof(f->format), "ELF");
	if (file->len < sizeof(h) || file->data[EI_CLASS] != ELFCLASS64 ||
	    file->data[EI_DATA] != ELFDATA2LSB) {
		refuse(f, "ELF", "an ELF file that is not 64-bit little endian");
		return;
	}
	memcpy(&h, file->data, sizeof(h));
	if (h.e_machine != EM_X86_64)
		refuse(f, "ELF", "an ELF file for another processor (machine %u, x86-64 is %u)",
		       h.e_machine, EM_X86_64);
	else if (h.e_type == ET_REL)
		refuse(f, "ELF", "an ELF object or kernel module, no kernel");
	else if (elf_has_interpreter(file, &h) || (h.e_type != ET_EXEC && h.e_type != ET_DYN))
		refuse(f, "ELF", "an ELF program or library, no kernel");
	else
		f->bootable = true;
}

/* --- what both have inside --- */

static void find_version(const struct buf *image, struct kernel_facts *f)
{
	static const char banner[] = "Linux version ";
	const char *p = image->data, *end = p + image->len;

	while (!f->version[0] && p &&
	       (p = memmem(p, (size_t)(end - p), banner, sizeof(banner) - 1))) {
		p += sizeof(banner) - 1;
		if (p < end && *p >= '0' && *p <= '9') /* not a format such as "Linux version %s" */
			take_version(f, p, end);
	}
}

static void find_config(struct kernel *k)
{
	static const char start[] = "IKCFG_ST";
	const char *p = k->image.len ? memmem(k->image.data, k->image.len, start, 8) : NULL;
	const char *end = p ? k->image.data + k->image.len : NULL;
	const char *stop = p ? memmem(p, (size_t)(end - p), "IKCFG_ED", 8) : NULL;

	if (!stop)
		return;
	k->config.max = CONFIG_MAX + ((size_t)2 << 20);
	if (unpack(p + 8, (size_t)(stop - p) - 8, CONFIG_MAX, &k->config))
		buf_done(&k->config);
	else
		k->facts.has_config = k->config.len > 0;
}

static void other(const struct buf *file, struct kernel_facts *f)
{
	const char *is = magic_name(file->data, file->len);
	static const struct {
		const char *is, *format;
	} names[] = {
		{"gzip data", "gzip"},
		{"xz data", "xz"},
		{"zstd data", "zstd"},
		{"lz4 data", "lz4"},
		{"bzip2 data", "bzip2"},
		{"a text file", "text"},
		{"an arm64 kernel", "arm64 Image"},
	};

	if (!is) {
		refuse(f, "unknown", "no format that we know (first bytes %02x %02x %02x %02x)",
		       (uint8_t)file->data[0], file->len > 1 ? (uint8_t)file->data[1] : 0,
		       file->len > 2 ? (uint8_t)file->data[2] : 0,
		       file->len > 3 ? (uint8_t)file->data[3] : 0);
		return;
	}
	refuse(f, "unknown", "%s%s", is,
	       str_ends(is, " data") ? ": unpack it first, a bzImage or an ELF is needed" : "");
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (str_eq(is, names[i].is))
			text_set(f->format, sizeof(f->format), names[i].format); /* fits */
}

int kernel_load(const char *path, struct kernel *ret, struct err *e)
{
	struct kernel k = {.facts = {.format = ""}};
	auto_buf file = {0};
	int rc = whole_file(path, &file, e);

	if (rc)
		return rc;
	if (!file.len) {
		refuse(&k.facts, "empty", "an empty file");
	} else if (file.len >= HEADER_LEN && !memcmp(file.data + HDRS_AT, "HdrS", 4) &&
		   le16_at(file.data + 0x1fe) == 0xaa55) {
		bzimage(&file, &k.facts, &k.image);
	} else if (file.len >= 4 && !memcmp(file.data, ELFMAG, SELFMAG)) {
		elf(&file, &k.facts);
		k.image = file;
		file = (struct buf){0};
	} else {
		other(&file, &k.facts);
	}
	if (k.image.len) {
		find_version(&k.image, &k.facts);
		find_config(&k);
	}
	*ret = k;
	return 0;
}

void kernel_done(struct kernel *k)
{
	buf_done(&k->image);
	buf_done(&k->config);
}

int kernel_inspect(const char *path, struct kernel_facts *ret, struct err *e)
{
	struct kernel k;
	int rc = kernel_load(path, &k, e);

	if (rc)
		return rc;
	*ret = k.facts;
	kernel_done(&k);
	return 0;
}

int kernel_check(const char *path, const struct kernel_facts *f, struct err *e)
{
	if (f->bootable)
		return 0;
	return err_set(e, -EINVAL, ERR_CALLER, "kernel.format",
		       "kernel %s: expected a bzImage or an ELF kernel for x86-64, this is %s",
		       path, f->why);
}

int kernel_config_file(struct kernel *k, const char *path, struct err *e)
{
	if (k->config.len)
		return 0; /* what the kernel itself says counts more */
	return fd_read_file(path, CONFIG_MAX, &k->config, e);
}

char kernel_config(const struct kernel *k, const char *key)
{
	char want[80];
	const char *p = buf_text(&k->config);

	if (!k->config.len || !str_fmt(want, sizeof(want), "CONFIG_%s=", key))
		return '?';
	while ((p = strstr(p, want))) {
		if (p == k->config.data || p[-1] == '\n')
			return p[strlen(want)] == 'y' || p[strlen(want)] == 'm' ? p[strlen(want)]
										: 'n';
		p++;
	}
	return 'n';
}
