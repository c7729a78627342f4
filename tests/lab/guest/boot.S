/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Entry from multiboot: flat 32-bit segments, no paging. Interrupts only wake
 * the CPU from hlt; guest.c runs with them disabled.
 */
#define MULTIBOOT_MAGIC 0x1badb002
#define MULTIBOOT_FLAGS 0x2 /* wants the memory map */

	.section .multiboot, "ax"
	.balign 4
	.long MULTIBOOT_MAGIC, MULTIBOOT_FLAGS, -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)

	.text
	.globl start
start:
	cli
	cld
	movl $stack_top, %esp
	/* Multiboot does not promise a usable GDTR, and an interrupt needs one. */
	lgdt gdt_pointer
	ljmp $8, $1f
1:	movl $16, %ecx
	movl %ecx, %ds
	movl %ecx, %es
	movl %ecx, %fs
	movl %ecx, %gs
	movl %ecx, %ss
	pushl %ebx
	pushl %eax
	call guest_main
2:	cli
	hlt
	jmp 2b

/* Both PICs acknowledge by themselves, so a tick needs nothing but a return. */
	.globl irq_return
irq_return:
	iret

/* The RTC raises no further interrupt until its register C has been read. */
	.globl irq_rtc
irq_rtc:
	pushl %eax
	movb $0x0c, %al
	outb %al, $0x70
	inb $0x71, %al
	popl %eax
	iret

	.globl exception
exception:
	movl %esp, %eax
	pushl %eax
	call guest_exception
3:	cli
	hlt
	jmp 3b

	.section .rodata
	.balign 8
gdt:
	.quad 0, 0x00cf9a000000ffff, 0x00cf92000000ffff
gdt_pointer:
	.word . - gdt - 1
	.long gdt

	.bss
	.balign 16
	.skip 16384
stack_top:

	.section .note.GNU-stack, "", @progbits
