#pragma once
/*
 * Other processes: run a helper program to its end, identify a process beyond doubt.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct buf;
struct err;

struct proc_run {
	const char *const *argv; /* argv[0] is searched in PATH; NULL-terminated; never a shell */
	const char *cwd;	 /* NULL: as the caller */
	const void *in;		 /* standard input; NULL: /dev/null */
	size_t in_len;
	struct buf *out;     /* standard output is appended; NULL: discarded */
	struct buf *err;     /* standard error is appended; NULL: discarded; may equal out */
	int log_fd;	     /* > 0: standard output and error go there instead */
	uint64_t timeout_ms; /* 0: none; then the child's group is killed and -ETIMEDOUT returned */
};

/* Run to its end.  0: it exited 0.  Positive: its exit status (128 + signal when killed).
 * Negative: it could not be run or timed out; e says which.  Blocks: call it on a worker thread. */
int proc_run(const struct proc_run *run, struct err *e);

/* Start time of a process in clock ticks since boot (proc(5), stat field 22); with the pid and the
 * boot id it names one process for ever.  -ESRCH if there is none. */
int proc_start_time(pid_t pid, uint64_t *ret_ticks);

/* True iff pid is alive, not a zombie, and started at `ticks`. */
bool proc_is(pid_t pid, uint64_t ticks);
