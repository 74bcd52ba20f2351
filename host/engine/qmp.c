/*
 * QMP client: connection, line splitting, matching of answers to commands.  Called by qemu.c;
 * loop's thread.  Trust: bytes come from QEMU, which a hostile guest may have taken over.
 */
#include "engine/qmp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "json/json.h"
#include "loop/loop.h"

#define LINE_MAX     (256u << 10) /* `info registers` of 32 vCPUs is about 100 KiB */
#define STEP	     16384u
#define COMMANDS     16u  /* open at once; we send three at most */
#define RECONNECT_MS 100u /* QEMU listens before it starts; this is for a full backlog */

uint64_t qmp_answer_ms = 10000;

struct command {
	uint64_t id; /* 0: free slot */
	qmp_answer_fn *fn;
};

struct qmp {
	struct loop *loop;	 /* borrowed */
	struct qmp_owner *owner; /* borrowed */
	struct sockaddr_un addr;
	struct watch watch;    /* fd owned; -1: not connected */
	struct timer patience; /* armed while an answer is awaited */
	struct timer reconnect;
	struct buf in; /* owned; bytes not yet split into lines */
	struct command open[COMMANDS];
	uint64_t next_id;
	bool greeted, ready, silent;
	bool freed_inside, in_callback; /* qmp_free was called from a callback */
};

static void try_connect(struct qmp *q);

static void wait_for_answer(struct qmp *q)
{
	/* No memory for the timer: then a hang goes unnamed, a kill works all the same. */
	if (!q->patience.heap_pos)
		(void)loop_timer_in(q->loop, &q->patience, qmp_answer_ms * NS_PER_MS);
}

static void disconnect(struct qmp *q)
{
	if (q->watch.fd < 0)
		return;
	loop_unwatch(q->loop, &q->watch);
	(void)close(take_fd(q->watch.fd)); /* a socket's close reports nothing */
	q->greeted = q->ready = false;
	buf_reset(&q->in);
	for (size_t i = 0; i < COMMANDS; i++)
		q->open[i].id = 0; /* their answers will never come */
}

static void reconnect_later(struct qmp *q)
{
	disconnect(q);
	(void)loop_timer_in(q->loop, &q->reconnect, RECONNECT_MS * NS_PER_MS); /* as above */
	wait_for_answer(q);
}

static void no_answer(struct timer *t)
{
	struct qmp *q = container_of(t, struct qmp, patience);

	if (!q->silent) {
		q->silent = true;
		q->owner->silent(q->owner, true);
	}
}

/* Every line that QEMU sends shows that its main loop lives. */
static void heard(struct qmp *q)
{
	bool waiting = !q->ready;

	for (size_t i = 0; i < COMMANDS; i++)
		waiting = waiting || q->open[i].id;
	loop_timer_stop(q->loop, &q->patience);
	if (waiting)
		wait_for_answer(q);
	if (q->silent) {
		q->silent = false;
		q->owner->silent(q->owner, false);
	}
}

static int send_text(struct qmp *q, const char *text)
{
	size_t len = strlen(text);

	/* Commands are short and few: a socket buffer that can't take one means a hanging QEMU. */
	return send(q->watch.fd, text, len, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)len ? 0
											 : -EAGAIN;
}

static int send_command(struct qmp *q, const char *name, json_t *args, qmp_answer_fn *fn)
{
	auto_json json_t *obj =
		json_pack("{s:s, s:I}", "execute", name, "id", (json_int_t)q->next_id);
	auto_free char *text = NULL;
	struct command *slot = NULL;
	auto_buf line = {0};

	if (args && json_put(obj, "arguments", args))
		return -ENOMEM;
	for (size_t i = 0; i < COMMANDS && !slot; i++)
		slot = q->open[i].id ? NULL : &q->open[i];
	if (!slot)
		return -EBUSY;
	text = obj ? json_text(obj) : NULL;
	if (!text || buf_printf(&line, "%s\r\n", text))
		return -ENOMEM;
	if (send_text(q, buf_text(&line)))
		return -EAGAIN;
	*slot = (struct command){q->next_id++, fn};
	wait_for_answer(q);
	return 0;
}

int qmp_command(struct qmp *q, const char *name, json_t *args, qmp_answer_fn *fn)
{
	if (q->ready)
		return send_command(q, name, args, fn);
	json_decref(args);
	return -ENOTCONN;
}

bool qmp_is_ready(const struct qmp *q)
{
	return q->ready;
}

static void agreed(struct qmp_owner *o, const json_t *ret, const char *why)
{
	(void)o;
	(void)ret;
	(void)why; /* answer() looks at the connection's state instead */
}

static void answer(struct qmp *q, const json_t *msg)
{
	json_int_t id = json_integer_value(json_object_get(msg, "id"));
	const json_t *err = json_object_get(msg, "error");
	const char *why = err ? json_string_value(json_object_get(err, "desc")) : NULL;
	qmp_answer_fn *fn = NULL;

	for (size_t i = 0; i < COMMANDS && id > 0; i++) {
		if (q->open[i].id != (uint64_t)id)
			continue;
		q->open[i].id = 0;
		fn = q->open[i].fn;
		heard(q);
		if (q->freed_inside)
			return;
		if (fn == agreed) {
			q->ready = !err;
			loop_timer_stop(q->loop, &q->patience);
			if (q->ready)
				q->owner->ready(q->owner);
		} else if (fn) {
			fn(q->owner, err ? NULL : json_object_get(msg, "return"),
			   why ? why : "unnamed error");
		}
		return;
	}
}

static void take_message(struct qmp *q, const json_t *msg)
{
	const char *event = json_string_value(json_object_get(msg, "event"));

	if (json_object_get(msg, "QMP") && !q->greeted) {
		q->greeted = true;
		if (send_command(q, "qmp_capabilities", NULL, agreed))
			reconnect_later(q);
	} else if (event) {
		heard(q);
		if (!q->freed_inside)
			q->owner->event(q->owner, event, json_object_get(msg, "data"));
	} else {
		answer(q, msg);
	}
}

/* Serve every whole line; a line that is no JSON is no reason to trust the next one. */
static void take_lines(struct qmp *q)
{
	while (!q->freed_inside && q->watch.fd >= 0) {
		const char *end = q->in.len ? memchr(q->in.data, '\n', q->in.len) : NULL;
		auto_json json_t *msg = NULL;
		size_t n;

		if (!end)
			return;
		n = (size_t)(end - q->in.data);
		if (json_parse(q->in.data, n, &msg, NULL) || !json_is_object(msg)) {
			reconnect_later(q);
			return;
		}
		buf_drop(&q->in, n + 1);
		take_message(q, msg);
	}
}

static void destroy(struct qmp *q)
{
	disconnect(q);
	loop_timer_stop(q->loop, &q->patience);
	loop_timer_stop(q->loop, &q->reconnect);
	buf_done(&q->in);
	free(q);
}

/* One read and its lines; 0: nothing now, or disconnected. */
static size_t take_step(struct qmp *q)
{
	char *room = buf_room(&q->in, STEP);
	ssize_t n = room ? recv(q->watch.fd, room, STEP, MSG_DONTWAIT) : -1;

	if (n < 0 && room && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0) { /* QEMU ended or dropped us, or a line beyond LINE_MAX */
		reconnect_later(q);
		return 0;
	}
	q->in.len += (size_t)n;
	q->in.data[q->in.len] = '\0';
	take_lines(q);
	return (size_t)n;
}

static void socket_ready(struct watch *w, uint32_t got)
{
	struct qmp *q = container_of(w, struct qmp, watch);

	(void)got;
	q->in_callback = true;
	(void)take_step(q); /* one a round; the rest is ready again at once */
	q->in_callback = false;
	if (q->freed_inside)
		destroy(q);
}

void qmp_drain(struct qmp *q)
{
	q->in_callback = true; /* the owner frees it after this, not within */
	while (q->watch.fd >= 0 && !q->freed_inside && take_step(q))
		continue;
	q->in_callback = false;
}

static void try_again(struct timer *t)
{
	try_connect(container_of(t, struct qmp, reconnect));
}

/* Not base/fd.h's connect: a stopped QEMU with a full backlog would block us. */
static void try_connect(struct qmp *q)
{
	auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)&q->addr, sizeof(q->addr))) {
		reconnect_later(q);
		return;
	}
	q->watch.fd = fd;
	if (loop_watch(q->loop, &q->watch, NULL)) {
		q->watch.fd = -1;
		reconnect_later(q);
		return;
	}
	(void)take_fd(fd);  /* the watch owns it now */
	wait_for_answer(q); /* the greeting */
}

int qmp_new(struct loop *l, const char *path, struct qmp_owner *o, struct qmp **ret, struct err *e)
{
	struct qmp *q = mem_zalloc(sizeof(*q));

	if (!q)
		return err_nomem(e);
	q->loop = l;
	q->owner = o;
	q->next_id = 1;
	q->in.max = LINE_MAX;
	q->watch = (struct watch){.fd = -1, .want = EPOLLIN, .ready = socket_ready};
	q->patience.fire = no_answer;
	q->reconnect.fire = try_again;
	q->addr.sun_family = AF_UNIX;
	if (!str_copy(q->addr.sun_path, sizeof(q->addr.sun_path), path)) {
		free(q);
		return err_set(e, -ENAMETOOLONG, ERR_CALLER, "engine.qmp-path",
			       "%s: longer than %zu bytes", path, sizeof(q->addr.sun_path) - 1);
	}
	try_connect(q);
	*ret = q;
	return 0;
}

void qmp_free(struct qmp *q)
{
	if (!q)
		return;
	if (q->in_callback)
		q->freed_inside = true;
	else
		destroy(q);
}
