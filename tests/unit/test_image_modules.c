/*
 * Which modules are needed, in which order, and the initramfs that carries them, read back by
 * libarchive.
 */
#include "image_fixture.h"

#include <archive.h>
#include <archive_entry.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "image/image_internal.h"

/* As depmod writes it: all dependencies, the farthest last. */
static const char dep[] =
	"kernel/net/virtio_net.ko: kernel/net/net_failover.ko kernel/net/failover.ko "
	"kernel/virtio/virtio.ko kernel/virtio/virtio_ring.ko\n"
	"kernel/net/net_failover.ko: kernel/net/failover.ko\n"
	"kernel/net/failover.ko:\n"
	"kernel/virtio/virtio.ko: kernel/virtio/virtio_ring.ko\n"
	"kernel/virtio/virtio_ring.ko:\n"
	"kernel/char/virtio-rng.ko.xz: kernel/virtio/virtio.ko\n"
	"kernel/crypto/crc32c_generic.ko:\n"
	"kernel/fs/other.ko:\n";

static struct modules *load(const char *dep_text, const char *builtin, const char *softdep)
{
	struct modules *m;

	(void)tmp_text("modules.dep", dep_text);
	(void)unlink(tmp_path("modules.builtin"));
	if (builtin)
		(void)tmp_text("modules.builtin", builtin);
	(void)tmp_text("modules.softdep", softdep);
	if (modules_load(tmp_dir, &m, &err))
		fail_msg("%s", err.text);
	return m;
}

static size_t position(const struct module_list *l, const char *name)
{
	for (size_t i = 0; i < l->n; i++)
		if (strstr(l->path[i], name))
			return i;
	fail_msg("%s is not in the list", name);
	return 0;
}

static void test_presence(void **state)
{
	AUTO(modules) m = load(dep, "kernel/fs/ext4/ext4.ko\n", "");
	AUTO(modules) blind = load(dep, NULL, "");

	(void)state;
	assert_int_equal(modules_has(m, "ext4"), DRV_BUILTIN);
	assert_int_equal(modules_has(m, "virtio-net"), DRV_MODULE);
	assert_int_equal(modules_has(m, "virtio_rng"), DRV_MODULE);
	assert_int_equal(modules_has(m, "overlay"), DRV_ABSENT);
	assert_int_equal(modules_has(blind, "ext4"), DRV_UNKNOWN);
}

static void test_closure(void **state)
{
	static const char *const want[] = {"ext4", "virtio_net", "overlay", "virtio_rng"};
	AUTO(modules)
	m = load(dep, "kernel/fs/ext4/ext4.ko\n",
		 "# comment\nsoftdep virtio-rng pre: crc32c_generic post: other\n");
	struct module_list l;

	(void)state;
	assert_int_equal(modules_closure(m, want, ARRAY_LEN(want), &l, &err), 0);
	assert_int_equal(l.n, 8);
	assert_true(position(&l, "/failover.ko") < position(&l, "net_failover.ko"));
	assert_true(position(&l, "net_failover.ko") < position(&l, "virtio_net.ko"));
	assert_true(position(&l, "virtio_ring.ko") < position(&l, "virtio/virtio.ko"));
	assert_true(position(&l, "virtio/virtio.ko") < position(&l, "virtio_net.ko"));
	assert_true(position(&l, "crc32c") < position(&l, "virtio-rng"));
	assert_true(position(&l, "virtio-rng") < position(&l, "other"));
	/* Twice the same question gives the same answer. */
	assert_int_equal(modules_closure(m, want, 2, &l, &err), 0);
	assert_int_equal(l.n, 5);
}

static void test_hostile(void **state)
{
	static const char *const want[] = {"a"};
	auto_buf big = {0};
	AUTO(modules) circle = load("k/a.ko: k/b.ko\nk/b.ko: k/a.ko\n", NULL, "");
	AUTO(modules) missing = load("k/a.ko: k/b.ko\n", NULL, "");
	AUTO(modules) chain = NULL;
	AUTO(modules) many = NULL;
	struct modules *none;
	struct module_list l;

	(void)state;
	assert_int_equal(modules_closure(circle, want, 1, &l, &err), -ELOOP);
	assert_int_equal(modules_closure(missing, want, 1, &l, &err), -ENOENT);
	assert_non_null(strstr(err.text, "k/b.ko"));
	assert_int_equal(buf_puts(&big, "k/a.ko: k/m0.ko\n"), 0);
	for (unsigned i = 0; i < 5000; i++)
		assert_int_equal(buf_printf(&big, "k/m%u.ko: k/m%u.ko\n", i, i + 1), 0);
	assert_int_equal(buf_puts(&big, "k/m5000.ko:\n"), 0);
	chain = load(big.data, NULL, "");
	assert_int_equal(modules_closure(chain, want, 1, &l, &err), -ELOOP);
	/* More direct dependencies than hearth-init would load. */
	buf_reset(&big);
	for (unsigned i = 0; i < MODULES_MAX; i++)
		assert_int_equal(buf_printf(&big, "k/m%u.ko:\n", i), 0);
	assert_int_equal(buf_puts(&big, "k/a.ko:"), 0);
	for (unsigned i = 0; i < MODULES_MAX; i++)
		assert_int_equal(buf_printf(&big, " k/m%u.ko", i), 0);
	many = load(big.data, NULL, "");
	assert_int_equal(modules_closure(many, want, 1, &l, &err), -E2BIG);

	(void)tmp_text("modules.dep", "/etc/passwd:\n");
	assert_int_equal(modules_load(tmp_dir, &none, &err), -EINVAL);
	(void)tmp_text("modules.dep", "k/../../x.ko:\n");
	assert_int_equal(modules_load(tmp_dir, &none, &err), -EINVAL);
	assert_int_equal(unlink(tmp_path("modules.dep")), 0);
	assert_int_equal(modules_load(tmp_dir, &none, &err), -ENOENT);
	assert_string_equal(err.id, "modules.no-index");
}

/* What an archive holds, as one line of text a file. */
static void listing(const char *path, struct buf *ret)
{
	struct archive *a = archive_read_new();
	struct archive_entry *at;

	assert_int_equal(archive_read_support_format_cpio(a), ARCHIVE_OK);
	assert_int_equal(archive_read_open_filename(a, path, 65536), ARCHIVE_OK);
	while (archive_read_next_header(a, &at) == ARCHIVE_OK) {
		char data[128] = "";
		la_ssize_t n = archive_read_data(a, data, sizeof(data) - 1);

		assert_true(n >= 0);
		assert_int_equal(buf_printf(ret, "%s %o %lld \"%s\"\n", archive_entry_pathname(at),
					    archive_entry_mode(at),
					    (long long)archive_entry_mtime(at), data),
				 0);
	}
	assert_int_equal(archive_read_free(a), ARCHIVE_OK);
}

static void test_initramfs(void **state)
{
	static const char *const want[] = {"b"};
	AUTO(modules) m = load("k/a.ko:\nk/b.ko: k/a.ko\n", NULL, "");
	auto_buf text = {0}, one = {0}, two = {0};
	struct module_list l;
	const char *out = tmp_path("initrd");

	(void)state;
	assert_int_equal(mkdir(tmp_path("k"), 0755), 0);
	(void)tmp_text("k/a.ko", "module A");
	(void)tmp_text("k/b.ko", "module B of odd length");
	(void)tmp_text("hearth-init", "the program");
	assert_int_equal(modules_closure(m, want, 1, &l, &err), 0);
	assert_int_equal(initramfs_write(out, tmp_path("hearth-init"), tmp_dir, &l, &err), 0);
	listing(out, &text);
	assert_string_equal(
		text.data,
		"dev 40755 0 \"\"\nhearth 40755 0 \"\"\nlib 40755 0 \"\"\nlib/modules 40755 0 "
		"\"\"\n"
		"proc 40755 0 \"\"\nrun 40755 0 \"\"\nsys 40755 0 \"\"\ndev/console 20600 0 \"\"\n"
		"init 100755 0 \"the program\"\nlib/modules/a.ko 100644 0 \"module A\"\n"
		"lib/modules/b.ko 100644 0 \"module B of odd length\"\n"
		"hearth/modules 100644 0 \"/lib/modules/a.ko\n/lib/modules/b.ko\n\"\n");
	/* The same input gives the same bytes. */
	assert_int_equal(fd_read_file(out, 1 << 20, &one, &err), 0);
	assert_int_equal(initramfs_write(out, tmp_path("hearth-init"), tmp_dir, &l, &err), 0);
	assert_int_equal(fd_read_file(out, 1 << 20, &two, &err), 0);
	assert_int_equal(one.len, two.len);
	assert_memory_equal(one.data, two.data, one.len);
	/* A file that modules.dep has and the directory has not. */
	assert_int_equal(unlink(tmp_path("k/a.ko")), 0);
	assert_int_equal(initramfs_write(out, tmp_path("hearth-init"), tmp_dir, &l, &err), -ENOENT);
	assert_non_null(strstr(err.text, "k/a.ko"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_presence),
		cmocka_unit_test(test_closure),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_initramfs),
	};

	return cmocka_run_group_tests(tests, tmp_make, tmp_remove);
}
