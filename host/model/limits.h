#pragma once
/*
 * Every limit that a user or a guest can reach, with its reason.  Each has a test at the limit.
 */
#define LIMIT_NAME_LEN	63  /* RFC 1035 label: names of VMs become host names */
#define LIMIT_USER_LEN	64  /* a UUID or an e-mail-like handle */
#define LIMIT_LABELS	32  /* labels a VM */
#define LIMIT_LABEL_LEN 128 /* bytes of a label's key or value */
#define LIMIT_VCPUS	32  /* as Firecracker (reference 1.3) */
/* 1 TiB: beyond any host we know, keeps sums in 64 bits */
#define LIMIT_RAM_MIB		  (1024u * 1024u)
#define LIMIT_DISK_MIB		  (16u * 1024u * 1024u) /* 16 TiB: ext4 with 4 KiB blocks */
#define LIMIT_DRIVES		  8			/* root, overlay, six more */
#define LIMIT_BOOT_ARGS_LEN	  1024 /* half of the 2048 bytes that a kernel command line has */
#define LIMIT_CMDLINE_LEN	  2047 /* Linux arch/x86 COMMAND_LINE_SIZE 2048 with NUL */
#define LIMIT_VMS		  4096 /* records a host */
#define LIMIT_NETWORKS		  64
#define LIMIT_PROBES		  16 /* probes an image declares */
#define LIMIT_PORTS		  16 /* TCP ports an image declares */
#define LIMIT_DNS		  3  /* resolv.conf(5) MAXNS */
#define LIMIT_IDEMPOTENCY_KEY_LEN 128
