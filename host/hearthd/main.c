/*
 * hearthd: chooses between serving, building an image, and the modes that only print.
 */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "hearthd/conf.h"
#include "hearthd/hearthd.h"
#include "hearthd/version.h"
#include "rest/rest.h"

const char hearthd_version[] = HEARTH_VERSION " (" HEARTH_BUILD ")";

static int complain(const struct err *e)
{
	(void)fprintf(stderr, "hearthd: %s%s%s%s\n", e->text, e->id ? " (" : "", e->id ? e->id : "",
		      e->id ? ")" : "");
	if (*e->remedy)
		(void)fprintf(stderr, "hearthd: %s\n", e->remedy);
	return err_exit_status(e->kind);
}

static int run(const struct options *o, const struct conf *c, struct err *e)
{
	switch (o->mode) {
	case MODE_SERVE:
		log_init((enum log_level)c->log_level, 2);
		return daemon_run(c, e);
	case MODE_CHECK_CONFIG:
		(void)printf("%s: fine\n", o->config ? o->config : CONF_PATH);
		return 0;
	case MODE_PRINT_CONFIG:
		conf_print_example(stdout);
		return 0;
	case MODE_HELP_CONFIG:
		conf_print_docs(stdout);
		return 0;
	case MODE_PRINT_ROUTES:
		rest_print_routes(stdout);
		return 0;
	case MODE_VERSION:
		(void)printf("hearthd %s\n", hearthd_version);
		return 0;
	case MODE_HELP:
		options_help();
		return 0;
	}
	return 0;
}

int main(int argc, char **argv)
{
	static struct conf conf; /* 5 KiB; borrowed by the controller for its life */
	struct options options;
	struct err e = {0};
	int rc;

	if (argc > 1 && str_eq(argv[1], "image-build"))
		return image_build(argc, argv, &e) ? complain(&e) : 0;
	rc = options_parse(argc, argv, &options, &conf, &e);
	if (!rc)
		rc = run(&options, &conf, &e);
	return rc ? complain(&e) : 0;
}
