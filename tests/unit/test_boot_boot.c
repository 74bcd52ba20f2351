/*
 * Tests of the loaders: an ELF kernel made by hand, the same in a bzImage, files that lie, and what
 * the zero page then says.
 */
#include "boot/boot.h"

#include <elf.h>
#include <errno.h>
#include <lz4.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "unit.h"

#define MEM	(64u << 20)
#define LOAD_AT 0x1000000u
#define CODE	"the kernel's code"

struct elf_file {
	Elf64_Ehdr head;
	Elf64_Phdr load;
	char code[32];
};

static struct elf_file good_elf(void)
{
	struct elf_file f = {
		.head = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB},
			 .e_type = ET_EXEC,
			 .e_machine = EM_X86_64,
			 .e_entry = LOAD_AT,
			 .e_phoff = sizeof(Elf64_Ehdr),
			 .e_phentsize = sizeof(Elf64_Phdr),
			 .e_phnum = 1},
		.load = {.p_type = PT_LOAD,
			 .p_offset = offsetof(struct elf_file, code),
			 .p_paddr = LOAD_AT,
			 .p_filesz = 32,
			 .p_memsz = 4096},
		.code = CODE,
	};

	return f;
}

static int file_of(const void *data, size_t len)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), (ssize_t)len);
	return fd;
}

static struct guestmem *memory(void)
{
	struct gm_range r = {0, MEM};
	struct guestmem *gm;

	assert_int_equal(gm_new(&r, 1, &gm, NULL), 0);
	return gm;
}

/* Loads a kernel file; 0 and *ret, or the error with its id in *ret_id. */
static int load(struct guestmem *gm, const void *data, size_t len, struct boot_entry *ret,
		const char **ret_id)
{
	struct boot_files files = {file_of(data, len), -1, "console=ttyS0", 0, 0};
	struct err e = {.id = ""};
	int rc = boot_load(gm, &files, ret, &e);

	(void)close(files.kernel_fd);
	*ret_id = e.id;
	return rc;
}

static void elf_kernel(void **state)
{
	struct elf_file f = good_elf();
	struct guestmem *gm = memory();
	struct boot_entry entry;
	const char *id;
	char text[32];
	uint8_t zero_page[4096];

	(void)state;
	assert_int_equal(load(gm, &f, sizeof(f), &entry, &id), 0);
	assert_int_equal(entry.protocol, BOOT_LINUX64);
	assert_int_equal(entry.ip, LOAD_AT);
	assert_int_equal(gm_read(gm, LOAD_AT, text, sizeof(text)), 0);
	assert_string_equal(text, CODE);
	assert_int_equal(gm_read(gm, BOOT_CMDLINE_GPA, text, 14), 0);
	assert_string_equal(text, "console=ttyS0");
	assert_int_equal(gm_read(gm, BOOT_ZERO_GPA, zero_page, sizeof(zero_page)), 0);
	assert_int_equal(zero_page[0x1e8], 3); /* low memory, the reserved part, the rest */
	assert_memory_equal(zero_page + 0x202, "HdrS", 4);
	gm_free(gm);
}

static void elf_that_lies(void **state)
{
	struct elf_file good = good_elf();
	struct guestmem *gm = memory();
	struct boot_entry entry = {0};
	const char *id;

	(void)state;
#define LIE(change, expected)                                                                      \
	do {                                                                                       \
		struct elf_file f = good;                                                          \
		change;                                                                            \
		assert_true(load(gm, &f, sizeof(f), &entry, &id) < 0);                             \
		assert_string_equal(id, expected);                                                 \
	} while (0)
	LIE(f.head.e_machine = EM_AARCH64, "kernel.elf");
	LIE(f.head.e_type = ET_REL, "kernel.elf");
	LIE(f.head.e_phnum = 65, "kernel.elf");
	LIE(f.head.e_phoff = UINT64_MAX, "kernel.elf");
	LIE(f.head.e_entry = 0, "kernel.elf");
	LIE(f.load.p_offset = UINT64_MAX, "kernel.elf");
	LIE(f.load.p_filesz = UINT64_MAX, "kernel.elf");
	LIE(f.load.p_filesz = 4097, "kernel.elf");
	LIE(f.load.p_paddr = 0, "kernel.elf");
	LIE(f.load.p_paddr = MEM, "kernel.memory");
	LIE(f.load.p_paddr = UINT64_MAX, "kernel.memory");
	LIE(f.load.p_memsz = UINT64_MAX, "kernel.memory");
	LIE(f.load.p_type = PT_INTERP, "kernel.elf");
	LIE(f.head.e_ident[0] = 0, "kernel.format");
#undef LIE
	assert_true(load(gm, &good, 40, &entry, &id) < 0);
	assert_int_equal(entry.ip, 0);
	gm_free(gm);
}

static void put32(uint8_t *p, uint32_t v)
{
	memcpy(p, &v, sizeof(v));
}

/* A bzImage with one setup sector beside the first, and the payload behind it. */
static size_t bzimage(uint8_t *ret, const void *payload, size_t len)
{
	memset(ret, 0, 2048);
	ret[0x1f1] = 1;
	ret[0x1fe] = 0x55;
	ret[0x1ff] = 0xaa;
	ret[0x201] = 0x62;
	memcpy(ret + 0x202, "HdrS", 4);
	ret[0x206] = 0x0f;
	ret[0x207] = 0x02;
	ret[0x211] = 1;
	put32(ret + 0x248, 0);
	put32(ret + 0x24c, (uint32_t)len);
	memcpy(ret + 1024, payload, len);
	return 1024 + len;
}

/* LZ4's legacy frame as the kernel's build makes it. */
static size_t lz4_payload(uint8_t *ret, const void *data, size_t len)
{
	int n = LZ4_compress_default(data, (char *)ret + 8, (int)len, 1000);

	assert_true(n > 0);
	put32(ret, 0x184c2102);
	put32(ret + 4, (uint32_t)n);
	put32(ret + 8 + n, (uint32_t)len);
	return 8u + (size_t)n + 4u;
}

static void bzimage_is_unpacked(void **state)
{
	struct elf_file f = good_elf();
	struct guestmem *gm = memory();
	struct boot_entry entry;
	uint8_t payload[1024], file[4096];
	size_t n = lz4_payload(payload, &f, sizeof(f)), len = bzimage(file, payload, n);
	const char *id;
	char text[32];

	(void)state;
	assert_int_equal(load(gm, file, len, &entry, &id), 0);
	assert_int_equal(entry.ip, LOAD_AT);
	assert_int_equal(gm_read(gm, LOAD_AT, text, sizeof(text)), 0);
	assert_string_equal(text, CODE);
	put32(file + 1024 + n - 4, 100); /* less than it has */
	assert_true(load(gm, file, len, &entry, &id) < 0);
	assert_string_equal(id, "kernel.payload");
	put32(file + 1024 + n - 4, UINT32_MAX);
	assert_true(load(gm, file, len, &entry, &id) < 0);
	assert_string_equal(id, "kernel.payload");
	put32(file + 0x24c, UINT32_MAX);
	assert_true(load(gm, file, len, &entry, &id) < 0);
	assert_string_equal(id, "kernel.bzimage");
	gm_free(gm);
}

static void command_line(void **state)
{
	auto_buf b = {0};
	char longest[BOOT_CMDLINE_MAX + 1];
	struct err e;

	(void)state;
	assert_int_equal(buf_puts(&b, "quiet -- single"), 0);
	assert_int_equal(boot_cmdline_add(&b, "pci=off"), 0);
	assert_string_equal(buf_text(&b), "quiet pci=off -- single");
	buf_reset(&b);
	assert_int_equal(boot_cmdline_add(&b, "a"), 0);
	assert_int_equal(boot_cmdline_add(&b, "b"), 0);
	assert_string_equal(buf_text(&b), "a b");
	memset(longest, 'x', sizeof(longest));
	longest[BOOT_CMDLINE_MAX] = '\0';
	assert_int_equal(boot_cmdline_check(longest, &e), -E2BIG);
	longest[BOOT_CMDLINE_MAX - 1] = '\0';
	assert_int_equal(boot_cmdline_check(longest, &e), 0);
	assert_int_equal(boot_cmdline_check("a\nb", &e), -EINVAL);
	assert_int_equal(boot_cmdline_check("\xc3\xa4", &e), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(elf_kernel),
		cmocka_unit_test(elf_that_lies),
		cmocka_unit_test(bzimage_is_unpacked),
		cmocka_unit_test(command_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
