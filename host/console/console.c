/*
 * The bounded console file: its one writer (hearth-shim) and its readers (hearthd, any thread).
 * Trust: the bytes were chosen by the guest; only their number matters here.
 *
 * Format: the guest's output as it came, byte i at offset i, with one hole where the middle was.
 * A reader finds the hole by lseek(2) SEEK_DATA, so there is no index that a crash could spoil.
 */
#include "console/console.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"

#define BLOCK_MIN  4096u       /* holes of less save nothing */
#define BLOCK_MAX  (1u << 20)  /* some network file systems name 1 MiB and more */
#define PUNCH_STEP (64u << 10) /* punch in steps: one system call in 64 KiB of flood */
#define READ_TRIES 4	       /* the writer may punch while we read; it moves on by PUNCH_STEP */

int console_create(const char *path, uint32_t head, uint32_t tail, struct console_writer *ret,
		   struct err *e)
{
	auto_close int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
	struct stat st;
	uint32_t block = BLOCK_MIN;

	if (fd < 0 || fstat(fd, &st))
		return err_sys(e, errno, "console.create", "%s", path);
	while (block < BLOCK_MAX && (long)block < (long)st.st_blksize)
		block *= 2;
	*ret = (struct console_writer){
		.fd = take_fd(fd), .head = head, .tail = tail, .block = block};
	return 0;
}

void console_close(struct console_writer *w)
{
	if (w->fd >= 0)
		(void)close(take_fd(w->fd)); /* a late write error can't be told to anybody */
}

/* Keep the file within its bound once `end` bytes were written: make the middle a hole. */
static void punch(struct console_writer *w, uint64_t end)
{
	uint64_t mask = w->block - 1;
	uint64_t from = w->punched ? w->punched : (w->head + mask) & ~mask;
	uint64_t to;

	if (end <= w->tail)
		return;
	to = (end - w->tail) & ~mask;
	if (to < from + PUNCH_STEP || w->no_holes)
		return;
	if (fallocate(w->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)from,
		      (off_t)(to - from)) == 0)
		w->punched = to;
	else if (errno != EINTR && errno != ENOSPC)
		w->no_holes = true; /* EOPNOTSUPP, ENOSYS: it will not get better */
}

/* How many of len bytes may be stored: all, unless holes are impossible and the bound is reached.
 *  */
static size_t allowed(const struct console_writer *w, size_t len)
{
	uint64_t bound = (uint64_t)w->head + w->tail + PUNCH_STEP + w->block;

	if (!w->no_holes)
		return len;
	if (w->size >= bound)
		return 0;
	return len < bound - w->size ? len : (size_t)(bound - w->size);
}

int console_append(struct console_writer *w, const void *data, size_t len)
{
	size_t want = allowed(w, len), done = 0;
	int rc = want < len ? -EFBIG : 0;

	while (done < want) {
		size_t step = want - done < PUNCH_STEP ? want - done : PUNCH_STEP;
		ssize_t n = pwrite(w->fd, (const char *)data + done, step, (off_t)(w->size + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			rc = n < 0 ? -errno : -EIO;
			break;
		}
		done += (size_t)n;
		punch(w, w->size + done);
	}
	w->size += len;
	/* What is missing at the end becomes part of the size, so that a reader can count it. */
	if (done < len && !w->no_holes && ftruncate(w->fd, (off_t)w->size) && !rc)
		rc = -errno;
	return rc;
}

/* The stretch of data at or after `from`: [*ret_at, *ret_end); -ENXIO: none before the end. */
static int data_at(int fd, uint64_t from, uint64_t size, uint64_t *ret_at, uint64_t *ret_end)
{
	off_t at = lseek(fd, (off_t)from, SEEK_DATA), end;

	if (at < 0 && errno == EINVAL) { /* a file system without holes: all is data */
		*ret_at = from;
		*ret_end = size;
		return 0;
	}
	if (at < 0)
		return -errno;
	end = lseek(fd, at, SEEK_HOLE);
	if (end < 0)
		return -errno;
	*ret_at = (uint64_t)at;
	*ret_end = (uint64_t)end;
	return 0;
}

/* One try; -EAGAIN when the writer punched what was being read. */
static int read_once(int fd, uint64_t size, uint64_t *offset, size_t max, struct buf *ret,
		     uint64_t *ret_dropped)
{
	uint64_t at, end, again, again_end;
	int rc = data_at(fd, *offset, size, &at, &end);
	char *room;
	ssize_t n;

	if (rc == -ENXIO) { /* nothing but a hole up to the end: bytes that could not be stored */
		*ret_dropped = size - *offset;
		*offset = size;
		return 0;
	}
	if (rc)
		return rc;
	if (end - at < max)
		max = (size_t)(end - at);
	room = buf_room(ret, max);
	if (!room)
		return -ENOMEM;
	do
		n = pread(fd, room, max, (off_t)at);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (data_at(fd, *offset, size, &again, &again_end) || again != at)
		return -EAGAIN;
	ret->len += (size_t)n;
	ret->data[ret->len] = '\0';
	*ret_dropped = at - *offset;
	*offset = at + (uint64_t)n;
	return 0;
}

int console_read(const char *path, uint64_t *offset, size_t max, struct buf *ret,
		 uint64_t *ret_dropped, struct err *e)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t dropped = 0;
	struct stat st;
	int rc = -EAGAIN;

	if (fd < 0 && errno == ENOENT) {
		*ret_dropped = 0;
		return 0;
	}
	if (fd < 0 || fstat(fd, &st))
		return err_sys(e, errno, "console.read", "%s", path);
	if (max == 0 || *offset >= (uint64_t)st.st_size)
		rc = 0;
	for (int i = 0; rc == -EAGAIN && i < READ_TRIES; i++)
		rc = read_once(fd, (uint64_t)st.st_size, offset, max, ret, &dropped);
	if (rc &&
	    rc != -EAGAIN) /* a writer that is always ahead: nothing now, the caller asks again */
		return err_sys(e, -rc, "console.read", "%s", path);
	*ret_dropped = dropped;
	return 0;
}

uint64_t console_size(const char *path)
{
	struct stat st;

	return stat(path, &st) ? 0 : (uint64_t)st.st_size;
}
