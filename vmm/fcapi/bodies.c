/*
 * The tables of Firecracker's request bodies (reference: its API of 1.17), and what serde can't
 * check.
 *
 * What hearth-vmm does not do yet is refused in a sentence that says so, never taken and forgotten.
 */
#include "fcapi/bodies.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "base/str.h"
#include "json/json.h"

#define VCPUS_MAX   32u
#define MEM_MAX_MIB (1022u << 10) /* the address space of Firecracker's machine */
#define HUGE_MIB    2u

#define FIELD(st, m, key, ty, fl)                                                                  \
	{                                                                                          \
		.name = (key), .type = (ty), .flags = (fl), .offset = offsetof(st, m),             \
		.size = sizeof(((st *)0)->m), .given_offset = SIZE_MAX                             \
	}
#define FIELD_GIVEN(st, m, key, ty, fl, giv)                                                       \
	{                                                                                          \
		.name = (key), .type = (ty), .flags = (fl), .offset = offsetof(st, m),             \
		.size = sizeof(((st *)0)->m), .given_offset = offsetof(st, giv)                    \
	}
#define FIELD_ENUM(st, m, key, tbl, fl)                                                            \
	{                                                                                          \
		.name = (key), .type = SERDE_ENUM, .flags = (fl), .offset = offsetof(st, m),       \
		.size = sizeof(((st *)0)->m), .given_offset = SIZE_MAX, .names = (tbl)             \
	}
#define FIELDS_END                                                                                 \
	{                                                                                          \
		.type = SERDE_END                                                                  \
	}

__attribute__((format(printf, 2, 3))) static int fail(char why[BODY_TEXT_MAX], const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(why, BODY_TEXT_MAX, fmt, ap); /* cut is fine: for people */
	va_end(ap);
	return -EINVAL;
}

static int unsupported(char why[BODY_TEXT_MAX], const char *what)
{
	return fail(why, "%s: not supported by hearth-vmm", what);
}

static int bind(const struct serde_source *src, json_t *v, const char *name,
		const struct serde_field *fields, void *dst, char why[BODY_TEXT_MAX])
{
	char text[SERDE_TEXT_MAX];

	if (!serde_bind(src, v, name, fields, dst, text))
		return 0;
	return fail(why, "An error occurred when deserializing the json body of a request: %s.",
		    text);
}

/* As Rust prints an io::Error. */
static void os_error(char *room, size_t cap, int errno_now)
{
	(void)snprintf(room, cap, "%s (os error %d)", strerror(errno_now), errno_now); /* fits */
}

/* 0, or the errno of opening it. */
static int try_open(const char *path, int flags)
{
	auto_close int fd = open(path, flags | O_CLOEXEC);

	return fd < 0 ? errno : 0;
}

/* --- machine-config --- */

static const char *const huge_pages[] = {"None", "Transparent", "2M", NULL};
static const char *const cpu_templates[] = {"C3", "T2", "T2S", "T2CL", "T2A", "None", NULL};
#define CPU_TEMPLATE_NONE 5u

struct machine_body {
	uint8_t vcpus;
	uint64_t mem;
	bool smt, track_dirty_pages;
	bool vcpus_given, mem_given, smt_given, any_given;
	unsigned huge, cpu_template;
};

#define MACHINE_FIELDS(required)                                                                   \
	FIELD_GIVEN(struct machine_body, vcpus, "vcpu_count", SERDE_UINT, required, vcpus_given),  \
		FIELD_GIVEN(struct machine_body, mem, "mem_size_mib", SERDE_UINT, required,        \
			    mem_given),                                                            \
		FIELD_GIVEN(struct machine_body, smt, "smt", SERDE_BOOL, 0, smt_given),            \
		{.name = "cpu_template",                                                           \
		 .type = SERDE_ENUM,                                                               \
		 .flags = SERDE_NULLABLE,                                                          \
		 .offset = offsetof(struct machine_body, cpu_template),                            \
		 .given_offset = offsetof(struct machine_body, any_given),                         \
		 .names = cpu_templates},                                                          \
		FIELD_GIVEN(struct machine_body, track_dirty_pages, "track_dirty_pages",           \
			    SERDE_BOOL, 0, any_given),                                             \
		{.name = "huge_pages",                                                             \
		 .type = SERDE_ENUM,                                                               \
		 .offset = offsetof(struct machine_body, huge),                                    \
		 .given_offset = offsetof(struct machine_body, any_given),                         \
		 .names = huge_pages},                                                             \
		FIELDS_END

static const struct serde_field machine_fields[] = {MACHINE_FIELDS(SERDE_REQUIRED)};
static const struct serde_field machine_patch_fields[] = {MACHINE_FIELDS(0)};

static int apply_machine(struct vm_config *c, const struct machine_body *b, char why[BODY_TEXT_MAX])
{
	if (b->vcpus == 0 || b->vcpus > VCPUS_MAX || (b->smt && b->vcpus > 1 && b->vcpus % 2))
		return fail(
			why,
			"The number of vCPUs must be greater than 0, less than 32 and must be 1 "
			"or an even number if SMT is enabled.");
	if (b->mem == 0 || b->mem > MEM_MAX_MIB || (b->huge && b->mem % HUGE_MIB))
		return fail(
			why,
			"The memory size (MiB) is either 0, or not a multiple of the configured "
			"page size.");
	if (b->huge)
		return unsupported(why, "huge_pages");
	if (b->track_dirty_pages)
		return unsupported(why, "track_dirty_pages");
	if (b->cpu_template != CPU_TEMPLATE_NONE)
		return unsupported(why, "cpu_template");
	if (b->smt)
		return unsupported(why, "smt");
	c->vcpus = b->vcpus;
	c->mem_mib = b->mem;
	c->smt = b->smt;
	return 0;
}

int body_machine_config(struct vm_config *c, const struct serde_source *src, json_t *v,
			char why[BODY_TEXT_MAX])
{
	struct machine_body b = {.cpu_template = CPU_TEMPLATE_NONE};
	int rc = bind(src, v, "MachineConfig", machine_fields, &b, why);

	return rc ? rc : apply_machine(c, &b, why);
}

int body_machine_config_patch(struct vm_config *c, const struct serde_source *src, json_t *v,
			      char why[BODY_TEXT_MAX])
{
	struct machine_body b = {.vcpus = (uint8_t)c->vcpus,
				 .mem = c->mem_mib,
				 .smt = c->smt,
				 .cpu_template = CPU_TEMPLATE_NONE};
	int rc = bind(src, v, "MachineConfigUpdate", machine_patch_fields, &b, why);

	if (rc)
		return rc;
	if (!b.vcpus_given && !b.mem_given && !b.smt_given && !b.any_given)
		return fail(why, "Empty PATCH request.");
	return apply_machine(c, &b, why);
}

json_t *body_show_machine_config(const struct vm_config *c)
{
	return json_pack("{s:I,s:I,s:b,s:b,s:s}", "vcpu_count", (json_int_t)c->vcpus,
			 "mem_size_mib", (json_int_t)c->mem_mib, "smt", c->smt, "track_dirty_pages",
			 0, "huge_pages", "None");
}

/* --- boot-source --- */

struct boot_body {
	char kernel[VM_PATH_MAX], initrd[VM_PATH_MAX], args[VM_ARGS_MAX];
	bool args_given;
};

static const struct serde_field boot_fields[] = {
	FIELD(struct boot_body, kernel, "kernel_image_path", SERDE_STR, SERDE_REQUIRED),
	FIELD(struct boot_body, initrd, "initrd_path", SERDE_STR, SERDE_NULLABLE),
	FIELD_GIVEN(struct boot_body, args, "boot_args", SERDE_STR, SERDE_NULLABLE, args_given),
	FIELDS_END,
};

int body_boot_source(struct vm_config *c, const struct serde_source *src, json_t *v,
		     char why[BODY_TEXT_MAX])
{
	struct boot_body b = {.kernel = ""};
	int rc = bind(src, v, "BootSourceConfig", boot_fields, &b, why);
	char os[128];

	if (rc)
		return rc;
	rc = try_open(b.kernel, O_RDONLY);
	os_error(os, sizeof(os), rc);
	if (rc)
		return fail(why, "Boot source error: The kernel file cannot be opened: %s", os);
	rc = b.initrd[0] ? try_open(b.initrd, O_RDONLY) : 0;
	os_error(os, sizeof(os), rc);
	if (rc)
		return fail(why,
			    "Boot source error: The initrd file cannot be opened due to invalid "
			    "path or invalid permissions. %s",
			    os);
	for (const char *p = b.args; *p; p++)
		if (*p < 0x20 || *p > 0x7e)
			return fail(why, "Boot source error: The kernel command line is invalid: "
					 "String contains a non-printable ASCII character.");
	memcpy(c->kernel, b.kernel, sizeof(c->kernel));
	memcpy(c->initrd, b.initrd, sizeof(c->initrd));
	memcpy(c->boot_args, b.args, sizeof(c->boot_args));
	c->has_boot_args = b.args_given;
	return 0;
}

/* --- drives --- */

static const char *const cache_types[] = {"Unsafe", "Writeback", NULL};
static const char *const io_engines[] = {"Sync", "Async", NULL};

struct drive_body {
	struct vm_drive drive;
	unsigned cache, engine;
	json_t *socket, *limiter;
};

static const struct serde_field drive_fields[] = {
	FIELD(struct drive_body, drive.id, "drive_id", SERDE_STR, SERDE_REQUIRED),
	FIELD(struct drive_body, drive.partuuid, "partuuid", SERDE_STR, SERDE_NULLABLE),
	FIELD(struct drive_body, drive.is_root, "is_root_device", SERDE_BOOL, SERDE_REQUIRED),
	FIELD_ENUM(struct drive_body, cache, "cache_type", cache_types, 0),
	FIELD(struct drive_body, drive.read_only, "is_read_only", SERDE_BOOL, SERDE_NULLABLE),
	FIELD(struct drive_body, drive.path, "path_on_host", SERDE_STR, SERDE_NULLABLE),
	FIELD(struct drive_body, limiter, "rate_limiter", SERDE_ANY, SERDE_NULLABLE),
	FIELD_ENUM(struct drive_body, engine, "io_engine", io_engines, SERDE_NULLABLE),
	FIELD(struct drive_body, socket, "socket", SERDE_ANY, SERDE_NULLABLE),
	FIELDS_END,
};

static int check_id(const char *id, char why[BODY_TEXT_MAX])
{
	if (!*id)
		return fail(why, "The ID cannot be empty.");
	for (; *id; id++)
		if (!isalnum((unsigned char)*id) && *id != '_')
			return fail(why,
				    "API Resource IDs can only contain alphanumeric characters and "
				    "underscores.");
	return 0;
}

static int check_drive(const struct vm_config *c, const struct drive_body *b,
		       char why[BODY_TEXT_MAX])
{
	const struct vm_drive *d = &b->drive;
	char os[128];
	int rc;

	if (b->socket)
		return unsupported(why, "vhost-user-block (socket)");
	if (!d->path[0])
		return fail(why, "Invalid block config.");
	if (b->limiter)
		return unsupported(why, "rate_limiter");
	if (b->engine)
		return unsupported(why, "io_engine Async");
	for (unsigned i = 0; i < c->drives_n; i++)
		if (d->is_root && c->drives[i].is_root && !str_eq(c->drives[i].id, d->id))
			return fail(why, "A root block device already exists!");
	rc = try_open(d->path, d->read_only ? O_RDONLY : O_RDWR);
	os_error(os, sizeof(os), rc);
	if (rc)
		return fail(why,
			    "Unable to create the virtio block device: Virtio backend error: Error "
			    "manipulating the backing file: %s %s",
			    os, d->path);
	return 0;
}

int body_drive(struct vm_config *c, const struct serde_source *src, json_t *v,
	       char why[BODY_TEXT_MAX])
{
	struct drive_body b = {.drive.id = ""};
	unsigned at = 0;
	int rc = bind(src, v, "BlockDeviceConfig", drive_fields, &b, why);

	if (!rc)
		rc = check_id(b.drive.id, why);
	if (!rc)
		rc = check_drive(c, &b, why);
	if (rc)
		return rc;
	b.drive.writeback = b.cache == 1;
	while (at < c->drives_n && !str_eq(c->drives[at].id, b.drive.id))
		at++;
	if (at == VM_DRIVES_MAX)
		return fail(why, "at most %u drives", VM_DRIVES_MAX);
	if (at == c->drives_n)
		c->drives_n++;
	if (b.drive.is_root) { /* it goes first, so that it becomes /dev/vda */
		memmove(&c->drives[1], &c->drives[0], at * sizeof(c->drives[0]));
		at = 0;
	}
	c->drives[at] = b.drive;
	return 0;
}

/* --- network-interfaces --- */

struct net_body {
	struct vm_net net;
	char mac[MAC_TEXT_LEN];
	bool mac_given, mtu_given;
	json_t *rx, *tx;
};

static const struct serde_field net_fields[] = {
	FIELD(struct net_body, net.id, "iface_id", SERDE_STR, SERDE_REQUIRED),
	FIELD(struct net_body, net.tap, "host_dev_name", SERDE_STR, SERDE_REQUIRED),
	FIELD_GIVEN(struct net_body, mac, "guest_mac", SERDE_STR, SERDE_NULLABLE, mac_given),
	FIELD(struct net_body, rx, "rx_rate_limiter", SERDE_ANY, SERDE_NULLABLE),
	FIELD(struct net_body, tx, "tx_rate_limiter", SERDE_ANY, SERDE_NULLABLE),
	FIELD_GIVEN(struct net_body, net.mtu, "mtu", SERDE_UINT, SERDE_NULLABLE, mtu_given),
	FIELDS_END,
};

static int check_net(const struct vm_config *c, struct net_body *b, char why[BODY_TEXT_MAX])
{
	if (b->rx || b->tx)
		return unsupported(why, "rate limiters");
	if (b->mtu_given && b->net.mtu < 68)
		return fail(why, "invalid value: integer `%u`, expected an MTU of 68 to 65535",
			    b->net.mtu);
	if (b->mac_given && parse_mac(b->mac, b->net.mac))
		return fail(why,
			    "An error occurred when deserializing the json body of a request: "
			    "invalid value: string \"%s\", expected a MAC address.",
			    b->mac);
	b->net.has_mac = b->mac_given;
	for (unsigned i = 0; i < c->nets_n; i++) {
		const struct vm_net *n = &c->nets[i];

		if (str_eq(n->id, b->net.id))
			continue;
		if (b->mac_given && n->has_mac && !memcmp(n->mac, b->net.mac, 6))
			return fail(why,
				    "Could not create the network device: The MAC address is "
				    "already in use: %s",
				    b->mac);
		if (str_eq(n->tap, b->net.tap))
			return fail(why,
				    "Could not create the network device: Open tap device failed: "
				    "Resource busy (os error 16)");
	}
	return 0;
}

int body_net(struct vm_config *c, const struct serde_source *src, json_t *v,
	     char why[BODY_TEXT_MAX])
{
	struct net_body b = {.net.id = ""};
	unsigned at = 0;
	int rc = bind(src, v, "NetworkInterfaceConfig", net_fields, &b, why);

	if (!rc)
		rc = check_id(b.net.id, why);
	if (!rc)
		rc = check_net(c, &b, why);
	if (rc)
		return rc;
	while (at < c->nets_n && !str_eq(c->nets[at].id, b.net.id))
		at++;
	if (at == VM_NETS_MAX)
		return fail(why, "at most %u network interfaces", VM_NETS_MAX);
	if (at < c->nets_n) /* what is replaced moves to the end */
		memmove(&c->nets[at], &c->nets[at + 1], (c->nets_n - at - 1) * sizeof(c->nets[0]));
	else
		c->nets_n++;
	c->nets[c->nets_n - 1] = b.net;
	return 0;
}

/* --- entropy --- */

int body_entropy(struct vm_config *c, const struct serde_source *src, json_t *v,
		 char why[BODY_TEXT_MAX])
{
	struct entropy_body {
		json_t *limiter;
	} b = {NULL};
	static const struct serde_field fields[] = {
		FIELD(struct entropy_body, limiter, "rate_limiter", SERDE_ANY, SERDE_NULLABLE),
		FIELDS_END,
	};
	int rc = bind(src, v, "EntropyDeviceConfig", fields, &b, why);

	if (rc)
		return rc;
	if (b.limiter)
		return unsupported(why, "rate_limiter");
	c->entropy = true;
	return 0;
}

/* --- the whole --- */

void body_defaults(struct vm_config *c)
{
	*c = (struct vm_config){.id = "anonymous-instance", .vcpus = 1, .mem_mib = 128};
}

static const struct {
	const char *key;
	body_fn *apply; /* NULL: not supported */
	bool many;	/* an array of bodies */
} sections[] = {
	{"machine-config", body_machine_config, false},
	{"boot-source", body_boot_source, false},
	{"drives", body_drive, true},
	{"network-interfaces", body_net, true},
	{"entropy", body_entropy, false},
	{"cpu-config", NULL, false},
	{"logger", NULL, false},
	{"metrics", NULL, false},
	{"mmds-config", NULL, false},
	{"vsock", NULL, false},
	{"balloon", NULL, false},
	{"pmem", NULL, true},
	{"memory-hotplug", NULL, false},
};

static int apply_section(struct vm_config *c, const struct serde_source *src, unsigned i, json_t *v,
			 char why[BODY_TEXT_MAX])
{
	size_t n = sections[i].many ? json_array_size(v) : 1;

	if (sections[i].many && !json_is_array(v))
		return fail(why, "%s: expected a sequence", sections[i].key);
	for (size_t k = 0; k < n; k++) {
		json_t *one = sections[i].many ? json_array_get(v, k) : v;
		int rc = sections[i].apply ? sections[i].apply(c, src, one, why)
					   : unsupported(why, sections[i].key);

		if (rc)
			return rc;
	}
	return 0;
}

int body_config_file(struct vm_config *c, const char *text, size_t len, char ret_why[BODY_TEXT_MAX])
{
	struct serde_source src = {text, len};
	char why[SERDE_TEXT_MAX];
	auto_json json_t *all = serde_parse(&src, why);

	if (!all)
		return fail(ret_why, "Invalid JSON: %s", why);
	if (!json_is_object(all) || !json_object_get(all, "boot-source"))
		return fail(ret_why, "Invalid JSON: missing field `boot-source`");
	if (!json_object_get(all, "drives"))
		return fail(ret_why, "Invalid JSON: missing field `drives`");
	for (unsigned i = 0; i < ARRAY_LEN(sections); i++) {
		json_t *v = json_object_get(all, sections[i].key);
		int rc = v && !json_is_null(v) ? apply_section(c, &src, i, v, ret_why) : 0;

		if (rc)
			return rc;
	}
	return 0;
}

/* --- what GET shows --- */

static json_t *show_drive(const struct vm_drive *d)
{
	return json_pack("{s:s,s:s?,s:b,s:s,s:b,s:s,s:n,s:s,s:n}", "drive_id", d->id, "partuuid",
			 d->partuuid[0] ? d->partuuid : NULL, "is_root_device", d->is_root,
			 "cache_type", cache_types[d->writeback], "is_read_only", d->read_only,
			 "path_on_host", d->path, "rate_limiter", "io_engine", "Sync", "socket");
}

static json_t *show_net(const struct vm_net *n)
{
	char mac[MAC_TEXT_LEN];

	format_mac(n->mac, mac);
	return json_pack("{s:s,s:s,s:s?,s:n,s:n,s:o}", "iface_id", n->id, "host_dev_name", n->tap,
			 "guest_mac", n->has_mac ? mac : NULL, "rx_rate_limiter", "tx_rate_limiter",
			 "mtu", n->mtu ? json_integer(n->mtu) : json_null());
}

json_t *body_show_config(const struct vm_config *c)
{
	static const char *const absent[] = {"balloon",	      "cpu-config",  "logger",
					     "metrics",	      "mmds-config", "vsock",
					     "memory-hotplug"};
	json_t *all = json_object(), *drives = json_array(), *nets = json_array();
	int rc = 0;

	for (unsigned i = 0; i < c->drives_n; i++)
		rc |= json_push(drives, show_drive(&c->drives[i]));
	for (unsigned i = 0; i < c->nets_n; i++)
		rc |= json_push(nets, show_net(&c->nets[i]));
	rc |= json_put(all, "boot-source",
		       json_pack("{s:s,s:s?,s:s?}", "kernel_image_path", c->kernel, "initrd_path",
				 c->initrd[0] ? c->initrd : NULL, "boot_args",
				 c->has_boot_args ? c->boot_args : NULL));
	rc |= json_put(all, "drives", drives);
	rc |= json_put(all, "entropy",
		       c->entropy ? json_pack("{s:n}", "rate_limiter") : json_null());
	rc |= json_put(all, "machine-config", body_show_machine_config(c));
	rc |= json_put(all, "network-interfaces", nets);
	rc |= json_put(all, "pmem", json_array());
	for (size_t i = 0; i < ARRAY_LEN(absent); i++)
		rc |= json_put(all, absent[i], json_null());
	if (!rc)
		return all;
	json_decref(all);
	return NULL;
}
