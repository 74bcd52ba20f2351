#pragma once
/*
 * A host of its own for a test of host/net: a fresh network namespace plays the host, a private
 * /run holds the namespaces' names and the journal, so that the real host stays untouched. Used by
 * the test_net_*.c programs; root only.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/parse.h"
#include "base/proc.h"
#include "net/net.h"

#define SKIPPED 77

/* Exit status to end with, or 0: the sandbox is there. */
static inline int sandbox_enter(void)
{
	if (geteuid() != 0) {
		(void)fprintf(stderr, "skipped: needs root for namespaces and TAPs\n");
		return SKIPPED;
	}
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) ||
	    mount("", "/", "none", MS_REC | MS_PRIVATE, NULL) ||
	    mount("tmpfs", "/run", "tmpfs", 0, "mode=0755")) {
		perror("sandbox");
		return 1;
	}
	return 0;
}

/* Run a program to its end in the calling thread's namespaces; its output, or the end of the test.
 */
static inline char *run_text(const char *const *argv)
{
	struct buf out = {.max = 4u << 20};
	struct err e = {0};
	int rc = proc_run(
		&(struct proc_run){.argv = argv, .out = &out, .err = &out, .timeout_ms = 20000},
		&e);

	if (rc) {
		(void)fprintf(stderr, "%s %s: %d %s\n%s\n", argv[0], argv[1], rc, e.text,
			      buf_text(&out));
		abort();
	}
	return buf_take(&out);
}
#define RUN_TEXT(...) run_text((const char *const[]){__VA_ARGS__, NULL})
#define RUN(...)      free(RUN_TEXT(__VA_ARGS__))

/* All that host/net may change on the host, as text to compare. */
static inline char *host_picture(void)
{
	char *links = RUN_TEXT("ip", "-j", "addr"), *routes = RUN_TEXT("ip", "-j", "route");
	char *rules = RUN_TEXT("nft", "-j", "list", "ruleset");
	struct buf sysctl = {0}, all = {0};

	(void)fd_read_file("/proc/sys/net/ipv4/ip_forward", 64, &sysctl, NULL);
	(void)buf_printf(&all, "%s\n%s\n%s\n%s\n", links, routes, rules, buf_text(&sysctl));
	free(links);
	free(routes);
	free(rules);
	buf_done(&sysctl);
	return buf_take(&all);
}

static inline struct network sandbox_network(const char *name, bool nat)
{
	struct network n = {
		.cidr = 0xc0a86400, .prefix = 24, .mtu = 1500, .isolated = true, .nat = nat};
	struct err e = {0};

	(void)snprintf(n.name, sizeof(n.name), "%s", name);
	if (network_check(&n, &e)) {
		(void)fprintf(stderr, "%s\n", e.text);
		abort();
	}
	return n;
}

static inline struct net_port sandbox_port(const struct network *n, uint32_t number)
{
	struct net_port p = {.number = number, .ip = network_address(n, number - 1)};

	network_mac(p.ip, p.mac);
	return p;
}
