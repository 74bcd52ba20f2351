/*
 * Parses Firecracker's command line: every flag of 1.17, each at most once.
 */
#include "hearth-vmm/args.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/parse.h"
#include "base/str.h"

#define ID_MAX		64u
#define DEFAULT_PAYLOAD 51200u
#define PAYLOAD_MAX	(64u << 20)

enum kind { FLAG, TEXT, NUMBER, ACCEPTED, REFUSED };

static const struct {
	const char *name;
	enum kind kind;
	size_t offset;
} options[] = {
	{"--api-sock", TEXT, offsetof(struct args, api_sock)},
	{"--id", TEXT, offsetof(struct args, id)},
	{"--config-file", TEXT, offsetof(struct args, config_file)},
	{"--no-api", FLAG, offsetof(struct args, no_api)},
	{"--enable-pci", FLAG, offsetof(struct args, enable_pci)},
	{"--no-seccomp", FLAG, offsetof(struct args, no_seccomp)},
	{"--version", FLAG, offsetof(struct args, version)},
	{"--help", FLAG, offsetof(struct args, help)},
	{"-h", FLAG, offsetof(struct args, help)},
	{"--snapshot-version", FLAG, offsetof(struct args, snapshot_version)},
	{"--http-api-max-payload-size", NUMBER, offsetof(struct args, max_payload)},
	/* Times that the jailer hands over: nothing here depends on them. */
	{"--start-time-us", ACCEPTED, 0},
	{"--start-time-cpu-us", ACCEPTED, 0},
	{"--parent-cpu-time-us", ACCEPTED, 0},
	/* The log goes to standard error. */
	{"--level", ACCEPTED, 0},
	/* Not there yet; taken and forgotten they would mislead. */
	{"--metadata", REFUSED, 0},
	{"--boot-timer", REFUSED, 0},
	{"--log-path", REFUSED, 0},
	{"--module", REFUSED, 0},
	{"--show-level", REFUSED, 0},
	{"--show-log-origin", REFUSED, 0},
	{"--metrics-path", REFUSED, 0},
	{"--seccomp-filter", REFUSED, 0},
	{"--mmds-size-limit", REFUSED, 0},
	{"--describe-snapshot", REFUSED, 0},
};

const char args_help[] =
	"hearth-vmm: runs one microVM on KVM; command line and API as Firecracker's\n\n"
	"  --api-sock PATH       the API's Unix socket (/run/firecracker.socket)\n"
	"  --id ID               name of the VM: 1 to 64 letters, digits or -\n"
	"  --config-file PATH    configuration as JSON; starts the VM at once\n"
	"  --no-api              no API socket; needs --config-file\n"
	"  --enable-pci          virtio devices on PCI instead of MMIO\n"
	"  --http-api-max-payload-size N   bytes of the longest request body (51200)\n"
	"  --no-seccomp          without system call filters\n"
	"  --version  --snapshot-version  --help\n";

static int wrong(struct err *e, const char *name, const char *why)
{
	return err_set(e, -EINVAL, ERR_CALLER, "args", "argument '%s' %s", name, why);
}

static int find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		if (str_eq(options[i].name, name))
			return (int)i;
	return -1;
}

static int check(const struct args *a, struct err *e)
{
	size_t n = strlen(a->id);

	if (n < 1 || n > ID_MAX)
		return wrong(e, "--id", "must have 1 to 64 characters");
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)a->id[i]) && a->id[i] != '-')
			return wrong(e, "--id", "may have letters, digits and -");
	if (a->no_api && !a->config_file)
		return wrong(e, "--no-api", "requires the argument '--config-file'");
	return 0;
}

static int take(const char *name, int at, const char *value, struct args *a, struct err *e)
{
	char *where = (char *)a + options[at].offset;

	switch (options[at].kind) {
	case FLAG:
		*(bool *)where = true;
		return 0;
	case TEXT:
		*(const char **)where = value;
		return 0;
	case NUMBER:
		return parse_u64(value, 1, PAYLOAD_MAX, (uint64_t *)where)
			       ? wrong(e, name, "must be a number of bytes")
			       : 0;
	case REFUSED:
		return wrong(e, name, "is not supported by hearth-vmm");
	default:
		return 0;
	}
}

int args_parse(int argc, char *const argv[], struct args *ret, struct err *e)
{
	struct args a = {.api_sock = "/run/firecracker.socket",
			 .id = "anonymous-instance",
			 .max_payload = DEFAULT_PAYLOAD};
	uint64_t seen = 0;
	int rc = 0;

	static_assert(ARRAY_LEN(options) <= 64, "one bit of `seen` for each");
	for (int i = 1; i < argc && !rc; i++) {
		const char *name = argv[i];
		int at = find(name);

		if (at < 0)
			return wrong(e, name, "is not known, or no argument was expected here");
		if (seen & 1ull << at)
			return wrong(e, name, "was given twice");
		seen |= 1ull << at;
		if (options[at].kind != FLAG && ++i == argc)
			return wrong(e, name, "requires a value");
		rc = take(name, at, argv[i], &a, e);
	}
	if (!rc && !a.version && !a.help && !a.snapshot_version)
		rc = check(&a, e);
	if (!rc)
		*ret = a;
	return rc;
}
