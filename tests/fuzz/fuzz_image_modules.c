/*
 * Fuzz target: modules.dep, modules.builtin and modules.softdep, with NUL between them.
 */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "fuzz.h"
#include "image/image_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = {"a", "virtio_blk", "ext4"};
	char *text = calloc(1, size + 3); /* ends in three empty texts at least */
	const char *builtin, *softdep;
	struct module_list l = {.n = 0};
	struct modules *m = NULL;
	struct err e = {0};

	assert(text);
	if (size)
		memcpy(text, data, size);
	builtin = text + strlen(text) + 1;
	softdep = builtin + strlen(builtin) + 1;
	if (softdep > text + size + 2)
		softdep = "";
	if (!modules_parse(text, builtin, softdep, &m, &e)) {
		if (!modules_closure(m, names, ARRAY_LEN(names), &l, &e))
			for (size_t i = 0; i < l.n; i++)
				assert(*l.path[i] != '/' && !strstr(l.path[i], "..") &&
				       i < MODULES_MAX);
		modules_free(m);
	}
	free(text);
	return 0;
}
