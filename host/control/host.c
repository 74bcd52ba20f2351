/*
 * What this host can do, measured once at start on a worker, so that neither start-up nor a request
 * waits for it: KVM's speed, the engines, nftables.  The rest of the report is read when asked.
 *
 * Trust: only the kernel's own files and programs of this host are read.
 */
#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/proc.h"
#include "control/control_internal.h"
#include "control/text.h"
#include "json/json.h"

/* 2026-01-01: older than this program, so the clock is wrong */
#define SANE_WALL_US 1767225600000000ull

struct host_job {
	struct job job;
	struct control *c;
	const struct engine_ops *const *engines;
	struct host_facts facts;
};

static void measure_nft(char ret[128])
{
	const char *const argv[] = {"nft", "--version", NULL};
	auto_buf out = {.max = 64u << 10};

	ret[0] = 0;
	if (proc_run(&(struct proc_run){.argv = argv, .out = &out, .timeout_ms = 2000}, NULL) == 0)
		text_cut(ret, 128, "%.*s", (int)strcspn(buf_text(&out), "\n"), buf_text(&out));
}

static void measure(struct job *j)
{
	struct host_job *h = container_of(j, struct host_job, job);
	struct host_facts *f = &h->facts;

	kvm_measure(&f->kvm);
	for (unsigned i = 0; h->engines[i] && f->engines_n < ENGINES_MAX; i++) {
		struct engine_fact *x = &f->engines[f->engines_n++];

		x->ops = h->engines[i];
		x->ok = x->ops->probe(&x->can, x->version, &x->fault) == 0;
	}
	measure_nft(f->nft);
}

static void measured(struct job *j)
{
	struct host_job *h = container_of(j, struct host_job, job);
	struct control *c = h->c;
	struct vm *next;

	c->host = h->facts;
	c->host.done = true;
	c->host_job = NULL;
	free(h);
	log_info("host.measured", LS("kvm", kvm_verdict_names[c->host.kvm.verdict]),
		 LS("text", c->host.kvm.text));
	for (struct vm *v = c->first; v; v = next) {
		next = v->next;
		if (v->rec.state == VM_STARTING)
			vm_next(v);
	}
}

int host_measure(struct control *c, struct err *e)
{
	struct host_job *h = mem_zalloc(sizeof(*h));
	int rc;

	if (!h)
		return err_nomem(e);
	h->c = c;
	h->engines = c->engines;
	h->job.run = measure;
	h->job.done = measured;
	rc = loop_work(c->loop, &h->job);
	if (rc < 0) {
		free(h);
		return err_set(e, rc, ERR_HOST, "host.worker", "no worker thread can be started");
	}
	c->host_job = h;
	return 0;
}

void host_done(struct control *c)
{
	free(c->host_job);
}

static bool fits(const struct control *c, const struct engine_fact *f, const struct vm_rec *r)
{
	unsigned transport = r->transport == VM_MMIO ? ENGINE_MMIO : ENGINE_PCI;
	bool runs = c->host.kvm.verdict == KVM_REAL ? f->can & (ENGINE_KVM | ENGINE_TCG)
						    : f->can & ENGINE_TCG;

	return f->ok && (f->can & transport) && runs;
}

const struct engine_fact *host_engine(struct control *c, const struct vm_rec *r, struct err *e)
{
	bool is_auto = str_eq(r->engine, "auto");
	const struct engine_fact *broken = NULL;

	for (unsigned i = 0; i < c->host.engines_n; i++) {
		const struct engine_fact *f = &c->host.engines[i];

		if (!is_auto && !str_eq(f->ops->name, r->engine))
			continue;
		if (fits(c, f, r))
			return f;
		broken = f;
	}
	if (broken && !broken->ok) {
		*e = broken->fault;
		(void)err_prefix(e, "engine %s", broken->ops->name);
	} else {
		(void)err_set(e, -ENOTSUP, ERR_HOST, "engine.none",
			      "no engine for this VM: engine %s, transport %s, KVM %s (%s)",
			      r->engine, vm_transport_name(r->transport),
			      kvm_verdict_names[c->host.kvm.verdict], c->host.kvm.text);
	}
	return NULL;
}

/* --- the report --- */

static int put_row(json_t *o, const char *key, bool ok, const char *text, const char *remedy,
		   json_t *more)
{
	json_t *row = more ? more : json_object();

	if (json_put(row, "ok", json_boolean(ok)) < 0 ||
	    json_put(row, "text", json_string(text)) < 0 ||
	    json_put(row, "remedy", !ok && remedy ? json_string(remedy) : json_null()) < 0) {
		json_decref(row);
		return -ENOMEM;
	}
	return json_put(o, key, row);
}

static int put_kvm(const struct control *c, json_t *o)
{
	const struct kvm_report *k = &c->host.kvm;

	return put_row(o, "kvm", k->verdict == KVM_REAL, k->text,
		       k->verdict == KVM_DENIED ? "give hearthd access to /dev/kvm (group kvm)"
						: "VMs run by emulation (TCG); for speed use a "
						  "host with hardware virtualisation",
		       json_pack("{s:s,s:f,s:f}", "verdict", kvm_verdict_names[k->verdict],
				 "guestMips", k->guest_mips, "hostMips", k->host_mips));
}

static json_t *engines_json(const struct control *c)
{
	static const struct {
		unsigned bit;
		const char *name;
	} bits[] = {{ENGINE_KVM, "kvm"},     {ENGINE_TCG, "tcg"},
		    {ENGINE_PCI, "pci"},     {ENGINE_MMIO, "mmio"},
		    {ENGINE_VSOCK, "vsock"}, {ENGINE_POWERDOWN, "powerdown"},
		    {ENGINE_PAUSE, "pause"}, {ENGINE_BZIMAGE, "bzimage"},
		    {ENGINE_ELF, "elf"}};
	json_t *all = json_array();

	for (unsigned i = 0; i < c->host.engines_n; i++) {
		const struct engine_fact *f = &c->host.engines[i];
		json_t *o = json_object(), *can = json_array();

		for (unsigned b = 0; b < ARRAY_LEN(bits); b++)
			if (f->can & bits[b].bit && json_push(can, json_string(bits[b].name)) < 0)
				break; /* json_put below sees an array that lacks a bit; harmless */
		if (json_put(o, "can", can) < 0 ||
		    json_put(o, "name", json_string(f->ops->name)) < 0 ||
		    json_put(o, "version", json_string(f->version)) < 0 ||
		    json_put(o, "ok", json_boolean(f->ok)) < 0 ||
		    json_put(o, "text", json_string(f->ok ? f->version : f->fault.text)) < 0 ||
		    json_put(o, "remedy",
			     f->ok || !f->fault.remedy[0] ? json_null()
							  : json_string(f->fault.remedy)) < 0 ||
		    json_push(all, o) < 0) {
			json_decref(all);
			return NULL;
		}
	}
	return all;
}

/* cgroups(7): version 2 is mounted as its own file system type; the hybrid layout has it in
 * unified/. */
static int put_cgroup(json_t *o)
{
	static const char *const roots[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
	char text[160];

	for (unsigned i = 0; i < ARRAY_LEN(roots); i++) {
		struct statfs fs;

		if (statfs(roots[i], &fs) < 0 || fs.f_type != CGROUP2_SUPER_MAGIC)
			continue;
		if (access(roots[i], W_OK) == 0) {
			text_cut(text, sizeof(text), "version 2 at %s%s", roots[i],
				 i ? " (hybrid)" : "");
			return put_row(o, "cgroup", true, text, NULL, NULL);
		}
		text_cut(text, sizeof(text), "version 2 at %s, not writable", roots[i]);
		return put_row(
			o, "cgroup", false, text,
			"run hearthd where it may write to the cgroup tree; VMs run without limits",
			NULL);
	}
	return put_row(o, "cgroup", false, "no cgroup version 2 mounted",
		       "mount -t cgroup2 none /sys/fs/cgroup; VMs run without limits", NULL);
}

static int put_memory(const struct control *c, json_t *o)
{
	uint64_t total = 0, available = 0;
	char text[160];

	(void)meminfo("MemTotal", &total); /* no /proc: zeros are shown */
	(void)meminfo("MemAvailable", &available);
	text_cut(text, sizeof(text), "%llu of %llu MiB available, %u MiB reserved for the host",
		 (unsigned long long)available / 1024, (unsigned long long)total / 1024,
		 c->conf->ram_reserve_mib);
	return put_row(o, "memory", available / 1024 > c->conf->ram_reserve_mib + 512ull, text,
		       "stop VMs or other programs: not even one small VM fits",
		       json_pack("{s:I,s:I}", "totalMib", (json_int_t)(total / 1024),
				 "availableMib", (json_int_t)(available / 1024)));
}

static int put_disk(const struct control *c, json_t *o)
{
	struct statvfs fs;
	uint64_t free_mib;
	char text[200];

	if (statvfs(c->vms_dir, &fs) < 0)
		return put_row(o, "disk", false, strerror(errno), "check the state directory",
			       NULL);
	free_mib = (uint64_t)fs.f_bavail * fs.f_frsize >> 20;
	text_cut(text, sizeof(text), "%llu MiB free under %.100s, %u MiB reserved",
		 (unsigned long long)free_mib, c->conf->state_dir, c->conf->disk_reserve_mib);
	return put_row(o, "disk", free_mib > c->conf->disk_reserve_mib + 1024ull, text,
		       "hearth image gc; remove VMs; shorten how long evidence is kept",
		       json_pack("{s:I}", "freeMib", (json_int_t)free_mib));
}

static int put_network(const struct control *c, json_t *o)
{
	const struct netw *down = NULL;
	char text[ERR_TEXT_MAX + 100];

	for (const struct netw *n = c->networks; n; n = n->next)
		if (!n->net)
			down = n;
	if (down)
		text_cut(text, sizeof(text), "network %s: %s", down->conf.name, down->fault.text);
	else
		text_cut(text, sizeof(text), "every network is up in a namespace of its own");
	return put_row(o, "namespaces", !down, text,
		       down && down->fault.remedy[0]
			       ? down->fault.remedy
			       : "hearthd needs CAP_SYS_ADMIN and CAP_NET_ADMIN",
		       NULL);
}

static int put_clock(json_t *o)
{
	static const char path[] =
		"/sys/devices/system/clocksource/clocksource0/current_clocksource";
	auto_buf b = {0};
	uint64_t now = clock_wall_us();
	char at[CLOCK_TEXT_LEN], text[160];

	clock_text(now, at);
	if (fd_read_file(path, 4096, &b, NULL) < 0)
		(void)buf_puts(&b, "unknown");
	text_cut(text, sizeof(text), "%s, clocksource %.*s", at, (int)strcspn(buf_text(&b), "\n"),
		 buf_text(&b));
	return put_row(o, "clock", now > SANE_WALL_US, text,
		       "set the clock: guests take their time from it", NULL);
}

static bool all_hold(json_t *o)
{
	static const char *const needed[] = {"memory", "disk", "nftables", "namespaces", "clock"};
	bool engine = false;
	size_t i;
	json_t *x;

	for (size_t k = 0; k < ARRAY_LEN(needed); k++)
		if (!json_is_true(json_object_get(json_object_get(o, needed[k]), "ok")))
			return false;
	json_array_foreach(json_object_get(o, "engines"), i, x) engine |=
		json_is_true(json_object_get(x, "ok"));
	return engine; /* KVM and cgroups make it better, but it works without */
}

int control_host_json(struct control *c, json_t **ret, struct err *e)
{
	auto_json json_t *o = json_object();

	if (!c->host.done) {
		(void)err_set(e, -EAGAIN, ERR_HOST, "host.measuring",
			      "the host is still being measured");
		return err_remedy(e, "ask again in a second");
	}
	if (put_kvm(c, o) < 0 || json_put(o, "engines", engines_json(c)) < 0 || put_cgroup(o) < 0 ||
	    put_memory(c, o) < 0 || put_disk(c, o) < 0 ||
	    put_row(o, "nftables", c->host.nft[0] != 0,
		    c->host.nft[0] ? c->host.nft : "the program nft is missing",
		    "apt-get install nftables", NULL) < 0 ||
	    put_network(c, o) < 0 || put_clock(o) < 0 ||
	    json_put(o, "ok", json_boolean(all_hold(o))) < 0)
		return err_nomem(e);
	*ret = json_incref(o);
	return 0;
}
