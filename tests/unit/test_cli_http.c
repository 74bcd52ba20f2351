/*
 * Tests cli/http.c and cli/api.c against peers that misbehave, each a child process that says one
 * prepared answer over a Unix socket: what comes is one clear error, never a hang.
 */
#include "unit.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/str.h"
#include "cli/cli.h"

#define HEAD(status, type) "HTTP/1.1 " status "\r\nContent-Type: " type "\r\n"
#define JSON_HEAD(status)  HEAD(status, "application/json")

struct peer {
	char dir[64], path[96];
	pid_t pid;
};

/* Read a request's head, say `text`, and close, or (hang) wait to be killed. */
static void serve(int listener, const char *text, size_t len, bool hang)
{
	int fd = accept(listener, NULL, NULL);
	char head[4096];

	if (fd < 0 || read(fd, head, sizeof(head)) <= 0 || fd_write_all(fd, text, len))
		_exit(1);
	if (hang)
		(void)pause();
	_exit(0);
}

static void peer_start(struct peer *p, const char *text, bool hang)
{
	struct err e;
	int listener;

	assert_true(str_copy(p->dir, sizeof(p->dir), "/tmp/hearth-test-cli-XXXXXX"));
	assert_non_null(mkdtemp(p->dir));
	assert_true(str_fmt(p->path, sizeof(p->path), "%s/sock", p->dir));
	assert_int_equal(fd_listen_unix(p->path, 0600, 4, &listener, &e), 0);
	p->pid = fork();
	assert_true(p->pid >= 0);
	if (p->pid == 0)
		serve(listener, text, strlen(text), hang);
	assert_int_equal(close(listener), 0);
}

static void peer_stop(struct peer *p)
{
	int status;

	assert_int_equal(kill(p->pid, SIGKILL), 0); /* a zombie takes it too */
	assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
	assert_int_equal(fd_remove_tree(p->dir, NULL), 0);
}

/* Ask once; what is kept of the answer goes to ret. */
static int ask_path(const char *socket, uint64_t timeout_ms, struct cli *c, struct answer *ret,
		    struct err *e)
{
	int rc = http_init(&c->http, socket, NULL, NULL, e);

	if (!rc)
		rc = api_ask(c,
			     &(struct http_ask){.method = "GET",
						.path = "/api/vms/x",
						.timeout_ms = timeout_ms},
			     ret, e);
	http_done(&c->http);
	return rc;
}

static int ask(const char *text, bool hang, uint64_t timeout_ms, struct cli *c, struct answer *ret,
	       struct err *e)
{
	struct peer p;
	int rc;

	peer_start(&p, text, hang);
	rc = ask_path(p.path, timeout_ms, c, ret, e);
	peer_stop(&p);
	return rc;
}

static void fails(const char *text, enum err_kind kind, const char *id, const char *sentence)
{
	struct cli c = {0};
	struct err e = {0};
	auto_answer got = {0};

	assert_true(ask(text, false, HTTP_ANSWER_MS, &c, &got, &e) < 0);
	assert_string_equal(e.id, id);
	assert_int_equal(e.kind, kind);
	if (!strstr(e.text, sentence))
		fail_msg("%s", e.text);
	assert_true(*e.remedy);
	json_decref(c.error);
}

static void test_good_answer(void **state)
{
	struct cli c = {0};
	struct err e;
	auto_answer got = {0}, none = {0};

	(void)state;
	assert_int_equal(ask(JSON_HEAD("200 OK") "Content-Length: 10\r\n\r\n{\"id\":\"x\"}", false,
			     HTTP_ANSWER_MS, &c, &got, &e),
			 0);
	assert_string_equal(js_text(got.json, "id"), "x");
	assert_string_equal(buf_text(&got.text), "{\"id\":\"x\"}");
	assert_int_equal(got.status, 200);
	assert_int_equal(
		ask("HTTP/1.1 204 No Content\r\n\r\n", false, HTTP_ANSWER_MS, &c, &none, &e), 0);
	assert_null(none.json);
}

static void test_described_error(void **state)
{
	static const char answer[] =
		JSON_HEAD("409 Conflict") "Connection: close\r\n\r\n"
					  "{\"error\":{\"code\":\"vm.state\",\"kind\":\"state\","
					  "\"message\":\"vm-1: now ready\","
					  "\"cause\":\"GUEST_X\",\"remedy\":\"stop it "
					  "first\",\"evidence\":[\"line 7\"]}}";
	struct cli c = {0};
	struct err e = {0};
	auto_answer got = {0};

	(void)state;
	assert_true(ask(answer, false, HTTP_ANSWER_MS, &c, &got, &e) < 0);
	assert_string_equal(e.id, "vm.state");
	assert_int_equal(e.kind, ERR_STATE);
	assert_string_equal(e.text, "vm-1: now ready");
	assert_string_equal(e.remedy, "stop it first");
	assert_string_equal(js_text(c.error, "cause"), "GUEST_X");
	json_decref(c.error);
}

/* An error without a kind (of an older or newer hearthd): the status tells. */
static void test_kind_by_status(void **state)
{
	struct cli c = {0};
	struct err e = {0};
	auto_answer got = {0};

	(void)state;
	assert_true(ask(JSON_HEAD("401 Unauthorized") "Connection: close\r\n\r\n"
						      "{\"error\":{\"code\":\"auth.token\","
						      "\"message\":\"m\"}}",
			false, HTTP_ANSWER_MS, &c, &got, &e) < 0);
	assert_int_equal(e.kind, ERR_DENIED);
	json_decref(c.error);
}

static void test_broken_answers(void **state)
{
	(void)state;
	fails(JSON_HEAD("200 OK") "Content-Length: 100\r\n\r\n{\"id\":", ERR_HOST, "hearthd.cut",
	      "closed");
	fails("", ERR_HOST, "hearthd.cut", "closed");
	fails(JSON_HEAD("200 OK") "Content-Length: 6\r\n\r\n{\"id\":", ERR_HOST, "hearthd.not-json",
	      "line 1");
	fails(JSON_HEAD("200 OK") "Content-Length: 0\r\n\r\n", ERR_HOST, "hearthd.not-json",
	      "empty");
	fails(JSON_HEAD("200 OK") "Connection: close\r\n\r\n{\"a\":1,\"a\":2}", ERR_HOST,
	      "hearthd.not-json", "begins with");
	fails(HEAD("502 Bad Gateway", "text/html") "Connection: close\r\n\r\n<html>\x1b[2J",
	      ERR_GUEST, "hearthd.not-json", "<html>^[[2J");
	fails(JSON_HEAD("500 Oops") "Connection: close\r\n\r\n{\"error\":\"text\"}", ERR_BUG,
	      "hearthd.not-json", "no error object");
	fails("SSH-2.0-OpenSSH_9.2\r\n", ERR_HOST, "hearthd.not-http", "does not speak HTTP");
}

static void test_hang(void **state)
{
	struct cli c = {0};
	struct err e = {0};
	auto_answer got = {0}, half = {0};

	(void)state;
	assert_true(ask("", true, 200, &c, &got, &e) < 0);
	assert_string_equal(e.id, "hearthd.silent");
	assert_int_equal(e.kind, ERR_TIMEOUT);
	assert_true(ask(JSON_HEAD("200 OK") "Content-Length: 100\r\n\r\n{\"id\":", true, 200, &c,
			&half, &e) < 0);
	assert_string_equal(e.id, "hearthd.silent");
}

static void test_nobody_there(void **state)
{
	struct cli c = {0};
	struct err e = {0};
	auto_answer got = {0};
	struct peer p;

	(void)state;
	assert_true(ask_path("/nonexistent/hearth.sock", HTTP_ANSWER_MS, &c, &got, &e) < 0);
	assert_string_equal(e.id, "hearthd.absent");
	assert_int_equal(e.kind, ERR_HOST);
	assert_non_null(strstr(e.text, "No such file"));
	assert_non_null(strstr(e.remedy, "systemctl start hearthd"));
	peer_start(&p, "", false); /* a socket file that nobody listens on any more */
	assert_int_equal(kill(p.pid, SIGKILL), 0);
	assert_int_equal(waitpid(p.pid, NULL, 0), p.pid);
	p.pid = fork();
	if (p.pid == 0)
		_exit(0);
	assert_true(ask_path(p.path, HTTP_ANSWER_MS, &c, &got, &e) < 0);
	assert_string_equal(e.id, "hearthd.absent");
	assert_non_null(strstr(e.text, "refused"));
	peer_stop(&p);
}

static void test_addresses(void **state)
{
	static const struct {
		const char *socket, *url, *token, *id; /* id NULL: taken */
	} rows[] = {
		{NULL, "http://127.0.0.1:3000", "hrt_x", NULL},
		{NULL, "http://localhost:3000/", "hrt_x", NULL},
		{NULL, "http://[::1]:3000", "hrt_x", NULL},
		{NULL, "https://example.org", "hrt_x", NULL},
		{NULL, "http://example.org", NULL, NULL},
		{NULL, "http://example.org", "hrt_x", "cli.token-in-clear"},
		{NULL, "http://localhost.example.org", "hrt_x", "cli.token-in-clear"},
		{NULL, "http://127.example.org", "hrt_x", "cli.token-in-clear"},
		{NULL, "http://127.0.0.1@example.org", "hrt_x", "cli.token-in-clear"},
		{NULL, "ftp://127.0.0.1", NULL, "cli.url"},
		{NULL, "127.0.0.1:3000", NULL, "cli.url"},
		{NULL, "http://127.0.0.1", "a\r\nb", "cli.token"},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		struct http h = {0};
		struct err e = {0};
		int rc = http_init(&h, rows[i].socket, rows[i].url, rows[i].token, &e);

		if ((rc == 0) != (rows[i].id == NULL) || (rc && !str_eq(e.id, rows[i].id)))
			fail_msg("%s: %d %s", rows[i].url, rc, e.text);
		http_done(&h);
	}
}

/* Two calls at once, one of which never ends: the other's answer comes. */
static void test_two_calls(void **state)
{
	struct peer slow, quick;
	struct http one = {0}, two = {0};
	auto_call a = {0}, b = {0};
	struct err e;

	(void)state;
	peer_start(&slow, HEAD("200 OK", "text/event-stream") "\r\ndata: x\n\n", true);
	peer_start(&quick, JSON_HEAD("200 OK") "Content-Length: 2\r\n\r\n{}", false);
	assert_int_equal(http_init(&one, slow.path, NULL, NULL, &e), 0);
	two = one; /* the same multi handle, another address */
	two.socket = quick.path;
	assert_int_equal(http_begin(&one, &(struct http_ask){.method = "GET", .path = "/"}, &a, &e),
			 0);
	assert_int_equal(
		http_begin(&two,
			   &(struct http_ask){.method = "GET", .path = "/", .timeout_ms = 9000}, &b,
			   &e),
		0);
	while (!b.ended || a.in.len < 9)
		assert_int_equal(http_wait(&one, 1000, &e), 0);
	assert_int_equal(http_result(&b, &e), 0);
	assert_string_equal(buf_text(&b.in), "{}");
	assert_string_equal(buf_text(&a.in), "data: x\n\n");
	assert_false(a.ended);
	http_end(&a);
	http_end(&b);
	http_done(&one);
	peer_stop(&slow);
	peer_stop(&quick);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_answer),    cmocka_unit_test(test_described_error),
		cmocka_unit_test(test_kind_by_status), cmocka_unit_test(test_broken_answers),
		cmocka_unit_test(test_hang),	       cmocka_unit_test(test_nobody_there),
		cmocka_unit_test(test_addresses),      cmocka_unit_test(test_two_calls),
	};

	return RUN_TESTS(tests);
}
