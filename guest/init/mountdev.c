/*
 * Waits for a disk, looks at what it holds and mounts it.
 *
 * The disk is examined before mount(2), because one errno has many causes: EINVAL is a wrong, an
 * empty and a damaged disk alike. Called by the root phase.  Trust: the disk's content may be
 * hostile.
 */
#include "init/mountdev.h"

#include <errno.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/str.h"
#include "init/fault.h"
#include "init/textfile.h"
#include "init/watch.h"

static int wait_device(const struct mount_want *want, struct watch *watch, struct blockdev *ret,
		       struct fault *f)
{
	uint64_t deadline = clock_mono_ns() + want->wait_ns;
	struct blockdev seen[BLOCKDEVS_MAX];

	if (!blockdev_spec_is_known(want->spec))
		return fault_set(f, FAULT_ROOT_SPEC_UNSUPPORTED, want->spec,
				 "expected /dev/NAME, PARTUUID=, UUID= or LABEL=");
	while (blockdev_find(want->spec, ret)) {
		if (watch_wait(watch, deadline) == 0)
			continue;
		if (blockdev_find(want->spec, ret) == 0)
			break; /* it came with the last notice */
		return fault_set(
			f, blockdev_list(seen) ? FAULT_ROOT_DEVICE_MISSING : FAULT_ROOT_NO_DISKS,
			want->spec, "the disk did not appear within %llu s",
			(unsigned long long)(want->wait_ns / NS_PER_S));
	}
	return 0;
}

/* Refuse what cannot be mounted as wanted, with the reason. */
static int check(const struct mount_want *want, const struct blockdev *dev, struct superblock *sb,
		 struct fault *f)
{
	int rc;

	if (dev->size_bytes == 0)
		return fault_set(f, FAULT_ROOT_DISK_EMPTY, want->spec, "%s has 0 bytes", dev->name);
	rc = blockdev_probe(dev, sb);
	if (rc)
		return fault_set(f, FAULT_ROOT_READ_FAILED, want->spec, "%s: %s", dev->name,
				 strerror(-rc));
	if (sb->content == CONTENT_EMPTY)
		return fault_set(f, FAULT_ROOT_DISK_EMPTY, want->spec,
				 "%s has only zeros at its start", dev->name);
	if (sb->content == CONTENT_OTHER)
		return fault_set(f, FAULT_ROOT_NOT_A_FILESYSTEM, want->spec, "%s holds %s",
				 dev->name, sb->name);
	if (sb->content == CONTENT_UNKNOWN && !*want->fstype)
		return fault_set(f, FAULT_ROOT_NOT_A_FILESYSTEM, want->spec,
				 "%s begins with the bytes %s, which is no known file system",
				 dev->name, sb->first);
	if (want->access == ACCESS_RW && dev->read_only)
		return fault_set(f, FAULT_ROOT_READ_ONLY, want->spec,
				 "%s is a read-only drive and must be written", dev->name);
	if (sb->needs_recovery && (dev->read_only || want->is_shared))
		return fault_set(f, FAULT_ROOT_NEEDS_RECOVERY, want->spec,
				 "%s has a journal to replay and %s", dev->name,
				 dev->read_only ? "is a read-only drive" : "is shared between VMs");
	return 0;
}

bool filesystem_is_known(const char *name)
{
	char text[4096];
	char *next = text, *row;

	if (textfile_read("/proc/filesystems", text, sizeof(text)) < 0)
		return true; /* unknown: let mount(2) tell */
	while ((row = str_word(&next, "\n"))) {
		const char *tab = strrchr(row, '\t');

		if (tab && str_eq(tab + 1, name))
			return true;
	}
	return false;
}

/* Take the options that are flags of mount(2) out of `options`; the rest is the file system's. */
static unsigned long take_flags(const char *options, char ret_data[PATH_LEN])
{
	static const struct {
		const char *name;
		unsigned long flag;
	} known[] = {
		{"noatime", MS_NOATIME},   {"nodiratime", MS_NODIRATIME},
		{"relatime", MS_RELATIME}, {"nosuid", MS_NOSUID},
		{"nodev", MS_NODEV},	   {"noexec", MS_NOEXEC},
		{"sync", MS_SYNCHRONOUS},  {"dirsync", MS_DIRSYNC},
		{"lazytime", MS_LAZYTIME}, {"strictatime", MS_STRICTATIME},
	};
	char text[PATH_LEN];
	char *next = text, *word;
	unsigned long flags = 0;
	size_t len = 0;

	ret_data[0] = '\0';
	if (!str_copy(text, sizeof(text), options))
		return 0; /* cannot be: rootflags has this size */
	while ((word = str_word(&next, ","))) {
		size_t i = 0;

		while (i < ARRAY_LEN(known) && !str_eq(known[i].name, word))
			i++;
		if (i < ARRAY_LEN(known))
			flags |= known[i].flag;
		else if (str_fmt(ret_data + len, PATH_LEN - len, "%s%s", len ? "," : "", word))
			len += strlen(ret_data + len);
	}
	return flags;
}

/* Try each type of the list, as the kernel does with rootfstype=. */
static int mount_types(const struct mount_want *want, struct mounted *m, const char *types,
		       struct fault *f)
{
	char path[BLOCKDEV_NAME_LEN + 8], list[DEVSPEC_LEN], data[PATH_LEN];
	char *next = list, *type;
	unsigned long flags = take_flags(want->flags, data) | (m->is_writable ? 0 : MS_RDONLY);
	bool is_known = false;
	int rc = -ENODEV;

	if (!str_fmt(path, sizeof(path), "/dev/%s", m->dev.name) ||
	    !str_copy(list, sizeof(list), types))
		return fault_set(f, FAULT_INTERNAL, want->spec, "name too long");
	while ((type = str_word(&next, ","))) {
		if (!filesystem_is_known(type))
			continue;
		is_known = true;
		if (mount(path, want->target, type, flags, data) == 0)
			return str_copy(m->fs, sizeof(m->fs), type) ? 0 : -1; /* always fits */
		rc = -errno;
	}
	if (!is_known)
		return fault_set(f, FAULT_ROOT_FS_UNSUPPORTED, want->spec, "%s holds %s",
				 m->dev.name, types);
	if (rc == -EROFS || rc == -EACCES)
		return fault_set(f, FAULT_ROOT_READ_ONLY, want->spec, "%s as %s: %s", m->dev.name,
				 types, strerror(-rc));
	return fault_set(f, FAULT_ROOT_MOUNT_FAILED, want->spec, "%s as %s with options \"%s\": %s",
			 m->dev.name, types, want->flags, strerror(-rc));
}

int mountdev(const struct mount_want *want, struct watch *watch, struct mounted *ret,
	     struct fault *f)
{
	struct mounted m = {0};
	struct superblock sb;

	if (wait_device(want, watch, &m.dev, f) || check(want, &m.dev, &sb, f))
		return -1;
	if (mkdir(want->target, 0755) && errno != EEXIST)
		return fault_set(f, FAULT_INTERNAL, want->target, "mkdir: %s", strerror(errno));
	m.is_writable =
		want->access == ACCESS_RW || (want->access == ACCESS_AUTO && !m.dev.read_only);
	/* The ext4 driver mounts ext2 and ext3 too, and Debian's kernel has only that one. */
	if (mount_types(want, &m,
			*want->fstype		  ? want->fstype
			: str_eq(sb.name, "ext3") ? "ext3,ext4"
			: str_eq(sb.name, "ext2") ? "ext2,ext4"
						  : sb.name,
			f))
		return -1;
	*ret = m;
	return 0;
}
