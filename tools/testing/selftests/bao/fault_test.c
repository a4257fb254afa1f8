// SPDX-License-Identifier: GPL-2.0
/*
 * When something fails on the way: the hypervisor refuses, or memory of the
 * VMM's cannot be reached. No request may be lost, answered twice or overtaken.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "../kselftest_harness.h"
#include "event_util.h"

#define NR	6

FIXTURE(fault) {
	int fd;
	size_t page;
	/* Two pages, of which the second cannot be accessed */
	char *edge;
	u64 handles[NR];
	struct bao_request requests[NR];
	struct bao_completion completions[NR];
};

#define SELF	FIXTURE_DATA(fault)

FIXTURE_SETUP(fault)
{
	const char *why = bao_begin(1);

	if (why)
		SKIP(return, "%s", why);
	self->fd = bao_open(0, O_RDWR | O_NONBLOCK);
	ASSERT_LE(0, self->fd);

	self->page = sysconf(_SC_PAGESIZE);
	self->edge = bao_edge_map();
	ASSERT_NE(NULL, self->edge);
}

FIXTURE_TEARDOWN(fault)
{
	bao_edge_unmap(self->edge);
	close(self->fd);
}

/* Where an array begins of which this many bytes lie before the edge */
static void *at_edge(const SELF *self, size_t bytes)
{
	return self->edge + self->page - bytes;
}

static u64 addr(unsigned int i)
{
	return BAO_ADDR + 8 * i;
}

static bool arrive(SELF *self, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		self->handles[i] = frontend_read(0, addr(i), 4);
	return bao_poll_in(self->fd) &&
	       bao_wait_until(bed_count(0, BED_CNT_ASK) == nr);
}

static bool hand_over(SELF *self, unsigned int nr)
{
	if (!arrive(self, nr) ||
	    bao_fetch(self->fd, self->requests, nr) != nr)
		return false;
	for (unsigned int i = 0; i < nr; i++)
		self->completions[i] = (struct bao_completion) {
			.id = self->requests[i].id,
			.value = 0x100 + i,
		};
	return true;
}

static bool answered(SELF *self, unsigned int i)
{
	struct bed_result r = frontend_query(self->handles[i]);

	return r.state == BED_COMPLETED && r.op == BED_OP_READ &&
	       r.value == 0x100 + i;
}

static bool is_processing(SELF *self, unsigned int i)
{
	return frontend_query(self->handles[i]).state == BED_PROCESSING;
}

/* Whether the requests from @first on come now, in order and unflagged */
static bool rest_comes(SELF *self, unsigned int first,
		       unsigned int nr)
{
	if (bao_fetch(self->fd, self->requests, nr) != nr)
		return false;
	for (unsigned int i = 0; i < nr; i++)
		if (self->requests[i].addr != addr(first + i) ||
		    self->requests[i].flags)
			return false;
	return true;
}

TEST_F(fault, unknown_to_the_hypervisor_is_forgotten)
{
	ASSERT_TRUE(hand_over(self, 1));
	bed_fault(0, BED_OP_READ, -1, 1);

	EXPECT_EQ(-EIO, bao_complete(self->fd, self->requests[0].id, 1));
	EXPECT_EQ(1, bed_completions(0));
	EXPECT_EQ(-ENOENT, bao_complete(self->fd, self->requests[0].id, 1));
	EXPECT_EQ(1, bed_completions(0));
}

/* A forgotten request must give its slot back. */
TEST_F(fault, forgotten_requests_leave_room)
{
	ASSERT_TRUE(hand_over(self, NR));
	bed_fault(0, BED_OP_READ, -1, NR);
	for (int i = 0; i < NR; i++)
		EXPECT_EQ(-EIO, bao_complete(self->fd, self->requests[i].id, 1));

	bed_reset();
	for (int i = 0; i < BAO_SLOTS; i++)
		frontend_quiet(0, addr(i));
	bed_irq(0);
	EXPECT_TRUE(bao_wait_until(bed_count(0, BED_CNT_ASK) == BAO_SLOTS));
}

TEST_F(fault, refused_for_another_reason_stays_in_flight)
{
	static const int statuses[] = { -2, -3, -4, 1 };

	ASSERT_TRUE(hand_over(self, 1));
	for (int i = 0; i < ARRAY_SIZE(statuses); i++) {
		bed_fault(0, BED_OP_READ, statuses[i], 1);
		EXPECT_EQ(-EIO, bao_complete(self->fd, self->requests[0].id,
					     0xbad));
		EXPECT_TRUE(is_processing(self, 0));
	}

	EXPECT_EQ(0, bao_complete(self->fd, self->requests[0].id, 0x100));
	EXPECT_TRUE(answered(self, 0));
}

TEST_F(fault, refusal_ends_the_array)
{
	struct bao_serve s;

	ASSERT_TRUE(hand_over(self, 3));
	ASSERT_EQ(0, bao_complete(self->fd, self->requests[0].id, 0x100));
	bed_fault(0, BED_OP_READ, -3, 1);

	EXPECT_EQ(-EIO, bao_serve(self->fd, &s, self->completions + 1, 2,
				  NULL, 0));
	EXPECT_EQ(0, s.nr_completed);
	EXPECT_TRUE(is_processing(self, 1));
	EXPECT_TRUE(is_processing(self, 2));

	EXPECT_EQ(0, bao_serve(self->fd, &s, self->completions + 1, 2,
			       NULL, 0));
	EXPECT_EQ(2, s.nr_completed);
	EXPECT_TRUE(answered(self, 1));
	EXPECT_TRUE(answered(self, 2));
}

TEST_F(fault, no_request_fits)
{
	struct bao_serve s;

	ASSERT_TRUE(arrive(self, 3));
	EXPECT_EQ(-EFAULT, bao_serve(self->fd, &s, NULL, 0,
				     at_edge(self, 0), 3));
	EXPECT_EQ(-EFAULT, bao_serve(self->fd, &s, NULL, 0, NULL, 3));
	/* An array that begins before the end of the address space */
	EXPECT_EQ(-EFAULT, bao_serve(self->fd, &s, NULL, 0,
				     (struct bao_request *)-64UL, 3));
	EXPECT_TRUE(rest_comes(self, 0, 3));
}

TEST_F(fault, some_requests_fit)
{
	struct bao_request *at = at_edge(self, 2 * sizeof(*at));
	struct bao_serve s;

	ASSERT_TRUE(arrive(self, 5));
	ASSERT_EQ(0, bao_serve(self->fd, &s, NULL, 0, at, 5));
	ASSERT_EQ(2, s.nr_fetched);
	EXPECT_EQ(addr(0), at[0].addr);
	EXPECT_EQ(addr(1), at[1].addr);

	EXPECT_TRUE(rest_comes(self, 2, 3));
	EXPECT_EQ(0, bao_complete(self->fd, at[0].id, 0x100));
	EXPECT_EQ(0, bao_complete(self->fd, at[1].id, 0x101));
	EXPECT_TRUE(answered(self, 0));
	EXPECT_TRUE(answered(self, 1));
}

/* A request that fits in part was not handed over. */
TEST_F(fault, half_a_request_fits)
{
	struct bao_request *at = at_edge(self, sizeof(*at) / 2);
	struct bao_serve s;

	ASSERT_TRUE(arrive(self, 2));
	EXPECT_EQ(-EFAULT, bao_serve(self->fd, &s, NULL, 0, at, 2));
	EXPECT_TRUE(rest_comes(self, 0, 2));
}

TEST_F(fault, completed_before_the_fetch_failed)
{
	struct bao_serve s;

	ASSERT_TRUE(hand_over(self, 1));
	self->handles[1] = frontend_read(0, addr(1), 4);
	ASSERT_TRUE(bao_poll_in(self->fd));

	EXPECT_EQ(-EFAULT, bao_serve(self->fd, &s, self->completions, 1,
				     NULL, 1));
	EXPECT_TRUE(answered(self, 0));
	EXPECT_TRUE(rest_comes(self, 1, 1));
}

TEST_F(fault, completions_beyond_the_edge)
{
	struct bao_completion *at = at_edge(self, 2 * sizeof(*at));
	struct bao_serve s;

	ASSERT_TRUE(hand_over(self, 4));
	memcpy(at, self->completions, 2 * sizeof(*at));

	EXPECT_EQ(-EFAULT, bao_serve(self->fd, &s, at, 4, NULL, 0));
	EXPECT_TRUE(answered(self, 0));
	EXPECT_TRUE(answered(self, 1));
	EXPECT_TRUE(is_processing(self, 2));
	EXPECT_EQ(2, bed_completions(0));
	EXPECT_EQ(-EFAULT, bao_serve(self->fd, &s, NULL, 1, NULL, 0));

	EXPECT_EQ(0, bao_serve(self->fd, &s, self->completions + 2, 2,
			       NULL, 0));
	EXPECT_TRUE(answered(self, 2));
	EXPECT_TRUE(answered(self, 3));
}

/*
 * The VMM learns from the structure what it fetched. If that cannot be written
 * nothing may be taken from the queue.
 */
TEST_F(fault, result_cannot_be_written)
{
	struct bao_serve *s = (struct bao_serve *)self->edge;

	ASSERT_TRUE(arrive(self, 2));
	*s = (struct bao_serve) {
		.size = sizeof(*s),
		.requests = (uintptr_t)self->requests,
		.nr_requests = 2,
	};
	ASSERT_EQ(0, mprotect(s, self->page, PROT_READ));
	EXPECT_EQ(-EFAULT, bao_ioctl(self->fd, BAO_IOCTL_SERVE, s));
	EXPECT_TRUE(rest_comes(self, 0, 2));
}

TEST_F(fault, asking_fails)
{
	u64 handle;

	bed_fault(0, BED_OP_ASK, -1, 1);
	handle = frontend_read(0, addr(0), 4);
	ASSERT_TRUE(bao_wait_until(bed_count(0, BED_CNT_REFUSED) == 1));
	EXPECT_EQ(BED_PENDING, frontend_query(handle).state);

	/* The next interrupt finds both. */
	frontend_read(0, addr(1), 4);
	EXPECT_TRUE(rest_comes(self, 0, 2));
	EXPECT_EQ(BED_PROCESSING, frontend_query(handle).state);
}

TEST_HARNESS_MAIN
