#pragma once
/*
 * What every unit test includes: cmocka and the headers that it needs, and small helpers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/mem.h"

#define RUN_TESTS(tests) cmocka_run_group_tests(tests, NULL, NULL)

/* Let every allocation of the expression fail in turn: first the first, then the second...  The
 * expression gives an int; it must say -ENOMEM until it gives 0, and `undo` then cleans up.  A test
 * that reaches more than 10,000 allocations never ends well. */
#define EACH_ALLOCATION_FAILS(expr, undo)                                                          \
	do {                                                                                       \
		long n_ = 0;                                                                       \
		int rc_;                                                                           \
                                                                                                   \
		do {                                                                               \
			mem_fail_after(n_++);                                                      \
			rc_ = (expr);                                                              \
			mem_fail_after(-1);                                                        \
			assert_true(rc_ == 0 || rc_ == -ENOMEM);                                   \
		} while (rc_ && n_ < 10000);                                                       \
		assert_int_equal(rc_, 0);                                                          \
		assert_true(n_ > 1); /* it does allocate */                                        \
		undo;                                                                              \
	} while (0)
