#pragma once
/*
 * Telling from its first bytes how the kernel would start a program.
 */
#include <stddef.h>
#include <stdint.h>

#define EXEC_HEAD_LEN	4096u
#define INTERPRETER_LEN 256u /* BINPRM_BUF_SIZE: what the kernel reads of a #! line */

enum exec_kind {
	EXEC_PLAIN,	  /* a static ELF program of this processor */
	EXEC_INTERPRETED, /* names the program that must load or run it */
	EXEC_WRONG_ARCH,  /* an ELF program of another processor */
	EXEC_UNKNOWN,	  /* neither ELF nor #! */
};

/* ret_interpreter is set for EXEC_INTERPRETED only. */
enum exec_kind execfmt_probe(const uint8_t *head, size_t len,
			     char ret_interpreter[INTERPRETER_LEN]);
