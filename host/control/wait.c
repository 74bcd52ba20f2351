/*
 * Waiting for a VM to be proven, ready, stopped or gone.
 * Loop's thread, from the API (`?wait=`); every waiter is answered exactly once.
 */
#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "control/control_internal.h"

static void unlink_waiter(struct waiter *w)
{
	if (!w->prevp)
		return;
	*w->prevp = w->next;
	if (w->next)
		w->next->prevp = w->prevp;
	w->next = NULL;
	w->prevp = NULL;
}

static void answer(struct waiter *w, struct vm *v, const struct err *e)
{
	loop_timer_stop(w->vm->c->loop, &w->timer);
	unlink_waiter(w);
	w->vm = NULL;
	w->fn(w, v, e);
}

/* 1: it holds; 0: not yet; negative: it never will, e says why. */
static int judge(const struct waiter *w, struct err *e)
{
	const struct vm *v = w->vm;
	enum vm_state s = v->rec.state;
	bool over = s == VM_STOPPED || s == VM_FAILED || s == VM_DELETING || s == VM_STOPPING;

	switch (w->what) {
	case WAIT_GONE:
		return 0; /* waiters_gone answers */
	case WAIT_STOPPED:
		return s == VM_STOPPED || s == VM_FAILED ? 1 : 0;
	case WAIT_NETWORK:
		if (v->proven && !over)
			return 1;
		break;
	case WAIT_READY:
		if (s == VM_READY && v->proven)
			return 1;
		break;
	case WAIT_N_:
		break;
	}
	if (s == VM_FAILED) {
		(void)err_set(e, -ECANCELED, ERR_GUEST, "vm.failed", "vm %s failed: %s: %s",
			      v->rec.id, v->rec.cause, v->rec.cause_text);
		return err_remedy(e, "%s", v->rec.remedy);
	}
	if (s == VM_STOPPED || s == VM_DELETING)
		return err_set(e, -ECANCELED, ERR_STATE, "vm.not-running", "vm %s is %s", v->rec.id,
			       lifecycle_state_name(s));
	return 0;
}

static int timed_out(const struct waiter *w, struct err *e)
{
	const struct vm *v = w->vm;
	const char *missing = "its state";

	if (w->what == WAIT_NETWORK || w->what == WAIT_READY) {
		missing = "its probes";
		for (int s = PROOF_STEP_N_ - 1; s >= 0; s--)
			if (!v->proven && v->proof[s].verdict != PROOF_HOLDS)
				missing = proof_step_name((enum proof_step)s);
	}
	return err_set(e, -ETIMEDOUT, ERR_TIMEOUT, "vm.wait-timeout",
		       "vm %s is still %s; what misses: %s", v->rec.id,
		       lifecycle_state_name(v->rec.state), missing);
}

static void on_timer(struct timer *t)
{
	struct waiter *w = container_of(t, struct waiter, timer);
	struct vm *v = w->vm;
	struct err e = {0};
	int rc = judge(w, &e);

	if (rc == 0 && clock_mono_ns() < w->due_ns) {
		if (loop_timer(v->c->loop, &w->timer, w->due_ns) == 0)
			return;
		rc = err_nomem(&e);
	}
	if (rc == 0)
		rc = timed_out(w, &e);
	answer(w, v, rc > 0 ? NULL : &e);
}

/* A waiter's callback may cancel or add others, so the walk begins anew after each. */
void waiters_check(struct vm *v)
{
	struct waiter *w = v->waiters;

	while (w) {
		struct err e = {0};
		int rc = judge(w, &e);

		if (rc == 0) {
			w = w->next;
			continue;
		}
		/* Answered from a timer: the callback may delete v, and the caller still needs
		 * it. */
		if (loop_timer(v->c->loop, &w->timer, 0) < 0)
			return; /* the time limit answers */
		w = w->next;
	}
}

void waiters_gone(struct vm *v)
{
	while (v->waiters) {
		struct waiter *w = v->waiters;
		struct err e = {0};

		(void)err_set(&e, -ENOENT, ERR_ABSENT, "vm.gone", "vm %s was deleted", v->rec.id);
		answer(w, NULL, w->what == WAIT_GONE ? NULL : &e);
	}
}

int control_vm_wait(struct control *c, struct vm *v, enum wait_for what, uint64_t timeout_ms,
		    struct waiter *w, struct err *e)
{
	w->vm = v;
	w->what = what;
	w->due_ns = clock_mono_ns() + timeout_ms * NS_PER_MS;
	w->timer = (struct timer){.fire = on_timer};
	/* it may hold already: asked in the next round */
	if (loop_timer(c->loop, &w->timer, 0) < 0)
		return err_nomem(e);
	w->next = v->waiters;
	w->prevp = &v->waiters;
	if (w->next)
		w->next->prevp = &w->next;
	v->waiters = w;
	return 0;
}

void control_wait_cancel(struct control *c, struct waiter *w)
{
	loop_timer_stop(c->loop, &w->timer);
	unlink_waiter(w);
	w->vm = NULL;
}
