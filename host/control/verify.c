/*
 * The acceptance table of the platform for one VM: ten rows, each with a verdict and what was
 * observed.
 *
 * Loop's thread.  Rows 1 to 5 come from the console's lines, row 5 and 6 from a proof of the
 * network that is made now; rows 7 to 10 belong to parts that are not built yet and say so.  No row
 * states an expectation.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/parse.h"
#include "control/control_internal.h"
#include "control/text.h"
#include "json/json.h"

#define SCAN_MAX (2u << 20) /* head and tail of a console are 1 MiB together */

struct row {
	const char *verdict;
	char evidence[600];
	uint64_t wall_us; /* of the observation; 0: unknown */
	double ms;	  /* since the run began, or that the observation took; < 0: unknown */
};

struct verify_run {
	struct vm *vm;
	struct verify *owner;
	struct proof *proof; /* NULL: not running */
	struct proof_watch watch;
	struct proof_result results[PROOF_STEP_N_];
	bool ran;
	struct timer over;
	uint64_t began_ns;
	struct verify_run *next;
};

static const char holds[] = "holds", fails[] = "fails", unknown[] = "unknown";

static void say(struct row *r, const char *verdict, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static void say(struct row *r, const char *verdict, const char *fmt, ...)
{
	va_list ap;

	r->verdict = verdict;
	va_start(ap, fmt);
	text_vcut(r->evidence, sizeof(r->evidence), fmt, ap);
	va_end(ap);
}

static void say_note(struct row *r, const char *verdict, const struct line_note *n)
{
	say(r, verdict, "console.log:%llu: %s", (unsigned long long)n->number, n->text);
}

/* When the phase was told, and how long after the run's beginning. */
static void stamp(struct row *r, struct vm *v, const char *phase)
{
	trail_load(v);
	for (unsigned i = 0; i < v->trail_n; i++)
		if (str_eq(v->trail[i].kind, "phase") && str_eq(v->trail[i].name, phase)) {
			r->wall_us = v->trail[i].wall_us;
			r->ms = (double)(v->trail[i].mono_us - v->trail[0].mono_us) / 1000.0;
		}
}

static void row_boots(struct row *r, struct vm *v, const struct line_scan *s)
{
	const struct line_note *bad = line_scan_fact(s, FACT_CANNOT_OPEN_ROOT);
	const struct line_note *root = line_scan_fact(s, FACT_INIT_ROOT);

	stamp(r, v, "root");
	if (bad)
		say_note(r, fails, bad);
	else if (root)
		say(r, holds, "none of %llu lines says it; console.log:%llu: %s",
		    (unsigned long long)line_scan_lines(s), (unsigned long long)root->number,
		    root->text);
	else
		say(r, unknown,
		    "none of %llu lines says it, but none says that root is mounted either",
		    (unsigned long long)line_scan_lines(s));
}

static void row_devices(struct row *r, struct vm *v, const struct line_scan *s)
{
	const struct init_line *d = line_scan_init(s, FACT_INIT_DEVICES);
	const struct line_note *line = line_scan_fact(s, FACT_INIT_DEVICES);
	const struct line_note *pci = line_scan_fact(s, FACT_PCI_VIRTIO);
	const struct line_note *disk = line_scan_fact(s, FACT_VIRTIO_BLK);
	bool on_pci = v->rec.transport == VM_PCI;

	stamp(r, v, "devices");
	if (d && on_pci)
		say_note(r, strstr(d->pci, "1af4:") ? holds : fails, line);
	else if (d)
		say_note(r, str_eq(d->transport, "mmio") && d->blk[0] ? holds : fails, line);
	else if (pci && on_pci)
		say(r, holds, "%s; console.log:%llu: %s", line_scan_pci(s),
		    (unsigned long long)pci->number, pci->text);
	else if (disk && !on_pci)
		say_note(r, holds, disk);
	else
		say(r, unknown, "no line of %llu lists the devices",
		    (unsigned long long)line_scan_lines(s));
}

static bool has_word(const char *words, const char *w)
{
	size_t n = strlen(w);

	for (const char *p = words; n && p && (p = strstr(p, w)); p += n) {
		bool begins = p == words || strchr(" =/,", p[-1]);

		if (begins && (!p[n] || strchr(" ,:", p[n])))
			return true;
	}
	return false;
}

static void row_disk(struct row *r, struct vm *v, const struct line_scan *s)
{
	const struct init_line *d = line_scan_init(s, FACT_INIT_DEVICES);
	const struct init_line *root = line_scan_init(s, FACT_INIT_ROOT);
	const struct line_note *kernel = line_scan_fact(s, FACT_VIRTIO_BLK);
	const char *cmdline = v->cmdline ? v->cmdline : "";
	const char *seen = d && d->blk[0] ? d->blk : kernel ? kernel->text : "";
	char bracket[24];

	stamp(r, v, "root");
	if (!root || !root->dev[0]) {
		say(r, unknown, "no line says which device is root");
		return;
	}
	text_cut(bracket, sizeof(bracket), "[%s]", root->dev);
	if (!has_word(cmdline, root->dev))
		say(r, fails, "root is on %s, which the command line does not name: %s", root->dev,
		    cmdline);
	else if (seen[0] && !has_word(seen, root->dev) && !strstr(seen, bracket))
		say(r, fails, "the command line names %s; the guest registered: %s", root->dev,
		    seen);
	else
		say(r, holds, "the command line names %s; console.log:%llu: %s", root->dev,
		    (unsigned long long)line_scan_fact(s, FACT_INIT_ROOT)->number,
		    line_scan_fact(s, FACT_INIT_ROOT)->text);
}

static void row_root(struct row *r, struct vm *v, const struct line_scan *s)
{
	const struct init_line *failure = line_scan_failure(s);

	stamp(r, v, "root");
	if (line_scan_fact(s, FACT_INIT_ROOT))
		say_note(r, holds, line_scan_fact(s, FACT_INIT_ROOT));
	else if (failure && str_eq(failure->phase, "root"))
		say_note(r, fails, line_scan_fact(s, FACT_INIT_FAIL));
	else if (line_scan_fact(s, FACT_UNABLE_TO_MOUNT))
		say_note(r, fails, line_scan_fact(s, FACT_UNABLE_TO_MOUNT));
	else
		say(r, unknown, "no line of %llu says so", (unsigned long long)line_scan_lines(s));
}

static void row_nic(struct row *r, struct vm *v, const struct line_scan *s,
		    const struct verify_run *run)
{
	const struct init_line *net = line_scan_init(s, FACT_INIT_NET);
	const struct line_note *line = line_scan_fact(s, FACT_INIT_NET);
	const struct proof_result *icmp = &run->results[PROOF_ICMP];
	char ip[IPV4_TEXT_LEN], mac[MAC_TEXT_LEN];
	bool same;

	format_ipv4(v->rec.lease.ip, ip);
	format_mac(v->rec.lease.mac, mac);
	stamp(r, v, "net");
	same = net && strncmp(net->ip, ip, strlen(ip)) == 0 && strchr("/", net->ip[strlen(ip)]) &&
	       str_eq(net->mac, mac);
	if (icmp->verdict == PROOF_HOLDS) {
		r->wall_us = icmp->wall_us;
		say(r, holds, "%s%s%s", icmp->evidence, line ? "; console: " : "",
		    line ? line->text : "");
	} else if (line && !same) {
		say(r, fails, "leased %s to %s; console.log:%llu: %s", ip, mac,
		    (unsigned long long)line->number, line->text);
	} else if (run->ran) {
		say(r, fails, "%s",
		    icmp->evidence[0] ? icmp->evidence : "no answer to ICMP from the address");
	} else if (line) {
		say(r, unknown, "the VM does not run now; its init said: %s", line->text);
	} else {
		say(r, unknown, "the VM does not run, and no line names its address");
	}
}

static void row_arp(struct row *r, const struct vm *v, const struct verify_run *run)
{
	const struct proof_result *arp = &run->results[PROOF_ARP];

	if (run->ran) {
		r->wall_us = arp->wall_us ? arp->wall_us : clock_wall_us();
		r->ms = (double)(clock_mono_ns() - run->began_ns) / 1e6;
		say(r, arp->verdict == PROOF_HOLDS ? holds : fails, "%s",
		    arp->evidence[0] ? arp->evidence : "no ARP reply was seen");
	} else if (v->proof[PROOF_ARP].verdict == PROOF_HOLDS) {
		r->wall_us = v->proof[PROOF_ARP].wall_us;
		say(r, unknown, "the VM does not run now; seen when it did: %s",
		    v->proof[PROOF_ARP].evidence);
	} else {
		say(r, unknown, "the VM does not run");
	}
}

static int scan_console(const struct vm *v, struct line_scan *s)
{
	char path[PATH_CAP];
	uint64_t offset = 0, dropped;
	size_t total = 0;

	if (!vm_path(v, "console.log", path))
		return -ENAMETOOLONG;
	for (;;) {
		auto_buf b = {0};
		int rc = console_read(path, &offset, 64u << 10, &b, &dropped, NULL);

		if (rc < 0 || !b.len)
			return rc < 0 ? rc : 0;
		line_scan_feed(s, b.data, b.len, dropped);
		total += b.len;
		if (total > SCAN_MAX)
			return 0; /* a guest that writes faster than we read */
	}
}

static json_t *row_json(unsigned number, const char *title, const struct row *r)
{
	json_t *o = json_object();
	char at[CLOCK_TEXT_LEN];

	clock_text(r->wall_us, at);
	if (json_put(o, "row", json_integer(number)) < 0 ||
	    json_put(o, "title", json_string(title)) < 0 ||
	    json_put(o, "verdict", json_string(r->verdict)) < 0 ||
	    json_put(o, "evidence", json_string(r->evidence)) < 0 ||
	    json_put(o, "at", r->wall_us ? json_string(at) : json_null()) < 0 ||
	    json_put(o, "ms", r->ms >= 0 ? json_real(r->ms) : json_null()) < 0) {
		json_decref(o);
		return NULL;
	}
	return o;
}

static const char *const titles[] = {
	"boots without \"Cannot open root device\"",
	"the devices are enumerated",
	"the block device is registered under the name that the command line uses",
	"root mounted",
	"the NIC has the leased address",
	"the TAP sees ARP replies from the VM",
	"WebSocket upgrade answers 101",
	"RFB version string",
	"the agent runs in the VM",
	"the noVNC page shows the desktop",
};

static json_t *rows_json(const struct verify_run *run, const struct line_scan *s)
{
	struct row rows[ARRAY_LEN(titles)];
	struct vm *v = run->vm;
	json_t *all = json_array();

	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		rows[i] = (struct row){.ms = -1};
		say(&rows[i], "not-built-yet", "not built yet");
	}
	row_boots(&rows[0], v, s);
	row_devices(&rows[1], v, s);
	row_disk(&rows[2], v, s);
	row_root(&rows[3], v, s);
	row_nic(&rows[4], v, s, run);
	row_arp(&rows[5], v, run);
	for (unsigned i = 0; all && i < ARRAY_LEN(rows); i++)
		if (json_push(all, row_json(i + 1, titles[i], &rows[i])) < 0) {
			json_decref(all);
			return NULL;
		}
	return all;
}

static void unlink_run(struct verify_run *run)
{
	struct verify_run **p = &run->vm->verifies;

	while (*p != run)
		p = &(*p)->next;
	*p = run->next;
	loop_timer_stop(run->vm->c->loop, &run->over);
	proof_free(run->proof);
	if (run->owner)
		run->owner->own = NULL;
}

static void finish(struct verify_run *run)
{
	struct verify *w = run->owner;
	struct line_scan *s = NULL;
	struct err e = {0};
	auto_json json_t *rows = NULL;
	size_t len;

	if (run->proof)
		proof_results(run->proof, run->results);
	if (line_scan_new(NULL, &s) == 0) {
		(void)vm_json(run->vm, &len); /* loads the command line of a VM that was adopted */
		/* what can't be read is not seen: rows say unknown */
		(void)scan_console(run->vm, s);
		rows = rows_json(run, s);
	}
	line_scan_free(s);
	unlink_run(run);
	free(run);
	if (!rows)
		(void)err_nomem(&e);
	w->fn(w, rows, rows ? NULL : &e);
}

static void on_over(struct timer *t)
{
	finish(container_of(t, struct verify_run, over));
}

static void on_step(struct proof_watch *w, enum proof_step s, const struct proof_result *r)
{
	(void)w;
	(void)s;
	(void)r; /* the results are read when it is over */
}

static void on_done(struct proof_watch *w)
{
	finish(container_of(w, struct verify_run, watch));
}

static int prove_now(struct verify_run *run, struct err *e)
{
	struct vm *v = run->vm;
	struct net_port port = {.number = v->rec.lease.number, .ip = v->rec.lease.ip};
	int rc = -ENETDOWN;

	if (!v->run || !v->run->engine || !v->netw)
		return loop_timer(v->c->loop, &run->over, 0);
	memcpy(port.mac, v->rec.lease.mac, sizeof(port.mac));
	run->watch.step = on_step;
	run->watch.done = on_done;
	(void)pthread_mutex_lock(&v->netw->lock); /* never fails for a valid, not recursive mutex */
	if (v->netw->net)
		rc = proof_start(v->c->loop, v->netw->net, &port, NULL, 0, &run->watch, &run->proof,
				 e);
	(void)pthread_mutex_unlock(&v->netw->lock);
	run->ran = rc == 0;
	return loop_timer_in(v->c->loop, &run->over, rc == 0 ? VERIFY_MS * NS_PER_MS : 0);
}

int control_vm_verify(struct control *c, struct vm *v, struct verify *w, struct err *e)
{
	struct verify_run *run = mem_zalloc(sizeof(*run));

	(void)c;
	if (!run)
		return err_nomem(e);
	run->vm = v;
	run->owner = w;
	run->began_ns = clock_mono_ns();
	run->over.fire = on_over;
	run->next = v->verifies;
	v->verifies = run;
	w->own = run;
	if (prove_now(run, e) < 0) {
		unlink_run(run);
		free(run);
		return err_nomem(e);
	}
	return 0;
}

void control_verify_cancel(struct control *c, struct verify *w)
{
	struct verify_run *run = w->own;

	(void)c;
	if (!run)
		return;
	unlink_run(run);
	free(run);
}

void verify_gone(struct vm *v)
{
	while (v->verifies) {
		struct verify_run *run = v->verifies;
		struct verify *w = run->owner;
		struct err e = {0};

		(void)err_set(&e, -ENOENT, ERR_ABSENT, "vm.gone", "vm %s was deleted", v->rec.id);
		unlink_run(run);
		free(run);
		w->fn(w, NULL, &e);
	}
}
