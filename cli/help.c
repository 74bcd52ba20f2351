/*
 * Prints the table of verbs as help, as a man page and as the reference part of docs/cli.md.
 * Called by main.c, by the verb help and when Hearth is built; no input from outside but names.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/verbs.h"

#define HELP_COLUMNS 92 /* lines of running text: comfortable on a terminal of 100 */

static const struct {
	enum err_kind kind;
	const char *why;
} exits[] = {
	{ERR_CALLER, "the request is wrong: an option, a value, a field"},
	{ERR_ABSENT, "what was named does not exist"},
	{ERR_STATE, "the right request at the wrong moment"},
	{ERR_HOST, "the host lacks something, or no hearthd answers"},
	{ERR_GUEST, "the guest misbehaved, or a row of vm verify fails"},
	{ERR_DENIED, "not allowed for this caller"},
	{ERR_LIMIT, "a stated limit would be exceeded"},
	{ERR_TIMEOUT, "not proven in the time given, or a row of vm verify is unknown"},
	{ERR_BUG, "Hearth broke its own rule: please report it"},
};
static_assert(ARRAY_LEN(exits) == ERR_KIND_N_, "every kind of error is explained");

static const struct {
	const char *name, *why;
} environment[] = {
	{"HEARTH_SOCKET", "as --socket"},
	{"HEARTH_URL", "as --url"},
	{"HEARTH_TOKEN", "the token for --url"},
	{"NO_COLOR", "when set to anything, no colours (they are used on terminals only)"},
};

/* Running text, broken at blanks. */
static void wrap(struct buf *out, const char *text, unsigned indent)
{
	size_t room = HELP_COLUMNS - indent;

	while (*text) {
		size_t n = strlen(text);

		if (n > room) {
			n = room;
			while (n > 1 && text[n] != ' ')
				n--;
		}
		(void)buf_printf(out, "%*s%.*s\n", (int)indent, "", (int)n, text);
		text += n;
		text += strspn(text, " ");
	}
}

static bool in_group(const struct verb *v, const char *group)
{
	size_t n = strlen(group);

	return str_starts(v->name, group) && v->name[n] == ' ';
}

static void verb_line(struct buf *out, const struct verb *v)
{
	(void)buf_printf(out, "  %-16s %s\n", v->name, v->summary);
}

static void group_help(struct buf *out, const struct group *g)
{
	(void)buf_printf(out, "\n%s\n", g->summary);
	for (unsigned i = 0; i < verbs_n; i++)
		if (in_group(&verbs[i], g->name))
			verb_line(out, &verbs[i]);
}

/* "-l, --label KEY=VALUE" */
static void opt_name(struct buf *out, const struct opt *o)
{
	if (o->letter)
		(void)buf_printf(out, "-%c, ", o->letter);
	(void)buf_printf(out, "--%s%s%s", o->name, o->value ? " " : "", o->value ? o->value : "");
}

static void opts_help(struct buf *out, const struct opt *opts)
{
	for (const struct opt *o = opts; o && o->name; o++) {
		auto_buf name = {0};

		opt_name(&name, o);
		(void)buf_printf(out, "  %s%-26s  %s", o->letter ? "" : "    ", buf_text(&name),
				 o->help);
		for (unsigned i = 0; o->choices && o->choices[i]; i++)
			(void)buf_printf(out, "%s%s", i ? ", " : ": ", o->choices[i]);
		(void)buf_puts(out, "\n");
	}
}

static void overview(struct buf *out)
{
	(void)buf_puts(out, "hearth asks hearthd for virtual machines whose network is proven.\n\n"
			    "usage: hearth VERB [ARGUMENTS] [OPTIONS]\n");
	for (unsigned i = 0; i < groups_n; i++)
		group_help(out, &groups[i]);
	(void)buf_puts(out, "\nand\n");
	for (unsigned i = 0; i < verbs_n; i++)
		if (!strchr(verbs[i].name, ' '))
			verb_line(out, &verbs[i]);
	(void)buf_puts(out, "\noptions of all verbs\n");
	opts_help(out, global_opts);
	(void)buf_puts(
		out, "\nhearth VERB --help explains a verb; man hearth lists the exit statuses.\n");
}

static void verb_help_text(struct buf *out, const struct verb *v)
{
	(void)buf_printf(out, "hearth %s: %s\n\nusage: hearth %s%s%s%s\n\n", v->name, v->summary,
			 v->name, *v->words ? " " : "", v->words, v->opts ? " [OPTIONS]" : "");
	wrap(out, v->why, 0);
	if (v->opts) {
		(void)buf_puts(out, "\noptions\n");
		opts_help(out, v->opts);
	}
	(void)buf_puts(out, "\noptions of all verbs\n");
	opts_help(out, global_opts);
}

int help_print(const char *what, struct buf *out)
{
	if (!what) {
		overview(out);
		return out->failed ? -ENOMEM : 0;
	}
	for (unsigned i = 0; i < verbs_n; i++)
		if (str_eq(verbs[i].name, what)) {
			verb_help_text(out, &verbs[i]);
			return out->failed ? -ENOMEM : 0;
		}
	for (unsigned i = 0; i < groups_n; i++)
		if (str_eq(groups[i].name, what)) {
			(void)buf_printf(out, "usage: hearth %s VERB [ARGUMENTS] [OPTIONS]\n",
					 what);
			group_help(out, &groups[i]);
			(void)buf_printf(out, "\nhearth %s VERB --help explains a verb.\n", what);
			return out->failed ? -ENOMEM : 0;
		}
	return -ENOENT;
}

/* --- man page: man(7) --- */

/* groff reads '-' as a hyphen, '\' as an escape and '.' or "'" at a line's begin as a request. */
static void roff(struct buf *out, const char *s)
{
	if (*s == '.' || *s == '\'')
		(void)buf_puts(out, "\\&");
	for (; *s; s++) {
		if (*s == '\\')
			(void)buf_puts(out, "\\e");
		else if (*s == '-')
			(void)buf_puts(out, "\\-");
		else
			(void)buf_add(out, s, 1);
	}
}

static void roff_opts(struct buf *out, const struct opt *opts)
{
	for (const struct opt *o = opts; o && o->name; o++) {
		auto_buf name = {0};

		opt_name(&name, o);
		(void)buf_puts(out, ".TP\n.B ");
		roff(out, buf_text(&name));
		(void)buf_puts(out, "\n");
		roff(out, o->help);
		for (unsigned i = 0; o->choices && o->choices[i]; i++) {
			(void)buf_puts(out, i ? ", " : ": ");
			roff(out, o->choices[i]);
		}
		(void)buf_puts(out, "\n");
	}
}

static void roff_verb(struct buf *out, const struct verb *v)
{
	(void)buf_puts(out, ".SS hearth ");
	roff(out, v->name);
	if (*v->words)
		(void)buf_puts(out, " ");
	roff(out, v->words);
	(void)buf_puts(out, "\n");
	roff(out, v->summary);
	(void)buf_puts(out, ".\n.PP\n");
	roff(out, v->why);
	(void)buf_puts(out, "\n");
	roff_opts(out, v->opts);
}

static void roff_row(struct buf *out, const char *key, const char *text)
{
	(void)buf_printf(out, ".TP\n.B %s\n", key);
	roff(out, text);
	(void)buf_puts(out, "\n");
}

int help_man(struct buf *out)
{
	char number[16];

	(void)buf_puts(
		out,
		".TH HEARTH 1 \"\" \"hearth " HEARTH_VERSION
		"\" \"Hearth\"\n.SH NAME\nhearth \\- ask hearthd for "
		"virtual machines\n.SH SYNOPSIS\n.B hearth\n.I VERB\n[ARGUMENTS] [OPTIONS]\n"
		".SH DESCRIPTION\nhearth is the command line of Hearth: a thin client of hearthd's "
		"API, "
		"over its Unix socket or over TCP with a token.  People get tables and progress, "
		"programs get the API's JSON (\\-\\-json).  What a guest or server wrote is made "
		"harmless "
		"before a terminal sees it.\n.SH OPTIONS OF ALL VERBS\n");
	roff_opts(out, global_opts);
	(void)buf_puts(out, ".SH VERBS\n");
	for (unsigned i = 0; i < verbs_n; i++)
		roff_verb(out, &verbs[i]);
	(void)buf_puts(out, ".SH EXIT STATUS\n");
	roff_row(out, "0", "done");
	for (unsigned i = 0; i < ARRAY_LEN(exits); i++) {
		(void)snprintf(number, sizeof(number), "%d",
			       err_exit_status(exits[i].kind)); /* fits */
		roff_row(out, number, exits[i].why);
	}
	(void)buf_puts(out, ".SH ENVIRONMENT\n");
	for (unsigned i = 0; i < ARRAY_LEN(environment); i++)
		roff_row(out, environment[i].name, environment[i].why);
	(void)buf_puts(out, ".SH FILES\n");
	roff_row(out, "/run/hearth/hearth.sock", "hearthd's socket");
	(void)buf_puts(out, ".SH SEE ALSO\nhearthd(8), docs/cli.md\n");
	return out->failed ? -ENOMEM : 0;
}

/* --- docs/cli.md --- */

static void md_opts(struct buf *out, const struct opt *opts)
{
	for (const struct opt *o = opts; o && o->name; o++) {
		auto_buf name = {0};

		opt_name(&name, o);
		(void)buf_printf(out, "- `%s`: %s", buf_text(&name), o->help);
		for (unsigned i = 0; o->choices && o->choices[i]; i++)
			(void)buf_printf(out, "%s`%s`", i ? ", " : ": ", o->choices[i]);
		(void)buf_puts(out, "\n");
	}
}

int help_markdown(struct buf *out)
{
	(void)buf_puts(out, "### Options of all verbs\n\n");
	md_opts(out, global_opts);
	for (unsigned i = 0; i < verbs_n; i++) {
		const struct verb *v = &verbs[i];

		(void)buf_printf(out, "\n### `hearth %s%s%s`\n\n%s. %s\n", v->name,
				 *v->words ? " " : "", v->words, v->summary, v->why);
		if (v->opts)
			(void)buf_puts(out, "\n");
		md_opts(out, v->opts);
	}
	(void)buf_puts(
		out,
		"\n### Exit status\n\n| status | kind | why |\n|---|---|---|\n| 0 | | done |\n");
	for (unsigned i = 0; i < ARRAY_LEN(exits); i++)
		(void)buf_printf(out, "| %d | %s | %s |\n", err_exit_status(exits[i].kind),
				 err_kind_name(exits[i].kind), exits[i].why);
	(void)buf_puts(out, "\n### Environment\n\n");
	for (unsigned i = 0; i < ARRAY_LEN(environment); i++)
		(void)buf_printf(out, "- `%s`: %s\n", environment[i].name, environment[i].why);
	return out->failed ? -ENOMEM : 0;
}

int verb_help(struct cli *c, const struct args *a, struct err *e)
{
	auto_buf out = {0}, name = {0};
	int rc;

	(void)c;
	if (args_flag(a, "man"))
		return help_man(&out) ? err_nomem(e) : out_buf(&out, e);
	if (args_flag(a, "markdown"))
		return help_markdown(&out) ? err_nomem(e) : out_buf(&out, e);
	for (unsigned i = 0; i < a->words_n; i++)
		(void)buf_printf(&name, "%s%s", i ? " " : "", a->words[i]);
	rc = help_print(a->words_n ? buf_text(&name) : NULL, &out);
	if (rc == -ENOENT) {
		(void)err_set(e, rc, ERR_CALLER, "cli.verb", "%.100s: no such verb",
			      buf_text(&name));
		return err_remedy(e, "hearth --help lists the verbs");
	}
	return rc ? err_nomem(e) : out_buf(&out, e);
}
