/*
 * Takes a command line apart by the tables of options, and turns options into JSON and URLs.
 * Called by main.c and the verbs.  Trust: the user's own words.
 */
#include "cli/options.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/str.h"
#include "cli/verbs.h"
#include "json/json.h"

#define WORD_MAX 32 /* longest name that is compared; ours have at most 14 bytes */

/* Steps (insert, drop, change, swap neighbours) from a to b: Damerau-Levenshtein, restricted. */
static unsigned distance(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b);
	unsigned d[WORD_MAX + 1][WORD_MAX + 1];

	if (n > WORD_MAX || m > WORD_MAX)
		return UINT32_MAX; /* not close to anything */
	for (size_t i = 0; i <= n; i++)
		d[i][0] = (unsigned)i;
	for (size_t j = 0; j <= m; j++)
		d[0][j] = (unsigned)j;
	for (size_t i = 1; i <= n; i++)
		for (size_t j = 1; j <= m; j++) {
			unsigned best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);

			if (d[i - 1][j] + 1 < best)
				best = d[i - 1][j] + 1;
			if (d[i][j - 1] + 1 < best)
				best = d[i][j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    d[i - 2][j - 2] + 1 < best)
				best = d[i - 2][j - 2] + 1;
			d[i][j] = best;
		}
	return d[n][m];
}

const char *closest(const char *word, const char *const *names, unsigned n)
{
	size_t len = strlen(word);
	unsigned limit = len < 4 ? 1 : 2 + (unsigned)(len / 6),
		 best = limit + 1; /* a third of it wrong */
	const char *found = NULL;

	for (unsigned i = 0; i < n; i++) {
		unsigned d = distance(word, names[i]);

		if (len >= 3 && str_starts(names[i], word))
			d = 1; /* an abbreviation */
		if (d < best) {
			best = d;
			found = names[i];
		}
	}
	return found;
}

static const struct opt *find_in(const struct opt *opts, const char *name, size_t len, char letter)
{
	for (; opts && opts->name; opts++)
		if (letter ? opts->letter == letter
			   : strlen(opts->name) == len && memcmp(opts->name, name, len) == 0)
			return opts;
	return NULL;
}

/* The verb's own options come first, so that a verb may give a name its own meaning. */
static const struct opt *find_opt(const struct verb *v, const char *name, size_t len, char letter)
{
	const struct opt *o = find_in(v ? v->opts : NULL, name, len, letter);

	return o ? o : find_in(global_opts, name, len, letter);
}

static int unknown(const struct verb *v, const char *word, struct err *e)
{
	const char *names[64], *near;
	char bare[WORD_MAX + 1];
	unsigned n = 0;

	for (const struct opt *o = v ? v->opts : NULL; o && o->name && n < ARRAY_LEN(names); o++)
		names[n++] = o->name;
	for (const struct opt *o = global_opts; o->name && n < ARRAY_LEN(names); o++)
		names[n++] = o->name;
	(void)snprintf(bare, sizeof(bare), "%.*s", (int)strcspn(word, "="),
		       word); /* cut: none of ours */
	(void)err_set(e, -EINVAL, ERR_CALLER, "cli.option", "%s%s%s: unknown option",
		      v ? v->name : "", v ? ": " : "", bare);
	near = closest(bare + strspn(bare, "-"), names, n);
	if (near)
		return err_remedy(e, "did you mean --%s?", near);
	return err_remedy(e, "hearth%s%s --help lists the options", v ? " " : "", v ? v->name : "");
}

static int bad_value(const struct opt *o, const char *text, struct err *e, const char *expected)
{
	return err_set(e, -EINVAL, ERR_CALLER, "cli.value", "--%s: \"%.100s\", expected %s",
		       o->name, text, expected);
}

static int bad_range(const struct opt *o, const char *text, struct err *e)
{
	return err_set(e, -ERANGE, ERR_CALLER, "cli.value",
		       "--%s: \"%.100s\", expected %llu to %llu%s", o->name, text,
		       (unsigned long long)o->min, (unsigned long long)o->max,
		       o->type == OPT_MIB	 ? " MiB"
		       : o->type == OPT_DURATION ? " ms"
						 : "");
}

/* A bare number is MiB already; with a unit it must come out whole. */
static int parse_mib(const char *text, uint64_t *ret)
{
	uint64_t bytes;
	int rc = parse_u64(text, 0, UINT64_MAX, ret);

	if (rc != -EINVAL)
		return rc;
	rc = parse_size(text, &bytes);
	if (rc)
		return rc;
	if (bytes % (1024 * 1024))
		return -EINVAL;
	*ret = bytes / (1024 * 1024);
	return 0;
}

static int take_choice(const struct opt *o, const char *text, struct err *e)
{
	auto_buf all = {.max = 512};

	for (unsigned i = 0; o->choices[i]; i++) {
		if (str_eq(o->choices[i], text))
			return 0;
		(void)buf_printf(&all, "%s%s", i ? ", " : "one of ", o->choices[i]);
	}
	return bad_value(o, text, e, buf_text(&all));
}

static int take_value(const struct opt *o, const char *text, uint64_t *ret_number, struct err *e)
{
	uint64_t v = 0;
	int rc;

	if (!*text)
		return bad_value(o, text, e, "a value");
	if (!str_is_utf8(text, strlen(text)))
		return err_set(e, -EINVAL, ERR_CALLER, "cli.value", "--%s: not UTF-8", o->name);
	switch (o->type) {
	case OPT_NUMBER:
		rc = parse_u64(text, 0, UINT64_MAX, &v);
		if (rc == -EINVAL)
			return bad_value(o, text, e, "a whole number");
		break;
	case OPT_MIB:
		rc = parse_mib(text, &v);
		if (rc == -EINVAL)
			return bad_value(o, text, e, "whole MiB, as 512, 512M or 2G");
		break;
	case OPT_DURATION:
		rc = parse_duration_ms(text, &v);
		if (rc == -EINVAL)
			return bad_value(o, text, e, "a time as 30s, 2min or 7d");
		break;
	case OPT_CHOICE:
		return take_choice(o, text, e);
	case OPT_PAIR:
		return strchr(text, '=') && *text != '=' ? 0 : bad_value(o, text, e, "KEY=VALUE");
	default:
		return 0;
	}
	if (rc || v < o->min || v > o->max)
		return bad_range(o, text, e);
	*ret_number = v;
	return 0;
}

static int add(struct args *a, const struct opt *o, const char *text, struct err *e)
{
	struct given *g = &a->given[a->given_n];
	int rc;

	if (!o->many)
		for (unsigned i = 0; i < a->given_n; i++)
			if (a->given[i].opt == o && o->type != OPT_FLAG)
				return err_set(e, -EINVAL, ERR_CALLER, "cli.option",
					       "--%s: given twice", o->name);
	if (a->given_n == ARGS_GIVEN)
		return err_set(e, -E2BIG, ERR_CALLER, "cli.option", "more than %d options",
			       ARGS_GIVEN);
	*g = (struct given){.opt = o, .text = text};
	if (o->type != OPT_FLAG) {
		rc = take_value(o, text, &g->number, e);
		if (rc)
			return rc;
	}
	a->given_n++;
	return 0;
}

/* One word that begins with '-'; may take the word behind it as its value. */
static int take_option(struct args *a, const struct verb *v, char *const *at, int left,
		       int *ret_used, struct err *e)
{
	const char *word = at[0], *value = NULL;
	bool is_long = word[1] == '-';
	size_t len = is_long ? strcspn(word + 2, "=") : 1;
	const struct opt *o = find_opt(v, word + 2, len, is_long ? 0 : word[1]);

	*ret_used = 1;
	if (!o)
		return unknown(v, word, e);
	if (is_long && word[2 + len] == '=')
		value = word + 2 + len + 1;
	else if (!is_long && word[2])
		value = word + 2;
	if (o->type == OPT_FLAG)
		return value ? err_set(e, -EINVAL, ERR_CALLER, "cli.option", "--%s: takes no value",
				       o->name)
			     : add(a, o, "", e);
	if (!value) {
		if (left < 2)
			return err_set(e, -EINVAL, ERR_CALLER, "cli.option",
				       "--%s: needs a value: %s", o->name, o->value);
		value = at[1];
		*ret_used = 2;
	}
	return add(a, o, value, e);
}

static int check_words(const struct args *a, const struct verb *v, struct err *e)
{
	if (a->words_n < v->min) {
		(void)err_set(e, -EINVAL, ERR_CALLER, "cli.argument", "%s: %s is missing", v->name,
			      v->words);
		return err_remedy(e, "usage: hearth %s %s", v->name, v->words);
	}
	if (a->words_n > v->max) {
		(void)err_set(e, -EINVAL, ERR_CALLER, "cli.argument",
			      "%s: \"%.100s\" is one argument too many", v->name, a->words[v->max]);
		return err_remedy(e, "usage: hearth %s%s%s", v->name, *v->words ? " " : "",
				  v->words);
	}
	for (unsigned i = 0; i < a->words_n; i++)
		if (!*a->words[i] || !str_is_utf8(a->words[i], strlen(a->words[i])))
			return err_set(e, -EINVAL, ERR_CALLER, "cli.argument",
				       "%s: argument %u is empty or not UTF-8", v->name, i + 1);
	if (v->only_text && args_flag(a, "json"))
		return err_set(e, -EINVAL, ERR_CALLER, "cli.option",
			       "%s prints text: it has no --json", v->name);
	return 0;
}

int args_parse(int argc, char *const *argv, const struct verb *v, unsigned skip, struct args *ret,
	       struct err *e)
{
	struct args a = {.verb = v};
	bool words_only = false;
	int used, rc;

	for (int i = 1; i < argc; i += used) {
		used = 1;
		if (!words_only && str_eq(argv[i], "--")) {
			words_only = true;
		} else if (!words_only && argv[i][0] == '-' && argv[i][1]) {
			rc = take_option(&a, v, argv + i, argc - i, &used, e);
			if (rc)
				return rc;
		} else if (skip) {
			skip--;
		} else if (a.words_n == ARGS_WORDS) {
			return err_set(e, -E2BIG, ERR_CALLER, "cli.argument",
				       "more than %d arguments", ARGS_WORDS);
		} else {
			a.words[a.words_n++] = argv[i];
		}
	}
	if (v && !args_flag(&a, "help")) {
		rc = check_words(&a, v, e);
		if (rc)
			return rc;
	}
	*ret = a;
	return 0;
}

static const struct given *find_given(const struct args *a, const char *name)
{
	const struct opt *o = find_opt(a->verb, name, strlen(name), 0);

	assert(o); /* a verb asks only for what it declares */
	for (unsigned i = 0; i < a->given_n; i++)
		if (a->given[i].opt == o)
			return &a->given[i];
	return NULL;
}

bool args_flag(const struct args *a, const char *name)
{
	return find_given(a, name) != NULL;
}

const char *args_text(const struct args *a, const char *name)
{
	const struct given *g = find_given(a, name);

	return g ? g->text : NULL;
}

uint64_t args_number(const struct args *a, const char *name, uint64_t otherwise)
{
	const struct given *g = find_given(a, name);

	return g ? g->number : otherwise;
}

static json_t *path_value(const char *path)
{
	auto_free char *cwd = NULL;
	auto_buf all = {.max = 8192};

	if (*path == '/')
		return json_string(path);
	cwd = getcwd(NULL, 0);
	if (!cwd || buf_printf(&all, "%s/%s", cwd, path))
		return NULL;
	return json_string(buf_text(&all));
}

static int put_pair(json_t *body, const char *field, const char *text)
{
	const char *eq = strchr(text, '=');
	auto_free char *key = mem_strndup(text, (size_t)(eq - text));
	json_t *obj = json_object_get(body, field);

	if (!key)
		return -ENOMEM;
	if (!obj) {
		obj = json_object();
		if (json_put(body, field, obj))
			return -ENOMEM;
	}
	return json_put(obj, key, json_string(eq + 1));
}

static int put_in_list(json_t *body, const char *field, const char *text)
{
	json_t *arr = json_object_get(body, field);

	if (!arr) {
		arr = json_array();
		if (json_put(body, field, arr))
			return -ENOMEM;
	}
	return json_push(arr, json_string(text));
}

static int put_given(json_t *body, const struct given *g)
{
	const struct opt *o = g->opt;

	if (o->to == TO_TRUE || o->to == TO_FALSE)
		return json_put(body, o->field, json_boolean(o->to == TO_TRUE));
	if (o->to != TO_BODY)
		return 0;
	switch (o->type) {
	case OPT_NUMBER:
	case OPT_MIB:
		return json_put(body, o->field, json_integer((json_int_t)g->number));
	case OPT_PAIR:
		return put_pair(body, o->field, g->text);
	case OPT_PATH:
		return json_put(body, o->field, path_value(g->text));
	default:
		return o->many ? put_in_list(body, o->field, g->text)
			       : json_put(body, o->field, json_string(g->text));
	}
}

int args_body(const struct args *a, json_t **ret, struct err *e)
{
	auto_json json_t *body = json_object();

	if (!body)
		return err_nomem(e);
	for (unsigned i = 0; i < a->given_n; i++)
		if (put_given(body, &a->given[i]))
			return err_nomem(e);
	*ret = take_ptr(body);
	return 0;
}

int url_escape(struct buf *b, const char *s)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;
		bool plain = (c < 0x80 && isalnum(c)) || strchr("-._~", c);
		int rc = plain ? buf_add(b, s, 1) : buf_printf(b, "%%%02X", c);

		if (rc)
			return rc;
	}
	return 0;
}

int url_param(struct buf *path, const char *name, const char *value)
{
	int rc = buf_printf(path, "%c%s=", strchr(buf_text(path), '?') ? '&' : '?', name);

	return rc ? rc : url_escape(path, value);
}

int args_query(const struct args *a, struct buf *ret, struct err *e)
{
	for (unsigned i = 0; i < a->given_n; i++) {
		const struct given *g = &a->given[i];

		if (g->opt->to == TO_QUERY && url_param(ret, g->opt->field, g->text))
			return err_nomem(e);
	}
	return 0;
}
