/*
 * Fuzz target: the look-up of routes.  Input: "METHOD URL".
 */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "fuzz.h"
#include "rest/rest_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), *url, arg[ARG_LEN], allow[64];
	const struct route *r;

	assert(text);
	memcpy(text, data, size);
	text[size] = '\0';
	url = strchr(text, ' ');
	if (url) {
		*url++ = '\0';
		r = route_find(text, url, arg);
		route_allow(url, allow, sizeof(allow));
		assert(!r || strstr(allow, r->method));
		assert(!r || strlen(arg) < strlen(url));
		assert(!r || !strchr(arg, '/'));
		assert(!r || !strchr(r->path, '{') || strstr(url, arg));
	}
	free(text);
	return 0;
}
