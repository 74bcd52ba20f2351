#pragma once
/*
 * The table of verbs: names, arguments, options, what runs them and why they are there.  Help, man
 * page, documentation and shell completion are printed from it.
 */
#include <stdbool.h>

#include "cli/options.h"

struct cli;
struct err;

/* 0; a negative code with e; or, positive, an exit status whose reason was printed. */
typedef int verb_fn(struct cli *c, const struct args *a, struct err *e);

struct verb {
	const char *name;	/* "vm create", or one word */
	const char *words;	/* positional arguments as the help shows them: "ID..." */
	unsigned min, max;	/* how many of them */
	const char *complete;	/* "vm", "image", …: the shell completes these */
	const struct opt *opts; /* NULL: none of its own */
	verb_fn *run;
	const char *summary; /* one line */
	const char *why;     /* when one needs it, and what is worth knowing */
	bool only_text;	     /* has no JSON form */
};

struct group {
	const char *name;
	const char *summary;
};

extern const struct verb verbs[];
extern const unsigned verbs_n;
extern const struct group groups[];
extern const unsigned groups_n;
extern const struct opt global_opts[];

/* The verb that words[0..n) begin with and how many words that takes; NULL: none. */
const struct verb *verb_find(const char *const *words, unsigned n, unsigned *ret_taken);
bool group_exists(const char *name);

#define V(name, words, min, max, complete, opts, run, summary, why) verb_fn run;
#define T(name, words, min, max, complete, opts, run, summary, why) verb_fn run;
#include "cli/verbs.def"
#undef V
#undef T
