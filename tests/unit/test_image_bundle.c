/*
 * The life of a bundle: built, published, found, verified, damaged, removed, collected; its disks.
 */
#include "image_fixture.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/proc.h"
#include "image/image_internal.h"
#include "json/json.h"

static char images[128];

static int fresh(void **state)
{
	static unsigned n;

	(void)state;
	(void)snprintf(images, sizeof(images), "%s/images%u", tmp_dir, n++);
	return 0;
}

/* Build and publish a bundle with this kernel "content"; returns its digest. */
static const char *publish(const char *name, const char *kernel)
{
	static char digest[HASH_TEXT_LEN];
	struct image i = {.kernel_format = "ELF",
			  .rootfs_fs = "ext4",
			  .has_initrd = true,
			  .has_init = true,
			  .min_ram_mib = 96,
			  .probes_n = 1,
			  .ports_n = 1,
			  .ports = {22},
			  .created_us = 1};
	auto_json json_t *extra = json_pack("{s{ss}}", "source", "recipe", "test");
	struct image_build b;
	char path[2 * PATH_MAX];

	if (build_begin(images, &b, &err))
		fail_msg("%s", err.text);
	i.dir = b.bundle;
	i.probes[0] = (struct image_probe){.type = PROBE_CONSOLE, .text = " login:"};
	for (int d = 0; d < DRV_N_; d++)
		i.drivers[d] = d == DRV_VIRTIO_MMIO ? DRV_ABSENT : DRV_MODULE;
	for (size_t n = 0; n < ARRAY_LEN(manifest_files); n++) {
		(void)snprintf(path, sizeof(path), "%s/%s", b.bundle, manifest_files[n]);
		assert_int_equal(fd_replace_file(path, kernel, strlen(kernel), 0644, &err), 0);
	}
	(void)snprintf(i.name, sizeof(i.name), "%s", name);
	if (build_manifest(&b, &i, extra, &err) || build_publish(&b, name, i.digest, &err))
		fail_msg("%s", err.text);
	(void)snprintf(digest, sizeof(digest), "%s", i.digest);
	json_decref(i.manifest);
	return digest;
}

static unsigned count_entries(void)
{
	const char *argv[] = {"find", images, "-mindepth", "1", "-not", "-name", ".lock", NULL};
	auto_buf out = {0};
	struct proc_run run = {.argv = argv, .out = &out};
	unsigned n = 0;

	assert_int_equal(proc_run(&run, &err), 0);
	for (size_t i = 0; i < out.len; i++)
		n += out.data[i] == '\n';
	return n;
}

static void test_publish_and_open(void **state)
{
	char first[HASH_TEXT_LEN], prefix[13];
	AUTO(image) i = NULL;
	AUTO(image) again = NULL;
	struct image *none = NULL;

	(void)state;
	(void)snprintf(first, sizeof(first), "%s", publish("base", "kernel one"));
	assert_int_equal(image_open(images, "base", &i, &err), 0);
	assert_string_equal(i->digest, first);
	assert_string_equal(i->name, "base");
	assert_int_equal(i->kernel_bytes, 10);
	assert_int_equal(i->drivers[DRV_VIRTIO_MMIO], DRV_ABSENT);
	assert_int_equal(i->drivers[DRV_EXT4], DRV_MODULE);
	assert_string_equal(i->probes[0].text, " login:");
	assert_int_equal(i->ports[0], 22);
	assert_true(i->has_init && i->has_initrd);
	assert_int_equal(image_verify(i, &err), 0);
	/* By prefix and by digest; too short a prefix is a name that does not exist. */
	(void)snprintf(prefix, sizeof(prefix), "%.8s", first);
	assert_int_equal(image_open(images, prefix, &again, &err), 0);
	prefix[7] = '\0';
	assert_int_equal(image_open(images, prefix, &none, &err), -ENOENT);
	assert_string_equal(err.id, "image.absent");
	assert_int_equal(image_open(images, "../names/base", &none, &err), -ENOENT);
	assert_int_equal(image_open(images, "", &none, &err), -ENOENT);
	/* The same content is the same bundle; no build directory stays. */
	assert_string_equal(publish("base", "kernel one"), first);
	assert_string_not_equal(publish("base", "kernel two"), first);
	assert_int_equal(count_entries(),
			 2 + 2 * 5 + 2); /* two bundles of 5 files, names, one name */
}

static void test_damage(void **state)
{
	AUTO(image) i = NULL;
	struct image *none = NULL;
	char path[2 * PATH_MAX];
	auto_buf text = {0};
	char *at;

	(void)state;
	publish("base", "kernel one");
	assert_int_equal(image_open(images, "base", &i, &err), 0);
	assert_int_equal(image_check_files(i, &err), 0);
	(void)snprintf(path, sizeof(path), "%s/rootfs", i->dir);
	assert_int_equal(fd_replace_file(path, "kernel 0ne", 10, 0444, &err), 0);
	assert_int_equal(image_check_files(i, &err), -EBADMSG);
	assert_int_equal(image_check_files(i, &err), -EBADMSG); /* no note of what did not fit */
	assert_int_equal(image_verify(i, &err), -EBADMSG);
	assert_string_equal(err.id, "image.digest-mismatch");
	assert_non_null(strstr(err.text, "/rootfs"));
	assert_int_equal(truncate(path, 5), 0);
	assert_int_equal(image_open(images, "base", &none, &err), -EBADMSG);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(image_open(images, "base", &none, &err), -ENOENT);
	assert_string_equal(err.id, "image.digest-mismatch");
	/* An edited fact. */
	(void)snprintf(path, sizeof(path), "%s/manifest.json", i->dir);
	assert_int_equal(fd_read_file(path, 1 << 20, &text, &err), 0);
	at = strstr(text.data, "\"min_ram_mib\": 96");
	assert_non_null(at);
	at[15] = '1';
	assert_int_equal(fd_replace_file(path, text.data, text.len, 0444, &err), 0);
	assert_int_equal(image_open(images, "base", &none, &err), -EBADMSG);
	/* No JSON, then JSON with a key too many. */
	assert_int_equal(fd_replace_file(path, "{", 1, 0444, &err), 0);
	assert_true(image_open(images, "base", &none, &err) < 0);
	assert_string_equal(err.id, "image.manifest");
	assert_null(none);
}

static int collect(void *ctx, const struct image *i)
{
	return buf_printf(ctx, "%s=%.8s ", i->name, i->digest);
}

static void test_remove_and_gc(void **state)
{
	char one[HASH_TEXT_LEN], two[HASH_TEXT_LEN], want[64];
	const char *used[] = {one};
	auto_buf list = {0};
	struct image_build live;
	uint64_t bytes;
	pid_t child;
	int status;

	(void)state;
	(void)snprintf(one, sizeof(one), "%s", publish("a", "kernel one"));
	publish("b", "kernel one");
	(void)snprintf(two, sizeof(two), "%s", publish("c", "kernel two"));
	assert_int_equal(image_each(images, collect, &list, &err), 0);
	(void)snprintf(want, sizeof(want), "a=%.8s b=%.8s c=%.8s ", one, one, two);
	assert_string_equal(list.data, want);
	/* The bundle lives as long as one name does, or a VM. */
	assert_int_equal(image_remove(images, "a", NULL, 0, &err), 0);
	assert_int_equal(image_remove(images, one, NULL, 0, &err), -EBUSY);
	assert_int_equal(image_remove(images, "b", used, 1, &err), 0);
	buf_reset(&list);
	assert_int_equal(image_each(images, collect, &list, &err), 0);
	(void)snprintf(want, sizeof(want), "c=%.8s =%.8s ", two, one);
	assert_string_equal(list.data, want);
	assert_int_equal(image_remove(images, one, used, 1, &err), -EBUSY);
	assert_int_equal(image_gc(images, used, 1, &bytes, &err), 0);
	assert_int_equal(bytes, 0);
	/* A build that dies leaves its directory, and only that goes. */
	assert_int_equal(build_begin(images, &live, &err), 0);
	child = fork();
	if (!child) {
		struct image_build dead;

		_exit(build_begin(images, &dead, NULL) ? 1 : 0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(image_gc(images, NULL, 0, &bytes, &err), 0);
	assert_true(bytes > 0);
	assert_int_equal(access(live.bundle, F_OK), 0);
	build_abandon(&live, false);
	assert_int_equal(image_remove(images, "c", NULL, 0, &err), 0);
	assert_int_equal(image_remove(images, "c", NULL, 0, &err), -ENOENT);
	assert_int_equal(count_entries(), 1); /* names/ */
	/* Kept for inspection until the next collection. */
	assert_int_equal(build_begin(images, &live, &err), 0);
	build_abandon(&live, true);
	assert_non_null(strstr(live.dir, "/.failed-"));
	assert_int_equal(build_sweep(images, NULL, NULL, &err), 0);
	assert_int_equal(access(live.dir, F_OK), 0);
	assert_int_equal(image_gc(images, NULL, 0, &bytes, &err), 0);
	assert_int_equal(access(live.dir, F_OK), -1);
}

static void test_preflight(void **state)
{
	AUTO(image) i = NULL;

	(void)state;
	publish("base", "kernel one");
	assert_int_equal(image_open(images, "base", &i, &err), 0);
	assert_int_equal(image_preflight(i, 96, false, &err), 0);
	assert_int_equal(image_preflight(i, 95, false, &err), -EINVAL);
	assert_string_equal(err.id, "image.ram-too-small");
	i->initrd_bytes = 30u << 20;
	assert_int_equal(image_preflight(i, 120, false, &err),
			 -EINVAL); /* 4 * 30 MiB and a little */
	assert_int_equal(image_preflight(i, 121, false, &err), 0);
	assert_int_equal(image_preflight(i, 512, true, &err), -ENODEV); /* no virtio_mmio */
	assert_string_equal(err.id, "GUEST_NO_ROOT_DRIVER");
	assert_non_null(strstr(err.text, "virtio_mmio"));
	i->has_initrd = false;
	assert_int_equal(image_preflight(i, 512, false, &err), -ENODEV);
	assert_non_null(strstr(err.text, "only as a module, and the image has no initramfs"));
	for (int d = 0; d < DRV_N_; d++)
		i->drivers[d] = DRV_BUILTIN;
	assert_int_equal(image_preflight(i, 512, false, &err), 0);
}

static void test_disks(void **state)
{
	AUTO(image) i = NULL;
	const char *disk = tmp_path("disk.ext4");
	struct rootfs_facts f;
	struct stat st;

	(void)state;
	publish("base", "kernel one");
	assert_int_equal(image_open(images, "base", &i, &err), 0);
	assert_int_equal(image_make_disk(i, false, disk, 4096, &err), 0);
	assert_int_equal(stat(disk, &st), 0);
	assert_int_equal(st.st_size, 4096ll << 20);
	assert_true(st.st_blocks * 512 <= 2 << 20); /* the promise of bench/ */
	assert_int_equal(rootfs_inspect(disk, &f, &err), 0);
	assert_string_equal(f.fs, "ext4");
	/* It is there already. */
	assert_int_equal(image_make_disk(i, false, disk, 4096, &err), -EEXIST);
	assert_int_equal(unlink(disk), 0);
	assert_int_equal(image_make_disk(i, true, disk, 8, &err), 0);
	assert_int_equal(stat(disk, &st), 0);
	assert_int_equal(st.st_size, 8 << 20);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(unlink(disk), 0);
	assert_int_equal(image_make_disk(i, false, disk, 0, &err), -EINVAL);
	assert_int_equal(image_make_disk(i, false, disk, LIMIT_DISK_MIB + 1ull, &err), -EINVAL);
	i->drivers[DRV_OVERLAY] = DRV_ABSENT;
	assert_int_equal(image_make_disk(i, false, disk, 64, &err), -EINVAL);
	assert_string_equal(err.id, "image.no-overlay");
	assert_int_equal(image_can_overlay(i, &err), -EINVAL);
	*i->name = '\0'; /* opened by digest: that names it */
	assert_int_equal(image_can_overlay(i, &err), -EINVAL);
	assert_non_null(strstr(err.text, i->digest));
	assert_int_equal(access(disk, F_OK), -1);
}

/* A file system of 2 MiB that another 1.9 MiB fill: both kinds of disk say so and leave nothing. */
static void test_disk_full(void **state)
{
	static char block[(2 << 20) - 40960];
	const char *small = tmp_path("small"), *disk = tmp_path("small/disk");
	AUTO(image) i = NULL;
	char path[2 * PATH_MAX];

	(void)state;
	publish("base", "kernel one");
	assert_int_equal(image_open(images, "base", &i, &err), 0);
	assert_int_equal(mkdir(small, 0755), 0);
	if (mount("tmpfs", small, "tmpfs", 0, "size=2m")) {
		print_message("skipped: mount: %s\n", strerror(errno));
		skip();
	}
	(void)tmp_file("small/block", block, sizeof(block));
	assert_int_equal(image_make_disk(i, false, disk, 4096, &err), -ENOSPC);
	assert_string_equal(err.id, "disk.full");
	assert_int_equal(access(disk, F_OK), -1);
	(void)snprintf(path, sizeof(path), "%s/rootfs", i->dir);
	assert_int_equal(fd_replace_file(path, block, sizeof(block), 0444, &err), 0);
	i->rootfs_bytes = sizeof(block);
	assert_int_equal(image_make_disk(i, true, disk, 4, &err), -ENOSPC);
	assert_string_equal(err.id, "disk.full");
	assert_int_equal(access(disk, F_OK), -1);
	assert_int_equal(umount(small), 0);
}

static int unmount(void **state)
{
	(void)state;
	(void)umount2(tmp_path("small"), MNT_DETACH); /* where the test ended before its own */
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_publish_and_open, fresh),
		cmocka_unit_test_setup(test_damage, fresh),
		cmocka_unit_test_setup(test_remove_and_gc, fresh),
		cmocka_unit_test_setup(test_preflight, fresh),
		cmocka_unit_test_setup(test_disks, fresh),
		cmocka_unit_test_setup_teardown(test_disk_full, fresh, unmount),
	};

	return cmocka_run_group_tests(tests, tmp_make, tmp_remove);
}
