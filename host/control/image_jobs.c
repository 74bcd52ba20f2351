/*
 * Image builds and imports: each a process of its own (`hearthd image-build`), whose progress lines
 * become events and a job's record.
 *
 * Loop's thread.  A build outlives nothing: when hearthd dies its pipe breaks, and what it had
 * begun is collected by image gc.  Builds of one name are serialised by the recipe's own lock.
 * Trust: the progress comes from our own program, but is parsed as strictly as a request.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/control_internal.h"
#include "control/text.h"
#include "json/json.h"

extern char **environ;

#define LINE_CAP (64u << 10) /* a progress line carries at most a few evidence lines */

struct image_job {
	struct control *c;
	char id[ID_LEN];
	char name[LIMIT_NAME_LEN + 1], actor[LIMIT_USER_LEN + 8];
	enum { JOB_RUNNING, JOB_OK, JOB_FAILED } state;
	uint64_t started_us, ended_us;
	char digest[HASH_TEXT_LEN];
	json_t *phases, *error; /* owned; error NULL: none */
	pid_t pid;
	int pipe_fd, pidfd; /* owned; -1: none */
	struct watch out, exit;
	struct buf line;
	struct image_job *next;
};

static void job_free(struct image_job *j)
{
	if (!j)
		return;
	loop_unwatch(j->c->loop, &j->out);
	loop_unwatch(j->c->loop, &j->exit);
	if (j->pipe_fd >= 0)
		(void)close(j->pipe_fd); /* read end */
	if (j->pidfd >= 0)
		(void)close(j->pidfd); /* a handle only */
	buf_done(&j->line);
	json_decref(j->phases);
	json_decref(j->error);
	free(j);
}

void image_jobs_done(struct control *c)
{
	while (c->jobs) {
		struct image_job *j = c->jobs;

		c->jobs = j->next;
		job_free(j);
	}
}

static void on_phase(struct image_job *j, json_t *o)
{
	const char *phase = json_string_value(json_object_get(o, "phase"));
	const char *state = json_string_value(json_object_get(o, "state"));
	const char *text = json_string_value(json_object_get(o, "text"));
	json_t *ms = json_object_get(o, "ms");
	json_t *row = json_object();

	if (json_put(row, "phase", json_string(phase)) < 0 ||
	    json_put(row, "state", json_string(state ? state : "")) < 0 ||
	    json_put(row, "ms", json_is_integer(ms) ? json_incref(ms) : json_null()) < 0 ||
	    json_put(row, "text", json_string(text ? text : "")) < 0 ||
	    json_push(j->phases, row) < 0)
		/* no memory: the build itself goes on */
		log_warn("image.phase-lost", LS("job", j->id));
	event_add(j->c, NULL, "image", j->actor, "%s %s: %s %s %s", j->id, j->name, phase,
		  state ? state : "", text ? text : "");
}

static void on_line(struct image_job *j, const char *text, size_t len)
{
	auto_json json_t *o = NULL;
	const char *digest;

	if (json_parse(text, len, &o, NULL) < 0 || !json_is_object(o)) {
		log_warn("image.progress", LS("job", j->id), LS("line", text));
		return;
	}
	if (json_is_string(json_object_get(o, "phase"))) {
		on_phase(j, o);
	} else if (json_is_object(json_object_get(o, "error"))) {
		json_decref(j->error);
		j->error = json_incref(json_object_get(o, "error"));
	} else {
		digest = json_string_value(json_object_get(json_object_get(o, "result"), "digest"));
		if (digest)
			text_cut(j->digest, sizeof(j->digest), "%s", digest);
	}
}

static void take_lines(struct image_job *j)
{
	char *end;

	while (j->line.len && (end = memchr(j->line.data, '\n', j->line.len))) {
		size_t n = (size_t)(end - j->line.data);

		*end = 0;
		on_line(j, j->line.data, n);
		buf_drop(&j->line, n + 1);
	}
}

static json_t *died(int status)
{
	char text[100];

	text_cut(text, sizeof(text), "the build ended with %s %d and said no reason",
		 WIFSIGNALED(status) ? "signal" : "status",
		 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	return json_pack("{s:s,s:s}", "code", "image.build-died", "message", text);
}

static void finish(struct image_job *j, int status)
{
	bool ok = WIFEXITED(status) && WEXITSTATUS(status) == 0 && j->digest[0];
	const char *why = json_string_value(json_object_get(j->error, "message"));

	j->state = ok ? JOB_OK : JOB_FAILED;
	j->ended_us = clock_wall_us();
	if (!ok && !j->error)
		j->error = died(status);
	event_add(j->c, NULL, "image", j->actor, "%s %s: %s %s", j->id, j->name,
		  ok ? "published" : "failed",
		  ok	? j->digest
		  : why ? why
			: "");
	log_info("image.job", LS("job", j->id), LS("name", j->name),
		 LS("state", ok ? "ok" : "failed"), LS("error", ok ? NULL : why));
}

static void on_exit_(struct watch *w, uint32_t got)
{
	struct image_job *j = container_of(w, struct image_job, exit);
	int status = 0;

	(void)got;
	loop_unwatch(j->c->loop, w);
	if (waitpid(j->pid, &status, 0) != j->pid)
		status = 255 << 8; /* reaped by someone else: unknown is a failure */
	finish(j, status);
}

static void on_output(struct watch *w, uint32_t got)
{
	struct image_job *j = container_of(w, struct image_job, out);
	char *room = buf_room(&j->line, 4096);
	ssize_t n = room ? read(j->pipe_fd, room, 4096) : -1;
	struct err e = {0};

	(void)got;
	if (n < 0 && room && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		j->line.len += (size_t)n;
		take_lines(j);
		return;
	}
	/* End of output (or a line beyond all measure): what is left to learn is how it ended. */
	loop_unwatch(j->c->loop, w);
	(void)close(j->pipe_fd);
	j->pipe_fd = -1;
	j->exit.fd = j->pidfd;
	j->exit.want = EPOLLIN;
	j->exit.ready = on_exit_;
	if (loop_watch(j->c->loop, &j->exit, &e) < 0)
		log_error("image.watch", LE(&e));
}

static int spawn(struct image_job *j, const char *const *argv, int out_fd, struct err *e)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int rc;

	(void)sigemptyset(&none);
	(void)sigfillset(&all);
	rc = posix_spawn_file_actions_init(&actions);
	if (rc)
		return err_nomem(e);
	rc = posix_spawnattr_init(&attr);
	if (rc) {
		(void)posix_spawn_file_actions_destroy(&actions);
		return err_nomem(e);
	}
	/* The loop blocks signals; the child must not inherit that. A session of its own: no signal
	 * of a terminal. */
	if (!(rc = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)) &&
	    !(rc = posix_spawn_file_actions_adddup2(&actions, out_fd, 1)) &&
	    !(rc = posix_spawnattr_setsigmask(&attr, &none)) &&
	    !(rc = posix_spawnattr_setsigdefault(&attr, &all)) &&
	    !(rc = posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
							   POSIX_SPAWN_SETSID)))
		rc = posix_spawn(&j->pid, argv[0], &actions, &attr, (char *const *)(void *)argv,
				 environ);
	(void)posix_spawnattr_destroy(&attr);
	(void)posix_spawn_file_actions_destroy(&actions);
	return rc ? err_sys(e, rc, "image.spawn", "%s", argv[0]) : 0;
}

struct build_args { /* what argv points into */
	char init[PATH_CAP], shim[PATH_CAP], min_ram[24];
	const char *argv[32];
	unsigned n;
};

static void arg(struct build_args *b, const char *key, const char *val)
{
	if (!val || !val[0])
		return;
	b->argv[b->n++] = key;
	b->argv[b->n++] = val;
}

static int fill_args(const struct control *c, const struct image_request *r, struct build_args *b,
		     struct err *e)
{
	if (!str_fmt(b->init, PATH_CAP, "%s/hearth-init", c->conf->libexec_dir) ||
	    !str_fmt(b->shim, PATH_CAP, "%s/hearth-shim", c->conf->libexec_dir))
		return err_set(e, -ENAMETOOLONG, ERR_HOST, "path.too-long", "libexec directory");
	if (r->min_ram_mib > 0)
		(void)snprintf(b->min_ram, sizeof(b->min_ram), "%lld", (long long)r->min_ram_mib);
	b->argv[b->n++] = c->conf->hearthd_path;
	b->argv[b->n++] = "image-build";
	arg(b, "--images", c->images_dir);
	arg(b, "--recipes", c->conf->recipes_dir);
	arg(b, "--init", b->init);
	arg(b, "--shim", b->shim);
	arg(b, "--name", r->name);
	arg(b, "--recipe", r->recipe);
	arg(b, "--kernel", r->kernel);
	arg(b, "--rootfs", r->rootfs);
	arg(b, "--initrd", r->initrd);
	arg(b, "--modules", r->modules);
	arg(b, "--min-ram-mib", b->min_ram);
	return 0;
}

static int start(struct image_job *j, const struct image_request *r, struct err *e)
{
	auto_free struct build_args *b = mem_zalloc(sizeof(*b));
	int fds[2], rc;

	if (!b)
		return err_nomem(e);
	rc = fill_args(j->c, r, b, e);
	if (rc < 0)
		return rc;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_sys(e, errno, "image.pipe", "pipe");
	j->pipe_fd = fds[0];
	rc = spawn(j, b->argv, fds[1], e);
	(void)close(fds[1]); /* the child has its copy */
	if (rc < 0)
		return rc;
	j->pidfd = pidfd_open(j->pid, 0);
	if (j->pidfd < 0 || fd_set_nonblock(j->pipe_fd, true) < 0)
		rc = err_sys(e, errno, "image.pidfd", "pid %d", j->pid);
	j->out.fd = j->pipe_fd;
	j->out.want = EPOLLIN;
	j->out.ready = on_output;
	if (rc == 0)
		rc = loop_watch(j->c->loop, &j->out, e);
	if (rc < 0) { /* what can't be watched must not run */
		(void)kill(j->pid, SIGKILL);
		(void)waitpid(j->pid, NULL, 0);
	}
	return rc;
}

static void drop_oldest_finished(struct control *c)
{
	struct image_job **old = NULL;

	for (struct image_job **p = &c->jobs; *p; p = &(*p)->next)
		if ((*p)->state != JOB_RUNNING)
			old = p; /* the list begins with the newest */
	if (old) {
		struct image_job *j = *old;

		*old = j->next;
		job_free(j);
		c->jobs_n--;
	}
}

static json_t *job_json(const struct image_job *j)
{
	static const char *const states[] = {"running", "ok", "failed"};
	char started[CLOCK_TEXT_LEN], ended[CLOCK_TEXT_LEN];
	json_t *o = json_object();

	clock_text(j->started_us, started);
	clock_text(j->ended_us, ended);
	if (json_put(o, "id", json_string(j->id)) < 0 ||
	    json_put(o, "kind", json_string("image")) < 0 ||
	    json_put(o, "name", json_string(j->name)) < 0 ||
	    json_put(o, "state", json_string(states[j->state])) < 0 ||
	    json_put(o, "started", json_string(started)) < 0 ||
	    json_put(o, "ended", j->ended_us ? json_string(ended) : json_null()) < 0 ||
	    json_put(o, "digest", j->digest[0] ? json_string(j->digest) : json_null()) < 0 ||
	    json_put(o, "error", j->error ? json_incref(j->error) : json_null()) < 0 ||
	    json_put(o, "phases", json_deep_copy(j->phases)) < 0) {
		json_decref(o);
		return NULL;
	}
	return o;
}

int control_image_build(struct control *c, const struct actor *a, const struct image_request *r,
			json_t **ret, struct err *e)
{
	struct image_job *j;
	json_t *o;
	int rc;

	if (a->role != ROLE_ADMIN)
		return err_set(e, -EPERM, ERR_DENIED, "role.admin-only",
			       "only an admin may build images");
	if (!name_valid(r->name))
		return err_set(e, -EINVAL, ERR_CALLER, "image.bad-name",
			       "name \"%s\": must be 1 to %d of a-z, 0-9 and '-'", r->name,
			       LIMIT_NAME_LEN);
	if (!!r->recipe[0] == (r->kernel[0] || r->rootfs[0]) ||
	    (!r->recipe[0] && !(r->kernel[0] && r->rootfs[0])))
		return err_set(e, -EINVAL, ERR_CALLER, "image.request",
			       "give either recipe, or kernel and rootfs");
	if (c->jobs_n >= JOBS_KEPT)
		drop_oldest_finished(c);
	if (c->jobs_n >= JOBS_KEPT)
		return err_set(e, -EDQUOT, ERR_LIMIT, "image.jobs", "%u builds are running",
			       c->jobs_n);
	j = mem_zalloc(sizeof(*j));
	if (!j)
		return err_nomem(e);
	j->c = c;
	j->pipe_fd = j->pidfd = -1;
	j->line.max = LINE_CAP;
	j->started_us = clock_wall_us();
	j->phases = json_array();
	id_new("job", j->id);
	text_cut(j->name, sizeof(j->name), "%s", r->name);
	text_cut(j->actor, sizeof(j->actor), "user:%s", a->user_id);
	rc = j->phases ? start(j, r, e) : err_nomem(e);
	if (rc < 0) {
		job_free(j);
		return rc;
	}
	j->next = c->jobs;
	c->jobs = j;
	c->jobs_n++;
	event_add(c, NULL, "image", j->actor, "%s %s: started, pid %d", j->id, j->name, j->pid);
	o = job_json(j);
	if (!o)
		return err_nomem(e);
	*ret = o;
	return 0;
}

int control_job_json(struct control *c, const char *id, json_t **ret, struct err *e)
{
	for (const struct image_job *j = c->jobs; j; j = j->next)
		if (str_eq(j->id, id)) {
			*ret = job_json(j);
			return *ret ? 0 : err_nomem(e);
		}
	return err_set(e, -ENOENT, ERR_ABSENT, "job.absent", "no job %.64s", id);
}
