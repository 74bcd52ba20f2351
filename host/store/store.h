#pragma once
/*
 * The durable state in one SQLite file (WAL, STRICT tables, foreign keys, synchronous=FULL): VMs,
 * leases, networks, events, tokens, idempotency keys.  One writer, hearthd's loop thread.
 *
 * Every function that changes something is one transaction unless it runs between store_begin and
 * store_commit.  Failures: id "store.locked" (another process holds it, ERR_HOST), "store.corrupt",
 * "store.read-only", "store.full", "store.newer" (made by a newer Hearth), each with path and
 * remedy.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/network.h"
#include "model/vm.h"

struct err;
struct store;

/* Open or create; takes an exclusive lock on <path>.lock so that a second hearthd refuses
 * (id "store.in-use", with the pid of the holder); checks integrity; migrates by user_version. */
int store_open(const char *path, struct store **ret, struct err *e);
void store_close(struct store *s);

int store_begin(struct store *s, struct err *e);
int store_commit(struct store *s, struct err *e);
void store_rollback(struct store *s); /* no transaction open: fine */

/* VMs.  insert fails with -EEXIST (id "vm.name-taken") when (user, name) exists. */
int store_vm_insert(struct store *s, const struct vm_rec *r, struct err *e);
int store_vm_update(struct store *s, const struct vm_rec *r, struct err *e); /* all columns by id */
int store_vm_delete(struct store *s, const char *id, struct err *e);
typedef int store_vm_fn(void *ctx,
			struct vm_rec *r); /* r is the callee's to keep: it must take or done it */
int store_vm_each(struct store *s, store_vm_fn *fn, void *ctx, struct err *e);

/* Leases.  take: lowest free number on the host and lowest free address of the network, in the
 * current transaction; -ENOSPC (id "network.exhausted", names the network, its size and use).
 * want_ip/want_mac 0/NULL: any; a clash is -EEXIST (id "network.address-taken" /
 * "network.mac-taken"). */
int store_lease_take(struct store *s, const struct network *n, const char *vm_id, uint32_t want_ip,
		     const uint8_t *want_mac, struct vm_lease *ret, struct err *e);
int store_lease_free(struct store *s, const char *vm_id, struct err *e);
int store_lease_count(struct store *s, const char *network, uint32_t *ret_used, struct err *e);

/* Networks. */
int store_network_insert(struct store *s, const struct network *n,
			 struct err *e); /* -EEXIST "network.exists" */
int store_network_delete(struct store *s, const char *name,
			 struct err *e); /* -EBUSY while leased, "network.in-use" */
typedef int store_network_fn(void *ctx, const struct network *n);
int store_network_each(struct store *s, store_network_fn *fn, void *ctx, struct err *e);

/* Events.  append sets ev->seq.  list: rows with seq > after, of one VM or all (vm NULL), oldest
 * first, at most limit.  prune: rows older than before_us of VMs that no longer exist. */
int store_event_append(struct store *s, struct vm_event *ev, struct err *e);
typedef int store_event_fn(void *ctx, const struct vm_event *ev);
int store_event_each(struct store *s, const char *vm, uint64_t after, uint32_t limit,
		     store_event_fn *fn, void *ctx, struct err *e);
int store_event_prune(struct store *s, uint64_t before_us, uint64_t *ret_n, struct err *e);

/* Tokens: only SHA-256 hashes are kept. */
enum token_role { ROLE_ADMIN, ROLE_USER, ROLE_VIEWER, ROLE_N_ };
extern const char *const token_role_names[ROLE_N_];
struct token {
	char id[ID_LEN]; /* "tok-…" */
	char user_id[LIMIT_USER_LEN + 1];
	char hash[HASH_TEXT_LEN];
	enum token_role role;
	uint64_t created_us, expires_us; /* 0: never */
};
int store_token_insert(struct store *s, const struct token *t, struct err *e);
int store_token_delete(struct store *s, const char *id, struct err *e); /* -ENOENT "token.absent" */
typedef int store_token_fn(void *ctx, const struct token *t);
int store_token_each(struct store *s, store_token_fn *fn, void *ctx, struct err *e);

/* Idempotency keys: (user, key) -> request hash and the VM it made.  find: -ENOENT if new;
 * kept for 24 h. */
int store_idem_insert(struct store *s, const char *user, const char *key, const char *request_hash,
		      const char *vm_id, struct err *e);
int store_idem_find(struct store *s, const char *user, const char *key,
		    char ret_hash[HASH_TEXT_LEN], char ret_vm[ID_LEN], struct err *e);
int store_idem_prune(struct store *s, uint64_t before_us, struct err *e);
