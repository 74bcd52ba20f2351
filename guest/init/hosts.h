#pragma once
/*
 * The line of /etc/hosts that names this machine.
 */
struct buf;

/* Write to ret what the file should hold: `old` with hearth-init's own line of an earlier boot
 * dropped, and one for `hostname` at its end unless another line names it.  -ENOMEM on failure. */
int hosts_update(const char *old, const char *hostname, struct buf *ret);
