/*
 * Reads recipe.json, the declaration of one image (docs/images.md documents every key).
 * Called at the start of a build.  Trust: the file is an administrator's; its paths are still
 * checked, because a slip there would write into the host.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/str.h"
#include "json/json.h"
#include "model/id.h"
#include "recipe/recipe_internal.h"

#define SPEC_FORMAT    1
#define ROOTFS_MIB_MIN 16
#define ROOTFS_MIB_MAX 65536

struct row {
	int64_t format, rootfs_mib, min_ram_mib;
	char name[LIMIT_NAME_LEN + 1], text[400], suite[32], variant[32], kernel[128];
	json_t *components, *packages, *exclude, *modules, *files, *links, *remove, *mask, *probes,
		*ports;
};

static const struct json_field fields[] = {
	JSON_INT(struct row, format, "format", SPEC_FORMAT, SPEC_FORMAT, JSON_REQUIRED),
	JSON_STR(struct row, name, "name", 1, LIMIT_NAME_LEN, JSON_REQUIRED),
	JSON_STR(struct row, text, "description", 1, 399, JSON_REQUIRED),
	JSON_STR(struct row, suite, "suite", 1, 31, JSON_REQUIRED),
	JSON_STR(struct row, variant, "variant", 1, 31, JSON_REQUIRED),
	JSON_STR(struct row, kernel, "kernel", 1, 127, JSON_REQUIRED),
	JSON_REF(struct row, components, "components", JSON_T_ARR, 8, JSON_REQUIRED),
	JSON_REF(struct row, packages, "packages", JSON_T_ARR, SPEC_LIST_MAX, JSON_REQUIRED),
	JSON_REF(struct row, exclude, "exclude", JSON_T_ARR, SPEC_LIST_MAX, 0),
	JSON_REF(struct row, modules, "modules", JSON_T_ARR, 64, 0),
	JSON_REF(struct row, files, "files", JSON_T_ARR, SPEC_LIST_MAX, 0),
	JSON_REF(struct row, links, "links", JSON_T_ARR, SPEC_LIST_MAX, 0),
	JSON_REF(struct row, remove, "remove", JSON_T_ARR, SPEC_LIST_MAX, 0),
	JSON_REF(struct row, mask, "mask", JSON_T_ARR, SPEC_LIST_MAX, 0),
	JSON_INT(struct row, rootfs_mib, "rootfs_mib", ROOTFS_MIB_MIN, ROOTFS_MIB_MAX,
		 JSON_REQUIRED),
	JSON_INT(struct row, min_ram_mib, "min_ram_mib", 1, LIMIT_RAM_MIB, JSON_REQUIRED),
	JSON_REF(struct row, probes, "probes", JSON_T_ARR, LIMIT_PROBES, 0),
	JSON_REF(struct row, ports, "ports", JSON_T_ARR, LIMIT_PORTS, 0),
	JSON_END,
};

/* A word that becomes one argument of a program: never an option, never two words. */
static bool is_word(const char *s)
{
	return *s &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-._:@~=/"
			 "*\\") == strlen(s) &&
	       *s != '-';
}

static int check_words(const json_t *list, const char *key, struct err *e)
{
	size_t n;
	json_t *at;

	json_array_foreach(list, n, at)
	{
		const char *s = json_string_value(at);

		if (!s || !is_word(s))
			return err_set(
				e, -EINVAL, ERR_CALLER, "recipe.word",
				"%s: entry %zu is no plain word (letters, digits, + - . _ : @ ~ /)",
				key, n + 1);
	}
	return 0;
}

static int check_row(const struct row *r, struct err *e)
{
	const struct {
		const char *key;
		const json_t *list;
	} words[] = {
		{"components", r->components}, {"packages", r->packages}, {"modules", r->modules},
		{"remove", r->remove},	       {"mask", r->mask},	  {"exclude", r->exclude},
	};
	const char *const single[] = {r->suite, r->variant, r->kernel};
	int rc = 0;

	if (!name_valid(r->name))
		return err_set(e, -EINVAL, ERR_CALLER, "recipe.name",
			       "name: \"%s\" is no label of a-z, 0-9, '-'", r->name);
	for (size_t i = 0; i < ARRAY_LEN(single); i++)
		if (!is_word(single[i]))
			return err_set(e, -EINVAL, ERR_CALLER, "recipe.word",
				       "\"%s\" is no plain word", single[i]);
	for (size_t i = 0; !rc && i < ARRAY_LEN(words); i++)
		rc = check_words(words[i].list, words[i].key, e);
	return rc;
}

int spec_parse(const char *text, size_t len, const char *what, struct spec *ret, struct err *e)
{
	auto_json json_t *doc = NULL;
	struct row r = {0};
	struct spec s = {0};
	int rc = json_parse(text, len, &doc, e);

	if (!rc)
		rc = json_bind(doc, "recipe", fields, &r, e);
	if (!rc)
		rc = check_row(&r, e);
	if (!rc)
		rc = image_read_probes(r.probes, "probes", &s.facts, e);
	if (!rc)
		rc = image_read_ports(r.ports, "ports", &s.facts, e);
	json_decref(r.probes);
	json_decref(r.ports);
	s.components = r.components;
	s.packages = r.packages;
	s.exclude = r.exclude;
	s.modules = r.modules;
	s.files = r.files;
	s.links = r.links;
	s.remove = r.remove;
	s.mask = r.mask;
	if (rc) {
		spec_done(&s);
		return err_prefix(e, "%s", what);
	}
	text_set(s.name, sizeof(s.name), r.name);
	text_set(s.suite, sizeof(s.suite), r.suite);
	text_set(s.variant, sizeof(s.variant), r.variant);
	text_set(s.kernel, sizeof(s.kernel), r.kernel);
	s.rootfs_mib = (uint32_t)r.rootfs_mib;
	s.facts.min_ram_mib = (uint32_t)r.min_ram_mib;
	s.doc = take_ptr(doc);
	*ret = s;
	return 0;
}

int spec_load(const char *recipes_dir, const char *recipe, struct spec *ret, struct err *e)
{
	auto_free char *dir = mem_printf("%s/%s", recipes_dir, recipe);
	auto_free char *path = mem_printf("%s/%s/recipe.json", recipes_dir, recipe);
	auto_buf text = {0};
	int rc;

	if (!dir || !path)
		return err_nomem(e);
	if (!name_valid(recipe))
		return err_set(e, -EINVAL, ERR_CALLER, "recipe.name",
			       "\"%.80s\" is no name of a recipe", recipe);
	rc = fd_read_file(path, JSON_MAX_BYTES, &text, e);
	if (rc == -ENOENT)
		return err_set(e, rc, ERR_ABSENT, "recipe.absent",
			       "no recipe \"%s\": %s does not exist", recipe, path);
	if (!rc)
		rc = spec_parse(buf_text(&text), text.len, path, ret, e);
	if (rc)
		return rc;
	ret->dir = take_ptr(dir);
	ret->text = buf_take(&text);
	if (ret->text)
		return 0;
	spec_done(ret);
	return err_nomem(e);
}

void spec_done(struct spec *s)
{
	json_t *all[] = {s->doc,   s->components, s->packages, s->modules, s->exclude,
			 s->files, s->links,	  s->remove,   s->mask};

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		json_decref(all[i]);
	free(s->dir);
	free(s->text);
	memset(s, 0, sizeof(*s));
}
