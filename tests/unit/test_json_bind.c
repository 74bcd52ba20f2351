/*
 * Tests of json/bind: every type at and beyond its limits, and the exact sentence for each misfit.
 */
#include "json/json.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "unit.h"

enum colour { RED, GREEN, BLUE };
static const char *const colours[] = {[RED] = "red", [GREEN] = "green", [BLUE] = "blue"};

struct req {
	char user_id[9];
	int64_t vcpus;
	bool hold, vcpus_given;
	int colour;
	json_t *any, *labels, *disks;
	int after;
};

static const struct json_field fields[] = {
	JSON_STR(struct req, user_id, "userId", 2, 8, JSON_REQUIRED),
	{.name = "vcpus",
	 .type = JSON_T_INT,
	 .flags = JSON_NULLABLE,
	 .offset = offsetof(struct req, vcpus),
	 .size = sizeof(int64_t),
	 .min = 1,
	 .max = 32,
	 .set_offset = offsetof(struct req, vcpus_given)},
	JSON_BOOL(struct req, hold, "hold", 0),
	JSON_ENUM(struct req, colour, "colour", colours, 3, 0),
	JSON_REF(struct req, any, "any", JSON_T_RAW, 0, 0),
	JSON_REF(struct req, labels, "labels", JSON_T_OBJ, 0, 0),
	JSON_REF(struct req, disks, "disks", JSON_T_ARR, 2, JSON_NULLABLE),
	JSON_END,
};

static int bind(const char *text, struct req *r, struct err *e)
{
	auto_json json_t *o = NULL;
	int rc = json_parse(text, strlen(text), &o, e);

	return rc ? rc : json_bind(o, "request", fields, r, e);
}

static void drop(struct req *r)
{
	json_decref(r->any);
	json_decref(r->labels);
	json_decref(r->disks);
}

static void fills_the_struct(void **state)
{
	struct req r = {.after = 77};
	struct err e = {0};

	(void)state;
	assert_int_equal(
		bind("{\"userId\":\"gr\xc3\xbc\xc3\x9f\",\"vcpus\":4,\"hold\":true,"
		     "\"colour\":\"blue\",\"any\":null,\"labels\":{\"a\":1},\"disks\":[1,2]}",
		     &r, &e),
		0);
	assert_string_equal(r.user_id, "gr\xc3\xbc\xc3\x9f");
	assert_int_equal(r.vcpus, 4);
	assert_true(r.vcpus_given && r.hold);
	assert_int_equal(r.colour, BLUE);
	assert_true(json_is_null(r.any));
	assert_int_equal(json_object_size(r.labels), 1);
	assert_int_equal(json_array_size(r.disks), 2);
	assert_int_equal(r.labels->refcount, 1); /* the document is gone, ours is the only one */
	assert_int_equal(r.after, 77);
	drop(&r);
}

static void leaves_what_is_absent(void **state)
{
	struct req r = {.vcpus = 5, .colour = GREEN, .hold = true};

	(void)state;
	assert_int_equal(bind("{\"userId\":\"12345678\",\"vcpus\":null,\"disks\":null}", &r, NULL),
			 0);
	assert_string_equal(r.user_id, "12345678");
	assert_int_equal(r.vcpus, 5);
	assert_int_equal(r.colour, GREEN);
	assert_true(r.hold);
	assert_false(r.vcpus_given);
	assert_null(r.disks);
}

static void says_what_does_not_fit(void **state)
{
#define U "\"userId\":\"ab\","
	static const struct {
		const char *json, *id, *text;
	} rows[] = {
		{"{}", "json.missing-field",
		 "request.userId: missing, expected a string of 2 to 8 bytes"},
		{"{\"userId\":null}", "json.type",
		 "request.userId: found null, expected a string of 2 to 8 bytes"},
		{"{\"userId\":7}", "json.type",
		 "request.userId: found an integer, expected a string of 2 to 8 bytes"},
		{"{\"userId\":\"a\"}", "json.range",
		 "request.userId: found 1 byte, expected a string of 2 to 8 bytes"},
		{"{\"userId\":\"123456789\"}", "json.range",
		 "request.userId: found 9 bytes, expected a string of 2 to 8 bytes"},
		{"{\"userId\":\"a\\nb\"}", "json.range",
		 "request.userId: control character at byte 2, expected a string of 2 to 8 bytes"},
		{"{\"userId\":\"ab\\u007f\"}", "json.range",
		 "request.userId: control character at byte 3, expected a string of 2 to 8 bytes"},
		{"{\"userId\":\"\\u009bab\"}", "json.range",
		 "request.userId: control character at byte 1, expected a string of 2 to 8 bytes"},
		{"{" U "\"vcpus\":0}", "json.range",
		 "request.vcpus: found 0, expected an integer from 1 to 32"},
		{"{" U "\"vcpus\":33}", "json.range",
		 "request.vcpus: found 33, expected an integer from 1 to 32"},
		{"{" U "\"vcpus\":-9223372036854775808}", "json.range",
		 "request.vcpus: found -9223372036854775808, expected an integer from 1 to 32"},
		{"{" U "\"vcpus\":0.5}", "json.type",
		 "request.vcpus: found 0.5, expected an integer from 1 to 32"},
		{"{" U "\"vcpus\":\"4\"}", "json.type",
		 "request.vcpus: found a string, expected an integer from 1 to 32"},
		{"{" U "\"vcpus\":true}", "json.type",
		 "request.vcpus: found a boolean, expected an integer from 1 to 32"},
		{"{" U "\"hold\":1}", "json.type",
		 "request.hold: found an integer, expected true or false"},
		{"{" U "\"hold\":null}", "json.type",
		 "request.hold: found null, expected true or false"},
		{"{" U "\"colour\":\"pink\"}", "json.range",
		 "request.colour: found \"pink\", expected one of \"red\" \"green\" \"blue\""},
		{"{" U "\"colour\":2}", "json.type",
		 "request.colour: found an integer, expected one of \"red\" \"green\" \"blue\""},
		{"{" U "\"labels\":[]}", "json.type",
		 "request.labels: found an array, expected an object"},
		{"{" U "\"disks\":{}}", "json.type",
		 "request.disks: found an object, expected an array of at most 2 elements"},
		{"{" U "\"disks\":[1,2,3]}", "json.range",
		 "request.disks: found 3 elements, expected an array of at most 2 elements"},
		{"{" U "\"vcpu\":1}", "json.unknown-field",
		 "request: unknown field \"vcpu\", expected one of: userId vcpus hold colour any "
		 "labels "
		 "disks"},
		{"[]", "json.type", "request: found an array, expected an object"},
		{"null", "json.type", "request: found null, expected an object"},
	};
#undef U

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct req r, before;
		struct err e = {0};
		int rc;

		memset(&r, 0x5a, sizeof(r));
		memcpy(&before, &r, sizeof(r));
		rc = bind(rows[i].json, &r, &e);
		assert_int_equal(rc, str_eq(rows[i].id, "json.range") ? -ERANGE : -EINVAL);
		assert_int_equal(e.kind, ERR_CALLER);
		assert_string_equal(e.text, rows[i].text);
		assert_string_equal(e.id, rows[i].id);
		assert_memory_equal(&r, &before, sizeof(r)); /* untouched */
		assert_int_equal(bind(rows[i].json, &r, NULL), rc);
	}
	assert_int_equal(json_bind(NULL, "request", fields, &(struct req){0}, NULL), -EINVAL);
}

/* Hostile names and values are cut and made printable. */
static void repeats_no_hostile_bytes(void **state)
{
	char text[600];
	struct req r = {0};
	struct err e = {0};

	(void)state;
	assert_int_equal(bind("{\"\\u001b[2J\\u009b\":1}", &r, &e), -EINVAL);
	assert_non_null(strstr(e.text, "unknown field \"?[2J??\","));
	assert_true(str_fmt(text, sizeof(text), "{\"userId\":\"ab\",\"colour\":\"%0500d\"}", 0));
	assert_int_equal(bind(text, &r, &e), -ERANGE);
	assert_true(strlen(e.text) < 160);
	assert_non_null(strstr(e.text, "0...\", expected one of"));
	assert_true(str_fmt(text, sizeof(text), "{\"%0500d\":1}", 0));
	assert_int_equal(bind(text, &r, &e), -EINVAL);
	assert_non_null(strstr(e.text, "0...\", expected one of: userId"));
}

/* Without memory the sentence is shorter, but it is there; binding itself needs none. */
static void needs_no_memory(void **state)
{
	auto_json json_t *good = json_pack("{s:s}", "userId", "ab");
	auto_json json_t *bad = json_pack("{s:i}", "userId", 1);
	auto_json json_t *unknown = json_pack("{s:i}", "x", 1);
	struct req r = {0};
	struct err e = {0};

	(void)state;
	mem_fail_after(0);
	assert_int_equal(json_bind(good, "request", fields, &r, &e), 0);
	assert_int_equal(json_bind(bad, "request", fields, &r, &e), -EINVAL);
	assert_string_equal(e.text, "request.userId: found an integer, expected another value");
	assert_int_equal(json_bind(unknown, "request", fields, &r, &e), -EINVAL);
	mem_fail_after(-1);
	assert_non_null(strstr(e.text, "request: unknown field \"x\""));
	assert_string_equal(r.user_id, "ab");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fills_the_struct),
		cmocka_unit_test(leaves_what_is_absent),
		cmocka_unit_test(says_what_does_not_fit),
		cmocka_unit_test(repeats_no_hostile_bytes),
		cmocka_unit_test(needs_no_memory),
	};

	return RUN_TESTS(tests);
}
