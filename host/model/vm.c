/*
 * Names of a VM's states and options, and copies of its record.
 * Called by the controller, the store and the API on any thread.
 */
#include "model/vm.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/str.h"

const char *const vm_state_names[VM_STATE_N_] = {
	[VM_CREATING] = "creating",	[VM_STARTING] = "starting", [VM_BOOTING] = "booting",
	[VM_CONNECTING] = "connecting", [VM_READY] = "ready",	    [VM_STOPPING] = "stopping",
	[VM_STOPPED] = "stopped",	[VM_FAILED] = "failed",	    [VM_DELETING] = "deleting",
};

const char *const vm_transport_names[VM_TRANSPORT_N_] = {
	[VM_PCI] = "pci",
	[VM_MMIO] = "mmio",
};

const char *const vm_root_names[VM_ROOT_N_] = {
	[VM_ROOT_OVERLAY] = "overlay",
	[VM_ROOT_DIRECT] = "direct",
};

const char *vm_state_name(enum vm_state s)
{
	assert((unsigned)s < VM_STATE_N_);
	return vm_state_names[s];
}

enum vm_state vm_state_parse(const char *name)
{
	int i = str_index(vm_state_names, VM_STATE_N_, name);

	return i < 0 ? VM_STATE_N_ : (enum vm_state)i;
}

bool vm_state_has_process(enum vm_state s)
{
	return s == VM_STARTING || s == VM_BOOTING || s == VM_CONNECTING || s == VM_READY ||
	       s == VM_STOPPING;
}

const char *vm_transport_name(enum vm_transport t)
{
	assert((unsigned)t < VM_TRANSPORT_N_);
	return vm_transport_names[t];
}

const char *vm_root_name(enum vm_root r)
{
	assert((unsigned)r < VM_ROOT_N_);
	return vm_root_names[r];
}

void vm_rec_done(struct vm_rec *r)
{
	free(r->labels);
	r->labels = NULL;
}

int vm_rec_copy(struct vm_rec *dst, const struct vm_rec *src)
{
	char *labels = NULL;

	if (src->labels) {
		labels = mem_strdup(src->labels);
		if (!labels)
			return -ENOMEM;
	}
	*dst = *src;
	dst->labels = labels;
	return 0;
}
