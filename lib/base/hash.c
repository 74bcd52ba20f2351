/*
 * SHA-256 by libsodium, and the kernel's random bytes.  Any thread.
 */
#include "base/hash.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

#define FILE_STEP 65536 /* bytes a read(2) */

static void hex(const uint8_t *bytes, size_t n, char *dst)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		dst[2 * i] = digits[bytes[i] >> 4];
		dst[2 * i + 1] = digits[bytes[i] & 15];
	}
	dst[2 * n] = '\0';
}

void hash_bytes(const void *data, size_t len, char ret_hex[HASH_TEXT_LEN])
{
	uint8_t sum[crypto_hash_sha256_BYTES];

	(void)crypto_hash_sha256(sum, data, len); /* always 0 */
	hex(sum, sizeof(sum), ret_hex);
}

int hash_file(const char *path, char ret_hex[HASH_TEXT_LEN], struct err *e)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint8_t block[FILE_STEP], sum[crypto_hash_sha256_BYTES];
	crypto_hash_sha256_state st;
	ssize_t n;

	if (fd < 0)
		return err_sys(e, errno, "file.open", "%s", path);
	(void)crypto_hash_sha256_init(&st); /* always 0 */
	while ((n = read(fd, block, sizeof(block))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, errno, "file.read", "%s", path);
		(void)crypto_hash_sha256_update(&st, block, (size_t)n); /* always 0 */
	}
	(void)crypto_hash_sha256_final(&st, sum); /* always 0 */
	hex(sum, sizeof(sum), ret_hex);
	return 0;
}

void random_bytes(void *dst, size_t len)
{
	for (size_t got = 0; got < len;) {
		ssize_t n = getrandom((char *)dst + got, len - got, 0);

		assert(n > 0 || errno == EINTR);
		if (n > 0)
			got += (size_t)n;
	}
}

void random_hex(char *dst, size_t n)
{
	uint8_t b[64];

	assert(n <= sizeof(b));
	random_bytes(b, n);
	hex(b, n, dst);
}
