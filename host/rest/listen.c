/*
 * Listening sockets and new connections.  Each connection is accepted here, counted, known by its
 * peer, and then handed to libmicrohttpd; beyond the limit it is told so and closed.
 * Called by server.c; loop's thread.  Trust: peers are anybody who can reach the socket.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"
#include "rest/rest_internal.h"

/* capped by net.core.somaxconn; on a Unix socket a full one is an error at once */
#define BACKLOG	     4096
#define ACCEPT_ROUND 64 /* connections a round, so that a flood does not starve the rest */
#define ACCEPT_PAUSE_NS                                                                            \
	(100 * NS_PER_MS) /* when descriptors ran out: some requests end meanwhile */
#define GROUPS_MAX 256	  /* supplementary groups looked at; Linux allows 65,536, nobody has them */

/* Credentials that the kernel recorded at connect(2): unix(7) SO_PEERCRED, SO_PEERGROUPS. */
static void learn_peer(struct peer *p, gid_t admin_gid)
{
	struct ucred cred;
	gid_t groups[GROUPS_MAX];
	socklen_t len = sizeof(cred);

	if (getsockopt(p->fd, SOL_SOCKET, SO_PEERCRED, &cred, &len))
		return; /* nothing known: no admin */
	p->uid = cred.uid;
	p->admin = cred.uid == 0 || cred.uid == geteuid();
	if (p->admin || admin_gid == (gid_t)-1)
		return;
	p->admin = cred.gid == admin_gid;
	len = sizeof(groups);
	if (p->admin || getsockopt(p->fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len))
		return;
	for (size_t i = 0; i < len / sizeof(groups[0]); i++)
		p->admin = p->admin || groups[i] == admin_gid;
}

/* Say why, as far as the socket takes it without waiting, and close. */
static void refuse(int fd)
{
	static const char body[] =
		"{\"error\":{\"code\":\"http.busy\",\"kind\":\"limit\",\"message\":\"too many open "
		"connections\",\"cause\":\"http.busy\",\"remedy\":\"close some, or raise "
		"max-connections\","
		"\"evidence\":[]}}\n";
	char answer[512];
	int n = snprintf(answer, sizeof(answer),
			 "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
			 "Content-Length: %zu\r\nRetry-After: 5\r\nConnection: close\r\n\r\n%s",
			 sizeof(body) - 1, body); /* fits */
	char unread[4096];

	(void)send(fd, answer, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
	/* Data left unread would turn the close into a reset that overtakes the answer. */
	(void)shutdown(fd, SHUT_WR);
	(void)recv(fd, unread, sizeof(unread), MSG_DONTWAIT);
	(void)close(fd);
}

static void peer_add(struct rest *r, int fd, bool on_unix)
{
	struct sockaddr_storage addr = {.ss_family = on_unix ? AF_UNIX : AF_INET};
	struct peer *p = mem_zalloc(sizeof(*p));

	if (!p || r->peers_n >= r->conf.max_connections) {
		r->refused++;
		free(p);
		refuse(fd);
		return;
	}
	p->rest = r;
	p->fd = fd;
	p->on_unix = on_unix;
	p->uid = (uid_t)-1;
	p->since_ns = clock_mono_ns();
	if (on_unix)
		learn_peer(p, r->conf.admin_gid);
	p->next = r->peers;
	p->prevp = &r->peers;
	if (p->next)
		p->next->prevp = &p->next;
	r->peers = p;
	r->peers_n++;
	/* libmicrohttpd calls connection_changed (server.c) before this returns, which takes it. */
	r->arriving = p;
	if (MHD_add_connection(r->mhd, fd, (struct sockaddr *)&addr, sizeof(addr)) != MHD_YES)
		log_warn("http.accept",
			 LS("error", "no memory for a connection")); /* fd is closed */
	if (r->arriving) {
		r->arriving = NULL;
		peer_free(p);
	}
}

void peer_free(struct peer *p)
{
	*p->prevp = p->next;
	if (p->next)
		p->next->prevp = p->prevp;
	p->rest->peers_n--;
	free(p);
}

static void resume_accepting(struct timer *t)
{
	struct rest *r = container_of(t, struct rest, accept_timer);

	if (r->unix_watch.fd >= 0 && !r->unix_watch.active)
		(void)loop_watch(r->loop, &r->unix_watch, NULL); /* it was watched before */
	if (r->tcp_watch.fd >= 0 && !r->tcp_watch.active)
		(void)loop_watch(r->loop, &r->tcp_watch, NULL);
}

static void accept_failed(struct rest *r, struct watch *w)
{
	if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
		return;
	log_warn("http.accept", LS("error", strerror(errno)));
	loop_unwatch(r->loop, w);
	if (loop_timer_in(r->loop, &r->accept_timer, ACCEPT_PAUSE_NS))
		(void)loop_watch(r->loop, w, NULL); /* no memory for a pause: try on */
}

static void accept_some(struct rest *r, struct watch *w, bool on_unix)
{
	for (unsigned i = 0; i < ACCEPT_ROUND; i++) {
		int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0) {
			accept_failed(r, w);
			break;
		}
		peer_add(r, fd, on_unix);
	}
	server_run_soon(r);
}

static void unix_ready(struct watch *w, uint32_t got)
{
	(void)got; /* EPOLLIN: somebody is there */
	accept_some(container_of(w, struct rest, unix_watch), w, true);
}

static void tcp_ready(struct watch *w, uint32_t got)
{
	(void)got;
	accept_some(container_of(w, struct rest, tcp_watch), w, false);
}

static int listen_unix(struct rest *r, struct err *e)
{
	bool group = r->conf.admin_gid != (gid_t)-1;
	int rc = fd_listen_unix(r->conf.socket_path, group ? 0660 : 0600, BACKLOG,
				&r->unix_watch.fd, e);

	if (rc)
		return rc;
	(void)fd_set_nonblock(r->unix_watch.fd, true);
	r->socket_path = mem_strdup(r->conf.socket_path);
	if (!r->socket_path)
		return err_nomem(e);
	if (group && chown(r->conf.socket_path, (uid_t)-1, r->conf.admin_gid))
		return err_sys(e, errno, "listen.failed", "%s: group %u", r->conf.socket_path,
			       (unsigned)r->conf.admin_gid);
	r->unix_watch.want = EPOLLIN;
	r->unix_watch.ready = unix_ready;
	return loop_watch(r->loop, &r->unix_watch, e);
}

static int bind_tcp(int fd, const struct rest_conf *c, uint16_t *ret_port, struct err *e)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_addr.s_addr = htonl(c->tcp_addr),
				.sin_port = htons(c->tcp_port)};
	socklen_t len = sizeof(a);
	char text[IPV4_TEXT_LEN];
	int one = 1;

	format_ipv4(c->tcp_addr, text);
	/* A restart must not wait for the last connections' TIME_WAIT. */
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	/* Inherited by accepted sockets: answers are written whole, waiting to fill a segment only
	 * delays. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, BACKLOG)) {
		(void)err_sys(e, errno, errno == EADDRINUSE ? "listen.in-use" : "listen.failed",
			      "listen on %s:%u", text, c->tcp_port);
		return err_remedy(
			e, "choose another address with --listen, or none with --listen none");
	}
	if (getsockname(fd, (struct sockaddr *)&a, &len))
		return err_sys(e, errno, "listen.failed", "address of the listener");
	*ret_port = ntohs(a.sin_port);
	return 0;
}

static int listen_tcp(struct rest *r, struct err *e)
{
	auto_close int fd = -1;
	char text[IPV4_TEXT_LEN];
	int rc;

	if (r->conf.tcp_addr >> 24 != 127) {
		format_ipv4(r->conf.tcp_addr, text);
		(void)err_set(
			e, -EINVAL, ERR_CALLER, "listen.not-loopback",
			"listen on %s: only addresses of the loopback (127.0.0.0/8) are allowed, "
			"because tokens would cross the network in clear text",
			text);
		return err_remedy(e, "listen on 127.0.0.1 and put a proxy with TLS before it");
	}
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(e, errno, "listen.failed", "TCP socket");
	rc = bind_tcp(fd, &r->conf, &r->port, e);
	if (rc)
		return rc;
	r->tcp_watch.fd = take_fd(fd);
	r->tcp_watch.want = EPOLLIN;
	r->tcp_watch.ready = tcp_ready;
	return loop_watch(r->loop, &r->tcp_watch, e);
}

int listen_start(struct rest *r, struct err *e)
{
	int rc = 0;

	r->accept_timer.fire = resume_accepting;
	if (r->conf.socket_path)
		rc = listen_unix(r, e);
	if (!rc && r->conf.tcp)
		rc = listen_tcp(r, e);
	return rc;
}

static void stop_one(struct rest *r, struct watch *w)
{
	if (w->fd < 0)
		return;
	loop_unwatch(r->loop, w);
	(void)close(w->fd); /* a listener's close reports nothing */
	w->fd = -1;
}

void listen_stop(struct rest *r)
{
	loop_timer_stop(r->loop, &r->accept_timer);
	stop_one(r, &r->unix_watch);
	stop_one(r, &r->tcp_watch);
	if (r->socket_path)
		(void)unlink(r->socket_path); /* somebody may have taken it away already */
	free(r->socket_path);
	r->socket_path = NULL;
}
