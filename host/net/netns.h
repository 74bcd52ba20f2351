#pragma once
/*
 * Named network namespaces as iproute2 keeps them (ip-netns(8)): a file under /run/netns on which
 * the namespace is mounted, so that `ip netns exec NAME ...` works for people.
 */
#include <stdbool.h>

struct err;

#define NETNS_DIR      "/run/netns"
#define NETNS_NAME_LEN 80 /* instance (<= 8) + '-' + network (<= 63) + NUL, with room */

/* Open the namespace `name`, made if there is none (*ret_made says so). */
int netns_open(const char *name, int *ret_fd, bool *ret_made, struct err *e);
/* -ENOENT (e untouched) if there is none. */
int netns_find(const char *name, int *ret_fd, struct err *e);
/* Take the name away; the namespace goes with its last process, socket and link. Missing is fine.
 */
int netns_remove(const char *name, struct err *e);

/* The calling thread alone moves into the namespace `fd` and comes back.  Between the two nothing
 * else may run on this thread. */
struct netns_visit {
	int home_fd; /* owned: the namespace to come back to */
};
int netns_enter(struct netns_visit *v, int fd, struct err *e);
/* Asserts that the way back works: a thread lost in a guest's namespace must not go on. */
void netns_leave(struct netns_visit *v);
