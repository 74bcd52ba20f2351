#pragma once
/*
 * ARP announcements.
 */
#include <stdint.h>

struct nic;

/* Broadcast one announcement of addr (host order): 0, or -Exxx (no AF_PACKET, link down). */
int arp_announce(const struct nic *nic, uint32_t addr);
