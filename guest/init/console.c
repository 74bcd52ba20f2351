/*
 * Builds and prints hearth-init's lines, quoting every value. Called by every phase, in process 1,
 * which has one thread.  Trust: values may be hostile (file system labels, command line), keys and
 * phase names are ours.
 */
#include "init/console.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/str.h"

static int console_fd = STDERR_FILENO;

static bool is_bare(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("._:/,+@%-", c));
}

static bool all_bare(const char *s)
{
	const char *p = s;

	while (is_bare((unsigned char)*p))
		p++;
	return *p == '\0' && p != s && (size_t)(p - s) <= LINE_VALUE_MAX;
}

/* Append one character in its escaped form; ret_out has room for 5 bytes. */
static size_t escape(unsigned char c, char *ret_out)
{
	static const char hex[] = "0123456789abcdef";

	if (c == '"' || c == '\\') {
		ret_out[0] = '\\';
		ret_out[1] = (char)c;
		return 2;
	}
	if (c >= 0x20 && c < 0x7f) {
		ret_out[0] = (char)c;
		return 1;
	}
	ret_out[0] = '\\';
	ret_out[1] = 'x';
	ret_out[2] = hex[c >> 4];
	ret_out[3] = hex[c & 15];
	return 4;
}

static void quote(const char *value, char ret_text[LINE_VALUE_MAX + 8])
{
	size_t n = 0;

	if (all_bare(value)) {
		memcpy(ret_text, value, strlen(value) + 1);
		return;
	}
	ret_text[n++] = '"';
	for (; *value && n < LINE_VALUE_MAX - 4; value++)
		n += escape((unsigned char)*value, ret_text + n);
	if (*value) {
		memcpy(ret_text + n, "...", 3);
		n += 3;
	}
	ret_text[n++] = '"';
	ret_text[n] = '\0';
}

void line_str(struct line *l, const char *key, const char *value)
{
	char quoted[LINE_VALUE_MAX + 8];

	quote(value, quoted);
	if (str_fmt(l->text + l->len, sizeof(l->text) - l->len, " %s=%s", key, quoted))
		l->len += strlen(l->text + l->len);
	else
		l->text[l->len] = '\0'; /* a field is whole or absent */
}

void line_fmt(struct line *l, const char *key, const char *fmt, ...)
{
	char value[LINE_VALUE_MAX + 1];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(value, sizeof(value), fmt, ap); /* cut is fine: so would be line_str */
	va_end(ap);
	line_str(l, key, value);
}

void line_u64(struct line *l, const char *key, uint64_t value)
{
	line_fmt(l, key, "%llu", (unsigned long long)value);
}

void console_open(void)
{
	int fd = open("/dev/console", O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		fd = open("/dev/kmsg", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return;
	for (int i = 0; i <= STDERR_FILENO; i++) {
		if (fd != i)
			(void)dup2(fd, i);  /* fails only for a bad fd, which it is not */
		(void)fcntl(i, F_SETFD, 0); /* these three are for the real init too */
	}
	if (fd > STDERR_FILENO)
		(void)close(fd);
	console_fd = STDERR_FILENO;
}

static void write_all(const char *p, size_t n)
{
	while (n > 0) {
		ssize_t done = write(console_fd, p, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return; /* no console: nobody to tell */
		p += done;
		n -= (size_t)done;
	}
}

void console_line(const char *phase, const char *status, const struct line *fields)
{
	char text[LINE_MAX_LEN + 80];

	/* Fits: phase and status are short words of ours. */
	(void)snprintf(text, sizeof(text), "hearth-init: phase=%s %s%.*s\n", phase, status,
		       (int)fields->len, fields->text);
	write_all(text, strlen(text));
}

void console_drain(void)
{
	(void)tcdrain(
		console_fd); /* ENOTTY on a console that is no terminal: nothing to wait for */
}
