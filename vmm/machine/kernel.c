/*
 * Composes the command line and puts tables, kernel and initramfs into guest memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "acpi/acpi.h"
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

static int compose(struct machine *m, struct buf *ret, struct err *e)
{
	const struct vm_config *c = &m->cfg;
	int rc = buf_puts(ret, c->has_boot_args ? c->boot_args : VM_DEFAULT_ARGS);

	if (!rc && !c->pci)
		rc = boot_cmdline_add(ret, "pci=off");
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
	};

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
	return boot_load(m->gm, &files, &m->entry, e);
}
