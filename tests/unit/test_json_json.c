/*
 * Tests of json/json: what is refused and how it is said, limits, printing, lack of memory.
 */
#include "json/json.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "unit.h"

static int parse(const char *text, json_t **ret, struct err *e)
{
	return json_parse(text, strlen(text), ret, e);
}

static void takes_what_rfc8259_allows(void **state)
{
	static const char *const good[] = {
		"{}",
		"[]",
		"null",
		"true",
		" 1 ",
		"-0",
		"1.5e3",
		"\"\"",
		"\"\\u00fc\\ud83d\\ude00\"",
		"{\"a\":{\"b\":[1,2,{\"c\":null}]}}",
		"\t\r\n[]\n",
		"9223372036854775807",
		"-9223372036854775808",
		"\"[[[[[[[[[[[[[[[[[[\\\"[[[[[[[[[[[[[[[[[[\"",
		"[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]",
		"[[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[]]",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		auto_json json_t *v = NULL;
		struct err e = {0};

		if (parse(good[i], &v, &e))
			fail_msg("%s: %s", good[i], e.text);
		assert_int_equal(e.code, 0);
		assert_non_null(v);
	}
}

static void refuses_all_else(void **state)
{
	static const struct {
		const char *text, *says;
	} bad[] = {
		{"", "line 1 column 0"},
		{" ", "line 1"},
		{"{", "line 1 column 1"},
		{"{\"a\":1,\"a\":2}", "duplicate object key"},
		{"{\"a\":{\"b\":1,\"b\":1}}", "duplicate object key"},
		{"[1,]", "line 1 column 4"},
		{"{\"a\":1,}", "line 1 column 8"},
		{"{a:1}", "line 1"},
		{"{'a':1}", "line 1"},
		{"[1 2]", "line 1"},
		{"{} x", "end of file expected"},
		{"{}{}", "end of file expected"},
		{"[\n\n1,\n}", "line 4"},
		{"nul", "nul"},
		{"True", "line 1"},
		{"01", "line 1"},
		{"+1", "line 1"},
		{".5", "line 1"},
		{"1.", "line 1"},
		{"0x10", "line 1"},
		{"NaN", "line 1"},
		{"Infinity", "line 1"},
		{"1e999", "overflow"},
		{"9223372036854775808", "integer"},
		{"\"\\u0000\"", "line 1"},
		{"\"\\ud800\"", "line 1"},
		{"\"\\x41\"", "line 1"},
		{"\"a\nb\"", "line 1"},
		{"\"\t\"", "line 1"},
		{"\"\xff\"", "unable to decode byte"},
		{"\"\xc0\xaf\"", "unable to decode byte"},
		{"\"\xed\xa0\x80\"", "unable to decode byte"},
		{"/* c */ 1", "line 1"},
		{"// c\n1", "line 1"},
		{"\xef\xbb\xbf{}", "line 1"},
		{"[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]", "line 1: nested deeper than 16 levels"},
		{"\n\n{\"a\":[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]}", "line 3: nested deeper"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		json_t *v = NULL;
		struct err e = {0};

		assert_int_equal(parse(bad[i].text, &v, &e), -EINVAL);
		assert_null(v);
		assert_int_equal(e.kind, ERR_CALLER);
		assert_string_equal(e.id, "json.syntax");
		if (!strstr(e.text, bad[i].says))
			fail_msg("%s: %s", bad[i].text, e.text);
		assert_int_equal(json_parse(bad[i].text, strlen(bad[i].text), &v, NULL), -EINVAL);
	}
}

static void refuses_nul_bytes(void **state)
{
	json_t *v = NULL;

	(void)state;
	assert_int_equal(json_parse("{}\0", 3, &v, NULL), -EINVAL);
	assert_int_equal(json_parse("\0{}", 3, &v, NULL), -EINVAL);
	assert_int_equal(json_parse("\"a\0b\"", 5, &v, NULL), -EINVAL);
	assert_int_equal(json_parse("{\"a\0\":1}", 8, &v, NULL), -EINVAL);
	assert_null(v);
}

/* The sentence goes to logs and terminals: no byte of the input that could act there. */
static void sentences_are_printable(void **state)
{
	json_t *v = NULL;
	struct err e = {0};

	(void)state;
	assert_int_equal(parse("{\"\x1b[2J\":1}", &v, &e), -EINVAL);
	for (const char *c = e.text; *c; c++)
		assert_in_range((unsigned char)*c, 0x20, 0x7e);
	assert_int_equal(parse("{\"a\":\xc2\x9b}", &v, &e), -EINVAL);
	for (const char *c = e.text; *c; c++)
		assert_in_range((unsigned char)*c, 0x20, 0x7e);
}

static void has_a_size_limit(void **state)
{
	auto_free char *text = malloc(JSON_MAX_BYTES + 1);
	json_t *v = NULL;
	struct err e = {0};

	(void)state;
	assert_non_null(text);
	memset(text, ' ', JSON_MAX_BYTES + 1);
	text[JSON_MAX_BYTES - 1] = '7';
	assert_int_equal(json_parse(text, JSON_MAX_BYTES + 1, &v, &e), -E2BIG);
	assert_string_equal(e.id, "json.too-large");
	assert_int_equal(json_parse(text, JSON_MAX_BYTES, &v, &e), 0);
	assert_int_equal(json_integer_value(v), 7);
	json_decref(v);
	memset(text, '[', JSON_MAX_BYTES); /* a megabyte of depth costs no stack */
	assert_int_equal(json_parse(text, JSON_MAX_BYTES, &v, &e), -EINVAL);
}

static const char document[] = "{\"b\":[1,true,null,\"x\\u00fc\"],\"a\":{\"k\":-5}}";

static int round_trip(void)
{
	auto_json json_t *v = NULL;
	auto_free char *text = NULL;
	int rc = json_parse(document, sizeof(document) - 1, &v, NULL);

	if (rc)
		return rc;
	text = json_text(v);
	if (!text)
		return -ENOMEM;
	assert_string_equal(text, "{\"b\":[1,true,null,\"x\xc3\xbc\"],\"a\":{\"k\":-5}}");
	return 0;
}

static void prints_what_it_read(void **state)
{
	(void)state;
	EACH_ALLOCATION_FAILS(round_trip(), (void)0);
}

static int build(void)
{
	auto_json json_t *o = json_object(), *a = json_array();
	auto_free char *text = NULL;

	if (!o || !a || json_push(a, json_integer(1)) || json_push(a, json_string("x")) ||
	    json_put(o, "z", json_true()) || json_put(o, "a", json_incref(a)))
		return -ENOMEM;
	text = json_text(o);
	if (!text)
		return -ENOMEM;
	assert_string_equal(text, "{\"z\":true,\"a\":[1,\"x\"]}");
	return 0;
}

static void builds(void **state)
{
	json_t *v = json_integer(5);

	(void)state;
	EACH_ALLOCATION_FAILS(build(), (void)0);
	assert_int_equal(json_put(NULL, "a", json_incref(v)), -ENOMEM);
	assert_int_equal(json_push(NULL, json_incref(v)), -ENOMEM);
	assert_int_equal(v->refcount, 1); /* taken in any case */
	json_decref(v);
	v = json_object();
	assert_int_equal(json_put(v, "a", NULL), -ENOMEM);
	json_decref(v);
	assert_null(json_text(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_what_rfc8259_allows),
		cmocka_unit_test(refuses_all_else),
		cmocka_unit_test(refuses_nul_bytes),
		cmocka_unit_test(sentences_are_printable),
		cmocka_unit_test(has_a_size_limit),
		cmocka_unit_test(prints_what_it_read),
		cmocka_unit_test(builds),
	};

	return RUN_TESTS(tests);
}
