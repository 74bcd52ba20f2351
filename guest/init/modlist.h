#pragma once
/*
 * The list of kernel modules, written by whoever built the initramfs.
 */
#include <stddef.h>

#define MODULES_MAX	256u
#define MODLIST_MAX_LEN 32768u

struct module {
	const char *path;   /* absolute, or below /lib/modules/RELEASE */
	const char *params; /* "" none */
};

/* Split text (changed in place) into modules: how many, or -E2BIG. */
int modlist_parse(char *text, struct module ret_modules[MODULES_MAX]);
/* The flags that finit_module(2) needs for this file: compressed or not. */
int modlist_flags(const char *path);
