/*
 * Remembers what a network changed in the host's namespace, so that it can be undone after a crash.
 * Called by uplink.c and describe.c on the thread that called host/net, under journal_lock.
 *
 * NET_RUN_DIR/<inode of the host's network namespace> holds, as long as this boot lasts (/run is
 * emptied with the kernel's state; a hearthd in a namespace of its own has a host of its own):
 *	lock                 flock'd around every change, shared by all hearthds of the host
 *	<instance>-<network> this network has, or is about to have, a veth pair and a table on the
 *host ip_forward           the value before Hearth set it to 1 (no network's name holds a '_') A
 *note is written before the change and removed after its undoing.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/str.h"
#include "net/net_internal.h"

#define LOCK_FILE    "lock"
#define FORWARD_FILE "ip_forward"
#define FORWARD	     "ipv4/ip_forward"
#define INODE_LEN    22 /* '/' and 20 digits */
#define PATH_LEN     (sizeof(NET_RUN_DIR) + INODE_LEN + NETNS_NAME_LEN)

/* file "": the directory itself.  Always fits: the same limits. */
static void journal_path(const char *file, char ret_path[PATH_LEN])
{
	struct stat st = {0};

	(void)stat("/proc/thread-self/ns/net", &st); /* without /proc: 0, one journal for all */
	(void)snprintf(ret_path, PATH_LEN, "%s/%llu%s%s", NET_RUN_DIR,
		       (unsigned long long)st.st_ino, *file ? "/" : "", file);
}

int journal_lock(int *ret_fd, struct err *e)
{
	auto_close int fd = -1;
	char path[PATH_LEN];
	int rc;

	journal_path("", path);
	rc = fd_mkdirs(path, 0755, e);
	if (rc)
		return rc;
	journal_path(LOCK_FILE, path);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || flock(fd, LOCK_EX))
		return err_sys(e, errno, "net.journal", "%s: lock", path);
	*ret_fd = take_fd(fd);
	return 0;
}

int journal_add(const struct net_names *names, struct err *e)
{
	char path[PATH_LEN];

	journal_path(names->ns, path);
	return fd_replace_file(path, names->veth, strlen(names->veth), 0644, e);
}

bool journal_has(const struct net_names *names)
{
	char path[PATH_LEN];

	journal_path(names->ns, path);
	return access(path, F_OK) == 0;
}

bool journal_forward_from(char ret_value[SYSCTL_VALUE_LEN])
{
	auto_buf text = {0};
	char path[PATH_LEN];

	journal_path(FORWARD_FILE, path);
	return !fd_read_file(path, SYSCTL_VALUE_LEN - 1, &text, NULL) &&
	       str_copy(ret_value, SYSCTL_VALUE_LEN, buf_text(&text));
}

int journal_forward_on(struct err *e)
{
	char now[SYSCTL_VALUE_LEN], path[PATH_LEN];
	int rc = sysctl_read(FORWARD, now, e);

	journal_path(FORWARD_FILE, path);
	if (rc || str_eq(now, "1"))
		return rc == -ENOENT ? err_sys(e, ENOENT, "net.sysctl", "/proc/sys/net/%s", FORWARD)
				     : rc;
	if (access(path, F_OK))
		rc = fd_replace_file(path, now, strlen(now), 0644, e);
	return rc ? rc : sysctl_write(FORWARD, "1", e);
}

/* Whether another network of this host has a note. */
static int others(const struct net_names *names, bool *ret, struct err *e)
{
	char path[PATH_LEN];
	const struct dirent *d;
	DIR *dir;

	journal_path("", path);
	dir = opendir(path);
	if (!dir)
		return err_sys(e, errno, "net.journal", "%s", path);
	*ret = false;
	while ((d = readdir(dir)))
		/* Notes are the names with '-': neither "lock", "ip_forward" nor "." is one. */
		if (strchr(d->d_name, '-') && !str_eq(d->d_name, names->ns))
			*ret = true;
	(void)closedir(dir); /* it was only read */
	return 0;
}

/* Back to the former value, unless somebody changed it meanwhile. */
static int restore_forward(struct err *e)
{
	char from[SYSCTL_VALUE_LEN], now[SYSCTL_VALUE_LEN], path[PATH_LEN];
	int rc;

	journal_path(FORWARD_FILE, path);
	if (!journal_forward_from(from))
		return 0;
	rc = sysctl_read(FORWARD, now, e);
	if (!rc && str_eq(now, "1"))
		rc = sysctl_write(FORWARD, from, e);
	if (!rc && unlink(path))
		rc = err_sys(e, errno, "net.journal", "%s: remove", path);
	return rc;
}

int journal_remove(const struct net_names *names, struct err *e)
{
	char path[PATH_LEN];
	bool more;
	int rc = others(names, &more, e);

	if (!rc && !more)
		rc = restore_forward(e);
	if (rc)
		return rc;
	journal_path(names->ns, path);
	if (unlink(path) && errno != ENOENT)
		return err_sys(e, errno, "net.journal", "%s: remove", path);
	return 0;
}
