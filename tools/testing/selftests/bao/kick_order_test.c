// SPDX-License-Identifier: GPL-2.0
/*
 * Kicks among other things: which width and value they match, in what order
 * they come with the VMM's requests, and frontends that kick without pause
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include "../kselftest_harness.h"
#include "event_util.h"

#define KICK		(BAO_ADDR + 0x10)
#define MATCH		BAO_IOEVENTFD_DATAMATCH

FIXTURE(width) {
	int fd;
	int ev;
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
	self->ev = bao_eventfd(0);
	ASSERT_LE(0, self->fd);
	ASSERT_LE(0, self->ev);
}

FIXTURE_TEARDOWN(width)
{
	close(self->ev);
	close(self->fd);
}

static bool vmm_sees(int fd, u64 handle)
{
	return bao_reaches_vmm(0, fd, handle);
}

TEST_F(width, exact)
{
	ASSERT_EQ(0, bao_ioeventfd(self->fd, self->ev, 0, KICK, variant->bytes,
				   0));
	for (unsigned int w = 1; w <= 8; w *= 2) {
		u64 handle = frontend_write(0, KICK, w, 0);

		EXPECT_TRUE(w == variant->bytes ? frontend_wrote(handle) :
						  vmm_sees(self->fd, handle));
		EXPECT_TRUE(vmm_sees(self->fd, frontend_read(0, KICK, w)));
	}
	EXPECT_EQ(1, bao_signals(self->ev, 1));
}

TEST_F(width, any)
{
	u64 handle;

	ASSERT_EQ(0, bao_ioeventfd(self->fd, self->ev, 0, KICK, 0, 0));
	for (int i = 0; i < 5; i++) {
		handle = frontend_write(0, KICK, variant->bytes, ~0ULL << i);
		EXPECT_TRUE(frontend_wrote(handle));
		EXPECT_TRUE(vmm_sees(self->fd, frontend_read(0, KICK,
							     variant->bytes)));
	}
	EXPECT_EQ(5, bao_signals(self->ev, 5));
}

/* What the register holds above the width is not stored, and does not count. */
TEST_F(width, data_is_cut)
{
	const u64 top = (variant->mask >> 1) + 1, data = top | 0x5a;
	const u64 garbage = BAO_GARBAGE & ~variant->mask;
	u64 handle;

	ASSERT_EQ(0, bao_ioeventfd(self->fd, self->ev, MATCH, KICK,
				   variant->bytes, data));
	EXPECT_TRUE(frontend_wrote(frontend_write(0, KICK, variant->bytes,
						  data)));
	EXPECT_TRUE(frontend_wrote(frontend_write(0, KICK, variant->bytes,
						  data | garbage)));
	EXPECT_TRUE(frontend_wrote(frontend_write(0, KICK, variant->bytes,
						  data | ~variant->mask)));
	EXPECT_EQ(3, bao_signals(self->ev, 3));

	/* Every bit of the width does. */
	for (unsigned int bit = 0; bit < 8 * variant->bytes; bit++) {
		handle = frontend_write(0, KICK, variant->bytes,
					(data ^ 1ULL << bit) | garbage);
		EXPECT_TRUE(vmm_sees(self->fd, handle))
			TH_LOG("bit %u", bit);
	}
	EXPECT_TRUE(vmm_sees(self->fd, frontend_read(0, KICK,
						     variant->bytes)));
	EXPECT_EQ(0, bao_signals(self->ev, 0));
}

FIXTURE(order) {
	int fd;
	int ev;
};

FIXTURE_SETUP(order)
{
	const char *why = bao_begin(1);

	if (why)
		SKIP(return, "%s", why);
	self->fd = bao_open(0, O_RDWR | O_NONBLOCK);
	self->ev = bao_eventfd(0);
	ASSERT_LE(0, self->fd);
	ASSERT_LE(0, self->ev);
	ASSERT_EQ(0, bao_ioeventfd(self->fd, self->ev, 0, KICK, 4, 0));
}

FIXTURE_TEARDOWN(order)
{
	close(self->ev);
	close(self->fd);
}

/*
 * The vCPU goes on as soon as its kick is completed, and what it does next may
 * reach the VMM by another CPU. The signal must be there first.
 */
TEST_F(order, next_access_of_the_vcpu)
{
	struct bao_request r;
	struct bao_serve s;
	u64 handle;
	int ret;

	for (int i = 0; i < 300; i++) {
		handle = frontend_write(0, KICK, 4, 0);
		while (frontend_query(handle).state != BED_COMPLETED)
			;
		frontend_read(0, BAO_ADDR, 4);
		do
			ret = bao_serve(self->fd, &s, NULL, 0, &r, 1);
		while (ret == -EAGAIN);
		ASSERT_EQ(1, bao_signals(self->ev, 0));
		ASSERT_EQ(0, ret);
		ASSERT_EQ(BAO_ADDR, r.addr);
		ASSERT_EQ(0, bao_complete(self->fd, r.id, 0));
	}
}

#define NR	60

/* Behind one interrupt: at each request all kicks from before it are through. */
TEST_F(order, kicks_and_requests)
{
	u64 handles[NR], signals = 0, last = 0;
	struct bao_request r;

	for (int i = 0; i < NR; i++)
		handles[i] = frontend_access(0, BED_OP_WRITE,
					     i % 3 ? KICK : BAO_ADDR, 4, i,
					     BED_NO_IRQ, 0);
	bed_irq(0);
	for (int i = 0; i < NR; i += 3) {
		ASSERT_EQ(1, bao_fetch(self->fd, &r, 1));
		ASSERT_EQ(BAO_ADDR, r.addr);
		ASSERT_EQ(i, r.value);
		signals += bao_signals(self->ev, 0);
		EXPECT_LE(i - i / 3, signals);
		EXPECT_EQ(0, bao_complete(self->fd, r.id, 0));
	}
	signals += bao_signals(self->ev, NR - NR / 3 - signals);
	EXPECT_EQ(NR - NR / 3, signals);

	for (int i = 0; i < NR; i++) {
		ASSERT_TRUE(frontend_wrote(handles[i]));
		if (i % 3) {
			EXPECT_LT(last, frontend_query(handles[i]).order);
			last = frontend_query(handles[i]).order;
		}
	}
	EXPECT_EQ(1, bed_count(0, BED_CNT_IRQS));
	EXPECT_EQ(NR, bed_count(0, BED_CNT_ASK));
	EXPECT_EQ(0, bed_count(0, BED_CNT_ASK_EMPTY));
	EXPECT_EQ(NR, bed_completions(0));
}

/* A kick needs a slot for a moment only, and waits for one like the others. */
TEST_F(order, table_full_of_requests)
{
	struct bao_request r[BAO_SLOTS];
	u64 handle;

	bed_pool(BED_POOL_MAX);
	for (int i = 0; i < BAO_SLOTS; i++)
		frontend_read(0, BAO_ADDR, 4);
	handle = frontend_write(0, KICK, 4, 0);
	ASSERT_EQ(BAO_SLOTS, bao_fetch(self->fd, r, BAO_SLOTS));
	EXPECT_EQ(BED_PENDING, frontend_query(handle).state);
	EXPECT_EQ(0, bao_signals(self->ev, 0));

	ASSERT_EQ(0, bao_complete(self->fd, r[0].id, 0));
	EXPECT_TRUE(frontend_wrote(handle));
	EXPECT_EQ(1, bao_signals(self->ev, 1));
	for (int i = 1; i < BAO_SLOTS; i++)
		EXPECT_EQ(0, bao_complete(self->fd, r[i].id, 0));
}

FIXTURE(storm) {
	int fd[2];
	int ev;
	pthread_t worker;
};

FIXTURE_VARIANT(storm) {
	unsigned int vcpus;
};

FIXTURE_VARIANT_ADD(storm, one_vcpu) { 1 };
FIXTURE_VARIANT_ADD(storm, four_vcpus) { 4 };
FIXTURE_VARIANT_ADD(storm, sixteen_vcpus) { 16 };

static atomic_ulong work;
static atomic_bool enough;

/* What an application does on the CPU that takes the interrupts */
static void *work_on_first_cpu(void *pinned)
{
	*(bool *)pinned = bao_pin(0);
	while (!enough)
		work++;
	return NULL;
}

static bool pinned;

FIXTURE_SETUP(storm)
{
	const char *why = bao_begin(2);

	if (why)
		SKIP(return, "%s", why);
	ASSERT_TRUE(bao_open_first(self->fd, 2, O_RDWR | O_NONBLOCK));
	self->ev = bao_eventfd(0);
	ASSERT_LE(0, self->ev);
	ASSERT_EQ(0, bao_ioeventfd(self->fd[0], self->ev, 0, KICK, 4, 0));
	work = 0;
	enough = false;
	ASSERT_EQ(0, pthread_create(&self->worker, NULL, work_on_first_cpu,
				    &pinned));
}

FIXTURE_TEARDOWN(storm)
{
	enough = true;
	pthread_join(self->worker, NULL);
	close(self->ev);
	close(self->fd[0]);
	close(self->fd[1]);
}

TEST_F_TIMEOUT(storm, starves_nobody, 120)
{
	u64 before, signals, worked;

	bed_storm_writes(0, KICK, variant->vcpus, 1ULL << 40);
	ASSERT_TRUE(bao_wait_until(bed_progress().completed > 200 && work));
	before = bed_progress().completed;
	worked = work;

	/* The other backend's interrupt goes to the same CPU. */
	for (int i = 0; i < 30; i++)
		ASSERT_TRUE(bao_reaches_vmm(1, self->fd[1],
					    frontend_read(1, BAO_ADDR, 8)));
	EXPECT_TRUE(bao_wait_until(work > worked + 1000));
	/* It was a storm all the while, or this has shown nothing. */
	EXPECT_TRUE(bao_wait_until(bed_progress().completed > before + 200));
	EXPECT_TRUE(pinned);

	bed_stop();
	ASSERT_TRUE(bao_wait_until(bed_settled()));
	signals = bao_signals(self->ev, bed_progress().made);
	EXPECT_EQ(bed_progress().made, signals);
	EXPECT_EQ(signals, bed_count(0, BED_CNT_ASK));
	EXPECT_EQ(signals, bed_completions(0));
	EXPECT_EQ(0, bed_count(0, BED_CNT_VIOLATION));
	printf("# %u vCPUs: %llu kicks, %llu interrupts, %llu empty asks\n",
	       variant->vcpus, signals, bed_count(0, BED_CNT_IRQS),
	       bed_count(0, BED_CNT_ASK_EMPTY));
}

/* A request of the VMM's among kicks without pause gets through as well. */
TEST_F_TIMEOUT(storm, does_not_starve_its_own_requests, 120)
{
	bed_storm_writes(0, KICK, variant->vcpus, 1ULL << 40);
	ASSERT_TRUE(bao_wait_until(bed_progress().completed > 200));
	for (int i = 0; i < 30; i++) {
		u64 handle = frontend_read(0, BAO_ADDR, 8);
		struct bao_request r;

		ASSERT_EQ(1, bao_fetch(self->fd[0], &r, 1));
		ASSERT_EQ(BAO_ADDR, r.addr);
		ASSERT_EQ(0, bao_complete(self->fd[0], r.id, 5));
		ASSERT_EQ(BED_COMPLETED, frontend_query(handle).state);
	}
	bed_stop();
	ASSERT_TRUE(bao_wait_until(bed_settled()));
	EXPECT_EQ(bed_progress().made,
		  bao_signals(self->ev, bed_progress().made));
}

TEST_HARNESS_MAIN
