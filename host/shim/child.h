#pragma once
/*
 * The engine's process: forked, held until its pid is on record, stripped of every privilege,
 * executed.
 */
#include <sys/types.h>

struct err;
struct job;

struct child {
	pid_t pid;
	int pidfd;   /* owned */
	int go_fd;   /* owned; closing it lets the child end, child_go lets it execute */
	int fail_fd; /* owned; the child reports here why it could not execute */
};

/* serial_fd, out_fd: the engine's ends of serial line and log pipe; the caller closes its copies.
 *  */
int child_fork(const struct job *j, int serial_fd, int out_fd, struct child *ret, struct err *e);
/* Let it go and wait until the program runs or could not be run. */
int child_go(struct child *c, const char *program, struct err *e);
