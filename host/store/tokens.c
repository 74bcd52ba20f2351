/*
 * Tables token (hashes only) and idempotency.  Called by the API and the controller on the loop's
 * thread.
 */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "store/store_internal.h"

const char *const token_role_names[ROLE_N_] = {
	[ROLE_ADMIN] = "admin",
	[ROLE_USER] = "user",
	[ROLE_VIEWER] = "viewer",
};

int store_token_insert(struct store *s, const struct token *t, struct err *e)
{
	sqlite3_stmt *st;
	int rc = stmt_get(s, SQL_TOKEN_INSERT, &st, e);

	if (rc)
		return rc;
	bind_text(st, 1, t->id);
	bind_text(st, 2, t->user_id);
	bind_text(st, 3, t->hash);
	bind_u64(st, 4, t->role);
	bind_u64(st, 5, t->created_us);
	bind_u64(st, 6, t->expires_us);
	rc = stmt_run(s, st, e);
	if (rc == -EEXIST)
		return err_set(e, rc, ERR_STATE, "token.exists", "token %s exists already", t->id);
	return rc;
}

int store_token_delete(struct store *s, const char *id, struct err *e)
{
	sqlite3_stmt *st;
	int rc = stmt_get(s, SQL_TOKEN_DELETE, &st, e);

	if (rc)
		return rc;
	bind_text(st, 1, id);
	rc = stmt_run(s, st, e);
	if (!rc && sqlite3_changes(s->db) != 1)
		return err_set(e, -ENOENT, ERR_ABSENT, "token.absent", "no token %s", id);
	return rc;
}

int store_token_each(struct store *s, store_token_fn *fn, void *ctx, struct err *e)
{
	struct token t;
	sqlite3_stmt *st;
	int rc = stmt_get(s, SQL_TOKEN_EACH, &st, e);

	if (rc)
		return rc;
	while ((rc = stmt_step(s, st, e)) > 0) {
		memset(&t, 0, sizeof(t));
		column_text(st, 0, t.id, sizeof(t.id));
		column_text(st, 1, t.user_id, sizeof(t.user_id));
		column_text(st, 2, t.hash, sizeof(t.hash));
		t.role = (enum token_role)sqlite3_column_int(st, 3);
		t.created_us = (uint64_t)sqlite3_column_int64(st, 4);
		t.expires_us = (uint64_t)sqlite3_column_int64(st, 5);
		if ((unsigned)t.role >= ROLE_N_)
			t.role = ROLE_VIEWER; /* a role of a newer Hearth: the least of ours */
		rc = fn(ctx, &t);
		if (rc)
			break;
	}
	(void)sqlite3_reset(st); /* the result is in rc */
	return rc;
}

int store_idem_insert(struct store *s, const char *user, const char *key, const char *request_hash,
		      const char *vm_id, struct err *e)
{
	sqlite3_stmt *st;
	int rc = stmt_get(s, SQL_IDEM_INSERT, &st, e);

	if (rc)
		return rc;
	bind_text(st, 1, user);
	bind_text(st, 2, key);
	bind_text(st, 3, request_hash);
	bind_text(st, 4, vm_id);
	bind_u64(st, 5, clock_wall_us());
	rc = stmt_run(s, st, e);
	if (rc == -EEXIST)
		return err_set(e, rc, ERR_STATE, "request.key-used",
			       "Idempotency-Key %s was used before", key);
	return rc;
}

int store_idem_find(struct store *s, const char *user, const char *key,
		    char ret_hash[HASH_TEXT_LEN], char ret_vm[ID_LEN], struct err *e)
{
	sqlite3_stmt *st;
	int rc = stmt_get(s, SQL_IDEM_FIND, &st, e);

	if (rc)
		return rc;
	bind_text(st, 1, user);
	bind_text(st, 2, key);
	rc = stmt_step(s, st, e);
	if (rc > 0) {
		column_text(st, 0, ret_hash, HASH_TEXT_LEN);
		column_text(st, 1, ret_vm, ID_LEN);
	}
	(void)sqlite3_reset(st); /* the result is in rc */
	return rc < 0 ? rc : rc > 0 ? 0 : -ENOENT;
}

int store_idem_prune(struct store *s, uint64_t before_us, struct err *e)
{
	sqlite3_stmt *st;
	int rc = stmt_get(s, SQL_IDEM_PRUNE, &st, e);

	if (rc)
		return rc;
	bind_u64(st, 1, before_us);
	return stmt_run(s, st, e);
}
