/*
 * Console lines: split, cleaned and understood, whatever the guest writes and however it arrives.
 */
#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "control/lines.h"
#include "unit.h"

struct seen {
	struct line_watch watch;
	int inits, decisive;
	char last_phase[24];
	struct line_scan *scan;
};

static void on_init(struct line_watch *w, const struct init_line *l)
{
	struct seen *s = container_of(w, struct seen, watch);

	s->inits++;
	memcpy(s->last_phase, l->phase, sizeof(s->last_phase));
}

static void on_decisive(struct line_watch *w)
{
	container_of(w, struct seen, watch)->decisive++;
}

static int setup(void **state)
{
	static struct seen s;

	memset(&s, 0, sizeof(s));
	s.watch = (struct line_watch){on_init, on_decisive};
	*state = &s;
	return line_scan_new(&s.watch, &s.scan);
}

static int teardown(void **state)
{
	line_scan_free(((struct seen *)*state)->scan);
	return 0;
}

static void feed(struct seen *s, const char *text)
{
	line_scan_feed(s->scan, text, strlen(text), 0);
}

static const char boot[] =
	"[    0.000000] Linux version 6.1.0\r\n"
	"\x1b[32mcoloured\x1b[0m line\n"
	"hearth-init: phase=modules ok n=7 ms=12\n"
	"[    1.2] hearth-init: phase=devices ok transport=pci pci=\"1af4:1042@00:02.0 "
	"1af4:1041@00:03.0\" blk=\"vda vdb\"\n"
	"hearth-init: phase=net ok dev=eth0 mac=06:00:c0:a8:64:02 ip=192.168.100.2/24 ms=3\n"
	"hearth-init: phase=root ok mode=overlay dev=vda fs=ext4 disk=vdb ms=41\n"
	"hearth-init: phase=handover ok init=/sbin/init\n";

static void check_boot(const struct seen *s)
{
	const struct init_line *net = line_scan_init(s->scan, FACT_INIT_NET);
	const struct init_line *root = line_scan_init(s->scan, FACT_INIT_ROOT);
	const struct init_line *devices = line_scan_init(s->scan, FACT_INIT_DEVICES);

	assert_int_equal(s->inits, 5);
	assert_int_equal(s->decisive, 0);
	assert_string_equal(net->ip, "192.168.100.2/24");
	assert_string_equal(net->mac, "06:00:c0:a8:64:02");
	assert_string_equal(root->dev, "vda");
	assert_string_equal(root->disk, "vdb");
	assert_int_equal(root->ms, 41);
	assert_string_equal(devices->blk, "vda vdb");
	assert_non_null(strstr(devices->pci, "1af4:1041"));
	assert_true(line_scan_handed_over(s->scan));
	assert_string_equal(line_scan_phase(s->scan), "handover");
	assert_string_equal(s->last_phase, "handover");
	assert_int_equal(line_scan_fact(s->scan, FACT_INIT_ROOT)->number, 6);
}

static void understands_a_boot(void **state)
{
	struct seen *s = *state;

	feed(s, boot);
	check_boot(s);
}

static void byte_by_byte_is_the_same(void **state)
{
	struct seen *s = *state;

	for (size_t i = 0; i < sizeof(boot) - 1; i++)
		line_scan_feed(s->scan, boot + i, 1, 0);
	check_boot(s);
}

static void colours_are_left_out(void **state)
{
	struct seen *s = *state;

	feed(s, "\x1b[1;31mred\x1b[0m \x1b(Bplain\n");
	assert_string_equal(line_scan_last(s->scan)->text, "red Bplain");
}

static void hostile_bytes_stay_harmless(void **state)
{
	struct seen *s = *state;
	char noise[5000];

	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (char)(i * 7 + i / 256);
	for (int k = 0; k < 50; k++)
		line_scan_feed(s->scan, noise, sizeof(noise), k % 3 ? 0 : 100);
	memset(noise, 'x', sizeof(noise)); /* a line longer than any */
	for (int k = 0; k < 50; k++)
		line_scan_feed(s->scan, noise, sizeof(noise), 0);
	feed(s, "\n");
	assert_true(strlen(line_scan_last(s->scan)->text) < LINE_TEXT);
	/* an unfinished sequence ends with its line */
	feed(s, "\x1b[\nhearth-init: phase=early ok\n");
	assert_string_equal(line_scan_phase(s->scan), "early");
}

static void a_failure_is_decisive_once(void **state)
{
	struct seen *s = *state;
	const struct init_line *f;

	feed(s, "hearth-init: phase=root fail code=ROOT_DEVICE_MISSING exit=31 looked=\"/dev/sda\" "
		"why=\"no such \\\"disk\\\"\" saw=\"vda 1048576\" hint=\"name one\"\n");
	feed(s, "[ 2.0] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00001f00\n");
	f = line_scan_failure(s->scan);
	assert_int_equal(s->decisive, 1);
	assert_string_equal(f->code, "ROOT_DEVICE_MISSING");
	assert_string_equal(f->looked, "/dev/sda");
	assert_string_equal(f->why, "no such \"disk\"");
	assert_string_equal(f->saw, "vda 1048576");
}

static void warnings_are_told_but_decide_nothing(void **state)
{
	struct seen *s = *state;

	feed(s, "hearth-init: phase=modules warn module=a.ko why=\"No such file\"\n"
		"hearth-init: phase=modules skip why=\"no list\" ms=0\n");
	assert_int_equal(s->inits, 2);
	assert_int_equal(s->decisive, 0);
	assert_null(line_scan_failure(s->scan));
}

/* After the hand-over a guest's own programs write: nothing of theirs is taken for init or
 * kernel. */
static void a_guest_cannot_forge_lines_after_the_hand_over(void **state)
{
	struct seen *s = *state;

	feed(s, boot);
	feed(s, "hearth-init: phase=root fail code=FORGED\nVFS: Cannot open root device \"vda\"\n"
		"Kernel panic - not syncing: forged\n");
	assert_null(line_scan_failure(s->scan));
	assert_null(line_scan_fact(s->scan, FACT_CANNOT_OPEN_ROOT));
	assert_int_equal(s->decisive, 0);
	assert_non_null(line_scan_fact(s->scan, FACT_PANIC)); /* looked at when the VM has ended */
}

static void text_before_the_mark_is_no_init_line(void **state)
{
	struct init_line l;

	(void)state;
	assert_false(init_line_parse("echo hearth-init: phase=root ok", &l));
	assert_false(init_line_parse("hearth-init: phase=", &l));
	assert_false(init_line_parse("hearth-init: phase=x", &l));
	assert_true(init_line_parse("hearth-init: phase=x ok a= =b \"c", &l));
	assert_true(init_line_parse("hearth-init: phase=x fail", &l));
	assert_string_equal(l.code, "INIT_FAILED");
	assert_true(init_line_parse("hearth-init: phase=x ok ms=99999999999999999999", &l));
	assert_int_equal(l.ms, -1);
}

static void a_partition_list_is_read(void **state)
{
	struct seen *s = *state;

	feed(s, "[    1.0] List of all partitions:\n"
		"[    1.0] fe00         1048576 vda \n"
		"[    1.0]  driver: virtio_blk\n"
		"[    1.0] fe10            2048 vdb \n"
		"[    1.0]  driver: virtio_blk\n"
		"[    1.0] No filesystem could mount root, tried: \n"
		"[    1.0] fe20            2048 vdc \n");
	assert_string_equal(line_scan_disks(s->scan), "vda vdb");
}

static void pci_devices_are_listed(void **state)
{
	struct seen *s = *state;

	feed(s, "[    0.812373] pci 0000:00:01.0: [1af4:1001] type 00 class 0x010000\n"
		"[    0.812400] pci 0000:00:00.0: [1b36:0008] type 00 class 0x060000\n"
		"[    0.812500] pci 0000:00:02.0: [1af4:1000] type 00 class 0x020000\n");
	assert_string_equal(line_scan_pci(s->scan),
			    "1af4:1001@0000:00:01.0 1af4:1000@0000:00:02.0");
}

static void memory_may_be_exhausted(void **state)
{
	struct line_scan *s = NULL;

	(void)state;
	EACH_ALLOCATION_FAILS(line_scan_new(NULL, &s), line_scan_free(s));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(understands_a_boot),
		T(byte_by_byte_is_the_same),
		T(colours_are_left_out),
		T(hostile_bytes_stay_harmless),
		T(a_failure_is_decisive_once),
		T(warnings_are_told_but_decide_nothing),
		T(a_guest_cannot_forge_lines_after_the_hand_over),
		T(text_before_the_mark_is_no_init_line),
		T(a_partition_list_is_read),
		T(pci_devices_are_listed),
		cmocka_unit_test(memory_may_be_exhausted),
	};

	return RUN_TESTS(tests);
}
