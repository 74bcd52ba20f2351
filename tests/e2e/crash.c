/*
 * A library that ends hearthd with SIGKILL at an exact point: before the n-th call that changes the
 * world outside of the process, or right after the commit of a given row of the event table.
 * Built and preloaded by tests/e2e/crash.py into the shipped hearthd, which knows nothing of it.
 *
 * The test controls it through a page of shared memory (struct page), at any moment.  Counted are:
 * syncs, names that come and go, netlink messages and sends of any kind, new processes, TAPs,
 * namespaces, signals to processes.  Everything on any thread; the count is atomic.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

struct sqlite3_stmt;
const char *sqlite3_sql(struct sqlite3_stmt *st);
char *sqlite3_expanded_sql(struct sqlite3_stmt *st);
void sqlite3_free(void *p);

struct page {			   /* laid out as crash.py reads it */
	_Atomic int64_t countdown; /* killed when it falls to 0; 0: off */
	_Atomic int64_t effects;   /* counted since the test last set it */
	_Atomic int64_t row_armed;
	char row[112]; /* part of an INSERT INTO event with its values; set before row_armed */
};

static struct page *page;
static pid_t hearthd; /* its forked children share the page */
static bool row_seen; /* in the open transaction; the store is used on one thread */

__attribute__((constructor)) static void attach(void)
{
	/* nsenter, which comes before hearthd, passes it on. */
	const char *path = strcmp(program_invocation_short_name, "hearthd") == 0
				   ? getenv("HEARTH_TEST_CRASH")
				   : NULL;
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *at = fd < 0 ? MAP_FAILED
			  : mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (fd >= 0)
		(void)close(fd); /* the mapping stays */
	if (at == MAP_FAILED)
		return;
	hearthd = getpid();
	page = at;
	(void)unsetenv("LD_PRELOAD"); /* hearthd alone, none of its children */
}

static void die(void)
{
	(void)kill(getpid(), SIGKILL);
	for (;;)
		(void)pause();
}

static void tick(void)
{
	if (!page || getpid() != hearthd)
		return;
	(void)atomic_fetch_add(&page->effects, 1);
	if (atomic_load(&page->countdown) > 0 && atomic_fetch_sub(&page->countdown, 1) == 1)
		die();
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define COUNTED(ret, name, params, args)                                                           \
	ret name params                                                                            \
	{                                                                                          \
		tick();                                                                            \
		return REAL(name) args;                                                            \
	}

COUNTED(int, fsync, (int fd), (fd))
COUNTED(int, fdatasync, (int fd), (fd))
COUNTED(int, rename, (const char *a, const char *b), (a, b))
COUNTED(int, renameat, (int da, const char *a, int db, const char *b), (da, a, db, b))
COUNTED(int, unlink, (const char *p), (p))
COUNTED(int, unlinkat, (int d, const char *p, int f), (d, p, f))
COUNTED(int, mkdir, (const char *p, mode_t m), (p, m))
COUNTED(int, mkdirat, (int d, const char *p, mode_t m), (d, p, m))
COUNTED(int, rmdir, (const char *p), (p))
COUNTED(int, symlink, (const char *a, const char *b), (a, b))
COUNTED(int, ftruncate, (int fd, off_t n), (fd, n))
COUNTED(int, setns, (int fd, int kind), (fd, kind))
COUNTED(int, unshare, (int flags), (flags))
COUNTED(int, mount, (const char *s, const char *t, const char *k, unsigned long f, const void *d),
	(s, t, k, f, d))
COUNTED(ssize_t, send, (int fd, const void *b, size_t n, int f), (fd, b, n, f))
COUNTED(ssize_t, sendto,
	(int fd, const void *b, size_t n, int f, const struct sockaddr *a, socklen_t l),
	(fd, b, n, f, a, l))
COUNTED(ssize_t, sendmsg, (int fd, const struct msghdr *m, int f), (fd, m, f))
COUNTED(int, posix_spawn,
	(pid_t * pid, const char *path, const posix_spawn_file_actions_t *fa,
	 const posix_spawnattr_t *attr, char *const argv[], char *const env[]),
	(pid, path, fa, attr, argv, env))
COUNTED(int, posix_spawnp,
	(pid_t * pid, const char *path, const posix_spawn_file_actions_t *fa,
	 const posix_spawnattr_t *attr, char *const argv[], char *const env[]),
	(pid, path, fa, attr, argv, env))

int ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	tick();
	return REAL(ioctl)(fd, request, arg);
}

long syscall(long number, ...)
{
	long a[6];
	va_list ap;

	va_start(ap, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (number == SYS_pidfd_send_signal || number == SYS_clone3)
		tick();
	return REAL(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* SQLite's result 101 is SQLITE_DONE. */
int sqlite3_step(struct sqlite3_stmt *st);
int sqlite3_step(struct sqlite3_stmt *st)
{
	const char *sql = sqlite3_sql(st);
	int rc;

	if (page && atomic_load(&page->row_armed) && sql &&
	    strncmp(sql, "INSERT INTO event", 17) == 0) {
		char *values = sqlite3_expanded_sql(st);

		row_seen = row_seen || (values && strstr(values, page->row));
		sqlite3_free(values);
	}
	rc = REAL(sqlite3_step)(st);
	if (sql && strcmp(sql, "ROLLBACK") == 0)
		row_seen = false;
	if (row_seen && rc == 101 && sql && strcmp(sql, "COMMIT") == 0)
		die();
	return rc;
}
