/*
 * Carries bytes between the engine and the outside.  Called once by hearth-shim's main; one thread.
 * Trust: console bytes were chosen by the guest, log bytes by an engine that may be taken over;
 * neither is looked at, both are bounded.
 */
#include "shim/relay.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/str.h"
#include "console/console.h"
#include "loop/loop.h"

#define CLIENTS	 4	      /* a person, a recorder, a test, and one to spare */
#define STEP	 (64u << 10)  /* bytes a read: a socket's buffer holds about 200 KiB */
#define INPUT	 4096u	      /* typed ahead while the guest does not read */
#define LOG_HEAD (64u << 10)  /* what the engine says at its start */
#define LOG_TAIL (192u << 10) /* and at its end */

struct relay;

struct client {
	struct watch watch; /* fd owned; -1: free slot */
	struct relay *relay;
};

struct relay {
	struct loop *loop;     /* owned */
	struct watch serial;   /* fd owned */
	struct watch out;      /* fd owned */
	struct watch listener; /* fd owned */
	struct watch engine;   /* pidfd, owned */
	struct console_writer console, log;
	struct client clients[CLIENTS];
	char input[INPUT]; /* bytes on their way to the guest */
	size_t input_n;
	int status;
	char step[STEP];
};

static void drop_watch(struct relay *r, struct watch *w)
{
	if (w->fd < 0)
		return;
	loop_unwatch(r->loop, w);
	(void)close(take_fd(w->fd)); /* sockets and pipes: nothing to report */
}

/* A client that does not keep up is dropped; the console file has what it misses. */
static void tell_clients(struct relay *r, size_t n)
{
	for (int i = 0; i < CLIENTS; i++) {
		struct watch *w = &r->clients[i].watch;

		if (w->fd >= 0 &&
		    send(w->fd, r->step, n, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)n)
			drop_watch(r, w);
	}
}

/* Clients may send only while there is room for their bytes. */
static void want_input(struct relay *r)
{
	for (int i = 0; i < CLIENTS; i++) {
		struct watch *w = &r->clients[i].watch;
		uint32_t want = r->input_n < INPUT ? EPOLLIN : 0;

		if (w->fd >= 0 && w->want != want) {
			w->want = want;
			loop_rewatch(r->loop, w);
		}
	}
	if (r->serial.fd >= 0) {
		r->serial.want = r->input_n ? EPOLLIN | EPOLLOUT : EPOLLIN;
		loop_rewatch(r->loop, &r->serial);
	}
}

static void send_input(struct relay *r)
{
	ssize_t n = send(r->serial.fd, r->input, r->input_n, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n > 0) {
		r->input_n -= (size_t)n;
		memmove(r->input, r->input + n, r->input_n);
	} else if (n < 0 && errno != EAGAIN && errno != EINTR) {
		r->input_n = 0; /* the engine is gone */
	}
	want_input(r);
}

static void client_ready(struct watch *w, uint32_t got)
{
	struct client *c = container_of(w, struct client, watch);
	struct relay *r = c->relay;
	ssize_t n;

	if (!(got & EPOLLIN)) {
		if (got & (EPOLLERR | EPOLLHUP))
			drop_watch(r, w);
		return;
	}
	n = recv(w->fd, r->input + r->input_n, INPUT - r->input_n, MSG_DONTWAIT);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		drop_watch(r, w);
		return;
	}
	if (n > 0)
		r->input_n += (size_t)n;
	if (r->serial.fd < 0)
		r->input_n = 0; /* nobody will ever read it */
	else
		send_input(r);
}

static void accept_client(struct watch *w, uint32_t got)
{
	struct relay *r = container_of(w, struct relay, listener);
	auto_close int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)got;
	for (int i = 0; fd >= 0 && i < CLIENTS; i++) {
		struct client *c = &r->clients[i];

		if (c->watch.fd >= 0)
			continue;
		c->relay = r;
		c->watch = (struct watch){.fd = fd, .want = EPOLLIN, .ready = client_ready};
		if (loop_watch(r->loop, &c->watch, NULL))
			c->watch.fd = -1;
		else
			(void)take_fd(fd); /* the slot owns it now */
		return;
	}
	/* All slots taken: the newcomer sees its connection closed. */
}

/* One read into r->step; 0: nothing now or for ever, then w is closed in the latter case. */
static size_t take_step(struct relay *r, struct watch *w)
{
	ssize_t n;

	if (w->fd < 0)
		return 0;
	n = read(w->fd, r->step, STEP);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		drop_watch(r, w);
	return n > 0 ? (size_t)n : 0;
}

static size_t carry_serial(struct relay *r)
{
	size_t n = take_step(r, &r->serial);

	if (n) {
		(void)console_append(&r->console, r->step, n); /* disk full: offsets stay true */
		tell_clients(r, n);
	}
	return n;
}

static size_t carry_out(struct relay *r)
{
	size_t n = take_step(r, &r->out);

	if (n)
		(void)console_append(&r->log, r->step, n); /* as above */
	return n;
}

static void serial_ready(struct watch *w, uint32_t got)
{
	struct relay *r = container_of(w, struct relay, serial);

	if (got & EPOLLOUT)
		send_input(r);
	if (got & (EPOLLIN | EPOLLHUP | EPOLLERR))
		(void)carry_serial(r);
}

static void out_ready(struct watch *w, uint32_t got)
{
	(void)got;
	(void)carry_out(container_of(w, struct relay, out));
}

/* The engine has ended: what it wrote before is still in the sockets. */
static void engine_ended(struct watch *w, uint32_t got)
{
	struct relay *r = container_of(w, struct relay, engine);
	siginfo_t info = {0};

	(void)got;
	if (waitid(P_PIDFD, (id_t)w->fd, &info, WEXITED) && errno == EINTR)
		return; /* ready again at once */
	r->status = info.si_code == CLD_EXITED ? W_EXITCODE(info.si_status, 0)
					       : W_EXITCODE(0, info.si_status);
	while (carry_serial(r) || carry_out(r))
		continue;
	loop_stop(r->loop);
}

/* SIGTERM, as a shutdown of the host sends it, ends the VM and lets us record its end. */
static void asked_to_end(int signo, void *arg)
{
	struct relay *r = arg;

	(void)signo;
	(void)syscall(SYS_pidfd_send_signal, r->engine.fd, SIGKILL, NULL,
		      0); /* or it ended already */
}

static int open_files(struct relay *r, const char *dir, struct err *e)
{
	char path[4200];
	int rc = -ENAMETOOLONG;

	if (str_fmt(path, sizeof(path), "%s/console.log", dir))
		rc = console_create(path, CONSOLE_HEAD, CONSOLE_TAIL, &r->console, e);
	if (!rc && str_fmt(path, sizeof(path), "%s/vmm.log", dir))
		rc = console_create(path, LOG_HEAD, LOG_TAIL, &r->log, e);
	return rc;
}

static int watch_all(struct relay *r, struct err *e)
{
	struct watch *all[] = {&r->serial, &r->out, &r->listener, &r->engine};
	sigset_t set;
	int rc;

	(void)sigemptyset(&set); /* can't fail, as sigaddset */
	(void)sigaddset(&set, SIGTERM);
	rc = loop_signals(r->loop, &set, asked_to_end, r, e);
	for (size_t i = 0; i < ARRAY_LEN(all) && !rc; i++) {
		(void)fd_set_nonblock(all[i]->fd, true); /* a pidfd need not be */
		all[i]->want = EPOLLIN;
		rc = loop_watch(r->loop, all[i], e);
	}
	return rc;
}

int relay_run(const char *dir, int serial_fd, int out_fd, int listen_fd, int pidfd,
	      struct relay_end *ret, struct err *e)
{
	static struct relay r; /* 70 KiB, one a process */
	int rc;

	r.console.fd = r.log.fd = -1;
	r.serial = (struct watch){.fd = serial_fd, .ready = serial_ready};
	r.out = (struct watch){.fd = out_fd, .ready = out_ready};
	r.listener = (struct watch){.fd = listen_fd, .ready = accept_client};
	r.engine = (struct watch){.fd = pidfd, .ready = engine_ended};
	for (int i = 0; i < CLIENTS; i++)
		r.clients[i].watch.fd = -1;
	rc = loop_new(&r.loop, e);
	if (!rc)
		rc = open_files(&r, dir, e);
	if (!rc)
		rc = watch_all(&r, e);
	if (!rc)
		rc = loop_run(r.loop, e);
	*ret = (struct relay_end){r.status, r.console.size, r.log.size};
	console_close(&r.console);
	console_close(&r.log);
	return rc; /* the process ends now: its descriptors go with it */
}
