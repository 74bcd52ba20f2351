#pragma once
/*
 * What every verb works with: the connection to hearthd, how to print, and the API's errors.
 * One thread; main.c makes the one that there is.
 */
#include <stdbool.h>

#include <jansson.h>

#include "base/err.h"
#include "cli/http.h"
#include "cli/options.h"
#include "cli/table.h"
#include "cli/text.h"

struct cli {
	struct http http;
	bool json;	       /* print the API's JSON */
	struct style out, err; /* of standard output and standard error */
	bool err_is_terminal;
	json_t *error;	   /* owned: the API's error object behind the struct err; NULL: our own */
	char error_id[64]; /* its code, which struct err points at */
};

/* --- api.c: one request, one answer --- */

struct answer {
	json_t *json;	 /* owned; NULL: no body */
	struct buf text; /* the body as it came */
	long status;
};
void answer_done(struct answer *a);
#define auto_answer __attribute__((cleanup(answer_done))) struct answer

/* Ask and read the whole answer; an error that hearthd describes is in e and c->error. */
int api_ask(struct cli *c, const struct http_ask *ask, struct answer *ret, struct err *e);
int api_get(struct cli *c, const char *path, struct answer *ret, struct err *e);
/* body NULL: none. */
int api_send(struct cli *c, const char *method, const char *path, json_t *body, struct answer *ret,
	     struct err *e);
/* What an ended call brought: the JSON of a success, or the described error. */
int api_result(struct cli *c, struct http_call *call, struct answer *ret, struct err *e);
/* "/api/vms/<id><rest>", id percent-encoded. */
int api_path(struct buf *ret, const char *collection, const char *id, const char *rest,
	     struct err *e);

/* Fields, whatever the answer holds: "" , 0, false or NULL when it is not of that type. */
const char *js_text(const json_t *obj, const char *key);
int64_t js_int(const json_t *obj, const char *key);
bool js_bool(const json_t *obj, const char *key);
json_t *js_get(const json_t *obj, const char *key); /* borrowed */
/* A number of milliseconds as "0.3 ms", "12 ms", "2.31 s"; "" when it is none. */
const char *js_ms(const json_t *obj, const char *key, char ret[TIME_TEXT]);

/* --- out.c: what people and programs read --- */

/* Standard output, checked: a full disk or a closed pipe is said. */
int out_write(const void *data, size_t len, struct err *e);
int out_buf(const struct buf *b, struct err *e);
/* The answer as it came, and a line end; nothing for an answer without body. */
int out_json(const struct answer *a, struct err *e);
/* Progress and remarks on standard error. */
void say(struct cli *c, enum tint tint, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* An object as lines "key  value", nested ones indented. */
int out_facts(struct cli *c, const json_t *obj, struct err *e);
/* ids of rows[], one a line. */
int out_ids(const json_t *rows, const char *key, struct err *e);
/* Print it; the API's error object behind it is given back. */
void say_error(struct cli *c, const struct err *e);
enum tint state_tint(const char *state);
enum tint verdict_tint(const char *verdict);

/* --- object.c: what the verbs of all objects share --- */

/* Whose it is when the user did not say: on the socket the name by which hearthd knows its peer. */
int add_owner(struct cli *c, json_t *body, struct err *e);
int show_object(struct cli *c, const char *collection, const char *id, struct err *e);
int remove_each(struct cli *c, const char *collection, const struct args *a, struct err *e);
/* fn for each positional argument, also behind a failure; several failures are printed as they
 * come and the first one's exit status is returned. */
typedef int word_fn(struct cli *c, const struct args *a, const char *word, const void *ctx,
		    struct err *e);
int for_each_word(struct cli *c, const struct args *a, word_fn *fn, const void *ctx, struct err *e);

/* --- help.c, completion.c --- */
int help_print(const char *what,
	       struct buf *out); /* NULL: all; a group or verb; -ENOENT: neither */
int help_man(struct buf *out);
int help_markdown(struct buf *out);
int completion_bash(struct buf *out);
