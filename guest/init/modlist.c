/*
 * Parses /hearth/modules.
 *
 *	line = path [blanks parameters]	in the order of loading; '#' begins a comment line
 *
 * Called by the modules phase.  Trust: part of the initramfs, as trusted as this program.
 */
#include "init/modlist.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"

#define MODULE_INIT_COMPRESSED_FILE 4 /* <linux/module.h> since 5.17; finit_module(2) */

int modlist_parse(char *text, struct module ret_modules[MODULES_MAX])
{
	char *next = text, *row;
	size_t n = 0;

	while ((row = str_word(&next, "\r\n"))) {
		char *path = str_word(&row, " \t");

		if (!path || *path == '#')
			continue;
		if (n == MODULES_MAX)
			return -E2BIG;
		ret_modules[n].path = path;
		ret_modules[n].params = row ? row + strspn(row, " \t") : "";
		n++;
	}
	return (int)n;
}

int modlist_flags(const char *path)
{
	static const char *const packed[] = {".xz", ".zst", ".gz"};

	for (size_t i = 0; i < ARRAY_LEN(packed); i++)
		if (str_ends(path, packed[i]))
			return MODULE_INIT_COMPRESSED_FILE;
	return 0;
}
