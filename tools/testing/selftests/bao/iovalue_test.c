// SPDX-License-Identifier: GPL-2.0
/*
 * Loads whose value the VMM has told in advance: two hypercalls, and the VMM
 * never sees them
 */
#include <errno.h>
#include <fcntl.h>

#include "../kselftest_harness.h"
#include "event_util.h"

#define LOAD		(BAO_ADDR + 0x20)
#define DEASSIGN	BAO_IOVALUE_DEASSIGN

/* Iovalues that a backend takes */
#define IOVALUES	16

FIXTURE(load) {
	int fd;
};

FIXTURE_SETUP(load)
{
	const char *why = bao_begin(1);

	if (why)
		SKIP(return, "%s", why);
	self->fd = bao_open(0, O_RDWR | O_NONBLOCK);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(load)
{
	close(self->fd);
}

static bool got(u64 addr, u32 width, u64 value)
{
	return frontend_got(frontend_read(0, addr, width), value);
}

static bool vmm_sees(int fd, u64 handle)
{
	return bao_reaches_vmm(0, fd, handle);
}

TEST_F(load, costs_two_hypercalls)
{
	ASSERT_EQ(0, bao_iovalue(self->fd, 0, LOAD, 4, 0x12345678));
	for (int i = 1; i <= 50; i++) {
		EXPECT_TRUE(got(LOAD, 4, 0x12345678));
		EXPECT_EQ(i, bed_count(0, BED_CNT_ASK));
		EXPECT_EQ(i, bed_count(0, BED_CNT_READ));
	}
	EXPECT_EQ(0, bed_count(0, BED_CNT_ASK_EMPTY));
	EXPECT_EQ(0, bed_count(0, BED_CNT_WRITE));
	EXPECT_EQ(0, bed_count(0, BED_CNT_REFUSED));
	EXPECT_EQ(0, bed_count(0, BED_CNT_VIOLATION));
	/* Any of them that was queued would be fetched first. */
	EXPECT_TRUE(vmm_sees(self->fd, frontend_write(0, LOAD, 4, 0)));
}

TEST_F(load, each_width_its_own)
{
	static const u32 widths[] = { 1, 2, 4, 8 };

	for (int i = 0; i < ARRAY_SIZE(widths); i++) {
		u64 all = bao_cut(~0ULL, widths[i]);

		EXPECT_TRUE(vmm_sees(self->fd,
				     frontend_read(0, LOAD, widths[i])));
		ASSERT_EQ(0, bao_iovalue(self->fd, 0, LOAD, widths[i],
					 all - i));
	}
	for (int i = 0; i < ARRAY_SIZE(widths); i++)
		EXPECT_TRUE(got(LOAD, widths[i],
				bao_cut(~0ULL, widths[i]) - i));
	EXPECT_EQ(0, bed_count(0, BED_CNT_VIOLATION));

	ASSERT_EQ(0, bao_iovalue(self->fd, DEASSIGN, LOAD, 2, 0));
	EXPECT_TRUE(vmm_sees(self->fd, frontend_read(0, LOAD, 2)));
	EXPECT_TRUE(got(LOAD, 1, 0xff));
}

TEST_F(load, others_reach_the_vmm)
{
	static const u64 others[] = {
		LOAD + 1, LOAD - 1, LOAD + 4, LOAD - 4, 0, ~0ULL,
		LOAD | 1ULL << 32, LOAD | 1ULL << 63,
	};

	ASSERT_EQ(0, bao_iovalue(self->fd, 0, LOAD, 4, 1));
	for (int i = 0; i < ARRAY_SIZE(others); i++)
		EXPECT_TRUE(vmm_sees(self->fd, frontend_read(0, others[i], 4)));
	/* A store there, be it of that value */
	EXPECT_TRUE(vmm_sees(self->fd, frontend_write(0, LOAD, 4, 1)));
	EXPECT_TRUE(got(LOAD, 4, 1));
}

/* What is asked after the call returned gets the new value. */
TEST_F(load, value_changes)
{
	for (u64 i = 0; i < 100; i++) {
		ASSERT_EQ(0, bao_iovalue(self->fd, 0, LOAD, 8, ~i));
		ASSERT_TRUE(got(LOAD, 8, ~i));
	}
	/* It is one all the time. */
	EXPECT_EQ(0, bao_iovalue(self->fd, DEASSIGN, LOAD, 8, 0));
	EXPECT_EQ(-ENOENT, bao_iovalue(self->fd, DEASSIGN, LOAD, 8, 0));
	EXPECT_TRUE(vmm_sees(self->fd, frontend_read(0, LOAD, 8)));
}

/* Stores to that address may be an ioeventfd's at the same time. */
TEST_F(load, beside_an_ioeventfd)
{
	int ev = bao_eventfd(0);

	ASSERT_EQ(0, bao_ioeventfd(self->fd, ev, 0, LOAD, 4, 0));
	ASSERT_EQ(0, bao_iovalue(self->fd, 0, LOAD, 4, 3));
	EXPECT_TRUE(got(LOAD, 4, 3));
	EXPECT_EQ(0, bao_signals(ev, 0));
	EXPECT_TRUE(frontend_wrote(frontend_write(0, LOAD, 4, 3)));
	EXPECT_EQ(1, bao_signals(ev, 1));
	close(ev);
}

TEST_F(load, at_most_16)
{
	for (int i = 0; i < IOVALUES; i++)
		ASSERT_EQ(0, bao_iovalue(self->fd, 0, LOAD + 8 * i, 4, i));
	EXPECT_EQ(-ENOSPC, bao_iovalue(self->fd, 0, LOAD - 8, 4, 1));
	/* All of them are looked at, and can be changed. */
	EXPECT_TRUE(got(LOAD + 8 * (IOVALUES - 1), 4, IOVALUES - 1));
	EXPECT_EQ(0, bao_iovalue(self->fd, 0, LOAD, 4, 77));
	EXPECT_TRUE(got(LOAD, 4, 77));
	EXPECT_TRUE(vmm_sees(self->fd, frontend_read(0, LOAD - 8, 4)));

	EXPECT_EQ(0, bao_iovalue(self->fd, DEASSIGN, LOAD + 8, 4, 0));
	EXPECT_EQ(0, bao_iovalue(self->fd, 0, LOAD - 8, 4, 1));
	EXPECT_EQ(-ENOSPC, bao_iovalue(self->fd, 0, LOAD + 8, 4, 1));
}

TEST_F(load, nonsense)
{
	struct bao_iovalue reserved = {
		.size = sizeof(reserved),
		.addr = LOAD,
		.len = 4,
		.reserved = 1,
	};
	int fd = self->fd;

	for (u32 len = 0; len < 66; len++)
		if (len != 1 && len != 2 && len != 4 && len != 8)
			EXPECT_EQ(-EINVAL, bao_iovalue(fd, 0, LOAD, len, 0));
	EXPECT_EQ(-EINVAL, bao_iovalue(fd, 0, LOAD, ~0u, 0));
	/* Values that no such load has */
	EXPECT_EQ(-EINVAL, bao_iovalue(fd, 0, LOAD, 1, 0x100));
	EXPECT_EQ(-EINVAL, bao_iovalue(fd, 0, LOAD, 2, 1ULL << 16));
	EXPECT_EQ(-EINVAL, bao_iovalue(fd, 0, LOAD, 4, 1ULL << 63));
	EXPECT_EQ(-EINVAL, bao_ioctl(fd, BAO_IOCTL_IOVALUE, &reserved));
	EXPECT_TRUE(vmm_sees(fd, frontend_read(0, LOAD, 4)));

	ASSERT_EQ(0, bao_iovalue(fd, 0, LOAD, 4, 5));
	EXPECT_EQ(-EINVAL, bao_iovalue(fd, DEASSIGN, LOAD, 4, 5));
	EXPECT_EQ(-ENOENT, bao_iovalue(fd, DEASSIGN, LOAD, 8, 0));
	EXPECT_EQ(-ENOENT, bao_iovalue(fd, DEASSIGN, LOAD + 4, 4, 0));
	EXPECT_TRUE(got(LOAD, 4, 5));
}

TEST_F(load, last_close_removes_all)
{
	int other;

	for (int i = 0; i < IOVALUES; i++)
		ASSERT_EQ(0, bao_iovalue(self->fd, 0, LOAD + 8 * i, 4, i));
	other = dup(self->fd);
	close(self->fd);
	EXPECT_TRUE(got(LOAD, 4, 0));
	close(other);

	self->fd = bao_open(0, O_RDWR | O_NONBLOCK);
	ASSERT_LE(0, self->fd);
	for (int i = 0; i < IOVALUES; i++)
		EXPECT_TRUE(vmm_sees(self->fd,
				     frontend_read(0, LOAD + 8 * i, 4)));
}

/* The vCPU still waits, so somebody must complete its request after all. */
TEST_F(load, refused_completion_is_left_to_the_vmm)
{
	struct bao_request r;
	u64 handle;

	ASSERT_EQ(0, bao_iovalue(self->fd, 0, LOAD, 4, 8));
	bed_fault(0, BED_OP_READ, -3, 1);
	handle = frontend_read(0, LOAD, 4);
	ASSERT_EQ(1, bao_fetch(self->fd, &r, 1));
	EXPECT_EQ(0, r.value);
	EXPECT_EQ(0, bao_complete(self->fd, r.id, 9));
	EXPECT_TRUE(frontend_got(handle, 9));
	EXPECT_TRUE(got(LOAD, 4, 8));
}

/* A frontend that loads without pause leaves the backend its CPU. */
TEST_F(load, storm)
{
	const u64 accesses = 20000;

	ASSERT_EQ(0, bao_iovalue(self->fd, 0, LOAD, 4, 7));
	bed_storm(0, LOAD, 4, accesses);
	EXPECT_TRUE(bed_finished(accesses));
	EXPECT_EQ(accesses, bed_count(0, BED_CNT_READ));
	EXPECT_EQ(0, bed_count(0, BED_CNT_WRITE));
	EXPECT_EQ(0, bed_count(0, BED_CNT_VIOLATION));
}

#define ONE	0x1111111111111111ULL
#define OTHER	0x2222222222222222ULL

static atomic_bool stop_changing;

static void *change(void *arg)
{
	int fd = *(int *)arg;
	long errors = 0;

	while (!atomic_load(&stop_changing)) {
		errors += !!bao_iovalue(fd, 0, LOAD, 8, ONE);
		errors += !!bao_iovalue(fd, 0, LOAD, 8, OTHER);
		errors += !!bao_iovalue(fd, DEASSIGN, LOAD, 8, 0);
	}
	return (void *)errors;
}

/* What the driver does not answer the VMM does, with a third value. */
static u64 answer_of(int fd, u64 handle)
{
	struct bao_request r;
	struct bao_serve s;

	while (frontend_query(handle).state != BED_COMPLETED)
		if (!bao_serve(fd, &s, NULL, 0, &r, 1) && s.nr_fetched)
			bao_complete(fd, r.id, 3);
	return frontend_query(handle).value;
}

/* While it changes, comes and goes, each load has one answer of the three. */
TEST_F(load, change_against_loads)
{
	unsigned int direct = 0;
	pthread_t thread;
	void *errors;
	u64 value;

	ASSERT_EQ(0, pthread_create(&thread, NULL, change, &self->fd));
	for (int i = 0; i < 2000; i++) {
		value = answer_of(self->fd, frontend_read(0, LOAD, 8));
		direct += value != 3;
		EXPECT_TRUE(value == ONE || value == OTHER || value == 3);
	}
	EXPECT_LT(0, direct);
	EXPECT_EQ(2000, bed_count(0, BED_CNT_READ));
	atomic_store(&stop_changing, true);
	ASSERT_EQ(0, pthread_join(thread, &errors));
	EXPECT_EQ(NULL, errors);
}

TEST_HARNESS_MAIN
