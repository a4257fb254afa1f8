// SPDX-License-Identifier: GPL-2.0
/*
 * Interrupts and the hypervisor's queue: an interrupt stands for any number of
 * requests, also for none, and what the driver has no room for waits
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>

#include "../kselftest_harness.h"
#include "bao_test_util.h"

#define MANY	(3 * BAO_SLOTS)

FIXTURE(irq) {
	int fd;
	u64 handles[MANY];
	struct bao_request requests[MANY];
};

#define SELF	FIXTURE_DATA(irq)

FIXTURE_SETUP(irq)
{
	const char *why = bao_begin(1);

	if (why)
		SKIP(return, "%s", why);
	self->fd = bao_open(0, O_RDWR | O_NONBLOCK);
	ASSERT_LE(0, self->fd);
	bed_pool(BED_POOL_MAX);
}

FIXTURE_TEARDOWN(irq)
{
	close(self->fd);
}

static u64 addr(unsigned int i)
{
	return BAO_ADDR + 8 * i;
}

static bool is_answered(u64 handle, u64 value)
{
	struct bed_result r = frontend_query(handle);

	return r.state == BED_COMPLETED && r.value == value;
}

static bool is_waiting(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0);
}

static bool asked(u64 times)
{
	return bao_wait_until(bed_count(0, BED_CNT_ASK) == times);
}

/* Serves the next @nr requests, which must be those for addr(@first) on. */
static bool serve_some(SELF *self, unsigned int first, unsigned int nr)
{
	struct bao_request r;

	for (unsigned int i = first; i < first + nr; i++)
		if (bao_fetch(self->fd, &r, 1) != 1 || r.addr != addr(i) ||
		    bao_complete(self->fd, r.id, i) ||
		    !is_answered(self->handles[i], i))
			return false;
	return true;
}

/* More than one interrupt may take up by itself */
TEST_F(irq, one_for_many_requests)
{
	for (int i = 0; i < BAO_SLOTS; i++)
		self->handles[i] = frontend_quiet(0, addr(i));
	EXPECT_FALSE(is_waiting(self->fd));
	EXPECT_EQ(0, bed_count(0, BED_CNT_ASK));

	bed_irq(0);
	EXPECT_TRUE(asked(BAO_SLOTS));
	EXPECT_TRUE(serve_some(self, 0, BAO_SLOTS));
	EXPECT_EQ(1, bed_count(0, BED_CNT_IRQS));
}

TEST_F(irq, many_for_no_request)
{
	for (int i = 1; i <= 20; i++) {
		bed_irq(0);
		ASSERT_TRUE(bao_wait_until(bed_count(0, BED_CNT_ASK_EMPTY) >= i));
	}
	EXPECT_FALSE(is_waiting(self->fd));
	EXPECT_EQ(0, bed_count(0, BED_CNT_ASK));

	/* The kernel must not have taken the line for a broken one. */
	for (int i = 0; i < 3; i++)
		self->handles[i] = frontend_read(0, addr(i), 4);
	EXPECT_TRUE(serve_some(self, 0, 3));
}

TEST_F(irq, late)
{
	self->handles[0] = frontend_quiet(0, addr(0));
	EXPECT_EQ(BED_PENDING, frontend_query(self->handles[0]).state);
	EXPECT_FALSE(is_waiting(self->fd));

	bed_irq(0);
	EXPECT_TRUE(serve_some(self, 0, 1));
}

TEST_F(irq, missing_until_the_next_request)
{
	self->handles[0] = frontend_quiet(0, addr(0));
	self->handles[1] = frontend_quiet(0, addr(1));
	self->handles[2] = frontend_read(0, addr(2), 4);
	EXPECT_TRUE(serve_some(self, 0, 3));
	EXPECT_EQ(1, bed_count(0, BED_CNT_IRQS));
}

/* What the hypervisor has said needs no second question. */
TEST_F(irq, last_request_saves_an_ask)
{
	for (int i = 0; i < 20; i++) {
		self->handles[i] = frontend_read(0, addr(i), 4);
		ASSERT_TRUE(serve_some(self, i, 1));
	}
	EXPECT_EQ(20, bed_count(0, BED_CNT_ASK));
	EXPECT_EQ(0, bed_count(0, BED_CNT_ASK_EMPTY));
}

TEST_F(irq, full_table_leaves_the_rest)
{
	struct bao_info info = { .size = sizeof(info) };

	ASSERT_EQ(0, bao_ioctl(self->fd, BAO_IOCTL_INFO, &info));
	ASSERT_EQ(BAO_SLOTS, info.max_requests);

	for (int i = 0; i < MANY; i++)
		self->handles[i] = frontend_read(0, addr(i), 4);
	ASSERT_TRUE(asked(BAO_SLOTS));
	ASSERT_EQ(BAO_SLOTS, bao_fetch(self->fd, self->requests, BAO_SLOTS));

	/* One in, one out: fetched requests take room as well. */
	for (int i = 0; i < 10; i++) {
		EXPECT_FALSE(is_waiting(self->fd));
		EXPECT_EQ(BAO_SLOTS + i, bed_count(0, BED_CNT_ASK));
		EXPECT_EQ(BED_PENDING,
			  frontend_query(self->handles[BAO_SLOTS + i]).state);

		ASSERT_EQ(0, bao_complete(self->fd, self->requests[i].id, i));
		EXPECT_TRUE(is_answered(self->handles[i], i));
		ASSERT_EQ(1, bao_fetch(self->fd,
				       &self->requests[BAO_SLOTS + i], 1));
		EXPECT_EQ(addr(BAO_SLOTS + i),
			  self->requests[BAO_SLOTS + i].addr);
	}
}

/* No interrupt comes for what the driver chose to leave in the hypervisor. */
TEST_F(irq, full_table_is_refilled)
{
	struct bao_completion done[BAO_SLOTS];
	struct bao_serve s;

	for (int i = 0; i < MANY; i++)
		self->handles[i] = frontend_quiet(0, addr(i));
	bed_irq(0);

	for (int n = 0; n < MANY; n += BAO_SLOTS) {
		ASSERT_EQ(BAO_SLOTS, bao_fetch(self->fd, self->requests,
					       BAO_SLOTS));
		for (int i = 0; i < BAO_SLOTS; i++) {
			EXPECT_EQ(addr(n + i), self->requests[i].addr);
			done[i] = (struct bao_completion) {
				self->requests[i].id, n + i
			};
		}
		ASSERT_EQ(0, bao_serve(self->fd, &s, done, BAO_SLOTS, NULL, 0));
	}
	for (int i = 0; i < MANY; i++)
		EXPECT_TRUE(is_answered(self->handles[i], i));
	EXPECT_EQ(1, bed_count(0, BED_CNT_IRQS));
	EXPECT_EQ(MANY, bed_count(0, BED_CNT_ASK));
}

/* Table full of requests that nobody has fetched, and no VMM at all */
TEST_F(irq, full_table_without_vmm)
{
	close(self->fd);
	for (int i = 0; i < BAO_SLOTS + 20; i++)
		self->handles[i] = frontend_read(0, addr(i), 4);
	ASSERT_TRUE(asked(BAO_SLOTS));

	self->fd = bao_open(0, O_RDWR | O_NONBLOCK);
	ASSERT_LE(0, self->fd);
	EXPECT_TRUE(serve_some(self, 0, BAO_SLOTS + 20));
}

/* While the driver's own thread drains, interrupts go on coming. */
TEST_F(irq, interrupts_while_draining)
{
	for (int i = 0; i < MANY; i++) {
		self->handles[i] = frontend_quiet(0, addr(i));
		if (i % 20 == 19)
			bed_irq(0);
	}
	EXPECT_TRUE(serve_some(self, 0, MANY / 2));
	bed_irq(0);
	EXPECT_TRUE(serve_some(self, MANY / 2, MANY / 2));
	EXPECT_EQ(MANY, bed_count(0, BED_CNT_ASK));
}

/* An id is the hypervisor's to choose; nothing may be read into it. */
TEST_F(irq, strange_request_ids)
{
	static const u64 ids[] = {
		4095, 4096, 0xffff, 1ULL << 31, 0xffffffff, 1ULL << 32,
		INT64_MAX, 1ULL << 63, -2ULL,
	};

	for (int i = 0; i < ARRAY_SIZE(ids); i++) {
		bed_next_id(0, ids[i]);
		self->handles[i] = frontend_read(0, addr(i), 4);
		EXPECT_TRUE(serve_some(self, i, 1));
		EXPECT_EQ(ids[i], frontend_query(self->handles[i]).id);
	}
	EXPECT_EQ(0, bed_count(0, BED_CNT_REFUSED));
	EXPECT_EQ(0, bed_count(0, BED_CNT_VIOLATION));
}

/* What could not be asked for is still there at the next interrupt. */
TEST_F(irq, asking_fails_now_and_then)
{
	for (int i = 0; i < 8; i++) {
		bed_fault(0, BED_OP_ASK, i % 2 ? -1 : -3, 1);
		self->handles[2 * i] = frontend_read(0, addr(2 * i), 4);
		ASSERT_TRUE(bao_wait_until(bed_count(0, BED_CNT_REFUSED) ==
					   i + 1));
		EXPECT_EQ(BED_PENDING,
			  frontend_query(self->handles[2 * i]).state);
		self->handles[2 * i + 1] = frontend_read(0, addr(2 * i + 1), 4);
		EXPECT_TRUE(serve_some(self, 2 * i, 2));
	}
}

FIXTURE(storm) {
	int fd[2];
	struct bao_server server;
};

FIXTURE_SETUP(storm)
{
	const char *why = bao_begin(2);

	if (why)
		SKIP(return, "%s", why);
	for (int i = 0; i < 2; i++) {
		self->fd[i] = bao_open(i, O_RDWR);
		ASSERT_LE(0, self->fd[i]);
	}
	bed_pool(BED_POOL_MAX);
}

FIXTURE_TEARDOWN(storm)
{
	close(self->fd[0]);
	close(self->fd[1]);
}

/*
 * A frontend that never pauses, served as fast as it goes, must not keep the
 * backend from serving another device.
 */
TEST_F(storm, does_not_starve_another_backend)
{
	struct bao_request r;
	u64 before, handle;

	self->server.fd = self->fd[0];
	bao_server_start(&self->server);
	bed_storm(0, BAO_ADDR, 32, 1 << 30);
	ASSERT_TRUE(bao_wait_until(self->server.served > 50));

	before = bed_progress().completed;
	for (int i = 0; i < 30; i++) {
		handle = frontend_read(1, addr(i), 8);
		ASSERT_EQ(1, bao_fetch(self->fd[1], &r, 1));
		EXPECT_EQ(addr(i), r.addr);
		ASSERT_EQ(0, bao_complete(self->fd[1], r.id, i));
		EXPECT_TRUE(is_answered(handle, i));
	}
	/* It was a storm all the while, or this has shown nothing. */
	ASSERT_TRUE(bao_wait_until(bed_progress().completed > before + 30));
	EXPECT_FALSE(self->server.done);

	ASSERT_TRUE(bao_server_forget(&self->server));
	ASSERT_TRUE(bao_server_stop(0, &self->server, 1));
}

/* Nor may one that nobody serves. */
TEST_F(storm, nobody_serves)
{
	struct bao_request r;
	u64 handle;

	bed_storm(0, BAO_ADDR, 2 * BAO_SLOTS, 1 << 30);
	ASSERT_TRUE(asked(BAO_SLOTS));
	for (int i = 0; i < 10; i++) {
		bed_irq(0);
		handle = frontend_read(1, addr(i), 8);
		ASSERT_EQ(1, bao_fetch(self->fd[1], &r, 1));
		ASSERT_EQ(0, bao_complete(self->fd[1], r.id, i));
		EXPECT_TRUE(is_answered(handle, i));
	}
	EXPECT_EQ(BAO_SLOTS, bed_count(0, BED_CNT_ASK));
}

TEST_HARNESS_MAIN
