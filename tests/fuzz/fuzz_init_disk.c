/*
 * Fuzz target: what hearth-init reads from disks: superblocks, partition tables, starts of
 * programs.
 */
#include <string.h>

#include "fuzz.h"
#include "init/execfmt.h"
#include "init/partition.h"
#include "init/superblock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char interpreter[INTERPRETER_LEN];
	struct superblock s;

	superblock_probe(data, size, &s);
	assert(s.name && strlen(s.label) < LABEL_LEN);
	assert(!*s.uuid || strlen(s.uuid) == UUID_TEXT_LEN - 1);
	assert(s.content != CONTENT_FILESYSTEM || *s.name);
	assert(partition_find(data, size, "12345678-9abc-def0-0123-456789abcdef") <= 256);
	assert(partition_find(data, size, "0a0b0c0d-01") <= 1);
	if (execfmt_probe(data, size, interpreter) == EXEC_INTERPRETED)
		assert(strnlen(interpreter, sizeof(interpreter)) < sizeof(interpreter));
	return 0;
}
