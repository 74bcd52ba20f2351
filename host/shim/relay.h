#pragma once
/*
 * The shim's steady state: serial line to console file and to whoever is connected, engine's output
 * to its log, until the engine ends.
 */
#include <stdint.h>

struct err;

struct relay_end {
	int status; /* wait status of the engine as waitpid(2) gives it */
	uint64_t console_bytes, log_bytes;
};

/* Takes over the four descriptors and serves them until the engine has ended and all its output is
 * on file.  dir: where console.log and vmm.log go. */
int relay_run(const char *dir, int serial_fd, int out_fd, int listen_fd, int pidfd,
	      struct relay_end *ret, struct err *e);
