#pragma once
/*
 * One failure, described once, carried up without malloc.
 *
 * A function that can fail returns int: 0 or a count on success, -Exxx on failure.  If a person may
 * read the reason, its last parameter is `struct err *e`; e may be NULL.  On success *e is
 * untouched.  The caller owns the struct (normally on its stack): nothing to free, and it works
 * when memory is exhausted.  Data-path code returns -Exxx only.
 */
#include <stddef.h>

/* Who can fix it; picks the HTTP status and the exit code. */
enum err_kind {
	ERR_CALLER,  /* the request is wrong                 -> 400, exit 2 */
	ERR_ABSENT,  /* the named thing does not exist       -> 404, exit 3 */
	ERR_STATE,   /* right request, wrong moment          -> 409, exit 4 */
	ERR_HOST,    /* this host lacks something            -> 503, exit 5 */
	ERR_GUEST,   /* the guest misbehaved                 -> 502, exit 6 */
	ERR_DENIED,  /* not allowed for this caller          -> 403, exit 7 */
	ERR_LIMIT,   /* a stated limit would be exceeded     -> 429, exit 8 */
	ERR_TIMEOUT, /* not proven in the time given         -> 504, exit 9 */
	ERR_BUG,     /* we broke our own rule                -> 500, exit 70 */
	ERR_KIND_N_
};

#define ERR_TEXT_MAX   600 /* one sentence with a path (<= 255) and a reason fits */
#define ERR_REMEDY_MAX 300

struct err {
	int code;		 /* -Exxx; 0 means "no error recorded" */
	enum err_kind kind;	 /* who can fix it */
	const char *id;		 /* static, stable, grep-able, e.g. "disk.not-a-file" */
	char text[ERR_TEXT_MAX]; /* what, where, expected what; truncated, never split in UTF-8 */
	char remedy[ERR_REMEDY_MAX]; /* how to fix it, "" if the text says it all */
};

/* Record a failure and return `code`, so that callers write
 *     return err_set(e, -EISDIR, ERR_CALLER, "disk.not-a-file", "%s: is a directory", path); */
int err_set(struct err *e, int code, enum err_kind kind, const char *id, const char *fmt, ...)
	__attribute__((format(printf, 5, 6), cold));

/* As err_set with ": <strerror(errno_now)>" behind the text; code = -errno_now; kind ERR_HOST. */
int err_sys(struct err *e, int errno_now, const char *id, const char *fmt, ...)
	__attribute__((format(printf, 4, 5), cold));

/* ENOMEM in one form everywhere; returns -ENOMEM. */
int err_nomem(struct err *e) __attribute__((cold));

/* Say how to fix it; returns the recorded code. */
int err_remedy(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3), cold));

/* Put "fmt: " before the text already recorded; returns the recorded code. */
int err_prefix(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3), cold));

int err_http_status(enum err_kind kind);
int err_exit_status(enum err_kind kind);
const char *err_kind_name(enum err_kind kind); /* "caller", "absent", … */
/* ERR_KIND_N_ when no such name. */
enum err_kind err_kind_parse(const char *name);
