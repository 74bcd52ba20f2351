/*
 * Runs a helper program with its output in a log file, and finds in a log the line that tells why.
 * Called by builds.  Trust: logs hold what programs and package scripts print.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/str.h"
#include "recipe/recipe_internal.h"

#define LOG_MAX	 ((size_t)64 << 20)
#define LINE_CAP 240 /* bytes of a line that an error repeats */

/* How much a line tells: 0 nothing, 1 it is some line, 2 it complains, 3 a tool's own last word. */
static int weight(const char *line)
{
	static const char *const complaints[] = {"error",  "cannot",   "can't",	   "unable",
						 "failed", "no space", "not found"};

	if (str_starts(line, "E: mmdebstrap failed") || str_starts(line, "I: ") ||
	    str_starts(line, "W: "))
		return 1; /* says that, not why */
	if (str_starts(line, "E: ") || str_starts(line, "dpkg: error") ||
	    str_starts(line, "mke2fs: "))
		return 3;
	for (size_t i = 0; i < ARRAY_LEN(complaints); i++)
		if (strcasestr(line, complaints[i]))
			return 2;
	return strspn(line, " \t\r") < strlen(line);
}

unsigned log_reason(const char *text, char *ret, size_t cap)
{
	unsigned number = 0, best = 0;
	int best_weight = 0;

	for (const char *p = text; *p; number++) {
		size_t n = strcspn(p, "\n");
		char line[LINE_CAP];
		int w;

		(void)snprintf(line, sizeof(line), "%.*s",
			       (int)(n < sizeof(line) ? n : sizeof(line) - 1), p);
		w = weight(line);
		if (w >= best_weight && w > 0) {
			best_weight = w;
			best = number + 1;
			(void)snprintf(ret, cap, "%s", line); /* cut is fine */
		}
		p += n + (p[n] == '\n');
	}
	return best;
}

static int explain(const char *program, int status, const char *path, struct err *e)
{
	char line[LINE_CAP];
	auto_buf text = {0};
	unsigned number;

	(void)fd_read_file(path, LOG_MAX, &text, NULL); /* without a log the status must do */
	number = log_reason(buf_text(&text), line, sizeof(line));
	if (!number)
		return err_set(e, -EIO, ERR_HOST, "recipe.program",
			       "%s ended with status %d and said nothing", program, status);
	return err_set(e, -EIO, ERR_HOST, "recipe.program",
		       "%s ended with status %d; line %u of %s: %s", program, status, number,
		       strrchr(path, '/') + 1, line);
}

int run_logged(const char *const *argv, const char *cwd, const char *dir, const char *log,
	       uint64_t timeout_ms, struct err *e)
{
	auto_free char *path = mem_printf("%s/%s", dir, log);
	auto_close int fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644) : -1;
	struct proc_run run = {.argv = argv, .cwd = cwd, .log_fd = fd, .timeout_ms = timeout_ms};
	int rc;

	if (!path)
		return err_nomem(e);
	if (fd < 0)
		return err_sys(e, errno, "recipe.log", "%s", path);
	rc = proc_run(&run, e);
	if (rc == -ENOENT)
		return err_remedy(e, "install the Debian package that has %s", argv[0]);
	return rc > 0 ? explain(argv[0], rc, path, e) : rc;
}
