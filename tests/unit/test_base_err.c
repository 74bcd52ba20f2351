/*
 * Tests of base/err: recording, prefixing, cutting, classification.
 */
#include "base/err.h"

#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "unit.h"

static void records_and_prefixes(void **state)
{
	struct err e = {0};

	(void)state;
	assert_int_equal(
		err_set(&e, -EISDIR, ERR_CALLER, "disk.not-a-file", "%s: is a directory", "/x"),
		-EISDIR);
	assert_int_equal(e.code, -EISDIR);
	assert_int_equal(e.kind, ERR_CALLER);
	assert_string_equal(e.id, "disk.not-a-file");
	assert_string_equal(e.text, "/x: is a directory");
	assert_string_equal(e.remedy, "");
	assert_int_equal(err_prefix(&e, "disk %d", 2), -EISDIR);
	assert_int_equal(err_prefix(&e, "vm %s", "web-1"), -EISDIR);
	assert_string_equal(e.text, "vm web-1: disk 2: /x: is a directory");
	assert_int_equal(err_remedy(&e, "give a %s", "file"), -EISDIR);
	assert_string_equal(e.remedy, "give a file");
	(void)err_set(&e, -EIO, ERR_HOST, "x", "again");
	assert_string_equal(e.remedy, ""); /* an old remedy does not fit a new failure */
}

static void takes_the_system_s_words(void **state)
{
	struct err e = {0};

	(void)state;
	assert_int_equal(err_sys(&e, ENOENT, "file.open", "%s", "/nonexistent"), -ENOENT);
	assert_string_equal(e.text, "/nonexistent: No such file or directory");
	assert_int_equal(e.kind, ERR_HOST);
	assert_int_equal(err_nomem(&e), -ENOMEM);
	assert_string_equal(e.id, "host.no-memory");
}

static void nobody_listens(void **state)
{
	(void)state;
	assert_int_equal(err_set(NULL, -EIO, ERR_HOST, "x", "y"), -EIO);
	assert_int_equal(err_sys(NULL, EIO, "x", "y"), -EIO);
	assert_int_equal(err_nomem(NULL), -ENOMEM);
	assert_int_equal(err_prefix(NULL, "y"), 0);
	assert_int_equal(err_remedy(NULL, "y"), 0);
}

/* At every length, cutting leaves valid UTF-8. */
static void cuts_between_characters(void **state)
{
	static const char euro[] = "\xe2\x82\xac";
	char text[ERR_TEXT_MAX + 64];
	struct err e;

	(void)state;
	for (size_t lead = 0; lead < 8; lead++) {
		size_t n = 0;

		memset(text, 'a', lead);
		for (n = lead; n + 3 < sizeof(text); n += 3)
			memcpy(text + n, euro, 3);
		text[n] = '\0';
		(void)err_set(&e, -EIO, ERR_HOST, "x", "%s", text);
		assert_true(strlen(e.text) > ERR_TEXT_MAX - 8);
		assert_true(str_is_utf8(e.text, strlen(e.text)));
		(void)err_prefix(&e, "vm %.*s", (int)lead, "12345678");
		assert_true(str_is_utf8(e.text, strlen(e.text)));
		(void)err_remedy(&e, "%s", text);
		assert_true(str_is_utf8(e.remedy, strlen(e.remedy)));
	}
}

static void system_words_fit_or_are_cut(void **state)
{
	char text[ERR_TEXT_MAX * 2];
	struct err e;

	(void)state;
	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(err_sys(&e, ENOENT, "x", "%s", text), -ENOENT);
	assert_int_equal(strlen(e.text), ERR_TEXT_MAX - 1);
}

static void classifies(void **state)
{
	(void)state;
	assert_int_equal(err_http_status(ERR_CALLER), 400);
	assert_int_equal(err_http_status(ERR_ABSENT), 404);
	assert_int_equal(err_http_status(ERR_TIMEOUT), 504);
	assert_int_equal(err_http_status(ERR_KIND_N_), 500);
	assert_int_equal(err_exit_status(ERR_DENIED), 7);
	assert_int_equal(err_exit_status(ERR_KIND_N_), 70);
	assert_string_equal(err_kind_name(ERR_KIND_N_), "bug");
	assert_int_equal(err_kind_parse("nothing"), ERR_KIND_N_);
	for (int k = 0; k < ERR_KIND_N_; k++) {
		assert_int_equal(err_kind_parse(err_kind_name((enum err_kind)k)), k);
		for (int other = 0; other < k; other++)
			assert_int_not_equal(err_exit_status((enum err_kind)k),
					     err_exit_status((enum err_kind)other));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_and_prefixes),
		cmocka_unit_test(takes_the_system_s_words),
		cmocka_unit_test(nobody_listens),
		cmocka_unit_test(cuts_between_characters),
		cmocka_unit_test(system_words_fit_or_are_cut),
		cmocka_unit_test(classifies),
	};

	return RUN_TESTS(tests);
}
