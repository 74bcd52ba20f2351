#pragma once
/*
 * The API's Unix socket: accepts up to ten clients and answers their requests one after the other.
 *
 * Runs on the main thread's loop.  Trust: every byte is a client's.
 */
#include <stddef.h>

#include "base/cleanup.h"
#include "fcapi/routes.h"

struct err;
struct loop;
struct api_server;

/* Listens at path, which must not exist.  vm and loop are borrowed. */
int api_server_new(const char *path, size_t body_max, struct api_vm *vm, struct loop *loop,
		   struct api_server **ret, struct err *e);
/* Closes all and removes the socket. */
void api_server_free(struct api_server *s);
DEFINE_AUTO(api_server)
