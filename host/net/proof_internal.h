#pragma once
/*
 * What the files of the proof share: proof.c decides, proof_wire.c holds the sockets, proof_tcp.c
 * the connections, proof_text.c the sentences.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/parse.h"
#include "loop/loop.h"
#include "model/limits.h"
#include "net/frame.h"
#include "net/net_internal.h"

struct proof_port {
	struct watch watch; /* of a connection being made; fd -1: none */
	struct proof *proof;
	uint64_t began_ns; /* monotonic */
	uint16_t port;
	bool open;
	int last_errno; /* of the last attempt that ended; 0: none did */
	uint32_t attempts;
};

struct proof_claim { /* another station that says it has the leased address */
	bool seen;
	uint8_t mac[6];
	char link[IFNAMSIZ]; /* its TAP */
	uint32_t round;	     /* of our requests, when it was seen last */
};

struct proof {
	struct loop *loop; /* borrowed */
	struct net *net;   /* borrowed; only what never changes is used (ns_fd, conf, bridge) */
	struct proof_watch *owner; /* borrowed */
	struct net_port port;
	char tap[IFNAMSIZ], ip[IPV4_TEXT_LEN], mac[MAC_TEXT_LEN]; /* as texts, for sentences */
	int tap_index;						  /* 0: there is none */

	struct watch frames; /* fd, owned: AF_PACKET on the TAP */
	struct watch
		claims;	    /* fd, owned: AF_PACKET on all links, ARP with the leased sender only */
	struct watch links; /* fd, owned: rtnetlink link messages */
	struct watch echo;  /* fd, owned: ICMP */
	struct timer tick;
	bool resting;  /* the guest floods: its frames wait for the next tick */
	bool arp_only; /* the filter on `frames` lets ARP through alone */
	bool *gone;    /* set by proof_free while a callback runs */

	uint64_t began_ns;    /* monotonic */
	uint64_t arp_sent_ns; /* last request to the TAP */
	uint64_t flood_ns;    /* last request to all ports */
	uint64_t echo_sent_ns;
	uint64_t cookie;
	uint32_t round;	    /* ARP requests sent */
	uint32_t echo_n;    /* echo requests sent */
	uint32_t frames_n;  /* seen from the leased MAC */
	uint32_t foreign_n; /* seen from other MACs on this TAP */
	uint8_t foreign_mac[6];
	uint16_t last_type;		    /* EtherType of the guest's newest frame */
	struct proof_claim here, elsewhere; /* on this TAP; on another port of the network */

	struct proof_result results[PROOF_STEP_N_];
	unsigned changed; /* bit per step: its owner hasn't been told */
	bool finished;
	struct proof_port ports[LIMIT_PORTS];
	unsigned ports_n;
};

/* --- proof.c --- */

/* Record a verdict; the owner is told by proof_tell if verdict or code are new. */
void proof_set(struct proof *p, enum proof_step s, int verdict, const char *code, const char *fmt,
	       ...) __attribute__((format(printf, 5, 6)));
bool proof_holds(const struct proof *p, enum proof_step s);
/* Tell the owner what is new; the last thing that a handler does, for p may be gone afterwards. */
void proof_tell(struct proof *p);
void proof_on_link(struct proof *p, const struct link *l, bool deleted);
void proof_on_frame(struct proof *p, const struct frame *f, size_t len);
void proof_on_claim(struct proof *p, const struct frame *f, const char *link);
void proof_on_echo(struct proof *p, uint16_t seq);
double proof_ms_since(uint64_t mono_ns);

/* --- proof_wire.c --- */

int wire_open(struct proof *p, struct err *e);
void wire_close(struct proof *p);
void wire_send_arp(struct proof *p, bool all_ports);
void wire_send_echo(struct proof *p);
void wire_only_arp(struct proof *p);
void wire_resume(struct proof *p); /* after resting */

/* --- proof_tcp.c --- */

void tcp_try(struct proof *p); /* connect where no connection is made or being made */
void tcp_close(struct proof *p);
void tcp_evidence(const struct proof *p, struct proof_result *r);

/* --- proof_text.c --- */

/* Code and evidence of a step that is undecided. */
void proof_explain(const struct proof *p, enum proof_step s, struct proof_result *r);
