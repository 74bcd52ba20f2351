/*
 * Builds and ends the machine.
 */
#include "machine/machine.h"

#include <stdio.h>
#include <assert.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "machine/machine_internal.h"

static const char *const end_names[] = {
	[END_POWEROFF] = "poweroff",
	[END_RESET] = "reset",
	[END_TRIPLE_FAULT] = "triple-fault",
	[END_FAILED] = "failed",
};
static_assert(ARRAY_LEN(end_names) == END_N_, "a name for each end");

const char *machine_end_name(enum machine_end end)
{
	return end_names[end];
}

/* --- ending --- */

static void report_end(void *arg)
{
	struct machine *m = arg;

	serial_flush(&m->serial);
	m->ended(m->ended_ctx, m->end, m->end_why);
}

void machine_end(struct machine *m, enum machine_end end, const char *why)
{
	if (__atomic_exchange_n(&m->ending, true, __ATOMIC_ACQ_REL))
		return;
	m->end = end;
	(void)snprintf(m->end_why, sizeof(m->end_why), "%s", why); /* cut is fine: for people */
	/* The post orders these writes before report_end.  Without memory for it the process can't
	 * learn of the end in another way. */
	if (loop_post(m->loop, report_end, m))
		abort();
}

static void on_wish(void *ctx, enum machine_wish w)
{
	machine_end(ctx, w == WISH_POWEROFF ? END_POWEROFF : END_RESET, "");
}

/* --- building --- */

static int make_memory(struct machine *m, struct err *e)
{
	uint64_t size = m->cfg.mem_mib << 20;
	struct gm_range ranges[2] = {{0, size < BOOT_HOLE_GPA ? size : BOOT_HOLE_GPA},
				     {BOOT_ABOVE_GPA, size - BOOT_HOLE_GPA}};

	return gm_new(ranges, size > BOOT_HOLE_GPA ? 2 : 1, &m->gm, e);
}

static int build(struct machine *m, struct err *e)
{
	int rc = make_memory(m, e);

	m->platform.wish = on_wish;
	m->platform.ctx = m;
	if (!rc)
		rc = kvm_vm_new(m->gm, &m->vm, e);
	if (!rc)
		rc = platform_attach(&m->platform, &m->pio, e);
	if (!rc)
		rc = console_attach(m, e);
	if (!rc)
		rc = devices_attach(m, e);
	if (!rc)
		rc = kernel_place(m, e);
	if (!rc)
		rc = vcpus_make(m, e);
	return rc;
}

int machine_new(const struct vm_config *cfg, struct loop *loop, machine_ended_fn *ended, void *ctx,
		struct machine **ret, struct err *e)
{
	AUTO(machine) m = mem_zalloc(sizeof(*m));
	int rc;

	if (!m)
		return err_nomem(e);
	m->cfg = *cfg;
	m->loop = loop;
	m->ended = ended;
	m->ended_ctx = ctx;
	m->tick_fd = -1;
	(void)pthread_mutex_init(&m->lock, NULL); /* without attributes these two can't fail */
	(void)pthread_cond_init(&m->changed, NULL);
	serial_init(&m->serial);
	rc = build(m, e);
	if (!rc)
		*ret = take_ptr(m);
	return rc;
}

int machine_start(struct machine *m, struct err *e)
{
	return vcpus_start(m, e);
}

void machine_free(struct machine *m)
{
	if (!m)
		return;
	vcpus_stop(m);
	devices_detach(m);
	console_detach(m);
	kvm_vm_free(m->vm);
	gm_free(m->gm);
	free(m);
}
