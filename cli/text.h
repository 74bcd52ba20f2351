#pragma once
/*
 * Text for terminals: what guests and servers wrote made harmless, its width, and times for people.
 *
 * A terminal obeys control sequences: it can be made to retitle, to answer as if someone typed, to
 * overwrite what was printed.  struct neutral lets plain text, line ends, tabs and colours through
 * and shows everything else: ESC as ^[, C1 and bidirectional controls as <U+009B>, bytes that are
 * no UTF-8 as <9B>.  It is fed piece by piece; a sequence cut in two is held until its rest comes.
 *
 * Trust: every byte was chosen by the guest.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;

#define NEUTRAL_HELD 32 /* longest colour sequence that is let through */

struct neutral {
	bool colours;			  /* let ESC [ … m through; else it is dropped */
	bool one_line;			  /* show line ends and tabs too */
	unsigned char held[NEUTRAL_HELD]; /* the beginning of a character or sequence */
	unsigned held_n;
	unsigned returns; /* CRs seen and not yet known to belong to a line end */
	bool coloured;	  /* a colour is on */
};

/* Append the harmless form of data to out; -ENOMEM or -E2BIG of out only. */
int neutral_feed(struct neutral *n, const void *data, size_t len, struct buf *out);
/* No more will come: show what is held and switch a colour off. */
int neutral_end(struct neutral *n, struct buf *out);
/* A whole text as one harmless line; malloc'd, NULL when memory is exhausted. */
char *text_clean(const char *s);

/* Columns that UTF-8 text takes on a terminal; bytes that are none count 1. */
size_t text_width(const char *s, size_t len);
/* Bytes of s that fit into `columns`. */
size_t text_fit(const char *s, size_t len, size_t columns);

#define TIME_TEXT 32
/* "12 ms", "2.31 s", "3 min 05 s", "4 h 10 min", "3 d 2 h" */
const char *text_ms(uint64_t ms, char ret[TIME_TEXT]);
/* "12 KiB", "1.4 GiB" */
const char *text_bytes(uint64_t bytes, char ret[TIME_TEXT]);
/* Milliseconds from an RFC 3339 time in UTC until now_us (wall clock); -1: no such time. */
int64_t text_age_ms(const char *rfc3339, uint64_t now_us);
