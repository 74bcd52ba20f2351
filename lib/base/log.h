#pragma once
/*
 * Logging in logfmt: `2026-11-23T21:30:18.123456Z info vm.started vm=vm-1a2b3c4d took_us=1240`.
 *
 * Fields are typed, so that quoting can't be forgotten:
 *	log_info("vm.started", LS("vm", id), LU("took_us", us));
 * One write(2) a line to standard error; safe from every thread.  Only main programs, the API
 * layers and the controller log above debug (CONVENTIONS.md 4).  Never log secrets or bodies.
 */
#include <stdint.h>

struct err;

enum log_level { LOG_LV_ERROR, LOG_LV_WARN, LOG_LV_INFO, LOG_LV_DEBUG, LOG_LV_N_ };

struct log_field {
	const char *key;
	enum { LOG_F_END, LOG_F_STR, LOG_F_U64, LOG_F_I64 } type;
	union {
		const char *s; /* NULL is written as "-" */
		uint64_t u;
		int64_t i;
	} v;
};

#define LS(k, val) ((struct log_field){.key = (k), .type = LOG_F_STR, .v.s = (val)})
#define LU(k, val) ((struct log_field){.key = (k), .type = LOG_F_U64, .v.u = (val)})
#define LI(k, val) ((struct log_field){.key = (k), .type = LOG_F_I64, .v.i = (val)})
/* An error's id and sentence as two fields: LE(&err). */
#define LE(err) LS("code", (err)->id), LS("error", (err)->text)

void log_init(enum log_level max, int fd);	  /* before the first thread; default: info, fd 2 */
enum log_level log_level_parse(const char *name); /* LOG_LV_N_ if unknown */

void log_write(enum log_level level, const char *event, const struct log_field *fields);

#define LOG_AT(level, event, ...)                                                                  \
	log_write(level, event, (const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){.key = 0}})
#define log_error(...) LOG_AT(LOG_LV_ERROR, __VA_ARGS__)
#define log_warn(...)  LOG_AT(LOG_LV_WARN, __VA_ARGS__)
#define log_info(...)  LOG_AT(LOG_LV_INFO, __VA_ARGS__)
#define log_debug(...) LOG_AT(LOG_LV_DEBUG, __VA_ARGS__)

/* For what a guest can trigger: at most 10 lines a second per process, the rest counted; the next
 * line that passes carries suppressed=N. */
void log_guest(const char *event, const struct log_field *fields);
uint64_t log_guest_suppressed(void);
