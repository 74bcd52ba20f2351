/*
 * The parameters behind the question mark: only those that the route names, each once (but label).
 * Called by request.c and the handlers.  Trust: everything was chosen by the client.
 */
#include <errno.h>
#include <string.h>

#include "base/parse.h"
#include "base/str.h"
#include "rest/rest_internal.h"

/* Is `name` one of the comma-separated words of `list`? */
static bool listed(const char *list, const char *name)
{
	size_t n = strlen(name);

	while (*list) {
		size_t word = strcspn(list, ",");

		if (word == n && memcmp(list, name, n) == 0)
			return true;
		list += word + (list[word] == ',');
	}
	return false;
}

struct check {
	struct request *q;
	struct err *e;
	int rc;
	char seen[8][16]; /* no route allows more parameters, none is longer */
	unsigned seen_n;
};

static enum MHD_Result check_one(void *cls, enum MHD_ValueKind kind, const char *name,
				 const char *value)
{
	struct check *c = cls;
	const struct route *route = c->q->route;

	(void)kind; /* only the URL's are walked */
	if (!listed(route->query, name)) {
		c->rc = err_set(c->e, -EINVAL, ERR_CALLER, "query.unknown",
				"query parameter \"%.64s\": unknown, expected %s%s", name,
				*route->query ? "one of " : "none", route->query);
		return MHD_NO;
	}
	if (!value) {
		c->rc = err_set(c->e, -EINVAL, ERR_CALLER, "query.no-value",
				"query parameter \"%s\": has no value", name);
		return MHD_NO;
	}
	for (unsigned i = 0; i < c->seen_n; i++) {
		if (str_eq(c->seen[i], name) && !str_eq(name, "label")) {
			c->rc = err_set(c->e, -EINVAL, ERR_CALLER, "query.duplicate",
					"query parameter \"%s\": given twice", name);
			return MHD_NO;
		}
	}
	if (c->seen_n < ARRAY_LEN(c->seen) && str_copy(c->seen[c->seen_n], 16, name))
		c->seen_n++;
	return MHD_YES;
}

int query_check(struct request *q, struct err *e)
{
	struct check c = {.q = q, .e = e};

	(void)MHD_get_connection_values(q->conn, MHD_GET_ARGUMENT_KIND, check_one, &c);
	return c.rc;
}

const char *query_get(struct request *q, const char *name)
{
	return MHD_lookup_connection_value(q->conn, MHD_GET_ARGUMENT_KIND, name);
}

int query_bool(struct request *q, const char *name, bool *ret, struct err *e)
{
	const char *text = query_get(q, name);

	if (text && parse_bool(text, ret))
		return err_set(e, -EINVAL, ERR_CALLER, "query.value",
			       "query parameter %s: \"%.64s\", expected 1 or 0", name, text);
	return 0;
}

int query_u64(struct request *q, const char *name, uint64_t max, uint64_t *ret, struct err *e)
{
	const char *text = query_get(q, name);

	if (text && parse_u64(text, 0, max, ret))
		return err_set(e, -EINVAL, ERR_CALLER, "query.value",
			       "query parameter %s: \"%.64s\", expected an integer from 0 to %llu",
			       name, text, (unsigned long long)max);
	return 0;
}

int query_u32(struct request *q, const char *name, uint32_t max, uint32_t *ret, struct err *e)
{
	uint64_t v = *ret;
	int rc = query_u64(q, name, max, &v, e);

	if (!rc)
		*ret = (uint32_t)v;
	return rc;
}

int query_timeout(struct request *q, uint64_t *ret_ms, struct err *e)
{
	const char *text = query_get(q, "timeout");
	uint64_t ms;

	if (!text)
		return 0;
	if (parse_duration_ms(text, &ms) || ms > WAIT_MAX_MS)
		return err_set(
			e, -EINVAL, ERR_CALLER, "query.value",
			"query parameter timeout: \"%.64s\", expected seconds or a duration as "
			"30s or 2min, at most 1h",
			text);
	*ret_ms = ms;
	return 0;
}
