/*
 * Fuzz target: a user's boot arguments.  What is accepted keeps Hearth's own words, in front and
 * once; what is refused names a reason and leaves the output alone.
 */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "engine/engine.h"
#include "fuzz.h"

static unsigned count(const char *line, const char *word)
{
	unsigned n = 0;

	for (const char *p = line; (p = strstr(p, word)); p++)
		n++;
	return n;
}

static void check_accepted(const char *line, const char *args)
{
	assert(strlen(line) <= LIMIT_CMDLINE_LEN);
	assert(str_starts(line, "console=ttyS0 reboot=t panic=-1 "));
	for (size_t i = 0; line[i]; i++)
		assert(line[i] >= 0x20 && line[i] <= 0x7e);
	/* In quotes it may stand for another word's value, so only without them it must be once. */
	if (!strchr(args, '"')) {
		assert(count(line, " hearth.root=") == 1);
		assert(count(line, " root=") <= 1);
		assert(!strstr(line, " acpi=off") && !strstr(line, " pci=off"));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (int i = 0; i < 2; i++) {
		char *args = malloc(size + 1), line[LIMIT_CMDLINE_LEN + 1] = "untouched";
		struct cmdline_spec s = {
			.transport = VM_PCI,
			.root = i ? VM_ROOT_DIRECT : VM_ROOT_OVERLAY,
			.drives_n = 2,
			.root_fs = "ext4",
			.has_init = true,
			.console = "ttyS0",
			.user_args = args,
		};
		struct err e = {0};

		assert(args);
		if (size)
			memcpy(args, data, size);
		args[size] = '\0';
		if (cmdline_compose(&s, line, &e)) {
			assert(e.id && str_starts(e.id, "cmdline.") && e.text[0]);
			assert(str_eq(line, "untouched"));
		} else {
			check_accepted(line, args);
		}
		free(args);
	}
	return 0;
}
