/*
 * What a launch leaves in the VM's directory for people and for evidence: the final command line
 * and the configuration that the engine was given.
 *
 * Loop's thread.  Plain writes: a crash in their middle is followed by another launch, which writes
 * them again.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/parse.h"
#include "control/control_internal.h"
#include "json/json.h"

static int write_file(const struct vm *v, const char *name, const char *text, struct err *e)
{
	char path[PATH_CAP];
	int rc;

	if (!vm_path(v, name, path))
		return err_set(e, -ENAMETOOLONG, ERR_HOST, "path.too-long", "%.200s", path);
	auto_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	rc = fd < 0 ? -errno : fd_write_all(fd, text, strlen(text));
	if (rc == -ENOSPC || rc == -EDQUOT)
		return disk_full(e, rc, path);
	return rc < 0 ? err_sys(e, -rc, "vm.file", "%s", path) : 0;
}

int launch_write_cmdline(struct vm *v, const char *cmdline, struct err *e)
{
	char *copy = mem_strdup(cmdline);

	if (!copy)
		return err_nomem(e);
	free(v->cmdline);
	v->cmdline = copy;
	return write_file(v, "cmdline", cmdline, e);
}

static json_t *drives_json(const struct vm_spec *s)
{
	json_t *all = json_array();

	for (unsigned i = 0; i < s->drives_n; i++) {
		const struct vm_drive *d = &s->drives[i];

		if (json_push(all, json_pack("{s:s,s:s,s:b}", "id", d->id, "path", d->path,
					     "readOnly", (int)d->read_only)) < 0) {
			json_decref(all);
			return NULL;
		}
	}
	return all;
}

int launch_write_config(const struct vm *v, const struct vm_spec *s, const struct engine_fact *f,
			bool kvm, struct err *e)
{
	auto_json json_t *o = json_object();
	auto_free char *text = NULL;
	char ip[IPV4_TEXT_LEN], mac[MAC_TEXT_LEN];

	format_ipv4(v->rec.lease.ip, ip);
	format_mac(s->mac, mac);
	if (json_put(o, "id", json_string(s->id)) == 0 &&
	    json_put(o, "image", json_string(v->rec.digest)) == 0 &&
	    json_put(o, "engine",
		     json_pack("{s:s,s:s,s:b}", "name", f->ops->name, "version", f->version, "kvm",
			       (int)kvm)) == 0 &&
	    json_put(o, "vcpus", json_integer(s->vcpus)) == 0 &&
	    json_put(o, "ramMib", json_integer(s->ram_mib)) == 0 &&
	    json_put(o, "transport", json_string(vm_transport_name(s->transport))) == 0 &&
	    json_put(o, "kernel", json_string(s->kernel)) == 0 &&
	    json_put(o, "initrd", s->initrd ? json_string(s->initrd) : json_null()) == 0 &&
	    json_put(o, "cmdline", json_string(s->cmdline)) == 0 &&
	    json_put(o, "drives", drives_json(s)) == 0 &&
	    json_put(o, "nic", json_pack("{s:s,s:s}", "mac", mac, "ip", ip)) == 0 &&
	    json_put(o, "tap", json_sprintf("hv%u", v->rec.lease.number)) == 0 &&
	    json_put(o, "uid", json_integer((json_int_t)s->uid)) == 0)
		text = json_text(o);
	return text ? write_file(v, "vm-config.json", text, e) : err_nomem(e);
}
