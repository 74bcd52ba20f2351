/*
 * Records, prefixes and classifies failures (struct err).
 * Called from everywhere, on any thread; allocates nothing.
 */
#include "base/err.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

static const struct {
	const char *name;
	int http;
	int exit;
} kinds[] = {
	[ERR_CALLER] = {"caller", 400, 2}, [ERR_ABSENT] = {"absent", 404, 3},
	[ERR_STATE] = {"state", 409, 4},   [ERR_HOST] = {"host", 503, 5},
	[ERR_GUEST] = {"guest", 502, 6},   [ERR_DENIED] = {"denied", 403, 7},
	[ERR_LIMIT] = {"limit", 429, 8},   [ERR_TIMEOUT] = {"timeout", 504, 9},
	[ERR_BUG] = {"bug", 500, 70},
};
static_assert(ARRAY_LEN(kinds) == ERR_KIND_N_, "every kind of error has a row");

/* Cut a UTF-8 text of at most cap - 1 bytes so that no character is left half. */
static void trim_utf8(char *s, size_t cap)
{
	size_t n = strnlen(s, cap), start;

	if (n < cap - 1)
		return;
	start = n;
	while (start > 0 && ((unsigned char)s[start - 1] & 0xc0) == 0x80)
		start--;
	if (start > 0 && (unsigned char)s[start - 1] >= 0xc0)
		s[start - 1] = '\0';
}

__attribute__((format(printf, 5, 0))) static void vset(struct err *e, int code, enum err_kind kind,
						       const char *id, const char *fmt, va_list ap)
{
	e->code = code;
	e->kind = kind;
	e->id = id;
	e->remedy[0] = '\0';
	(void)vsnprintf(e->text, sizeof(e->text), fmt, ap); /* truncation is the contract */
	trim_utf8(e->text, sizeof(e->text));
}

int err_set(struct err *e, int code, enum err_kind kind, const char *id, const char *fmt, ...)
{
	va_list ap;

	assert(code < 0);
	if (!e)
		return code;
	va_start(ap, fmt);
	vset(e, code, kind, id, fmt, ap);
	va_end(ap);
	return code;
}

int err_sys(struct err *e, int errno_now, const char *id, const char *fmt, ...)
{
	va_list ap;
	size_t n;

	assert(errno_now > 0);
	if (!e)
		return -errno_now;
	va_start(ap, fmt);
	vset(e, -errno_now, ERR_HOST, id, fmt, ap);
	va_end(ap);
	n = strlen(e->text);
	(void)snprintf(e->text + n, sizeof(e->text) - n, ": %s", strerror(errno_now));
	return -errno_now;
}

int err_nomem(struct err *e)
{
	return err_set(e, -ENOMEM, ERR_HOST, "host.no-memory", "out of memory");
}

int err_remedy(struct err *e, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return 0;
	va_start(ap, fmt);
	(void)vsnprintf(e->remedy, sizeof(e->remedy), fmt, ap); /* truncation is the contract */
	va_end(ap);
	trim_utf8(e->remedy, sizeof(e->remedy));
	return e->code;
}

int err_prefix(struct err *e, const char *fmt, ...)
{
	char old[ERR_TEXT_MAX];
	va_list ap;
	size_t n;

	if (!e)
		return 0;
	memcpy(old, e->text, sizeof(old));
	va_start(ap, fmt);
	(void)vsnprintf(e->text, sizeof(e->text), fmt, ap); /* truncation is the contract */
	va_end(ap);
	n = strlen(e->text);
	(void)snprintf(e->text + n, sizeof(e->text) - n, ": %.*s", (int)sizeof(old) - 1, old);
	trim_utf8(e->text, sizeof(e->text));
	return e->code;
}

int err_http_status(enum err_kind kind)
{
	return (unsigned)kind < ERR_KIND_N_ ? kinds[kind].http : 500;
}

int err_exit_status(enum err_kind kind)
{
	return (unsigned)kind < ERR_KIND_N_ ? kinds[kind].exit : 70;
}

const char *err_kind_name(enum err_kind kind)
{
	return (unsigned)kind < ERR_KIND_N_ ? kinds[kind].name : "bug";
}

enum err_kind err_kind_parse(const char *name)
{
	for (int k = 0; k < ERR_KIND_N_; k++)
		if (strcmp(kinds[k].name, name) == 0)
			return (enum err_kind)k;
	return ERR_KIND_N_;
}
