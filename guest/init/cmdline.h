#pragma once
/*
 * The kernel command line -> struct params.
 */
#include "init/fault.h"
#include "init/params.h"

#define CMDLINE_MAX                                                                                \
	4096 /* COMMAND_LINE_SIZE is 2048 on x86 and arm64; larger ones exist elsewhere */

/* Parse text (changed in place).  0, or -1 with the fault naming the field and what was expected.
 * Of a kernel field that stands twice the last counts, as for the kernel; hearth.* stands once. */
int cmdline_parse(char *text, struct params *ret, struct fault *f);
