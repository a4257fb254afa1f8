// SPDX-License-Identifier: GPL-2.0
/*
 * The frontend's side of a test: commands to the test bed
 *
 * See bed_ctl.h for what each command does.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../kselftest.h"
#include "bao_test_util.h"

static char *page;

/*
 * The bed decodes an access from what the CPU reports about it, which is
 * complete for a plain load or store of one register only. So the choice of
 * the instruction is not left to the compiler.
 */
static void reg_write(unsigned int reg, u64 value)
{
#ifdef __aarch64__
	asm volatile("str %0, [%1]" : : "r" (value), "r" (page + reg)
		     : "memory");
#else
	__atomic_store_n((u64 *)(page + reg), value, __ATOMIC_SEQ_CST);
#endif
}

static u64 reg_read(unsigned int reg)
{
	u64 value;

#ifdef __aarch64__
	asm volatile("ldr %0, [%1]" : "=r" (value) : "r" (page + reg)
		     : "memory");
#else
	value = __atomic_load_n((u64 *)(page + reg), __ATOMIC_SEQ_CST);
#endif
	return value;
}

/* The harness counts the test as failed, whatever it was about to check. */
static void die(const char *what, long status)
{
	fprintf(stderr, "# test bed: %s: %s\n", what, strerror(-status));
	_exit(KSFT_FAIL);
}

/**
 * bed_map() - find the control page
 *
 * Return: NULL, or the reason why there is none.
 */
const char *bed_map(void)
{
	int fd;

	if (page)
		return NULL;
	if (access("/proc/device-tree/" BED_CTL_NODE, F_OK))
		return "not in the test bed with a scripted frontend";

	fd = open("/dev/mem", O_RDWR | O_SYNC | O_CLOEXEC);
	if (fd < 0)
		return "cannot open /dev/mem (root and CONFIG_DEVMEM needed)";
	page = mmap(NULL, BED_CTL_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		    BED_CTL_ADDR);
	close(fd);
	if (page == MAP_FAILED) {
		page = NULL;
		return "cannot map the control page (CONFIG_STRICT_DEVMEM?)";
	}

	if (reg_read(BED_REG_MAGIC) != BED_CTL_MAGIC)
		die("the control page has the wrong magic number", -ENXIO);
	if (reg_read(BED_REG_FRONTEND) != BED_FRONTEND_SCRIPTED)
		return "the bed has a real frontend";
	return NULL;
}

unsigned int bao_nr_devices(void)
{
	return reg_read(BED_REG_NR_DEVICES);
}

/**
 * bed_try() - a command that may be refused
 * @cmd: the command
 * @nr_args: how many arguments
 * @args: the arguments
 *
 * Return: the bed's status, 0 or a negative errno.
 */
long bed_try(enum bed_cmd cmd, unsigned int nr_args, const u64 *args)
{
	for (unsigned int i = 0; i < nr_args; i++)
		reg_write(BED_REG_ARG(i), args[i]);
	reg_write(BED_REG_CMD, cmd);

	return (long)reg_read(BED_REG_STATUS);
}

u64 bed_ret(unsigned int n)
{
	return reg_read(BED_REG_RET(n));
}

#define bed_do(cmd, ...) do {						\
	const u64 __args[] = { __VA_ARGS__ };			\
	long __status = bed_try(cmd, ARRAY_SIZE(__args), __args);	\
									\
	if (__status)							\
		die(#cmd, __status);					\
} while (0)

void bed_reset(void)
{
	long status = bed_try(BED_CMD_RESET, 0, NULL);

	if (status)
		die("BED_CMD_RESET", status);
}

/**
 * frontend_access() - a vCPU of the frontend makes an access and stops
 * @device: the Remote I/O device
 * @op: BED_OP_WRITE or BED_OP_READ
 * @addr: address
 * @width: bytes
 * @value: the whole register
 * @flags: BED_NO_IRQ or 0
 * @delay_ms: 0 for now
 *
 * Return: a handle for frontend_query().
 */
u64 frontend_access(unsigned int device, enum bed_op op, u64 addr,
		    unsigned int width, u64 value, u64 flags,
		    unsigned int delay_ms)
{
	bed_do(BED_CMD_REQUEST, device, op, addr, width, value, flags,
	       delay_ms);
	return bed_ret(0);
}

u64 frontend_write(unsigned int device, u64 addr, unsigned int width,
		   u64 value)
{
	return frontend_access(device, BED_OP_WRITE, addr, width, value, 0, 0);
}

u64 frontend_read(unsigned int device, u64 addr, unsigned int width)
{
	return frontend_access(device, BED_OP_READ, addr, width, BAO_GARBAGE, 0,
			       0);
}

/* A 4-byte read that nobody is told of. */
u64 frontend_quiet(unsigned int device, u64 addr)
{
	return frontend_access(device, BED_OP_READ, addr, 4, BAO_GARBAGE,
			       BED_NO_IRQ, 0);
}

struct bed_result frontend_query(u64 handle)
{
	bed_do(BED_CMD_QUERY, handle);
	return (struct bed_result) {
		.state = bed_ret(0),
		.op = bed_ret(1),
		.value = bed_ret(2),
		.id = bed_ret(3),
		.order = bed_ret(4),
	};
}

void bed_irq(unsigned int device)
{
	bed_do(BED_CMD_IRQ, device);
}

void bed_fault(unsigned int device, enum bed_op op, s64 status,
	       u64 calls)
{
	bed_do(BED_CMD_FAULT, device, op, status, calls);
}

u64 bed_count(unsigned int device, enum bed_counter counter)
{
	bed_do(BED_CMD_COUNTERS, device);
	return bed_ret(counter);
}

/**
 * bed_completions() - hypercalls that tried to complete a request
 * @device: the Remote I/O device
 *
 * Return: their number, refused ones of any kind included.
 */
u64 bed_completions(unsigned int device)
{
	bed_do(BED_CMD_COUNTERS, device);
	return bed_ret(BED_CNT_WRITE) + bed_ret(BED_CNT_READ) +
	       bed_ret(BED_CNT_REFUSED);
}

void bed_pool(unsigned int requests)
{
	bed_do(BED_CMD_POOL, requests);
}

void bed_storm(unsigned int device, u64 addr, unsigned int vcpus,
	       u64 accesses)
{
	bed_do(BED_CMD_STORM, device, BED_OP_READ, addr, 4, BAO_GARBAGE, vcpus,
	       accesses);
}

void bed_storm_writes(unsigned int device, u64 addr, unsigned int vcpus,
		      u64 accesses)
{
	bed_do(BED_CMD_STORM, device, BED_OP_WRITE, addr, 4, BAO_GARBAGE, vcpus,
	       accesses);
}

void bed_generate(u64 seed, u64 accesses, unsigned int first,
		  unsigned int devices, unsigned int vcpus)
{
	printf("# generator: seed %llu, %llu accesses\n", seed, accesses);
	bed_do(BED_CMD_GENERATE, seed, accesses, first, devices, vcpus);
}

void bed_follow(void)
{
	long status = bed_try(BED_CMD_FOLLOW, 0, NULL);

	if (status)
		die("BED_CMD_FOLLOW", status);
}

struct bed_progress bed_progress(void)
{
	long status = bed_try(BED_CMD_PROGRESS, 0, NULL);

	if (status)
		die("BED_CMD_PROGRESS", status);
	return (struct bed_progress) {
		.made = bed_ret(0),
		.completed = bed_ret(1),
		.violations = bed_ret(2),
	};
}

void bed_next_id(unsigned int device, u64 id)
{
	bed_do(BED_CMD_NEXT_ID, device, id);
}

u64 bed_peek(u64 addr)
{
	bed_do(BED_CMD_PEEK, addr);
	return bed_ret(0);
}

void bed_poke(u64 addr, u64 value)
{
	bed_do(BED_CMD_POKE, addr, value);
}
