/*
 * Images as the API shows them, and their removal, which spares what a VM was made from.
 * Loop's thread; reads and removes small numbers of files.
 */
#include <errno.h>

#include "base/clock.h"
#include "base/mem.h"
#include "control/control_internal.h"
#include "json/json.h"

static unsigned uses(const struct control *c, const struct image *i)
{
	unsigned n = 0;

	for (const struct vm *v = c->first; v; v = v->next)
		n += str_eq(v->rec.digest, i->digest);
	return n;
}

static json_t *drivers_json(const struct image *i)
{
	json_t *o = json_object();

	for (int d = 0; d < DRV_N_; d++)
		if (json_put(o, image_driver_names[d],
			     json_string(image_presence_names[i->drivers[d]])) < 0) {
			json_decref(o);
			return NULL;
		}
	return o;
}

static json_t *probes_json(const struct image *i)
{
	json_t *all = json_array();

	for (unsigned k = 0; k < i->probes_n; k++) {
		const struct image_probe *p = &i->probes[k];
		json_t *o = p->type == PROBE_TCP
				    ? json_pack("{s:s,s:i}", "type", "tcp", "port", p->port)
				    : json_pack("{s:s,s:s}", "type", "console", "text", p->text);

		if (json_push(all, o) < 0) {
			json_decref(all);
			return NULL;
		}
	}
	return all;
}

static json_t *image_json(const struct control *c, const struct image *i)
{
	char at[CLOCK_TEXT_LEN];
	json_t *o = json_object();

	clock_text(i->created_us, at);
	if (json_put(o, "digest", json_string(i->digest)) < 0 ||
	    json_put(o, "name", i->name[0] ? json_string(i->name) : json_null()) < 0 ||
	    json_put(o, "kernel",
		     json_pack("{s:s,s:s,s:I}", "version", i->kernel_version, "format",
			       i->kernel_format, "bytes", (json_int_t)i->kernel_bytes)) < 0 ||
	    json_put(o, "initrdBytes",
		     i->has_initrd ? json_integer((json_int_t)i->initrd_bytes) : json_null()) < 0 ||
	    json_put(o, "rootfs",
		     json_pack("{s:s,s:I}", "fs", i->rootfs_fs, "bytes",
			       (json_int_t)i->rootfs_bytes)) < 0 ||
	    json_put(o, "drivers", drivers_json(i)) < 0 ||
	    json_put(o, "minRamMib", json_integer(i->min_ram_mib)) < 0 ||
	    json_put(o, "probes", probes_json(i)) < 0 ||
	    json_put(o, "created", json_string(at)) < 0 ||
	    json_put(o, "vms", json_integer(uses(c, i))) < 0 ||
	    json_put(o, "manifest", i->manifest ? json_incref(i->manifest) : json_null()) < 0) {
		json_decref(o);
		return NULL;
	}
	return o;
}

struct listing {
	const struct control *c;
	json_t *all;
};

static int on_image(void *ctx, const struct image *i)
{
	struct listing *l = ctx;
	json_t *o = image_json(l->c, i);

	if (o)
		(void)json_object_del(o, "manifest"); /* the list stays short */
	return json_push(l->all, o);
}

int control_image_json(struct control *c, const char *ref, json_t **ret, struct err *e)
{
	auto_json json_t *o = NULL;
	AUTO(image) i = NULL;
	int rc;

	if (ref) {
		rc = image_open(c->images_dir, ref, &i, e);
		if (rc < 0)
			return rc;
		o = image_json(c, i);
		if (!o)
			return err_nomem(e);
	} else {
		o = json_array();
		rc = image_each(c->images_dir, on_image, &(struct listing){c, o}, e);
		if (rc < 0)
			return rc == -ENOMEM ? err_nomem(e) : rc;
	}
	*ret = json_incref(o);
	return 0;
}

/* Digests that VMs were made from; borrowed from their records.  NULL: no memory. */
static const char **used_digests(const struct control *c, size_t *ret_n)
{
	const char **used = mem_calloc(c->vms_n + 1, sizeof(*used));

	*ret_n = 0;
	for (const struct vm *v = c->first; used && v; v = v->next)
		used[(*ret_n)++] = v->rec.digest;
	return used;
}

int control_image_remove(struct control *c, const struct actor *a, const char *ref, struct err *e)
{
	size_t n;
	auto_free const char **used = used_digests(c, &n);
	int rc;

	if (a->role != ROLE_ADMIN)
		return err_set(e, -EPERM, ERR_DENIED, "role.admin-only",
			       "only an admin may remove images");
	if (!used)
		return err_nomem(e);
	rc = image_remove(c->images_dir, ref, used, n, e);
	if (rc == 0)
		event_add(c, NULL, "image", a->user_id, "image %s removed", ref);
	return rc;
}

int control_image_gc(struct control *c, const struct actor *a, json_t **ret, struct err *e)
{
	size_t n;
	auto_free const char **used = used_digests(c, &n);
	uint64_t bytes = 0;
	int rc;

	if (a->role != ROLE_ADMIN)
		return err_set(e, -EPERM, ERR_DENIED, "role.admin-only",
			       "only an admin may remove images");
	if (!used)
		return err_nomem(e);
	rc = image_gc(c->images_dir, used, n, &bytes, e);
	if (rc < 0)
		return rc;
	event_add(c, NULL, "image", a->user_id, "images collected: %llu bytes",
		  (unsigned long long)bytes);
	*ret = json_pack("{s:I}", "bytes", (json_int_t)bytes);
	return *ret ? 0 : err_nomem(e);
}
