/*
 * Fuzz target: json_parse, json_text and json_bind with a table that holds every type of field.
 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"
#include "fuzz.h"
#include "json/json.h"

static const char *const kinds[] = {"cli", "desktop"};

struct request {
	char user_id[17];
	int64_t vcpus;
	bool hold, vcpus_given;
	int kind;
	json_t *any, *labels, *disks;
};

static const struct json_field fields[] = {
	JSON_STR(struct request, user_id, "u", 1, 16, JSON_REQUIRED),
	{.name = "v",
	 .type = JSON_T_INT,
	 .flags = JSON_NULLABLE,
	 .offset = offsetof(struct request, vcpus),
	 .size = sizeof(int64_t),
	 .min = -1,
	 .max = 32,
	 .set_offset = offsetof(struct request, vcpus_given)},
	JSON_BOOL(struct request, hold, "h", 0),
	JSON_ENUM(struct request, kind, "k", kinds, ARRAY_LEN(kinds), JSON_NULLABLE),
	JSON_REF(struct request, any, "a", JSON_T_RAW, 0, 0),
	JSON_REF(struct request, labels, "l", JSON_T_OBJ, 0, 0),
	JSON_REF(struct request, disks, "d", JSON_T_ARR, 3, 0),
	JSON_END,
};

/* A refusal is the caller's fault, has a known id, and a sentence that a terminal survives. */
static void check_refusal(int rc, const struct err *e)
{
	static const char *const ids[] = {"json.syntax",	"json.too-large",
					  "json.type",		"json.range",
					  "json.unknown-field", "json.missing-field"};

	assert(rc < 0 && rc == e->code);
	assert(e->kind == ERR_CALLER);
	assert(str_index(ids, ARRAY_LEN(ids), e->id) >= 0);
	assert(e->text[0]);
	for (const char *c = e->text; *c; c++)
		assert(*c >= 0x20 && *c < 0x7f);
}

static void check_bound(json_t *v)
{
	struct request r = {.vcpus = 77, .kind = 1}, before;
	struct err e = {0};
	int rc;

	memcpy(&before, &r, sizeof(r)); /* padding, too */
	rc = json_bind(v, "request", fields, &r, &e);
	if (rc) {
		check_refusal(rc, &e);
		assert(memcmp(&r, &before, sizeof(r)) == 0);
		return;
	}
	assert(strlen(r.user_id) >= 1 && strlen(r.user_id) <= 16);
	assert(str_is_utf8(r.user_id, strlen(r.user_id)));
	assert(r.vcpus_given ? r.vcpus >= -1 && r.vcpus <= 32 : r.vcpus == 77);
	assert(r.kind >= 0 && r.kind <= 1);
	assert(!r.labels || json_is_object(r.labels));
	assert(!r.disks || json_array_size(r.disks) <= 3);
	json_decref(r.any);
	json_decref(r.labels);
	json_decref(r.disks);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_json json_t *v = NULL, *again = NULL;
	auto_free char *text = NULL;
	struct err e = {0};
	int rc = json_parse((const char *)data, size, &v, &e);

	if (rc) {
		assert(!v);
		check_refusal(rc, &e);
		return 0;
	}
	text = json_text(v);
	assert(text);
	if (strlen(text) <= JSON_MAX_BYTES) { /* numbers may print longer than they came */
		rc = json_parse(text, strlen(text), &again, &e);
		assert(rc == 0 && json_equal(v, again));
	}
	check_bound(v);
	return 0;
}
