/*
 * Loads an ELF kernel (System V ABI, ELF-64): its PT_LOAD segments go to their physical addresses.
 *
 * A PT_NOTE with owner "Xen" and type 18 (XEN_ELFNOTE_PHYS32_ENTRY, Xen public/elfnote.h) holds the
 * entry of the PVH protocol, 4 or 8 bytes.  Notes: u32 namesz, u32 descsz, u32 type, name, desc,
 * the last two padded to 4 bytes.
 */
#include <elf.h>
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "boot/boot_internal.h"

#define XEN_PHYS32_ENTRY 18u
#define PHDRS_MAX	 64u /* Linux has 5 */
#define NOTES_MAX	 256u

static int bad(struct err *e, const char *why)
{
	return err_set(e, -EINVAL, ERR_CALLER, "kernel.elf", "kernel: ELF file: %s", why);
}

static int load_segment(struct guestmem *gm, const struct image *file, const Elf64_Phdr *p,
			struct boot_kernel *k, struct err *e)
{
	struct gm_span span;

	if (p->p_filesz > p->p_memsz || !gm_inside(p->p_offset, p->p_filesz, 0, file->len))
		return bad(e, "a segment lies beyond its end: truncated?");
	if (p->p_paddr < BOOT_KERNEL_GPA)
		return bad(e, "a segment is to be loaded below 1 MiB");
	if (gm_view(gm, p->p_paddr, p->p_memsz, &span))
		return err_set(e, -ENOSPC, ERR_CALLER, "kernel.memory",
			       "kernel: %llu KiB at %#llx do not fit into %llu MiB of memory",
			       (unsigned long long)p->p_memsz >> 10, (unsigned long long)p->p_paddr,
			       (unsigned long long)(gm_size(gm) >> 20));
	/* The rest, BSS, is zero in fresh guest memory. */
	gm_span_write(&span, 0, file->data + p->p_offset, p->p_filesz);
	if (p->p_paddr + p->p_memsz > k->end)
		k->end = p->p_paddr + p->p_memsz;
	return 0;
}

static void find_pvh(const struct image *file, const Elf64_Phdr *p, struct boot_kernel *k)
{
	uint64_t at = p->p_offset, end;

	if (!gm_inside(p->p_offset, p->p_filesz, 0, file->len))
		return;
	end = at + p->p_filesz;
	for (unsigned i = 0; i < NOTES_MAX && end - at >= sizeof(Elf64_Nhdr); i++) {
		Elf64_Nhdr n;
		uint64_t name, desc, next;

		memcpy(&n, file->data + at, sizeof(n));
		name = at + sizeof(n);
		desc = name + (((uint64_t)n.n_namesz + 3) & ~3ull);
		next = desc + (((uint64_t)n.n_descsz + 3) & ~3ull);
		if (next > end)
			return;
		if (n.n_type == XEN_PHYS32_ENTRY && n.n_namesz == 4 && n.n_descsz >= 4 &&
		    !memcmp(file->data + name, "Xen", 4)) {
			k->entry = (struct boot_entry){BOOT_PVH, image_le32(file->data + desc)};
			return;
		}
		at = next;
	}
}

static int check_header(const struct image *file, Elf64_Ehdr *ret, struct err *e)
{
	if (file->len < sizeof(*ret) || memcmp(file->data, ELFMAG, SELFMAG) != 0)
		return -ENOEXEC;
	memcpy(ret, file->data, sizeof(*ret));
	if (ret->e_ident[EI_CLASS] != ELFCLASS64 || ret->e_ident[EI_DATA] != ELFDATA2LSB ||
	    ret->e_machine != EM_X86_64)
		return bad(e, "not for x86-64");
	if (ret->e_type != ET_EXEC && ret->e_type != ET_DYN)
		return bad(e, "an object or module, no kernel");
	if (ret->e_phentsize != sizeof(Elf64_Phdr) || ret->e_phnum == 0 ||
	    ret->e_phnum > PHDRS_MAX ||
	    !gm_inside(ret->e_phoff, (uint64_t)ret->e_phnum * sizeof(Elf64_Phdr), 0, file->len))
		return bad(e, "its program headers are damaged");
	return 0;
}

int elf_load(struct guestmem *gm, const struct image *file, bool allow_pvh, struct boot_kernel *ret,
	     struct err *e)
{
	struct boot_kernel k = {.entry = {.protocol = BOOT_LINUX64}};
	Elf64_Ehdr h;
	int rc = check_header(file, &h, e);

	if (rc)
		return rc;
	k.entry.ip = h.e_entry;
	for (unsigned i = 0; i < h.e_phnum; i++) {
		Elf64_Phdr p;

		memcpy(&p, file->data + h.e_phoff + i * sizeof(p), sizeof(p));
		if (p.p_type == PT_INTERP)
			return bad(e, "a program of a user space, no kernel");
		if (p.p_type == PT_NOTE && allow_pvh)
			find_pvh(file, &p, &k);
		if (p.p_type == PT_LOAD && p.p_memsz) {
			rc = load_segment(gm, file, &p, &k, e);
			if (rc)
				return rc;
		}
	}
	if (!gm_inside(k.entry.ip, 1, BOOT_KERNEL_GPA, k.end))
		return bad(e, "its entry lies outside its segments");
	*ret = k;
	return 0;
}
