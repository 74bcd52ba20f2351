/*
 * Keyboard controller, CMOS clock and power registers.
 *
 * Keyboard controller (IBM PS/2 Hardware Interface Technical Reference): 0x64 read: status, bit 0
 * data for us, bit 1 data from us; written: command, 0xfe pulses the reset line.  0x61: system
 * control, bit 5 is the output of timer 2.
 * Clock (Motorola MC146818 data sheet): index at 0x70, data at 0x71; 0 seconds 2 minutes 4 hours
 * 6 weekday 7 day 8 month 9 year 0x32 century; 0x0a status A, bit 7 update in progress; 0x0b status
 * B, bit 1 24-hour, bit 2 binary; 0x0d bit 7 battery good.
 * Power (ACPI 6.4 sec. 4.8.3.7): sleep control, bits 4-2 sleep type, bit 5 enable; sleep status.
 */
#include <time.h>

#include "legacy/legacy.h"

#define KBD_PORT      0x60u
#define KBD_RESET     0xfeu
#define TIMER2_OUT    0x20u /* always "done": no kernel waits for a timer that is not there */
#define SLEEP_ENABLE  0x20u
#define SLEEP_TYPE(v) (((v) >> 2) & 7u)
#define SLEEP_S5      5u
#define RESET_VALUE   1u
#define STATUS_B_WANT 0x02u /* 24-hour, BCD, as PCs have it */

static void kbd_read(void *ctx, uint64_t off, void *data, unsigned len)
{
	(void)ctx;
	for (unsigned i = 0; i < len; i++)
		((uint8_t *)data)[i] = off + i == 1 ? TIMER2_OUT : 0;
}

static void kbd_write(void *ctx, uint64_t off, const void *data, unsigned len)
{
	struct platform *p = ctx;

	if (len == 1 && off == 4 && *(const uint8_t *)data == KBD_RESET)
		p->wish(p->ctx, WISH_RESET);
}

static uint8_t bcd(int v)
{
	return (uint8_t)((v / 10 % 10) << 4 | v % 10);
}

static uint8_t rtc_get(const struct platform *p, uint8_t index)
{
	time_t now = time(NULL);
	struct tm tm;

	(void)gmtime_r(&now, &tm); /* fails only beyond the year 2^31 */
	switch (index) {
	case 0x00:
		return bcd(tm.tm_sec);
	case 0x02:
		return bcd(tm.tm_min);
	case 0x04:
		return bcd(tm.tm_hour);
	case 0x06:
		return bcd(tm.tm_wday + 1);
	case 0x07:
		return bcd(tm.tm_mday);
	case 0x08:
		return bcd(tm.tm_mon + 1);
	case 0x09:
		return bcd(tm.tm_year % 100);
	case 0x32:
		return bcd((tm.tm_year + 1900) / 100);
	case 0x0a:
		return 0x26; /* 32,768 Hz; never in the midst of an update */
	case 0x0b:
		return (uint8_t)((p->rtc[0x0b] & 0x78u) | STATUS_B_WANT);
	case 0x0c:
		return 0; /* no alarm ever came */
	case 0x0d:
		return 0x80;
	default:
		return p->rtc[index];
	}
}

static void rtc_read(void *ctx, uint64_t off, void *data, unsigned len)
{
	struct platform *p = ctx;

	(void)len;
	*(uint8_t *)data = off == 1 ? rtc_get(p, p->rtc_index) : 0xff;
}

static void rtc_write(void *ctx, uint64_t off, const void *data, unsigned len)
{
	struct platform *p = ctx;
	uint8_t v = *(const uint8_t *)data;

	(void)len;
	if (off == 0)
		p->rtc_index = v & 0x7f; /* bit 7 masks NMI */
	else
		p->rtc[p->rtc_index] = v; /* masked when it was stored */
}

static void power_read(void *ctx, uint64_t off, void *data, unsigned len)
{
	(void)ctx, (void)off, (void)data, (void)len; /* zero: awake, no wake-up has come */
}

static void power_write(void *ctx, uint64_t off, const void *data, unsigned len)
{
	struct platform *p = ctx;
	uint8_t v = *(const uint8_t *)data;

	(void)len;
	if (off == 0 && (v & SLEEP_ENABLE) && SLEEP_TYPE(v) == SLEEP_S5)
		p->wish(p->ctx, WISH_POWEROFF);
	else if (off == 2 && v == RESET_VALUE)
		p->wish(p->ctx, WISH_RESET);
}

int platform_attach(struct platform *p, struct bus *pio, struct err *e)
{
	static const struct bus_ops kbd = {kbd_read, kbd_write}, rtc = {rtc_read, rtc_write},
				    power = {power_read, power_write};
	const struct bus_region regions[] = {
		{"i8042", KBD_PORT, 5, &kbd, p},
		{"rtc", RTC_PORT, 2, &rtc, p},
		{"power", POWER_PORT, 3, &power, p},
	};
	int rc = 0;

	for (unsigned i = 0; i < sizeof(regions) / sizeof(regions[0]) && !rc; i++)
		rc = bus_add(pio, &regions[i], e);
	return rc;
}
