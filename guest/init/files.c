/*
 * The files phase: sets the host name, and writes /etc/hostname, /etc/hosts and /etc/resolv.conf
 * into the new root.
 *
 * Each file is replaced by rename(2), so a symbolic link in its place (resolv.conf often is one)
 * is replaced, not followed. A file that cannot be written is reported and the boot goes on.
 * Trust: the root belongs to the guest's owner.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/parse.h"
#include "base/str.h"
#include "init/hosts.h"
#include "init/init.h"

#define HOSTS_MAX 65536u /* a larger /etc/hosts is somebody's block list: left alone */

static int write_whole(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t done = write(fd, p, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		p += done;
		n -= (size_t)done;
	}
	return 0;
}

static int replace(int etc, const char *name, const char *text)
{
	char tmp[64];
	auto_close int fd = -1;
	int rc;

	if (!str_fmt(tmp, sizeof(tmp), ".%s.hearth-init", name))
		return -ENAMETOOLONG;
	(void)unlinkat(etc, tmp, 0); /* of a boot that was cut short */
	fd = openat(etc, tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	rc = write_whole(fd, text, strlen(text));
	if (rc == 0 && renameat(etc, tmp, etc, name))
		rc = -errno;
	if (rc)
		(void)unlinkat(etc, tmp, 0);
	return rc;
}

/* Report one file: a field on success, a line of its own on failure. */
static void report(const char *name, int rc, struct line *ok)
{
	struct line warn = {.len = 0};

	if (rc == 0) {
		line_str(ok, name, "written");
		return;
	}
	line_str(&warn, "file", name);
	line_str(&warn, "why", strerror(-rc));
	console_line("files", "warn", &warn);
}

static int write_hosts(int etc, const char *hostname)
{
	static char old[HOSTS_MAX];
	auto_buf text = {.max = 2 * HOSTS_MAX};
	auto_close int fd = openat(etc, "hosts", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	ssize_t n = 0;

	if (fd < 0 && errno != ENOENT)
		return -errno; /* ELOOP: a link, whose owner has a plan of his own */
	if (fd >= 0 && (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size >= (off_t)sizeof(old)))
		return -EFBIG;
	if (fd >= 0)
		n = read(fd, old, sizeof(old) - 1);
	if (n < 0)
		return -errno;
	old[n] = '\0';
	if (hosts_update(old, hostname, &text))
		return -ENOMEM;
	return str_eq(buf_text(&text), old) ? 0 : replace(etc, "hosts", buf_text(&text));
}

static int write_resolv_conf(int etc, const struct net_params *n)
{
	auto_buf text = {0};

	(void)buf_puts(&text, "# by hearth-init, from the kernel command line\n");
	for (unsigned i = 0; i < n->dns_n; i++) {
		char addr[IPV4_TEXT_LEN];

		format_ipv4(n->dns[i], addr);
		(void)buf_printf(&text, "nameserver %s\n", addr);
	}
	return text.failed ? -ENOMEM : replace(etc, "resolv.conf", buf_text(&text));
}

int phase_files(struct boot *b, struct line *ok, struct fault *f)
{
	const struct net_params *n = &b->params.net;
	auto_close int etc = -1;

	(void)f;
	if (*n->hostname && sethostname(n->hostname, strlen(n->hostname)))
		report("sethostname", -errno, ok);
	if (!*n->hostname && !n->dns_n) {
		line_str(ok, "why", "no host name, no name servers");
		return PHASE_SKIPPED;
	}
	if (!b->root_is_writable) {
		line_str(ok, "why", "the root is read-only");
		return PHASE_SKIPPED;
	}
	etc = open("/etc", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (etc < 0) {
		line_fmt(ok, "why", "/etc: %s", strerror(errno));
		return PHASE_SKIPPED;
	}
	if (*n->hostname) {
		char text[HOSTNAME_LEN + 1];

		(void)snprintf(text, sizeof(text), "%s\n", n->hostname); /* fits: one byte more */
		line_str(ok, "name", n->hostname);
		report("hostname", replace(etc, "hostname", text), ok);
		report("hosts", write_hosts(etc, n->hostname), ok);
	}
	if (n->dns_n)
		report("resolv.conf", write_resolv_conf(etc, n), ok);
	return 0;
}
