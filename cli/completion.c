/*
 * Prints the completion of bash from the table of verbs: words, options, choices, and the names of
 * VMs, images, networks and tokens, which it asks for with --ids.
 * Called by the verb completion; the script runs in the user's shell and holds only our own words.
 */
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/verbs.h"

static void add_opts(struct buf *out, const struct opt *opts)
{
	for (const struct opt *o = opts; o && o->name; o++)
		(void)buf_printf(out, " --%s", o->name);
}

/* The first words: groups and verbs of one word. */
static void first_words(struct buf *out)
{
	for (unsigned i = 0; i < groups_n; i++)
		(void)buf_printf(out, " %s", groups[i].name);
	for (unsigned i = 0; i < verbs_n; i++)
		if (!strchr(verbs[i].name, ' '))
			(void)buf_printf(out, " %s", verbs[i].name);
}

static void second_words(struct buf *out, const char *group)
{
	size_t n = strlen(group);

	for (unsigned i = 0; i < verbs_n; i++)
		if (str_starts(verbs[i].name, group) && verbs[i].name[n] == ' ')
			(void)buf_printf(out, " %s", verbs[i].name + n + 1);
}

/* case of `"verb" --option` -> what follows it; each option once, the first to declare it wins. */
static void opt_cases(struct buf *out, const char *verb, const struct opt *opts)
{
	for (const struct opt *o = opts; o && o->name; o++) {
		if (o->type == OPT_FLAG)
			continue;
		(void)buf_printf(out, "\t'%s --%s')", verb, o->name);
		if (o->choices) {
			(void)buf_puts(out, " words='");
			for (unsigned i = 0; o->choices[i]; i++)
				(void)buf_printf(out, "%s%s", i ? " " : "", o->choices[i]);
			(void)buf_puts(out, "' ;;\n");
		} else if (o->type == OPT_PATH || (o->complete && str_eq(o->complete, "file"))) {
			(void)buf_puts(out, " COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n");
		} else if (o->complete) {
			(void)buf_printf(out, " words=$(_hearth_ids %s) ;;\n", o->complete);
		} else {
			(void)buf_puts(out, " return ;;\n");
		}
	}
}

static void word_cases(struct buf *out)
{
	for (unsigned i = 0; i < verbs_n; i++) {
		const struct verb *v = &verbs[i];

		(void)buf_printf(out, "\t'%s') words='", v->name);
		add_opts(out, v->opts);
		add_opts(out, global_opts);
		(void)buf_puts(out, "'");
		if (v->complete && str_eq(v->complete, "verb"))
			(void)buf_puts(out, "\"$first\"");
		else if (v->complete && str_eq(v->complete, "shell"))
			(void)buf_puts(out, "' bash'");
		else if (v->complete)
			(void)buf_printf(out, "\" $(_hearth_ids %s)\"", v->complete);
		(void)buf_puts(out, " ;;\n");
	}
}

int completion_bash(struct buf *out)
{
	(void)buf_puts(out,
		       "# bash completion of hearth, printed by `hearth completion bash`\n"
		       "_hearth_ids() { hearth \"$1\" list --ids 2>/dev/null; }\n"
		       "_hearth() {\n"
		       "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
		       "\tlocal first='");
	first_words(out);
	(void)buf_puts(out, "' words= verb=\n\tCOMPREPLY=()\n"
			    "\tcase ${COMP_WORDS[1]} in\n");
	for (unsigned i = 0; i < groups_n; i++) {
		(void)buf_printf(out, "\t%s)\n\t\tif ((COMP_CWORD == 2)); then words='",
				 groups[i].name);
		second_words(out, groups[i].name);
		(void)buf_printf(out, "'; fi\n\t\tverb=\"%s ${COMP_WORDS[2]}\" ;;\n",
				 groups[i].name);
	}
	(void)buf_puts(out, "\t*) verb=${COMP_WORDS[1]} ;;\n\tesac\n"
			    "\tif ((COMP_CWORD == 1)); then words=$first\n"
			    "\telif [ -z \"$words\" ]; then\n\tcase \"$verb $prev\" in\n");
	for (unsigned i = 0; i < verbs_n; i++) {
		opt_cases(out, verbs[i].name, verbs[i].opts);
		opt_cases(out, verbs[i].name, global_opts);
	}
	(void)buf_puts(out, "\t*) case $verb in\n");
	word_cases(out);
	(void)buf_puts(out, "\tesac ;;\n\tesac\n\tfi\n"
			    "\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n}\n"
			    "complete -F _hearth hearth\n");
	return out->failed ? -ENOMEM : 0;
}

int verb_completion(struct cli *c, const struct args *a, struct err *e)
{
	auto_buf out = {0};

	(void)c;
	if (!str_eq(a->words[0], "bash"))
		return err_set(e, -EINVAL, ERR_CALLER, "cli.argument",
			       "completion: \"%.40s\": only bash is there", a->words[0]);
	return completion_bash(&out) ? err_nomem(e) : out_buf(&out, e);
}
