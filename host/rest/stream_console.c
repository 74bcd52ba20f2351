/*
 * The console of a VM: what is kept of it at once, or followed as it grows.
 *
 * The file (console/console.h) grows while hearth-shim writes; inotify(7) tells of it.  One
 * descriptor serves all followers; several followers of one file share its watch.  A follower ends
 * when the VM has no process any more and all was sent, as tail -f of a finished thing should.
 *
 * Called by stream.c; loop's thread.  Trust: every byte of the file was chosen by the guest; it
 * goes out as text/plain with nosniff and is never interpreted.
 */
#include <stdio.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "console/console.h"
#include "rest/rest_internal.h"

#define STEP	   16384 /* bytes a read when following */
#define PLAIN_UTF8 "text/plain; charset=utf-8"

static int read_on(const char *path, uint64_t *offset, size_t max, struct buf *ret, struct err *e)
{
	uint64_t dropped = 0;
	auto_buf text = {0};
	int rc = console_read(path, offset, max, &text, &dropped, e);

	if (rc < 0)
		return rc;
	if (dropped && buf_printf(ret, "\n[hearth: %llu bytes were not kept here]\n",
				  (unsigned long long)dropped))
		return err_nomem(e);
	return text.len && buf_add(ret, text.data, text.len) ? err_nomem(e) : 0;
}

static int path_of(struct stream *s, char path[PATH_MAX])
{
	return control_console_path(s->q->rest->control, &s->q->actor, s->vm, path, PATH_MAX, NULL);
}

static bool still_writing(struct stream *s)
{
	struct vm *v = control_vm_find(s->q->rest->control, &s->q->actor, s->vm, NULL);
	enum vm_state state;

	if (!v)
		return false;
	state = vm_record(v)->state;
	return state == VM_CREATING || vm_state_has_process(state);
}

static void unwatch_file(struct stream *s)
{
	int wd = s->wd;

	s->wd = -1;
	if (wd < 0)
		return;
	for (struct stream *o = s->q->rest->streams; o; o = o->next)
		if (o->wd == wd)
			return;
	(void)inotify_rm_watch(s->q->rest->inotify.fd, wd); /* gone with its file: fine */
}

/* Watch before reading, so that what is written in between is told. */
static void watch_file(struct stream *s, const char *path)
{
	int wd = inotify_add_watch(s->q->rest->inotify.fd, path, IN_MODIFY);

	if (wd == s->wd)
		return;
	unwatch_file(s); /* another run made another file */
	s->wd = wd;	 /* -1: no file yet; the VM's next event brings us back */
}

static int fill(struct stream *s)
{
	char path[PATH_MAX];
	bool more = still_writing(s); /* asked before reading: what comes later wakes us */
	int rc = path_of(s, path);

	if (rc)
		return more ? 0 : -ENODATA;
	watch_file(s, path);
	if (console_size(path) < s->cursor)
		s->cursor = 0; /* a new run began a new file */
	rc = read_on(path, &s->cursor, STEP, &s->pending, NULL);
	if (rc)
		return rc;
	if (s->pending.len > 0)
		return 1;
	return more ? 0 : -ENODATA;
}

const struct stream_ops console_ops = {.type = PLAIN_UTF8, .fill = fill, .done = unwatch_file};

static void file_changed(struct watch *w, uint32_t got)
{
	struct rest *r = container_of(w, struct rest, inotify);
	char block[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	ssize_t n = read(w->fd, block, sizeof(block));

	(void)got;
	for (ssize_t at = 0; at + (ssize_t)sizeof(struct inotify_event) <= n;) {
		const struct inotify_event *ev = (const void *)(block + at);

		for (struct stream *s = r->streams; s; s = s->next)
			if (s->ops == &console_ops && (s->wd == ev->wd || ev->mask & IN_Q_OVERFLOW))
				stream_wake(s);
		at += (ssize_t)sizeof(*ev) + ev->len;
	}
}

int console_follow_init(struct rest *r, struct err *e)
{
	r->inotify.fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (r->inotify.fd < 0)
		return err_sys(e, errno, "console.inotify", "inotify");
	r->inotify.want = EPOLLIN;
	r->inotify.ready = file_changed;
	return loop_watch(r->loop, &r->inotify, e);
}

void console_follow_done(struct rest *r)
{
	if (r->inotify.fd < 0)
		return;
	loop_unwatch(r->loop, &r->inotify);
	(void)close(r->inotify.fd); /* reports nothing */
	r->inotify.fd = -1;
}

/* All that is kept from `offset` on. */
static int answer_all(struct request *q, const char *path, uint64_t offset, struct err *e)
{
	auto_buf text = {0};
	char size[24];
	size_t before;
	int rc;

	do {
		before = text.len;
		rc = read_on(path, &offset, CONSOLE_HEAD + CONSOLE_TAIL, &text, e);
	} while (!rc && text.len > before && text.len < 2 * (CONSOLE_HEAD + CONSOLE_TAIL));
	if (rc)
		return rc;
	(void)snprintf(size, sizeof(size), "%llu", (unsigned long long)offset); /* 20 digits fit */
	if (answer_take(q, MHD_HTTP_OK, PLAIN_UTF8, &text) ||
	    answer_header(q, "X-Console-Next-Offset", size))
		return err_nomem(e);
	return 0;
}

int route_vm_console(struct request *q, struct err *e)
{
	uint64_t offset = 0, tail = UINT64_MAX, size;
	struct vm *v = control_vm_find(q->rest->control, &q->actor, q->arg, NULL);
	const char *id = v ? vm_record(v)->id : q->arg; /* evidence has an id, no name */
	char path[PATH_MAX] = "";
	bool follow = false;
	int rc = query_bool(q, "follow", &follow, e);

	if (!rc)
		rc = query_u64(q, "offset", INT64_MAX, &offset, e);
	if (!rc)
		rc = query_u64(q, "tail", INT64_MAX, &tail, e);
	if (rc)
		return rc;
	rc = control_console_path(q->rest->control, &q->actor, id, path, sizeof(path), e);
	if (rc && !v)
		return rc;
	/* A VM whose console has no file yet printed nothing yet. */
	size = rc ? 0 : console_size(path);
	if (tail < size && size - tail > offset)
		offset = size - tail;
	if (follow)
		return stream_start(q, &console_ops, id, offset, e);
	return answer_all(q, path, offset, e);
}
