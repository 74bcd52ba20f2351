/*
 * Tests of base/log: the form of lines, quoting, levels, the limit for guests, lines from threads.
 */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/str.h"
#include "unit.h"

static int out[2];

static int open_pipe(void **state)
{
	(void)state;
	return pipe2(out, O_CLOEXEC | O_NONBLOCK);
}

static int close_pipe(void **state)
{
	(void)state;
	log_init(LOG_LV_INFO, STDERR_FILENO);
	return close(out[0]) || close(out[1]);
}

/* What was written since the last call, behind the time stamp when there is one line. */
static const char *written(void)
{
	static char text[65536];
	ssize_t n = read(out[0], text, sizeof(text) - 1);

	text[n < 0 ? 0 : n] = '\0';
	return n > 28 ? text + 28 : text;
}

static void writes_logfmt(void **state)
{
	struct err e = {0};

	(void)state;
	log_init(LOG_LV_INFO, out[1]);
	log_info("vm.started", LS("vm", "vm-1a2b3c4d"), LU("took_us", UINT64_MAX),
		 LI("d", INT64_MIN));
	assert_string_equal(written(),
			    "info vm.started vm=vm-1a2b3c4d took_us=18446744073709551615 "
			    "d=-9223372036854775808\n");
	log_error("x");
	assert_string_equal(written(), "error x\n");
	(void)err_sys(&e, ENOENT, "file.open", "/a b");
	log_warn("y", LE(&e));
	assert_string_equal(written(),
			    "warn y code=file.open error=\"/a b: No such file or directory\"\n");
}

static void quotes_what_could_mislead(void **state)
{
	static const struct {
		const char *value, *text;
	} rows[] = {
		{NULL, "-"},
		{"", "\"\""},
		{"a b", "\"a b\""},
		{"a=b", "\"a=b\""},
		{"a\"b\\", "\"a\\\"b\\\\\""},
		{"a\nerror forged", "\"a\\nerror forged\""},
		{"\x1b[31m\r\x7f", "\"\\x1b[31m\\x0d\\x7f\""},
		{"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
	};
	char want[256];

	(void)state;
	log_init(LOG_LV_INFO, out[1]);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		log_info("e", LS("k", rows[i].value));
		assert_true(str_fmt(want, sizeof(want), "info e k=%s\n", rows[i].text));
		assert_string_equal(written(), want);
	}
}

static void respects_the_level(void **state)
{
	(void)state;
	log_init(LOG_LV_WARN, out[1]);
	log_info("no");
	log_debug("no");
	assert_string_equal(written(), "");
	log_warn("yes");
	assert_string_equal(written(), "warn yes\n");
	assert_int_equal(log_level_parse("debug"), LOG_LV_DEBUG);
	assert_int_equal(log_level_parse("error"), LOG_LV_ERROR);
	assert_int_equal(log_level_parse("Error"), LOG_LV_N_);
	assert_int_equal(log_level_parse(""), LOG_LV_N_);
}

static void cuts_long_lines(void **state)
{
	char value[9000];
	const char *line;

	(void)state;
	log_init(LOG_LV_INFO, out[1]);
	memset(value, 'v', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	log_info("e", LS("k", value), LS("l", value));
	line = written();
	assert_int_equal(strlen(line) + 28, 4096);
	assert_int_equal(line[strlen(line) - 1], '\n');
}

static unsigned count_lines(const char *text, const char *holding)
{
	unsigned n = 0;

	while ((text = strstr(text, holding))) {
		text++;
		n++;
	}
	return n;
}

/* How many pass depends on how long it takes (10 a second), but each is written or counted. */
static void limits_guests(void **state)
{
	uint64_t before = log_guest_suppressed();
	unsigned lines = 0;

	(void)state;
	log_init(LOG_LV_INFO, out[1]);
	for (int i = 0; i < 1000; i++) {
		log_guest("guest.ring", (const struct log_field[]){LI("i", i), {.key = 0}});
		if (i % 50 == 49)
			lines += count_lines(written(), "warn guest.ring");
	}
	assert_true(lines >= 10);
	assert_int_equal(lines + (log_guest_suppressed() - before), 1000);
	assert_true(log_guest_suppressed() > before);
}

static void *write_many(void *arg)
{
	for (int i = 0; i < 200; i++)
		log_info("thread", LS("who", arg),
			 LS("pad", "0123456789012345678901234567890123456789"));
	return NULL;
}

/* Threads write to a file; every line must be whole. */
static void threads_do_not_mix(void **state)
{
	char path[] = "/tmp/hearth-test-log-XXXXXX", *line, *save;
	auto_close int fd = mkostemp(path, O_APPEND);
	pthread_t t[4];
	auto_buf b = {0};
	unsigned n = 0;

	(void)state;
	assert_true(fd >= 0);
	log_init(LOG_LV_INFO, fd);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, write_many, (void *)(uintptr_t) "abc"),
				 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_join(t[i], NULL), 0);
	assert_int_equal(fd_read_file(path, 1 << 20, &b, NULL), 0);
	assert_int_equal(unlink(path), 0);
	for (save = b.data; (line = str_word(&save, "\n")); n++)
		assert_string_equal(line + 28, "info thread who=abc "
					       "pad=0123456789012345678901234567890123456789");
	assert_int_equal(n, 800);
}

#define T(f) cmocka_unit_test_setup_teardown(f, open_pipe, close_pipe)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(writes_logfmt),      T(quotes_what_could_mislead),
		T(respects_the_level), T(cuts_long_lines),
		T(limits_guests),      T(threads_do_not_mix),
	};

	return RUN_TESTS(tests);
}
