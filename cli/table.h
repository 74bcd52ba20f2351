#pragma once
/*
 * Aligned tables for people.  Cells are made harmless and measured in terminal columns; the last
 * column is wrapped when the terminal's width is known.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct buf;
struct err;

enum tint { TINT_NONE, TINT_GOOD, TINT_BAD, TINT_DOUBT, TINT_DIM, TINT_HEAD, TINT_N_ };

struct style {
	bool colours;
	size_t columns; /* of the terminal; 0: no terminal, nothing is wrapped */
};

#define TABLE_COLUMNS 12

struct column {
	const char *head; /* NULL for all: no line of heads */
	bool right;
};

struct cell {
	char *text; /* owned, harmless */
	size_t width;
	enum tint tint;
};

struct table {
	const struct column *columns; /* borrowed */
	unsigned n;
	unsigned indent;
	struct cell *cells; /* owned, row by row */
	size_t cells_n, cap;
	bool failed; /* memory ran out; said by table_print */
};

/* Cells in the order in which they are read; NULL is "-". */
void table_cell(struct table *t, enum tint tint, const char *text);
void table_cellf(struct table *t, enum tint tint, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Append the whole; the last row must be complete. */
int table_print(const struct table *t, const struct style *style, struct buf *out, struct err *e);
void table_done(struct table *t);
#define auto_table __attribute__((cleanup(table_done))) struct table

/* "\x1b[32m" …; "" without colours. */
const char *tint_on(const struct style *s, enum tint t);
const char *tint_off(const struct style *s, enum tint t);
