#pragma once
/*
 * What each request of Firecracker's API does (reference: its API of 1.17), with its phase rules.
 *
 * Called by server.c on the main thread.  Trust: path and body are the client's.
 */
#include <stdbool.h>
#include <stddef.h>

#include "fcapi/http.h"
#include "machine/config.h"

/* The VM as the API sees it; the program fills it in. */
struct api_vm {
	struct vm_config config;
	bool started;
	/* Build and start it; 0, or negative and a sentence. */
	int (*start)(void *ctx, char *ret_why, size_t cap);
	void (*set_paused)(void *ctx, bool paused);
	bool (*is_paused)(void *ctx);
	void *ctx;
};

struct api_answer {
	unsigned status;
	char *body; /* malloc'd JSON; NULL: none */
};

/* Always gives an answer; one without a body and 500 when memory is exhausted. */
void api_handle(struct api_vm *vm, const struct http_request *r, struct api_answer *ret);

#define API_VERSION "1.17.0-dev" /* of Firecracker's interface: clients compare it */
