/*
 * Reads the kernel's clocks and boot id.  Called from everywhere, on any thread.
 */
#include "base/clock.h"

#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"

static uint64_t read_ns(clockid_t id)
{
	struct timespec t;

	(void)clock_gettime(id, &t); /* can't fail for these ids on Linux */
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

uint64_t clock_mono_ns(void)
{
	return read_ns(CLOCK_MONOTONIC);
}

uint64_t clock_boot_ns(void)
{
	return read_ns(CLOCK_BOOTTIME);
}

uint64_t clock_wall_us(void)
{
	return read_ns(CLOCK_REALTIME) / 1000;
}

void clock_text(uint64_t wall_us, char ret_text[CLOCK_TEXT_LEN])
{
	time_t s = (time_t)(wall_us / US_PER_S);
	struct tm tm;
	char date[24];

	if (!gmtime_r(&s, &tm) || tm.tm_year > 8099 ||
	    !strftime(date, sizeof(date), "%FT%T", &tm)) {
		(void)snprintf(ret_text, CLOCK_TEXT_LEN, "?"); /* fits */
		return;
	}
	(void)snprintf(ret_text, CLOCK_TEXT_LEN, "%.19s.%06uZ", date,
		       (unsigned)(wall_us % US_PER_S)); /* fits: the year has four digits */
}

void clock_boot_id(char ret_id[CLOCK_BOOT_ID_LEN])
{
	auto_close int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, ret_id, CLOCK_BOOT_ID_LEN - 1);

	ret_id[n > 0 ? n : 0] = '\0';
}
