/*
 * The modules of one kernel: which exist, which are built in, what must be loaded before what.
 *
 *	modules.dep      PATH ":" *(" " PATH)        one line a module (depmod(8), modules.dep(5))
 *	modules.builtin  PATH                        one line a driver that is part of the kernel
 *	modules.softdep  "softdep" NAME ["pre:" NAME…] ["post:" NAME…]
 *
 * Called by recipes.  Trust: the directory may be a user's and hostile; circles and sizes are
 * bounded.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/str.h"
#include "image/image_internal.h"

#define INDEX_FILE_MAX ((size_t)16 << 20) /* modules.dep of a full kernel has 0.6 MiB */
#define ENTRIES_MAX    65536u		  /* a full kernel has 4,000 modules */
#define NAME_CAP       64		  /* MODULE_NAME_LEN of Linux is 56 on 64 bits */
#define DEPTH_MAX      64u		  /* the deepest real chain has 8 links */

enum visit { UNSEEN, OPEN, DONE };

struct entry {
	char name[NAME_CAP]; /* '-' made '_', no suffix */
	const char *path;    /* borrowed from the text */
	char *deps;	     /* borrowed: paths with blanks between them */
	enum visit visit;
};

struct table {
	struct entry *at; /* owned; sorted by name */
	size_t n;
};

struct modules {
	struct buf dep_text, builtin_text, softdep_text; /* owned; the tables point into them */
	struct table dep, builtin;
	bool has_builtin; /* the list is there */
};

/* "kernel/drivers/block/virtio_blk.ko.xz" -> "virtio_blk"; false if it is no module's path. */
static bool module_name(const char *path, char ret[NAME_CAP])
{
	const char *base = strrchr(path, '/'), *end;
	size_t n;

	base = base ? base + 1 : path;
	end = strstr(base, ".ko");
	n = end ? (size_t)(end - base) : strlen(base);
	if (!n || n >= NAME_CAP || *path == '/' || strstr(path, ".."))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (base[i] <= ' ' || base[i] >= 0x7f) /* it ends up in a list of words */
			return false;
		ret[i] = base[i] == '-' ? '_' : base[i];
	}
	ret[n] = '\0';
	return true;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

static struct entry *find(const struct table *t, const char *path_or_name)
{
	struct entry key;

	if (!t->n || !module_name(path_or_name, key.name))
		return NULL;
	return bsearch(&key, t->at, t->n, sizeof(key), by_name);
}

/* Split the text in place, one entry a line. */
static int table_parse(struct buf *text, const char *what, struct table *t, struct err *e)
{
	char *next = text->data, *row;
	size_t lines = 1;

	for (size_t i = 0; i < text->len; i++)
		lines += text->data[i] == '\n';
	if (lines > ENTRIES_MAX)
		return err_set(e, -E2BIG, ERR_CALLER, "modules.too-many", "%s: more than %u lines",
			       what, ENTRIES_MAX);
	t->at = mem_calloc(lines, sizeof(*t->at));
	if (!t->at)
		return err_nomem(e);
	while (text->data && (row = str_word(&next, "\n"))) {
		struct entry *m = &t->at[t->n];
		char *colon = strchr(row, ':');

		if (colon)
			*colon++ = '\0';
		if (!module_name(row, m->name))
			return err_set(e, -EINVAL, ERR_CALLER, "modules.format",
				       "%s: line %zu is no module's path: %.80s", what, t->n + 1,
				       row);
		m->path = row;
		m->deps = colon;
		t->n++;
	}
	qsort(t->at, t->n, sizeof(*t->at), by_name);
	return 0;
}

/* A missing file is fine where `optional`; then *ret_found is false. */
static int load_file(const char *dir, const char *name, bool optional, struct buf *ret,
		     bool *ret_found, struct err *e)
{
	auto_free char *path = mem_printf("%s/%s", dir, name);

	if (!path)
		return err_nomem(e);
	*ret_found = access(path, F_OK) == 0;
	if (!*ret_found && optional)
		return 0;
	if (!*ret_found) {
		(void)err_set(e, -ENOENT, ERR_CALLER, "modules.no-index",
			      "modules %s: no %s there, so it is unknown which module needs which",
			      dir, name);
		return err_remedy(e, "give the directory /lib/modules/VERSION of this kernel, and "
				     "run depmod on it");
	}
	return fd_read_file(path, INDEX_FILE_MAX, ret, e);
}

static int tables_parse(struct modules *m, struct err *e)
{
	int rc = table_parse(&m->dep_text, "modules.dep", &m->dep, e);

	return rc ? rc : table_parse(&m->builtin_text, "modules.builtin", &m->builtin, e);
}

int modules_load(const char *dir, struct modules **ret, struct err *e)
{
	AUTO(modules) m = mem_zalloc(sizeof(*m));
	bool found;
	int rc;

	if (!m)
		return err_nomem(e);
	rc = load_file(dir, "modules.dep", false, &m->dep_text, &found, e);
	if (!rc)
		rc = load_file(dir, "modules.builtin", true, &m->builtin_text, &m->has_builtin, e);
	if (!rc)
		rc = load_file(dir, "modules.softdep", true, &m->softdep_text, &found, e);
	if (!rc)
		rc = tables_parse(m, e);
	if (!rc)
		*ret = take_ptr(m);
	return rc;
}

int modules_parse(const char *dep, const char *builtin, const char *softdep, struct modules **ret,
		  struct err *e)
{
	AUTO(modules) m = mem_zalloc(sizeof(*m));
	int rc;

	if (!m || buf_puts(&m->dep_text, dep) || (builtin && buf_puts(&m->builtin_text, builtin)) ||
	    buf_puts(&m->softdep_text, softdep))
		return err_nomem(e);
	m->has_builtin = builtin != NULL;
	rc = tables_parse(m, e);
	if (!rc)
		*ret = take_ptr(m);
	return rc;
}

void modules_free(struct modules *m)
{
	if (!m)
		return;
	free(m->dep.at);
	free(m->builtin.at);
	buf_done(&m->dep_text);
	buf_done(&m->builtin_text);
	buf_done(&m->softdep_text);
	free(m);
}

enum image_presence modules_has(const struct modules *m, const char *name)
{
	if (find(&m->builtin, name))
		return DRV_BUILTIN;
	if (find(&m->dep, name))
		return DRV_MODULE;
	return m->has_builtin ? DRV_ABSENT : DRV_UNKNOWN;
}

/* One walk over modules.dep, depth first. */
struct walk {
	const struct modules *m;
	struct module_list *list;
	unsigned depth;
	struct err *e;
};

static int visit(struct walk *w, const char *path_or_name);

/* Load the "pre:" (or "post:") neighbours that modules.softdep names for a module. */
static int visit_soft(struct walk *w, const char *name, const char *when)
{
	auto_free char *copy = mem_strdup(buf_text(&w->m->softdep_text));
	char *next = copy, *row;
	int rc = copy ? 0 : err_nomem(w->e);

	while (!rc && (row = str_word(&next, "\n"))) {
		const char *word = str_word(&row, " \t"), *now = "pre:"; /* pre is the default */
		char normal[NAME_CAP];

		if (!word || !str_eq(word, "softdep") || !row || !(word = str_word(&row, " \t")) ||
		    !module_name(word, normal) || !str_eq(normal, name))
			continue;
		while (!rc && row && (word = str_word(&row, " \t"))) {
			if (str_ends(word, ":"))
				now = word;
			else if (str_eq(now, when))
				rc = visit(w, word);
		}
	}
	return rc;
}

static int visit_deps(struct walk *w, const struct entry *m)
{
	auto_free char *copy = mem_strdup(m->deps ? m->deps : "");
	char *next = copy, *dep;
	int rc = copy ? 0 : err_nomem(w->e);

	while (!rc && (dep = str_word(&next, " \t"))) {
		if (modules_has(w->m, dep) != DRV_MODULE && modules_has(w->m, dep) != DRV_BUILTIN)
			return err_set(w->e, -ENOENT, ERR_CALLER, "modules.missing",
				       "module %s needs %s, which modules.dep does not have",
				       m->path, dep);
		rc = visit(w, dep);
	}
	return rc;
}

static int visit(struct walk *w, const char *path_or_name)
{
	struct entry *m =
		find(&w->m->builtin, path_or_name) ? NULL : find(&w->m->dep, path_or_name);
	int rc;

	if (!m || m->visit == DONE)
		return 0; /* built in, absent, or listed already */
	if (m->visit == OPEN || w->depth == DEPTH_MAX)
		return err_set(w->e, -ELOOP, ERR_CALLER, "modules.circle",
			       "modules.dep: %s depends on itself or too deeply", m->path);
	m->visit = OPEN;
	w->depth++;
	rc = visit_soft(w, m->name, "pre:");
	if (!rc)
		rc = visit_deps(w, m);
	w->depth--;
	m->visit = DONE;
	if (!rc && w->list->n == MODULES_MAX)
		rc = err_set(w->e, -E2BIG, ERR_CALLER, "modules.too-many",
			     "more than %u modules are needed", MODULES_MAX);
	if (rc)
		return rc;
	w->list->path[w->list->n++] = m->path;
	return visit_soft(w, m->name, "post:");
}

int modules_closure(const struct modules *m, const char *const *names, size_t names_n,
		    struct module_list *ret, struct err *e)
{
	struct module_list list = {.n = 0};
	struct walk w = {.m = m, .list = &list, .e = e};
	int rc = 0;

	for (size_t i = 0; i < m->dep.n; i++)
		m->dep.at[i].visit = UNSEEN;
	for (size_t i = 0; !rc && i < names_n; i++)
		rc = visit(&w, names[i]);
	if (!rc)
		*ret = list;
	return rc;
}
