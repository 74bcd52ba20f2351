/*
 * Opens the SQLite file (lock, integrity, migrations), runs transactions, explains failures.
 * Called by the controller on the loop's thread.
 */
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/schema.h"
#include "store/store_internal.h"

#define BUSY_MS 1000 /* a backup by `sqlite3 .backup` holds the lock for less */

static const char *const fixed_sql[] = {
#define S(name, text) [SQL_##name] = (text),
#include "store/statements.def"
#undef S
};
_Static_assert(ARRAY_LEN(fixed_sql) == SQL_VM_INSERT, "fixed statements come first");

static int fail_text(struct store *s, int code, enum err_kind kind, const char *id,
		     const char *what, const char *remedy, struct err *e)
{
	err_set(e, code, kind, id, "%s: %s (SQLite: %s)", s->path, what, sqlite3_errmsg(s->db));
	err_remedy(e, "%s", remedy);
	return code;
}

int store_fail(struct store *s, int sqlite_rc, struct err *e)
{
	switch (sqlite_rc & 0xff) { /* the low byte is the primary code, sqlite.org/rescode.html */
	case SQLITE_NOMEM:
		return err_nomem(e);
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return fail_text(s, -EBUSY, ERR_HOST, "store.locked",
				 "another process holds the database",
				 "end the program that has the file open (see: fuser FILE)", e);
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return fail_text(s, -EUCLEAN, ERR_HOST, "store.corrupt",
				 "the file is damaged or is no database",
				 "restore a backup, or move the file away: VMs' disks stay in vms/",
				 e);
	case SQLITE_READONLY:
	case SQLITE_CANTOPEN:
	case SQLITE_PERM:
		return fail_text(
			s, -EROFS, ERR_HOST, "store.read-only", "the file can't be written",
			"make the file, its -wal and -shm and its directory writable for hearthd",
			e);
	case SQLITE_FULL:
		return fail_text(s, -ENOSPC, ERR_HOST, "store.full", "the disk is full",
				 "free space on the file system of the state directory", e);
	case SQLITE_IOERR:
		return fail_text(s, -EIO, ERR_HOST, "store.io", "it could not be read or written",
				 "see whether its file system is writable, and the kernel's log "
				 "for errors of the disk (dmesg)",
				 e);
	default:
		return fail_text(s, -EIO, ERR_HOST, "store.failed", "the database refused", "", e);
	}
}

int stmt_get(struct store *s, enum sql id, sqlite3_stmt **ret, struct err *e)
{
	const char *text = id < SQL_VM_INSERT ? fixed_sql[id] : s->vm_sql[id - SQL_VM_INSERT];
	int rc;

	if (!s->stmt[id]) {
		rc = sqlite3_prepare_v3(s->db, text, -1, SQLITE_PREPARE_PERSISTENT, &s->stmt[id],
					NULL);
		if (rc != SQLITE_OK)
			return store_fail(s, rc, e);
	}
	(void)sqlite3_reset(
		s->stmt[id]); /* repeats the result of the last step, which was handled */
	(void)sqlite3_clear_bindings(s->stmt[id]); /* always SQLITE_OK */
	*ret = s->stmt[id];
	return 0;
}

int stmt_step(struct store *s, sqlite3_stmt *st, struct err *e)
{
	int rc = sqlite3_step(st);

	if (rc == SQLITE_ROW)
		return 1;
	if (rc == SQLITE_DONE)
		return 0;
	if (rc == SQLITE_CONSTRAINT_UNIQUE || rc == SQLITE_CONSTRAINT_PRIMARYKEY)
		return -EEXIST;
	return store_fail(s, rc, e);
}

int stmt_run(struct store *s, sqlite3_stmt *st, struct err *e)
{
	int rc = stmt_step(s, st, e);

	(void)sqlite3_reset(st); /* ends the implicit transaction; the result is in rc */
	return rc;
}

void bind_text(sqlite3_stmt *st, int i, const char *text)
{
	(void)sqlite3_bind_text(st, i, text, -1,
				SQLITE_STATIC); /* fails only for a bad index: a bug */
}

void bind_u64(sqlite3_stmt *st, int i, uint64_t v)
{
	(void)sqlite3_bind_int64(st, i, (sqlite3_int64)v); /* as above */
}

void column_text(sqlite3_stmt *st, int i, char *dst, size_t cap)
{
	const char *text = (const char *)sqlite3_column_text(st, i);

	(void)snprintf(dst, cap, "%s", text ? text : ""); /* we wrote it, so it fits */
}

static int run_fixed(struct store *s, enum sql id, struct err *e)
{
	sqlite3_stmt *st;
	int rc = stmt_get(s, id, &st, e);

	return rc ? rc : stmt_run(s, st, e);
}

int store_begin(struct store *s, struct err *e)
{
	return run_fixed(s, SQL_BEGIN, e);
}

int store_commit(struct store *s, struct err *e)
{
	int rc = run_fixed(s, SQL_COMMIT, e);

	if (rc)
		store_rollback(s);
	return rc;
}

void store_rollback(struct store *s)
{
	if (!sqlite3_get_autocommit(s->db))
		(void)run_fixed(s, SQL_ROLLBACK, NULL); /* SQLite may have rolled back by itself */
}

/* One hearthd per state directory: hold an flock whose file names our pid. */
static int take_lock(struct store *s, struct err *e)
{
	auto_free char *path = mem_printf("%s.lock", s->path);
	char pid[24];
	ssize_t n;

	if (!path)
		return err_nomem(e);
	s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (s->lock_fd < 0)
		return err_sys(e, errno, "store.read-only", "%s", path);
	if (flock(s->lock_fd, LOCK_EX | LOCK_NB)) {
		n = pread(s->lock_fd, pid, sizeof(pid) - 1, 0);
		pid[n > 0 ? n : 0] = '\0';
		pid[strcspn(pid, "\n")] = '\0';
		err_set(e, -EBUSY, ERR_STATE, "store.in-use",
			"%s: another hearthd (pid %s) runs on this state directory", s->path, pid);
		err_remedy(e, "stop it, or give this one another --state-dir and --instance");
		return -EBUSY;
	}
	(void)snprintf(pid, sizeof(pid), "%d\n", (int)getpid()); /* fits */
	if (ftruncate(s->lock_fd, 0) || pwrite(s->lock_fd, pid, strlen(pid), 0) < 0)
		return err_sys(e, errno, "store.full", "%s", path);
	return 0;
}

static int exec_sql(struct store *s, const char *text, struct err *e)
{
	int rc = sqlite3_exec(s->db, text, NULL, NULL, NULL);

	return rc == SQLITE_OK ? 0 : store_fail(s, rc, e);
}

/* First column of the first row of a one-off query. */
static int query_text(struct store *s, const char *sql, char *dst, size_t cap, struct err *e)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(s->db, sql, -1, &st, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		column_text(st, 0, dst, cap);
	else
		rc = store_fail(s, rc, e);
	(void)sqlite3_finalize(st); /* repeats the result above */
	return rc == SQLITE_ROW ? 0 : rc;
}

static int migrate(struct store *s, struct err *e)
{
	char text[32];
	unsigned version;
	int rc = query_text(s, "PRAGMA user_version", text, sizeof(text), e);

	if (rc)
		return rc;
	if (sscanf(text, "%u", &version) != 1 || version > ARRAY_LEN(store_migrations)) {
		err_set(e, -EPROTO, ERR_HOST, "store.newer",
			"%s: has schema version %s, this hearthd knows up to %zu", s->path, text,
			ARRAY_LEN(store_migrations));
		err_remedy(e, "use the newer hearthd that made it, or another --state-dir");
		return -EPROTO;
	}
	for (; version < ARRAY_LEN(store_migrations); version++) {
		auto_buf sql = {0};

		(void)buf_printf(&sql, "BEGIN IMMEDIATE; %s PRAGMA user_version = %u; COMMIT;",
				 store_migrations[version], version + 1); /* checked by failed */
		if (sql.failed)
			return err_nomem(e);
		rc = exec_sql(s, sql.data, e);
		if (rc) {
			store_rollback(s);
			return rc;
		}
	}
	return 0;
}

/* FULL: a VM whose creation was answered must be known after a power cut, or its disk would look
 * like an orphan's.  quick_check reads the whole file, a few MiB at most. */
static int set_up(struct store *s, struct err *e)
{
	char verdict[200];
	int rc = exec_sql(
		s,
		"PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
		"PRAGMA journal_size_limit = 4194304; PRAGMA trusted_schema = OFF;",
		e);

	if (!rc)
		rc = query_text(s, "PRAGMA quick_check(1)", verdict, sizeof(verdict), e);
	if (rc)
		return rc;
	if (!str_eq(verdict, "ok")) {
		err_set(e, -EUCLEAN, ERR_HOST, "store.corrupt", "%s: damaged: %s", s->path,
			verdict);
		err_remedy(e, "restore a backup, or move the file away: VMs' disks stay in vms/");
		return -EUCLEAN;
	}
	return migrate(s, e);
}

int store_open(const char *path, struct store **ret, struct err *e)
{
	struct store *s = mem_zalloc(sizeof(*s));
	int rc;

	if (!s)
		return err_nomem(e);
	s->lock_fd = -1;
	s->path = mem_strdup(path);
	rc = s->path ? take_lock(s, e) : err_nomem(e);
	if (!rc) {
		rc = sqlite3_open_v2(path, &s->db,
				     SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
					     SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
				     NULL);
		rc = rc == SQLITE_OK ? 0 : store_fail(s, rc, e);
	}
	if (!rc) {
		(void)sqlite3_busy_timeout(s->db, BUSY_MS); /* always SQLITE_OK */
		rc = set_up(s, e);
	}
	if (!rc)
		rc = vm_sql_build(s, e);
	if (rc) {
		store_close(s);
		return rc;
	}
	*ret = s;
	return 0;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	for (int i = 0; i < SQL_N_; i++)
		(void)sqlite3_finalize(s->stmt[i]); /* NULL is fine; repeats handled results */
	(void)sqlite3_close(s->db);		    /* no statement is left, so it can't be busy */
	for (size_t i = 0; i < ARRAY_LEN(s->vm_sql); i++)
		free(s->vm_sql[i]);
	if (s->lock_fd >= 0)
		(void)close(s->lock_fd); /* gives the flock back */
	free(s->path);
	free(s);
}
