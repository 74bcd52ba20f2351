#pragma once
/*
 * What main.c chooses from: serve, or build an image.
 */
#include <stdbool.h>

struct conf;
struct err;

/* Run until SIGTERM or SIGINT; VMs go on. */
int daemon_run(const struct conf *c, struct err *e);

/* `hearthd image-build …`: the child process that the controller starts for a build (control.h). */
int image_build(int argc, char **argv, struct err *e);

/* Tell systemd (sd_notify(3)): "READY=1".  Without NOTIFY_SOCKET nothing happens. */
void notify_systemd(const char *state);

enum option_mode {
	MODE_SERVE,
	MODE_CHECK_CONFIG,
	MODE_PRINT_CONFIG,
	MODE_HELP_CONFIG,
	MODE_PRINT_ROUTES,
	MODE_VERSION,
	MODE_HELP,
};
struct options {
	enum option_mode mode;
	const char *config; /* NULL: CONF_PATH, which may be missing */
};
/* Two passes: the first finds the file, the second lets the command line win over it. */
int options_parse(int argc, char **argv, struct options *ret, struct conf *c, struct err *e);
void options_help(void);

extern const char hearthd_version[]; /* "0.1.0 (a9ead52)" */
