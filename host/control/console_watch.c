/*
 * Reads each running VM's console as it grows: inotify tells when, offsets tell where, the line
 * scan tells what.
 *
 * Loop's thread; one inotify descriptor for all VMs, no polling.  A guest that floods is read in
 * portions, and once it is ready no more often than RELAXED_NS.
 * Trust: every byte was chosen by the guest.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>

#include "base/clock.h"
#include "base/log.h"
#include "control/control_internal.h"
#include "control/text.h"

#define PORTION	   (64u << 10)
#define FLOOD_NS   (20 * NS_PER_MS)  /* more than a portion at once: others first */
#define RELAXED_NS (250 * NS_PER_MS) /* nothing on a ready VM's console is urgent */

/* Offers 64 KiB of what is new; returns the bytes read. */
static size_t read_portion(struct vm *v)
{
	struct run *r = v->run;
	struct console_state *con = &r->con;
	auto_buf b = {0};
	uint64_t dropped = 0;
	char path[PATH_CAP];
	struct err e = {0};
	bool was_handed_over;

	if (!vm_path(v, "console.log", path) ||
	    console_read(path, &con->offset, PORTION, &b, &dropped, &e) < 0) {
		log_guest("console.read",
			  (const struct log_field[]){LS("vm", v->rec.id), LE(&e), {0}});
		return 0;
	}
	if (!b.len)
		return 0;
	was_handed_over = line_scan_handed_over(con->scan) || !r->image->has_init;
	line_scan_feed(con->scan, b.data, b.len, dropped); /* may feed the VM's failure */
	if (v->run != r)
		return 0;
	/* A portion that holds the hand-over itself is offered whole: its own text can't stand
	 * before it, because hearth-init prints nothing but its phases. */
	if (was_handed_over || line_scan_handed_over(con->scan)) {
		proving_probe_text(v, b.data, b.len);
		proving_check_ready(v);
	}
	return v->run == r ? b.len : 0;
}

static void read_later(struct timer *t);

static void read_some(struct vm *v)
{
	struct run *r = v->run;
	size_t n = read_portion(v);

	if (n < PORTION || v->run != r)
		return;
	r->con.later.fire = read_later;
	/* else the next change wakes us */
	(void)loop_timer_in(v->c->loop, &r->con.later, FLOOD_NS);
}

static void read_later(struct timer *t)
{
	struct console_state *con = container_of(t, struct console_state, later);

	read_some(container_of(con, struct run, con)->vm);
}

void console_drain(struct vm *v)
{
	struct run *r = v->run;

	/* At most head + tail: console_read skips the hole. */
	while (v->run == r && r && r->con.scan && read_portion(v) == PORTION)
		;
}

static void on_change(struct vm *v)
{
	struct console_state *con = &v->run->con;

	if (con->later.heap_pos)
		return;
	if (v->rec.state != VM_READY) {
		read_some(v);
		return;
	}
	con->later.fire = read_later;
	if (loop_timer_in(v->c->loop, &con->later, RELAXED_NS) < 0)
		read_some(v);
}

static void on_init_line(struct line_watch *w, const struct init_line *l)
{
	struct run *r = container_of(w, struct run, lines);
	/* it was parsed, so it is there */
	const char *text = strstr(l->line, "phase=") + strlen("phase=");

	if (!r->replaying || !trail_has(r->vm, "phase", text))
		event_add(r->vm->c, r->vm, "phase", "guest", "%s", text);
}

static void decided(struct timer *t)
{
	struct vm *v = container_of(t, struct run, decided)->vm;
	struct cause cause;

	decide_cause(v, NULL, &cause);
	vm_fail(v, &cause, "guest");
}

static void on_decisive(struct line_watch *w)
{
	struct run *r = container_of(w, struct run, lines);
	struct vm *v = r->vm;

	/* Posted, because the cause reads the rest of the portion, too (a panic's own list of disks
	 * stands before it, its trace behind), and because the scan must not be freed under
	 * itself. */
	r->decided.fire = decided;
	if (loop_timer_in(v->c->loop, &r->decided, 0) < 0)
		log_error("vm.no-timer", LS("vm", v->rec.id)); /* the state's limit decides then */
}

static bool watch_file(struct vm *v)
{
	char path[PATH_CAP];

	if (!vm_path(v, "console.log", path))
		return false;
	v->run->con.file_wd = inotify_add_watch(v->c->inotify_fd, path, IN_MODIFY);
	return v->run->con.file_wd >= 0;
}

int console_watch_start(struct vm *v)
{
	struct run *r = v->run;
	struct control *c = v->c;
	char dir[PATH_CAP];
	int rc = line_scan_new(&r->lines, &r->con.scan);

	if (rc < 0)
		return rc;
	r->lines.init = on_init_line;
	r->lines.decisive = on_decisive;
	if (!vm_path(v, NULL, dir))
		return -ENAMETOOLONG;
	/* Before the file is watched: it may be created between the two. */
	r->con.dir_wd = inotify_add_watch(c->inotify_fd, dir, IN_CREATE | IN_MOVED_TO);
	return r->con.dir_wd < 0 ? -errno : 0;
}

void console_watch_file(struct vm *v)
{
	struct control *c = v->c;
	struct console_state *con = &v->run->con;

	if (con->file_wd >= 0 || !watch_file(v))
		return; /* not there yet: the directory's watch tells */
	(void)inotify_rm_watch(c->inotify_fd, con->dir_wd);
	con->dir_wd = -1;
	on_change(v);
}

void console_watch_stop(struct run *r)
{
	struct control *c = r->vm->c;

	loop_timer_stop(c->loop, &r->con.later);
	loop_timer_stop(c->loop, &r->decided);
	/* A file that is gone has lost its watch already. */
	if (r->con.file_wd >= 0)
		(void)inotify_rm_watch(c->inotify_fd, r->con.file_wd);
	if (r->con.dir_wd >= 0)
		(void)inotify_rm_watch(c->inotify_fd, r->con.dir_wd);
	r->con.file_wd = r->con.dir_wd = -1;
}

static void on_inotify_event(struct control *c, const struct inotify_event *ev)
{
	for (struct vm *v = c->first; v; v = v->next) {
		struct run *r = v->run;

		if (!r)
			continue;
		if (ev->wd == r->con.file_wd) {
			on_change(v);
			return;
		}
		if (ev->wd == r->con.dir_wd) {
			console_watch_file(v);
			return;
		}
	}
}

static void on_inotify(struct watch *w, uint32_t got)
{
	struct control *c = container_of(w, struct control, inotify);
	_Alignas(
		struct inotify_event) char data[16 * (sizeof(struct inotify_event) + NAME_MAX + 1)];
	ssize_t n = read(c->inotify_fd, data, sizeof(data));

	(void)got;
	for (ssize_t at = 0; at < n;) { /* the kernel's lengths: inotify(7) */
		const struct inotify_event *ev = (const void *)(data + at);

		if (ev->mask & IN_Q_OVERFLOW) {
			for (struct vm *v = c->first; v; v = v->next)
				if (v->run && v->run->con.scan)
					on_change(v);
		} else {
			on_inotify_event(c, ev);
		}
		at += (ssize_t)(sizeof(*ev) + ev->len);
	}
}

int console_watch_init(struct control *c, struct err *e)
{
	c->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (c->inotify_fd < 0) {
		int rc = err_sys(e, errno, "host.inotify", "inotify_init1");

		(void)err_remedy(e, "raise fs.inotify.max_user_instances");
		return rc;
	}
	c->inotify.fd = c->inotify_fd;
	c->inotify.want = EPOLLIN;
	c->inotify.ready = on_inotify;
	return loop_watch(c->loop, &c->inotify, e);
}

void console_watch_done(struct control *c)
{
	if (c->inotify_fd < 0)
		return;
	loop_unwatch(c->loop, &c->inotify);
	(void)close(c->inotify_fd); /* read-only */
	c->inotify_fd = -1;
}
