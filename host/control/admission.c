/*
 * Admission: may this VM be made, or run, with what the host and its user have left?
 *
 * Loop's thread, before anything is created.  A refusal names the limit, what is used and what was
 * asked for.  What stopped VMs hold (a record, a disk) counts for count and disk; what running ones
 * hold (memory, vCPUs) only while they have or will get a process.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/buf.h"
#include "base/fd.h"
#include "base/parse.h"
#include "control/control_internal.h"

/* QEMU beside the guest's memory, by the lab's table: 49 to 81 MiB resident; a page table and
 * thread stacks more. */
#define ENGINE_OVERHEAD_MIB 64u
#define VCPUS_PER_CPU	    16u /* overcommitted further than that, time-outs lie */
#define DISK_MIN_MIB	    16u /* an overlay's own metadata and its first writes */

struct usage {
	uint64_t vms, vcpus, ram_mib, disk_mib;
};

static bool counts_as_running(const struct vm *v)
{
	return v->rec.state != VM_STOPPED && v->rec.state != VM_FAILED;
}

static void add_usage(struct usage *u, const struct vm *v)
{
	u->vms++;
	u->disk_mib += v->rec.disk_mib;
	if (!counts_as_running(v))
		return;
	u->vcpus += v->rec.vcpus;
	u->ram_mib += v->rec.ram_mib;
}

bool meminfo(const char *key, uint64_t *ret_kib)
{
	auto_buf b = {0};
	char label[64];
	const char *p;
	char digits[24];
	size_t n;

	if (fd_read_file("/proc/meminfo", 64u << 10, &b, NULL) < 0 ||
	    !str_fmt(label, sizeof(label), "%s:", key) || !(p = strstr(buf_text(&b), label)))
		return false;
	p += strlen(label);
	p += strspn(p, " ");
	n = strspn(p, "0123456789");
	return str_fmt(digits, sizeof(digits), "%.*s", (int)n, p) &&
	       parse_u64(digits, 0, UINT64_MAX, ret_kib) == 0;
}

/* user "": the host's limit */
static int over(struct err *e, const char *user, const char *what, uint64_t limit, uint64_t used,
		uint64_t asked)
{
	return err_set(e, -EDQUOT, ERR_LIMIT, "admission.refused",
		       "%s%s's limit of %s is %llu: %llu in use, %llu more asked for",
		       *user ? "user " : "this host", user, what, (unsigned long long)limit,
		       (unsigned long long)used, (unsigned long long)asked);
}

static int check(const char *user, const struct usage *u, const struct usage *asked,
		 const struct usage *limit, struct err *e)
{
	const struct {
		const char *what;
		uint64_t used, asked, limit;
	} rows[] = {
		{"VMs", u->vms, asked->vms, limit->vms},
		{"vCPUs", u->vcpus, asked->vcpus, limit->vcpus},
		{"memory (MiB)", u->ram_mib, asked->ram_mib, limit->ram_mib},
		{"disk (MiB)", u->disk_mib, asked->disk_mib, limit->disk_mib},
	};

	for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].limit && rows[i].asked && rows[i].used + rows[i].asked > rows[i].limit)
			return over(e, user, rows[i].what, rows[i].limit, rows[i].used,
				    rows[i].asked);
	return 0;
}

/* What was promised to VMs, and what the kernel says is left now: both must have room. */
static int check_memory(const struct control *c, const struct usage *u, const struct usage *asked,
			struct err *e)
{
	uint64_t total, available, reserve = c->conf->ram_reserve_mib;
	uint64_t running = 0, need = asked->ram_mib + ENGINE_OVERHEAD_MIB;

	if (!asked->ram_mib || !meminfo("MemTotal", &total) || !meminfo("MemAvailable", &available))
		return 0; /* no /proc: the engine's own failure will say it */
	total /= 1024;
	available /= 1024;
	for (const struct vm *v = c->first; v; v = v->next)
		running += counts_as_running(v);
	if (u->ram_mib + running * ENGINE_OVERHEAD_MIB + need + reserve > total)
		return err_set(e, -EDQUOT, ERR_LIMIT, "admission.refused",
			       "host has %llu MiB of memory: %llu MiB promised to %llu VMs, %llu "
			       "MiB reserved "
			       "for the host, %llu MiB more asked for",
			       (unsigned long long)total,
			       (unsigned long long)(u->ram_mib + running * ENGINE_OVERHEAD_MIB),
			       (unsigned long long)running, (unsigned long long)reserve,
			       (unsigned long long)need);
	if (need + reserve > available)
		return err_set(e, -EDQUOT, ERR_LIMIT, "admission.refused",
			       "host has %llu MiB of memory available now, of which %llu MiB are "
			       "reserved: "
			       "%llu MiB asked for",
			       (unsigned long long)available, (unsigned long long)reserve,
			       (unsigned long long)need);
	return 0;
}

static int check_disk(const struct control *c, const struct vm_rec *r, const struct image *i,
		      struct err *e)
{
	struct statvfs fs;
	uint64_t free_mib, need = DISK_MIN_MIB;

	if (statvfs(c->vms_dir, &fs) < 0)
		return err_sys(e, errno, "disk.statvfs", "%s", c->vms_dir);
	free_mib = (uint64_t)fs.f_bavail * fs.f_frsize >> 20;
	if (r->root == VM_ROOT_DIRECT)
		need += i->rootfs_bytes >> 20; /* a copy, where the file system has no reflinks */
	if (need + c->conf->disk_reserve_mib > free_mib)
		return err_set(
			e, -ENOSPC, ERR_LIMIT, "admission.refused",
			"%s has %llu MiB of disk space free, of which %u MiB are reserved for the "
			"host: %llu MiB asked for",
			c->vms_dir, (unsigned long long)free_mib, c->conf->disk_reserve_mib,
			(unsigned long long)need);
	return 0;
}

int admit(struct control *c, const struct vm_rec *r, bool is_new, const struct image *image,
	  struct err *e)
{
	const struct control_conf *f = c->conf;
	struct usage host = {0}, user = {0};
	const struct usage asked = {.vms = is_new,
				    .vcpus = r->vcpus,
				    .ram_mib = r->ram_mib,
				    .disk_mib = is_new ? r->disk_mib : 0};
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct usage host_limit = {f->per_host.vms ? f->per_host.vms : LIMIT_VMS, f->per_host.vcpus,
				   f->per_host.ram_mib, f->per_host.disk_mib};
	const struct usage user_limit = {f->per_user.vms, f->per_user.vcpus, f->per_user.ram_mib,
					 f->per_user.disk_mib};
	int rc;

	if (!host_limit.vcpus && cpus > 0)
		host_limit.vcpus = (uint64_t)cpus * VCPUS_PER_CPU;
	for (const struct vm *v = c->first; v; v = v->next) {
		add_usage(&host, v);
		if (str_eq(v->rec.user_id, r->user_id))
			add_usage(&user, v);
	}
	rc = check(r->user_id, &user, &asked, &user_limit, e);
	if (rc == 0)
		rc = check("", &host, &asked, &host_limit, e);
	if (rc == 0)
		rc = check_memory(c, &host, &asked, e);
	if (rc == 0 && is_new)
		rc = check_disk(c, r, image, e);
	if (rc < 0)
		c->count.refused++;
	return rc;
}
