#pragma once
/*
 * Object ids: a prefix that names the kind and 8 random hex digits, "vm-1a2b3c4d".
 */
#include <stdbool.h>

#define ID_LEN 24 /* longest prefix + 8 digits + NUL, with room */

/* A new random id; uniqueness is the store's to check. prefix: "vm", "tok", … (at most 8 bytes) */
void id_new(const char *prefix, char ret_id[ID_LEN]);
bool id_valid(const char *prefix, const char *id);
/* RFC 1035 label in lower case: a-z 0-9 '-', not at the ends, 1..63 bytes. */
bool name_valid(const char *name);
