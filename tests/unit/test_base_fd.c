/*
 * Tests of base/fd: whole reads and writes, atomic replacement, trees, sparse copies, sockets; each
 * in a directory of its own.
 */
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "unit.h"

static char dir[64];

static int make_dir(void **state)
{
	(void)state;
	assert_true(str_copy(dir, sizeof(dir), "/tmp/hearth-test-fd-XXXXXX"));
	return mkdtemp(dir) ? 0 : -1;
}

static int drop_dir(void **state)
{
	(void)state;
	return fd_remove_tree(dir, NULL);
}

/* A path in the test's directory, in one of four buffers that take turns. */
static const char *at(const char *name)
{
	static char paths[4][256];
	static unsigned turn;
	char *p = paths[turn++ % 4];

	assert_true(str_fmt(p, sizeof(paths[0]), "%s/%s", dir, name));
	return p;
}

static unsigned entries(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return (unsigned)st.st_nlink;
}

static void reads_up_to_the_limit(void **state)
{
	auto_buf b = {0};
	struct err e = {0};

	(void)state;
	assert_int_equal(fd_replace_file(at("f"), "0123456789", 10, 0600, &e), 0);
	assert_int_equal(fd_read_file(at("f"), 10, &b, &e), 0);
	assert_string_equal(buf_text(&b), "0123456789");
	assert_int_equal(fd_read_file(at("f"), 10, &b, &e), 0); /* appends */
	assert_int_equal(b.len, 20);
	assert_int_equal(fd_read_file(at("f"), 9, &b, &e), -EFBIG);
	assert_string_equal(e.id, "file.too-large");
	assert_int_equal(b.len, 20);
	assert_string_equal(buf_text(&b), "01234567890123456789");
	assert_int_equal(fd_read_file(at("f"), SIZE_MAX, &b, &e), 0);
	assert_int_equal(b.len, 30);
	assert_int_equal(fd_read_file(at("absent"), 9, &b, &e), -ENOENT);
	assert_non_null(strstr(e.text, "/absent: No such file"));
	assert_int_equal(fd_read_file(dir, 9, &b, &e), -EISDIR);
	mem_fail_after(0);
	buf_done(&b);
	assert_int_equal(fd_read_file(at("f"), 10, &b, &e), -ENOMEM);
	mem_fail_after(-1);
}

static void reads_empty_and_large(void **state)
{
	auto_buf b = {0}, big = {0};
	struct err e = {0};

	(void)state;
	assert_int_equal(fd_replace_file(at("empty"), "", 0, 0600, &e), 0);
	assert_int_equal(fd_read_file(at("empty"), 0, &b, &e), 0);
	assert_string_equal(buf_text(&b), "");
	for (unsigned i = 0; i < 60000; i++)
		assert_int_equal(buf_printf(&big, "%u ", i), 0);
	assert_int_equal(fd_replace_file(at("big"), big.data, big.len, 0600, &e), 0);
	assert_int_equal(fd_read_file(at("big"), 1 << 20, &b, &e), 0);
	assert_int_equal(b.len, big.len);
	assert_memory_equal(b.data, big.data, big.len);
}

static void replaces_wholly_or_not(void **state)
{
	auto_buf b = {0};
	struct err e = {0};
	struct stat st;

	(void)state;
	assert_int_equal(fd_replace_file(at("f"), "old", 3, 0600, &e), 0);
	assert_int_equal(fd_replace_file(at("f"), "new!", 4, 0640, &e), 0);
	assert_int_equal(stat(at("f"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(fd_read_file(at("f"), 99, &b, &e), 0);
	assert_string_equal(buf_text(&b), "new!");
	assert_int_equal(fd_replace_file(at("no/f"), "x", 1, 0600, &e), -ENOENT);
	assert_int_equal(fd_mkdirs(at("d/sub"), 0700, &e), 0);
	assert_int_not_equal(fd_replace_file(at("d"), "x", 1, 0600, &e),
			     0); /* a directory is there */
	assert_int_equal(fd_remove_tree(at("d"), &e), 0);
	assert_int_equal(unlink(at("f")), 0);
	assert_int_equal(rmdir(dir), 0); /* so no temporary file is left */
	assert_int_equal(mkdir(dir, 0700), 0);
}

static void makes_directories(void **state)
{
	char longest[5000];
	struct err e = {0};

	(void)state;
	assert_int_equal(fd_mkdirs(at("a/b/c"), 0700, &e), 0);
	assert_int_equal(fd_mkdirs(at("a/b/c"), 0700, &e), 0);
	assert_int_equal(fd_mkdirs(at("a//b/"), 0700, &e), 0);
	assert_int_equal(entries(at("a/b")), 3);
	assert_int_equal(fd_replace_file(at("a/f"), "", 0, 0600, &e), 0);
	assert_int_equal(fd_mkdirs(at("a/f"), 0700, &e), -ENOTDIR);
	assert_int_equal(fd_mkdirs(at("a/f/g"), 0700, &e), -ENOTDIR);
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(fd_mkdirs(longest, 0700, &e), -ENAMETOOLONG);
}

static void removes_trees_but_not_through_links(void **state)
{
	struct err e = {0};

	(void)state;
	assert_int_equal(fd_mkdirs(at("keep"), 0700, &e), 0);
	assert_int_equal(fd_replace_file(at("keep/f"), "x", 1, 0600, &e), 0);
	assert_int_equal(fd_mkdirs(at("go/deep/er"), 0700, &e), 0);
	assert_int_equal(symlink(at("keep"), at("go/link")), 0);
	assert_int_equal(symlink("nowhere", at("go/dangling")), 0);
	assert_int_equal(fd_remove_tree(at("go"), &e), 0);
	assert_int_equal(access(at("go"), F_OK), -1);
	assert_int_equal(access(at("keep/f"), F_OK), 0);
	assert_int_equal(fd_remove_tree(at("go"), &e), 0); /* missing is fine */
	assert_int_equal(fd_remove_tree(at("keep/f"), &e), 0);
	assert_int_equal(access(at("keep/f"), F_OK), -1);
}

static void copies_data_not_holes(void **state)
{
	enum { SIZE = 8 << 20, FAR = 5 << 20 };
	auto_close int src = open(at("src"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	auto_close int dst = open(at("dst"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	uint64_t bytes = 0, usage = 0;
	struct err e = {0};
	struct stat st;
	char got[5];

	(void)state;
	assert_int_equal(pwrite(src, "begin", 5, 0), 5);
	assert_int_equal(pwrite(src, "later", 5, FAR), 5);
	assert_int_equal(ftruncate(src, SIZE), 0);
	assert_int_equal(fd_copy_sparse(src, dst, &bytes, &e), 0);
	assert_int_equal(fstat(dst, &st), 0);
	assert_int_equal(st.st_size, SIZE);
	assert_int_equal(pread(dst, got, 5, FAR), 5);
	assert_memory_equal(got, "later", 5);
	assert_int_equal(pread(dst, got, 5, 0), 5);
	assert_memory_equal(got, "begin", 5);
	assert_true(bytes >= 10 && bytes < FAR); /* the hole in between was not copied */
	assert_int_equal(fd_tree_usage(dir, &usage, &e), 0);
	assert_true(usage > 0 && usage < SIZE);
	assert_int_equal(fd_tree_usage(at("absent"), &usage, &e), -ENOENT);
	assert_int_equal(fd_copy_sparse(src, -1, &bytes, &e), -EBADF);
}

/* A memfd lives in a tmpfs of its own, where the kernel's copy_file_range refuses (EXDEV). */
static void copies_between_file_systems(void **state)
{
	enum { DATA = 300000, FAR = 4 << 20 };
	auto_close int src = memfd_create("source", MFD_CLOEXEC);
	auto_close int dst = open(at("dst"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	auto_free char *want = malloc(DATA), *got = calloc(1, DATA);
	uint64_t bytes = 0;
	struct stat st;

	(void)state;
	assert_true(want && got);
	memset(want, 'w', DATA);
	assert_int_equal(pwrite(src, want, DATA, FAR), DATA);
	assert_int_equal(ftruncate(src, 2 * FAR), 0);
	assert_int_equal(fd_copy_sparse(src, dst, &bytes, NULL), 0);
	assert_int_equal(fstat(dst, &st), 0);
	assert_int_equal(st.st_size, 2 * FAR);
	assert_true(bytes >= DATA && bytes < FAR);
	assert_int_equal(pread(dst, got, DATA, FAR), DATA);
	assert_memory_equal(got, want, DATA);
}

static void copies_nothing_of_nothing(void **state)
{
	auto_close int src = open(at("src0"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	auto_close int dst = open(at("dst0"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	uint64_t bytes = 99;

	(void)state;
	assert_int_equal(fd_copy_sparse(src, dst, &bytes, NULL), 0);
	assert_int_equal(bytes, 0);
}

static void writes_all_without_blocking_flag(void **state)
{
	int p[2];

	(void)state;
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	assert_int_equal(fd_set_nonblock(p[1], true), 0);
	while (write(p[1], p, 1) == 1)
		continue;
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(fd_write_all(p[1], "x", 1), -EAGAIN);
	assert_int_equal(fd_set_nonblock(p[1], false), 0);
	assert_int_equal(fcntl(p[1], F_GETFL) & O_NONBLOCK, 0);
	assert_int_equal(close(p[0]), 0);
	assert_int_equal(close(p[1]), 0);
	assert_int_equal(fd_write_all(p[1], "", 0), 0);
	assert_int_equal(fd_write_all(-1, "x", 1), -EBADF);
	assert_int_equal(fd_set_nonblock(-1, true), -EBADF);
}

static void listens_once(void **state)
{
	auto_close int first = -1, client = -1, again = -1;
	int second = -1;
	struct err e = {0};
	struct stat st;

	(void)state;
	assert_int_equal(fd_listen_unix(at("s"), 0660, 4, &first, &e), 0);
	assert_int_equal(stat(at("s"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	assert_int_equal(fcntl(first, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(fd_listen_unix(at("s"), 0660, 4, &second, &e), -EADDRINUSE);
	assert_int_equal(e.kind, ERR_STATE);
	assert_int_equal(second, -1);
	assert_int_equal(fd_connect_unix(at("s"), &client, &e), 0);
	assert_int_equal(fcntl(client, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(close(take_fd(first)), 0); /* the file stays behind, as after a crash */
	assert_int_equal(fd_connect_unix(at("s"), &second, &e), -ECONNREFUSED);
	assert_int_equal(fd_listen_unix(at("s"), 0600, 4, &again, &e), 0);
}

static void socket_paths_have_a_limit(void **state)
{
	char path[109];
	int fd = -1;
	struct err e = {0};

	(void)state;
	memset(path, 'x', sizeof(path) - 1);
	memcpy(path, dir, strlen(dir));
	path[strlen(dir)] = '/';
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(strlen(path), 108);
	assert_int_equal(fd_listen_unix(path, 0600, 4, &fd, &e), -ENAMETOOLONG);
	assert_string_equal(e.id, "socket.path-too-long");
	path[107] = '\0';
	assert_int_equal(fd_listen_unix(path, 0600, 4, &fd, &e), 0);
	assert_int_equal(close(fd), 0);
	assert_int_equal(fd_connect_unix(at("absent"), &fd, &e), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(reads_up_to_the_limit, make_dir, drop_dir),
		cmocka_unit_test_setup_teardown(reads_empty_and_large, make_dir, drop_dir),
		cmocka_unit_test_setup_teardown(replaces_wholly_or_not, make_dir, drop_dir),
		cmocka_unit_test_setup_teardown(makes_directories, make_dir, drop_dir),
		cmocka_unit_test_setup_teardown(removes_trees_but_not_through_links, make_dir,
						drop_dir),
		cmocka_unit_test_setup_teardown(copies_data_not_holes, make_dir, drop_dir),
		cmocka_unit_test_setup_teardown(copies_between_file_systems, make_dir, drop_dir),
		cmocka_unit_test_setup_teardown(copies_nothing_of_nothing, make_dir, drop_dir),
		cmocka_unit_test_setup_teardown(writes_all_without_blocking_flag, make_dir,
						drop_dir),
		cmocka_unit_test_setup_teardown(listens_once, make_dir, drop_dir),
		cmocka_unit_test_setup_teardown(socket_paths_have_a_limit, make_dir, drop_dir),
	};

	return RUN_TESTS(tests);
}
