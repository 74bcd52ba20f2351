/*
 * Where things stand: the directories below the state and the run directory, and a VM's own.
 * Called on the loop's thread; ids are ours, so no path component comes from outside.
 */
#include <errno.h>

#include "base/fd.h"
#include "control/control_internal.h"

int paths_init(struct control *c, struct err *e)
{
	const struct {
		char *path;
		const char *base, *name;
		mode_t mode;
	} dirs[] = {
		/* engines reach their own below it */
		{c->vms_dir, c->conf->state_dir, "vms", 0711},
		{c->images_dir, c->conf->state_dir, "images", 0755},
		{c->evidence_dir, c->conf->state_dir, "evidence", 0700},
		{c->lost_dir, c->conf->state_dir, "lost", 0700},
		{c->run_vms_dir, c->conf->run_dir, "vms", 0711},
	};
	int rc;

	for (unsigned i = 0; i < ARRAY_LEN(dirs); i++) {
		/* The longest that is put behind it: "/vm-xxxxxxxx/vm-config.json". */
		if (!str_fmt(dirs[i].path, PATH_CAP - 64, "%s/%s", dirs[i].base, dirs[i].name))
			return err_set(e, -ENAMETOOLONG, ERR_CALLER, "path.too-long",
				       "%.64s…: longer than %u bytes", dirs[i].base, PATH_CAP - 72);
		rc = fd_mkdirs(dirs[i].path, dirs[i].mode, e);
		if (rc < 0)
			return rc;
	}
	return 0;
}

bool vm_path(const struct vm *v, const char *file, char ret[PATH_CAP])
{
	return str_fmt(ret, PATH_CAP, "%s/%s%s%s", v->c->vms_dir, v->rec.id, file ? "/" : "",
		       file ? file : "");
}

bool vm_run_path(const struct vm *v, char ret[PATH_CAP])
{
	return str_fmt(ret, PATH_CAP, "%s/%s", v->c->run_vms_dir, v->rec.id);
}
