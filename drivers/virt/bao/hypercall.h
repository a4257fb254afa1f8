/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The Remote I/O hypercall of the Bao hypervisor, for each architecture
 *
 * One hypercall with five arguments: device id, address, operation, value,
 * request id. Bao takes them and answers in registers as follows.
 *
 *		arm64		arm		riscv64
 *   insn	hvc #0		hvc #0		ecall
 *   function	x0		r0		a7 = extension, a6 = 2
 *   arguments	x1-x5		r1-r5		a0-a4, a5 = 0
 *   status	x0		r0		a1, if a0 (the SBI error) is 0
 *   results	x1-x6		r1-r6		a2-a7
 *
 * The call is short and bounded, and may be made in any context.
 */
#ifndef BAO_HYPERCALL_H
#define BAO_HYPERCALL_H

#include <linux/kernel.h>
#include <linux/types.h>

#include "bao_private.h"

/* What Bao is asked to do */
#define BAO_HC_WRITE		0	/* complete a write */
#define BAO_HC_READ		1	/* complete a read with a value */
#define BAO_HC_ASK		2	/* pop the next pending request */
#define BAO_HC_NOTIFY		3	/* raise the frontend's interrupt */
#define BAO_HC_UNDEFINED	0xff	/* nothing, which Bao says in its own way */

/* What Bao answers, in the width of a register */
#define BAO_STATUS_OK		0
#define BAO_STATUS_EMPTY	1	/* ASK: nothing pending */
#define BAO_STATUS_FAILED	(-1)	/* no such request, device not bound */
#define BAO_STATUS_UNKNOWN	(-2)	/* no such hypercall */
#define BAO_STATUS_INVALID	(-3)	/* no such device or operation */

#define BAO_HC_ARGS		5
#define BAO_HC_REGS		8

/*
 * Where each architecture finds status and results among the registers that a
 * call returns, first register first. All are built everywhere, so that KUnit
 * sees them on any machine.
 */
static inline s64 bao_arm64_status(const u64 *regs)
{
	return regs[0];
}

static inline s64 bao_arm_status(const u64 *regs)
{
	return (s32)regs[0];
}

static inline s64 bao_riscv_status(const u64 *regs)
{
	return regs[0] ? BAO_STATUS_UNKNOWN : regs[1];
}

#define BAO_ARM64_RESULTS	1
#define BAO_ARM_RESULTS		1
#define BAO_RISCV_RESULTS	2

/**
 * bao_decode_ask() - make a request of an ASK's results
 * @results: address, op, value, width, request id, more-pending flag, in the
 *	registers that a successful ASK returned
 * @ask: where the request goes
 *
 * Bao hands over the whole source register of a store, so the value is cut to
 * the width here. What it hands over for a load means nothing.
 */
static inline void bao_decode_ask(const u64 *results, struct bao_ask *ask)
{
	ask->addr = results[0];
	ask->op = results[1] == BAO_HC_READ ? BAO_OP_READ : BAO_OP_WRITE;
	ask->width = results[3];
	ask->value = ask->op == BAO_OP_READ ? 0 :
					      bao_cut(results[2], ask->width);
	ask->hv_id = results[4];
	ask->more = results[5];
}

#if defined(CONFIG_ARM64) || defined(CONFIG_ARM)

#include <linux/arm-smccc.h>

#ifdef CONFIG_ARM64

#include <asm/virt.h>

#define bao_arch_status		bao_arm64_status
#define BAO_ARCH_RESULTS	BAO_ARM64_RESULTS

/* SMCCC 1.0 lets a call change x4 to x17, and the first may be made under it. */
#define BAO_HVC_CLOBBERS	"x7", "x8", "x9", "x10", "x11", "x12", "x13", \
				"x14", "x15", "x16", "x17", "memory"

/* An hvc that a kernel at EL2 issues would trap into that kernel itself. */
static inline bool bao_can_hypercall(void)
{
	return !is_kernel_in_hyp_mode();
}

#else

#define bao_arch_status		bao_arm_status
#define BAO_ARCH_RESULTS	BAO_ARM_RESULTS
#define BAO_HVC_CLOBBERS	"memory"

static inline bool bao_can_hypercall(void)
{
	return true;
}

#endif

#define BAO_HC_FUNCTION							\
	ARM_SMCCC_CALL_VAL(ARM_SMCCC_FAST_CALL,				\
			   IS_ENABLED(CONFIG_64BIT) ? ARM_SMCCC_SMC_64 :	\
						      ARM_SMCCC_SMC_32,	\
			   ARM_SMCCC_OWNER_VENDOR_HYP, 2)

/*
 * arm_smccc_1_1_hvc() returns four registers, and seven are needed.
 * arm_smccc_1_2_hvc(), on arm64, carries eighteen both ways through memory,
 * which takes 160 instructions more for each call.
 *
 * The conduit is HVC, whatever PSCI uses.
 *
 * Between the assignments of the register variables nothing may be called, and
 * an access that KASAN or KCSAN instruments is a call. So the arguments are
 * read from memory before them, and the results are written to it after them.
 */
static __always_inline void bao_arch_hypercall(const u64 *args, u64 *regs)
{
	unsigned long dev = args[0], addr = args[1], op = args[2];
	unsigned long value = args[3], id = args[4];

	register unsigned long r0 asm("r0") = BAO_HC_FUNCTION;
	register unsigned long r1 asm("r1") = dev;
	register unsigned long r2 asm("r2") = addr;
	register unsigned long r3 asm("r3") = op;
	register unsigned long r4 asm("r4") = value;
	register unsigned long r5 asm("r5") = id;
	register unsigned long r6 asm("r6") = 0;

	asm volatile(SMCCC_HVC_INST
		     : "+r" (r0), "+r" (r1), "+r" (r2), "+r" (r3), "+r" (r4),
		       "+r" (r5), "+r" (r6)
		     :
		     : BAO_HVC_CLOBBERS);

	const unsigned long out[] = { r0, r1, r2, r3, r4, r5, r6 };

	for (int i = 0; i < ARRAY_SIZE(out); i++)
		regs[i] = out[i];
}

#elif defined(CONFIG_RISCV) && defined(CONFIG_64BIT)

/*
 * Bao has no SBI implementation id yet, so its extension lies in the space
 * that SBI sets aside for experiments (0x08000000 to 0x08ffffff).
 */
#define BAO_SBI_EXTENSION	0x08000ba0UL
#define BAO_SBI_REMOTE_IO	2UL

#define bao_arch_status		bao_riscv_status
#define BAO_ARCH_RESULTS	BAO_RISCV_RESULTS

static inline bool bao_can_hypercall(void)
{
	return true;
}

/*
 * SBI lets a call change a0 and a1 alone, and sbi_ecall() is made for that.
 * Bao answers an ASK in a2 to a7 too, so all eight are outputs here. Memory is
 * touched before and after the register variables only, as instrumentation
 * would clobber them.
 */
static __always_inline void bao_arch_hypercall(const u64 *args, u64 *regs)
{
	unsigned long dev = args[0], addr = args[1], op = args[2];
	unsigned long value = args[3], id = args[4];

	register unsigned long a0 asm("a0") = dev;
	register unsigned long a1 asm("a1") = addr;
	register unsigned long a2 asm("a2") = op;
	register unsigned long a3 asm("a3") = value;
	register unsigned long a4 asm("a4") = id;
	register unsigned long a5 asm("a5") = 0;
	register unsigned long a6 asm("a6") = BAO_SBI_REMOTE_IO;
	register unsigned long a7 asm("a7") = BAO_SBI_EXTENSION;

	asm volatile("ecall"
		     : "+r" (a0), "+r" (a1), "+r" (a2), "+r" (a3), "+r" (a4),
		       "+r" (a5), "+r" (a6), "+r" (a7)
		     :
		     : "memory");

	const unsigned long out[] = { a0, a1, a2, a3, a4, a5, a6, a7 };

	for (int i = 0; i < ARRAY_SIZE(out); i++)
		regs[i] = out[i];
}

#else /* Bao does not run here: COMPILE_TEST */

#define bao_arch_status		bao_arm64_status
#define BAO_ARCH_RESULTS	BAO_ARM64_RESULTS

static inline bool bao_can_hypercall(void)
{
	return true;
}

static __always_inline void bao_arch_hypercall(const u64 *args, u64 *regs)
{
	regs[0] = BAO_STATUS_UNKNOWN;
}

#endif

static inline s64 bao_raw_hypercall(struct bao_backend *b, u64 op, u64 value,
				    u64 hv_id, struct bao_ask *ask)
{
	const u64 args[BAO_HC_ARGS] = { b->id, 0, op, value, hv_id };
	u64 regs[BAO_HC_REGS] __uninitialized;
	s64 status;

#if IS_ENABLED(CONFIG_BAO_IO_DISPATCHER_KUNIT_TEST)
	if (b->fake_hypervisor)
		return b->fake_hypervisor(b, op, value, hv_id, ask);
#endif

	bao_arch_hypercall(args, regs);
	status = bao_arch_status(regs);
	if (status == BAO_STATUS_OK && ask)
		bao_decode_ask(regs + BAO_ARCH_RESULTS, ask);
	return status;
}

/**
 * bao_hypercall() - ask Bao for something
 * @b: the backend
 * @op: BAO_HC_*
 * @value: what a completed read returns, cut to its width; else 0
 * @hv_id: the request, as an ASK named it; 0 for ASK and NOTIFY. Must never
 *	come from user space: Bao pops and loses a pending request for some
 *	numbers that it never gave out.
 * @ask: where an ASK's request goes, or NULL
 *
 * Context: any.
 * Return: BAO_STATUS_*; @ask is filled in for BAO_STATUS_OK only.
 */
static inline s64 bao_hypercall(struct bao_backend *b, u64 op, u64 value,
				u64 hv_id, struct bao_ask *ask)
{
	s64 status = bao_raw_hypercall(b, op, value, hv_id, ask);

	if (status != BAO_STATUS_OK && status != BAO_STATUS_EMPTY)
		bao_count_error(b, op, hv_id, status);
	return status;
}

#endif /* BAO_HYPERCALL_H */
