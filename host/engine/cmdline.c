/*
 * Composes the kernel command line from typed fields and checks what a user adds to it.  Called by
 * the controller and by the image builder; any thread.
 * Trust: user_args is a user's text.
 *
 * Grammar (Linux lib/cmdline.c, next_arg; kernel/params.c, parameq): words separated by blanks; in
 * double quotes a blank is part of the word; "key" or "key=value"; '-' and '_' in keys are the
 * same. Hearth's own words come first, the user's after them, so that "--" of a user ends only the
 * user's.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/parse.h"
#include "base/str.h"
#include "engine/engine.h"
#include "engine/tsc.h"

#define WORDS_MAX 256u /* words in LIMIT_BOOT_ARGS_LEN and ours; 2 bytes each would be 512 */

/* One word; points into the text, not terminated. */
struct word {
	const char *key, *value; /* value NULL: no '=' */
	size_t key_len, value_len;
	bool quoted; /* began with a double quote, which key leaves out */
};

struct words {
	struct word at[WORDS_MAX];
	size_t n;
};

static bool key_is(const struct word *w, const char *key)
{
	size_t n = strlen(key);

	if (w->key_len != n)
		return false;
	for (size_t i = 0; i < n; i++) {
		char a = w->key[i] == '-' ? '_' : w->key[i], b = key[i] == '-' ? '_' : key[i];

		if (a != b)
			return false;
	}
	return true;
}

static bool same_key(const struct word *a, const struct word *b)
{
	char key[LIMIT_BOOT_ARGS_LEN + 1];

	return str_fmt(key, sizeof(key), "%.*s", (int)b->key_len, b->key) && key_is(a, key);
}

static bool value_is(const struct word *w, const char *value)
{
	size_t n = strlen(value);
	const char *v = w->value;
	size_t len = w->value_len;

	if (len >= 2 && v[0] == '"' && v[len - 1] == '"') {
		v++;
		len -= 2;
	}
	return v && len == n && memcmp(v, value, n) == 0;
}

/* Is `item` one of the value's comma-separated items? */
static bool value_has(const struct word *w, const char *item)
{
	size_t n = strlen(item), at = 0;

	while (w->value && at <= w->value_len) {
		size_t len = 0;

		while (at + len < w->value_len && w->value[at + len] != ',')
			len++;
		if (len == n && memcmp(w->value + at, item, n) == 0)
			return true;
		at += len + 1;
	}
	return false;
}

/* Split text, which must have been checked to be printable. */
static int split(const char *text, struct words *ret, struct err *e)
{
	const char *p = text;

	ret->n = 0;
	for (;;) {
		struct word *w = &ret->at[ret->n];
		bool quoted = false;
		const char *eq = NULL, *start;

		p += strspn(p, " ");
		if (!*p)
			return 0;
		for (start = p; *p && (quoted || *p != ' '); p++) {
			quoted = *p == '"' ? !quoted : quoted;
			if (*p == '=' && !eq)
				eq = p;
		}
		if (quoted)
			return err_set(e, -EINVAL, ERR_CALLER, "cmdline.quote",
				       "boot arguments: a double quote is not closed");
		if (ret->n == WORDS_MAX)
			return err_set(e, -E2BIG, ERR_CALLER, "cmdline.too-long",
				       "boot arguments: more than %u words", WORDS_MAX);
		w->key = start;
		w->key_len = (size_t)((eq ? eq : p) - start);
		w->value = eq ? eq + 1 : NULL;
		w->value_len = eq ? (size_t)(p - eq) - 1 : 0;
		w->quoted = false;
		if (w->key_len && *w->key == '"') /* "key=value with blanks" */
			w->key++, w->key_len--, w->quoted = true;
		ret->n++;
	}
}

/* --- our part --- */

static void add_dns(const struct cmdline_spec *s, struct buf *b, const char *sep, unsigned max)
{
	char text[IPV4_TEXT_LEN];

	for (unsigned i = 0; i < s->dns_n && i < max; i++) {
		format_ipv4(s->dns[i], text);
		(void)buf_printf(b, "%s%s", i ? sep : "", text); /* b->failed is looked at once */
	}
}

/* Fields of hearth-init (guest/init/cmdline.c). */
static void add_init_network(const struct cmdline_spec *s, struct buf *b)
{
	char ip[IPV4_TEXT_LEN], gw[IPV4_TEXT_LEN], mac[MAC_TEXT_LEN];

	format_ipv4(s->ip, ip);
	format_ipv4(s->gateway, gw);
	format_mac(s->mac, mac);
	(void)buf_printf(b, " hearth.mac=%s hearth.ip=%s/%u", mac, ip, s->prefix); /* as above */
	if (s->gateway)
		(void)buf_printf(b, " hearth.gw=%s", gw);
	if (s->dns_n) {
		(void)buf_puts(b, " hearth.dns=");
		add_dns(s, b, ",", LIMIT_DNS);
	}
	if (s->mtu)
		(void)buf_printf(b, " hearth.mtu=%u", s->mtu);
}

/* The kernel's own (Linux Documentation/admin-guide/nfs/nfsroot.rst, "ip="):
 * ip=<client>:<server>:<gateway>:<netmask>:<hostname>:<device>:<autoconf>:<dns0>:<dns1> */
static void add_kernel_network(const struct cmdline_spec *s, struct buf *b)
{
	char ip[IPV4_TEXT_LEN], gw[IPV4_TEXT_LEN] = "", mask[IPV4_TEXT_LEN];

	format_ipv4(s->ip, ip);
	format_ipv4(ipv4_mask(s->prefix), mask);
	if (s->gateway)
		format_ipv4(s->gateway, gw);
	(void)buf_printf(b, " ip=%s::%s:%s:%s::off", ip, gw, mask, s->hostname ? s->hostname : "");
	if (s->dns_n) {
		(void)buf_puts(b, ":");
		add_dns(s, b, ":", 2);
	}
}

static void add_root(const struct cmdline_spec *s, struct buf *b)
{
	if (s->has_init && s->root == VM_ROOT_OVERLAY)
		(void)buf_puts(b, " hearth.root=overlay hearth.base=/dev/vda hearth.disk=/dev/vdb");
	else if (s->has_init)
		(void)buf_printf(b, " hearth.root=direct root=/dev/vda rootfstype=%s", s->root_fs);
	else
		(void)buf_printf(b, " root=/dev/vda rw rootfstype=%s", s->root_fs);
}

/* Does the user's part name this key?  A part that can't be split is refused later. */
static bool user_names(const struct cmdline_spec *s, const char *key)
{
	struct words user;

	if (!s->user_args || split(s->user_args, &user, NULL))
		return false;
	for (size_t i = 0; i < user.n; i++)
		if (key_is(&user.at[i], key))
			return true;
	return false;
}

/* reboot=t: a triple fault, because a microVM has no keyboard controller to ask; panic=-1: at once,
 * so that a panic ends the VM.  Under TCG: the TSC's rate (tsc.c), no watchdog that compares it
 * with jiffies, which come late when the host is busy, and no self-tests of ciphers (0.17 s).
 * loglevel=5 where hearth-init tells the phases: warnings and worse are printed, and what names no
 * level, such as the list of partitions before a panic; every byte on the serial line costs the
 * guest an exit, and 300 lines of notices half a second under TCG.  The user's own loglevel= comes
 * later and wins. */
static void compose_own(const struct cmdline_spec *s, struct buf *b)
{
	(void)buf_printf(b, "console=%s reboot=t panic=-1", s->console);
	if (s->has_init && !user_names(s, "loglevel"))
		(void)buf_puts(b, " loglevel=5");
	if (s->tcg && tsc_khz())
		(void)buf_printf(b, " tsc_early_khz=%u tsc=reliable", (unsigned)tsc_khz());
	if (s->tcg)
		(void)buf_puts(b, " cryptomgr.notests");
	add_root(s, b);
	if (s->has_init && s->hostname)
		(void)buf_printf(b, " hearth.hostname=%s", s->hostname);
	if (s->ip && s->has_init)
		add_init_network(s, b);
	else if (s->ip)
		add_kernel_network(s, b);
}

/* --- the user's part --- */

static int refuse(struct err *e, const char *id, const struct word *w, const char *why)
{
	size_t n = w->key_len + (w->value ? w->value_len + 1 : 0);

	return err_set(e, -EINVAL, ERR_CALLER, id, "boot arguments: %.*s: %s",
		       (int)(n < 80 ? n : 80), w->key, why);
}

static int check_root(const struct cmdline_spec *s, const struct word *w, bool *ret_drop,
		      struct err *e)
{
	const char *why;

	if (value_is(w, "/dev/vda") && s->root == VM_ROOT_DIRECT) {
		*ret_drop = true; /* that is what stands there already */
		return 0;
	}
	if (s->root == VM_ROOT_OVERLAY)
		why = "the root is an overlay of /dev/vda (read-only image) and /dev/vdb (this "
		      "VM's disk), "
		      "which hearth-init mounts; leave root= out, or create the VM with "
		      "\"root\":\"direct\" "
		      "and root=/dev/vda";
	else
		why = "drives are virtio-blk, which Linux names /dev/vda, /dev/vdb, … on PCI and "
		      "on MMIO "
		      "alike (/dev/sdX is virtio-scsi only); root=/dev/vda would work, and stands "
		      "on the "
		      "command line already";
	return refuse(e, "cmdline.root-contradicts", w, why);
}

static int check_acpi(const struct cmdline_spec *s, const struct word *w, struct err *e)
{
	const char *why =
		s->transport == VM_PCI
			? "the PCI host bridge and its interrupts are announced by ACPI: the "
			  "kernel would find no disk and no NIC; leave it out"
			: "the virtio-mmio devices are announced by ACPI: the kernel would find "
			  "no disk and no NIC; leave it out";

	return refuse(e, "cmdline.acpi-off", w, why);
}

static int check_console(const struct cmdline_spec *s, const struct word *w, bool *ret_drop,
			 struct err *e)
{
	size_t n = strlen(s->console);

	if (w->value && w->value_len >= n && memcmp(w->value, s->console, n) == 0 &&
	    (w->value_len == n || w->value[n] == ',')) {
		*ret_drop = true;
		return 0;
	}
	return refuse(e, "cmdline.console-contradicts", w,
		      "the console that is captured is ttyS0, and the last console= becomes "
		      "/dev/console; "
		      "console=ttyS0 would work, and stands on the command line already");
}

/* Does the key stand among the first n words? */
static bool has_key(const struct words *all, const struct word *key, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (same_key(&all->at[i], key))
			return true;
	return false;
}

/* Keys that are Hearth's even where they do not stand on this command line. */
static const struct {
	const char *key, *why;
} reserved[] = {
	{"rdinit", "process 1 of the initramfs is hearth-init"},
	{"ip", "the address comes from the VM's lease"},
	{"initrd", "the initrd comes from the image"},
	{"virtio_mmio.device",
	 "devices are announced by ACPI; a second announcement makes the kernel "
	 "report error -16"},
	{"ro", "the root's mode follows from \"root\""},
	{"rw", "the root's mode follows from \"root\""},
	{"BOOT_IMAGE", "the kernel comes from the image"},
};

static int check_reserved(const struct cmdline_spec *s, const struct word *w, struct err *e)
{
	if (w->key_len >= 7 && memcmp(w->key, "hearth.", 7) == 0)
		return refuse(e, "cmdline.reserved", w,
			      "hearth.* is computed from the VM's fields");
	for (size_t i = 0; i < ARRAY_LEN(reserved); i++)
		if (key_is(w, reserved[i].key) &&
		    (s->has_init || !str_eq(reserved[i].key, "rdinit")) &&
		    (s->ip || !str_eq(reserved[i].key, "ip")))
			return refuse(e, "cmdline.reserved", w, reserved[i].why);
	return 0;
}

/* Check one word of the user's; *ret_drop: it says what Hearth says already. */
static int check_word(const struct cmdline_spec *s, const struct words *own,
		      const struct words *user, size_t i, bool *ret_drop, struct err *e)
{
	const struct word *w = &user->at[i];
	int rc = check_reserved(s, w, e);

	if (rc)
		return rc;
	if (key_is(w, "root"))
		return check_root(s, w, ret_drop, e);
	if (key_is(w, "console"))
		return check_console(s, w, ret_drop, e);
	if (key_is(w, "pci") && value_has(w, "off") && s->transport == VM_PCI)
		return refuse(
			e, "cmdline.pci-off", w,
			"this VM's disks and NIC are on PCI; leave it out, or create the VM with "
			"\"transport\":\"mmio\"");
	if ((key_is(w, "acpi") && (value_has(w, "off") || value_has(w, "noirq"))) ||
	    key_is(w, "noapic") || key_is(w, "nolapic") ||
	    (key_is(w, "pci") && value_has(w, "noacpi") && s->transport == VM_PCI))
		return check_acpi(s, w, e);
	if (has_key(own, w, own->n))
		return refuse(
			e, "cmdline.duplicate", w,
			"Hearth sets this key itself, and the kernel would take only the last one");
	if (has_key(user, w, i))
		return refuse(e, "cmdline.duplicate", w, "the key stands there twice");
	return 0;
}

static int check_printable(const char *text, struct err *e)
{
	for (size_t i = 0; text[i]; i++)
		if ((unsigned char)text[i] < 0x20 || (unsigned char)text[i] > 0x7e)
			return err_set(
				e, -EINVAL, ERR_CALLER, "cmdline.not-printable",
				"boot arguments: byte %zu is 0x%02x; only printable ASCII may "
				"stand on a command line",
				i, (unsigned char)text[i]);
	return 0;
}

/* Append the user's words to out, without those that say what Hearth says already. */
static int add_user(const struct cmdline_spec *s, const char *own_text, struct buf *out,
		    struct err *e)
{
	struct words own, user;
	int rc = check_printable(s->user_args, e);

	if (!rc)
		rc = split(s->user_args, &user, e);
	if (!rc)
		rc = split(own_text, &own, e);
	for (size_t i = 0; !rc && i < user.n; i++) {
		const struct word *w = &user.at[i];
		const char *end = w->value ? w->value + w->value_len : w->key + w->key_len;
		bool drop = false;

		rc = check_word(s, &own, &user, i, &drop, e);
		if (!rc && !drop) /* out->failed is looked at once */
			(void)buf_printf(out, " %s%.*s", w->quoted ? "\"" : "", (int)(end - w->key),
					 w->key);
	}
	return rc;
}

int cmdline_compose(const struct cmdline_spec *s, char ret[LIMIT_CMDLINE_LEN + 1], struct err *e)
{
	auto_buf own = {0}, out = {0};
	unsigned need = s->has_init && s->root == VM_ROOT_OVERLAY ? 2 : 1;
	int rc = 0;

	if (s->drives_n < need)
		return err_set(e, -EINVAL, ERR_CALLER, "cmdline.no-root-drive",
			       "root %s needs %u drives, the VM has %u", vm_root_name(s->root),
			       need, s->drives_n);
	compose_own(s, &own);
	(void)buf_puts(&out, buf_text(&own)); /* failures are looked at below */
	if (s->user_args)
		rc = add_user(s, buf_text(&own), &out, e);
	if (rc)
		return rc;
	if (own.failed || out.failed)
		return err_nomem(e);
	if (out.len > LIMIT_CMDLINE_LEN)
		return err_set(
			e, -E2BIG, ERR_CALLER, "cmdline.too-long",
			"kernel command line: %zu bytes, the kernel takes %d; of these %zu are the "
			"user's boot arguments",
			out.len, LIMIT_CMDLINE_LEN, strlen(s->user_args ? s->user_args : ""));
	memcpy(ret, buf_text(&out), out.len + 1);
	return 0;
}
