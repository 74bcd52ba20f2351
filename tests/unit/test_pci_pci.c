/*
 * Tests of the PCI host and of a virtio function on it: ids, masks, BAR sizing and moves, MSI-X
 * with masks and pending bits.
 */
#include "pci/pci.h"

#include "devices/devices.h"
#include "fake_driver.h"
#include "unit.h"

#define SLOT1	 (PCI_ECAM_GPA + 0x8000u)
#define MSIX_CAP 0x98u /* behind five vendor capabilities */
#define TABLE	 0x8000u
#define NOTIFY	 0x6000u
#define OLD_BAR	 PCI_MEM64_GPA

static struct {
	struct fake fake; /* memory, loop, mmio bus */
	struct bus pio;
	struct pci_host pci;
	struct virtio_pci *t;
	uint64_t kick_addr; /* where KVM would listen for queue 0 */
	unsigned messages_n;
	uint64_t message_addr;
	uint32_t message_data;
} m;

static void kick_at(void *ctx, uint64_t addr, bool match, uint32_t value, int fd, bool on)
{
	(void)ctx, (void)match, (void)value, (void)fd;
	m.kick_addr = on ? addr : 0;
}

static void msi(void *ctx, uint64_t addr, uint32_t data)
{
	(void)ctx;
	m.messages_n++;
	m.message_addr = addr;
	m.message_data = data;
}

static int make(void **state)
{
	struct transport_host host = {kick_at, msi, NULL};
	struct vdev *dev;

	(void)state;
	memset(&m, 0, sizeof(m));
	fake_memory(&m.fake);
	pci_host_init(&m.pci);
	assert_int_equal(pci_host_attach(&m.pci, &m.pio, &m.fake.mmio, NULL), 0);
	assert_int_equal(rng_new(m.fake.gm, m.fake.loop, &dev, NULL), 0);
	assert_int_equal(virtio_pci_new(dev, &host, &m.pci, &m.t, NULL), 0);
	return 0;
}

static int unmake(void **state)
{
	(void)state;
	virtio_pci_free(m.t);
	loop_free(m.fake.loop);
	gm_free(m.fake.gm);
	return 0;
}

static uint64_t get(uint64_t addr, unsigned len)
{
	uint8_t bytes[8];

	bus_read(&m.fake.mmio, addr, bytes, len);
	return pci_get(bytes, len);
}

static void set(uint64_t addr, uint64_t v, unsigned len)
{
	uint8_t bytes[8];

	pci_put(bytes, v, len);
	bus_write(&m.fake.mmio, addr, bytes, len);
}

static uint32_t port_get(unsigned slot, unsigned off)
{
	uint32_t address = 0x80000000u | slot << 11 | off, v;

	bus_write(&m.pio, PCI_CONFIG_PORTS, &address, 4);
	bus_read(&m.pio, PCI_CONFIG_PORTS + 4, &v, 4);
	return v;
}

static void configuration(void **state)
{
	(void)state;
	assert_int_equal(port_get(0, 0), 0x0d578086);
	assert_int_equal(port_get(1, 0), 0x10441af4);
	assert_int_equal(port_get(2, 0), 0xffffffff);
	assert_int_equal(get(SLOT1, 4), 0x10441af4);
	assert_int_equal(get(SLOT1 + 0x1000, 4), 0xffffffff); /* function 1 */
	assert_int_equal(get(SLOT1 + 0x100, 4), 0);	      /* no extended capabilities */
	assert_int_equal(get(SLOT1 + 0x2c, 4), 0x10441af4);
	assert_int_equal(get(SLOT1 + 0x3d, 1), 0); /* no INTx */
	set(SLOT1, 0xffffffff, 4);
	set(SLOT1 + 8, 0, 4);
	assert_int_equal(get(SLOT1, 4), 0x10441af4);
	assert_int_equal(get(SLOT1 + 8, 1), 1);
}

static void base_address(void **state)
{
	(void)state;
	assert_int_equal(get(SLOT1 + 0x10, 4), 4); /* 64 bits wide, not prefetchable */
	assert_true(m.kick_addr == OLD_BAR + NOTIFY);
	assert_int_equal(get(OLD_BAR + 18, 2), 1); /* one queue */
	set(SLOT1 + 4, 0, 2);			   /* not decoded */
	assert_true(m.kick_addr == 0);
	assert_int_equal(get(OLD_BAR + 18, 2), 0xffff);
	set(SLOT1 + 0x10, 0xffffffff, 4);
	set(SLOT1 + 0x14, 0xffffffff, 4);
	assert_int_equal(get(SLOT1 + 0x10, 4), 0xfff80004); /* 512 KiB */
	assert_int_equal(get(SLOT1 + 0x14, 4), 0xffffffff);
	set(SLOT1 + 4, 2, 2); /* decoded beyond all windows: nowhere */
	assert_true(m.kick_addr == 0);
	set(SLOT1 + 4, 0, 2);
	set(SLOT1 + 0x10, 0xd0000000, 4);
	set(SLOT1 + 0x14, 0, 4);
	set(SLOT1 + 4, 2, 2);
	assert_true(m.kick_addr == 0xd0000000u + NOTIFY);
	assert_int_equal(get(0xd0000000u + 18, 2), 1);
	assert_int_equal(get(OLD_BAR + 18, 2), 0xffff);
}

/* Up to DRIVER_OK with queue 0 on vector 1; one request of 16 bytes is ready. */
static void start_queue(void)
{
	uint8_t zero[0x6000] = {0};

	assert_int_equal(gm_write(m.fake.gm, fake_desc_gpa(0), zero, sizeof(zero)), 0);
	set(OLD_BAR + 20, 3, 1);
	set(OLD_BAR + 8, 1, 4);
	set(OLD_BAR + 12, 1, 4);
	set(OLD_BAR + 20, 11, 1);
	set(OLD_BAR + 22, 0, 2);
	set(OLD_BAR + 24, FAKE_SIZE, 2);
	set(OLD_BAR + 26, 1, 2);
	set(OLD_BAR + 32, fake_desc_gpa(0), 8);
	set(OLD_BAR + 40, fake_avail_gpa(0), 4); /* in halves, too */
	set(OLD_BAR + 44, 0, 4);
	set(OLD_BAR + 48, fake_used_gpa(0), 8);
	set(OLD_BAR + 28, 1, 2);
	set(OLD_BAR + 20, 15, 1);
	assert_int_equal(get(OLD_BAR + 20, 1), 15);
	assert_int_equal(get(OLD_BAR + 40, 8), fake_avail_gpa(0));
	fake_put_desc(&m.fake, fake_desc_gpa(0), 0,
		      (struct fake_desc){FAKE_DATA, 16, FAKE_WRITE, 0});
}

static void request(void)
{
	fake_push(&m.fake, 0, 0);
	set(OLD_BAR + NOTIFY, 0, 2);
	assert_int_equal(loop_step(m.fake.loop, 0, NULL), 0);
}

static void messages(void **state)
{
	uint64_t entry = OLD_BAR + TABLE + 16;

	(void)state;
	assert_int_equal(get(SLOT1 + MSIX_CAP, 1), 0x11);
	assert_int_equal(get(SLOT1 + MSIX_CAP + 2, 2), 1); /* two vectors */
	start_queue();
	request();
	assert_int_equal(fake_used(&m.fake, 0), 1);
	assert_int_equal(fake_written(&m.fake, 0), 16);
	assert_int_equal(m.messages_n, 0); /* not enabled yet, and nothing waits */
	set(SLOT1 + MSIX_CAP + 2, 0x8000, 2);
	request();
	assert_int_equal(m.messages_n, 0); /* masked in the table, as after a reset */
	assert_int_equal(get(OLD_BAR + 0x48000, 4), 2);
	set(entry, 0xfee01000, 8);
	set(entry + 8, 0x41, 4);
	set(entry + 12, 0, 4); /* the one that waited comes */
	assert_int_equal(m.messages_n, 1);
	assert_int_equal(m.message_addr, 0xfee01000);
	assert_int_equal(m.message_data, 0x41);
	assert_int_equal(get(OLD_BAR + 0x48000, 4), 0);
	set(SLOT1 + MSIX_CAP + 2, 0xc000, 2); /* the whole function masked */
	request();
	assert_int_equal(m.messages_n, 1);
	set(SLOT1 + MSIX_CAP + 2, 0x8000, 2);
	assert_int_equal(m.messages_n, 2);
	set(OLD_BAR + 26, 7, 2); /* no such vector */
	assert_int_equal(get(OLD_BAR + 26, 2), 0xffff);
	request();
	assert_int_equal(m.messages_n, 2);
	assert_int_equal(get(OLD_BAR + 0x2000, 1), 1); /* read clears it */
	assert_int_equal(get(OLD_BAR + 0x2000, 1), 0);
	set(OLD_BAR + 20, 0, 1);
	assert_int_equal(get(OLD_BAR + 20, 1), 0);
	assert_int_equal(get(OLD_BAR + 28, 2), 0);
}

static void slots_run_out(void **state)
{
	static struct pci_function functions[PCI_SLOTS];
	unsigned slot;

	(void)state;
	for (unsigned i = 2; i < PCI_SLOTS; i++) {
		assert_int_equal(pci_host_add(&m.pci, &functions[i], &slot, NULL), 0);
		assert_int_equal(slot, i);
	}
	assert_true(pci_host_add(&m.pci, &functions[0], &slot, NULL) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(configuration, make, unmake),
		cmocka_unit_test_setup_teardown(base_address, make, unmake),
		cmocka_unit_test_setup_teardown(messages, make, unmake),
		cmocka_unit_test_setup_teardown(slots_run_out, make, unmake),
	};

	return RUN_TESTS(tests);
}
