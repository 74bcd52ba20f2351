/*
 * Fuzz target: the command line parser of hearth-init, ip= included, and the quoting of what it
 * refuses.
 */
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "base/str.h"
#include "fuzz.h"
#include "init/cmdline.h"
#include "init/console.h"
#include "init/ipparam.h"

static void check_accepted(const struct params *p)
{
	const struct net_params *n = &p->net;

	assert(n->dns_n <= DNS_MAX);
	assert(!n->has_ip || (n->prefix >= 1 && n->prefix <= 32));
	assert(!n->has_gw || n->has_ip);
	assert(!n->has_gw || n->gw != n->ip);
	assert(!n->has_mac || !(n->mac[0] & 1));
	assert(n->mtu == 0 || (n->mtu >= 576 && n->mtu <= 65535));
	assert(!*n->hostname || hostname_is_valid(n->hostname));
	assert(p->root.mode == ROOT_OVERLAY ? *p->root.base && *p->root.disk : *p->root.root);
	assert(!*p->root.init || *p->root.init == '/');
}

/* Whatever the field was, the line stays one line of printable ASCII. */
static void check_refused(const struct fault *f)
{
	struct line l = {.len = 0};

	assert(*f->why && f->code < FAULT_N_);
	line_str(&l, "looked", f->looked);
	line_str(&l, "why", f->why);
	assert(l.len == strlen(l.text));
	for (size_t i = 0; i < l.len; i++)
		assert(l.text[i] >= 0x20 && l.text[i] < 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *s = strndup((const char *)data, size);
	struct params p;
	struct fault f = {.code = FAULT_N_};

	assert(s);
	if (cmdline_parse(s, &p, &f))
		check_refused(&f);
	else
		check_accepted(&p);
	free(s);
	return 0;
}
