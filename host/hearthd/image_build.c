/*
 * `hearthd image-build`: builds or imports one image in a process of its own, so that hearthd's
 * loop never waits for it; progress goes to standard output as JSON lines (recipe/recipe.h).
 * Called by main.c in the child that host/control starts.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/parse.h"
#include "base/str.h"
#include "hearthd/hearthd.h"
#include "model/limits.h"
#include "recipe/recipe.h"

static const struct {
	const char *name;
	size_t offset;
} words[] = {
	{"--images", offsetof(struct recipe_job, images_dir)},
	{"--recipes", offsetof(struct recipe_job, recipes_dir)},
	{"--init", offsetof(struct recipe_job, init_path)},
	{"--shim", offsetof(struct recipe_job, shim_path)},
	{"--name", offsetof(struct recipe_job, name)},
	{"--recipe", offsetof(struct recipe_job, recipe)},
	{"--kernel", offsetof(struct recipe_job, kernel)},
	{"--rootfs", offsetof(struct recipe_job, rootfs)},
	{"--initrd", offsetof(struct recipe_job, initrd)},
	{"--modules", offsetof(struct recipe_job, modules)},
};

static int set(struct recipe_job *job, const char *name, const char *value, struct err *e)
{
	for (unsigned i = 0; i < ARRAY_LEN(words); i++) {
		if (!str_eq(words[i].name, name))
			continue;
		memcpy((char *)job + words[i].offset, &value, sizeof(value));
		return 0;
	}
	if (!str_eq(name, "--min-ram-mib"))
		return err_set(e, -EINVAL, ERR_CALLER, "option.unknown",
			       "image-build: %.64s: unknown option", name);
	if (parse_u32(value, 1, LIMIT_RAM_MIB, &job->min_ram_mib))
		return err_set(e, -EINVAL, ERR_CALLER, "option.value",
			       "image-build: --min-ram-mib %.32s: expected an integer from 1 to %u",
			       value, LIMIT_RAM_MIB);
	return 0;
}

int image_build(int argc, char **argv, struct err *e)
{
	struct recipe_job job = {0};
	char digest[HASH_TEXT_LEN];
	int rc = 0;

	for (int i = 2; i < argc && !rc; i += 2)
		rc = i + 1 < argc ? set(&job, argv[i], argv[i + 1], e)
				  : err_set(e, -EINVAL, ERR_CALLER, "option.no-value",
					    "image-build: %.64s: needs a value", argv[i]);
	if (rc)
		return rc;
	if (!job.images_dir || !job.recipes_dir || !job.init_path || !job.name ||
	    (!job.recipe && (!job.kernel || !job.rootfs)))
		return err_set(
			e, -EINVAL, ERR_CALLER, "option.missing",
			"image-build: needs --images, --recipes, --init, --name, and --recipe or "
			"--kernel and --rootfs");
	return recipe_run(&job, STDOUT_FILENO, digest, e);
}
