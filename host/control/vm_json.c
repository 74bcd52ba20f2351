/*
 * A VM as JSON text, made once per change and kept, so that GET costs a copy.
 * Loop's thread.  The shape is stated in control.h and in api/openapi.yaml.
 */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/parse.h"
#include "control/control_internal.h"
#include "json/json.h"

static json_t *text_or_null(const char *s)
{
	return s && s[0] ? json_string(s) : json_null();
}

static json_t *time_json(uint64_t wall_us)
{
	char at[CLOCK_TEXT_LEN];

	clock_text(wall_us, at);
	return json_string(at);
}

static int put_identity(json_t *o, const struct vm_rec *r)
{
	json_t *labels = json_loads(r->labels ? r->labels : "{}", 0, NULL);

	return json_put(o, "id", json_string(r->id)) < 0 ||
			       json_put(o, "userId", json_string(r->user_id)) < 0 ||
			       json_put(o, "name", json_string(r->name)) < 0 ||
			       json_put(o, "vmType", json_string(r->type)) < 0 ||
			       json_put(o, "state", json_string(vm_state_name(r->state))) < 0 ||
			       json_put(o, "since", time_json(r->changed_us)) < 0 ||
			       json_put(o, "created", time_json(r->created_us)) < 0 ||
			       json_put(o, "wantDelete", json_boolean(r->want_delete)) < 0 ||
			       json_put(o, "labels", labels ? labels : json_object()) < 0
		       ? -1
		       : 0;
}

static json_t *pair(const char *k1, json_t *v1, const char *k2, json_t *v2)
{
	json_t *o = json_object();
	int rc = json_put(o, k1, v1); /* both references are taken in any case */

	if (json_put(o, k2, v2) < 0 || rc < 0) {
		json_decref(o);
		return NULL;
	}
	return o;
}

static int put_network(json_t *o, const struct vm *v)
{
	const struct vm_lease *l = &v->rec.lease;
	char ip[IPV4_TEXT_LEN], mac[MAC_TEXT_LEN], gateway[IPV4_TEXT_LEN] = "";
	json_t *n;

	format_ipv4(l->ip, ip);
	format_mac(l->mac, mac);
	if (v->netw)
		format_ipv4(v->netw->conf.gateway, gateway);
	n = pair("name", json_string(v->rec.network), "gateway", json_string(gateway));
	if (json_put(n, "prefix", v->netw ? json_integer(v->netw->conf.prefix) : json_null()) < 0) {
		json_decref(n);
		return -1;
	}
	return json_put(o, "network", n) < 0 || json_put(o, "ip", json_string(ip)) < 0 ||
			       json_put(o, "mac", json_string(mac)) < 0 ||
			       json_put(o, "tap", json_sprintf("hv%u", l->number)) < 0 ||
			       json_put(o, "lease", json_integer(l->number)) < 0
		       ? -1
		       : 0;
}

static int put_machine(json_t *o, struct vm *v)
{
	const struct vm_rec *r = &v->rec;
	json_t *pids = r->proc.engine_pid ? pair("shim", json_integer(r->proc.shim_pid), "engine",
						 json_integer(r->proc.engine_pid))
					  : json_null();

	return json_put(o, "image",
			pair("name", json_string(r->image), "digest", json_string(r->digest))) <
				       0 ||
			       json_put(o, "engine",
					pair("asked", json_string(r->engine), "used",
					     json_string(r->engine_used))) < 0 ||
			       json_put(o, "transport",
					json_string(vm_transport_name(r->transport))) < 0 ||
			       json_put(o, "root", json_string(vm_root_name(r->root))) < 0 ||
			       json_put(o, "vcpus", json_integer(r->vcpus)) < 0 ||
			       json_put(o, "ramMib", json_integer(r->ram_mib)) < 0 ||
			       json_put(o, "diskMib", json_integer(r->disk_mib)) < 0 ||
			       json_put(o, "bootArgs", json_string(r->boot_args)) < 0 ||
			       json_put(o, "cmdline", text_or_null(v->cmdline)) < 0 ||
			       json_put(o, "starts", json_integer(r->starts)) < 0 ||
			       json_put(o, "pids", pids) < 0
		       ? -1
		       : 0;
}

static json_t *cause_json(const struct vm *v)
{
	const struct vm_rec *r = &v->rec;
	json_t *o;
	int rc;

	if (!r->cause[0])
		return json_null();
	o = pair("code", json_string(r->cause), "cause", json_string(r->cause_text));
	rc = json_put(o, "evidence", json_incref(v->evidence));
	if (json_put(o, "remedy", json_string(r->remedy)) < 0 || rc < 0) {
		json_decref(o);
		return NULL;
	}
	return o;
}

static void load_cmdline(struct vm *v)
{
	char path[PATH_CAP];
	auto_buf b = {0};

	if (v->cmdline || !v->rec.starts || !vm_path(v, "cmdline", path))
		return;
	if (fd_read_file(path, LIMIT_CMDLINE_LEN, &b, NULL) == 0)
		v->cmdline = mem_strdup(buf_text(&b)); /* no memory: null is shown */
}

const char *vm_json(struct vm *v, size_t *ret_len)
{
	auto_json json_t *o = NULL;
	json_t *phases;

	if (v->json) {
		*ret_len = v->json_len;
		return v->json;
	}
	load_cmdline(v);
	phases = trail_json(v); /* also brings back the evidence of the last failure */
	o = json_object();
	if (json_put(o, "phases", phases) < 0 || put_identity(o, &v->rec) < 0 ||
	    put_network(o, v) < 0 || put_machine(o, v) < 0 ||
	    json_put(o, "cause", cause_json(v)) < 0 ||
	    json_put(o, "networkProven", json_boolean(v->proven)) < 0 ||
	    json_put(o, "proof", proof_json(v->proof)) < 0)
		return NULL;
	v->json = json_text(o);
	if (!v->json)
		return NULL;
	*ret_len = v->json_len = strlen(v->json);
	return v->json;
}
