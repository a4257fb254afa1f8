/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Entry of a bare-metal guest, which looks like an arm64 Linux Image to its
 * loader. One vCPU, no MMU, interrupts masked: a guest here waits with WFI and
 * takes its interrupts by reading the acknowledge register.
 */
	.section .head, "ax"
	.globl	_start
_start:
	b	begin
	.long	0
	.quad	0			/* offset from the start of memory */
	.quad	_end - _start		/* size with bss */
	.quad	0xa			/* little endian, 4 KiB pages, anywhere */
	.quad	0, 0, 0
	.ascii	"ARM\x64"
	.long	0

begin:
	adrp	x1, stack_top
	add	sp, x1, :lo12:stack_top
	bl	bare_main		/* x0: device tree */
1:	wfi
	b	1b

/*
 * long bare_hvc(u64 regs[7]): x0..x6 go in and come out
 */
	.globl	bare_hvc
bare_hvc:
	str	x0, [sp, #-16]!
	mov	x9, x0
	ldp	x0, x1, [x9]
	ldp	x2, x3, [x9, #16]
	ldp	x4, x5, [x9, #32]
	ldr	x6, [x9, #48]
	hvc	#0
	ldr	x9, [sp], #16
	stp	x0, x1, [x9]
	stp	x2, x3, [x9, #16]
	stp	x4, x5, [x9, #32]
	str	x6, [x9, #48]
	ret

	.bss
	.balign	16
	.skip	16384
stack_top:
	.section .note.GNU-stack, "", %progbits
