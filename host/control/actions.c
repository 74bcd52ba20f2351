/*
 * What people ask of a VM that exists: start, stop, delete, labels, its console's file.
 *
 * Loop's thread, from the API.  Each returns when the request is durable; the work goes on.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "control/control_internal.h"
#include "control/text.h"
#include "json/json.h"

static int may_change(const struct actor *a, const struct vm *v, struct err *e)
{
	if (a->role == ROLE_VIEWER)
		return err_set(e, -EPERM, ERR_DENIED, "role.read-only",
			       "a viewer can't change VMs");
	if (a->role != ROLE_ADMIN && !str_eq(a->user_id, v->rec.user_id))
		return err_set(e, -ENOENT, ERR_ABSENT, "vm.absent", "no VM %s", v->rec.id);
	return 0;
}

static void actor_text(const struct actor *a, char ret[LIMIT_USER_LEN + 8])
{
	text_cut(ret, LIMIT_USER_LEN + 8, "user:%s", a->user_id);
}

int control_vm_start(struct control *c, const struct actor *a, struct vm *v, struct err *e)
{
	char actor[LIMIT_USER_LEN + 8];
	int rc = may_change(a, v, e);

	if (rc < 0)
		return rc;
	if (!lifecycle_move(v->rec.state, EV_START))
		return vm_move(v, EV_START, "", NULL, NULL, e); /* says what is possible */
	if (!v->netw)
		return err_set(e, -ENOENT, ERR_STATE, "network.absent",
			       "vm %s: its network %s is gone", v->rec.id, v->rec.network);
	if ((rc = netw_ready(v->netw, c, e)) < 0 || (rc = admit(c, &v->rec, false, NULL, e)) < 0)
		return rc;
	actor_text(a, actor);
	return vm_move(v, EV_START, actor, NULL, NULL, e);
}

int control_vm_stop(struct control *c, const struct actor *a, struct vm *v, bool force,
		    struct err *e)
{
	char actor[LIMIT_USER_LEN + 8];
	int rc = may_change(a, v, e);

	(void)c;
	if (rc < 0)
		return rc;
	actor_text(a, actor);
	if (v->rec.state != VM_STOPPING)
		rc = vm_move(v, EV_STOP, actor, NULL, force ? "killed, as asked" : NULL, e);
	if (rc == 0 && force)
		run_stop(v, 0); /* ended meanwhile: nothing to do */
	return rc;		/* already being stopped: the grace time is as it was */
}

int control_vm_delete(struct control *c, const struct actor *a, struct vm *v, struct err *e)
{
	char actor[LIMIT_USER_LEN + 8], why[160];
	int rc = may_change(a, v, e);

	if (rc < 0)
		return rc;
	actor_text(a, actor);
	text_cut(why, sizeof(why), "deleted by %s while %s", actor,
		 lifecycle_state_name(v->rec.state));
	(void)c;
	return vm_move(v, EV_DELETE, actor, NULL, why, e);
}

/* RFC 7396 for one level: null takes a label away. */
static int merge(json_t *labels, const json_t *patch, struct err *e)
{
	const char *key;
	json_t *val;

	json_object_foreach((json_t *)patch, key, val)
	{
		if (json_is_null(val)) {
			(void)json_object_del(labels, key); /* was not there: fine */
			continue;
		}
		if (!json_is_string(val) || !key[0] || strlen(key) > LIMIT_LABEL_LEN ||
		    json_string_length(val) > LIMIT_LABEL_LEN)
			return err_set(e, -EINVAL, ERR_CALLER, "vm.labels",
				       "label \"%.64s\": key and value must be texts of at most %d "
				       "bytes, or null "
				       "to take it away",
				       key, LIMIT_LABEL_LEN);
		if (json_object_set(labels, key, val) < 0)
			return err_nomem(e);
	}
	if (json_object_size(labels) > LIMIT_LABELS)
		return err_set(e, -E2BIG, ERR_CALLER, "vm.labels",
			       "%zu labels; at most %d are possible", json_object_size(labels),
			       LIMIT_LABELS);
	return 0;
}

int control_vm_labels(struct control *c, const struct actor *a, struct vm *v, const json_t *patch,
		      struct err *e)
{
	struct vm_rec next = v->rec;
	auto_json json_t *labels = NULL;
	char actor[LIMIT_USER_LEN + 8];
	char *old = v->rec.labels;
	int rc = may_change(a, v, e);

	if (rc == 0 && !json_is_object(patch))
		rc = err_set(e, -EINVAL, ERR_CALLER, "vm.labels", "labels: must be an object");
	if (rc == 0)
		rc = json_parse(v->rec.labels, strlen(v->rec.labels), &labels, e);
	if (rc == 0)
		rc = merge(labels, patch, e);
	if (rc < 0)
		return rc;
	next.labels = json_text(labels);
	if (!next.labels)
		return err_nomem(e);
	actor_text(a, actor);
	events_flush(c);
	event_add(c, v, "labels", actor, "labels changed");
	rc = vm_save(v, &next, e);
	if (rc < 0) {
		events_unqueue(c, c->queue_n - 1);
		free(next.labels);
		return rc;
	}
	free(old);
	return 0;
}

int control_console_path(struct control *c, const struct actor *a, const char *id, char *ret,
			 size_t cap, struct err *e)
{
	const struct vm *v = control_vm_find(c, a, id, NULL);
	const struct grave *g = v ? NULL : grave_find(c, id);

	if (g && a->role != ROLE_ADMIN && !str_eq(g->user_id, a->user_id))
		g = NULL;
	if (!v && !g)
		return err_set(e, -ENOENT, ERR_ABSENT, "vm.absent",
			       "no VM %.64s, and no evidence of one", id);
	if (!str_fmt(ret, cap, "%s/%s/console.log", v ? c->vms_dir : c->evidence_dir,
		     v ? v->rec.id : g->id))
		return err_set(e, -ENAMETOOLONG, ERR_BUG, "path.too-long", "console path of %.64s",
			       id);
	return 0;
}
