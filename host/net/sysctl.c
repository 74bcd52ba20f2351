/*
 * Reads and writes network settings under /proc/sys/net, which show the calling thread's namespace.
 * Called by net.c, uplink.c and journal.c on the thread that called host/net.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"
#include "net/net_internal.h"

#define PATH_LEN 128 /* "/proc/sys/net/ipv4/conf/" + an interface's name + a setting */

int sysctl_read(const char *name, char ret_value[SYSCTL_VALUE_LEN], struct err *e)
{
	char path[PATH_LEN], text[SYSCTL_VALUE_LEN];
	auto_close int fd = -1;
	ssize_t n;

	if (!str_fmt(path, sizeof(path), "/proc/sys/net/%s", name))
		return err_set(e, -ENAMETOOLONG, ERR_BUG, "net.sysctl", "net/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return -ENOENT;
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n < 0)
		return err_sys(e, errno, "net.sysctl", "%s", path);
	text[n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	memcpy(ret_value, text, sizeof(text));
	return 0;
}

int sysctl_write(const char *name, const char *value, struct err *e)
{
	char path[PATH_LEN], now[SYSCTL_VALUE_LEN];
	auto_close int fd = -1;
	int rc = sysctl_read(name, now, e);

	if (rc || str_eq(now, value))
		return rc;
	if (!str_fmt(path, sizeof(path), "/proc/sys/net/%s", name))
		return err_set(e, -ENAMETOOLONG, ERR_BUG, "net.sysctl", "net/%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		return err_sys(e, errno, "net.sysctl", "%s: set to %s", path, value);
	return 0;
}
