/*
 * The routes of images and their build jobs.  Called by request.c; loop's thread.
 */
#include <errno.h>

#include "json/json.h"
#include "rest/rest_internal.h"

#define IMG_REQ struct image_request

static const struct json_field build_fields[] = {
	JSON_STR(IMG_REQ, name, "name", 1, LIMIT_NAME_LEN, JSON_REQUIRED),
	JSON_STR(IMG_REQ, recipe, "recipe", 1, LIMIT_NAME_LEN, 0),
	JSON_STR(IMG_REQ, kernel, "kernel", 1, 4095, 0),
	JSON_STR(IMG_REQ, rootfs, "rootfs", 1, 4095, 0),
	JSON_STR(IMG_REQ, initrd, "initrd", 1, 4095, 0),
	JSON_STR(IMG_REQ, modules, "modules", 1, 4095, 0),
	JSON_INT(IMG_REQ, min_ram_mib, "minRamMib", 1, LIMIT_RAM_MIB, 0),
	JSON_END,
};

int route_image_list(struct request *q, struct err *e)
{
	json_t *list = NULL;
	int rc = control_image_json(q->rest->control, NULL, &list, e);

	return rc ? rc : answer_wrapped(q, MHD_HTTP_OK, "images", list, e);
}

int route_image_show(struct request *q, struct err *e)
{
	json_t *image = NULL;
	int rc = control_image_json(q->rest->control, q->arg, &image, e);

	return rc ? rc : answer_json(q, MHD_HTTP_OK, image, e);
}

/* Either a recipe, or kernel and rootfs: files of the host, by absolute path. */
static int check_build(const struct image_request *r, struct err *e)
{
	const char *const paths[] = {r->kernel, r->rootfs, r->initrd, r->modules};

	if (*r->recipe && (*r->kernel || *r->rootfs || *r->initrd || *r->modules || r->min_ram_mib))
		return err_set(e, -EINVAL, ERR_CALLER, "image.request",
			       "request: recipe excludes kernel, rootfs, initrd, modules and "
			       "minRamMib");
	if (!*r->recipe && (!*r->kernel || !*r->rootfs))
		return err_set(e, -EINVAL, ERR_CALLER, "image.request",
			       "request: expected recipe, or kernel and rootfs");
	for (unsigned i = 0; i < ARRAY_LEN(paths); i++) {
		if (*paths[i] && *paths[i] != '/')
			return err_set(e, -EINVAL, ERR_CALLER, "image.request",
				       "request: \"%.200s\": expected an absolute path on the host",
				       paths[i]);
	}
	return 0;
}

int route_image_build(struct request *q, struct err *e)
{
	struct image_request r = {0};
	auto_json json_t *body = NULL;
	json_t *job = NULL;
	int rc = body_json(q, &body, e);

	if (!rc)
		rc = json_bind(body, "request", build_fields, &r, e);
	if (!rc)
		rc = check_build(&r, e);
	if (!rc)
		rc = control_image_build(q->rest->control, &q->actor, &r, &job, e);
	return rc ? rc : answer_json(q, MHD_HTTP_ACCEPTED, job, e);
}

int route_image_remove(struct request *q, struct err *e)
{
	int rc = control_image_remove(q->rest->control, &q->actor, q->arg, e);

	if (rc)
		return rc;
	return answer_none(q, MHD_HTTP_NO_CONTENT) ? err_nomem(e) : 0;
}

int route_image_gc(struct request *q, struct err *e)
{
	json_t *freed = NULL;
	int rc = body_none(q, e);

	if (!rc)
		rc = control_image_gc(q->rest->control, &q->actor, &freed, e);
	return rc ? rc : answer_json(q, MHD_HTTP_OK, freed, e);
}

int route_job_show(struct request *q, struct err *e)
{
	json_t *job = NULL;
	int rc = control_job_json(q->rest->control, q->arg, &job, e);

	return rc ? rc : answer_json(q, MHD_HTTP_OK, job, e);
}
