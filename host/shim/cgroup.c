/*
 * Control groups of one VM.  Called by hearth-shim's main, before, between and after the engine's
 * life. Sources: Linux Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/{memory,pids}.rst.
 */
#include "shim/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/parse.h"
#include "base/str.h"
#include "shim/job.h"

#define PROC_MAX (1u << 20) /* mountinfo of a container host is some 100 KiB */

/* One mounted hierarchy that matters to us. */
struct hierarchy {
	bool v2;
	char controllers[128]; /* v1: "memory", "cpu,cpuacct", "name=systemd" */
	char base[384];	       /* <mount point>/<parent of our own group>/hearth */
};

static int put_text(const char *dir, const char *file, const char *text)
{
	char path[640];
	auto_close int fd = -1;

	if (!str_fmt(path, sizeof(path), "%s/%s", dir, file))
		return -ENAMETOOLONG;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

static void put_limit(const char *dir, const char *file, int64_t value, struct buf *notes)
{
	char text[24];
	int rc;

	if (!value)
		return;
	(void)snprintf(text, sizeof(text), "%" PRId64, value); /* fits */
	rc = put_text(dir, file, text);
	if (rc)
		(void)buf_printf(notes, "no %s: %s; ", file,
				 strerror(-rc)); /* a note may be lost */
}

/* Our own group in the hierarchy: the path of the line of /proc/self/cgroup that names it. */
static bool own_group(const char *cgroup_text, const struct hierarchy *h, char *ret, size_t cap)
{
	char line[1024];

	for (const char *p = cgroup_text; *p; p += strcspn(p, "\n"), p += *p == '\n') {
		size_t n = strcspn(p, "\n");
		char *list, *path;

		if (n >= sizeof(line))
			continue;
		memcpy(line, p, n);
		line[n] = '\0';
		list = strchr(line, ':');
		path = list ? strchr(list + 1, ':') : NULL;
		if (!path)
			continue;
		*list++ = '\0';
		*path++ = '\0';
		if (h->v2 ? str_eq(line, "0") : str_eq(list, h->controllers))
			return str_copy(ret, cap, path);
	}
	return false;
}

/* <mount>/<parent of own group>/hearth.  Inside a container the mount's root may itself be deep. */
static bool make_base(struct hierarchy *h, const char *mount, const char *root, char *own)
{
	size_t n = strlen(root);
	char *slash;

	if (n > 1 && strncmp(own, root, n) == 0)
		memmove(own, own + n, strlen(own + n) + 1);
	slash = strrchr(own, '/');
	if (slash)
		*slash = '\0';
	return str_fmt(h->base, sizeof(h->base), "%s%s/hearth", mount, own);
}

static bool v1_wanted(const char *options)
{
	char copy[256], *pos = copy, *word;

	if (!str_copy(copy, sizeof(copy), options))
		return false;
	while ((word = str_word(&pos, ",")))
		if (str_eq(word, "memory") || str_eq(word, "pids") || str_eq(word, "cpu") ||
		    str_eq(word, "name=systemd"))
			return true;
	return false;
}

/* The controllers of a v1 mount as /proc/self/cgroup writes them: its options without the flags. */
static bool v1_controllers(const char *options, char *ret, size_t cap)
{
	char copy[256], *pos = copy, *word;
	size_t len = 0;

	if (!str_copy(copy, sizeof(copy), options))
		return false;
	ret[0] = '\0';
	while ((word = str_word(&pos, ","))) {
		if (str_eq(word, "rw") || str_eq(word, "ro") || str_eq(word, "xattr") ||
		    str_eq(word, "clone_children") || str_starts(word, "release_agent="))
			continue;
		if (!str_fmt(ret + len, cap - len, "%s%s", len ? "," : "", word))
			return false;
		len += strlen(ret + len);
	}
	return true;
}

/* One line of /proc/self/mountinfo (proc(5)): is it a hierarchy of interest? */
static bool parse_mount(const char *line, const char *cgroup_text, struct hierarchy *ret)
{
	char root[256], mount[256], type[32], options[256], own[384];
	const char *dash = strstr(line, " - ");

	if (!dash || sscanf(line, "%*d %*d %*s %255s %255s", root, mount) != 2 ||
	    sscanf(dash, " - %31s %*s %255s", type, options) != 2)
		return false;
	ret->v2 = str_eq(type, "cgroup2");
	if (!ret->v2 && (!str_eq(type, "cgroup") || !v1_wanted(options) ||
			 !v1_controllers(options, ret->controllers, sizeof(ret->controllers))))
		return false;
	return own_group(cgroup_text, ret, own, sizeof(own)) && make_base(ret, mount, root, own);
}

/* cgroup v2: a group has a controller only when its parent hands it down. */
static void v2_enable(const char *dir)
{
	static const char *const wanted[] = {"+memory", "+pids", "+cpu"};

	for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
		(void)put_text(dir, "cgroup.subtree_control", wanted[i]); /* the limits report it */
}

static void v2_limits(const char *dir, const struct job *j, struct buf *notes)
{
	put_limit(dir, "memory.max", j->memory_bytes, notes);
	put_limit(dir, "pids.max", j->pids, notes);
	put_limit(dir, "cpu.weight", j->cpu_weight, notes);
}

static void v1_limits(const struct hierarchy *h, const char *dir, const struct job *j,
		      struct buf *notes)
{
	if (strstr(h->controllers, "memory"))
		put_limit(dir, "memory.limit_in_bytes", j->memory_bytes, notes);
	if (strstr(h->controllers, "pids"))
		put_limit(dir, "pids.max", j->pids, notes);
	/* Weight 100 of v2 is 1024 shares of v1. */
	if (str_starts(h->controllers, "cpu"))
		put_limit(dir, "cpu.shares", j->cpu_weight * 1024 / 100, notes);
}

static bool make_dir(const char *path, struct buf *notes)
{
	if (mkdir(path, 0755) == 0 || errno == EEXIST)
		return true;
	(void)buf_printf(notes, "no control group %s: %s; ", path, strerror(errno));
	return false;
}

/* Does the host give v2 controllers at all?  On a hybrid host they are on v1, which is no fault. */
static bool v2_has_memory(const char *base)
{
	auto_buf text = {0};
	char path[640];

	return str_fmt(path, sizeof(path), "%s/cgroup.controllers", base) &&
	       fd_read_file(path, 4096, &text, NULL) == 0 && strstr(buf_text(&text), "memory");
}

static void make_one(const struct hierarchy *h, const struct job *j, struct cgroups *g,
		     struct buf *notes)
{
	struct cgroup_tree *t = &g->at[g->n];
	char parent[384], procs[640];

	t->path[0] = '\0';
	t->procs_fd = -1;
	(void)snprintf(parent, sizeof(parent), "%s", h->base); /* same size */
	*strrchr(parent, '/') = '\0';
	if (!str_fmt(t->shims, sizeof(t->shims), "%s/shims", h->base) ||
	    !make_dir(h->base, notes) || !make_dir(t->shims, notes))
		return;
	g->n++;
	if (h->v2) {
		v2_enable(parent);
		v2_enable(h->base);
	}
	if (!j->cgroup[0] || !str_fmt(t->path, sizeof(t->path), "%s/%s", h->base, j->cgroup) ||
	    !make_dir(t->path, notes)) {
		t->path[0] = '\0';
		return;
	}
	if (!h->v2)
		v1_limits(h, t->path, j, notes);
	else if (v2_has_memory(t->path))
		v2_limits(t->path, j, notes);
	(void)snprintf(procs, sizeof(procs), "%s/cgroup.procs", t->path); /* fits */
	t->procs_fd = open(procs, O_WRONLY | O_CLOEXEC);
}

void cgroups_make(const struct job *j, struct cgroups *ret, struct buf *notes)
{
	auto_buf mounts = {0}, own = {0};
	char *pos, *line;

	ret->n = 0;
	if (strchr(j->cgroup, '/') || str_starts(j->cgroup, ".") || str_eq(j->cgroup, "shims")) {
		(void)buf_printf(notes, "no control group: bad name %s; ", j->cgroup);
		return;
	}
	if (fd_read_file("/proc/self/mountinfo", PROC_MAX, &mounts, NULL) || !mounts.data ||
	    fd_read_file("/proc/self/cgroup", PROC_MAX, &own, NULL)) {
		(void)buf_puts(notes, "no control groups: /proc is unreadable; ");
		return;
	}
	pos = mounts.data;
	while (ret->n < CGROUP_TREES && (line = str_word(&pos, "\n"))) {
		struct hierarchy h = {0};

		if (parse_mount(line, buf_text(&own), &h))
			make_one(&h, j, ret, notes);
	}
	if (!ret->n && j->cgroup[0])
		(void)buf_puts(notes, "no control group: none is mounted or writable; ");
}

void cgroups_enter(const struct cgroups *g, pid_t pid)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%d", (int)pid); /* fits */

	for (int i = 0; i < g->n; i++)
		if (g->at[i].procs_fd >= 0) /* never fatal; limits are a second wall */
			(void)!write(g->at[i].procs_fd, text, (size_t)n);
}

void cgroups_join_shims(const struct cgroups *g)
{
	for (int i = 0; i < g->n; i++)
		(void)put_text(g->at[i].shims, "cgroup.procs", "0"); /* then we stay where we are */
}

/* The number behind "oom_kill " in a file of the group; 0 if there is none. */
static uint64_t oom_count(const char *dir, const char *file)
{
	auto_buf text = {0};
	char path[640], *at;
	uint64_t n;

	if (!str_fmt(path, sizeof(path), "%s/%s", dir, file) ||
	    fd_read_file(path, 4096, &text, NULL) || !text.data)
		return 0;
	at = strstr(text.data, "oom_kill ");
	if (!at)
		return 0;
	at += strlen("oom_kill ");
	at[strcspn(at, "\n")] = '\0';
	return parse_u64(at, 0, UINT64_MAX, &n) ? 0 : n;
}

uint64_t cgroups_oom_kills(const struct cgroups *g)
{
	uint64_t n = 0;

	for (int i = 0; i < g->n; i++)
		if (g->at[i].path[0])
			n += oom_count(g->at[i].path, "memory.events") +
			     oom_count(g->at[i].path, "memory.oom_control");
	return n;
}

void cgroups_remove(struct cgroups *g)
{
	for (int i = 0; i < g->n; i++) {
		if (g->at[i].procs_fd >= 0)
			(void)close(take_fd(g->at[i].procs_fd)); /* nothing was buffered */
		if (g->at[i].path[0])
			/* a later start of the VM finds and uses it again */
			(void)rmdir(g->at[i].path);
	}
	g->n = 0;
}
