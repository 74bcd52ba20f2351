/*
 * The routes of tokens: made here, shown once, kept as a hash, revoked at once.
 * Called by request.c; loop's thread.
 */
#include <stdio.h>
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/str.h"
#include "json/json.h"
#include "rest/rest_internal.h"

#define SECRET_BYTES 32				      /* 256 bits: not to be guessed */
#define SECRET_LEN   (4 + 2 * SECRET_BYTES)	      /* "hrt_" + hexadecimal digits */
#define LIFE_MAX_MS  (10ull * 366 * 24 * 3600 * 1000) /* ten years; longer means for ever */

struct token_request {
	char user_id[LIMIT_USER_LEN + 1], expires_in[16];
	int role;
};

static const struct json_field create_fields[] = {
	JSON_STR(struct token_request, user_id, "userId", 1, LIMIT_USER_LEN, JSON_REQUIRED),
	JSON_ENUM(struct token_request, role, "role", token_role_names, ROLE_N_, JSON_REQUIRED),
	JSON_STR(struct token_request, expires_in, "expiresIn", 1, 15, 0),
	JSON_END,
};

static int put_time(json_t *obj, const char *key, uint64_t wall_us)
{
	char text[CLOCK_TEXT_LEN];

	if (!wall_us)
		return json_put(obj, key, json_null());
	clock_text(wall_us, text);
	return json_put(obj, key, json_string(text));
}

/* The token without its secret; NULL without memory. */
static json_t *token_json(const struct token *t)
{
	json_t *obj = json_object();

	if (json_put(obj, "id", json_string(t->id)) ||
	    json_put(obj, "userId", answer_string(t->user_id)) ||
	    json_put(obj, "role", json_string(token_role_names[t->role])) ||
	    put_time(obj, "createdAt", t->created_us) ||
	    put_time(obj, "expiresAt", t->expires_us)) {
		json_decref(obj);
		return NULL;
	}
	return obj;
}

static int add_row(void *ctx, const struct token *t)
{
	return json_push(ctx, token_json(t));
}

int route_token_list(struct request *q, struct err *e)
{
	json_t *list = json_array();
	int rc = list ? store_token_each(control_store(q->rest->control), add_row, list, e)
		      : -ENOMEM;

	if (rc) {
		json_decref(list);
		return rc == -ENOMEM ? err_nomem(e) : rc;
	}
	return answer_wrapped(q, MHD_HTTP_OK, "tokens", list, e);
}

static int parse_request(struct request *q, struct token *t, struct err *e)
{
	struct token_request r = {0};
	auto_json json_t *body = NULL;
	uint64_t life_ms = 0;
	int rc = body_json(q, &body, e);

	if (!rc)
		rc = json_bind(body, "request", create_fields, &r, e);
	if (rc)
		return rc;
	if (*r.expires_in &&
	    (parse_duration_ms(r.expires_in, &life_ms) || !life_ms || life_ms > LIFE_MAX_MS))
		return err_set(
			e, -EINVAL, ERR_CALLER, "token.expires",
			"request.expiresIn: \"%s\", expected a duration as 12h or 30d, at most ten "
			"years; leave it out for a token without an end",
			r.expires_in);
	t->role = (enum token_role)r.role;
	t->created_us = clock_wall_us();
	t->expires_us = life_ms ? t->created_us + life_ms * 1000 : 0;
	(void)snprintf(t->user_id, sizeof(t->user_id), "%s", r.user_id); /* same size */
	return 0;
}

static int add_token(struct rest *r, const struct token *t, struct err *e)
{
	int rc;

	if (auth_count(r) >= LIMIT_TOKENS)
		return err_set(e, -ENOSPC, ERR_LIMIT, "token.too-many",
			       "tokens: %u exist, which is the limit; revoke some first",
			       LIMIT_TOKENS);
	rc = store_token_insert(control_store(r->control), t, e);
	if (rc)
		return rc;
	rc = auth_add(r, t, e);
	if (rc) /* as if it had never been */
		(void)store_token_delete(control_store(r->control), t->id, NULL);
	return rc;
}

int route_token_create(struct request *q, struct err *e)
{
	char secret[SECRET_LEN + 1] = "hrt_";
	struct token t = {0};
	json_t *obj = NULL;
	int rc = parse_request(q, &t, e);

	if (rc)
		return rc;
	random_hex(secret + 4, SECRET_BYTES);
	hash_bytes(secret, strlen(secret), t.hash);
	id_new("tok", t.id);
	rc = add_token(q->rest, &t, e);
	if (rc)
		return rc;
	log_info("token.created", LS("token", t.id), LS("user", t.user_id),
		 LS("role", token_role_names[t.role]), LS("by", q->actor.user_id));
	obj = token_json(&t);
	if (!obj || json_put(obj, "token", json_string(secret))) {
		json_decref(obj);
		return err_nomem(e);
	}
	return answer_json(q, MHD_HTTP_CREATED, obj, e);
}

int route_token_remove(struct request *q, struct err *e)
{
	int rc = store_token_delete(control_store(q->rest->control), q->arg, e);

	if (rc)
		return rc;
	auth_remove(q->rest, q->arg);
	log_info("token.revoked", LS("token", q->arg), LS("by", q->actor.user_id));
	return answer_none(q, MHD_HTTP_NO_CONTENT) ? err_nomem(e) : 0;
}
