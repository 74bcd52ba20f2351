/*
 * Recognises root file systems, and refuses what is none with a sentence that says what it is.
 *
 *	ext2/3/4  superblock at 1024: u32 blocks +4, u32 log block size +24, u16 magic 0xef53
 *		  +56, u32 compat +92, incompat +96, u32 blocks high +336
 *		  (Linux Documentation/filesystems/ext4/super.rst)
 *	squashfs  0: "hsqs"		erofs  1024: e2 e1 f5 e0
 *	xfs	  0: "XFSB"		btrfs  65600: "_BHRfS_M"
 *
 * Called by recipes.  Trust: the file is a user's and may be hostile.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "image/make.h"

#define EXT_AT		   1024u
#define EXT_COMPAT_JOURNAL 0x4u
#define EXT_INCOMPAT_64BIT 0x80u
#define EXT4_INCOMPAT	   0x2c0u /* extents, 64bit, flex_bg: any of them makes it ext4 */
#define EXT_LOG_MAX	   6u	  /* blocks of 64 KiB */

static uint32_t le32_at(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

static int ext(const char *path, const uint8_t *head, struct rootfs_facts *f, struct err *e)
{
	const uint8_t *sb = head + EXT_AT;
	uint32_t log = le32_at(sb + 24), incompat = le32_at(sb + 96);
	uint64_t blocks = le32_at(sb + 4), bytes;

	if (incompat & EXT_INCOMPAT_64BIT)
		blocks |= (uint64_t)le32_at(sb + 336) << 32;
	if (log > EXT_LOG_MAX || __builtin_mul_overflow(blocks, 1024ull << log, &bytes) || !blocks)
		return err_set(e, -EINVAL, ERR_CALLER, "rootfs.not-a-filesystem",
			       "rootfs %s: damaged ext superblock (%llu blocks of 2^%u KiB)", path,
			       (unsigned long long)blocks, log);
	if (bytes > f->bytes)
		return err_set(e, -EINVAL, ERR_CALLER, "rootfs.truncated",
			       "rootfs %s: the file has %llu bytes, its file system %llu", path,
			       (unsigned long long)f->bytes, (unsigned long long)bytes);
	text_set(f->fs, sizeof(f->fs),
		 incompat & EXT4_INCOMPAT		 ? "ext4"
		 : le32_at(sb + 92) & EXT_COMPAT_JOURNAL ? "ext3"
							 : "ext2"); /* literals fit */
	return 0;
}

static int tell(const char *path, const uint8_t *head, size_t len, struct rootfs_facts *f,
		struct err *e)
{
	const char *fs = NULL, *is;

	if (len >= 4 && !memcmp(head, "hsqs", 4))
		fs = "squashfs";
	else if (len >= EXT_AT + 4 && !memcmp(head + EXT_AT, "\xe2\xe1\xf5\xe0", 4))
		fs = "erofs";
	else if (len >= 4 && !memcmp(head, "XFSB", 4))
		fs = "xfs";
	else if (len >= 65608 && !memcmp(head + 65600, "_BHRfS_M", 8))
		fs = "btrfs";
	else if (len >= EXT_AT + 1024 && head[EXT_AT + 56] == 0x53 && head[EXT_AT + 57] == 0xef)
		return ext(path, head, f, e);
	if (fs) {
		text_set(f->fs, sizeof(f->fs), fs); /* literals fit */
		return 0;
	}
	is = !len ? "an empty file" : magic_name(head, len);
	(void)err_set(e, -EINVAL, ERR_CALLER, "rootfs.not-a-filesystem",
		      "rootfs %s: expected a raw image of a file system (ext4, squashfs, erofs, "
		      "xfs, btrfs), "
		      "this is %s",
		      path, is ? is : "nothing that we know");
	if (is && str_starts(is, "a whole disk"))
		return err_remedy(e, "copy the partition that holds the root file system into a "
				     "file of its own");
	if (is && str_starts(is, "a qcow2"))
		return err_remedy(e, "convert it with: qemu-img convert -O raw IN OUT");
	return -EINVAL;
}

int rootfs_inspect(const char *path, struct rootfs_facts *ret, struct err *e)
{
	auto_close int fd =
		open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hold us up */
	struct rootfs_facts f = {.fs = ""};
	auto_free uint8_t *head = NULL;
	struct stat st;
	ssize_t n;
	int rc;

	if (fd < 0 || fstat(fd, &st))
		return err_sys(e, errno, "rootfs.open", "rootfs %s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(
			e, -EINVAL, ERR_CALLER, "rootfs.not-a-file",
			"rootfs %s: expected a regular file with a file system in it, this is %s",
			path, S_ISDIR(st.st_mode) ? "a directory" : "none");
	f.bytes = (uint64_t)st.st_size;
	head = mem_zalloc(MAGIC_HEAD);
	if (!head)
		return err_nomem(e);
	n = pread(fd, head, MAGIC_HEAD, 0);
	if (n < 0)
		return err_sys(e, errno, "rootfs.read", "rootfs %s", path);
	rc = tell(path, head, (size_t)n, &f, e);
	if (!rc)
		*ret = f;
	return rc;
}
