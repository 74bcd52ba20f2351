/*
 * The life of a VM under the controller: created, proven, stopped, started, deleted; refused,
 * failed, explained; with a store that fails and memory that is exhausted.
 */
#include "control_fixture.h"

#include <sqlite3.h>

static void copy_id(const struct vm *v, char id[ID_LEN])
{
	memcpy(id, vm_record(v)->id, ID_LEN);
}

#define strcpy_n(dst, text) assert_true(str_copy(dst, sizeof(dst), text))

static void from_create_to_evidence(void **state)
{
	char id[ID_LEN];
	struct vm *v = create_vm();
	size_t len;
	auto_json json_t *o = NULL;

	(void)state;
	copy_id(v, id);
	assert_int_equal(v->rec.state, VM_CREATING);
	assert_int_equal(leases(), 1);
	wait_state(id, VM_READY);
	assert_int_equal(json_parse(vm_json(v, &len), strlen(vm_json(v, &len)), &o, &err), 0);
	assert_true(json_is_true(json_object_get(o, "networkProven")));
	assert_true(json_is_null(json_object_get(o, "cause")));
	assert_string_equal(json_string_value(json_object_get(o, "state")), "ready");
	assert_string_equal(json_string_value(json_object_get(o, "ip")), "192.168.100.2");
	assert_true(json_array_size(json_object_get(o, "phases")) >= 8);
	assert_int_equal(control_vm_stop(ctl, &alice, v, false, &err), 0);
	wait_state(id, VM_STOPPED);
	RUN_UNTIL(!v->work && !v->port_open);
	assert_int_equal(leases(), 1);
	assert_int_equal(alive(), 0);
	assert_false(path_exists("run/vms", id, ""));
	assert_int_equal(control_vm_start(ctl, &alice, v, &err), 0);
	wait_state(id, VM_READY);
	assert_int_equal(v->rec.starts, 2);
	assert_int_equal(control_vm_delete(ctl, &alice, v, &err), 0);
	wait_state(id, VM_GONE);
	assert_int_equal(leases(), 0);
	assert_int_equal(alive(), 0);
	assert_false(path_exists("state/vms", id, ""));
	assert_false(path_exists("run/vms", id, ""));
	assert_true(path_exists("state/evidence", id, "console.log"));
	assert_true(path_exists("state/evidence", id, "vm.json"));
	assert_true(path_exists("state/evidence", id, "cmdline"));
	assert_true(path_exists("state/evidence", id, "vm-config.json"));
	assert_null(control_vm_find(ctl, &alice, id, &err));
	assert_string_equal(err.id, "vm.absent");
	assert_non_null(strstr(err.remedy, "vm logs"));
}

static int sequence(void *ctx, const struct vm_event *ev)
{
	struct buf *b = ctx;

	if (str_eq(ev->kind, "state"))
		(void)buf_printf(b, "%s ", ev->to);
	return 0;
}

static void every_move_is_an_event_in_order(void **state)
{
	struct vm *v = create_vm();
	auto_buf b = {0};
	char id[ID_LEN];

	(void)state;
	copy_id(v, id);
	wait_state(id, VM_READY);
	assert_int_equal(control_vm_delete(ctl, &admin, v, &err), 0);
	wait_state(id, VM_GONE);
	assert_int_equal(store_event_each(ctl->store, id, 0, 1000, sequence, &b, &err), 0);
	assert_string_equal(buf_text(&b),
			    "creating starting booting connecting ready deleting gone ");
}

static void a_wrong_moment_says_what_is_possible(void **state)
{
	struct vm *v = create_vm();
	char id[ID_LEN];

	(void)state;
	copy_id(v, id);
	wait_state(id, VM_READY);
	assert_true(control_vm_start(ctl, &alice, v, &err) < 0);
	assert_string_equal(err.id, "vm.wrong-state");
	assert_int_equal(err.kind, ERR_STATE);
	assert_non_null(strstr(err.text, "is ready"));
	assert_non_null(strstr(err.text, "possible: stop, delete"));
}

static void a_repeated_key_gives_the_same_vm(void **state)
{
	struct vm_request q = request();
	struct vm *a, *b;
	bool repeated;

	(void)state;
	assert_int_equal(control_vm_create(ctl, &alice, &q, "k1", "hash1", &a, &repeated, &err), 0);
	assert_false(repeated);
	assert_int_equal(control_vm_create(ctl, &alice, &q, "k1", "hash1", &b, &repeated, &err), 0);
	assert_true(repeated);
	assert_ptr_equal(a, b);
	assert_true(control_vm_create(ctl, &alice, &q, "k1", "hash2", &b, &repeated, &err) < 0);
	assert_string_equal(err.id, "idempotency.other-request");
	assert_int_equal(ctl->vms_n, 1);
}

/* --- refusals: nothing is made --- */

static void refused(struct vm_request *q, const struct actor *a, const char *id, const char *text)
{
	struct vm *v;
	bool repeated;

	memset(&err, 0, sizeof(err));
	assert_true(control_vm_create(ctl, a, q, NULL, NULL, &v, &repeated, &err) < 0);
	assert_string_equal(err.id, id);
	if (!strstr(err.text, text))
		fail_msg("\"%s\" lacks \"%s\"", err.text, text);
	assert_int_equal(ctl->vms_n, 0);
	assert_int_equal(leases(), 0);
}

static void bad_requests_are_refused_with_the_reason(void **state)
{
	struct vm_request q;

	(void)state;
#define REFUSED(change, actor, id, text)                                                           \
	do {                                                                                       \
		q = request();                                                                     \
		change;                                                                            \
		refused(&q, actor, id, text);                                                      \
	} while (0)
	REFUSED(strcpy_n(q.vm_type, "huge"), &alice, "vm.unknown-type", "none of: cli");
	REFUSED(q.vcpus = 10000, &alice, "vm.out-of-range", "1 to 32");
	REFUSED(q.vcpus = -1, &alice, "vm.out-of-range", "vcpus is -1");
	REFUSED(q.ram_mib = 1, &alice, "image.ram-too-small", "MiB");
	REFUSED(strcpy_n(q.name, "-bad-"), &alice, "vm.bad-name", "-bad-");
	REFUSED(strcpy_n(q.image, "nothing"), &alice, "image.absent", "nothing");
	REFUSED(strcpy_n(q.network, "nowhere"), &alice, "network.absent", "nowhere");
	REFUSED(strcpy_n(q.engine, "steam"), &alice, "vm.unknown-engine", "steam");
	REFUSED(strcpy_n(q.ip, "1.2.3"), &alice, "vm.bad-ip", "1.2.3");
	REFUSED(strcpy_n(q.mac, "01:00:00:00:00:01"), &alice, "vm.bad-mac", "unicast");
	REFUSED(strcpy_n(q.boot_args, "root=/dev/sda"), &alice, "cmdline.root-contradicts",
		"/dev/sda");
	REFUSED(strcpy_n(q.user_id, "bob"), &alice, "role.other-user", "admin");
	REFUSED((void)0, &((struct actor){"eve", ROLE_VIEWER}), "role.read-only", "viewer");
}

static void admission_names_limit_and_use(void **state)
{
	struct vm_request q = request();
	struct vm *v;
	bool repeated;

	(void)state;
	conf.per_user.vms = 1;
	(void)create_vm();
	assert_true(control_vm_create(ctl, &alice, &q, NULL, NULL, &v, &repeated, &err) < 0);
	assert_string_equal(err.id, "admission.refused");
	assert_int_equal(err.kind, ERR_LIMIT);
	assert_non_null(strstr(err.text, "user alice's limit of VMs is 1: 1 in use, 1 more"));
	strcpy_n(q.user_id, "bob");
	conf.per_host.ram_mib = 100;
	assert_true(control_vm_create(ctl, &bob, &q, NULL, NULL, &v, &repeated, &err) < 0);
	assert_non_null(
		strstr(err.text, "this host's limit of memory (MiB) is 100: 64 in use, 64 more"));
	conf.per_host.ram_mib = 0;
	conf.ram_reserve_mib = 1u << 24;
	assert_true(control_vm_create(ctl, &bob, &q, NULL, NULL, &v, &repeated, &err) < 0);
	assert_non_null(strstr(err.text, "reserved"));
	conf.ram_reserve_mib = 0;
	conf.disk_reserve_mib = 1u << 30;
	assert_true(control_vm_create(ctl, &bob, &q, NULL, NULL, &v, &repeated, &err) < 0);
	assert_non_null(strstr(err.text, "free"));
	assert_int_equal(ctl->vms_n, 1);
	assert_int_equal(ctl->count.refused, 4);
}

static void a_changed_kernel_is_not_booted(void **state)
{
	struct vm *v = create_vm();
	char path[PATH_CAP];

	(void)state;
	wait_state(v->rec.id, VM_READY);
	assert_true(str_fmt(path, sizeof(path), "%s/%s/%s", ctl->images_dir, v->rec.digest,
			    IMAGE_KERNEL));
	assert_int_equal(fd_replace_file(path, "y", 1, 0644, &err), 0);
	v = create_vm();
	wait_state(v->rec.id, VM_FAILED);
	assert_string_equal(v->rec.cause, "image.digest-mismatch");
	assert_int_equal(script.launches, 1);
}

static void users_see_their_own(void **state)
{
	struct vm *v = create_vm();

	(void)state;
	assert_ptr_equal(control_vm_find(ctl, &alice, v->rec.id, &err), v);
	assert_ptr_equal(control_vm_find(ctl, &admin, v->rec.id, &err), v);
	assert_null(control_vm_find(ctl, &bob, v->rec.id, &err));
	assert_int_equal(err.kind, ERR_ABSENT);
	assert_true(control_vm_delete(ctl, &bob, v, &err) < 0);
	assert_int_equal(err.kind, ERR_ABSENT);
}

/* --- failures --- */

static void failed_with(struct vm *v, const char *code, const char *text)
{
	char id[ID_LEN];

	copy_id(v, id);
	wait_state(id, VM_FAILED);
	assert_string_equal(v->rec.cause, code);
	if (!strstr(v->rec.cause_text, text))
		fail_msg("\"%s\" lacks \"%s\"", v->rec.cause_text, text);
	assert_int_equal(alive(), 0);
	RUN_UNTIL(!v->work && !v->port_open);
}

static void an_engine_that_does_not_start_is_the_cause(void **state)
{
	struct vm *v;

	(void)state;
	script.launch_error = "no such machine";
	v = create_vm();
	failed_with(v, "engine.start", "no such machine");
	script.launch_error = NULL;
	assert_int_equal(control_vm_start(ctl, &alice, v, &err), 0);
	wait_state(v->rec.id, VM_READY);
	assert_string_equal(v->rec.cause, "");
}

static void an_engine_that_never_runs_is_killed(void **state)
{
	(void)state;
	script.never_started = script.mute = true;
	conf.limit_ms[VM_STARTING] = 300;
	failed_with(create_vm(), "ENGINE_SILENT", "vCPUs");
}

static void a_guest_without_frames_fails_with_what_was_seen(void **state)
{
	(void)state;
	script.mute = true;
	conf.limit_ms[VM_BOOTING] = 300;
	failed_with(create_vm(), "NET_NO_FRAMES", "frames");
}

static void a_silent_guest_is_called_silent(void **state)
{
	(void)state;
	script.mute = true;
	script.console = NULL;
	conf.limit_ms[VM_BOOTING] = 300;
	failed_with(create_vm(), "GUEST_SILENT", "nothing");
}

static void a_probe_that_does_not_hold_is_named(void **state)
{
	(void)state;
	script.console = "hearth-init: phase=handover ok init=/sbin/init\nno prompt\n";
	conf.limit_ms[VM_CONNECTING] = 600;
	failed_with(create_vm(), "PROBE_FAILED", " login:");
}

static void the_guests_own_words_are_the_cause(void **state)
{
	struct vm *v;
	size_t len;

	(void)state;
	script.mute = true;
	script.console =
		"hearth-init: phase=root fail code=ROOT_DEVICE_MISSING exit=31 looked=/dev/sda "
		"why=\"not there\" saw=\"vda vdb\" hint=\"name vda\"\n";
	v = create_vm();
	failed_with(v, "ROOT_DEVICE_MISSING", "/dev/sda");
	assert_string_equal(v->rec.remedy, "name vda");
	assert_non_null(strstr(vm_json(v, &len), "console.log:1: hearth-init: phase=root fail"));
	/* the evidence outlives hearthd */
	control_again();
	assert_non_null(
		strstr(vm_json(ctl->first, &len), "console.log:1: hearth-init: phase=root fail"));
}

static void an_engine_that_dies_later_fails_the_vm(void **state)
{
	struct vm *v = create_vm();

	(void)state;
	wait_state(v->rec.id, VM_READY);
	fake_over(&script.fakes[0], EXIT_VMM_ERROR, "exited with 1: assertion");
	failed_with(v, "ENGINE_FAILED", "assertion");
}

static void a_guest_that_powers_off_is_stopped(void **state)
{
	struct vm *v = create_vm();

	(void)state;
	wait_state(v->rec.id, VM_READY);
	fake_over(&script.fakes[0], EXIT_GUEST_POWEROFF, "powered off");
	wait_state(v->rec.id, VM_STOPPED);
	assert_string_equal(v->rec.cause, "");
}

static void a_deaf_guest_is_killed_on_force(void **state)
{
	struct vm *v = create_vm();

	(void)state;
	wait_state(v->rec.id, VM_READY);
	script.deaf = true;
	assert_int_equal(control_vm_stop(ctl, &alice, v, false, &err), 0);
	step();
	assert_int_equal(v->rec.state, VM_STOPPING);
	assert_int_equal(control_vm_stop(ctl, &alice, v, true, &err), 0);
	wait_state(v->rec.id, VM_STOPPED);
}

static void deleted_at_any_moment(void **state)
{
	(void)state;
	for (unsigned rounds = 0; rounds < 40; rounds++) {
		struct vm *v = create_vm();
		char id[ID_LEN];

		copy_id(v, id);
		for (unsigned i = 0; i < rounds; i++)
			assert_int_equal(loop_step(test_loop, 2, &err), 0);
		assert_int_equal(control_vm_delete(ctl, &alice, v, &err), 0);
		wait_state(id, VM_GONE);
		assert_int_equal(leases(), 0);
		assert_int_equal(alive(), 0);
		assert_false(path_exists("state/vms", id, ""));
		assert_false(path_exists("run/vms", id, ""));
	}
}

/* --- a store that fails --- */

struct lock {
	sqlite3 *db;
};

static struct lock lock_store(void)
{
	struct lock l;
	char path[200];

	(void)snprintf(path, sizeof(path), "%s/state/hearth.db", tmp_dir);
	assert_int_equal(sqlite3_open(path, &l.db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(l.db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	return l;
}

static void unlock_store(struct lock l)
{
	assert_int_equal(sqlite3_exec(l.db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(l.db), SQLITE_OK);
}

static void what_cannot_be_committed_is_not_started(void **state)
{
	struct vm_request q = request();
	struct vm *v = create_vm(), *other;
	char id[ID_LEN];
	struct lock l;
	bool repeated;

	(void)state;
	copy_id(v, id);
	wait_state(id, VM_READY);
	l = lock_store();
	assert_true(control_vm_create(ctl, &alice, &q, NULL, NULL, &other, &repeated, &err) < 0);
	assert_string_equal(err.id, "store.locked");
	assert_int_equal(ctl->vms_n, 1);
	assert_true(control_vm_stop(ctl, &alice, v, true, &err) < 0);
	assert_int_equal(v->rec.state, VM_READY);
	assert_int_equal(alive(), 1);
	assert_true(control_vm_delete(ctl, &alice, v, &err) < 0);
	assert_int_equal(v->rec.state, VM_READY);
	unlock_store(l);
	assert_int_equal(control_vm_delete(ctl, &alice, v, &err), 0);
	wait_state(id, VM_GONE);
}

static void an_end_is_committed_when_the_store_is_back(void **state)
{
	struct vm *v = create_vm();
	struct lock l;

	(void)state;
	wait_state(v->rec.id, VM_READY);
	l = lock_store();
	fake_over(&script.fakes[0], EXIT_VMM_ERROR, "exited with 1");
	RUN_UNTIL(v->pending_ev >= 0);
	assert_int_equal(v->rec.state, VM_READY); /* memory says what the store says */
	unlock_store(l);
	failed_with(v, "ENGINE_FAILED", "exited with 1");
}

/* --- memory --- */

static void creation_survives_exhausted_memory(void **state)
{
	struct vm_request q = request();
	struct vm *v = NULL;
	bool repeated;
	int rc = -1;

	(void)state;
	q.start = false;
	for (long n = 0; rc < 0 && n < 5000; n++) {
		mem_fail_after(n);
		rc = control_vm_create(ctl, &alice, &q, NULL, NULL, &v, &repeated, &err);
		mem_fail_after(-1);
		if (rc < 0) {
			assert_int_equal(ctl->vms_n, 0);
			assert_int_equal(leases(), 0);
		}
	}
	assert_int_equal(rc, 0);
	assert_int_equal(v->rec.state, VM_STOPPED);
	assert_int_equal(leases(), 1);
}

/* --- waiting, verifying --- */

struct waited {
	struct waiter w;
	int calls;
	char id[64];
	bool had_vm;
};

static void on_waited(struct waiter *w, struct vm *v, const struct err *e)
{
	struct waited *x = container_of(w, struct waited, w);

	x->calls++;
	x->had_vm = v != NULL;
	(void)snprintf(x->id, sizeof(x->id), "%s", e ? e->id : "");
}

static void waiters_are_answered_once(void **state)
{
	struct waited net = {.w.fn = on_waited}, ready = net, gone = net, late = net, no = net;
	struct vm *v;

	(void)state;
	script.mute = false;
	v = create_vm();
	assert_int_equal(control_vm_wait(ctl, v, WAIT_NETWORK, GIVE_UP_MS, &net.w, &err), 0);
	assert_int_equal(control_vm_wait(ctl, v, WAIT_READY, GIVE_UP_MS, &ready.w, &err), 0);
	assert_int_equal(control_vm_wait(ctl, v, WAIT_GONE, GIVE_UP_MS, &gone.w, &err), 0);
	assert_int_equal(control_vm_wait(ctl, v, WAIT_STOPPED, 1, &late.w, &err), 0);
	assert_int_equal(control_vm_wait(ctl, v, WAIT_READY, GIVE_UP_MS, &no.w, &err), 0);
	control_wait_cancel(ctl, &no.w);
	RUN_UNTIL(net.calls && ready.calls && late.calls);
	assert_string_equal(net.id, "");
	assert_string_equal(ready.id, "");
	assert_string_equal(late.id, "vm.wait-timeout");
	assert_int_equal(gone.calls, 0);
	assert_int_equal(control_vm_delete(ctl, &alice, v, &err), 0);
	RUN_UNTIL(gone.calls);
	assert_string_equal(gone.id, "");
	assert_false(gone.had_vm);
	assert_int_equal(net.calls + ready.calls + late.calls + gone.calls, 4);
	assert_int_equal(no.calls, 0);
}

static void a_failed_vm_answers_its_waiters_with_the_cause(void **state)
{
	struct waited ready = {.w.fn = on_waited};
	struct vm *v;

	(void)state;
	script.launch_error = "broken";
	v = create_vm();
	assert_int_equal(control_vm_wait(ctl, v, WAIT_READY, GIVE_UP_MS, &ready.w, &err), 0);
	RUN_UNTIL(ready.calls);
	assert_string_equal(ready.id, "vm.failed");
}

struct verified {
	struct verify w;
	int calls;
	json_t *rows;
};

static void on_verified(struct verify *w, json_t *rows, const struct err *e)
{
	struct verified *x = container_of(w, struct verified, w);

	(void)e;
	x->calls++;
	x->rows = json_incref(rows);
}

static const char *verdict(const struct verified *x, size_t row)
{
	return json_string_value(json_object_get(json_array_get(x->rows, row - 1), "verdict"));
}

static void verify_observes_now(void **state)
{
	struct verified x = {.w.fn = on_verified}, y = x, z = x;
	struct vm *v = create_vm();

	(void)state;
	wait_state(v->rec.id, VM_READY);
	assert_int_equal(control_vm_verify(ctl, v, &x.w, &err), 0);
	RUN_UNTIL(x.calls);
	assert_int_equal(json_array_size(x.rows), 10);
	for (size_t row = 1; row <= 6; row++)
		assert_string_equal(verdict(&x, row), "holds");
	for (size_t row = 7; row <= 10; row++)
		assert_string_equal(verdict(&x, row), "not-built-yet");
	/* a guest that falls silent: the row that held a moment ago does not */
	guest_close(&script.fakes[0]);
	assert_int_equal(control_vm_verify(ctl, v, &y.w, &err), 0);
	RUN_UNTIL(y.calls);
	assert_string_equal(verdict(&y, 6), "fails");
	assert_string_equal(verdict(&y, 5), "fails");
	assert_int_equal(control_vm_verify(ctl, v, &z.w, &err), 0);
	control_verify_cancel(ctl, &z.w);
	step();
	assert_int_equal(z.calls, 0);
	json_decref(x.rows);
	json_decref(y.rows);
}

static void labels_are_patched(void **state)
{
	struct vm *v = create_vm();
	auto_json json_t *good = json_pack("{s:s,s:s}", "a", "1", "b", "2");
	auto_json json_t *drop = json_pack("{s:n}", "a");
	auto_json json_t *bad = json_pack("{s:i}", "a", 1);

	(void)state;
	assert_int_equal(control_vm_labels(ctl, &alice, v, good, &err), 0);
	assert_int_equal(control_vm_labels(ctl, &alice, v, drop, &err), 0);
	assert_string_equal(v->rec.labels, "{\"b\":\"2\"}");
	assert_true(control_vm_labels(ctl, &alice, v, bad, &err) < 0);
	assert_string_equal(err.id, "vm.labels");
	assert_string_equal(v->rec.labels, "{\"b\":\"2\"}");
}

static void networks_are_made_and_removed(void **state)
{
	struct network n = {.name = "other", .prefix = 24, .isolated = true};
	struct network same = {.name = "again", .prefix = 25, .isolated = true};
	auto_json json_t *all = NULL;

	(void)state;
	assert_int_equal(parse_ipv4("10.77.0.0", &n.cidr), 0);
	assert_int_equal(parse_ipv4("10.77.0.0", &same.cidr), 0);
	assert_true(control_network_create(ctl, &alice, &n, &err) < 0);
	assert_string_equal(err.id, "role.admin-only");
	assert_int_equal(control_network_create(ctl, &admin, &n, &err), 0);
	assert_true(control_network_create(ctl, &admin, &same, &err) < 0);
	assert_string_equal(err.id, "network.overlap");
	assert_int_equal(control_network_json(ctl, NULL, &all, &err), 0);
	assert_int_equal(json_array_size(all), 2);
	(void)create_vm();
	assert_true(control_network_remove(ctl, &admin, "default", &err) < 0);
	assert_string_equal(err.id, "network.in-use");
	assert_int_equal(control_network_remove(ctl, &admin, "other", &err), 0);
	assert_null(netw_find(ctl, "other"));
}

static void metrics_and_health_count(void **state)
{
	struct vm *v = create_vm();
	auto_buf b = {0};
	auto_json json_t *health = NULL, *host = NULL;

	(void)state;
	wait_state(v->rec.id, VM_READY);
	assert_int_equal(control_metrics(ctl, &b), 0);
	assert_non_null(strstr(buf_text(&b), "hearth_vms{state=\"ready\"} 1\n"));
	assert_non_null(strstr(buf_text(&b), "hearth_network_proven_seconds_count 1\n"));
	health = control_health(ctl);
	assert_true(json_is_true(json_object_get(health, "ok")));
	assert_int_equal(control_host_json(ctl, &host, &err), 0);
	assert_non_null(json_object_get(json_object_get(host, "kvm"), "text"));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		T(from_create_to_evidence),
		T(every_move_is_an_event_in_order),
		T(a_wrong_moment_says_what_is_possible),
		T(a_repeated_key_gives_the_same_vm),
		T(bad_requests_are_refused_with_the_reason),
		T(admission_names_limit_and_use),
		T(a_changed_kernel_is_not_booted),
		T(users_see_their_own),
		T(an_engine_that_does_not_start_is_the_cause),
		T(an_engine_that_never_runs_is_killed),
		T(a_guest_without_frames_fails_with_what_was_seen),
		T(a_silent_guest_is_called_silent),
		T(a_probe_that_does_not_hold_is_named),
		T(the_guests_own_words_are_the_cause),
		T(an_engine_that_dies_later_fails_the_vm),
		T(a_guest_that_powers_off_is_stopped),
		T(a_deaf_guest_is_killed_on_force),
		T(deleted_at_any_moment),
		T(what_cannot_be_committed_is_not_started),
		T(an_end_is_committed_when_the_store_is_back),
		T(creation_survives_exhausted_memory),
		T(waiters_are_answered_once),
		T(a_failed_vm_answers_its_waiters_with_the_cause),
		T(verify_observes_now),
		T(labels_are_patched),
		T(networks_are_made_and_removed),
		T(metrics_and_health_count),
	};
	int rc = sandbox_enter();

	return rc ? rc : RUN_TESTS(tests);
}
