#pragma once
/*
 * A network as people define it: one object owns the addresses, the gateway, DNS, MTU, NAT and
 * isolation, and everything else (bridge, namespace, leases, rules) is computed from it.
 */
#include <stdbool.h>
#include <stdint.h>

#include "model/limits.h"

struct err;

struct network {
	char name[LIMIT_NAME_LEN + 1];
	uint32_t cidr;	  /* network address, host byte order */
	unsigned prefix;  /* 16..29 */
	uint32_t gateway; /* the bridge's own address; default: the first usable one */
	uint32_t dns[LIMIT_DNS];
	unsigned dns_n;
	unsigned mtu;  /* 576..9000; default 1500 */
	bool nat;      /* VMs reach the host's uplink, masqueraded */
	bool isolated; /* VMs of this network can't reach one another; default true */
	uint64_t created_us;
};

/* Fill what is unset (gateway, mtu) and check the whole: sentence names field, value and limits. */
int network_check(struct network *n, struct err *e);
/* Addresses that can be leased: all but network, broadcast and gateway. */
uint32_t network_capacity(const struct network *n);
/* The address of lease index i (0-based, < capacity), skipping the gateway. */
uint32_t network_address(const struct network *n, uint32_t i);
/* A locally administered MAC that holds the address: 06:00:a:b:c:d. */
void network_mac(uint32_t addr, uint8_t ret_mac[6]);
