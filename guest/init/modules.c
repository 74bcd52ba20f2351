/*
 * The modules phase: loads what /hearth/modules lists.
 *
 * A module that cannot be loaded is reported and the boot goes on: it may not be needed, and if it
 * is, a later phase fails with the whole evidence.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "init/init.h"
#include "init/modlist.h"
#include "init/textfile.h"

#define MODULES_FILE "/hearth/modules"

static int load(const struct module *m, const char *release)
{
	char path[PATH_LEN];
	bool fits = *m->path == '/'
			    ? str_copy(path, sizeof(path), m->path)
			    : str_fmt(path, sizeof(path), "/lib/modules/%s/%s", release, m->path);
	auto_close int fd = -1;

	if (!fits)
		return -ENAMETOOLONG;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (syscall(SYS_finit_module, fd, m->params, modlist_flags(m->path)) && errno != EEXIST)
		return -errno;
	return 0;
}

int phase_modules(struct boot *b, struct line *ok, struct fault *f)
{
	static char text[MODLIST_MAX_LEN];
	static struct module modules[MODULES_MAX];
	struct utsname uts;
	int n, rc = textfile_read(MODULES_FILE, text, sizeof(text));
	uint64_t loaded = 0, failed = 0;

	(void)b;
	if (rc == -ENOENT) {
		line_str(ok, "why", "no " MODULES_FILE);
		return PHASE_SKIPPED;
	}
	if (rc < 0)
		return fault_set(f, FAULT_INTERNAL, MODULES_FILE, "%s", strerror(-rc));
	n = modlist_parse(text, modules);
	if (n < 0)
		return fault_set(f, FAULT_INTERNAL, MODULES_FILE, "more than %u modules",
				 MODULES_MAX);
	(void)uname(&uts); /* cannot fail: the pointer is good */
	for (int i = 0; i < n; i++) {
		struct line warn = {.len = 0};

		rc = load(&modules[i], uts.release);
		if (rc == 0) {
			loaded++;
			continue;
		}
		failed++;
		line_str(&warn, "module", modules[i].path);
		line_str(&warn, "why", strerror(-rc));
		line_str(&warn, "release", uts.release);
		console_line("modules", "warn", &warn);
	}
	line_u64(ok, "n", loaded);
	if (failed)
		line_u64(ok, "failed", failed);
	return 0;
}
