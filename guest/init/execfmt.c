/*
 * Reads the start of a program: script line or ELF header.
 *
 *	script  "#!" blanks interpreter [blanks argument] LF		 (fs/binfmt_script.c)
 *	ELF     0x7f "ELF", u8 class (1: 32, 2: 64 bits), u8 order (1: little-endian),
 *		u16 machine +18; with 64 bits u64 program headers +32, u16 their size +54, u16
 *		their number +56; header: u32 type, u64 offset +8, u64 length in file +32
 *		(System V ABI, "Program Header"; type 3 is PT_INTERP)
 *
 * Called by the handover phase and the unit tests.  Trust: every byte may be hostile.
 */
#include "init/execfmt.h"

#include <elf.h>
#include <string.h>

#ifdef __x86_64__
#define NATIVE_MACHINE EM_X86_64
#define COMPAT_MACHINE EM_386
#elif defined(__aarch64__)
#define NATIVE_MACHINE EM_AARCH64
#define COMPAT_MACHINE EM_ARM
#endif

static enum exec_kind script(const uint8_t *head, size_t len, char ret_interpreter[INTERPRETER_LEN])
{
	size_t at = 2, n = 0;

	while (at < len && (head[at] == ' ' || head[at] == '\t'))
		at++;
	while (at + n < len && head[at + n] && !memchr(" \t\n", head[at + n], 3))
		n++;
	if (n == 0 || n >= INTERPRETER_LEN || at + n == len)
		return EXEC_UNKNOWN;
	memcpy(ret_interpreter, head + at, n);
	ret_interpreter[n] = '\0';
	return EXEC_INTERPRETED;
}

static enum exec_kind elf64(const uint8_t *head, size_t len, char ret_interpreter[INTERPRETER_LEN])
{
	Elf64_Ehdr eh;

	memcpy(&eh, head, sizeof(eh));
	if (eh.e_phentsize != sizeof(Elf64_Phdr))
		return EXEC_UNKNOWN;
	for (size_t i = 0; i < eh.e_phnum; i++) {
		Elf64_Phdr ph;
		uint64_t at;

		if (__builtin_add_overflow(eh.e_phoff, i * sizeof(ph), &at) || at > len ||
		    len - at < sizeof(ph))
			break; /* beyond what was read: let the kernel judge */
		memcpy(&ph, head + at, sizeof(ph));
		if (ph.p_type != PT_INTERP)
			continue;
		if (ph.p_offset > len || ph.p_filesz > len - ph.p_offset || ph.p_filesz < 2 ||
		    ph.p_filesz > INTERPRETER_LEN || head[ph.p_offset + ph.p_filesz - 1])
			break;
		memcpy(ret_interpreter, head + ph.p_offset, ph.p_filesz);
		return EXEC_INTERPRETED;
	}
	return EXEC_PLAIN;
}

enum exec_kind execfmt_probe(const uint8_t *head, size_t len, char ret_interpreter[INTERPRETER_LEN])
{
	uint16_t machine;

	if (len > 2 && memcmp(head, "#!", 2) == 0)
		return script(head, len, ret_interpreter);
	if (len < sizeof(Elf64_Ehdr) || memcmp(head, ELFMAG, SELFMAG) != 0)
		return EXEC_UNKNOWN;
	memcpy(&machine, head + offsetof(Elf64_Ehdr, e_machine), sizeof(machine));
	if (head[EI_DATA] != ELFDATA2LSB ||
	    (machine != NATIVE_MACHINE && machine != COMPAT_MACHINE))
		return EXEC_WRONG_ARCH;
	/* A 32-bit program runs where the kernel was built for it: let the kernel judge. */
	return head[EI_CLASS] == ELFCLASS64 ? elf64(head, len, ret_interpreter) : EXEC_PLAIN;
}
