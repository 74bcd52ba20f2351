#pragma once
/*
 * The controller: the only one that changes VMs.  It keeps every VM's record in memory (written
 * through to the store), moves it along the life-cycle table, proves, explains, adopts after a
 * crash.
 *
 * All calls on the loop's thread.  Nothing here knows HTTP.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/err.h"
#include "loop/loop.h"
#include "model/network.h"
#include "model/vm.h"
#include "store/store.h"

struct buf;
struct control;
struct engine_ops;

/* The part of the configuration file that the controller needs; strings borrowed for its life. */
struct control_conf {
	const char *state_dir, *run_dir; /* /var/lib/hearth, /run/hearth */
	const char *libexec_dir;	 /* hearth-shim, hearth-init */
	const char *recipes_dir;
	const char *hearthd_path;	/* /proc/self/exe: re-executed for image builds */
	const char *instance;		/* namespace prefix, "hearth" */
	const char *engine;		/* "auto" or a name */
	bool uplink;			/* false: --no-uplink */
	uint32_t uid_base;		/* engine of lease n runs as uid_base + n */
	uint64_t evidence_ms;		/* how long evidence is kept */
	uint64_t limit_ms[VM_STATE_N_]; /* time limit per state; 0: the table's default */
	uint64_t grace_ms;		/* between asking the guest to power off and killing it */
	struct vm_class classes[16];
	unsigned classes_n;
	struct { /* admission; 0: unlimited (host) or the host's own measure */
		uint32_t vms, vcpus, ram_mib;
		uint64_t disk_mib;
	} per_host, per_user;
	uint32_t ram_reserve_mib; /* left to the host */
	uint32_t disk_reserve_mib;
	/* Engines to choose from, NULL-terminated; NULL: all of engine/engine.h.  Tests put a
	 * scripted one here. */
	const struct engine_ops *const *engines;
};

struct actor { /* who asks; written into events */
	char user_id[LIMIT_USER_LEN + 1];
	enum token_role role;
};

/* Opens the store, networks and images, adopts or rolls back what an earlier hearthd left.  Blocks
 * for as long as that takes; then the loop may run. */
int control_new(struct loop *l, const struct control_conf *conf, struct control **ret,
		struct err *e);
/* Stops watching; VMs go on running. */
void control_free(struct control *c);
struct store *control_store(struct control *c);

/* --- VMs --- */
struct vm; /* record + runtime; owned by the controller, valid until its GONE callback */
const struct vm_rec *vm_record(const struct vm *v);
/* The VM as JSON text (cached, borrowed until the next change; NULL when memory is exhausted):
 * {"id","userId","name","vmType","state","since","created","wantDelete":bool,
 *  "image":{"name","digest"},"network":{"name","gateway","prefix"},"ip","mac","tap","lease",
 *  "engine":{"asked","used"},"transport","root","vcpus","ramMib","diskMib","bootArgs",
 *  "cmdline"|null,
 *  "labels":{},"starts",
 *  "pids":{"shim","engine"}|null,"cause":null|{"code","cause","evidence":[…],"remedy"},
 *  "networkProven":bool,
 *  "phases":[{"name","kind":"state"|"phase"|"proof"|"probe","at","offsetMs","ms"|null,"text"}],
 *  "proof":[{"step","verdict":"holds"|"fails"|"unknown","at"|null,"code"|null,"evidence"}]} */
const char *vm_json(struct vm *v, size_t *ret_len);

struct vm_request { /* a create request after JSON binding; unset numbers are 0, strings "" */
	char user_id[LIMIT_USER_LEN + 1], vm_type[LIMIT_NAME_LEN + 1], name[LIMIT_NAME_LEN + 1];
	char image[HASH_TEXT_LEN], network[LIMIT_NAME_LEN + 1], engine[16];
	int transport, root; /* -1: default */
	int64_t vcpus, ram_mib, disk_mib;
	char boot_args[LIMIT_BOOT_ARGS_LEN + 1];
	char ip[16], mac[18];
	json_t *labels; /* borrowed, NULL: none */
	bool start;	/* default true */
};
/* Checked, admitted and committed when it returns 0; the work goes on.  idem_key NULL: none; a
 * repeated key with the same request gives the first VM with *ret_repeated. request_hash: SHA-256
 * hex of the body. */
int control_vm_create(struct control *c, const struct actor *a, const struct vm_request *r,
		      const char *idem_key, const char *request_hash, struct vm **ret,
		      bool *ret_repeated, struct err *e);
/* By id, or by name of the actor's own; an actor that is no admin does not see other users' VMs:
 * NULL and ERR_ABSENT "vm.absent". */
struct vm *control_vm_find(struct control *c, const struct actor *a, const char *id, struct err *e);
int control_vm_start(struct control *c, const struct actor *a, struct vm *v, struct err *e);
int control_vm_stop(struct control *c, const struct actor *a, struct vm *v, bool force,
		    struct err *e);
int control_vm_delete(struct control *c, const struct actor *a, struct vm *v, struct err *e);
int control_vm_labels(struct control *c, const struct actor *a, struct vm *v, const json_t *patch,
		      struct err *e);
typedef int control_vm_fn(void *ctx, struct vm *v); /* nonzero ends the walk and is returned */
/* by creation */
int control_vm_each(struct control *c, const struct actor *a, control_vm_fn *fn, void *ctx);

/* The ten rows of the acceptance table, observed now: the network is proven afresh, which takes
 * milliseconds when it works and at most VERIFY_MS when it does not.  fn is called exactly once, on
 * the loop, unless cancelled; rows (borrowed, array of
 * {"row","title","verdict":"holds|fails|unknown|not-built-yet", "evidence","at"|null,"ms"|null}) is
 * NULL when err says why not. */
#define VERIFY_MS 2000u
struct verify {
	void (*fn)(struct verify *w, json_t *rows, const struct err *e);
	void *own; /* controller's own */
};
int control_vm_verify(struct control *c, struct vm *v, struct verify *w, struct err *e);
void control_verify_cancel(struct control *c, struct verify *w); /* not running: fine */
/* Path of the console file of a VM that exists or whose evidence is kept; -ENOENT otherwise. */
int control_console_path(struct control *c, const struct actor *a, const char *id, char *ret,
			 size_t cap, struct err *e);

/* Wait until a VM is proven / ready / settled, or has failed, or is gone.  fn is called exactly
 * once, unless cancelled: err NULL: it holds.  On time-out ERR_TIMEOUT "vm.wait-timeout" naming
 * state and what misses. */
enum wait_for { WAIT_NETWORK, WAIT_READY, WAIT_STOPPED, WAIT_GONE, WAIT_N_ };
struct waiter {
	void (*fn)(struct waiter *w, struct vm *v /* NULL if gone */, const struct err *e);
	/* The rest is the controller's own. */
	struct timer timer;
	struct vm *vm;
	struct waiter *next, **prevp;
	uint64_t due_ns;
	enum wait_for what;
};
int control_vm_wait(struct control *c, struct vm *v, enum wait_for what, uint64_t timeout_ms,
		    struct waiter *w, struct err *e);
void control_wait_cancel(struct control *c, struct waiter *w);

/* --- events --- */
struct event_sub { /* called for every event as it is committed */
	void (*fn)(struct event_sub *s, const struct vm_event *ev);
	struct event_sub *next, **prevp; /* controller's own */
};
void control_subscribe(struct control *c, struct event_sub *s);
void control_unsubscribe(struct control *c, struct event_sub *s);
/* {"seq","vm"?,"at","monoUs","kind","from"?,"to"?,"actor","text"}; NULL when memory is
 * exhausted. */
json_t *event_json(const struct vm_event *ev);
/* Whether the actor may see an event (its VM is theirs; evidence of deleted VMs: theirs or
 * admin). */
bool control_event_visible(struct control *c, const struct actor *a, const struct vm_event *ev);

/* --- networks, images, host --- */
int control_network_create(struct control *c, const struct actor *a, struct network *n,
			   struct err *e);
int control_network_remove(struct control *c, const struct actor *a, const char *name,
			   struct err *e);
/* {"name","cidr","gateway","dns","mtu","nat","isolated","created","used","capacity","up",
 *  "fault"|null,"host": what net_describe says, or null} */
int control_network_json(struct control *c, const char *name /* NULL: all, as array */,
			 json_t **ret, struct err *e);
int control_image_json(struct control *c, const char *ref /* NULL: all, as array */, json_t **ret,
		       struct err *e);
int control_image_remove(struct control *c, const struct actor *a, const char *ref, struct err *e);
int control_image_gc(struct control *c, const struct actor *a, json_t **ret, struct err *e);
/* Start building or importing; progress arrives as events of kind "image".  ret: {"id":"job-…",…}.
 * Runs `<hearthd_path> image-build --images DIR --recipes DIR --init FILE --shim FILE --name NAME
 * (--recipe NAME | --kernel FILE --rootfs FILE [--initrd FILE] [--modules DIR] [--min-ram-mib N])`,
 * which is recipe_run with its progress on standard output.  Job:
 * {"id","kind":"image","name","state":"running|ok|failed","started","ended"|null,
 * "digest"|null,"error"|null,"phases":[{"phase","state","ms"|null,"text"}]}. */
struct image_request {
	char name[LIMIT_NAME_LEN + 1], recipe[LIMIT_NAME_LEN + 1];
	char kernel[4096], rootfs[4096], initrd[4096], modules[4096];
	int64_t min_ram_mib;
};
int control_image_build(struct control *c, const struct actor *a, const struct image_request *r,
			json_t **ret, struct err *e);
int control_job_json(struct control *c, const char *id, json_t **ret, struct err *e);
/* {"kvm":{…},"engines":[…],"cgroup":{…},"memory":{…},"disk":{…},"nftables":{…},
 *  "namespaces":{…},"clock":{…},"ok":bool} each with "ok", "text", "remedy".  From the measurement
 * made at start. */
int control_host_json(struct control *c, json_t **ret, struct err *e);
/* Prometheus text format 0.0.4. */
int control_metrics(struct control *c, struct buf *ret);
json_t *control_health(struct control *c);
