/*
 * Tests of the block device, the virtio core and the MMIO transport, by a driver without KVM:
 * requests, hostile rings, reset, features.
 */
#include "devices/devices.h"

#include <fcntl.h>
#include <stdio.h>

#include "fake_driver.h"
#include "unit.h"

#define SECTORS	  64u
#define HEADER	  FAKE_DATA
#define DATA	  (FAKE_DATA + 0x1000u)
#define STATUS	  (FAKE_DATA + 0x8000u)
#define EVENT_IDX VDEV_F_EVENT_IDX

static char path[64];

static void make_disk(void)
{
	uint8_t sector[512];
	int fd;

	(void)snprintf(path, sizeof(path), "/tmp/hearth-blk-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	for (unsigned i = 0; i < SECTORS; i++) {
		memset(sector, (int)i, sizeof(sector));
		assert_int_equal(write(fd, sector, sizeof(sector)), sizeof(sector));
	}
	assert_int_equal(write(fd, sector, 100), 100); /* less than a sector is not seen */
	(void)close(fd);
}

static void open_fake(struct fake *f, bool read_only)
{
	struct blk_config c = {path, read_only, true};
	struct vdev *dev;

	make_disk();
	fake_memory(f);
	assert_int_equal(blk_new(&c, f->gm, f->loop, &dev, NULL), 0);
	fake_attach(f, dev);
}

static void close_fake(struct fake *f)
{
	fake_done(f);
	assert_int_equal(unlink(path), 0);
}

static void put_header(struct fake *f, uint32_t type, uint64_t sector)
{
	struct {
		uint32_t type, reserved;
		uint64_t sector;
	} h = {htole32(type), 0, htole64(sector)};
	uint8_t none = 0xee;

	assert_int_equal(gm_write(f->gm, HEADER, &h, sizeof(h)), 0);
	assert_int_equal(gm_write(f->gm, STATUS, &none, 1), 0);
}

/* One request with data of len bytes; its status, or 0xee when none came. */
static uint8_t request(struct fake *f, uint32_t type, uint64_t sector, uint32_t len, bool to_guest)
{
	struct fake_desc d[] = {{HEADER, 16, 0, 0},
				{DATA, len, to_guest ? FAKE_WRITE : 0, 0},
				{STATUS, 1, FAKE_WRITE, 0}};
	uint8_t status;

	put_header(f, type, sector);
	if (!len)
		d[1] = d[2];
	fake_send(f, 0, d, len ? 3 : 2);
	assert_int_equal(gm_read(f->gm, STATUS, &status, 1), 0);
	return status;
}

static uint8_t data_byte(struct fake *f, unsigned off)
{
	uint8_t v;

	assert_int_equal(gm_read(f->gm, DATA + off, &v, 1), 0);
	return v;
}

static void identity_and_config(void **state)
{
	struct fake f;

	(void)state;
	open_fake(&f, true);
	assert_int_equal(fake_get(&f, 0x00), 0x74726976);
	assert_int_equal(fake_get(&f, 0x04), 2);
	assert_int_equal(fake_get(&f, 0x08), 2);
	assert_int_equal(fake_get(&f, 0x100), SECTORS);
	assert_int_equal(fake_get(&f, 0x104), 0);
	assert_int_equal(fake_get(&f, 0x34), VQ_SIZE_MAX);
	fake_set(&f, 0x30, 1);
	assert_int_equal(fake_get(&f, 0x34), 0);
	assert_true(fake_get(&f, 0x10) & 1u << 5); /* read-only */
	fake_set(&f, 0x14, 1);
	assert_int_equal(fake_get(&f, 0x10), 1); /* VERSION_1 */
	fake_set(&f, 0x14, 7);
	assert_int_equal(fake_get(&f, 0x10), 0);
	assert_int_equal(fake_get(&f, 0xffc), 0); /* beyond the configuration */
	close_fake(&f);
}

static void reads_and_writes(void **state)
{
	struct fake f;
	uint8_t bytes[1024];

	(void)state;
	open_fake(&f, false);
	assert_int_equal(fake_start(&f, 0, 1), 0xf);
	assert_int_equal(request(&f, 0, 5, 1024, true), 0);
	assert_int_equal(fake_written(&f, 0), 1025);
	assert_int_equal(data_byte(&f, 511), 5);
	assert_int_equal(data_byte(&f, 512), 6);
	assert_true(fake_irq(&f));
	assert_int_equal(fake_get(&f, 0x60), 1);
	fake_set(&f, 0x64, 1);
	assert_int_equal(fake_get(&f, 0x60), 0);

	memset(bytes, 0xab, sizeof(bytes));
	assert_int_equal(gm_write(f.gm, DATA, bytes, sizeof(bytes)), 0);
	assert_int_equal(request(&f, 1, 62, 1024, false), 0);
	assert_int_equal(request(&f, 0, 63, 512, true), 0);
	assert_int_equal(data_byte(&f, 0), 0xab);
	assert_int_equal(request(&f, 4, 0, 0, false), 0);
	assert_int_equal(request(&f, 8, 0, 20, true), 0);
	assert_int_equal(fake_written(&f, 0), 21);
	assert_int_equal(request(&f, 99, 0, 512, true), 2);
	close_fake(&f);
}

static void refuses_what_is_beyond(void **state)
{
	static const struct {
		uint32_t type;
		uint64_t sector;
		uint32_t len;
	} bad[] = {{0, SECTORS, 512},	 {0, SECTORS - 1, 1024},
		   {1, SECTORS, 512},	 {0, UINT64_MAX, 512},
		   {1, UINT64_MAX, 512}, {0, UINT64_MAX >> 9, 1024},
		   {0, 0, 513},		 {1, 0, 100},
		   {0, 1ull << 55, 512}};
	struct fake f;

	(void)state;
	open_fake(&f, false);
	fake_start(&f, 0, 1);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(
			request(&f, bad[i].type, bad[i].sector, bad[i].len, bad[i].type == 0), 1);
	assert_int_equal(fake_get(&f, 0x70), 0xf);
	close_fake(&f);
	open_fake(&f, true);
	fake_start(&f, 0, 1);
	assert_int_equal(request(&f, 1, 0, 512, false), 1);
	assert_int_equal(request(&f, 13, 0, 16, false), 1);
	close_fake(&f);
}

static void zeroes_and_discards(void **state)
{
	struct {
		uint64_t sector;
		uint32_t sectors, flags;
	} r = {8, 8, 0};
	struct fake f;

	(void)state;
	open_fake(&f, false);
	fake_start(&f, 0, 1);
	assert_int_equal(gm_write(f.gm, DATA, &r, sizeof(r)), 0);
	assert_int_equal(request(&f, 11, 0, 16, false), 0);
	r.flags = 2;
	assert_int_equal(gm_write(f.gm, DATA, &r, sizeof(r)), 0);
	assert_int_equal(request(&f, 11, 0, 16, false), 2);
	r.flags = 0;
	r.sector = SECTORS - 4;
	assert_int_equal(gm_write(f.gm, DATA, &r, sizeof(r)), 0);
	assert_int_equal(request(&f, 11, 0, 16, false), 1);
	assert_int_equal(request(&f, 0, 8, 512, true), 0);
	assert_int_equal(data_byte(&f, 0), 0);
	assert_int_equal(request(&f, 0, 16, 512, true), 0);
	assert_int_equal(data_byte(&f, 0), 16);
	close_fake(&f);
}

/* After each of these the device needs a reset, says so by a configuration interrupt, and works
 * again afterwards. */
static void broken_rings(void **state)
{
	const struct fake_desc good = {HEADER, 16, 0, 0};
	const struct {
		struct fake_desc d[3];
		unsigned n;
		uint16_t head;
	} bad[] = {
		{{{HEADER, 16, FAKE_NEXT, 0}}, 1, 0},	      /* a loop */
		{{{HEADER, 16, FAKE_NEXT, FAKE_SIZE}}, 1, 0}, /* beyond the table */
		{{good}, 1, FAKE_SIZE},			      /* head beyond it */
		{{{FAKE_MEM - 8, 16, 0, 0}}, 1, 0},	      /* over the end */
		{{{UINT64_MAX, 16, 0, 0}}, 1, 0},
		{{{HEADER, 0, 0, 0}}, 1, 0},					  /* empty */
		{{{HEADER, 15, FAKE_NEXT, 1}, {STATUS, 1, FAKE_WRITE, 0}}, 2, 0}, /* short header */
		{{good}, 1, 0}, /* no place for a status */
		{{{STATUS, 1, FAKE_WRITE | FAKE_NEXT, 1}, {HEADER, 16, 0, 0}}, 2, 0}, /* order */
		{{{HEADER, 16, FAKE_INDIRECT | FAKE_NEXT, 1}, {HEADER, 16, 0, 0}}, 2, 0},
		{{{HEADER, 17, FAKE_INDIRECT, 0}}, 1, 0}, /* not whole entries */
		{{{FAKE_MEM, 16, FAKE_INDIRECT, 0}}, 1, 0},
		{{{HEADER, UINT32_MAX, FAKE_WRITE, 0}}, 1, 0},
	};
	struct fake f;

	(void)state;
	open_fake(&f, false);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(fake_start(&f, 0, 1), 0xf);
		(void)fake_irq(&f);
		for (unsigned k = 0; k < bad[i].n; k++)
			fake_put_desc(&f, fake_desc_gpa(0), k, bad[i].d[k]);
		fake_push(&f, 0, bad[i].head);
		fake_kick(&f, 0);
		assert_int_equal(fake_get(&f, 0x70), 0xf | VDEV_NEEDS_RESET);
		assert_true(fake_irq(&f));
		assert_int_equal(fake_get(&f, 0x60) & 2, 2);
		assert_int_equal(request(&f, 0, 0, 512, true), 0xee); /* nothing is done any more */
	}
	assert_int_equal(fake_start(&f, 0, 1), 0xf);
	assert_int_equal(request(&f, 0, 7, 512, true), 0);
	assert_int_equal(data_byte(&f, 0), 7);
	close_fake(&f);
}

static void index_that_runs_away(void **state)
{
	uint16_t idx = htole16(FAKE_SIZE + 1);
	struct fake f;

	(void)state;
	open_fake(&f, false);
	fake_start(&f, 0, 1);
	assert_int_equal(gm_write(f.gm, fake_avail_gpa(0) + 2, &idx, 2), 0);
	fake_kick(&f, 0);
	assert_int_equal(fake_get(&f, 0x70), 0xf | VDEV_NEEDS_RESET);
	close_fake(&f);
}

static void indirect_tables(void **state)
{
	gpa_t table = FAKE_DATA + 0x9000;
	uint8_t status;
	struct fake f;

	(void)state;
	open_fake(&f, false);
	fake_start(&f, VDEV_F_INDIRECT, 1);
	put_header(&f, 0, 3);
	fake_put_desc(&f, table, 0, (struct fake_desc){HEADER, 16, FAKE_NEXT, 2});
	fake_put_desc(&f, table, 2, (struct fake_desc){DATA, 512, FAKE_NEXT | FAKE_WRITE, 1});
	fake_put_desc(&f, table, 1, (struct fake_desc){STATUS, 1, FAKE_WRITE, 0});
	fake_send(&f, 0, (struct fake_desc[]){{table, 48, FAKE_INDIRECT, 0}}, 1);
	assert_int_equal(gm_read(f.gm, STATUS, &status, 1), 0);
	assert_int_equal(status, 0);
	assert_int_equal(data_byte(&f, 0), 3);
	/* A table within a table. */
	fake_put_desc(&f, table, 0, (struct fake_desc){table, 16, FAKE_INDIRECT, 0});
	fake_send(&f, 0, (struct fake_desc[]){{table, 48, FAKE_INDIRECT, 0}}, 1);
	assert_int_equal(fake_get(&f, 0x70), 0xf | VDEV_NEEDS_RESET);
	close_fake(&f);
}

static void interrupts_by_event_index(void **state)
{
	uint16_t event;
	struct fake f;

	(void)state;
	open_fake(&f, false);
	fake_start(&f, EVENT_IDX, 1);
	(void)request(&f, 0, 0, 512, true);
	assert_true(fake_irq(&f)); /* the first one always */
	event = htole16(3);	   /* then not before the fourth */
	assert_int_equal(gm_write(f.gm, fake_avail_gpa(0) + 4 + 2 * FAKE_SIZE, &event, 2), 0);
	(void)request(&f, 0, 0, 512, true);
	(void)request(&f, 0, 0, 512, true);
	assert_false(fake_irq(&f));
	(void)request(&f, 0, 0, 512, true);
	assert_true(fake_irq(&f));
	close_fake(&f);
}

static void features_and_order(void **state)
{
	struct fake f;

	(void)state;
	open_fake(&f, false);
	/* A feature that was not offered: FEATURES_OK stays away, and so DRIVER_OK. */
	assert_int_equal(fake_start(&f, 1ull << 40, 1), 3);
	/* Queues can't be changed while the device runs, nor its features. */
	assert_int_equal(fake_start(&f, 0, 1), 0xf);
	fake_set(&f, 0x38, 4);
	assert_int_equal(fake_get(&f, 0x38), FAKE_SIZE);
	fake_set(&f, 0x44, 0);
	assert_int_equal(fake_get(&f, 0x44), 1);
	/* Bits can't be cleared one by one. */
	fake_set(&f, 0x70, 1);
	assert_int_equal(fake_get(&f, 0x70), 0xf);
	/* Reset with a kick under way: it is forgotten. */
	fake_push(&f, 0, 0);
	fake_set(&f, 0x50, 0);
	fake_set(&f, 0x70, 0);
	assert_int_equal(loop_step(f.loop, 0, NULL), 0);
	assert_int_equal(fake_get(&f, 0x70), 0);
	assert_int_equal(fake_get(&f, 0x44), 0);
	assert_int_equal(fake_used(&f, 0), 0);
	close_fake(&f);
}

static void rings_in_bad_places(void **state)
{
	static const uint64_t places[] = {FAKE_MEM, UINT64_MAX & ~15ull, 8, FAKE_MEM - 16};
	struct fake f;

	(void)state;
	open_fake(&f, false);
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		fake_set(&f, 0x70, 0);
		fake_set(&f, 0x24, 1);
		fake_set(&f, 0x20, 1);
		fake_set(&f, 0x70, 0xb);
		fake_set(&f, 0x38, FAKE_SIZE);
		fake_set_addr(&f, 0x80, places[i]);
		fake_set_addr(&f, 0x90, fake_avail_gpa(0));
		fake_set_addr(&f, 0xa0, fake_used_gpa(0));
		fake_set(&f, 0x44, 1);
		fake_set(&f, 0x70, 0xf);
		assert_int_equal(fake_get(&f, 0x70), 0xf | VDEV_NEEDS_RESET);
	}
	close_fake(&f);
}

static void no_memory(void **state)
{
	struct blk_config c;
	struct vdev *dev;
	struct fake f;
	int rc = -1;

	(void)state;
	make_disk();
	fake_memory(&f);
	c = (struct blk_config){path, false, false};
	for (long n = 0; rc; n++) {
		mem_fail_after(n);
		rc = blk_new(&c, f.gm, f.loop, &dev, NULL);
		mem_fail_after(-1);
	}
	fake_attach(&f, dev);
	close_fake(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(identity_and_config),
		cmocka_unit_test(reads_and_writes),
		cmocka_unit_test(refuses_what_is_beyond),
		cmocka_unit_test(zeroes_and_discards),
		cmocka_unit_test(broken_rings),
		cmocka_unit_test(index_that_runs_away),
		cmocka_unit_test(indirect_tables),
		cmocka_unit_test(interrupts_by_event_index),
		cmocka_unit_test(features_and_order),
		cmocka_unit_test(rings_in_bad_places),
		cmocka_unit_test(no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
