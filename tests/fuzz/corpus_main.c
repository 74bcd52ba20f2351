/*
 * Runs a fuzz target over its committed corpus, as an ordinary test without libFuzzer: every file
 * as it is, every beginning of it, and every byte of it changed.
 * Usage: fuzz_NAME FOLDER...; fails when a folder holds no file.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/str.h"
#include "fuzz.h"

#define FILE_MAX_BYTES ((size_t)1 << 20)
#define VARIANTS_MAX   2048 /* beginnings and changes tried of one file: keeps a run short */

/* In memory of exactly its size, so that AddressSanitizer sees the first byte read too far. */
static void run_one(const char *data, size_t len)
{
	uint8_t *exact = malloc(len ? len : 1);

	assert(exact);
	if (len)
		memcpy(exact, data, len);
	(void)LLVMFuzzerTestOneInput(exact, len); /* 0 by libFuzzer's contract */
	free(exact);
}

static unsigned run_variants(struct buf *b)
{
	static const char swaps[] = {'\0', '\xff', '"', '0', '\n'};
	size_t step = b->len / (VARIANTS_MAX / (sizeof(swaps) + 2)) + 1;
	unsigned n = 1;

	run_one(b->data, b->len);
	for (size_t i = 0; i < b->len; i += step) {
		char was = b->data[i];

		run_one(b->data, i);
		for (size_t s = 0; s < sizeof(swaps); s++) {
			b->data[i] = swaps[s];
			run_one(b->data, b->len);
		}
		b->data[i] = (char)(was ^ 1 << i % 8);
		run_one(b->data, b->len);
		b->data[i] = was;
		n += sizeof(swaps) + 2;
	}
	return n;
}

static int run_file(const char *path, unsigned *inputs)
{
	auto_buf b = {0};
	struct err e = {0};

	if (fd_read_file(path, FILE_MAX_BYTES, &b, &e) || !buf_room(&b, 1)) {
		(void)fprintf(stderr, "%s\n", e.text);
		return -1;
	}
	*inputs += run_variants(&b);
	return 0;
}

static int run_folder(const char *folder, unsigned *inputs)
{
	DIR *d = opendir(folder);
	char path[PATH_MAX];
	struct dirent *entry;
	unsigned files = 0;
	int rc = 0;

	while (d && !rc && (entry = readdir(d))) {
		if (entry->d_name[0] == '.')
			continue;
		if (!str_fmt(path, sizeof(path), "%s/%s", folder, entry->d_name))
			rc = -1;
		else
			rc = run_file(path, inputs);
		files++;
	}
	if (d)
		(void)closedir(d); /* read only */
	if (!files)
		(void)fprintf(stderr, "%s: no corpus\n", folder);
	return files ? rc : -1;
}

int main(int argc, char **argv)
{
	unsigned inputs = 0;

	for (int i = 1; i < argc; i++)
		if (run_folder(argv[i], &inputs))
			return 1;
	(void)printf("%u inputs\n", inputs);
	return inputs ? 0 : 1;
}
