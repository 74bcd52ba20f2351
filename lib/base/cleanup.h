#pragma once
/*
 * Scope-bound ownership: a local that owns memory or a descriptor gives it back at the end of its
 * scope.
 *
 *	auto_free char *path = NULL;
 *	auto_close int fd = open(...);
 *	*ret_path = take_ptr(path);     hand over: the local forgets it
 *
 * AUTO(foo) works for every type that has foo_free(struct foo *).
 */
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_close(const int *fd)
{
	if (*fd >= 0)
		(void)close(*fd); /* nothing can be done about a failing close of a dying scope */
}

#define auto_free  __attribute__((cleanup(cleanup_free)))
#define auto_close __attribute__((cleanup(cleanup_close)))

/* Declare once per type, next to its foo_free: DEFINE_AUTO(foo) makes AUTO(foo) usable. */
#define DEFINE_AUTO(type)                                                                          \
	static inline void cleanup_##type(struct type **p)                                         \
	{                                                                                          \
		type##_free(*p);                                                                   \
	}
#define AUTO(type) __attribute__((cleanup(cleanup_##type))) struct type *

#define take_ptr(p)                                                                                \
	({                                                                                         \
		__typeof__(p) taken_ = (p);                                                        \
		(p) = NULL;                                                                        \
		taken_;                                                                            \
	})

#define take_fd(fd)                                                                                \
	({                                                                                         \
		int taken_ = (fd);                                                                 \
		(fd) = -1;                                                                         \
		taken_;                                                                            \
	})

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
