/*
 * Fuzz target: the neutraliser of terminal control sequences.  The first byte chooses how and in
 * which pieces; whatever comes, the output commands nothing and does not depend on the pieces.
 */
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "cli/text.h"
#include "fuzz.h"

/* Only ESC [ digits ; : m, and only where colours are wanted. */
static size_t colour_len(const char *s)
{
	size_t n = 2;

	assert(s[1] == '[');
	n += strspn(s + n, "0123456789;:");
	assert(s[n] == 'm');
	return n + 1;
}

static void check_harmless(const struct buf *out, const struct neutral *how)
{
	const char *s = buf_text(out);

	assert(strlen(s) == out->len); /* no NUL */
	assert(str_is_utf8(s, out->len));
	for (size_t i = 0; i < out->len;) {
		unsigned char c = (unsigned char)s[i];

		if (c == 0x1b) {
			assert(how->colours);
			i += colour_len(s + i);
			continue;
		}
		assert(c >= 0x20 || (!how->one_line && (c == '\n' || c == '\t')));
		assert(c != 0x7f);
		assert(c != 0xc2 || (unsigned char)s[i + 1] >= 0xa0); /* U+0080 to U+009F */
		i++;
	}
}

static void run(struct neutral n, const uint8_t *data, size_t size, size_t step, struct buf *out)
{
	for (size_t i = 0; i < size; i += step)
		assert(neutral_feed(&n, data + i, size - i < step ? size - i : step, out) == 0);
	assert(neutral_end(&n, out) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct neutral how = {0};
	auto_buf whole = {0}, pieces = {0};
	size_t step;

	if (size == 0 || size > 65536)
		return 0;
	how.colours = data[0] & 1;
	how.one_line = data[0] & 2;
	step = 1 + (data[0] >> 2);
	run(how, data + 1, size - 1, size, &whole);
	run(how, data + 1, size - 1, step, &pieces);
	check_harmless(&whole, &how);
	assert(whole.len == pieces.len);
	assert(!whole.len || memcmp(whole.data, pieces.data, whole.len) == 0);
	(void)text_width(buf_text(&whole), whole.len); /* only that it ends, within bounds */
	assert(text_fit(buf_text(&whole), whole.len, 80) <= whole.len);
	return 0;
}
