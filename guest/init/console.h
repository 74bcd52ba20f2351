#pragma once
/*
 * The machine-readable lines that hearth-init prints, one per phase.
 *
 *	line   = "hearth-init: phase=" name SP status *(SP key "=" value) LF
 *	status = "ok" | "skip" | "warn" | "fail"
 *	value  = bare | DQUOTE *(printable ASCII but " and \ | \" | \\ | \xHH) DQUOTE
 *	bare   = 1*(ALPHA | DIGIT | one of . _ : / , + @ % -)
 *
 * Every value passes through the quoting here, so no name, label or path can end a line or forge a
 * field.  A value too long is cut and ends in "...".
 */
#include <stddef.h>
#include <stdint.h>

#define LINE_VALUE_MAX 640u  /* escaped bytes of one value: a list of a dozen disks fits */
#define LINE_MAX_LEN   3072u /* all fields of a line; four long values and the short ones */

struct line {
	char text[LINE_MAX_LEN]; /* " key=value key=value", NUL-terminated */
	size_t len;
};

void line_str(struct line *l, const char *key, const char *value);
void line_fmt(struct line *l, const char *key, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void line_u64(struct line *l, const char *key, uint64_t value);

/* Make /dev/console the place where lines go, and standard input, output and error of this process
 * and of the real init.  Without a console, lines go to the kernel log. */
void console_open(void);
/* Print one line: phase and status are words of ours, fields come from line_*. */
void console_line(const char *phase, const char *status, const struct line *fields);
/* Return when the UART has sent everything; before power-off, which would cut the last line. */
void console_drain(void);
