/*
 * The store: what is written is read back, every uniqueness rule refuses with its sentence, leases
 * fill their network exactly, and damaged, locked, newer or doubly opened files are told apart.
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/parse.h"
#include "base/str.h"
#include "store/store.h"

struct fixture {
	char dir[64], path[96];
	struct store *s;
	struct network net;
};

static struct network make_network(const char *name, const char *cidr)
{
	struct network n = {
		.isolated = true, .nat = true, .dns = {0x01020304, 0x05060708}, .dns_n = 2};
	struct err e;

	assert_true(str_copy(n.name, sizeof(n.name), name));
	assert_int_equal(parse_cidr(cidr, &n.cidr, &n.prefix), 0);
	assert_int_equal(network_check(&n, &e), 0);
	return n;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct err e;

	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/hearth-test-store-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	(void)snprintf(f->path, sizeof(f->path), "%s/hearth.db", f->dir);
	assert_int_equal(store_open(f->path, &f->s, &e), 0);
	f->net = make_network("default", "192.168.100.0/29");
	assert_int_equal(store_network_insert(f->s, &f->net, &e), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	store_close(f->s);
	assert_int_equal(fd_remove_tree(f->dir, NULL), 0);
	free(f);
	return 0;
}

static struct vm_rec make_vm(const char *id, const char *name)
{
	struct vm_rec r = {.vcpus = 2,
			   .ram_mib = 512,
			   .disk_mib = 4096,
			   .transport = VM_MMIO,
			   .root = VM_ROOT_DIRECT,
			   .state = VM_READY,
			   .want_delete = true,
			   .starts = 7,
			   .created_us = UINT64_C(1795000000000001),
			   .changed_us = UINT64_C(1795000000000002)};

	assert_true(str_copy(r.id, sizeof(r.id), id) && str_copy(r.name, sizeof(r.name), name) &&
		    str_copy(r.user_id, sizeof(r.user_id), "alice") &&
		    str_copy(r.network, sizeof(r.network), "default") &&
		    str_copy(r.cause, sizeof(r.cause), "X_Y") &&
		    str_copy(r.boot_args, sizeof(r.boot_args), "quiet 'q' \"x\" é") &&
		    str_copy(r.proc.boot_id, sizeof(r.proc.boot_id), "boot"));
	r.proc.shim_pid = 4194304;
	r.proc.shim_ticks = UINT64_MAX >> 1;
	r.labels = strdup("{\"a\":\"b\"}");
	return r;
}

static int keep_vm(void *ctx, struct vm_rec *r)
{
	struct vm_rec *kept = ctx;

	vm_rec_done(kept);
	*kept = *r;
	return 0;
}

static void vm_round_trip(void **state)
{
	struct fixture *f = *state;
	struct vm_rec r = make_vm("vm-00000001", "web"), got = {0};
	struct vm_lease lease;
	struct err e;

	assert_int_equal(store_vm_insert(f->s, &r, &e), 0);
	assert_int_equal(store_lease_take(f->s, &f->net, r.id, 0, NULL, &lease, &e), 0);
	store_close(f->s);
	assert_int_equal(store_open(f->path, &f->s, &e), 0);
	assert_int_equal(store_vm_each(f->s, keep_vm, &got, &e), 0);
	assert_string_equal(got.id, r.id);
	assert_string_equal(got.labels, r.labels);
	assert_string_equal(got.boot_args, r.boot_args);
	assert_string_equal(got.cause, r.cause);
	assert_int_equal(got.state, VM_READY);
	assert_int_equal(got.transport, VM_MMIO);
	assert_int_equal(got.root, VM_ROOT_DIRECT);
	assert_true(got.want_delete);
	assert_int_equal(got.proc.shim_pid, r.proc.shim_pid);
	assert_true(got.proc.shim_ticks == r.proc.shim_ticks && got.changed_us == r.changed_us);
	assert_int_equal(got.lease.number, 1);
	assert_int_equal(got.lease.ip, lease.ip);
	assert_memory_equal(got.lease.mac, lease.mac, 6);

	got.state = VM_FAILED;
	assert_int_equal(store_vm_update(f->s, &got, &e), 0);
	assert_int_equal(store_vm_each(f->s, keep_vm, &got, &e), 0);
	assert_int_equal(got.state, VM_FAILED);
	vm_rec_done(&got);
	vm_rec_done(&r);
}

static void names_are_unique_per_user(void **state)
{
	struct fixture *f = *state;
	struct vm_rec a = make_vm("vm-00000001", "web"), b = make_vm("vm-00000002", "web");
	struct err e;

	assert_int_equal(store_vm_insert(f->s, &a, &e), 0);
	assert_int_equal(store_vm_insert(f->s, &b, &e), -EEXIST);
	assert_string_equal(e.id, "vm.name-taken");
	assert_non_null(strstr(e.text, "alice"));
	assert_true(str_copy(b.user_id, sizeof(b.user_id), "bob"));
	assert_int_equal(store_vm_insert(f->s, &b, &e), 0);
	vm_rec_done(&a);
	vm_rec_done(&b);
}

static void an_update_of_nothing_is_a_bug(void **state)
{
	struct fixture *f = *state;
	struct vm_rec a = make_vm("vm-00000001", "web");
	struct err e;

	assert_int_equal(store_vm_update(f->s, &a, &e), -ENOENT);
	assert_int_equal(e.kind, ERR_BUG);
	vm_rec_done(&a);
}

static void add_vm(struct fixture *f, unsigned i)
{
	char id[ID_LEN];
	struct vm_rec r;
	struct err e;

	(void)snprintf(id, sizeof(id), "vm-%08x", i);
	r = make_vm(id, id);
	assert_int_equal(store_vm_insert(f->s, &r, &e), 0);
	vm_rec_done(&r);
}

static void leases_fill_the_network_exactly(void **state)
{
	struct fixture *f = *state;
	struct vm_lease l;
	struct err e;
	uint32_t used;

	for (unsigned i = 0; i < 6; i++)
		add_vm(f, i);
	for (unsigned i = 0; i < 5; i++) { /* a /29 has 6 hosts, one is the gateway */
		char id[ID_LEN];

		(void)snprintf(id, sizeof(id), "vm-%08x", i);
		assert_int_equal(store_lease_take(f->s, &f->net, id, 0, NULL, &l, &e), 0);
		assert_int_equal(l.number, i + 1);
		assert_int_equal(l.ip, 0xc0a86402u + i);
	}
	assert_int_equal(store_lease_take(f->s, &f->net, "vm-00000005", 0, NULL, &l, &e), -ENOSPC);
	assert_string_equal(e.id, "network.exhausted");
	assert_non_null(strstr(e.text, "5 of 5"));
	assert_int_equal(store_lease_free(f->s, "vm-00000002", &e), 0);
	assert_int_equal(store_lease_take(f->s, &f->net, "vm-00000005", 0, NULL, &l, &e), 0);
	assert_int_equal(l.number, 3); /* the gap is used again */
	assert_int_equal(l.ip, 0xc0a86404u);
	assert_int_equal(store_lease_count(f->s, "default", &used, &e), 0);
	assert_int_equal(used, 5);
}

static void wanted_addresses_are_checked(void **state)
{
	static const uint32_t bad_ips[] = {0xc0a86400u, 0xc0a86401u, 0xc0a86407u};
	struct fixture *f = *state;
	const uint8_t mac[6] = {0x02, 1, 2, 3, 4, 5}, group[6] = {0x01};
	struct vm_lease l;
	struct err e;

	add_vm(f, 0);
	add_vm(f, 1);
	assert_int_equal(store_lease_take(f->s, &f->net, "vm-00000000", 0xc0a86405u, mac, &l, &e),
			 0);
	assert_int_equal(l.ip, 0xc0a86405u);
	assert_memory_equal(l.mac, mac, 6);
	assert_int_equal(store_lease_take(f->s, &f->net, "vm-00000001", 0xc0a86405u, NULL, &l, &e),
			 -EEXIST);
	assert_string_equal(e.id, "network.address-taken");
	assert_non_null(strstr(e.text, "vm-00000000"));
	assert_int_equal(store_lease_take(f->s, &f->net, "vm-00000001", 0, mac, &l, &e), -EEXIST);
	assert_string_equal(e.id, "network.mac-taken");
	assert_int_equal(store_lease_take(f->s, &f->net, "vm-00000001", 0, group, &l, &e), -EINVAL);
	for (size_t i = 0; i < ARRAY_LEN(bad_ips); i++) { /* network, gateway, broadcast */
		assert_int_equal(
			store_lease_take(f->s, &f->net, "vm-00000001", bad_ips[i], NULL, &l, &e),
			-EINVAL);
		assert_string_equal(e.id, "network.bad-address");
	}
}

static void a_rollback_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	struct vm_rec r = make_vm("vm-00000001", "web"), got = {0};
	struct vm_lease l;
	struct err e;
	uint32_t used;

	assert_int_equal(store_begin(f->s, &e), 0);
	assert_int_equal(store_vm_insert(f->s, &r, &e), 0);
	assert_int_equal(store_lease_take(f->s, &f->net, r.id, 0, NULL, &l, &e), 0);
	store_rollback(f->s);
	assert_int_equal(store_vm_each(f->s, keep_vm, &got, &e), 0);
	assert_string_equal(got.id, "");
	assert_int_equal(store_lease_count(f->s, "default", &used, &e), 0);
	assert_int_equal(used, 0);
	vm_rec_done(&r);
}

static int keep_network(void *ctx, const struct network *n)
{
	*(struct network *)ctx = *n;
	return 0;
}

static void networks_in_use_stay(void **state)
{
	struct fixture *f = *state;
	struct network got = {0};
	struct vm_lease l;
	struct err e;

	assert_int_equal(store_network_each(f->s, keep_network, &got, &e), 0);
	assert_int_equal(got.cidr, f->net.cidr);
	assert_int_equal(got.dns_n, 2);
	assert_int_equal(got.dns[1], 0x05060708);
	assert_true(got.nat && got.isolated);
	assert_int_equal(store_network_insert(f->s, &f->net, &e), -EEXIST);
	add_vm(f, 0);
	assert_int_equal(store_lease_take(f->s, &f->net, "vm-00000000", 0, NULL, &l, &e), 0);
	assert_int_equal(store_network_delete(f->s, "default", &e), -EBUSY);
	assert_string_equal(e.id, "network.in-use");
	assert_int_equal(store_network_delete(f->s, "other", &e), -ENOENT);
}

struct seen {
	uint64_t seq[8];
	unsigned n;
	char text[600];
};

static int keep_event(void *ctx, const struct vm_event *ev)
{
	struct seen *seen = ctx;

	seen->seq[seen->n++] = ev->seq;
	memcpy(seen->text, ev->text, sizeof(seen->text));
	return 0;
}

static void events_grow_and_are_pruned(void **state)
{
	struct fixture *f = *state;
	struct vm_event ev = {.vm = "vm-00000000", .kind = "state", .text = "why", .wall_us = 5};
	struct seen all = {0}, after = {0}, other = {0}, left = {0};
	struct err e;
	uint64_t n;

	add_vm(f, 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(store_event_append(f->s, &ev, &e), 0);
	(void)snprintf(ev.vm, sizeof(ev.vm), "vm-gone");
	assert_int_equal(store_event_append(f->s, &ev, &e), 0);
	assert_int_equal(store_event_each(f->s, NULL, 0, 100, keep_event, &all, &e), 0);
	assert_int_equal(all.n, 4);
	assert_true(all.seq[0] < all.seq[1] && all.seq[2] < all.seq[3]);
	assert_string_equal(all.text, "why");
	assert_int_equal(
		store_event_each(f->s, "vm-00000000", all.seq[0], 1, keep_event, &after, &e), 0);
	assert_int_equal(after.n, 1);
	assert_true(after.seq[0] == all.seq[1]);
	assert_int_equal(store_event_each(f->s, "vm-none", 0, 100, keep_event, &other, &e), 0);
	assert_int_equal(other.n, 0);
	assert_int_equal(store_event_prune(f->s, 6, &n, &e), 0);
	assert_int_equal(n, 1); /* only those of the VM that is gone */
	assert_int_equal(store_event_each(f->s, NULL, 0, 100, keep_event, &left, &e), 0);
	assert_int_equal(left.n, 3);
}

static int count_tokens(void *ctx, const struct token *t)
{
	assert_string_equal(t->hash, "h");
	assert_int_equal(t->role, ROLE_USER);
	++*(int *)ctx;
	return 0;
}

static void tokens_and_keys(void **state)
{
	struct fixture *f = *state;
	struct token t = {.id = "tok-00000001", .user_id = "bob", .hash = "h", .role = ROLE_USER};
	char hash[HASH_TEXT_LEN], vm[ID_LEN];
	struct err e;
	int n = 0;

	assert_int_equal(store_token_insert(f->s, &t, &e), 0);
	assert_int_equal(store_token_insert(f->s, &t, &e), -EEXIST);
	assert_int_equal(store_token_each(f->s, count_tokens, &n, &e), 0);
	assert_int_equal(n, 1);
	assert_int_equal(store_token_delete(f->s, t.id, &e), 0);
	assert_int_equal(store_token_delete(f->s, t.id, &e), -ENOENT);
	assert_int_equal(store_idem_find(f->s, "bob", "k", hash, vm, &e), -ENOENT);
	assert_int_equal(store_idem_insert(f->s, "bob", "k", "hash", "vm-1", &e), 0);
	assert_int_equal(store_idem_insert(f->s, "bob", "k", "hash", "vm-1", &e), -EEXIST);
	assert_int_equal(store_idem_find(f->s, "bob", "k", hash, vm, &e), 0);
	assert_string_equal(vm, "vm-1");
	assert_int_equal(store_idem_prune(f->s, UINT64_C(1) << 62, &e), 0);
	assert_int_equal(store_idem_find(f->s, "bob", "k", hash, vm, &e), -ENOENT);
}

static void a_second_hearthd_refuses(void **state)
{
	struct fixture *f = *state;
	struct store *other = NULL;
	char pid[24];
	struct err e;

	assert_int_equal(store_open(f->path, &other, &e), -EBUSY);
	assert_string_equal(e.id, "store.in-use");
	(void)snprintf(pid, sizeof(pid), "pid %d", (int)getpid());
	assert_non_null(strstr(e.text, pid));
	assert_null(other);
}

static void close_store(struct fixture *f)
{
	store_close(f->s);
	f->s = NULL;
}

static void open_fails_with(struct fixture *f, const char *id)
{
	struct err e;

	assert_true(store_open(f->path, &f->s, &e) < 0);
	assert_string_equal(e.id, id);
	assert_non_null(strstr(e.text, f->path));
	assert_true(e.remedy[0] != '\0');
	assert_null(f->s);
}

static void a_damaged_file_is_named(void **state)
{
	struct fixture *f = *state;
	char junk[4096];

	close_store(f);
	memset(junk, 'x', sizeof(junk));
	assert_int_equal(fd_replace_file(f->path, junk, sizeof(junk), 0600, NULL), 0);
	open_fails_with(f, "store.corrupt");
}

static void a_damaged_page_is_named(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	char junk[512];
	int fd;

	for (unsigned i = 0; i < 300; i++)
		add_vm(f, i);
	close_store(f); /* the last connection checkpoints the WAL into the file */
	memset(junk, 0xa5, sizeof(junk));
	fd = open(f->path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 8 * 4096);
	for (off_t at = 4096; at < st.st_size; at += 4096)
		assert_int_equal(pwrite(fd, junk, sizeof(junk), at), sizeof(junk));
	assert_int_equal(close(fd), 0);
	open_fails_with(f, "store.corrupt");
}

static void run_sql(const char *path, const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void a_newer_file_is_named(void **state)
{
	struct fixture *f = *state;

	close_store(f);
	run_sql(f->path, "PRAGMA user_version = 999");
	open_fails_with(f, "store.newer");
}

static void a_locked_file_is_named(void **state)
{
	struct fixture *f = *state;
	sqlite3 *db;
	struct err e;

	assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	assert_true(store_begin(f->s, &e) < 0);
	assert_string_equal(e.id, "store.locked");
	assert_int_equal(sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	assert_int_equal(store_begin(f->s, &e), 0);
	store_rollback(f->s);
}

/* As an unprivileged user, because root writes read-only files all the same. */
static void a_read_only_file_is_named(void **state)
{
	struct fixture *f = *state;
	int status;
	pid_t pid;

	if (geteuid() != 0)
		skip();
	close_store(f);
	assert_int_equal(chmod(f->dir, 0755), 0);
	assert_int_equal(chmod(f->path, 0644), 0);
	pid = fork();
	if (pid == 0) {
		struct store *s = NULL;
		struct err e = {0};
		int rc = setgid(65534) || setuid(65534) ? -1 : store_open(f->path, &s, &e);

		_exit(rc < 0 && e.id && str_eq(e.id, "store.read-only") ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void memory_runs_out_at_open(void **state)
{
	struct fixture *f = *state;

	close_store(f);
	for (long n = 0; n < 100; n++) {
		struct err e = {0};
		int rc;

		mem_fail_after(n);
		rc = store_open(f->path, &f->s, &e);
		mem_fail_after(-1);
		if (rc == 0) {
			assert_true(n > 3);
			return;
		}
		assert_int_equal(rc, -ENOMEM);
		assert_null(f->s);
	}
	fail_msg("store_open never succeeded");
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(vm_round_trip),
		T(names_are_unique_per_user),
		T(an_update_of_nothing_is_a_bug),
		T(leases_fill_the_network_exactly),
		T(wanted_addresses_are_checked),
		T(a_rollback_leaves_nothing),
		T(networks_in_use_stay),
		T(events_grow_and_are_pruned),
		T(tokens_and_keys),
		T(a_second_hearthd_refuses),
		T(a_damaged_file_is_named),
		T(a_damaged_page_is_named),
		T(a_newer_file_is_named),
		T(a_locked_file_is_named),
		T(a_read_only_file_is_named),
		T(memory_runs_out_at_open),
	};

	return RUN_TESTS(tests);
}
