/*
 * The routes of VMs: JSON in, the controller's verbs, JSON out.
 * Called by request.c; loop's thread.  Trust: bodies and parameters were chosen by the client.
 */
#include <stdio.h>
#include <errno.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/str.h"
#include "json/json.h"
#include "rest/rest_internal.h"

#define VM_REQ struct vm_request

static const struct json_field create_fields[] = {
	JSON_STR(VM_REQ, user_id, "userId", 1, LIMIT_USER_LEN, JSON_REQUIRED),
	JSON_STR(VM_REQ, vm_type, "vmType", 1, LIMIT_NAME_LEN, 0),
	JSON_STR(VM_REQ, name, "name", 1, LIMIT_NAME_LEN, 0),
	JSON_STR(VM_REQ, image, "image", 1, HASH_TEXT_LEN - 1, 0),
	JSON_STR(VM_REQ, network, "network", 1, LIMIT_NAME_LEN, 0),
	JSON_STR(VM_REQ, engine, "engine", 1, 15, 0),
	JSON_ENUM(VM_REQ, transport, "transport", vm_transport_names, VM_TRANSPORT_N_, 0),
	JSON_ENUM(VM_REQ, root, "root", vm_root_names, VM_ROOT_N_, 0),
	JSON_INT(VM_REQ, vcpus, "vcpus", 1, LIMIT_VCPUS, 0),
	JSON_INT(VM_REQ, ram_mib, "ramMib", 1, LIMIT_RAM_MIB, 0),
	JSON_INT(VM_REQ, disk_mib, "diskMib", 1, LIMIT_DISK_MIB, 0),
	JSON_STR(VM_REQ, boot_args, "bootArgs", 0, LIMIT_BOOT_ARGS_LEN, 0),
	JSON_STR(VM_REQ, ip, "ip", 7, 15, 0),
	JSON_STR(VM_REQ, mac, "mac", 17, 17, 0),
	JSON_REF(VM_REQ, labels, "labels", JSON_T_OBJ, 0, 0),
	JSON_BOOL(VM_REQ, start, "start", 0),
	JSON_END,
};

static struct control *ctl(struct request *q)
{
	return q->rest->control;
}

/* The VM of the path; errors about it carry its id. */
static struct vm *find(struct request *q, struct err *e)
{
	struct vm *v = control_vm_find(ctl(q), &q->actor, q->arg, e);

	if (v)
		(void)snprintf(q->vm, sizeof(q->vm), "%s", vm_record(v)->id); /* same size */
	return v;
}

static int answer_vm(struct request *q, unsigned status, struct vm *v, struct err *e)
{
	size_t len;
	const char *text = vm_json(v, &len);

	/* Copied: the cached text goes with the VM's next change, which may come before the client
	 * reads. */
	if (!text || answer_copy(q, status, "application/json", text, len))
		return err_nomem(e);
	return 0;
}

/* Answer now, or when the wait holds. */
static int answer_or_wait(struct request *q, struct vm *v, enum wait_for what, struct err *e)
{
	if (what == WAIT_N_)
		return answer_vm(q, MHD_HTTP_ACCEPTED, v, e);
	return hold_wait(q, v, what, MHD_HTTP_OK, e);
}

/* --- create --- */

static int idempotency_key(struct request *q, const char **ret, struct err *e)
{
	const char *key = MHD_lookup_connection_value(q->conn, MHD_HEADER_KIND, "Idempotency-Key");
	size_t n = key ? strlen(key) : 0;

	*ret = key;
	if (!key || (n >= 1 && n <= LIMIT_IDEMPOTENCY_KEY_LEN && str_is_utf8(key, n)))
		return 0;
	return err_set(e, -EINVAL, ERR_CALLER, "http.idempotency-key",
		       "Idempotency-Key: %zu bytes, expected 1 to %d bytes of UTF-8", n,
		       LIMIT_IDEMPOTENCY_KEY_LEN);
}

/* Only an admin may make VMs of somebody else. */
static int check_user(const struct request *q, const struct vm_request *req, struct err *e)
{
	if (q->actor.role == ROLE_ADMIN || str_eq(req->user_id, q->actor.user_id))
		return 0;
	return err_set(e, -EPERM, ERR_DENIED, "vm.foreign-user",
		       "request.userId: \"%s\", this token may create VMs of \"%s\" only",
		       req->user_id, q->actor.user_id);
}

static int create(struct request *q, const struct vm_request *req, struct vm **ret,
		  bool *ret_repeated, struct err *e)
{
	char hash[HASH_TEXT_LEN];
	const char *key;
	int rc = idempotency_key(q, &key, e);

	if (rc)
		return rc;
	hash_bytes(q->body.data ? q->body.data : "", q->body.len, hash);
	rc = control_vm_create(ctl(q), &q->actor, req, key, hash, ret, ret_repeated, e);
	if (!rc)
		(void)snprintf(q->vm, sizeof(q->vm), "%s", vm_record(*ret)->id); /* same size */
	return rc;
}

int route_vm_create(struct request *q, struct err *e)
{
	struct vm_request req = {.transport = -1, .root = -1, .start = true};
	auto_json json_t *body = NULL, *labels = NULL;
	bool repeated = false;
	enum wait_for what;
	struct vm *v;
	int rc = hold_query(q, 1u << WAIT_NETWORK | 1u << WAIT_READY, &what, e);

	if (!rc)
		rc = body_json(q, &body, e);
	if (!rc)
		rc = json_bind(body, "request", create_fields, &req, e);
	labels = req.labels; /* ours to give back */
	if (!rc)
		rc = check_user(q, &req, e);
	if (!rc)
		rc = create(q, &req, &v, &repeated, e);
	if (!rc)
		rc = answer_or_wait(q, v, what, e);
	if (!rc && repeated && q->response && answer_header(q, "Idempotency-Replayed", "true"))
		rc = err_nomem(e);
	return rc;
}

/* --- list --- */

struct filter {
	const char *user, *type, *name; /* NULL: any */
	enum vm_state state;		/* VM_STATE_N_: any */
	const char *labels[8];		/* "key=value" */
	unsigned labels_n;
	uint32_t left; /* how many more to list */
	struct buf text;
};

static enum MHD_Result collect_label(void *cls, enum MHD_ValueKind kind, const char *name,
				     const char *value)
{
	struct filter *f = cls;

	(void)kind;
	if (str_eq(name, "label")) {
		if (f->labels_n == ARRAY_LEN(f->labels) || !strchr(value, '=')) {
			f->labels_n = UINT32_MAX; /* parse_filter says what is wrong */
			return MHD_NO;
		}
		f->labels[f->labels_n++] = value;
	}
	return MHD_YES;
}

static int unknown_state(const char *text, struct err *e)
{
	char list[128] = "";

	for (unsigned i = 0; i < VM_STATE_N_; i++)
		(void)snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%s",
			       i ? ", " : "", vm_state_names[i]); /* nine names fit */
	return err_set(e, -EINVAL, ERR_CALLER, "query.value",
		       "query parameter state: \"%.32s\", expected one of %s", text, list);
}

static int parse_filter(struct request *q, struct filter *f, struct err *e)
{
	const char *state = query_get(q, "state");

	f->user = query_get(q, "user");
	f->type = query_get(q, "type");
	f->name = query_get(q, "name");
	f->state = state ? vm_state_parse(state) : VM_STATE_N_;
	if (state && f->state == VM_STATE_N_)
		return unknown_state(state, e);
	(void)MHD_get_connection_values(q->conn, MHD_GET_ARGUMENT_KIND, collect_label, f);
	if (f->labels_n == UINT32_MAX)
		return err_set(e, -EINVAL, ERR_CALLER, "query.value",
			       "query parameter label: expected key=value, at most %zu times",
			       ARRAY_LEN(f->labels));
	return query_u32(q, "limit", LIMIT_VMS, &f->left, e);
}

static bool has_labels(const struct filter *f, const char *labels)
{
	auto_json json_t *obj = NULL;

	if (json_parse(labels, strlen(labels), &obj, NULL))
		return false;
	for (unsigned i = 0; i < f->labels_n; i++) {
		const char *eq = strchr(f->labels[i], '=');
		json_t *v = json_object_getn(obj, f->labels[i], (size_t)(eq - f->labels[i]));

		if (!json_is_string(v) || !str_eq(json_string_value(v), eq + 1))
			return false;
	}
	return true;
}

static bool passes(const struct filter *f, const struct vm_rec *rec)
{
	return (!f->user || str_eq(f->user, rec->user_id)) &&
	       (!f->type || str_eq(f->type, rec->type)) &&
	       (!f->name || str_eq(f->name, rec->name)) &&
	       (f->state == VM_STATE_N_ || f->state == rec->state) &&
	       (!f->labels_n || has_labels(f, rec->labels));
}

static int list_one(void *ctx, struct vm *v)
{
	struct filter *f = ctx;
	const char *text;
	size_t len;

	if (f->left == 0)
		return 1;
	if (!passes(f, vm_record(v)))
		return 0;
	text = vm_json(v, &len);
	if (!text || (f->text.data[f->text.len - 1] != '[' && buf_puts(&f->text, ",")) ||
	    buf_add(&f->text, text, len))
		return -ENOMEM;
	f->left--;
	return 0;
}

int route_vm_list(struct request *q, struct err *e)
{
	struct filter f = {.left = LIMIT_VMS};
	auto_buf text = {0};
	int rc = parse_filter(q, &f, e);

	if (rc)
		return rc;
	if (buf_puts(&f.text, "{\"vms\":["))
		return err_nomem(e);
	rc = control_vm_each(ctl(q), &q->actor, list_one, &f);
	text = f.text; /* given back with this scope */
	if (rc < 0 || buf_puts(&text, "]}") ||
	    answer_take(q, MHD_HTTP_OK, "application/json", &text))
		return err_nomem(e);
	return 0;
}

/* --- one VM --- */

int route_vm_show(struct request *q, struct err *e)
{
	struct vm *v = find(q, e);

	return v ? answer_vm(q, MHD_HTTP_OK, v, e) : -ENOENT;
}

int route_vm_patch(struct request *q, struct err *e)
{
	struct patch {
		json_t *labels;
	} patch = {0};
	static const struct json_field fields[] = {
		JSON_REF(struct patch, labels, "labels", JSON_T_OBJ, 0, JSON_REQUIRED),
		JSON_END,
	};
	auto_json json_t *body = NULL, *labels = NULL;
	struct vm *v = find(q, e);
	int rc = v ? body_json(q, &body, e) : -ENOENT;

	if (!rc)
		rc = json_bind(body, "request", fields, &patch, e);
	labels = patch.labels;
	if (!rc)
		rc = control_vm_labels(ctl(q), &q->actor, v, labels, e);
	return rc ? rc : answer_vm(q, MHD_HTTP_OK, v, e);
}

int route_vm_start(struct request *q, struct err *e)
{
	enum wait_for what;
	struct vm *v = find(q, e);
	int rc = v ? hold_query(q, 1u << WAIT_NETWORK | 1u << WAIT_READY, &what, e) : -ENOENT;

	if (!rc)
		rc = body_none(q, e);
	if (!rc)
		rc = control_vm_start(ctl(q), &q->actor, v, e);
	return rc ? rc : answer_or_wait(q, v, what, e);
}

int route_vm_stop(struct request *q, struct err *e)
{
	bool force = false;
	enum wait_for what;
	struct vm *v = find(q, e);
	int rc = v ? hold_query(q, 1u << WAIT_STOPPED, &what, e) : -ENOENT;

	if (!rc)
		rc = query_bool(q, "force", &force, e);
	if (!rc)
		rc = body_none(q, e);
	if (!rc)
		rc = control_vm_stop(ctl(q), &q->actor, v, force, e);
	return rc ? rc : answer_or_wait(q, v, what, e);
}

int route_vm_delete(struct request *q, struct err *e)
{
	enum wait_for what;
	struct vm *v = find(q, e);
	int rc = v ? hold_query(q, 1u << WAIT_GONE, &what, e) : -ENOENT;

	if (!rc)
		rc = body_none(q, e);
	if (!rc)
		rc = control_vm_delete(ctl(q), &q->actor, v, e);
	if (rc)
		return rc;
	/* A VM that held nothing may be gone already. */
	v = control_vm_find(ctl(q), &q->actor, q->vm, NULL);
	if (!v || what != WAIT_N_)
		return hold_wait(q, v, WAIT_GONE, MHD_HTTP_OK, e);
	return answer_vm(q, MHD_HTTP_ACCEPTED, v, e);
}

int route_vm_verify(struct request *q, struct err *e)
{
	struct vm *v = find(q, e);

	return v ? hold_verify(q, v, e) : -ENOENT;
}
