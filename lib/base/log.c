/*
 * Writes log lines in logfmt to one descriptor, with a rate limit for what guests can trigger.
 * Called from everywhere; every line is one write(2), so threads never mix within a line.
 */
#include "base/log.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/str.h"

#define LINE_MAX_LEN	  4096 /* PIPE_BUF: a line written to a pipe stays whole */
#define GUEST_LINES_PER_S 10   /* enough to see what a guest does, too few to fill a disk */

static const char *const level_names[] = {
	[LOG_LV_ERROR] = "error",
	[LOG_LV_WARN] = "warn",
	[LOG_LV_INFO] = "info",
	[LOG_LV_DEBUG] = "debug",
};
_Static_assert(ARRAY_LEN(level_names) == LOG_LV_N_, "every level has a name");

static enum log_level max_level = LOG_LV_INFO;
static int out_fd = STDERR_FILENO;

struct line {
	char text[LINE_MAX_LEN];
	size_t len;
};

void log_init(enum log_level max, int fd)
{
	max_level = max;
	out_fd = fd;
}

enum log_level log_level_parse(const char *name)
{
	int i = str_index(level_names, ARRAY_LEN(level_names), name);

	return i < 0 ? LOG_LV_N_ : (enum log_level)i;
}

static void put(struct line *l, const char *s, size_t n)
{
	size_t left = sizeof(l->text) - 1 - l->len; /* one byte is kept for the newline */

	if (n > left)
		n = left;
	memcpy(l->text + l->len, s, n);
	l->len += n;
}

static bool is_plain(const char *s)
{
	if (!*s)
		return false;
	for (; *s; s++)
		if ((unsigned char)*s <= ' ' || *s == '"' || *s == '=' || *s == '\\' || *s == 0x7f)
			return false;
	return true;
}

static void put_value(struct line *l, const char *s)
{
	if (is_plain(s)) {
		put(l, s, strlen(s));
		return;
	}
	put(l, "\"", 1);
	for (; *s; s++) {
		char hex[8];

		if (*s == '"' || *s == '\\')
			put(l, "\\", 1);
		if (*s == '\n') {
			put(l, "\\n", 2);
		} else if ((unsigned char)*s < ' ' || *s == 0x7f) {
			(void)snprintf(hex, sizeof(hex), "\\x%02x", (unsigned char)*s); /* fits */
			put(l, hex, 4);
		} else {
			put(l, s, 1);
		}
	}
	put(l, "\"", 1);
}

static void put_field(struct line *l, const struct log_field *f)
{
	char num[24];

	put(l, " ", 1);
	put(l, f->key, strlen(f->key));
	put(l, "=", 1);
	switch (f->type) {
	case LOG_F_STR:
		put_value(l, f->v.s ? f->v.s : "-");
		return;
	case LOG_F_U64:
		(void)snprintf(num, sizeof(num), "%llu", (unsigned long long)f->v.u); /* fits */
		break;
	case LOG_F_I64:
	case LOG_F_END:
		(void)snprintf(num, sizeof(num), "%lld", (long long)f->v.i); /* fits */
		break;
	}
	put(l, num, strlen(num));
}

static void write_line(enum log_level level, const char *event, const struct log_field *fields,
		       uint64_t suppressed)
{
	char when[CLOCK_TEXT_LEN];
	struct line l = {.len = 0};

	clock_text(clock_wall_us(), when);
	put(&l, when, strlen(when));
	put(&l, " ", 1);
	put(&l, level_names[level], strlen(level_names[level]));
	put(&l, " ", 1);
	put(&l, event, strlen(event));
	for (; fields->type != LOG_F_END; fields++)
		put_field(&l, fields);
	if (suppressed)
		put_field(&l, &LU("suppressed", suppressed));
	l.text[l.len++] = '\n';
	while (write(out_fd, l.text, l.len) < 0 && errno == EINTR)
		continue; /* any other failure: there is nowhere left to say so */
}

void log_write(enum log_level level, const char *event, const struct log_field *fields)
{
	if (level <= max_level)
		write_line(level, event, fields, 0);
}

static _Atomic uint64_t guest_second, guest_lines, guest_skipped, guest_skipped_ever;

void log_guest(const char *event, const struct log_field *fields)
{
	uint64_t now = clock_mono_ns() / NS_PER_S;

	if (atomic_exchange(&guest_second, now) != now)
		atomic_store(&guest_lines, 0);
	if (atomic_fetch_add(&guest_lines, 1) >= GUEST_LINES_PER_S) {
		atomic_fetch_add(&guest_skipped, 1);
		atomic_fetch_add(&guest_skipped_ever, 1);
		return;
	}
	write_line(LOG_LV_WARN, event, fields, atomic_exchange(&guest_skipped, 0));
}

uint64_t log_guest_suppressed(void)
{
	return atomic_load(&guest_skipped_ever);
}
