#pragma once
/*
 * One PCI bus: a host bridge, up to 31 functions, configuration by ports CF8/CFC and by ECAM, and
 * the memory windows in which the functions' BARs lie (PCI Local Bus 3.0, PCI Express Base 4.0).
 *
 * Functions are added before the vCPUs run; all accesses come on vCPU threads.  The host's lock
 * guards configuration spaces and where BARs are; BAR contents are their owner's.  Trust: all
 * accesses are the guest's.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bus/bus.h"

struct err;
struct pci_function;

#define PCI_SLOTS	 32u
#define PCI_CONFIG_SIZE	 256u
#define PCI_ECAM_GPA	 0xeec00000u
#define PCI_ECAM_SIZE	 0x100000u /* bus 0 */
#define PCI_MEM32_GPA	 0xc0001000u
#define PCI_MEM32_END	 0xeebfffffu /* last byte */
#define PCI_MEM64_GPA	 0x4000000000ull
#define PCI_MEM64_END	 0x7fffffffffull
#define PCI_CONFIG_PORTS 0xcf8u

struct pci_function_ops {
	/* Accesses to BAR 0, off and len within it.  vCPU's thread, host lock not held. */
	void (*bar_read)(void *ctx, uint64_t off, void *data, unsigned len);
	void (*bar_write)(void *ctx, uint64_t off, const void *data, unsigned len);
	/* The configuration space from off to off+len was written (what is writable has been
	 * stored), or is about to be read.  vCPU's thread, host lock held. */
	void (*config_written)(void *ctx, unsigned off, unsigned len);
	void (*config_reads)(void *ctx, unsigned off, unsigned len);
	/* BAR 0 is now decoded at base; 0: nowhere.  vCPU's thread, host lock held. */
	void (*bar_moved)(void *ctx, uint64_t base);
};

/* Embedded by its owner. */
struct pci_function {
	const struct pci_function_ops *ops;
	void *ctx;
	uint8_t config[PCI_CONFIG_SIZE];
	uint8_t writable[PCI_CONFIG_SIZE]; /* bits that the guest may change */
	uint64_t bar_size;		   /* of BAR 0, 64-bit; 0: none */
	uint64_t bar_base;		   /* as decoded now; 0: not */
	unsigned next_cap;		   /* where the next capability goes */
	unsigned last_cap;		   /* where its offset is to be written */
};

struct pci_host {
	pthread_mutex_t lock;
	struct pci_function bridge;
	struct pci_function *slots[PCI_SLOTS]; /* borrowed */
	uint32_t address;		       /* CF8 */
	uint64_t next_bar;		       /* first free byte of the 64-bit window */
};

/* Prepare a function's header; ids and class as in the configuration space. */
void pci_function_init(struct pci_function *f, uint16_t vendor, uint16_t device,
		       uint32_t class_rev);
/* Append a capability of len bytes that begins with its id; returns its offset.  The writable mask
 * has len bytes, or is NULL: nothing is writable. */
unsigned pci_function_cap(struct pci_function *f, const void *cap, const uint8_t *writable,
			  unsigned len);

void pci_host_init(struct pci_host *h);
int pci_host_attach(struct pci_host *h, struct bus *pio, struct bus *mmio, struct err *e);
/* Lowest free slot, BAR placed and decoded.  -ENOSPC. */
int pci_host_add(struct pci_host *h, struct pci_function *f, unsigned *ret_slot, struct err *e);

/* Little-endian fields of a configuration space; off + width lies within it. */
void pci_put(uint8_t *p, uint64_t v, unsigned width);
uint64_t pci_get(const uint8_t *p, unsigned width);
