/*
 * Notes that a bundle's files were read and fitted their digests, so that a VM's start need not
 * read hundreds of MiB again.  Called by the controller's workers and when a bundle is published.
 *
 *	<bundle>/.verified	a line for each of kernel, initrd and rootfs that is there:
 *				"<inode> <bytes> <time of the last write, in ns>"
 *
 * A file that was replaced, cut or written to has another line; then all are read again.  What
 * decays below the file system is seen by image_verify alone.
 */
#include <errno.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/str.h"
#include "image/image_internal.h"

#define STAMP	  ".verified"
#define STAMP_MAX 4096u /* three lines have at most 3 * 63 bytes */

/* The bundle's lines as its files are now. */
static int stamp_text(const char *dir, struct buf *ret)
{
	for (size_t n = 0; n < ARRAY_LEN(manifest_files); n++) {
		auto_free char *path = mem_printf("%s/%s", dir, manifest_files[n]);
		struct stat st;

		if (!path)
			return -ENOMEM;
		if (stat(path, &st))
			continue; /* image_open says which file misses */
		if (buf_printf(ret, "%llu %lld %lld%09ld\n", (unsigned long long)st.st_ino,
			       (long long)st.st_size, (long long)st.st_mtim.tv_sec,
			       st.st_mtim.tv_nsec))
			return -ENOMEM;
	}
	return 0;
}

void stamp_write(const char *dir)
{
	auto_free char *path = mem_printf("%s/" STAMP, dir);
	auto_buf now = {0};

	/* Without it the files are read once more, no harm else. */
	if (path && !stamp_text(dir, &now))
		(void)fd_replace_file(path, buf_text(&now), now.len, 0444, NULL);
}

static bool stamp_fits(const char *dir)
{
	auto_free char *path = mem_printf("%s/" STAMP, dir);
	auto_buf now = {0}, then = {0};

	return path && !stamp_text(dir, &now) && now.len &&
	       fd_read_file(path, STAMP_MAX, &then, NULL) >= 0 &&
	       str_eq(buf_text(&now), buf_text(&then));
}

int image_check_files(const struct image *i, struct err *e)
{
	int rc = stamp_fits(i->dir) ? 0 : image_verify(i, e);

	if (rc == 0 && !stamp_fits(i->dir))
		stamp_write(i->dir);
	return rc;
}
