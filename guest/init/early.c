/*
 * The early phase: mounts the kernel's file systems and opens the console; and the cmdline phase,
 * which reads /proc/cmdline.
 */
#include <errno.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "init/cmdline.h"
#include "init/init.h"
#include "init/textfile.h"

/* /dev first, so that a later failure can be shown on the console. */
static const struct {
	const char *type, *path, *data;
	unsigned long flags;
} mounts[] = {
	{"devtmpfs", "/dev", "mode=0755", MS_NOSUID},
	{"proc", "/proc", "", MS_NOSUID | MS_NODEV | MS_NOEXEC},
	{"sysfs", "/sys", "", MS_NOSUID | MS_NODEV | MS_NOEXEC},
	{"tmpfs", "/run", "mode=0755", MS_NOSUID | MS_NODEV},
};

int phase_early(struct boot *b, struct line *ok, struct fault *f)
{
	int rc = 0;

	(void)ok;
	for (size_t i = 0; i < ARRAY_LEN(mounts); i++) {
		(void)mkdir(mounts[i].path, 0755); /* there already, or the mount says so */
		/* EBUSY: the kernel has mounted it (CONFIG_DEVTMPFS_MOUNT). */
		if (mount(mounts[i].type, mounts[i].path, mounts[i].type, mounts[i].flags,
			  mounts[i].data) &&
		    errno != EBUSY)
			rc = fault_set(f, FAULT_EARLY_MOUNT, mounts[i].path, "%s: %s",
				       mounts[i].type, strerror(errno));
		if (i == 0)
			console_open();
	}
	(void)textfile_write(RCU_EXPEDITED, "1"); /* only speed is lost without it */
	watch_open(&b->watch);
	return rc;
}

int phase_cmdline(struct boot *b, struct line *ok, struct fault *f)
{
	static char text[CMDLINE_MAX];
	int rc = textfile_read("/proc/cmdline", text, sizeof(text));

	(void)ok;
	if (rc < 0)
		return fault_set(f, FAULT_INTERNAL, "/proc/cmdline", "%s", strerror(-rc));
	return cmdline_parse(text, &b->params, f);
}
