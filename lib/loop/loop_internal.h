#pragma once
/*
 * What the files of lib/loop share: the loop's own state.
 *
 * Everything belongs to the loop's thread, except what stands behind `lock`.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "loop/loop.h"

#define ROUND_EVENTS 64 /* descriptors served between two looks at the timers */

/* The events that one epoll_wait gave.  Rounds nest when a callback calls loop_step. */
struct round {
	struct epoll_event events[ROUND_EVENTS];
	int n;
	struct round *outer;
};

/* Armed timers, a binary heap by (due_ns, seq). */
struct timer_heap {
	struct timer **at; /* owned; the timers are borrowed from their owners */
	uint32_t n, cap;
	uint64_t next_seq;
};

struct post;	/* post.c */
struct signals; /* signal.c */

struct job_queue {
	struct job *first, **last;
};

struct loop {
	int epoll_fd;	     /* owned */
	struct round *round; /* innermost one being served; NULL outside */
	struct timer_heap timers;
	uint64_t now_ns; /* when the current round began to fire timers */
	bool stop;
	struct signals *signals; /* owned list */

	struct watch wake; /* eventfd, owned: a post or a finished job waits */

	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t work_ready;
	struct post *posts, **posts_last; /* owned list, oldest first */
	size_t posts_n;
	struct job_queue todo, done; /* borrowed from their owners */
	size_t done_n;
	unsigned idle_n;    /* workers that wait for a job */
	bool quit;	    /* workers end */
	unsigned workers_n; /* started; changed by the loop's thread only */
	pthread_t workers[LOOP_WORKERS];
};

/* timer.c */
int timers_wait_ms(const struct loop *l, int at_most_ms);
void timers_fire(struct loop *l);

/* post.c */
int posts_init(struct loop *l); /* 0 or -errno */
void posts_done(struct loop *l);
void posts_wake(struct loop *l); /* any thread */

/* worker.c */
void workers_init(struct loop *l);
void workers_done(struct loop *l);    /* joins them */
void workers_deliver(struct loop *l); /* run the done callbacks that wait */

/* signal.c */
void signals_done(struct loop *l);
