#pragma once
/*
 * Makes images: builds a recipe (images/<name>/recipe.json, Debian packages through mmdebstrap) or
 * imports given files, test-boots the result in a namespace of its own, and publishes it by an
 * atomic rename only when the boot showed: root mounted, NIC found, address set.
 *
 * Runs in a process of its own (`hearthd image-build …`, started by the controller), so it may
 * block and moves that process into new mount and network namespaces; progress goes to progress_fd
 * as one JSON object a line: {"phase":"packages","state":"start|ok|fail","ms":1234,"text":"…"}; the
 * last line is {"result":{"digest":…,"name":…,"cached":bool}} or
 * {"error":{"code":…,"message":…,"remedy":…}}.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/hash.h"

struct err;

struct recipe_job {
	const char *images_dir;		      /* <state>/images */
	const char *recipes_dir;	      /* <share>/images */
	const char *init_path;		      /* hearth-init to put into the initramfs */
	const char *shim_path;		      /* NULL: the engine finds it */
	const char *name;		      /* name to publish under */
	const char *recipe;		      /* NULL: import */
	const char *kernel, *rootfs, *initrd; /* import; initrd may be NULL */
	const char *modules;   /* import: the kernel's /lib/modules/VERSION; NULL: none given */
	const char *cache_dir; /* finished bundles; NULL: ~/.cache/hearth/images; "": no cache */
	uint32_t min_ram_mib;  /* import; 0: default */
	uid_t uid;	       /* unprivileged user of the test boot's engine; 0: RECIPE_UID */
	bool keep_failed;      /* keep the build directory of a failed build for inspection */
};

#define RECIPE_UID                                                                                 \
	64000 /* below the ids that VMs get, above those of Debian's packages and users */

int recipe_run(const struct recipe_job *job, int progress_fd, char ret_digest[HASH_TEXT_LEN],
	       struct err *e);
