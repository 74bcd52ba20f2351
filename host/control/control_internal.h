#pragma once
/*
 * What the files of this folder share: the controller, a VM's runtime, and the calls between them.
 *
 * The rule that everything here follows: a VM's record changes only through vm_move (a row of the
 * life-cycle table) or vm_save, both of which commit to the store first and change memory after.
 * What has to be done next is never remembered as a continuation: vm_next looks at what the state
 * may hold and what is held, and starts the one job that is due.  A crash therefore resumes
 * by calling vm_next.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"
#include "console/console.h"
#include "control/cause.h"
#include "control/control.h"
#include "control/lifecycle.h"
#include "engine/engine.h"
#include "image/image.h"
#include "net/net.h"

#define VM_BUCKETS 4096u /* one VM a bucket at LIMIT_VMS */
/* events of one run that `vm show` times: about 25 in an ordinary boot */
#define VM_TRAIL_MAX	  64u
#define EVENT_QUEUE_MAX	  64u /* events waiting for the next transaction */
#define STORE_RETRY_NS	  NS_PER_S
#define PATH_CAP	  4096u
#define JOBS_KEPT	  64u	/* image builds remembered, running ones included */
#define EVIDENCE_DIRS_MAX 4096u /* VMs whose evidence is kept; the oldest go first */
#define CAUSE_COUNTERS	  32u	/* distinct cause codes in the metrics; the rest is "other" */

/* A network of the store together with what is brought up of it on this host. */
struct netw {
	struct network conf;
	/* owned; NULL while it could not be brought up: then fault says why */
	struct net *net;
	struct err fault;
	pthread_mutex_t lock; /* one call at a time per struct net: workers and loop */
	struct netw *next;
};

struct engine_fact { /* what probing an engine at start showed */
	const struct engine_ops *ops;
	bool ok;
	uint32_t can;
	char version[64];
	struct err fault;
};
#define ENGINES_MAX 8u

struct host_facts { /* measured on a worker at start */
	struct kvm_report kvm;
	struct engine_fact engines[ENGINES_MAX];
	unsigned engines_n;
	char nft[128]; /* "nftables v1.0.6 …"; "" if the program is missing */
	bool done;
};

struct trail { /* one observation of the present run, for "where the time went" */
	char name[28];
	char kind[8]; /* "state", "phase", "proof", "probe" */
	uint64_t mono_us, wall_us;
	int64_t ms; /* as the guest's init measured it; -1: until the next state */
	char *text; /* owned; NULL: none */
};

struct console_state { /* what of the console was read, and how */
	uint64_t offset;
	int file_wd, dir_wd;	/* inotify; -1: none */
	struct timer later;	/* a flood is read in portions */
	struct line_scan *scan; /* owned */
	char window[128];	/* the last bytes, in which probe texts are looked for */
	size_t window_n;
};

struct probe_state {
	bool holds;
	unsigned index;	    /* of the image's probe */
	struct watch watch; /* tcp: the connecting socket; fd < 0: none */
};

/* What exists only while an engine's process is wanted. */
struct run {
	struct vm *vm;
	struct image *image; /* owned */
	const struct engine_ops *ops;
	struct engine_vm *engine; /* NULL before launch and after the end */
	struct engine_watch watch;
	struct console_state con;
	struct line_watch lines;
	/* the guest said something decisive: the cause, at the end of this round */
	struct timer decided;
	struct proof *proof; /* NULL when not proving */
	struct proof_watch proof_watch;
	char proof_code[PROOF_STEP_N_][40]; /* what was last reported of each step */
	bool frames_seen;
	bool probes_begun;
	bool rechecking; /* adopted as ready, the fresh proof is under way */
	struct timer recheck;
	/* an adopted VM's console is read again: most of it is known */
	bool replaying;
	struct probe_state probes[LIMIT_PROBES];
	struct timer probe_again;
	uint64_t launched_ns;
};

enum vm_job { JOB_NONE, JOB_PREPARE, JOB_PORT_CLOSE, JOB_RELEASE };

/* One job of a VM on a worker: copies only, nothing that the loop's thread owns, but for the
 * network, which has a lock and outlives its VMs. */
struct vm_work {
	struct job job;
	struct vm *vm; /* for done; not touched by run */
	enum vm_job what;
	struct netw *netw; /* NULL: none */
	struct net_port port;
	char vm_dir[PATH_CAP], run_dir[PATH_CAP], images_dir[PATH_CAP], evidence_dir[PATH_CAP];
	char digest[HASH_TEXT_LEN];
	bool direct;
	uint64_t disk_mib;
	char *record; /* owned: the VM's last words, for the evidence */
	/* results */
	int rc;
	int tap_fd;	     /* owned until taken; -1 */
	struct image *image; /* owned until taken */
	uint64_t disk_us, port_us;
	struct err err;
};

struct vm {
	struct control *c;
	struct vm_rec rec;
	struct vm *hash_next, *next, *prev;

	struct netw *netw;    /* borrowed; NULL if its network is gone */
	struct run *run;      /* owned; NULL: nothing runs */
	bool port_open;	      /* pins were set in the namespace (or may have been) */
	struct image *image;  /* owned; prepared for the next launch */
	bool prepared;	      /* disk and port of this run are there */
	int tap_fd;	      /* owned; between prepare and launch */
	struct vm_work *work; /* owned; non-NULL while a worker is busy for this VM */
	struct timer limit;   /* of the state */
	struct timer again;   /* store or release failed: try again */
	int pending_ev;	      /* an event that could not be committed; -1: none */
	struct cause pending_cause;
	char pending_actor[LIMIT_USER_LEN + 8];

	bool proven; /* the network of this run */
	struct proof_result proof[PROOF_STEP_N_];
	char *cmdline;	       /* owned; of the last launch; NULL: none yet */
	json_t *evidence;      /* owned array: of the last failure */
	struct engine_end end; /* of the last run, if ended */
	struct trail *trail;   /* owned, trail_n */
	unsigned trail_n;
	bool trail_loaded;

	char *json; /* owned; NULL: to be made */
	size_t json_len;
	struct waiter *waiters;
	struct verify_run *verifies;
};

struct grave { /* a deleted VM whose evidence is kept */
	char id[ID_LEN];
	char user_id[LIMIT_USER_LEN + 1];
	uint64_t ended_us;
	struct grave *next;
};

struct control {
	struct loop *loop;
	const struct control_conf *conf;
	struct store *store;
	const struct engine_ops *const *engines;
	char vms_dir[PATH_CAP], images_dir[PATH_CAP], evidence_dir[PATH_CAP], lost_dir[PATH_CAP],
		run_vms_dir[PATH_CAP];

	struct vm *buckets[VM_BUCKETS];
	struct vm *first, *last; /* by creation */
	unsigned vms_n;
	struct netw *networks;
	struct host_facts host;
	struct host_job *host_job; /* owned; NULL once measured */

	int inotify_fd;
	struct watch inotify;

	struct vm_event queue[EVENT_QUEUE_MAX];
	unsigned queue_n;
	uint64_t events_dropped;
	/* the queue, at the end of the round or when the store may take it again */
	struct timer flush;
	bool store_failing; /* the last transaction did not succeed */
	struct event_sub *subs, *sub_next;

	struct grave *graves;
	unsigned graves_n;
	struct timer prune;
	unsigned lost_n; /* directories without a record, moved to lost/ */

	struct image_job *jobs;
	unsigned jobs_n;

	struct { /* since start */
		uint64_t created, deleted, failed, refused, store_faults, adopted;
		uint64_t moves[VM_STATE_N_ + 1];
		struct {
			char code[64];
			uint64_t n;
		} causes[CAUSE_COUNTERS];
		uint64_t proven_n, proven_us_sum;
	} count;
	uint64_t started_ns;
	bool closing; /* control_free: nothing new is started */
};

/* --- events.c: queued, written with the next transaction, at the latest at the end of this round
 * --- */
void event_add(struct control *c, const struct vm *v, const char *kind, const char *actor,
	       const char *fmt, ...) __attribute__((format(printf, 5, 6)));
void event_add_state(struct control *c, const struct vm *v, enum vm_state from, enum vm_state to,
		     const char *actor, const char *text);
/* Write what is queued into the open transaction / tell subscribers after its commit. */
int events_write(struct control *c, struct err *e);
void events_publish(struct control *c);
void events_flush(struct control *c); /* in a transaction of their own */
void events_done(struct control *c);
/* Drop the newest n queued events: their operation was refused. */
void events_unqueue(struct control *c, unsigned keep_n);

/* --- index.c: VMs by id, by order of creation --- */
struct vm *vm_new(struct control *c); /* not indexed; NULL: no memory */
void vm_index(struct vm *v);
void vm_forget(struct vm *v); /* un-index, free */
struct vm *vm_by_id(struct control *c, const char *id);

/* --- vm.c: moves --- */
/* Commit the move (with the queued events), then do what the new state demands. cause: recorded in
 * the record when given.  ERR_STATE "vm.wrong-state" names what is possible. */
int vm_move(struct vm *v, enum vm_ev ev, const char *actor, const struct cause *cause,
	    const char *why, struct err *e);
/* As vm_move for what must not be lost: committed now, or again until it can be. */
void vm_feed(struct vm *v, enum vm_ev ev, const char *actor, const struct cause *cause);
/* Commit a changed copy of the record with the queued events. */
int vm_save(struct vm *v, const struct vm_rec *next, struct err *e);
void vm_next(struct vm *v);		  /* do what is due: jobs, launch, kill */
void vm_changed(struct vm *v);		  /* cached text is stale */
uint64_t vm_limit_ms(const struct vm *v); /* of its state; 0: none */
void vm_limit_arm(struct vm *v);
void cause_counted(struct control *c, const char *code);

/* --- paths.c --- */
bool vm_path(const struct vm *v, const char *file, char ret[PATH_CAP]); /* <vms>/<id>[/file] */
bool vm_run_path(const struct vm *v, char ret[PATH_CAP]);
int paths_init(struct control *c, struct err *e);

/* --- work.c: what blocks, on workers --- */
int work_start(struct vm *v, enum vm_job what);
void work_free(struct vm_work *w);

/* --- launch.c, ended.c --- */
void run_launch(struct vm *v);
struct run *run_new(struct vm *v);
void run_free(struct run *r);
void run_stop(struct vm *v, uint64_t grace_ms);
void run_ended(struct vm *v, const struct engine_end *end);
void engine_watch_init(struct run *r);
void vm_fail(struct vm *v, const struct cause *why, const char *actor); /* feeds FAILED once */
int launch_cmdline(const struct vm *v, const struct image *i, bool tcg,
		   char ret[LIMIT_CMDLINE_LEN + 1], struct err *e);
int launch_write_cmdline(struct vm *v, const char *cmdline, struct err *e);
int launch_write_config(const struct vm *v, const struct vm_spec *s, const struct engine_fact *f,
			bool kvm, struct err *e);

/* --- proving.c --- */
int proving_start(struct vm *v, struct err *e);
void proving_stop(struct run *r);
void proving_probe_text(struct vm *v, const char *data, size_t len);
void proving_check_ready(struct vm *v);
json_t *proof_json(const struct proof_result res[PROOF_STEP_N_]);
extern const char *const proof_verdict_names[3];

/* --- console_watch.c --- */
int console_watch_init(struct control *c, struct err *e);
void console_watch_done(struct control *c);
int console_watch_start(struct vm *v); /* before the launch */
void console_watch_file(struct vm *v); /* once the console's file is this run's */
void console_watch_stop(struct run *r);
void console_drain(struct vm *v); /* read all there is, now */

/* --- decide.c: the cause of a failure from everything that is known --- */
void decide_cause(struct vm *v, const struct engine_end *end /* NULL: time-out */,
		  struct cause *ret);

/* --- admission.c --- */
int admit(struct control *c, const struct vm_rec *r, bool is_new, const struct image *image,
	  struct err *e);
bool meminfo(const char *key, uint64_t *ret_kib);

/* --- networks.c --- */
int networks_open(struct control *c, struct err *e);
void networks_close(struct control *c);
struct netw *netw_find(struct control *c, const char *name);
int netw_ready(struct netw *n, const struct control *c, struct err *e); /* bring up if it is not */

/* --- adopt.c --- */
int adopt_all(struct control *c, struct err *e);

/* --- evidence.c --- */
int evidence_load(struct control *c, struct err *e);
int evidence_keep(const struct vm_work *w, struct err *e); /* on a worker */
void evidence_add(struct control *c, const struct vm *v);
void evidence_prune(struct control *c);
void evidence_done(struct control *c);
const struct grave *grave_find(struct control *c, const char *id);

/* --- host.c --- */
int host_measure(struct control *c, struct err *e);
void host_done(struct control *c);
const struct engine_fact *host_engine(struct control *c, const struct vm_rec *r, struct err *e);

/* --- trail.c --- */
void trail_add(struct vm *v, const struct vm_event *ev);
void trail_reset(struct vm *v);
void trail_load(struct vm *v);
json_t *trail_json(struct vm *v);
/* this run's, by the first word */
bool trail_has(struct vm *v, const char *kind, const char *text);

/* --- wait.c, verify.c --- */
void waiters_check(struct vm *v);
void waiters_gone(struct vm *v);
void verify_gone(struct vm *v);

/* --- image_jobs.c --- */
void image_jobs_done(struct control *c);
