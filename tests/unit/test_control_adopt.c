/*
 * hearthd goes away and comes back at every moment of a VM's life: VMs go on, half-done steps are
 * finished, nothing is left over and nothing runs twice.
 */
#include "control_fixture.h"

/* host/net's rule() ends its list of statements at one that could not be allocated and loses those
 * behind it; the frames are needed to tell that leak from one of ours. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:ruleset_inside\n";
}

const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "fast_unwind_on_malloc=0";
}

static int count_kind(void *ctx, const struct vm_event *ev)
{
	*(unsigned *)ctx += str_eq(ev->kind, "phase");
	return 0;
}

static unsigned phases_of(const char *id)
{
	unsigned n = 0;

	assert_int_equal(store_event_each(ctl->store, id, 0, 1000, count_kind, &n, &err), 0);
	return n;
}

static void ready_vm(char id[ID_LEN])
{
	struct vm *v = create_vm();

	memcpy(id, v->rec.id, ID_LEN);
	wait_state(id, VM_READY);
}

static void a_ready_vm_stays_ready(void **state)
{
	char id[ID_LEN];
	pid_t pid;
	unsigned phases;

	(void)state;
	ready_vm(id);
	events_flush(ctl);
	phases = phases_of(id);
	pid = vm_of(id)->rec.proc.engine_pid;
	control_again();
	assert_int_equal(state_of(id), VM_READY);
	RUN_UNTIL(vm_of(id)->proven);
	assert_int_equal(state_of(id), VM_READY);
	assert_int_equal(vm_of(id)->rec.proc.engine_pid, pid);
	assert_int_equal(vm_of(id)->rec.starts, 1);
	assert_int_equal(script.launches, 1);
	assert_int_equal(phases_of(id), phases); /* told once */
	assert_int_equal(control_vm_stop(ctl, &alice, vm_of(id), false, &err), 0);
	wait_state(id, VM_STOPPED);
	assert_int_equal(alive(), 0);
}

static void a_vm_that_fell_silent_is_proven_again_or_failed(void **state)
{
	char id[ID_LEN];

	(void)state;
	ready_vm(id);
	guest_close(&script.fakes[0]);
	conf.limit_ms[VM_CONNECTING] = 300;
	control_again();
	assert_int_equal(state_of(id), VM_READY);
	wait_state(id, VM_CONNECTING);
	wait_state(id, VM_FAILED);
	assert_true(str_starts(vm_of(id)->rec.cause, "NET_"));
}

static void an_end_in_between_is_told(void **state)
{
	char died[ID_LEN], off[ID_LEN];

	(void)state;
	ready_vm(died);
	ready_vm(off);
	control_free(ctl);
	ctl = NULL;
	fake_over(&script.fakes[0], EXIT_KILLED, "killed by signal 9");
	fake_over(&script.fakes[1], EXIT_GUEST_POWEROFF, "powered off");
	control_up();
	wait_state(died, VM_FAILED);
	assert_string_equal(vm_of(died)->rec.cause, "ENGINE_KILLED");
	assert_non_null(strstr(vm_of(died)->rec.cause_text, "signal 9"));
	wait_state(off, VM_STOPPED);
	assert_int_equal(control_vm_start(ctl, &alice, vm_of(off), &err), 0);
	wait_state(off, VM_READY);
}

/* What an earlier hearthd may have left in the store, without the process that belongs to it. */
static void store_record(enum vm_state s, char id[ID_LEN])
{
	struct vm_request q = request();
	struct vm_rec r;
	struct vm *v;
	bool repeated;

	q.start = false;
	assert_int_equal(control_vm_create(ctl, &alice, &q, NULL, NULL, &v, &repeated, &err), 0);
	memcpy(id, v->rec.id, ID_LEN);
	r = v->rec;
	r.state = s;
	r.want_delete = s == VM_DELETING;
	assert_int_equal(store_vm_update(ctl->store, &r, &err), 0);
}

static void each_state_is_resumed_by_the_table(void **state)
{
	static const struct {
		enum vm_state left, settles;
		unsigned launches;
	} rows[] = {
		{VM_CREATING, VM_READY, 1},  {VM_STARTING, VM_READY, 1},
		{VM_BOOTING, VM_FAILED, 0},  {VM_CONNECTING, VM_FAILED, 0},
		{VM_READY, VM_FAILED, 0},    {VM_STOPPING, VM_STOPPED, 0},
		{VM_STOPPED, VM_STOPPED, 0}, {VM_FAILED, VM_FAILED, 0},
		{VM_DELETING, VM_GONE, 0},
	};

	(void)state;
	static_assert(ARRAY_LEN(rows) == VM_STATE_N_, "every state");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char id[ID_LEN];
		unsigned before = script.launches;

		store_record(rows[i].left, id);
		control_again();
		wait_state(id, rows[i].settles);
		assert_int_equal(script.launches - before, rows[i].launches);
		if (rows[i].settles == VM_FAILED && rows[i].left != VM_FAILED)
			assert_non_null(strstr(vm_of(id)->rec.cause_text, "process"));
		if (rows[i].settles != VM_GONE) {
			assert_int_equal(control_vm_delete(ctl, &alice, vm_of(id), &err), 0);
			wait_state(id, VM_GONE);
		}
		assert_int_equal(leases(), 0);
		assert_int_equal(alive(), 0);
	}
}

static void a_vm_of_an_earlier_boot_is_not_looked_for(void **state)
{
	char id[ID_LEN];
	struct vm_rec r;

	(void)state;
	ready_vm(id);
	r = vm_of(id)->rec;
	r.proc.boot_id[0] = r.proc.boot_id[0] == 'a' ? 'b' : 'a';
	assert_int_equal(store_vm_update(ctl->store, &r, &err), 0);
	control_again();
	wait_state(id, VM_FAILED);
	assert_non_null(strstr(vm_of(id)->rec.cause_text, "host was restarted"));
}

/* hearthd goes after ever more rounds of create, stop and delete. */
static void whenever_it_goes_everything_settles(void **state)
{
	(void)state;
	for (unsigned rounds = 0; rounds < 24; rounds++) {
		char kept[ID_LEN], stopped[ID_LEN], gone[ID_LEN];

		memcpy(kept, create_vm()->rec.id, ID_LEN);
		memcpy(gone, create_vm()->rec.id, ID_LEN);
		ready_vm(stopped);
		assert_int_equal(control_vm_delete(ctl, &alice, vm_of(gone), &err), 0);
		assert_int_equal(control_vm_stop(ctl, &alice, vm_of(stopped), false, &err), 0);
		for (unsigned i = 0; i < rounds; i++)
			assert_int_equal(loop_step(test_loop, 1, &err), 0);
		control_again();
		wait_state(kept, VM_READY);
		wait_state(stopped, VM_STOPPED);
		wait_state(gone, VM_GONE);
		assert_int_equal(alive(), 1);
		assert_int_equal(leases(), 2);
		assert_int_equal(control_vm_delete(ctl, &alice, vm_of(kept), &err), 0);
		assert_int_equal(control_vm_delete(ctl, &alice, vm_of(stopped), &err), 0);
		wait_state(kept, VM_GONE);
		wait_state(stopped, VM_GONE);
		assert_int_equal(leases(), 0);
		assert_int_equal(alive(), 0);
		script.fakes_n = 0;
	}
}

static void what_no_record_knows_is_set_aside(void **state)
{
	char path[256];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/state/vms/vm-0badcafe", tmp_dir);
	assert_int_equal(fd_mkdirs(path, 0700, &err), 0);
	(void)snprintf(path, sizeof(path), "%s/state/vms/vm-0badcafe/disk.ext4", tmp_dir);
	assert_int_equal(fd_replace_file(path, "precious", 8, 0600, &err), 0);
	(void)snprintf(path, sizeof(path), "%s/run/vms/vm-0badcafe", tmp_dir);
	assert_int_equal(fd_mkdirs(path, 0700, &err), 0);
	control_again();
	assert_int_equal(ctl->lost_n, 1);
	assert_false(path_exists("state/vms", "vm-0badcafe", ""));
	assert_false(path_exists("run/vms", "vm-0badcafe", ""));
	auto_free char *found =
		RUN_TEXT("find", tmp_dir, "-path", "*/lost/*", "-name", "disk.ext4");
	assert_non_null(strstr(found, "vm-0badcafe"));
}

static void a_second_hearthd_is_refused(void **state)
{
	struct control *second = NULL;
	struct err e = {0};

	(void)state;
	assert_true(control_new(test_loop, &conf, &second, &e) < 0);
	assert_string_equal(e.id, "store.in-use");
	assert_null(second);
}

static void evidence_is_pruned_by_age(void **state)
{
	char id[ID_LEN], path[ERR_TEXT_MAX];

	(void)state;
	ready_vm(id);
	assert_int_equal(control_vm_delete(ctl, &alice, vm_of(id), &err), 0);
	wait_state(id, VM_GONE);
	control_again(); /* graves are found again */
	assert_int_equal(control_console_path(ctl, &alice, id, path, sizeof(path), &err), 0);
	assert_int_equal(control_console_path(ctl, &bob, id, path, sizeof(path), &err), -ENOENT);
	evidence_prune(ctl);
	assert_true(path_exists("state/evidence", id, "console.log"));
	conf.evidence_ms = 0;
	evidence_prune(ctl);
	assert_false(path_exists("state/evidence", id, ""));
	assert_int_equal(control_console_path(ctl, &alice, id, path, sizeof(path), &err), -ENOENT);
	conf.evidence_ms = 1000;
}

static void coming_up_survives_exhausted_memory(void **state)
{
	char id[ID_LEN];
	int rc = -1;

	(void)state;
	ready_vm(id);
	for (long n = 0; rc < 0 && n < 3000; n += 1 + n / 16) {
		control_free(ctl);
		ctl = NULL;
		mem_fail_after(n);
		rc = try_control();
		mem_fail_after(-1);
	}
	assert_int_equal(rc, 0);
	assert_int_equal(state_of(id), VM_READY); /* no attempt that failed has touched it */
	RUN_UNTIL(vm_of(id)->proven);
	assert_int_equal(script.launches, 1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		T(a_ready_vm_stays_ready),
		T(a_vm_that_fell_silent_is_proven_again_or_failed),
		T(an_end_in_between_is_told),
		T(each_state_is_resumed_by_the_table),
		T(a_vm_of_an_earlier_boot_is_not_looked_for),
		T(whenever_it_goes_everything_settles),
		T(what_no_record_knows_is_set_aside),
		T(a_second_hearthd_is_refused),
		T(evidence_is_pruned_by_age),
		T(coming_up_survives_exhausted_memory),
	};
	int rc = sandbox_enter();

	return rc ? rc : RUN_TESTS(tests);
}
