// SPDX-License-Identifier: GPL-2.0
/*
 * Several backends at once: none sees, completes or delays what is another's
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>

#include "../kselftest_harness.h"
#include "bao_test_util.h"

FIXTURE(two) {
	int fd[2];
};

FIXTURE_SETUP(two)
{
	const char *why = bao_begin(2);

	if (why)
		SKIP(return, "%s", why);
	ASSERT_TRUE(bao_open_first(self->fd, 2, O_RDWR | O_NONBLOCK));
}

FIXTURE_TEARDOWN(two)
{
	close(self->fd[0]);
	close(self->fd[1]);
}

TEST_F(two, each_sees_its_own_requests)
{
	u64 handles[20];
	struct bao_request r;
	struct bao_serve s;

	/* Both use the same addresses. */
	for (int i = 0; i < 20; i++)
		handles[i] = frontend_read(i % 2, BAO_ADDR + i / 2, 1);

	/* All of the second first, so that a mix-up would show. */
	for (int dev = 1; dev >= 0; dev--) {
		for (int i = 0; i < 10; i++) {
			ASSERT_EQ(1, bao_fetch(self->fd[dev], &r, 1));
			EXPECT_EQ(BAO_ADDR + i, r.addr);
			EXPECT_EQ(0, bao_complete(self->fd[dev], r.id,
						  100 * dev + i));
		}
		EXPECT_EQ(-EAGAIN, bao_serve(self->fd[dev], &s, NULL, 0, &r, 1));
		EXPECT_EQ(10, bed_count(dev, BED_CNT_READ));
		EXPECT_EQ(10, bed_count(dev, BED_CNT_ASK));
	}

	for (int i = 0; i < 20; i++) {
		EXPECT_EQ(BED_COMPLETED, frontend_query(handles[i]).state);
		EXPECT_EQ(100 * (i % 2) + i / 2,
			  frontend_query(handles[i]).value);
	}
	EXPECT_EQ(0, bed_count(0, BED_CNT_REFUSED));
	EXPECT_EQ(0, bed_count(1, BED_CNT_REFUSED));
}

TEST_F(two, foreign_completion_reaches_no_hypervisor)
{
	struct bao_request r;
	u64 handle;

	handle = frontend_read(0, BAO_ADDR, 4);
	ASSERT_EQ(1, bao_fetch(self->fd[0], &r, 1));

	EXPECT_EQ(-ENOENT, bao_complete(self->fd[1], r.id, 0xbad));
	EXPECT_EQ(0, bed_completions(0));
	EXPECT_EQ(0, bed_completions(1));
	EXPECT_EQ(BED_PROCESSING, frontend_query(handle).state);

	EXPECT_EQ(0, bao_complete(self->fd[0], r.id, 9));
	EXPECT_EQ(9, frontend_query(handle).value);
}

TEST_F(two, notify_reaches_the_own_frontend)
{
	struct bao_notify n = { .size = sizeof(n) };

	EXPECT_EQ(0, bao_ioctl(self->fd[1], BAO_IOCTL_NOTIFY, &n));
	EXPECT_EQ(0, bed_count(0, BED_CNT_NOTIFY));
	EXPECT_EQ(1, bed_count(1, BED_CNT_NOTIFY));
}

/* A VMM that ends gives its own requests back, and nobody else's. */
TEST_F(two, closing_one_leaves_the_other)
{
	struct bao_request r[2];
	u64 handles[2];

	for (int i = 0; i < 2; i++) {
		handles[i] = frontend_read(i, BAO_ADDR, 4);
		ASSERT_EQ(1, bao_fetch(self->fd[i], &r[i], 1));
	}
	close(self->fd[0]);
	EXPECT_EQ(0, bao_complete(self->fd[1], r[1].id, 2));
	EXPECT_EQ(2, frontend_query(handles[1]).value);

	self->fd[0] = bao_open(0, O_RDWR | O_NONBLOCK);
	ASSERT_EQ(1, bao_fetch(self->fd[0], &r[0], 1));
	EXPECT_EQ(BAO_REQUEST_REDELIVERED, r[0].flags);
	EXPECT_EQ(0, bao_complete(self->fd[0], r[0].id, 1));
	EXPECT_EQ(1, frontend_query(handles[0]).value);
}

#define MAX_DEVICES	64
#define BATCH		8

/* As many devices as the bed was started with */
FIXTURE(all) {
	unsigned int nr;
	int ep;
	int fd[MAX_DEVICES];
	unsigned int served[MAX_DEVICES];
};

FIXTURE_VARIANT(all) {
	unsigned int nr;
};

FIXTURE_VARIANT_ADD(all, four) { 4 };
FIXTURE_VARIANT_ADD(all, sixty_four) { MAX_DEVICES };

FIXTURE_SETUP(all)
{
	const char *why = bao_begin(variant->nr);

	if (why)
		SKIP(return, "%s", why);

	self->nr = variant->nr;
	self->ep = epoll_create1(EPOLL_CLOEXEC);
	ASSERT_LE(0, self->ep);
	for (unsigned int i = 0; i < self->nr; i++) {
		struct epoll_event ev = { .events = EPOLLIN, .data.u32 = i };

		self->fd[i] = bao_open(i, O_RDWR | O_NONBLOCK);
		ASSERT_LE(0, self->fd[i]);
		ASSERT_EQ(0, epoll_ctl(self->ep, EPOLL_CTL_ADD, self->fd[i],
				       &ev));
	}
}

FIXTURE_TEARDOWN(all)
{
	for (unsigned int i = 0; i < self->nr; i++)
		close(self->fd[i]);
	close(self->ep);
}

/* Whether a request is one that the generator makes for this device */
static bool is_good(const struct bao_request *r, unsigned int device)
{
	return r->addr / 0x1000 == device && !r->flags &&
	       (r->op == BAO_OP_READ ? r->value == 0 :
		r->value == bao_cut(bed_expected(r->addr), r->width));
}

/* Serves what waits at one backend. Returns how much, or -1. */
static int serve_device(int fd, unsigned int device)
{
	struct bao_completion c[BATCH];
	struct bao_request r[BATCH];
	struct bao_serve s;

	if (bao_serve(fd, &s, NULL, 0, r, BATCH))
		return -1;
	for (unsigned int i = 0; i < s.nr_fetched; i++) {
		if (!is_good(&r[i], device))
			return -1;
		c[i] = (struct bao_completion) { r[i].id,
						 bed_expected(r[i].addr) };
	}
	return bao_serve(fd, &s, c, s.nr_fetched, NULL, 0) ? -1 :
	       s.nr_completed;
}

TEST_F(all, at_once)
{
	const unsigned int accesses = 16 * self->nr;
	struct epoll_event ev[16];
	unsigned int sum = 0;
	int nr, served;

	bed_pool(BED_POOL_MAX);
	bed_generate(1 + self->nr, accesses, 0, self->nr, 2 * self->nr);
	while (sum < accesses) {
		nr = epoll_wait(self->ep, ev, 16, BAO_WATCHDOG_MS);
		ASSERT_LT(0, nr)
			TH_LOG("no request comes after %u of %u", sum, accesses);
		for (int i = 0; i < nr; i++) {
			unsigned int dev = ev[i].data.u32;

			ASSERT_EQ(EPOLLIN, ev[i].events);
			served = serve_device(self->fd[dev], dev);
			ASSERT_LT(0, served)
				TH_LOG("backend %u", dev);
			self->served[dev] += served;
			sum += served;
		}
	}

	EXPECT_EQ(accesses, sum);
	EXPECT_EQ(accesses, bed_progress().made);
	EXPECT_EQ(accesses, bed_progress().completed);
	EXPECT_EQ(0, bed_progress().violations);

	/* Each request cost one ASK that found it and one completion. */
	for (unsigned int i = 0; i < self->nr; i++) {
		EXPECT_EQ(self->served[i], bed_count(i, BED_CNT_REQUESTS));
		EXPECT_EQ(self->served[i], bed_count(i, BED_CNT_ASK));
		EXPECT_EQ(self->served[i], bed_completions(i));
		EXPECT_EQ(0, bed_count(i, BED_CNT_REFUSED));
		EXPECT_EQ(0, bed_count(i, BED_CNT_VIOLATION));
	}
}

/* A thread for each, all asleep and woken at once */
TEST_F(all, threads)
{
	const unsigned int accesses = 16 * self->nr;
	struct bao_server s[MAX_DEVICES] = {};
	unsigned long sum = 0;

	for (unsigned int i = 0; i < self->nr; i++) {
		close(self->fd[i]);
		self->fd[i] = bao_open(i, O_RDWR);
		ASSERT_LE(0, self->fd[i]);
		s[i].fd = self->fd[i];
		bao_server_start(&s[i]);
	}
	bed_pool(BED_POOL_MAX);
	bed_generate(2 + self->nr, accesses, 0, self->nr, 2 * self->nr);
	EXPECT_TRUE(bao_wait_until(bed_progress().completed == accesses));
	EXPECT_EQ(0, bed_progress().violations);

	for (unsigned int i = 0; i < self->nr; i++) {
		ASSERT_TRUE(bao_server_stop(i, &s[i], 1));
		EXPECT_EQ(0, s[i].bad);
		EXPECT_EQ(s[i].served + 1, bed_count(i, BED_CNT_ASK));
		EXPECT_EQ(s[i].served + 1, bed_completions(i));
		sum += s[i].served;
	}
	EXPECT_EQ(accesses, sum);
}

TEST_HARNESS_MAIN
