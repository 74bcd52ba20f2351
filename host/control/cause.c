/*
 * Names the cause of a guest's failure from the lines that a scan of its console collected.
 *
 * Called by the controller on the loop's thread when a VM has failed.  The order of the questions
 * is the order in which a kernel tells them apart: hearth-init's own words, an initramfs that did
 * not unpack, memory, then what the kernel knew of the root device.
 * Trust: texts come from the guest; they are only copied.
 */
#include "control/cause.h"

#include <stdarg.h>
#include <string.h>

#include "base/str.h"
#include "control/text.h"

void cause_set(struct cause *c, const char *code, const char *fmt, ...)
{
	va_list ap;

	text_cut(c->code, sizeof(c->code), "%s", code);
	va_start(ap, fmt);
	text_vcut(c->text, sizeof(c->text), fmt, ap);
	va_end(ap);
}

void cause_remedy(struct cause *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	text_vcut(c->remedy, sizeof(c->remedy), fmt, ap);
	va_end(ap);
}

void cause_evidence(struct cause *c, const char *fmt, ...)
{
	va_list ap;

	if (c->evidence_n >= CAUSE_EVIDENCE)
		return;
	va_start(ap, fmt);
	text_vcut(c->evidence[c->evidence_n++], LINE_TEXT, fmt, ap);
	va_end(ap);
}

void cause_from_err(struct cause *c, const struct err *e)
{
	cause_set(c, e->id ? e->id : "unknown", "%s", e->text);
	cause_remedy(c, "%s", e->remedy);
}

static void show(struct cause *c, const struct line_note *n)
{
	if (n)
		cause_evidence(c, "console.log:%llu: %s", (unsigned long long)n->number, n->text);
}

static void from_init(const struct line_scan *s, struct cause *c)
{
	const struct init_line *l = line_scan_failure(s);

	cause_set(c, l->code, "hearth-init stopped in phase %s%s%s%s%s%s%s", l->phase,
		  l->why[0] ? ": " : "", l->why, l->looked[0] ? "; looked for " : "", l->looked,
		  l->saw[0] ? "; saw " : "", l->saw);
	cause_remedy(c, "%s", l->hint);
	show(c, line_scan_fact(s, FACT_INIT_FAIL));
}

static void from_memory(const struct line_scan *s, uint32_t ram_mib, struct cause *c)
{
	cause_set(c, "GUEST_OOM_AT_BOOT",
		  "the guest ran out of its %u MiB of memory before its init ran", ram_mib);
	cause_remedy(c, "create the VM with more memory (ramMib)");
	show(c, line_scan_fact(s, FACT_OOM));
}

static void from_unpack(const struct line_scan *s, struct cause *c)
{
	cause_set(c, "GUEST_INITRD_CORRUPT", "the kernel could not unpack the image's initramfs");
	cause_remedy(c, "build the image again; its kernel may lack the decompressor that the "
			"initrd needs");
	show(c, line_scan_fact(s, FACT_UNPACK));
	show(c, line_scan_fact(s, FACT_RAMDISK));
	show(c, line_scan_fact(s, FACT_PANIC));
}

/* The value of the last root= of a command line: the kernel takes the last one. */
static void root_asked(const char *cmdline, char *ret, size_t cap)
{
	const char *p = cmdline ? cmdline : "", *at = NULL;

	while ((p = strstr(p, "root="))) {
		if (p == cmdline || p[-1] == ' ')
			at = p + 5;
		p += 5;
	}
	text_cut(ret, cap, "%.*s", at ? (int)strcspn(at, " ") : 0, at ? at : "");
}

static bool word_in(const char *words, const char *w)
{
	size_t n = strlen(w);

	for (const char *p = words; n && (p = strstr(p, w)); p += n)
		if ((p == words || p[-1] == ' ') && (p[n] == ' ' || !p[n]))
			return true;
	return false;
}

/* "vda2" where only "vda" is known. */
static bool partition_of(const char *disks, const char *name)
{
	char disk[64];

	text_cut(disk, sizeof(disk), "%.*s", (int)strcspn(name, "0123456789"), name);
	return name[strlen(disk)] && word_in(disks, disk);
}

static void from_root(const struct line_scan *s, enum vm_transport transport, const char *cmdline,
		      struct cause *c)
{
	const char *disks = line_scan_disks(s);
	char root[64];
	const char *name;

	root_asked(cmdline, root, sizeof(root));
	name = str_starts(root, "/dev/") ? root + 5 : root;
	if (line_scan_fact(s, FACT_READ_ONLY)) {
		cause_set(c, "GUEST_ROOT_READ_ONLY",
			  "the root file system needs writing to recover, and its drive is "
			  "read-only");
		show(c, line_scan_fact(s, FACT_READ_ONLY));
	} else if (!disks[0] && !line_scan_fact(s, FACT_VIRTIO_BLK)) {
		cause_set(c, "GUEST_NO_ROOT_DRIVER",
			  "the kernel saw no disk at all: it has no driver for virtio-blk over %s, "
			  "and no initramfs brought one",
			  vm_transport_name(transport));
		cause_remedy(c, "use an image whose initramfs has the driver, or a kernel with it "
				"built in");
	} else if (name[0] && disks[0] && !word_in(disks, name)) {
		cause_set(c, "GUEST_WRONG_ROOT_NAME", "root=%s names no %s of this VM; it has: %s",
			  root, partition_of(disks, name) ? "partition" : "disk", disks);
		cause_remedy(c, "leave root= out: Hearth computes it from the drives");
	} else {
		cause_set(c, "GUEST_ROOT_NOT_MOUNTABLE",
			  "the root disk %s is there, but the kernel knows no file system on it",
			  root);
		cause_remedy(c, "check the image's rootfs: hearth image show");
		show(c, line_scan_fact(s, FACT_NO_FILESYSTEM));
	}
	show(c, line_scan_fact(s, FACT_CANNOT_OPEN_ROOT));
	show(c, line_scan_fact(s, FACT_VIRTIO_BLK));
	show(c, line_scan_fact(s, FACT_DISKS));
	show(c, line_scan_fact(s, FACT_PANIC));
}

static void from_init_program(const struct line_scan *s, struct cause *c)
{
	cause_set(c, "GUEST_INIT_FAILED", "the guest's init could not run or ended");
	show(c, line_scan_fact(s, FACT_INIT_EXEC));
	show(c, line_scan_fact(s, FACT_NO_INIT));
	show(c, line_scan_fact(s, FACT_INIT_KILLED));
	show(c, line_scan_fact(s, FACT_PANIC));
}

bool cause_from_console(const struct line_scan *s, enum vm_transport transport, uint32_t ram_mib,
			const char *cmdline, struct cause *c)
{
	const struct line_note *panic = line_scan_fact(s, FACT_PANIC);
	const char *reason;

	memset(c, 0, sizeof(*c));
	if (line_scan_fact(s, FACT_INIT_FAIL)) {
		from_init(s, c);
		return true;
	}
	if (line_scan_fact(s, FACT_OOM)) {
		from_memory(s, ram_mib, c);
		return true;
	}
	if (!panic) {
		if (!line_scan_fact(s, FACT_WAITING_ROOT) || line_scan_fact(s, FACT_HANDOVER))
			return false;
		from_root(s, transport, cmdline, c); /* rootwait: waits for ever, without a panic */
		show(c, line_scan_fact(s, FACT_WAITING_ROOT));
		return true;
	}
	if (line_scan_fact(s, FACT_UNABLE_TO_MOUNT) || line_scan_fact(s, FACT_CANNOT_OPEN_ROOT)) {
		/* An unpack error is harmless when the boot goes on; here it did not. */
		if (line_scan_fact(s, FACT_UNPACK))
			from_unpack(s, c);
		else
			from_root(s, transport, cmdline, c);
		return true;
	}
	if (line_scan_fact(s, FACT_INIT_KILLED) || line_scan_fact(s, FACT_NO_INIT)) {
		from_init_program(s, c);
		return true;
	}
	reason = strstr(panic->text, "not syncing");
	cause_set(c, "GUEST_KERNEL_PANIC", "the guest's kernel panicked%s",
		  reason ? reason + strlen("not syncing") : "");
	show(c, panic);
	return true;
}
