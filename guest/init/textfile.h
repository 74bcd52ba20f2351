#pragma once
/*
 * Reading the kernel's small text files whole.
 */
#include <stddef.h>
#include <stdint.h>

/* Read at most cap - 1 bytes and a NUL; the last newline is dropped.  Length, -EFBIG when there is
 * more, or -Exxx. */
int textfile_read(const char *path, char *ret, size_t cap);
/* Write text to a file that exists, in one piece: 0, or -Exxx. */
int textfile_write(const char *path, const char *text);
/* A file that holds one number, such as those of sysfs; `otherwise` when it cannot be read. */
uint64_t textfile_u64(const char *path, uint64_t otherwise);
