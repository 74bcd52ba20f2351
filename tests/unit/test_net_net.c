/*
 * Tests of opening, adopting and removing a network: what is there afterwards, and that nothing of
 * it stays on the host.
 */
#include "net_sandbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"
#include "net/net_internal.h"

static struct net *open_net(const struct network *conf, bool uplink)
{
	struct err e = {0};
	struct net *n = NULL;

	if (net_open("hearth", conf, uplink, &n, &e))
		fail_msg("%s", e.text);
	return n;
}

static void remove_net(const char *name)
{
	struct err e = {0};

	if (net_remove("hearth", name, &e))
		fail_msg("%s", e.text);
}

static char *inside_picture(void)
{
	char *links = RUN_TEXT("ip", "netns", "exec", "hearth-default", "ip", "-o", "addr");
	char *rules =
		RUN_TEXT("ip", "netns", "exec", "hearth-default", "nft", "-s", "list", "ruleset");
	char *all = NULL;

	if (asprintf(&all, "%s%s", links, rules) < 0)
		abort();
	free(links);
	free(rules);
	return all;
}

/* As inside_picture, of the host: without counters, handles and states that the kernel sets later.
 */
static char *outside_picture(void)
{
	char *links = RUN_TEXT("ip", "-o", "addr"),
	     *rules = RUN_TEXT("nft", "-s", "list", "ruleset");
	char *all = NULL;

	if (asprintf(&all, "%s%s", links, rules) < 0)
		abort();
	free(links);
	free(rules);
	return all;
}

static void opens_and_removes(void **state)
{
	struct network conf = sandbox_network("default", false);
	char *before = host_picture(), *after, *inside;
	struct net *n = open_net(&conf, true);

	(void)state;
	inside = inside_picture();
	assert_non_null(strstr(inside, "192.168.100.1/24"));
	assert_null(strstr(inside, "inet6"));
	after = host_picture();
	assert_string_equal(before, after); /* without NAT the host isn't touched at all */
	free(after);
	net_close(n);
	remove_net("default");
	assert_int_not_equal(access("/run/netns/hearth-default", F_OK), 0);
	remove_net("default"); /* missing is fine */
	after = host_picture();
	assert_string_equal(before, after);
	free(before);
	free(after);
	free(inside);
}

static void opens_twice_the_same(void **state)
{
	struct network conf = sandbox_network("default", true);
	char *first, *second, *host_first, *host_second;
	uint64_t began = clock_mono_ns(), made, adopted;

	(void)state;
	net_close(open_net(&conf, true));
	made = clock_mono_ns() - began;
	first = inside_picture();
	host_first = outside_picture();
	assert_non_null(strstr(host_first, "hv-default"));
	began = clock_mono_ns();
	net_close(open_net(&conf, true));
	adopted = clock_mono_ns() - began;
	second = inside_picture();
	host_second = outside_picture();
	assert_string_equal(first, second);
	assert_string_equal(host_first, host_second);
	free(first);
	free(second);
	free(host_first);
	free(host_second);
	began = clock_mono_ns();
	remove_net("default");
	print_message("bench net.open_us=%.0f net.adopt_us=%.0f net.remove_us=%.0f, with NAT\n",
		      (double)made / 1e3, (double)adopted / 1e3,
		      (double)(clock_mono_ns() - began) / 1e3);
}

static void mends_what_was_changed(void **state)
{
	struct network conf = sandbox_network("default", true);
	char *good, *mended;

	(void)state;
	net_close(open_net(&conf, true));
	good = inside_picture();
	RUN("ip", "netns", "exec", "hearth-default", "nft", "flush", "ruleset");
	RUN("ip", "netns", "exec", "hearth-default", "ip", "addr", "add", "10.9.9.9/8", "dev",
	    "br0");
	RUN("ip", "netns", "exec", "hearth-default", "ip", "link", "set", "br0", "down");
	RUN("ip", "link", "set", "hv-default", "down");
	RUN("nft", "flush", "ruleset");
	net_close(open_net(&conf, true));
	mended = inside_picture();
	assert_string_equal(good, mended);
	free(good);
	free(mended);
	good = RUN_TEXT("ip", "netns", "exec", "hearth-default", "ip", "-o", "link", "show", "up");
	assert_non_null(strstr(good, "br0"));
	assert_non_null(strstr(good, "06:00:c0:a8:64:01"));
	free(good);
	good = RUN_TEXT("nft", "list", "table", "inet", "hearth-default");
	assert_non_null(strstr(good, "masquerade"));
	free(good);
	remove_net("default");
}

static void nat_is_undone(void **state)
{
	struct network one = sandbox_network("default", true),
		       two = sandbox_network("a-long-name-here", true);
	char *before = host_picture(), *after, *during;

	(void)state;
	net_close(open_net(&one, true));
	net_close(open_net(&two, true)); /* the same cidr: both work side by side */
	during = host_picture();
	assert_non_null(strstr(during, "hv-default"));
	assert_non_null(strstr(during, "hearth-a-long-name-here"));
	assert_int_equal(during[strlen(during) - 3], '1'); /* ip_forward */
	remove_net("default");
	free(during);
	during = host_picture();
	assert_int_equal(during[strlen(during) - 3], '1'); /* the other network needs it */
	remove_net("a-long-name-here");
	after = host_picture();
	assert_string_equal(before, after);
	free(before);
	free(during);
	free(after);
}

static void forward_is_left_to_others(void **state)
{
	struct network conf = sandbox_network("default", true);
	char value[SYSCTL_VALUE_LEN];

	(void)state;
	net_close(open_net(&conf, true));
	/* Somebody turned it off: no business of ours to turn it anywhere. */
	assert_int_equal(sysctl_write("ipv4/ip_forward", "0", NULL), 0);
	remove_net("default");
	assert_int_equal(sysctl_read("ipv4/ip_forward", value, NULL), 0);
	assert_string_equal(value, "0");
	/* It was on before: it stays on. */
	assert_int_equal(sysctl_write("ipv4/ip_forward", "1", NULL), 0);
	net_close(open_net(&conf, true));
	remove_net("default");
	assert_int_equal(sysctl_read("ipv4/ip_forward", value, NULL), 0);
	assert_string_equal(value, "1");
	assert_int_equal(sysctl_write("ipv4/ip_forward", "0", NULL), 0);
}

/* Every step of net_open may be the last one before a crash: net_remove clears what is there. */
static void removes_half_made_ones(void **state)
{
	struct network conf = sandbox_network("default", true);
	char *before = host_picture(), *after;
	struct net_names names;
	int lock;

	(void)state;
	assert_int_equal(net_names("hearth", "default", &names, NULL), 0);
	/* note written, nothing else */
	assert_int_equal(journal_lock(&lock, NULL), 0); /* makes the directory */
	assert_int_equal(close(lock), 0);
	assert_int_equal(journal_add(&names, NULL), 0);
	remove_net("default");
	/* an unmarked pair, no rules */
	net_close(open_net(&conf, false));
	assert_int_equal(journal_add(&names, NULL), 0);
	RUN("ip", "link", "add", "hv-default", "type", "veth", "peer", "name", "uplink", "netns",
	    "hearth-default");
	remove_net("default");
	/* the namespace's file without the mount */
	net_close(open_net(&conf, true));
	assert_int_equal(umount2("/run/netns/hearth-default", MNT_DETACH), 0);
	remove_net("default");
	/* and such a file is no hindrance to opening */
	close(open("/run/netns/hearth-default", O_CREAT | O_RDONLY | O_CLOEXEC, 0));
	net_close(open_net(&conf, true));
	remove_net("default");
	after = host_picture();
	assert_string_equal(before, after);
	free(before);
	free(after);
}

static void no_uplink_undoes_nat(void **state)
{
	struct network conf = sandbox_network("default", true);
	char *before = host_picture(), *after;

	(void)state;
	net_close(open_net(&conf, true));
	net_close(open_net(&conf, false));
	after = host_picture();
	assert_string_equal(before, after);
	remove_net("default");
	free(before);
	free(after);
}

static void refuses_foreign_things(void **state)
{
	struct network conf = sandbox_network("default", true);
	struct net *n = NULL;
	struct err e = {0};

	(void)state;
	RUN("ip", "netns", "add", "hearth-default");
	RUN("ip", "netns", "exec", "hearth-default", "ip", "link", "add", "dummy-br", "type",
	    "bridge");
	assert_int_equal(net_open("hearth", &conf, false, &n, &e), -EEXIST);
	assert_string_equal(e.id, "net.netns-foreign");
	RUN("ip", "netns", "del", "hearth-default");
	RUN("ip", "link", "add", "hv-default", "type", "bridge");
	memset(&e, 0, sizeof(e));
	assert_int_equal(net_open("hearth", &conf, true, &n, &e), -EEXIST);
	assert_string_equal(e.id, "net.link-foreign");
	RUN("ip", "link", "del", "hv-default");
	remove_net("default");
}

static void link_range_avoids_clashes(void **state)
{
	struct network conf = sandbox_network("default", true);
	char *addrs, *first, *second, route[32];

	(void)state;
	net_close(open_net(&conf, true));
	addrs = RUN_TEXT("ip", "-4", "-o", "addr", "show", "dev", "hv-default");
	first = strstr(addrs, "169.254.");
	assert_non_null(first);
	first[strcspn(first, "/")] = '\0';
	remove_net("default");
	RUN("ip", "link", "add", "lan", "type", "bridge");
	RUN("ip", "link", "set", "lan", "up");
	(void)snprintf(route, sizeof(route), "%s/32", first);
	RUN("ip", "route", "add", route, "dev", "lan");
	RUN("ip", "route", "add", "169.254.0.0/16", "dev", "lan"); /* zeroconf: no clash */
	net_close(open_net(&conf, true));
	second = RUN_TEXT("ip", "-4", "-o", "addr", "show", "dev", "hv-default");
	assert_non_null(strstr(second, "169.254."));
	assert_null(strstr(second, first));
	remove_net("default");
	RUN("ip", "link", "del", "lan");
	free(addrs);
	free(second);
}

static void describes_itself(void **state)
{
	struct network conf = sandbox_network("default", true);
	struct net *n = open_net(&conf, true);
	struct err e = {0};
	json_t *d = NULL, *host;

	(void)state;
	RUN("nft", "add", "table", "ip", "filter");
	RUN("nft", "add", "chain", "ip", "filter", "FORWARD",
	    "{ type filter hook forward priority 0; policy drop; }");
	if (net_describe(n, &d, &e))
		fail_msg("%s", e.text);
	assert_string_equal(json_string_value(json_object_get(d, "namespace")), "hearth-default");
	host = json_object_get(d, "host");
	assert_int_equal(json_array_size(host), 3);
	assert_string_equal(json_string_value(json_object_get(json_array_get(host, 2), "from")),
			    "0");
	assert_int_equal(json_array_size(json_object_get(d, "warnings")), 1);
	assert_non_null(
		strstr(json_string_value(json_object_get(
			       json_array_get(json_object_get(d, "warnings"), 0), "remedy")),
		       "nft insert rule ip filter FORWARD iifname hv-default accept"));
	json_decref(d);
	RUN("nft", "delete", "table", "ip", "filter");
	net_close(n);
	remove_net("default");
}

static void says_what_nft_lacks(void **state)
{
	struct network conf = sandbox_network("default", false);
	char *path = strdup(getenv("PATH"));
	struct net *n = NULL;
	struct err e = {0};

	(void)state;
	assert_int_equal(setenv("PATH", "/nonexistent", 1), 0);
	assert_int_equal(net_open("hearth", &conf, false, &n, &e), -ENOENT);
	assert_non_null(strstr(e.text, "network default: nft"));
	assert_string_equal(e.remedy, "apt-get install nftables");
	assert_int_equal(setenv("PATH", path, 1), 0);
	remove_net("default");
	free(path);
}

static void survives_lack_of_memory(void **state)
{
	struct network conf = sandbox_network("default", true);
	char *before = host_picture(), *after;

	(void)state;
	/* Most of its 2,000-odd allocations are alike, parts of the rules: each of the first, then
	 * ever fewer. */
	for (long budget = 0;; budget += 1 + budget / 16) {
		struct net *n = NULL;
		struct err e = {0};
		int rc;

		mem_fail_after(budget);
		rc = net_open("hearth", &conf, true, &n, &e);
		mem_fail_after(-1);
		net_close(n);
		remove_net("default"); /* whatever was half made */
		if (!rc) {
			assert_true(budget > 0);
			break;
		}
		assert_int_equal(rc, -ENOMEM);
		assert_null(n);
	}
	after = host_picture();
	assert_string_equal(before, after);
	free(before);
	free(after);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(opens_and_removes),
		cmocka_unit_test(opens_twice_the_same),
		cmocka_unit_test(mends_what_was_changed),
		cmocka_unit_test(nat_is_undone),
		cmocka_unit_test(forward_is_left_to_others),
		cmocka_unit_test(removes_half_made_ones),
		cmocka_unit_test(no_uplink_undoes_nat),
		cmocka_unit_test(refuses_foreign_things),
		cmocka_unit_test(link_range_avoids_clashes),
		cmocka_unit_test(describes_itself),
		cmocka_unit_test(says_what_nft_lacks),
		cmocka_unit_test(survives_lack_of_memory),
	};
	int rc = sandbox_enter();

	return rc ? rc : cmocka_run_group_tests(tests, NULL, NULL);
}
