/*
 * Makes and checks object ids and names.  Called by the controller and the API on any thread.
 * Trust: ids and names to check come from clients.
 */
#include "model/id.h"

#include <assert.h>
#include <string.h>

#include "base/hash.h"
#include "base/str.h"
#include "model/limits.h"

#define ID_DIGITS                                                                                  \
	8 /* 32 random bits: a clash among 4096 VMs is 1 in 500, and the store refuses it */

void id_new(const char *prefix, char ret_id[ID_LEN])
{
	char digits[ID_DIGITS + 1];
	bool fits;

	random_hex(digits, ID_DIGITS / 2);
	fits = str_fmt(ret_id, ID_LEN, "%s-%s", prefix, digits);
	assert(fits);
}

bool id_valid(const char *prefix, const char *id)
{
	size_t n = strlen(prefix);

	return str_starts(id, prefix) && id[n] == '-' && strlen(id) == n + 1 + ID_DIGITS &&
	       strspn(id + n + 1, "0123456789abcdef") == ID_DIGITS;
}

bool name_valid(const char *name)
{
	size_t n = strlen(name);

	return n >= 1 && n <= LIMIT_NAME_LEN &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == n && name[0] != '-' &&
	       name[n - 1] != '-';
}
