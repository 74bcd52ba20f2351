/*
 * Reads small files of /proc, /sys and the initramfs. Called by all phases.
 */
#include "init/textfile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/parse.h"

int textfile_read(const char *path, char *ret, size_t cap)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;

	if (fd < 0)
		return -errno;
	for (;;) {
		ssize_t n = read(fd, ret + len, cap - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
		if (len == cap)
			return -EFBIG;
	}
	if (len > 0 && ret[len - 1] == '\n')
		len--;
	ret[len] = '\0';
	return (int)len;
}

int textfile_write(const char *path, const char *text)
{
	auto_close int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd < 0 || write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

uint64_t textfile_u64(const char *path, uint64_t otherwise)
{
	char text[32];
	uint64_t v;

	if (textfile_read(path, text, sizeof(text)) < 0 || parse_u64(text, 0, UINT64_MAX, &v))
		return otherwise;
	return v;
}
