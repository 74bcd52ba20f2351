/*
 * One build from beginning to end: private directory, files, test boot, manifest, publication.
 * Called by `hearthd image-build`, in a process of its own.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/str.h"
#include "engine/engine.h"
#include "json/json.h"
#include "model/id.h"
#include "recipe/recipe_internal.h"

/* A builder that died may have left the engine of its test boot behind. */
static void end_test_boot(void *ctx, const char *dir)
{
	auto_free char *vm_dir = mem_printf("%s/vm", dir);

	(void)ctx;
	if (vm_dir && access(vm_dir, F_OK) == 0)
		(void)engine_kill_leftover(vm_dir, NULL); /* the sweep goes on in any case */
}

static int check_job(const struct recipe_job *j, struct err *e)
{
	if (!name_valid(j->name))
		return err_set(e, -EINVAL, ERR_CALLER, "image.name",
			       "image name \"%.80s\": expected 1 to %d of a-z, 0-9 and '-'",
			       j->name, LIMIT_NAME_LEN);
	if (!j->recipe && (!j->kernel || !j->rootfs))
		return err_set(e, -EINVAL, ERR_CALLER, "image.import",
			       "an import needs a kernel and a rootfs");
	if (access(j->init_path, R_OK))
		return err_sys(e, errno, "image.no-init", "hearth-init %s", j->init_path);
	return 0;
}

static int boot_and_publish(struct making *m, struct err *e)
{
	json_t *report = NULL;
	int rc;

	make_sizes(m); /* less RAM than that would only show as a silent reset */
	rc = image_preflight(&m->image, m->image.min_ram_mib, image_is_mmio_only(&m->image), e);
	if (rc)
		return err_prefix(e, "stated minimum");
	progress_start(&m->progress, "test-boot", "booting the image in a network of its own");
	rc = test_boot(m->job, &m->b, &m->image, &report, e);
	progress_end(&m->progress, rc, "root mounted, network proven, probes hold", e);
	if (rc)
		return rc;
	if (json_put(m->extra, "test_boot", report))
		return err_nomem(e);
	progress_start(&m->progress, "publish", "digests, then one rename");
	rc = build_manifest(&m->b, &m->image, m->extra, e);
	return rc;
}

static int publish(struct making *m, const char *digest, bool cached,
		   char ret_digest[HASH_TEXT_LEN], struct err *e)
{
	int rc = build_publish(&m->b, m->job->name, digest, e);

	progress_end(&m->progress, rc, digest, e);
	if (rc)
		return rc;
	memcpy(ret_digest, digest, HASH_TEXT_LEN);
	progress_result(&m->progress, digest, m->job->name, cached);
	return 0;
}

static int run_import(struct making *m, char ret_digest[HASH_TEXT_LEN], struct err *e)
{
	int rc = make_from_files(m, e);

	if (!rc)
		rc = boot_and_publish(m, e);
	return rc ? rc : publish(m, m->image.digest, false, ret_digest, e);
}

static int build_fresh(struct making *m, const struct spec *s, json_t *sources, const char *key,
		       char ret_digest[HASH_TEXT_LEN], struct err *e)
{
	int rc;

	m->image.min_ram_mib = s->facts.min_ram_mib;
	m->image.probes_n = s->facts.probes_n;
	memcpy(m->image.probes, s->facts.probes, sizeof(m->image.probes));
	m->image.ports_n = s->facts.ports_n;
	memcpy(m->image.ports, s->facts.ports, sizeof(m->image.ports));
	if (json_put(m->extra, "recipe_key", json_string(key)))
		return err_nomem(e);
	rc = make_from_recipe(m, s, sources, e);
	if (!rc)
		rc = boot_and_publish(m, e);
	if (rc)
		return rc;
	cache_keep(m->job, key, m->b.bundle);
	return publish(m, m->image.digest, false, ret_digest, e);
}

/* Does the name point at a bundle made of just the same?  Its files were checked when it was
 * published, and are checked again before a boot. */
static bool is_published(const struct recipe_job *job, const char *key,
			 char ret_digest[HASH_TEXT_LEN])
{
	AUTO(image) i = NULL;
	const char *made_of;

	if (image_open(job->images_dir, job->name, &i, NULL))
		return false;
	made_of = json_string_value(json_object_get(i->manifest, "recipe_key"));
	if (!made_of || !str_eq(made_of, key))
		return false;
	memcpy(ret_digest, i->digest, HASH_TEXT_LEN);
	return true;
}

static int run_recipe(struct making *m, const struct spec *s, char ret_digest[HASH_TEXT_LEN],
		      struct err *e)
{
	auto_json json_t *sources = NULL;
	AUTO(image) cached = NULL;
	auto_buf lists = {0};
	char key[HASH_TEXT_LEN];
	int rc;

	progress_start(&m->progress, "cache", "has the same been built before?");
	rc = packages_sources(s, &sources, &lists, e);
	if (!rc)
		rc = cache_key(s, m->job, &lists, key, e);
	if (rc) {
		progress_end(&m->progress, rc, "", e);
		return rc;
	}
	if (is_published(m->job, key, ret_digest)) {
		progress_end(&m->progress, 0, "published already", NULL);
		progress_result(&m->progress, ret_digest, m->job->name, true);
		build_abandon(&m->b, false);
		return 0;
	}
	rc = cache_fetch(m->job, key, &m->b, &cached);
	progress_end(&m->progress, 0, rc ? "not built before" : "found and verified", NULL);
	if (rc)
		return build_fresh(m, s, sources, key, ret_digest, e);
	progress_start(&m->progress, "publish", "from the cache");
	return publish(m, cached->digest, true, ret_digest, e);
}

/* One build at a time per directory of images: two of the same recipe would do the work twice. */
static int lock_builds(const char *images_dir, int *ret_fd, struct err *e)
{
	auto_free char *path = mem_printf("%s/.build.lock", images_dir);
	int rc = path ? fd_mkdirs(images_dir, 0755, e) : err_nomem(e);

	return rc ? rc : fd_lock(path, ret_fd, e);
}

static int run_job(struct making *m, char ret_digest[HASH_TEXT_LEN], struct err *e)
{
	const struct recipe_job *job = m->job;
	struct spec s = {0};
	int rc = job->recipe ? spec_load(job->recipes_dir, job->recipe, &s, e) : 0;

	if (!rc)
		rc = build_begin(job->images_dir, &m->b, e);
	if (rc) {
		spec_done(&s);
		return rc;
	}
	m->image.dir = m->b.bundle;
	m->image.created_us = clock_wall_us();
	text_set(m->image.name, sizeof(m->image.name), job->name);
	rc = job->recipe ? run_recipe(m, &s, ret_digest, e) : run_import(m, ret_digest, e);
	spec_done(&s);
	if (rc)
		build_abandon(&m->b, job->keep_failed);
	if (rc && job->keep_failed)
		(void)err_remedy(e, "logs and files of the failed build are in %s", m->b.dir);
	return rc;
}

static size_t shim_dir_len(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? (size_t)(slash - path) : 0;
}

int recipe_run(const struct recipe_job *given, int progress_fd, char ret_digest[HASH_TEXT_LEN],
	       struct err *e)
{
	struct recipe_job job = *given;
	struct making m = {.job = &job, .b = {.lock_fd = -1}, .progress = {.fd = progress_fd}};
	struct err mine = {0};
	auto_close int lock = -1;
	auto_free char *images_dir = NULL;
	auto_free char *libexec = NULL; /* where the engine finds its shim */
	int rc = check_job(&job, &mine);

	/* A controller that has died does not end the build: its successor finds the image. */
	(void)signal(SIGPIPE, SIG_IGN);
	m.extra = json_object();
	libexec = job.shim_path ? mem_strndup(job.shim_path, shim_dir_len(job.shim_path)) : NULL;
	if (!rc && (!m.extra || (job.shim_path && !libexec)))
		rc = err_nomem(&mine);
	engine_init(libexec);
	if (!rc) {
		progress_start(&m.progress, "lock", "waiting for other builds");
		rc = lock_builds(job.images_dir, &lock, &mine);
		progress_end(&m.progress, rc, "", &mine);
	}
	/* Absolute: the test boot's shim works in another directory. */
	if (!rc && !(images_dir = realpath(job.images_dir, NULL)))
		rc = err_sys(&mine, errno, "image.build", "%s", job.images_dir);
	if (!rc) {
		job.images_dir = images_dir;
		rc = build_sweep(job.images_dir, end_test_boot, NULL, &mine);
	}
	if (!rc)
		rc = run_job(&m, ret_digest, &mine);
	if (rc)
		progress_error(&m.progress, &mine);
	engine_init(NULL); /* it borrowed libexec */
	json_decref(m.extra);
	json_decref(m.image.manifest);
	if (rc && e)
		*e = mine;
	return rc;
}
