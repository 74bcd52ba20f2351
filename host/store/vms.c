/*
 * Table vm: one table of columns says how struct vm_rec is written and read.
 * Called by the controller on the loop's thread.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "store/store_internal.h"

enum kind { COL_TEXT, COL_U32, COL_U64, COL_BOOL, COL_PTR };

struct column {
	const char *name;
	enum kind kind;
	size_t offset, size; /* of the member in struct vm_rec */
};

#define C(col, k, member)                                                                          \
	{                                                                                          \
		col, k, offsetof(struct vm_rec, member), sizeof(((struct vm_rec *)0)->member)      \
	}
/* id stays first: UPDATE uses it as its key. */
static const struct column columns[] = {
	C("id", COL_TEXT, id),
	C("user_id", COL_TEXT, user_id),
	C("name", COL_TEXT, name),
	C("type", COL_TEXT, type),
	C("image", COL_TEXT, image),
	C("digest", COL_TEXT, digest),
	C("network", COL_TEXT, network),
	C("engine", COL_TEXT, engine),
	C("engine_used", COL_TEXT, engine_used),
	C("transport", COL_U32, transport),
	C("root", COL_U32, root),
	C("vcpus", COL_U32, vcpus),
	C("ram_mib", COL_U32, ram_mib),
	C("disk_mib", COL_U32, disk_mib),
	C("boot_args", COL_TEXT, boot_args),
	C("labels", COL_PTR, labels),
	C("state", COL_U32, state),
	C("want_delete", COL_BOOL, want_delete),
	C("cause", COL_TEXT, cause),
	C("cause_text", COL_TEXT, cause_text),
	C("remedy", COL_TEXT, remedy),
	C("starts", COL_U32, starts),
	C("shim_pid", COL_U32, proc.shim_pid),
	C("shim_ticks", COL_U64, proc.shim_ticks),
	C("engine_pid", COL_U32, proc.engine_pid),
	C("engine_ticks", COL_U64, proc.engine_ticks),
	C("boot_id", COL_TEXT, proc.boot_id),
	C("created_us", COL_U64, created_us),
	C("changed_us", COL_U64, changed_us),
};
#undef C
_Static_assert(sizeof(enum vm_state) == sizeof(uint32_t) && sizeof(pid_t) == sizeof(uint32_t),
	       "COL_U32 copies enums and pids as 32 bits");

int vm_sql_build(struct store *s, struct err *e)
{
	auto_buf insert = {0}, marks = {0}, update = {0}, select = {0};

	for (size_t i = 0; i < ARRAY_LEN(columns); i++) {
		const char *comma = i ? ", " : "";

		/* failures are sticky in the buffers and checked once below */
		(void)buf_printf(&insert, "%s%s", comma, columns[i].name);
		(void)buf_printf(&marks, "%s?%zu", comma, i + 1);
		(void)buf_printf(&update, "%s%s = ?%zu", comma, columns[i].name, i + 1);
		(void)buf_printf(&select, "%svm.%s", comma, columns[i].name);
	}
	s->vm_sql[0] =
		mem_printf("INSERT INTO vm (%s) VALUES (%s)", buf_text(&insert), buf_text(&marks));
	s->vm_sql[1] = mem_printf("UPDATE vm SET %s WHERE id = ?1", buf_text(&update));
	s->vm_sql[2] =
		mem_printf("SELECT %s, lease.number, lease.ip, lease.mac FROM vm"
			   " LEFT JOIN lease ON lease.vm = vm.id ORDER BY vm.created_us, vm.id",
			   buf_text(&select));
	if (insert.failed || marks.failed || update.failed || select.failed || !s->vm_sql[0] ||
	    !s->vm_sql[1] || !s->vm_sql[2])
		return err_nomem(e);
	return 0;
}

static void bind_record(sqlite3_stmt *st, const struct vm_rec *r)
{
	for (size_t i = 0; i < ARRAY_LEN(columns); i++) {
		const char *at = (const char *)r + columns[i].offset;
		const char *text;
		uint64_t u64 = 0;
		bool flag;

		switch (columns[i].kind) {
		case COL_TEXT:
			bind_text(st, (int)i + 1, at);
			break;
		case COL_PTR:
			memcpy(&text, at, sizeof(text));
			bind_text(st, (int)i + 1, text ? text : "{}");
			break;
		case COL_BOOL:
			memcpy(&flag, at, sizeof(flag));
			bind_u64(st, (int)i + 1, flag);
			break;
		case COL_U32:
		case COL_U64: /* little-endian host: the low bytes come first */
			memcpy(&u64, at,
			       columns[i].kind == COL_U32 ? sizeof(uint32_t) : sizeof(u64));
			bind_u64(st, (int)i + 1, u64);
			break;
		}
	}
}

static int read_record(sqlite3_stmt *st, struct vm_rec *r)
{
	size_t i;

	memset(r, 0, sizeof(*r));
	for (i = 0; i < ARRAY_LEN(columns); i++) {
		char *at = (char *)r + columns[i].offset;
		uint64_t u64 = (uint64_t)sqlite3_column_int64(st, (int)i);
		bool flag = u64 != 0;
		char *text;

		switch (columns[i].kind) {
		case COL_TEXT:
			column_text(st, (int)i, at, columns[i].size);
			break;
		case COL_PTR:
			text = mem_strdup((const char *)sqlite3_column_text(st, (int)i));
			if (!text)
				return -ENOMEM;
			memcpy(at, &text, sizeof(text));
			break;
		case COL_BOOL:
			memcpy(at, &flag, sizeof(flag));
			break;
		case COL_U32:
		case COL_U64:
			memcpy(at, &u64,
			       columns[i].kind == COL_U32 ? sizeof(uint32_t) : sizeof(u64));
			break;
		}
	}
	r->lease.number = (uint32_t)sqlite3_column_int64(st, (int)i);
	r->lease.ip = (uint32_t)sqlite3_column_int64(st, (int)i + 1);
	if (sqlite3_column_bytes(st, (int)i + 2) == sizeof(r->lease.mac))
		memcpy(r->lease.mac, sqlite3_column_blob(st, (int)i + 2), sizeof(r->lease.mac));
	return 0;
}

static int write_vm(struct store *s, enum sql id, const struct vm_rec *r, struct err *e)
{
	sqlite3_stmt *st;
	int rc = stmt_get(s, id, &st, e);

	if (rc)
		return rc;
	bind_record(st, r);
	rc = stmt_run(s, st, e);
	if (rc == -EEXIST)
		return err_set(e, rc, ERR_STATE, "vm.name-taken",
			       "user %s already has a VM named %s", r->user_id, r->name);
	return rc;
}

int store_vm_insert(struct store *s, const struct vm_rec *r, struct err *e)
{
	return write_vm(s, SQL_VM_INSERT, r, e);
}

int store_vm_update(struct store *s, const struct vm_rec *r, struct err *e)
{
	int rc = write_vm(s, SQL_VM_UPDATE, r, e);

	if (!rc && sqlite3_changes(s->db) != 1)
		return err_set(e, -ENOENT, ERR_BUG, "vm.no-row", "%s: VM %s has no row", s->path,
			       r->id);
	return rc;
}

int store_vm_delete(struct store *s, const char *id, struct err *e)
{
	sqlite3_stmt *st;
	int rc = stmt_get(s, SQL_VM_DELETE, &st, e);

	if (rc)
		return rc;
	bind_text(st, 1, id);
	return stmt_run(s, st, e);
}

int store_vm_each(struct store *s, store_vm_fn *fn, void *ctx, struct err *e)
{
	sqlite3_stmt *st;
	struct vm_rec r;
	int rc = stmt_get(s, SQL_VM_SELECT, &st, e);

	if (rc)
		return rc;
	while ((rc = stmt_step(s, st, e)) > 0) {
		if (read_record(st, &r)) {
			vm_rec_done(&r);
			rc = err_nomem(e);
			break;
		}
		rc = fn(ctx, &r);
		if (rc)
			break;
	}
	(void)sqlite3_reset(st); /* the result is in rc */
	return rc;
}
