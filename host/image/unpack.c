/*
 * Unpacks one compressed stream in memory: a kernel's payload, its configuration, a module.
 *
 * libarchive's filters do the work; only those in process are switched on (its "all" may start
 * programs).  Called on worker threads.  Trust: the stream may be hostile; its result is bounded.
 */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>

#include "base/buf.h"
#include "image/image_internal.h"

#define STEP ((size_t)1 << 20) /* bytes a read from libarchive */

static int open_stream(struct archive *a, const void *data, size_t len)
{
	struct archive_entry *entry;

	if (archive_read_support_filter_gzip(a) != ARCHIVE_OK ||
	    archive_read_support_filter_bzip2(a) != ARCHIVE_OK ||
	    archive_read_support_filter_xz(a) != ARCHIVE_OK ||
	    archive_read_support_filter_lzma(a) != ARCHIVE_OK ||
	    archive_read_support_filter_lz4(a) != ARCHIVE_OK ||
	    archive_read_support_filter_zstd(a) != ARCHIVE_OK ||
	    archive_read_support_format_raw(a) != ARCHIVE_OK)
		return -ENOMEM;
	if (archive_read_open_memory(a, data, len) != ARCHIVE_OK ||
	    archive_read_next_header(a, &entry) != ARCHIVE_OK)
		return -EBADMSG;
	/* Without a filter it is not compressed, or by something that we don't know. */
	return archive_filter_count(a) > 1 ? 0 : -EOPNOTSUPP;
}

int unpack(const void *data, size_t len, size_t max, struct buf *ret)
{
	struct archive *a = archive_read_new();
	size_t start = ret->len;
	int rc;

	if (!a)
		return -ENOMEM;
	rc = open_stream(a, data, len);
	while (!rc) {
		size_t done = ret->len - start;
		char *room = done < max ? buf_room(ret, STEP) : NULL;
		la_ssize_t n;

		if (!room) {
			rc = done < max ? -ENOMEM : -EFBIG;
			break;
		}
		n = archive_read_data(a, room, STEP);
		/* Bytes behind the stream end some filters with an error after its last byte. */
		if (n <= 0) {
			rc = n < 0 && ret->len == start ? -EBADMSG : 0;
			break;
		}
		ret->len += (size_t)n;
	}
	if (ret->data)
		ret->data[ret->len] = '\0';
	(void)archive_read_free(a); /* nothing was written */
	return rc;
}
