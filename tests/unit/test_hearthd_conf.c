/*
 * The configuration of hearthd: defaults, every type's limits, and each kind of mistake with its
 * line and what was expected.
 */
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "hearthd/conf.h"

static int parse(struct conf *c, const char *text, struct err *e)
{
	conf_defaults(c);
	return conf_parse(c, "t.conf", text, strlen(text), e);
}

static void test_table(void **state)
{
	(void)state;
	assert_true(conf_keys_n <= 64); /* the parser marks keys in a 64-bit mask */
	for (unsigned i = 0; i < conf_keys_n; i++) {
		assert_ptr_equal(conf_find(conf_keys[i].section, conf_keys[i].name), &conf_keys[i]);
		assert_true(strlen(conf_keys[i].section) < 16);
		assert_true(str_ends(conf_keys[i].doc, "."));
	}
}

static void test_defaults(void **state)
{
	struct conf c;
	struct err e;

	(void)state;
	conf_defaults(&c);
	assert_int_equal(conf_check(&c, &e), 0);
	assert_string_equal(c.socket, "/run/hearth/hearth.sock");
	assert_int_equal(c.listen_addr, 0x7f000001);
	assert_int_equal(c.listen_port, 3000);
	assert_int_equal(c.log_level, LOG_LV_INFO);
	assert_true(c.uplink);
	assert_int_equal(c.evidence_ms, 7ull * 24 * 3600 * 1000);
	assert_int_equal(c.classes_n, 2);
	assert_string_equal(c.classes[1].name, "desktop");
	assert_int_equal(c.classes[1].ram_mib, 2048);
}

static void test_file(void **state)
{
	static const char text[] =
		"# comment\n\n[hearthd]\n  StateDir = /srv/hearth \r\nUplink=no\nListen=none\n"
		"; another\n[limits]\nUserRam=4G\nHostVms=7\n[timeouts]\nBooting=2min\n"
		"[class big]\nVcpus=8\nRam=16G\n[class cli]\nImage=own\n[hearthd]\nEngine=qemu";
	struct conf c;
	struct err e = {0};

	(void)state;
	if (parse(&c, text, &e))
		fail_msg("%s", e.text);
	assert_string_equal(c.state_dir, "/srv/hearth");
	assert_false(c.uplink);
	assert_string_equal(c.listen, "none");
	assert_int_equal(c.user.ram_mib, 4096);
	assert_int_equal(c.host.vms, 7);
	assert_int_equal(c.limit_ms[VM_BOOTING], 120000);
	assert_string_equal(c.engine, "qemu");
	assert_int_equal(c.classes_n, 3);
	assert_string_equal(c.classes[0].image, "own");
	assert_int_equal(c.classes[0].vcpus, 1);
	assert_string_equal(c.classes[2].name, "big");
	assert_string_equal(c.classes[2].image, "base");
	assert_int_equal(c.classes[2].vcpus, 8);
	assert_int_equal(conf_check(&c, &e), -EINVAL); /* no user could have a big one */
	assert_non_null(strstr(e.text, "[class big]"));
}

static void test_mistakes(void **state)
{
	static const struct {
		const char *text, *id, *says;
	} cases[] = {
		{"x=1\n", "config.syntax", "t.conf:1: "},
		{"[hearthd\n", "config.syntax", "t.conf:1: "},
		{"[hearthd]\nnonsense\n", "config.syntax",
		 "t.conf:2: line \"nonsense\", expected Key=Value"},
		{"\n[nowhere]\n", "config.unknown-section",
		 "t.conf:2: unknown section \"nowhere\""},
		{"[class]\n", "config.unknown-section", "unknown section"},
		{"[class A_B]\n", "config.unknown-section", "a name of a-z"},
		{"[hearthd]\nnonsense=1\n", "config.unknown-key",
		 "t.conf:2: unknown key \"nonsense\""},
		{"[hearthd]\nUplink=yes\nUplink=yes\n", "config.duplicate-key",
		 "t.conf:3: Uplink: given a second"},
		{"[class a]\nRam=1G\n[class b]\nRam=1G\n[class a]\nRam=2G\n",
		 "config.duplicate-key", "t.conf:6"},
		{"[limits]\nHostVms=many\n", "config.value",
		 "t.conf:2: HostVms=many: expected an integer"},
		{"[limits]\nHostVms=4097\n", "config.value", "from 0 to 4096"},
		{"[limits]\nHostRam=1\n", "config.value", "a size as 512M"},
		{"[hearthd]\nStateDir=relative\n", "config.value", "an absolute path"},
		{"[hearthd]\nStateDir=/a b\n", "config.value", "an absolute path"},
		{"[hearthd]\nStateDir=\n", "config.value", "an absolute path"},
		{"[hearthd]\nListen=0.0.0.0:3000\n", "config.value", "an address of the loopback"},
		{"[hearthd]\nListen=127.0.0.1\n", "config.value", "127.0.0.1:3000"},
		{"[hearthd]\nListen=127.0.0.1:65536\n", "config.value", "127.0.0.1:3000"},
		{"[hearthd]\nListen=111111111111111111111:1\n", "config.value", "127.0.0.1:3000"},
		{"[hearthd]\nLogLevel=loud\n", "config.value", "error, warn, info or debug"},
		{"[hearthd]\nUplink=perhaps\n", "config.value", "yes or no"},
		{"[hearthd]\nInstance=too-long-a-name\n", "config.value", "1 to 8 of a-z"},
		{"[hearthd]\nRequestTimeout=0\n", "config.value", "from 1s to 1h"},
		{"[class cli]\nVcpus=33\n", "config.value", "from 1 to 32"},
		{"[class cli]\nRam=2T\n", "config.value", "a size"},
		{"[hearthd]\nEngine=\xff\n", "config.syntax", "UTF-8"},
	};
	struct conf c;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		struct err e = {0};

		if (!parse(&c, cases[i].text, &e))
			fail_msg("accepted: %s", cases[i].text);
		if (!str_eq(e.id, cases[i].id) || !strstr(e.text, cases[i].says))
			fail_msg("%s: got %s: %s", cases[i].text, e.id, e.text);
		assert_int_equal(e.kind, ERR_CALLER);
	}
}

static void test_suggestions(void **state)
{
	struct conf c;
	struct err e = {0};

	(void)state;
	assert_true(parse(&c, "[hearthd]\nstatedir=/x\n", &e) < 0);
	assert_string_equal(e.remedy, "did you mean StateDir?");
	assert_true(parse(&c, "[limits]\nHostVm=1\n", &e) < 0);
	assert_string_equal(e.remedy, "did you mean HostVms?");
	assert_true(parse(&c, "[limits]\nStateDir=/x\n", &e) < 0);
	assert_string_equal(e.remedy, "StateDir stands in [hearthd]");
}

static void test_many_classes(void **state)
{
	char text[CONF_CLASSES * 16] = "";
	struct conf c;
	struct err e;

	(void)state;
	for (unsigned i = 0; i < CONF_CLASSES - 2; i++)
		(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "[class c%u]\n",
			       i);
	assert_int_equal(parse(&c, text, &e), 0);
	(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "[class more]\n");
	assert_true(parse(&c, text, &e) < 0);
	assert_non_null(strstr(e.text, "at most 16 classes"));
}

/* What --print-config prints is read back as the defaults, also with every # taken away. */
static void test_example(void **state)
{
	auto_free char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	struct conf c, d;
	struct err e = {0};

	(void)state;
	conf_print_example(f);
	assert_int_equal(fclose(f), 0);
	conf_defaults(&d);
	assert_int_equal(parse(&c, text, &e), 0);
	assert_memory_equal(&c, &d, sizeof(c));
	for (char *p = text; (p = strstr(p, "\n#")); p++)
		if (p[2] != ' ')
			memmove(p + 1, p + 2, strlen(p + 2) + 1);
	if (parse(&c, text, &e))
		fail_msg("%s", e.text);
	assert_memory_equal(&c, &d, sizeof(c));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),	    cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_file),	    cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_suggestions), cmocka_unit_test(test_many_classes),
		cmocka_unit_test(test_example),
	};

	return RUN_TESTS(tests);
}
