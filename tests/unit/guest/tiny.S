/*
 * A guest of a few hundred bytes for tests of engines: boots by PVH (Xen public/arch-x86/hvm/start_info.h)
 * in 32-bit mode.  What it does is told by the first letter of the command line:
 *
 *	h  says "tiny: up" and halts                    p  says so and powers off (ACPI S5)
 *	r  says so and resets by a triple fault         k  says that it panics and resets
 *	f  writes to the serial line for ever           q  says nothing and spins
 *	e  says so and echoes what it reads             b  says so and powers off when the button is pressed
 */
#define COM1	   0x3f8
#define GED	   0xfea00000 /* QEMU include/hw/i386/microvm.h GED_MM_BASE; read: events, cleared */
#define GED_SLEEP  (GED + 0x200) /* ACPI sleep control register; hw/acpi/generic_event_device.h */
#define SLEEP_S5   0x34	       /* SLP_EN (bit 5) and type 5 (bits 2 to 4), ACPI 6.4 sec. 4.8.3.7 */
#define CMDLINE	   24	       /* offset of hvm_start_info.cmdline_paddr */

	.section .note.Xen, "a", @note
	.long 4, 4, 18		/* name, description, XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.long start

	.text
	.code32
	.globl start
start:
	mov $stack_end, %esp
	mov CMDLINE(%ebx), %eax
	mov (%eax), %bl
	cmp $'q', %bl
	je spin
	mov $hello, %esi
	cmp $'k', %bl
	jne 1f
	mov $panic, %esi
1:	call print
	cmp $'r', %bl
	je triple_fault
	cmp $'k', %bl
	je triple_fault
	cmp $'p', %bl
	je power_off
	cmp $'b', %bl
	je wait_button
	cmp $'e', %bl
	je echo
	cmp $'f', %bl
	je flood
	cli
2:	hlt
	jmp 2b

spin:	jmp spin

flood:	mov $line, %esi
	call print
	jmp flood

echo:	mov $COM1 + 5, %dx	/* line status: bit 0, data ready */
	in %dx, %al
	test $1, %al
	jz echo
	mov $COM1, %dx
	in %dx, %al
	call put
	jmp echo

wait_button:
	mov GED, %eax
	test %eax, %eax
	jz wait_button
power_off:
	movb $SLEEP_S5, GED_SLEEP
	jmp spin

triple_fault:
	lidt no_idt
	int3

print:	lodsb
	test %al, %al
	jz 3f
	call put
	jmp print
3:	ret

put:	mov %al, %ah
	mov $COM1 + 5, %dx
4:	in %dx, %al		/* bit 5: the transmitter takes a byte */
	test $0x20, %al
	jz 4b
	mov %ah, %al
	mov $COM1, %dx
	out %al, %dx
	ret

no_idt:	.word 0
	.long 0
hello:	.asciz "tiny: up\r\n"
panic:	.asciz "Kernel panic - not syncing: tiny guest was told to\r\n"
line:	.asciz "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXY\r\n"
	.balign 16
	.space 256
stack_end:
	.section .note.GNU-stack, "", @progbits
