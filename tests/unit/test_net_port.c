/*
 * Tests of a VM's port: its TAP, its pins, its isolation, what a restart puts right.  The test is
 * the guest: it writes frames into the TAP and reads what comes.
 *
 * That a frame does NOT pass is told without waiting: a frame that must pass follows it, and the
 * kernel handles both in order before write(2) returns or on one queue.
 */
#include "net_sandbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/str.h"
#include "net/net_internal.h"
#include "net_guest.h"

struct world {
	struct network conf;
	struct net *n;
	struct net_port a, b;
	int tap_a, tap_b;
};

static int open_port(struct net *n, const struct net_port *p)
{
	struct err e = {0};
	int fd = -1;

	if (net_port_open(n, p, &fd, &e))
		fail_msg("%s", e.text);
	return fd;
}

static void close_port(struct net *n, const struct net_port *p)
{
	struct err e = {0};

	if (net_port_close(n, p, &e))
		fail_msg("%s", e.text);
}

/* The target address of the next ARP reply that reaches the guest; 0: none comes. */
static uint32_t next_arp_reply(int tap)
{
	uint8_t data[GUEST_FRAME_MAX];
	struct frame f;
	size_t n;

	while ((n = guest_receive(tap, data, ANSWER_LIMIT_MS)))
		if (!frame_parse(data, n, &f) && f.kind == FRAME_ARP && f.arp_op == 2)
			return f.target_ip;
	return 0;
}

/* The kernel enables the queues of a bridge and its ports a moment after they are up (linkwatch):
 * ask the gateway until it answers. */
static void settle(int tap, const struct net_port *p, uint32_t gateway)
{
	uint64_t end = clock_mono_ns() + ANSWER_LIMIT_MS * NS_PER_MS;
	uint8_t data[GUEST_FRAME_MAX];

	do {
		assert_true(clock_mono_ns() < end);
		guest_arp(tap, 1, p->mac, p->mac, p->ip, mac_all, gateway);
	} while (!guest_receive(tap, data, 20));
	while (guest_receive(tap, data, 20))
		continue; /* answers to earlier requests */
}

static struct world world_open(bool isolated)
{
	struct world w = {.conf = sandbox_network("default", false)};
	struct err e = {0};

	w.conf.isolated = isolated;
	if (net_open("hearth", &w.conf, true, &w.n, &e))
		fail_msg("%s", e.text);
	w.a = sandbox_port(&w.conf, 1);
	w.b = sandbox_port(&w.conf, 2);
	w.tap_a = open_port(w.n, &w.a);
	w.tap_b = open_port(w.n, &w.b);
	settle(w.tap_a, &w.a, w.conf.gateway);
	settle(w.tap_b, &w.b, w.conf.gateway);
	return w;
}

static void world_close(struct world *w)
{
	struct err e = {0};

	close_port(w->n, &w->a);
	close_port(w->n, &w->b);
	close(w->tap_a);
	close(w->tap_b);
	net_close(w->n);
	if (net_remove("hearth", "default", &e))
		fail_msg("%s", e.text);
}

static size_t pins_count(struct net *n)
{
	struct err e = {0};
	json_t *d = NULL;
	size_t count;

	if (net_describe(n, &d, &e))
		fail_msg("%s", e.text);
	count = json_array_size(json_object_get(d, "pins"));
	json_decref(d);
	return count;
}

/* The payload byte of the next UDP packet that reaches the guest; -1: none is there. */
static int next_mark(int tap, int timeout_ms)
{
	uint8_t data[GUEST_FRAME_MAX];
	size_t n;

	while ((n = guest_receive(tap, data, timeout_ms)))
		if (n >= 43 && get16(data + 12) == 0x0800 && data[23] == 17)
			return data[42];
	return -1;
}

static void send_mark(int tap, const uint8_t src[6], const uint8_t dst[6], uint32_t from,
		      uint32_t to, uint8_t mark)
{
	uint8_t udp[9] = {0, 9, 0, 9, 0, 9, 0, 0, mark}; /* checksum 0: none (RFC 768) */

	guest_ipv4(tap, src, dst, from, to, 17, udp, sizeof(udp));
}

static void tap_goes_with_its_descriptor(void **state)
{
	struct world w = world_open(true);
	struct net_port_stats s;

	(void)state;
	assert_int_equal(net_port_stats(w.n, 1, &s), 0);
	assert_true(s.exists);
	guest_arp(w.tap_a, 1, w.a.mac, w.a.mac, w.a.ip, mac_all, w.conf.gateway);
	assert_int_equal(next_arp_reply(w.tap_a), w.a.ip);
	assert_int_equal(net_port_stats(w.n, 1, &s), 0);
	assert_true(s.carrier);
	assert_true(s.rx_frames >= 1 && s.tx_frames >= 1);
	close(w.tap_a);
	assert_int_equal(net_port_stats(w.n, 1, &s), 0);
	assert_false(s.exists);
	assert_int_equal(pins_count(w.n), 2);
	close_port(w.n, &w.a);
	close_port(w.n, &w.a); /* missing is fine */
	assert_int_equal(pins_count(w.n), 1);
	w.tap_a = open_port(w.n, &w.a);
	world_close(&w);
}

static void held_taps_are_not_shared(void **state)
{
	struct world w = world_open(true);
	struct err e = {0};
	int fd = -1;

	(void)state;
	assert_int_equal(net_port_open(w.n, &w.a, &fd, &e), -EBUSY);
	assert_string_equal(e.id, "net.tap-busy");
	assert_int_equal(fd, -1);
	world_close(&w);
}

static void refuses_what_is_no_lease(void **state)
{
	struct world w = world_open(true);
	struct net_port bad[] = {w.a, w.a, w.a, w.a, w.a};
	int fd = -1;

	(void)state;
	bad[0].number = 0;
	bad[1].ip = w.conf.gateway;
	bad[2].ip = w.conf.cidr | 255;
	bad[3].ip = 0x0a000001;
	bad[4].mac[0] = 1;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct err e = {0};

		assert_int_equal(net_port_open(w.n, &bad[i], &fd, &e), -EINVAL);
		assert_int_equal(e.kind, ERR_BUG);
	}
	world_close(&w);
}

static void largest_number_fits_a_name(void **state)
{
	struct world w = world_open(true);
	struct net_port big = sandbox_port(&w.conf, 3);
	struct net_port_stats s;
	int fd;

	(void)state;
	big.number = UINT32_MAX;
	fd = open_port(w.n, &big);
	assert_int_equal(net_port_stats(w.n, UINT32_MAX, &s), 0);
	assert_true(s.exists);
	assert_int_equal(access("/run/netns/hearth-default", F_OK), 0);
	close(fd);
	close_port(w.n, &big);
	world_close(&w);
}

static void arp_is_pinned(void **state)
{
	struct world w = world_open(true);
	uint32_t other = w.conf.cidr + 77;

	(void)state;
	/* another sender address; another sender MAC in ARP; another source MAC */
	guest_arp(w.tap_a, 1, w.a.mac, w.a.mac, other, mac_all, w.conf.gateway);
	guest_arp(w.tap_a, 1, w.a.mac, w.b.mac, w.b.ip, mac_all, w.conf.gateway);
	guest_arp(w.tap_a, 1, w.b.mac, w.a.mac, w.a.ip, mac_all, w.conf.gateway);
	guest_arp(w.tap_a, 1, w.b.mac, w.b.mac, w.b.ip, mac_all, w.conf.gateway);
	guest_arp(w.tap_a, 1, w.a.mac, w.a.mac, w.a.ip, mac_all, w.conf.gateway);
	assert_int_equal(next_arp_reply(w.tap_a), w.a.ip);
	/* and exactly one answer: the next one is the answer to the next request, a probe */
	guest_arp(w.tap_a, 1, w.a.mac, w.a.mac, 0, mac_all, w.conf.gateway);
	assert_int_equal(next_arp_reply(w.tap_a), 0);
	assert_int_equal(guest_receive(w.tap_b, (uint8_t[GUEST_FRAME_MAX]){0}, 0), 0);
	world_close(&w);
}

static void ipv4_is_pinned(void **state)
{
	struct world w = world_open(false);
	uint8_t six[60] = {0};

	(void)state;
	send_mark(w.tap_a, w.a.mac, w.b.mac, w.conf.cidr + 77, w.b.ip, 1);
	send_mark(w.tap_a, w.a.mac, w.b.mac, w.b.ip, w.b.ip, 2);
	send_mark(w.tap_a, w.a.mac, w.b.mac, 0, w.b.ip, 3);
	send_mark(w.tap_a, w.b.mac, w.b.mac, w.a.ip, w.b.ip, 4);
	memcpy(six, w.b.mac, 6);
	memcpy(six + 6, w.a.mac, 6);
	put16(six + 12, 0x86dd); /* IPv6 has no pin: it doesn't pass */
	guest_send(w.tap_a, six, sizeof(six));
	send_mark(w.tap_a, w.a.mac, w.b.mac, w.a.ip, w.b.ip, 5);
	assert_int_equal(next_mark(w.tap_b, ANSWER_LIMIT_MS), 5);
	assert_int_equal(next_mark(w.tap_b, 0), -1);
	/* its pin taken away, nothing passes any more */
	close_port(w.n, &w.a);
	send_mark(w.tap_a, w.a.mac, w.b.mac, w.a.ip, w.b.ip, 6);
	assert_int_equal(next_mark(w.tap_b, 0), -1);
	world_close(&w);
}

/* Each of the two bolts holds by itself. */
static void vms_are_isolated(void **state)
{
	struct world w = world_open(true);

	(void)state;
	send_mark(w.tap_a, w.a.mac, w.b.mac, w.a.ip, w.b.ip, 1);
	send_mark(w.tap_a, w.a.mac, mac_all, w.a.ip, 0xffffffff, 2);
	assert_int_equal(next_mark(w.tap_b, 0), -1);
	RUN("ip", "netns", "exec", "hearth-default", "bridge", "link", "set", "dev", "hv1",
	    "isolated", "off");
	RUN("ip", "netns", "exec", "hearth-default", "bridge", "link", "set", "dev", "hv2",
	    "isolated", "off");
	send_mark(w.tap_a, w.a.mac, w.b.mac, w.a.ip, w.b.ip, 3);
	assert_int_equal(next_mark(w.tap_b, 0), -1);
	RUN("ip", "netns", "exec", "hearth-default", "nft", "delete", "chain", "bridge", "hearth",
	    "between");
	send_mark(w.tap_a, w.a.mac, w.b.mac, w.a.ip, w.b.ip, 4);
	assert_int_equal(next_mark(w.tap_b, ANSWER_LIMIT_MS), 4); /* the test can tell */
	RUN("ip", "netns", "exec", "hearth-default", "bridge", "link", "set", "dev", "hv1",
	    "isolated", "on");
	RUN("ip", "netns", "exec", "hearth-default", "bridge", "link", "set", "dev", "hv2",
	    "isolated", "on");
	send_mark(w.tap_a, w.a.mac, w.b.mac, w.a.ip, w.b.ip, 5);
	assert_int_equal(next_mark(w.tap_b, 0), -1);
	world_close(&w);
}

static int listen_on_gateway(const struct world *w, uint16_t port)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
				 .sin_port = htons(port),
				 .sin_addr = {htonl(w->conf.gateway)}};
	struct netns_visit visit;
	int fd;

	assert_int_equal(netns_enter(&visit, w->n->ns_fd, NULL), 0);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	netns_leave(&visit);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 1), 0);
	return fd;
}

/* Nothing of the host side answers what a VM begins: no SYN-ACK, no reset, no echo reply. */
static void gateway_is_closed(void **state)
{
	struct world w = world_open(true);
	uint8_t data[GUEST_FRAME_MAX], gw[6];
	int listener = listen_on_gateway(&w, 8080);

	(void)state;
	network_mac(w.conf.gateway, gw);
	guest_tcp(w.tap_a, w.a.mac, gw, w.a.ip, 40000, w.conf.gateway, 8080, TCP_SYN, 0);
	guest_tcp(w.tap_a, w.a.mac, gw, w.a.ip, 40001, w.conf.gateway, 8081, TCP_SYN, 0);
	guest_ping(w.tap_a, &w.a, gw, w.conf.gateway, 42);
	guest_arp(w.tap_a, 1, w.a.mac, w.a.mac, w.a.ip, mac_all, w.conf.gateway);
	/* Answers would come before this one; the kernel may ask for our address first. */
	do {
		assert_true(guest_receive(w.tap_a, data, ANSWER_LIMIT_MS) > 0);
		assert_int_equal(get16(data + 12), 0x0806);
	} while (get16(data + 20) != 2);
	/* With the input chain open the same SYN is answered: the test can tell. */
	RUN("ip", "netns", "exec", "hearth-default", "nft", "flush", "chain", "inet", "hearth",
	    "input");
	RUN("ip", "netns", "exec", "hearth-default", "nft", "add", "chain", "inet", "hearth",
	    "input", "{ type filter hook input priority 0; policy accept; }");
	guest_tcp(w.tap_a, w.a.mac, gw, w.a.ip, 40002, w.conf.gateway, 8080, TCP_SYN, 0);
	do {
		assert_true(guest_receive(w.tap_a, data, ANSWER_LIMIT_MS) > 0);
		if (get16(data + 12) == 0x0806 && get16(data + 20) == 1)
			guest_arp(w.tap_a, 2, w.a.mac, w.a.mac, w.a.ip, gw, w.conf.gateway);
	} while (get16(data + 12) != 0x0800);
	assert_int_equal(data[14 + 20 + 13], TCP_SYN | TCP_ACK);
	close(listener);
	world_close(&w);
}

static void host_reaches_the_guest(void **state)
{
	struct world w = world_open(true);
	struct guest_script s = {.ip = w.a.ip, .pings = true, .open = 22};
	struct pollfd p[2] = {{.fd = w.tap_a, .events = POLLIN}, {.events = POLLOUT}};
	socklen_t len = sizeof(int);
	struct err e = {0};
	int error = 0;

	(void)state;
	memcpy(s.mac, w.a.mac, 6);
	assert_int_equal(net_tcp_connect(w.n, w.a.ip, 22, &p[1].fd, &e), 0);
	while (!p[1].revents) {
		assert_true(poll(p, 2, ANSWER_LIMIT_MS) > 0);
		if (p[0].revents)
			(void)guest_answer(w.tap_a, &s);
	}
	assert_int_equal(getsockopt(p[1].fd, SOL_SOCKET, SO_ERROR, &error, &len), 0);
	assert_int_equal(error, 0);
	close(p[1].fd);
	world_close(&w);
}

static void restart_puts_right(void **state)
{
	struct world w = world_open(true);
	struct net_port stray = sandbox_port(&w.conf, 9), moved = w.b;
	struct net *again = NULL;
	struct err e = {0};
	uint32_t removed = 99;
	int stray_fd = open_port(w.n, &stray);

	(void)state;
	moved.ip = w.conf.cidr + 50; /* a pin of an old lease of hv2 */
	assert_int_equal(pins_add(&w.n->nf, &moved, 1, &e), 0);
	close_port(w.n, &w.a); /* a pin that is missing */
	net_close(w.n);
	if (net_open("hearth", &w.conf, true, &again, &e))
		fail_msg("%s", e.text);
	w.n = again;
	assert_int_equal(pins_count(w.n), 3);
	if (net_reconcile(w.n, (struct net_port[]){w.a, w.b}, 2, &removed, &e))
		fail_msg("%s", e.text);
	assert_int_equal(removed, 3); /* two pins and a TAP */
	assert_int_equal(pins_count(w.n), 2);
	guest_arp(w.tap_a, 1, w.a.mac, w.a.mac, w.a.ip, mac_all, w.conf.gateway);
	assert_int_equal(next_arp_reply(w.tap_a), w.a.ip);
	if (net_reconcile(w.n, (struct net_port[]){w.a, w.b}, 2, &removed, &e))
		fail_msg("%s", e.text);
	assert_int_equal(removed, 0);
	close(stray_fd);
	world_close(&w);
}

/* Somebody deleted the bridge and the rules under running VMs. */
static void lost_bridge_is_made_anew(void **state)
{
	struct world w = world_open(true);
	struct net *again = NULL;
	struct err e = {0};
	uint32_t removed;

	(void)state;
	RUN("ip", "netns", "exec", "hearth-default", "ip", "link", "del", "br0");
	RUN("ip", "netns", "exec", "hearth-default", "nft", "flush", "ruleset");
	net_close(w.n);
	if (net_open("hearth", &w.conf, true, &again, &e) ||
	    net_reconcile(again, (struct net_port[]){w.a, w.b}, 2, &removed, &e))
		fail_msg("%s", e.text);
	w.n = again;
	settle(w.tap_b, &w.b, w.conf.gateway);
	send_mark(w.tap_a, w.a.mac, w.b.mac, w.a.ip, w.b.ip, 1);
	assert_int_equal(next_mark(w.tap_b, 0), -1);
	world_close(&w);
}

#define BRIDGE_PORTS 1023 /* what net/port.c says that Linux allows */

/* All TAPs at once: one by one each would wait some 15 ms for the kernel's grace period. */
static void delete_taps(uint32_t count)
{
	static const char *const argv[] = {"ip", "netns",  "exec", "hearth-default",
					   "ip", "-batch", "-",	   NULL};
	auto_buf batch = {0};
	struct err e = {0};

	for (uint32_t i = 1; i <= count; i++)
		(void)buf_printf(&batch, "link set dev hv%u group 7\n", i);
	(void)buf_puts(&batch, "link delete group 7\n");
	assert_false(batch.failed);
	assert_int_equal(proc_run(&(struct proc_run){.argv = argv,
						     .in = batch.data,
						     .in_len = batch.len,
						     .timeout_ms = 60000},
				  &e),
			 0);
}

static void bridge_full_is_said(void **state)
{
	struct rlimit limit = {4096, 4096};
	struct network conf = sandbox_network("default", false);
	static int taps[BRIDGE_PORTS];
	struct net_port p;
	struct err e = {0};
	struct net *n = NULL;
	uint64_t began;
	int fd = -1;

	(void)state;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	conf.prefix = 16;
	conf.cidr = 0xc0a80000;
	conf.gateway = 0;
	assert_int_equal(network_check(&conf, &e), 0);
	if (net_open("hearth", &conf, true, &n, &e))
		fail_msg("%s", e.text);
	began = clock_mono_ns();
	for (uint32_t i = 0; i < BRIDGE_PORTS; i++) {
		p = sandbox_port(&conf, i + 1);
		taps[i] = open_port(n, &p);
	}
	print_message("bench net.port_open_us=%.0f mean of %d\n",
		      (double)(clock_mono_ns() - began) / 1e3 / BRIDGE_PORTS, BRIDGE_PORTS);
	p = sandbox_port(&conf, BRIDGE_PORTS + 1);
	assert_int_equal(net_port_open(n, &p, &fd, &e), -EXFULL);
	assert_string_equal(e.id, "net.ports-full");
	assert_int_equal(pins_count(n), BRIDGE_PORTS);
	began = clock_mono_ns();
	for (uint32_t i = 0; i < BRIDGE_PORTS; i++) {
		p = sandbox_port(&conf, i + 1);
		close_port(n, &p);
	}
	print_message("bench net.port_close_us=%.0f mean of %d\n",
		      (double)(clock_mono_ns() - began) / 1e3 / BRIDGE_PORTS, BRIDGE_PORTS);
	assert_int_equal(pins_count(n), 0);
	delete_taps(BRIDGE_PORTS);
	for (uint32_t i = 0; i < BRIDGE_PORTS; i++)
		close(taps[i]);
	net_close(n);
	assert_int_equal(net_remove("hearth", "default", &e), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tap_goes_with_its_descriptor),
		cmocka_unit_test(held_taps_are_not_shared),
		cmocka_unit_test(refuses_what_is_no_lease),
		cmocka_unit_test(largest_number_fits_a_name),
		cmocka_unit_test(arp_is_pinned),
		cmocka_unit_test(ipv4_is_pinned),
		cmocka_unit_test(vms_are_isolated),
		cmocka_unit_test(gateway_is_closed),
		cmocka_unit_test(host_reaches_the_guest),
		cmocka_unit_test(restart_puts_right),
		cmocka_unit_test(lost_bridge_is_made_anew),
		cmocka_unit_test(bridge_full_is_said),
	};
	int rc = sandbox_enter();

	return rc ? rc : cmocka_run_group_tests(tests, NULL, NULL);
}
