#pragma once
/*
 * SHA-256 (FIPS 180-4) of memory and files, as 64 lower-case hexadecimal digits; random bytes.
 */
#include <stddef.h>
#include <stdint.h>

struct err;

#define HASH_TEXT_LEN 65 /* 64 hex digits + NUL */

void hash_bytes(const void *data, size_t len, char ret_hex[HASH_TEXT_LEN]);
/* Reads the whole file; blocks. */
int hash_file(const char *path, char ret_hex[HASH_TEXT_LEN], struct err *e);
/* From getrandom(2); asserts, because a Linux host that has booted can always answer. */
void random_bytes(void *dst, size_t len);
/* n random bytes as 2n hex digits + NUL. */
void random_hex(char *dst, size_t n);
