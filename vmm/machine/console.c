/*
 * Ties the serial port to standard input and output, and to its interrupt.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "machine/machine_internal.h"

#define COLLECT_NS (2 * NS_PER_MS) /* a prompt without a newline appears after this */

static void set_irq(void *ctx, bool level)
{
	struct machine *m = ctx;

	kvm_vm_irq(m->vm, SERIAL_GSI, level);
}

static void flush_soon(void *ctx)
{
	struct machine *m = ctx;
	struct itimerspec in = {.it_value.tv_nsec = COLLECT_NS};

	(void)timerfd_settime(m->tick_fd, 0, &in, NULL); /* valid arguments: can't fail */
}

static void on_input(struct watch *w, uint32_t got)
{
	struct machine *m = container_of(w, struct machine, stdin_watch);
	uint8_t bytes[SERIAL_FIFO];
	unsigned room = serial_room(&m->serial);
	ssize_t n = 0;

	(void)got;
	if (room)
		n = read(w->fd, bytes, room);
	if (room && n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n > 0) {
		serial_input(&m->serial, bytes, (unsigned)n);
		return;
	}
	loop_unwatch(m->loop, w); /* its end, or no room: on_tick comes back to it */
	m->stdin_watched = false;
	if (room)
		w->fd = -1;
}

static void on_tick(struct watch *w, uint32_t got)
{
	struct machine *m = container_of(w, struct machine, tick_watch);
	uint64_t ticks;

	(void)got;
	if (read(w->fd, &ticks, sizeof(ticks)) < 0)
		return; /* re-armed in between: it comes again */
	serial_flush(&m->serial);
	if (!m->stdin_watched && m->stdin_watch.fd >= 0 &&
	    !loop_watch(m->loop, &m->stdin_watch, NULL))
		m->stdin_watched = true;
}

int console_attach(struct machine *m, struct err *e)
{
	int rc;

	m->serial.set_irq = set_irq;
	m->serial.flush_soon = flush_soon;
	m->serial.ctx = m;
	m->serial.out_fd = STDOUT_FILENO;
	m->tick_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (m->tick_fd < 0)
		return err_sys(e, errno, "machine.console", "timerfd_create");
	m->tick_watch = (struct watch){.fd = m->tick_fd, .want = EPOLLIN, .ready = on_tick};
	rc = loop_watch(m->loop, &m->tick_watch, e);
	if (rc)
		return rc;
	/* /dev/null and regular files can't be watched: then there is no input. */
	m->stdin_watch = (struct watch){.fd = STDIN_FILENO, .want = EPOLLIN, .ready = on_input};
	m->stdin_watched = !loop_watch(m->loop, &m->stdin_watch, NULL);
	if (!m->stdin_watched)
		m->stdin_watch.fd = -1;
	return serial_attach(&m->serial, &m->pio, e);
}

void console_detach(struct machine *m)
{
	if (m->stdin_watched)
		loop_unwatch(m->loop, &m->stdin_watch);
	loop_unwatch(m->loop, &m->tick_watch);
	serial_flush(&m->serial);
	cleanup_close(&m->tick_fd);
}
