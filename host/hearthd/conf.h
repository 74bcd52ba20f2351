#pragma once
/*
 * The configuration of hearthd: one table of keys from which the parser, the command line's
 * overrides, the example file and the documentation are made.
 *
 * The file has systemd's INI form: [sections], Key=Value, lines that begin with # or ; are
 * comments. Unlike systemd, Hearth refuses what it does not know, with file, line and what was
 * expected.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "control/control.h"

struct err;

#define CONF_PATH     "/etc/hearth/hearthd.conf"
#define CONF_TEXT     256	  /* longest text value; sockets allow 107 bytes */
#define CONF_FILE_MAX (64u << 10) /* a file with every key and 16 classes has 6 KiB */
#define CONF_CLASSES  16	  /* as control_conf has room for */

struct conf {
	char state_dir[CONF_TEXT], run_dir[CONF_TEXT], socket[CONF_TEXT], socket_group[CONF_TEXT];
	char libexec_dir[CONF_TEXT], recipes_dir[CONF_TEXT], instance[16], engine[16];
	char listen[32];      /* "none" or ADDRESS:PORT, checked */
	uint32_t listen_addr; /* host order */
	uint16_t listen_port;
	int log_level;
	bool uplink;
	uint32_t uid_base, max_connections;
	uint64_t request_ms, evidence_ms, grace_ms;
	uint64_t limit_ms[VM_STATE_N_];
	struct conf_limits {
		uint32_t vms, vcpus;
		uint64_t ram_mib, disk_mib;
	} host, user;
	uint64_t ram_reserve_mib, disk_reserve_mib;
	struct vm_class classes[CONF_CLASSES];
	unsigned classes_n;
};

enum conf_type {
	CONF_PATH_ABS, /* absolute path; "" where min is 0 */
	CONF_NAME,     /* a-z, 0-9, '-'; min..max bytes */
	CONF_WORD,     /* any text without blanks; min..max bytes */
	CONF_LISTEN,   /* ADDRESS:PORT or none */
	CONF_LEVEL,    /* error, warn, info, debug */
	CONF_BOOL,
	CONF_U32,
	CONF_MIB,      /* a size as 512M or 4G; min..max in MiB */
	CONF_DURATION, /* 30s, 5min, 7d; min..max in ms */
	CONF_TYPE_N_
};

struct conf_key {
	const char *section, *name;
	enum conf_type type;
	size_t offset; /* in struct conf, or in struct vm_class where section is "class" */
	size_t room;   /* bytes */
	uint64_t min, max;
	const char *fallback; /* the default, in the file's own form */
	const char *doc;
};
extern const struct conf_key conf_keys[];
extern const unsigned conf_keys_n;

/* Every key at its default, and the classes cli and desktop. */
void conf_defaults(struct conf *c);
/* Text of a whole file; `path` is for its sentences.  "config.syntax", "config.unknown-section",
 * "config.unknown-key", "config.duplicate-key", "config.value". */
int conf_parse(struct conf *c, const char *path, const char *text, size_t len, struct err *e);
/* A missing file is an error only if `must`. */
int conf_load(struct conf *c, const char *path, bool must, struct err *e);
/* One value; `where` begins the sentence: "hearthd.conf:3", "--listen". */
int conf_set(struct conf *c, const struct conf_key *k, struct vm_class *class, const char *where,
	     const char *value, struct err *e);
const struct conf_key *conf_find(const char *section, const char *name); /* NULL: none */
/* What no single key can say: the socket's place, the classes' RAM within the limits. */
int conf_check(struct conf *c, struct err *e);

/* every key as a comment, with its default: packaging/hearthd.conf.example */
void conf_print_example(FILE *f);
void conf_print_docs(FILE *f); /* the table of docs/configuration.md */
const char *conf_expected(const struct conf_key *k, char *buf,
			  size_t cap); /* "a size as 512M, from …" */
