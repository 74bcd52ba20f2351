/*
 * Makes, opens, enters and removes named network namespaces.
 * Called by the other files of this folder on the thread that called host/net; making one uses a
 * short-lived helper thread, because unshare(2) changes the thread that calls it.
 */
#include "net/netns.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/str.h"

#define PATH_LEN (sizeof(NETNS_DIR) + NETNS_NAME_LEN)
#define SELF_NET "/proc/thread-self/ns/net"

static int path_of(const char *name, char ret_path[PATH_LEN], struct err *e)
{
	if (!str_fmt(ret_path, PATH_LEN, "%s/%s", NETNS_DIR, name))
		return err_set(e, -ENAMETOOLONG, ERR_BUG, "net.name-too-long",
			       "namespace name %s: expected at most %d bytes", name,
			       NETNS_NAME_LEN);
	return 0;
}

/* As iproute2 does (ip/ipnetns.c, netns_add): the directory is a shared mount of its own, so that
 * an unmount here reaches the copies that other mount namespaces hold.  Under its lock. */
static int share_dir(struct err *e)
{
	if (!mount("", NETNS_DIR, "none", MS_SHARED | MS_REC, NULL))
		return 0;
	if (errno != EINVAL)
		return err_sys(e, errno, "net.netns", "%s: share mount", NETNS_DIR);
	if (mount(NETNS_DIR, NETNS_DIR, "none", MS_BIND | MS_REC, NULL) ||
	    mount("", NETNS_DIR, "none", MS_SHARED | MS_REC, NULL))
		return err_sys(e, errno, "net.netns", "%s: make it a mount", NETNS_DIR);
	return 0;
}

static int lock_dir(int *ret_fd, struct err *e)
{
	auto_close int fd = -1;
	int rc = fd_mkdirs(NETNS_DIR, 0755, e);

	if (rc)
		return rc;
	fd = open(NETNS_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || flock(fd, LOCK_EX))
		return err_sys(e, errno, "net.netns", "%s: lock", NETNS_DIR);
	*ret_fd = take_fd(fd);
	return 0;
}

/* -ENOENT: no such file, or a plain one that a crash left before the mount. */
static int open_mounted(const char *path, int *ret_fd)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct statfs fs;

	if (fd < 0)
		return -errno;
	if (fstatfs(fd, &fs))
		return -errno;
	if (fs.f_type != NSFS_MAGIC)
		return -ENOENT;
	*ret_fd = take_fd(fd);
	return 0;
}

struct making {
	const char *path;
	int rc; /* -errno */
};

static void *make_thread(void *arg)
{
	struct making *m = arg;

	if (unshare(CLONE_NEWNET) || mount(SELF_NET, m->path, "none", MS_BIND, NULL))
		m->rc = -errno;
	return NULL;
}

static int make(const char *path, struct err *e)
{
	struct making m = {.path = path};
	auto_close int file = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0);
	pthread_t t;
	int rc;

	if (file < 0)
		return err_sys(e, errno, "net.netns", "%s: create", path);
	rc = pthread_create(&t, NULL, make_thread, &m);
	if (rc)
		return err_sys(e, rc, "net.netns", "%s: helper thread", path);
	(void)pthread_join(t, NULL); /* it is ours and joinable */
	if (!m.rc)
		return 0;
	(void)unlink(path); /* the failure to report is the first one */
	(void)err_sys(e, -m.rc, "net.netns", "%s: new network namespace", path);
	return err_remedy(e, "run hearthd as root or with CAP_SYS_ADMIN and CAP_NET_ADMIN");
}

int netns_open(const char *name, int *ret_fd, bool *ret_made, struct err *e)
{
	auto_close int lock = -1;
	char path[PATH_LEN];
	bool made = false;
	int rc = path_of(name, path, e);

	if (!rc)
		rc = lock_dir(&lock, e);
	if (!rc)
		rc = share_dir(e);
	if (rc)
		return rc;
	rc = open_mounted(path, ret_fd);
	if (rc == -ENOENT) {
		rc = make(path, e);
		if (rc)
			return rc;
		made = true;
		rc = open_mounted(path, ret_fd);
	}
	if (rc)
		return err_sys(e, -rc, "net.netns", "%s", path);
	*ret_made = made;
	return 0;
}

int netns_find(const char *name, int *ret_fd, struct err *e)
{
	char path[PATH_LEN];
	int rc = path_of(name, path, e);

	if (rc)
		return rc;
	rc = open_mounted(path, ret_fd);
	if (rc && rc != -ENOENT)
		return err_sys(e, -rc, "net.netns", "%s", path);
	return rc;
}

int netns_remove(const char *name, struct err *e)
{
	char path[PATH_LEN];
	int rc = path_of(name, path, e);

	if (rc)
		return rc;
	/* EINVAL: the file is there, but nothing is mounted on it. */
	if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) && errno != EINVAL && errno != ENOENT)
		return err_sys(e, errno, "net.netns", "%s: unmount", path);
	if (unlink(path) && errno != ENOENT)
		return err_sys(e, errno, "net.netns", "%s: remove", path);
	return 0;
}

int netns_enter(struct netns_visit *v, int fd, struct err *e)
{
	auto_close int home = open(SELF_NET, O_RDONLY | O_CLOEXEC);

	if (home < 0)
		return err_sys(e, errno, "net.netns", "%s", SELF_NET);
	if (setns(fd, CLONE_NEWNET))
		return err_sys(e, errno, "net.netns", "enter the network's namespace");
	v->home_fd = take_fd(home);
	return 0;
}

void netns_leave(struct netns_visit *v)
{
	int rc = setns(v->home_fd, CLONE_NEWNET);

	assert(rc == 0);
	(void)close(take_fd(v->home_fd)); /* a read-only descriptor: nothing to lose */
}
