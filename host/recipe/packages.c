/*
 * Gets Debian packages: a root file system by mmdebstrap, a kernel as its package ships it.
 *
 * Where from is this machine's own apt configuration, as apt itself reads it (apt-get
 * indextargets), cut down to the recipe's suite with its updates and security; the project names no
 * mirror.
 *
 * Called by builds; blocks for as long as the network takes.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/str.h"
#include "json/json.h"
#include "recipe/recipe_internal.h"

#define PACKAGES_TIMEOUT_MS                                                                        \
	(30u * 60u * 1000u) /* a slow mirror and a desktop: minutes, not hours */
#define QUERY_TIMEOUT_MS 60000u
#define QUERY_MAX	 ((size_t)8 << 20)
#define ARGS_MAX	 64

/* Standard output of a short query. */
static int query(const char *const *argv, struct buf *ret, struct err *e)
{
	auto_buf bad = {.max = 4096};
	struct proc_run run = {
		.argv = argv, .out = ret, .err = &bad, .timeout_ms = QUERY_TIMEOUT_MS};
	int rc;

	ret->max = QUERY_MAX;
	rc = proc_run(&run, e);
	if (rc > 0)
		return err_set(e, -EIO, ERR_HOST, "recipe.apt",
			       "%s %s ended with status %d: %.300s", argv[0], argv[1], rc,
			       buf_text(&bad));
	return rc;
}

/* --- sources --- */

static bool suite_fits(const char *release, const char *suite)
{
	size_t n = strlen(suite);

	return str_starts(release, suite) &&
	       (!release[n] || str_eq(release + n, "-updates") || str_eq(release + n, "-security"));
}

static bool lists_component(const struct spec *s, const char *component)
{
	size_t n;
	json_t *at;

	json_array_foreach(s->components, n,
			   at) if (str_eq(json_string_value(at), component)) return true;
	return false;
}

/* One row: URI RELEASE COMPONENT FILENAME SIGNED-BY */
static int add_source(const struct spec *s, char *row, json_t *lines, struct buf *lists,
		      struct err *e)
{
	const char *uri = str_word(&row, "\t"), *release = row ? str_word(&row, "\t") : NULL;
	const char *component = row ? str_word(&row, "\t") : NULL,
		   *file = row ? str_word(&row, "\t") : NULL;
	const char *key = row ? str_word(&row, "\t") : NULL;
	auto_buf line = {0};
	int rc;

	if (!file || !suite_fits(release, s->suite) || !lists_component(s, component))
		return 0;
	/* apt leaves a field that is not set as it stands in the format. */
	rc = key && *key == '/' ? buf_printf(&line, "deb [signed-by=%s] %s %s %s", key, uri,
					     release, component)
				: buf_printf(&line, "deb %s %s %s", uri, release, component);
	if (!rc)
		rc = json_push(lines, json_string(line.data));
	if (!rc)
		rc = buf_printf(lists, "%s\n", file);
	return rc ? err_nomem(e) : 0;
}

int packages_sources(const struct spec *s, json_t **ret_lines, struct buf *ret_lists, struct err *e)
{
	const char *argv[] = {"apt-get",
			      "indextargets",
			      "--format",
			      "$(REPO_URI)\t$(RELEASE)\t$(COMPONENT)\t$(FILENAME)\t$(SIGNED_BY)",
			      "Created-By: Packages",
			      NULL};
	auto_json json_t *lines = json_array();
	auto_buf out = {0};
	char *next, *row;
	int rc = lines ? query(argv, &out, e) : err_nomem(e);

	next = out.data;
	while (!rc && next && (row = str_word(&next, "\n")))
		rc = add_source(s, row, lines, ret_lists, e);
	if (rc)
		return rc;
	if (!json_array_size(lines)) {
		(void)err_set(e, -ENOENT, ERR_HOST, "recipe.no-sources",
			      "apt on this machine knows no packages of %s: nothing in /etc/apt, "
			      "or never updated",
			      s->suite);
		return err_remedy(
			e, "run apt-get update; /etc/apt/sources.list must name the suite %s",
			s->suite);
	}
	*ret_lines = take_ptr(lines);
	return 0;
}

/* --- root file system --- */

static int join(const json_t *list, struct buf *ret)
{
	size_t n;
	json_t *at;
	int rc = 0;

	json_array_foreach(list, n, at) rc =
		rc ? rc : buf_printf(ret, "%s%s", n ? "," : "", json_string_value(at));
	return rc;
}

int packages_unpack(const struct spec *s, json_t *sources, const char *dir, struct err *e)
{
	auto_free char *variant = mem_printf("--variant=%s", s->variant),
		       *tree = mem_printf("%s/tree", dir);
	const char *argv[ARGS_MAX] = {"mmdebstrap", variant, "--format=directory"};
	auto_json json_t *keep = json_array(); /* owns what argv borrows */
	auto_buf include = {0};
	size_t n, argc = 3;
	json_t *at;
	int rc;

	if (!variant || !tree || !keep || buf_puts(&include, "--include=") ||
	    join(s->packages, &include))
		return err_nomem(e);
	argv[argc++] = include.data;
	json_array_foreach(s->exclude, n, at)
	{
		if (json_push(keep, json_sprintf("--dpkgopt=path-%s", json_string_value(at))))
			return err_nomem(e);
		if (argc < ARGS_MAX - 12)
			argv[argc++] = json_string_value(json_array_get(keep, n));
	}
	argv[argc++] = s->suite;
	argv[argc++] = tree;
	json_array_foreach(sources, n, at) if (argc < ARGS_MAX - 1) argv[argc++] =
		json_string_value(at);
	rc = run_logged(argv, NULL, dir, "packages.log", PACKAGES_TIMEOUT_MS, e);
	return rc < 0 ? err_prefix(e, "packages") : rc;
}

/* --- kernel --- */

/* The package that a metapackage stands for today: its dependency on linux-image-VERSION; or
 * itself. */
static int real_package(const char *name, char *ret, size_t cap, struct err *e)
{
	const char *argv[] = {"apt-cache", "show", "--no-all-versions", name, NULL};
	static const char want[] = "linux-image-";
	auto_buf out = {0};
	int rc = query(argv, &out, e);
	const char *deps, *p;
	size_t n;

	if (rc)
		return err_remedy(e, "the recipe's \"kernel\" must name a package that apt knows "
				     "(apt-get update)");
	deps = strstr(buf_text(&out), "\nDepends: ");
	p = deps ? strstr(deps, want) : NULL;
	if (!p || p > deps + 1 + strcspn(deps + 1, "\n"))
		p = name;
	n = strspn(p, "abcdefghijklmnopqrstuvwxyz0123456789+-.~");
	if (!str_fmt(ret, cap, "%.*s", (int)n, p))
		return err_set(e, -ENAMETOOLONG, ERR_CALLER, "recipe.kernel",
			       "%s: the package's name is too long", name);
	return 0;
}

/* The one entry of a directory that begins so. */
static int find_entry(const char *dir, const char *prefix, char *ret, size_t cap, struct err *e)
{
	DIR *d = opendir(dir);
	struct dirent *de;
	bool found = false;

	while (d && !found && (de = readdir(d)))
		found = *de->d_name != '.' && str_starts(de->d_name, prefix) &&
			str_fmt(ret, cap, "%s/%s", dir, de->d_name);
	if (d)
		(void)closedir(d); /* it was only read */
	return found ? 0
		     : err_set(e, -ENOENT, ERR_HOST, "recipe.kernel",
			       "the kernel's package has no %s/%s*", dir, prefix);
}

static int unpack_kernel(const char *package, const char *work, const char *dir, struct err *e)
{
	/* The sandbox user of apt could not write into a private directory. */
	const char *get[] = {"apt-get", "download", "-q", "-o", "APT::Sandbox::User=root",
			     package,	NULL};
	char deb[PATH_MAX], root[PATH_MAX];
	const char *unpack[] = {"dpkg-deb", "-x", deb, root, NULL};
	int rc;

	if (mkdir(work, 0755))
		return err_sys(e, errno, "recipe.kernel", "%s", work);
	if (!str_fmt(root, sizeof(root), "%s/root", work))
		return err_sys(e, ENAMETOOLONG, "recipe.kernel", "%s", work);
	rc = run_logged(get, work, dir, "kernel.log", PACKAGES_TIMEOUT_MS, e);
	if (!rc)
		rc = find_entry(work, "linux-image-", deb, sizeof(deb), e);
	return rc ? rc : run_logged(unpack, NULL, dir, "kernel.log", PACKAGES_TIMEOUT_MS, e);
}

int packages_kernel(const struct spec *s, const char *dir, struct kernel_files *ret, struct err *e)
{
	struct kernel_files k = {.version = ""};
	char work[PATH_MAX], root[PATH_MAX + 8], at[PATH_MAX + 32];
	const char *depmod[] = {"/sbin/depmod", "-b", root, k.version, NULL};
	int rc = real_package(s->kernel, k.package, sizeof(k.package), e);

	if (rc)
		return rc;
	if (!str_fmt(work, sizeof(work), "%s/kernel", dir) ||
	    !str_fmt(root, sizeof(root), "%s/root", work))
		return err_sys(e, ENAMETOOLONG, "recipe.kernel", "%s", dir);
	rc = unpack_kernel(k.package, work, dir, e);
	if (!rc && str_fmt(at, sizeof(at), "%s/boot", root))
		rc = find_entry(at, "vmlinuz-", k.image, sizeof(k.image), e);
	if (!rc)
		rc = find_entry(at, "config-", k.config, sizeof(k.config), e);
	if (!rc && str_fmt(at, sizeof(at), "%s/lib/modules", root))
		rc = find_entry(at, "", k.modules, sizeof(k.modules), e);
	if (rc)
		return rc;
	if (!str_copy(k.version, sizeof(k.version), strrchr(k.modules, '/') + 1))
		return err_sys(e, ENAMETOOLONG, "recipe.kernel", "%s", k.modules);
	/* The package makes its index when it is installed; here it is only unpacked. */
	rc = run_logged(depmod, NULL, dir, "kernel.log", QUERY_TIMEOUT_MS, e);
	if (!rc)
		*ret = k;
	return rc;
}
