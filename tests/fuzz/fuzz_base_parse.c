/*
 * Fuzz target: all parsers of base/parse, with round trips through their formatters.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/parse.h"
#include "base/str.h"
#include "fuzz.h"

#define UNTOUCHED 0x5a5a5a5a5a5a5a5aull

static void numbers(const char *s)
{
	uint64_t v = UNTOUCHED, again;
	uint32_t w = (uint32_t)UNTOUCHED;
	char text[24];

	if (parse_u64(s, 0, UINT64_MAX, &v)) {
		assert(v == UNTOUCHED);
	} else {
		assert(str_fmt(text, sizeof(text), "%" PRIu64, v));
		assert(str_ends(s, text)); /* but for leading zeros */
		assert(strspn(s, "0") >= strlen(s) - strlen(text));
	}
	v = UNTOUCHED;
	if (parse_u64(s, 10, 20, &v))
		assert(v == UNTOUCHED);
	else
		assert(v >= 10 && v <= 20);
	if (parse_u32(s, 0, UINT32_MAX, &w))
		assert(w == (uint32_t)UNTOUCHED);
	else
		assert(!parse_u64(s, 0, UINT32_MAX, &again) && again == w);
	v = UNTOUCHED;
	if (parse_hex64(s, &v)) {
		assert(v == UNTOUCHED);
	} else {
		assert(str_fmt(text, sizeof(text), "%" PRIx64, v));
		assert(!parse_hex64(text, &again) && again == v);
	}
}

static void units(const char *s)
{
	uint64_t bytes = UNTOUCHED, ms = UNTOUCHED, plain;
	bool flag = true;

	if (parse_size(s, &bytes))
		assert(bytes == UNTOUCHED);
	if (parse_duration_ms(s, &ms))
		assert(ms == UNTOUCHED);
	if (!parse_u64(s, 0, UINT64_MAX / 1000, &plain)) {
		assert(bytes == plain);
		assert(ms == plain * 1000);
	}
	if (parse_bool(s, &flag))
		assert(flag);
}

static void addresses(const char *s)
{
	uint32_t a = (uint32_t)UNTOUCHED, c = (uint32_t)UNTOUCHED;
	unsigned prefix = 77;
	uint8_t mac[6] = {0};
	char text[IPV4_TEXT_LEN], mac_text[MAC_TEXT_LEN];

	if (parse_ipv4(s, &a)) {
		assert(a == (uint32_t)UNTOUCHED);
	} else {
		format_ipv4(a, text);
		assert(str_eq(s, text)); /* there is one form of each address */
	}
	if (parse_cidr(s, &c, &prefix)) {
		assert(c == (uint32_t)UNTOUCHED && prefix == 77);
	} else {
		assert(prefix <= 32);
		format_ipv4(c, text);
		assert(str_starts(s, text) && s[strlen(text)] == '/');
		assert((c & ipv4_mask(prefix)) <= c);
	}
	if (!parse_mac(s, mac)) {
		format_mac(mac, mac_text);
		assert(strcasecmp(s, mac_text) == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *s = strndup((const char *)data, size);

	assert(s);
	numbers(s);
	units(s);
	addresses(s);
	free(s);
	return 0;
}
