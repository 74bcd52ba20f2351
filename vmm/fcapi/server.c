/*
 * Reads requests from its clients, hands them to the routes, and writes the answers.
 */
#include "fcapi/server.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/mem.h"
#include "loop/loop.h"

#define CLIENTS_MAX 10u
#define STEP	    4096u
#define HEAD_MAX    (HTTP_LINE_MAX * (HTTP_HEADERS_MAX + 2))
#define OUT_MAX	    (4u << 20) /* answers that a client does not fetch */
#define BACKLOG	    16

struct client {
	struct watch watch; /* fd: owned; -1: free */
	struct api_server *server;
	struct buf in, out;
	bool closing;	/* when out is written */
	bool continued; /* 100 Continue was sent for the request that is coming */
};

struct api_server {
	struct watch watch; /* fd: owned */
	char path[108];
	size_t body_max;
	struct api_vm *vm;
	struct loop *loop;
	struct client clients[CLIENTS_MAX];
};

static void drop(struct client *c)
{
	loop_unwatch(c->server->loop, &c->watch);
	cleanup_close(&c->watch.fd);
	c->watch.fd = -1;
	buf_done(&c->in);
	buf_done(&c->out);
	c->closing = c->continued = false;
}

/* False: the client has gone. */
static bool flush(struct client *c)
{
	ssize_t n =
		c->out.len ? send(c->watch.fd, c->out.data, c->out.len, MSG_NOSIGNAL | MSG_DONTWAIT)
			   : 0;

	if (n < 0 && errno != EAGAIN && errno != EINTR)
		return false;
	if (n > 0)
		buf_drop(&c->out, (size_t)n);
	if (!c->out.len && c->closing)
		return false;
	c->watch.want = (uint32_t)(c->out.len ? EPOLLOUT : 0) | (c->closing ? 0u : EPOLLIN);
	loop_rewatch(c->server->loop, &c->watch);
	return true;
}

static void refuse(struct client *c, const char *why)
{
	auto_buf body = {0};

	(void)buf_printf(&body,
			 "{ \"error\": \"%s\nAll previous unanswered requests will be dropped.\" }",
			 why);
	(void)http_respond(&c->out, 400, buf_text(&body), false); /* kept in out.failed */
	c->closing = true;
}

static void answer(struct client *c, const struct http_request *r)
{
	struct api_answer a;

	api_handle(c->server->vm, r, &a);
	(void)http_respond(&c->out, a.status, a.body, false); /* kept in out.failed */
	free(a.body);
}

/* All whole requests that have come. */
static void serve(struct client *c)
{
	while (!c->closing && c->in.len && c->out.len < OUT_MAX) {
		struct http_request r = {.expects_continue = false};
		const char *why = "";
		enum http_result rc =
			http_parse(c->in.data, c->in.len, c->server->body_max, &r, &why);

		if (rc == HTTP_BAD)
			refuse(c, why);
		if (rc == HTTP_MORE && r.expects_continue && !c->continued) {
			c->continued = true;
			(void)buf_puts(&c->out, "HTTP/1.1 100 \r\n\r\n"); /* kept in out.failed */
		}
		if (rc != HTTP_REQUEST)
			return;
		answer(c, &r);
		buf_drop(&c->in, r.used);
		c->continued = false;
	}
}

static void on_client(struct watch *w, uint32_t got)
{
	struct client *c = container_of(w, struct client, watch);
	ssize_t n = 1;

	if (got & EPOLLIN) {
		char *room = buf_room(&c->in, STEP);

		n = room ? recv(w->fd, room, STEP, MSG_DONTWAIT) : 0;
		if (n > 0)
			c->in.len += (size_t)n;
	}
	if (n > 0)
		serve(c);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR) || c->out.failed || !flush(c))
		drop(c);
	else if ((got & EPOLLHUP) && !(got & EPOLLIN))
		drop(c);
}

/* Without room for it a client is told so, and left. */
static void turn_away(int fd)
{
	static const char body[] = "{ \"error\": \"Too many open connections\" }";
	auto_buf out = {0};

	(void)buf_printf(&out,
			 "HTTP/1.1 503 \r\nServer: Firecracker API\r\nConnection: close\r\n"
			 "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
			 sizeof(body) - 1, body);
	/* What its socket does not take at once is lost, as the client would be. */
	(void)!send(fd, buf_text(&out), out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
	(void)close(fd);
}

static void on_connect(struct watch *w, uint32_t got)
{
	struct api_server *s = container_of(w, struct api_server, watch);
	int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)got;
	if (fd < 0)
		return;
	for (unsigned i = 0; i < CLIENTS_MAX; i++) {
		struct client *c = &s->clients[i];

		if (c->watch.fd >= 0)
			continue;
		c->watch = (struct watch){.fd = fd, .want = EPOLLIN, .ready = on_client};
		c->in.max = HEAD_MAX + s->body_max + STEP;
		if (loop_watch(s->loop, &c->watch, NULL)) {
			c->watch.fd = -1;
			break;
		}
		return;
	}
	turn_away(fd);
}

int api_server_new(const char *path, size_t body_max, struct api_vm *vm, struct loop *loop,
		   struct api_server **ret, struct err *e)
{
	AUTO(api_server) s = mem_zalloc(sizeof(*s));
	struct stat st;
	int rc;

	if (!s)
		return err_nomem(e);
	s->watch = (struct watch){.fd = -1, .want = EPOLLIN, .ready = on_connect};
	s->body_max = body_max;
	s->vm = vm;
	s->loop = loop;
	for (unsigned i = 0; i < CLIENTS_MAX; i++) {
		s->clients[i].server = s;
		s->clients[i].watch.fd = -1;
	}
	if (!lstat(path, &st))
		return err_set(
			e, -EEXIST, ERR_CALLER, "api.socket",
			"Failed to open the API socket at: %s. Check that it is not already used.",
			path);
	rc = fd_listen_unix(path, 0600, BACKLOG, &s->watch.fd, e);
	if (rc)
		return rc;
	(void)memccpy(s->path, path, '\0', sizeof(s->path)); /* at most 107 bytes: fd_listen_unix */
	rc = loop_watch(loop, &s->watch, e);
	if (!rc)
		*ret = take_ptr(s);
	return rc;
}

void api_server_free(struct api_server *s)
{
	if (!s)
		return;
	for (unsigned i = 0; i < CLIENTS_MAX; i++)
		if (s->clients[i].watch.fd >= 0)
			drop(&s->clients[i]);
	if (s->watch.fd >= 0) {
		loop_unwatch(s->loop, &s->watch);
		cleanup_close(&s->watch.fd);
	}
	if (s->path[0])
		(void)unlink(s->path); /* a client may have removed it */
	free(s);
}
