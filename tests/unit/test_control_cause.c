/*
 * Causes from consoles: panics that look alike are told apart, harmless lines are never named.
 */
#include <string.h>

#include "control/cause.h"
#include "unit.h"

#define PANIC_ROOT                                                                                 \
	"[    1.1] Kernel panic - not syncing: VFS: Unable to mount root fs on "                   \
	"unknown-block(0,0)\n"

struct story {
	const char *console, *cmdline, *code; /* code NULL: nothing decisive */
	const char *in_text, *in_evidence;
};

static const struct story stories[] = {
	{"[ 0.1] Linux version 6.1\n[ 0.2] virtio_blk virtio0: [vda] 2048 512-byte logical "
	 "blocks\n",
	 "", NULL, NULL, NULL},
	/* benign in a boot that goes on: the traps' first rule */
	{"[ 0.1] virtio-mmio: Failed to enable 64-bit or 32-bit DMA.  Trying to continue, but this "
	 "might not work.\n"
	 "[ 0.1] ACPI BIOS Error (bug): A valid RSDP was not found\n"
	 "[ 0.2] Initramfs unpacking failed: invalid magic at start of compressed archive\n"
	 "[ 0.3] virtio_blk virtio0: [vda] 2048 512-byte logical blocks\n",
	 "root=/dev/vda", NULL, NULL, NULL},
	/* failures.md 1: driver is a module and there is no initrd */
	{"[    1.0] VFS: Cannot open root device \"vda\" or unknown-block(0,0): error -6\n"
	 "[    1.0] Please append a correct \"root=\" boot option; here are the available "
	 "partitions:\n" PANIC_ROOT,
	 "console=ttyS0 root=/dev/vda", "GUEST_NO_ROOT_DRIVER", "virtio-blk over pci",
	 "Cannot open root device"},
	/* the disk is there under another name */
	{"[    0.9] virtio_blk virtio0: [vda] 2048 512-byte logical blocks (1.05 MB/1.00 MiB)\n"
	 "[    1.0] VFS: Cannot open root device \"sda\" or unknown-block(0,0): error -6\n"
	 "[    1.0] List of all partitions:\n"
	 "[    1.0] fe00            1024 vda \n[    1.0]  driver: virtio_blk\n" PANIC_ROOT,
	 "root=/dev/vda console=ttyS0 root=/dev/sda", "GUEST_WRONG_ROOT_NAME", "it has: vda",
	 "[vda]"},
	/* an unpack error counts when the root panic follows it */
	{"[    0.3] Initramfs unpacking failed: invalid magic at start of compressed archive\n"
	 "[    1.0] VFS: Cannot open root device \"(null)\" or unknown-block(0,0): error "
	 "-6\n" PANIC_ROOT,
	 "console=ttyS0", "GUEST_INITRD_CORRUPT", NULL, "Initramfs unpacking failed"},
	/* right disk, no file system that the kernel knows */
	{"[    0.9] virtio_blk virtio0: [vda] 2048 512-byte logical blocks\n"
	 "[    1.0] List of all partitions:\n[    1.0] fe00 1024 vda \n[    1.0]  driver: "
	 "virtio_blk\n"
	 "[    1.0] No filesystem could mount root, tried: \n[    1.0]  ext4\n"
	 "[    1.1] Kernel panic - not syncing: VFS: Unable to mount root fs on "
	 "unknown-block(254,0)\n",
	 "root=/dev/vda", "GUEST_ROOT_NOT_MOUNTABLE", "/dev/vda", "No filesystem"},
	{"[    0.5] System is deadlocked on memory\n"
	 "[    0.5] Kernel panic - not syncing: System is deadlocked on memory\n",
	 "", "GUEST_OOM_AT_BOOT", "128 MiB", "deadlocked"},
	{"[    1.0] Requested init /sbin/nothing failed (error -2).\n"
	 "[    1.0] Kernel panic - not syncing: Requested init /sbin/nothing failed (error -2).\n",
	 "", "GUEST_KERNEL_PANIC", "Requested init", NULL},
	{"[    1.0] Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b\n", "",
	 "GUEST_INIT_FAILED", NULL, "exitcode"},
	{"[    1.0] Kernel panic - not syncing: stack-protector: Kernel stack is corrupted\n", "",
	 "GUEST_KERNEL_PANIC", "stack-protector", "console.log:1:"},
	/* hearth-init's own words go before everything that follows from them */
	{"hearth-init: phase=root fail code=ROOT_DEVICE_MISSING looked=/dev/sda why=\"not there\" "
	 "saw=\"vda vdb\" "
	 "hint=\"name vda\"\n[ 2.0] Kernel panic - not syncing: Attempted to kill init!\n",
	 "", "ROOT_DEVICE_MISSING", "saw vda vdb", "phase=root fail"},
	/* rootwait waits for ever without a panic */
	{"[    1.0] Waiting for root device /dev/sda...\n[ 0.9] virtio_blk virtio0: [vda] 2048\n",
	 "root=/dev/sda rootwait", "GUEST_WRONG_ROOT_NAME", "it has: vda",
	 "Waiting for root device"},
	{"[    0.9] virtio_blk virtio0: [vda] 2048\n[    1.0] Waiting for root device "
	 "/dev/vda2...\n",
	 "root=/dev/vda2 rootwait", "GUEST_WRONG_ROOT_NAME", "no partition", NULL},
};

static void each_story_has_its_cause(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(stories); i++) {
		const struct story *t = &stories[i];
		struct line_scan *s = NULL;
		struct cause c;
		bool found, shown = false;

		assert_int_equal(line_scan_new(NULL, &s), 0);
		line_scan_feed(s, t->console, strlen(t->console), 0);
		found = cause_from_console(s, VM_PCI, 128, t->cmdline, &c);
		line_scan_free(s);
		if (!t->code) {
			assert_false(found);
			continue;
		}
		if (!found)
			fail_msg("story %zu: no cause, expected %s", i, t->code);
		assert_string_equal(c.code, t->code);
		if (t->in_text && !strstr(c.text, t->in_text))
			fail_msg("story %zu: \"%s\" lacks \"%s\"", i, c.text, t->in_text);
		for (unsigned k = 0; t->in_evidence && k < c.evidence_n; k++)
			shown |= strstr(c.evidence[k], t->in_evidence) != NULL;
		if (t->in_evidence && !shown)
			fail_msg("story %zu: no evidence has \"%s\"", i, t->in_evidence);
		assert_true(c.evidence_n <= CAUSE_EVIDENCE);
	}
}

static void a_cause_is_bounded(void **state)
{
	struct cause c = {0};
	char longer[2000];

	(void)state;
	memset(longer, 'e', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = 0;
	cause_set(&c, longer, "%s", longer);
	for (unsigned i = 0; i < 2 * CAUSE_EVIDENCE; i++)
		cause_evidence(&c, "%s", longer);
	assert_int_equal(c.evidence_n, CAUSE_EVIDENCE);
	assert_int_equal(strlen(c.code), sizeof(c.code) - 1);
	assert_int_equal(strlen(c.text), sizeof(c.text) - 1);
	assert_int_equal(strlen(c.evidence[CAUSE_EVIDENCE - 1]), LINE_TEXT - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_story_has_its_cause),
		cmocka_unit_test(a_cause_is_bounded),
	};

	return RUN_TESTS(tests);
}
