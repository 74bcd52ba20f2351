#pragma once
/*
 * The HTTP API of hearthd: routes of api/openapi.yaml, answered from the controller.
 *
 * One libmicrohttpd daemon without threads, driven by our loop; we accept the connections ourselves
 * (a Unix socket and, when asked for, a TCP address of the loopback), so that each is counted,
 * limited and known by its peer before HTTP begins.  Everything runs on the loop's thread.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/cleanup.h"

struct control;
struct err;
struct loop;
struct rest;

struct rest_conf {
	const char *socket_path; /* NULL: no Unix socket */
	gid_t admin_gid;   /* members are admins on the Unix socket and may open it; -1: nobody */
	bool tcp;	   /* listen on tcp_addr:tcp_port too */
	uint32_t tcp_addr; /* host byte order; anything but 127.0.0.0/8 is refused */
	uint16_t tcp_port; /* 0: the kernel chooses (rest_port tells) */
	uint32_t max_connections; /* beyond that: 503 and closed */
	uint32_t request_s;	  /* a request must have arrived whole in this time */
	const char *build;	  /* version shown by /api/health; static */
};

#define REST_MAX_CONNECTIONS 4096 /* default: twice the 2,000 that are promised */
#define REST_REQUEST_S	     30	  /* default: a phone on a bad line sends 1 MiB in that time */

/* Listens from here on.  Failures: "listen.not-loopback", "listen.in-use", "listen.failed". */
int rest_new(struct loop *l, struct control *c, const struct rest_conf *conf, struct rest **ret,
	     struct err *e);
/* Stop accepting, end held answers and streams, close every connection.  NULL is fine. */
void rest_free(struct rest *r);
DEFINE_AUTO(rest)

uint16_t rest_port(const struct rest *r); /* 0: no TCP */
uint32_t rest_connections(const struct rest *r);

/* One line a route: METHOD PATH ROLE QUERY, for the test against api/openapi.yaml. */
void rest_print_routes(FILE *f);
