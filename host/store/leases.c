/*
 * Table lease: which VM holds which number, address and MAC; given and taken back in one
 * transaction. Called by the controller on the loop's thread.
 */
#include <errno.h>
#include <string.h>

#include "base/parse.h"
#include "store/store_internal.h"

/* First integer of a query that gives one row. */
static int query_number(struct store *s, sqlite3_stmt *st, uint64_t *ret, struct err *e)
{
	int rc = stmt_step(s, st, e);

	if (rc > 0)
		*ret = (uint64_t)sqlite3_column_int64(st, 0);
	(void)sqlite3_reset(st); /* the result is in rc */
	return rc < 0 ? rc : 0;
}

/* -EEXIST with a sentence when the query, already bound, names a holder. */
static int refuse_holder(struct store *s, sqlite3_stmt *st, const char *id, const char *what,
			 const char *value, struct err *e)
{
	char holder[ID_LEN] = "";
	int rc = stmt_step(s, st, e);

	if (rc > 0)
		column_text(st, 0, holder, sizeof(holder));
	(void)sqlite3_reset(st); /* the result is in rc */
	if (rc <= 0)
		return rc;
	return err_set(e, -EEXIST, ERR_STATE, id, "%s %s is held by %s", what, value, holder);
}

static int check_mac(struct store *s, const uint8_t mac[6], struct err *e)
{
	char text[MAC_TEXT_LEN];
	sqlite3_stmt *st;
	int rc;

	format_mac(mac, text);
	if (mac[0] & 1)
		return err_set(e, -EINVAL, ERR_CALLER, "network.bad-mac",
			       "MAC %s is a group address: expected an even first byte", text);
	rc = stmt_get(s, SQL_LEASE_HOLDER_OF_MAC, &st, e);
	if (rc)
		return rc;
	(void)sqlite3_bind_blob(st, 1, mac, 6, SQLITE_TRANSIENT); /* fails only for a bad index */
	return refuse_holder(s, st, "network.mac-taken", "MAC", text, e);
}

/* The slot of a wanted address, checked to be free. */
static int wanted_slot(struct store *s, const struct network *n, uint32_t ip, uint64_t *ret_slot,
		       struct err *e)
{
	char text[IPV4_TEXT_LEN], cidr[IPV4_TEXT_LEN];
	uint32_t last = n->cidr | ~ipv4_mask(n->prefix);
	sqlite3_stmt *st;
	int rc;

	format_ipv4(ip, text);
	format_ipv4(n->cidr, cidr);
	if (ip <= n->cidr || ip >= last || ip == n->gateway)
		return err_set(e, -EINVAL, ERR_CALLER, "network.bad-address",
			       "address %s: expected a free host address of network %s (%s/%u)",
			       text, n->name, cidr, n->prefix);
	*ret_slot = ip - n->cidr - 1 - (ip > n->gateway ? 1 : 0);
	rc = stmt_get(s, SQL_LEASE_HOLDER_OF_IP, &st, e);
	if (rc)
		return rc;
	bind_text(st, 1, n->name);
	bind_u64(st, 2, *ret_slot);
	return refuse_holder(s, st, "network.address-taken", "address", text, e);
}

static int free_slot(struct store *s, const struct network *n, uint64_t *ret_slot, struct err *e)
{
	char cidr[IPV4_TEXT_LEN];
	sqlite3_stmt *st;
	int rc = stmt_get(s, SQL_LEASE_SLOT, &st, e);

	if (rc)
		return rc;
	bind_text(st, 1, n->name);
	rc = query_number(s, st, ret_slot, e);
	if (rc || *ret_slot < network_capacity(n))
		return rc;
	format_ipv4(n->cidr, cidr);
	err_set(e, -ENOSPC, ERR_LIMIT, "network.exhausted",
		"network %s (%s/%u) has no free address: %u of %u are leased", n->name, cidr,
		n->prefix, network_capacity(n), network_capacity(n));
	err_remedy(e, "delete a VM of this network, or create a network with a shorter prefix");
	return -ENOSPC;
}

static int insert(struct store *s, const struct network *n, const char *vm_id, uint64_t slot,
		  const struct vm_lease *l, struct err *e)
{
	char mac[MAC_TEXT_LEN];
	sqlite3_stmt *st;
	int rc = stmt_get(s, SQL_LEASE_INSERT, &st, e);

	if (rc)
		return rc;
	bind_u64(st, 1, l->number);
	bind_text(st, 2, vm_id);
	bind_text(st, 3, n->name);
	bind_u64(st, 4, slot);
	bind_u64(st, 5, l->ip);
	(void)sqlite3_bind_blob(st, 6, l->mac, sizeof(l->mac),
				SQLITE_TRANSIENT); /* index is right */
	rc = stmt_run(s, st, e);
	format_mac(l->mac, mac);
	if (rc == -EEXIST) /* an address whose own MAC somebody else asked for */
		return err_set(e, rc, ERR_STATE, "network.mac-taken",
			       "MAC %s is held by another VM", mac);
	return rc;
}

int store_lease_take(struct store *s, const struct network *n, const char *vm_id, uint32_t want_ip,
		     const uint8_t *want_mac, struct vm_lease *ret, struct err *e)
{
	struct vm_lease l = {0};
	uint64_t number = 0, slot = 0;
	sqlite3_stmt *st;
	int rc = want_mac ? check_mac(s, want_mac, e) : 0;

	if (!rc)
		rc = want_ip ? wanted_slot(s, n, want_ip, &slot, e) : free_slot(s, n, &slot, e);
	if (!rc)
		rc = stmt_get(s, SQL_LEASE_NUMBER, &st, e);
	if (!rc)
		rc = query_number(s, st, &number, e);
	if (rc)
		return rc;
	l.number = (uint32_t)number;
	l.ip = network_address(n, (uint32_t)slot);
	if (want_mac)
		memcpy(l.mac, want_mac, sizeof(l.mac));
	else
		network_mac(l.ip, l.mac);
	rc = insert(s, n, vm_id, slot, &l, e);
	if (!rc)
		*ret = l;
	return rc;
}

int store_lease_free(struct store *s, const char *vm_id, struct err *e)
{
	sqlite3_stmt *st;
	int rc = stmt_get(s, SQL_LEASE_FREE, &st, e);

	if (rc)
		return rc;
	bind_text(st, 1, vm_id);
	return stmt_run(s, st, e);
}

int store_lease_count(struct store *s, const char *network, uint32_t *ret_used, struct err *e)
{
	uint64_t n = 0;
	sqlite3_stmt *st;
	int rc = stmt_get(s, SQL_LEASE_COUNT, &st, e);

	if (rc)
		return rc;
	bind_text(st, 1, network);
	rc = query_number(s, st, &n, e);
	if (!rc)
		*ret_used = (uint32_t)n;
	return rc;
}
