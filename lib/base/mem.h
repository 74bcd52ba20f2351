#pragma once
/*
 * Allocation that tests can make fail: every constructor of Hearth allocates through these.
 * Memory is freed with free().  All return NULL when memory (or the injected budget) is exhausted.
 */
#include <stddef.h>

void *mem_zalloc(size_t size) __attribute__((malloc, warn_unused_result));
/* n * size, zeroed; NULL also when the product overflows. */
void *mem_calloc(size_t n, size_t size) __attribute__((malloc, warn_unused_result));
void *mem_realloc(void *p, size_t size) __attribute__((warn_unused_result));
char *mem_strdup(const char *s) __attribute__((malloc, warn_unused_result));
char *mem_strndup(const char *s, size_t n) __attribute__((malloc, warn_unused_result));
char *mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2), warn_unused_result));

/* Tests only: let `n` allocations of this thread succeed, then fail every one; -1: never fail. */
void mem_fail_after(long n);
