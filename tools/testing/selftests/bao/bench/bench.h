/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of bao-bench share
 */
#ifndef BAO_BENCH_H
#define BAO_BENCH_H

#include <stdatomic.h>
#include <stdnoreturn.h>

#include "../bao_test_util.h"

#define BENCH_ADDR		0x0a000050ULL	/* of the measured accesses */
#define BENCH_BACKENDS_MAX	64

#define __printf(a, b)		__attribute__((format(printf, a, b)))

noreturn void __printf(1, 2) fail(const char *fmt, ...);

/**
 * struct vmm - serves backends 0 to @nr - 1, with a thread for each
 * @nr: how many
 * @busy_poll_us: how long a thread polls before it sleeps
 * @servers: the threads
 */
struct vmm {
	unsigned int nr;
	unsigned int busy_poll_us;
	struct server {
		struct vmm *vmm;
		int fd;
		int kick;		/* eventfd, or -1 */
		pthread_t thread;
		atomic_int tid;
	} servers[BENCH_BACKENDS_MAX];
};

/* vmm.c */
void vmm_start(struct vmm *vmm, unsigned int nr, unsigned int busy_poll_us);
void vmm_stop(struct vmm *vmm);
void vmm_add_kicks(struct vmm *vmm);
void vmm_add_values(struct vmm *vmm);
u64 vmm_kicks(struct vmm *vmm);
void vmm_settle(struct vmm *vmm);

/**
 * struct tally - what the kernel did between trace_begin() and trace_end()
 * @syscalls: system calls of the watched threads
 * @switches: how often a watched thread was switched away from
 * @early_switches: any switches between the driver's interrupt and the
 *	completion of a kick or load
 * @wakeups: of watched threads and of the driver's threads
 * @allocs: allocations by either, or in the driver's interrupt handler
 * @interrupts: the driver's
 * @direct: completed by the driver itself, for an ioeventfd or from an iovalue
 */
struct tally {
	u64 syscalls;
	u64 switches;
	u64 early_switches;
	u64 wakeups;
	u64 allocs;
	u64 interrupts;
	u64 direct;
};

/* trace.c */
void trace_open(void);
void trace_close(void);
void trace_begin(void);
void trace_end(const int *tids, unsigned int nr, struct tally *tally);

#endif /* BAO_BENCH_H */
