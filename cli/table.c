/*
 * Collects cells and prints them aligned.
 * Called by the verbs.  Trust: cells hold text of guests and servers; text_clean makes it harmless.
 */
#include "cli/table.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "cli/text.h"

#define GAP	 2  /* blanks between columns */
#define WRAP_MIN 24 /* a narrower last column is left to the terminal */

static const char *const tints[] = {
	[TINT_NONE] = "",	   [TINT_GOOD] = "\x1b[32m", [TINT_BAD] = "\x1b[31m",
	[TINT_DOUBT] = "\x1b[33m", [TINT_DIM] = "\x1b[2m",   [TINT_HEAD] = "\x1b[1m",
};
static_assert(ARRAY_LEN(tints) == TINT_N_, "every tint has its sequence");

const char *tint_on(const struct style *s, enum tint t)
{
	return s->colours ? tints[t] : "";
}

const char *tint_off(const struct style *s, enum tint t)
{
	return s->colours && t != TINT_NONE ? "\x1b[0m" : "";
}

/* Takes the text, which may be NULL for want of memory. */
static void put(struct table *t, enum tint tint, char *clean)
{
	struct cell *more;

	if (clean && t->cells_n == t->cap) {
		size_t cap = t->cap ? 2 * t->cap : 64;

		more = mem_realloc(t->cells, cap * sizeof(*more));
		if (more) {
			t->cells = more;
			t->cap = cap;
		}
	}
	if (!clean || t->cells_n == t->cap) {
		free(clean);
		t->failed = true;
		return;
	}
	t->cells[t->cells_n++] = (struct cell){clean, text_width(clean, strlen(clean)), tint};
}

void table_cell(struct table *t, enum tint tint, const char *text)
{
	put(t, tint, text_clean(text && *text ? text : "-"));
}

void table_cellf(struct table *t, enum tint tint, const char *fmt, ...)
{
	va_list ap;
	char text[1024]; /* names, numbers and times; sentences go by table_cell */

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	table_cell(t, tint, text);
}

static void blanks(struct buf *out, size_t n)
{
	(void)buf_printf(out, "%*s", (int)n, "");
}

/* Bytes of the next line of at most `columns`, cut behind a blank where there is one. */
static size_t line_len(const char *s, size_t columns)
{
	size_t len = strlen(s), fit = text_fit(s, len, columns), cut = fit;

	if (fit == len || !fit)
		return len;
	if (s[fit] == ' ')
		return fit;
	while (cut > 0 && s[cut - 1] != ' ')
		cut--;
	return cut > fit / 2 ? cut : fit;
}

/* The last column, wrapped below itself when it begins at column `at`. */
static void last_cell(const struct cell *c, size_t at, const struct style *style, struct buf *out)
{
	size_t room = style->columns > at ? style->columns - at : 0;
	const char *s = c->text;

	if (room < WRAP_MIN)
		room = SIZE_MAX;
	for (;;) {
		size_t n = line_len(s, room), shown = n;

		while (shown > 0 && s[shown - 1] == ' ')
			shown--;
		(void)buf_printf(out, "%s%.*s%s\n", tint_on(style, c->tint), (int)shown, s,
				 tint_off(style, c->tint));
		s += n;
		s += strspn(s, " ");
		if (!*s)
			return;
		blanks(out, at);
	}
}

static void print_row(const struct table *t, const struct cell *row, const size_t *widths,
		      const struct style *style, struct buf *out)
{
	size_t at = t->indent;

	blanks(out, t->indent);
	for (unsigned i = 0; i + 1 < t->n; i++) {
		size_t pad = widths[i] - row[i].width;

		if (t->columns[i].right)
			blanks(out, pad);
		(void)buf_printf(out, "%s%s%s", tint_on(style, row[i].tint), row[i].text,
				 tint_off(style, row[i].tint));
		blanks(out, GAP + (t->columns[i].right ? 0 : pad));
		at += widths[i] + GAP;
	}
	last_cell(&row[t->n - 1], at, style, out);
}

static void print_heads(const struct table *t, const size_t *widths, const struct style *style,
			struct buf *out)
{
	struct cell heads[TABLE_COLUMNS];

	for (unsigned i = 0; i < t->n; i++) {
		union { /* cells own their text, these borrow it: nothing frees them */
			const char *in;
			char *out;
		} u = {.in = t->columns[i].head};

		heads[i] = (struct cell){u.out, text_width(u.in, strlen(u.in)), TINT_HEAD};
	}
	print_row(t, heads, widths, style, out);
}

int table_print(const struct table *t, const struct style *style, struct buf *out, struct err *e)
{
	size_t widths[TABLE_COLUMNS] = {0};

	assert(t->n > 0 && t->n <= TABLE_COLUMNS);
	if (t->failed)
		return err_nomem(e);
	assert(t->cells_n % t->n == 0);
	for (unsigned i = 0; i < t->n; i++)
		if (t->columns[i].head)
			widths[i] = text_width(t->columns[i].head, strlen(t->columns[i].head));
	for (size_t i = 0; i < t->cells_n; i++)
		if (t->cells[i].width > widths[i % t->n])
			widths[i % t->n] = t->cells[i].width;
	if (t->columns[0].head)
		print_heads(t, widths, style, out);
	for (size_t i = 0; i < t->cells_n; i += t->n)
		print_row(t, &t->cells[i], widths, style, out);
	return out->failed ? err_nomem(e) : 0;
}

void table_done(struct table *t)
{
	for (size_t i = 0; i < t->cells_n; i++)
		free(t->cells[i].text);
	free(t->cells);
	t->cells = NULL;
	t->cells_n = t->cap = 0;
}
