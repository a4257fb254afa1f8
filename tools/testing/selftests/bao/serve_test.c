// SPDX-License-Identifier: GPL-2.0
/*
 * Fetch and complete: every request reaches the VMM as the frontend made it,
 * in order, and every answer reaches the frontend as the VMM gave it
 */
#include <errno.h>
#include <fcntl.h>

#include "../kselftest_harness.h"
#include "bao_test_util.h"

FIXTURE(width) {
	int fd;
};

FIXTURE_VARIANT(width) {
	unsigned int bytes;
	u64 mask;
};

FIXTURE_VARIANT_ADD(width, one) { 1, 0xff };
FIXTURE_VARIANT_ADD(width, two) { 2, 0xffff };
FIXTURE_VARIANT_ADD(width, four) { 4, 0xffffffff };
FIXTURE_VARIANT_ADD(width, eight) { 8, ~0ULL };

FIXTURE_SETUP(width)
{
	const char *why = bao_begin(1);

	if (why)
		SKIP(return, "%s", why);
	self->fd = bao_open(0, O_RDWR | O_NONBLOCK);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(width)
{
	close(self->fd);
}

TEST_F(width, write_is_cut)
{
	u64 handle = frontend_write(0, BAO_ADDR, variant->bytes,
					 BAO_GARBAGE);
	struct bao_request r;

	ASSERT_EQ(1, bao_fetch(self->fd, &r, 1));
	EXPECT_EQ(BAO_OP_WRITE, r.op);
	EXPECT_EQ(BAO_ADDR, r.addr);
	EXPECT_EQ(variant->bytes, r.width);
	EXPECT_EQ(BAO_GARBAGE & variant->mask, r.value);
	EXPECT_EQ(0, r.flags);
	EXPECT_EQ(BED_PROCESSING, frontend_query(handle).state);

	ASSERT_EQ(0, bao_complete(self->fd, r.id, BAO_GARBAGE));
	EXPECT_EQ(BED_COMPLETED, frontend_query(handle).state);
	EXPECT_EQ(BED_OP_WRITE, frontend_query(handle).op);
	EXPECT_EQ(1, bed_count(0, BED_CNT_WRITE));
	EXPECT_EQ(0, bed_count(0, BED_CNT_READ));
	EXPECT_EQ(0, bed_count(0, BED_CNT_VIOLATION));
}

TEST_F(width, read_is_cut)
{
	u64 handle = frontend_read(0, BAO_ADDR, variant->bytes);
	struct bao_request r;

	ASSERT_EQ(1, bao_fetch(self->fd, &r, 1));
	EXPECT_EQ(BAO_OP_READ, r.op);
	EXPECT_EQ(BAO_ADDR, r.addr);
	EXPECT_EQ(variant->bytes, r.width);
	/* What the destination register held is nobody's business. */
	EXPECT_EQ(0, r.value);
	EXPECT_EQ(0, r.flags);
	EXPECT_EQ(BED_PROCESSING, frontend_query(handle).state);

	ASSERT_EQ(0, bao_complete(self->fd, r.id, ~BAO_GARBAGE));
	EXPECT_EQ(BED_COMPLETED, frontend_query(handle).state);
	EXPECT_EQ(BED_OP_READ, frontend_query(handle).op);
	EXPECT_EQ(~BAO_GARBAGE & variant->mask, frontend_query(handle).value);
	EXPECT_EQ(0, bed_count(0, BED_CNT_WRITE));
	EXPECT_EQ(1, bed_count(0, BED_CNT_READ));
	EXPECT_EQ(0, bed_count(0, BED_CNT_VIOLATION));
}

#define NR	10

FIXTURE(serve) {
	int fd;
	u64 handles[NR];
	struct bao_request requests[NR];
	struct bao_completion completions[NR];
};

#define SELF	FIXTURE_DATA(serve)

FIXTURE_SETUP(serve)
{
	const char *why = bao_begin(1);

	if (why)
		SKIP(return, "%s", why);
	self->fd = bao_open(0, O_RDWR | O_NONBLOCK);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(serve)
{
	close(self->fd);
}

static u64 addr(unsigned int i)
{
	return BAO_ADDR + 8 * i;
}

static u64 answer(unsigned int i)
{
	return 0x1000 + i;
}

/* Reads of addr(0) on; they all arrive before this returns. */
static void arrive(SELF *self, unsigned int nr)
{
	u64 before = bed_count(0, BED_CNT_ASK);

	for (unsigned int i = 0; i < nr; i++)
		self->handles[i] = frontend_read(0, addr(i), 4);
	bao_wait_until(bed_count(0, BED_CNT_ASK) == before + nr);
}

/* The same, and fetches them. */
static bool hand_over(SELF *self, unsigned int nr)
{
	arrive(self, nr);
	if (bao_fetch(self->fd, self->requests, nr) != nr)
		return false;
	for (unsigned int i = 0; i < nr; i++)
		self->completions[i] = (struct bao_completion) {
			.id = self->requests[i].id,
			.value = answer(i),
		};
	return true;
}

/* Whether request i was answered, as the n-th after the bed's reset. */
static bool answered(SELF *self, unsigned int i, unsigned int n)
{
	struct bed_result r = frontend_query(self->handles[i]);

	return r.state == BED_COMPLETED && r.op == BED_OP_READ &&
	       r.value == answer(i) && r.order == n;
}

static bool is_processing(SELF *self, unsigned int i)
{
	return frontend_query(self->handles[i]).state == BED_PROCESSING;
}

TEST_F(serve, one_by_one_in_order)
{
	for (int i = 0; i < NR; i++)
		self->handles[i] = frontend_read(0, addr(i), 4);

	for (int i = 0; i < NR; i++) {
		ASSERT_EQ(1, bao_fetch(self->fd, self->requests, 1));
		EXPECT_EQ(addr(i), self->requests[0].addr);
		EXPECT_EQ(0, bao_complete(self->fd, self->requests[0].id,
					  answer(i)));
		EXPECT_TRUE(answered(self, i, i + 1));
	}
}

TEST_F(serve, array_of_requests)
{
	struct bao_serve s;

	/*
	 * The last one may have been popped and not yet be in the queue, but
	 * those before it are.
	 */
	arrive(self, NR);
	ASSERT_EQ(0, bao_serve(self->fd, &s, NULL, 0, self->requests, NR - 1));
	ASSERT_EQ(NR - 1, s.nr_fetched);
	EXPECT_EQ(0, s.nr_completed);

	ASSERT_EQ(1, bao_fetch(self->fd, self->requests + NR - 1, 1));
	for (int i = 0; i < NR; i++)
		EXPECT_EQ(addr(i), self->requests[i].addr);
}

TEST_F(serve, more_room_than_requests)
{
	struct bao_serve s;

	arrive(self, 3);
	ASSERT_TRUE(bao_poll_in(self->fd));
	ASSERT_EQ(0, bao_serve(self->fd, &s, NULL, 0, self->requests, ~0u));
	ASSERT_LE(1, s.nr_fetched);
	ASSERT_EQ(3 - s.nr_fetched,
		  bao_fetch(self->fd, self->requests + s.nr_fetched,
			    3 - s.nr_fetched));
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(addr(i), self->requests[i].addr);
}

TEST_F(serve, no_room_fetches_nothing)
{
	struct bao_serve s;

	arrive(self, 1);
	ASSERT_TRUE(bao_poll_in(self->fd));
	EXPECT_EQ(0, bao_serve(self->fd, &s, NULL, 0, self->requests, 0));
	EXPECT_EQ(0, s.nr_fetched);
	EXPECT_EQ(0, s.nr_completed);
	EXPECT_EQ(1, bao_fetch(self->fd, self->requests, 1));
	EXPECT_EQ(addr(0), self->requests[0].addr);
}

TEST_F(serve, array_of_completions_in_its_order)
{
	struct bao_completion reverse[NR];
	struct bao_serve s;

	ASSERT_TRUE(hand_over(self, NR));
	for (int i = 0; i < NR; i++)
		reverse[i] = self->completions[NR - 1 - i];

	ASSERT_EQ(0, bao_serve(self->fd, &s, reverse, NR, NULL, 0));
	EXPECT_EQ(NR, s.nr_completed);
	EXPECT_EQ(0, s.nr_fetched);
	for (int i = 0; i < NR; i++)
		EXPECT_TRUE(answered(self, i, NR - i));
}

TEST_F(serve, complete_and_fetch_in_one_call)
{
	u64 second;
	struct bao_serve s;

	ASSERT_TRUE(hand_over(self, 1));
	second = frontend_write(0, addr(5), 2, 0x1234567);
	ASSERT_TRUE(bao_poll_in(self->fd));

	ASSERT_EQ(0, bao_serve(self->fd, &s, self->completions, 1,
			       self->requests, NR));
	EXPECT_EQ(1, s.nr_completed);
	ASSERT_EQ(1, s.nr_fetched);
	EXPECT_TRUE(answered(self, 0, 1));
	EXPECT_EQ(addr(5), self->requests[0].addr);
	EXPECT_EQ(BAO_OP_WRITE, self->requests[0].op);
	EXPECT_EQ(0x4567, self->requests[0].value);

	/* Only what a result is written to differs: it can be used again. */
	EXPECT_EQ(NR, s.nr_requests);
	EXPECT_EQ(1, s.nr_completions);
	EXPECT_EQ((uintptr_t)self->completions, s.completions);

	EXPECT_EQ(0, bao_complete(self->fd, self->requests[0].id, 0));
	EXPECT_EQ(BED_COMPLETED, frontend_query(second).state);
	EXPECT_EQ(BED_OP_WRITE, frontend_query(second).op);
}

TEST_F(serve, unknown_ids_reach_no_hypervisor)
{
	u64 id, hv_id;

	ASSERT_TRUE(hand_over(self, 1));
	id = self->requests[0].id;
	/* The hypervisor would take its own id for the request. */
	hv_id = frontend_query(self->handles[0]).id;

	EXPECT_EQ(-ENOENT, bao_complete(self->fd, id + 1, 0));
	EXPECT_EQ(-ENOENT, bao_complete(self->fd, id - 1, 0));
	EXPECT_EQ(-ENOENT, bao_complete(self->fd, id + BAO_SLOTS, 0));
	EXPECT_EQ(-ENOENT, bao_complete(self->fd, id | 1ULL << 63, 0));
	EXPECT_EQ(-ENOENT, bao_complete(self->fd, 0, 0));
	EXPECT_EQ(-ENOENT, bao_complete(self->fd, ~0ULL, 0));
	if (hv_id != id)
		EXPECT_EQ(-ENOENT, bao_complete(self->fd, hv_id, 0));

	EXPECT_EQ(0, bed_completions(0));
	EXPECT_TRUE(is_processing(self, 0));
	EXPECT_EQ(0, bao_complete(self->fd, id, answer(0)));
	EXPECT_TRUE(answered(self, 0, 1));
}

TEST_F(serve, completing_twice_reaches_no_hypervisor)
{
	struct bao_completion twice[2];
	struct bao_serve s;

	ASSERT_TRUE(hand_over(self, 1));
	twice[0] = self->completions[0];
	twice[1] = (struct bao_completion) { twice[0].id, 0xbad };

	EXPECT_EQ(-ENOENT, bao_serve(self->fd, &s, twice, 2, NULL, 0));
	EXPECT_EQ(1, s.nr_completed);
	EXPECT_EQ(-ENOENT, bao_complete(self->fd, twice[0].id, 0xbad));
	EXPECT_EQ(1, bed_completions(0));
	EXPECT_TRUE(answered(self, 0, 1));
}

/* The hypervisor uses an id again at once, and so may the driver's table. */
TEST_F(serve, stale_id_misses_later_requests)
{
	u64 stale;

	ASSERT_TRUE(hand_over(self, 1));
	stale = self->requests[0].id;
	ASSERT_EQ(0, bao_complete(self->fd, stale, 0));

	for (int i = 0; i < BAO_SLOTS + 2; i++) {
		ASSERT_TRUE(hand_over(self, 1));
		EXPECT_NE(stale, self->requests[0].id);
		EXPECT_EQ(-ENOENT, bao_complete(self->fd, stale, 0xbad));
		EXPECT_EQ(0, bao_complete(self->fd, self->requests[0].id,
					  answer(0)));
		EXPECT_TRUE(answered(self, 0, i + 2));
	}
	EXPECT_EQ(0, bed_count(0, BED_CNT_REFUSED));
}

TEST_F(serve, bad_entry_ends_the_array)
{
	struct bao_serve s;

	ASSERT_TRUE(hand_over(self, 4));
	self->completions[2].id = 0;
	frontend_read(0, addr(7), 4);
	ASSERT_TRUE(bao_poll_in(self->fd));

	/* The error comes before the fetch, which then does not happen. */
	EXPECT_EQ(-ENOENT, bao_serve(self->fd, &s, self->completions, 4,
				     self->requests, NR));
	EXPECT_EQ(2, s.nr_completed);
	EXPECT_EQ(0, s.nr_fetched);
	EXPECT_TRUE(answered(self, 0, 1));
	EXPECT_TRUE(answered(self, 1, 2));
	EXPECT_TRUE(is_processing(self, 2));
	EXPECT_TRUE(is_processing(self, 3));

	self->completions[2].id = self->requests[2].id;
	EXPECT_EQ(0, bao_serve(self->fd, &s, self->completions + 2, 2,
			       self->requests, 1));
	EXPECT_EQ(2, s.nr_completed);
	ASSERT_EQ(1, s.nr_fetched);
	EXPECT_EQ(addr(7), self->requests[0].addr);
	EXPECT_TRUE(answered(self, 2, 3));
	EXPECT_TRUE(answered(self, 3, 4));
}

TEST_F(serve, notify_raises_the_frontends_interrupt)
{
	struct bao_notify n = { .size = sizeof(n) };

	EXPECT_EQ(0, bao_ioctl(self->fd, BAO_IOCTL_NOTIFY, &n));
	EXPECT_EQ(1, bed_count(0, BED_CNT_NOTIFY));
	EXPECT_EQ(0, bao_ioctl(self->fd, BAO_IOCTL_NOTIFY, &n));
	EXPECT_EQ(2, bed_count(0, BED_CNT_NOTIFY));

	bed_fault(0, BED_OP_NOTIFY, -1, 1);
	EXPECT_EQ(-EIO, bao_ioctl(self->fd, BAO_IOCTL_NOTIFY, &n));
	EXPECT_EQ(2, bed_count(0, BED_CNT_NOTIFY));
}

TEST_HARNESS_MAIN
