#pragma once
/*
 * PARTUUID= -> partition number.
 */
#include <stddef.h>
#include <stdint.h>

/* The number (from 1) of the partition with this PARTUUID (lower or upper case), by the table in a
 * disk's first bytes; 0: not there. */
unsigned partition_find(const uint8_t *head, size_t len, const char *partuuid);
