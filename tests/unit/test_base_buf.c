/*
 * Tests of base/buf: growth, the ceiling, failed allocation, hand-over.
 */
#include "base/buf.h"

#include <errno.h>
#include <string.h>

#include "unit.h"

static void appends_and_terminates(void **state)
{
	auto_buf b = {0};

	(void)state;
	assert_string_equal(buf_text(&b), "");
	assert_int_equal(buf_puts(&b, "one "), 0);
	assert_int_equal(buf_printf(&b, "%d-%s", 2, "x"), 0);
	assert_int_equal(buf_add(&b, "\0z", 2), 0);
	assert_int_equal(b.len, 9);
	assert_memory_equal(b.data, "one 2-x\0z", 10);
	buf_drop(&b, 4);
	assert_memory_equal(b.data, "2-x\0z", 6);
	buf_drop(&b, 99);
	assert_string_equal(buf_text(&b), "");
	assert_int_equal(b.len, 0);
}

static void grows_over_many_sizes(void **state)
{
	auto_buf b = {0};

	(void)state;
	for (unsigned i = 0; i < 100000; i++)
		assert_int_equal(buf_add(&b, &(char){(char)i}, 1), 0);
	assert_int_equal(b.len, 100000);
	for (unsigned i = 0; i < 100000; i++)
		assert_int_equal(b.data[i], (char)i);
	assert_int_equal(b.data[b.len], 0);
}

static void stops_at_the_ceiling(void **state)
{
	auto_buf b = {.max = 10};

	(void)state;
	assert_int_equal(buf_puts(&b, "0123456789"), 0);
	assert_false(b.failed);
	assert_int_equal(buf_puts(&b, "x"), -E2BIG);
	assert_int_equal(buf_printf(&b, "%s", "x"), -E2BIG);
	assert_null(buf_room(&b, 1));
	assert_true(b.failed);
	assert_string_equal(buf_text(&b), "0123456789");
	assert_int_equal(buf_add(&b, "x", SIZE_MAX), -E2BIG);
	assert_int_equal(buf_add(&b, "", 0), 0);
	buf_reset(&b);
	assert_false(b.failed);
	assert_int_equal(buf_puts(&b, "0123456789"), 0);
}

static void survives_lack_of_memory(void **state)
{
	auto_buf b = {0};
	char *text;

	(void)state;
	assert_int_equal(buf_puts(&b, "kept"), 0);
	mem_fail_after(0);
	assert_int_equal(buf_printf(&b, "%300d", 1), -ENOMEM);
	assert_null(buf_room(&b, 1000));
	mem_fail_after(-1);
	assert_string_equal(buf_text(&b), "kept");
	assert_true(b.failed);
	buf_done(&b);
	assert_false(b.failed);
	mem_fail_after(0);
	text = buf_take(&b);
	mem_fail_after(-1);
	assert_null(text);
}

static void hands_over(void **state)
{
	auto_buf b = {0};
	auto_free char *text = NULL, *empty = NULL;
	char *room;

	(void)state;
	room = buf_room(&b, 3);
	assert_non_null(room);
	memcpy(room, "abc", 3);
	b.len += 3;
	text = buf_take(&b);
	assert_string_equal(text, "abc");
	assert_null(b.data);
	assert_int_equal(b.len, 0);
	empty = buf_take(&b);
	assert_string_equal(empty, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(appends_and_terminates),
		cmocka_unit_test(grows_over_many_sizes),
		cmocka_unit_test(stops_at_the_ceiling),
		cmocka_unit_test(survives_lack_of_memory),
		cmocka_unit_test(hands_over),
	};

	return RUN_TESTS(tests);
}
