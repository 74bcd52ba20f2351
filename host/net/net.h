#pragma once
/*
 * A network brought up on this host: a namespace "<instance>-<network>" with a bridge, nftables
 * tables, optionally a veth pair to the host (only when the network has NAT), and one
 * non-persistent TAP per VM, handed out as a descriptor.
 *
 * The kernel objects outlive the process (VMs go on running when hearthd dies): net_open makes or
 * adopts them, net_close only drops handles, net_remove takes everything away again.
 *
 * Blocking calls (netlink, the nft program) enter the namespace with setns(2) for the calling
 * thread alone and come back; they may run on a worker thread.  One call at a time per struct net.
 */
#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "model/network.h"

struct err;
struct loop;
struct net;

/* Make or adopt namespace, bridge, rules and (nat) veth + host table.  Idempotent: puts right what
 * is missing or different.  instance: "hearth" by default, at most 8 bytes; tells hearthds apart.
 * uplink false: never touch the host's namespace, whatever n->nat says (--no-uplink). */
int net_open(const char *instance, const struct network *n, bool uplink, struct net **ret,
	     struct err *e);
void net_close(struct net *n);
/* Remove every kernel object of the network and undo what was changed on the host. Missing is fine.
 */
int net_remove(const char *instance, const char *network, struct err *e);
/* The network that it was opened with. */
const struct network *net_conf(const struct net *n);

/* One VM's port: TAP "hv<number>" (IFF_TAP|IFF_NO_PI|IFF_VNET_HDR, non-persistent, owner: caller)
 * on the bridge, isolated where the network says so, source MAC and address pinned by set elements.
 * The descriptor is the caller's; when its last copy is closed, the TAP is gone. */
struct net_port {
	uint32_t number; /* lease number, names the TAP */
	uint32_t ip;	 /* host order */
	uint8_t mac[6];
};
int net_port_open(struct net *n, const struct net_port *p, int *ret_tap_fd, struct err *e);
/* Take the pins away (the TAP goes with its descriptor). Missing is fine. */
int net_port_close(struct net *n, const struct net_port *p, struct err *e);
/* After a restart: remove pins and TAPs that belong to none of the given ports, add missing pins.
 */
int net_reconcile(struct net *n, const struct net_port *live, size_t live_n, uint32_t *ret_removed,
		  struct err *e);
/* Interface counters and carrier of a port, for evidence: rx = from the guest. */
struct net_port_stats {
	bool exists, carrier;
	uint64_t rx_frames, rx_bytes, tx_frames, tx_bytes;
};
int net_port_stats(struct net *n, uint32_t number, struct net_port_stats *ret);

/* A connected or connecting non-blocking TCP socket made inside the namespace. */
int net_tcp_connect(struct net *n, uint32_t ip, uint16_t port, int *ret_fd, struct err *e);

/* What this network owns and what it changed in the host's own namespace, as a JSON object:
 *	{"namespace":…, "bridge":…, "gateway":…, "mac":…, "taps":[…], "pins":[{"tap","mac","ip"}],
 *	 "host":[{"what":"link","name":"hv-default","alias":…,"address":…},
 *		 {"what":"nft table","name":"inet hearth-default"},
 *		 {"what":"sysctl net.ipv4.ip_forward","from":"0","to":"1"}],
 *	 "warnings":[{"code":"NET_FORWARD_DROP","text":…,"remedy":…}]}
 * New reference.  Warnings: what of the host's own rules keeps VMs from the outside. */
int net_describe(struct net *n, json_t **ret, struct err *e);

/* --- the proof (net/proof.c) --- */

enum proof_step {
	PROOF_CARRIER, /* a process, the VMM, has the TAP open, and it is up */
	PROOF_FRAMES,  /* a frame with the leased source MAC was seen */
	PROOF_ARP,     /* ARP for the leased address answered by the leased MAC, by nobody else */
	PROOF_ICMP,    /* echo reply from the leased address */
	PROOF_TCP,     /* every declared TCP port accepts */
	PROOF_STEP_N_
};
const char *proof_step_name(enum proof_step s); /* "carrier", … */

#define PROOF_CODE_LEN	   40
#define PROOF_EVIDENCE_LEN 240

struct proof_result {
	enum { PROOF_UNKNOWN, PROOF_HOLDS, PROOF_FAILS } verdict;
	uint64_t at_ns; /* CLOCK_BOOTTIME of the observation */
	uint64_t wall_us;
	/* "" for HOLDS; else NET_NO_CARRIER, NET_NO_FRAMES, GUEST_WRONG_MAC, NET_NO_ARP,
	 * GUEST_WRONG_ADDRESS, NET_DUPLICATE_ADDRESS, NET_NO_ICMP, NET_PORT_REFUSED or
	 * NET_PORT_SILENT */
	char code[PROOF_CODE_LEN];
	/* "ARP reply 192.168.100.2 is-at 06:00:c0:a8:64:02 on hv1 after 1.2 ms" */
	char evidence[PROOF_EVIDENCE_LEN];
};

struct proof;
struct proof_watch { /* owner's; called on the loop's thread; both may call proof_free */
	/* A step was decided.  HOLDS of all steps ends the proof; with no ports declared PROOF_TCP
	 * holds with evidence "no ports declared".  FAILS may be followed by HOLDS when the guest
	 * mends itself, and HOLDS by FAILS (a TAP that vanishes); it goes on until cancelled. */
	void (*step)(struct proof_watch *w, enum proof_step s, const struct proof_result *r);
	void (*done)(
		struct proof_watch *w); /* all hold; no call after it: proof_free is the owner's */
};
/* Observe and prove, driven by events: an AF_PACKET socket on the TAP, link messages, ARP requests
 * (every 200 ms until the guest's first frame, then at each of its frames and every 50 ms), ICMP
 * echo and TCP connections.  No time limit of its own.  Start it once the VMM holds the TAP and
 * hearthd has closed its own copy: the kernel shows carrier for any holder. */
int proof_start(struct loop *l, struct net *n, const struct net_port *p, const uint16_t *ports,
		unsigned ports_n, struct proof_watch *w, struct proof **ret, struct err *e);
/* The results so far, PROOF_STEP_N_ of them; for a step that does not hold, code and evidence say
 * what was seen instead (for the failure's sentence at a time-out). */
void proof_results(struct proof *p, struct proof_result ret[PROOF_STEP_N_]);
void proof_free(struct proof *p); /* NULL is fine; no callback after it */
