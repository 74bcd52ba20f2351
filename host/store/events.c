/*
 * Table event: the history of every VM, also of those that are gone.
 * Called by the controller and the API on the loop's thread.
 */
#include <string.h>

#include "store/store_internal.h"

int store_event_append(struct store *s, struct vm_event *ev, struct err *e)
{
	sqlite3_stmt *st;
	int rc = stmt_get(s, SQL_EVENT_INSERT, &st, e);

	if (rc)
		return rc;
	bind_text(st, 1, ev->vm);
	bind_u64(st, 2, ev->wall_us);
	bind_u64(st, 3, ev->mono_us);
	bind_text(st, 4, ev->kind);
	bind_text(st, 5, ev->from);
	bind_text(st, 6, ev->to);
	bind_text(st, 7, ev->actor);
	bind_text(st, 8, ev->text);
	rc = stmt_run(s, st, e);
	if (!rc)
		ev->seq = (uint64_t)sqlite3_last_insert_rowid(s->db);
	return rc;
}

static void read_event(sqlite3_stmt *st, struct vm_event *ev)
{
	memset(ev, 0, sizeof(*ev));
	ev->seq = (uint64_t)sqlite3_column_int64(st, 0);
	column_text(st, 1, ev->vm, sizeof(ev->vm));
	ev->wall_us = (uint64_t)sqlite3_column_int64(st, 2);
	ev->mono_us = (uint64_t)sqlite3_column_int64(st, 3);
	column_text(st, 4, ev->kind, sizeof(ev->kind));
	column_text(st, 5, ev->from, sizeof(ev->from));
	column_text(st, 6, ev->to, sizeof(ev->to));
	column_text(st, 7, ev->actor, sizeof(ev->actor));
	column_text(st, 8, ev->text, sizeof(ev->text));
}

int store_event_each(struct store *s, const char *vm, uint64_t after, uint32_t limit,
		     store_event_fn *fn, void *ctx, struct err *e)
{
	struct vm_event ev;
	sqlite3_stmt *st;
	int rc = stmt_get(s, vm ? SQL_EVENT_EACH_OF_VM : SQL_EVENT_EACH, &st, e);

	if (rc)
		return rc;
	bind_u64(st, 1, after);
	bind_u64(st, 2, limit);
	if (vm)
		bind_text(st, 3, vm);
	while ((rc = stmt_step(s, st, e)) > 0) {
		read_event(st, &ev);
		rc = fn(ctx, &ev);
		if (rc)
			break;
	}
	(void)sqlite3_reset(st); /* the result is in rc */
	return rc;
}

int store_event_prune(struct store *s, uint64_t before_us, uint64_t *ret_n, struct err *e)
{
	sqlite3_stmt *st;
	int rc = stmt_get(s, SQL_EVENT_PRUNE, &st, e);

	if (rc)
		return rc;
	bind_u64(st, 1, before_us);
	rc = stmt_run(s, st, e);
	if (!rc)
		*ret_n = (uint64_t)sqlite3_changes64(s->db);
	return rc;
}
