/*
 * Whole reads and writes, atomic replacement of files, directory trees, Unix sockets.
 * Called from everywhere, on any thread; blocks on the disk, so event loops hand larger jobs to a
 * worker.
 */
#include "base/fd.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"

#define READ_STEP ((size_t)64 << 10) /* one read(2): large enough to be rare, small in memory */
#define TREE_FDS  16		     /* descriptors that nftw may hold at once */

static int read_on(int fd, size_t max, size_t start, struct buf *ret)
{
	for (;;) {
		size_t left = max - (ret->len - start);
		size_t want = (left < READ_STEP ? left : READ_STEP - 1) + 1;
		char *room = buf_room(ret, want);
		ssize_t n;

		if (!room)
			return -ENOMEM;
		n = read(fd, room, want);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return 0;
		if ((size_t)n > left)
			return -EFBIG;
		ret->len += (size_t)n;
	}
}

int fd_read_all(int fd, size_t max, struct buf *ret)
{
	size_t start = ret->len;
	int rc = read_on(fd, max, start, ret);

	if (rc)
		ret->len = start;
	if (ret->data)
		ret->data[ret->len] = '\0'; /* read_on wrote behind it */
	return rc;
}

int fd_read_file(const char *path, size_t max, struct buf *ret, struct err *e)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	int rc;

	if (fd < 0)
		return err_sys(e, errno, "file.open", "%s", path);
	rc = fd_read_all(fd, max, ret);
	if (rc == -EFBIG)
		return err_set(e, rc, ERR_CALLER, "file.too-large", "%s: larger than %zu bytes",
			       path, max);
	return rc ? err_sys(e, -rc, "file.read", "%s", path) : 0;
}

int fd_write_all(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static int sync_parent(const char *path)
{
	char dir[PATH_MAX];
	char *slash;
	auto_close int fd = -1;

	if (!str_copy(dir, sizeof(dir), path))
		return -ENAMETOOLONG;
	slash = strrchr(dir, '/');
	if (slash)
		slash[slash == dir] = '\0';
	fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 || fsync(fd) ? -errno : 0;
}

int fd_replace_file(const char *path, const void *data, size_t len, mode_t mode, struct err *e)
{
	char tmp[PATH_MAX];
	auto_close int fd = -1;
	int rc;

	if (!str_fmt(tmp, sizeof(tmp), "%s.XXXXXX", path))
		return err_sys(e, ENAMETOOLONG, "file.write", "%s", path);
	fd = mkostemp(tmp, O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, errno, "file.write", "%s", tmp);
	rc = fd_write_all(fd, data, len);
	if (!rc && (fchmod(fd, mode) || fsync(fd) || rename(tmp, path)))
		rc = -errno;
	if (rc) {
		(void)unlink(tmp); /* the failure to report is the one above */
		return err_sys(e, -rc, "file.write", "%s", path);
	}
	rc = sync_parent(path);
	return rc ? err_sys(e, -rc, "file.write", "%s", path) : 0;
}

int fd_mkdirs(const char *path, mode_t mode, struct err *e)
{
	char part[PATH_MAX];
	struct stat st;

	if (!str_copy(part, sizeof(part), path))
		return err_sys(e, ENAMETOOLONG, "dir.make", "%s", path);
	for (char *p = part + 1; *part; p++) {
		char at = *p;

		if (at != '/' && at != '\0')
			continue;
		*p = '\0';
		if (mkdir(part, mode) && errno != EEXIST)
			return err_sys(e, errno, "dir.make", "%s", part);
		if (at == '\0')
			break;
		*p = '/';
	}
	if (stat(path, &st))
		return err_sys(e, errno, "dir.make", "%s", path);
	if (!S_ISDIR(st.st_mode))
		return err_set(e, -ENOTDIR, ERR_CALLER, "dir.make",
			       "%s: exists and is no directory", path);
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)at;
	return (type == FTW_DP ? rmdir(path) : unlink(path)) && errno != ENOENT ? -1 : 0;
}

int fd_remove_tree(const char *path, struct err *e)
{
	if (nftw(path, remove_one, TREE_FDS, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) && errno != ENOENT)
		return err_sys(e, errno, "dir.remove", "%s", path);
	return 0;
}

static _Thread_local uint64_t tree_blocks; /* nftw has no context argument */

static int count_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)path;
	(void)at;
	if (type != FTW_NS)
		tree_blocks += (uint64_t)st->st_blocks;
	return 0;
}

int fd_tree_usage(const char *path, uint64_t *ret_bytes, struct err *e)
{
	tree_blocks = 0;
	if (nftw(path, count_one, TREE_FDS, FTW_PHYS | FTW_MOUNT))
		return err_sys(e, errno, "dir.usage", "%s", path);
	*ret_bytes = tree_blocks * 512; /* st_blocks counts 512-byte units, stat(2) */
	return 0;
}

int fd_set_nonblock(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return -errno;
	flags = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
	return fcntl(fd, F_SETFL, flags) ? -errno : 0;
}

/* By reading and writing, where copy_file_range(2) can't: between file systems, on old kernels. */
static int copy_by_hand(int src_fd, int dst_fd, off_t from, off_t to)
{
	char *block = malloc(READ_STEP);
	int rc = block ? 0 : -ENOMEM;

	while (!rc && from < to) {
		size_t want = to - from < (off_t)READ_STEP ? (size_t)(to - from) : READ_STEP;
		ssize_t n = pread(src_fd, block, want, from), done = 0;

		if (n == 0)
			rc = -EIO; /* the file shrank under us */
		else if (n < 0 && errno != EINTR)
			rc = -errno;
		while (!rc && done < n) {
			ssize_t out = pwrite(dst_fd, block + done, (size_t)(n - done), from + done);

			if (out >= 0)
				done += out;
			else if (errno != EINTR)
				rc = -errno;
		}
		from += n > 0 ? n : 0;
	}
	free(block);
	return rc;
}

static int copy_range(int src_fd, int dst_fd, off_t from, off_t to)
{
	while (from < to) {
		off_t out = from;
		ssize_t n = copy_file_range(src_fd, &from, dst_fd, &out, (size_t)(to - from), 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 &&
		    (errno == EXDEV || errno == EOPNOTSUPP || errno == EINVAL || errno == ENOSYS))
			return copy_by_hand(src_fd, dst_fd, from, to);
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO; /* the file shrank under us */
	}
	return 0;
}

int fd_copy_sparse(int src_fd, int dst_fd, uint64_t *ret_bytes, struct err *e)
{
	struct stat st;
	uint64_t bytes = 0;
	off_t data = 0, hole;
	int rc;

	if (fstat(src_fd, &st) || ftruncate(dst_fd, st.st_size))
		return err_sys(e, errno, "disk.copy", "size of copy");
	for (; data < st.st_size; data = hole) {
		data = lseek(src_fd, data, SEEK_DATA);
		if (data < 0 && errno == ENXIO)
			break; /* only a hole is left */
		hole = data < 0 ? -1 : lseek(src_fd, data, SEEK_HOLE);
		if (hole < 0)
			return err_sys(e, errno, "disk.copy", "holes of source");
		rc = copy_range(src_fd, dst_fd, data, hole);
		if (rc)
			return err_sys(e, -rc, "disk.copy", "%lld bytes at %lld",
				       (long long)(hole - data), (long long)data);
		bytes += (uint64_t)(hole - data);
	}
	*ret_bytes = bytes;
	return 0;
}

int fd_lock(const char *path, int *ret_fd, struct err *e)
{
	auto_close int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_sys(e, errno, "file.lock", "%s", path);
	while (flock(fd, LOCK_EX))
		if (errno != EINTR)
			return err_sys(e, errno, "file.lock", "%s", path);
	*ret_fd = take_fd(fd);
	return 0;
}

static int unix_address(const char *path, struct sockaddr_un *ret, struct err *e)
{
	memset(ret, 0, sizeof(*ret));
	ret->sun_family = AF_UNIX;
	if (str_copy(ret->sun_path, sizeof(ret->sun_path), path))
		return 0;
	return err_set(e, -ENAMETOOLONG, ERR_CALLER, "socket.path-too-long",
		       "%s: a Unix socket's path has at most %zu bytes", path,
		       sizeof(ret->sun_path) - 1);
}

int fd_connect_unix(const char *path, int *ret_fd, struct err *e)
{
	struct sockaddr_un addr;
	auto_close int fd = -1;
	int rc = unix_address(path, &addr, e);

	if (rc)
		return rc;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&addr, sizeof(addr)))
		return err_sys(e, errno, "socket.connect", "%s", path);
	*ret_fd = take_fd(fd);
	return 0;
}

int fd_listen_unix(const char *path, mode_t mode, int backlog, int *ret_fd, struct err *e)
{
	struct sockaddr_un addr;
	auto_close int fd = -1;
	int probe = -1, rc = unix_address(path, &addr, e);

	if (rc)
		return rc;
	rc = fd_connect_unix(path, &probe, NULL);
	if (rc == 0) {
		(void)close(probe); /* it only asked whether somebody listens */
		return err_set(e, -EADDRINUSE, ERR_STATE, "socket.in-use",
			       "%s: another process listens there", path);
	}
	if (rc == -ECONNREFUSED && unlink(path) && errno != ENOENT)
		return err_sys(e, errno, "socket.listen", "%s: stale socket", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) || chmod(path, mode) ||
	    listen(fd, backlog))
		return err_sys(e, errno, "socket.listen", "%s", path);
	*ret_fd = take_fd(fd);
	return 0;
}
