/*
 * Console lines: splitting, cleaning, and the first line of each kind that matters.
 *
 * Called by the controller's console watch and by verify, on the loop's thread.
 * Trust: every byte was chosen by the guest; a line is cut at LINE_MAX_, nothing grows.
 */
#include "control/lines.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/str.h"
#include "control/text.h"

struct pattern {
	enum line_fact fact;
	const char *text, *also; /* both must stand in the line; NULL: none */
	bool decisive;
};

/* Linux 6.1: init/do_mounts.c, init/main.c, init/initramfs.c, kernel/panic.c, mm/oom_kill.c,
 * drivers/block/virtio_blk.c. */
static const struct pattern patterns[] = {
	{FACT_PANIC, "Kernel panic - not syncing", NULL, true},
	{FACT_CANNOT_OPEN_ROOT, "VFS: Cannot open root device", NULL, false},
	{FACT_UNABLE_TO_MOUNT, "VFS: Unable to mount root fs", NULL, false},
	{FACT_NO_FILESYSTEM, "No filesystem could mount root", NULL, false},
	{FACT_WAITING_ROOT, "Waiting for root device", NULL, false},
	{FACT_UNPACK, "Initramfs unpacking failed", NULL, false},
	{FACT_RAMDISK, "RAMDISK: ", NULL, false},
	{FACT_OOM, "System is deadlocked on memory", NULL, false},
	{FACT_OOM, "Out of memory and no killable processes", NULL, false},
	{FACT_INIT_KILLED, "Attempted to kill init!", NULL, false},
	{FACT_INIT_EXEC, "Requested init ", "failed", false},
	{FACT_INIT_EXEC, "Failed to execute /", NULL, false},
	{FACT_NO_INIT, "No working init found", NULL, false},
	{FACT_PARTITIONS, "List of all partitions:", NULL, false},
	{FACT_VIRTIO_BLK, "virtio_blk virtio", "[vd", false},
	{FACT_VIRTIO_NET, "virtio_net virtio", NULL, false},
	{FACT_PCI_VIRTIO, "[1af4:", NULL, false},
	{FACT_READ_ONLY, "write access unavailable", NULL, false},
	{FACT_EMERGENCY, "You are in emergency mode", NULL, false},
};

struct line_scan {
	struct line_watch *watch; /* borrowed */
	bool handed_over, told, in_list, escape, csi;
	char line[LINE_MAX_];
	size_t n;
	bool cut;
	uint64_t number;
	struct line_note facts[FACT_N_], last;
	struct init_line failure, net, root, devices;
	char phase[24];
	char disks[96], pci[160];
};

int line_scan_new(struct line_watch *w, struct line_scan **ret)
{
	struct line_scan *s = mem_zalloc(sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->watch = w;
	*ret = s;
	return 0;
}

void line_scan_free(struct line_scan *s)
{
	free(s);
}

static void note(struct line_note *n, uint64_t number, const char *text)
{
	n->number = number;
	text_cut(n->text, sizeof(n->text), "%s", text); /* a cut line is still evidence */
}

static void note_first(struct line_scan *s, enum line_fact f, const char *text)
{
	if (!s->facts[f].number)
		note(&s->facts[f], s->number, text);
}

static void keep(struct init_line *dst, const struct init_line *src)
{
	*dst = *src;
	dst->line = NULL; /* pointed into the line that is overwritten next */
}

static void on_init_line(struct line_scan *s, struct init_line *l)
{
	l->line = s->line;
	l->number = s->number;
	if (l->verdict == INIT_FAIL) {
		if (!s->facts[FACT_INIT_FAIL].number)
			keep(&s->failure, l);
		note_first(s, FACT_INIT_FAIL, s->line);
	} else if (l->verdict == INIT_OK) {
		memcpy(s->phase, l->phase, sizeof(s->phase));
		if (str_eq(l->phase, "devices")) {
			note_first(s, FACT_INIT_DEVICES, s->line);
			keep(&s->devices, l);
		} else if (str_eq(l->phase, "net")) {
			note_first(s, FACT_INIT_NET, s->line);
			keep(&s->net, l);
		} else if (str_eq(l->phase, "root")) {
			note_first(s, FACT_INIT_ROOT, s->line);
			keep(&s->root, l);
		}
	}
	if (s->watch && s->watch->init)
		s->watch->init(s->watch, l);
	if (l->verdict == INIT_OK && str_eq(l->phase, "handover")) {
		note_first(s, FACT_HANDOVER, s->line);
		s->handed_over = true;
	}
	if (l->verdict == INIT_FAIL && !s->told && s->watch && s->watch->decisive) {
		s->told = true;
		s->watch->decisive(s->watch);
	}
}

static void add_disk(struct line_scan *s, const char *name)
{
	size_t used = strlen(s->disks), n = strlen(name);

	for (const char *p = s->disks; (p = strstr(p, name)); p += n)
		if ((p == s->disks || p[-1] == ' ') && (p[n] == ' ' || !p[n]))
			return;
	text_cut(s->disks + used, sizeof(s->disks) - used, "%s%s", used ? " " : "", name);
}

/* "pci 0000:00:01.0: [1af4:1001] type 00 class 0x010000" */
static void on_pci(struct line_scan *s)
{
	size_t used = strlen(s->pci);
	const char *p = strstr(s->line, "pci ");
	char slot[16], id[12];

	if (p && sscanf(p, "pci %12[0-9a-f:.]: [%11[0-9a-f:]]", slot, id) == 2)
		text_cut(s->pci + used, sizeof(s->pci) - used, "%s%s@%s", used ? " " : "", id,
			 slot);
}

/* "virtio_blk virtio0: [vda] 2048 512-byte logical blocks" */
static void on_virtio_blk(struct line_scan *s)
{
	const char *p = strstr(s->line, "[vd");
	char name[16];

	if (sscanf(p, "[%15[a-z0-9]]", name) == 1)
		add_disk(s, name);
}

/* "fe00         1048576 vda " and "  driver: virtio_blk" of printk_all_partitions
 * (block/genhd.c). */
static void on_partition(struct line_scan *s)
{
	const char *p = s->line;
	unsigned major;
	unsigned long long blocks;
	char name[16];

	if (*p == '[') { /* the time stamp */
		p = strchr(p, ']');
		p = p ? p + 1 : s->line;
	}
	if (strstr(p, "driver: "))
		return;
	if (sscanf(p, " %4x %20llu %15[a-z0-9]", &major, &blocks, name) != 3) {
		s->in_list = false;
		return;
	}
	note_first(s, FACT_DISKS, s->line);
	add_disk(s, name);
}

static void on_line(struct line_scan *s)
{
	struct init_line l;
	bool decisive = false;

	s->number++;
	if (!s->n)
		return;
	s->line[s->n] = 0;
	note(&s->last, s->number, s->line);
	if (s->handed_over) {
		/* What follows comes from the guest's own programs: only a panic still means what
		 * it says, and the controller looks at it when the VM has ended. */
		if (strstr(s->line, patterns[0].text))
			note_first(s, FACT_PANIC, s->line);
		return;
	}
	if (init_line_parse(s->line, &l)) {
		on_init_line(s, &l);
		return;
	}
	if (s->in_list)
		on_partition(s);
	for (size_t i = 0; i < ARRAY_LEN(patterns); i++) {
		const struct pattern *p = &patterns[i];

		if (!strstr(s->line, p->text) || (p->also && !strstr(s->line, p->also)))
			continue;
		note_first(s, p->fact, s->line);
		decisive |= p->decisive;
		if (p->fact == FACT_PARTITIONS)
			s->in_list = true;
		else if (p->fact == FACT_VIRTIO_BLK)
			on_virtio_blk(s);
		else if (p->fact == FACT_PCI_VIRTIO)
			on_pci(s);
	}
	if (decisive && !s->told && s->watch && s->watch->decisive) {
		s->told = true;
		s->watch->decisive(s->watch);
	}
}

/* Colour and cursor sequences (ECMA-48: ESC [ … final byte 0x40..0x7e; ESC and one byte) are left
 * out. */
static bool in_escape(struct line_scan *s, unsigned char ch)
{
	if (s->csi) {
		if (ch >= 0x40 && ch <= 0x7e)
			s->csi = false;
		return true;
	}
	if (s->escape) {
		s->escape = false;
		s->csi = ch == '[';
		return true;
	}
	s->escape = ch == 0x1b;
	return s->escape;
}

void line_scan_feed(struct line_scan *s, const char *data, size_t len, uint64_t dropped)
{
	if (dropped) {
		s->n = 0; /* half a line before a hole and half a line after it are no line */
		s->cut = true;
		s->csi = s->escape = false;
	}
	for (size_t i = 0; i < len; i++) {
		unsigned char ch = (unsigned char)data[i];

		if (ch == '\n') {
			on_line(s);
			s->n = 0;
			s->cut = false;
			/* an unfinished sequence must not eat the next line */
			s->csi = s->escape = false;
			continue;
		}
		if (in_escape(s, ch) || s->cut || ch == '\r')
			continue;
		if (s->n + 1 >= sizeof(s->line)) {
			s->cut = true;
			continue;
		}
		s->line[s->n++] = (char)(ch == '\t' ? ' ' : ch < 0x20 || ch >= 0x7f ? '?' : ch);
	}
}

const struct line_note *line_scan_fact(const struct line_scan *s, enum line_fact f)
{
	return s->facts[f].number ? &s->facts[f] : NULL;
}

const struct line_note *line_scan_last(const struct line_scan *s)
{
	return s->last.number ? &s->last : NULL;
}

const struct init_line *line_scan_failure(const struct line_scan *s)
{
	return s->facts[FACT_INIT_FAIL].number ? &s->failure : NULL;
}

const struct init_line *line_scan_init(const struct line_scan *s, enum line_fact f)
{
	if (!s->facts[f].number)
		return NULL;
	return f == FACT_INIT_NET ? &s->net : f == FACT_INIT_ROOT ? &s->root : &s->devices;
}

const char *line_scan_phase(const struct line_scan *s)
{
	return s->phase;
}

const char *line_scan_pci(const struct line_scan *s)
{
	return s->pci;
}

const char *line_scan_disks(const struct line_scan *s)
{
	return s->disks;
}

bool line_scan_handed_over(const struct line_scan *s)
{
	return s->handed_over;
}

uint64_t line_scan_lines(const struct line_scan *s)
{
	return s->number;
}
