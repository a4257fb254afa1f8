// SPDX-License-Identifier: GPL-2.0
/*
 * What the bare-metal guests have in place of an operating system: output,
 * hypercalls, the control page, the interrupt controller
 */
#include "bare.h"

/* The guest's physical map (bed.h has the whole of it) */
#define GICD		0x08000000UL
#define GICD_CTLR	(GICD + 0x0)
#define GICD_IGROUPR	(GICD + 0x80)
#define GICD_ISENABLER	(GICD + 0x100)
#define GICD_ICENABLER	(GICD + 0x180)
#define GICD_ICFGR	(GICD + 0xc00)
#define GICD_GROUP1	0x12		/* affinity routing, group 1 */
#define UART		0x09100000UL

#define FIRST_INTID	64		/* of device 0 */
#define NR_DEVICES	64

#define PSCI_OFF	0x84000008UL
#define PSCI_RESET	0x84000009UL

/*
 * KVM can only decode plain loads and stores, which a compiler is free not to
 * choose: hence assembly.
 */
static void write8(uint64_t addr, uint8_t value)
{
	asm volatile("strb %w0, [%1]" :: "r"(value), "r"(addr));
}

static void write32(uint64_t addr, uint32_t value)
{
	asm volatile("str %w0, [%1]" :: "r"(value), "r"(addr));
}

void put_string(const char *text)
{
	for (; *text; text++)
		write8(UART, *text);
}

void put_number(uint64_t value)
{
	char digits[21];
	unsigned int i = sizeof(digits) - 1;

	digits[i] = '\0';
	do {
		digits[--i] = '0' + value % 10;
	} while (value /= 10);
	put_string(&digits[i]);
}

static void psci(uint64_t function)
{
	struct hvc hvc = { .x = { function } };

	bare_hvc(hvc.x);
}

void power_off(void)
{
	psci(PSCI_OFF);
	for (;;)
		wait_for_interrupt();
}

void reset(void)
{
	psci(PSCI_RESET);
	for (;;)
		wait_for_interrupt();
}

int64_t remote_io(uint64_t device, uint64_t addr, uint64_t op, uint64_t value,
		  uint64_t id)
{
	struct hvc hvc = { .x = { REMOTE_IO, device, addr, op, value, id } };

	bare_hvc(hvc.x);
	return hvc.x[0];
}

struct asked ask(uint64_t device)
{
	struct hvc hvc = { .x = { REMOTE_IO, device, 0, BED_OP_ASK } };

	bare_hvc(hvc.x);
	return (struct asked) {
		.status = hvc.x[0],
		.addr = hvc.x[1],
		.op = hvc.x[2],
		.value = hvc.x[3],
		.width = hvc.x[4],
		.id = hvc.x[5],
		.more = hvc.x[6],
	};
}

uint64_t read64(uint64_t addr)
{
	uint64_t value;

	asm volatile("ldr %0, [%1]" : "=r"(value) : "r"(addr));
	return value;
}

uint64_t ctl_read(unsigned int reg)
{
	return read64(BED_CTL_ADDR + reg);
}

void ctl_write(unsigned int reg, uint64_t value)
{
	asm volatile("str %0, [%1]" :: "r"(value), "r"(BED_CTL_ADDR + reg));
}

int64_t ctl_command(enum bed_cmd cmd, unsigned int n, const uint64_t *args)
{
	unsigned int i;

	for (i = 0; i < 8; i++)
		ctl_write(BED_REG_ARG(i), i < n ? args[i] : 0);
	ctl_write(BED_REG_CMD, cmd);
	return ctl_read(BED_REG_STATUS);
}

/* Every device's interrupt is an enabled edge that goes to this vCPU */
void gic_init(void)
{
	unsigned int i, last = FIRST_INTID + NR_DEVICES;

	asm volatile("msr S3_0_C12_C12_5, %0" :: "r"(1UL));	/* ICC_SRE */
	asm volatile("isb");
	asm volatile("msr S3_0_C4_C6_0, %0" :: "r"(0xffUL));	/* ICC_PMR */
	asm volatile("msr S3_0_C12_C12_7, %0" :: "r"(1UL));	/* ICC_IGRPEN1 */
	for (i = FIRST_INTID; i < last; i += 16)
		write32(GICD_ICFGR + i / 4, 0xaaaaaaaa);
	for (i = FIRST_INTID; i < last; i += 32) {
		write32(GICD_IGROUPR + i / 8, ~0U);
		write32(GICD_ISENABLER + i / 8, ~0U);
	}
	write32(GICD_CTLR, GICD_GROUP1);
}

void gic_set_enabled(unsigned int device, bool enabled)
{
	unsigned int intid = FIRST_INTID + device;
	uint64_t bank = enabled ? GICD_ISENABLER : GICD_ICENABLER;

	write32(bank + intid / 32 * 4, 1U << intid % 32);
}

/* Return: the device whose interrupt it is, or NO_INTERRUPT */
unsigned int gic_acknowledge(void)
{
	uint64_t intid;

	asm volatile("mrs %0, S3_0_C12_C12_0" : "=r"(intid));	/* ICC_IAR1 */
	asm volatile("dsb sy" ::: "memory");
	return intid == NO_INTERRUPT ? NO_INTERRUPT : intid - FIRST_INTID;
}

void gic_end(unsigned int device)
{
	uint64_t intid = FIRST_INTID + device;

	asm volatile("msr S3_0_C12_C12_1, %0" :: "r"(intid));	/* ICC_EOIR1 */
	asm volatile("isb");
}

void wait_for_interrupt(void)
{
	asm volatile("dsb sy\n\twfi" ::: "memory");
}
