#pragma once
/*
 * The bodies of Firecracker's API, as tables and as checks: JSON in, struct vm_config changed, or a
 * sentence of the kind that its clients match on.
 *
 * Called by the routes and by --config-file, on the main thread.  Each applies its body as a whole
 * or not at all.  Trust: the text may be hostile.
 */
#include <jansson.h>

#include "fcapi/serde.h"
#include "machine/config.h"

#define BODY_TEXT_MAX 768

typedef int body_fn(struct vm_config *c, const struct serde_source *src, json_t *v,
		    char ret_why[BODY_TEXT_MAX]);

body_fn body_machine_config, body_machine_config_patch, body_boot_source, body_drive, body_net,
	body_entropy;

/* The defaults of a process that was told nothing yet. */
void body_defaults(struct vm_config *c);
/* The whole configuration file. */
int body_config_file(struct vm_config *c, const char *text, size_t len,
		     char ret_why[BODY_TEXT_MAX]);

/* What GET shows; NULL when memory is exhausted. */
json_t *body_show_machine_config(const struct vm_config *c);
json_t *body_show_config(const struct vm_config *c);
