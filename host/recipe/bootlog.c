/*
 * Reads the console of a test boot line by line.
 * Called by testboot.c on its loop.  Trust: every byte was chosen by the guest; lines are cut, and
 * what is kept is printable.
 */
#include "recipe/bootlog.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"

/* Lines that tell why a boot ended, the more telling the heavier (docs of diagnosis tell the whole
 * story). */
static const struct {
	const char *text;
	int weight;
} faults[] = {
	{"Kernel panic - not syncing", 1},     {"Out of memory and no killable processes", 2},
	{"VFS: Cannot open root device", 3},   {"No filesystem could mount root", 3},
	{"System is deadlocked on memory", 3}, {"Initramfs unpacking failed", 1},
};

static void note(const struct bootlog *b, struct bootlog_line *l)
{
	l->number = b->number;
	/* Cut is fine: evidence for people. */
	(void)snprintf(l->text, sizeof(l->text), "%.*s", (int)sizeof(l->text) - 1, b->line);
}

static void look_at_init(struct bootlog *b, const char *phase)
{
	const struct {
		const char *start;
		struct bootlog_line *line;
	} ok[] = {{"net ok", &b->net}, {"root ok", &b->root}, {"handover ok", &b->handover}};
	const char *status = strchr(phase, ' ');

	for (size_t i = 0; i < ARRAY_LEN(ok); i++)
		if (str_starts(phase, ok[i].start) && !ok[i].line->number)
			note(b, ok[i].line);
	if (status && str_starts(status, " fail") && b->fault_weight < 9) {
		b->fault_weight = 9;
		note(b, &b->fault);
	}
}

/* Without hearth-init the kernel is the witness: it mounts the root, or a user's initrd does. */
static bool says_mounted(const char *line)
{
	return strstr(line, "VFS: Mounted root") ||
	       (strstr(line, "vda") &&
		(strstr(line, "mounted filesystem") || strstr(line, "Mounting") ||
		 strstr(line, "mounted with root inode")));
}

static void look_at_kernel(struct bootlog *b)
{
	for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
		if (faults[i].weight <= b->fault_weight || !strstr(b->line, faults[i].text))
			continue;
		b->fault_weight = faults[i].weight;
		note(b, &b->fault);
	}
	if (!b->image->has_init && !b->root.number && says_mounted(b->line))
		note(b, &b->root);
}

static void look_at_probes(struct bootlog *b)
{
	/* Only what comes after the hand-over is the image's own. */
	if (b->image->has_init && !b->handover.number)
		return;
	for (unsigned i = 0; i < b->image->probes_n; i++)
		if (b->image->probes[i].type == PROBE_CONSOLE && !b->probe[i].number &&
		    strstr(b->line, b->image->probes[i].text))
			note(b, &b->probe[i]);
}

static void look(struct bootlog *b)
{
	static const char mark[] = "hearth-init: phase=";
	const char *phase;

	b->line[b->len] = '\0';
	if (strspn(b->line, " ") < b->len)
		note(b, &b->last);
	look_at_probes(b);
	phase = strstr(b->line, mark); /* behind a half line of the kernel's, perhaps */
	if (phase && b->image->has_init && !b->handover.number)
		look_at_init(b, phase + sizeof(mark) - 1);
	else
		look_at_kernel(b);
}

void bootlog_feed(struct bootlog *b, const char *data, size_t len)
{
	if (!b->number)
		b->number = 1;
	for (size_t i = 0; i < len; i++) {
		char c = data[i];

		if (c == '\n') {
			look(b);
			b->len = 0;
			b->number++;
		} else if (b->len < sizeof(b->line) - 1 && c != '\r') {
			b->line[b->len++] = c >= 0x20 && c < 0x7f ? c : c == '\t' ? ' ' : '?';
		}
	}
	b->line[b->len] = '\0';
	look_at_probes(b); /* a prompt ends without a line's end */
}

bool bootlog_holds(const struct bootlog *b)
{
	for (unsigned i = 0; i < b->image->probes_n; i++)
		if (b->image->probes[i].type == PROBE_CONSOLE && !b->probe[i].number)
			return false;
	if (b->image->has_init)
		return b->net.number && b->root.number && b->handover.number;
	/* squashfs and btrfs are mounted without such a line; then only the network's proof shows
	 * that an init runs. */
	return b->root.number || str_eq(b->image->rootfs_fs, "squashfs") ||
	       str_eq(b->image->rootfs_fs, "btrfs");
}
