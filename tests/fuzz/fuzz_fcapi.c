/*
 * Fuzz target: the VMM's API as bytes on its socket: requests one after the other, their JSON
 * bodies, and the routes, with a machine that never starts.
 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "fcapi/bodies.h"
#include "fcapi/routes.h"
#include "fuzz.h"

#define BODY_MAX     4096u
#define REQUESTS_MAX 16u

static int start(void *ctx, char *ret_why, size_t cap)
{
	(void)ctx;
	assert(cap > 0);
	ret_why[0] = '\0';
	return -1;
}

static void set_paused(void *ctx, bool paused)
{
	(void)ctx, (void)paused;
}

static bool is_paused(void *ctx)
{
	(void)ctx;
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct api_vm vm; /* large; set up anew each time */
	/* A copy that ends where it ends, so that the sanitizer sees a read behind it. */
	auto_free char *copy = malloc(size ? size : 1);
	size_t at = 0;

	assert(copy);
	memcpy(copy, data, size);
	vm = (struct api_vm){.start = start, .set_paused = set_paused, .is_paused = is_paused};
	body_defaults(&vm.config);
	for (unsigned i = 0; i < REQUESTS_MAX; i++) {
		struct http_request r;
		struct api_answer a;
		const char *why = NULL;
		enum http_result rc = http_parse(copy + at, size - at, BODY_MAX, &r, &why);

		assert(rc != HTTP_BAD || why);
		if (rc != HTTP_REQUEST)
			break;
		assert(r.used > 0 && r.used <= size - at && r.body_len <= BODY_MAX);
		api_handle(&vm, &r, &a);
		assert((a.status == 204) == !a.body && a.status <= 400);
		free(a.body);
		at += r.used;
	}
	assert(vm.config.vcpus >= 1 && vm.config.vcpus <= 32 && vm.config.mem_mib > 0);
	assert(vm.config.drives_n <= VM_DRIVES_MAX && vm.config.nets_n <= VM_NETS_MAX);
	return 0;
}
