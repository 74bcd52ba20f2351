#pragma once
/*
 * A stand-in of the controller for tests of host/rest: VMs in memory that do what a test says, and
 * a real store for events and tokens.  Tests alone link it.
 */
#include "control/control.h"

#define FAKE_VMS 1024

struct control *fake_new(const char *dir, struct loop *l);
void fake_free(struct control *c);
/* Move the VM, record the event, end what waits for that state. */
void fake_move(struct control *c, struct vm *v, enum vm_state to);
void fake_gone(struct control *c, struct vm *v);
unsigned fake_waiters(const struct control *c);
/* What the last verify waits with; NULL: none. */
struct verify *fake_verify(const struct control *c);
/* The path that control_console_path gives for every VM. */
void fake_console(struct control *c, const char *path);
