/*
 * Lists disks from /sys/class/block and finds one by name, partition id, file system id or label.
 * Called by the root phase and for the evidence of a failure.  Trust: names and sizes are the
 * kernel's; what disks hold may be hostile and goes through superblock.c and partition.c.
 */
#include "init/blockdev.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "init/partition.h"
#include "init/textfile.h"

#define SYS_BLOCK    "/sys/class/block/"
#define SECTOR_BYTES 512u /* the unit of sysfs "size", whatever the disk's own (block/genhd.c) */

/* Process 1 has one thread and looks at one disk at a time. */
static uint8_t head[SUPERBLOCK_HEAD_LEN];

static uint64_t attribute(const char *name, const char *attr, uint64_t otherwise)
{
	char path[128];

	if (!str_fmt(path, sizeof(path), SYS_BLOCK "%s/%s", name, attr))
		return otherwise;
	return textfile_u64(path, otherwise);
}

/* False when there is no such device. */
static bool load(const char *name, struct blockdev *ret)
{
	struct blockdev d = {0};
	uint64_t sectors = attribute(name, "size", UINT64_MAX);

	if (sectors > UINT64_MAX / SECTOR_BYTES || !str_copy(d.name, sizeof(d.name), name))
		return false;
	d.size_bytes = sectors * SECTOR_BYTES;
	d.read_only = attribute(name, "ro", 0) != 0;
	*ret = d;
	return true;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct blockdev *)a)->name, ((const struct blockdev *)b)->name);
}

size_t blockdev_list(struct blockdev ret_devs[BLOCKDEVS_MAX])
{
	DIR *dir = opendir(SYS_BLOCK);
	size_t n = 0;

	if (!dir)
		return 0;
	for (struct dirent *e; n < BLOCKDEVS_MAX && (e = readdir(dir));)
		if (e->d_name[0] != '.' && !str_starts(e->d_name, "ram") &&
		    !str_starts(e->d_name, "loop") && load(e->d_name, &ret_devs[n]))
			n++;
	(void)closedir(dir);
	qsort(ret_devs, n, sizeof(ret_devs[0]), by_name);
	return n;
}

/* Fill `head` from the disk: bytes read, or -Exxx. */
static ssize_t read_head(const struct blockdev *dev)
{
	char path[64];
	size_t len = 0;
	auto_close int fd = -1;

	if (!str_fmt(path, sizeof(path), "/dev/%s", dev->name))
		return -ENAMETOOLONG;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while (len < sizeof(head)) {
		ssize_t n = pread(fd, head + len, sizeof(head) - len, (off_t)len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	return (ssize_t)len;
}

int blockdev_probe(const struct blockdev *dev, struct superblock *ret)
{
	ssize_t n = read_head(dev);

	if (n < 0)
		return (int)n;
	superblock_probe(head, (size_t)n, ret);
	return 0;
}

/* The partition of `disk` with this number, as the kernel named it. */
static int find_partition(const struct blockdev *disk, unsigned number, struct blockdev *ret)
{
	struct blockdev devs[BLOCKDEVS_MAX];
	size_t n = blockdev_list(devs);

	for (size_t i = 0; i < n; i++) {
		char attr[BLOCKDEV_NAME_LEN + 16];

		/* A partition stands in its disk's directory. */
		if (!str_fmt(attr, sizeof(attr), "%s/partition", devs[i].name) ||
		    attribute(disk->name, attr, 0) != number)
			continue;
		*ret = devs[i];
		return 0;
	}
	return -ENOENT;
}

/* What stands behind the key, or NULL when spec begins otherwise. */
static const char *value_of(const char *spec, const char *key)
{
	return str_starts(spec, key) ? spec + strlen(key) : NULL;
}

static bool matches(const struct blockdev *dev, const char *spec, struct blockdev *ret)
{
	const char *partuuid = value_of(spec, "PARTUUID="), *uuid = value_of(spec, "UUID=");
	const char *label = value_of(spec, "LABEL=");
	struct superblock sb;
	ssize_t n;

	if (dev->size_bytes == 0 || (n = read_head(dev)) < 0)
		return false;
	if (partuuid) {
		unsigned number = partition_find(head, (size_t)n, partuuid);

		return number && find_partition(dev, number, ret) == 0;
	}
	superblock_probe(head, (size_t)n, &sb);
	if (!(uuid && *sb.uuid && strcasecmp(uuid, sb.uuid) == 0) &&
	    !(label && *sb.label && str_eq(label, sb.label)))
		return false;
	*ret = *dev;
	return true;
}

bool blockdev_spec_is_known(const char *spec)
{
	if (str_starts(spec, "/dev/"))
		return spec[5] && !strchr(spec + 5, '/');
	return str_starts(spec, "PARTUUID=") || str_starts(spec, "UUID=") ||
	       str_starts(spec, "LABEL=");
}

int blockdev_find(const char *spec, struct blockdev *ret)
{
	struct blockdev devs[BLOCKDEVS_MAX];
	size_t n;

	if (str_starts(spec, "/dev/"))
		return load(spec + 5, ret) ? 0 : -ENOENT;
	n = blockdev_list(devs);
	for (size_t i = 0; i < n; i++)
		if (matches(&devs[i], spec, ret))
			return 0;
	return -ENOENT;
}
