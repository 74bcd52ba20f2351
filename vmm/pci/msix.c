/*
 * MSI-X: sends messages, or keeps them pending while they are masked.
 *
 * Capability: 0 id 0x11  1 next  2 u16 control: bits 10-0 vectors less 1, bit 14 function mask,
 *	bit 15 enable  4 u32 table offset, BAR in bits 2-0  8 u32 pending bits' offset, BAR
 * Table entry: u64 address, u32 data, u32 control: bit 0 masked.
 */
#include "pci/msix.h"

#include <assert.h>
#include <string.h>

#define CAP_MSIX       0x11u
#define CAP_LEN	       12u
#define CONTROL_MASK   0x4000u
#define CONTROL_ENABLE 0x8000u
#define ENTRY_MASKED   1u

void msix_init(struct msix *m, struct pci_function *f, unsigned vectors_n, uint32_t table_off,
	       uint32_t pending_off)
{
	uint8_t cap[CAP_LEN] = {CAP_MSIX}, writable[CAP_LEN] = {0};

	assert(vectors_n >= 1 && vectors_n <= MSIX_VECTORS_MAX);
	(void)pthread_mutex_init(&m->lock, NULL); /* without attributes it can't fail */
	m->vectors_n = vectors_n;
	for (unsigned i = 0; i < vectors_n; i++)
		m->table[i].control = ENTRY_MASKED; /* as after a reset */
	pci_put(cap + 2, vectors_n - 1, 2);
	pci_put(cap + 4, table_off, 4);
	pci_put(cap + 8, pending_off, 4);
	pci_put(writable + 2, CONTROL_MASK | CONTROL_ENABLE, 2);
	m->cap_at = pci_function_cap(f, cap, writable, CAP_LEN);
}

static void send_if_due(struct msix *m, unsigned vector)
{
	struct msix_entry *t = &m->table[vector];

	if (!(m->pending & 1u << vector) || !m->enabled || m->masked || (t->control & ENTRY_MASKED))
		return;
	m->pending &= ~(1u << vector);
	m->send(m->ctx, t->addr, t->data);
}

void msix_config_written(struct msix *m, const struct pci_function *f)
{
	uint64_t control = pci_get(f->config + m->cap_at + 2, 2);

	(void)pthread_mutex_lock(&m->lock); /* a plain mutex can't fail */
	m->enabled = control & CONTROL_ENABLE;
	m->masked = control & CONTROL_MASK;
	for (unsigned i = 0; i < m->vectors_n; i++)
		send_if_due(m, i);
	(void)pthread_mutex_unlock(&m->lock);
}

static void entry_bytes(const struct msix_entry *t, uint8_t ret[MSIX_ENTRY])
{
	pci_put(ret, t->addr, 8);
	pci_put(ret + 8, t->data, 4);
	pci_put(ret + 12, t->control, 4);
}

/* Sec. 6.8.2: accesses are aligned and of 4 or 8 bytes; others have no effect. */
static bool in_table(const struct msix *m, uint64_t off, unsigned len)
{
	return (len == 4 || len == 8) && off % len == 0 && off / MSIX_ENTRY < m->vectors_n;
}

void msix_table_read(struct msix *m, uint64_t off, void *data, unsigned len)
{
	uint8_t bytes[MSIX_ENTRY];

	if (!in_table(m, off, len))
		return;
	(void)pthread_mutex_lock(&m->lock);
	entry_bytes(&m->table[off / MSIX_ENTRY], bytes);
	(void)pthread_mutex_unlock(&m->lock);
	memcpy(data, bytes + off % MSIX_ENTRY, len);
}

void msix_table_write(struct msix *m, uint64_t off, const void *data, unsigned len)
{
	unsigned vector = (unsigned)(off / MSIX_ENTRY);
	uint8_t bytes[MSIX_ENTRY];
	struct msix_entry *t;

	if (!in_table(m, off, len))
		return;
	(void)pthread_mutex_lock(&m->lock);
	t = &m->table[vector];
	entry_bytes(t, bytes);
	memcpy(bytes + off % MSIX_ENTRY, data, len);
	*t = (struct msix_entry){pci_get(bytes, 8), (uint32_t)pci_get(bytes + 8, 4),
				 (uint32_t)pci_get(bytes + 12, 4) & ENTRY_MASKED};
	send_if_due(m, vector);
	(void)pthread_mutex_unlock(&m->lock);
}

void msix_pending_read(struct msix *m, uint64_t off, void *data, unsigned len)
{
	uint8_t bytes[8] = {0};

	if (off >= sizeof(bytes) || len > sizeof(bytes) - off)
		return;
	(void)pthread_mutex_lock(&m->lock);
	pci_put(bytes, m->pending, 4);
	(void)pthread_mutex_unlock(&m->lock);
	memcpy(data, bytes + off, len);
}

void msix_raise(struct msix *m, unsigned vector)
{
	if (vector >= m->vectors_n)
		return;
	(void)pthread_mutex_lock(&m->lock);
	if (m->enabled) {
		m->pending |= 1u << vector;
		send_if_due(m, vector);
	}
	(void)pthread_mutex_unlock(&m->lock);
}
