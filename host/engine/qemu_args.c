/*
 * Builds QEMU's argument vector from a VM's description.  Called by qemu.c; loop's thread.
 *
 * QEMU runs as an unprivileged user without capabilities: it opens nothing by name that matters.
 * Drives are descriptor sets (-add-fd, /dev/fdset/N), TAP and sockets descriptors, and kernel and
 * initrd are /proc/self/fd/N, so only the files themselves must be readable, not the way to them.
 *
 * The machine: microvm without PIT and PIC.  Under TCG the kernel can't measure its TSC reliably (a
 * hiccup of the host thread, and it waits for ever for a timer tick; seen in 9 of 120 starts); the
 * command line then names the frequency (tsc_early_khz=, engine/cmdline.c) and no timer is needed.
 * A command line without it keeps PIT and PIC.  rtc=off would cost 2 s in a probe of the absent
 * RTC.
 */
#include "engine/qemu_args.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/parse.h"
#include "engine/engine.h"
#include "engine/launch.h"

/* Translated code, MiB.  The default, an eighth of the host's memory, is more than 8 VMs can have;
 * 32 MiB made a Debian boot 1.4 s slower (measured 2026-11-23). */
#define TB_MIB 128

#define QEMU_OWN_MIB 384 /* beside guest memory and translated code: 80 MiB at rest, with room */

static void machine(struct launch *la, const struct vm_spec *s, bool kvm)
{
	const char *timers = kvm || strstr(s->cmdline, "tsc_early_khz=") ? "off" : "on";

	launch_arg(la, "-M");
	launch_arg(la, "microvm,pcie=%s,acpi=on,rtc=on,pit=%s,pic=%s",
		   s->transport == VM_PCI ? "on" : "off", timers, timers);
	launch_arg(la, "-accel");
	if (kvm)
		launch_arg(la, "kvm");
	else
		launch_arg(la, "tcg,tb-size=%d", TB_MIB);
	launch_arg(la, "-cpu");
	launch_arg(la, kvm ? "host" : "max");
	launch_arg(la, "-smp");
	launch_arg(la, "%u", s->vcpus);
	launch_arg(la, "-m");
	launch_arg(la, "%uM", s->ram_mib);
	la->extra_mib = QEMU_OWN_MIB + (kvm ? 0 : TB_MIB);
}

static void constants(struct launch *la)
{
	static const char *const args[] = {
		"-S",
		"-nodefaults",
		"-no-user-config",
		"-no-reboot",
		"-display",
		"none",
		"-sandbox",
		"on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
	};

	for (size_t i = 0; i < ARRAY_LEN(args); i++)
		launch_arg(la, "%s", args[i]);
}

/* A file that QEMU opens through /proc/self/fd: its mode must allow it to. */
static int readable_file(struct launch *la, const char *option, const char *path, struct err *e)
{
	struct stat st;
	int n = launch_open(la, path, O_RDONLY, e);

	if (n < 0)
		return n;
	if (fstat(la->keep[la->keep_n - 1], &st))
		return err_sys(e, errno, "engine.open", "%s", path);
	if (!(st.st_mode & S_IROTH)) {
		(void)err_set(e, -EACCES, ERR_HOST, "engine.unreadable",
			      "%s: the engine's own user can't read it (mode %03o)", path,
			      (unsigned)st.st_mode & 0777);
		return err_remedy(e, "chmod o+r %s", path);
	}
	launch_arg(la, "%s", option);
	launch_arg(la, "/proc/self/fd/%d", n);
	return 0;
}

static int boot_files(struct launch *la, const struct vm_spec *s, struct err *e)
{
	int rc = readable_file(la, "-kernel", s->kernel, e);

	if (!rc && s->initrd)
		rc = readable_file(la, "-initrd", s->initrd, e);
	launch_arg(la, "-append");
	launch_arg(la, "%s", s->cmdline);
	return rc;
}

static const char *device_suffix(const struct vm_spec *s)
{
	return s->transport == VM_PCI ? "pci" : "device";
}

static int drive(struct launch *la, const struct vm_spec *s, unsigned i, struct err *e)
{
	const struct vm_drive *d = &s->drives[i];
	/* Writes and discards reach the sparse file; a shared base is never locked or written. */
	const char *file = d->read_only ? "read-only=on,locking=off" : "discard=unmap";
	const char *raw = d->read_only ? "read-only=on" : "discard=unmap";
	int n = launch_open(la, d->path, d->read_only ? O_RDONLY : O_RDWR, e);

	if (n < 0)
		return n;
	launch_arg(la, "-add-fd");
	launch_arg(la, "fd=%d,set=%u", n, i + 1);
	launch_arg(la, "-blockdev");
	launch_arg(la, "driver=file,node-name=f%u,filename=/dev/fdset/%u,%s", i, i + 1, file);
	launch_arg(la, "-blockdev");
	launch_arg(la, "driver=raw,node-name=d%u,file=f%u,%s", i, i, raw);
	launch_arg(la, "-device");
	launch_arg(la, "virtio-blk-%s,drive=d%u", device_suffix(s), i);
	return 0;
}

static int nic(struct launch *la, const struct vm_spec *s, struct err *e)
{
	char mac[MAC_TEXT_LEN];
	int n;

	if (s->tap_fd < 0)
		return 0;
	n = launch_keep(la, s->tap_fd);
	if (n < 0)
		return err_sys(e, -n, "engine.descriptors", "TAP");
	format_mac(s->mac, mac);
	launch_arg(la, "-netdev");
	launch_arg(la, "tap,id=n0,fd=%d,vhost=off", n);
	launch_arg(la, "-device");
	/* romfile=: no boot ROM to load; PCI only */
	launch_arg(la, "virtio-net-%s,netdev=n0,mac=%s%s", device_suffix(s), mac,
		   s->transport == VM_PCI ? ",romfile=" : "");
	return 0;
}

static int vsock(struct launch *la, const struct vm_spec *s, struct err *e)
{
	int n;

	if (!s->cid)
		return 0;
	n = launch_open(la, "/dev/vhost-vsock", O_RDWR, e);
	if (n < 0)
		return err_remedy(e, "modprobe vhost_vsock");
	launch_arg(la, "-device");
	launch_arg(la, "vhost-vsock-%s,guest-cid=%u,vhostfd=%d", device_suffix(s), s->cid, n);
	return 0;
}

static int channels(struct launch *la, const struct vm_spec *s, struct err *e)
{
	int n = launch_listen(la, s->run_dir, "qmp.sock", e);

	if (n < 0)
		return n;
	launch_arg(la, "-chardev");
	launch_arg(la, "socket,id=qmp,fd=%d,server=on,wait=off", n);
	launch_arg(la, "-mon");
	launch_arg(la, "chardev=qmp,mode=control");
	launch_arg(la, "-chardev");
	launch_arg(la, "socket,id=serial,fd=%d", LAUNCH_SERIAL_FD);
	launch_arg(la, "-serial");
	launch_arg(la, "chardev:serial");
	/* Tells a panic from a reset, where the guest has the driver (pvpanic-pci). */
	if (s->transport == VM_PCI) {
		launch_arg(la, "-device");
		launch_arg(la, "pvpanic-pci");
	}
	return 0;
}

/* KVM's node is opened by QEMU itself, as a member of the node's group. */
static void kvm_group(struct launch *la)
{
	struct stat st;

	if (stat("/dev/kvm", &st) == 0 && (st.st_mode & 0060) == 0060)
		la->group = st.st_gid;
}

int qemu_args(struct launch *la, const struct vm_spec *s, bool kvm, const char *program,
	      struct err *e)
{
	int rc;

	launch_arg(la, "%s", program);
	launch_arg(la, "-name");
	launch_arg(la, "%s,debug-threads=on", s->id);
	machine(la, s, kvm);
	if (kvm)
		kvm_group(la);
	constants(la);
	rc = boot_files(la, s, e);
	for (unsigned i = 0; i < s->drives_n && !rc; i++)
		rc = drive(la, s, i, e);
	if (!rc)
		rc = nic(la, s, e);
	if (!rc)
		rc = vsock(la, s, e);
	if (!rc)
		rc = channels(la, s, e);
	return rc;
}
