/*
 * The network device (virtio 1.2 sec. 5.1) on a TAP: one pair of queues, offloads, merged buffers.
 *
 * Every frame begins with a header of 12 bytes: u8 flags, u8 gso_type, le16 hdr_len, le16 gso_size,
 * le16 csum_start, le16 csum_offset, le16 num_buffers.  The kernel's TAP reads and writes the same
 * header (Linux Documentation/networking/tuntap.rst, IFF_VNET_HDR), so it passes through as it is.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <linux/if_tun.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/str.h"
#include "devices/devices.h"

#define RX	       0u
#define TX	       1u
#define HEADER_LEN     12u
#define NUM_BUFFERS_AT 10u
#define FRAME_MAX      (65535u + 14u + HEADER_LEN) /* the largest segment that TAP gives */
#define ROUND	       64u /* frames of one direction before others have their turn */

#define F_CSUM	     (1ull << 0)
#define F_GUEST_CSUM (1ull << 1)
#define F_MTU	     (1ull << 3)
#define F_MAC	     (1ull << 5)
#define F_GUEST_TSO4 (1ull << 7)
#define F_GUEST_TSO6 (1ull << 8)
#define F_GUEST_UFO  (1ull << 10)
#define F_HOST_TSO4  (1ull << 11)
#define F_HOST_TSO6  (1ull << 12)
#define F_HOST_UFO   (1ull << 14)
#define F_MRG_RXBUF  (1ull << 15)

/* Sec. 5.1.4. */
struct config {
	uint8_t mac[6];
	uint16_t status, max_virtqueue_pairs, mtu; /* little endian */
} __attribute__((packed));

struct net {
	struct vdev dev;
	struct watch tap; /* fd: owned */
	bool tap_watched;
	uint8_t mac[6];
	bool has_mac, merge;
	uint16_t mtu;
	size_t frame_len; /* of a frame that waits for buffers; 0: none */
	uint8_t frame[FRAME_MAX];
	struct vq_chain chain;
	uint64_t dropped_n; /* frames that the TAP or the guest's buffers did not take */
};

static struct net *net_of(struct vdev *d)
{
	return (struct net *)(void *)d;
}

static uint64_t features(const struct vdev *d)
{
	const struct net *n = (const struct net *)(const void *)d;

	return F_CSUM | F_GUEST_CSUM | F_GUEST_TSO4 | F_GUEST_TSO6 | F_GUEST_UFO | F_HOST_TSO4 |
	       F_HOST_TSO6 | F_HOST_UFO | F_MRG_RXBUF | (n->has_mac ? F_MAC : 0) |
	       (n->mtu ? F_MTU : 0);
}

static void config_read(const struct vdev *d, unsigned off, void *dst, unsigned len)
{
	const struct net *n = (const struct net *)(const void *)d;
	struct config c = {.mtu = htole16(n->mtu)};

	memcpy(c.mac, n->mac, sizeof(c.mac));
	memcpy(dst, (const uint8_t *)&c + off, len);
}

/* --- host to guest --- */

static void watch_tap(struct net *n, bool on)
{
	if (on == n->tap_watched)
		return;
	if (!on)
		loop_unwatch(n->dev.loop, &n->tap);
	else if (loop_watch(n->dev.loop, &n->tap, NULL))
		return; /* without memory: the next kick tries again */
	n->tap_watched = on;
}

/* Give the frame to the guest; 1: done, 0: its buffers do not suffice yet. */
static int deliver(struct net *n)
{
	struct vq *q = &n->dev.queues[RX];
	uint16_t heads[VQ_SIZE_MAX];
	uint32_t lens[VQ_SIZE_MAX];
	struct iovec first = {0};
	size_t done = 0;
	unsigned used = 0;

	while (done < n->frame_len) {
		struct vq_chain *c = &n->chain;
		size_t left = n->frame_len - done;
		int rc = used < VQ_SIZE_MAX ? vq_next(q, c) : 0;

		if (rc <= 0) {
			while (used--)
				vq_unread(q);
			return rc;
		}
		/* Sec. 5.1.6.3.1: a header fits into the first buffer. */
		if (c->out_len || c->in_len < HEADER_LEN)
			return -EPROTO;
		lens[used] = left < c->in_len ? (uint32_t)left : c->in_len;
		heads[used] = c->head;
		if (!used)
			first = c->iov[0];
		(void)chain_write(c, 0, n->frame + done, lens[used]); /* within in_len */
		done += lens[used++];
		if (!n->merge && done < n->frame_len) {
			/* a driver without merging gives buffers that are large enough */
			n->dropped_n++;
			break;
		}
	}
	if (first.iov_len >= HEADER_LEN) {
		uint16_t count = htole16((uint16_t)used);

		memcpy((uint8_t *)first.iov_base + NUM_BUFFERS_AT, &count, sizeof(count));
	}
	for (unsigned i = 0; i < used; i++)
		vq_done(q, heads[i], lens[i]);
	return 1;
}

static int receive(struct vdev *d)
{
	struct net *n = net_of(d);
	unsigned frames = 0;
	int rc = 1;

	while (frames < ROUND && rc > 0) {
		if (!n->frame_len) {
			ssize_t len = read(n->tap.fd, n->frame, sizeof(n->frame));

			if (len <= (ssize_t)HEADER_LEN)
				break; /* none, or an interface that is down */
			n->frame_len = (size_t)len;
		}
		rc = deliver(n);
		/* Without buffers: ask for a kick, and look again whether one came in between. */
		if (rc == 0 && vq_rearm(&d->queues[RX])) {
			rc = 1;
			continue;
		}
		if (rc > 0) {
			n->frame_len = 0;
			frames++;
		}
	}
	if (frames)
		vdev_notify(d, RX);
	watch_tap(n, rc > 0); /* with a frame in hand and no room for it the TAP has to wait */
	return rc < 0 ? rc : 0;
}

static void on_tap(struct watch *w, uint32_t got)
{
	struct net *n = container_of(w, struct net, tap);

	(void)got;
	if (!vdev_with_lock(&n->dev, receive))
		watch_tap(n, false); /* activate watches it again */
}

/* --- guest to host --- */

static int64_t transmit(struct vdev *d, struct vq_chain *c)
{
	struct net *n = net_of(d);

	/* A TAP that takes no more drops, as a network card does. */
	if (c->in_n || c->out_len < HEADER_LEN || c->out_len > FRAME_MAX ||
	    writev(n->tap.fd, c->iov, (int)c->out_n) < 0)
		n->dropped_n++;
	return 0;
}

static int kick(struct vdev *d, unsigned index)
{
	return index == RX ? receive(d) : vdev_drain(d, TX, &net_of(d)->chain, transmit);
}

/* --- life --- */

static int activate(struct vdev *d, uint64_t accepted)
{
	struct net *n = net_of(d);
	unsigned offload = 0;

	if (accepted & F_GUEST_CSUM)
		offload |= TUN_F_CSUM;
	if (accepted & F_GUEST_TSO4)
		offload |= TUN_F_TSO4;
	if (accepted & F_GUEST_TSO6)
		offload |= TUN_F_TSO6;
	if (accepted & F_GUEST_UFO)
		offload |= TUN_F_UFO;
	/* Without UFO on old kernels the rest still helps. */
	if (ioctl(n->tap.fd, TUNSETOFFLOAD, offload))
		(void)ioctl(n->tap.fd, TUNSETOFFLOAD, offload & ~(unsigned)TUN_F_UFO);
	n->merge = accepted & F_MRG_RXBUF;
	n->frame_len = 0;
	watch_tap(n, true);
	return 0;
}

static void quiesce(struct vdev *d)
{
	net_of(d)->frame_len = 0; /* on_tap sees that the device does not run */
}

static void destroy(struct vdev *d)
{
	struct net *n = net_of(d);

	if (n->tap_watched)
		loop_unwatch(d->loop, &n->tap);
	vdev_done(d);
	cleanup_close(&n->tap.fd);
	free(n);
}

static int open_tap(const char *name, int *ret_fd, struct err *e)
{
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	auto_close int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return err_sys(e, errno, "net.tun", "/dev/net/tun");
	if (!str_copy(ifr.ifr_name, sizeof(ifr.ifr_name), name))
		return err_set(e, -EINVAL, ERR_CALLER, "net.name",
			       "TAP %s: more than %zu characters", name, sizeof(ifr.ifr_name) - 1);
	if (ioctl(fd, TUNSETIFF, &ifr))
		return err_sys(e, errno, "net.tap", "TAP %s", name);
	*ret_fd = take_fd(fd);
	return 0;
}

static int take_tap(const char *number, int *ret_fd, struct err *e)
{
	struct ifreq ifr = {0};
	uint32_t fd;

	if (parse_u32(number, 3, 1u << 20, &fd))
		return err_set(e, -EINVAL, ERR_CALLER, "net.fd",
			       "fd:%s: expected a descriptor from 3 on", number);
	if (ioctl((int)fd, TUNGETIFF, &ifr))
		return err_sys(e, errno, "net.fd", "fd:%s is no TAP", number);
	if (!(ifr.ifr_flags & IFF_TAP) || !(ifr.ifr_flags & IFF_NO_PI) ||
	    !(ifr.ifr_flags & IFF_VNET_HDR))
		return err_set(e, -EINVAL, ERR_CALLER, "net.fd",
			       "fd:%s: expected IFF_TAP, IFF_NO_PI and IFF_VNET_HDR", number);
	if (fcntl((int)fd, F_SETFL, O_NONBLOCK) || fcntl((int)fd, F_SETFD, FD_CLOEXEC))
		return err_sys(e, errno, "net.fd", "fd:%s", number);
	*ret_fd = (int)fd;
	return 0;
}

static int attach_tap(struct net *n, const char *tap, struct err *e)
{
	int header = HEADER_LEN;
	int rc = str_starts(tap, "fd:") ? take_tap(tap + 3, &n->tap.fd, e)
					: open_tap(tap, &n->tap.fd, e);

	if (!rc && ioctl(n->tap.fd, TUNSETVNETHDRSZ, &header))
		rc = err_sys(e, errno, "net.tap", "TAP %s: TUNSETVNETHDRSZ", tap);
	return rc;
}

int net_new(const struct net_config *c, struct guestmem *gm, struct loop *loop, struct vdev **ret,
	    struct err *e)
{
	static const struct vdev_ops ops = {
		.name = "net",
		.device_id = 1,
		.n_queues = 2,
		.config_size = sizeof(struct config),
		.features = features,
		.activate = activate,
		.kick = kick,
		.quiesce = quiesce,
		.config_read = config_read,
		.destroy = destroy,
	};
	struct net *n = mem_zalloc(sizeof(*n));
	int rc;

	if (!n)
		return err_nomem(e);
	n->tap = (struct watch){.fd = -1, .want = EPOLLIN, .ready = on_tap};
	n->mtu = c->mtu;
	n->has_mac = c->mac != NULL;
	if (c->mac)
		memcpy(n->mac, c->mac, sizeof(n->mac));
	rc = attach_tap(n, c->tap, e);
	if (!rc)
		rc = vdev_init(&n->dev, &ops, gm, loop, e);
	if (rc) {
		destroy(&n->dev);
		return rc;
	}
	*ret = &n->dev;
	return 0;
}
