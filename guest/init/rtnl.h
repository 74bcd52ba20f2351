#pragma once
/*
 * The few requests to rtnetlink that one static address needs.  All return 0 or -Exxx.
 */
#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NICS_MAX 32u /* network cards that are looked at; more are ignored */

struct nic {
	int index;
	char name[IF_NAMESIZE];
	uint8_t mac[6];
	bool has_carrier; /* IFF_LOWER_UP; true only when up */
};

int rtnl_open(int *ret_fd);
/* All Ethernet links, lo and tunnels left out; ret_n <= NICS_MAX. */
int rtnl_nics(int fd, struct nic ret_nics[NICS_MAX], size_t *ret_n);
/* mtu 0: unchanged. */
int rtnl_link_up(int fd, int index, uint32_t mtu);
/* Addresses in host order.  An address or route that is there already is no error. */
int rtnl_addr_add(int fd, int index, uint32_t addr, unsigned prefix);
int rtnl_default_route(int fd, int index, uint32_t gw, bool on_link);
