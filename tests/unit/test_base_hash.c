/*
 * Tests of base/hash: the examples of the SHA-256 standard, files, random bytes.
 */
#include "base/hash.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/str.h"
#include "unit.h"

/* NIST's example values for FIPS 180-4 (one block, two blocks) and the empty message. */
static const struct {
	const char *text, *sum;
} known[] = {
	{"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
	{"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
	{"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
	 "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
};

static void sums_memory(void **state)
{
	char sum[HASH_TEXT_LEN];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		hash_bytes(known[i].text, strlen(known[i].text), sum);
		assert_string_equal(sum, known[i].sum);
	}
}

static void sums_files(void **state)
{
	char path[] = "/tmp/hearth-test-hash-XXXXXX", sum[HASH_TEXT_LEN], want[HASH_TEXT_LEN];
	auto_close int fd = mkstemp(path);
	auto_free char *big = calloc(1, 200001);
	struct err e = {0};

	(void)state;
	assert_true(fd >= 0 && big);
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		assert_int_equal(
			fd_replace_file(path, known[i].text, strlen(known[i].text), 0600, &e), 0);
		assert_int_equal(hash_file(path, sum, &e), 0);
		assert_string_equal(sum, known[i].sum);
	}
	memset(big, 'x', 200001); /* more than three reads */
	assert_int_equal(fd_replace_file(path, big, 200001, 0600, &e), 0);
	assert_int_equal(hash_file(path, sum, &e), 0);
	hash_bytes(big, 200001, want);
	assert_string_equal(sum, want);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(hash_file(path, sum, &e), -ENOENT);
	assert_int_equal(hash_file("/tmp", sum, &e), -EISDIR);
}

static void random_differs(void **state)
{
	uint8_t zero[600] = {0}, a[600] = {0}, b[600] = {0};
	char x[129], y[129];

	(void)state;
	random_bytes(a, sizeof(a)); /* more than the 256 bytes that getrandom gives in one piece */
	random_bytes(b, sizeof(b));
	assert_memory_not_equal(a, b, sizeof(a));
	assert_memory_not_equal(a + 500, zero, 100);
	random_hex(x, 64);
	random_hex(y, 64);
	assert_int_equal(strlen(x), 128);
	assert_int_equal(strspn(x, "0123456789abcdef"), 128);
	assert_string_not_equal(x, y);
	random_hex(x, 0);
	assert_string_equal(x, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sums_memory),
		cmocka_unit_test(sums_files),
		cmocka_unit_test(random_differs),
	};

	return RUN_TESTS(tests);
}
