#pragma once
/*
 * What a shim is told to do: one JSON object on descriptor 3, written by hearthd (engine/launch.c).
 *
 *	{"vm": "vm-1a2b3c4d", "dir": "/var/lib/hearth/vms/vm-1a2b3c4d",
 *	 "argv": ["/usr/bin/qemu-system-x86_64", …], "uid": 64001, "gid": 64001, "groups": [108],
 *	 "nofile": 256, "lock_fd": 4, "status_fd": 5, "listen_fd": 6, "serial_fd": 10, "keep": [11,
 * 12],
 *	 "cgroup": "vm-1a2b3c4d", "memory_bytes": 1073741824, "pids": 128, "cpu_weight": 100}
 *
 * Descriptors in "keep" go to the engine under the same number; serial_fd is the number under which
 * the engine finds its end of the serial line.  "cgroup" may be absent: then the engine shares the
 * shims' group.  docs/engines.md tells the whole story.
 */
#include <stdint.h>
#include <sys/types.h>

#include <jansson.h>

struct err;

#define JOB_FD	       3
#define JOB_MAX_BYTES  (256u << 10) /* a command line and some hundred arguments of QEMU */
#define JOB_ARGV_MAX   256
#define JOB_KEEP_MAX   32
#define JOB_GROUPS_MAX 4
#define JOB_FD_MAX     127 /* hearthd keeps its own descriptors above while it hands these over */

struct job {
	char vm[64], dir[4096];
	char cgroup[128];	      /* "" : none of its own */
	char *argv[JOB_ARGV_MAX + 1]; /* borrowed from json */
	int64_t uid, gid;
	gid_t groups[JOB_GROUPS_MAX];
	int groups_n;
	int64_t nofile;
	int64_t lock_fd, status_fd, listen_fd, serial_fd;
	int keep[JOB_KEEP_MAX];
	int keep_n;
	int64_t memory_bytes, pids, cpu_weight; /* 0: no limit */
	json_t *json;				/* owned */
};

int job_read(int fd, struct job *ret, struct err *e);
void job_done(struct job *j);
