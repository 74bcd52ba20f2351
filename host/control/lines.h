#pragma once
/*
 * Splits a guest's console into lines, remembers the first line of each kind that matters, and
 * parses hearth-init's own lines.  No I/O; bounded memory whatever the guest writes.
 *
 * Trust: every byte was chosen by the guest.  After the hand-over to its own init nothing it writes
 * is taken for a line of the kernel or of hearth-init.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINE_TEXT 240u	/* bytes of a remembered line, NUL included */
#define LINE_MAX_ 1024u /* bytes of a line that are looked at; the rest is skipped */

enum line_fact {
	FACT_INIT_FAIL,	   /* hearth-init: phase=… fail */
	FACT_INIT_DEVICES, /* hearth-init: phase=devices ok */
	FACT_INIT_NET,
	FACT_INIT_ROOT,
	FACT_HANDOVER,
	FACT_PANIC, /* Kernel panic - not syncing: */
	FACT_CANNOT_OPEN_ROOT,
	FACT_UNABLE_TO_MOUNT,
	FACT_NO_FILESYSTEM,
	FACT_WAITING_ROOT,
	FACT_UNPACK, /* Initramfs unpacking failed */
	FACT_RAMDISK,
	FACT_OOM,
	FACT_INIT_KILLED, /* Attempted to kill init! */
	FACT_INIT_EXEC,	  /* Requested init …, Failed to execute … */
	FACT_NO_INIT,
	FACT_PARTITIONS, /* List of all partitions: */
	FACT_DISKS,	 /* first disk of that list */
	FACT_VIRTIO_BLK, /* virtio_blk virtio0: [vda] … */
	FACT_VIRTIO_NET,
	FACT_PCI_VIRTIO, /* a kernel line with [1af4:…] */
	FACT_READ_ONLY,
	FACT_EMERGENCY,
	FACT_N_
};

struct line_note {
	uint64_t number; /* line of the console, from 1; 0: not seen */
	char text[LINE_TEXT];
};

struct init_line { /* one line of hearth-init */
	char phase[24];
	enum {
		INIT_OK,
		INIT_FAIL,
		INIT_NOTE
	} verdict;     /* NOTE: "warn" and whatever else it may say */
	char code[64]; /* of a failure */
	int64_t ms;    /* -1: not given */
	char looked[160], saw[160], why[160], hint[240];
	char mac[18], ip[20], dev[16], disk[16], mode[12], transport[8], pci[160], blk[96];
	const char *line; /* the whole of it, cleaned */
	uint64_t number;
};
/* False: not such a line. */
bool init_line_parse(const char *line, struct init_line *ret);

struct line_watch {
	void (*init)(struct line_watch *w, const struct init_line *l);
	/* A panic or a line of equal weight, before the hand-over; at most once. */
	void (*decisive)(struct line_watch *w);
};

struct line_scan;
int line_scan_new(struct line_watch *w /* NULL: none */, struct line_scan **ret);
void line_scan_free(struct line_scan *s);
/* dropped: bytes of the guest that were lost before data (the hole of the console file). */
void line_scan_feed(struct line_scan *s, const char *data, size_t len, uint64_t dropped);
/* NULL: not seen. */
const struct line_note *line_scan_fact(const struct line_scan *s, enum line_fact f);
const struct line_note *line_scan_last(const struct line_scan *s); /* last whole line with text */
const struct init_line *line_scan_failure(const struct line_scan *s); /* of FACT_INIT_FAIL */
/* _NET, _ROOT, _DEVICES */
const struct init_line *line_scan_init(const struct line_scan *s, enum line_fact f);
const char *line_scan_phase(const struct line_scan *s); /* last phase that was ok; "" if none */
const char *line_scan_disks(const struct line_scan *s); /* "vda vdb": what the kernel named */
/* "1af4:1001@0000:00:01.0 …": virtio devices that the kernel's PCI enumeration named */
const char *line_scan_pci(const struct line_scan *s);
bool line_scan_handed_over(const struct line_scan *s);
uint64_t line_scan_lines(const struct line_scan *s);
