#pragma once
/*
 * Whole reads and writes, atomic file replacement, directory trees, sparse copies, Unix sockets.
 * All paths are used as given (no shell, no expansion); all descriptors are O_CLOEXEC.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct buf;
struct err;

/* Read to the end of the file, at most max bytes; -EFBIG (and e) beyond that. Appends to ret. */
int fd_read_file(const char *path, size_t max, struct buf *ret, struct err *e);
/* From the current offset; on failure ret is as before. */
int fd_read_all(int fd, size_t max, struct buf *ret);
int fd_write_all(int fd, const void *data, size_t len); /* retries EINTR and short writes */
/* Temporary file beside path, write, fsync, rename, fsync of the directory: old or new, never
 * half. */
int fd_replace_file(const char *path, const void *data, size_t len, mode_t mode, struct err *e);
/* mkdir -p; an existing directory is fine. */
int fd_mkdirs(const char *path, mode_t mode, struct err *e);
/* rm -r; follows no link and crosses no mount; a missing path is fine. */
int fd_remove_tree(const char *path, struct err *e);
int fd_set_nonblock(int fd, bool on);
/* Copy a file's data and nothing of its holes; *ret_bytes = bytes written. dst must be empty. */
int fd_copy_sparse(int src_fd, int dst_fd, uint64_t *ret_bytes, struct err *e);
/* Disk space that a directory's files take, in bytes (st_blocks), not following links. */
int fd_tree_usage(const char *path, uint64_t *ret_bytes, struct err *e);
/* Open or make the file and wait for its exclusive flock(2), which goes with the descriptor. */
int fd_lock(const char *path, int *ret_fd, struct err *e);
/* Listening Unix stream socket; a stale file of a dead listener is removed first, a live one is
 * -EADDRINUSE.  The path may have at most 107 bytes (sun_path). */
int fd_listen_unix(const char *path, mode_t mode, int backlog, int *ret_fd, struct err *e);
int fd_connect_unix(const char *path, int *ret_fd, struct err *e);
