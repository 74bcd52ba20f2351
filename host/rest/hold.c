/*
 * Held answers: a request sleeps in libmicrohttpd until the controller knows what it waits for.
 *
 * libmicrohttpd does not look at a sleeping connection, so our loop watches the descriptor for its
 * hang-up meanwhile.  A client that closes only its sending side (shutdown(2) SHUT_WR) counts as
 * gone: over TCP the two can't be told apart.
 *
 * Called by handlers, streams and the controller's waiters; loop's thread.
 */
#include <stdio.h>
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/log.h"
#include "base/str.h"
#include "rest/rest_internal.h"

#define WAIT_DEFAULT_MS 120000u /* a desktop image under emulation is ready well within it */

static void hung_up(struct watch *w, uint32_t got)
{
	struct request *q = container_of(w, struct request, hangup);

	(void)got;
	q->gone = true;
	hold_cancel(q);
	hold_wake(q); /* request_access, or the stream's reader, sees q->gone and ends it */
}

void hold_sleep(struct request *q)
{
	struct err e;

	assert(!q->asleep);
	q->asleep = true;
	q->hangup = (struct watch){.fd = q->peer->fd, .want = EPOLLRDHUP, .ready = hung_up};
	/* Unwatched, a client that goes away is noticed when its time-out or the next event
	 * comes. */
	if (loop_watch(q->rest->loop, &q->hangup, &e))
		log_warn("http.hold", LE(&e), LS("request", q->id));
	MHD_suspend_connection(q->conn);
}

void hold_wake(struct request *q)
{
	if (!q->asleep)
		return;
	loop_unwatch(q->rest->loop, &q->hangup);
	q->asleep = false;
	MHD_resume_connection(q->conn); /* takes effect in the next MHD_run */
	/* Without a listener of its own libmicrohttpd 0.9.75 does not watch what it wakes itself
	 * by. */
	server_run_soon(q->rest);
}

void hold_cancel(struct request *q)
{
	if (q->waiting)
		control_wait_cancel(q->rest->control, &q->waiter);
	if (q->verifying)
		control_verify_cancel(q->rest->control, &q->verify);
	q->waiting = q->verifying = false;
}

/* The VM as it is now; one that is gone is told as {"id":…,"state":"gone"}. */
static int answer_vm(struct request *q, struct vm *v)
{
	char text[ID_LEN + 32];
	size_t len;
	const char *json;

	if (v) {
		json = vm_json(v, &len);
		return json ? answer_copy(q, q->held_status, "application/json", json, len)
			    : -ENOMEM;
	}
	(void)snprintf(text, sizeof(text), "{\"id\":\"%s\",\"state\":\"gone\"}", q->vm); /* fits */
	return answer_copy(q, q->held_status, "application/json", text, strlen(text));
}

static void waited(struct waiter *w, struct vm *v, const struct err *e)
{
	struct request *q = container_of(w, struct request, waiter);

	q->waiting = false;
	(void)(e ? answer_error(q, e)
		 : answer_vm(q, v)); /* without memory the connection is closed */
	hold_wake(q);
}

int hold_wait(struct request *q, struct vm *v, enum wait_for what, unsigned status, struct err *e)
{
	uint64_t timeout_ms = WAIT_DEFAULT_MS;
	int rc = query_timeout(q, &timeout_ms, e);

	if (rc)
		return rc;
	q->held_status = status;
	if (!v) /* gone already */
		return answer_vm(q, NULL) ? err_nomem(e) : 0;
	q->waiter = (struct waiter){.fn = waited};
	q->waiting = true;
	rc = control_vm_wait(q->rest->control, v, what, timeout_ms, &q->waiter, e);
	if (rc) {
		q->waiting = false;
		return rc;
	}
	if (q->waiting) /* else it holds already and the answer is there */
		hold_sleep(q);
	return 0;
}

static void verified(struct verify *w, json_t *rows, const struct err *e)
{
	struct request *q = container_of(w, struct request, verify);

	q->verifying = false;
	/* Without memory for either the connection is closed. */
	(void)(rows ? answer_wrapped(q, MHD_HTTP_OK, "rows", json_incref(rows), NULL)
		    : answer_error(q, e));
	hold_wake(q);
}

int hold_verify(struct request *q, struct vm *v, struct err *e)
{
	int rc;

	q->verify = (struct verify){.fn = verified};
	q->verifying = true;
	rc = control_vm_verify(q->rest->control, v, &q->verify, e);
	if (rc) {
		q->verifying = false;
		return rc;
	}
	if (q->verifying)
		hold_sleep(q);
	return 0;
}

int hold_query(struct request *q, unsigned allowed, enum wait_for *ret, struct err *e)
{
	static const char *const names[] = {
		[WAIT_NETWORK] = "network",
		[WAIT_READY] = "ready",
		[WAIT_STOPPED] = "stopped",
		[WAIT_GONE] = "gone",
	};
	static_assert(ARRAY_LEN(names) == WAIT_N_, "a name per thing to wait for");
	const char *text = query_get(q, "wait");
	char expected[64] = "";
	uint64_t unused;
	int i;

	*ret = WAIT_N_;
	if (!text) /* a bad time-out is refused also where nothing waits for it */
		return query_timeout(q, &unused, e);
	i = str_index(names, ARRAY_LEN(names), text);
	if (i >= 0 && allowed & 1u << i) {
		*ret = (enum wait_for)i;
		return query_timeout(q, &unused, e);
	}
	for (unsigned k = 0; k < ARRAY_LEN(names); k++)
		if (allowed & 1u << k)
			(void)snprintf(expected + strlen(expected),
				       sizeof(expected) - strlen(expected), "%s%s",
				       *expected ? " or " : "", names[k]); /* fits */
	return err_set(e, -EINVAL, ERR_CALLER, "query.value",
		       "query parameter wait: \"%.64s\", expected %s", text, expected);
}
