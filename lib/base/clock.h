#pragma once
/*
 * The two clocks: monotonic nanoseconds for durations and order, wall microseconds for people.
 */
#include <stdint.h>

#define NS_PER_MS 1000000ull
#define NS_PER_S  1000000000ull
#define US_PER_S  1000000ull

uint64_t clock_mono_ns(void); /* CLOCK_MONOTONIC; never jumps */
uint64_t clock_boot_ns(void); /* CLOCK_BOOTTIME; goes on during suspend */
uint64_t clock_wall_us(void); /* CLOCK_REALTIME, µs since 1970; may jump, for display only */

#define CLOCK_TEXT_LEN 28 /* "2026-11-23T21:30:18.123456Z" + NUL */
/* RFC 3339 in UTC with microseconds. */
void clock_text(uint64_t wall_us, char ret_text[CLOCK_TEXT_LEN]);

#define CLOCK_BOOT_ID_LEN 37 /* UUID text + NUL */
/* The kernel's boot id (Documentation/admin-guide/sysctl/kernel.rst, random/boot_id); "" if it
 * can't be read. */
void clock_boot_id(char ret_id[CLOCK_BOOT_ID_LEN]);
