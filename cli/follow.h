#pragma once
/*
 * Events as they happen, and progress made of them: what is under way and for how long, on standard
 * error, while a request is held by hearthd until its end.
 */
#include <stdbool.h>
#include <stdint.h>

#include "cli/cli.h"
#include "cli/sse.h"

#define FOLLOW_SILENCE_MS 60000u /* hearthd's streams beat every 15 s */

typedef int follow_fn(void *ctx, const json_t *event, const char *text, size_t len);

struct follow {
	struct cli *cli;
	struct http_call call;
	struct sse sse;
	follow_fn *fn; /* nonzero ends the walk */
	void *ctx;
};

/* Begin a stream; path as "/api/events". */
int follow_begin(struct cli *c, const char *path, follow_fn *fn, void *ctx, struct follow *ret,
		 struct err *e);
/* Hand on what arrived.  0, what fn said, or a failure with e. */
int follow_take(struct follow *f, struct err *e);
void follow_end(struct follow *f);
#define auto_follow __attribute__((cleanup(follow_end))) struct follow

struct progress {
	struct cli *cli;
	bool off;
	uint64_t hold_ns; /* show nothing before this time: quick things need no progress */
	uint64_t begin_ns;
	uint64_t first_us; /* monoUs of the first event; 0: none yet */
	uint64_t tick_ns;  /* when a tick is due */
	bool ticking;	   /* a line that will be overwritten stands on the terminal */
	char what[32];	   /* state or phase under way */
	struct buf held;   /* lines of the time before hold_ns */
};

#define PROGRESS_QUICK_MS 1000u

void progress_init(struct progress *p, struct cli *c, bool off, uint64_t hold_ms);
void progress_line(struct progress *p, uint64_t ms, const char *what, const char *text);
int progress_event(void *ctx, const json_t *event, const char *text, size_t len); /* a follow_fn */
/* Once a second or so: on a terminal, say what is under way. */
void progress_tick(struct progress *p);
void progress_done(struct progress *p);
#define auto_progress __attribute__((cleanup(progress_done))) struct progress

/* Ask and show the VM's events until the answer comes.  vm: its id or name; after: the newest event
 * that is of no interest. */
int ask_with_progress(struct cli *c, const struct http_ask *ask, const char *vm, uint64_t after,
		      struct progress *p, struct answer *ret, struct err *e);
/* The number of a VM's newest event. */
int newest_event(struct cli *c, const char *vm, uint64_t *ret_seq, struct err *e);
