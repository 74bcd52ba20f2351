#pragma once
/*
 * What a machine is made of, as the API or a configuration file said it, checked but not yet
 * opened.
 *
 * Filled in by fcapi/ on the main thread, read by machine/.  Plain values: it is copied as a whole.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VM_ID_MAX      64u
#define VM_PATH_MAX    1024u
#define VM_DRIVES_MAX  16u
#define VM_NETS_MAX    16u
#define VM_DEVICES_MAX (VM_DRIVES_MAX + VM_NETS_MAX + 1u)
#define VM_ARGS_MAX    2048u /* what the kernel takes */

#define VM_DEFAULT_ARGS                                                                            \
	"reboot=k panic=1 nomodule 8250.nr_uarts=0 i8042.noaux i8042.nomux i8042.dumbkbd "         \
	"swiotlb=noforce"

struct vm_drive {
	char id[VM_ID_MAX + 1];
	char path[VM_PATH_MAX];
	char partuuid[VM_ID_MAX]; /* "": none */
	bool is_root, read_only, writeback;
};

struct vm_net {
	char id[VM_ID_MAX + 1];
	char tap[64]; /* a TAP's name, or "fd:7" for an inherited descriptor */
	uint8_t mac[6];
	bool has_mac;
	uint16_t mtu; /* 0: not said */
};

struct vm_config {
	char id[VM_ID_MAX + 1];
	unsigned vcpus;
	uint64_t mem_mib;
	bool smt;
	char kernel[VM_PATH_MAX], initrd[VM_PATH_MAX]; /* "": none */
	char boot_args[VM_ARGS_MAX];
	bool has_boot_args;
	struct vm_drive drives[VM_DRIVES_MAX];
	unsigned drives_n;
	struct vm_net nets[VM_NETS_MAX];
	unsigned nets_n;
	bool entropy;
	bool pci;
};
