/*
 * The route table and its look-up.  Called by request.c for each request.
 * Trust: the URL was chosen by the client; libmicrohttpd has decoded its percent signs.
 */
#include <stdio.h>
#include <assert.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "rest/rest_internal.h"

const struct route routes[] = {
#define R(method, path, run, need, query, why) {method, path, run, need, query, why},
#include "rest/routes.def"
#undef R
};
const unsigned routes_n = ARRAY_LEN(routes);

static const char *const need_names[] = {
	[NEED_NOBODY] = "none",
	[NEED_VIEWER] = "viewer",
	[NEED_USER] = "user",
	[NEED_ADMIN] = "admin",
};
static_assert(ARRAY_LEN(need_names) == NEED_N_, "a name per role");

const char *need_name(enum need n)
{
	return need_names[n];
}

/* Does url have the form of path?  *arg, *arg_len: the text in place of its {…}. */
static bool matches(const char *path, const char *url, const char **arg, size_t *arg_len)
{
	const char *open = strchr(path, '{'), *rest;
	size_t head, n;

	*arg = NULL;
	*arg_len = 0;
	if (!open)
		return str_eq(path, url);
	head = (size_t)(open - path);
	if (strncmp(path, url, head) != 0)
		return false;
	n = strcspn(url + head, "/");
	rest = strchr(open, '}') + 1; /* every '{' of the table is closed: test_rest_routes */
	if (n == 0 || n >= ARG_LEN || !str_eq(rest, url + head + n))
		return false;
	*arg = url + head;
	*arg_len = n;
	return true;
}

const struct route *route_find(const char *method, const char *url, char ret_arg[ARG_LEN])
{
	const char *arg;
	size_t n;

	if (str_eq(method, "HEAD"))
		method = "GET";
	for (unsigned i = 0; i < routes_n; i++) {
		if (!str_eq(routes[i].method, method) || !matches(routes[i].path, url, &arg, &n))
			continue;
		if (arg)
			memcpy(ret_arg, arg, n);
		ret_arg[n] = '\0';
		return &routes[i];
	}
	return NULL;
}

static void add_method(char *ret, size_t cap, const char *method)
{
	size_t n = strlen(ret);

	if (strstr(ret, method))
		return;
	(void)snprintf(ret + n, cap - n, "%s%s", n ? ", " : "", method); /* five methods fit */
}

void route_allow(const char *url, char *ret, size_t cap)
{
	const char *arg;
	size_t n;

	ret[0] = '\0';
	for (unsigned i = 0; i < routes_n; i++) {
		if (!matches(routes[i].path, url, &arg, &n))
			continue;
		add_method(ret, cap, routes[i].method);
		if (str_eq(routes[i].method, "GET"))
			add_method(ret, cap, "HEAD");
	}
}

void rest_print_routes(FILE *f)
{
	for (unsigned i = 0; i < routes_n; i++)
		(void)fprintf(f, "%s %s %s %s\n", routes[i].method, routes[i].path,
			      need_name(routes[i].need), routes[i].query);
}
