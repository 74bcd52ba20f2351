/*
 * The command line of hearthd: options that override keys of the configuration file, and modes.
 * Called by main.c.  Trust: whoever starts hearthd is root.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"
#include "hearthd/conf.h"
#include "hearthd/hearthd.h"

static const struct override {
	const char *name, *key; /* of section hearthd */
	const char *value;	/* NULL: the next argument */
	const char *form, *doc;
} overrides[] = {
	{"--state-dir", "StateDir", NULL, "DIR", "records, images, disks, evidence"},
	{"--run-dir", "RunDir", NULL, "DIR", "sockets"},
	{"--socket", "Socket", NULL, "PATH", "Unix socket of the API"},
	{"--listen", "Listen", NULL, "ADDR:PORT|none", "TCP address of the API, loopback only"},
	{"--no-uplink", "Uplink", "no", "", "never touch the host's own network"},
	{"--instance", "Instance", NULL, "NAME", "begins the names of network namespaces"},
	{"--log-level", "LogLevel", NULL, "LEVEL", "error, warn, info or debug"},
	{"--libexec-dir", "LibexecDir", NULL, "DIR", "where hearth-shim and hearth-init are"},
	{"--recipes-dir", "RecipesDir", NULL, "DIR", "where the recipes of images are"},
};

static const struct {
	const char *name;
	enum option_mode mode;
	const char *form, *doc;
} modes[] = {
	{"--check-config", MODE_CHECK_CONFIG, "[FILE]", "check the configuration and end"},
	{"--print-config", MODE_PRINT_CONFIG, "",
	 "print an example file with every key and its default"},
	{"--help-config", MODE_HELP_CONFIG, "", "print every key as a table in Markdown"},
	{"--print-routes", MODE_PRINT_ROUTES, "", "print the routes of the API"},
	{"--version", MODE_VERSION, "", "print the version"},
	{"--help", MODE_HELP, "", "print this"},
};

void options_help(void)
{
	(void)printf("Usage: hearthd [OPTION]...\nThe controller of Hearth: serves the API and "
		     "runs microVMs.\n\n"
		     "  %-30s %s\n",
		     "--config FILE", "configuration (default: " CONF_PATH ", if it is there)");
	for (unsigned i = 0; i < ARRAY_LEN(overrides); i++) {
		char left[64];

		/* fits */
		(void)snprintf(left, sizeof(left), "%s %s", overrides[i].name, overrides[i].form);
		(void)printf("  %-30s %s\n", left, overrides[i].doc);
	}
	for (unsigned i = 0; i < ARRAY_LEN(modes); i++) {
		char left[64];

		/* fits */
		(void)snprintf(left, sizeof(left), "%s %s", modes[i].name, modes[i].form);
		(void)printf("  %-30s %s\n", left, modes[i].doc);
	}
	(void)printf("\nOptions win over the configuration file.  Exit status: 0 ended as asked, 2 "
		     "wrong use or\n"
		     "configuration, 5 the host lacks something, 70 a fault of hearthd.\n");
}

struct words {
	int argc, at;
	char **argv;
	const char *inlined; /* of --name=value */
};

/* Is the current word this option?  Understands --name value and --name=value. */
static bool is(struct words *w, const char *name)
{
	const char *word = w->argv[w->at];
	size_t n = strlen(name);

	if (strncmp(word, name, n) != 0 || (word[n] && word[n] != '='))
		return false;
	w->inlined = word[n] ? word + n + 1 : NULL;
	return true;
}

static const char *value(struct words *w, const char *name, struct err *e)
{
	if (w->inlined)
		return w->inlined;
	if (w->at + 1 < w->argc)
		return w->argv[++w->at];
	(void)err_set(e, -EINVAL, ERR_CALLER, "option.no-value",
		      "%s: needs a value (see hearthd --help)", name);
	return NULL;
}

/* The override of the current word; 1: it is none. */
static int override(struct words *w, struct conf *c, struct err *e)
{
	for (unsigned i = 0; i < ARRAY_LEN(overrides); i++) {
		const struct override *o = &overrides[i];
		const char *v;

		if (!is(w, o->name))
			continue;
		if (o->value && w->inlined)
			return err_set(e, -EINVAL, ERR_CALLER, "option.value", "%s: takes no value",
				       o->name);
		v = o->value ? o->value : value(w, o->name, e);
		if (!v)
			return -EINVAL;
		return c ? conf_set(c, conf_find("hearthd", o->key), NULL, o->name, v, e) : 0;
	}
	return 1;
}

static bool mode(struct words *w, struct options *ret)
{
	for (unsigned i = 0; i < ARRAY_LEN(modes); i++) {
		if (!str_eq(w->argv[w->at], modes[i].name))
			continue;
		ret->mode = modes[i].mode;
		if (ret->mode == MODE_CHECK_CONFIG && w->at + 1 < w->argc &&
		    *w->argv[w->at + 1] != '-')
			ret->config = w->argv[++w->at];
		return true;
	}
	return false;
}

/* c NULL: only find the mode and the file. */
static int pass(int argc, char **argv, struct options *ret, struct conf *c, struct err *e)
{
	struct words w = {.argc = argc, .argv = argv, .at = 1};

	for (; w.at < argc; w.at++) {
		int rc;

		if (is(&w, "--config")) {
			ret->config = value(&w, "--config", e);
			if (!ret->config)
				return -EINVAL;
			continue;
		}
		if (mode(&w, ret))
			continue;
		rc = override(&w, c, e);
		if (rc < 0)
			return rc;
		if (rc > 0)
			return err_set(e, -EINVAL, ERR_CALLER, "option.unknown",
				       "%.100s: unknown option (see hearthd --help)", argv[w.at]);
	}
	return 0;
}

int options_parse(int argc, char **argv, struct options *ret, struct conf *c, struct err *e)
{
	struct options o = {.mode = MODE_SERVE};
	int rc = pass(argc, argv, &o, NULL, e);

	conf_defaults(c);
	if (!rc && o.mode <= MODE_CHECK_CONFIG) { /* the others need no file */
		rc = conf_load(c, o.config ? o.config : CONF_PATH, o.config != NULL, e);
		if (!rc)
			rc = pass(argc, argv, &o, c, e);
		if (!rc)
			rc = conf_check(c, e);
	}
	if (!rc)
		*ret = o;
	return rc;
}
