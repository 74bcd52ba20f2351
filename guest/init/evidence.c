/*
 * Describes disks, file systems and network cards for a failure line. Called once, when a boot
 * ends.  Trust: labels and contents of disks may be hostile; the line quotes them.
 */
#include "init/evidence.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/parse.h"
#include "base/str.h"
#include "init/blockdev.h"
#include "init/console.h"
#include "init/fault.h"
#include "init/rtnl.h"
#include "init/textfile.h"

void evidence_size(unsigned long long bytes, char *ret, size_t cap)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	size_t u = 0;

	/* The largest unit that still shows a size of 10 or more, or the exact one. */
	while (u + 1 < ARRAY_LEN(units) && bytes && (bytes % 1024 == 0 || bytes >= 10240)) {
		bytes /= 1024;
		u++;
	}
	(void)snprintf(ret, cap, "%llu %s", bytes, units[u]); /* callers give 32 bytes: fits */
}

static void describe_content(const struct blockdev *dev, struct buf *out)
{
	struct superblock sb;
	int rc;

	if (dev->size_bytes == 0) {
		(void)buf_puts(out, "no medium");
		return;
	}
	rc = blockdev_probe(dev, &sb);
	if (rc)
		(void)buf_printf(out, "unreadable: %s", strerror(-rc));
	else if (sb.content == CONTENT_EMPTY)
		(void)buf_puts(out, "empty");
	else if (sb.content == CONTENT_UNKNOWN)
		(void)buf_printf(out, "unknown, begins %s", sb.first);
	else
		(void)buf_puts(out, sb.name);
}

static void see_disks(struct line *l)
{
	struct blockdev devs[BLOCKDEVS_MAX];
	size_t n = blockdev_list(devs);
	auto_buf out = {0};

	for (size_t i = 0; i < n; i++) {
		char size[32];

		evidence_size(devs[i].size_bytes, size, sizeof(size));
		(void)buf_printf(&out, "%s%s(%s,", i ? " " : "", devs[i].name, size);
		describe_content(&devs[i], &out);
		(void)buf_puts(&out, devs[i].read_only ? ",read-only)" : ")");
	}
	line_str(l, "saw", n ? buf_text(&out) : "no disks");
}

/* The kernel's file systems that live on a disk, and overlay. */
static void see_filesystems(struct line *l)
{
	char text[4096];
	char *next = text, *row;
	auto_buf out = {0};

	if (textfile_read("/proc/filesystems", text, sizeof(text)) < 0)
		return;
	while ((row = str_word(&next, "\n"))) {
		char *name = strchr(row, '\t');

		if (!name || (str_starts(row, "nodev") && !str_eq(name + 1, "overlay")))
			continue;
		(void)buf_printf(&out, "%s%s", out.len ? " " : "", name + 1);
	}
	line_str(l, "filesystems", out.len ? buf_text(&out) : "none");
}

static void see_nics(struct line *l)
{
	struct nic nics[NICS_MAX];
	size_t n = 0;
	auto_close int fd = -1;
	auto_buf out = {0};

	if (rtnl_open(&fd) == 0)
		(void)rtnl_nics(fd, nics, &n); /* on failure n stays 0, which is what we can see */
	for (size_t i = 0; i < n; i++) {
		char mac[MAC_TEXT_LEN];

		format_mac(nics[i].mac, mac);
		(void)buf_printf(&out, "%s%s(%s)", i ? " " : "", nics[i].name, mac);
	}
	line_str(l, "nics", n ? buf_text(&out) : "none");
}

void evidence_add(struct line *l, unsigned see)
{
	if (see & SEE_DISKS)
		see_disks(l);
	if (see & SEE_FILESYSTEMS)
		see_filesystems(l);
	if (see & SEE_NICS)
		see_nics(l);
}
