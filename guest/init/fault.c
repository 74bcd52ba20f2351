/*
 * The table of faults and the one function that records one. Called by the phases of hearth-init
 * and by its parsers.
 */
#include "init/fault.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/cleanup.h"

static const struct fault_info infos[] = {
#define F(code, exit, see, hint) [FAULT_##code] = {#code, exit, see, hint},
#include "init/faults.def"
#undef F
};
static_assert(ARRAY_LEN(infos) == FAULT_N_, "one entry a code");

int fault_set(struct fault *f, enum fault_code code, const char *looked, const char *fmt, ...)
{
	va_list ap;

	f->code = code;
	(void)snprintf(f->looked, sizeof(f->looked), "%s", looked); /* a cut value still tells */
	va_start(ap, fmt);
	(void)vsnprintf(f->why, sizeof(f->why), fmt, ap);
	va_end(ap);
	return -1;
}

const struct fault_info *fault_info(enum fault_code code)
{
	assert(code < FAULT_N_);
	return &infos[code];
}
