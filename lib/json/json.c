/*
 * Strict parsing and compact printing of JSON on top of jansson.
 * Called by everything that reads or writes documents, on any thread.  Trust: the text is hostile.
 */
#include "json/json.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"

/* jansson reports some failed allocations as "invalid token"; this tells the two apart. */
static _Thread_local bool memory_failed;

static void *allocate(size_t size)
{
	void *p = mem_realloc(NULL, size);

	if (!p)
		memory_failed = true;
	return p;
}

static void install_allocator(void)
{
	json_set_alloc_funcs(allocate, free);
}

/* Let jansson allocate where tests can make it fail.  Values made earlier by malloc mix well. */
static void use_our_memory(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, install_allocator); /* can't fail */
}

/* jansson recurses for every level, up to 2048 of them (JSON_PARSER_MAX_DEPTH, fixed when Debian
 * builds it), so the depth is checked before.  Brackets inside strings don't count. */
static int check_depth(const char *text, size_t len, struct err *e)
{
	unsigned depth = 0, line = 1;
	bool in_string = false;

	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\n')
			line++;
		if (in_string && text[i] == '\\')
			i++;
		else if (text[i] == '"')
			in_string = !in_string;
		else if (!in_string && (text[i] == '[' || text[i] == '{'))
			depth++;
		else if (!in_string && depth > 0 && (text[i] == ']' || text[i] == '}'))
			depth--;
		if (depth > JSON_MAX_DEPTH)
			return err_set(e, -EINVAL, ERR_CALLER, "json.syntax",
				       "line %u: nested deeper than %d levels", line,
				       JSON_MAX_DEPTH);
	}
	return 0;
}

/* jansson's text may quote the input ("unexpected token near '...'"), which may hold anything. */
static int syntax_error(const json_error_t *je, struct err *e)
{
	char text[JSON_ERROR_TEXT_LENGTH];
	size_t i;

	for (i = 0; i < sizeof(text) - 1 && je->text[i]; i++) {
		unsigned char c = (unsigned char)je->text[i];

		text[i] = je->text[i];
		if (c < 0x20 || c >= 0x7f)
			text[i] = '?';
	}
	text[i] = '\0';
	return err_set(e, -EINVAL, ERR_CALLER, "json.syntax", "line %d column %d: %s", je->line,
		       je->column, text);
}

int json_parse(const char *text, size_t len, json_t **ret, struct err *e)
{
	json_error_t je;
	json_t *v;
	int rc;

	if (len > JSON_MAX_BYTES)
		return err_set(e, -E2BIG, ERR_CALLER, "json.too-large",
			       "%zu bytes of JSON, at most %u are taken", len, JSON_MAX_BYTES);
	rc = check_depth(text, len, e);
	if (rc)
		return rc;
	use_our_memory();
	memory_failed = false;
	v = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &je);
	if (!v)
		return memory_failed ? err_nomem(e) : syntax_error(&je, e);
	*ret = v;
	return 0;
}

char *json_text(const json_t *v)
{
	use_our_memory();
	return json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
}

int json_put(json_t *obj, const char *key, json_t *val)
{
	use_our_memory();
	return json_object_set_new(obj, key, val) ? -ENOMEM : 0;
}

int json_push(json_t *arr, json_t *val)
{
	use_our_memory();
	return json_array_append_new(arr, val) ? -ENOMEM : 0;
}
