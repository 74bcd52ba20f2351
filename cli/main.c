/*
 * The program hearth: finds the verb, reads its command line, connects, runs it, and turns failures
 * into sentences and exit statuses.
 *
 * Trust: argv and the environment are the user's.
 */
#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/verbs.h"

#define DEFAULT_SOCKET "/run/hearth/hearth.sock"
#define TOKEN_MAX      4096 /* bytes of a token file; a token has 68 */

static void set_style(struct style *s, int fd)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
	struct winsize size;

	if (!isatty(fd))
		return;
	/* https://no-color.org: present and not empty, whatever its value. */
	s->colours = !(no_color && *no_color) && !(term && str_eq(term, "dumb"));
	if (!ioctl(fd, TIOCGWINSZ, &size))
		s->columns = size.ws_col;
}

/* The words of argv that are no options, as far as they can name a verb. */
static unsigned first_words(int argc, char *const *argv, const char *ret[2])
{
	unsigned n = 0;

	for (int i = 1; i < argc && n < 2; i++) {
		if (argv[i][0] != '-') {
			ret[n++] = argv[i];
			continue;
		}
		if (str_eq(argv[i], "--"))
			break;
		/* Options of all verbs may stand in front; some take the next word too. */
		for (const struct opt *o = global_opts; o->name; o++)
			if (o->type != OPT_FLAG &&
			    str_eq(argv[i] + 1 + (argv[i][1] == '-'), o->name))
				i++;
	}
	return n;
}

static int no_such_verb(const char *const *words, unsigned n, struct err *e)
{
	const char *names[64], *near;
	unsigned names_n = 0;
	bool group = group_exists(words[0]);

	for (unsigned i = 0; i < verbs_n && names_n < ARRAY_LEN(names); i++) {
		if (group && n > 1 && str_starts(verbs[i].name, words[0]))
			names[names_n++] = verbs[i].name + strlen(words[0]) + 1;
		if (!group && !strchr(verbs[i].name, ' '))
			names[names_n++] = verbs[i].name;
	}
	for (unsigned i = 0; !group && i < groups_n && names_n < ARRAY_LEN(names); i++)
		names[names_n++] = groups[i].name;
	near = closest(group && n > 1 ? words[1] : words[0], names, names_n);
	(void)err_set(e, -EINVAL, ERR_CALLER, "cli.verb", "%.60s%s%.60s: no such verb", words[0],
		      n > 1 ? " " : "", n > 1 ? words[1] : "");
	if (near)
		return err_remedy(e, "did you mean hearth %s%s%s?", group ? words[0] : "",
				  group ? " " : "", near);
	return err_remedy(e, "hearth%s%s --help lists the verbs", group ? " " : "",
			  group ? words[0] : "");
}

static int read_token_file(const char *path, struct buf *ret, struct err *e)
{
	int rc = fd_read_file(path, TOKEN_MAX, ret, e);

	if (rc < 0)
		return err_prefix(e, "token");
	while (ret->len && (ret->data[ret->len - 1] == '\n' || ret->data[ret->len - 1] == '\r'))
		ret->data[--ret->len] = '\0';
	if (!ret->len || strlen(ret->data) != ret->len)
		return err_set(e, -EINVAL, ERR_CALLER, "cli.token", "%.200s: holds no token", path);
	return 0;
}

/* An option beats the environment; of the environment, a socket beats a URL. */
static int connect_to(struct cli *c, const struct args *a, struct err *e)
{
	const char *socket = args_text(a, "socket"), *url = args_text(a, "url"),
		   *file = args_text(a, "token-file");
	const char *token = args_text(a, "token");
	auto_buf text = {0};

	if (socket && url)
		return err_set(e, -EINVAL, ERR_CALLER, "cli.option",
			       "--socket and --url exclude each other");
	if (token && file)
		return err_set(e, -EINVAL, ERR_CALLER, "cli.option",
			       "--token and --token-file exclude each other");
	if (!socket && !url)
		socket = getenv("HEARTH_SOCKET");
	if (!socket && !url)
		url = getenv("HEARTH_URL");
	if (!socket && !url)
		socket = DEFAULT_SOCKET;
	if (file) {
		int rc = read_token_file(file, &text, e);

		if (rc)
			return rc;
		token = buf_text(&text);
	}
	if (!token)
		token = getenv("HEARTH_TOKEN");
	return http_init(&c->http, socket, url, token && *token ? token : NULL, e);
}

static int print_help(const char *what, struct err *e)
{
	auto_buf out = {0};

	return help_print(what, &out) ? err_nomem(e) : out_buf(&out, e);
}

static int run_verb(struct cli *c, const struct verb *v, int argc, char *const *argv, unsigned skip,
		    struct err *e)
{
	struct args a;
	int rc = args_parse(argc, argv, v, skip, &a, e);

	if (rc)
		return rc;
	if (args_flag(&a, "help"))
		return print_help(v->name, e);
	c->json = args_flag(&a, "json");
	rc = connect_to(c, &a, e);
	return rc ? rc : v->run(c, &a, e);
}

static int run(struct cli *c, int argc, char *const *argv, struct err *e)
{
	const char *words[2] = {NULL};
	unsigned n = first_words(argc, argv, words), taken = 0;
	const struct verb *v = verb_find(words, n, &taken);
	struct args a;
	int rc;

	if (v)
		return run_verb(c, v, argc, argv, taken, e);
	if (n > 1 || (n == 1 && !group_exists(words[0])))
		return no_such_verb(words, n, e);
	rc = args_parse(argc, argv, NULL, n, &a, e);
	if (rc)
		return rc;
	rc = print_help(n ? words[0] : NULL, e);
	return rc || args_flag(&a, "help") ? rc
					   : err_exit_status(ERR_CALLER); /* a verb was missing */
}

int main(int argc, char **argv)
{
	struct cli c = {.err_is_terminal = isatty(STDERR_FILENO)};
	struct err e = {.id = "bug.no-error", .kind = ERR_BUG, .text = "no reason was recorded"};
	int rc;

	/* Widths of characters: any UTF-8 locale knows them; glibc 2.35 and later bring C.UTF-8. */
	if (!setlocale(LC_CTYPE, "C.UTF-8"))
		(void)setlocale(LC_CTYPE, ""); /* then width is a guess */
	for (int i = 1; i < argc && !str_eq(argv[i], "--"); i++)
		c.json = c.json || str_eq(argv[i], "--json"); /* errors of the command line too */
	set_style(&c.out, STDOUT_FILENO);
	set_style(&c.err, STDERR_FILENO);
	rc = run(&c, argc, argv, &e);
	if (rc < 0)
		say_error(&c, &e);
	http_done(&c.http);
	json_decref(c.error);
	return rc < 0 ? err_exit_status(e.kind) : rc;
}
