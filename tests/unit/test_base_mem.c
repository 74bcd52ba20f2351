/*
 * Tests of base/mem: injected failure, overflow, and the cleanup helpers of base/cleanup.h.
 */
#include "base/mem.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "unit.h"

static void allocates(void **state)
{
	auto_free char *z = mem_zalloc(100), *c = mem_calloc(10, 10), *s = mem_strdup("abc");
	auto_free char *n = mem_strndup("abcdef", 3), *p = mem_printf("%s-%d", "x", 7);
	static const char zero[100];

	(void)state;
	assert_memory_equal(z, zero, 100);
	assert_memory_equal(c, zero, 100);
	assert_string_equal(s, "abc");
	assert_string_equal(n, "abc");
	assert_string_equal(p, "x-7");
	s = mem_realloc(s, 1000);
	assert_string_equal(s, "abc");
}

static void refuses_products_that_overflow(void **state)
{
	volatile size_t half = SIZE_MAX / 2 + 1; /* volatile: the compiler would see it through */

	(void)state;
	assert_null(mem_calloc(half, 2));
}

static void fails_when_told(void **state)
{
	auto_free char *a = NULL, *b = NULL;

	(void)state;
	mem_fail_after(2);
	a = mem_zalloc(1);
	b = mem_strdup("b");
	assert_null(mem_zalloc(1));
	assert_null(mem_calloc(1, 1));
	assert_null(mem_realloc(NULL, 1));
	assert_null(mem_strdup("x"));
	assert_null(mem_strndup("x", 1));
	assert_null(mem_printf("x"));
	mem_fail_after(-1);
	assert_non_null(a);
	assert_non_null(b);
	a = mem_realloc(a, 10);
	assert_non_null(a);
}

static void *allocate_one(void *arg)
{
	*(void **)arg = mem_zalloc(1);
	return NULL;
}

static void spares_other_threads(void **state)
{
	auto_free void *p = NULL;
	pthread_t t;

	(void)state;
	mem_fail_after(0);
	assert_int_equal(pthread_create(&t, NULL, allocate_one, &p), 0);
	assert_int_equal(pthread_join(t, NULL), 0);
	mem_fail_after(-1);
	assert_non_null(p);
}

static int open_in_scope(int *ret_kept)
{
	auto_close int closed = open("/dev/null", O_RDONLY | O_CLOEXEC);
	auto_close int kept = open("/dev/null", O_RDONLY | O_CLOEXEC);

	*ret_kept = take_fd(kept);
	return closed;
}

static void scopes_give_back(void **state)
{
	auto_free char *from = mem_strdup("x");
	auto_free char *to = NULL;
	int kept, closed = open_in_scope(&kept);

	(void)state;
	assert_int_equal(fcntl(closed, F_GETFD), -1);
	assert_int_not_equal(fcntl(kept, F_GETFD), -1);
	assert_int_equal(close(kept), 0);
	to = take_ptr(from);
	assert_null(from);
	assert_string_equal(to, "x");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(allocates),
		cmocka_unit_test(refuses_products_that_overflow),
		cmocka_unit_test(fails_when_told),
		cmocka_unit_test(spares_other_threads),
		cmocka_unit_test(scopes_give_back),
	};

	return RUN_TESTS(tests);
}
