#pragma once
/*
 * One epoll loop per thread: descriptors, timers, signals, calls posted from other threads, and a
 * few worker threads for jobs that block (disk copies, helper programs).
 *
 * Owners embed their struct watch / struct timer; the loop allocates nothing per watch.  Everything
 * here is called on the loop's thread, except loop_post.  In one round ready descriptors come
 * before due timers, so an answer that arrived in time wins over its own time limit.
 */
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

struct err;
struct loop;

/* A descriptor of interest.  fd and ready are set by the owner; the rest belongs to the loop. */
struct watch {
	int fd;	       /* borrowed */
	uint32_t want; /* EPOLLIN, EPOLLOUT; EPOLLERR and EPOLLHUP always come */
	void (*ready)(struct watch *w, uint32_t got);
	bool active; /* loop's own */
};

/* A deadline.  Zero-initialise; armed by loop_timer. */
struct timer {
	uint64_t due_ns; /* CLOCK_MONOTONIC */
	void (*fire)(struct timer *t);
	uint64_t seq;	   /* loop's own: order of arming, so that equal deadlines fire in it */
	uint32_t heap_pos; /* loop's own: 1-based position, 0 = not armed */
};

int loop_new(struct loop **ret, struct err *e);
/* Joins the workers.  No callback runs any more: jobs not started, jobs not yet done and posted
 * calls are dropped.  Not from within a callback.  NULL is fine. */
void loop_free(struct loop *l);
DEFINE_AUTO(loop)

/* Asserts that w is not watched yet. */
int loop_watch(struct loop *l, struct watch *w, struct err *e);
/* After changing w->want. */
void loop_rewatch(struct loop *l, struct watch *w);
/* No callback after this returns, also when called from within a callback of the same round, so w
 * may be freed at once.  Call it before closing the descriptor.  Not being watched is fine. */
void loop_unwatch(struct loop *l, struct watch *w);

/* Arm or re-arm; one shot; a time that is past fires in the next round.  -ENOMEM only when the heap
 * must grow; then the timer is as before. */
int loop_timer(struct loop *l, struct timer *t, uint64_t due_ns);
int loop_timer_in(struct loop *l, struct timer *t, uint64_t delay_ns);
void loop_timer_stop(struct loop *l, struct timer *t); /* a timer that is not armed is fine */

/* Run fn(arg) on the loop's thread, soon, in the order of posting.  The only call from other
 * threads. -ENOMEM. */
int loop_post(struct loop *l, void (*fn)(void *arg), void *arg);

/* Block the signals in this thread and deliver them as calls on the loop (signalfd).  Before the
 * first other thread, which inherits the mask; they stay blocked after loop_free. */
int loop_signals(struct loop *l, const sigset_t *set, void (*fn)(int signo, void *arg), void *arg,
		 struct err *e);

/* A job for the worker threads (LOOP_WORKERS of them, first in first out).  run blocks and must not
 * touch what the loop's thread owns; then done runs on the loop's thread.  The owner keeps the job
 * alive until done.  Fails only when no worker thread can be started. */
#define LOOP_WORKERS 2 /* disk copies and helper programs: more would only queue at the disk */
struct job {
	void (*run)(struct job *j);
	void (*done)(struct job *j);
	struct job *next; /* loop's own */
};
int loop_work(struct loop *l, struct job *j);
/* Close a descriptor whose close(2) may block, on a worker: a packet socket's waits for an RCU
 * grace period, 10 to 20 ms (net/packet/af_packet.c, packet_release).  Unwatch it first. */
void loop_close(struct loop *l, int fd);

int loop_run(struct loop *l, struct err *e); /* until loop_stop, which may come before it */
void loop_stop(struct loop *l);
/* One round: waits at most timeout_ms (-1: for ever, 0: not at all).  For tests and nested use. */
int loop_step(struct loop *l, int timeout_ms, struct err *e);
