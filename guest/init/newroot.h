#pragma once
/*
 * Leaving the initramfs.
 */
struct fault;

/* Make the file system mounted at `target` the root directory of this process, take /dev /proc /sys
 * /run along, and free what the initramfs holds; -1 with the fault set. */
int newroot_enter(const char *target, struct fault *f);
