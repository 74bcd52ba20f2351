/*
 * Parses one line of hearth-init:
 *
 *	hearth-init: phase=NAME STATUS [key=value | key="value"]…
 *
 * STATUS: ok, fail, warn; \" and \\ inside quotes.  Called by the line scan on the loop's thread.
 * Trust: the text was written by the guest; fields are cut to their room, unknown keys are skipped.
 */
#include <string.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "base/str.h"
#include "control/lines.h"
#include "control/text.h"

/* Copy the next value into dst, cut to cap, and return what follows it. */
static const char *value(const char *p, char *dst, size_t cap)
{
	bool quoted = *p == '"';
	size_t n = 0;

	p += quoted;
	while (*p && (quoted ? *p != '"' : *p != ' ')) {
		if (quoted && *p == '\\' && p[1])
			p++;
		if (n + 1 < cap)
			dst[n++] = *p;
		p++;
	}
	dst[n] = 0;
	return *p == '"' && quoted ? p + 1 : p;
}

static const char *word(const char *p, char *dst, size_t cap, const char *ends)
{
	size_t n = strcspn(p, ends);

	text_cut(dst, cap, "%.*s", (int)(n < cap ? n : cap - 1), p);
	return p + n;
}

struct slot {
	const char *key;
	char *dst;
	size_t cap;
};

static void field(struct init_line *l, const char *key, const char *text)
{
	const struct slot slots[] = {
		{"code", l->code, sizeof(l->code)},
		{"looked", l->looked, sizeof(l->looked)},
		{"saw", l->saw, sizeof(l->saw)},
		{"hint", l->hint, sizeof(l->hint)},
		{"mac", l->mac, sizeof(l->mac)},
		{"ip", l->ip, sizeof(l->ip)},
		{"dev", l->dev, sizeof(l->dev)},
		{"pci", l->pci, sizeof(l->pci)},
		{"transport", l->transport, sizeof(l->transport)},
		{"disk", l->disk, sizeof(l->disk)},
		{"mode", l->mode, sizeof(l->mode)},
		{"why", l->why, sizeof(l->why)},
		{"blk", l->blk, sizeof(l->blk)},
	};
	uint64_t ms;

	if (str_eq(key, "ms") && parse_u64(text, 0, 1u << 30, &ms) == 0)
		l->ms = (int64_t)ms;
	for (size_t i = 0; i < ARRAY_LEN(slots); i++)
		if (str_eq(key, slots[i].key))
			text_cut(slots[i].dst, slots[i].cap, "%s", text);
}

bool init_line_parse(const char *line, struct init_line *ret)
{
	static const char mark[] = "hearth-init: phase=";
	const char *p = strstr(line, mark);
	char verdict[8], key[24], text[LINE_MAX_];

	/* Only a kernel time stamp may stand before it. */
	if (!p || (p != line && *line != '['))
		return false;
	memset(ret, 0, sizeof(*ret));
	ret->ms = -1;
	p = word(p + sizeof(mark) - 1, ret->phase, sizeof(ret->phase), " ");
	p = word(p + strspn(p, " "), verdict, sizeof(verdict), " ");
	ret->verdict = str_eq(verdict, "ok")	 ? INIT_OK
		       : str_eq(verdict, "fail") ? INIT_FAIL
						 : INIT_NOTE;
	if (!ret->phase[0] || !verdict[0])
		return false;
	for (;;) {
		p += strspn(p, " ");
		if (!*p)
			break;
		p = word(p, key, sizeof(key), "= ");
		text[0] = 0;
		if (*p == '=')
			p = value(p + 1, text, sizeof(text));
		field(ret, key, text);
	}
	if (ret->verdict == INIT_FAIL && !ret->code[0])
		text_cut(ret->code, sizeof(ret->code), "INIT_FAILED");
	return true;
}
