#pragma once
/*
 * Why a VM failed: a stable code, one sentence, the lines that show it, how to mend it.
 *
 * Pure functions over what a console scan collected: no I/O.
 */
#include <stdbool.h>

#include "base/err.h"
#include "control/lines.h"
#include "model/vm.h"

#define CAUSE_EVIDENCE 6u

struct cause {
	char code[64]; /* "" : none */
	char text[ERR_TEXT_MAX];
	char remedy[ERR_REMEDY_MAX];
	char evidence[CAUSE_EVIDENCE][LINE_TEXT];
	unsigned evidence_n;
};

void cause_set(struct cause *c, const char *code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void cause_remedy(struct cause *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void cause_evidence(struct cause *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void cause_from_err(struct cause *c, const struct err *e);

/* The decisive thing that the guest said on its console; false: it said nothing decisive.  A line
 * counts only where the boot stopped because of it (the traps of a panic: unpack error, errno,
 * device, list of disks). */
bool cause_from_console(const struct line_scan *s, enum vm_transport transport, uint32_t ram_mib,
			const char *cmdline, struct cause *ret);
