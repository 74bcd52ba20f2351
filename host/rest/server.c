/*
 * The libmicrohttpd daemon under our loop: its epoll descriptor is watched, its timeout is a timer,
 * and a sweep closes connections whose request does not get finished.
 * Called by host/hearthd; loop's thread.
 */
#include <stdio.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "rest/rest_internal.h"

#define SWEEP_MAX_NS (2 * NS_PER_S) /* how late a client that is gone may be noticed */

static void run(struct rest *r)
{
	MHD_UNSIGNED_LONG_LONG ms;

	(void)MHD_run(r->mhd); /* MHD_NO only for a daemon with threads */
	if (MHD_get_timeout(r->mhd, &ms) == MHD_YES)
		(void)loop_timer_in(r->loop, &r->mhd_timer,
				    ms * NS_PER_MS); /* it has its place: re-armed */
	else
		loop_timer_stop(r->loop, &r->mhd_timer);
}

static void mhd_ready(struct watch *w, uint32_t got)
{
	(void)got;
	run(container_of(w, struct rest, mhd_watch));
}

static void mhd_due(struct timer *t)
{
	run(container_of(t, struct rest, mhd_timer));
}

void server_run_soon(struct rest *r)
{
	(void)loop_timer_in(r->loop, &r->mhd_timer, 0);
}

/* Nothing more will come from this client, and libmicrohttpd has read all that did.  It watches
 * edges, and one that brings the last data and the end together it takes for the data alone. */
static bool has_ended(const struct peer *p)
{
	char byte;

	return recv(p->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

static uint64_t sweep_ns(const struct rest *r)
{
	uint64_t quarter = r->conf.request_s * NS_PER_S / 4; /* a request ends at most so late */

	return quarter < SWEEP_MAX_NS ? quarter : SWEEP_MAX_NS;
}

/* libmicrohttpd's own timeout ends with silence; a client that sends a byte now and then is never
 * silent.  So: whoever has not finished a request in time is closed, idle ones included. */
static void sweep(struct timer *t)
{
	struct rest *r = container_of(t, struct rest, sweep_timer);
	uint64_t now = clock_mono_ns(), limit = r->conf.request_s * NS_PER_S;

	for (struct peer *p = r->peers; p; p = p->next) {
		bool late = now - p->since_ns >= limit;

		if (p->busy || (!late && !has_ended(p)))
			continue;
		if (p->req && late) { /* the others are idle, or went away */
			r->dropped++;
			log_info("http.dropped", LS("reason", "request not finished in time"),
				 LS("path", p->req->url), LS("request", p->req->id));
		}
		/* an edge: libmicrohttpd sees the end and closes */
		(void)shutdown(p->fd, SHUT_RDWR);
	}
	(void)loop_timer_in(r->loop, &r->sweep_timer, sweep_ns(r)); /* has its place */
}

static void connection_changed(void *cls, struct MHD_Connection *conn, void **socket_context,
			       enum MHD_ConnectionNotificationCode code)
{
	struct rest *r = cls;

	(void)conn; /* the peer knows its descriptor */
	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		*socket_context = r->arriving;
		r->arriving = NULL;
	} else {
		peer_free(*socket_context);
		*socket_context = NULL;
	}
}

__attribute__((format(printf, 2, 0))) static void mhd_log(void *cls, const char *fmt, va_list ap)
{
	char text[256];

	(void)cls;				      /* one daemon */
	(void)vsnprintf(text, sizeof(text), fmt, ap); /* cut if longer */
	text[strcspn(text, "\n")] = '\0';
	log_debug("http.library", LS("text", text));
}

static int start_daemon(struct rest *r, struct err *e)
{
	const union MHD_DaemonInfo *info;

	/* Our own limit refuses with a reason; the library's is only a net below it. */
	r->mhd = MHD_start_daemon(
		MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_NO_LISTEN_SOCKET |
			MHD_USE_ERROR_LOG,
		0, NULL, NULL, request_access, r, MHD_OPTION_EXTERNAL_LOGGER, mhd_log, NULL,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned)r->conf.max_connections + 16,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)POOL_BYTES,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)r->conf.request_s,
		MHD_OPTION_NOTIFY_COMPLETED, request_completed, r, MHD_OPTION_NOTIFY_CONNECTION,
		connection_changed, r, MHD_OPTION_STRICT_FOR_CLIENT, 1,
		MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
	if (!r->mhd)
		return err_set(e, -EIO, ERR_HOST, "http.start",
			       "HTTP server: could not be started");
	info = MHD_get_daemon_info(r->mhd, MHD_DAEMON_INFO_EPOLL_FD);
	r->mhd_watch = (struct watch){.fd = info->epoll_fd, .want = EPOLLIN, .ready = mhd_ready};
	r->mhd_timer.fire = mhd_due;
	r->sweep_timer.fire = sweep;
	if (loop_timer_in(r->loop, &r->mhd_timer, 0) ||
	    loop_timer_in(r->loop, &r->sweep_timer, sweep_ns(r)))
		return err_nomem(e);
	return loop_watch(r->loop, &r->mhd_watch, e);
}

int rest_new(struct loop *l, struct control *c, const struct rest_conf *conf, struct rest **ret,
	     struct err *e)
{
	AUTO(rest) r = mem_zalloc(sizeof(*r));
	int rc;

	if (!r)
		return err_nomem(e);
	r->loop = l;
	r->control = c;
	r->conf = *conf;
	r->unix_watch.fd = r->tcp_watch.fd = r->inotify.fd = -1;
	random_hex(r->id_prefix, 4);
	rc = auth_load(r, e);
	if (!rc)
		rc = stream_init(r, e);
	if (!rc)
		rc = start_daemon(r, e);
	if (!rc)
		rc = listen_start(r, e);
	if (rc)
		return rc;
	*ret = take_ptr(r);
	return 0;
}

/* libmicrohttpd refuses to stop while a connection sleeps. */
static void wake_all(struct rest *r)
{
	for (struct peer *p = r->peers; p; p = p->next)
		if (p->req && p->req->asleep)
			hold_wake(p->req);
}

void rest_free(struct rest *r)
{
	if (!r)
		return;
	r->stopping = true;
	listen_stop(r);
	if (r->mhd) {
		wake_all(r);
		loop_unwatch(r->loop, &r->mhd_watch);
		MHD_stop_daemon(r->mhd); /* ends every connection; each calls connection_changed */
	}
	loop_timer_stop(r->loop, &r->mhd_timer);
	loop_timer_stop(r->loop, &r->sweep_timer);
	stream_fini(r);
	auth_free(r);
	free(r);
}

uint16_t rest_port(const struct rest *r)
{
	return r->port;
}

uint32_t rest_connections(const struct rest *r)
{
	return r->peers_n;
}
