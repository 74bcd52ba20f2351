/*
 * The table of endpoints, and what they do.
 */
#include "fcapi/routes.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "fcapi/bodies.h"
#include "json/json.h"

#define WHY_MAX	  (BODY_TEXT_MAX + 256)
#define TOKEN_MAX 128u

enum phase { BOTH, PRE, POST };

/* One request on its way through. */
struct call {
	struct api_vm *vm;
	const char *id; /* second token of the path, "" when there is none */
	struct serde_source src;
	json_t *body;	/* NULL: none was sent */
	json_t *answer; /* the handler's; owned by api_handle */
	char why[WHY_MAX];
};

typedef int handler_fn(struct call *c);

__attribute__((format(printf, 2, 3))) static int fail(struct call *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(c->why, sizeof(c->why), fmt, ap); /* cut is fine: for people */
	va_end(ap);
	return -EINVAL;
}

/* --- handlers --- */

static int get_info(struct call *c)
{
	const char *state = !c->vm->started		   ? "Not started"
			    : c->vm->is_paused(c->vm->ctx) ? "Paused"
							   : "Running";

	c->answer = json_pack("{s:s,s:s,s:s,s:s}", "id", c->vm->config.id, "state", state,
			      "vmm_version", API_VERSION, "app_name", "Firecracker");
	return 0;
}

static int get_version(struct call *c)
{
	c->answer = json_pack("{s:s}", "firecracker_version", API_VERSION);
	return 0;
}

static int get_machine_config(struct call *c)
{
	c->answer = body_show_machine_config(&c->vm->config);
	return 0;
}

static int get_config(struct call *c)
{
	c->answer = body_show_config(&c->vm->config);
	return 0;
}

static int put_machine_config(struct call *c)
{
	return body_machine_config(&c->vm->config, &c->src, c->body, c->why);
}

static int patch_machine_config(struct call *c)
{
	return body_machine_config_patch(&c->vm->config, &c->src, c->body, c->why);
}

static int put_boot_source(struct call *c)
{
	return body_boot_source(&c->vm->config, &c->src, c->body, c->why);
}

/* The id of the path and the id of the body are one. */
static int check_id(struct call *c, const char *key)
{
	const char *id = json_string_value(json_object_get(c->body, key));

	if (!*c->id)
		return fail(c, "The ID cannot be empty.");
	if (id && !str_eq(id, c->id))
		return fail(c,
			    "The id from the path [%s] does not match the id from the body [%s]!",
			    c->id, id);
	return 0;
}

static int put_drive(struct call *c)
{
	int rc = check_id(c, "drive_id");

	return rc ? rc : body_drive(&c->vm->config, &c->src, c->body, c->why);
}

static int put_net(struct call *c)
{
	int rc = check_id(c, "iface_id");

	return rc ? rc : body_net(&c->vm->config, &c->src, c->body, c->why);
}

static int put_entropy(struct call *c)
{
	return body_entropy(&c->vm->config, &c->src, c->body, c->why);
}

static int start(struct call *c)
{
	char why[BODY_TEXT_MAX];

	if (!c->vm->config.kernel[0])
		return fail(
			c,
			"Start microvm error: Cannot start microvm without kernel configuration.");
	if (c->vm->start(c->vm->ctx, why, sizeof(why)))
		return fail(c, "Start microvm error: %s", why);
	c->vm->started = true;
	return 0;
}

/* Bind a body that is one required word, {"key": one of names}; names ends with NULL. */
static int one_word(struct call *c, const char *type, const char *key, const char *const *names,
		    unsigned *ret)
{
	const struct serde_field fields[] = {
		{.name = key,
		 .type = SERDE_ENUM,
		 .flags = SERDE_REQUIRED,
		 .given_offset = SIZE_MAX,
		 .names = names},
		{.type = SERDE_END},
	};
	char why[SERDE_TEXT_MAX];

	if (serde_bind(&c->src, c->body, type, fields, ret, why))
		return fail(c,
			    "An error occurred when deserializing the json body of a request: %s.",
			    why);
	return 0;
}

static int put_action(struct call *c)
{
	static const char *const names[] = {"InstanceStart", "FlushMetrics", "SendCtrlAltDel",
					    NULL};
	unsigned action = 0;
	int rc = one_word(c, "ActionBody", "action_type", names, &action);

	if (rc)
		return rc;
	if (action == 0)
		return c->vm->started ? fail(c, "The requested operation is not supported after "
						"starting the microVM.")
				      : start(c);
	if (!c->vm->started)
		return fail(
			c, "The requested operation is not supported before starting the microVM.");
	return fail(c, "%s: not supported by hearth-vmm", names[action]);
}

static int patch_vm(struct call *c)
{
	static const char *const names[] = {"Paused", "Resumed", NULL};
	unsigned state = 0;
	int rc = one_word(c, "Vm", "state", names, &state);

	if (rc)
		return rc;
	c->vm->set_paused(c->vm->ctx, state == 0);
	return 0;
}

static int not_supported(struct call *c)
{
	return fail(c, "This endpoint is not supported by hearth-vmm");
}

/* --- the table --- */

static const struct {
	const char *first, *second; /* tokens of the path; second NULL: any or none */
	enum http_method method;
	enum phase phase;
	handler_fn *handler;
} routes[] = {
	{"", NULL, HTTP_GET, BOTH, get_info},
	{"version", NULL, HTTP_GET, BOTH, get_version},
	{"actions", NULL, HTTP_PUT, BOTH, put_action},
	{"machine-config", NULL, HTTP_GET, BOTH, get_machine_config},
	{"machine-config", NULL, HTTP_PUT, PRE, put_machine_config},
	{"machine-config", NULL, HTTP_PATCH, PRE, patch_machine_config},
	{"boot-source", NULL, HTTP_PUT, PRE, put_boot_source},
	{"drives", NULL, HTTP_PUT, PRE, put_drive},
	{"network-interfaces", NULL, HTTP_PUT, PRE, put_net},
	{"entropy", NULL, HTTP_PUT, PRE, put_entropy},
	{"vm", "config", HTTP_GET, BOTH, get_config},
	{"vm", NULL, HTTP_PATCH, POST, patch_vm},
	{"drives", NULL, HTTP_PATCH, BOTH, not_supported},
	{"drives", NULL, HTTP_DELETE, BOTH, not_supported},
	{"network-interfaces", NULL, HTTP_PATCH, BOTH, not_supported},
	{"network-interfaces", NULL, HTTP_DELETE, BOTH, not_supported},
	{"cpu-config", NULL, HTTP_PUT, BOTH, not_supported},
	{"pmem", NULL, HTTP_PUT, BOTH, not_supported},
	{"pmem", NULL, HTTP_PATCH, BOTH, not_supported},
	{"pmem", NULL, HTTP_DELETE, BOTH, not_supported},
	{"vsock", NULL, HTTP_PUT, BOTH, not_supported},
	{"serial", NULL, HTTP_PUT, BOTH, not_supported},
	{"balloon", NULL, HTTP_GET, BOTH, not_supported},
	{"balloon", NULL, HTTP_PUT, BOTH, not_supported},
	{"balloon", NULL, HTTP_PATCH, BOTH, not_supported},
	{"hotplug", NULL, HTTP_GET, BOTH, not_supported},
	{"hotplug", NULL, HTTP_PUT, BOTH, not_supported},
	{"hotplug", NULL, HTTP_PATCH, BOTH, not_supported},
	{"logger", NULL, HTTP_PUT, BOTH, not_supported},
	{"metrics", NULL, HTTP_PUT, BOTH, not_supported},
	{"mmds", NULL, HTTP_GET, BOTH, not_supported},
	{"mmds", NULL, HTTP_PUT, BOTH, not_supported},
	{"mmds", NULL, HTTP_PATCH, BOTH, not_supported},
	{"snapshot", NULL, HTTP_PUT, BOTH, not_supported},
};

/* First and second token of the path; empty ones are not tokens. */
static void split(const char *uri, char first[TOKEN_MAX], char second[TOKEN_MAX])
{
	char text[HTTP_URI_MAX], *pos = text, *word;

	first[0] = second[0] = '\0';
	if (!str_copy(text, sizeof(text), uri))
		return;
	word = str_word(&pos, "/");
	if (word)
		(void)snprintf(first, TOKEN_MAX, "%s", word); /* a longer one is none of ours */
	word = word ? str_word(&pos, "/") : NULL;
	if (word)
		(void)snprintf(second, TOKEN_MAX, "%s", word);
}

static int check_body(struct call *c, enum http_method method, size_t len)
{
	static const char *const empty[] = {
		[HTTP_PUT] = "Empty PUT request.", [HTTP_PATCH] = "Empty PATCH request."};
	char why[SERDE_TEXT_MAX];

	if (method == HTTP_GET || method == HTTP_DELETE)
		return !len ? 0
			    : fail(c, "%s",
				   method == HTTP_GET ? "GET request cannot have a body."
						      : "Empty Delete request.");
	if (!len)
		return fail(c, "%s", empty[method]);
	c->body = serde_parse(&c->src, why);
	if (!c->body)
		return fail(c,
			    "An error occurred when deserializing the json body of a request: %s.",
			    why);
	return 0;
}

static int check_phase(struct call *c, enum phase phase)
{
	if (phase == PRE && c->vm->started)
		return fail(c,
			    "The requested operation is not supported after starting the microVM.");
	if (phase == POST && !c->vm->started)
		return fail(
			c, "The requested operation is not supported before starting the microVM.");
	return 0;
}

static int dispatch(struct call *c, const struct http_request *r)
{
	static const char *const words[] = {"GET", "PUT", "PATCH", "DELETE"};
	char first[TOKEN_MAX], second[TOKEN_MAX];

	split(r->uri, first, second);
	c->id = second;
	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		int rc;

		if (routes[i].method != r->method || !str_eq(routes[i].first, first) ||
		    (routes[i].second && !str_eq(routes[i].second, second)))
			continue;
		rc = check_body(c, r->method, r->body_len);
		if (!rc)
			rc = check_phase(c, routes[i].phase);
		if (!rc)
			rc = routes[i].handler(c);
		c->id = "";
		return rc;
	}
	c->id = "";
	return fail(c, "Invalid request method and/or path: %s %s.", words[r->method], first);
}

/* A path may hold any bytes, and a long text is cut anywhere; JSON takes UTF-8 alone. */
static void make_utf8(char *text)
{
	if (str_is_utf8(text, strlen(text)))
		return;
	for (; *text; text++)
		if (*text & 0x80)
			*text = '?';
}

void api_handle(struct api_vm *vm, const struct http_request *r, struct api_answer *ret)
{
	struct call c = {.vm = vm, .src = {r->body, r->body_len}};
	int rc = dispatch(&c, r);
	auto_json json_t *answer = NULL;

	make_utf8(c.why);
	answer = rc ? json_pack("{s:s}", "fault_message", c.why) : c.answer;
	json_decref(c.body);
	*ret = (struct api_answer){rc ? 400 : answer ? 200 : 204, NULL};
	if (!answer)
		return;
	ret->body = json_text(answer);
	if (!ret->body)
		ret->status = 500;
}
