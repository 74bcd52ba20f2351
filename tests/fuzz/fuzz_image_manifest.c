/*
 * Fuzz target: manifest.json of a bundle.
 */
#include <string.h>

#include "base/err.h"
#include "fuzz.h"
#include "image/image_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char one[HASH_TEXT_LEN], two[HASH_TEXT_LEN];
	struct image i = {0};
	struct err e = {0};

	if (manifest_parse((const char *)data, size, "fuzz", &i, &e)) {
		assert(!i.manifest && e.text[0]);
		return 0;
	}
	assert(i.min_ram_mib >= 1 && i.probes_n <= LIMIT_PROBES && i.ports_n <= LIMIT_PORTS);
	assert(!manifest_digest(i.manifest, one, &e) && !manifest_digest(i.manifest, two, &e));
	assert(digest_valid(one) && !memcmp(one, two, sizeof(one)));
	json_decref(i.manifest);
	return 0;
}
