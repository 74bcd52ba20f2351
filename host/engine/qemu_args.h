#pragma once
/*
 * QEMU's argument vector for one VM.
 */
#include <stdbool.h>

struct err;
struct launch;
struct vm_spec;

/* Fill la: arguments, descriptors of sockets, kernel, initrd, drives and TAP. */
int qemu_args(struct launch *la, const struct vm_spec *spec, bool kvm, const char *program,
	      struct err *e);
