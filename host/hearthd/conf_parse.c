/*
 * The configuration file: INI in, struct conf out, every mistake with its line.
 * Called at start.  Trust: the host's administrator; fuzzed all the same.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/str.h"
#include "hearthd/conf.h"

#define KEYS_MAX 64 /* bits of a mask; conf_keys has fewer: asserted by test_hearthd_conf */
#define NAME_FAR 3  /* a word that needs more edits is another word */
#define WORD_MAX 32 /* longest word that is compared */

struct parser {
	struct conf *conf;
	const char *path;
	unsigned line;
	char section[16];	/* "" before the first */
	struct vm_class *class; /* in [class NAME] */
	uint64_t seen;		/* keys given, by their place in conf_keys */
	uint64_t class_seen[CONF_CLASSES];
	struct err *e;
};

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
	return a < b ? (a < c ? a : c) : (b < c ? b : c);
}

/* Edits that turn a into b, letters' case ignored (Levenshtein). */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[WORD_MAX + 1];
	size_t n = strlen(b);

	if (n > WORD_MAX || strlen(a) > WORD_MAX)
		return WORD_MAX;
	for (unsigned j = 0; j <= n; j++)
		row[j] = j;
	for (unsigned i = 1; *a; a++, i++) {
		unsigned diagonal = row[0];

		row[0] = i;
		for (unsigned j = 1; j <= n; j++) {
			unsigned above = row[j];

			row[j] = min3(row[j] + 1, row[j - 1] + 1,
				      diagonal + ((*a | 0x20) != (b[j - 1] | 0x20)));
			diagonal = above;
		}
	}
	return row[n];
}

/* The known key of this section that is nearest to `name`; NULL: none is near. */
static const char *nearest(const char *section, const char *name)
{
	const char *best = NULL;
	unsigned least = NAME_FAR + 1;

	for (unsigned i = 0; i < conf_keys_n; i++) {
		unsigned d;

		if (!str_eq(conf_keys[i].section, section))
			continue;
		d = distance(name, conf_keys[i].name);
		if (d < least) {
			least = d;
			best = conf_keys[i].name;
		}
	}
	return best;
}

static int fail(struct parser *p, const char *id, const char *what, const char *text,
		const char *expected)
{
	return err_set(p->e, -EINVAL, ERR_CALLER, id, "%s:%u: %s \"%.64s\", expected %s", p->path,
		       p->line, what, text, expected);
}

static int unknown_key(struct parser *p, const char *name)
{
	auto_buf known = {0};
	const char *near = nearest(p->section, name);
	const char *elsewhere = NULL;

	for (unsigned i = 0; i < conf_keys_n; i++) {
		if (str_eq(conf_keys[i].section, p->section))
			(void)buf_printf(&known, "%s%s", known.len ? ", " : "one of ",
					 conf_keys[i].name);
		else if (str_eq(conf_keys[i].name, name))
			elsewhere = conf_keys[i].section;
	}
	(void)fail(p, "config.unknown-key", "unknown key", name, buf_text(&known));
	if (near)
		return err_remedy(p->e, "did you mean %s?", near);
	if (elsewhere)
		return err_remedy(p->e, "%s stands in [%s]", name, elsewhere);
	return -EINVAL;
}

static int begin_class(struct parser *p, const char *name)
{
	struct conf *c = p->conf;

	if (!name_valid(name))
		return fail(p, "config.unknown-section", "class", name, "a name of a-z, 0-9 and -");
	for (p->class = c->classes; p->class < c->classes + c->classes_n; p->class ++)
		if (str_eq(p->class->name, name))
			return 0;
	if (c->classes_n == CONF_CLASSES)
		return fail(p, "config.unknown-section", "class", name, "at most 16 classes");
	*p->class = c->classes[0]; /* what a class does not say is as cli has it */
	c->classes_n++;
	return str_copy(p->class->name, sizeof(p->class->name), name) ? 0 : -EINVAL;
}

static int begin_section(struct parser *p, char *line)
{
	static const char expected[] =
		"one of [hearthd], [limits], [timeouts], [evidence], [class NAME]";
	size_t n = strlen(line);
	char *name = line + 1;

	if (line[n - 1] != ']')
		return fail(p, "config.syntax", "section", line, "a ] at the end of the line");
	line[n - 1] = '\0';
	p->class = NULL;
	if (str_starts(name, "class ")) {
		(void)snprintf(p->section, sizeof(p->section), "class"); /* fits */
		name += strlen("class ");
		return begin_class(p, name + strspn(name, " \t"));
	}
	for (unsigned i = 0; i < conf_keys_n; i++)
		if (str_eq(conf_keys[i].section, name) && !str_eq(name, "class"))
			return str_copy(p->section, sizeof(p->section), name) ? 0 : -EINVAL;
	return fail(p, "config.unknown-section", "unknown section", name, expected);
}

static int duplicate(struct parser *p, const struct conf_key *k)
{
	uint64_t bit = 1ull << (unsigned)(k - conf_keys);
	uint64_t *seen = p->class ? &p->class_seen[p->class - p->conf->classes] : &p->seen;

	if (*seen & bit)
		return err_set(p->e, -EINVAL, ERR_CALLER, "config.duplicate-key",
			       "%s:%u: %s: given a second time, expected once", p->path, p->line,
			       k->name);
	*seen |= bit;
	return 0;
}

static char *trim(char *s)
{
	size_t n;

	s += strspn(s, " \t\r");
	n = strlen(s);
	while (n && strchr(" \t\r", s[n - 1]))
		s[--n] = '\0';
	return s;
}

static int assign(struct parser *p, char *line)
{
	char *eq = strchr(line, '='), *name;
	const struct conf_key *k;
	char where[300];
	int rc;

	if (!eq)
		return fail(p, "config.syntax", "line", line,
			    "Key=Value, [section] or a comment with #");
	if (!*p->section)
		return fail(p, "config.syntax", "line", line, "a [section] before the first key");
	*eq = '\0';
	name = trim(line);
	k = conf_find(p->section, name);
	if (!k)
		return unknown_key(p, name);
	rc = duplicate(p, k);
	if (rc)
		return rc;
	(void)snprintf(where, sizeof(where), "%s:%u", p->path, p->line); /* cut if longer */
	return conf_set(p->conf, k, p->class, where, trim(eq + 1), p->e);
}

int conf_parse(struct conf *c, const char *path, const char *text, size_t len, struct err *e)
{
	auto_free struct parser *p = mem_zalloc(sizeof(*p));
	auto_free char *copy = mem_strndup(text, len);
	char *rest = copy, *line;
	int rc = 0;

	if (!p || !copy)
		return err_nomem(e);
	*p = (struct parser){.conf = c, .path = path, .e = e};
	if (!str_is_utf8(text, len))
		return err_set(e, -EINVAL, ERR_CALLER, "config.syntax", "%s: expected UTF-8 text",
			       path);
	while (!rc && (line = strsep(&rest, "\n"))) {
		p->line++;
		line = trim(line);
		if (!*line || *line == '#' || *line == ';')
			continue;
		rc = *line == '[' ? begin_section(p, line) : assign(p, line);
	}
	return rc;
}

int conf_load(struct conf *c, const char *path, bool must, struct err *e)
{
	auto_buf text = {0};
	int rc = fd_read_file(path, CONF_FILE_MAX, &text, e);

	if (rc == -ENOENT && !must)
		return 0;
	return rc < 0 ? rc : conf_parse(c, path, buf_text(&text), text.len, e);
}
