/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of the Bao I/O dispatcher share
 *
 * A test plays the VMM through /dev/bao/backend<i>, and the frontend through
 * the control page of the test bed (bed_ctl.h). So it sees both ends of every
 * request: what the VMM was told, and what the frontend's vCPU got.
 *
 * The frontend's side is for one thread at a time. When the bed refuses a
 * command the test is wrong or the bed is broken, so those functions end the
 * test with a message instead of returning an error. The VMM's side returns
 * 0 or a count, or a negative errno, and may be used from any thread.
 */
#ifndef BAO_TEST_UTIL_H
#define BAO_TEST_UTIL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <linux/bao.h>

#include "bed_ctl.h"

typedef __u64 u64;
typedef __s64 s64;
typedef __u32 u32;

/*
 * How long a test waits for what must happen before it calls it hung. Nothing
 * is expected to take a noticeable part of this, even in nested emulation.
 */
#define BAO_WATCHDOG_MS		60000

/* The same for a whole test, in seconds, instead of the harness's idea of it */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	180

/* An address of no special meaning, and the one that ends a bao_server */
#define BAO_ADDR		0x0a000040ULL
#define BAO_STOP_ADDR		0x0badf000ULL

#define BAO_GARBAGE		0xfedcba9876543210ULL

/* Requests that the driver holds for a backend: bao_info.max_requests */
#define BAO_SLOTS		64

/* Set-up: bao_test_util.c */
const char *bao_begin(unsigned int nr_devices);
unsigned int bao_nr_devices(void);
const char *bao_device(void);
int bao_bind(const char *device);
int bao_unbind(void);
bool bao_is_bound(void);
const char *bao_load(void);

/* The VMM's side */
int bao_open(unsigned int device, int flags);
bool bao_open_first(int *fds, unsigned int nr, int flags);
int bao_ioctl(int fd, unsigned long cmd, void *arg);
int bao_serve(int fd, struct bao_serve *s,
	      const struct bao_completion *completions, unsigned int nr_c,
	      struct bao_request *requests, unsigned int nr_r);
int bao_complete(int fd, u64 id, u64 value);
int bao_fetch(int fd, struct bao_request *requests, unsigned int nr);
bool bao_poll_in(int fd);
bool bao_raises_sigbus(char *p);

/* The frontend's side: bed_client.c */

/**
 * struct bed_result - what became of a request
 * @state: enum bed_request_state
 * @op: the operation it was completed with
 * @value: the value it was completed with, uncut
 * @id: the hypervisor's name for it
 * @order: 1 for the first request completed since the reset
 */
struct bed_result {
	u64 state;
	u64 op;
	u64 value;
	u64 id;
	u64 order;
};

/**
 * struct bed_progress - how far storm and generator have come
 * @made: accesses made
 * @completed: accesses completed
 * @violations: accesses completed wrongly
 */
struct bed_progress {
	u64 made;
	u64 completed;
	u64 violations;
};

const char *bed_map(void);
unsigned int bao_nr_devices(void);
long bed_try(enum bed_cmd cmd, unsigned int nr_args, const u64 *args);
u64 bed_ret(unsigned int n);
void bed_reset(void);
u64 frontend_access(unsigned int device, enum bed_op op, u64 addr,
		    unsigned int width, u64 value, u64 flags,
		    unsigned int delay_ms);
u64 frontend_write(unsigned int device, u64 addr, unsigned int width,
		   u64 value);
u64 frontend_read(unsigned int device, u64 addr, unsigned int width);
u64 frontend_quiet(unsigned int device, u64 addr);
struct bed_result frontend_query(u64 handle);
void bed_irq(unsigned int device);
void bed_fault(unsigned int device, enum bed_op op, s64 status,
	       u64 calls);
u64 bed_count(unsigned int device, enum bed_counter counter);
u64 bed_completions(unsigned int device);
void bed_pool(unsigned int requests);
void bed_storm(unsigned int device, u64 addr, unsigned int vcpus,
	       u64 accesses);
void bed_storm_writes(unsigned int device, u64 addr, unsigned int vcpus,
		      u64 accesses);
void bed_generate(u64 seed, u64 accesses, unsigned int first,
		  unsigned int devices, unsigned int vcpus);
struct bed_progress bed_progress(void);
void bed_next_id(unsigned int device, u64 id);
u64 bed_peek(u64 addr);
void bed_poke(u64 addr, u64 value);
void bed_follow(void);

/* Waiting */
u64 bao_now_ms(void);
void bao_pause(void);
bool bao_blocked_in(pid_t tid, long syscall_nr);
long bao_switches(pid_t tid);

/* How long something has been waited for */
struct bao_watchdog {
	u64 last_ms;
	u64 waited_ms;
};

bool bao_watchdog_pause(struct bao_watchdog *dog);
void bao_watchdog_report(const char *file, int line, const char *cond);

/**
 * bao_wait_until() - look again and again until something has happened
 * @cond: what shall happen
 *
 * Return: whether @cond came true before the watchdog's time was up.
 */
#define bao_wait_until(cond) ({						\
	struct bao_watchdog __dog = { .last_ms = bao_now_ms() };	\
	bool __done;							\
									\
	while (!(__done = (cond)) && bao_watchdog_pause(&__dog))	\
		;							\
	if (!__done)							\
		bao_watchdog_report(__FILE__, __LINE__, #cond);		\
	__done;								\
})

/**
 * struct bao_caller - a thread that makes one SERVE call
 * @fd: the file; set by the caller of bao_caller_start()
 * @completion: carried out by the call if @nr_completions is 1
 * @nr_completions: 0 or 1
 * @request: what it fetched
 * @serve: the call's argument, as it came back
 * @ret: what it returned
 * @tid: the thread, once it runs
 * @done: the call has returned
 */
struct bao_caller {
	int fd;
	struct bao_completion completion;
	unsigned int nr_completions;
	struct bao_request request;
	struct bao_serve serve;
	int ret;
	atomic_int tid;
	atomic_bool done;
	pthread_t thread;
};

bool bao_caller_start(struct bao_caller *c);
bool bao_caller_blocked(struct bao_caller *c);
bool bao_caller_join(struct bao_caller *c);

/**
 * struct bao_server - a thread that serves until it is asked to stop
 * @fd: the file; set by the caller of bao_server_start()
 * @served: requests that it completed, without the one that stopped it
 * @bad: writes that carried something else than bed_expected()
 * @error: the error of the call that ended the thread
 * @tolerant: -EIO does not end it
 * @tid: the thread, once it runs
 * @done: it has ended
 *
 * Answers reads with bed_expected(). A request for BAO_STOP_ADDR ends it.
 */
struct bao_server {
	int fd;
	atomic_ulong served;
	atomic_ulong bad;
	atomic_int error;
	atomic_bool tolerant;
	atomic_int tid;
	atomic_bool done;
	pthread_t thread;
};

void bao_server_start(struct bao_server *s);
bool bao_server_forget(struct bao_server *s);
bool bao_server_stop(unsigned int device, struct bao_server *s,
		     unsigned int nr);

/**
 * bao_cut() - cut a value to the width of an access
 * @value: the value
 * @width: 1, 2, 4 or 8 bytes
 *
 * Return: the low @width bytes of @value.
 */
static inline u64 bao_cut(u64 value, unsigned int width)
{
	return width < 8 ? value & ((1ULL << (8 * width)) - 1) : value;
}

/* The kernel log: bao_test_util.c */
int bao_log_open(void);
unsigned int bao_log_count(int fd, const char *must, const char *also);

#endif /* BAO_TEST_UTIL_H */
