/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How a test inside the backend VM commands the scripted frontend
 *
 * The test bed (bed/) shows the backend VM one page of 64-bit registers. A test
 * maps it through /dev/mem, stores the arguments, stores a command number to
 * BED_REG_CMD, and reads the results when that store has retired: the bed
 * carries the command out before the storing vCPU goes on. Every access must
 * be a naturally aligned 64-bit load or store.
 *
 * The scripted frontend stands for a frontend VM with as many vCPUs as the
 * pool has requests. A *handle* names a request for the tests; it is never
 * reused, unlike the request id that the bed, playing Bao, gives out.
 */
#ifndef BED_CTL_H
#define BED_CTL_H

#include <stdint.h>

#define BED_CTL_ADDR		0x0b000000ULL
#define BED_CTL_SIZE		0x1000ULL
#define BED_CTL_MAGIC		0x424f4544ULL

/*
 * The node that the bed puts into the backend's tree for the page, if the
 * frontend is a scripted one. A test looks for it before it touches the
 * address, which on another machine may be anything.
 */
#define BED_CTL_NODE		"bed-control@b000000"

#define BED_REG_ARG(n)		(0x00 + 8 * (n))	/* n = 0..7, read/write */
#define BED_REG_CMD		0x40			/* write only */
#define BED_REG_STATUS		0x48			/* 0 or a negative errno */
#define BED_REG_RET(n)		(0x80 + 8 * (n))	/* n = 0..15, read only */
#define BED_REG_MAGIC		0x100			/* BED_CTL_MAGIC */
#define BED_REG_NR_DEVICES	0x108			/* Remote I/O devices */
#define BED_REG_FRONTEND	0x110			/* enum bed_frontend */

/*
 * With a real frontend the page has no commands (-EOPNOTSUPP), but tells
 * whether the frontend still runs. The run ends when both VMs are off, so the
 * backend, which has no other way to know, powers off after the frontend.
 */
enum bed_frontend {
	BED_FRONTEND_SCRIPTED = 0,
	BED_FRONTEND_ON = 1,
	BED_FRONTEND_OFF = 2,
};

/* The hypercall's operations, as remote I/O numbers them */
enum bed_op {
	BED_OP_WRITE = 0,
	BED_OP_READ = 1,
	BED_OP_ASK = 2,
	BED_OP_NOTIFY = 3,
};

enum bed_request_state {
	BED_PENDING = 0,	/* waits for an ASK */
	BED_PROCESSING = 1,	/* popped by an ASK */
	BED_COMPLETED = 2,	/* the vCPU runs again */
	BED_LOST = 3,		/* popped by a completion of id -1 */
	BED_DELAYED = 4,	/* the access is still to be made */
};

enum bed_cmd {
	/*
	 * Forget all requests, faults and counters; stop storms and generators.
	 * The pool is BED_POOL_DEFAULT again. The completion of a forgotten
	 * request fails with -1, and its id is not reused before that.
	 */
	BED_CMD_RESET = 1,

	/*
	 * A frontend vCPU makes an access and stops.
	 * arg: device, op (BED_OP_WRITE or _READ), addr, width, value
	 *	(whole register), flags (BED_NO_IRQ), delay in ms (0: now;
	 *	otherwise the bed makes the access that much later)
	 * ret: handle
	 * status: -ENOSPC if the pool is exhausted, -EINVAL
	 */
	BED_CMD_REQUEST = 2,

	/*
	 * What became of a request.
	 * arg: handle
	 * ret: enum bed_request_state, op it was completed with, value it was
	 *	completed with (uncut), request id it had, order of its
	 *	completion (1 = the first completed since the reset)
	 */
	BED_CMD_QUERY = 3,

	/* Raise the device's interrupt in the backend. arg: device */
	BED_CMD_IRQ = 4,

	/*
	 * Let the next hypercalls fail, changing nothing.
	 * arg: device, op, status to return, how many calls
	 */
	BED_CMD_FAULT = 5,

	/*
	 * arg: device
	 * ret: see enum bed_counter
	 */
	BED_CMD_COUNTERS = 6,

	/*
	 * arg: how many requests the pool has, 1..BED_POOL_MAX
	 * status: -EBUSY if a request is outstanding, -EINVAL
	 */
	BED_CMD_POOL = 7,

	/*
	 * vCPUs that repeat one access without pause: as soon as one is
	 * completed the next is made.
	 * arg: device, op, addr, width, value, vCPUs, accesses in all
	 * status: -ENOSPC if the pool has not so many requests left, or if too
	 * many loads run, -EINVAL
	 */
	BED_CMD_STORM = 8,

	/*
	 * A seeded load on several devices, watched by an oracle.
	 * arg: seed, accesses in all, first device, devices, vCPUs
	 * Reads must be answered with bed_expected(addr), which the oracle
	 * compares after cutting both to the width. Every request must be
	 * completed once, with its own op. Addresses are device * 0x1000 + a
	 * multiple of 8 below 0x1000, written values are bed_expected(addr)
	 * with garbage above the width.
	 */
	BED_CMD_GENERATE = 9,

	/* ret: storm and generator accesses made, completed, violations */
	BED_CMD_PROGRESS = 10,

	/*
	 * arg: device, request id that the next ASK of the device shall
	 * report instead of the real one (the request stays bound to it)
	 */
	BED_CMD_NEXT_ID = 11,

	/*
	 * Read back whether the device's interrupt is enabled in the backend's
	 * GIC, as the distributor has it now, and whether it was ever seen
	 * disabled since the reset while a hypercall was handled.
	 * arg: device; ret: enabled now, seen disabled
	 * status: -EOPNOTSUPP if the backend has more than one vCPU
	 */
	BED_CMD_LINE = 12,

	/*
	 * Read and write the shared memory as the frontend sees it.
	 * arg: guest-physical address in a shared region, a multiple of 8,
	 *	value (POKE only)
	 * ret: value (PEEK only)
	 * status: -EINVAL if the address is in no region
	 */
	BED_CMD_PEEK = 13,
	BED_CMD_POKE = 14,

	/*
	 * Storms and generators make no further accesses. Unlike a reset this
	 * leaves what is outstanding, so that a server can finish in order.
	 */
	BED_CMD_STOP = 15,

	/*
	 * vCPUs that make accesses of 4 bytes at a pace, and are timed: from
	 * each access to its completion, in nanoseconds of the machine that the
	 * bed runs on. vCPU k starts with device k of those given and moves on
	 * by as many devices as there are vCPUs: a single one visits all in
	 * turn, and as many as devices stay at one each.
	 * arg: first device, devices, op, addr, vCPUs (1..64), accesses in all
	 *	(at most 1 << 20), pause of a vCPU between a completion and its
	 *	next access, in us (at most BED_PAUSE_MAX_US; 0: none)
	 * status: -EBUSY if the last ones are not all completed, -ENOSPC if the
	 * pool has not so many requests left, -EINVAL
	 */
	BED_CMD_PACE = 16,

	/*
	 * ret: paced accesses completed, and when all are: 50th and 99th
	 *	percentile, maximum and mean of their times, and the time from
	 *	the first access to the last completion, all in ns
	 */
	BED_CMD_TIMES = 17,

	/*
	 * Until the next reset the log says of each request how it is
	 * completed, and at the end of the run which ones are outstanding:
	 * what happens when no test runs any more.
	 */
	BED_CMD_FOLLOW = 18,
};

#define BED_NO_IRQ		1ULL		/* store it, raise no interrupt */

#define BED_PAUSE_MAX_US	1000000

#define BED_POOL_DEFAULT	64
#define BED_POOL_MAX		4096

/* Results of BED_CMD_COUNTERS, by register */
enum bed_counter {
	BED_CNT_REQUESTS,	/* accesses made */
	BED_CNT_IRQS,		/* interrupts raised in the backend */
	BED_CNT_ASK,		/* ASKs that popped a request */
	BED_CNT_ASK_EMPTY,	/* ASKs that found none */
	BED_CNT_WRITE,		/* writes completed */
	BED_CNT_READ,		/* reads completed */
	BED_CNT_NOTIFY,		/* interrupts raised in the frontend */
	BED_CNT_REFUSED,	/* hypercalls answered with -1, -2 or -3 */
	BED_CNT_VIOLATION,	/* what Bao would not notice: wrong op, uncut value */
	BED_CNT_NR
};

/**
 * bed_expected() - the value that the oracle expects for an address
 * @addr: the access's address
 *
 * Return: 64 mixed bits; the caller cuts them to the width.
 */
static inline uint64_t bed_expected(uint64_t addr)
{
	uint64_t x = addr + 0x9e3779b97f4a7c15ULL;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

#endif /* BED_CTL_H */
