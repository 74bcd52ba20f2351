/* The stand-in of the controller: see fake_control.h. */
#include "fake_control.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "json/json.h"

struct vm {
	struct vm_rec rec;
	char json[2048];
	bool used;
};

struct control {
	struct loop *loop;
	struct store *store;
	struct vm vms[FAKE_VMS];
	struct waiter *waiters;
	struct verify *verify;
	struct event_sub *subs;
	char console[256];
};

struct control *fake_new(const char *dir, struct loop *l)
{
	struct control *c = mem_zalloc(sizeof(*c));
	char path[256];
	struct err e;

	assert(c);
	c->loop = l;
	(void)snprintf(path, sizeof(path), "%s/hearth.db", dir);
	if (store_open(path, &c->store, &e)) {
		(void)fprintf(stderr, "%s\n", e.text);
		abort();
	}
	return c;
}

void fake_free(struct control *c)
{
	for (unsigned i = 0; i < FAKE_VMS; i++)
		vm_rec_done(&c->vms[i].rec);
	store_close(c->store);
	free(c);
}

struct store *control_store(struct control *c)
{
	return c->store;
}

const struct vm_rec *vm_record(const struct vm *v)
{
	return &v->rec;
}

const char *vm_json(struct vm *v, size_t *ret_len)
{
	int n = snprintf(v->json, sizeof(v->json),
			 "{\"id\":\"%s\",\"userId\":\"%s\",\"name\":\"%s\",\"vmType\":\"%s\","
			 "\"state\":\"%s\",\"vcpus\":%u,\"labels\":%s,\"pad\":\"%0700d\"}",
			 v->rec.id, v->rec.user_id, v->rec.name, v->rec.type,
			 vm_state_name(v->rec.state), v->rec.vcpus, v->rec.labels, 0);

	*ret_len = (size_t)n;
	return v->json;
}

static void note(struct control *c, struct vm *v, const char *kind, const char *text)
{
	struct vm_event ev = {.wall_us = clock_wall_us(), .mono_us = clock_boot_ns() / 1000};
	struct event_sub *next;

	(void)snprintf(ev.vm, sizeof(ev.vm), "%s", v->rec.id);
	(void)snprintf(ev.kind, sizeof(ev.kind), "%s", kind);
	(void)snprintf(ev.text, sizeof(ev.text), "%s", text);
	(void)snprintf(ev.actor, sizeof(ev.actor), "hearthd");
	if (store_event_append(c->store, &ev, NULL))
		abort();
	for (struct event_sub *s = c->subs; s; s = next) {
		next = s->next;
		s->fn(s, &ev);
	}
}

static void unlink_waiter(struct waiter *w)
{
	*w->prevp = w->next;
	if (w->next)
		w->next->prevp = w->prevp;
}

static bool holds(const struct waiter *w, const struct vm *v)
{
	return (w->what == WAIT_READY && v->rec.state == VM_READY) ||
	       (w->what == WAIT_NETWORK && v->rec.state == VM_READY) ||
	       (w->what == WAIT_STOPPED && v->rec.state == VM_STOPPED);
}

void fake_move(struct control *c, struct vm *v, enum vm_state to)
{
	struct waiter *next;
	char text[64];
	struct err e;

	v->rec.state = to;
	(void)snprintf(text, sizeof(text), "now %s", vm_state_name(to));
	note(c, v, "state", text);
	for (struct waiter *w = c->waiters; w; w = next) {
		next = w->next;
		if (w->vm != v)
			continue;
		if (holds(w, v)) {
			unlink_waiter(w);
			w->fn(w, v, NULL);
		} else if (to == VM_FAILED) {
			(void)snprintf(v->rec.cause, sizeof(v->rec.cause), "kernel-format");
			(void)err_set(&e, -EIO, ERR_GUEST, "vm.failed", "vm %s: failed", v->rec.id);
			unlink_waiter(w);
			w->fn(w, v, &e);
		}
	}
}

void fake_gone(struct control *c, struct vm *v)
{
	struct waiter *next;

	v->used = false;
	for (struct waiter *w = c->waiters; w; w = next) {
		next = w->next;
		if (w->vm == v && w->what == WAIT_GONE) {
			unlink_waiter(w);
			w->fn(w, NULL, NULL);
		}
	}
	note(c, v, "delete", "gone");
}

unsigned fake_waiters(const struct control *c)
{
	unsigned n = 0;

	for (const struct waiter *w = c->waiters; w; w = w->next)
		n++;
	return n;
}

struct verify *fake_verify(const struct control *c)
{
	return c->verify;
}

void fake_console(struct control *c, const char *path)
{
	(void)snprintf(c->console, sizeof(c->console), "%s", path);
}

int control_vm_create(struct control *c, const struct actor *a, const struct vm_request *r,
		      const char *idem_key, const char *request_hash, struct vm **ret,
		      bool *ret_repeated, struct err *e)
{
	char hash[HASH_TEXT_LEN], old[ID_LEN];
	struct vm *v = c->vms;

	if (idem_key && !store_idem_find(c->store, a->user_id, idem_key, hash, old, NULL)) {
		if (!str_eq(hash, request_hash))
			return err_set(e, -EINVAL, ERR_CALLER, "idempotency.mismatch",
				       "another body");
		*ret = control_vm_find(c, a, old, e);
		*ret_repeated = true;
		return *ret ? 0 : -ENOENT;
	}
	while (v < c->vms + FAKE_VMS && v->used)
		v++;
	if (v == c->vms + FAKE_VMS)
		return err_set(e, -ENOSPC, ERR_LIMIT, "limit.vms", "no more VMs");
	vm_rec_done(&v->rec);
	memset(v, 0, sizeof(*v));
	v->used = true;
	id_new("vm", v->rec.id);
	(void)snprintf(v->rec.user_id, sizeof(v->rec.user_id), "%s", r->user_id);
	(void)snprintf(v->rec.name, sizeof(v->rec.name), "%s", *r->name ? r->name : v->rec.id);
	(void)snprintf(v->rec.type, sizeof(v->rec.type), "%s", *r->vm_type ? r->vm_type : "cli");
	v->rec.vcpus = r->vcpus ? (uint32_t)r->vcpus : 1;
	v->rec.labels = r->labels ? json_text(r->labels) : mem_strdup("{}");
	v->rec.state = VM_CREATING;
	note(c, v, "state", "created");
	if (idem_key &&
	    store_idem_insert(c->store, a->user_id, idem_key, request_hash, v->rec.id, e))
		return -EIO;
	*ret = v;
	return 0;
}

static bool visible(const struct actor *a, const struct vm *v)
{
	return a->role == ROLE_ADMIN || str_eq(a->user_id, v->rec.user_id);
}

struct vm *control_vm_find(struct control *c, const struct actor *a, const char *id, struct err *e)
{
	for (struct vm *v = c->vms; v < c->vms + FAKE_VMS; v++)
		if (v->used && visible(a, v) && (str_eq(v->rec.id, id) || str_eq(v->rec.name, id)))
			return v;
	(void)err_set(e, -ENOENT, ERR_ABSENT, "vm.absent", "vm \"%.64s\": there is none", id);
	return NULL;
}

int control_vm_start(struct control *c, const struct actor *a, struct vm *v, struct err *e)
{
	(void)a;
	if (v->rec.state != VM_STOPPED)
		return err_set(e, -EBUSY, ERR_STATE, "vm.state", "now %s",
			       vm_state_name(v->rec.state));
	fake_move(c, v, VM_STARTING);
	return 0;
}

int control_vm_stop(struct control *c, const struct actor *a, struct vm *v, bool force,
		    struct err *e)
{
	(void)a;
	(void)e;
	fake_move(c, v, force ? VM_STOPPED : VM_STOPPING);
	return 0;
}

int control_vm_delete(struct control *c, const struct actor *a, struct vm *v, struct err *e)
{
	(void)a;
	(void)e;
	if (v->rec.state == VM_STOPPED)
		fake_gone(c, v);
	else
		fake_move(c, v, VM_DELETING);
	return 0;
}

int control_vm_labels(struct control *c, const struct actor *a, struct vm *v, const json_t *patch,
		      struct err *e)
{
	(void)c;
	(void)a;
	(void)e;
	free(v->rec.labels);
	v->rec.labels = json_text(patch);
	return 0;
}

int control_vm_each(struct control *c, const struct actor *a, control_vm_fn *fn, void *ctx)
{
	for (struct vm *v = c->vms; v < c->vms + FAKE_VMS; v++) {
		int rc = v->used && visible(a, v) ? fn(ctx, v) : 0;

		if (rc)
			return rc;
	}
	return 0;
}

int control_vm_verify(struct control *c, struct vm *v, struct verify *w, struct err *e)
{
	(void)v;
	(void)e;
	c->verify = w;
	return 0;
}

void control_verify_cancel(struct control *c, struct verify *w)
{
	if (c->verify == w)
		c->verify = NULL;
}

int control_console_path(struct control *c, const struct actor *a, const char *id, char *ret,
			 size_t cap, struct err *e)
{
	if (!control_vm_find(c, a, id, e))
		return -ENOENT;
	return str_copy(ret, cap, c->console) ? 0 : -EINVAL;
}

int control_vm_wait(struct control *c, struct vm *v, enum wait_for what, uint64_t timeout_ms,
		    struct waiter *w, struct err *e)
{
	struct err late;

	(void)e;
	w->what = what;
	w->vm = v;
	if (holds(w, v)) {
		w->fn(w, v, NULL);
		return 0;
	}
	if (timeout_ms == 0) {
		(void)err_set(&late, -ETIMEDOUT, ERR_TIMEOUT, "vm.wait-timeout", "still %s",
			      vm_state_name(v->rec.state));
		w->fn(w, v, &late);
		return 0;
	}
	w->next = c->waiters;
	w->prevp = &c->waiters;
	if (w->next)
		w->next->prevp = &w->next;
	c->waiters = w;
	return 0;
}

void control_wait_cancel(struct control *c, struct waiter *w)
{
	(void)c;
	unlink_waiter(w);
}

void control_subscribe(struct control *c, struct event_sub *s)
{
	s->next = c->subs;
	s->prevp = &c->subs;
	if (s->next)
		s->next->prevp = &s->next;
	c->subs = s;
}

void control_unsubscribe(struct control *c, struct event_sub *s)
{
	(void)c;
	*s->prevp = s->next;
	if (s->next)
		s->next->prevp = s->prevp;
}

json_t *event_json(const struct vm_event *ev)
{
	return json_pack("{s:I,s:s,s:s,s:s}", "seq", (json_int_t)ev->seq, "vm", ev->vm, "kind",
			 ev->kind, "text", ev->text);
}

bool control_event_visible(struct control *c, const struct actor *a, const struct vm_event *ev)
{
	return a->role == ROLE_ADMIN || control_vm_find(c, a, ev->vm, NULL);
}

int control_network_create(struct control *c, const struct actor *a, struct network *n,
			   struct err *e)
{
	(void)a;
	return network_check(n, e) ? -EINVAL : store_network_insert(c->store, n, e);
}

int control_network_remove(struct control *c, const struct actor *a, const char *name,
			   struct err *e)
{
	(void)a;
	return store_network_delete(c->store, name, e);
}

int control_network_json(struct control *c, const char *name, json_t **ret, struct err *e)
{
	(void)c;
	(void)e;
	*ret = name ? json_pack("{s:s}", "name", name) : json_array();
	return 0;
}

int control_image_json(struct control *c, const char *ref, json_t **ret, struct err *e)
{
	(void)c;
	if (ref)
		return err_set(e, -ENOENT, ERR_ABSENT, "image.absent",
			       "image \"%.64s\": there is none", ref);
	*ret = json_array();
	return 0;
}

int control_image_remove(struct control *c, const struct actor *a, const char *ref, struct err *e)
{
	(void)a;
	return control_image_json(c, ref, NULL, e);
}

int control_image_gc(struct control *c, const struct actor *a, json_t **ret, struct err *e)
{
	(void)c;
	(void)a;
	(void)e;
	*ret = json_pack("{s:i}", "freedBytes", 0);
	return 0;
}

int control_image_build(struct control *c, const struct actor *a, const struct image_request *r,
			json_t **ret, struct err *e)
{
	(void)c;
	(void)a;
	(void)e;
	*ret = json_pack("{s:s,s:s,s:s,s:s}", "id", "job-00000001", "kind", "image", "name",
			 r->name, "state", "running");
	return 0;
}

int control_job_json(struct control *c, const char *id, json_t **ret, struct err *e)
{
	(void)c;
	(void)ret;
	return err_set(e, -ENOENT, ERR_ABSENT, "job.absent", "job \"%.64s\": there is none", id);
}

int control_host_json(struct control *c, json_t **ret, struct err *e)
{
	(void)c;
	(void)e;
	*ret = json_pack("{s:b}", "ok", 1);
	return 0;
}

int control_metrics(struct control *c, struct buf *ret)
{
	(void)c;
	return buf_puts(ret, "hearth_vms 0\n");
}

json_t *control_health(struct control *c)
{
	(void)c;
	return json_pack("{s:s}", "status", "ok");
}
