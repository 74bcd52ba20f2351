#pragma once
/*
 * The command line of one verb, taken strictly: every option is declared in a table, has a type and
 * a help line, and an unknown one is named together with the closest that exists.
 *
 * Options may stand anywhere; `--name value`, `--name=value`, `-n value`; `--` ends them.
 * Trust: the user's own words; they go to hearthd only as JSON strings and percent-encoded URLs.
 */
#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

struct buf;
struct err;
struct verb;

enum opt_type {
	OPT_FLAG, /* no value */
	OPT_TEXT, /* any text but the empty one */
	OPT_PATH, /* a file of this machine, made absolute: hearthd has another working directory */
	OPT_NUMBER,   /* min..max */
	OPT_MIB,      /* MiB; "2G" and the like are taken too */
	OPT_DURATION, /* "30s", "2min"; kept in ms, sent as it was written */
	OPT_CHOICE,   /* one of choices[] */
	OPT_PAIR,     /* KEY=VALUE */
	OPT_TYPE_N_
};

enum opt_to {
	TO_VERB,  /* the verb's function asks for it */
	TO_BODY,  /* a field of the JSON body */
	TO_TRUE,  /* a flag that puts true there */
	TO_FALSE, /* a flag that puts false there */
	TO_QUERY, /* a parameter of the URL */
};

struct opt {
	const char *name; /* "ram"; NULL ends a table */
	char letter;	  /* 'q' for -q; 0: none */
	enum opt_type type;
	const char *value; /* what the help calls the value: "MIB" */
	const char *help;
	enum opt_to to;
	const char *field;	    /* TO_BODY, TO_QUERY: the API's name */
	uint64_t min, max;	    /* OPT_NUMBER, OPT_MIB, OPT_DURATION (ms) */
	const char *const *choices; /* OPT_CHOICE: NULL-terminated */
	bool many;		    /* may be given more than once */
	const char *complete;	    /* "vm", "image", "network": the shell completes these */
};

#define ARGS_WORDS 512 /* positional arguments: a list of VMs pasted into `hearth vm rm` */
#define ARGS_GIVEN 64  /* options: 32 labels and every other option once */

struct given {
	const struct opt *opt;
	const char *text; /* borrowed from argv; "" for a flag */
	uint64_t number;
};

struct args {
	const struct verb *verb;
	const char *words[ARGS_WORDS]; /* positional, borrowed from argv */
	unsigned words_n;
	struct given given[ARGS_GIVEN];
	unsigned given_n;
};

/* Read argv[1..] for `verb`, whose name takes the first `skip` words; NULL: only the options of all
 * verbs are known.  Failures: ERR_CALLER "cli.option", "cli.value", "cli.argument". */
int args_parse(int argc, char *const *argv, const struct verb *verb, unsigned skip,
	       struct args *ret, struct err *e);

/* What was given; the name must be one that the verb declares. */
bool args_flag(const struct args *a, const char *name);
const char *args_text(const struct args *a, const char *name); /* NULL: not given */
uint64_t args_number(const struct args *a, const char *name, uint64_t otherwise);

/* All TO_BODY options as one JSON object. */
int args_body(const struct args *a, json_t **ret, struct err *e);
/* All TO_QUERY options, "?a=b&c=d", behind what ret holds. */
int args_query(const struct args *a, struct buf *ret, struct err *e);

/* Append s percent-encoded but for RFC 3986 "unreserved" characters. */
int url_escape(struct buf *b, const char *s);
/* One more parameter behind a path that may hold some already. */
int url_param(struct buf *path, const char *name, const char *value);

/* The entry of names[] (n) that `word` was likely meant to be; NULL if none is close. */
const char *closest(const char *word, const char *const *names, unsigned n);
