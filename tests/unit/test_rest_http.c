/*
 * host/rest as clients see it: routes and methods, who may call, bodies and parameters that are
 * refused with their sentence, limits.
 */
#include "rest_fixture.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "fake_control.h"
#include "loop/loop.h"
#include "rest/rest_internal.h"

static void has(const struct answer *a, int status, const char *text)
{
	if (a->status != status || !strstr(a->text.data, text))
		fail_msg("expected %d with \"%s\", got: %s", status, text, a->text.data);
}

static void test_table(void **state)
{
	static const char *const methods[] = {"GET", "POST", "PATCH", "DELETE"};
	char arg[ARG_LEN];

	(void)state;
	for (unsigned i = 0; i < routes_n; i++) {
		const char *open = strchr(routes[i].path, '{');

		assert_true(str_index(methods, ARRAY_LEN(methods), routes[i].method) >= 0);
		assert_true(!open || (strchr(open, '}') && !strchr(open + 1, '{')));
		for (unsigned k = i + 1; k < routes_n; k++)
			assert_false(str_eq(routes[i].path, routes[k].path) &&
				     str_eq(routes[i].method, routes[k].method));
	}
	assert_ptr_equal(route_find("GET", "/api/vms/vm-1/console", arg)->run, route_vm_console);
	assert_string_equal(arg, "vm-1");
	assert_null(route_find("GET", "/api/vms/", arg));
	assert_null(route_find("GET", "/api/vms/a/b", arg));
	assert_null(route_find("GET", "/api/vms//console", arg));
	assert_null(route_find("PUT", "/api/vms", arg));
}

static void test_routes(void **state)
{
	struct rest_fixture *f = *state;
	auto_answer health = rest_call_tcp(f, NULL, "GET", "/api/health", NULL);
	auto_answer head = rest_call(f, "HEAD", "/api/health", "", NULL);
	auto_answer none = rest_call(f, "GET", "/api/nothing", "X-Request-Id: my-id\r\n", NULL);
	auto_answer method = rest_call(f, "PUT", "/api/vms", "", NULL);
	auto_answer contract = rest_call(f, "GET", "/api/openapi.yaml", "", NULL);
	auto_answer metrics = rest_call(f, "GET", "/metrics", "", NULL);

	has(&health, 200, "\"version\":\"test\"");
	has(&head, 200, "Content-Type: application/json");
	assert_string_equal(head.body, "");
	has(&none, 404, "\"code\":\"http.no-route\"");
	has(&none, 404, "X-Request-Id: my-id");
	has(&method, 405, "Allow: GET, HEAD, POST");
	has(&contract, 200, "openapi: 3.1.0");
	has(&metrics, 200, "hearth_http_connections ");
}

static void test_who_may(void **state)
{
	struct rest_fixture *f = *state;
	const char *user = f->token[ROLE_USER], *viewer = f->token[ROLE_VIEWER];
	auto_answer none = rest_call_tcp(f, NULL, "GET", "/api/vms", NULL);
	auto_answer bad = rest_call_tcp(f, "hrt_0123", "GET", "/api/vms", NULL);
	auto_answer create = rest_call_tcp(f, user, "POST", "/api/vms", "{\"userId\":\"alice\"}");
	auto_answer other = rest_call_tcp(f, user, "POST", "/api/vms", "{\"userId\":\"bob\"}");
	auto_answer list = rest_call_tcp(f, viewer, "GET", "/api/vms", NULL);
	auto_answer denied = rest_call_tcp(f, viewer, "POST", "/api/vms", NULL);
	auto_answer admin = rest_call_tcp(f, user, "GET", "/api/tokens", NULL);
	auto_answer all = rest_call_tcp(f, f->token[ROLE_ADMIN], "GET", "/api/vms", NULL);
	/* A token counts on the Unix socket too: less than root on purpose. */
	char header[128];
	auto_answer less = {0};

	(void)snprintf(header, sizeof(header), "Authorization: Bearer %s\r\n", viewer);
	less = rest_call(f, "GET", "/api/tokens", header, NULL);
	has(&none, 401, "WWW-Authenticate: Bearer");
	has(&none, 401, "\"remedy\":\"make one");
	has(&bad, 401, "\"code\":\"auth.token\"");
	has(&create, 202, "\"userId\":\"alice\"");
	has(&other, 403, "vm.foreign-user");
	has(&list, 200, "{\"vms\":[]}"); /* alice's VM is not victor's to see */
	has(&denied, 403, "needs the role user, this is viewer");
	has(&admin, 403, "auth.role");
	has(&all, 200, "\"userId\":\"alice\"");
	has(&less, 403, "auth.role");
}

static bool is_later(struct rest_fixture *f, void *ctx)
{
	(void)f;
	return clock_wall_us() > *(uint64_t *)ctx;
}

static void test_tokens(void **state)
{
	struct rest_fixture *f = *state;
	char id[32], path[64];
	auto_answer list = rest_call(f, "GET", "/api/tokens", "", NULL);
	auto_answer made =
		rest_call(f, "POST", "/api/tokens", "",
			  "{\"userId\":\"carol\",\"role\":\"user\",\"expiresIn\":\"1ms\"}");
	auto_answer bad =
		rest_call(f, "POST", "/api/tokens", "",
			  "{\"userId\":\"carol\",\"role\":\"user\",\"expiresIn\":\"soon\"}");
	auto_answer role =
		rest_call(f, "POST", "/api/tokens", "", "{\"userId\":\"c\",\"role\":\"king\"}");
	auto_answer late = {0}, gone = {0}, again = {0}, after = {0};
	uint64_t expiry;
	char carol[80];

	has(&list, 200, "\"userId\":\"alice\"");
	assert_null(strstr(list.body, "hrt_"));
	has(&made, 201, "\"token\":\"hrt_");
	has(&bad, 400, "expected a duration");
	has(&role, 400, "\\\"admin\\\" \\\"user\\\" \\\"viewer\\\"");
	rest_field(made.body, "token", carol, sizeof(carol));
	expiry = clock_wall_us() + 1000; /* at the latest */
	rest_until(f, is_later, &expiry);
	late = rest_call_tcp(f, carol, "GET", "/api/vms", NULL);
	has(&late, 401, "auth.expired");
	rest_field(strstr(list.body, "alice") - 60, "id", id, sizeof(id));
	(void)snprintf(path, sizeof(path), "/api/tokens/%s", id);
	gone = rest_call(f, "DELETE", path, "", NULL);
	again = rest_call(f, "DELETE", path, "", NULL);
	has(&gone, 204, "");
	has(&again, 404, "token.absent");
	after = rest_call_tcp(f, f->token[ROLE_USER], "GET", "/api/vms", NULL);
	has(&after, 401, "auth.token");
}

/* A restart reads the hashes back. */
static void test_tokens_stay(void **state)
{
	struct rest_fixture *f = *state;
	auto_answer a = {0};
	struct err e;

	rest_free(f->rest);
	assert_int_equal(rest_new(f->loop, f->control, &rest_test_conf, &f->rest, &e), 0);
	a = rest_call_tcp(f, f->token[ROLE_VIEWER], "GET", "/api/vms", NULL);
	has(&a, 200, "vms");
}

static void test_bodies(void **state)
{
	static const struct {
		const char *body;
		int status;
		const char *says;
	} cases[] = {
		{"{\"userId\":\"a\",\"vcpus\":0}", 400,
		 "request.vcpus: found 0, expected an integer from 1 to 32"},
		{"{\"userId\":\"a\",\"vcpus\":0.5}", 400,
		 "request.vcpus: found 0.5, expected an integer from 1 to 32"},
		{"{\"userId\":\"a\",\"vcpus\":10000}", 400,
		 "request.vcpus: found 10000, expected an integer from 1 to 32"},
		{"{\"userId\":\"a\",\"vcpus\":\"2\"}", 400, "found a string"},
		{"{\"vcpu\":1}", 400, "unknown field \\\"vcpu\\\""},
		{"{\"name\":\"a\",\"name\":\"b\"}", 400, "json.syntax"},
		{"{\"userId\":\"a\",\"transport\":\"usb\"}", 400, "\\\"pci\\\" \\\"mmio\\\""},
		{"{\"userId\":\"a\",\"labels\":[]}", 400, "expected an object"},
		{"{", 400, "json.syntax"},
		{"[]", 400, "expected an object"},
		{"{\"userId\":\"\"}", 400, "request.userId"},
		{"{\"userId\":\"a\",\"vcpus\":null}", 400, "request.vcpus: found null"},
		{"{\"vmType\":\"cli\"}", 400, "request.userId: missing"},
		{"", 400, "request body: empty"},
		{"{\"userId\":\"a\",\"vmType\":\"cli\"}", 202, "\"userId\":\"a\""},
	};
	struct rest_fixture *f = *state;

	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		auto_answer a = rest_call(f, "POST", "/api/vms/create", "", cases[i].body);

		has(&a, cases[i].status, cases[i].says);
	}
}

static void test_requests(void **state)
{
	static const struct {
		const char *method, *path, *headers, *body;
		int status;
		const char *says;
	} cases[] = {
		{"POST", "/api/vms", "Content-Type: text/plain\r\n", "{}", 415,
		 "http.content-type"},
		{"POST", "/api/vms", "Content-Type: application/json; charset=utf-8\r\n",
		 "{\"userId\":\"a\"}", 202, "vm-"},
		{"GET", "/api/vms?colour=red", "", NULL, 400,
		 "query parameter \\\"colour\\\": unknown"},
		{"GET", "/api/vms?limit=1&limit=2", "", NULL, 400, "given twice"},
		{"GET", "/api/vms?limit", "", NULL, 400, "has no value"},
		{"GET", "/api/vms?limit=x", "", NULL, 400, "expected an integer from 0 to 4096"},
		{"GET", "/api/vms?state=happy", "", NULL, 400,
		 "expected one of creating, starting"},
		{"GET", "/api/vms?label=x", "", NULL, 400, "expected key=value"},
		{"POST", "/api/vms?wait=gone", "", "{}", 400, "expected network or ready"},
		{"POST", "/api/vms?wait=ready&timeout=2days", "", "{}", 400, "at most 1h"},
		{"POST", "/api/vms?timeout=99h", "", "{}", 400, "at most 1h"},
		{"POST", "/api/vms/x/start", "", NULL, 404, "vm.absent"},
		{"GET", "/api/images/none", "", NULL, 404, "image.absent"},
		{"POST", "/api/images", "", "{\"name\":\"x\"}", 400,
		 "expected recipe, or kernel and rootfs"},
		{"POST", "/api/images", "", "{\"name\":\"x\",\"recipe\":\"base\"}", 202, "job-"},
		{"POST", "/api/networks", "", "{\"name\":\"n\",\"cidr\":\"10.0.0.0\"}", 400,
		 "request.cidr"},
		{"POST", "/api/networks", "",
		 "{\"name\":\"n\",\"cidr\":\"10.7.0.0/24\",\"dns\":[1]}", 400, "request.dns"},
		{"POST", "/api/networks", "", "{\"name\":\"n\",\"cidr\":\"10.7.0.0/24\"}", 201,
		 "\"n\""},
		{"DELETE", "/api/networks/n", "", NULL, 204, ""},
		{"GET", "/api/vms/\xff\xfe", "", NULL, 404, "??"},
	};
	struct rest_fixture *f = *state;

	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		auto_answer a = rest_call(f, cases[i].method, cases[i].path, cases[i].headers,
					  cases[i].body);

		has(&a, cases[i].status, cases[i].says);
	}
}

static char *filled(size_t n)
{
	static const char body[] = "{\"userId\":\"a\"}";
	char *text = mem_zalloc(n + 1);

	assert_non_null(text);
	memset(text, ' ', n);
	memcpy(text, body, sizeof(body) - 1);
	return text;
}

/* The body may have BODY_MAX bytes; one more is 413, and the client gets to read it. */
static void test_body_limit(void **state)
{
	struct rest_fixture *f = *state;
	auto_free char *most = filled(BODY_MAX), *more = filled(BODY_MAX + 1);
	auto_answer fits = rest_call(f, "POST", "/api/vms", "", most);
	auto_answer large = rest_call(f, "POST", "/api/vms", "", more);
	auto_answer absurd =
		rest_call(f, "POST", "/api/vms", "Content-Length: 99999999999\r\n", NULL);

	has(&fits, 202, "vm-");
	has(&large, 413, "http.body-too-large");
	has(&absurd, 413, "http.body-too-large");
}

static void test_idempotency(void **state)
{
	struct rest_fixture *f = *state;
	const char *key = "Idempotency-Key: k1\r\n";
	auto_answer one =
		rest_call(f, "POST", "/api/vms", key, "{\"userId\":\"u\",\"name\":\"a\"}");
	auto_answer two =
		rest_call(f, "POST", "/api/vms", key, "{\"userId\":\"u\",\"name\":\"a\"}");
	auto_answer three =
		rest_call(f, "POST", "/api/vms", key, "{\"userId\":\"u\",\"name\":\"b\"}");
	auto_answer empty =
		rest_call(f, "POST", "/api/vms", "Idempotency-Key:\r\n", "{\"userId\":\"u\"}");
	char id[32], again[32];

	has(&two, 202, "Idempotency-Replayed: true");
	rest_field(one.body, "id", id, sizeof(id));
	rest_field(two.body, "id", again, sizeof(again));
	assert_string_equal(id, again);
	has(&three, 422, "idempotency.mismatch");
	has(&empty, 400, "http.idempotency-key");
}

static void test_list(void **state)
{
	struct rest_fixture *f = *state;
	auto_answer a = rest_call(
		f, "POST", "/api/vms", "",
		"{\"name\":\"a\",\"userId\":\"u1\",\"labels\":{\"env\":\"dev\",\"x\":\"=\"}}");
	auto_answer b = rest_call(f, "POST", "/api/vms", "",
				  "{\"userId\":\"u\",\"name\":\"b\",\"vmType\":\"desktop\"}");
	auto_answer user = rest_call(f, "GET", "/api/vms?user=u1", "", NULL);
	auto_answer type = rest_call(f, "GET", "/api/vms?type=desktop&state=creating", "", NULL);
	auto_answer state_ = rest_call(f, "GET", "/api/vms?state=ready", "", NULL);
	auto_answer label = rest_call(f, "GET", "/api/vms?label=env=dev&label=x==", "", NULL);
	auto_answer other = rest_call(f, "GET", "/api/vms?label=env=dev&label=x=y", "", NULL);
	auto_answer limit = rest_call(f, "GET", "/api/vms?limit=1", "", NULL);
	auto_answer both = rest_call(f, "GET", "/api/vms", "", NULL);

	has(&a, 202, "vm-");
	has(&b, 202, "vm-");
	assert_true(strstr(user.body, "\"a\"") && !strstr(user.body, "\"b\""));
	assert_true(strstr(type.body, "\"b\"") && !strstr(type.body, "\"a\""));
	assert_string_equal(state_.body, "{\"vms\":[]}");
	assert_true(strstr(label.body, "\"a\"") && !strstr(label.body, "\"b\""));
	assert_string_equal(other.body, "{\"vms\":[]}");
	assert_true(strstr(limit.body, "\"a\"") && !strstr(limit.body, "\"b\""));
	assert_true(strstr(both.body, "\"a\"") && strstr(both.body, "},{"));
}

static void test_patch(void **state)
{
	struct rest_fixture *f = *state;
	auto_answer made =
		rest_call(f, "POST", "/api/vms", "", "{\"userId\":\"u\",\"name\":\"a\"}");
	auto_answer patched = rest_call(f, "PATCH", "/api/vms/a", "", "{\"labels\":{\"k\":\"v\"}}");
	auto_answer missing = rest_call(f, "PATCH", "/api/vms/a", "", "{}");

	has(&made, 202, "\"name\":\"a\"");
	has(&patched, 200, "\"labels\":{\"k\":\"v\"}");
	has(&missing, 400, "json.missing-field");
}

static void test_not_loopback(void **state)
{
	struct rest_fixture *f = *state;
	struct rest_conf conf = rest_test_conf;
	struct rest *second = NULL;
	struct err e;

	conf.socket_path = NULL;
	conf.tcp_addr = 0;
	assert_true(rest_new(f->loop, f->control, &conf, &second, &e) < 0);
	assert_string_equal(e.id, "listen.not-loopback");
	conf.tcp_addr = 0x7f000001;
	conf.tcp_port = rest_port(f->rest);
	assert_true(rest_new(f->loop, f->control, &conf, &second, &e) < 0);
	assert_string_equal(e.id, "listen.in-use");
	conf.tcp = false;
	conf.socket_path = f->sock;
	assert_true(rest_new(f->loop, f->control, &conf, &second, &e) < 0);
	assert_null(second);
}

static int setup_few(void **state)
{
	(void)state;
	rest_test_conf = (struct rest_conf){
		.admin_gid = (gid_t)-1, .max_connections = 3, .request_s = 1, .build = "test"};
	return rest_setup(state);
}

static bool has_three(struct rest_fixture *f, void *ctx)
{
	(void)ctx;
	return rest_connections(f->rest) == 3;
}

/* The fourth connection is told why; when one goes, another may come. */
static void test_connection_limit(void **state)
{
	struct rest_fixture *f = *state;
	int fd[3];
	auto_buf got = {0};
	auto_close int fourth = -1;

	for (unsigned i = 0; i < 3; i++)
		fd[i] = rest_connect(f, false);
	rest_until(f, has_three, NULL);
	fourth = rest_connect(f, false);
	assert_true(rest_recv(f, fourth, &got, NULL));
	assert_non_null(strstr(buf_text(&got), "503 Service Unavailable"));
	assert_non_null(strstr(buf_text(&got), "\"evidence\":[]}}"));
	for (unsigned i = 0; i < 3; i++)
		(void)close(fd[i]);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(loop_step(f->loop, 10, NULL), 0);
	auto_answer health = rest_call(f, "GET", "/api/health", "", NULL);

	has(&health, 200, "version");
}

/* A client that sends half a request is closed, and others are served meanwhile. */
static void test_slow_client(void **state)
{
	struct rest_fixture *f = *state;
	static const char half[] = "POST /api/vms HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n"
				   "Content-Type: application/json\r\n\r\n{\"na";
	auto_close int slow = rest_connect(f, false);
	auto_buf got = {0};

	rest_send(f, slow, half, sizeof(half) - 1);
	auto_answer health = rest_call(f, "GET", "/api/health", "", NULL);

	has(&health, 200, "version");
	assert_true(rest_recv(f, slow, &got, NULL));
}

static bool one_connected(struct rest_fixture *f, void *ctx)
{
	(void)ctx;
	return rest_connections(f->rest) == 1;
}

/* Half a request and the end in one piece: libmicrohttpd alone would wait for the time-out, 30 s
 * here. */
static void test_half_and_gone(void **state)
{
	struct rest_fixture *f = *state;
	auto_close int fd = rest_connect(f, false);
	auto_buf got = {0};

	assert_int_equal(send(fd, "\x16\x03\x01", 3, 0), 3);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	rest_until(f, one_connected, NULL);
	assert_true(rest_recv(f, fd, &got, NULL));
	assert_int_equal(got.len, 0);
}

/* A client that says all it has to say, and closes its side, still gets its answer. */
static void test_half_close(void **state)
{
	struct rest_fixture *f = *state;
	static const char get[] = "GET /api/health HTTP/1.0\r\n\r\n";
	auto_close int fd = rest_connect(f, false);
	auto_buf got = {0};

	assert_int_equal(send(fd, get, sizeof(get) - 1, 0), sizeof(get) - 1);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	assert_true(rest_recv(f, fd, &got, NULL));
	assert_non_null(strstr(buf_text(&got), "\"version\""));
}

/* 2,000 open connections, and every one is answered. */
static void test_many_connections(void **state)
{
	struct rest_fixture *f = *state;
	static const char get[] = "GET /api/health HTTP/1.1\r\nHost: x\r\n\r\n";
	enum { MANY = 2000 };
	auto_free int *fd = mem_calloc(MANY, sizeof(int));
	unsigned open = 0;

	while (open < MANY && (fd[open] = rest_connect(f, false)) >= 0) {
		open++;
		assert_int_equal(loop_step(f->loop, 0, NULL), 0);
	}
	assert_int_equal(open, MANY);
	for (unsigned i = 0; i < MANY; i++)
		rest_send(f, fd[i], get, sizeof(get) - 1);
	for (unsigned i = 0; i < MANY; i++) {
		auto_buf got = {0};

		assert_false(rest_recv(f, fd[i], &got, "\"version\""));
		(void)close(fd[i]);
	}
	assert_true(rest_connections(f->rest) >= MANY);
}

#define T(fn)	cmocka_unit_test_setup_teardown(fn, rest_setup, rest_teardown)
#define FEW(fn) cmocka_unit_test_setup_teardown(fn, setup_few, rest_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		T(test_routes),
		T(test_who_may),
		T(test_tokens),
		T(test_tokens_stay),
		T(test_bodies),
		T(test_requests),
		T(test_body_limit),
		T(test_idempotency),
		T(test_list),
		T(test_patch),
		T(test_not_loopback),
		FEW(test_connection_limit),
		FEW(test_slow_client),
		T(test_half_and_gone),
		T(test_half_close),
		T(test_many_connections),
	};
	struct rlimit many = {8192, 8192};

	(void)setrlimit(RLIMIT_NOFILE, &many); /* else test_many_connections says so */
	return RUN_TESTS(tests);
}
