/*
 * The bus: configuration accesses, masks, and the dispatch of memory accesses to BARs.
 *
 * Header (PCI Local Bus 3.0 sec. 6.1): 0 vendor  2 device  4 command  6 status  8 revision, class
 *	0xe header type  0x10 BARs  0x2c subsystem ids  0x34 capabilities
 * CF8: bit 31 enable, bits 23-16 bus, 15-11 device, 10-8 function, 7-2 register.
 * ECAM: bits 27-20 bus, 19-15 device, 14-12 function, 11-0 register.
 */
#include "pci/pci.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/err.h"

#define COMMAND		 0x04u
#define COMMAND_MEMORY	 0x02u
#define COMMAND_WRITABLE 0x0506u /* memory, bus master, SERR, INTx off */
#define STATUS		 0x06u
#define STATUS_CAPS	 0x10u
#define BAR0		 0x10u
#define BAR_64BIT	 0x04u
#define SUBSYSTEM	 0x2cu
#define CAP_POINTER	 0x34u
#define FIRST_CAP	 0x40u
#define BRIDGE_DEVICE	 0x0d57u /* Intel's, as Firecracker has it */
#define CLASS_HOST	 0x060000u

void pci_put(uint8_t *p, uint64_t v, unsigned width)
{
	for (unsigned i = 0; i < width; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

uint64_t pci_get(const uint8_t *p, unsigned width)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < width; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

void pci_function_init(struct pci_function *f, uint16_t vendor, uint16_t device, uint32_t class_rev)
{
	pci_put(f->config, vendor, 2);
	pci_put(f->config + 2, device, 2);
	pci_put(f->config + 8, class_rev, 4);
	pci_put(f->writable + COMMAND, COMMAND_WRITABLE, 2);
	f->writable[0x0c] = 0xff; /* cache line size: no meaning, but Linux sets it */
	f->writable[0x3c] = 0xff; /* interrupt line: the guest's note */
	f->next_cap = FIRST_CAP;
	f->last_cap = CAP_POINTER;
}

unsigned pci_function_cap(struct pci_function *f, const void *cap, const uint8_t *writable,
			  unsigned len)
{
	unsigned at = f->next_cap;

	assert(at + len <= PCI_CONFIG_SIZE);
	memcpy(f->config + at, cap, len);
	if (writable)
		memcpy(f->writable + at, writable, len);
	f->config[at + 1] = 0; /* the last one so far */
	f->config[f->last_cap] = (uint8_t)at;
	f->config[STATUS] |= STATUS_CAPS;
	f->last_cap = at + 1;
	f->next_cap = (at + len + 3) & ~3u;
	return at;
}

/* --- where BARs are --- */

static void update_bar(struct pci_function *f)
{
	uint64_t base = 0;

	if (!f->bar_size)
		return;
	if (f->config[COMMAND] & COMMAND_MEMORY)
		base = pci_get(f->config + BAR0, 8) & ~(f->bar_size - 1);
	/* Elsewhere it would lie over memory or other devices: not decoded there. */
	if (!(base >= PCI_MEM32_GPA && base + f->bar_size - 1 <= PCI_MEM32_END) &&
	    !(base >= PCI_MEM64_GPA && base <= PCI_MEM64_END))
		base = 0;
	if (base == f->bar_base)
		return;
	f->bar_base = base;
	f->ops->bar_moved(f->ctx, base);
}

/* --- configuration --- */

static void config_access(struct pci_host *h, unsigned slot, unsigned off, uint8_t *data,
			  unsigned len, bool write)
{
	struct pci_function *f = h->slots[slot];

	if (!f || off + len > PCI_CONFIG_SIZE) {
		/* No function: all ones.  Extended space without capabilities: zeroes. */
		if (!write)
			memset(data, f ? 0 : 0xff, len);
		return;
	}
	if (!write) {
		if (f->ops && f->ops->config_reads)
			f->ops->config_reads(f->ctx, off, len);
		memcpy(data, f->config + off, len);
		return;
	}
	for (unsigned i = 0; i < len; i++) {
		uint8_t mask = f->writable[off + i];

		f->config[off + i] = (uint8_t)((f->config[off + i] & ~mask) | (data[i] & mask));
	}
	if (!f->ops)
		return;
	update_bar(f);
	if (f->ops->config_written)
		f->ops->config_written(f->ctx, off, len);
}

static void ecam_access(struct pci_host *h, uint64_t off, void *data, unsigned len, bool write)
{
	unsigned slot = (unsigned)(off >> 15) & 31u, function = (unsigned)(off >> 12) & 7u;

	(void)pthread_mutex_lock(&h->lock); /* a plain mutex can't fail */
	if (function == 0)
		config_access(h, slot, (unsigned)off & 0xfffu, data, len, write);
	else if (!write)
		memset(data, 0xff, len);
	(void)pthread_mutex_unlock(&h->lock);
}

static void ecam_read(void *ctx, uint64_t off, void *data, unsigned len)
{
	ecam_access(ctx, off, data, len, false);
}

static void ecam_write(void *ctx, uint64_t off, const void *data, unsigned len)
{
	uint8_t copy[BUS_ACCESS_MAX];

	memcpy(copy, data, len);
	ecam_access(ctx, off, copy, len, true);
}

/* Offsets 0-3 are the address register (only as 32 bits), 4-7 the data window. */
static void port_access(struct pci_host *h, uint64_t off, uint8_t *data, unsigned len, bool write)
{
	uint32_t address;

	(void)pthread_mutex_lock(&h->lock);
	address = h->address;
	if (off < 4 && off + len <= 4) {
		if (write && len == 4)
			h->address = (uint32_t)pci_get(data, 4);
		else if (!write)
			memcpy(data, (uint8_t *)&address + off, len);
	} else if (off >= 4 && (address >> 31) && !((address >> 16) & 0xffu) &&
		   !((address >> 8) & 7u)) {
		config_access(h, (address >> 11) & 31u, (address & 0xfcu) + (unsigned)(off - 4),
			      data, len, write);
	} else if (!write) {
		memset(data, 0xff, len);
	}
	(void)pthread_mutex_unlock(&h->lock);
}

static void port_read(void *ctx, uint64_t off, void *data, unsigned len)
{
	port_access(ctx, off, data, len, false);
}

static void port_write(void *ctx, uint64_t off, const void *data, unsigned len)
{
	uint8_t copy[BUS_ACCESS_MAX];

	memcpy(copy, data, len);
	port_access(ctx, off, copy, len, true);
}

/* --- memory --- */

static struct pci_function *find_bar(struct pci_host *h, uint64_t addr, unsigned len,
				     uint64_t *ret_off)
{
	struct pci_function *found = NULL;

	(void)pthread_mutex_lock(&h->lock);
	for (unsigned i = 1; i < PCI_SLOTS && !found; i++) {
		struct pci_function *f = h->slots[i];

		if (!f || !f->bar_base || addr < f->bar_base || addr - f->bar_base >= f->bar_size ||
		    len > f->bar_size - (addr - f->bar_base))
			continue;
		*ret_off = addr - f->bar_base;
		found = f;
	}
	(void)pthread_mutex_unlock(&h->lock);
	return found;
}

static void window_read(struct pci_host *h, uint64_t addr, void *data, unsigned len)
{
	uint64_t off = 0;
	struct pci_function *f = find_bar(h, addr, len, &off);

	if (f)
		f->ops->bar_read(f->ctx, off, data, len);
	else
		memset(data, 0xff, len);
}

static void window_write(struct pci_host *h, uint64_t addr, const void *data, unsigned len)
{
	uint64_t off = 0;
	struct pci_function *f = find_bar(h, addr, len, &off);

	if (f)
		f->ops->bar_write(f->ctx, off, data, len);
}

static void mem32_read(void *ctx, uint64_t off, void *data, unsigned len)
{
	window_read(ctx, PCI_MEM32_GPA + off, data, len);
}

static void mem32_write(void *ctx, uint64_t off, const void *data, unsigned len)
{
	window_write(ctx, PCI_MEM32_GPA + off, data, len);
}

static void mem64_read(void *ctx, uint64_t off, void *data, unsigned len)
{
	window_read(ctx, PCI_MEM64_GPA + off, data, len);
}

static void mem64_write(void *ctx, uint64_t off, const void *data, unsigned len)
{
	window_write(ctx, PCI_MEM64_GPA + off, data, len);
}

/* --- building --- */

void pci_host_init(struct pci_host *h)
{
	(void)pthread_mutex_init(&h->lock, NULL); /* without attributes it can't fail */
	pci_function_init(&h->bridge, 0x8086, BRIDGE_DEVICE, CLASS_HOST << 8);
	h->slots[0] = &h->bridge;
	h->next_bar = PCI_MEM64_GPA;
}

int pci_host_attach(struct pci_host *h, struct bus *pio, struct bus *mmio, struct err *e)
{
	static const struct bus_ops ports = {port_read, port_write}, ecam = {ecam_read, ecam_write},
				    mem32 = {mem32_read, mem32_write},
				    mem64 = {mem64_read, mem64_write};
	const struct bus_region config = {"pci-config", PCI_CONFIG_PORTS, 8, &ports, h};
	const struct bus_region regions[] = {
		{"pci-mem32", PCI_MEM32_GPA, PCI_MEM32_END - PCI_MEM32_GPA + 1, &mem32, h},
		{"pci-ecam", PCI_ECAM_GPA, PCI_ECAM_SIZE, &ecam, h},
		{"pci-mem64", PCI_MEM64_GPA, PCI_MEM64_END - PCI_MEM64_GPA + 1, &mem64, h},
	};
	int rc = bus_add(pio, &config, e);

	for (unsigned i = 0; i < sizeof(regions) / sizeof(regions[0]) && !rc; i++)
		rc = bus_add(mmio, &regions[i], e);
	return rc;
}

int pci_host_add(struct pci_host *h, struct pci_function *f, unsigned *ret_slot, struct err *e)
{
	unsigned slot = 1;

	while (slot < PCI_SLOTS && h->slots[slot])
		slot++;
	if (slot == PCI_SLOTS)
		return err_set(e, -ENOSPC, ERR_LIMIT, "pci.slots",
			       "could not find an available device slot on the PCI bus");
	if (f->bar_size) {
		assert((f->bar_size & (f->bar_size - 1)) == 0);
		h->next_bar = (h->next_bar + f->bar_size - 1) & ~(f->bar_size - 1);
		pci_put(f->config + BAR0, h->next_bar | BAR_64BIT, 8);
		pci_put(f->writable + BAR0, ~(f->bar_size - 1), 8);
		h->next_bar += f->bar_size;
		f->config[COMMAND] |= COMMAND_MEMORY;
	}
	memcpy(f->config + SUBSYSTEM, f->config, 4); /* the same ids */
	h->slots[slot] = f;
	update_bar(f);
	*ret_slot = slot;
	return 0;
}
