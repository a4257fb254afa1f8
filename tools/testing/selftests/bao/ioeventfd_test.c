// SPDX-License-Identifier: GPL-2.0
/*
 * Kicks: a matching write costs two hypercalls and signals an eventfd, and the
 * VMM never sees it
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "../kselftest_harness.h"
#include "event_util.h"

#define KICK		(BAO_ADDR + 0x10)
#define MATCH		BAO_IOEVENTFD_DATAMATCH
#define DEASSIGN	BAO_IOEVENTFD_DEASSIGN

FIXTURE(kick) {
	int fd;
	int ev[3];
};

#define SELF	FIXTURE_DATA(kick)

FIXTURE_SETUP(kick)
{
	const char *why = bao_begin(1);

	if (why)
		SKIP(return, "%s", why);
	self->fd = bao_open(0, O_RDWR | O_NONBLOCK);
	ASSERT_LE(0, self->fd);
	ASSERT_TRUE(bao_eventfds(self->ev, 3));
}

FIXTURE_TEARDOWN(kick)
{
	for (int i = 0; i < 3; i++)
		close(self->ev[i]);
	close(self->fd);
}

static bool vmm_sees(int fd, u64 handle)
{
	return bao_reaches_vmm(0, fd, handle);
}

TEST_F(kick, costs_two_hypercalls)
{
	ASSERT_EQ(0, bao_ioeventfd(self->fd, self->ev[0], 0, KICK, 4, 0));
	for (int i = 1; i <= 50; i++) {
		EXPECT_TRUE(frontend_wrote(frontend_write(0, KICK, 4, i)));
		EXPECT_EQ(1, bao_signals(self->ev[0], 1));
		EXPECT_EQ(i, bed_count(0, BED_CNT_ASK));
		EXPECT_EQ(i, bed_count(0, BED_CNT_WRITE));
	}
	EXPECT_EQ(0, bed_count(0, BED_CNT_ASK_EMPTY));
	EXPECT_EQ(0, bed_count(0, BED_CNT_READ));
	EXPECT_EQ(0, bed_count(0, BED_CNT_NOTIFY));
	EXPECT_EQ(0, bed_count(0, BED_CNT_REFUSED));
	EXPECT_EQ(0, bed_count(0, BED_CNT_VIOLATION));
	EXPECT_FALSE(bao_signals(self->ev[0], 0));
	/* Any of them that was queued would be fetched first. */
	EXPECT_TRUE(vmm_sees(self->fd, frontend_read(0, KICK, 4)));
}

/* Whether a kick was completed while the backend's thread could not run. */
static bool kick_beside_hog(void)
{
	struct bao_hog hog;
	bool good;
	u64 handle;

	if (!bao_hog_begin(&hog, 0))
		return false;
	handle = frontend_write(0, KICK, 4, 0);
	good = bao_is_done_beside_hog(handle);
	bao_hog_end(&hog);
	return frontend_wrote(handle) && good;
}

/*
 * The frontend goes on though the backend's thread cannot run. On PREEMPT_RT
 * that thread signals, and no kick is lost.
 */
TEST_F(kick, completed_without_a_thread)
{
	unsigned int tries = 0;
	bool good = false;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP(return, "needs a second CPU");
	ASSERT_EQ(0, bao_ioeventfd(self->fd, self->ev[0], 0, KICK, 4, 0));

	while (!good && tries++ < 20)
		good = kick_beside_hog();
	EXPECT_TRUE(good);
	EXPECT_EQ(tries, bao_signals(self->ev[0], tries));
	EXPECT_EQ(tries, bed_completions(0));
}

#define MANY	100

/* More than there is room for until the thread has run: none may be lost. */
TEST_F(kick, many_without_a_thread)
{
	u64 handles[MANY];
	struct bao_hog hog;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP(return, "needs a second CPU");
	ASSERT_EQ(0, bao_ioeventfd(self->fd, self->ev[0], 0, KICK, 4, 0));
	bed_pool(BED_POOL_MAX);
	ASSERT_TRUE(bao_hog_begin(&hog, 0));
	for (int i = 0; i < MANY; i++)
		handles[i] = frontend_write(0, KICK, 4, i);
	bao_hog_end(&hog);

	for (int i = 0; i < MANY; i++)
		EXPECT_TRUE(frontend_wrote(handles[i]));
	EXPECT_EQ(MANY, bao_signals(self->ev[0], MANY));
	EXPECT_EQ(MANY, bed_count(0, BED_CNT_ASK));
	EXPECT_EQ(MANY, bed_completions(0));
}

/* On PREEMPT_RT the request waits behind the kick, for the backend's thread. */
TEST_F(kick, epoll_is_told_once_of_what_follows)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };
	int ep = epoll_create1(EPOLL_CLOEXEC);
	struct bao_hog hog;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP(return, "needs a second CPU");
	ASSERT_LE(0, ep);
	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, self->fd, &ev));
	ASSERT_EQ(0, bao_ioeventfd(self->fd, self->ev[0], 0, KICK, 4, 0));

	ASSERT_TRUE(bao_hog_begin(&hog, 0));
	frontend_write(0, KICK, 4, 0);
	frontend_read(0, KICK, 4);
	EXPECT_TRUE(bao_wait_until(bed_count(0, BED_CNT_ASK) == 2));
	bao_hog_end(&hog);
	EXPECT_EQ(1, epoll_wait(ep, &ev, 1, BAO_WATCHDOG_MS));

	/* With the second signal the thread is at the end of all before it. */
	EXPECT_EQ(1, bao_signals(self->ev[0], 1));
	for (int i = 0; i < 2; i++) {
		frontend_write(0, KICK, 4, 0);
		EXPECT_EQ(1, bao_signals(self->ev[0], 1));
	}
	EXPECT_EQ(0, epoll_wait(ep, &ev, 1, 0));
	close(ep);
}

TEST_F(kick, no_data_means_any)
{
	ASSERT_EQ(0, bao_ioeventfd(self->fd, self->ev[0], 0, KICK, 4, 0));
	EXPECT_TRUE(frontend_wrote(frontend_write(0, KICK, 4, 0)));
	EXPECT_TRUE(frontend_wrote(frontend_write(0, KICK, 4, 7)));
	EXPECT_TRUE(frontend_wrote(frontend_write(0, KICK, 4, ~0ULL)));
	EXPECT_TRUE(frontend_wrote(frontend_write(0, KICK, 4, BAO_GARBAGE)));
	EXPECT_EQ(4, bao_signals(self->ev[0], 4));
}

TEST_F(kick, other_addresses_reach_the_vmm)
{
	static const u64 others[] = {
		KICK + 1, KICK - 1, KICK + 4, KICK - 4, KICK + 8, 0, ~0ULL,
		KICK | 1ULL << 32, KICK | 1ULL << 63,
	};

	ASSERT_EQ(0, bao_ioeventfd(self->fd, self->ev[0], 0, KICK, 0, 0));
	for (int i = 0; i < ARRAY_SIZE(others); i++)
		EXPECT_TRUE(vmm_sees(self->fd,
				     frontend_write(0, others[i], 4, 0)));
	EXPECT_EQ(0, bao_signals(self->ev[0], 0));
	EXPECT_TRUE(frontend_wrote(frontend_write(0, KICK, 4, 0)));
	EXPECT_EQ(1, bao_signals(self->ev[0], 1));
}

TEST_F(kick, one_address_many_eventfds)
{
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(0, bao_ioeventfd(self->fd, self->ev[i], MATCH, KICK,
					   4, i));

	EXPECT_TRUE(vmm_sees(self->fd, frontend_write(0, KICK, 4, 3)));
	for (int i = 2; i >= 0; i--) {
		for (int n = 0; n <= i; n++)
			EXPECT_TRUE(frontend_wrote(frontend_write(0, KICK, 4,
								  i)));
		EXPECT_EQ(i + 1, bao_signals(self->ev[i], i + 1));
	}
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(0, bao_signals(self->ev[i], 0));
}

/* The same eventfd may stand for more than one write. */
TEST_F(kick, many_addresses_one_eventfd)
{
	for (int i = 0; i < 4; i++)
		ASSERT_EQ(0, bao_ioeventfd(self->fd, self->ev[0], 0,
					   KICK + 8 * i, 4, 0));
	for (int i = 0; i < 4; i++)
		EXPECT_TRUE(frontend_wrote(frontend_write(0, KICK + 8 * i, 4,
							  0)));
	EXPECT_EQ(4, bao_signals(self->ev[0], 4));
}

/* Two writes by what they match; data counts with MATCH only */
static const struct pair {
	struct side {
		u32 flags;
		u64 addr;
		u32 len;
		u64 data;
	} a, b;
	bool collide;
} pairs[] = {
	{ { 0, KICK, 4, 0 }, { 0, KICK, 4, 0 }, true },
	{ { 0, KICK, 0, 0 }, { 0, KICK, 0, 0 }, true },
	{ { 0, KICK, 0, 0 }, { 0, KICK, 8, 0 }, true },
	{ { 0, KICK, 0, 0 }, { MATCH, KICK, 1, 9 }, true },
	{ { 0, KICK, 4, 0 }, { MATCH, KICK, 4, 9 }, true },
	{ { MATCH, KICK, 4, 9 }, { MATCH, KICK, 4, 9 }, true },
	{ { MATCH, KICK, 8, ~0ULL }, { MATCH, KICK, 8, ~0ULL }, true },
	{ { MATCH, KICK, 4, 9 }, { MATCH, KICK, 4, 8 }, false },
	{ { MATCH, KICK, 4, 9 }, { MATCH, KICK, 2, 9 }, false },
	{ { MATCH, KICK, 4, 9 }, { 0, KICK, 2, 0 }, false },
	{ { 0, KICK, 4, 0 }, { 0, KICK, 8, 0 }, false },
	{ { 0, KICK, 0, 0 }, { 0, KICK + 1, 0, 0 }, false },
	{ { 0, KICK, 8, 0 }, { 0, KICK + 4, 4, 0 }, false },
	{ { MATCH, KICK, 4, 9 }, { MATCH, KICK | 1ULL << 40, 4, 9 }, false },
};

static int set(int fd, int ev, const struct side *s, u32 flags)
{
	return bao_ioeventfd(fd, ev, s->flags | flags, s->addr, s->len,
			     s->data);
}

TEST_F(kick, conflicts)
{
	for (int i = 0; i < 2 * ARRAY_SIZE(pairs); i++) {
		const struct pair *p = &pairs[i / 2];
		const struct side *first = i % 2 ? &p->b : &p->a;
		const struct side *second = i % 2 ? &p->a : &p->b;
		int result = p->collide ? -EEXIST : 0;

		ASSERT_EQ(0, set(self->fd, self->ev[0], first, 0));
		/* It makes no difference whose eventfd it is. */
		EXPECT_EQ(result, set(self->fd, self->ev[1], second, 0))
			TH_LOG("row %d", i);
		if (!result)
			ASSERT_EQ(0, set(self->fd, self->ev[1], second,
					 DEASSIGN));
		EXPECT_EQ(result, set(self->fd, self->ev[0], second, 0))
			TH_LOG("row %d", i);
		if (!result)
			ASSERT_EQ(0, set(self->fd, self->ev[0], second,
					 DEASSIGN));
		ASSERT_EQ(0, set(self->fd, self->ev[0], first, DEASSIGN));
	}
}

TEST_F(kick, two_backends_do_not_conflict)
{
	int other;

	if (bao_nr_devices() < 2)
		SKIP(return, "the bed has one Remote I/O device");
	other = bao_open(1, O_RDWR | O_NONBLOCK);
	ASSERT_LE(0, other);
	ASSERT_EQ(0, bao_ioeventfd(self->fd, self->ev[0], 0, KICK, 4, 0));
	ASSERT_EQ(0, bao_ioeventfd(other, self->ev[1], 0, KICK, 4, 0));
	EXPECT_TRUE(frontend_wrote(frontend_write(1, KICK, 4, 0)));
	EXPECT_EQ(1, bao_signals(self->ev[1], 1));
	EXPECT_EQ(0, bao_signals(self->ev[0], 0));
	close(other);
	EXPECT_TRUE(frontend_wrote(frontend_write(0, KICK, 4, 0)));
	EXPECT_EQ(1, bao_signals(self->ev[0], 1));
}

TEST_F(kick, deassign_names_what_was_assigned)
{
	static const struct side is = { MATCH, KICK, 4, 9 };
	static const struct side others[] = {
		{ MATCH, KICK, 4, 8 }, { MATCH, KICK, 8, 9 },
		{ MATCH, KICK + 4, 4, 9 }, { 0, KICK, 4, 0 },
		{ 0, KICK, 0, 0 },
	};
	int fd = self->fd, *ev = self->ev;

	EXPECT_EQ(-ENOENT, set(fd, ev[0], &is, DEASSIGN));
	ASSERT_EQ(0, set(fd, ev[0], &is, 0));
	for (int i = 0; i < ARRAY_SIZE(others); i++)
		EXPECT_EQ(-ENOENT, set(fd, ev[0], &others[i], DEASSIGN));
	EXPECT_EQ(-ENOENT, set(fd, ev[1], &is, DEASSIGN));
	EXPECT_TRUE(frontend_wrote(frontend_write(0, KICK, 4, 9)));
	EXPECT_EQ(1, bao_signals(ev[0], 1));

	EXPECT_EQ(0, set(fd, ev[0], &is, DEASSIGN));
	EXPECT_EQ(-ENOENT, set(fd, ev[0], &is, DEASSIGN));
	EXPECT_TRUE(vmm_sees(fd, frontend_write(0, KICK, 4, 9)));
	EXPECT_EQ(0, bao_signals(ev[0], 0));
	EXPECT_EQ(0, set(fd, ev[1], &is, 0));
}

TEST_F(kick, deassign_keeps_no_reference)
{
	int ev = bao_eventfd(0);
	long id = bao_eventfd_id(ev);

	ASSERT_EQ(0, bao_ioeventfd(self->fd, ev, 0, KICK, 4, 0));
	EXPECT_EQ(-EEXIST, bao_ioeventfd(self->fd, ev, 0, KICK, 0, 0));
	EXPECT_EQ(0, bao_ioeventfd(self->fd, ev, DEASSIGN, KICK, 4, 0));
	EXPECT_EQ(-ENOENT, bao_ioeventfd(self->fd, ev, DEASSIGN, KICK, 4, 0));
	close(ev);
	ev = bao_eventfd(0);
	EXPECT_EQ(id, bao_eventfd_id(ev));
	close(ev);
}

TEST_F(kick, at_most_128)
{
	const u64 last = KICK + 8 * (BAO_EVENTFDS - 1);
	int fd = self->fd, ev = self->ev[0];

	for (int i = 0; i < BAO_EVENTFDS; i++)
		ASSERT_EQ(0, bao_ioeventfd(fd, ev, 0, KICK + 8 * i, 4, 0));
	EXPECT_EQ(-ENOSPC, bao_ioeventfd(fd, ev, 0, KICK - 8, 4, 0));
	/* All of them are looked at. */
	EXPECT_TRUE(frontend_wrote(frontend_write(0, last, 4, 0)));
	EXPECT_EQ(1, bao_signals(ev, 1));
	EXPECT_TRUE(vmm_sees(fd, frontend_write(0, KICK - 8, 4, 0)));

	EXPECT_EQ(0, bao_ioeventfd(fd, ev, DEASSIGN, KICK + 8, 4, 0));
	EXPECT_EQ(0, bao_ioeventfd(fd, ev, 0, KICK - 8, 4, 0));
	EXPECT_EQ(-ENOSPC, bao_ioeventfd(fd, ev, 0, KICK + 8, 4, 0));
}

TEST_F(kick, nonsense)
{
	int fd = self->fd, ev = self->ev[0];
	int file = open("/dev/null", O_RDWR | O_CLOEXEC);
	int dead = bao_eventfd(0);
	long id = bao_eventfd_id(dead);

	for (u32 len = 3; len < 66; len++)
		if (len != 4 && len != 8)
			EXPECT_EQ(-EINVAL, bao_ioeventfd(fd, ev, 0, KICK, len,
							 0));
	EXPECT_EQ(-EINVAL, bao_ioeventfd(fd, ev, 0, KICK, ~0u, 0));
	EXPECT_EQ(-EINVAL, bao_ioeventfd(fd, ev, MATCH, KICK, 0, 1));
	EXPECT_EQ(-EINVAL, bao_ioeventfd(fd, ev, MATCH, KICK, 0, 0));
	/* Data without MATCH, and data that no such write has */
	EXPECT_EQ(-EINVAL, bao_ioeventfd(fd, ev, 0, KICK, 4, 1));
	EXPECT_EQ(-EINVAL, bao_ioeventfd(fd, ev, 0, KICK, 0, 1));
	EXPECT_EQ(-EINVAL, bao_ioeventfd(fd, ev, MATCH, KICK, 1, 0x100));
	EXPECT_EQ(-EINVAL, bao_ioeventfd(fd, ev, MATCH, KICK, 2, 1ULL << 16));
	EXPECT_EQ(-EINVAL, bao_ioeventfd(fd, ev, MATCH, KICK, 4, 1ULL << 63));
	for (int bit = 2; bit < 32; bit++)
		EXPECT_EQ(-EOPNOTSUPP, bao_ioeventfd(fd, ev, 1u << bit, KICK, 4,
						     0));
	close(dead);
	EXPECT_EQ(-EBADF, bao_ioeventfd(fd, -1, 0, KICK, 4, 0));
	EXPECT_EQ(-EBADF, bao_ioeventfd(fd, dead, 0, KICK, 4, 0));
	EXPECT_EQ(-EBADF, bao_ioeventfd(fd, dead, DEASSIGN, KICK, 4, 0));
	EXPECT_EQ(-EINVAL, bao_ioeventfd(fd, file, 0, KICK, 4, 0));
	EXPECT_EQ(-EINVAL, bao_ioeventfd(fd, fd, 0, KICK, 4, 0));
	close(file);
	EXPECT_TRUE(vmm_sees(fd, frontend_write(0, KICK, 4, 0)));

	/* None of the refusals has kept a reference. */
	close(ev);
	self->ev[0] = bao_eventfd(0);
	ev = bao_eventfd(0);
	EXPECT_EQ(id, bao_eventfd_id(ev));
	close(ev);
}

TEST_F(kick, last_close_removes_all)
{
	int again = dup(self->fd), spare;
	long id = bao_eventfd_id(self->ev[2]);

	for (int i = 0; i < 3; i++)
		ASSERT_EQ(0, bao_ioeventfd(self->fd, self->ev[i], 0,
					   KICK + 8 * i, 4, 0));
	/* The kernel's part of the eventfd outlives its descriptor. */
	close(self->ev[2]);
	spare = bao_eventfd(0);
	EXPECT_NE(id, bao_eventfd_id(spare));
	EXPECT_TRUE(frontend_wrote(frontend_write(0, KICK + 16, 4, 0)));

	close(self->fd);
	EXPECT_TRUE(frontend_wrote(frontend_write(0, KICK, 4, 0)));
	EXPECT_EQ(1, bao_signals(self->ev[0], 1));
	close(again);
	self->ev[2] = bao_eventfd(0);
	EXPECT_EQ(id, bao_eventfd_id(self->ev[2]));

	self->fd = bao_open(0, O_RDWR | O_NONBLOCK);
	ASSERT_LE(0, self->fd);
	for (int i = 0; i < 3; i++) {
		EXPECT_TRUE(vmm_sees(self->fd,
				     frontend_write(0, KICK + 8 * i, 4, 0)));
		EXPECT_EQ(0, bao_signals(self->ev[i], 0));
	}
	close(spare);
}

/* The vCPU still waits, so somebody must complete its request after all. */
TEST_F(kick, refused_completion_is_left_to_the_vmm)
{
	u64 handle;

	ASSERT_EQ(0, bao_ioeventfd(self->fd, self->ev[0], 0, KICK, 4, 0));
	bed_fault(0, BED_OP_WRITE, -3, 1);
	handle = frontend_write(0, KICK, 4, 0);
	EXPECT_TRUE(vmm_sees(self->fd, handle));
	EXPECT_EQ(BED_OP_WRITE, frontend_query(handle).op);
	EXPECT_EQ(0, bao_signals(self->ev[0], 0));

	EXPECT_TRUE(frontend_wrote(frontend_write(0, KICK, 4, 0)));
	EXPECT_EQ(1, bao_signals(self->ev[0], 1));
}

/* The hypervisor has no such request: nobody waits, but the kick was made. */
TEST_F(kick, forgotten_request_still_signals)
{
	ASSERT_EQ(0, bao_ioeventfd(self->fd, self->ev[0], 0, KICK, 4, 0));
	bed_fault(0, BED_OP_WRITE, -1, 1);
	frontend_write(0, KICK, 4, 0);
	EXPECT_EQ(1, bao_signals(self->ev[0], 1));
	EXPECT_EQ(1, bed_count(0, BED_CNT_REFUSED));
	EXPECT_TRUE(vmm_sees(self->fd, frontend_read(0, BAO_ADDR, 4)));
}

TEST_HARNESS_MAIN
