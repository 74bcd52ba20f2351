/*
 * Recipes: what is accepted, that nothing placed in a tree can leave it, which line of a log tells
 * why, what a console says.
 */
#include "image_fixture.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "recipe/bootlog.h"
#include "recipe/recipe_internal.h"

#define HEAD                                                                                       \
	"{\"format\":1,\"name\":\"x\",\"description\":\"d\",\"suite\":\"bookworm\",\"variant\":"   \
	"\"minbase\","                                                                             \
	"\"kernel\":\"linux-image-cloud-amd64\",\"components\":[\"main\"],\"packages\":["          \
	"\"systemd\"],"                                                                            \
	"\"rootfs_mib\":256,\"min_ram_mib\":96"

static int parse(const char *text, struct spec *s)
{
	memset(&err, 0, sizeof(err));
	return spec_parse(text, strlen(text), "recipe.json", s, &err);
}

static void test_spec(void **state)
{
	static const struct {
		const char *text, *why;
	} bad[] = {
		{"", "recipe.json"},
		{"{}", "format"},
		{HEAD ",\"unknown\":1}", "unknown"},
		{HEAD ",\"mask\":[\"a b\"]}", "mask: entry 1"},
		{HEAD ",\"modules\":[\"--option\"]}", "modules: entry 1"},
		{HEAD ",\"remove\":[7]}", "remove: entry 1"},
		{HEAD ",\"ports\":[0]}", "port 1"},
		{HEAD ",\"ports\":[70000]}", "port 1"},
		{HEAD ",\"probes\":[{\"type\":\"console\"}]}", "probe 1"},
		{HEAD ",\"probes\":[{\"type\":\"tcp\",\"text\":\"x\",\"port\":5}]}", "probe 1"},
		{HEAD ",\"probes\":[{\"type\":\"magic\"}]}", "type"},
	};
	struct spec s;

	(void)state;
	assert_int_equal(parse(HEAD ",\"probes\":[{\"type\":\"console\",\"text\":\" "
				    "login:\"},{\"type\":\"tcp\",\"port\":22}],"
				    "\"ports\":[22]}",
			       &s),
			 0);
	assert_string_equal(s.kernel, "linux-image-cloud-amd64");
	assert_int_equal(s.facts.min_ram_mib, 96);
	assert_int_equal(s.facts.probes_n, 2);
	assert_string_equal(s.facts.probes[0].text, " login:");
	assert_int_equal(s.facts.probes[1].port, 22);
	assert_int_equal(s.facts.ports[0], 22);
	spec_done(&s);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_true(parse(bad[i].text, &s) < 0);
		if (!strstr(err.text, bad[i].why))
			fail_msg("%s: %s", bad[i].text, err.text);
	}
	assert_int_equal(spec_load(RECIPES, "../base", &s, &err), -EINVAL);
	assert_int_equal(spec_load(RECIPES, "no-such", &s, &err), -ENOENT);
	assert_string_equal(err.id, "recipe.absent");
}

/* The recipes of this tree: they load, and every file that they place is there. */
static void test_own_recipes(void **state)
{
	struct spec s;

	(void)state;
	if (spec_load(RECIPES, "base", &s, &err))
		fail_msg("%s", err.text);
	assert_int_equal(mkdir(tmp_path("base"), 0755), 0);
	if (tree_apply(&s, tmp_path("base"), &err))
		fail_msg("%s", err.text);
	assert_int_equal(
		access(tmp_path("base/etc/systemd/system/serial-getty@ttyS0.service"), F_OK), 0);
	spec_done(&s);
}

static void test_tree(void **state)
{
	char target[64] = "", outside[300], root[100], escape[100];
	auto_close int fd = -1;
	struct stat st;
	struct spec s;

	(void)state;
	(void)snprintf(root, sizeof(root), "%s", tmp_path("tree"));
	(void)snprintf(escape, sizeof(escape), "%s", tmp_path("outside"));
	assert_int_equal(mkdir(root, 0755), 0);
	assert_int_equal(mkdir(escape, 0755), 0);
	fd = open(root, O_RDONLY | O_DIRECTORY);
	assert_int_equal(tree_put(fd, "/a/b/c", "text", 4, 0750, &err), 0);
	assert_int_equal(stat(tmp_path("tree/a/b/c"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0750);
	/* A file in the place of a link replaces the link, not its target. */
	assert_int_equal(symlink("/etc/passwd", tmp_path("tree/link")), 0);
	assert_int_equal(tree_put(fd, "/link", "x", 1, 0644, &err), 0);
	assert_int_equal(lstat(tmp_path("tree/link"), &st), 0);
	assert_true(S_ISREG(st.st_mode));
	/* Links to directories lead to places inside the tree: absolute, relative, upwards. */
	(void)snprintf(outside, sizeof(outside), "../../../../../../../..%s", escape);
	assert_int_equal(symlink(escape, tmp_path("tree/abs")), 0);
	assert_int_equal(symlink(outside, tmp_path("tree/rel")), 0);
	(void)tree_put(fd, "/abs/file", "x", 1, 0644, &err);
	(void)tree_put(fd, "/rel/file", "x", 1, 0644, &err);
	(void)tree_put(fd, "/../../outside/file", "x", 1, 0644, &err);
	assert_int_equal(access(tmp_path("outside/file"), F_OK), -1);
	assert_int_equal(tree_put(fd, "relative", "x", 1, 0644, &err), -EINVAL);
	assert_int_equal(tree_put(fd, "/", "x", 1, 0644, &err), -EINVAL);
	assert_int_equal(tree_put(fd, "/a/..", "x", 1, 0644, &err), -EINVAL);

	assert_int_equal(symlink(escape, tmp_path("tree/gone")), 0);
	(void)tmp_text("outside/keep", "x");
	assert_int_equal(
		parse(HEAD
		      ",\"mask\":[\"a.service\"],\"remove\":[\"/a\",\"/gone\",\"/never/was\"],"
		      "\"links\":[{\"path\":\"/etc/l\",\"to\":\"../x\"}],"
		      "\"files\":[{\"path\":\"/etc/t\",\"text\":\"hello\",\"mode\":\"0600\"}]}",
		      &s),
		0);
	if (tree_apply(&s, root, &err))
		fail_msg("%s", err.text);
	spec_done(&s);
	assert_int_equal(access(tmp_path("tree/a"), F_OK), -1);
	assert_int_equal(lstat(tmp_path("tree/gone"), &st), -1);
	assert_int_equal(access(tmp_path("outside/keep"), F_OK), 0);
	assert_true(readlink(tmp_path("tree/etc/systemd/system/a.service"), target,
			     sizeof(target) - 1) > 0);
	assert_string_equal(target, "/dev/null");
	assert_int_equal(
		parse(HEAD ",\"files\":[{\"path\":\"/t\",\"text\":\"x\",\"from\":\"y\"}]}", &s), 0);
	assert_int_equal(tree_apply(&s, root, &err), -EINVAL);
	spec_done(&s);
	assert_int_equal(
		parse(HEAD ",\"files\":[{\"path\":\"/t\",\"from\":\"../../etc/shadow\"}]}", &s), 0);
	assert_int_equal(tree_apply(&s, root, &err), -EINVAL);
	spec_done(&s);
	assert_int_equal(parse(HEAD ",\"mask\":[\"../x\"]}", &s), 0);
	assert_int_equal(tree_apply(&s, root, &err), -EINVAL);
	spec_done(&s);
}

static void test_log(void **state)
{
	const char *fails[] = {"sh", "-c",
			       "echo start; echo 'E: Unable to locate package nano2' >&2; echo 'I: "
			       "cleaning up'; exit 3",
			       NULL};
	const char *silent[] = {"sh", "-c", "exit 4", NULL},
		   *missing[] = {"/nonexistent/program", NULL};
	const char *good[] = {"true", NULL};
	char line[100];

	(void)state;
	assert_int_equal(log_reason("", line, sizeof(line)), 0);
	assert_int_equal(log_reason("one\ntwo\n\n", line, sizeof(line)), 2);
	assert_string_equal(line, "two");
	assert_int_equal(log_reason("I: a\nfailed to fetch\nE: no such package\nI: tidy\nE: "
				    "mmdebstrap failed to run\n",
				    line, sizeof(line)),
			 3);
	assert_string_equal(line, "E: no such package");
	assert_int_equal(run_logged(good, NULL, tmp_dir, "log", 10000, &err), 0);
	assert_int_equal(run_logged(fails, NULL, tmp_dir, "log", 10000, &err), -EIO);
	assert_non_null(
		strstr(err.text,
		       "sh ended with status 3; line 2 of log: E: Unable to locate package nano2"));
	assert_int_equal(run_logged(silent, NULL, tmp_dir, "other", 10000, &err), -EIO);
	assert_non_null(strstr(err.text, "status 4 and said nothing"));
	assert_int_equal(run_logged(missing, NULL, tmp_dir, "other", 10000, &err), -ENOENT);
}

static void feed(struct bootlog *b, const char *text, size_t step)
{
	for (size_t at = 0, n = strlen(text); at < n; at += step)
		bootlog_feed(b, text + at, n - at < step ? n - at : step);
}

static void test_bootlog(void **state)
{
	static const char good[] =
		"[    0.1] Linux version\r\nroot login: is no prompt yet\r\n"
		"hearth-init: phase=net ok dev=eth0\r\nhearth-init: phase=root ok mode=overlay\r\n"
		"hearth-init: phase=handover ok init=/sbin/init\r\nsystemd\r\n\r\nhearth login: ";
	struct image i = {.has_init = true,
			  .probes_n = 1,
			  .probes = {{.type = PROBE_CONSOLE, .text = " login:"}}};

	(void)state;
	for (size_t step = 1; step < 70; step += 17) {
		struct bootlog b = {.image = &i};

		feed(&b, good, step);
		assert_true(bootlog_holds(&b));
		assert_int_equal(b.net.number, 3);
		assert_int_equal(b.handover.number, 5);
		assert_int_equal(b.probe[0].number, 8);
		assert_string_equal(b.root.text, "hearth-init: phase=root ok mode=overlay");
		assert_int_equal(b.fault.number, 0);
	}
	{
		struct bootlog b = {.image = &i};

		/* A program of the guest can't speak for hearth-init once that has handed over. */
		feed(&b, "hearth-init: phase=handover ok\nhearth-init: phase=net ok\n login:\n", 5);
		assert_false(bootlog_holds(&b));
	}
	{
		struct bootlog b = {.image = &i};
		static char flood[3 * BOOTLOG_LINE];

		memset(flood, 0x1b, sizeof(flood));
		bootlog_feed(&b, flood, sizeof(flood));
		feed(&b,
		     "\nhearth-init: phase=root fail code=ROOT_NO_DISKS exit=30\nKernel panic - "
		     "not syncing: x\n",
		     11);
		assert_int_equal(b.fault.number, 2);
		assert_non_null(strstr(b.fault.text, "ROOT_NO_DISKS"));
		assert_false(bootlog_holds(&b));
	}
	{
		struct image bare = {.has_init = false};
		struct bootlog b = {.image = &bare};

		feed(&b,
		     "VFS: Cannot open root device \"vda\" or unknown-block(0,0): error -6\n"
		     "Kernel panic - not syncing: VFS: Unable to mount root fs\n---[ end\n",
		     9);
		assert_int_equal(b.fault.number, 1);
		assert_int_equal(b.last.number, 3);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spec),	cmocka_unit_test(test_own_recipes),
		cmocka_unit_test(test_tree),	cmocka_unit_test(test_log),
		cmocka_unit_test(test_bootlog),
	};

	return cmocka_run_group_tests(tests, tmp_make, tmp_remove);
}
