/*
 * manifest.json: the facts of one bundle (docs/images.md documents every key).
 *
 * Called when images are opened and made.  Trust: the file may have been damaged or edited; every
 * field has a type and limits, and the bundle's name is the digest of what requests rely on.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/str.h"
#include "image/image_internal.h"
#include "json/json.h"

#define FILE_BYTES_MAX INT64_MAX

const char *const image_probe_names[PROBE_N_] = {[PROBE_CONSOLE] = "console", [PROBE_TCP] = "tcp"};
const char *const manifest_files[3] = {IMAGE_KERNEL, IMAGE_INITRD, IMAGE_ROOTFS};

/* The keys that the digest covers: all that a request or a check relies on. */
static const char *const fact_keys[] = {"kernel",      "drivers", "initrd", "rootfs",
					"min_ram_mib", "probes",  "ports"};

struct doc { /* as bound; every json_t is a reference of ours */
	int64_t format, created_us, min_ram_mib;
	char name[LIMIT_NAME_LEN + 1], created[CLOCK_TEXT_LEN + 4], recipe_key[HASH_TEXT_LEN];
	json_t *kernel, *drivers, *initrd, *rootfs, *probes, *ports, *files, *source, *test_boot,
		*modules;
};

static const struct json_field doc_fields[] = {
	JSON_INT(struct doc, format, "format", MANIFEST_FORMAT, MANIFEST_FORMAT, JSON_REQUIRED),
	JSON_STR(struct doc, name, "name", 0, LIMIT_NAME_LEN, JSON_REQUIRED),
	JSON_STR(struct doc, created, "created", 0, CLOCK_TEXT_LEN, 0),
	JSON_INT(struct doc, created_us, "created_us", 0, INT64_MAX, JSON_REQUIRED),
	JSON_REF(struct doc, kernel, "kernel", JSON_T_OBJ, 0, JSON_REQUIRED),
	JSON_REF(struct doc, drivers, "drivers", JSON_T_OBJ, 0, JSON_REQUIRED),
	JSON_REF(struct doc, initrd, "initrd", JSON_T_OBJ, 0, JSON_NULLABLE),
	JSON_REF(struct doc, rootfs, "rootfs", JSON_T_OBJ, 0, JSON_REQUIRED),
	JSON_INT(struct doc, min_ram_mib, "min_ram_mib", 1, LIMIT_RAM_MIB, JSON_REQUIRED),
	JSON_REF(struct doc, probes, "probes", JSON_T_ARR, LIMIT_PROBES, 0),
	JSON_REF(struct doc, ports, "ports", JSON_T_ARR, LIMIT_PORTS, 0),
	JSON_REF(struct doc, files, "files", JSON_T_OBJ, 0, JSON_REQUIRED),
	JSON_REF(struct doc, source, "source", JSON_T_OBJ, 0, 0),
	JSON_REF(struct doc, test_boot, "test_boot", JSON_T_OBJ, 0, JSON_NULLABLE),
	JSON_STR(struct doc, recipe_key, "recipe_key", 64, 64, JSON_NULLABLE),
	JSON_REF(struct doc, modules, "modules", JSON_T_ARR, MODULES_MAX, 0),
	JSON_END,
};

static void doc_done(struct doc *d)
{
	json_t *all[] = {d->kernel, d->drivers, d->initrd, d->rootfs,	 d->probes,
			 d->ports,  d->files,	d->source, d->test_boot, d->modules};

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		json_decref(all[i]);
}

static int read_kernel(json_t *v, struct image *i, struct err *e)
{
	static const struct json_field fields[] = {
		JSON_STR(struct image, kernel_format, "format", 1, sizeof(i->kernel_format) - 1,
			 JSON_REQUIRED),
		JSON_STR(struct image, kernel_version, "version", 0, sizeof(i->kernel_version) - 1,
			 JSON_REQUIRED),
		JSON_END,
	};

	return json_bind(v, "kernel", fields, i, e);
}

static int read_drivers(json_t *v, struct image *i, struct err *e)
{
	struct json_field fields[DRV_N_ + 1] = {0};
	int values[DRV_N_];
	int rc;

	for (int d = 0; d < DRV_N_; d++) {
		values[d] = DRV_UNKNOWN;
		fields[d] = (struct json_field){.name = image_driver_names[d],
						.type = JSON_T_ENUM,
						.offset = (size_t)d * sizeof(int),
						.size = sizeof(int),
						.names = image_presence_names,
						.names_n = DRV_PRESENCE_N_,
						.set_offset = SIZE_MAX};
	}
	fields[DRV_N_].type = JSON_T_END;
	rc = json_bind(v, "drivers", fields, values, e);
	for (int d = 0; !rc && d < DRV_N_; d++)
		i->drivers[d] = (enum image_presence)values[d];
	return rc;
}

static int read_rootfs(json_t *v, struct image *i, struct err *e)
{
	static const struct json_field fields[] = {
		JSON_STR(struct image, rootfs_fs, "fs", 1, sizeof(i->rootfs_fs) - 1, JSON_REQUIRED),
		JSON_END,
	};

	return json_bind(v, "rootfs", fields, i, e);
}

static int read_initrd(json_t *v, struct image *i, struct err *e)
{
	static const struct json_field fields[] = {
		JSON_BOOL(struct image, has_init, "hearth_init", JSON_REQUIRED),
		JSON_END,
	};

	i->has_initrd = v != NULL;
	return v ? json_bind(v, "initrd", fields, i, e) : 0;
}

int image_read_probes(json_t *v, const char *what, struct image *i, struct err *e)
{
	struct row {
		int type;
		char text[sizeof(i->probes[0].text)];
		int64_t port;
	};
	static const struct json_field fields[] = {
		JSON_ENUM(struct row, type, "type", image_probe_names, PROBE_N_, JSON_REQUIRED),
		JSON_STR(struct row, text, "text", 1, sizeof(i->probes[0].text) - 1, 0),
		JSON_INT(struct row, port, "port", 1, UINT16_MAX, 0),
		JSON_END,
	};
	size_t n;
	json_t *at;

	if (json_array_size(v) > LIMIT_PROBES)
		return err_set(e, -E2BIG, ERR_CALLER, "json.range", "%s: at most %d probes", what,
			       LIMIT_PROBES);
	i->probes_n = 0;
	json_array_foreach(v, n, at)
	{
		struct row r = {.type = PROBE_N_};
		int rc = json_bind(at, what, fields, &r, e);

		if (rc)
			return rc;
		if ((r.type == PROBE_CONSOLE) != (r.text[0] != '\0') ||
		    (r.type == PROBE_TCP) != (r.port != 0))
			return err_set(
				e, -EINVAL, ERR_CALLER, "json.range",
				"%s: probe %zu: a console probe has a text, a tcp probe has a port",
				what, n + 1);
		i->probes[n].type = (enum probe_type)r.type;
		text_set(i->probes[n].text, sizeof(i->probes[n].text), r.text); /* bounded above */
		i->probes[n].port = (uint16_t)r.port;
		i->probes_n++;
	}
	return 0;
}

int image_read_ports(json_t *v, const char *what, struct image *i, struct err *e)
{
	size_t n;
	json_t *at;

	if (json_array_size(v) > LIMIT_PORTS)
		return err_set(e, -E2BIG, ERR_CALLER, "json.range", "%s: at most %d ports", what,
			       LIMIT_PORTS);
	i->ports_n = 0;
	json_array_foreach(v, n, at)
	{
		if (!json_is_integer(at) || json_integer_value(at) < 1 ||
		    json_integer_value(at) > UINT16_MAX)
			return err_set(e, -EINVAL, ERR_CALLER, "json.range",
				       "%s: port %zu is not in 1..65535", what, n + 1);
		i->ports[i->ports_n++] = (uint16_t)json_integer_value(at);
	}
	return 0;
}

bool manifest_file(const json_t *manifest, const char *name, uint64_t *ret_bytes,
		   const char **ret_sha256)
{
	const json_t *f = json_object_get(json_object_get(manifest, "files"), name);
	const char *sha = json_string_value(json_object_get(f, "sha256"));
	json_int_t bytes = json_integer_value(json_object_get(f, "bytes"));

	if (!sha || !digest_valid(sha) || bytes < 0)
		return false;
	*ret_bytes = (uint64_t)bytes;
	*ret_sha256 = sha;
	return true;
}

static int read_files(const json_t *manifest, struct image *i, struct err *e)
{
	const json_t *files = json_object_get(manifest, "files");
	const char *sha;
	uint64_t *sizes[] = {&i->kernel_bytes, &i->initrd_bytes, &i->rootfs_bytes};
	size_t want = i->has_initrd ? 3 : 2;

	static_assert(ARRAY_LEN(sizes) == ARRAY_LEN(manifest_files), "one size per file");
	for (size_t n = 0; n < ARRAY_LEN(manifest_files); n++)
		if ((n != 1 || i->has_initrd) &&
		    !manifest_file(manifest, manifest_files[n], sizes[n], &sha))
			return err_set(e, -EINVAL, ERR_CALLER, "json.missing-field",
				       "files: no \"bytes\" and \"sha256\" of %s",
				       manifest_files[n]);
	if (json_object_size(files) != want)
		return err_set(e, -EINVAL, ERR_CALLER, "json.unknown-field",
			       "files: expected kernel, rootfs and, as \"initrd\" says, initrd; "
			       "got %zu files",
			       json_object_size(files));
	return 0;
}

static int read_doc(const struct doc *d, json_t *manifest, struct image *i, struct err *e)
{
	int rc = read_kernel(d->kernel, i, e);

	text_set(i->name, sizeof(i->name), d->name); /* bounded by the table */
	i->created_us = (uint64_t)d->created_us;
	i->min_ram_mib = (uint32_t)d->min_ram_mib;
	if (!rc)
		rc = read_drivers(d->drivers, i, e);
	if (!rc)
		rc = read_initrd(d->initrd, i, e);
	if (!rc)
		rc = read_rootfs(d->rootfs, i, e);
	if (!rc)
		rc = image_read_probes(d->probes, "probes", i, e);
	if (!rc)
		rc = image_read_ports(d->ports, "ports", i, e);
	return rc ? rc : read_files(manifest, i, e);
}

int manifest_parse(const char *text, size_t len, const char *what, struct image *ret, struct err *e)
{
	auto_json json_t *manifest = NULL;
	struct doc d = {0};
	struct image i = *ret;
	int rc = json_parse(text, len, &manifest, e);

	if (!rc)
		rc = json_bind(manifest, "manifest", doc_fields, &d, e);
	if (!rc)
		rc = read_doc(&d, manifest, &i, e);
	doc_done(&d);
	if (rc == -ENOMEM)
		return rc;
	if (rc) {
		(void)err_prefix(e, "image %s", what);
		if (e)
			e->id = "image.manifest";
		return rc;
	}
	i.manifest = take_ptr(manifest);
	*ret = i;
	return 0;
}

int manifest_read(const char *dir, struct image *ret, struct err *e)
{
	auto_free char *path = mem_printf("%s/" IMAGE_MANIFEST, dir);
	auto_buf text = {0};
	int rc;

	if (!path)
		return err_nomem(e);
	rc = fd_read_file(path, JSON_MAX_BYTES, &text, e);
	return rc ? rc : manifest_parse(buf_text(&text), text.len, path, ret, e);
}

int manifest_digest(const json_t *manifest, char ret[HASH_TEXT_LEN], struct err *e)
{
	auto_json json_t *facts = json_object();
	auto_free char *text = NULL;
	auto_buf lines = {0};
	char hex[HASH_TEXT_LEN];
	const char *sha;
	uint64_t bytes;
	int rc = 0;

	for (size_t n = 0; !rc && n < ARRAY_LEN(fact_keys); n++) {
		json_t *v = json_object_get(manifest, fact_keys[n]);

		rc = v ? json_put(facts, fact_keys[n], json_incref(v)) : 0;
	}
	text = json_dumps(facts, JSON_COMPACT | JSON_SORT_KEYS);
	if (rc || !text)
		return err_nomem(e);
	for (size_t n = 0; n < ARRAY_LEN(manifest_files); n++) /* they stand in sorted order */
		if (manifest_file(manifest, manifest_files[n], &bytes, &sha))
			rc = rc ? rc : buf_printf(&lines, "%s %s\n", manifest_files[n], sha);
	/* Its place in the sorted list is that of its file name, manifest.json, less the
	 * ".json". */
	hash_bytes(text, strlen(text), hex);
	if (rc || buf_printf(&lines, "manifest %s\n", hex))
		return err_nomem(e);
	hash_bytes(lines.data, lines.len, ret);
	return 0;
}

/* --- writing --- */

static json_t *drivers_json(const struct image *i)
{
	json_t *v = json_object();

	for (int d = 0; v && d < DRV_N_; d++)
		if (json_put(v, image_driver_names[d],
			     json_string(image_presence_names[i->drivers[d]])))
			return json_decref(v), NULL;
	return v;
}

static json_t *probes_json(const struct image *i)
{
	json_t *v = json_array();

	for (unsigned n = 0; v && n < i->probes_n; n++) {
		const struct image_probe *p = &i->probes[n];
		json_t *row = p->type == PROBE_CONSOLE
				      ? json_pack("{ssss}", "type", "console", "text", p->text)
				      : json_pack("{sssi}", "type", "tcp", "port", p->port);

		if (json_push(v, row))
			return json_decref(v), NULL;
	}
	return v;
}

static json_t *ports_json(const struct image *i)
{
	json_t *v = json_array();

	for (unsigned n = 0; v && n < i->ports_n; n++)
		if (json_push(v, json_integer(i->ports[n])))
			return json_decref(v), NULL;
	return v;
}

static int files_json(const struct image *i, json_t *files, struct err *e)
{
	for (size_t n = 0; n < ARRAY_LEN(manifest_files); n++) {
		auto_free char *path = mem_printf("%s/%s", i->dir, manifest_files[n]);
		char hex[HASH_TEXT_LEN];
		struct stat st;
		int rc;

		if (!path)
			return err_nomem(e);
		if (n == 1 && !i->has_initrd)
			continue;
		if (stat(path, &st))
			return err_sys(e, errno, "image.file", "%s", path);
		rc = hash_file(path, hex, e);
		if (rc)
			return rc;
		if (json_put(files, manifest_files[n],
			     json_pack("{sIss}", "bytes", (json_int_t)st.st_size, "sha256", hex)))
			return err_nomem(e);
	}
	return 0;
}

static json_t *manifest_json(const struct image *i, json_t *files)
{
	char created[CLOCK_TEXT_LEN];
	json_t *v = json_object();
	json_t *initrd =
		i->has_initrd ? json_pack("{sb}", "hearth_init", i->has_init) : json_null();
	int rc = 0;

	clock_text(i->created_us, created);
	rc |= json_put(v, "format", json_integer(MANIFEST_FORMAT));
	rc |= json_put(v, "name", json_string(i->name));
	rc |= json_put(v, "created", json_string(created));
	rc |= json_put(v, "created_us", json_integer((json_int_t)i->created_us));
	rc |= json_put(
		v, "kernel",
		json_pack("{ssss}", "format", i->kernel_format, "version", i->kernel_version));
	rc |= json_put(v, "drivers", drivers_json(i));
	rc |= json_put(v, "initrd", initrd);
	rc |= json_put(v, "rootfs", json_pack("{ss}", "fs", i->rootfs_fs));
	rc |= json_put(v, "min_ram_mib", json_integer(i->min_ram_mib));
	rc |= json_put(v, "probes", probes_json(i));
	rc |= json_put(v, "ports", ports_json(i));
	rc |= json_put(v, "files", json_incref(files));
	if (!rc)
		return v;
	json_decref(v);
	return NULL;
}

int build_manifest(const struct image_build *b, struct image *i, json_t *extra, struct err *e)
{
	auto_json json_t *files = json_object();
	auto_json json_t *manifest = NULL;
	auto_free char *text = NULL;
	auto_free char *path = mem_printf("%s/" IMAGE_MANIFEST, b->bundle);
	struct image check = {0};
	int rc = files && path ? files_json(i, files, e) : err_nomem(e);

	if (rc)
		return rc;
	manifest = manifest_json(i, files);
	if (!manifest || (extra && json_object_update_missing(manifest, extra)))
		return err_nomem(e);
	text = json_dumps(manifest, JSON_INDENT(2));
	if (!text)
		return err_nomem(e);
	/* What we write must be what we accept. */
	rc = manifest_parse(text, strlen(text), path, &check, e);
	if (rc)
		return rc;
	json_decref(check.manifest);
	rc = manifest_digest(manifest, i->digest, e);
	if (!rc)
		rc = fd_replace_file(path, text, strlen(text), 0644, e);
	if (rc)
		return rc;
	(void)read_files(manifest, i, NULL); /* the sizes; parsed just above */
	json_decref(i->manifest);
	i->manifest = take_ptr(manifest);
	return 0;
}
