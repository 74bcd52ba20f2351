/*
 * Kernels of every kind that people hand over, made here byte by byte.
 */
#include "image_fixture.h"

#include <elf.h>
#include <lz4.h>
#include <zlib.h>

#include "base/buf.h"
#include "image/image_internal.h"

static struct kernel_facts inspect(const char *path)
{
	struct kernel_facts f;

	if (kernel_inspect(path, &f, &err))
		fail_msg("%s: %s", path, err.text);
	return f;
}

/* An ELF header with what a kernel's image holds: banner, driver names, configuration. */
static void make_elf(struct buf *b, const char *config)
{
	Elf64_Ehdr h = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1},
			.e_type = ET_EXEC,
			.e_machine = EM_X86_64};
	uint8_t packed[4096];
	z_stream z = {0};

	assert_int_equal(buf_add(b, &h, sizeof(h)), 0);
	assert_int_equal(
		buf_add(b, "Linux version %s (x)\0Linux version 6.1.0-99-cloud (gcc)\0ext4\0", 61),
		0);
	if (!config)
		return;
	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_in = (Bytef *)(uintptr_t)config;
	z.avail_in = (unsigned)strlen(config);
	z.next_out = packed;
	z.avail_out = sizeof(packed);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	assert_int_equal(deflateEnd(&z), Z_OK);
	assert_int_equal(buf_add(b, "IKCFG_ST", 8), 0);
	assert_int_equal(buf_add(b, packed, z.total_out), 0);
	assert_int_equal(buf_add(b, "IKCFG_ED", 8), 0);
}

/* A bzImage with one setup sector and the given payload. */
static void make_bzimage(struct buf *b, const void *payload, size_t len)
{
	uint8_t head[1024] = {0};
	uint32_t len32 = (uint32_t)len;

	head[0x1f1] = 1;
	memcpy(head + 0x1fe, "\x55\xaa", 2);
	memcpy(head + 0x202, "HdrS\x0f\x02", 6);
	memcpy(head + 0x20e, "\x80\x00", 2); /* 0x280 */
	head[0x211] = 1;
	memcpy(head + 0x24c, &len32, 4);
	memcpy(head + 0x280, "6.1.0-77-test (me@here) #1", 27);
	assert_int_equal(buf_add(b, head, sizeof(head)), 0);
	assert_int_equal(buf_add(b, payload, len), 0);
}

static void test_not_kernels(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		const char *format, *why;
	} cases[] = {
		{"", 0, "empty", "an empty file"},
		{"#!/bin/sh\necho hello\n", 21, "text", "a text file"},
		{"\x1f\x8b\x08\0\0\0", 6, "gzip", "gzip data: unpack it first"},
		{"\x28\xb5\x2f\xfd\0\0", 6, "zstd", "zstd data: unpack it first"},
		{"\x02\x21\x4c\x18\0\0", 6, "lz4", "lz4 data"},
		{"QFI\xfb\0\0\0", 7, "unknown", "a qcow2 disk image"},
		{"\x01\x02\x03\x04\0", 5, "unknown", "first bytes 01 02 03 04"},
		{"\x00", 1, "unknown", "first bytes 00"},
		{"\x7f"
		 "ELF\x01\x01",
		 6, "ELF", "not 64-bit"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *path = tmp_file("kernel", cases[i].bytes, cases[i].len);
		struct kernel_facts f = inspect(path);

		assert_string_equal(f.format, cases[i].format);
		assert_non_null(strstr(f.why, cases[i].why));
		assert_false(f.bootable);
		assert_int_equal(kernel_check(path, &f, &err), -EINVAL);
		assert_string_equal(err.id, "kernel.format");
		assert_non_null(strstr(err.text, cases[i].why));
	}
	assert_int_equal(kernel_inspect(tmp_path("nothing"), &(struct kernel_facts){0}, &err),
			 -ENOENT);
	assert_int_equal(kernel_inspect(tmp_dir, &(struct kernel_facts){0}, &err), -EINVAL);
}

static void test_elf(void **state)
{
	static const char config[] =
		"CONFIG_VIRTIO_BLK=y\nCONFIG_VIRTIO_NET=m\n# CONFIG_IP_PNP is not set\n"
		"CONFIG_NOT_VIRTIO_PCI=y\n";
	auto_buf b = {0};
	enum image_presence d[DRV_N_];
	struct kernel k;
	const char *path;
	Elf64_Ehdr h;

	(void)state;
	make_elf(&b, config);
	path = tmp_file("vmlinux", b.data, b.len);
	assert_int_equal(kernel_load(path, &k, &err), 0);
	assert_string_equal(k.facts.format, "ELF");
	assert_string_equal(k.facts.version, "6.1.0-99-cloud");
	assert_true(k.facts.bootable && k.facts.has_config);
	assert_int_equal(kernel_config(&k, "VIRTIO_BLK"), 'y');
	assert_int_equal(kernel_config(&k, "VIRTIO_NET"), 'm');
	assert_int_equal(kernel_config(&k, "VIRTIO_PCI"), 'n');
	assert_int_equal(kernel_config(&k, "IP_PNP"), 'n');
	drivers_tell(&k, NULL, d);
	assert_int_equal(d[DRV_VIRTIO_BLK], DRV_BUILTIN);
	assert_int_equal(d[DRV_VIRTIO_NET], DRV_ABSENT); /* a module whose file nobody gave */
	kernel_done(&k);

	/* The same file for another processor, then as an object file. */
	memcpy(&h, b.data, sizeof(h));
	h.e_machine = EM_AARCH64;
	memcpy(b.data, &h, sizeof(h));
	assert_non_null(
		strstr(inspect(tmp_file("vmlinux", b.data, b.len)).why, "another processor"));
	h.e_machine = EM_X86_64;
	h.e_type = ET_REL;
	memcpy(b.data, &h, sizeof(h));
	assert_non_null(strstr(inspect(tmp_file("vmlinux", b.data, b.len)).why, "object"));
	/* A real program of this machine. */
	assert_non_null(strstr(inspect("/bin/sh").why, "program"));
}

static void test_bzimage(void **state)
{
	auto_buf inner = {0}, b = {0}, packed = {0};
	enum image_presence d[DRV_N_];
	struct kernel_facts f;
	struct kernel k;
	uint32_t size;
	int n;

	(void)state;
	make_elf(&inner, NULL);
	/* lz4 as the kernel's build writes it: legacy magic, block size, block, size of the
	 * whole. */
	assert_non_null(buf_room(&packed, 8192));
	n = LZ4_compress_default(inner.data, packed.data + 8, (int)inner.len, 8000);
	assert_true(n > 0);
	memcpy(packed.data, "\x02\x21\x4c\x18", 4);
	size = (uint32_t)n;
	memcpy(packed.data + 4, &size, 4);
	packed.len = 8 + (size_t)n;
	size = (uint32_t)inner.len;
	assert_int_equal(buf_add(&packed, &size, 4), 0);
	make_bzimage(&b, packed.data, packed.len);
	assert_int_equal(kernel_load(tmp_file("vmlinuz", b.data, b.len), &k, &err), 0);
	assert_string_equal(k.facts.format, "bzImage");
	assert_string_equal(k.facts.compression, "lz4");
	assert_string_equal(k.facts.version, "6.1.0-77-test");
	assert_true(k.facts.bootable);
	assert_int_equal(k.image.len, inner.len);
	/* No configuration, no modules: what is not in the image can't be built in, the rest is
	 * unknown. */
	drivers_tell(&k, NULL, d);
	assert_int_equal(d[DRV_VIRTIO_BLK], DRV_ABSENT);
	assert_int_equal(d[DRV_EXT4], DRV_UNKNOWN);
	kernel_done(&k);

	/* One byte short. */
	f = inspect(tmp_file("vmlinuz", b.data, b.len - 1));
	assert_false(f.bootable);
	assert_non_null(strstr(f.why, "truncated"));
	/* A payload that is damaged: the facts from inside are unknown, the header's stay. */
	b.len = 0;
	make_bzimage(&b, "\x02\x21\x4c\x18\xff\xff\xff\x7f garbage", 16);
	f = inspect(tmp_file("vmlinuz", b.data, b.len));
	assert_string_equal(f.compression, "lz4");
	assert_true(f.bootable);
	/* Not loaded high. */
	b.data[0x211] = 0;
	assert_string_equal(inspect(tmp_file("vmlinuz", b.data, b.len)).format, "zImage");
	/* Every truncation of the header is some format and no crash. */
	for (size_t len = 0; len < 0x260; len++)
		(void)inspect(tmp_file("vmlinuz", b.data, len));
}

static void test_rootfs(void **state)
{
	static uint8_t image[8192];
	struct rootfs_facts f;

	(void)state;
	memset(image, 0, sizeof(image));
	assert_int_equal(rootfs_inspect(tmp_file("r", image, sizeof(image)), &f, &err), -EINVAL);
	assert_string_equal(err.id, "rootfs.not-a-filesystem");
	assert_non_null(strstr(err.text, "nothing that we know"));
	assert_int_equal(rootfs_inspect(tmp_file("r", "", 0), &f, &err), -EINVAL);
	assert_non_null(strstr(err.text, "an empty file"));
	assert_int_equal(rootfs_inspect(tmp_text("r", "just text\n"), &f, &err), -EINVAL);
	assert_non_null(strstr(err.text, "a text file"));
	assert_int_equal(rootfs_inspect(tmp_dir, &f, &err), -EINVAL);
	assert_non_null(strstr(err.text, "a directory"));
	memcpy(image, "QFI\xfb", 4);
	assert_int_equal(rootfs_inspect(tmp_file("r", image, sizeof(image)), &f, &err), -EINVAL);
	assert_non_null(strstr(err.remedy, "qemu-img convert"));
	memset(image, 0, 4);
	memcpy(image + 510, "\x55\xaa", 2);
	assert_int_equal(rootfs_inspect(tmp_file("r", image, sizeof(image)), &f, &err), -EINVAL);
	assert_non_null(strstr(err.text, "partition table"));
	/* ext4 of 8 blocks of 1 KiB: the whole file; then of 9. */
	memset(image, 0, sizeof(image));
	memcpy(image + 1024 + 56, "\x53\xef", 2);
	image[1024 + 4] = 8;
	image[1024 + 96] = 0x40;
	assert_int_equal(rootfs_inspect(tmp_file("r", image, sizeof(image)), &f, &err), 0);
	assert_string_equal(f.fs, "ext4");
	image[1024 + 4] = 9;
	assert_int_equal(rootfs_inspect(tmp_file("r", image, sizeof(image)), &f, &err), -EINVAL);
	assert_string_equal(err.id, "rootfs.truncated");
	image[1024 + 24] = 40; /* an absurd block size */
	assert_int_equal(rootfs_inspect(tmp_file("r", image, sizeof(image)), &f, &err), -EINVAL);
	memcpy(image, "hsqs", 4);
	assert_int_equal(rootfs_inspect(tmp_file("r", image, sizeof(image)), &f, &err), 0);
	assert_string_equal(f.fs, "squashfs");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_not_kernels),
		cmocka_unit_test(test_elf),
		cmocka_unit_test(test_bzimage),
		cmocka_unit_test(test_rootfs),
	};

	return cmocka_run_group_tests(tests, tmp_make, tmp_remove);
}
