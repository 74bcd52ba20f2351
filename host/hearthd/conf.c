/*
 * The table of keys, their defaults, and one value's way from text to its place.
 * Called by conf_parse.c, options.c and daemon.c at start.  Trust: the host's administrator.
 */
#include "hearthd/conf.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/str.h"

#define DAY_MS	  UINT64_C(86400000)
#define HOUR_MS	  UINT64_C(3600000)
#define SUN_PATH  107 /* unix(7): sun_path has 108 bytes with its NUL */
#define IN(field) offsetof(struct conf, field), sizeof(((struct conf *)0)->field)
#define VM(field) offsetof(struct vm_class, field), sizeof(((struct vm_class *)0)->field)

const struct conf_key conf_keys[] = {
	{"hearthd", "StateDir", CONF_PATH_ABS, IN(state_dir), 1, 180, "/var/lib/hearth",
	 "Records, images, disks and evidence. One hearthd per directory."},
	{"hearthd", "RunDir", CONF_PATH_ABS, IN(run_dir), 1, 75, "/run/hearth",
	 "Sockets of hearthd and of the VMs; gone after a reboot."},
	{"hearthd", "Socket", CONF_PATH_ABS, IN(socket), 0, SUN_PATH, "",
	 "Unix socket of the API. Empty: hearth.sock in RunDir."},
	{"hearthd", "SocketGroup", CONF_WORD, IN(socket_group), 0, 64, "hearth",
	 "Members of this group are admins on the Unix socket, as root is. A group that does not "
	 "exist has no members."},
	{"hearthd", "Listen", CONF_LISTEN, IN(listen), 0, 0, "127.0.0.1:3000",
	 "TCP address of the API, for bearer tokens. Only addresses of the loopback are allowed."},
	{"hearthd", "LibexecDir", CONF_PATH_ABS, IN(libexec_dir), 1, 200, "/usr/libexec/hearth",
	 "Where hearth-shim and hearth-init are."},
	{"hearthd", "RecipesDir", CONF_PATH_ABS, IN(recipes_dir), 1, 200,
	 "/usr/share/hearth/images", "Where the recipes of images are."},
	{"hearthd", "Instance", CONF_NAME, IN(instance), 1, 8, "hearth",
	 "Begins the names of network namespaces; tells several hearthds of one host apart."},
	{"hearthd", "Engine", CONF_WORD, IN(engine), 1, 15, "auto",
	 "What runs VMs whose request does not say: auto (measured at start), or an engine's "
	 "name."},
	{"hearthd", "LogLevel", CONF_LEVEL, IN(log_level), 0, 0, "info",
	 "Lines up to this level are written to standard error."},
	{"hearthd", "Uplink", CONF_BOOL, IN(uplink), 0, 0, "yes",
	 "Networks with NAT are joined to the host's uplink. With no, the host's own network is "
	 "never touched."},
	{"hearthd", "UidBase", CONF_U32, IN(uid_base), 1000, 4000000000u, "70000",
	 "The engine of the VM with lease number N runs as user and group UidBase + N."},
	{"hearthd", "MaxConnections", CONF_U32, IN(max_connections), 16, 65536, "4096",
	 "Open connections of the API; more are answered 503 and closed."},
	{"hearthd", "RequestTimeout", CONF_DURATION, IN(request_ms), 1000, HOUR_MS, "30s",
	 "A request must have arrived whole, and an answer must go on, within this time; idle "
	 "connections end after it."},

	{"limits", "HostVms", CONF_U32, IN(host.vms), 0, LIMIT_VMS, "0",
	 "VMs on this host. 0: as many as Hearth can record."},
	{"limits", "HostVcpus", CONF_U32, IN(host.vcpus), 0, 1u << 20, "0",
	 "Sum of the vCPUs of all VMs. 0: by the host's measure."},
	{"limits", "HostRam", CONF_MIB, IN(host.ram_mib), 0, LIMIT_RAM_MIB, "0",
	 "Sum of the RAM of all VMs. 0: by the host's measure."},
	{"limits", "HostDisk", CONF_MIB, IN(host.disk_mib), 0, UINT32_MAX, "0",
	 "Sum of the disk sizes of all VMs. 0: no limit, disks are sparse."},
	{"limits", "UserVms", CONF_U32, IN(user.vms), 0, LIMIT_VMS, "0",
	 "VMs of one user. 0: no limit."},
	{"limits", "UserVcpus", CONF_U32, IN(user.vcpus), 0, 1u << 20, "0",
	 "Sum of the vCPUs of one user. 0: no limit."},
	{"limits", "UserRam", CONF_MIB, IN(user.ram_mib), 0, LIMIT_RAM_MIB, "0",
	 "Sum of the RAM of one user. 0: no limit."},
	{"limits", "UserDisk", CONF_MIB, IN(user.disk_mib), 0, UINT32_MAX, "0",
	 "Sum of the disk sizes of one user. 0: no limit."},
	{"limits", "RamReserve", CONF_MIB, IN(ram_reserve_mib), 0, LIMIT_RAM_MIB, "256M",
	 "RAM that VMs must leave to the host."},
	{"limits", "DiskReserve", CONF_MIB, IN(disk_reserve_mib), 0, UINT32_MAX, "512M",
	 "Free space that must stay on the file system of StateDir."},

	{"timeouts", "Creating", CONF_DURATION, IN(limit_ms[VM_CREATING]), 0, DAY_MS, "0",
	 "Time limit of this state. 0: the life cycle's own (docs/lifecycle.md); so for the next "
	 "five."},
	{"timeouts", "Starting", CONF_DURATION, IN(limit_ms[VM_STARTING]), 0, DAY_MS, "0",
	 "Until the engine says that the vCPUs run."},
	{"timeouts", "Booting", CONF_DURATION, IN(limit_ms[VM_BOOTING]), 0, DAY_MS, "0",
	 "Until the guest sends its first frame."},
	{"timeouts", "Connecting", CONF_DURATION, IN(limit_ms[VM_CONNECTING]), 0, DAY_MS, "0",
	 "Until network and probes are proven."},
	{"timeouts", "Stopping", CONF_DURATION, IN(limit_ms[VM_STOPPING]), 0, DAY_MS, "0",
	 "Until the engine is reaped, beside PowerOff."},
	{"timeouts", "Deleting", CONF_DURATION, IN(limit_ms[VM_DELETING]), 0, DAY_MS, "0",
	 "Until everything is given back; then it is tried again."},
	{"timeouts", "PowerOff", CONF_DURATION, IN(grace_ms), 0, HOUR_MS, "10s",
	 "Between asking a guest to power off and killing it."},

	{"evidence", "Keep", CONF_DURATION, IN(evidence_ms), 0, 3650 * DAY_MS, "7d",
	 "How long console, logs, configuration and events of a VM are kept after it is gone."},

	{"class", "Image", CONF_NAME, VM(image), 1, LIMIT_NAME_LEN, "base",
	 "Image of a VM of this class."},
	{"class", "Vcpus", CONF_U32, VM(vcpus), 1, LIMIT_VCPUS, "1", "Its vCPUs."},
	{"class", "Ram", CONF_MIB, VM(ram_mib), 16, LIMIT_RAM_MIB, "512M",
	 "Its RAM; at least the image's own minimum."},
	{"class", "Disk", CONF_MIB, VM(disk_mib), 16, LIMIT_DISK_MIB, "4G",
	 "Size of its disk; sparse, so only what is written takes space."},
};
const unsigned conf_keys_n = ARRAY_LEN(conf_keys);

const struct conf_key *conf_find(const char *section, const char *name)
{
	for (unsigned i = 0; i < conf_keys_n; i++)
		if (str_eq(conf_keys[i].section, section) && str_eq(conf_keys[i].name, name))
			return &conf_keys[i];
	return NULL;
}

/* A size in MiB as people write it: "4G", "512M". */
static void mib_text(uint64_t mib, char ret[24])
{
	if (mib && mib % 1024 == 0)
		(void)snprintf(ret, 24, "%" PRIu64 "G", mib / 1024); /* 20 digits fit */
	else
		(void)snprintf(ret, 24, "%" PRIu64 "M", mib);
}

static void duration_text(uint64_t ms, char ret[24])
{
	if (ms && ms % DAY_MS == 0)
		(void)snprintf(ret, 24, "%" PRIu64 "d", ms / DAY_MS);
	else if (ms && ms % HOUR_MS == 0)
		(void)snprintf(ret, 24, "%" PRIu64 "h", ms / HOUR_MS);
	else
		(void)snprintf(ret, 24, "%" PRIu64 "s", ms / 1000);
}

const char *conf_expected(const struct conf_key *k, char *buf, size_t cap)
{
	char lo[24], hi[24];

	switch (k->type) {
	case CONF_PATH_ABS:
		(void)snprintf(buf, cap, "an absolute path of at most %" PRIu64 " bytes%s", k->max,
			       k->min ? "" : ", or nothing");
		break;
	case CONF_NAME:
		(void)snprintf(buf, cap, "%" PRIu64 " to %" PRIu64 " of a-z, 0-9 and -", k->min,
			       k->max);
		break;
	case CONF_WORD:
		(void)snprintf(buf, cap, "a word of %" PRIu64 " to %" PRIu64 " bytes", k->min,
			       k->max);
		break;
	case CONF_LISTEN:
		(void)snprintf(buf, cap, "none, or an address of the loopback as 127.0.0.1:3000");
		break;
	case CONF_LEVEL:
		(void)snprintf(buf, cap, "error, warn, info or debug");
		break;
	case CONF_BOOL:
		(void)snprintf(buf, cap, "yes or no");
		break;
	case CONF_U32:
		(void)snprintf(buf, cap, "an integer from %" PRIu64 " to %" PRIu64, k->min, k->max);
		break;
	case CONF_MIB:
		mib_text(k->min, lo);
		mib_text(k->max, hi);
		(void)snprintf(buf, cap, "a size as 512M or 4G, from %s to %s", lo, hi);
		break;
	case CONF_DURATION:
		duration_text(k->min, lo);
		duration_text(k->max, hi);
		(void)snprintf(buf, cap, "a duration as 30s, 5min or 7d, from %s to %s", lo, hi);
		break;
	case CONF_TYPE_N_:
		break;
	}
	return buf;
}

/* --- one value; -EINVAL when it is none --- */

static int set_text(const struct conf_key *k, char *at, const char *value)
{
	size_t n = strlen(value);
	bool ok = n >= k->min && n <= k->max && n < k->room;

	for (const char *p = value; *p; p++)
		ok = ok && (unsigned char)*p > ' ' && *p != 0x7f;
	if (k->type == CONF_PATH_ABS && n)
		ok = ok && *value == '/';
	if (k->type == CONF_NAME)
		ok = ok && name_valid(value);
	return ok && str_copy(at, k->room, value) ? 0 : -EINVAL;
}

static int set_listen(struct conf *c, const char *value)
{
	char host[IPV4_TEXT_LEN];
	const char *colon = strchr(value, ':');
	uint32_t addr = 0, port = 0;
	size_t n = colon ? (size_t)(colon - value) : 0;

	if (!str_eq(value, "none")) {
		if (!colon || n >= sizeof(host))
			return -EINVAL;
		memcpy(host, value, n);
		host[n] = '\0';
		if (parse_ipv4(host, &addr) || parse_u32(colon + 1, 0, UINT16_MAX, &port))
			return -EINVAL;
		if (addr >> 24 != 127) /* in clear text tokens must not leave the host */
			return -EINVAL;
	}
	c->listen_addr = addr;
	c->listen_port = (uint16_t)port;
	return str_copy(c->listen, sizeof(c->listen), value) ? 0 : -EINVAL;
}

static int set_level(int *at, const char *value)
{
	enum log_level level = log_level_parse(value);

	if (level == LOG_LV_N_)
		return -EINVAL;
	*at = (int)level;
	return 0;
}

static int set_u32(const struct conf_key *k, uint32_t *at, uint64_t v)
{
	if (v < k->min || v > k->max || v > UINT32_MAX)
		return -EINVAL;
	*at = (uint32_t)v;
	return 0;
}

static int set_u64(const struct conf_key *k, uint64_t *at, uint64_t v)
{
	if (v < k->min || v > k->max)
		return -EINVAL;
	*at = v;
	return 0;
}

/* A size takes whole MiB; where the place has 32 bits (struct vm_class) it is stored so. */
static int set_mib(const struct conf_key *k, void *at, const char *value)
{
	uint64_t bytes;

	if (parse_size(value, &bytes) || bytes % (1u << 20))
		return -EINVAL;
	if (k->room == sizeof(uint32_t))
		return set_u32(k, at, bytes >> 20);
	return set_u64(k, at, bytes >> 20);
}

static int set_number(const struct conf_key *k, void *at, const char *value)
{
	uint64_t v;

	if (k->type == CONF_MIB)
		return set_mib(k, at, value);
	if (k->type == CONF_DURATION)
		return parse_duration_ms(value, &v) ? -EINVAL : set_u64(k, at, v);
	return parse_u64(value, 0, UINT64_MAX, &v) ? -EINVAL : set_u32(k, at, v);
}

int conf_set(struct conf *c, const struct conf_key *k, struct vm_class *class, const char *where,
	     const char *value, struct err *e)
{
	bool in_class = str_eq(k->section, "class");
	char *at = (char *)(in_class ? (void *)class : (void *)c) + k->offset;
	char expected[160];
	int rc;

	assert(!in_class == !class);
	switch (k->type) {
	case CONF_PATH_ABS:
	case CONF_NAME:
	case CONF_WORD:
		rc = set_text(k, at, value);
		break;
	case CONF_LISTEN:
		rc = set_listen(c, value);
		break;
	case CONF_LEVEL:
		rc = set_level((void *)at, value);
		break;
	case CONF_BOOL:
		rc = parse_bool(value, (bool *)at);
		break;
	default:
		rc = set_number(k, at, value);
	}
	if (!rc)
		return 0;
	return err_set(e, -EINVAL, ERR_CALLER, "config.value", "%s: %s=%.100s: expected %s", where,
		       k->name, value, conf_expected(k, expected, sizeof(expected)));
}

static void add_class(struct conf *c, const char *name, const char *const values[4])
{
	static const char *const keys[4] = {"Image", "Vcpus", "Ram", "Disk"};
	struct vm_class *class = &c->classes[c->classes_n++];
	int rc = str_copy(class->name, sizeof(class->name), name) ? 0 : -EINVAL;

	for (unsigned i = 0; i < 4 && !rc; i++)
		rc = conf_set(c, conf_find("class", keys[i]), class, "default", values[i], NULL);
	assert(!rc); /* the table's own text */
}

void conf_defaults(struct conf *c)
{
	memset(c, 0, sizeof(*c));
	for (unsigned i = 0; i < conf_keys_n; i++) {
		const struct conf_key *k = &conf_keys[i];
		int rc = str_eq(k->section, "class")
				 ? 0
				 : conf_set(c, k, NULL, "default", k->fallback, NULL);

		assert(!rc); /* the table's own text */
	}
	add_class(c, "cli", (const char *const[]){"base", "1", "512M", "4G"});
	add_class(c, "desktop", (const char *const[]){"desktop", "2", "2G", "8G"});
}

int conf_check(struct conf *c, struct err *e)
{
	if (!*c->socket && !str_fmt(c->socket, SUN_PATH + 1, "%s/hearth.sock", c->run_dir))
		return err_set(e, -EINVAL, ERR_CALLER, "config.value",
			       "RunDir=%s: too long for a socket in it (%d bytes)", c->run_dir,
			       SUN_PATH);
	for (unsigned i = 0; i < c->classes_n; i++) {
		const struct vm_class *class = &c->classes[i];

		if (c->user.ram_mib && class->ram_mib > c->user.ram_mib)
			return err_set(e, -EINVAL, ERR_CALLER, "config.value",
				       "[class %s] Ram is %u MiB, but UserRam allows %" PRIu64
				       " MiB: no such VM could be created",
				       class->name, class->ram_mib, c->user.ram_mib);
	}
	return 0;
}
