#pragma once
/*
 * The host's TSC frequency, which under TCG is the guest's too.
 */
#include <stdint.h>

/* kHz; measured once a process, which blocks 25 ms; 0: no invariant TSC to name.  Any thread. */
uint32_t tsc_khz(void);
