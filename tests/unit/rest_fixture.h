#pragma once
/*
 * A real host/rest on a Unix socket and a TCP port, with a stand-in of the controller, and a client
 * of one thread: while it waits for an answer it turns the loop itself.
 */
#include "unit.h"

#include "base/buf.h"
#include "control/control.h"
#include "rest/rest.h"

struct rest_fixture {
	char dir[64], sock[96];
	struct loop *loop;
	struct control *control;
	struct rest *rest;
	char token[3][80]; /* by role */
};

extern struct rest_conf rest_test_conf; /* may be changed before setup; put back by teardown */
int rest_setup(void **state);
int rest_teardown(void **state);

/* A connection; -1 on failure.  tcp false: the Unix socket. */
int rest_connect(struct rest_fixture *f, bool tcp);
void rest_send(struct rest_fixture *f, int fd, const char *text, size_t len);
/* Turn the loop until the peer has closed (true) or `until` stands in what came (or 10 s). */
bool rest_recv(struct rest_fixture *f, int fd, struct buf *got, const char *until);
/* Turn the loop until fn says true; fails the test after 10 s. */
void rest_until(struct rest_fixture *f, bool (*fn)(struct rest_fixture *f, void *ctx), void *ctx);

struct answer {
	int status;
	struct buf text; /* the whole answer */
	const char *body;
};
void answer_done(struct answer *a);
#define auto_answer __attribute__((cleanup(answer_done))) struct answer

/* One request with Connection: close; headers: "Name: value\r\n…" or ""; body NULL: none. */
struct answer rest_call(struct rest_fixture *f, const char *method, const char *path,
			const char *headers, const char *body);
struct answer rest_call_tcp(struct rest_fixture *f, const char *token, const char *method,
			    const char *path, const char *body);
/* The value after "key":" of a flat JSON text. */
void rest_field(const char *json, const char *key, char *ret, size_t cap);
