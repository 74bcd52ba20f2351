#pragma once
/*
 * Why a boot ends: one of the causes of faults.def, with what was looked for and the reason.
 */
#include <stddef.h>

/* What the failure line shows beside the cause. */
#define SEE_NONE	0u
#define SEE_DISKS	(1u << 0)
#define SEE_FILESYSTEMS (1u << 1)
#define SEE_NICS	(1u << 2)

enum fault_code {
#define F(code, exit, see, hint) FAULT_##code,
#include "init/faults.def"
#undef F
	FAULT_N_
};

struct fault_info {
	const char *name; /* "ROOT_DEVICE_MISSING" */
	int exit;	  /* number of the cause, 10..99 */
	unsigned see;	  /* mask of SEE_* */
	const char *hint;
};

struct fault {
	enum fault_code code;
	char looked[320]; /* the field, device or path at fault */
	char why[320];	  /* one sentence: what was expected, or the kernel's answer */
};

/* Record a fault; always returns -1, so that a phase writes `return fault_set(...)`. */
int fault_set(struct fault *f, enum fault_code code, const char *looked, const char *fmt, ...)
	__attribute__((format(printf, 4, 5), cold));
const struct fault_info *fault_info(enum fault_code code);
