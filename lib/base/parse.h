#pragma once
/*
 * Exact parsing of numbers, sizes, durations and addresses: the whole text or nothing.
 *
 * All return 0, or -EINVAL (not of this form) or -ERANGE (of this form, outside min..max); the
 * output is untouched on failure.  No leading blanks, signs, octal or trailing text are accepted.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int parse_u64(const char *s, uint64_t min, uint64_t max, uint64_t *ret)
	__attribute__((warn_unused_result));
int parse_u32(const char *s, uint32_t min, uint32_t max, uint32_t *ret)
	__attribute__((warn_unused_result));
/* "0x…" or bare hexadecimal digits. */
int parse_hex64(const char *s, uint64_t *ret) __attribute__((warn_unused_result));
/* "4096", "512K", "64M", "2G" (powers of 1024) -> bytes. */
int parse_size(const char *s, uint64_t *ret_bytes) __attribute__((warn_unused_result));
/* "250ms", "30s", "5min", "2h", "7d"; a bare number is seconds -> milliseconds. */
int parse_duration_ms(const char *s, uint64_t *ret_ms) __attribute__((warn_unused_result));
/* yes/no true/false on/off 1/0 */
int parse_bool(const char *s, bool *ret) __attribute__((warn_unused_result));

/* Dotted quad -> host byte order. */
int parse_ipv4(const char *s, uint32_t *ret) __attribute__((warn_unused_result));
/* "192.168.100.0/24" -> address (host order, host bits kept) and prefix length 0..32. */
int parse_cidr(const char *s, uint32_t *ret_addr, unsigned *ret_prefix)
	__attribute__((warn_unused_result));
/* "06:00:c0:a8:64:05", either case. */
int parse_mac(const char *s, uint8_t ret[6]) __attribute__((warn_unused_result));

#define IPV4_TEXT_LEN 16
#define MAC_TEXT_LEN  18
void format_ipv4(uint32_t addr, char ret[IPV4_TEXT_LEN]); /* addr in host byte order */
void format_mac(const uint8_t mac[6], char ret[MAC_TEXT_LEN]);
uint32_t ipv4_mask(unsigned prefix); /* host order; prefix 0..32 */
