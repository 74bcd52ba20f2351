/*
 * Tests of the network's proof against scripted guests that sit on the same loop: right, late,
 * silent, with a wrong address or MAC, with a rival, with closed ports, gone.
 */
#include "net_sandbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <sys/epoll.h>

#include "base/str.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "net/net_internal.h"
#include "net_guest.h"

/* A guest on the loop. */
struct guest {
	struct watch watch;
	struct net_port port;
	struct guest_script script;
};

struct world {
	struct loop *loop;
	struct network conf;
	struct net *n;
	struct guest a, b; /* a is the one to be proven */
	struct proof *proof;
	struct proof_watch owner;
	struct proof_result seen[PROOF_STEP_N_]; /* newest of each step */
	unsigned told_n;			 /* callbacks of steps */
	bool done, limit, free_at_step;
	struct timer timer, later;
	struct guest_script later_script;
};

static struct world w;

static void on_guest(struct watch *watch, uint32_t got)
{
	struct guest *g = container_of(watch, struct guest, watch);

	(void)got;
	(void)guest_answer(watch->fd, &g->script);
}

static void guest_open(struct guest *g, uint32_t number)
{
	struct err e = {0};

	g->port = sandbox_port(&w.conf, number);
	memcpy(g->script.mac, g->port.mac, 6);
	if (net_port_open(w.n, &g->port, &g->watch.fd, &e))
		fail_msg("%s", e.text);
	g->watch.want = EPOLLIN;
	g->watch.ready = on_guest;
	assert_int_equal(loop_watch(w.loop, &g->watch, &e), 0);
}

static void guest_close(struct guest *g)
{
	if (g->watch.fd < 0)
		return;
	loop_unwatch(w.loop, &g->watch);
	close(take_fd(g->watch.fd));
}

static void on_step(struct proof_watch *o, enum proof_step s, const struct proof_result *r)
{
	(void)o;
	w.seen[s] = *r;
	w.told_n++;
	print_message("\t%s %s %s: %s\n", proof_step_name(s),
		      r->verdict == PROOF_HOLDS ? "holds" : "fails", r->code, r->evidence);
	assert_true(r->at_ns && r->wall_us);
	if (w.free_at_step) {
		proof_free(take_ptr(w.proof));
		w.done = true;
	}
}

static void on_done(struct proof_watch *o)
{
	(void)o;
	assert_false(w.done);
	w.done = true;
}

static void on_limit(struct timer *t)
{
	(void)t;
	w.limit = true;
}

static void on_later(struct timer *t)
{
	(void)t;
	w.a.script = w.later_script;
}

static int world_open(void **state)
{
	struct err e = {0};

	(void)state;
	w = (struct world){.a.watch.fd = -1, .b.watch.fd = -1};
	w.conf = sandbox_network("default", false);
	w.owner = (struct proof_watch){.step = on_step, .done = on_done};
	if (loop_new(&w.loop, &e) || net_open("hearth", &w.conf, true, &w.n, &e))
		fail_msg("%s", e.text);
	w.timer.fire = on_limit;
	w.later.fire = on_later;
	assert_int_equal(loop_timer_in(w.loop, &w.timer, ANSWER_LIMIT_MS * NS_PER_MS), 0);
	guest_open(&w.a, 1);
	return 0;
}

static int world_close(void **state)
{
	struct err e = {0};

	(void)state;
	proof_free(w.proof);
	guest_close(&w.a);
	guest_close(&w.b);
	loop_timer_stop(w.loop, &w.timer);
	loop_timer_stop(w.loop, &w.later);
	loop_free(w.loop);
	net_close(w.n);
	return net_remove("hearth", "default", &e);
}

static void start(const uint16_t *ports, unsigned n)
{
	struct err e = {0};

	if (proof_start(w.loop, w.n, &w.a.port, ports, n, &w.owner, &w.proof, &e))
		fail_msg("%s", e.text);
}

static void turn(void)
{
	struct err e = {0};

	assert_false(w.limit);
	assert_true(loop_step(w.loop, -1, &e) >= 0);
}

static void run_to_end(void)
{
	while (!w.done)
		turn();
	for (int s = 0; s < PROOF_STEP_N_; s++) {
		assert_int_equal(w.seen[s].verdict, PROOF_HOLDS);
		assert_string_equal(w.seen[s].code, "");
	}
}

static void run_to(enum proof_step s, const char *code)
{
	while (!str_eq(w.seen[s].code, code))
		turn();
	assert_int_equal(w.seen[s].verdict, PROOF_FAILS);
}

/* The script of a guest with which nothing is wrong. */
static struct guest_script right(unsigned open)
{
	struct guest_script s = {.ip = w.a.port.ip, .pings = true, .open = open};

	memcpy(s.mac, w.a.port.mac, 6);
	return s;
}

static void right_guest_is_proven(void **state)
{
	struct proof_result r[PROOF_STEP_N_];

	(void)state;
	w.a.script = right(22);
	start((uint16_t[]){22}, 1);
	run_to_end();
	assert_non_null(strstr(w.seen[PROOF_CARRIER].evidence, "hv1"));
	assert_non_null(strstr(w.seen[PROOF_FRAMES].evidence, "06:00:c0:a8:64:02"));
	assert_non_null(strstr(w.seen[PROOF_ARP].evidence,
			       "ARP reply 192.168.100.2 is-at 06:00:c0:a8:64:02 on hv1 after "));
	assert_non_null(strstr(w.seen[PROOF_ICMP].evidence, "echo reply from 192.168.100.2"));
	assert_non_null(strstr(w.seen[PROOF_TCP].evidence, "port 22 of 192.168.100.2 accepts"));
	proof_results(w.proof, r);
	for (int s = 0; s < PROOF_STEP_N_; s++)
		assert_string_equal(r[s].evidence, w.seen[s].evidence);
	assert_int_equal(w.told_n, PROOF_STEP_N_); /* each is told once */
}

static void no_ports_hold_at_once(void **state)
{
	(void)state;
	w.a.script = right(0);
	start(NULL, 0);
	run_to_end();
	assert_string_equal(w.seen[PROOF_TCP].evidence, "no ports declared");
}

static void too_many_ports_are_refused(void **state)
{
	uint16_t ports[LIMIT_PORTS + 1] = {0};
	struct err e = {0};

	(void)state;
	for (uint16_t i = 0; i <= LIMIT_PORTS; i++)
		ports[i] = (uint16_t)(i + 1);
	assert_int_equal(
		proof_start(w.loop, w.n, &w.a.port, ports, LIMIT_PORTS + 1, &w.owner, &w.proof, &e),
		-E2BIG);
	start(ports, LIMIT_PORTS);
}

/* Silent first (as a booting guest is), then right: proven without anybody's help. */
static void late_guest_is_proven(void **state)
{
	struct proof_result r[PROOF_STEP_N_];

	(void)state;
	w.later_script = right(22);
	start((uint16_t[]){22}, 1);
	while (w.seen[PROOF_CARRIER].verdict != PROOF_HOLDS)
		turn();
	proof_results(w.proof, r);
	assert_int_equal(r[PROOF_FRAMES].verdict, PROOF_UNKNOWN);
	assert_string_equal(r[PROOF_FRAMES].code, "NET_NO_FRAMES");
	assert_non_null(strstr(r[PROOF_FRAMES].evidence,
			       "carrier up, 0 frames from 06:00:c0:a8:64:02 on hv1 in "));
	assert_string_equal(r[PROOF_ARP].code, "NET_NO_ARP");
	assert_non_null(strstr(r[PROOF_ARP].evidence, "ARP requests for 192.168.100.2"));
	assert_string_equal(r[PROOF_ICMP].code, "NET_NO_ICMP");
	assert_string_equal(r[PROOF_TCP].code, "NET_PORT_SILENT");
	assert_int_equal(loop_timer_in(w.loop, &w.later, 300 * NS_PER_MS), 0);
	run_to_end();
}

/* Answers ARP, but no echo, and no port. */
static void deaf_guest_is_named(void **state)
{
	struct proof_result r[PROOF_STEP_N_];

	(void)state;
	w.a.script = right(0);
	w.a.script.pings = false;
	start((uint16_t[]){22, 5900}, 2);
	run_to(PROOF_TCP, "NET_PORT_REFUSED");
	assert_non_null(strstr(w.seen[PROOF_TCP].evidence, "port 22 of 192.168.100.2 refuses"));
	proof_results(w.proof, r);
	assert_int_equal(r[PROOF_ARP].verdict, PROOF_HOLDS);
	assert_string_equal(r[PROOF_ICMP].code, "NET_NO_ICMP");
	assert_non_null(strstr(r[PROOF_ICMP].evidence, "echo requests to 192.168.100.2, no reply"));
}

/* The service begins to listen later. */
static void refused_port_mends_itself(void **state)
{
	(void)state;
	w.a.script = right(0);
	w.later_script = right(5900);
	start((uint16_t[]){5900}, 1);
	run_to(PROOF_TCP, "NET_PORT_REFUSED");
	assert_int_equal(loop_timer_in(w.loop, &w.later, 0), 0);
	run_to_end();
}

static void wrong_address_is_named(void **state)
{
	uint32_t saw = w.conf.cidr + 10;

	(void)state;
	start(NULL, 0);
	/* failure 16: the image's own configuration announces its fixed address */
	guest_arp(w.a.watch.fd, 1, w.a.port.mac, w.a.port.mac, saw, mac_all, saw);
	run_to(PROOF_ARP, "GUEST_WRONG_ADDRESS");
	assert_non_null(strstr(w.seen[PROOF_ARP].evidence,
			       "expected 192.168.100.2, saw 192.168.100.10: ARP request"));
	w.a.script = right(0);
	run_to_end();
}

static void wrong_address_shows_in_probes_and_packets(void **state)
{
	uint8_t data[12] = {0}, gw[6];

	(void)state;
	network_mac(w.conf.gateway, gw);
	start(NULL, 0);
	guest_arp(w.a.watch.fd, 1, w.a.port.mac, w.a.port.mac, 0, mac_all, w.conf.cidr + 11);
	run_to(PROOF_ARP, "GUEST_WRONG_ADDRESS");
	assert_non_null(strstr(w.seen[PROOF_ARP].evidence, "saw 192.168.100.11: ARP probe"));
	proof_free(take_ptr(w.proof));
	memset(w.seen, 0, sizeof(w.seen));
	start(NULL, 0);
	guest_ipv4(w.a.watch.fd, w.a.port.mac, gw, w.conf.cidr + 12, w.conf.gateway, 17, data,
		   sizeof(data));
	run_to(PROOF_ARP, "GUEST_WRONG_ADDRESS");
	assert_non_null(strstr(w.seen[PROOF_ARP].evidence, "saw 192.168.100.12: IPv4 packet"));
}

static void wrong_mac_is_named(void **state)
{
	static const uint8_t other[6] = {0x52, 0x54, 0, 1, 2, 3};

	(void)state;
	start(NULL, 0);
	guest_arp(w.a.watch.fd, 1, other, other, w.a.port.ip, mac_all, w.conf.gateway);
	run_to(PROOF_FRAMES, "GUEST_WRONG_MAC");
	assert_non_null(strstr(w.seen[PROOF_FRAMES].evidence, "saw one from 52:54:00:01:02:03"));
	run_to(PROOF_ARP, "NET_DUPLICATE_ADDRESS"); /* and that one says it has the address */
}

/* Another VM has the address and the leased one is silent. */
static void duplicate_is_named(void **state)
{
	(void)state;
	guest_open(&w.b, 2);
	w.b.script.ip = w.a.port.ip;
	start(NULL, 0);
	run_to(PROOF_ARP, "NET_DUPLICATE_ADDRESS");
	assert_string_equal(
		w.seen[PROOF_ARP].evidence,
		"ARP says 192.168.100.2 is-at 06:00:c0:a8:64:03 on hv2; it is leased to "
		"06:00:c0:a8:64:02 on hv1");
	/* The other one can't fail the proof of a guest that answers: its frames are dropped. */
	w.a.script = right(0);
	run_to_end();
	assert_non_null(
		strstr(w.seen[PROOF_ARP].evidence,
		       "06:00:c0:a8:64:03 on hv2 claims it too, and its frames are dropped"));
}

/* Two stations behind one TAP both answer: no proof until one falls silent. */
static void duplicate_on_one_tap_fails(void **state)
{
	static const uint8_t other[6] = {0x52, 0x54, 0, 1, 2, 3};
	uint8_t gw[6];

	(void)state;
	network_mac(w.conf.gateway, gw);
	start(NULL, 0);
	while (w.seen[PROOF_CARRIER].verdict != PROOF_HOLDS)
		turn();
	guest_arp(w.a.watch.fd, 2, other, other, w.a.port.ip, gw, w.conf.gateway);
	guest_arp(w.a.watch.fd, 2, w.a.port.mac, w.a.port.mac, w.a.port.ip, gw, w.conf.gateway);
	run_to(PROOF_ARP, "NET_DUPLICATE_ADDRESS");
	assert_non_null(strstr(w.seen[PROOF_ARP].evidence, "is-at 52:54:00:01:02:03 on hv1"));
	w.a.script = right(0);
	run_to_end();
}

static void lost_tap_is_named(void **state)
{
	(void)state;
	start(NULL, 0);
	while (w.seen[PROOF_CARRIER].verdict != PROOF_HOLDS)
		turn();
	guest_close(&w.a);
	run_to(PROOF_CARRIER, "NET_NO_CARRIER");
	assert_string_equal(w.seen[PROOF_CARRIER].evidence,
			    "TAP hv1 is gone: the VMM has closed it");
}

static void missing_tap_is_named(void **state)
{
	(void)state;
	guest_close(&w.a);
	start(NULL, 0);
	run_to(PROOF_CARRIER, "NET_NO_CARRIER");
	assert_non_null(strstr(w.seen[PROOF_CARRIER].evidence, "TAP hv1 doesn't exist"));
}

static void down_tap_is_named(void **state)
{
	(void)state;
	RUN("ip", "netns", "exec", "hearth-default", "ip", "link", "set", "hv1", "down");
	start(NULL, 0);
	run_to(PROOF_CARRIER, "NET_NO_CARRIER");
	assert_non_null(strstr(w.seen[PROOF_CARRIER].evidence, "TAP hv1 is down"));
	RUN("ip", "netns", "exec", "hearth-default", "ip", "link", "set", "hv1", "up");
	w.a.script = right(0);
	run_to_end();
}

/* Junk of all lengths, far more than a wake-up takes: no crash, and the proof still comes. */
static void flooding_guest_is_proven(void **state)
{
	uint8_t junk[GUEST_FRAME_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(junk); i++)
		junk[i] = (uint8_t)(i * 7);
	w.a.script = right(0);
	start(NULL, 0);
	for (size_t i = 0; i < 2000; i++) {
		memcpy(junk + 6, i % 3 ? (const void *)w.a.port.mac : "junk!", 6);
		put16(junk + 12, i % 2 ? 0x0806 : 0x0800);
		guest_send(w.a.watch.fd, junk, 14 + i % 60);
		if (i % 100 == 0 && !w.done)
			turn();
	}
	run_to_end();
}

static void may_be_freed_in_a_callback(void **state)
{
	(void)state;
	w.a.script = right(0);
	w.free_at_step = true;
	start(NULL, 0);
	while (!w.done)
		turn();
	assert_null(w.proof);
}

static void survives_lack_of_memory(void **state)
{
	(void)state;
	for (long budget = 0;; budget++) {
		struct proof *p = NULL;
		struct err e = {0};
		int rc;

		mem_fail_after(budget);
		rc = proof_start(w.loop, w.n, &w.a.port, NULL, 0, &w.owner, &p, &e);
		mem_fail_after(-1);
		if (!rc) {
			proof_free(p);
			assert_true(budget > 0);
			return;
		}
		assert_int_equal(rc, -ENOMEM);
		assert_null(p);
	}
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, world_open, world_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(right_guest_is_proven),	  TEST(no_ports_hold_at_once),
		TEST(too_many_ports_are_refused), TEST(late_guest_is_proven),
		TEST(deaf_guest_is_named),	  TEST(refused_port_mends_itself),
		TEST(wrong_address_is_named),	  TEST(wrong_address_shows_in_probes_and_packets),
		TEST(wrong_mac_is_named),	  TEST(duplicate_is_named),
		TEST(duplicate_on_one_tap_fails), TEST(lost_tap_is_named),
		TEST(missing_tap_is_named),	  TEST(down_tap_is_named),
		TEST(flooding_guest_is_proven),	  TEST(may_be_freed_in_a_callback),
		TEST(survives_lack_of_memory),
	};
	int rc = sandbox_enter();

	return rc ? rc : cmocka_run_group_tests(tests, NULL, NULL);
}
