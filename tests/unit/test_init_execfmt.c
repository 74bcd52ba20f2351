/*
 * Tests of guest/init/execfmt: scripts, real programs of this machine, headers that lie.
 */
#include "init/execfmt.h"

#include <elf.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "unit.h"

static enum exec_kind probe(const void *data, size_t len, char ret[INTERPRETER_LEN])
{
	auto_free uint8_t *copy = malloc(len ? len : 1);

	assert_non_null(copy);
	memcpy(copy, data, len);
	memset(ret, 0, INTERPRETER_LEN);
	return execfmt_probe(copy, len, ret);
}

static void scripts(void **state)
{
	static const struct {
		const char *text;
		const char *interpreter; /* NULL: unknown format */
	} cases[] = {{"#!/bin/sh\n", "/bin/sh"},
		     {"#! \t/bin/sh -e\nexit", "/bin/sh"},
		     {"#!/usr/bin/env\tpython3\n", "/usr/bin/env"},
		     {"#!\n", NULL},
		     {"#!   \n/bin/sh", NULL},
		     {"#!", NULL},
		     {"#", NULL},
		     {"", NULL},
		     {"echo hello\n", NULL}};
	char got[INTERPRETER_LEN], longer[600];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		enum exec_kind k = probe(cases[i].text, strlen(cases[i].text), got);

		assert_int_equal(k, cases[i].interpreter ? EXEC_INTERPRETED : EXEC_UNKNOWN);
		if (cases[i].interpreter)
			assert_string_equal(got, cases[i].interpreter);
	}
	memset(longer, 'a', sizeof(longer));
	memcpy(longer, "#!/", 3);
	longer[2 + INTERPRETER_LEN - 1] = '\n';
	assert_int_equal(probe(longer, sizeof(longer), got), EXEC_INTERPRETED);
	assert_int_equal(strlen(got), INTERPRETER_LEN - 1);
	longer[2 + INTERPRETER_LEN - 1] = 'a';
	longer[2 + INTERPRETER_LEN] = '\n';
	assert_int_equal(probe(longer, sizeof(longer), got), EXEC_UNKNOWN);
}

static size_t read_head(const char *path, uint8_t head[EXEC_HEAD_LEN])
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, head, EXEC_HEAD_LEN);

	assert_true(n > 0);
	return (size_t)n;
}

static void real_program(void **state)
{
	uint8_t head[EXEC_HEAD_LEN];
	char got[INTERPRETER_LEN];
	size_t len = read_head("/bin/true", head);
	Elf64_Ehdr *eh = (void *)head;

	(void)state;
	assert_int_equal(probe(head, len, got), EXEC_INTERPRETED);
	assert_true(strstr(got, "/ld-") != NULL);
	eh->e_machine = EM_S390;
	assert_int_equal(probe(head, len, got), EXEC_WRONG_ARCH);
	len = read_head("/bin/true", head);
	head[EI_DATA] = ELFDATA2MSB;
	assert_int_equal(probe(head, len, got), EXEC_WRONG_ARCH);
	len = read_head("/bin/true", head);
	eh->e_phnum = 0;
	assert_int_equal(probe(head, len, got), EXEC_PLAIN);
}

/* Each byte of the header set to extremes, each length: nothing is read outside, no endless
 * name. */
static void headers_that_lie(void **state)
{
	static const uint8_t extremes[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
	uint8_t head[EXEC_HEAD_LEN];
	char got[INTERPRETER_LEN];
	size_t len = read_head("/bin/true", head);

	(void)state;
	for (size_t i = 0; i < len; i += 13)
		(void)probe(head, i, got);
	for (size_t i = 4; i < 1024 && i < len; i++) {
		uint8_t old = head[i];

		for (size_t k = 0; k < ARRAY_LEN(extremes); k++) {
			head[i] = extremes[k];
			if (probe(head, len, got) == EXEC_INTERPRETED)
				assert_true(strlen(got) < INTERPRETER_LEN);
		}
		head[i] = old;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scripts),
		cmocka_unit_test(real_program),
		cmocka_unit_test(headers_that_lie),
	};

	return RUN_TESTS(tests);
}
