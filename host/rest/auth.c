/*
 * Who asks: the peer's credentials on the Unix socket, or a bearer token on either listener.
 *
 * A token is "hrt_" and 64 hexadecimal digits of 32 random bytes; the store and this table hold
 * only its SHA-256.  The look-up is by that hash and takes the same few steps however many tokens
 * there are.  It need not run in constant time: what time tells is how much of the *hash* agrees,
 * and nobody can choose a token by its hash.
 *
 * Trust: the header was chosen by the client.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "rest/rest_internal.h"

#define BUCKETS 1024 /* a quarter of LIMIT_TOKENS: four comparisons at the worst expected */

struct node {
	struct node *next;
	struct token token;
};

struct token_table {
	struct node *buckets[BUCKETS]; /* owned */
	unsigned n;
};

static unsigned bucket_of(const char *hash)
{
	static const char digits[] = "0123456789abcdef";
	unsigned v = 0;

	for (unsigned i = 0; i < 4; i++) {
		const char *at = strchr(digits, hash[i]);

		v = v * 16 + (at ? (unsigned)(at - digits) : 0);
	}
	return v % BUCKETS;
}

int auth_add(struct rest *r, const struct token *t, struct err *e)
{
	struct node *n = mem_zalloc(sizeof(*n));
	struct node **head = &r->tokens->buckets[bucket_of(t->hash)];

	if (!n)
		return err_nomem(e);
	n->token = *t;
	n->next = *head;
	*head = n;
	r->tokens->n++;
	return 0;
}

void auth_remove(struct rest *r, const char *id)
{
	for (unsigned i = 0; i < BUCKETS; i++) {
		for (struct node **at = &r->tokens->buckets[i]; *at; at = &(*at)->next) {
			struct node *n = *at;

			if (!str_eq(n->token.id, id))
				continue;
			*at = n->next;
			free(n);
			r->tokens->n--;
			return;
		}
	}
}

unsigned auth_count(const struct rest *r)
{
	return r->tokens->n;
}

static int load_one(void *ctx, const struct token *t)
{
	return auth_add(ctx, t, NULL);
}

int auth_load(struct rest *r, struct err *e)
{
	int rc;

	r->tokens = mem_zalloc(sizeof(*r->tokens));
	if (!r->tokens)
		return err_nomem(e);
	rc = store_token_each(control_store(r->control), load_one, r, e);
	return rc == -ENOMEM ? err_nomem(e) : rc;
}

void auth_free(struct rest *r)
{
	for (unsigned i = 0; r->tokens && i < BUCKETS; i++) {
		while (r->tokens->buckets[i]) {
			struct node *n = r->tokens->buckets[i];

			r->tokens->buckets[i] = n->next;
			free(n);
		}
	}
	free(r->tokens);
	r->tokens = NULL;
}

static const struct token *find(const struct rest *r, const char *text)
{
	char hash[HASH_TEXT_LEN];

	hash_bytes(text, strlen(text), hash);
	for (struct node *n = r->tokens->buckets[bucket_of(hash)]; n; n = n->next)
		if (str_eq(n->token.hash, hash))
			return &n->token;
	return NULL;
}

/* RFC 6750 sec. 2.1; the scheme's case does not matter (RFC 9110 sec. 11.1). */
static int by_token(struct request *q, const char *header, struct err *e)
{
	static const char scheme[] = "Bearer ";
	const struct token *t;

	if (strncasecmp(header, scheme, sizeof(scheme) - 1) != 0)
		return err_set(e, -EACCES, ERR_DENIED, "auth.missing",
			       "Authorization: expected \"Bearer hrt_…\"");
	t = find(q->rest, header + sizeof(scheme) - 1);
	if (!t) {
		(void)err_set(e, -EACCES, ERR_DENIED, "auth.token", "the token is not known here");
		return err_remedy(e,
				  "it may have been revoked; an admin makes one with: hearth token "
				  "create");
	}
	if (t->expires_us && t->expires_us <= clock_wall_us())
		return err_set(e, -EACCES, ERR_DENIED, "auth.expired", "token %s: has expired",
			       t->id);
	q->actor.role = t->role;
	return str_copy(q->actor.user_id, sizeof(q->actor.user_id), t->user_id) ? 0 : -EINVAL;
}

static int by_peer(struct request *q, struct err *e)
{
	const struct peer *p = q->peer;

	if (!p->on_unix) {
		(void)err_set(e, -EACCES, ERR_DENIED, "auth.missing",
			      "this address needs a token: Authorization: Bearer hrt_…");
		return err_remedy(e, "make one on the host with: hearth token create");
	}
	if (!p->admin) {
		(void)err_set(e, -EACCES, ERR_DENIED, "auth.peer",
			      "user id %u is neither root nor in the group of the socket",
			      (unsigned)p->uid);
		return err_remedy(e, "add the user to the group, or send a token");
	}
	q->actor.role = ROLE_ADMIN;
	if (p->uid == 0)
		return str_copy(q->actor.user_id, sizeof(q->actor.user_id), "root") ? 0 : -EINVAL;
	/* The number, not the name: a name service may block, and this is the loop's thread. */
	return str_fmt(q->actor.user_id, sizeof(q->actor.user_id), "uid-%u", (unsigned)p->uid)
		       ? 0
		       : -EINVAL;
}

static bool may(enum token_role role, enum need need)
{
	switch (role) {
	case ROLE_ADMIN:
		return true;
	case ROLE_USER:
		return need <= NEED_USER;
	case ROLE_VIEWER:
		return need <= NEED_VIEWER;
	case ROLE_N_:
		break;
	}
	return false;
}

int auth_check(struct request *q, struct err *e)
{
	const char *header = MHD_lookup_connection_value(q->conn, MHD_HEADER_KIND,
							 MHD_HTTP_HEADER_AUTHORIZATION);
	int rc;

	q->actor.role = ROLE_VIEWER; /* the least */
	if (q->route->need == NEED_NOBODY)
		return 0;
	rc = header ? by_token(q, header, e) : by_peer(q, e);
	if (rc)
		return rc;
	if (!may(q->actor.role, q->route->need))
		return err_set(e, -EPERM, ERR_DENIED, "auth.role",
			       "%s %s: needs the role %s, this is %s", q->route->method,
			       q->route->path, need_name(q->route->need),
			       token_role_names[q->actor.role]);
	return 0;
}
