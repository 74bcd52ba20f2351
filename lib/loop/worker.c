/*
 * Worker threads for jobs that block; started when first needed, joined by loop_free.
 * loop_work is called on the loop's thread; run on a worker's; done on the loop's again.
 */
#include "loop/loop.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "loop/loop_internal.h"

static void queue_init(struct job_queue *q)
{
	q->first = NULL;
	q->last = &q->first;
}

static void queue_put(struct job_queue *q, struct job *j)
{
	j->next = NULL;
	*q->last = j;
	q->last = &j->next;
}

static struct job *queue_take(struct job_queue *q)
{
	struct job *j = q->first;

	if (j)
		q->first = j->next;
	if (!q->first)
		q->last = &q->first;
	return j;
}

/* The next job, waiting for it; NULL at the end. */
static struct job *next_job(struct loop *l)
{
	struct job *j = NULL;

	(void)pthread_mutex_lock(&l->lock); /* a normal mutex can't fail, here and below */
	l->idle_n++;
	while (!l->quit && !l->todo.first)
		(void)pthread_cond_wait(&l->work_ready, &l->lock); /* can't fail either */
	l->idle_n--;
	if (!l->quit)
		j = queue_take(&l->todo);
	(void)pthread_mutex_unlock(&l->lock);
	return j;
}

static void *worker(void *arg)
{
	struct loop *l = arg;
	struct job *j;

	while ((j = next_job(l))) {
		j->run(j);
		(void)pthread_mutex_lock(&l->lock);
		queue_put(&l->done, j);
		l->done_n++;
		(void)pthread_mutex_unlock(&l->lock);
		posts_wake(l);
	}
	return NULL;
}

/* Start one more worker, with every signal blocked: signals belong to the loop's thread. */
static int start_one(struct loop *l)
{
	sigset_t all, old;
	int rc;

	(void)sigfillset(&all); /* can't fail with a valid set */
	rc = pthread_sigmask(SIG_BLOCK, &all, &old);
	assert(rc == 0);
	rc = pthread_create(&l->workers[l->workers_n], NULL, worker, l);
	if (!rc)
		l->workers_n++;
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL); /* it worked above */
	return -rc;
}

struct closing {
	struct job job;
	int fd; /* owned */
};

static void closing_run(struct job *j)
{
	(void)close(container_of(j, struct closing, job)->fd); /* nobody is left to be told */
}

static void closing_done(struct job *j)
{
	free(container_of(j, struct closing, job));
}

void loop_close(struct loop *l, int fd)
{
	struct closing *c = mem_zalloc(sizeof(*c));

	if (c) {
		c->job.run = closing_run;
		c->job.done = closing_done;
		c->fd = fd;
		if (loop_work(l, &c->job) == 0)
			return;
		free(c);
	}
	(void)close(fd); /* then it takes its time here */
}

/* The loop ends: jobs of others are dropped, descriptors are still closed. */
static void end_closings(struct loop *l)
{
	struct job *j;

	while ((j = queue_take(&l->todo)))
		if (j->run == closing_run) {
			closing_run(j);
			closing_done(j);
		}
	while ((j = queue_take(&l->done)))
		if (j->run == closing_run)
			closing_done(j);
}

void workers_init(struct loop *l)
{
	/* With default attributes neither can fail (glibc nptl/pthread_mutex_init.c). */
	(void)pthread_mutex_init(&l->lock, NULL);
	(void)pthread_cond_init(&l->work_ready, NULL);
	queue_init(&l->todo);
	queue_init(&l->done);
}

void workers_done(struct loop *l)
{
	(void)pthread_mutex_lock(&l->lock);
	l->quit = true;
	(void)pthread_cond_broadcast(&l->work_ready);
	(void)pthread_mutex_unlock(&l->lock);
	for (unsigned i = 0; i < l->workers_n; i++)
		(void)pthread_join(l->workers[i], NULL); /* joinable and not joined yet */
	l->workers_n = 0;
	end_closings(l);
}

int loop_work(struct loop *l, struct job *j)
{
	bool idle;

	assert(j->run && j->done);
	(void)pthread_mutex_lock(&l->lock);
	idle = l->idle_n > 0 && !l->todo.first;
	(void)pthread_mutex_unlock(&l->lock);
	if (!idle && l->workers_n < LOOP_WORKERS) {
		int rc = start_one(l);

		if (rc && !l->workers_n)
			return rc;
	}
	(void)pthread_mutex_lock(&l->lock);
	queue_put(&l->todo, j);
	(void)pthread_cond_signal(&l->work_ready);
	(void)pthread_mutex_unlock(&l->lock);
	return 0;
}

static struct job *take_done(struct loop *l)
{
	struct job *j;

	(void)pthread_mutex_lock(&l->lock);
	j = queue_take(&l->done);
	if (j)
		l->done_n--;
	(void)pthread_mutex_unlock(&l->lock);
	return j;
}

void workers_deliver(struct loop *l)
{
	size_t n;

	(void)pthread_mutex_lock(&l->lock);
	n = l->done_n;
	(void)pthread_mutex_unlock(&l->lock);
	for (; n > 0; n--) {
		struct job *j = take_done(l);

		if (!j)
			break; /* an inner round was quicker */
		j->done(j);
	}
}
