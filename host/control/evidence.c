/*
 * Evidence: what a VM leaves behind when it is deleted: console, engine log, configuration, command
 * line, how it ended and its last record, under <state>/evidence/<id>, for as long as the
 * configuration says.
 *
 * Keeping runs on a worker, the rest on the loop's thread.  Events stay in the store; they are
 * pruned by the same age.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"
#include "control/control_internal.h"
#include "control/text.h"
#include "json/json.h"

#define PRUNE_NS   (3600 * NS_PER_S)
#define IDEM_US	   (24ull * 3600 * US_PER_S) /* idempotency keys are promised for a day */
#define RECORD_MAX (256u << 10)

static const char *const files[] = {"console.log", "vmm.log",	    "exit.json", "vm-config.json",
				    "cmdline",	   "console.log.1", "vmm.log.1", "exit.json.1"};

/* Somebody may have given the VMs a file system of their own: a rename can't leave it. */
static int copy_over(const char *from, const char *to)
{
	auto_close int in = open(from, O_RDONLY | O_CLOEXEC);
	auto_close int out = -1;
	uint64_t copied;
	int rc;

	if (in < 0) /* rename(2) looks at the file systems before it looks for the file */
		return errno == ENOENT ? 0 : -errno;
	out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (out < 0)
		return -errno;
	rc = fd_copy_sparse(in, out, &copied, NULL);
	if (rc == 0 && (fsync(out) < 0 || unlink(from) < 0))
		rc = -errno;
	return rc;
}

static int move(const char *from, const char *to)
{
	if (rename(from, to) == 0 || errno == ENOENT)
		return 0;
	return errno == EXDEV ? copy_over(from, to) : -errno;
}

/* Done again after a crash it finds less to do. */
int evidence_keep(const struct vm_work *w, struct err *e)
{
	char from[PATH_CAP + 32], to[PATH_CAP + 32];
	int rc = fd_mkdirs(w->evidence_dir, 0700, e);

	for (unsigned i = 0; rc == 0 && i < ARRAY_LEN(files); i++) {
		(void)snprintf(from, sizeof(from), "%s/%s", w->vm_dir, files[i]);
		(void)snprintf(to, sizeof(to), "%s/%s", w->evidence_dir, files[i]);
		rc = move(from, to);
		if (rc < 0)
			rc = err_sys(e, -rc, "evidence.keep", "%s", to);
	}
	if (rc < 0 || !w->record)
		return rc;
	(void)snprintf(to, sizeof(to), "%s/vm.json", w->evidence_dir);
	return fd_replace_file(to, w->record, strlen(w->record), 0600, e);
}

const struct grave *grave_find(struct control *c, const char *id)
{
	const struct grave *g = c->graves;

	while (g && !str_eq(g->id, id))
		g = g->next;
	return g;
}

static void bury(struct control *c, const char *id, const char *user, uint64_t ended_us)
{
	struct grave *g;

	if (grave_find(c, id))
		return;
	g = mem_zalloc(sizeof(*g));
	if (!g)
		return; /* the files are there; only this run of hearthd does not list them */
	text_cut(g->id, sizeof(g->id), "%s", id);
	text_cut(g->user_id, sizeof(g->user_id), "%s", user);
	g->ended_us = ended_us;
	g->next = c->graves;
	c->graves = g;
	c->graves_n++;
}

void evidence_add(struct control *c, const struct vm *v)
{
	bury(c, v->rec.id, v->rec.user_id, clock_wall_us());
}

static void load_one(struct control *c, const char *id)
{
	char path[PATH_CAP + 64];
	auto_buf b = {0};
	auto_json json_t *o = NULL;
	struct stat st;
	const char *user;

	(void)snprintf(path, sizeof(path), "%s/%s/vm.json", c->evidence_dir, id);
	if (stat(path, &st) < 0 || fd_read_file(path, RECORD_MAX, &b, NULL) < 0 ||
	    json_parse(buf_text(&b), b.len, &o, NULL) < 0)
		return; /* a deletion under way has not written it yet */
	user = json_string_value(json_object_get(o, "userId"));
	bury(c, id, user ? user : "", (uint64_t)st.st_mtim.tv_sec * US_PER_S);
}

static void prune_fires(struct timer *t)
{
	evidence_prune(container_of(t, struct control, prune));
}

int evidence_load(struct control *c, struct err *e)
{
	DIR *d = opendir(c->evidence_dir);
	const struct dirent *de;

	if (!d)
		return err_sys(e, errno, "evidence.dir", "%s", c->evidence_dir);
	while ((de = readdir(d)))
		if (id_valid("vm", de->d_name) && !vm_by_id(c, de->d_name))
			load_one(c, de->d_name);
	(void)closedir(d); /* read-only */
	c->prune.fire = prune_fires;
	return loop_timer_in(c->loop, &c->prune, NS_PER_S) < 0 ? err_nomem(e) : 0;
}

static struct grave **oldest(struct control *c)
{
	struct grave **old = &c->graves;

	for (struct grave **p = &c->graves; *p; p = &(*p)->next)
		if ((*p)->ended_us < (*old)->ended_us)
			old = p;
	return old;
}

static void forget_oldest(struct control *c)
{
	struct grave **p = oldest(c), *g = *p;
	char path[PATH_CAP + 32];
	struct err e = {0};

	(void)snprintf(path, sizeof(path), "%s/%s", c->evidence_dir, g->id);
	if (fd_remove_tree(path, &e) < 0)
		log_warn("evidence.prune", LS("vm", g->id), LE(&e));
	*p = g->next;
	free(g);
	c->graves_n--;
}

void evidence_prune(struct control *c)
{
	uint64_t now = clock_wall_us(), age = c->conf->evidence_ms * 1000;
	uint64_t before = now > age ? now - age : 0, n = 0;
	struct err e = {0};

	while (c->graves && ((*oldest(c))->ended_us < before || c->graves_n > EVIDENCE_DIRS_MAX))
		forget_oldest(c);
	if (store_event_prune(c->store, before, &n, &e) < 0 ||
	    store_idem_prune(c->store, now > IDEM_US ? now - IDEM_US : 0, &e) < 0)
		log_warn("evidence.prune", LE(&e));
	if (n)
		log_info("events.pruned", LU("rows", n));
	/* it was armed: the heap has its place */
	(void)loop_timer_in(c->loop, &c->prune, PRUNE_NS);
}

void evidence_done(struct control *c)
{
	loop_timer_stop(c->loop, &c->prune);
	while (c->graves) {
		struct grave *g = c->graves;

		c->graves = g->next;
		free(g);
	}
}
