/*
 * What the table of keys says to people: the example file and the table of docs/configuration.md.
 * Called by main.c for --print-config and --help-config.
 */
#include <string.h>

#include "base/str.h"
#include "hearthd/conf.h"

#define COLUMNS 100

/* A sentence as comment lines. */
static void print_comment(FILE *f, const char *text)
{
	while (*text) {
		size_t n = strlen(text);

		if (n > COLUMNS - 2) {
			n = COLUMNS - 2;
			while (n && text[n] != ' ')
				n--;
		}
		(void)fprintf(f, "# %.*s\n", (int)n, text);
		text += n + (text[n] == ' ');
	}
}

static const char *heading(const struct conf_key *k)
{
	return str_eq(k->section, "class") ? "class cli" : k->section;
}

void conf_print_example(FILE *f)
{
	const char *section = "";
	char expected[160];

	(void)fputs("# Configuration of hearthd, by default /etc/hearth/hearthd.conf.  Every key, "
		    "commented out, with\n"
		    "# its default.  Check a changed file with: hearthd --check-config FILE\n",
		    f);
	for (unsigned i = 0; i < conf_keys_n; i++) {
		const struct conf_key *k = &conf_keys[i];

		if (!str_eq(section, k->section)) {
			section = k->section;
			(void)fprintf(f, "\n[%s]\n", heading(k));
			if (str_eq(section, "class"))
				print_comment(f, "One section a class. cli and desktop (2 vCPUs, "
						 "2G of RAM, 8G of disk, "
						 "image desktop) are there without it; any other "
						 "name makes a new one.");
		}
		print_comment(f, k->doc);
		(void)fprintf(f, "# Expected: %s.\n#%s=%s\n",
			      conf_expected(k, expected, sizeof(expected)), k->name, k->fallback);
	}
}

void conf_print_docs(FILE *f)
{
	const char *section = "";
	char expected[160];

	for (unsigned i = 0; i < conf_keys_n; i++) {
		const struct conf_key *k = &conf_keys[i];

		if (!str_eq(section, k->section)) {
			section = k->section;
			(void)fprintf(f,
				      "%s### [%s]\n\n| key | default | expected | what it does "
				      "|\n|---|---|---|---|\n",
				      i ? "\n" : "",
				      str_eq(section, "class") ? "class NAME" : section);
		}
		(void)fprintf(f, "| `%s` | %s%s%s | %s | %s |\n", k->name, *k->fallback ? "`" : "",
			      *k->fallback ? k->fallback : "(empty)", *k->fallback ? "`" : "",
			      conf_expected(k, expected, sizeof(expected)), k->doc);
	}
}
