/*
 * Tests of engine/cmdline: the composed line word by word, and every refusal with its reason.
 */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "engine/engine.h"
#include "unit.h"

static struct cmdline_spec pci(void)
{
	return (struct cmdline_spec){
		.transport = VM_PCI,
		.root = VM_ROOT_OVERLAY,
		.drives_n = 2,
		.root_fs = "ext4",
		.has_init = true,
		.ip = 0xc0a86402,
		.gateway = 0xc0a86401,
		.prefix = 24,
		.mtu = 1500,
		.dns = {0x01010101, 0x08080808},
		.dns_n = 2,
		.mac = {0x06, 0x00, 0xc0, 0xa8, 0x64, 0x02},
		.hostname = "web-1",
		.console = "ttyS0",
		.user_args = "",
	};
}

static struct cmdline_spec direct(void)
{
	struct cmdline_spec s = pci();

	s.root = VM_ROOT_DIRECT;
	s.drives_n = 1;
	return s;
}

static void assert_line(const struct cmdline_spec *s, const char *expected)
{
	char line[LIMIT_CMDLINE_LEN + 1];
	struct err e = {0};

	if (cmdline_compose(s, line, &e))
		fail_msg("%s: %s", e.id, e.text);
	assert_string_equal(line, expected);
}

static void assert_refused(struct cmdline_spec s, const char *args, const char *id,
			   const char *says)
{
	char line[LIMIT_CMDLINE_LEN + 1] = "untouched";
	struct err e = {0};

	s.user_args = args;
	if (cmdline_compose(&s, line, &e) >= 0)
		fail_msg("accepted: %s", args);
	assert_string_equal(e.id, id);
	assert_int_equal(e.kind, ERR_CALLER);
	if (!strstr(e.text, says))
		fail_msg("%s: expected \"%s\" in: %s", args, says, e.text);
	assert_string_equal(line, "untouched");
}

static void assert_accepted(struct cmdline_spec s, const char *args, const char *ends)
{
	char line[LIMIT_CMDLINE_LEN + 1];
	struct err e = {0};

	s.user_args = args;
	if (cmdline_compose(&s, line, &e))
		fail_msg("%s: %s", e.id, e.text);
	if (!str_ends(line, ends))
		fail_msg("expected the end \"%s\" of: %s", ends, line);
}

#define OVERLAY_LINE "console=ttyS0 reboot=t panic=-1 loglevel=5 " OVERLAY_REST
#define OVERLAY_REST                                                                               \
	"hearth.root=overlay hearth.base=/dev/vda "                                                \
	"hearth.disk=/dev/vdb hearth.hostname=web-1 hearth.mac=06:00:c0:a8:64:02 "                 \
	"hearth.ip=192.168.100.2/24 hearth.gw=192.168.100.1 hearth.dns=1.1.1.1,8.8.8.8 "           \
	"hearth.mtu=1500"

static void composes_for_hearth_init(void **state)
{
	struct cmdline_spec s = pci();

	(void)state;
	assert_line(&s, OVERLAY_LINE);
	s.user_args = "  quiet   x=3 ";
	assert_line(&s, OVERLAY_LINE " quiet x=3");
	s.user_args = "loglevel=7"; /* takes the place of ours: no key stands there twice */
	assert_line(&s, "console=ttyS0 reboot=t panic=-1 " OVERLAY_REST " loglevel=7");
	s.user_args = NULL;
	s.transport = VM_MMIO;
	assert_line(&s, OVERLAY_LINE);
	s = direct();
	s.ip = 0;
	s.hostname = NULL;
	assert_line(&s,
		    "console=ttyS0 reboot=t panic=-1 loglevel=5 hearth.root=direct root=/dev/vda "
		    "rootfstype=ext4");
}

static void composes_for_the_kernel_alone(void **state)
{
	struct cmdline_spec s = direct();

	(void)state;
	s.has_init = false;
	assert_line(&s, "console=ttyS0 reboot=t panic=-1 root=/dev/vda rw rootfstype=ext4 "
			"ip=192.168.100.2::192.168.100.1:255.255.255.0:web-1::off:1.1.1.1:8.8.8.8");
	s.gateway = 0;
	s.dns_n = 0;
	s.hostname = NULL;
	s.prefix = 29;
	assert_line(&s, "console=ttyS0 reboot=t panic=-1 root=/dev/vda rw rootfstype=ext4 "
			"ip=192.168.100.2:::255.255.255.248:::off");
}

static void names_the_tsc_under_tcg(void **state)
{
	struct cmdline_spec s = pci();
	char line[LIMIT_CMDLINE_LEN + 1];

	(void)state;
	s.tcg = true;
	assert_int_equal(cmdline_compose(&s, line, NULL), 0);
	assert_non_null(strstr(line, " cryptomgr.notests "));
	/* On a host without an invariant TSC there is nothing to name. */
	if (strstr(line, "tsc_early_khz="))
		assert_non_null(strstr(line, " tsc=reliable "));
	assert_refused(s, "cryptomgr.notests", "cmdline.duplicate", "Hearth sets this key");
}

static void refuses_roots_that_do_not_exist(void **state)
{
	static const char *const wrong[] = {
		"root=/dev/sda",  "root=/dev/vdb", "root=LABEL=x", "root=PARTUUID=1-2",
		"root=/dev/vda1", "root=",	   "root"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		assert_refused(direct(), wrong[i], "cmdline.root-contradicts",
			       "root=/dev/vda would work");
		assert_refused(pci(), wrong[i], "cmdline.root-contradicts", "overlay");
	}
	assert_refused(direct(), "root=/dev/sda", "cmdline.root-contradicts", "virtio-scsi only");
	assert_refused(pci(), "root=/dev/vda", "cmdline.root-contradicts", "overlay");
	/* What stands there already is not repeated. */
	assert_accepted(direct(), "root=/dev/vda quiet", "hearth.mtu=1500 quiet");
	assert_accepted(direct(), "root=\"/dev/vda\"", "hearth.mtu=1500");
}

static void refuses_to_switch_the_bus_off(void **state)
{
	struct cmdline_spec mmio = pci();

	(void)state;
	mmio.transport = VM_MMIO;
	assert_refused(pci(), "pci=off", "cmdline.pci-off", "\"transport\":\"mmio\"");
	assert_refused(pci(), "quiet pci=nomsi,off", "cmdline.pci-off", "pci=nomsi,off");
	assert_accepted(pci(), "pci=nomsi", " pci=nomsi");
	assert_accepted(mmio, "pci=off", " pci=off");
	assert_refused(pci(), "acpi=off", "cmdline.acpi-off", "PCI host bridge");
	assert_refused(mmio, "acpi=off", "cmdline.acpi-off", "virtio-mmio");
	assert_refused(pci(), "acpi=noirq", "cmdline.acpi-off", "acpi=noirq");
	assert_refused(pci(), "pci=noacpi", "cmdline.acpi-off", "pci=noacpi");
	assert_refused(pci(), "noapic", "cmdline.acpi-off", "noapic");
	assert_accepted(pci(), "acpi=strict", " acpi=strict");
}

static void refuses_what_hearth_owns(void **state)
{
	static const char *const owned[] = {
		"hearth.ip=10.0.0.1/8", "hearth.x",  "ip=dhcp",
		"rdinit=/bin/sh",	"initrd=/x", "virtio_mmio.device=4K@0xd0000000:5",
		"virtio-mmio.device=1", "rw",	     "ro"};
	struct cmdline_spec s = direct();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(owned); i++)
		assert_refused(pci(), owned[i], "cmdline.reserved", owned[i]);
	assert_refused(pci(), "panic=10", "cmdline.duplicate", "panic=10");
	assert_refused(pci(), "reboot=k", "cmdline.duplicate", "last one");
	assert_refused(direct(), "rootfstype=xfs", "cmdline.duplicate", "rootfstype=xfs");
	s.ip = 0; /* without a network of ours the address is the user's */
	s.has_init = false;
	assert_accepted(s, "ip=10.0.0.1::::x::off", " ip=10.0.0.1::::x::off");
	assert_accepted(s, "rdinit=/bin/sh", " rdinit=/bin/sh");
}

static void refuses_other_consoles(void **state)
{
	(void)state;
	assert_refused(pci(), "console=tty0", "cmdline.console-contradicts",
		       "console=ttyS0 would work");
	assert_refused(pci(), "console=ttyS01", "cmdline.console-contradicts", "ttyS0");
	assert_refused(pci(), "console", "cmdline.console-contradicts", "ttyS0");
	assert_accepted(pci(), "console=ttyS0,115200 quiet", "hearth.mtu=1500 quiet");
	assert_accepted(pci(), "console=ttyS0", "hearth.mtu=1500");
}

static void refuses_keys_twice(void **state)
{
	(void)state;
	assert_refused(pci(), "a=1 b=2 a=3", "cmdline.duplicate", "twice");
	assert_refused(pci(), "quiet quiet", "cmdline.duplicate", "twice");
	assert_refused(pci(), "log-buf=1 log_buf=2", "cmdline.duplicate", "twice");
	assert_refused(pci(), "\"x=1\" x=2", "cmdline.duplicate", "twice");
	assert_accepted(pci(), "ab=1 a=1 abc=1", " ab=1 a=1 abc=1");
}

static void understands_quotes(void **state)
{
	(void)state;
	assert_accepted(pci(), "dyndbg=\"file a.c +p; file b.c +p\" quiet",
			" dyndbg=\"file a.c +p; file b.c +p\" quiet");
	assert_accepted(pci(), "\"x=a b\" y", " \"x=a b\" y");
	assert_refused(pci(), "x=\"a b", "cmdline.quote", "not closed");
	assert_refused(pci(), "x=\"a root=/dev/sda\" root=/dev/sda", "cmdline.root-contradicts",
		       "root");
	assert_accepted(pci(), "x=\"a root=/dev/sda\"", " x=\"a root=/dev/sda\"");
}

static void refuses_bytes_that_are_no_text(void **state)
{
	(void)state;
	assert_refused(pci(), "a\nb", "cmdline.not-printable", "byte 1 is 0x0a");
	assert_refused(pci(), "\tb", "cmdline.not-printable", "0x09");
	assert_refused(pci(), "x=\xc3\xa4", "cmdline.not-printable", "0xc3");
	assert_refused(pci(), "\x7f", "cmdline.not-printable", "0x7f");
}

static void is_exact_at_the_limit(void **state)
{
	char args[LIMIT_CMDLINE_LEN + 2], line[LIMIT_CMDLINE_LEN + 1];
	struct cmdline_spec s = pci();
	size_t room;

	(void)state;
	assert_int_equal(cmdline_compose(&s, line, NULL), 0);
	room = LIMIT_CMDLINE_LEN - strlen(line) - 1; /* the blank between */
	memset(args, 'x', sizeof(args));
	args[room] = '\0';
	s.user_args = args;
	assert_int_equal(cmdline_compose(&s, line, NULL), 0);
	assert_int_equal(strlen(line), LIMIT_CMDLINE_LEN);
	args[room] = 'x';
	args[room + 1] = '\0';
	assert_refused(pci(), args, "cmdline.too-long", "2048 bytes, the kernel takes 2047");
	for (size_t i = 0; i < 600; i++)
		args[i] = i % 2 ? ' ' : 'a';
	args[600] = '\0';
	assert_refused(pci(), args, "cmdline.too-long", "words");
}

static void needs_its_drives(void **state)
{
	struct cmdline_spec s = pci();

	(void)state;
	s.drives_n = 1;
	assert_refused(s, "", "cmdline.no-root-drive", "needs 2 drives, the VM has 1");
	s.root = VM_ROOT_DIRECT;
	s.drives_n = 0;
	assert_refused(s, "", "cmdline.no-root-drive", "needs 1 drives");
}

static void survives_want_of_memory(void **state)
{
	struct cmdline_spec s = pci();
	char line[LIMIT_CMDLINE_LEN + 1];

	(void)state;
	s.user_args = "quiet x=1";
	EACH_ALLOCATION_FAILS(cmdline_compose(&s, line, NULL), (void)0);
	assert_string_equal(line, OVERLAY_LINE " quiet x=1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(composes_for_hearth_init),
		cmocka_unit_test(composes_for_the_kernel_alone),
		cmocka_unit_test(names_the_tsc_under_tcg),
		cmocka_unit_test(refuses_roots_that_do_not_exist),
		cmocka_unit_test(refuses_to_switch_the_bus_off),
		cmocka_unit_test(refuses_what_hearth_owns),
		cmocka_unit_test(refuses_other_consoles),
		cmocka_unit_test(refuses_keys_twice),
		cmocka_unit_test(understands_quotes),
		cmocka_unit_test(refuses_bytes_that_are_no_text),
		cmocka_unit_test(is_exact_at_the_limit),
		cmocka_unit_test(needs_its_drives),
		cmocka_unit_test(survives_want_of_memory),
	};

	return RUN_TESTS(tests);
}
