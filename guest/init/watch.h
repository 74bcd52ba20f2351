#pragma once
/*
 * Waiting for devices: the kernel's own notices instead of sleeps.
 */
#include <stdint.h>

struct watch {
	int uevent_fd; /* fd, owned: a device came, went or changed */
	int link_fd;   /* fd, owned: a network link changed (carrier) */
};

/* Open before the first driver is loaded, so that no notice is missed. */
void watch_open(struct watch *w);
/* Sleep until a notice or the deadline (CLOCK_MONOTONIC): 0, or -ETIMEDOUT.  The caller looks again
 * at what it waits for, as a notice says only that something changed. */
int watch_wait(struct watch *w, uint64_t deadline_ns);
void watch_close(struct watch *w);
