/*
 * What blocks in a VM's life: making its disk, opening and closing its network port, giving
 * everything back.  One job at a time per VM, on the loop's worker threads; every job can be done
 * again after a crash in its middle.
 *
 * run functions execute on a worker and touch nothing of the loop's; done functions on the loop.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/control_internal.h"

#define DISK_FILE "disk.ext4"
/* fork to exec takes under 1 ms; on a machine that swaps, more */
#define TAP_LASTS_NS (2 * NS_PER_S)

void work_free(struct vm_work *w)
{
	if (!w)
		return;
	if (w->tap_fd >= 0)
		(void)close(w->tap_fd); /* ours alone: the TAP goes with it */
	image_free(w->image);
	free(w->record);
	free(w);
}

/* Made beside its place and renamed, so that a disk that has its name is whole. */
static int make_disk(struct vm_work *w)
{
	char path[PATH_CAP + 16], half[PATH_CAP + 24];
	struct stat st;
	int rc;

	(void)snprintf(path, sizeof(path), "%s/%s", w->vm_dir, DISK_FILE);
	(void)snprintf(half, sizeof(half), "%s.half", path);
	if (stat(path, &st) == 0)
		return 0; /* an earlier run's, or a crash came right after the rename */
	if (unlink(half) < 0 && errno != ENOENT)
		return err_sys(&w->err, errno, "disk.half", "%s", half);
	rc = image_make_disk(w->image, w->direct, half, w->disk_mib, &w->err);
	if (rc < 0) {
		(void)unlink(half); /* the disk may be full: leave nothing */
		return rc;
	}
	if (rename(half, path) < 0)
		return err_sys(&w->err, errno, "disk.rename", "%s", path);
	return 0;
}

static int try_port(struct vm_work *w)
{
	int rc;

	/* never fails for a valid, not recursive mutex */
	(void)pthread_mutex_lock(&w->netw->lock);
	if (w->netw->net)
		rc = net_port_open(w->netw->net, &w->port, &w->tap_fd, &w->err);
	else
		rc = err_set(&w->err, -ENETDOWN, ERR_HOST, "network.down",
			     "network %s is not up: %s", w->netw->conf.name, w->netw->fault.text);
	(void)pthread_mutex_unlock(&w->netw->lock);
	return rc;
}

/* The TAP of a lease that was just given back is gone with its last descriptor; a helper program
 * that the other worker is starting has a copy of every descriptor between fork and exec, so it may
 * last a moment longer. */
static int open_port(struct vm_work *w)
{
	uint64_t due = clock_mono_ns() + TAP_LASTS_NS;
	int rc = try_port(w);

	while (rc == -EBUSY && clock_mono_ns() < due) {
		(void)poll(NULL, 0, 1); /* then look again: its name is what we wait for */
		rc = try_port(w);
	}
	return rc;
}

static int close_port(struct vm_work *w)
{
	int rc = 0;

	if (!w->netw)
		return 0;
	(void)pthread_mutex_lock(&w->netw->lock);
	if (w->netw->net)
		rc = net_port_close(w->netw->net, &w->port, &w->err);
	(void)pthread_mutex_unlock(&w->netw->lock);
	return rc;
}

static int make_dir(const char *path, struct err *e)
{
	int rc = fd_mkdirs(path, 0711, e);

	return rc == -ENOSPC || rc == -EDQUOT ? disk_full(e, rc, path) : rc;
}

static int prepare(struct vm_work *w)
{
	uint64_t t0 = clock_mono_ns(), t1;
	int rc;

	if ((rc = make_dir(w->vm_dir, &w->err)) < 0 || (rc = make_dir(w->run_dir, &w->err)) < 0 ||
	    (rc = image_open(w->images_dir, w->digest, &w->image, &w->err)) < 0 ||
	    (rc = image_check_files(w->image, &w->err)) < 0 || (rc = make_disk(w)) < 0)
		return rc;
	t1 = clock_mono_ns();
	rc = open_port(w);
	w->disk_us = (t1 - t0) / 1000;
	w->port_us = (clock_mono_ns() - t1) / 1000;
	return rc;
}

/* The evidence is moved before anything is removed; the record goes last, after this job. */
static int release(struct vm_work *w)
{
	int rc = engine_kill_leftover(w->vm_dir, &w->err);

	if (rc < 0 || (rc = close_port(w)) < 0 || (rc = evidence_keep(w, &w->err)) < 0 ||
	    (rc = fd_remove_tree(w->run_dir, &w->err)) < 0)
		return rc;
	return fd_remove_tree(w->vm_dir, &w->err);
}

static void run(struct job *j)
{
	struct vm_work *w = container_of(j, struct vm_work, job);

	switch (w->what) {
	case JOB_PREPARE:
		w->rc = prepare(w);
		break;
	case JOB_PORT_CLOSE:
		w->rc = close_port(w);
		if (w->rc == 0)
			/* sockets of a run that is over */
			w->rc = fd_remove_tree(w->run_dir, &w->err);
		break;
	case JOB_RELEASE:
		w->rc = release(w);
		break;
	case JOB_NONE:
		break;
	}
}

static void prepared(struct vm *v, struct vm_work *w)
{
	bool wanted = v->rec.state == VM_CREATING || v->rec.state == VM_STARTING;
	struct cause cause = {0};

	v->port_open = true; /* also after a failure: pins may have been set before it */
	if (!wanted)
		/* deleted, stopped or given up meanwhile: vm_next gives back what was made */
		return;
	if (w->rc < 0) {
		cause_from_err(&cause, &w->err);
		vm_feed(v, EV_FAILED, "hearthd", &cause);
		return;
	}
	if (v->tap_fd >= 0)
		(void)close(v->tap_fd); /* of an earlier attempt */
	v->tap_fd = take_fd(w->tap_fd);
	image_free(v->image);
	v->image = take_ptr(w->image);
	v->prepared = true;
	event_add(v->c, v, "prepare", "hearthd", "disk %llu us, network port %llu us",
		  (unsigned long long)w->disk_us, (unsigned long long)w->port_us);
}

static void retry(struct timer *t)
{
	vm_next(container_of(t, struct vm, again));
}

static void done(struct job *j)
{
	struct vm_work *w = container_of(j, struct vm_work, job);
	struct vm *v = w->vm;
	enum vm_job what = w->what;
	int rc = w->rc;

	v->work = NULL;
	if (what == JOB_PREPARE) {
		prepared(v, w);
	} else if (rc < 0) {
		log_warn("vm.release", LS("vm", v->rec.id), LE(&w->err));
		event_add(v->c, v, "release", "hearthd", "%s", w->err.text);
		v->again.fire = retry;
		/* the state's limit, too */
		(void)loop_timer_in(v->c->loop, &v->again, STORE_RETRY_NS);
	} else {
		v->port_open = false;
	}
	work_free(w);
	if (what == JOB_RELEASE && rc == 0)
		vm_feed(v, EV_RELEASED, "hearthd", NULL); /* v may be gone */
	else if (what == JOB_PREPARE || rc == 0)
		vm_next(v);
}

/* Bound by paths_init: an id fits behind every directory. */
static bool fill_paths(const struct vm *v, struct vm_work *w)
{
	const struct control *c = v->c;

	return vm_path(v, NULL, w->vm_dir) && vm_run_path(v, w->run_dir) &&
	       str_copy(w->images_dir, PATH_CAP, c->images_dir) &&
	       str_fmt(w->evidence_dir, PATH_CAP, "%s/%s", c->evidence_dir, v->rec.id);
}

int work_start(struct vm *v, enum vm_job what)
{
	struct vm_work *w = mem_zalloc(sizeof(*w));
	size_t len;
	const char *text;
	int rc;

	if (!w)
		return -ENOMEM;
	w->tap_fd = -1;
	w->what = what;
	w->vm = v;
	w->job.run = run;
	w->job.done = done;
	w->netw = v->netw;
	w->port.number = v->rec.lease.number;
	w->port.ip = v->rec.lease.ip;
	memcpy(w->port.mac, v->rec.lease.mac, sizeof(w->port.mac));
	w->direct = v->rec.root == VM_ROOT_DIRECT;
	w->disk_mib = v->rec.disk_mib;
	memcpy(w->digest, v->rec.digest, sizeof(w->digest));
	if (!fill_paths(v, w))
		rc = -ENAMETOOLONG;
	else if (what == JOB_RELEASE &&
		 (!(text = vm_json(v, &len)) || !(w->record = mem_strdup(text))))
		rc = -ENOMEM;
	else
		rc = loop_work(v->c->loop, &w->job);
	if (rc < 0) {
		work_free(w);
		return rc;
	}
	v->work = w;
	return 0;
}
