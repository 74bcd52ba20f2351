/*
 * Tests cli/table.c: alignment, wide characters, wrapping, colours, hostile cells.
 */
#include "unit.h"

#include <errno.h>
#include <locale.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "cli/table.h"

static const struct column heads[] = {{"ID", false}, {"N", true}, {"WHY", false}};
static const struct style no_terminal = {0};

static void printed(const struct table *t, const struct style *style, const char *expected)
{
	auto_buf out = {0};
	struct err e;

	assert_int_equal(table_print(t, style, &out, &e), 0);
	assert_string_equal(buf_text(&out), expected);
}

static void test_aligned(void **state)
{
	auto_table t = {.columns = heads, .n = 3};

	(void)state;
	printed(&t, &no_terminal, "ID  N  WHY\n");
	table_cell(&t, TINT_NONE, "vm-1");
	table_cellf(&t, TINT_NONE, "%d", 7);
	table_cell(&t, TINT_NONE, "short");
	table_cell(&t, TINT_NONE,
		   "gr\xc3\xbc\xc3\x9f"
		   "e");
	table_cell(&t, TINT_NONE, "123");
	table_cell(&t, TINT_NONE, NULL);
	printed(&t, &no_terminal,
		"ID       N  WHY\nvm-1     7  short\ngr\xc3\xbc\xc3\x9f"
		"e  123  -\n");
}

static void test_wide(void **state)
{
	static const struct column two[] = {{NULL, false}, {NULL, false}};
	auto_table t = {.columns = two, .n = 2, .indent = 1};

	(void)state;
	table_cell(&t, TINT_NONE, "\xe6\xbc\xa2\xe5\xad\x97");
	table_cell(&t, TINT_NONE, "x");
	table_cell(&t, TINT_NONE, "abcd");
	table_cell(&t, TINT_NONE, "y");
	printed(&t, &no_terminal, " \xe6\xbc\xa2\xe5\xad\x97  x\n abcd  y\n");
}

static void test_hostile(void **state)
{
	static const struct column one[] = {{NULL, false}};
	auto_table t = {.columns = one, .n = 1};

	(void)state;
	table_cell(&t, TINT_NONE, "\x1b[2J\nnext\xff");
	printed(&t, &no_terminal, "^[[2J^Jnext<FF>\n");
}

static void test_colours(void **state)
{
	static const struct column two[] = {{NULL, false}, {NULL, false}};
	static const struct style colours = {.colours = true};
	auto_table t = {.columns = two, .n = 2};

	(void)state;
	table_cell(&t, TINT_GOOD, "ok");
	table_cell(&t, TINT_NONE, "x");
	table_cell(&t, TINT_BAD, "fails");
	table_cell(&t, TINT_NONE, "y");
	printed(&t, &colours, "\x1b[32mok\x1b[0m     x\n\x1b[31mfails\x1b[0m  y\n");
	printed(&t, &no_terminal, "ok     x\nfails  y\n");
}

static void test_wraps(void **state)
{
	static const struct column two[] = {{NULL, false}, {NULL, false}};
	static const struct style narrow = {.columns = 30}, tiny = {.columns = 10};
	auto_table t = {.columns = two, .n = 2};

	(void)state;
	table_cell(&t, TINT_NONE, "key");
	table_cell(&t, TINT_NONE,
		   "words that go on beyond the line and aUnbreakableWordOfManyLetters");
	printed(&t, &narrow,
		"key  words that go on beyond\n"
		"     the line and\n"
		"     aUnbreakableWordOfManyLet\n"
		"     ters\n");
	/* A column too narrow for words is the terminal's business. */
	printed(&t, &tiny,
		"key  words that go on beyond the line and aUnbreakableWordOfManyLetters\n");
}

static int build(void)
{
	auto_table t = {.columns = heads, .n = 3};
	auto_buf out = {0};

	for (int i = 0; i < 70; i++)
		for (int k = 0; k < 3; k++)
			table_cellf(&t, TINT_NONE, "cell %d", i);
	return table_print(&t, &no_terminal, &out, NULL);
}

static void test_without_memory(void **state)
{
	(void)state;
	EACH_ALLOCATION_FAILS(build(), (void)0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_aligned), cmocka_unit_test(test_wide),
		cmocka_unit_test(test_hostile), cmocka_unit_test(test_colours),
		cmocka_unit_test(test_wraps),	cmocka_unit_test(test_without_memory),
	};

	if (!setlocale(LC_CTYPE, "C.UTF-8"))
		return 77; /* widths need a UTF-8 locale */
	return RUN_TESTS(tests);
}
