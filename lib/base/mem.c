/*
 * malloc with a failure budget, so that tests can exhaust memory at every single allocation.
 * Called on any thread; the budget is per thread.
 */
#include "base/mem.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local long budget = -1; /* allocations still allowed; -1: unlimited */

void mem_fail_after(long n)
{
	budget = n;
}

static bool refused(void)
{
	if (budget < 0)
		return false;
	if (budget == 0)
		return true;
	budget--;
	return false;
}

void *mem_zalloc(size_t size)
{
	return refused() ? NULL : calloc(1, size);
}

void *mem_calloc(size_t n, size_t size)
{
	size_t total;

	/* calloc checks this, too, but under AddressSanitizer by ending the program. */
	if (refused() || __builtin_mul_overflow(n, size, &total))
		return NULL;
	return calloc(1, total);
}

void *mem_realloc(void *p, size_t size)
{
	return refused() ? NULL : realloc(p, size);
}

char *mem_strdup(const char *s)
{
	return refused() ? NULL : strdup(s);
}

char *mem_strndup(const char *s, size_t n)
{
	return refused() ? NULL : strndup(s, n);
}

char *mem_printf(const char *fmt, ...)
{
	char *s = NULL;
	va_list ap;
	int n;

	if (refused())
		return NULL;
	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	return n < 0 ? NULL : s;
}
