/*
 * Tests the table of verbs and what is printed from it: each verb is whole, found, and in the help,
 * the man page, the documentation and the completion.
 */
#include "unit.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/verbs.h"

static void check_opt(const char *verb, const struct opt *o)
{
	bool flag = o->type == OPT_FLAG;
	bool sent = o->to != TO_VERB;

	if (!o->help || !*o->help || strlen(o->help) > 100)
		fail_msg("%s --%s: no help, or too much", verb, o->name);
	if (flag == (o->value != NULL))
		fail_msg("%s --%s: a flag has no value, all others have", verb, o->name);
	if (sent != (o->field != NULL))
		fail_msg("%s --%s: sent without a field, or a field that is not sent", verb,
			 o->name);
	if ((o->type == OPT_CHOICE) != (o->choices != NULL))
		fail_msg("%s --%s: choices", verb, o->name);
	if ((o->type == OPT_NUMBER || o->type == OPT_MIB || o->type == OPT_DURATION) &&
	    o->max <= o->min)
		fail_msg("%s --%s: no range", verb, o->name);
	for (const char *p = o->name; *p; p++)
		assert_true(islower((unsigned char)*p) || *p == '-');
}

static void check_opts(const char *verb, const struct opt *opts)
{
	for (const struct opt *o = opts; o && o->name; o++) {
		check_opt(verb, o);
		for (const struct opt *other = opts; other != o; other++)
			if (str_eq(other->name, o->name) ||
			    (o->letter && other->letter == o->letter))
				fail_msg("%s --%s and --%s clash", verb, o->name, other->name);
		for (const struct opt *g = global_opts; opts != global_opts && g->name; g++)
			if (str_eq(g->name, o->name) || (o->letter && g->letter == o->letter))
				fail_msg("%s --%s clashes with an option of all verbs", verb,
					 o->name);
	}
}

static void test_complete(void **state)
{
	(void)state;
	check_opts("", global_opts);
	for (unsigned i = 0; i < verbs_n; i++) {
		const struct verb *v = &verbs[i];

		assert_non_null(v->run);
		assert_true(*v->summary && strlen(v->summary) < 70);
		assert_true(*v->why);
		assert_true(v->min <= v->max && v->max <= ARGS_WORDS);
		assert_true((v->max == 0) == (*v->words == '\0'));
		check_opts(v->name, v->opts);
		for (unsigned k = 0; k < i; k++)
			assert_string_not_equal(verbs[k].name, v->name);
	}
}

static void test_found(void **state)
{
	(void)state;
	for (unsigned i = 0; i < verbs_n; i++) {
		char name[64], *pos = name;
		const char *words[2] = {NULL};
		unsigned n = 0, taken;

		assert_true(str_copy(name, sizeof(name), verbs[i].name));
		while (n < 2 && (words[n] = str_word(&pos, " ")))
			n++;
		assert_ptr_equal(verb_find(words, n, &taken), &verbs[i]);
		assert_int_equal(taken, n);
		if (n == 2)
			assert_true(group_exists(words[0]));
	}
	for (unsigned i = 0; i < groups_n; i++)
		assert_null(verb_find(&groups[i].name, 1, &(unsigned){0}));
	assert_null(verb_find(NULL, 0, &(unsigned){0}));
}

static void contains(const struct buf *text, const char *what, const char *verb)
{
	if (!strstr(buf_text(text), what))
		fail_msg("%s: \"%s\" is missing", verb, what);
}

static void test_help(void **state)
{
	auto_buf all = {0};

	(void)state;
	assert_int_equal(help_print(NULL, &all), 0);
	for (unsigned i = 0; i < verbs_n; i++) {
		auto_buf one = {0};

		contains(&all, verbs[i].name, "help");
		assert_int_equal(help_print(verbs[i].name, &one), 0);
		contains(&one, verbs[i].summary, verbs[i].name);
		for (const struct opt *o = verbs[i].opts; o && o->name; o++)
			contains(&one, o->help, verbs[i].name);
	}
	for (unsigned i = 0; i < groups_n; i++) {
		auto_buf one = {0};

		assert_int_equal(help_print(groups[i].name, &one), 0);
		contains(&one, groups[i].summary, groups[i].name);
	}
	assert_int_equal(help_print("vm fly", &all), -ENOENT);
}

static void test_printed_forms(void **state)
{
	auto_buf man = {0}, md = {0}, bash = {0};

	(void)state;
	assert_int_equal(help_man(&man), 0);
	assert_int_equal(help_markdown(&md), 0);
	assert_int_equal(completion_bash(&bash), 0);
	for (unsigned i = 0; i < verbs_n; i++) {
		char text[128];

		assert_true(str_fmt(text, sizeof(text), ".SS hearth %s", verbs[i].name));
		contains(&man, text, "man");
		assert_true(str_fmt(text, sizeof(text), "### `hearth %s", verbs[i].name));
		contains(&md, text, "markdown");
		assert_true(str_fmt(text, sizeof(text), "'%s')", verbs[i].name));
		contains(&bash, text, "completion");
		for (const struct opt *o = verbs[i].opts; o && o->name; o++) {
			assert_true(str_fmt(text, sizeof(text), "--%s", o->name));
			contains(&md, text, verbs[i].name);
			contains(&bash, text, verbs[i].name);
		}
	}
	for (int k = 0; k < ERR_KIND_N_; k++) {
		char text[32];

		assert_true(
			str_fmt(text, sizeof(text), ".B %d\n", err_exit_status((enum err_kind)k)));
		contains(&man, text, "man");
	}
}

/* A line that begins with a dot would be a request to groff, an apostrophe too. */
static void test_man_lines(void **state)
{
	static const char *const requests[] = {".TH", ".SH", ".SS", ".TP", ".PP", ".B ", ".I "};
	auto_buf man = {0};
	char *pos, *line;

	(void)state;
	assert_int_equal(help_man(&man), 0);
	pos = man.data;
	while ((line = str_word(&pos, "\n"))) {
		bool known = line[0] != '.' && line[0] != '\'';

		for (unsigned i = 0; i < ARRAY_LEN(requests); i++)
			known = known || str_starts(line, requests[i]);
		if (!known)
			fail_msg("man page: %s", line);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_complete),  cmocka_unit_test(test_found),
		cmocka_unit_test(test_help),	  cmocka_unit_test(test_printed_forms),
		cmocka_unit_test(test_man_lines),
	};

	return RUN_TESTS(tests);
}
