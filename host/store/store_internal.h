#pragma once
/*
 * What the files of host/store share: the open database, its prepared statements, and one way to
 * bind, step and report.
 */
#include <sqlite3.h>

#include "base/buf.h"
#include "base/err.h"
#include "store/store.h"

/* Every statement of fixed text; the three of table vm are made from its column table at open. */
enum sql {
#define S(name, text) SQL_##name,
#include "store/statements.def"
#undef S
	SQL_VM_INSERT,
	SQL_VM_UPDATE,
	SQL_VM_SELECT,
	SQL_N_
};

struct store {
	sqlite3 *db;		    /* owned */
	char *path;		    /* owned; begins every sentence about a failure */
	int lock_fd;		    /* fd, owned: flock on <path>.lock for the store's life */
	sqlite3_stmt *stmt[SQL_N_]; /* owned, prepared at first use */
	char *vm_sql[3];	    /* owned: text of SQL_VM_INSERT, _UPDATE, _SELECT */
};

/* A statement ready to bind; the next call for the same id resets it. */
int stmt_get(struct store *s, enum sql id, sqlite3_stmt **ret, struct err *e);
/* 1: a row; 0: done; -EEXIST: a uniqueness rule refused it (e untouched); else e is set. */
int stmt_step(struct store *s, sqlite3_stmt *st, struct err *e);
/* Step a statement that gives no rows, then reset it; same results. */
int stmt_run(struct store *s, sqlite3_stmt *st, struct err *e);
/* Translate SQLite's last error into the store's ids. */
int store_fail(struct store *s, int sqlite_rc, struct err *e);

void bind_text(sqlite3_stmt *st, int i, const char *text); /* borrowed until the reset */
void bind_u64(sqlite3_stmt *st, int i, uint64_t v);
/* Copies column i into dst, cut at cap - 1 bytes; NULL gives "". */
void column_text(sqlite3_stmt *st, int i, char *dst, size_t cap);

/* store/vms.c: makes the texts of the three VM statements. */
int vm_sql_build(struct store *s, struct err *e);
