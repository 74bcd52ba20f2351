#pragma once
/*
 * What a PC kernel looks for at fixed ports: a 16550 UART, a keyboard controller, a CMOS clock, and
 * the power registers that our ACPI tables name.
 *
 * Guest accesses come on vCPU threads through the bus; each device has its own lock where it needs
 * one.  Trust: every access was chosen by the guest.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "bus/bus.h"

struct err;

#define SERIAL_PORT 0x3f8u
#define SERIAL_GSI  4u
#define POWER_PORT  0x600u /* sleep control, sleep status, reset: 3 ports */
#define RTC_PORT    0x70u

/* What the guest asked for. */
enum machine_wish { WISH_POWEROFF, WISH_RESET };

/* --- serial.c --- */

#define SERIAL_FIFO 64u	  /* bytes of input that wait for the guest; a real 16550A holds 16 */
#define SERIAL_OUT  1024u /* bytes of output collected before a write */

struct serial {
	pthread_mutex_t lock;
	void (*set_irq)(void *ctx, bool level); /* called with the lock held, on a change only */
	/* Call serial_flush soon: the first byte of output was collected, or the guest has taken
	 * input after there was no room.  Called with the lock held. */
	void (*flush_soon)(void *ctx);
	void *ctx;
	int out_fd; /* borrowed; -1: output vanishes */
	uint8_t ier, lcr, mcr, scr, fcr, divisor[2];
	bool thr_empty_pending, level, full; /* full: serial_room said 0 */
	uint8_t in[SERIAL_FIFO];
	unsigned in_at, in_n;
	char out[SERIAL_OUT];
	unsigned out_n;
	uint64_t written, lost; /* bytes, relaxed atomics: out, and in that found no room */
};

void serial_init(struct serial *s);
int serial_attach(struct serial *s, struct bus *pio, struct err *e);
/* Room for input, and input; what finds no room is counted and dropped. */
unsigned serial_room(struct serial *s);
void serial_input(struct serial *s, const void *data, unsigned len);
void serial_flush(struct serial *s);

/* --- platform.c --- */

struct platform {
	void (*wish)(void *ctx, enum machine_wish w); /* on the vCPU's thread */
	void *ctx;
	uint8_t rtc_index;
	uint8_t rtc[128];
};

int platform_attach(struct platform *p, struct bus *pio, struct err *e);
