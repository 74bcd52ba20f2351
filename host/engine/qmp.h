#pragma once
/*
 * A client of QEMU's machine protocol (QEMU docs/interop/qmp-spec.txt) on the loop: one JSON object
 * a line, a greeting, capabilities, then commands with ids and events in between.
 *
 * It reconnects while QEMU has not opened or has lost the connection, and says when QEMU does not
 * answer.  Trust: an engine that a guest has taken over may send anything; lines, depth and the
 * number of open commands are bounded.
 */
#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

struct err;
struct loop;
struct qmp;

struct qmp_owner {
	void (*ready)(struct qmp_owner *o); /* connected, capabilities agreed; after each connect */
	void (*event)(struct qmp_owner *o, const char *name, const json_t *data /* may be NULL */);
	/* Answers stay out (true) or came again (false). */
	void (*silent)(struct qmp_owner *o, bool is_silent);
};

/* The answer: `ret` is "return"'s value, or NULL with why = QEMU's sentence. */
typedef void qmp_answer_fn(struct qmp_owner *o, const json_t *ret, const char *why);

int qmp_new(struct loop *l, const char *path, struct qmp_owner *o, struct qmp **ret, struct err *e);
void qmp_free(struct qmp *q); /* NULL is fine; no callback after it */
/* Send a command; fn may be NULL.  args: reference taken, NULL: none.  -ENOTCONN before ready. */
int qmp_command(struct qmp *q, const char *name, json_t *args, qmp_answer_fn *fn);
/* Serve what QEMU sent before it ended; for the last moment before qmp_free. */
void qmp_drain(struct qmp *q);
bool qmp_is_ready(const struct qmp *q);

/* How long QEMU's main loop may take to answer: a machine with 8 VMs starting on 2 cores was seen
 * to need 50 ms; ten seconds mean that it is stopped or hangs.  Changed by tests only. */
extern uint64_t qmp_answer_ms;
