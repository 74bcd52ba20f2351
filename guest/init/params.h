#pragma once
/*
 * What the kernel command line tells hearth-init, as typed fields.
 */
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#define DNS_MAX	     3	/* as many as glibc's resolver reads (resolv.conf(5), MAXNS) */
#define HOSTNAME_LEN 65 /* HOST_NAME_MAX of Linux, and NUL */
#define DEVSPEC_LEN  128
#define PATH_LEN     256

struct net_params {
	bool has_mac, has_ip, has_gw;
	uint8_t mac[6];
	uint32_t ip, gw; /* host order */
	unsigned prefix;
	uint32_t dns[DNS_MAX];
	unsigned dns_n;
	uint32_t mtu;		     /* 0: leave the driver's */
	char hostname[HOSTNAME_LEN]; /* "" none */
	char device[IF_NAMESIZE];    /* of ip= only; "" none */
};

enum root_mode { ROOT_UNSET, ROOT_OVERLAY, ROOT_DIRECT };
enum root_access { ACCESS_AUTO, ACCESS_RO, ACCESS_RW };

struct root_params {
	enum root_mode mode;
	enum root_access access;
	char base[DEVSPEC_LEN]; /* overlay: the image's disk */
	char disk[DEVSPEC_LEN]; /* overlay: the VM's own disk */
	char root[DEVSPEC_LEN]; /* direct: the kernel's root= */
	char fstype[DEVSPEC_LEN];
	char flags[PATH_LEN];
	bool wait;	     /* rootwait */
	uint32_t delay_s;    /* rootdelay= */
	char init[PATH_LEN]; /* "": try the kernel's list */
};

struct params {
	struct net_params net;
	struct root_params root;
};
