/*
 * Tests of guest/init/cmdline: fields, the kernel's quoting, precedence, contradictions, hostile
 * text.
 */
#include "init/cmdline.h"

#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "base/str.h"
#include "unit.h"

/* cmdline_parse on a heap copy of exactly the text's size, so that ASan sees any overrun. */
static int parse(const char *text, struct params *ret, struct fault *f)
{
	auto_free char *copy = strdup(text);

	assert_non_null(copy);
	memset(f, 0, sizeof(*f));
	return cmdline_parse(copy, ret, f);
}

static void full_overlay(void **state)
{
	struct params p;
	struct fault f;
	static const uint8_t mac[6] = {6, 0, 0xc0, 0xa8, 0x64, 5};

	(void)state;
	assert_int_equal(
		parse("console=ttyS0 quiet hearth.mac=06:00:C0:a8:64:05 "
		      "hearth.ip=192.168.100.5/24 hearth.gw=192.168.100.1 "
		      "hearth.dns=192.168.100.1,9.9.9.9,1.1.1.1 hearth.mtu=1400 "
		      "hearth.hostname=web-1 hearth.root=overlay hearth.base=/dev/vda "
		      "hearth.disk=/dev/vdb rootwait rootdelay=7 init=/lib/systemd/systemd\n",
		      &p, &f),
		0);
	assert_true(p.net.has_mac && p.net.has_ip && p.net.has_gw);
	assert_memory_equal(p.net.mac, mac, 6);
	assert_int_equal(p.net.ip, 0xc0a86405);
	assert_int_equal(p.net.prefix, 24);
	assert_int_equal(p.net.gw, 0xc0a86401);
	assert_int_equal(p.net.dns_n, 3);
	assert_int_equal(p.net.dns[1], 0x09090909);
	assert_int_equal(p.net.mtu, 1400);
	assert_string_equal(p.net.hostname, "web-1");
	assert_int_equal(p.root.mode, ROOT_OVERLAY);
	assert_string_equal(p.root.base, "/dev/vda");
	assert_string_equal(p.root.disk, "/dev/vdb");
	assert_true(p.root.wait);
	assert_int_equal(p.root.delay_s, 7);
	assert_string_equal(p.root.init, "/lib/systemd/systemd");
}

static void direct_defaults(void **state)
{
	struct params p;
	struct fault f;

	(void)state;
	assert_int_equal(parse("root=/dev/vda", &p, &f), 0);
	assert_int_equal(p.root.mode, ROOT_DIRECT);
	assert_int_equal(p.root.access, ACCESS_AUTO);
	assert_string_equal(p.root.init, "");
	assert_false(p.net.has_ip || p.net.has_mac || p.root.wait);
	/* The kernel takes the last: Firecracker appends its own root= and rw. */
	assert_int_equal(parse("root=/dev/sda ro root=/dev/vda rw", &p, &f), 0);
	assert_string_equal(p.root.root, "/dev/vda");
	assert_int_equal(p.root.access, ACCESS_RW);
	/* A root= beside an overlay is the VMM's: the overlay counts. */
	assert_int_equal(parse("hearth.base=/dev/vda hearth.disk=/dev/vdb root=/dev/vda", &p, &f),
			 0);
	assert_int_equal(p.root.mode, ROOT_OVERLAY);
}

static void quoting_as_the_kernel(void **state)
{
	struct params p;
	struct fault f;

	(void)state;
	assert_int_equal(parse("root=\"LABEL=my disk\" rootflags=\"\" ro", &p, &f), 0);
	assert_string_equal(p.root.root, "LABEL=my disk");
	assert_string_equal(p.root.flags, "");
	assert_int_equal(p.root.access, ACCESS_RO);
	assert_int_equal(parse("\"root=/dev/vda\" \"rw\"", &p, &f), 0);
	assert_string_equal(p.root.root, "/dev/vda");
	assert_int_equal(p.root.access, ACCESS_RW);
	/* A quote that never ends protects the rest. */
	assert_int_equal(parse("root=\"LABEL=a ro", &p, &f), 0);
	assert_string_equal(p.root.root, "LABEL=a ro");
	assert_int_equal(p.root.access, ACCESS_AUTO);
	/* PARTUUID's own '=' belongs to the value. */
	assert_int_equal(parse("root=PARTUUID=0a0b0c0d-01", &p, &f), 0);
	assert_string_equal(p.root.root, "PARTUUID=0a0b0c0d-01");
}

static void stops_at_the_inits_part(void **state)
{
	struct params p;
	struct fault f;

	(void)state;
	assert_int_equal(parse("root=/dev/vda -- root=/dev/evil hearth.nonsense ip=dhcp", &p, &f),
			 0);
	assert_string_equal(p.root.root, "/dev/vda");
	assert_int_equal(parse("root=/dev/vda --x=1 systemd.unit=rescue.target single", &p, &f), 0);
}

static void ip_and_hearth_ip(void **state)
{
	struct params p;
	struct fault f;

	(void)state;
	assert_int_equal(
		parse("root=/dev/vda ip=10.0.0.5::10.0.0.1:255.255.255.0:n:eth0:off:1.1.1.1", &p,
		      &f),
		0);
	assert_int_equal(p.net.ip, 0x0a000005);
	assert_int_equal(p.net.gw, 0x0a000001);
	assert_int_equal(p.net.dns_n, 1);
	assert_string_equal(p.net.hostname, "n");
	/* hearth.ip is the owner: ip= is not even looked at. */
	assert_int_equal(parse("root=/dev/vda ip=dhcp hearth.ip=10.9.9.9/16", &p, &f), 0);
	assert_int_equal(p.net.ip, 0x0a090909);
	assert_false(p.net.has_gw);
	/* Other hearth.* fields win over their part of ip=. */
	assert_int_equal(parse("root=/dev/vda hearth.hostname=a hearth.gw=10.0.0.2 "
			       "hearth.dns=9.9.9.9 ip=10.0.0.5::10.0.0.1:255.0.0.0:b::off:1.1.1.1",
			       &p, &f),
			 0);
	assert_string_equal(p.net.hostname, "a");
	assert_int_equal(p.net.gw, 0x0a000002);
	assert_int_equal(p.net.dns[0], 0x09090909);
	assert_int_equal(p.net.dns_n, 1);
	assert_int_equal(parse("root=/dev/vda ip=off", &p, &f), 0);
	assert_false(p.net.has_ip);
}

static const struct {
	const char *text;
	enum fault_code code;
	const char *looked; /* begins so */
} refused[] = {
	{"root=/dev/vda hearth.mac=06:00:c0:a8:64", FAULT_CMDLINE_FIELD, "hearth.mac="},
	{"root=/dev/vda hearth.mac=07:00:c0:a8:64:05", FAULT_CMDLINE_FIELD, "hearth.mac="},
	{"root=/dev/vda hearth.mac", FAULT_CMDLINE_FIELD, "hearth.mac"},
	{"root=/dev/vda hearth.ip=10.0.0.5", FAULT_CMDLINE_FIELD, "hearth.ip=10.0.0.5"},
	{"root=/dev/vda hearth.ip=10.0.0.5/33", FAULT_CMDLINE_FIELD, "hearth.ip="},
	{"root=/dev/vda hearth.ip=10.0.0.5/0", FAULT_CMDLINE_FIELD, "hearth.ip="},
	{"root=/dev/vda hearth.ip=10.0.0.0/24", FAULT_CMDLINE_FIELD, "10.0.0.0"},
	{"root=/dev/vda hearth.ip=10.0.0.255/24", FAULT_CMDLINE_FIELD, "10.0.0.255"},
	{"root=/dev/vda hearth.ip=127.0.0.1/8", FAULT_CMDLINE_FIELD, "127.0.0.1"},
	{"root=/dev/vda hearth.ip=224.0.0.1/24", FAULT_CMDLINE_FIELD, "224.0.0.1"},
	{"root=/dev/vda hearth.ip=10.0.0.5/24 hearth.gw=", FAULT_CMDLINE_FIELD, "hearth.gw="},
	{"root=/dev/vda hearth.dns=1.1.1.1,", FAULT_CMDLINE_FIELD, "hearth.dns="},
	{"root=/dev/vda hearth.dns=,1.1.1.1", FAULT_CMDLINE_FIELD, "hearth.dns="},
	{"root=/dev/vda hearth.dns=1.1.1.1,2.2.2.2,3.3.3.3,4.4.4.4", FAULT_CMDLINE_FIELD,
	 "hearth.dns"},
	{"root=/dev/vda hearth.dns=", FAULT_CMDLINE_FIELD, "hearth.dns="},
	{"root=/dev/vda hearth.mtu=575", FAULT_CMDLINE_FIELD, "hearth.mtu="},
	{"root=/dev/vda hearth.mtu=65536", FAULT_CMDLINE_FIELD, "hearth.mtu="},
	{"root=/dev/vda hearth.hostname=-a", FAULT_CMDLINE_FIELD, "hearth.hostname="},
	{"root=/dev/vda \"hearth.hostname=a b\"", FAULT_CMDLINE_FIELD, "hearth.hostname=a b"},
	{"root=/dev/vda rootdelay=-1", FAULT_CMDLINE_FIELD, "rootdelay="},
	{"root=/dev/vda init=sbin/init", FAULT_CMDLINE_FIELD, "init="},
	{"root=/dev/vda ro=1", FAULT_CMDLINE_FIELD, "ro=1"},
	{"root", FAULT_CMDLINE_FIELD, "root"},
	{"root=", FAULT_CMDLINE_FIELD, "root="},
	{"hearth.root=both", FAULT_CMDLINE_FIELD, "hearth.root=both"},
	{"hearth.base=vda hearth.disk=/dev/vdb", FAULT_CMDLINE_FIELD, "hearth.base="},
	{"root=/dev/vda hearth.disc=/dev/vdb", FAULT_CMDLINE_UNKNOWN, "hearth.disc="},
	{"root=/dev/vda hearth.", FAULT_CMDLINE_UNKNOWN, "hearth."},
	{"root=/dev/vda hearth.mtu=1400 hearth.mtu=1500", FAULT_CMDLINE_DUPLICATE,
	 "hearth.mtu=1500"},
	{"root=/dev/vda hearth.ip=10.0.0.5/24 hearth.gw=10.0.1.1", FAULT_CMDLINE_CONFLICT,
	 "10.0.1.1"},
	{"root=/dev/vda hearth.ip=10.0.0.5/24 hearth.gw=10.0.0.5", FAULT_CMDLINE_CONFLICT,
	 "10.0.0.5"},
	{"root=/dev/vda hearth.gw=10.0.0.1", FAULT_CMDLINE_CONFLICT, "10.0.0.1"},
	{"hearth.root=direct root=/dev/vda hearth.base=/dev/vdb", FAULT_CMDLINE_CONFLICT,
	 "hearth.root"},
	{"hearth.base=/dev/vda hearth.disk=/dev/vda", FAULT_CMDLINE_CONFLICT, "/dev/vda"},
	{"hearth.root=overlay hearth.base=/dev/vda", FAULT_CMDLINE_NO_ROOT, "hearth.disk"},
	{"hearth.disk=/dev/vda", FAULT_CMDLINE_NO_ROOT, "hearth.base"},
	{"hearth.root=direct", FAULT_CMDLINE_NO_ROOT, "root"},
	{"", FAULT_CMDLINE_NO_ROOT, "root"},
	{"root=/dev/vda ip=dhcp", FAULT_IP_AUTOCONF, "ip=dhcp"},
	{"root=/dev/vda ip=:::::eth0:dhcp", FAULT_IP_AUTOCONF, "ip=:::::eth0:dhcp"},
	{"root=/dev/vda ip=10.0.0.300", FAULT_CMDLINE_FIELD, "ip=10.0.0.300"},
};

static void refusals_name_the_field(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		struct params p = {.net.mtu = 4321};
		struct fault f;

		if (parse(refused[i].text, &p, &f) != -1 || f.code != refused[i].code ||
		    !str_starts(f.looked, refused[i].looked) || !*f.why)
			fail_msg("\"%s\": code %s looked \"%s\" why \"%s\"", refused[i].text,
				 fault_info(f.code)->name, f.looked, f.why);
		assert_int_equal(p.net.mtu, 4321); /* outputs are untouched on failure */
	}
}

static void agent_fields_are_left_alone(void **state)
{
	struct params p;
	struct fault f;

	(void)state;
	assert_int_equal(parse("root=/dev/vda hearth.agent.port=5 hearth.agent.port=6", &p, &f), 0);
}

static void point_to_point(void **state)
{
	struct params p;
	struct fault f;

	(void)state;
	assert_int_equal(parse("root=/dev/vda hearth.ip=10.0.0.0/31 hearth.gw=10.0.0.1", &p, &f),
			 0);
	assert_int_equal(parse("root=/dev/vda hearth.ip=10.0.0.5/32 hearth.gw=169.254.1.1", &p, &f),
			 0);
}

/* Values at and beyond the room of their fields. */
static void long_values(void **state)
{
	static const char *const keys[] = {"root",	 "rootfstype",	"rootflags",
					   "init",	 "hearth.base", "hearth.hostname",
					   "hearth.dns", "ip",		"hearth.x"};

	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(keys); k++) {
		for (size_t n = 1; n < 1200; n += n < 600 ? 1 : 97) {
			char text[1400];
			size_t at = (size_t)snprintf(text, sizeof(text), "root=/dev/vda %s=/dev/",
						     keys[k]);
			struct params p;
			struct fault f;

			memset(text + at, 'a', n);
			text[at + n] = '\0';
			(void)parse(text, &p, &f);
		}
	}
}

static void hostile_noise(void **state)
{
	static const char *const bits[] = {
		"\"",  "=",	" ",  "--", "-",    "hearth.ip=", "10.0.0.1", "/24",	":",
		"ip=", "root=", "\n", "ro", "\x80", "hearth.",	  ",",	      "init=/", "\t"};
	uint32_t seed = 1;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		char text[256] = "";
		size_t len = 0;
		struct params p;
		struct fault f;

		for (int i = 0; i < 24; i++) {
			const char *bit;

			seed = seed * 1664525u + 1013904223u; /* the same noise in each run */
			bit = bits[(seed >> 16) % ARRAY_LEN(bits)];
			memcpy(text + len, bit, strlen(bit) + 1);
			len += strlen(bit);
		}
		if (parse(text, &p, &f))
			assert_true(*f.why);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(full_overlay),
		cmocka_unit_test(direct_defaults),
		cmocka_unit_test(quoting_as_the_kernel),
		cmocka_unit_test(stops_at_the_inits_part),
		cmocka_unit_test(ip_and_hearth_ip),
		cmocka_unit_test(refusals_name_the_field),
		cmocka_unit_test(agent_fields_are_left_alone),
		cmocka_unit_test(point_to_point),
		cmocka_unit_test(long_values),
		cmocka_unit_test(hostile_noise),
	};

	return RUN_TESTS(tests);
}
