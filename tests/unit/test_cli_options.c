/*
 * Tests cli/options.c: strict options, the closest name, JSON bodies and URLs made of them.
 */
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "cli/options.h"
#include "cli/verbs.h"
#include "json/json.h"

#define WORDS 32

/* Parse a line whose words are separated by single blanks. */
static int parse_as(const char *line, const struct verb *forced, struct args *ret, struct err *e)
{
	static char text[4096];
	static char *argv[WORDS];
	const char *words[2] = {NULL};
	unsigned taken = 0;
	int argc = 1;
	char *pos = text;

	assert_true(str_copy(text, sizeof(text), line));
	argv[0] = text;
	while ((argv[argc] = str_word(&pos, " ")))
		argc++;
	for (int i = 1; i < argc && i < 3; i++)
		words[i - 1] = argv[i];
	if (!forced)
		forced = verb_find(words, argc > 2 ? 2 : (unsigned)argc - 1, &taken);
	assert_non_null(forced);
	return args_parse(argc, argv, forced, taken, ret, e);
}

static int parse(const char *line, struct args *ret, struct err *e)
{
	return parse_as(line, NULL, ret, e);
}

static void refused(const char *line, const char *id, const char *text, const char *remedy)
{
	struct args a;
	struct err e = {0};

	assert_true(parse(line, &a, &e) < 0);
	assert_string_equal(e.id, id);
	assert_int_equal(e.kind, ERR_CALLER);
	if (!strstr(e.text, text) || !strstr(e.remedy, remedy))
		fail_msg("%s: \"%s\", remedy \"%s\"", line, e.text, e.remedy);
}

static void test_forms(void **state)
{
	struct args a;
	struct err e;

	(void)state;
	assert_int_equal(parse("vm stop -f a --timeout=30s b", &a, &e), 0);
	assert_true(args_flag(&a, "force"));
	assert_false(args_flag(&a, "no-wait"));
	assert_int_equal(args_number(&a, "timeout", 1), 30000);
	assert_int_equal(a.words_n, 2);
	assert_string_equal(a.words[1], "b");
	assert_int_equal(parse("vm stop -- -f --timeout", &a, &e), 0);
	assert_int_equal(a.words_n, 2);
	assert_string_equal(a.words[0], "-f");
	assert_int_equal(parse("vm create -lx=y --label z=", &a, &e), 0);
	assert_int_equal(a.given_n, 2);
	assert_int_equal(args_number(&a, "timeout", 7), 7);
	assert_null(args_text(&a, "key"));
}

static void test_global_options_anywhere(void **state)
{
	struct args a;
	struct err e;

	(void)state;
	assert_int_equal(parse("vm list --json --socket /x", &a, &e), 0);
	assert_true(args_flag(&a, "json"));
	assert_string_equal(args_text(&a, "socket"), "/x");
	/* With --help nothing else must be complete. */
	assert_int_equal(parse("vm show --help", &a, &e), 0);
	assert_true(args_flag(&a, "help"));
}

static void test_unknown(void **state)
{
	(void)state;
	refused("vm create --rma 3", "cli.option", "--rma: unknown", "--ram?");
	refused("vm create --boot-arg x", "cli.option", "unknown", "--boot-args?");
	refused("vm create --no-strat", "cli.option", "unknown", "--no-start?");
	refused("vm create --zzzzzzzz", "cli.option", "unknown", "lists the options");
	refused("vm create -x", "cli.option", "-x: unknown", "lists the options");
	refused("vm show a --jsn", "cli.option", "unknown", "--json?");
	refused("vm show a --force", "cli.option", "unknown", "");
}

static void test_values(void **state)
{
	struct args a;
	struct err e;

	(void)state;
	refused("vm create --vcpus 0.5", "cli.value", "whole number", "");
	refused("vm create --vcpus -1", "cli.value", "whole number", "");
	refused("vm create --vcpus=", "cli.value", "expected a value", "");
	refused("vm create --vcpus 99999999999999999999", "cli.value", "expected 0 to", "");
	refused("vm list --limit 0", "cli.value", "1 to", "");
	refused("vm create --ram 1000K", "cli.value", "whole MiB", "");
	refused("vm create --ram lots", "cli.value", "whole MiB", "");
	refused("vm create --wait sometime", "cli.value", "none, network, ready", "");
	refused("vm create --timeout 2h", "cli.value", "3600000 ms", "");
	refused("vm create --label nothing", "cli.value", "KEY=VALUE", "");
	refused("vm create --label =x", "cli.value", "KEY=VALUE", "");
	refused("vm create --name", "cli.option", "needs a value: NAME", "");
	refused("vm create --name a --name b", "cli.option", "given twice", "");
	refused("vm create --no-start=1", "cli.option", "takes no value", "");
	refused("vm create --name \xff", "cli.value", "not UTF-8", "");
	assert_int_equal(parse("vm create --ram 2G --disk 100", &a, &e), 0);
	assert_int_equal(args_number(&a, "ram", 0), 2048);
	assert_int_equal(args_number(&a, "disk", 0), 100);
}

static void test_words(void **state)
{
	struct args a;
	struct err e;

	(void)state;
	refused("vm show", "cli.argument", "ID is missing", "usage: hearth vm show ID");
	refused("vm show a b", "cli.argument", "\"b\" is one argument too many", "");
	refused("vm list x", "cli.argument", "too many", "usage: hearth vm list");
	refused("vm logs a --json", "cli.option", "has no --json", "");
	refused("vm show \xc3", "cli.argument", "not UTF-8", "");
	assert_int_equal(parse("vm rm a b c", &a, &e), 0);
	assert_int_equal(a.words_n, 3);
}

static void test_limits(void **state)
{
	struct args a;
	struct err e;
	char *argv[ARGS_WORDS + 4];
	char word[] = "x", option[] = "--label=a=b";
	unsigned taken;
	const struct verb *rm = verb_find((const char *const[]){"vm", "rm"}, 2, &taken);
	const struct verb *create = verb_find((const char *const[]){"vm", "create"}, 2, &taken);

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(argv); i++)
		argv[i] = word;
	assert_int_equal(args_parse(1 + ARGS_WORDS, argv, rm, 0, &a, &e), 0);
	assert_int_equal(args_parse(2 + ARGS_WORDS, argv, rm, 0, &a, &e), -E2BIG);
	for (unsigned i = 0; i < ARRAY_LEN(argv); i++)
		argv[i] = option;
	assert_int_equal(args_parse(1 + ARGS_GIVEN, argv, create, 0, &a, &e), 0);
	assert_int_equal(args_parse(2 + ARGS_GIVEN, argv, create, 0, &a, &e), -E2BIG);
}

static void body_is(const char *line, const char *expected)
{
	struct args a;
	struct err e;
	auto_json json_t *body = NULL;
	auto_free char *text = NULL;

	assert_int_equal(parse(line, &a, &e), 0);
	assert_int_equal(args_body(&a, &body, &e), 0);
	text = json_text(body);
	assert_string_equal(text, expected);
}

static void test_body(void **state)
{
	(void)state;
	body_is("vm create", "{}");
	body_is("vm create --user u --ram 1G --vcpus 2 --no-start --label a=b --label c=d=e --wait "
		"ready",
		"{\"userId\":\"u\",\"ramMib\":1024,\"vcpus\":2,\"start\":false,"
		"\"labels\":{\"a\":\"b\",\"c\":\"d=e\"}}");
	body_is("network create n --cidr 10.0.0.0/24 --dns 1.1.1.1 --dns 9.9.9.9 --nat "
		"--no-isolation",
		"{\"cidr\":\"10.0.0.0/24\",\"dns\":[\"1.1.1.1\",\"9.9.9.9\"],\"nat\":true,"
		"\"isolated\":false}");
	body_is("image import i --kernel /k --rootfs /r --min-ram 64",
		"{\"kernel\":\"/k\",\"rootfs\":\"/r\",\"minRamMib\":64}");
	body_is("token create --expires 7d", "{\"expiresIn\":\"7d\"}");
}

static void test_relative_path(void **state)
{
	struct args a;
	struct err e;
	auto_json json_t *body = NULL;
	const char *path;

	(void)state;
	assert_int_equal(parse("image import i --kernel some/k --rootfs /r", &a, &e), 0);
	assert_int_equal(args_body(&a, &body, &e), 0);
	path = json_string_value(json_object_get(body, "kernel"));
	assert_int_equal(path[0], '/');
	assert_true(str_ends(path, "/some/k"));
}

static int body_of(const struct args *a)
{
	auto_json json_t *body = NULL;

	return args_body(a, &body, NULL);
}

static void test_body_without_memory(void **state)
{
	struct args a;
	struct err e;

	(void)state;
	assert_int_equal(parse("vm create --user u --label a=b --vcpus 2 --no-start", &a, &e), 0);
	EACH_ALLOCATION_FAILS(body_of(&a), (void)0);
}

static void test_url(void **state)
{
	struct args a;
	struct err e;
	auto_buf path = {0};

	(void)state;
	assert_int_equal(parse("vm list --user a/b&c --label k=\xc3\xa4 --limit 3 --ids", &a, &e),
			 0);
	assert_int_equal(buf_puts(&path, "/api/vms"), 0);
	assert_int_equal(args_query(&a, &path, &e), 0);
	assert_string_equal(buf_text(&path), "/api/vms?user=a%2Fb%26c&label=k%3D%C3%A4&limit=3");
	buf_reset(&path);
	assert_int_equal(url_escape(&path, "../x?y#z%\n aZ9-._~"), 0);
	assert_string_equal(buf_text(&path), "..%2Fx%3Fy%23z%25%0A%20aZ9-._~");
}

static void test_closest(void **state)
{
	static const char *const names[] = {"create", "list", "show", "start", "stop", "rm"};
	char longest[200];

	(void)state;
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_string_equal(closest("createe", names, 6), "create");
	assert_string_equal(closest("lst", names, 6), "list");
	assert_string_equal(closest("creat", names, 6), "create");
	assert_string_equal(closest("cre", names, 6), "create");
	assert_null(closest("destroy", names, 6));
	assert_null(closest("", names, 6));
	assert_null(closest(longest, names, 6));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_global_options_anywhere),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_body),
		cmocka_unit_test(test_relative_path),
		cmocka_unit_test(test_body_without_memory),
		cmocka_unit_test(test_url),
		cmocka_unit_test(test_closest),
	};

	return RUN_TESTS(tests);
}
