#pragma once
/*
 * What this machine has, in words: the evidence of a failure line.
 */
#include <stddef.h>

struct line;

/* Add the fields that the mask of SEE_* (fault.h) asks for: saw=, filesystems=, nics=. */
void evidence_add(struct line *l, unsigned see);
/* "256 MiB", "0 B" */
void evidence_size(unsigned long long bytes, char *ret, size_t cap);
