/*
 * Sends an ARP announcement, so that the host sees the guest's frames as soon as its address is
 * set.
 *
 *	offset 0  u16 hardware type 1       6  u16 operation 1 (request)
 *	       2  u16 protocol 0x0800       8  sender MAC, sender address
 *	       4  u8 6, u8 4               18  target MAC (zero), target address = sender's
 *							(RFC 826; RFC 5227 sec. 2.3; all big-endian)
 *
 * Called by the network phase and once more at handover, as RFC 5227 asks for two.
 */
#include "init/arp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "init/rtnl.h"

#define ARP_LEN 28

int arp_announce(const struct nic *nic, uint32_t addr)
{
	struct sockaddr_ll to = {.sll_family = AF_PACKET,
				 .sll_protocol = htons(ETH_P_ARP),
				 .sll_ifindex = nic->index,
				 .sll_halen = ETH_ALEN,
				 .sll_addr = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
	uint8_t p[ARP_LEN] = {0, 1, 8, 0, ETH_ALEN, 4, 0, 1};
	uint32_t be = htonl(addr);
	auto_close int fd =
		socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0); /* 0: receive nothing */

	if (fd < 0)
		return -errno;
	memcpy(p + 8, nic->mac, ETH_ALEN);
	memcpy(p + 14, &be, 4);
	memcpy(p + 24, &be, 4);
	return sendto(fd, p, sizeof(p), 0, (struct sockaddr *)&to, sizeof(to)) < 0 ? -errno : 0;
}
