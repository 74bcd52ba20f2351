/*
 * Listens to the kernel's device notices (kobject uevents) and link notices (rtnetlink). Called by
 * the phases that wait for a network card, its carrier or a disk.  The content of the notices is
 * not read: /sys and rtnetlink are asked again after each, so a lost or merged notice does no
 * harm.
 */
#include "init/watch.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

#define UEVENT_KERNEL_GROUP 1u /* lib/kobject_uevent.c: 1 is the kernel, 2 is udev */

static int listen_group(int protocol, uint32_t groups)
{
	struct sockaddr_nl addr = {.nl_family = AF_NETLINK, .nl_groups = groups};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);

	if (fd >= 0 && bind(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		(void)close(fd);
		return -1;
	}
	return fd;
}

void watch_open(struct watch *w)
{
	/* A socket that cannot be had (-1) is skipped by poll: only the deadline ends a wait. */
	w->uevent_fd = listen_group(NETLINK_KOBJECT_UEVENT, UEVENT_KERNEL_GROUP);
	w->link_fd = listen_group(NETLINK_ROUTE, RTMGRP_LINK);
}

static void drain(int fd)
{
	char junk[4096];

	/* ENOBUFS means that notices were lost, which is a notice too. */
	while (fd >= 0 &&
	       (recv(fd, junk, sizeof(junk), 0) > 0 || errno == ENOBUFS || errno == EINTR))
		;
}

int watch_wait(struct watch *w, uint64_t deadline_ns)
{
	struct pollfd fds[] = {{w->uevent_fd, POLLIN, 0}, {w->link_fd, POLLIN, 0}};
	uint64_t now = clock_mono_ns();
	uint64_t left_ms;

	if (now >= deadline_ns)
		return -ETIMEDOUT;
	left_ms = (deadline_ns - now + NS_PER_MS - 1) / NS_PER_MS;
	if (poll(fds, 2, left_ms > 60000 ? 60000 : (int)left_ms) <= 0)
		return clock_mono_ns() >= deadline_ns ? -ETIMEDOUT : 0;
	drain(w->uevent_fd);
	drain(w->link_fd);
	return 0;
}

void watch_close(struct watch *w)
{
	if (w->uevent_fd >= 0)
		(void)close(w->uevent_fd);
	if (w->link_fd >= 0)
		(void)close(w->link_fd);
	w->uevent_fd = w->link_fd = -1;
}
