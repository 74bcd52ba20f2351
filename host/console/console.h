#pragma once
/*
 * The bounded console file: byte i of the guest's output stands at offset i of the file, and what
 * lies between the first CONSOLE_HEAD bytes and the last CONSOLE_TAIL bytes is punched out as a
 * hole (fallocate(2) FALLOC_FL_PUNCH_HOLE), so that the file never takes more than head + tail on
 * the disk, offsets never change, and a reader needs no index.
 *
 * Bytes that could not be stored (disk full) are a hole too, up to a block of them NUL bytes.  A
 * file system that can't punch holes (vfat, some network file systems) keeps the first head + tail
 * bytes and loses the rest; ext4, xfs, btrfs, tmpfs and zfs all can.
 *
 * Written by hearth-shim alone; read by hearthd at any time, also after both have died.
 * Trust: every byte was chosen by the guest.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct err;

#define CONSOLE_HEAD (256u << 10) /* the boot, with room for a verbose kernel */
#define CONSOLE_TAIL (768u << 10) /* the last words */

struct console_writer {
	int fd;		     /* owned */
	uint64_t size;	     /* bytes ever given to console_append, stored or not */
	uint64_t punched;    /* end of the hole so far; 0: none */
	uint32_t head, tail; /* bytes kept at either end, at least */
	uint32_t block;	     /* the file system's block: holes begin and end on it */
	bool no_holes; /* the file system can't punch: what comes after head + tail bytes is lost */
};
int console_create(const char *path, uint32_t head, uint32_t tail, struct console_writer *ret,
		   struct err *e);
/* -ENOSPC etc.: not all was stored; the byte count grows all the same, so that offsets stay true.
 *  */
int console_append(struct console_writer *w, const void *data, size_t len);
void console_close(struct console_writer *w);

/* Read up to max bytes from *offset on into ret; skips the hole: then *ret_dropped = bytes skipped
 * (0 otherwise).  Advances *offset.  0 bytes: nothing more now. A missing file is empty. */
int console_read(const char *path, uint64_t *offset, size_t max, struct buf *ret,
		 uint64_t *ret_dropped, struct err *e);
/* Size in bytes ever written; 0 if absent. */
uint64_t console_size(const char *path);
