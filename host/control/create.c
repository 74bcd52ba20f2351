/*
 * Creates a VM: every check before anything is made, then one transaction that holds record, lease,
 * first event and idempotency key.
 *
 * Loop's thread, from the API.  Trust: every field of the request is the caller's; its types and
 * lengths were checked by JSON binding, its meaning is checked here.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"
#include "control/control_internal.h"
#include "control/text.h"
#include "json/json.h"

#define BAD(e, id, ...) err_set(e, -EINVAL, ERR_CALLER, id, __VA_ARGS__)

static const struct vm_class *find_class(const struct control *c, const char *name, struct err *e)
{
	char known[256] = "";
	size_t n = 0;

	for (unsigned i = 0; i < c->conf->classes_n; i++) {
		const struct vm_class *k = &c->conf->classes[i];

		if (str_eq(k->name, name[0] ? name : "cli"))
			return k;
		text_cut(known + n, sizeof(known) - n, "%s%s", n ? ", " : "", k->name);
		n = strlen(known);
	}
	(void)BAD(e, "vm.unknown-type", "vmType \"%s\" is none of: %s", name[0] ? name : "cli",
		  known);
	return NULL;
}

static int number(const char *field, int64_t given, uint32_t preset, int64_t min, int64_t max,
		  uint32_t *ret, struct err *e)
{
	int64_t v = given ? given : preset;

	if (v < min || v > max)
		return BAD(e, "vm.out-of-range", "%s is %lld; must be %lld to %lld", field,
			   (long long)v, (long long)min, (long long)max);
	*ret = (uint32_t)v;
	return 0;
}

static int labels_text(json_t *labels, char **ret, struct err *e)
{
	const char *key;
	json_t *val;

	if (!labels) {
		*ret = mem_strdup("{}");
		return *ret ? 0 : err_nomem(e);
	}
	if (!json_is_object(labels) || json_object_size(labels) > LIMIT_LABELS)
		return BAD(e, "vm.labels", "labels: must be an object of at most %d entries",
			   LIMIT_LABELS);
	json_object_foreach(
		labels, key,
		val) if (!json_is_string(val) || !key[0] || strlen(key) > LIMIT_LABEL_LEN ||
			 json_string_length(val) >
				 LIMIT_LABEL_LEN) return BAD(e, "vm.labels",
							     "label \"%.64s\": key and value must "
							     "be texts of at most %d bytes",
							     key, LIMIT_LABEL_LEN);
	*ret = json_text(labels);
	return *ret ? 0 : err_nomem(e);
}

static int fill_identity(struct control *c, const struct actor *a, const struct vm_request *q,
			 struct vm_rec *r, struct err *e)
{
	const char *user = q->user_id[0] ? q->user_id : a->user_id;

	if (a->role == ROLE_VIEWER)
		return err_set(e, -EPERM, ERR_DENIED, "role.read-only",
			       "a viewer can't create VMs");
	if (a->role != ROLE_ADMIN && !str_eq(user, a->user_id))
		return err_set(e, -EPERM, ERR_DENIED, "role.other-user",
			       "only an admin creates VMs for another user");
	do {
		id_new("vm", r->id);
	} while (vm_by_id(c, r->id) || grave_find(c, r->id));
	text_cut(r->user_id, sizeof(r->user_id), "%s", user);
	text_cut(r->name, sizeof(r->name), "%s", q->name[0] ? q->name : r->id);
	if (!r->user_id[0])
		return BAD(e, "vm.no-user", "userId is missing");
	if (!name_valid(r->name))
		return BAD(
			e, "vm.bad-name",
			"name \"%s\": must be 1 to %d of a-z, 0-9 and '-', without '-' at the ends",
			r->name, LIMIT_NAME_LEN);
	return 0;
}

static int fill_size(const struct vm_request *q, const struct vm_class *k, struct vm_rec *r,
		     struct err *e)
{
	int rc;

	if ((rc = number("vcpus", q->vcpus, k->vcpus, 1, LIMIT_VCPUS, &r->vcpus, e)) < 0 ||
	    (rc = number("ramMib", q->ram_mib, k->ram_mib, 1, LIMIT_RAM_MIB, &r->ram_mib, e)) < 0)
		return rc;
	return number("diskMib", q->disk_mib, k->disk_mib, 1, LIMIT_DISK_MIB, &r->disk_mib, e);
}

static int fill_kind(struct control *c, const struct vm_request *q, const struct vm_class *k,
		     struct vm_rec *r, struct err *e)
{
	bool known = !q->engine[0] || str_eq(q->engine, "auto");

	text_cut(r->type, sizeof(r->type), "%s", k->name);
	text_cut(r->image, sizeof(r->image), "%s", q->image[0] ? q->image : k->image);
	text_cut(r->network, sizeof(r->network), "%s", q->network[0] ? q->network : "default");
	text_cut(r->engine, sizeof(r->engine), "%s", q->engine[0] ? q->engine : c->conf->engine);
	text_cut(r->boot_args, sizeof(r->boot_args), "%s", q->boot_args);
	r->transport = q->transport < 0 ? VM_PCI : (enum vm_transport)q->transport;
	r->root = q->root < 0 ? VM_ROOT_OVERLAY : (enum vm_root)q->root;
	if ((unsigned)r->transport >= VM_TRANSPORT_N_ || (unsigned)r->root >= VM_ROOT_N_)
		return BAD(e, "vm.out-of-range", "transport or root out of range");
	for (unsigned i = 0; !known && c->engines[i]; i++)
		known = str_eq(c->engines[i]->name, q->engine);
	return known ? 0 : BAD(e, "vm.unknown-engine", "engine \"%s\" is not known", q->engine);
}

/* The record from request and class, and the checks that need no other object. */
static int fill(struct control *c, const struct actor *a, const struct vm_request *q,
		struct vm_rec *r, struct err *e)
{
	const struct vm_class *k = find_class(c, q->vm_type, e);
	int rc;

	if (!k)
		return -EINVAL;
	if ((rc = fill_identity(c, a, q, r, e)) < 0 || (rc = fill_kind(c, q, k, r, e)) < 0 ||
	    (rc = fill_size(q, k, r, e)) < 0 || (rc = labels_text(q->labels, &r->labels, e)) < 0)
		return rc;
	r->state = q->start ? VM_CREATING : VM_STOPPED;
	r->created_us = r->changed_us = clock_wall_us();
	return 0;
}

/* A root that was not asked for is what the image can have. */
static int choose_root(const struct vm_request *q, const struct image *i, struct vm_rec *r,
		       struct err *e)
{
	int rc = r->root == VM_ROOT_OVERLAY ? image_can_overlay(i, q->root < 0 ? NULL : e) : 0;

	if (rc == 0 || q->root >= 0)
		return rc;
	r->root = VM_ROOT_DIRECT;
	return 0;
}

/* Image, network, command line, admission. */
static int check(struct vm *v, const struct vm_request *q, struct err *e)
{
	struct control *c = v->c;
	char cmdline[LIMIT_CMDLINE_LEN + 1];
	AUTO(image) i = NULL;
	int rc;

	v->netw = netw_find(c, v->rec.network);
	if (!v->netw)
		return err_set(e, -ENOENT, ERR_ABSENT, "network.absent", "no network %s",
			       v->rec.network);
	rc = netw_ready(v->netw, c, e);
	if (rc < 0)
		return rc;
	rc = image_open(c->images_dir, v->rec.image, &i, e);
	if (rc < 0) {
		if (rc == -ENOENT && e && !e->remedy[0])
			(void)err_remedy(e, "hearth image list; hearth image build %s",
					 v->rec.image);
		return rc;
	}
	memcpy(v->rec.digest, i->digest, sizeof(v->rec.digest));
	if (i->name[0])
		text_cut(v->rec.image, sizeof(v->rec.image), "%s", i->name);
	else
		text_cut(v->rec.image, sizeof(v->rec.image), "%.12s", i->digest);
	rc = image_preflight(i, v->rec.ram_mib, v->rec.transport == VM_MMIO, e);
	if (rc == 0)
		rc = choose_root(q, i, &v->rec, e);
	/* stands in until the lease is taken */
	v->rec.lease.ip = network_address(&v->netw->conf, 0);
	if (rc == 0) /* whether it will be emulated adds keys of ours only */
		rc = launch_cmdline(v, i, true, cmdline, e);
	if (rc == 0)
		rc = admit(c, &v->rec, true, i, e);
	return rc;
}

struct wishes { /* what the request wants of the lease, parsed */
	uint32_t ip;
	uint8_t mac[6];
	bool has_mac;
};

static int parse_wishes(const struct vm_request *q, struct wishes *w, struct err *e)
{
	if (q->ip[0] && parse_ipv4(q->ip, &w->ip) < 0)
		return BAD(e, "vm.bad-ip", "ip \"%s\": expected an IPv4 address", q->ip);
	w->has_mac = q->mac[0] != 0;
	if (w->has_mac && (parse_mac(q->mac, w->mac) < 0 || (w->mac[0] & 1)))
		return BAD(e, "vm.bad-mac",
			   "mac \"%s\": expected a unicast address like 06:00:c0:a8:64:05", q->mac);
	return 0;
}

static int commit(struct vm *v, const struct wishes *w, const char *actor, const char *idem_key,
		  const char *request_hash, struct err *e)
{
	struct control *c = v->c;
	struct store *s = c->store;
	unsigned queued;
	int rc;

	events_flush(c);
	queued = c->queue_n;
	rc = store_begin(s, e);
	if (rc < 0)
		return rc;
	rc = store_vm_insert(s, &v->rec, e);
	if (rc == 0)
		rc = store_lease_take(s, &v->netw->conf, v->rec.id, w->ip,
				      w->has_mac ? w->mac : NULL, &v->rec.lease, e);
	if (rc == 0)
		rc = store_vm_update(s, &v->rec, e); /* with the lease */
	if (rc == 0 && idem_key)
		rc = store_idem_insert(s, v->rec.user_id, idem_key, request_hash, v->rec.id, e);
	event_add_state(c, v, VM_GONE, v->rec.state, actor, "created");
	if (rc == 0)
		rc = events_write(c, e);
	if (rc == 0)
		rc = store_commit(s, e);
	if (rc < 0) {
		store_rollback(s);
		events_unqueue(c, queued);
	}
	return rc;
}

/* 1: the key was used before, *ret is its VM; 0: new. */
static int repeated(struct control *c, const struct actor *a, const struct vm_request *q,
		    const char *key, const char *request_hash, struct vm **ret, struct err *e)
{
	/* Only an admin may name another user: else a key would show whose VM it made. */
	const char *user = q->user_id[0] && a->role == ROLE_ADMIN ? q->user_id : a->user_id;
	char hash[HASH_TEXT_LEN], id[ID_LEN];
	int rc = store_idem_find(c->store, user, key, hash, id, NULL);
	struct vm *v;

	if (rc == -ENOENT)
		return 0;
	if (rc < 0)
		return store_idem_find(c->store, user, key, hash, id, e);
	if (!str_eq(hash, request_hash))
		return err_set(e, -EEXIST, ERR_STATE, "idempotency.other-request",
			       "Idempotency-Key %s was used for a different request, which made %s",
			       key, id);
	v = vm_by_id(c, id);
	if (!v)
		return err_set(e, -ENOENT, ERR_STATE, "idempotency.gone",
			       "Idempotency-Key %s made %s, which was deleted since", key, id);
	*ret = v;
	return 1;
}

int control_vm_create(struct control *c, const struct actor *a, const struct vm_request *q,
		      const char *idem_key, const char *request_hash, struct vm **ret,
		      bool *ret_repeated, struct err *e)
{
	struct wishes w = {0};
	char actor[LIMIT_USER_LEN + 8];
	struct vm *v;
	int rc = idem_key ? repeated(c, a, q, idem_key, request_hash, ret, e) : 0;

	if (rc < 0)
		return rc;
	*ret_repeated = rc > 0;
	if (rc > 0)
		return 0;
	v = vm_new(c);
	if (!v)
		return err_nomem(e);
	text_cut(actor, sizeof(actor), "user:%s", a->user_id);
	if ((rc = fill(c, a, q, &v->rec, e)) < 0 || (rc = parse_wishes(q, &w, e)) < 0 ||
	    (rc = check(v, q, e)) < 0 ||
	    (rc = commit(v, &w, actor, idem_key, request_hash, e)) < 0) {
		vm_forget(v);
		return rc;
	}
	vm_index(v);
	v->trail_loaded = true;
	c->count.created++;
	log_info("vm.created", LS("vm", v->rec.id), LS("by", actor), LS("image", v->rec.image));
	events_publish(c);
	vm_limit_arm(v);
	vm_next(v);
	*ret = v;
	return 0;
}
