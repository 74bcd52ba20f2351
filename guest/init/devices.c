/*
 * Phase "devices": tells the host which virtio devices the kernel found, on which bus, and which
 * disks it registered.  Called once, in process 1; reads sysfs only, so it changes nothing.
 *
 *	phase=devices ok transport=pci pci="1af4:1042@0000:00:01.0" blk="vda vdb"
 *	phase=devices ok transport=mmio mmio="2@LNRO0005:00" blk="vda vdb"
 *
 * The number before @ is the PCI id, or on MMIO the virtio device id (virtio 1.2 sec. 5).
 */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/parse.h"
#include "base/str.h"
#include "init/blockdev.h"
#include "init/init.h"
#include "init/textfile.h"

#define VIRTIO_DIR  "/sys/bus/virtio/devices"
#define VIRTIO_MAX  64 /* a bus has 31 PCI devices; MMIO fewer */
#define SYSFS_VALUE 24 /* "0x1af4", an id */

/* Without the "0x" that sysfs puts before hexadecimal numbers. */
static void read_id(const char *dir, const char *name, char ret[SYSFS_VALUE])
{
	char path[PATH_MAX], text[SYSFS_VALUE];

	(void)snprintf(ret, SYSFS_VALUE, "?"); /* fits */
	if (!str_fmt(path, sizeof(path), "%s/%s", dir, name) ||
	    textfile_read(path, text, sizeof(text)) < 0)
		return;
	(void)snprintf(ret, SYSFS_VALUE, "%s", text + (str_starts(text, "0x") ? 2 : 0)); /* fits */
}

/* One device: its directory is <parent>/virtioN, and the parent is the PCI or platform device. */
static void add_device(const char *name, struct buf *pci, struct buf *mmio)
{
	char link[PATH_MAX], dir[PATH_MAX], vendor[SYSFS_VALUE], id[SYSFS_VALUE];
	char *parent;

	if (!str_fmt(link, sizeof(link), VIRTIO_DIR "/%s", name) || !realpath(link, dir))
		return;
	parent = strrchr(dir, '/');
	*parent = '\0'; /* dir is absolute, so it has a slash */
	parent = strrchr(dir, '/');
	if (!parent)
		return;
	if (strstr(dir, "/pci")) {
		read_id(dir, "vendor", vendor);
		read_id(dir, "device", id);
		(void)buf_printf(pci, "%s%s:%s@%s", pci->len ? " " : "", vendor, id, parent + 1);
	} else {
		uint64_t number = 0;

		read_id(link, "device", id);
		if (parse_hex64(id, &number)) /* the kernel writes "0x0002" */
			number = 0;	      /* no device has this number */
		(void)buf_printf(mmio, "%s%llu@%s", mmio->len ? " " : "",
				 (unsigned long long)number, parent + 1);
	}
}

static int is_virtio(const struct dirent *d)
{
	return str_starts(d->d_name, "virtio");
}

int phase_devices(struct boot *b, struct line *ok, struct fault *f)
{
	struct dirent **found = NULL;
	struct blockdev disks[BLOCKDEVS_MAX];
	struct buf pci = {0}, mmio = {0}, blk = {0};
	int n = scandir(VIRTIO_DIR, &found, is_virtio, versionsort);
	size_t disks_n = blockdev_list(disks);

	(void)b;
	(void)f;
	for (int i = 0; i < n; i++) {
		if (i < VIRTIO_MAX)
			add_device(found[i]->d_name, &pci, &mmio);
		free(found[i]);
	}
	free(found);
	for (size_t i = 0; i < disks_n; i++)
		(void)buf_printf(&blk, "%s%s", i ? " " : "", disks[i].name);
	line_str(ok, "transport", pci.len ? "pci" : mmio.len ? "mmio" : "none");
	if (pci.len)
		line_str(ok, "pci", buf_text(&pci));
	if (mmio.len)
		line_str(ok, "mmio", buf_text(&mmio));
	line_str(ok, "blk", buf_text(&blk));
	buf_done(&pci);
	buf_done(&mmio);
	buf_done(&blk);
	return 0;
}
