/*
 * The VMs in memory: by id in a hash table, by time of creation in a list.
 *
 * Called on the loop's thread.  Ids are our own random ones, so the hash needs no secret.
 */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "base/parse.h"
#include "control/control_internal.h"

/* An id ends in 8 random hex digits: they are the hash. */
static unsigned bucket(const char *id)
{
	size_t n = strlen(id);
	uint64_t h = 0;

	if (n >= 8 && parse_hex64(id + n - 8, &h) < 0)
		return 0;
	return (unsigned)(h % VM_BUCKETS);
}

struct vm *vm_by_id(struct control *c, const char *id)
{
	for (struct vm *v = c->buckets[bucket(id)]; v; v = v->hash_next)
		if (str_eq(v->rec.id, id))
			return v;
	return NULL;
}

struct vm *vm_new(struct control *c)
{
	struct vm *v = mem_zalloc(sizeof(*v));

	if (!v)
		return NULL;
	v->c = c;
	v->tap_fd = -1;
	v->pending_ev = -1;
	v->evidence = json_array();
	if (!v->evidence) {
		free(v);
		return NULL;
	}
	return v;
}

void vm_index(struct vm *v)
{
	struct control *c = v->c;
	unsigned b = bucket(v->rec.id);
	struct vm *after = c->last;

	v->hash_next = c->buckets[b];
	c->buckets[b] = v;
	/* The store need not give them in this order; a new one always goes to the end. */
	while (after && after->rec.created_us > v->rec.created_us)
		after = after->prev;
	v->prev = after;
	v->next = after ? after->next : c->first;
	*(v->next ? &v->next->prev : &c->last) = v;
	*(after ? &after->next : &c->first) = v;
	c->vms_n++;
}

static void unindex(struct vm *v)
{
	struct control *c = v->c;
	struct vm **p = &c->buckets[bucket(v->rec.id)];

	while (*p && *p != v)
		p = &(*p)->hash_next;
	if (!*p)
		return; /* was never indexed */
	*p = v->hash_next;
	*(v->prev ? &v->prev->next : &c->first) = v->next;
	*(v->next ? &v->next->prev : &c->last) = v->prev;
	c->vms_n--;
}

void vm_forget(struct vm *v)
{
	unindex(v);
	loop_timer_stop(v->c->loop, &v->limit);
	loop_timer_stop(v->c->loop, &v->again);
	run_free(v->run);
	work_free(v->work);
	image_free(v->image);
	if (v->tap_fd >= 0)
		(void)close(v->tap_fd); /* ours alone: the TAP goes with it */
	trail_reset(v);
	json_decref(v->evidence);
	vm_rec_done(&v->rec);
	free(v->cmdline);
	free(v->json);
	free(v->trail);
	free(v);
}

static bool may_see(const struct actor *a, const struct vm *v)
{
	return a->role == ROLE_ADMIN || str_eq(a->user_id, v->rec.user_id);
}

struct vm *control_vm_find(struct control *c, const struct actor *a, const char *id, struct err *e)
{
	struct vm *v = vm_by_id(c, id);

	if (v && may_see(a, v))
		return v;
	for (v = c->first; v; v = v->next)
		if (str_eq(v->rec.user_id, a->user_id) && str_eq(v->rec.name, id))
			return v;
	(void)err_set(e, -ENOENT, ERR_ABSENT, "vm.absent", "no VM %.64s", id);
	if (grave_find(c, id))
		(void)err_remedy(e, "it was deleted; its evidence is kept: hearth vm logs %s", id);
	return NULL;
}

int control_vm_each(struct control *c, const struct actor *a, control_vm_fn *fn, void *ctx)
{
	struct vm *next;

	for (struct vm *v = c->first; v; v = next) {
		int rc;

		next = v->next;
		rc = may_see(a, v) ? fn(ctx, v) : 0;
		if (rc)
			return rc;
	}
	return 0;
}

const struct vm_rec *vm_record(const struct vm *v)
{
	return &v->rec;
}
