#pragma once
/*
 * A private directory per test program and small files in it, for tests of host/image and
 * host/recipe.
 */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/fd.h"

static char tmp_dir[64];
static struct err err;

static inline int tmp_make(void **state)
{
	(void)state;
	(void)snprintf(tmp_dir, sizeof(tmp_dir), "/tmp/hearth-image-XXXXXX");
	return mkdtemp(tmp_dir) ? 0 : -1;
}

static inline int tmp_remove(void **state)
{
	(void)state;
	return fd_remove_tree(tmp_dir, NULL);
}

/* <tmp_dir>/<name>, in one of a few static buffers. */
static inline const char *tmp_path(const char *name)
{
	static char paths[8][256];
	static unsigned next;
	char *p = paths[next++ % 8];

	(void)snprintf(p, sizeof(paths[0]), "%s/%s", tmp_dir, name);
	return p;
}

static inline const char *tmp_file(const char *name, const void *data, size_t len)
{
	const char *path = tmp_path(name);

	memset(&err, 0, sizeof(err));
	if (fd_replace_file(path, data, len, 0644, &err))
		fail_msg("%s", err.text);
	return path;
}

static inline const char *tmp_text(const char *name, const char *text)
{
	return tmp_file(name, text, strlen(text));
}
