/*
 * The block device (virtio 1.2 sec. 5.2) on a raw file or a host's block device.
 *
 * Request: readable {le32 type, le32 reserved, le64 sector}, data; writable: data, then u8 status.
 * Discard and write-zeroes carry segments {le64 sector, le32 sectors, le32 flags} as data.
 * Requests are carried out one after the other on the loop's thread.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "devices/devices.h"

#define SECTOR_BITS	  9u
#define HEADER_LEN	  16u
#define ID_LEN		  20u
#define SEG_MAX		  (VQ_SEGS_MAX - 2) /* header and status come beside them */
#define RANGE_LEN	  16u
#define RANGES_MAX	  1u
#define RANGE_SECTORS_MAX (1u << 21) /* 1 GiB a request: the guest must not hold us up for longer */

#define F_SEG_MAX      (1ull << 2)
#define F_RO	       (1ull << 5)
#define F_FLUSH	       (1ull << 9)
#define F_DISCARD      (1ull << 13)
#define F_WRITE_ZEROES (1ull << 14)

enum { T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8, T_DISCARD = 11, T_WRITE_ZEROES = 13 };
enum { S_OK = 0, S_IOERR = 1, S_UNSUPP = 2 };

/* Sec. 5.2.4. */
struct config {
	uint64_t capacity; /* sectors of 512 bytes; all fields little endian */
	uint32_t size_max, seg_max;
	uint8_t geometry[4];
	uint32_t blk_size;
	uint8_t topology[8];
	uint8_t writeback, unused0;
	uint16_t num_queues;
	uint32_t max_discard_sectors, max_discard_seg, discard_sector_alignment;
	uint32_t max_write_zeroes_sectors, max_write_zeroes_seg;
	uint8_t write_zeroes_may_unmap, unused1[3];
} __attribute__((packed));

struct blk {
	struct vdev dev;
	int fd; /* owned */
	bool read_only, writeback;
	uint64_t sectors;
	char id[ID_LEN];
	struct vq_chain chain;
};

static struct blk *blk_of(struct vdev *d)
{
	return (struct blk *)(void *)d;
}

static uint64_t features(const struct vdev *d)
{
	const struct blk *b = (const struct blk *)(const void *)d;

	return F_SEG_MAX | (b->read_only ? F_RO : F_DISCARD | F_WRITE_ZEROES) |
	       (b->writeback ? F_FLUSH : 0);
}

static void config_read(const struct vdev *d, unsigned off, void *dst, unsigned len)
{
	const struct blk *b = (const struct blk *)(const void *)d;
	struct config c = {
		.capacity = htole64(b->sectors),
		.seg_max = htole32(SEG_MAX),
		.num_queues = htole16(1),
		.max_discard_sectors = htole32(RANGE_SECTORS_MAX),
		.max_discard_seg = htole32(RANGES_MAX),
		.discard_sector_alignment = htole32(8),
		.max_write_zeroes_sectors = htole32(RANGE_SECTORS_MAX),
		.max_write_zeroes_seg = htole32(RANGES_MAX),
		.write_zeroes_may_unmap = 1,
	};

	memcpy(dst, (const uint8_t *)&c + off, len);
}

/* --- transfers --- */

/* The part of iov that starts after `skip` bytes and holds `len`; works on a copy of iov. */
static unsigned slice(struct iovec *iov, unsigned n, size_t skip, size_t len)
{
	unsigned out = 0;

	for (unsigned i = 0; i < n && len; i++) {
		size_t part;

		if (skip >= iov[i].iov_len) {
			skip -= iov[i].iov_len;
			continue;
		}
		part = iov[i].iov_len - skip < len ? iov[i].iov_len - skip : len;
		iov[out++] = (struct iovec){(uint8_t *)iov[i].iov_base + skip, part};
		skip = 0;
		len -= part;
	}
	return out;
}

/* All of it, or S_IOERR. */
static uint8_t transfer(int fd, struct iovec *iov, unsigned n, uint64_t at, size_t len, bool write)
{
	while (len) {
		ssize_t done = write ? pwritev(fd, iov, (int)n, (off_t)at)
				     : preadv(fd, iov, (int)n, (off_t)at);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return S_IOERR;
		len -= (size_t)done;
		at += (uint64_t)done;
		n = slice(iov, n, (size_t)done, len);
	}
	return S_OK;
}

static bool in_disk(const struct blk *b, uint64_t sector, uint64_t sectors)
{
	return gm_inside(sector, sectors, 0, b->sectors);
}

static uint8_t read_or_write(struct blk *b, uint64_t sector, bool write, uint32_t *written)
{
	struct vq_chain *c = &b->chain;
	struct iovec *iov = write ? c->iov : c->iov + c->out_n;
	unsigned n = write ? c->out_n : c->in_n;
	uint32_t len = write ? c->out_len - HEADER_LEN : c->in_len - 1;
	uint8_t status;

	if (len % (1u << SECTOR_BITS) || !in_disk(b, sector, len >> SECTOR_BITS))
		return S_IOERR;
	if (write && b->read_only)
		return S_IOERR;
	n = slice(iov, n, write ? HEADER_LEN : 0, len);
	status = transfer(b->fd, iov, n, sector << SECTOR_BITS, len, write);
	if (status == S_OK && !write)
		*written = len;
	return status;
}

/* Sec. 5.2.6.2: unknown flags are unsupported; ranges lie within the disk. */
static uint8_t deallocate(struct blk *b, bool zeroes)
{
	struct {
		uint64_t sector;
		uint32_t sectors, flags;
	} r;
	int mode;

	if (b->read_only || b->chain.out_len != HEADER_LEN + RANGE_LEN ||
	    !chain_read(&b->chain, HEADER_LEN, &r, sizeof(r)))
		return S_IOERR;
	r.sector = le64toh(r.sector);
	r.sectors = le32toh(r.sectors);
	r.flags = le32toh(r.flags);
	if (r.flags & ~(zeroes ? 1u : 0u))
		return S_UNSUPP;
	if (!in_disk(b, r.sector, r.sectors) || r.sectors > RANGE_SECTORS_MAX)
		return S_IOERR;
	if (!r.sectors)
		return S_OK;
	/* Bit 0 of the flags: a hole will do; a discard always may be one. */
	mode = !zeroes || (r.flags & 1) ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE;
	if (!fallocate(b->fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)(r.sector << SECTOR_BITS),
		       (off_t)r.sectors << SECTOR_BITS))
		return S_OK;
	return zeroes ? (errno == EOPNOTSUPP ? S_UNSUPP : S_IOERR) : S_OK; /* discard is a hint */
}

static uint8_t get_id(struct blk *b, uint32_t *written)
{
	if (b->chain.in_len - 1 < ID_LEN || !chain_write(&b->chain, 0, b->id, ID_LEN))
		return S_IOERR;
	*written = ID_LEN;
	return S_OK;
}

static uint8_t carry_out(struct blk *b, uint32_t type, uint64_t sector, uint32_t *written)
{
	switch (type) {
	case T_IN:
		return read_or_write(b, sector, false, written);
	case T_OUT:
		return read_or_write(b, sector, true, written);
	case T_FLUSH:
		return !b->writeback || !fdatasync(b->fd) ? S_OK : S_IOERR;
	case T_GET_ID:
		return get_id(b, written);
	case T_DISCARD:
		return deallocate(b, false);
	case T_WRITE_ZEROES:
		return deallocate(b, true);
	default:
		return S_UNSUPP;
	}
}

/* -EPROTO when there is no place for header or status: then nobody can be told. */
static int64_t handle(struct vdev *d, struct vq_chain *c)
{
	struct blk *b = blk_of(d);
	uint8_t header[HEADER_LEN], *status_at;
	uint32_t type, written = 0;
	uint64_t sector;
	struct iovec *last;

	if (!chain_read(c, 0, header, sizeof(header)) || c->in_len < 1)
		return -EPROTO;
	memcpy(&type, header, sizeof(type));
	memcpy(&sector, header + 8, sizeof(sector));
	/* Its place is noted first: the transfer shortens iov. */
	last = &c->iov[c->out_n + c->in_n - 1];
	status_at = (uint8_t *)last->iov_base + last->iov_len - 1;
	*status_at = carry_out(b, le32toh(type), le64toh(sector), &written);
	return (int64_t)written + 1;
}

static int kick(struct vdev *d, unsigned index)
{
	return vdev_drain(d, index, &blk_of(d)->chain, handle);
}

/* --- life --- */

static void destroy(struct vdev *d)
{
	struct blk *b = blk_of(d);

	vdev_done(d);
	cleanup_close(&b->fd);
	free(b);
}

static int open_disk(struct blk *b, const struct blk_config *c, struct err *e)
{
	struct stat st;
	uint64_t bytes;

	b->fd = open(c->path, (c->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	if (b->fd < 0 || fstat(b->fd, &st))
		return err_sys(e, errno, "disk.open", "disk %s", c->path);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return err_set(e, -EINVAL, ERR_CALLER, "disk.not-a-file",
			       "disk %s: expected a regular file or a block device", c->path);
	bytes = (uint64_t)st.st_size;
	if (S_ISBLK(st.st_mode) && ioctl(b->fd, BLKGETSIZE64, &bytes))
		return err_sys(e, errno, "disk.size", "disk %s", c->path);
	b->sectors = bytes >> SECTOR_BITS; /* what is behind the last whole sector is not seen */
	/* As Firecracker: digits that name the file. */
	(void)snprintf(b->id, sizeof(b->id), "%llu%llu%llu", (unsigned long long)st.st_dev,
		       /* may be cut */
		       (unsigned long long)st.st_rdev, (unsigned long long)st.st_ino);
	return 0;
}

int blk_new(const struct blk_config *c, struct guestmem *gm, struct loop *loop, struct vdev **ret,
	    struct err *e)
{
	static const struct vdev_ops ops = {
		.name = "blk",
		.device_id = 2,
		.n_queues = 1,
		.config_size = sizeof(struct config),
		.features = features,
		.kick = kick,
		.config_read = config_read,
		.destroy = destroy,
	};
	struct blk *b = mem_zalloc(sizeof(*b));
	int rc;

	if (!b)
		return err_nomem(e);
	b->fd = -1;
	b->read_only = c->read_only;
	b->writeback = c->writeback;
	rc = open_disk(b, c, e);
	if (!rc)
		rc = vdev_init(&b->dev, &ops, gm, loop, e);
	if (rc) {
		destroy(&b->dev);
		return rc;
	}
	*ret = &b->dev;
	return 0;
}
