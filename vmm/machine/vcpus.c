/*
 * The vCPU threads: run, dispatch what the guest accesses, pause, stop.
 */
#include <errno.h>
#include <sys/prctl.h>

#include "base/err.h"
#include "base/str.h"
#include "machine/machine_internal.h"

/* False: this thread is to end. */
static bool may_run(struct machine *m)
{
	bool go;

	(void)pthread_mutex_lock(&m->lock); /* a plain mutex can't fail */
	if (m->pause && !m->stop) {
		m->waiting_n++;
		(void)pthread_cond_broadcast(&m->changed);
		while (m->pause && !m->stop)
			(void)pthread_cond_wait(&m->changed, &m->lock);
		m->waiting_n--;
	}
	go = !m->stop;
	(void)pthread_mutex_unlock(&m->lock);
	return go;
}

/* The machine has ended: nothing of the guest runs on, and pause must not wait for this thread. */
static void wait_for_stop(struct machine *m)
{
	(void)pthread_mutex_lock(&m->lock);
	m->waiting_n++;
	(void)pthread_cond_broadcast(&m->changed);
	while (!m->stop)
		(void)pthread_cond_wait(&m->changed, &m->lock);
	(void)pthread_mutex_unlock(&m->lock);
}

static void access_bus(struct bus *b, const struct vcpu_exit *x)
{
	for (unsigned i = 0; i < x->count; i++) {
		uint8_t *data = x->data + (size_t)i * x->len;

		if (x->write)
			bus_write(b, x->addr, data, x->len);
		else
			bus_read(b, x->addr, data, x->len);
	}
}

/* False: the machine has ended by this. */
static bool handle(struct machine *m, const struct vcpu_exit *x)
{
	switch (x->kind) {
	case VCPU_PIO:
		access_bus(&m->pio, x);
		return true;
	case VCPU_MMIO:
		access_bus(&m->mmio, x);
		return true;
	case VCPU_KICKED:
		return true;
	case VCPU_SHUTDOWN:
		machine_end(m, END_TRIPLE_FAULT, "");
		return false;
	case VCPU_HALTED:
		machine_end(m, END_FAILED, "a vCPU halted for ever");
		return false;
	default:
		machine_end(m, END_FAILED, x->why);
		return false;
	}
}

static void *run(void *arg)
{
	struct machine_vcpu *c = arg;
	struct machine *m = c->machine;
	struct vcpu_exit x = {.kind = VCPU_KICKED};
	char name[16];

	if (str_fmt(name, sizeof(name), "fc_vcpu %u", c->id)) /* tools look for this name */
		(void)prctl(PR_SET_NAME, name);
	while (x.kind != VCPU_KICKED || may_run(m)) {
		vcpu_run(c->vcpu, &x);
		if (!handle(m, &x)) {
			wait_for_stop(m);
			break;
		}
	}
	return NULL;
}

int vcpus_make(struct machine *m, struct err *e)
{
	int rc = 0;

	vcpu_kick_prepare();
	while (m->vcpus_n < m->cfg.vcpus && !rc) {
		struct machine_vcpu *c = &m->vcpus[m->vcpus_n];

		c->machine = m;
		c->id = m->vcpus_n;
		rc = vcpu_new(m->vm, c->id, m->cfg.vcpus, &c->vcpu, e);
		if (!rc)
			m->vcpus_n++;
	}
	if (!rc)
		rc = vcpu_set_entry(m->vcpus[0].vcpu, &m->entry, e);
	return rc;
}

int vcpus_start(struct machine *m, struct err *e)
{
	m->pause = true; /* the guest's first instruction comes when all threads are there */
	for (unsigned i = 0; i < m->vcpus_n; i++) {
		int rc = pthread_create(&m->vcpus[i].thread, NULL, run, &m->vcpus[i]);

		if (rc)
			return err_sys(e, rc, "machine.thread", "the thread of vCPU %u", i);
		m->vcpus[i].started = true;
	}
	machine_resume(m);
	return 0;
}

static unsigned kick_all(struct machine *m)
{
	unsigned n = 0;

	for (unsigned i = 0; i < m->vcpus_n; i++) {
		if (!m->vcpus[i].started)
			continue;
		vcpu_kick(m->vcpus[i].vcpu, m->vcpus[i].thread);
		n++;
	}
	return n;
}

void machine_pause(struct machine *m)
{
	unsigned n;

	(void)pthread_mutex_lock(&m->lock);
	m->pause = true;
	n = kick_all(m);
	while (m->waiting_n < n)
		(void)pthread_cond_wait(&m->changed, &m->lock);
	(void)pthread_mutex_unlock(&m->lock);
}

void machine_resume(struct machine *m)
{
	(void)pthread_mutex_lock(&m->lock);
	m->pause = false;
	(void)pthread_cond_broadcast(&m->changed);
	(void)pthread_mutex_unlock(&m->lock);
}

bool machine_is_paused(const struct machine *m)
{
	return m->pause; /* only the main thread, which asks, writes it */
}

void vcpus_stop(struct machine *m)
{
	(void)pthread_mutex_lock(&m->lock);
	m->stop = true;
	(void)pthread_cond_broadcast(&m->changed);
	(void)pthread_mutex_unlock(&m->lock);
	(void)kick_all(m);
	for (unsigned i = 0; i < m->vcpus_n; i++) {
		if (m->vcpus[i].started)
			(void)pthread_join(m->vcpus[i].thread, NULL); /* ours, joined once */
		vcpu_free(m->vcpus[i].vcpu);
	}
	m->vcpus_n = 0;
}
