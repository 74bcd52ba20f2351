/*
 * Tests of console/console: offsets that never change, a bounded file, file systems without holes
 * or without room.  The latter two mount ramfs and tmpfs in a mount namespace of their own: root
 * only.
 */
#include "console/console.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/str.h"
#include "unit.h"

#define HEAD  (64u << 10)
#define TAIL  (128u << 10)
#define SLACK (256u << 10) /* rounding to blocks and punching in steps */

static char dir[64], path[128];

static int make_dir(void **state)
{
	(void)state;
	assert_true(str_copy(dir, sizeof(dir), "/tmp/hearth-test-console-XXXXXX"));
	if (!mkdtemp(dir))
		return -1;
	assert_true(str_fmt(path, sizeof(path), "%s/console.log", dir));
	return 0;
}

static int drop_dir(void **state)
{
	(void)state;
	return fd_remove_tree(dir, NULL);
}

/* Byte i of the output is a function of i, so that a wrong offset shows. */
static unsigned char byte_at(uint64_t i)
{
	return (unsigned char)(1 + (i * 2654435761u >> 13) % 255);
}

static void write_bytes(struct console_writer *w, uint64_t n, size_t step)
{
	static unsigned char chunk[1 << 20];

	assert_true(step <= sizeof(chunk));
	while (n) {
		size_t len = n < step ? (size_t)n : step;

		for (size_t i = 0; i < len; i++)
			chunk[i] = byte_at(w->size + i);
		(void)console_append(w, chunk, len); /* its result is looked at where it matters */
		n -= len;
	}
}

/* Read all from `from` on; every byte must be the one of its offset.  Returns the bytes skipped. */
static uint64_t read_bytes(uint64_t from, size_t max, uint64_t *ret_read)
{
	uint64_t offset = from, skipped = 0;

	*ret_read = 0;
	for (;;) {
		auto_buf b = {0};
		uint64_t dropped, before = offset;

		assert_int_equal(console_read(path, &offset, max, &b, &dropped, NULL), 0);
		assert_int_equal(offset, before + dropped + b.len);
		for (size_t i = 0; i < b.len; i++)
			assert_int_equal((unsigned char)b.data[i], byte_at(before + dropped + i));
		assert_true(b.len <= max);
		skipped += dropped;
		*ret_read += b.len;
		if (offset == before)
			return skipped;
	}
}

static uint64_t disk_bytes(void)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

static void keeps_short_output_whole(void **state)
{
	struct console_writer w;
	uint64_t n;

	(void)state;
	assert_int_equal(console_size(path), 0);
	assert_int_equal(read_bytes(0, 4096, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(console_create(path, HEAD, TAIL, &w, NULL), 0);
	write_bytes(&w, 10000, 777);
	assert_int_equal(console_size(path), 10000);
	assert_int_equal(read_bytes(0, 100, &n), 0);
	assert_int_equal(n, 10000);
	assert_int_equal(read_bytes(9990, 100, &n), 0);
	assert_int_equal(n, 10);
	assert_int_equal(read_bytes(20000, 100, &n), 0); /* beyond the end: nothing, and no move */
	assert_int_equal(n, 0);
	console_close(&w);
}

static void follows_a_writer(void **state)
{
	struct console_writer w;
	uint64_t offset = 0, dropped;
	auto_buf b = {0};

	(void)state;
	assert_int_equal(console_create(path, HEAD, TAIL, &w, NULL), 0);
	assert_int_equal(console_append(&w, "one", 3), 0);
	assert_int_equal(console_read(path, &offset, 100, &b, &dropped, NULL), 0);
	assert_int_equal(console_append(&w, "two", 3), 0);
	assert_int_equal(console_read(path, &offset, 100, &b, &dropped, NULL), 0);
	assert_string_equal(buf_text(&b), "onetwo");
	assert_int_equal(offset, 6);
	console_close(&w);
}

static void bounds_a_flood(void **state)
{
	const uint64_t total = (64u << 20) + 12345;
	struct console_writer w;
	uint64_t n, skipped;

	(void)state;
	assert_int_equal(console_create(path, HEAD, TAIL, &w, NULL), 0);
	write_bytes(&w, total, 1 << 16);
	assert_int_equal(w.size, total);
	assert_int_equal(console_size(path), total);
	assert_true(disk_bytes() <= HEAD + TAIL + SLACK);
	skipped = read_bytes(0, 5000, &n);
	assert_true(n >= HEAD + TAIL);
	assert_int_equal(n + skipped, total);
	/* From within the hole: skips to its end. */
	assert_true(read_bytes(total / 2, 5000, &n) > 0);
	assert_true(n >= TAIL);
	/* The very last bytes are always there. */
	assert_int_equal(read_bytes(total - TAIL, 1 << 20, &n), 0);
	assert_int_equal(n, TAIL);
	console_close(&w);
}

static void bounds_one_huge_append(void **state)
{
	const size_t total = 16u << 20;
	struct console_writer w;
	unsigned char *all = test_malloc(total);
	uint64_t n;

	(void)state;
	for (size_t i = 0; i < total; i++)
		all[i] = byte_at(i);
	assert_int_equal(console_create(path, HEAD, TAIL, &w, NULL), 0);
	assert_int_equal(console_append(&w, all, total), 0);
	assert_true(disk_bytes() <= HEAD + TAIL + SLACK);
	assert_int_equal(read_bytes(0, 1 << 20, &n) + n, total);
	console_close(&w);
	test_free(all);
}

static void starts_anew(void **state)
{
	struct console_writer w;
	struct err e = {0};

	(void)state;
	assert_int_equal(console_create(path, HEAD, TAIL, &w, NULL), 0);
	write_bytes(&w, 5000, 5000);
	console_close(&w);
	assert_int_equal(console_create(path, HEAD, TAIL, &w, NULL), 0);
	assert_int_equal(console_size(path), 0);
	console_close(&w);
	/* A link that somebody put there is not followed. */
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/etc/hostname", path), 0);
	assert_int_equal(console_create(path, HEAD, TAIL, &w, &e), -ELOOP);
	assert_string_equal(e.id, "console.create");
}

/* In a mount namespace of this process alone. */
static bool mount_here(const char *type, const char *options)
{
	return geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
	       mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount(type, dir, type, 0, options) == 0;
}

static void is_bounded_without_holes(void **state)
{
	struct console_writer w;
	uint64_t n;

	(void)state;
	if (!mount_here("ramfs", NULL)) /* ramfs has no fallocate (Linux fs/ramfs/file-mmu.c) */
		skip();
	assert_int_equal(console_create(path, HEAD, TAIL, &w, NULL), 0);
	write_bytes(&w, 4 << 20, 5000);
	assert_true(w.no_holes);
	assert_int_equal(w.size, 4 << 20);
	assert_true(console_size(path) >= HEAD + TAIL);
	assert_true(console_size(path) <= HEAD + TAIL + SLACK);
	assert_int_equal(console_append(&w, "x", 1), -EFBIG);
	assert_int_equal(read_bytes(0, 5000, &n), 0);
	assert_int_equal(n, console_size(path));
	console_close(&w);
	assert_int_equal(umount(dir), 0);
}

static void survives_a_full_disk(void **state)
{
	struct console_writer w;
	uint64_t offset, dropped, lost_at;
	auto_buf b = {0};
	char filler[128];
	int fd;

	(void)state;
	if (!mount_here("tmpfs", "size=1m"))
		skip();
	assert_int_equal(console_create(path, HEAD, TAIL, &w, NULL), 0);
	write_bytes(&w, 8192, 4096);
	assert_true(str_fmt(filler, sizeof(filler), "%s/filler", dir));
	fd = open(filler, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	while (write(fd, dir, sizeof(dir)) > 0)
		continue;
	close(fd);
	lost_at = w.size;
	assert_int_equal(console_append(&w, path, 4096 > sizeof(path) ? sizeof(path) : 4096),
			 -ENOSPC);
	assert_int_equal(w.size, lost_at + sizeof(path)); /* offsets stay true */
	assert_int_equal(console_size(path), w.size);
	/* The reader is told how much is missing. */
	offset = lost_at;
	assert_int_equal(console_read(path, &offset, 4096, &b, &dropped, NULL), 0);
	assert_int_equal(b.len, 0);
	assert_int_equal(dropped, sizeof(path));
	assert_int_equal(offset, w.size);
	/* When there is room again, output goes on at its true offset. */
	assert_int_equal(unlink(filler), 0);
	assert_int_equal(console_append(&w, "again", 5), 0);
	assert_int_equal(console_read(path, &offset, 4096, &b, &dropped, NULL), 0);
	assert_string_equal(buf_text(&b), "again");
	console_close(&w);
	assert_int_equal(umount(dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(keeps_short_output_whole, make_dir, drop_dir),
		cmocka_unit_test_setup_teardown(follows_a_writer, make_dir, drop_dir),
		cmocka_unit_test_setup_teardown(bounds_a_flood, make_dir, drop_dir),
		cmocka_unit_test_setup_teardown(bounds_one_huge_append, make_dir, drop_dir),
		cmocka_unit_test_setup_teardown(starts_anew, make_dir, drop_dir),
		cmocka_unit_test_setup_teardown(is_bounded_without_holes, make_dir, drop_dir),
		cmocka_unit_test_setup_teardown(survives_a_full_disk, make_dir, drop_dir),
	};

	return RUN_TESTS(tests);
}
