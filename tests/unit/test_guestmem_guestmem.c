/*
 * Tests of guest memory: what lies inside, what lies beyond or across its end, and overflow.
 */
#include "guestmem/guestmem.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "unit.h"

#define LOW  0x10000u
#define HIGH 0x100000000ull

static struct guestmem *two_regions(void)
{
	static const struct gm_range ranges[] = {{0, LOW}, {HIGH, GM_PAGE}};
	struct guestmem *gm;

	assert_int_equal(gm_new(ranges, 2, &gm, NULL), 0);
	return gm;
}

static void reads_and_writes(void **state)
{
	struct guestmem *gm = two_regions();
	char text[4] = "";

	(void)state;
	assert_int_equal(gm_size(gm), LOW + GM_PAGE);
	assert_int_equal(gm_write(gm, LOW - 4, "abc", 4), 0);
	assert_int_equal(gm_read(gm, LOW - 4, text, 4), 0);
	assert_string_equal(text, "abc");
	assert_int_equal(gm_write(gm, HIGH + GM_PAGE - 4, "xyz", 4), 0);
	assert_int_equal(gm_read(gm, HIGH, text, 4), 0);
	assert_int_equal(text[0], 0); /* fresh memory is zero */
	gm_free(gm);
}

static void beyond(void **state)
{
	static const struct {
		gpa_t gpa;
		uint64_t len;
	} bad[] = {
		{LOW, 1},
		{LOW - 1, 2},
		{LOW - 3, 4},
		{HIGH - 1, 1},
		{HIGH - 1, 2},
		{HIGH + GM_PAGE, 1},
		{HIGH, GM_PAGE + 1},
		{0, LOW + 1},
		{UINT64_MAX, 1},
		{UINT64_MAX, UINT64_MAX},
		{1, UINT64_MAX},
		{0, UINT64_MAX},
		{HIGH, UINT64_MAX},
		{UINT64_MAX - 3, 8},
	};
	struct guestmem *gm = two_regions();
	struct gm_span span = {NULL, 7};
	char room[8];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(gm_view(gm, bad[i].gpa, bad[i].len, &span), -EFAULT);
		if (bad[i].len > sizeof(room))
			continue;
		assert_int_equal(gm_read(gm, bad[i].gpa, room, bad[i].len), -EFAULT);
		assert_int_equal(gm_write(gm, bad[i].gpa, room, bad[i].len), -EFAULT);
	}
	assert_null(span.host); /* untouched on failure */
	assert_int_equal(gm_view(gm, 0, LOW, &span), 0);
	assert_int_equal(span.len, LOW);
	gm_free(gm);
}

static void ring_words(void **state)
{
	struct guestmem *gm = two_regions();
	struct gm_span span;
	uint8_t bytes[2];

	(void)state;
	assert_int_equal(gm_view(gm, 16, 8, &span), 0);
	gm_store_le16(&span, 6, 0x1234);
	assert_int_equal(gm_load_le16(&span, 6), 0x1234);
	gm_span_read(&span, 6, bytes, 2);
	assert_int_equal(bytes[0], 0x34);
	gm_free(gm);
}

static void files(void **state)
{
	struct guestmem *gm = two_regions();
	int fd = memfd_create("test", MFD_CLOEXEC);
	char text[5] = "";

	(void)state;
	assert_int_equal(write(fd, "0123456789", 10), 10);
	assert_int_equal(gm_load_file(gm, 8, fd, 3, 4), 0);
	assert_int_equal(gm_read(gm, 8, text, 4), 0);
	assert_string_equal(text, "3456");
	assert_int_equal(gm_load_file(gm, 8, fd, 3, 8), -EIO);
	assert_int_equal(gm_load_file(gm, LOW - 2, fd, 0, 4), -EFAULT);
	(void)close(fd);
	gm_free(gm);
}

static void no_memory(void **state)
{
	static const struct gm_range range = {0, GM_PAGE};
	struct guestmem *gm = NULL;

	(void)state;
	EACH_ALLOCATION_FAILS(gm_new(&range, 1, &gm, NULL), gm_free(gm));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_and_writes), cmocka_unit_test(beyond),
		cmocka_unit_test(ring_words),	    cmocka_unit_test(files),
		cmocka_unit_test(no_memory),
	};

	return RUN_TESTS(tests);
}
