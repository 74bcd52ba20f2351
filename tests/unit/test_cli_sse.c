/*
 * Tests cli/sse.c against the rules of the HTML standard (sec. 9.2.6), in pieces of every size.
 */
#include "unit.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "cli/sse.h"

static int collect(void *ctx, const char *event, const char *id, const char *data, size_t len)
{
	struct buf *out = ctx;

	assert_int_equal(strlen(data), len);
	return buf_printf(out, "[%s|%s|%s]", event, id, data);
}

static void gives(const char *in, size_t len, const char *expected)
{
	for (size_t step = 1; step <= len; step++) {
		auto_sse s = {0};
		auto_buf out = {0};

		for (size_t i = 0; i < len; i += step)
			assert_int_equal(sse_feed(&s, in + i, len - i < step ? len - i : step,
						  collect, &out),
					 0);
		assert_string_equal(buf_text(&out), expected);
	}
}

#define GIVES(in, expected) gives(in, sizeof(in) - 1, expected)

static void test_events(void **state)
{
	(void)state;
	GIVES("id: 7\nevent: state\ndata: {\"a\":1}\n\n", "[state|7|{\"a\":1}]");
	GIVES("data: one\n\ndata: two\n\n", "[message||one][message||two]");
	GIVES("id: 1\ndata: x\n\ndata: y\n\n", "[message|1|x][message|1|y]"); /* the id stays */
	GIVES("event: e\ndata: x\n\ndata: y\n\n", "[e||x][message||y]"); /* the kind does not */
}

static void test_line_ends(void **state)
{
	(void)state;
	GIVES("data: a\r\ndata: b\r\n\r\n", "[message||a\nb]");
	GIVES("data: a\rdata: b\r\r", "[message||a\nb]");
	GIVES("data: a\r\n\rdata: b\n\n", "[message||a][message||b]");
}

static void test_fields(void **state)
{
	(void)state;
	GIVES("data:x\n\n", "[message||x]");
	GIVES("data:  x\n\n", "[message|| x]"); /* one blank only */
	GIVES("data\n\n", "[message||]");
	GIVES("data\ndata\n\n", "[message||\n]");
	GIVES(":heartbeat\n\n: another\n\n", "");
	GIVES("retry: 10\nunknown: x\ndata: y\n\n", "[message||y]");
	GIVES("event: nothing\n\n", "");
	GIVES("data: cut off", "");
	GIVES("data: not ended\n", "");
	GIVES("\xef\xbb\xbf"
	      "data: x\n\n",
	      "[message||x]");
	GIVES("\n\xef\xbb\xbf"
	      "data: x\n\n",
	      ""); /* only at the very beginning */
}

static int stop(void *ctx, const char *event, const char *id, const char *data, size_t len)
{
	unsigned *calls = ctx;

	(void)event;
	(void)id;
	(void)data;
	(void)len;
	(*calls)++;
	return -ECANCELED;
}

static void test_ends_the_walk(void **state)
{
	auto_sse s = {0};
	unsigned calls = 0;

	(void)state;
	assert_int_equal(sse_feed(&s, "data: x\n\ndata: y\n\n", 18, stop, &calls), -ECANCELED);
	assert_int_equal(calls, 1);
}

static void test_bounded(void **state)
{
	auto_sse s = {0}, t = {0};
	auto_buf out = {0};
	char *block = mem_zalloc(65536);
	int rc = 0;

	(void)state;
	assert_non_null(block);
	memset(block, 'x', 65536);
	for (unsigned i = 0; i < 64 && !rc; i++) /* one line without an end */
		rc = sse_feed(&s, block, 65536, collect, &out);
	assert_int_equal(rc, -E2BIG);
	memcpy(block, "data: ", 6);
	block[65535] = '\n';
	for (unsigned i = rc = 0; i < 64 && !rc; i++) /* an event without an end */
		rc = sse_feed(&t, block, 65536, collect, &out);
	assert_int_equal(rc, -E2BIG);
	free(block);
}

static void test_long_names(void **state)
{
	auto_sse s = {0};
	auto_buf in = {0}, out = {0};

	(void)state;
	assert_int_equal(
		buf_printf(&in, "event: %0*d\nid: %0*d\ndata: x\n\n", SSE_NAME_MAX, 0, 500, 0), 0);
	assert_int_equal(sse_feed(&s, in.data, in.len, collect, &out), 0);
	assert_string_equal(buf_text(&out), "[message||x]");
}

static int feed_all(void)
{
	static const char in[] = "event: a\ndata: b\ndata: c\n\n";
	auto_sse s = {0};
	auto_buf out = {0};

	return sse_feed(&s, in, sizeof(in) - 1, collect, &out);
}

static void test_without_memory(void **state)
{
	(void)state;
	EACH_ALLOCATION_FAILS(feed_all(), (void)0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_events),	       cmocka_unit_test(test_line_ends),
		cmocka_unit_test(test_fields),	       cmocka_unit_test(test_ends_the_walk),
		cmocka_unit_test(test_bounded),	       cmocka_unit_test(test_long_names),
		cmocka_unit_test(test_without_memory),
	};

	return RUN_TESTS(tests);
}
