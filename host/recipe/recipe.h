#pragma once
/*
 * Makes images: builds a recipe (images/<name>/recipe.json, Debian packages through mmdebstrap) or
 * imports given files, test-boots the result in a namespace of its own, and publishes it by an atomic
 * rename only when the boot showed: root mounted, NIC found, address set.
 *
 * Runs in a process of its own (`hearthd image-build …`, started by the controller), so it may block;
 * progress goes to standard output as one JSON object a line: {"phase":"packages","state":"start|ok|fail",
 * "ms":1234,"text":"…"}; the last line is {"result":{"digest":…}} or {"error":{…}}.
 */
#include <stdint.h>
#include <stdbool.h>

struct err;

struct recipe_job {
	const char *images_dir;	  /* <state>/images */
	const char *recipes_dir;  /* <share>/images */
	const char *init_path;	  /* hearth-init to put into the initramfs */
	const char *shim_path;
	const char *name;	  /* name to publish under */
	const char *recipe;	  /* NULL: import */
	const char *kernel, *rootfs, *initrd; /* import; initrd may be NULL */
	uint32_t min_ram_mib;	  /* import; 0: default */
	bool keep_failed;	  /* keep the build directory of a failed build for inspection */
};
int recipe_run(const struct recipe_job *job, int progress_fd, char ret_digest[65], struct err *e);
