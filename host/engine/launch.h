#pragma once
/*
 * Starting an engine under hearth-shim, watching both processes, reading how they ended: what every
 * engine has in common.  Private to host/engine.
 */
#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "engine/engine.h"
#include "loop/loop.h"
#include "model/vm.h"

/* --- launch.c --- */

#define LAUNCH_SERIAL_FD 10 /* the engine finds its serial line here */
#define LAUNCH_KEEP_FD	 11 /* and what it is handed from here on, in order of launch_keep */
#define LAUNCH_KEEP_MAX	 24 /* QMP, kernel, initrd, 8 drives, TAP, vhost, with room */

struct launch {
	json_t *argv;		   /* owned */
	int keep[LAUNCH_KEEP_MAX]; /* owned; descriptor number LAUNCH_KEEP_FD + i of the engine */
	int keep_n;
	gid_t group;	    /* supplementary group, for /dev/kvm; 0: none */
	uint64_t extra_mib; /* the engine's own memory beside the guest's, at most */
	bool failed;	    /* memory ran out while adding */
};

/* Append one argument. */
void launch_arg(struct launch *la, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Hand a copy of fd over; its number in the engine, or -Exxx. */
int launch_keep(struct launch *la, int fd);
/* Open a file and hand it over; its number in the engine. */
int launch_open(struct launch *la, const char *path, int flags, struct err *e);
/* Listen on <run_dir>/<name> and hand the socket over; its number in the engine. */
int launch_listen(struct launch *la, const char *run_dir, const char *name, struct err *e);
/* Start shim and engine; they run when it returns 0.  Blocks for some milliseconds. */
int launch_go(struct launch *la, const struct vm_spec *spec, struct vm_process *ret, struct err *e);
void launch_done(struct launch *la);

/* Absolute path of a program, searched in PATH; false: not there. */
bool launch_find(const char *program, char *ret, size_t cap);

/* --- procs.c --- */

/* Shim and engine of one VM, by pidfd. */
struct procs {
	struct loop *loop; /* borrowed */
	struct vm_process proc;
	struct watch shim, engine;	/* pidfds, owned; -1: ended */
	struct timer linger;		/* the engine has ended and the shim has not */
	void (*ended)(struct procs *p); /* both have ended */
};

/* -ESRCH: neither lives any more (or they belong to an earlier boot). */
int procs_watch(struct procs *p, struct loop *l, const struct vm_process *proc,
		void (*ended)(struct procs *p), struct err *e);
void procs_kill(struct procs *p); /* SIGKILL to the engine; the shim then writes exit.json */
void procs_done(struct procs *p);
bool procs_same_boot(const struct vm_process *proc);

/* --- engine.c --- */

/* Remove the control groups of a VM whose processes have ended; the shim has done so unless it was
 * killed. */
void engine_remove_groups(const char *vm_dir);

/* --- ending.c --- */

/* What the engine's own protocol said about the end, if anything was heard. */
enum ending_said { SAID_NOTHING, SAID_POWEROFF, SAID_RESET, SAID_PANIC, SAID_N_ };

/* Put together exit.json, what was said, the console's last lines and the log's last line.
 * by_us: the kill was ours. */
void ending_read(const char *vm_dir, const char *engine, const struct vm_process *proc,
		 enum ending_said said, bool by_us, struct engine_end *ret);
/* What the guest's kernel said about its end, if those are the console's last words. */
enum ending_said ending_console_said(const char *vm_dir);
/* The last line of a bounded log that says something; "" if none. */
void ending_last_line(const char *path, char *ret, size_t cap);
