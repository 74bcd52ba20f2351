/*
 * Tests of Firecracker's API without KVM: requests as bytes, answers with the sentences that
 * clients match on, phases, and the server on a real socket.
 */
#include "fcapi/routes.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "fcapi/bodies.h"
#include "fcapi/server.h"
#include "loop/loop.h"
#include "unit.h"

#define BODY_MAX 51200u

static struct api_vm vm;
static bool paused, start_fails;

static int start(void *ctx, char *ret_why, size_t cap)
{
	(void)ctx;
	(void)snprintf(ret_why, cap, "there is no KVM here");
	return start_fails ? -1 : 0;
}

static void set_paused(void *ctx, bool on)
{
	(void)ctx;
	paused = on;
}

static bool is_paused(void *ctx)
{
	(void)ctx;
	return paused;
}

static int fresh(void **state)
{
	(void)state;
	vm = (struct api_vm){.start = start, .set_paused = set_paused, .is_paused = is_paused};
	body_defaults(&vm.config);
	paused = start_fails = false;
	return 0;
}

/* Status of a request; its answer's text in *ret, to be freed. */
static unsigned ask(const char *method, const char *path, const char *body, char **ret)
{
	auto_buf text = {0};
	struct http_request r;
	struct api_answer a;
	const char *why = "";

	(void)buf_printf(&text, "%s %s HTTP/1.1\r\nContent-Length: %zu\r\n\r\n%s", method, path,
			 strlen(body), body);
	assert_int_equal(http_parse(text.data, text.len, BODY_MAX, &r, &why), HTTP_REQUEST);
	api_handle(&vm, &r, &a);
	*ret = a.body;
	return a.status;
}

static void expect(const char *method, const char *path, const char *body, unsigned status,
		   const char *part)
{
	auto_free char *text = NULL;
	unsigned got = ask(method, path, body, &text);

	if (got != status || (part && (!text || !strstr(text, part))))
		fail_msg("%s %s %s: expected %u %s, got %u %s", method, path, body, status,
			 part ? part : "", got, text ? text : "");
	if (status == 204)
		assert_null(text);
}

static void before_the_start(void **state)
{
	(void)state;
	expect("GET", "/", "", 200, "\"state\":\"Not started\"");
	expect("GET", "//version/", "", 200, "firecracker_version");
	expect("GET", "/machine-config", "", 200, "\"vcpu_count\":1,\"mem_size_mib\":128");
	expect("GET", "/machine-config", "{}", 400, "GET request cannot have a body.");
	expect("PUT", "/machine-config", "", 400, "Empty PUT request.");
	expect("PATCH", "/machine-config", "", 400, "Empty PATCH request.");
	expect("PATCH", "/machine-config", "{}", 400, "Empty PATCH request.");
	expect("GET", "/nowhere/x", "", 400, "Invalid request method and/or path: GET nowhere.");
	expect("PATCH", "/vm", "{\"state\":\"Paused\"}", 400,
	       "The requested operation is not supported before starting the microVM.");
	expect("PUT", "/actions", "{\"action_type\":\"FlushMetrics\"}", 400, "before starting");
	expect("PUT", "/actions", "{\"action_type\":\"InstanceStart\"}", 400,
	       "Start microvm error: Cannot start microvm without kernel configuration.");
	expect("PUT", "/balloon", "{}", 400, "not supported by hearth-vmm");
	expect("GET", "/vm/config", "", 200, "\"balloon\":null");
}

static void machine_config(void **state)
{
	(void)state;
	expect("PUT", "/machine-config", "{\"vcpu_count\":2,\"mem_size_mib\":256}", 204, NULL);
	expect("PATCH", "/machine-config", "{\"mem_size_mib\":512}", 204, NULL);
	expect("GET", "/machine-config", "", 200, "\"vcpu_count\":2,\"mem_size_mib\":512");
	expect("PUT", "/machine-config", "{\"mem_size_mib\": 128}", 400,
	       "missing field `vcpu_count` at line 1 column 21.");
	expect("PUT", "/machine-config", "{\"vcpu_count\":33,\"mem_size_mib\":1}", 400,
	       "The number of vCPUs must be greater than 0, less than 32");
	expect("PUT", "/machine-config", "{\"vcpu_count\":0,\"mem_size_mib\":1}", 400, "vCPUs");
	expect("PUT", "/machine-config", "{\"vcpu_count\":256,\"mem_size_mib\":1}", 400,
	       "invalid value: integer `256`, expected u8");
	expect("PUT", "/machine-config", "{\"vcpu_count\":-1,\"mem_size_mib\":1}", 400,
	       "invalid value: integer `-1`, expected u8");
	expect("PUT", "/machine-config", "{\"vcpu_count\":\"1\",\"mem_size_mib\":1}", 400,
	       "invalid type: string \\\"1\\\", expected u8");
	expect("PUT", "/machine-config", "{\"vcpu_count\":1,\"mem_size_mib\":0}", 400,
	       "The memory size (MiB) is either 0");
	expect("PUT", "/machine-config", "{\"vcpu_count\":1,\"mem_size_mib\":1,\"x\":1}", 400,
	       "unknown field `x`, expected one of `vcpu_count`");
	expect("PUT", "/machine-config",
	       "{\"vcpu_count\":1,\"mem_size_mib\":1,\"huge_pages\":\"7M\"}", 400,
	       "unknown variant `7M`, expected one of `None`, `Transparent`, `2M`");
	expect("PUT", "/machine-config", "{\"vcpu_count\":1,", 400, "deserializing");
	expect("PUT", "/machine-config", "[1]", 400, "invalid type: sequence");
	expect("GET", "/machine-config", "", 200, "\"vcpu_count\":2,\"mem_size_mib\":512");
}

static void files(void **state)
{
	(void)state;
	expect("PUT", "/boot-source", "{\"kernel_image_path\":\"/nowhere\"}", 400,
	       "Boot source error: The kernel file cannot be opened: No such file or directory (os "
	       "error 2)");
	expect("PUT", "/boot-source",
	       "{\"kernel_image_path\":\"/dev/null\",\"boot_args\":\"a\\nb\"}", 400,
	       "command line");
	expect("PUT", "/boot-source", "{\"kernel_image_path\":\"/dev/null\"}", 204, NULL);
	expect("PUT", "/drives/a",
	       "{\"drive_id\":\"a\",\"is_root_device\":true,\"path_on_host\":\"/nowhere\"}", 400,
	       "Error manipulating the backing file: No such file or directory (os error 2) "
	       "/nowhere");
	expect("PUT", "/drives/a", "{\"drive_id\":\"b\",\"is_root_device\":true}", 400,
	       "does not match");
	expect("PUT", "/drives", "{\"drive_id\":\"b\",\"is_root_device\":true}", 400,
	       "The ID cannot be empty.");
	expect("PUT", "/drives/a", "{\"drive_id\":\"a\",\"is_root_device\":true}", 400,
	       "Invalid block config.");
	expect("PUT", "/drives/a-b", "{\"drive_id\":\"a-b\",\"is_root_device\":true}", 400,
	       "API Resource IDs can only contain alphanumeric characters and underscores.");
	expect("PUT", "/drives/b",
	       "{\"drive_id\":\"b\",\"is_root_device\":false,\"path_on_host\":\"/dev/null\"}", 204,
	       NULL);
	expect("PUT", "/drives/a",
	       "{\"drive_id\":\"a\",\"is_root_device\":true,\"path_on_host\":\"/dev/null\"}", 204,
	       NULL);
	assert_string_equal(vm.config.drives[0].id, "a"); /* the root drive goes first */
	expect("PUT", "/drives/c",
	       "{\"drive_id\":\"c\",\"is_root_device\":true,\"path_on_host\":\"/dev/null\"}", 400,
	       "A root block device already exists!");
	assert_int_equal(vm.config.drives_n, 2);
}

static void networks(void **state)
{
	char body[160], path[40];

	(void)state;
	expect("PUT", "/network-interfaces/n1",
	       "{\"iface_id\":\"n1\",\"host_dev_name\":\"t1\",\"guest_mac\":\"06:00:00:00:00:01\"}",
	       204, NULL);
	expect("PUT", "/network-interfaces/n2",
	       "{\"iface_id\":\"n2\",\"host_dev_name\":\"t2\",\"guest_mac\":\"06:00:00:00:00:01\"}",
	       400, "The MAC address is already in use: 06:00:00:00:00:01");
	expect("PUT", "/network-interfaces/n2", "{\"iface_id\":\"n2\",\"host_dev_name\":\"t1\"}",
	       400, "Resource busy");
	expect("PUT", "/network-interfaces/n2",
	       "{\"iface_id\":\"n2\",\"host_dev_name\":\"t2\",\"mtu\":67}", 400, "MTU");
	for (unsigned i = 2; i <= VM_NETS_MAX + 1; i++) {
		(void)snprintf(path, sizeof(path), "/network-interfaces/n%u", i);
		(void)snprintf(body, sizeof(body),
			       "{\"iface_id\":\"n%u\",\"host_dev_name\":\"t%u\"}", i, i);
		expect("PUT", path, body, i <= VM_NETS_MAX ? 204 : 400, NULL);
	}
	assert_int_equal(vm.config.nets_n, VM_NETS_MAX);
}

static void after_the_start(void **state)
{
	static const char go[] = "{\"action_type\":\"InstanceStart\"}";

	(void)state;
	expect("PUT", "/boot-source", "{\"kernel_image_path\":\"/dev/null\"}", 204, NULL);
	start_fails = true;
	expect("PUT", "/actions", go, 400, "Start microvm error: there is no KVM here");
	expect("GET", "/", "", 200, "Not started");
	start_fails = false;
	expect("PUT", "/actions", go, 204, NULL);
	expect("GET", "/", "", 200, "\"state\":\"Running\"");
	expect("PUT", "/actions", go, 400, "not supported after starting the microVM.");
	expect("PUT", "/machine-config", "{\"vcpu_count\":1,\"mem_size_mib\":1}", 400,
	       "not supported after starting the microVM.");
	expect("PATCH", "/vm", "{\"state\":\"Paused\"}", 204, NULL);
	expect("PATCH", "/vm", "{\"state\":\"Paused\"}", 204, NULL);
	expect("GET", "/", "", 200, "\"state\":\"Paused\"");
	expect("PATCH", "/vm", "{\"state\":\"Resumed\"}", 204, NULL);
	expect("PATCH", "/vm", "{\"state\":\"x\"}", 400,
	       "unknown variant `x`, expected `Paused` or `Resumed`");
}

static void http_bytes(void **state)
{
	static const struct {
		const char *text;
		enum http_result result;
	} cases[] = {
		{"", HTTP_MORE},
		{"GET / HTTP/1.1\r\n", HTTP_MORE},
		{"GET / HTTP/1.1\r\n\r\n", HTTP_REQUEST},
		{"GET / HTTP/1.0\r\nUnknown: x\r\n\r\n", HTTP_REQUEST},
		{"PUT / HTTP/1.1\r\nContent-Length: 2\r\n\r\n1", HTTP_MORE},
		{"PUT / HTTP/1.1\r\nContent-length:2\r\n\r\n12", HTTP_REQUEST},
		{"get / HTTP/1.1\r\n\r\n", HTTP_BAD},
		{"POST / HTTP/1.1\r\n\r\n", HTTP_BAD},
		{"GET / HTTP/2\r\n\r\n", HTTP_BAD},
		{"GET /\r\n\r\n", HTTP_BAD},
		{"GET / x HTTP/1.1\r\n\r\n", HTTP_BAD},
		{"GET / HTTP/1.1\r\nnothing\r\n\r\n", HTTP_BAD},
		{"PUT / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", HTTP_BAD},
		{"PUT / HTTP/1.1\r\nContent-Length: 51201\r\n\r\n", HTTP_BAD},
		{"PUT / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", HTTP_BAD},
	};
	char line[HTTP_LINE_MAX + 2];
	struct http_request r;
	const char *why;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(
			http_parse(cases[i].text, strlen(cases[i].text), BODY_MAX, &r, &why),
			cases[i].result);
	memset(line, 'x', sizeof(line));
	assert_int_equal(http_parse(line, HTTP_LINE_MAX - 1, BODY_MAX, &r, &why), HTTP_MORE);
	assert_int_equal(http_parse(line, HTTP_LINE_MAX, BODY_MAX, &r, &why), HTTP_BAD);
}

/* The answer's bytes, as far as they have come after a few rounds of the loop. */
static void exchange(struct loop *l, int fd, const char *text, char *ret, size_t cap)
{
	ssize_t n = -1;

	assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
	for (unsigned i = 0; i < 10 && n <= 0; i++) {
		assert_int_equal(loop_step(l, 0, NULL), 0);
		n = recv(fd, ret, cap - 1, MSG_DONTWAIT);
	}
	assert_true(n > 0);
	ret[n] = '\0';
}

static void server_on_a_socket(void **state)
{
	char path[64], text[1024];
	struct api_server *s, *second;
	struct loop *l;
	int fds[11];

	(void)state;
	(void)snprintf(path, sizeof(path), "/tmp/hearth-api-%d.sock", getpid());
	assert_int_equal(loop_new(&l, NULL), 0);
	assert_int_equal(api_server_new(path, BODY_MAX, &vm, l, &s, NULL), 0);
	assert_true(api_server_new(path, BODY_MAX, &vm, l, &second, NULL) < 0);
	for (unsigned i = 0; i < 11; i++) {
		assert_int_equal(fd_connect_unix(path, &fds[i], NULL), 0);
		assert_int_equal(loop_step(l, 0, NULL), 0);
	}
	assert_true(recv(fds[10], text, sizeof(text), 0) > 0);
	assert_memory_equal(text, "HTTP/1.1 503 ", 13);
	exchange(l, fds[0], "GET /version HTTP/1.1\r\n\r\nGET / HTT", text, sizeof(text));
	assert_non_null(strstr(text, "HTTP/1.1 200 \r\nServer: Firecracker API\r\n"));
	assert_non_null(strstr(text, "Content-Length: 36\r\n\r\n{\"firecracker_version\""));
	exchange(l, fds[0], "P/1.1\r\n\r\n", text, sizeof(text));
	assert_non_null(strstr(text, "anonymous-instance"));
	exchange(l, fds[1], "PUT /vm HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n",
		 text, sizeof(text));
	assert_memory_equal(text, "HTTP/1.1 100 ", 13);
	exchange(l, fds[1], "{}", text, sizeof(text));
	assert_memory_equal(text, "HTTP/1.1 400 ", 13);
	exchange(l, fds[2], "FOO / HTTP/1.1\r\n\r\n", text, sizeof(text));
	assert_non_null(strstr(text, "{ \"error\": \"Invalid HTTP Method.\nAll previous"));
	for (unsigned i = 0; i < 11; i++)
		(void)close(fds[i]);
	api_server_free(s);
	loop_free(l);
	assert_int_not_equal(access(path, F_OK), 0);
}

static void configuration_file(void **state)
{
	static const char text[] =
		"{\"boot-source\": {\"kernel_image_path\": \"/dev/null\", \"boot_args\": "
		"\"quiet\"},\n"
		" \"drives\": [{\"drive_id\": \"r\", \"is_root_device\": true, \"path_on_host\": "
		"\"/dev/null\"}],\n"
		" \"machine-config\": {\"vcpu_count\": 4, \"mem_size_mib\": 1024}, \"entropy\": "
		"{},\n"
		" \"vsock\": null, \"other\": 1}";
	char why[BODY_TEXT_MAX];

	(void)state;
	assert_int_equal(body_config_file(&vm.config, text, strlen(text), why), 0);
	assert_int_equal(vm.config.vcpus, 4);
	assert_string_equal(vm.config.boot_args, "quiet");
	assert_true(vm.config.entropy);
	assert_true(body_config_file(&vm.config, "{}", 2, why) < 0);
	assert_true(body_config_file(&vm.config, "[[[[[[[[[[[[[[[[[", 17, why) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(before_the_start, fresh),
		cmocka_unit_test_setup(machine_config, fresh),
		cmocka_unit_test_setup(files, fresh),
		cmocka_unit_test_setup(networks, fresh),
		cmocka_unit_test_setup(after_the_start, fresh),
		cmocka_unit_test_setup(http_bytes, fresh),
		cmocka_unit_test_setup(server_on_a_socket, fresh),
		cmocka_unit_test_setup(configuration_file, fresh),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
