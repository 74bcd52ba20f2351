/*
 * Tests of engine/qmp against a hostile or broken peer; the real QEMU talks in test_engine_qemu.
 */
#include "engine/qmp.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/str.h"
#include "loop/loop.h"
#include "unit.h"

#define GREETING "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n"
#define AGREED	 "{\"return\": {}, \"id\": 1}\r\n"

static char dir[64], path[128];
static struct loop *loop;
static int listener, peer;
static struct qmp *qmp;

struct owner {
	struct qmp_owner ops;
	unsigned ready_n, events_n, silent_n, loud_n, answers_n, refused_n;
	bool free_in_event;
};
static struct owner owner;

static void on_ready(struct qmp_owner *o)
{
	(void)o;
	owner.ready_n++;
}

static void on_event(struct qmp_owner *o, const char *name, const json_t *data)
{
	(void)o;
	(void)data;
	assert_string_equal(name, "X");
	owner.events_n++;
	if (owner.free_in_event) {
		qmp_free(qmp);
		qmp = NULL;
	}
}

static void on_silent(struct qmp_owner *o, bool is_silent)
{
	(void)o;
	owner.silent_n += is_silent;
	owner.loud_n += !is_silent;
}

static void on_answer(struct qmp_owner *o, const json_t *ret, const char *why)
{
	(void)o;
	owner.answers_n += ret != NULL;
	owner.refused_n += ret == NULL && why != NULL;
}

#define UNTIL(cond)                                                                                \
	do {                                                                                       \
		uint64_t due_ = clock_mono_ns() + 30 * NS_PER_S;                                   \
                                                                                                   \
		while (!(cond) && clock_mono_ns() < due_)                                          \
			assert_int_equal(loop_step(loop, 5, NULL), 0);                             \
		assert_true(cond);                                                                 \
	} while (0)

static void say(const char *text)
{
	assert_int_equal(send(peer, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static bool accepted(void)
{
	if (peer < 0)
		peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	return peer >= 0;
}

static int set_up(void **state)
{
	(void)state;
	memset(&owner, 0, sizeof(owner));
	owner.ops = (struct qmp_owner){on_ready, on_event, on_silent};
	qmp_answer_ms = 10000;
	peer = -1;
	assert_true(str_copy(dir, sizeof(dir), "/tmp/hearth-test-qmp-XXXXXX"));
	if (!mkdtemp(dir) || !str_fmt(path, sizeof(path), "%s/qmp.sock", dir) ||
	    fd_listen_unix(path, 0600, 4, &listener, NULL) || fd_set_nonblock(listener, true) ||
	    loop_new(&loop, NULL))
		return -1;
	return qmp_new(loop, path, &owner.ops, &qmp, NULL);
}

static int tear_down(void **state)
{
	(void)state;
	qmp_free(qmp);
	qmp = NULL;
	loop_free(loop);
	close(listener);
	if (peer >= 0)
		close(peer);
	return fd_remove_tree(dir, NULL);
}

static void shake_hands(void)
{
	UNTIL(accepted());
	say(GREETING AGREED);
	UNTIL(owner.ready_n > 0);
}

static void agrees_and_asks(void **state)
{
	(void)state;
	assert_int_equal(qmp_command(qmp, "query-status", NULL, on_answer), -ENOTCONN);
	shake_hands();
	assert_int_equal(qmp_command(qmp, "query-status", NULL, on_answer), 0);
	assert_int_equal(qmp_command(qmp, "nonsense", NULL, on_answer), 0);
	say("{\"event\": \"X\"}\n{\"return\": 1, \"id\": 77}\n{\"return\": {}, \"id\":");
	UNTIL(owner.events_n == 1);
	assert_int_equal(owner.answers_n, 0); /* a strange id and half a line */
	say(" 2}\n{\"error\": {\"desc\": \"no such command\"}, \"id\": 3}\n{\"return\": {}, "
	    "\"id\": 2}\n");
	UNTIL(owner.refused_n == 1);
	assert_int_equal(owner.answers_n, 1); /* once, though it came twice */
}

static void connects_again_after(const char *bytes)
{
	unsigned before = owner.ready_n;

	say(bytes);
	close(peer);
	peer = -1;
	UNTIL(accepted());
	say(GREETING "{\"return\": {}, \"id\": 2}\r\n{\"return\": {}, \"id\": 3}\r\n"
		     "{\"return\": {}, \"id\": 4}\r\n{\"return\": {}, \"id\": 5}\r\n");
	UNTIL(owner.ready_n > before);
}

static void trusts_no_line(void **state)
{
	(void)state;
	shake_hands();
	connects_again_after("");
	connects_again_after("this is no JSON\n");
	connects_again_after("[1]\n");
	connects_again_after("{\"a\":1,\"a\":2}\n");
	assert_int_equal(owner.events_n, 0);
}

static void bounds_a_line(void **state)
{
	static char flood[64 << 10];
	size_t sent = 0;
	ssize_t n = 0;

	(void)state;
	shake_hands();
	memset(flood, ' ', sizeof(flood));
	/* Far more than a line may have: it hangs up before all is sent. */
	while (sent < (8u << 20) && n >= 0) {
		n = send(peer, flood, sizeof(flood), MSG_NOSIGNAL | MSG_DONTWAIT);
		sent += n > 0 ? (size_t)n : 0;
		if (n < 0 && errno == EAGAIN)
			n = 0;
		assert_int_equal(loop_step(loop, 0, NULL), 0);
	}
	assert_true(n < 0 && errno == EPIPE);
}

static void bounds_open_commands(void **state)
{
	int rc = 0, n = 0;

	(void)state;
	shake_hands();
	while (!rc && n < 1000)
		rc = qmp_command(qmp, "query-status", NULL, on_answer) ?: (n++, 0);
	assert_int_equal(rc, -EBUSY);
	assert_int_equal(n, 16);
}

static void notices_silence(void **state)
{
	(void)state;
	qmp_answer_ms = 50;
	shake_hands();
	/* slow machines may have been silent before */
	assert_int_equal(owner.silent_n, owner.loud_n);
	assert_int_equal(qmp_command(qmp, "query-status", NULL, on_answer), 0);
	UNTIL(owner.silent_n > owner.loud_n);
	say("{\"return\": {}, \"id\": 2}\n");
	UNTIL(owner.silent_n == owner.loud_n);
	assert_int_equal(owner.answers_n, 1);
}

static void may_be_freed_by_its_owner(void **state)
{
	(void)state;
	shake_hands();
	owner.free_in_event = true;
	say("{\"event\": \"X\"}\n{\"event\": \"X\"}\n");
	UNTIL(!qmp);
	assert_int_equal(owner.events_n, 1); /* no callback after it */
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(agrees_and_asks),	 T(trusts_no_line),  T(bounds_a_line),
		T(bounds_open_commands), T(notices_silence), T(may_be_freed_by_its_owner),
	};

	return RUN_TESTS(tests);
}
