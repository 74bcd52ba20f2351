/*
 * Composes the command line and puts tables, kernel and initramfs into guest memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "machine/machine_internal.h"

static int open_file(const char *what, const char *path, int *ret_fd, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(e, errno, "boot.open", "%s %s", what, path);
	*ret_fd = fd;
	return 0;
}

/* As Firecracker: the root drive is the first one, on either transport. */
static int add_root(const struct vm_drive *d, struct buf *cmdline)
{
	char word[VM_ID_MAX + 32];
	int rc;

	(void)snprintf(word, sizeof(word), "root=%s%s", d->partuuid[0] ? "PARTUUID=" : "/dev/vda",
		       d->partuuid); /* fits */
	rc = boot_cmdline_add(cmdline, word);
	return rc ? rc : boot_cmdline_add(cmdline, d->read_only ? "ro" : "rw");
}

static int compose(struct machine *m, struct buf *ret, struct err *e)
{
	const struct vm_config *c = &m->cfg;
	int rc = buf_puts(ret, c->has_boot_args ? c->boot_args : VM_DEFAULT_ARGS);

	if (!rc && !c->pci)
		rc = boot_cmdline_add(ret, "pci=off");
	for (unsigned i = 0; i < c->drives_n && !rc; i++)
		if (c->drives[i].is_root)
			rc = add_root(&c->drives[i], ret);
	return rc ? err_nomem(e) : 0;
}

static int write_tables(struct machine *m, struct err *e)
{
	struct acpi_machine a = {
		.vcpus_n = m->cfg.vcpus,
		.ioapic_gpa = BOOT_IOAPIC_GPA,
		.lapic_gpa = BOOT_LAPIC_GPA,
		.serial_port = SERIAL_PORT,
		.serial_len = 8,
		.serial_gsi = SERIAL_GSI,
		.rtc_port = RTC_PORT,
		.power_port = POWER_PORT,
		.mmio = m->acpi_mmio,
		.mmio_n = m->mmio_n,
	};

	if (m->cfg.pci)
		a.pci = (struct acpi_pci){PCI_ECAM_GPA,	 PCI_ECAM_SIZE, PCI_MEM32_GPA,
					  PCI_MEM32_END, PCI_MEM64_GPA, PCI_MEM64_END};
	return acpi_write(m->gm, &a, BOOT_TABLES_GPA, BOOT_RSDP_GPA, BOOT_RSDP_GPA, e);
}

int kernel_place(struct machine *m, struct err *e)
{
	auto_close int kernel_fd = -1;
	auto_close int initrd_fd = -1;
	auto_buf cmdline = {0};
	struct boot_files files = {0};
	int rc = open_file("kernel", m->cfg.kernel, &kernel_fd, e);

	if (!rc && m->cfg.initrd[0])
		rc = open_file("initrd", m->cfg.initrd, &initrd_fd, e);
	if (!rc)
		rc = compose(m, &cmdline, e);
	if (!rc)
		rc = write_tables(m, e);
	if (rc)
		return rc;
	files.kernel_fd = kernel_fd;
	files.initrd_fd = initrd_fd;
	files.cmdline = buf_text(&cmdline);
	files.ecam_gpa = m->cfg.pci ? PCI_ECAM_GPA : 0;
	files.ecam_size = m->cfg.pci ? PCI_ECAM_SIZE : 0;
	return boot_load(m->gm, &files, &m->entry, e);
}
