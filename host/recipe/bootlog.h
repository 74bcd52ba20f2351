#pragma once
/*
 * What the console of a test boot says: hearth-init's phases, the kernel's end, the image's own
 * probes.
 */
#include <stdbool.h>
#include <stddef.h>

#include "image/image.h"

#define BOOTLOG_LINE                                                                               \
	1024 /* bytes of a line that are looked at; hearth-init's fit but for long evidence */

struct bootlog_line {
	unsigned number; /* from 1; 0: not seen */
	char text[320];
};

struct bootlog {
	const struct image *image;		 /* borrowed: its probes */
	struct bootlog_line net, root, handover; /* hearth-init's "ok" lines */
	struct bootlog_line fault;		 /* the line that tells why it can't go on */
	int fault_weight;
	struct bootlog_line last;		 /* the last that is not blank */
	struct bootlog_line probe[LIMIT_PROBES]; /* console probes that hold */
	unsigned number;			 /* of the line that is being read */
	char line[BOOTLOG_LINE];
	size_t len;
};

/* Take the next bytes of the console, in whatever pieces they come. */
void bootlog_feed(struct bootlog *b, const char *data, size_t len);
/* The console has shown all that can be asked of it: root, handover where hearth-init runs,
 * probes. */
bool bootlog_holds(const struct bootlog *b);
