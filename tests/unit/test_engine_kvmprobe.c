/*
 * Tests of engine/kvmprobe: the verdict agrees with what this machine offers, whatever that is.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/engine.h"
#include "unit.h"

static void gives_a_verdict_with_figures(void **state)
{
	auto_close int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int why = fd < 0 ? errno : 0;
	struct kvm_report r;

	(void)state;
	kvm_measure(&r);
	print_message("%s: %s (%llu us)\n", kvm_verdict_names[r.verdict], r.text,
		      (unsigned long long)r.took_us);
	assert_true(r.text[0] != '\0');
	assert_true(r.host_mips > 1);
	if (why == ENOENT)
		assert_int_equal(r.verdict, KVM_ABSENT);
	if (why == EACCES || why == EPERM)
		assert_int_equal(r.verdict, KVM_DENIED);
	if (why)
		assert_true(r.guest_mips <= 0);
	if (r.verdict == KVM_REAL)
		assert_true(r.guest_mips * 8 >= r.host_mips);
	if (r.verdict == KVM_EMULATED)
		assert_true(r.guest_mips * 8 < r.host_mips);
}

/* The node exists, and this user may not open it: told apart from its absence. */
static void tells_denied_from_absent(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	if (geteuid() != 0 || access("/dev/kvm", F_OK))
		skip();
	pid = fork();
	if (pid == 0) {
		struct kvm_report r;

		if (setgid(65534) || setuid(65534))
			_exit(2);
		if (access("/dev/kvm", R_OK | W_OK) == 0)
			_exit(0); /* everybody may: nothing to tell apart */
		kvm_measure(&r);
		_exit(r.verdict == KVM_DENIED && strstr(r.text, "EACCES") ? 0 : 1);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void leaves_no_child(void **state)
{
	(void)state;
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gives_a_verdict_with_figures),
		cmocka_unit_test(tells_denied_from_absent),
		cmocka_unit_test(leaves_no_child),
	};

	return RUN_TESTS(tests);
}
