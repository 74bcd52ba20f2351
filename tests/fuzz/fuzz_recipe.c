/*
 * Fuzz target: a recipe, a program's log, and a guest's console during the test boot.
 */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "fuzz.h"
#include "recipe/bootlog.h"
#include "recipe/recipe_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct image i = {.has_init = size % 2,
			  .rootfs_fs = "ext4",
			  .probes_n = 1,
			  .probes = {{.type = PROBE_CONSOLE, .text = " login:"}}};
	struct bootlog b = {.image = &i};
	char *text = calloc(1, size + 1);
	struct spec s = {0};
	struct err e = {0};
	char line[64];

	assert(text);
	if (size)
		memcpy(text, data, size);
	if (!spec_parse(text, size, "fuzz", &s, &e))
		assert(s.name[0] && s.suite[0] && s.kernel[0] && s.rootfs_mib);
	else
		assert(e.text[0] && !s.doc);
	spec_done(&s);
	assert(log_reason(text, line, sizeof(line)) <= size);
	for (size_t at = 0; at < size; at += 7)
		bootlog_feed(&b, text + at, size - at < 7 ? size - at : 7);
	assert(bootlog_holds(&b) == (b.probe[0].number && b.root.number &&
				     (!i.has_init || (b.net.number && b.handover.number))));
	free(text);
	return 0;
}
