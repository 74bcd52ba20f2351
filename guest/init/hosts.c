/*
 * Rewrites /etc/hosts: one line "127.0.1.1 NAME" (Debian's address for a host without a permanent
 * one, Debian Reference sec. 5.1.1) that carries a mark, so that the next boot replaces it. Called
 * by the files phase.  Trust: the old text belongs to the guest.
 */
#include "init/hosts.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/buf.h"

#define MARK "# by hearth-init"

/* True when one of the blank-separated words after the address is the name. */
static bool row_names(const char *row, size_t len, const char *hostname)
{
	size_t n = strlen(hostname);
	size_t i = strcspn(row, " \t\n");

	while (i < len && row[i] != '#') {
		size_t word = strcspn(row + i, " \t\n#");

		if (word == n && memcmp(row + i, hostname, n) == 0)
			return true;
		i += word;
		i += i < len && row[i] != '#' ? 1 : 0;
	}
	return false;
}

int hosts_update(const char *old, const char *hostname, struct buf *ret)
{
	bool named = false;

	while (*old) {
		size_t len = strcspn(old, "\n");
		const char *mark = memmem(old, len, MARK, strlen(MARK));

		if (!mark) {
			named |= row_names(old, len, hostname);
			(void)buf_add(ret, old, len);
			(void)buf_puts(ret, "\n");
		}
		old += len + (old[len] == '\n');
	}
	if (!named)
		(void)buf_printf(ret, "127.0.1.1\t%s\t" MARK "\n", hostname);
	return ret->failed ? -ENOMEM : 0;
}
