/*
 * Table network.  Called by the controller on the loop's thread.
 */
#include <errno.h>
#include <string.h>

#include "base/parse.h"
#include "base/str.h"
#include "store/store_internal.h"

#define DNS_TEXT_LEN (LIMIT_DNS * IPV4_TEXT_LEN)

static void dns_text(const struct network *n, char ret[DNS_TEXT_LEN])
{
	size_t len = 0;

	ret[0] = '\0';
	for (unsigned i = 0; i < n->dns_n; i++) {
		if (i)
			ret[len++] = ',';
		format_ipv4(n->dns[i], ret + len);
		len += strlen(ret + len);
	}
}

static void bind_network(sqlite3_stmt *st, const struct network *n, const char *dns)
{
	bind_text(st, 1, n->name);
	bind_u64(st, 2, n->cidr);
	bind_u64(st, 3, n->prefix);
	bind_u64(st, 4, n->gateway);
	bind_text(st, 5, dns);
	bind_u64(st, 6, n->mtu);
	bind_u64(st, 7, n->nat);
	bind_u64(st, 8, n->isolated);
	bind_u64(st, 9, n->created_us);
}

static void read_network(sqlite3_stmt *st, struct network *n)
{
	char dns[DNS_TEXT_LEN], *pos = dns, *word;

	memset(n, 0, sizeof(*n));
	column_text(st, 0, n->name, sizeof(n->name));
	n->cidr = (uint32_t)sqlite3_column_int64(st, 1);
	n->prefix = (unsigned)sqlite3_column_int64(st, 2);
	n->gateway = (uint32_t)sqlite3_column_int64(st, 3);
	column_text(st, 4, dns, sizeof(dns));
	while (n->dns_n < LIMIT_DNS && (word = str_word(&pos, ",")))
		if (!parse_ipv4(word, &n->dns[n->dns_n]))
			n->dns_n++;
	n->mtu = (unsigned)sqlite3_column_int64(st, 5);
	n->nat = sqlite3_column_int64(st, 6) != 0;
	n->isolated = sqlite3_column_int64(st, 7) != 0;
	n->created_us = (uint64_t)sqlite3_column_int64(st, 8);
}

static int absent(const char *name, struct err *e)
{
	return err_set(e, -ENOENT, ERR_ABSENT, "network.absent", "no network named %s", name);
}

int store_network_insert(struct store *s, const struct network *n, struct err *e)
{
	char dns[DNS_TEXT_LEN];
	sqlite3_stmt *st;
	int rc = stmt_get(s, SQL_NETWORK_INSERT, &st, e);

	if (rc)
		return rc;
	dns_text(n, dns);
	bind_network(st, n, dns);
	rc = stmt_run(s, st, e);
	if (rc == -EEXIST)
		return err_set(e, rc, ERR_STATE, "network.exists", "network %s exists already",
			       n->name);
	return rc;
}

int store_network_delete(struct store *s, const char *name, struct err *e)
{
	uint32_t used = 0;
	sqlite3_stmt *st;
	int rc = store_lease_count(s, name, &used, e);

	if (rc)
		return rc;
	if (used) {
		err_set(e, -EBUSY, ERR_STATE, "network.in-use", "network %s has %u VMs", name,
			used);
		err_remedy(e, "delete its VMs first (hearth vm list)");
		return -EBUSY;
	}
	rc = stmt_get(s, SQL_NETWORK_DELETE, &st, e);
	if (rc)
		return rc;
	bind_text(st, 1, name);
	rc = stmt_run(s, st, e);
	return !rc && sqlite3_changes(s->db) != 1 ? absent(name, e) : rc;
}

int store_network_each(struct store *s, store_network_fn *fn, void *ctx, struct err *e)
{
	struct network n;
	sqlite3_stmt *st;
	int rc = stmt_get(s, SQL_NETWORK_EACH, &st, e);

	if (rc)
		return rc;
	while ((rc = stmt_step(s, st, e)) > 0) {
		read_network(st, &n);
		rc = fn(ctx, &n);
		if (rc)
			break;
	}
	(void)sqlite3_reset(st); /* the result is in rc */
	return rc;
}
