#pragma once
/*
 * The kernel's ip= parameter (Documentation/admin-guide/nfs/nfsroot.rst).
 */
#include "init/params.h"

enum ip_result {
	IP_OK,	      /* static address taken over, or nothing to do (off, none) */
	IP_MALFORMED, /* ret_expected says what was expected */
	IP_AUTO,      /* asks for DHCP, BOOTP or RARP */
};

/* Fill the address fields of net from the value of ip=; net is untouched unless IP_OK. */
enum ip_result ipparam_parse(const char *value, struct net_params *net, const char **ret_expected);
/* A host name by RFC 1123 sec. 2.1 that Linux can hold. */
bool hostname_is_valid(const char *s);
