#pragma once
/*
 * Firecracker's command line.  Called by main on its only thread; the words are the user's.
 */
#include <stdbool.h>
#include <stdint.h>

struct err;

#define ARGS_EXIT 153 /* Firecracker's exit status for a command line that is wrong */

struct args {
	const char *api_sock, *id, *config_file; /* borrowed from argv; config_file may be NULL */
	bool no_api, enable_pci, version, help, snapshot_version, no_seccomp;
	uint64_t max_payload;
};

/* Fills *ret with what was said and the defaults. */
int args_parse(int argc, char *const argv[], struct args *ret, struct err *e);
extern const char args_help[];
