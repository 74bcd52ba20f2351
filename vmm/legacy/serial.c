/*
 * A 16550A UART (National Semiconductor PC16550D data sheet), whose line is a descriptor.
 *
 * Registers, by offset:  0 RBR/THR (DLL with LCR bit 7)  1 IER (DLM)  2 IIR/FCR  3 LCR  4 MCR
 *	5 LSR  6 MSR  7 SCR
 * A byte is sent in no time, so that the transmitter is always empty.  Output is collected and
 * written at each newline, when the buffer is full, or when the machine calls serial_flush.
 */
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "legacy/legacy.h"

#define IER_RX	      0x01u
#define IER_THR_EMPTY 0x02u
#define IIR_NONE      0x01u
#define IIR_THR_EMPTY 0x02u
#define IIR_RX	      0x04u
#define IIR_FIFO      0xc0u
#define FCR_ENABLE    0x01u
#define FCR_CLEAR_RX  0x02u
#define LCR_DIVISOR   0x80u
#define MCR_LOOP      0x10u
#define LSR_DATA      0x01u
#define LSR_SENT      0x60u /* holding register and shifter are empty */
#define MSR_READY     0xb0u /* carrier, data set ready, clear to send */
#define MCR_TO_MSR(m) ((((m)&0x0cu) << 4) | (((m)&0x02u) << 3) | (((m)&0x01u) << 5))

static uint8_t pending(const struct serial *s)
{
	if ((s->ier & IER_RX) && s->in_n)
		return IIR_RX;
	if ((s->ier & IER_THR_EMPTY) && s->thr_empty_pending)
		return IIR_THR_EMPTY;
	return IIR_NONE;
}

static void update_irq(struct serial *s)
{
	bool level = pending(s) != IIR_NONE;

	if (level == s->level)
		return;
	s->level = level;
	s->set_irq(s->ctx, level);
}

static void flush_locked(struct serial *s)
{
	unsigned n = s->out_n;

	s->out_n = 0;
	if (s->out_fd >= 0 && n && fd_write_all(s->out_fd, s->out, n))
		s->out_fd = -1; /* its reader has gone; the guest must not suffer from that */
}

static void push_input(struct serial *s, uint8_t byte)
{
	if (s->in_n == SERIAL_FIFO) {
		(void)__atomic_add_fetch(&s->lost, 1, __ATOMIC_RELAXED);
		return;
	}
	s->in[(s->in_at + s->in_n++) % SERIAL_FIFO] = byte;
}

static uint8_t pop_input(struct serial *s)
{
	uint8_t byte;

	if (!s->in_n)
		return 0;
	byte = s->in[s->in_at];
	s->in_at = (s->in_at + 1) % SERIAL_FIFO;
	s->in_n--;
	if (s->full && !s->in_n) {
		s->full = false;
		s->flush_soon(s->ctx);
	}
	return byte;
}

static void transmit(struct serial *s, uint8_t byte)
{
	s->thr_empty_pending = true;
	if (s->mcr & MCR_LOOP) {
		push_input(s, byte);
		return;
	}
	s->out[s->out_n++] = (char)byte;
	(void)__atomic_add_fetch(&s->written, 1, __ATOMIC_RELAXED);
	if (byte == '\n' || s->out_n == SERIAL_OUT)
		flush_locked(s);
	else if (s->out_n == 1)
		s->flush_soon(s->ctx);
}

static uint8_t read_reg(struct serial *s, uint64_t reg)
{
	uint8_t v;

	switch (reg) {
	case 0:
		return s->lcr & LCR_DIVISOR ? s->divisor[0] : pop_input(s);
	case 1:
		return s->lcr & LCR_DIVISOR ? s->divisor[1] : s->ier;
	case 2:
		v = pending(s);
		if (v == IIR_THR_EMPTY)
			s->thr_empty_pending = false;
		return v | (s->fcr & FCR_ENABLE ? IIR_FIFO : 0);
	case 3:
		return s->lcr;
	case 4:
		return s->mcr;
	case 5:
		return LSR_SENT | (s->in_n ? LSR_DATA : 0);
	case 6:
		return s->mcr & MCR_LOOP ? MCR_TO_MSR(s->mcr) : MSR_READY;
	default:
		return s->scr;
	}
}

static void write_reg(struct serial *s, uint64_t reg, uint8_t v)
{
	switch (reg) {
	case 0:
		if (s->lcr & LCR_DIVISOR)
			s->divisor[0] = v;
		else
			transmit(s, v);
		break;
	case 1:
		if (s->lcr & LCR_DIVISOR) {
			s->divisor[1] = v;
			break;
		}
		if (!(s->ier & IER_THR_EMPTY) && (v & IER_THR_EMPTY))
			s->thr_empty_pending = true; /* the data sheet: enabling it raises it */
		s->ier = v & 0x0f;
		break;
	case 2:
		s->fcr = v;
		if (v & FCR_CLEAR_RX)
			s->in_n = 0;
		break;
	case 3:
		s->lcr = v;
		break;
	case 4:
		s->mcr = v & 0x1f;
		break;
	case 7:
		s->scr = v;
		break;
	default: /* LSR and MSR can't be written */
		break;
	}
}

static void on_read(void *ctx, uint64_t off, void *data, unsigned len)
{
	struct serial *s = ctx;

	(void)pthread_mutex_lock(&s->lock); /* a plain mutex can't fail */
	for (unsigned i = 0; i < len; i++)
		((uint8_t *)data)[i] = read_reg(s, off + i);
	update_irq(s);
	(void)pthread_mutex_unlock(&s->lock);
}

static void on_write(void *ctx, uint64_t off, const void *data, unsigned len)
{
	struct serial *s = ctx;

	(void)pthread_mutex_lock(&s->lock);
	for (unsigned i = 0; i < len; i++)
		write_reg(s, off + i, ((const uint8_t *)data)[i]);
	update_irq(s);
	(void)pthread_mutex_unlock(&s->lock);
}

void serial_init(struct serial *s)
{
	(void)pthread_mutex_init(&s->lock, NULL); /* without attributes it can't fail */
	s->out_fd = -1;
}

int serial_attach(struct serial *s, struct bus *pio, struct err *e)
{
	static const struct bus_ops ops = {on_read, on_write};
	struct bus_region r = {"serial", SERIAL_PORT, 8, &ops, s};

	return bus_add(pio, &r, e);
}

unsigned serial_room(struct serial *s)
{
	unsigned room;

	(void)pthread_mutex_lock(&s->lock);
	room = SERIAL_FIFO - s->in_n;
	s->full = room == 0;
	(void)pthread_mutex_unlock(&s->lock);
	return room;
}

void serial_input(struct serial *s, const void *data, unsigned len)
{
	(void)pthread_mutex_lock(&s->lock);
	for (unsigned i = 0; i < len; i++)
		push_input(s, ((const uint8_t *)data)[i]);
	update_irq(s);
	(void)pthread_mutex_unlock(&s->lock);
}

void serial_flush(struct serial *s)
{
	(void)pthread_mutex_lock(&s->lock);
	flush_locked(s);
	(void)pthread_mutex_unlock(&s->lock);
}
