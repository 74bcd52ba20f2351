/*
 * Tests of base/proc with real programs of the base system: status, streams, time limits, identity.
 */
#include "base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/parse.h"
#include "unit.h"

#define ARGV(...) ((const char *const[]){__VA_ARGS__, NULL})

static void gives_the_exit_status(void **state)
{
	struct err e = {0};

	(void)state;
	assert_int_equal(proc_run(&(struct proc_run){.argv = ARGV("true")}, &e), 0);
	assert_int_equal(proc_run(&(struct proc_run){.argv = ARGV("false")}, &e), 1);
	assert_int_equal(proc_run(&(struct proc_run){.argv = ARGV("sh", "-c", "exit 42")}, &e), 42);
	assert_int_equal(proc_run(&(struct proc_run){.argv = ARGV("sh", "-c", "kill -9 $$")}, &e),
			 137);
	assert_int_equal(e.code, 0);
	assert_int_equal(proc_run(&(struct proc_run){.argv = ARGV("no-such-program-here")}, &e),
			 -ENOENT);
	assert_string_equal(e.id, "program.start");
	assert_non_null(strstr(e.text, "no-such-program-here"));
	assert_int_equal(
		proc_run(&(struct proc_run){.argv = ARGV("true"), .cwd = "/nonexistent"}, &e),
		-ENOENT);
}

static void connects_the_streams(void **state)
{
	auto_buf out = {0}, err = {0}, both = {0};
	struct err e = {0};

	(void)state;
	assert_int_equal(
		proc_run(&(struct proc_run){.argv = ARGV("sh", "-c", "cat; pwd; echo bad >&2"),
					    .in = "in\n",
					    .in_len = 3,
					    .cwd = "/usr",
					    .out = &out,
					    .err = &err},
			 &e),
		0);
	assert_string_equal(buf_text(&out), "in\n/usr\n");
	assert_string_equal(buf_text(&err), "bad\n");
	assert_int_equal(
		proc_run(&(struct proc_run){.argv = ARGV("sh", "-c", "echo a; echo b >&2; echo c"),
					    .out = &both,
					    .err = &both},
			 &e),
		0);
	assert_string_equal(buf_text(&both), "a\nb\nc\n");
	buf_reset(&out);
	assert_int_equal(proc_run(&(struct proc_run){.argv = ARGV("cat"), .out = &out}, &e), 0);
	assert_string_equal(buf_text(&out), ""); /* standard input is /dev/null */
}

/* More than any pipe holds goes in and comes out at the same time. */
static void moves_much_both_ways(void **state)
{
	auto_buf in = {0}, out = {0};
	struct err e = {0};

	(void)state;
	while (in.len < 3 << 20)
		assert_int_equal(buf_printf(&in, "line %zu\n", in.len), 0);
	assert_int_equal(proc_run(&(struct proc_run){.argv = ARGV("cat"),
						     .in = in.data,
						     .in_len = in.len,
						     .out = &out},
				  &e),
			 0);
	assert_int_equal(out.len, in.len);
	assert_memory_equal(out.data, in.data, in.len);
}

/* A child that does not read its input must not kill us by SIGPIPE, nor block us. */
static void outlives_deaf_children(void **state)
{
	auto_free char *in = calloc(1, 1 << 20);
	struct err e = {0};

	(void)state;
	assert_non_null(in);
	assert_int_equal(
		proc_run(&(struct proc_run){.argv = ARGV("true"), .in = in, .in_len = 1 << 20}, &e),
		0);
	assert_int_equal(proc_run(&(struct proc_run){.argv = ARGV("sh", "-c", "exec <&-; exit 3"),
						     .in = in,
						     .in_len = 1 << 20},
				  &e),
			 3);
}

static void limits_output(void **state)
{
	auto_buf out = {.max = 1000};
	struct err e = {0};

	(void)state;
	assert_int_equal(
		proc_run(&(struct proc_run){.argv = ARGV("sh", "-c", "yes | head -c 1000000"),
					    .out = &out},
			 &e),
		0);
	assert_true(out.failed);
	assert_true(out.len <= 1000);
}

static void writes_to_a_log(void **state)
{
	char path[] = "/tmp/hearth-test-proc-XXXXXX";
	auto_close int fd = mkostemp(path, O_CLOEXEC);
	auto_buf b = {0};
	struct err e = {0};

	(void)state;
	assert_true(fd > 0);
	assert_int_equal(proc_run(&(struct proc_run){.argv = ARGV("sh", "-c", "echo a; echo b >&2"),
						     .log_fd = fd},
				  &e),
			 0);
	assert_int_equal(fd_read_file(path, 100, &b, &e), 0);
	assert_int_equal(unlink(path), 0);
	assert_string_equal(buf_text(&b), "a\nb\n");
}

/* The whole group ends, also a grandchild: the read end of its pipe then sees the end. */
static void stops_at_the_limit(void **state)
{
	struct err e = {0};
	char c;
	int p[2];

	(void)state;
	assert_int_equal(pipe2(p, 0), 0); /* inherited by the children on purpose */
	assert_int_equal(fcntl(p[0], F_SETFD, FD_CLOEXEC), 0);
	assert_int_equal(
		proc_run(&(struct proc_run){.argv = ARGV("sh", "-c", "sleep 1000 & sleep 1000"),
					    .timeout_ms = 50},
			 &e),
		-ETIMEDOUT);
	assert_string_equal(e.id, "program.timeout");
	assert_int_equal(close(p[1]), 0);
	assert_int_equal(read(p[0], &c, 1), 0);
	assert_int_equal(close(p[0]), 0);
}

/* Output of a grandchild that outlives the child is not waited for. */
static void does_not_wait_for_strays(void **state)
{
	auto_buf out = {0};
	struct err e = {0};
	uint32_t stray;

	(void)state;
	assert_int_equal(
		proc_run(&(struct proc_run){.argv = ARGV("sh", "-c", "sleep 1000 & echo $!"),
					    .out = &out},
			 &e),
		0);
	assert_true(out.len > 1);
	out.data[out.len - 1] = '\0'; /* the newline */
	assert_int_equal(parse_u32(out.data, 2, INT32_MAX, &stray), 0);
	assert_int_equal(kill((pid_t)stray, SIGKILL), 0);
}

static void leaks_no_descriptors(void **state)
{
	auto_buf out = {0};
	int before = dup(0), after;

	(void)state;
	assert_int_equal(close(before), 0);
	for (int i = 0; i < 20; i++) {
		(void)proc_run(
			&(struct proc_run){
				.argv = ARGV("true"), .in = "x", .in_len = 1, .out = &out},
			NULL);
		(void)proc_run(
			&(struct proc_run){.argv = ARGV("no-such-program-here"), .out = &out},
			NULL);
	}
	after = dup(0);
	assert_int_equal(close(after), 0);
	assert_int_equal(before, after);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void tells_processes_apart(void **state)
{
	uint64_t mine = 0, theirs = 0;
	int p[2];
	pid_t pid;
	char c;

	(void)state;
	assert_int_equal(proc_start_time(getpid(), &mine), 0);
	assert_true(mine > 0);
	assert_true(proc_is(getpid(), mine));
	assert_false(proc_is(getpid(), mine + 1));
	assert_false(proc_is(0, mine));
	assert_false(proc_is(-1, mine));
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0)
		_exit(0);
	assert_true(pid > 0);
	assert_int_equal(close(p[1]), 0);
	assert_int_equal(read(p[0], &c, 1), 0); /* it has exited: a zombie now */
	assert_int_equal(close(p[0]), 0);
	assert_int_equal(waitid(P_PID, (id_t)pid, &(siginfo_t){0}, WEXITED | WNOWAIT), 0);
	assert_int_equal(proc_start_time(pid, &theirs), 0);
	assert_false(proc_is(pid, theirs));
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(proc_start_time(pid, &theirs), -ESRCH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gives_the_exit_status), cmocka_unit_test(connects_the_streams),
		cmocka_unit_test(moves_much_both_ways),	 cmocka_unit_test(outlives_deaf_children),
		cmocka_unit_test(limits_output),	 cmocka_unit_test(writes_to_a_log),
		cmocka_unit_test(stops_at_the_limit),	 cmocka_unit_test(does_not_wait_for_strays),
		cmocka_unit_test(leaks_no_descriptors),	 cmocka_unit_test(tells_processes_apart),
	};

	return RUN_TESTS(tests);
}
