#pragma once
/*
 * MSI-X of one function (PCI Local Bus 3.0 sec. 6.8.2): capability, table, pending bits.
 *
 * The table is written on vCPU threads, interrupts are raised on the loop's thread; a lock of its
 * own guards all.  Trust: table and control are the guest's.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "pci/pci.h"

#define MSIX_VECTORS_MAX 32u
#define MSIX_ENTRY	 16u /* bytes in the table */
#define MSIX_NONE	 0xffffu

struct msix {
	pthread_mutex_t lock;
	unsigned vectors_n;
	/* Sends the message.  Any thread, lock held. */
	void (*send)(void *ctx, uint64_t addr, uint32_t data);
	void *ctx;
	unsigned cap_at; /* offset of the capability in the configuration space */
	bool enabled, masked;
	struct msix_entry {
		uint64_t addr;
		uint32_t data, control; /* control bit 0: masked */
	} table[MSIX_VECTORS_MAX];
	uint32_t pending; /* a bit for each vector */
};

/* Adds the capability; table and pending bits lie in BAR 0 at these offsets. */
void msix_init(struct msix *m, struct pci_function *f, unsigned vectors_n, uint32_t table_off,
	       uint32_t pending_off);
/* After a write to the configuration space. */
void msix_config_written(struct msix *m, const struct pci_function *f);
void msix_table_read(struct msix *m, uint64_t off, void *data, unsigned len);
void msix_table_write(struct msix *m, uint64_t off, const void *data, unsigned len);
void msix_pending_read(struct msix *m, uint64_t off, void *data, unsigned len);
/* Vectors that do not exist (MSIX_NONE) are ignored. */
void msix_raise(struct msix *m, unsigned vector);
