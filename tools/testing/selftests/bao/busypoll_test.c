// SPDX-License-Identifier: GPL-2.0
/*
 * Busy-polling: while a caller spins, a request reaches it without a sleep and
 * without waking anybody, and what ends the spinning loses nothing
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "../kselftest_harness.h"
#include "event_util.h"

FIXTURE(poll) {
	int fd;
};

FIXTURE_SETUP(poll)
{
	const char *why = bao_begin(1);

	if (why)
		SKIP(return, "%s", why);
	self->fd = bao_open(0, O_RDWR);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(poll)
{
	close(self->fd);
}

/**
 * struct poller - a thread that makes one SERVE call and watches itself
 * @fd: the file
 * @budget_us: how long it may spin
 * @cpu: to stay on, or -1
 * @request: what it fetched
 * @nr_fetched: whether it did
 * @ret: what the call returned
 * @start_us: when the call began
 * @sleeps: how often it slept in the call
 * @in_time: the call took less than the budget, so that it need not have slept
 * @tid: the thread, once it runs
 * @done: the call has returned
 */
struct poller {
	int fd;
	u32 budget_us;
	int cpu;
	struct bao_request request;
	u32 nr_fetched;
	int ret;
	u64 start_us;
	long sleeps;
	bool in_time;
	atomic_int tid;
	atomic_bool done;
	pthread_t thread;
};

static int serve_polling(int fd, struct bao_serve *s, u32 budget_us,
			 const struct bao_completion *c, unsigned int nr_c,
			 struct bao_request *r)
{
	*s = (struct bao_serve) {
		.size = sizeof(*s),
		.completions = (uintptr_t)c,
		.requests = (uintptr_t)r,
		.nr_completions = nr_c,
		.nr_requests = 1,
		.busy_poll_us = budget_us,
	};
	return bao_ioctl(fd, BAO_IOCTL_SERVE, s);
}

static long sleeps(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nvcsw;
}

static u64 now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000ULL + now.tv_nsec / 1000;
}

static bool is_in_time(const struct poller *p)
{
	return now_us() - p->start_us < p->budget_us;
}

static void *poller_thread(void *data)
{
	struct poller *p = data;
	struct bao_serve s;
	long before;

	if (p->cpu >= 0)
		bao_pin(p->cpu);
	p->start_us = now_us();
	before = sleeps();
	p->tid = syscall(__NR_gettid);
	p->ret = serve_polling(p->fd, &s, p->budget_us, NULL, 0, &p->request);
	p->sleeps = sleeps() - before;
	p->in_time = is_in_time(p);
	p->nr_fetched = s.nr_fetched;
	p->done = true;
	return NULL;
}

static bool start(struct poller *p)
{
	p->tid = -1;
	p->done = false;
	return !pthread_create(&p->thread, NULL, poller_thread, p) &&
	       bao_wait_until(p->tid > 0);
}

static bool join(struct poller *p)
{
	return bao_wait_until(p->done) && !pthread_join(p->thread, NULL);
}

TEST_F(poll, budget_has_a_limit)
{
	struct bao_request r;
	struct bao_serve s;

	frontend_read(0, BAO_ADDR, 4);
	ASSERT_TRUE(bao_poll_in(self->fd));
	EXPECT_EQ(-EINVAL, serve_polling(self->fd, &s, BAO_BUSY_POLL_MAX_US + 1,
					 NULL, 0, &r));
	EXPECT_EQ(-EINVAL, serve_polling(self->fd, &s, ~0u, NULL, 0, &r));
	EXPECT_EQ(0, serve_polling(self->fd, &s, BAO_BUSY_POLL_MAX_US, NULL, 0,
				   &r));
	EXPECT_EQ(1, s.nr_fetched);
	EXPECT_EQ(BAO_BUSY_POLL_MAX_US, s.busy_poll_us);
	EXPECT_EQ(0, bao_complete(self->fd, r.id, 0));
}

#define ROUNDS	10

/* On a slow machine both sleep by now, and the sibling, first in line, has it. */
static bool too_late(struct poller *p, struct bao_caller *sibling)
{
	if (is_in_time(p)) {
		fprintf(stderr, "# a sleeper was woken while another polled\n");
		return false;
	}
	frontend_read(0, BAO_ADDR, 4);
	return bao_caller_join(sibling) && join(p) &&
	       !bao_complete(p->fd, sibling->request.id, 0) &&
	       !bao_complete(p->fd, p->request.id, 0) &&
	       bao_caller_start(sibling);
}

/*
 * A request that comes some time after the call. If the machine is so slow that
 * the budget was over by then, the round has shown nothing and is repeated.
 */
static bool poll_round(struct poller *p, struct bao_caller *sibling)
{
	u64 handle;

	*p = (struct poller) {
		.fd = sibling->fd,
		.budget_us = BAO_BUSY_POLL_MAX_US,
		.cpu = -1,
	};
	if (!start(p))
		return false;
	handle = frontend_access(0, BED_OP_READ, BAO_ADDR, 4, 0, 0, 20);
	if (!bao_wait_until(p->done || sibling->done))
		return false;
	if (sibling->done)
		return too_late(p, sibling);
	return join(p) && !p->ret && p->nr_fetched == 1 &&
	       p->request.addr == BAO_ADDR &&
	       !bao_complete(p->fd, p->request.id, 3) &&
	       frontend_query(handle).value == 3;
}

TEST_F_TIMEOUT(poll, neither_sleeps_nor_wakes, 120)
{
	struct bao_caller sibling = { .fd = self->fd };
	struct poller p;
	int good = 0;
	long before;

	ASSERT_TRUE(bao_caller_start(&sibling));
	for (int i = 0; i < 10 * ROUNDS && good < ROUNDS; i++) {
		before = bao_switches(sibling.tid);
		ASSERT_LT(0, before);
		ASSERT_TRUE(poll_round(&p, &sibling));
		if (!p.in_time)
			continue;
		EXPECT_EQ(0, p.sleeps);
		EXPECT_TRUE(bao_caller_blocked(&sibling));
		EXPECT_EQ(before, bao_switches(sibling.tid));
		good++;
	}
	EXPECT_EQ(ROUNDS, good);
	EXPECT_FALSE(sibling.done);
	EXPECT_EQ(0, bed_count(0, BED_CNT_ASK_EMPTY));

	frontend_read(0, BAO_ADDR + 8, 4);
	ASSERT_TRUE(bao_caller_join(&sibling));
	EXPECT_EQ(1, sibling.serve.nr_fetched);
	EXPECT_EQ(BAO_ADDR + 8, sibling.request.addr);
}

/* The first is the poller's; the second needs somebody else. */
TEST_F(poll, second_request_wakes_a_sleeper)
{
	struct poller p = {
		.fd = self->fd,
		.budget_us = BAO_BUSY_POLL_MAX_US,
		.cpu = -1,
	};
	struct bao_caller sibling = { .fd = self->fd };

	ASSERT_TRUE(bao_caller_start(&sibling));
	ASSERT_TRUE(start(&p));
	frontend_quiet(0, BAO_ADDR);
	frontend_quiet(0, BAO_ADDR + 8);
	bed_irq(0);
	ASSERT_TRUE(join(&p));
	ASSERT_TRUE(bao_caller_join(&sibling));
	EXPECT_EQ(1, p.nr_fetched);
	EXPECT_EQ(1, sibling.serve.nr_fetched);
	EXPECT_EQ(2 * BAO_ADDR + 8, p.request.addr + sibling.request.addr);
}

TEST_F(poll, sleeps_when_the_budget_is_over)
{
	for (int i = 0; i < 20; i++) {
		struct poller p = {
			.fd = self->fd,
			.budget_us = 1 + 50 * i,
			.cpu = -1,
		};

		ASSERT_TRUE(start(&p));
		ASSERT_TRUE(bao_wait_until(bao_blocked_in(p.tid, __NR_ioctl)));
		frontend_read(0, BAO_ADDR + 8 * i, 4);
		ASSERT_TRUE(join(&p));
		EXPECT_EQ(0, p.ret);
		EXPECT_EQ(1, p.nr_fetched);
		EXPECT_EQ(BAO_ADDR + 8 * i, p.request.addr);
		EXPECT_LT(0, p.sleeps);
	}
}

/* It must not keep the one that it waits for from its CPU. */
TEST_F_TIMEOUT(poll, lets_others_run, 60)
{
	struct bao_request *r;

	ASSERT_TRUE(bao_pin(0));
	for (int i = 0; i < 5; i++) {
		struct poller p = {
			.fd = self->fd,
			.budget_us = BAO_BUSY_POLL_MAX_US,
			.cpu = 0,
		};

		ASSERT_TRUE(start(&p));
		frontend_read(0, BAO_ADDR, 4);
		ASSERT_TRUE(join(&p));
		r = &p.request;
		EXPECT_EQ(1, p.nr_fetched);
		EXPECT_EQ(0, bao_complete(self->fd, r->id, 0));
	}
}

TEST_F(poll, nonblocking_never_polls)
{
	struct bao_request r;
	struct rusage usage;
	struct bao_serve s;

	ASSERT_EQ(0, fcntl(self->fd, F_SETFL, O_NONBLOCK));
	for (int i = 0; i < 10; i++)
		EXPECT_EQ(-EAGAIN, serve_polling(self->fd, &s,
						 BAO_BUSY_POLL_MAX_US, NULL, 0,
						 &r));
	/* All of them together have not taken the time of one budget. */
	getrusage(RUSAGE_THREAD, &usage);
	EXPECT_GT(BAO_BUSY_POLL_MAX_US,
		  usage.ru_stime.tv_sec * 1000000 + usage.ru_stime.tv_usec);
}

static void ignore(int sig)
{
}

static bool signal_until_done(struct poller *p)
{
	return bao_wait_until(({
		pthread_kill(p->thread, SIGUSR1);
		p->done;
	})) && join(p);
}

/*
 * A thread that was polling when the signal came has not slept. Only a round
 * without a sleep shows that: on a slow machine the budget may be over, and on
 * PREEMPT_RT the sender can hold a lock that the receipt of a signal needs.
 */
TEST_F_TIMEOUT(poll, signal_ends_it, 60)
{
	struct sigaction act = { .sa_handler = ignore };
	struct poller p;
	int good = 0;

	ASSERT_EQ(0, sigaction(SIGUSR1, &act, NULL));
	for (int i = 0; i < 10 * ROUNDS && good < ROUNDS; i++) {
		p = (struct poller) {
			.fd = self->fd,
			.budget_us = BAO_BUSY_POLL_MAX_US,
			.cpu = -1,
		};
		ASSERT_TRUE(start(&p));
		ASSERT_TRUE(signal_until_done(&p));
		EXPECT_EQ(-EINTR, p.ret);
		good += p.in_time && !p.sleeps;
	}
	EXPECT_EQ(ROUNDS, good);
	EXPECT_TRUE(bao_reaches_vmm(0, self->fd, frontend_read(0, BAO_ADDR,
							       4)));
}

TEST_F_TIMEOUT(poll, unbind_ends_it, 60)
{
	struct poller p = {
		.fd = self->fd,
		.budget_us = BAO_BUSY_POLL_MAX_US,
		.cpu = -1,
	};

	ASSERT_TRUE(start(&p));
	ASSERT_EQ(0, bao_unbind());
	ASSERT_TRUE(join(&p));
	EXPECT_EQ(-ENODEV, p.ret);
	EXPECT_EQ(0, bao_bind(bao_device()));
}

/**
 * struct server - a thread that serves with a budget that changes
 * @fd: the file
 * @max_us: the budgets are below it; 0 for never
 * @seed: of the budgets
 * @served: requests that it answered, without the one that stopped it
 * @error: what ended it, if not that
 * @done: it has ended
 */
struct server {
	int fd;
	u32 max_us;
	u64 seed;
	atomic_ulong served;
	atomic_int error;
	atomic_bool done;
	pthread_t thread;
};

static void *server_thread(void *data)
{
	struct server *srv = data;
	struct bao_completion c = {};
	struct bao_request r = {};
	unsigned int nr_c = 0;
	struct bao_serve s;
	u32 budget;

	for (;;) {
		budget = srv->max_us ? bao_random(&srv->seed) % srv->max_us : 0;
		srv->error = serve_polling(srv->fd, &s, budget, &c, nr_c, &r);
		if (srv->error || s.nr_completed != nr_c || s.nr_fetched != 1)
			break;
		c = (struct bao_completion) { r.id, bed_expected(r.addr) };
		nr_c = 1;
		if (r.addr == BAO_STOP_ADDR) {
			srv->error = bao_complete(srv->fd, c.id, c.value);
			break;
		}
		srv->served++;
	}
	srv->done = true;
	return NULL;
}

#define SERVERS	6

FIXTURE(load) {
	int fd;
	struct server servers[SERVERS];
};

FIXTURE_VARIANT(load) {
	u64 accesses;
	unsigned int vcpus;
};

/* Few requests at a time are what the pollers are left alone with. */
FIXTURE_VARIANT_ADD(load, one_vcpu) { 300, 1 };
FIXTURE_VARIANT_ADD(load, three_vcpus) { 600, 3 };
FIXTURE_VARIANT_ADD(load, many_vcpus) { 1000, 32 };

FIXTURE_SETUP(load)
{
	const char *why = bao_begin(1);

	if (why)
		SKIP(return, "%s", why);
	self->fd = bao_open(0, O_RDWR);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(load)
{
	close(self->fd);
}

/* Half of the threads never poll; the others' budgets are short and long. */
TEST_F_TIMEOUT(load, pollers_and_sleepers, 120)
{
	struct server *srv = self->servers;
	u64 seed = bao_seed();
	u64 sum = 0, stop[SERVERS];

	for (int i = 0; i < SERVERS; i++) {
		srv[i].fd = self->fd;
		srv[i].seed = seed + ((u64)i << 32);
		srv[i].max_us = i % 2 ? 10u << 2 * i : 0;
		ASSERT_EQ(0, pthread_create(&srv[i].thread, NULL, server_thread,
					    &srv[i]));
	}
	bed_generate(seed, variant->accesses, 0, 1, variant->vcpus);
	EXPECT_TRUE(bed_finished(variant->accesses));
	for (int i = 0; i < SERVERS; i++)
		stop[i] = frontend_read(0, BAO_STOP_ADDR, 4);
	for (int i = 0; i < SERVERS; i++) {
		ASSERT_TRUE(bao_wait_until(srv[i].done));
		pthread_join(srv[i].thread, NULL);
		EXPECT_EQ(0, srv[i].error);
		EXPECT_EQ(BED_COMPLETED, frontend_query(stop[i]).state);
		sum += srv[i].served;
	}
	EXPECT_EQ(variant->accesses, sum);
	EXPECT_EQ(0, bed_progress().violations);
	EXPECT_EQ(sum + SERVERS, bed_count(0, BED_CNT_ASK));
	EXPECT_EQ(sum + SERVERS, bed_completions(0));
	EXPECT_EQ(0, bed_count(0, BED_CNT_REFUSED));
}

TEST_HARNESS_MAIN
