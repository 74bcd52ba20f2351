/* The fixture of the tests of host/rest: see rest_fixture.h. */
#include "rest_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "fake_control.h"
#include "loop/loop.h"

#define PATIENCE_NS (10 * NS_PER_S) /* nothing here needs a hundredth of it */

static const struct rest_conf usual = {.admin_gid = (gid_t)-1,
				       .tcp = true,
				       .tcp_addr = 0x7f000001,
				       .max_connections = REST_MAX_CONNECTIONS,
				       .request_s = 30,
				       .build = "test"};
struct rest_conf rest_test_conf;

static void make_token(struct rest_fixture *f, enum token_role role, const char *user)
{
	char body[128];
	auto_answer a = {0};

	(void)snprintf(body, sizeof(body), "{\"userId\":\"%s\",\"role\":\"%s\"}", user,
		       token_role_names[role]);
	a = rest_call(f, "POST", "/api/tokens", "", body);
	assert_int_equal(a.status, 201);
	rest_field(a.body, "token", f->token[role], sizeof(f->token[role]));
}

int rest_setup(void **state)
{
	struct rest_fixture *f = calloc(1, sizeof(*f));
	struct err e;

	log_init(LOG_LV_ERROR, 2);
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/hearth-test-rest-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	(void)snprintf(f->sock, sizeof(f->sock), "%s/sock", f->dir);
	assert_int_equal(loop_new(&f->loop, &e), 0);
	f->control = fake_new(f->dir, f->loop);
	if (!rest_test_conf.build)
		rest_test_conf = usual;
	rest_test_conf.socket_path = f->sock;
	if (rest_new(f->loop, f->control, &rest_test_conf, &f->rest, &e))
		fail_msg("%s", e.text);
	if (rest_test_conf.max_connections > 8) {
		make_token(f, ROLE_ADMIN, "root");
		make_token(f, ROLE_USER, "alice");
		make_token(f, ROLE_VIEWER, "victor");
	}
	*state = f;
	return 0;
}

int rest_teardown(void **state)
{
	struct rest_fixture *f = *state;
	struct err e;

	rest_free(f->rest);
	fake_free(f->control);
	loop_free(f->loop);
	assert_int_equal(fd_remove_tree(f->dir, &e), 0);
	free(f);
	memset(&rest_test_conf, 0, sizeof(rest_test_conf));
	return 0;
}

int rest_connect(struct rest_fixture *f, bool tcp)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				.sin_port = htons(rest_port(f->rest))};
	int fd;

	if (!tcp)
		return fd_connect_unix(f->sock, &fd, NULL) ? -1 : fd;
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a))) {
		(void)close(fd);
		return -1;
	}
	return fd;
}

void rest_send(struct rest_fixture *f, int fd, const char *text, size_t len)
{
	uint64_t due = clock_mono_ns() + PATIENCE_NS;

	while (len && clock_mono_ns() < due) {
		ssize_t n = send(fd, text, len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN)
			return; /* refused meanwhile: the answer tells why */
		text += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
		assert_int_equal(loop_step(f->loop, 0, NULL), 0);
	}
}

bool rest_recv(struct rest_fixture *f, int fd, struct buf *got, const char *until)
{
	uint64_t due = clock_mono_ns() + PATIENCE_NS;
	char block[65536];

	while (clock_mono_ns() < due) {
		ssize_t n = recv(fd, block, sizeof(block), MSG_DONTWAIT);

		if (n > 0)
			assert_int_equal(buf_add(got, block, (size_t)n), 0);
		if (n == 0 || (n < 0 && errno != EAGAIN))
			return true;
		if (until && got->len && strstr(got->data, until))
			return false;
		if (n < 0)
			assert_int_equal(loop_step(f->loop, 2, NULL), 0);
	}
	fail_msg("no answer; so far: %s", buf_text(got));
	return false;
}

void rest_until(struct rest_fixture *f, bool (*fn)(struct rest_fixture *f, void *ctx), void *ctx)
{
	uint64_t due = clock_mono_ns() + PATIENCE_NS;

	while (!fn(f, ctx)) {
		assert_true(clock_mono_ns() < due);
		assert_int_equal(loop_step(f->loop, 2, NULL), 0);
	}
}

void answer_done(struct answer *a)
{
	buf_done(&a->text);
}

static struct answer call(struct rest_fixture *f, bool tcp, const char *method, const char *path,
			  const char *headers, const char *body)
{
	struct answer a = {0};
	auto_buf text = {0};
	auto_close int fd = rest_connect(f, tcp);

	assert_true(fd >= 0);
	(void)buf_printf(&text, "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s",
			 method, path, headers);
	if (body && !strstr(headers, "Content-Type"))
		(void)buf_puts(&text, "Content-Type: application/json\r\n");
	if (body)
		(void)buf_printf(&text, "Content-Length: %zu\r\n", strlen(body));
	(void)buf_puts(&text, "\r\n");
	(void)buf_puts(&text, body ? body : "");
	assert_false(text.failed);
	rest_send(f, fd, text.data, text.len);
	(void)rest_recv(f, fd, &a.text, NULL);
	if (a.text.len < 12 || sscanf(a.text.data, "HTTP/1.%*d %d", &a.status) != 1)
		fail_msg("%s %s: no answer but \"%s\"", method, path, buf_text(&a.text));
	a.body = strstr(a.text.data, "\r\n\r\n") + 4;
	return a;
}

struct answer rest_call(struct rest_fixture *f, const char *method, const char *path,
			const char *headers, const char *body)
{
	return call(f, false, method, path, headers, body);
}

struct answer rest_call_tcp(struct rest_fixture *f, const char *token, const char *method,
			    const char *path, const char *body)
{
	char header[128] = "";

	if (token)
		(void)snprintf(header, sizeof(header), "Authorization: Bearer %s\r\n", token);
	return call(f, true, method, path, header, body);
}

void rest_field(const char *json, const char *key, char *ret, size_t cap)
{
	char find[64];
	const char *at;
	size_t n;

	(void)snprintf(find, sizeof(find), "\"%s\":\"", key);
	at = strstr(json, find);
	assert_non_null(at);
	at += strlen(find);
	n = strcspn(at, "\"");
	assert_true(n < cap);
	memcpy(ret, at, n);
	ret[n] = '\0';
}
