/*
 * The options of each verb, and the look-up in the table of verbs.
 * Called by main.c, help.c and completion.c; no input from outside.
 */
#include "cli/verbs.h"

#include "base/cleanup.h"
#include "base/str.h"

#define MINUTE_MS 60000u
#define HOUR_MS	  3600000u
#define YEAR_MS	  (366ull * 24 * HOUR_MS)

static const char *const wait_names[] = {"none", "network", "ready", NULL};
static const char *const state_names[] = {"creating", "starting", "booting", "connecting", "ready",
					  "stopping", "stopped",  "failed",  "deleting",   NULL};
static const char *const transport_names[] = {"pci", "mmio", NULL};
static const char *const root_names[] = {"overlay", "direct", NULL};
static const char *const role_names[] = {"admin", "user", "viewer", NULL};

#define TEXT(n, v, h, f)                                                                           \
	{                                                                                          \
		.name = (n), .type = OPT_TEXT, .value = (v), .help = (h), .to = TO_BODY,           \
		.field = (f)                                                                       \
	}
#define FLAG(n, l, h)                                                                              \
	{                                                                                          \
		.name = (n), .letter = (l), .type = OPT_FLAG, .help = (h)                          \
	}
#define WAIT                                                                                       \
	{                                                                                          \
		.name = "wait", .type = OPT_CHOICE, .value = "UNTIL", .choices = wait_names,       \
		.help = "stay until the network is proven, or until the services are ready"        \
	}
#define TIMEOUT(h)                                                                                 \
	{                                                                                          \
		.name = "timeout", .type = OPT_DURATION, .value = "TIME", .min = 1,                \
		.max = HOUR_MS, .help = (h)                                                        \
	}
#define QUIET FLAG("quiet", 'q', "no progress")
#define IDS   FLAG("ids", 0, "print ids only, one a line")
#define END                                                                                        \
	{                                                                                          \
		.name = NULL                                                                       \
	}

const struct opt global_opts[] = {
	{.name = "json",
	 .type = OPT_FLAG,
	 .help = "print the API's JSON; errors too, on standard error"},
	{.name = "socket",
	 .type = OPT_TEXT,
	 .value = "PATH",
	 .complete = "file",
	 .help = "hearthd's Unix socket (HEARTH_SOCKET; default /run/hearth/hearth.sock)"},
	{.name = "url",
	 .type = OPT_TEXT,
	 .value = "URL",
	 .help = "hearthd over TCP instead, http://127.0.0.1:3000 (HEARTH_URL)"},
	{.name = "token-file",
	 .type = OPT_TEXT,
	 .value = "PATH",
	 .complete = "file",
	 .help = "file that holds the token for --url (HEARTH_TOKEN holds the token itself)"},
	{.name = "token",
	 .type = OPT_TEXT,
	 .value = "TOKEN",
	 .help = "the token itself: every user of this machine can read it in the list of "
		 "processes"},
	{.name = "help", .letter = 'h', .type = OPT_FLAG, .help = "explain the verb"},
	END,
};

static const struct opt create_opts[] = {
	TEXT("user", "USER", "whose VM it is (default on the socket: you)", "userId"),
	{.name = "type",
	 .type = OPT_TEXT,
	 .value = "CLASS",
	 .to = TO_BODY,
	 .field = "vmType",
	 .help = "class that gives image and sizes: cli, desktop (default: cli)"},
	TEXT("name", "NAME", "name and host name: a-z, 0-9, '-' (default: the id)", "name"),
	{.name = "image",
	 .type = OPT_TEXT,
	 .value = "REF",
	 .to = TO_BODY,
	 .field = "image",
	 .complete = "image",
	 .help = "image by name or digest (default: the class's)"},
	{.name = "network",
	 .type = OPT_TEXT,
	 .value = "NAME",
	 .to = TO_BODY,
	 .field = "network",
	 .complete = "network",
	 .help = "network (default: default)"},
	{.name = "vcpus",
	 .type = OPT_NUMBER,
	 .value = "N",
	 .to = TO_BODY,
	 .field = "vcpus",
	 .max = UINT32_MAX,
	 .help = "virtual processors"},
	{.name = "ram",
	 .type = OPT_MIB,
	 .value = "SIZE",
	 .to = TO_BODY,
	 .field = "ramMib",
	 .max = UINT32_MAX,
	 .help = "memory in MiB, or as 2G"},
	{.name = "disk",
	 .type = OPT_MIB,
	 .value = "SIZE",
	 .to = TO_BODY,
	 .field = "diskMib",
	 .max = UINT32_MAX,
	 .help = "disk in MiB, or as 8G; takes space only as it is written"},
	TEXT("engine", "NAME", "what runs it (default: auto, chosen by measuring)", "engine"),
	{.name = "transport",
	 .type = OPT_CHOICE,
	 .value = "BUS",
	 .choices = transport_names,
	 .to = TO_BODY,
	 .field = "transport",
	 .help = "how virtio devices are attached"},
	{.name = "root",
	 .type = OPT_CHOICE,
	 .value = "KIND",
	 .choices = root_names,
	 .to = TO_BODY,
	 .field = "root",
	 .help = "shared image below a private disk, or a private copy"},
	TEXT("boot-args", "TEXT", "additions to the kernel command line", "bootArgs"),
	TEXT("ip", "ADDRESS", "this address of the network", "ip"),
	TEXT("mac", "MAC", "this MAC address", "mac"),
	{.name = "label",
	 .letter = 'l',
	 .type = OPT_PAIR,
	 .value = "KEY=VALUE",
	 .to = TO_BODY,
	 .field = "labels",
	 .many = true,
	 .help = "a label; more than one may be given"},
	{.name = "no-start",
	 .type = OPT_FLAG,
	 .to = TO_FALSE,
	 .field = "start",
	 .help = "only make it"},
	WAIT,
	TIMEOUT("how long --wait may take, as 90s or 2min (default: 2min)"),
	{.name = "key",
	 .type = OPT_TEXT,
	 .value = "KEY",
	 .help = "idempotency key: the same key and request give the same VM (default: a random "
		 "one)"},
	QUIET,
	END,
};
static const struct opt list_opts[] = {
	{.name = "user",
	 .type = OPT_TEXT,
	 .value = "USER",
	 .to = TO_QUERY,
	 .field = "user",
	 .help = "of this user"},
	{.name = "state",
	 .type = OPT_CHOICE,
	 .value = "STATE",
	 .choices = state_names,
	 .to = TO_QUERY,
	 .field = "state",
	 .help = "in this state"},
	{.name = "type",
	 .type = OPT_TEXT,
	 .value = "CLASS",
	 .to = TO_QUERY,
	 .field = "type",
	 .help = "of this class"},
	{.name = "label",
	 .letter = 'l',
	 .type = OPT_PAIR,
	 .value = "KEY=VALUE",
	 .to = TO_QUERY,
	 .field = "label",
	 .many = true,
	 .help = "with this label; more than one may be given"},
	{.name = "name",
	 .type = OPT_TEXT,
	 .value = "NAME",
	 .to = TO_QUERY,
	 .field = "name",
	 .help = "with this name"},
	{.name = "limit",
	 .type = OPT_NUMBER,
	 .value = "N",
	 .min = 1,
	 .max = UINT32_MAX,
	 .to = TO_QUERY,
	 .field = "limit",
	 .help = "at most so many"},
	IDS,
	END,
};
static const struct opt start_opts[] = {
	WAIT,
	TIMEOUT("how long --wait may take (default: 2min)"),
	QUIET,
	END,
};
static const struct opt stop_opts[] = {
	FLAG("force", 'f', "end it at once, as pulling the plug"),
	FLAG("no-wait", 0, "return when hearthd has taken the request"),
	TIMEOUT("how long to wait for its end (default: 2min)"),
	QUIET,
	END,
};
static const struct opt rm_opts[] = {
	FLAG("no-wait", 0, "return when hearthd has taken the request"),
	TIMEOUT("how long to wait for its end (default: 2min)"),
	QUIET,
	END,
};
static const struct opt logs_opts[] = {
	FLAG("follow", 'f', "go on as the guest writes"),
	{.name = "tail",
	 .type = OPT_NUMBER,
	 .value = "N",
	 .to = TO_QUERY,
	 .field = "tail",
	 .max = UINT32_MAX,
	 .help = "only the last N bytes"},
	FLAG("raw", 0, "every byte as the guest wrote it, also on a terminal"),
	END,
};
static const struct opt console_opts[] = {
	{.name = "tail",
	 .type = OPT_NUMBER,
	 .value = "N",
	 .max = UINT32_MAX,
	 .help = "begin with the last N bytes (default: 4096)"},
	FLAG("raw", 0, "every byte as the guest wrote it, also on a terminal"),
	END,
};
static const struct opt events_opts[] = {
	FLAG("follow", 'f', "go on as they happen"),
	{.name = "after",
	 .type = OPT_NUMBER,
	 .value = "SEQ",
	 .to = TO_QUERY,
	 .field = "after",
	 .max = INT64_MAX,
	 .help = "only those after this number"},
	END,
};
static const struct opt build_opts[] = {
	{.name = "name",
	 .type = OPT_TEXT,
	 .value = "NAME",
	 .help = "publish under this name (default: the recipe's)"},
	FLAG("no-wait", 0, "return when the build runs"),
	QUIET,
	END,
};
static const struct opt import_opts[] = {
	{.name = "kernel",
	 .type = OPT_PATH,
	 .value = "FILE",
	 .to = TO_BODY,
	 .field = "kernel",
	 .help = "kernel: bzImage or ELF"},
	{.name = "rootfs",
	 .type = OPT_PATH,
	 .value = "FILE",
	 .to = TO_BODY,
	 .field = "rootfs",
	 .help = "root file system: an ext4 image"},
	{.name = "initrd",
	 .type = OPT_PATH,
	 .value = "FILE",
	 .to = TO_BODY,
	 .field = "initrd",
	 .help = "initramfs of your own, used as it is"},
	{.name = "modules",
	 .type = OPT_PATH,
	 .value = "DIR",
	 .to = TO_BODY,
	 .field = "modules",
	 .help = "the kernel's /lib/modules/VERSION: makes an initramfs of what root and network "
		 "need"},
	{.name = "min-ram",
	 .type = OPT_MIB,
	 .value = "SIZE",
	 .to = TO_BODY,
	 .field = "minRamMib",
	 .max = UINT32_MAX,
	 .help = "least memory that a VM of it needs"},
	FLAG("no-wait", 0, "return when the import runs"),
	QUIET,
	END,
};
static const struct opt network_opts[] = {
	TEXT("cidr", "A.B.C.D/N", "its addresses, as 192.168.101.0/24", "cidr"),
	TEXT("gateway", "ADDRESS", "the host's own address in it (default: the first)", "gateway"),
	{.name = "dns",
	 .type = OPT_TEXT,
	 .value = "ADDRESS",
	 .to = TO_BODY,
	 .field = "dns",
	 .many = true,
	 .help = "name server for its VMs; up to three may be given"},
	{.name = "mtu",
	 .type = OPT_NUMBER,
	 .value = "BYTES",
	 .to = TO_BODY,
	 .field = "mtu",
	 .max = UINT32_MAX,
	 .help = "largest packet (default: 1500)"},
	{.name = "nat",
	 .type = OPT_FLAG,
	 .to = TO_TRUE,
	 .field = "nat",
	 .help = "let VMs out over the host's uplink"},
	{.name = "no-isolation",
	 .type = OPT_FLAG,
	 .to = TO_FALSE,
	 .field = "isolated",
	 .help = "let its VMs reach one another"},
	END,
};
static const struct opt token_opts[] = {
	TEXT("user", "USER", "whose token it is (default on the socket: you)", "userId"),
	{.name = "role",
	 .type = OPT_CHOICE,
	 .value = "ROLE",
	 .choices = role_names,
	 .to = TO_BODY,
	 .field = "role",
	 .help = "what it may do (default: user with --user, else admin)"},
	{.name = "expires",
	 .type = OPT_DURATION,
	 .value = "TIME",
	 .min = MINUTE_MS,
	 .max = 10 * YEAR_MS,
	 .to = TO_BODY,
	 .field = "expiresIn",
	 .help = "ends after this time, as 7d (default: never)"},
	END,
};
static const struct opt ids_opts[] = {IDS, END};
static const struct opt help_opts[] = {
	FLAG("man", 0, "the whole manual as a man page"),
	FLAG("markdown", 0, "the reference part of docs/cli.md"),
	END,
};

const struct group groups[] = {
	{"vm", "virtual machines"},	{"image", "what they boot"},
	{"network", "where they live"}, {"token", "who may ask over TCP"},
	{"host", "this machine"},
};
const unsigned groups_n = ARRAY_LEN(groups);

#define V(n, w, lo, hi, comp, o, fn, sum, y)                                                       \
	{.name = (n),                                                                              \
	 .words = (w),                                                                             \
	 .min = (lo),                                                                              \
	 .max = (hi),                                                                              \
	 .complete = (comp),                                                                       \
	 .opts = (o),                                                                              \
	 .run = (fn),                                                                              \
	 .summary = (sum),                                                                         \
	 .why = (y)},
#define T(n, w, lo, hi, comp, o, fn, sum, y)                                                       \
	{.name = (n),                                                                              \
	 .words = (w),                                                                             \
	 .min = (lo),                                                                              \
	 .max = (hi),                                                                              \
	 .complete = (comp),                                                                       \
	 .opts = (o),                                                                              \
	 .run = (fn),                                                                              \
	 .summary = (sum),                                                                         \
	 .why = (y),                                                                               \
	 .only_text = true},
const struct verb verbs[] = {
#include "cli/verbs.def"
};
#undef V
#undef T
const unsigned verbs_n = ARRAY_LEN(verbs);

/* How many of words[0..n) spell `name`; 0: they don't. */
static unsigned spell(const char *name, const char *const *words, unsigned n)
{
	const char *space = strchr(name, ' ');
	size_t first = space ? (size_t)(space - name) : strlen(name);

	if (n < 1 || strlen(words[0]) != first || memcmp(words[0], name, first) != 0)
		return 0;
	if (!space)
		return 1;
	return n > 1 && str_eq(words[1], space + 1) ? 2 : 0;
}

const struct verb *verb_find(const char *const *words, unsigned n, unsigned *ret_taken)
{
	for (unsigned i = 0; i < verbs_n; i++) {
		unsigned taken = spell(verbs[i].name, words, n);

		if (taken) {
			*ret_taken = taken;
			return &verbs[i];
		}
	}
	return NULL;
}

bool group_exists(const char *name)
{
	for (unsigned i = 0; i < groups_n; i++)
		if (str_eq(groups[i].name, name))
			return true;
	return false;
}
