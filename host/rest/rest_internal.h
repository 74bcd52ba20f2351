#pragma once
/*
 * What the files of this folder share: a connection (peer), a request with its one answer, a
 * stream.
 *
 * The way of a request: request.c gets it from libmicrohttpd piece by piece, routes.c finds its
 * handler, auth.c says who asks, the handler prepares an answer (answer.c), holds it (hold.c) or
 * starts a stream (stream.c); request.c hands the answer over.
 */
#include <microhttpd.h>

#include "base/buf.h"
#include "base/err.h"
#include "control/control.h"
#include "loop/loop.h"
#include "rest/rest.h"

#define ARG_LEN	       128	   /* longest path argument: a digest has 64 */
#define REQUEST_ID_LEN 65	   /* as the client sent it, at most 64 bytes */
#define BODY_MAX       (1u << 20)  /* JSON_MAX_BYTES; no request of ours is near it */
#define BODY_DRAIN_MAX (8u << 20)  /* read and thrown away, so that the 413 reaches the client */
#define POOL_BYTES     (16u << 10) /* per connection: headers, and the block of a stream */
#define WAIT_MAX_MS    3600000u	   /* longest held answer: beyond it a client polls or streams */
#define BEAT_S	       15   /* heartbeat of event streams: below common proxy limits of 30 s */
#define LIMIT_TOKENS   4096 /* a host's users and their programs */

/* Who may call a route.  Each includes the ones before it. */
enum need { NEED_NOBODY, NEED_VIEWER, NEED_USER, NEED_ADMIN, NEED_N_ };

struct request;
typedef int handler_fn(struct request *q, struct err *e);

struct route {
	const char *method;
	const char *path; /* at most one "{…}" segment */
	handler_fn *run;  /* prepares the answer; a negative return is answered from e */
	enum need need;
	const char *query; /* allowed parameters, comma-separated */
	const char *why;
};
extern const struct route routes[];
extern const unsigned routes_n;

/* One connection. */
struct peer {
	struct peer *next, **prevp;
	struct rest *rest;
	int fd; /* borrowed from libmicrohttpd */
	bool on_unix;
	bool admin; /* by its credentials, on the Unix socket */
	uid_t uid;
	struct request *req; /* in progress; NULL: none */
	bool busy;	     /* a whole request has arrived and is not answered yet */
	uint64_t since_ns;   /* connected, or the last request ended */
};

struct stream;

/* One request and its answer. */
struct request {
	struct rest *rest;
	struct peer *peer;
	struct MHD_Connection *conn;
	const struct route *route; /* NULL: none matches */
	const char *method, *url;  /* borrowed from libmicrohttpd for the request's life */
	char arg[ARG_LEN];	   /* the path's {…} */
	char id[REQUEST_ID_LEN];
	struct actor actor;
	uint64_t begin_ns;
	uint64_t body_len; /* bytes seen, kept or not */
	struct buf body;

	struct MHD_Response *response; /* owned; the answer, once known */
	unsigned status;
	bool started;  /* the handler has run */
	bool too_long; /* the body is beyond BODY_MAX */

	bool asleep;	/* suspended in libmicrohttpd */
	bool gone;	/* the client hung up while asleep */
	bool waiting;	/* waiter is registered at the controller */
	bool verifying; /* verify is */
	struct waiter waiter;
	struct verify verify;
	struct watch hangup;   /* active while asleep */
	char vm[ID_LEN];       /* the VM that a held answer is about */
	unsigned held_status;  /* of the answer when the wait holds */
	struct stream *stream; /* owned; NULL: none */
};

struct token_table;

struct rest {
	struct loop *loop;	 /* borrowed */
	struct control *control; /* borrowed */
	struct rest_conf conf;
	char *socket_path; /* owned */
	struct MHD_Daemon *mhd;
	struct watch mhd_watch, unix_watch, tcp_watch;
	struct timer mhd_timer, sweep_timer, beat_timer, accept_timer;
	uint16_t port;
	bool stopping;

	struct peer *peers;
	struct peer *arriving; /* being handed to libmicrohttpd right now */
	uint32_t peers_n;
	struct token_table *tokens;

	struct stream *streams;
	struct watch inotify; /* console files of followers; fd -1 until the first */
	struct event_sub sub;
	uint64_t last_seq; /* newest event */

	char id_prefix[9]; /* of request ids made here */
	uint64_t requests, by_class[6], refused, dropped;
};

/* server.c */
void server_run_soon(struct rest *r); /* let libmicrohttpd look at its connections */

/* listen.c */
int listen_start(struct rest *r, struct err *e);
void listen_stop(struct rest *r);
void peer_free(struct peer *p);

/* request.c */
enum MHD_Result request_access(void *cls, struct MHD_Connection *conn, const char *url,
			       const char *method, const char *version, const char *data,
			       size_t *len, void **ctx);
void request_completed(void *cls, struct MHD_Connection *conn, void **ctx,
		       enum MHD_RequestTerminationCode why);

/* routes.c */
const struct route *route_find(const char *method, const char *url, char ret_arg[ARG_LEN]);
/* "GET, HEAD, POST" for a path that exists under other methods; "" if it doesn't. */
void route_allow(const char *url, char *ret, size_t cap);
const char *need_name(enum need n);

/* query.c: parameters of the URL */
int query_check(struct request *q, struct err *e);
const char *query_get(struct request *q, const char *name); /* NULL: not given */
int query_bool(struct request *q, const char *name, bool *ret, struct err *e);
int query_u64(struct request *q, const char *name, uint64_t max, uint64_t *ret, struct err *e);
int query_u32(struct request *q, const char *name, uint32_t max, uint32_t *ret, struct err *e);
/* ?timeout= in ms; ret is left alone when absent. */
int query_timeout(struct request *q, uint64_t *ret_ms, struct err *e);

/* auth.c */
int auth_load(struct rest *r, struct err *e);
void auth_free(struct rest *r);
int auth_check(struct request *q, struct err *e);
int auth_add(struct rest *r, const struct token *t, struct err *e);
void auth_remove(struct rest *r, const char *id);
unsigned auth_count(const struct rest *r);

/* answer.c: prepare the one answer of a request; -ENOMEM leaves it without */
int answer_copy(struct request *q, unsigned status, const char *type, const char *text, size_t len);
int answer_take(struct request *q, unsigned status, const char *type, struct buf *b);
/* Takes the reference; NULL counts as exhausted memory. */
int answer_json(struct request *q, unsigned status, json_t *v, struct err *e);
/* {"key": v}; takes the reference. */
int answer_wrapped(struct request *q, unsigned status, const char *key, json_t *v, struct err *e);
int answer_none(struct request *q, unsigned status);
int answer_stream(struct request *q, const char *type, struct MHD_Response *response);
int answer_error(struct request *q, const struct err *e);
int answer_header(struct request *q, const char *name, const char *value);
json_t *answer_string(const char *s); /* JSON string also of text that is no UTF-8 */

/* body.c */
int body_json(struct request *q, json_t **ret, struct err *e);
/* For routes without a body: nothing or {}. */
int body_none(struct request *q, struct err *e);

/* hold.c */
void hold_sleep(struct request *q); /* suspend; a hang-up of the client wakes it too */
void hold_wake(struct request *q);  /* asleep or not */
/* Answer when the VM has got there (or can't any more). */
int hold_wait(struct request *q, struct vm *v, enum wait_for what, unsigned status, struct err *e);
/* Answer with the ten rows when they have been observed. */
int hold_verify(struct request *q, struct vm *v, struct err *e);
void hold_cancel(struct request *q);
/* ?wait=; WAIT_N_: not given.  allowed: mask of 1 << enum wait_for. */
int hold_query(struct request *q, unsigned allowed, enum wait_for *ret, struct err *e);

/* stream.c */
struct stream {
	struct stream *next, **prevp;
	struct request *q; /* back to its owner */
	const struct stream_ops *ops;
	struct buf pending; /* text not sent yet */
	size_t sent;	    /* bytes of pending that are */
	char vm[ID_LEN];    /* "" for the events of all */
	uint64_t cursor;    /* seq of the last event sent, or offset in the console */
	uint64_t active_ns; /* when something was last sent */
	int wd;		    /* inotify watch of the console file; -1: none */
	bool ended;
};
struct stream_ops {
	const char *type; /* Content-Type */
	/* Append to s->pending: positive when something was, 0: nothing now, -ENODATA: the end. */
	int (*fill)(struct stream *s);
	void (*beat)(struct stream *s); /* heartbeat; NULL: none */
	void (*done)(struct stream *s); /* NULL: nothing to give back */
};
int stream_start(struct request *q, const struct stream_ops *ops, const char *vm, uint64_t cursor,
		 struct err *e);
void stream_free(struct stream *s);
void stream_wake(struct stream *s);
int stream_init(struct rest *r, struct err *e);
void stream_fini(struct rest *r);

/* stream_sse.c, stream_console.c */
extern const struct stream_ops sse_ops, console_ops;
int console_follow_init(struct rest *r, struct err *e);
void console_follow_done(struct rest *r);

/* The routes' handlers. */
#define R(method, path, run, need, query, why) handler_fn run;
#include "rest/routes.def"
#undef R
