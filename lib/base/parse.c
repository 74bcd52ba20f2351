/*
 * Exact parsers for numbers, sizes, durations, IPv4 and MAC addresses, and their formatters.
 * Called from everywhere.  Trust: every text here may be hostile.
 */
#include "base/parse.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"

/* Digits of *s in the given base up to the first other character; advances *s. */
static int digits(const char **s, unsigned base, uint64_t *ret)
{
	uint64_t v = 0;
	const char *p = *s;
	bool over = false;

	for (;; p++) {
		unsigned d;

		if (*p >= '0' && *p <= '9')
			d = (unsigned)(*p - '0');
		else if (base == 16 && (*p | 32) >= 'a' && (*p | 32) <= 'f')
			d = (unsigned)((*p | 32) - 'a') + 10;
		else
			break;
		over |= __builtin_mul_overflow(v, (uint64_t)base, &v);
		over |= __builtin_add_overflow(v, (uint64_t)d, &v);
	}
	if (p == *s)
		return -EINVAL;
	*s = p;
	if (over)
		return -ERANGE;
	*ret = v;
	return 0;
}

int parse_u64(const char *s, uint64_t min, uint64_t max, uint64_t *ret)
{
	uint64_t v;
	int rc = digits(&s, 10, &v);

	if (*s || rc == -EINVAL)
		return -EINVAL;
	if (rc || v < min || v > max)
		return -ERANGE;
	*ret = v;
	return 0;
}

int parse_u32(const char *s, uint32_t min, uint32_t max, uint32_t *ret)
{
	uint64_t v;
	int rc = parse_u64(s, min, max, &v);

	if (rc)
		return rc;
	*ret = (uint32_t)v;
	return 0;
}

int parse_hex64(const char *s, uint64_t *ret)
{
	uint64_t v;
	int rc;

	if (s[0] == '0' && (s[1] | 32) == 'x')
		s += 2;
	rc = digits(&s, 16, &v);
	if (*s || rc == -EINVAL)
		return -EINVAL;
	if (rc)
		return rc;
	*ret = v;
	return 0;
}

struct unit {
	const char *name;
	uint64_t factor;
};

static int with_unit(const char *s, const struct unit *units, size_t n, uint64_t *ret)
{
	uint64_t v;
	int rc = digits(&s, 10, &v);

	if (rc)
		return rc;
	for (size_t i = 0; i < n; i++) {
		if (!str_eq(s, units[i].name))
			continue;
		if (__builtin_mul_overflow(v, units[i].factor, &v))
			return -ERANGE;
		*ret = v;
		return 0;
	}
	return -EINVAL;
}

int parse_size(const char *s, uint64_t *ret_bytes)
{
	static const struct unit units[] = {
		{"", 1},	   {"B", 1},
		{"K", 1ull << 10}, {"KiB", 1ull << 10},
		{"M", 1ull << 20}, {"MiB", 1ull << 20},
		{"G", 1ull << 30}, {"GiB", 1ull << 30},
		{"T", 1ull << 40}, {"TiB", 1ull << 40},
	};

	return with_unit(s, units, ARRAY_LEN(units), ret_bytes);
}

int parse_duration_ms(const char *s, uint64_t *ret_ms)
{
	static const struct unit units[] = {
		{"ms", 1}, {"", 1000}, {"s", 1000}, {"min", 60000}, {"h", 3600000}, {"d", 86400000},
	};

	return with_unit(s, units, ARRAY_LEN(units), ret_ms);
}

int parse_bool(const char *s, bool *ret)
{
	static const char *const yes[] = {"yes", "true", "on", "1"};
	static const char *const no[] = {"no", "false", "off", "0"};

	if (str_index(yes, ARRAY_LEN(yes), s) >= 0)
		*ret = true;
	else if (str_index(no, ARRAY_LEN(no), s) >= 0)
		*ret = false;
	else
		return -EINVAL;
	return 0;
}

static int ipv4_prefix(const char **s, uint32_t *ret)
{
	uint32_t addr = 0;

	for (int i = 0; i < 4; i++) {
		uint64_t v;
		const char *start = *s;

		if (i && *(*s)++ != '.')
			return -EINVAL;
		if (i)
			start = *s;
		if (digits(s, 10, &v) || v > 255 || *s - start > 3 ||
		    (*start == '0' && *s - start > 1))
			return -EINVAL;
		addr = addr << 8 | (uint32_t)v;
	}
	*ret = addr;
	return 0;
}

int parse_ipv4(const char *s, uint32_t *ret)
{
	uint32_t addr;

	if (ipv4_prefix(&s, &addr) || *s)
		return -EINVAL;
	*ret = addr;
	return 0;
}

int parse_cidr(const char *s, uint32_t *ret_addr, unsigned *ret_prefix)
{
	uint32_t addr, prefix;
	int rc;

	if (ipv4_prefix(&s, &addr) || *s != '/')
		return -EINVAL;
	rc = parse_u32(s + 1, 0, 32, &prefix);
	if (rc)
		return rc;
	*ret_addr = addr;
	*ret_prefix = prefix;
	return 0;
}

int parse_mac(const char *s, uint8_t ret[6])
{
	uint8_t mac[6];

	if (strlen(s) != MAC_TEXT_LEN - 1)
		return -EINVAL;
	for (int i = 0; i < 6; i++) {
		char pair[3] = {s[3 * i], s[3 * i + 1], '\0'};
		uint64_t v;

		if ((i < 5 && s[3 * i + 2] != ':') || pair[1] == 'x' || parse_hex64(pair, &v))
			return -EINVAL;
		mac[i] = (uint8_t)v;
	}
	memcpy(ret, mac, sizeof(mac));
	return 0;
}

void format_ipv4(uint32_t addr, char ret[IPV4_TEXT_LEN])
{
	(void)snprintf(ret, IPV4_TEXT_LEN, "%u.%u.%u.%u", addr >> 24, addr >> 16 & 255,
		       addr >> 8 & 255, addr & 255); /* fits: 4 * 3 + 3 + NUL */
}

void format_mac(const uint8_t mac[6], char ret[MAC_TEXT_LEN])
{
	(void)snprintf(ret, MAC_TEXT_LEN, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
		       mac[3], mac[4], mac[5]); /* fits: 6 * 2 + 5 + NUL */
}

uint32_t ipv4_mask(unsigned prefix)
{
	return prefix == 0 ? 0 : ~(uint32_t)0 << (32 - prefix);
}
