/*
 * Reads the job that hearthd hands over.  Called once by hearth-shim's main.
 * Trust: written by hearthd, which is as privileged as we are; checked all the same, so that a
 * mismatch of versions gives a sentence and not a strange VM.
 */
#include "shim/job.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "json/json.h"

/* The fields that are arrays; new references, NULL where absent. */
struct lists {
	json_t *argv, *groups, *keep;
};

static int bind_scalars(struct job *j, struct err *e)
{
	static const struct json_field fields[] = {
		JSON_STR(struct job, vm, "vm", 1, 63, JSON_REQUIRED),
		JSON_STR(struct job, dir, "dir", 1, 4095, JSON_REQUIRED),
		JSON_STR(struct job, cgroup, "cgroup", 1, 127, 0),
		JSON_INT(struct job, uid, "uid", 0, UINT32_MAX - 1, JSON_REQUIRED),
		JSON_INT(struct job, gid, "gid", 0, UINT32_MAX - 1, JSON_REQUIRED),
		JSON_INT(struct job, nofile, "nofile", 16, 65536, JSON_REQUIRED),
		JSON_INT(struct job, lock_fd, "lock_fd", 4, JOB_FD_MAX, JSON_REQUIRED),
		JSON_INT(struct job, status_fd, "status_fd", 4, JOB_FD_MAX, JSON_REQUIRED),
		JSON_INT(struct job, listen_fd, "listen_fd", 4, JOB_FD_MAX, JSON_REQUIRED),
		JSON_INT(struct job, serial_fd, "serial_fd", 4, JOB_FD_MAX, JSON_REQUIRED),
		JSON_INT(struct job, memory_bytes, "memory_bytes", 1, INT64_MAX, 0),
		JSON_INT(struct job, pids, "pids", 1, 1 << 22, 0),
		JSON_INT(struct job, cpu_weight, "cpu_weight", 1, 10000, 0),
		JSON_END,
	};

	return json_bind(j->json, "job", fields, j, e);
}

/* Take a list out of the object, so that what is left can be bound strictly. */
static json_t *take_list(json_t *obj, const char *key)
{
	json_t *list = json_incref(json_object_get(obj, key));

	(void)json_object_del(obj, key); /* absent: bind_lists says so */
	return list;
}

static int bad_list(const char *key, struct err *e)
{
	return err_set(e, -EINVAL, ERR_BUG, "shim.job", "job: %s: wrong type or too long", key);
}

static int bind_argv(struct job *j, json_t *list, struct err *e)
{
	size_t n = json_array_size(list);

	if (n == 0 || n > JOB_ARGV_MAX)
		return bad_list("argv", e);
	for (size_t i = 0; i < n; i++) {
		/* The string lives as long as j->json, which keeps the list. */
		j->argv[i] = (char *)(uintptr_t)json_string_value(json_array_get(list, i));
		if (!j->argv[i])
			return bad_list("argv", e);
	}
	j->argv[n] = NULL;
	return 0;
}

static int bind_numbers(json_t *list, const char *key, int64_t max, size_t cap, int64_t *ret,
			int *ret_n, struct err *e)
{
	size_t n = json_array_size(list);

	if (n > cap)
		return bad_list(key, e);
	for (size_t i = 0; i < n; i++) {
		const json_t *v = json_array_get(list, i);

		if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > max)
			return bad_list(key, e);
		ret[i] = json_integer_value(v);
	}
	*ret_n = (int)n;
	return 0;
}

static int bind_lists(struct job *j, const struct lists *l, struct err *e)
{
	int64_t groups[JOB_GROUPS_MAX], keep[JOB_KEEP_MAX];
	int rc = bind_argv(j, l->argv, e);

	if (!rc)
		rc = bind_numbers(l->groups, "groups", UINT32_MAX - 1, JOB_GROUPS_MAX, groups,
				  &j->groups_n, e);
	if (!rc)
		rc = bind_numbers(l->keep, "keep", JOB_FD_MAX, JOB_KEEP_MAX, keep, &j->keep_n, e);
	if (rc)
		return rc;
	for (int i = 0; i < j->groups_n; i++)
		j->groups[i] = (gid_t)groups[i];
	for (int i = 0; i < j->keep_n; i++)
		j->keep[i] = (int)keep[i];
	return 0;
}

static int bind(struct job *j, struct err *e)
{
	struct lists l = {
		.argv = take_list(j->json, "argv"),
		.groups = take_list(j->json, "groups"),
		.keep = take_list(j->json, "keep"),
	};
	int rc = bind_scalars(j, e);

	if (!rc)
		rc = bind_lists(j, &l, e);
	json_decref(l.groups);
	json_decref(l.keep);
	/* argv's strings are borrowed: the list goes back to live with the object. */
	if (l.argv && json_put(j->json, "argv", l.argv) && !rc)
		rc = err_nomem(e);
	return rc;
}

int job_read(int fd, struct job *ret, struct err *e)
{
	auto_buf text = {0};
	int rc = lseek(fd, 0, SEEK_SET) < 0 ? -errno : fd_read_all(fd, JOB_MAX_BYTES, &text);

	if (rc)
		return err_sys(e, -rc, "shim.job", "job");
	memset(ret, 0, sizeof(*ret));
	rc = json_parse(buf_text(&text), text.len, &ret->json, e);
	if (!rc)
		rc = bind(ret, e);
	if (rc)
		job_done(ret);
	return rc ? err_prefix(e, "shim") : 0;
}

void job_done(struct job *j)
{
	json_decref(j->json);
	j->json = NULL;
}
