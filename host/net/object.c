/*
 * Builds JSON objects and arrays from parts, giving no part away when memory runs out.
 * Called by ruleset.c and uplink.c; pure.
 *
 * jansson's json_pack forgets the references of its later arguments once an earlier one failed.
 */
#include <stdarg.h>

#include "net/net_internal.h"

json_t *net_object(const char *key, ...)
{
	json_t *o = json_object();
	bool failed = !o;
	va_list ap;

	va_start(ap, key);
	for (const char *k = key; k; k = va_arg(ap, const char *))
		/* Takes the value in any case; fails for NULL as value or object. */
		if (json_object_set_new(o, k, va_arg(ap, json_t *)))
			failed = true;
	va_end(ap);
	if (!failed)
		return o;
	json_decref(o);
	return NULL;
}

json_t *net_list(json_t *const *items, size_t n)
{
	json_t *a = json_array();
	bool failed = !a;

	for (size_t i = 0; i < n; i++)
		if (json_array_append_new(a, items[i])) /* as above */
			failed = true;
	if (!failed)
		return a;
	json_decref(a);
	return NULL;
}
