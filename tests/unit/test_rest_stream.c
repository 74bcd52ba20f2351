/*
 * Held answers and streams of host/rest: who waits is answered when it holds, fails or is gone; who
 * hangs up is forgotten; events and consoles flow in order and miss nothing.
 */
#include "rest_fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/str.h"
#include "console/console.h"
#include "fake_control.h"
#include "json/json.h"
#include "loop/loop.h"

static const struct actor root = {.user_id = "root", .role = ROLE_ADMIN};

static struct vm *make_vm(struct rest_fixture *f, const char *name)
{
	char body[128];
	auto_answer a = {0};

	(void)snprintf(body, sizeof(body), "{\"name\":\"%s\",\"userId\":\"alice\"}", name);
	a = rest_call(f, "POST", "/api/vms", "", body);
	assert_int_equal(a.status, 202);
	return control_vm_find(f->control, &root, name, NULL);
}

/* Send a request and leave the connection open. */
static int ask(struct rest_fixture *f, bool tcp, const char *line, const char *headers)
{
	char text[512];
	int fd = rest_connect(f, tcp);
	int n = snprintf(text, sizeof(text), "%s HTTP/1.1\r\nHost: x\r\n%s\r\n", line, headers);

	assert_true(fd >= 0 && n < (int)sizeof(text));
	rest_send(f, fd, text, (size_t)n);
	return fd;
}

static bool one_waits(struct rest_fixture *f, void *ctx)
{
	(void)ctx;
	return fake_waiters(f->control) == 1;
}

static bool none_waits(struct rest_fixture *f, void *ctx)
{
	(void)ctx;
	return fake_waiters(f->control) == 0;
}

static int ask_create(struct rest_fixture *f, bool tcp)
{
	char headers[256];
	int fd;

	(void)snprintf(headers, sizeof(headers),
		       "Authorization: Bearer %s\r\nContent-Type: application/json\r\n"
		       "Content-Length: 18\r\nConnection: close\r\n",
		       f->token[ROLE_USER]);
	fd = ask(f, tcp, "POST /api/vms?wait=network&timeout=60", headers);
	rest_send(f, fd, "{\"userId\":\"alice\"}", 18);
	rest_until(f, one_waits, NULL);
	return fd;
}

static int first_vm(void *ctx, struct vm *v)
{
	*(struct vm **)ctx = v;
	return 1;
}

static struct vm *the_vm(struct rest_fixture *f)
{
	struct vm *v = NULL;

	assert_int_equal(control_vm_each(f->control, &root, first_vm, &v), 1);
	return v;
}

static void test_wait_holds(void **state)
{
	struct rest_fixture *f = *state;
	auto_close int fd = ask_create(f, true);
	auto_buf got = {0};

	fake_move(f->control, the_vm(f), VM_READY);
	assert_true(rest_recv(f, fd, &got, NULL));
	assert_non_null(strstr(got.data, "HTTP/1.1 200"));
	assert_non_null(strstr(got.data, "\"state\":\"ready\""));
}

static void test_wait_fails(void **state)
{
	struct rest_fixture *f = *state;
	auto_close int fd = ask_create(f, true);
	auto_buf got = {0};

	fake_move(f->control, the_vm(f), VM_FAILED);
	assert_true(rest_recv(f, fd, &got, NULL));
	assert_non_null(strstr(got.data, "HTTP/1.1 502"));
	assert_non_null(strstr(got.data, "\"code\":\"vm.failed\""));
	assert_non_null(strstr(got.data, "\"cause\":\"kernel-format\""));
	assert_non_null(
		strstr(got.data, "\"evidence\":[\"state: created\",\"state: now failed\"]"));
	assert_non_null(strstr(got.data, "\"vm\":\"vm-"));
}

static void test_wait_times_out(void **state)
{
	struct rest_fixture *f = *state;
	auto_answer a = rest_call(f, "POST", "/api/vms?wait=ready&timeout=0", "",
				  "{\"userId\":\"u\",\"name\":\"late\"}");

	assert_int_equal(a.status, 504);
	assert_non_null(strstr(a.body, "vm.wait-timeout"));
	assert_non_null(control_vm_find(f->control, &root, "late", NULL)); /* it stays */
}

/* The waiter is taken back when the client goes, over TCP and over the Unix socket. */
static void test_hang_up(void **state)
{
	struct rest_fixture *f = *state;

	for (int tcp = 0; tcp < 2; tcp++) {
		(void)close(ask_create(f, tcp));
		rest_until(f, none_waits, NULL);
	}
	auto_answer a = rest_call(f, "GET", "/api/health", "", NULL);

	assert_int_equal(a.status, 200);
}

static void test_stop_while_held(void **state)
{
	struct rest_fixture *f = *state;
	auto_close int fd = ask_create(f, true);
	auto_buf got = {0};

	rest_free(f->rest);
	f->rest = NULL;
	assert_int_equal(fake_waiters(f->control), 0);
	assert_true(rest_recv(f, fd, &got, NULL));
}

static void test_delete(void **state)
{
	struct rest_fixture *f = *state;
	struct vm *v = make_vm(f, "a");
	auto_answer now = rest_call(f, "DELETE", "/api/vms/a", "", NULL);
	auto_close int fd = ask(f, false, "DELETE /api/vms/a?wait=gone", "Connection: close\r\n");
	auto_buf got = {0};
	struct vm *b;

	assert_int_equal(now.status, 202);
	rest_until(f, one_waits, NULL);
	fake_gone(f->control, v);
	assert_true(rest_recv(f, fd, &got, NULL));
	assert_non_null(strstr(got.data, "\"state\":\"gone\"}"));
	b = make_vm(f, "b");
	fake_move(f->control, b, VM_STOPPED); /* holds nothing: gone within the call */
	auto_answer at_once = rest_call(f, "DELETE", "/api/vms/b", "", NULL);

	assert_int_equal(at_once.status, 200);
	assert_non_null(strstr(at_once.body, "\"gone\""));
}

static void test_start_stop(void **state)
{
	struct rest_fixture *f = *state;

	(void)make_vm(f, "a");
	auto_answer early = rest_call(f, "POST", "/api/vms/a/start", "", NULL);
	auto_answer stop = rest_call(f, "POST", "/api/vms/a/stop", "", "{}");
	auto_answer force = rest_call(f, "POST", "/api/vms/a/stop?force=1&wait=stopped", "", NULL);
	auto_answer start = rest_call(f, "POST", "/api/vms/a/start", "", NULL);
	auto_answer field = rest_call(f, "POST", "/api/vms/a/stop", "", "{\"force\":true}");

	assert_int_equal(early.status, 409);
	assert_non_null(strstr(stop.body, "\"state\":\"stopping\""));
	assert_int_equal(force.status, 200);
	assert_non_null(strstr(force.body, "\"state\":\"stopped\""));
	assert_non_null(strstr(start.body, "\"state\":\"starting\""));
	assert_int_equal(field.status, 400);
}

static bool verifying(struct rest_fixture *f, void *ctx)
{
	(void)ctx;
	return fake_verify(f->control) != NULL;
}

static bool not_verifying(struct rest_fixture *f, void *ctx)
{
	return !verifying(f, ctx);
}

static void test_verify(void **state)
{
	struct rest_fixture *f = *state;
	auto_json json_t *rows = json_pack("[{s:i}]", "row", 1);
	auto_buf got = {0};

	(void)make_vm(f, "a");
	(void)close(ask(f, true, "GET /api/vms/a/verify", "")); /* without a token: refused */
	auto_close int fd = ask(f, false, "GET /api/vms/a/verify", "Connection: close\r\n");

	rest_until(f, verifying, NULL);
	fake_verify(f->control)->fn(fake_verify(f->control), rows, NULL);
	assert_true(rest_recv(f, fd, &got, NULL));
	assert_non_null(strstr(got.data, "{\"rows\":[{\"row\":1}]}"));
	control_verify_cancel(f->control, fake_verify(f->control));
	(void)close(ask(f, false, "GET /api/vms/a/verify", ""));
	rest_until(f, not_verifying, NULL); /* hung up: cancelled, or never begun */
}

/* --- events --- */

static void test_events(void **state)
{
	struct rest_fixture *f = *state;
	struct vm *v = make_vm(f, "a");
	auto_close int fd = ask(f, false, "GET /api/events", "");
	auto_buf got = {0};
	char id[64];
	const char *at;

	assert_false(rest_recv(f, fd, &got, "\r\n\r\n"));
	assert_non_null(strstr(got.data, "text/event-stream"));
	assert_null(strstr(got.data, "created")); /* the past is not told unless asked for */
	fake_move(f->control, v, VM_READY);
	fake_move(f->control, v, VM_FAILED);
	assert_false(rest_recv(f, fd, &got, "now failed"));
	at = strstr(got.data, "now ready");
	assert_non_null(at);
	assert_true(at < strstr(got.data, "now failed"));
	assert_non_null(strstr(got.data, "event: state\ndata: {"));
	/* Another client goes on behind the first event. */
	at = strstr(got.data, "id: ");
	(void)snprintf(id, sizeof(id), "Last-Event-ID: %.*s\r\n", (int)strcspn(at + 4, "\n"),
		       at + 4);
	auto_close int later = ask(f, false, "GET /api/events", id);
	auto_buf rest = {0};

	assert_false(rest_recv(f, later, &rest, "now failed"));
	assert_null(strstr(rest.data, "now ready"));
}

static void test_events_of_one(void **state)
{
	struct rest_fixture *f = *state;
	struct vm *a = make_vm(f, "a"), *b = make_vm(f, "b");
	auto_close int fd = ask(f, false, "GET /api/vms/a/events", "Accept: text/event-stream\r\n");
	auto_buf got = {0};
	char path[64];

	assert_false(rest_recv(f, fd, &got, "created"));
	fake_move(f->control, b, VM_FAILED);
	fake_move(f->control, a, VM_READY);
	assert_false(rest_recv(f, fd, &got, "now ready"));
	assert_null(strstr(got.data, "now failed"));
	(void)snprintf(path, sizeof(path), "/api/vms/%s/events?limit=1", vm_record(a)->id);
	auto_answer list = rest_call(f, "GET", path, "", NULL);
	auto_answer mine = rest_call_tcp(f, f->token[ROLE_USER], "GET", path, NULL);
	auto_answer foreign = rest_call_tcp(f, f->token[ROLE_VIEWER], "GET", path, NULL);
	auto_answer none = rest_call(f, "GET", "/api/vms/vm-00000000/events", "", NULL);

	assert_non_null(strstr(list.body, "created"));
	assert_null(strstr(list.body, "now ready")); /* limit=1 */
	assert_int_equal(mine.status, 200);
	assert_int_equal(foreign.status, 404);
	assert_int_equal(none.status, 404);
	/* Evidence of a VM that is gone. */
	fake_gone(f->control, a);
	(void)snprintf(path, sizeof(path), "/api/vms/%s/events", vm_record(a)->id);
	auto_answer after = rest_call(f, "GET", path, "", NULL);

	assert_int_equal(after.status, 200);
	assert_non_null(strstr(after.body, "gone"));
}

/* A client that reads nothing for a while misses nothing: the store is the queue. */
static void test_slow_reader(void **state)
{
	struct rest_fixture *f = *state;
	struct vm *v = make_vm(f, "a");
	auto_close int fd = ask(f, false, "GET /api/events", "");
	auto_buf got = {0};
	unsigned n = 0;

	assert_false(rest_recv(f, fd, &got, "\r\n\r\n"));
	/* one fsync, not thousands */
	assert_int_equal(store_begin(control_store(f->control), NULL), 0);
	for (unsigned i = 0; i < 3000; i++) { /* more text than the socket's buffers take */
		fake_move(f->control, v, i % 2 ? VM_READY : VM_BOOTING);
		assert_int_equal(loop_step(f->loop, 0, NULL), 0);
	}
	assert_int_equal(store_commit(control_store(f->control), NULL), 0);
	fake_move(f->control, v, VM_FAILED);
	assert_false(rest_recv(f, fd, &got, "now failed"));
	for (const char *at = got.data; (at = strstr(at, "\nid: ")); at++)
		n++;
	assert_int_equal(n + (strncmp(strstr(got.data, "id: ") - 1, "\n", 1) != 0), 3001);
}

static int setup_impatient(void **state)
{
	rest_test_conf = (struct rest_conf){.admin_gid = (gid_t)-1,
					    .tcp = true,
					    .tcp_addr = 0x7f000001,
					    .max_connections = 100,
					    .request_s = 1,
					    .build = "test"};
	return rest_setup(state);
}

static bool nobody_connected(struct rest_fixture *f, void *ctx)
{
	(void)ctx;
	return rest_connections(f->rest) == 0;
}

/* One that takes nothing at all is dropped, and what it asked for is forgotten. */
static void test_stuck_reader(void **state)
{
	struct rest_fixture *f = *state;
	struct vm *v = make_vm(f, "a");
	auto_close int fd = ask(f, false, "GET /api/events?after=0", "");
	auto_buf got = {0};

	/* one fsync, not thousands */
	assert_int_equal(store_begin(control_store(f->control), NULL), 0);
	for (unsigned i = 0; i < 5000; i++) /* far more than the socket's buffers take */
		fake_move(f->control, v, i % 2 ? VM_READY : VM_BOOTING);
	assert_int_equal(store_commit(control_store(f->control), NULL), 0);
	rest_until(f, nobody_connected, NULL);
	assert_true(rest_recv(f, fd, &got, NULL));
	assert_non_null(strstr(got.data, "now booting"));
	assert_null(strstr(got.data, "id: 4999\n"));
}

/* A sleeping stream is no slow client: it stays beyond the time of a request. */
static void test_quiet_stream(void **state)
{
	struct rest_fixture *f = *state;
	struct vm *v = make_vm(f, "a");
	auto_close int fd = ask(f, false, "GET /api/events", "");
	auto_close int half = rest_connect(f, false);
	auto_buf got = {0}, none = {0};

	assert_false(rest_recv(f, fd, &got, "\r\n\r\n"));
	/* the idle one beside it is closed: time has passed */
	assert_true(rest_recv(f, half, &none, NULL));
	fake_move(f->control, v, VM_READY);
	assert_false(rest_recv(f, fd, &got, "now ready"));
}

/* --- console --- */

static int follow(struct rest_fixture *f, const char *path)
{
	char line[128];

	(void)snprintf(line, sizeof(line), "GET %s", path);
	return ask(f, false, line, "");
}

static void test_console(void **state)
{
	struct rest_fixture *f = *state;
	struct vm *v = make_vm(f, "a");
	char path[128];
	struct console_writer w;
	struct err e;
	auto_buf got = {0};
	auto_answer none = rest_call(f, "GET", "/api/vms/none/console", "", NULL);

	(void)snprintf(path, sizeof(path), "%s/console.log", f->dir);
	fake_console(f->control, path);
	auto_answer early = rest_call(f, "GET", "/api/vms/a/console", "", NULL);
	auto_close int fd = follow(f, "/api/vms/a/console?follow=1");

	assert_int_equal(none.status, 404);
	assert_int_equal(early.status, 200);
	assert_string_equal(early.body, "");
	assert_false(rest_recv(f, fd, &got, "\r\n\r\n"));
	assert_int_equal(console_create(path, 16, 16, &w, &e), 0);
	assert_int_equal(console_append(&w, "first line\n", 11), 0);
	fake_move(f->control, v, VM_BOOTING); /* the file is there now */
	assert_false(rest_recv(f, fd, &got, "first line"));
	assert_int_equal(console_append(&w, "second line\n", 12), 0); /* told by inotify alone */
	assert_false(rest_recv(f, fd, &got, "second line"));
	auto_answer tail = rest_call(f, "GET", "/api/vms/a/console?tail=5", "", NULL);
	auto_answer on = rest_call(f, "GET", "/api/vms/a/console?offset=11", "", NULL);

	assert_string_equal(tail.body, "line\n");
	assert_string_equal(on.body, "second line\n");
	assert_non_null(strstr(on.text.data, "X-Console-Next-Offset: 23"));
	assert_non_null(strstr(on.text.data, "text/plain"));
	/* The last words come even when the VM has ended, then the stream ends: "0" is its last
	 * chunk. */
	assert_int_equal(console_append(&w, "bye\n", 4), 0);
	fake_move(f->control, v, VM_FAILED);
	assert_false(rest_recv(f, fd, &got, "\r\n0\r\n\r\n"));
	assert_non_null(strstr(got.data, "bye\n"));
	console_close(&w);
}

/* Where the file has a hole, a line says how much is missing. */
static void test_console_hole(void **state)
{
	struct rest_fixture *f = *state;
	char path[128], block[4096];
	struct console_writer w;
	struct err e;

	(void)make_vm(f, "a");
	(void)snprintf(path, sizeof(path), "%s/console.log", f->dir);
	fake_console(f->control, path);
	memset(block, 'x', sizeof(block));
	assert_int_equal(console_create(path, 4096, 4096, &w, &e), 0);
	for (unsigned i = 0; i < 512; i++) /* 2 MiB: holes come in large steps */
		assert_int_equal(console_append(&w, block, sizeof(block)), 0);
	assert_int_equal(console_append(&w, "the end", 7), 0);
	console_close(&w);
	auto_answer all = rest_call(f, "GET", "/api/vms/a/console", "", NULL);

	assert_non_null(strstr(all.body, "bytes were not kept here]"));
	assert_true(str_ends(all.body, "the end"));
	assert_true(strlen(all.body) < 512 * sizeof(block));
}

#define IMPATIENT(fn) cmocka_unit_test_setup_teardown(fn, setup_impatient, rest_teardown)
#define T(fn)	      cmocka_unit_test_setup_teardown(fn, rest_setup, rest_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_wait_holds),
		T(test_wait_fails),
		T(test_wait_times_out),
		T(test_hang_up),
		T(test_stop_while_held),
		T(test_delete),
		T(test_start_stop),
		T(test_verify),
		T(test_events),
		T(test_events_of_one),
		T(test_slow_reader),
		T(test_console),
		T(test_console_hole),
		IMPATIENT(test_stuck_reader),
		IMPATIENT(test_quiet_stream),
	};

	return RUN_TESTS(tests);
}
