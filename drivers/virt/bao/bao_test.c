// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of the Bao I/O dispatcher: the request table, on the way in
 *
 * From the hypervisor to the VMM: drain, interrupt, fetch, unfetch.
 */
#include <kunit/device.h>
#include <kunit/test.h>
#include <linux/bitmap.h>
#include <linux/delay.h>
#include <linux/irqflags.h>
#include <linux/sched/clock.h>
#include <linux/time64.h>

#include "bao_test.h"

static void bao_test_order(struct kunit *test)
{
	struct bao_fake *f = test->priv;
	u64 first = bao_fake_push_and_drain(f, BAO_MAX_REQUESTS);
	DECLARE_BITMAP(seen, BAO_MAX_REQUESTS) = {};
	struct bao_request req;
	u64 last = 0;

	for (int i = 0; i < BAO_MAX_REQUESTS; i++) {
		req = bao_fake_fetch(f, bao_fake_nth(first, i));
		KUNIT_EXPECT_GT(test, req.id, last);
		KUNIT_EXPECT_EQ(test, req.flags, 0);
		last = req.id;
		__set_bit(req.id % BAO_MAX_REQUESTS, seen);
	}

	/* Each in a slot of its own, which its id names. */
	KUNIT_EXPECT_TRUE(test, bitmap_full(seen, BAO_MAX_REQUESTS));
	KUNIT_EXPECT_EQ(test, bao_fetch(&f->b, &req), -EAGAIN);
}

static void bao_test_ids_grow(struct kunit *test)
{
	struct bao_fake *f = test->priv;
	u64 ids[3], last = 0, first;

	for (int round = 0; round < 3 * BAO_MAX_REQUESTS; round++) {
		first = bao_fake_push_and_drain(f, 3);
		for (int i = 0; i < 3; i++) {
			ids[i] = bao_fake_fetch(f, bao_fake_nth(first, i)).id;
			KUNIT_EXPECT_GT(test, ids[i], last);
			last = ids[i];
		}
		for (int i = 0; i < 3; i++)
			KUNIT_EXPECT_EQ(test,
					bao_complete(&f->b,
						     ids[(i + round) % 3], 0),
					0);
	}
}

struct bao_asks_case {
	const char *name;
	unsigned int pushed;
	bool always_more;
	unsigned int asks;
	bool ret;
};

static const struct bao_asks_case bao_asks_cases[] = {
	{ "nothing", 0, false, 1, false },
	{ "one", 1, false, 1, false },
	{ "three", 3, false, 3, false },
	{ "three, then none after all", 3, true, 4, false },
	{ "budget", BAO_DRAIN_BUDGET, false, BAO_DRAIN_BUDGET, false },
	{ "less, then none after all", BAO_DRAIN_BUDGET - 1, true,
	  BAO_DRAIN_BUDGET, false },
	{ "more", BAO_DRAIN_BUDGET + 1, false, BAO_DRAIN_BUDGET, true },
	{ "budget, more unknown", BAO_DRAIN_BUDGET, true, BAO_DRAIN_BUDGET,
	  true },
};

KUNIT_ARRAY_PARAM_DESC(bao_asks, bao_asks_cases, name);

static void bao_test_asks(struct kunit *test)
{
	const struct bao_asks_case *c = test->param_value;
	struct bao_fake *f = test->priv;

	f->always_more = c->always_more;
	bao_fake_push_many(f, c->pushed);

	KUNIT_EXPECT_EQ(test, bao_drain(&f->b), c->ret);
	KUNIT_EXPECT_EQ(test, bao_fake_asks(f), c->asks);
	KUNIT_EXPECT_EQ(test, bao_fake_count(f, BAO_FAKE_PROCESSING),
			min(c->pushed, BAO_DRAIN_BUDGET));
}

static void bao_test_full(struct kunit *test)
{
	struct bao_fake *f = test->priv;
	u64 first = bao_fake_push_and_drain(f, BAO_MAX_REQUESTS + 20);
	u64 id;

	KUNIT_EXPECT_EQ(test, bao_fake_asks(f), BAO_MAX_REQUESTS);
	KUNIT_EXPECT_FALSE(test, bao_drain(&f->b));
	KUNIT_EXPECT_EQ(test, bao_fake_asks(f), BAO_MAX_REQUESTS);

	/* A completion makes room for the next, and without an interrupt. */
	for (int i = 0; i < BAO_MAX_REQUESTS + 20; i++) {
		id = bao_fake_fetch(f, bao_fake_nth(first, i)).id;
		KUNIT_EXPECT_EQ(test, bao_complete(&f->b, id, 0), 0);
		bao_fake_settle(f);
		KUNIT_EXPECT_EQ(test, bao_fake_count(f, BAO_FAKE_PENDING),
				max(19 - i, 0));
	}
}

static void bao_test_full_with_none_pending(struct kunit *test)
{
	struct bao_fake *f = test->priv;
	u64 first = bao_fake_push_and_drain(f, BAO_MAX_REQUESTS);
	u64 id;

	/* As many as there is room for: nobody must ask again. */
	id = bao_fake_fetch(f, first).id;
	KUNIT_EXPECT_EQ(test, bao_complete(&f->b, id, 0), 0);
	bao_fake_settle(f);
	KUNIT_EXPECT_EQ(test, bao_fake_asks(f), BAO_MAX_REQUESTS);
}

struct bao_unfetch_case {
	unsigned int fetched;
	const char *unfetch;
	const char *next;
};

/* Of six requests some are fetched. Those that go back come in this order. */
static const struct bao_unfetch_case bao_unfetch_cases[] = {
	{ 1, "0", "012345" },
	{ 3, "0", "0345" },
	{ 3, "1", "1345" },
	{ 3, "2", "2345" },
	{ 3, "20", "02345" },
	{ 3, "012", "012345" },
	{ 6, "5", "5" },
	{ 6, "402", "024" },
	{ 6, "531420", "012345" },
	{ 3, "11", "1345" },	/* twice */
	{ 3, "4", "345" },	/* never fetched */
};

static void bao_unfetch_desc(const struct bao_unfetch_case *c, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%s of %u", c->unfetch,
		 c->fetched);
}

KUNIT_ARRAY_PARAM(bao_unfetch, bao_unfetch_cases, bao_unfetch_desc);

static void bao_test_unfetch(struct kunit *test)
{
	const struct bao_unfetch_case *c = test->param_value;
	struct bao_fake *f = test->priv;
	u64 first = bao_fake_push_and_drain(f, 6);
	struct bao_request req;
	u64 ids[6];

	for (int i = 0; i < 6; i++)
		ids[i] = f->b.slots[i].id;
	for (int i = 0; i < c->fetched; i++)
		KUNIT_EXPECT_EQ(test, bao_fake_fetch(f, bao_fake_nth(first, i)).id,
				ids[i]);

	for (const char *p = c->unfetch; *p; p++)
		bao_unfetch(&f->b, ids[*p - '0']);

	for (const char *p = c->next; *p; p++) {
		req = bao_fake_fetch(f, bao_fake_nth(first, *p - '0'));
		KUNIT_EXPECT_EQ(test, req.id, ids[*p - '0']);
		KUNIT_EXPECT_EQ(test, req.flags, 0);
	}
	KUNIT_EXPECT_EQ(test, bao_fetch(&f->b, &req), -EAGAIN);
}

/* One thread's fetch fails while another has fetched on and completed. */
static void bao_test_unfetch_meanwhile(struct kunit *test)
{
	struct bao_fake *f = test->priv;
	u64 first = bao_fake_push_and_drain(f, 3);
	u64 old = bao_fake_fetch(f, first).id;
	u64 young = bao_fake_fetch(f, bao_fake_nth(first, 1)).id;

	KUNIT_EXPECT_EQ(test, bao_complete(&f->b, young, 0), 0);
	bao_unfetch(&f->b, young);
	bao_unfetch(&f->b, old);
	bao_fake_push_and_drain(f, 1);

	KUNIT_EXPECT_EQ(test, bao_fake_fetch(f, first).id, old);
	bao_fake_fetch(f, bao_fake_nth(first, 2));
	bao_fake_fetch(f, bao_fake_nth(first, 3));
}

/*
 * Raises the interrupt, and returns how often the handler itself asked. For use
 * with the gate closed.
 */
static unsigned int bao_raise(struct bao_fake *f)
{
	unsigned int asks = bao_fake_asks(f);
	unsigned long flags;
	irqreturn_t ret;

	local_irq_save(flags);
	ret = bao_interrupt(0, &f->b);
	local_irq_restore(flags);

	KUNIT_EXPECT_EQ(f->test, ret, IRQ_HANDLED);
	return bao_fake_asks(f) - asks;
}

static void bao_serve_all(struct bao_fake *f)
{
	struct bao_request req;

	while (!bao_fetch(&f->b, &req))
		KUNIT_EXPECT_EQ(f->test, bao_complete(&f->b, req.id, 0), 0);
}

/*
 * A machine that stands still for a moment looks as if the handler had used up
 * its time, and then it must not ask. So a test of what it does within its time
 * has some tries, each in a period of its own.
 */
#define BAO_TRIES	50

static bool bao_try(struct kunit *test, bool (*fn)(struct bao_fake *f))
{
	struct bao_fake *f = test->priv;
	bool ok = false;

	for (int i = 0; i < BAO_TRIES && !ok; i++) {
		msleep(20);
		bao_fake_close_gate(f);
		ok = fn(f);
		bao_fake_open_gate(f);
		KUNIT_EXPECT_EQ(test, bao_fake_count(f, BAO_FAKE_PENDING), 0);
		bao_serve_all(f);
	}

	return ok;
}

static bool bao_try_interrupt(struct bao_fake *f)
{
	bao_fake_push_many(f, 3);
	return bao_raise(f) == 3;
}

static void bao_test_interrupt(struct kunit *test)
{
	KUNIT_EXPECT_TRUE(test, bao_try(test, bao_try_interrupt));
}

/* What can be answered at once is, without the thread and on any kernel. */
static bool bao_try_known_load(struct bao_fake *f)
{
	struct bao_iovalue args = {
		.addr = bao_fake_push(f, BAO_HC_READ, 4, 0),
		.len = 4,
		.value = 0xba0,
	};
	unsigned int answers = f->nr_answers;

	KUNIT_EXPECT_EQ(f->test, bao_iovalue_config(&f->b, &args), 0);
	bao_raise(f);
	args.flags = BAO_IOVALUE_DEASSIGN;
	args.value = 0;
	KUNIT_EXPECT_EQ(f->test, bao_iovalue_config(&f->b, &args), 0);

	return f->nr_answers == answers + 1 &&
	       bao_fake_last(f)->addr == args.addr &&
	       bao_fake_last(f)->value == 0xba0;
}

static void bao_test_known_load(struct kunit *test)
{
	KUNIT_EXPECT_TRUE(test, bao_try(test, bao_try_known_load));
}

static void bao_test_spurious_interrupt(struct kunit *test)
{
	struct bao_fake *f = test->priv;

	bao_raise(f);
	bao_fake_settle(f);
	KUNIT_EXPECT_EQ(test, bao_fake_asks(f), 1);
	KUNIT_EXPECT_FALSE(test, bao_is_waiting(&f->b));
}

static bool bao_try_storm(struct bao_fake *f)
{
	unsigned int taken;

	bao_fake_push_many(f, 3 * BAO_DRAIN_BUDGET);
	taken = bao_raise(f);

	/* The rest is the thread's, however often the line is raised. */
	for (int i = 0; i < 3; i++)
		KUNIT_EXPECT_EQ(f->test, bao_raise(f), 0);

	return taken == BAO_DRAIN_BUDGET;
}

static void bao_test_storm(struct kunit *test)
{
	KUNIT_EXPECT_TRUE(test, bao_try(test, bao_try_storm));

	/* After it the handler takes up again. */
	KUNIT_EXPECT_TRUE(test, bao_try(test, bao_try_interrupt));
}

/* Whether a handler that has just been slow leaves the next to the thread. */
static bool bao_try_slow(struct bao_fake *f)
{
	unsigned int slow, next;
	unsigned long flags;

	local_irq_save(flags);
	bao_fake_push_many(f, 1);
	f->slow_ask = true;
	slow = bao_raise(f);
	bao_fake_push_many(f, 1);
	next = bao_raise(f);
	local_irq_restore(flags);

	return slow == 1 && next == 0;
}

static void bao_test_time_limit(struct kunit *test)
{
	unsigned long flags;
	u64 time;

	local_irq_save(flags);
	time = local_clock();
	mdelay(20);
	time = local_clock() - time;
	local_irq_restore(flags);
	if (!time)
		kunit_skip(test, "the clock stands still in interrupts");

	KUNIT_EXPECT_TRUE(test, bao_try(test, bao_try_slow));
}

struct bao_time_case {
	const char *name;
	unsigned int took_us;
	unsigned int gap_us;
	bool up;
};

/* What four interrupts, each with a gap behind it, leave to a fifth. */
static const struct bao_time_case bao_time_cases[] = {
	{ "no gaps, all used", 2000, 0, true },
	{ "no gaps, not all used", 1999, 0, false },
	{ "gaps like the handler", 1000, 1000, true },
	{ "shorter gaps", 1100, 899, false },
	{ "longer gaps", 500, 1900, false },
	{ "longer gaps, all used", 1000, 1300, true },
};

KUNIT_ARRAY_PARAM_DESC(bao_time, bao_time_cases, name);

static void bao_test_time(struct kunit *test)
{
	const struct bao_time_case *c = test->param_value;
	const u64 start = NSEC_PER_SEC;
	struct bao_cpu_time t = {};
	u64 now = start;

	for (int i = 0; i < 4; i++) {
		bao_time_enter(&t, now);
		KUNIT_EXPECT_FALSE(test, bao_time_is_up(&t, now));
		now += c->took_us * NSEC_PER_USEC;
		bao_time_leave(&t, now - c->took_us * NSEC_PER_USEC, now);
		now += c->gap_us * NSEC_PER_USEC;
	}
	bao_time_enter(&t, now);
	KUNIT_EXPECT_EQ(test, bao_time_is_up(&t, now), c->up);

	/* To the end of the period, and no longer. */
	now = start + 10 * NSEC_PER_MSEC;
	KUNIT_EXPECT_EQ(test, bao_time_is_up(&t, now - 1), c->up);
	KUNIT_EXPECT_FALSE(test, bao_time_is_up(&t, now));
}

/* Handlers that leave all to the thread come in between. */
static void bao_test_gap_counts_once(struct kunit *test)
{
	struct bao_cpu_time t = {};

	bao_time_leave(&t, 1000, 1400);
	for (u64 now = 1500; now < 2000; now += 100)
		bao_time_enter(&t, now);
	KUNIT_EXPECT_EQ(test, t.used, 500);
}

/* As if two threads slept until there is a request for them. */
static void bao_sleep(struct bao_fake *f)
{
	init_swait_queue_head(&f->b.sleepers);
	for (int i = 0; i < ARRAY_SIZE(f->sleepers); i++) {
		f->sleepers[i].task = current;
		list_add_tail(&f->sleepers[i].task_list,
			      &f->b.sleepers.task_list);
	}
}

/* A wake-up takes a thread off the list. */
static bool bao_is_awake(const struct swait_queue *sleeper)
{
	return list_empty(&sleeper->task_list);
}

static void bao_test_wakeups(struct kunit *test)
{
	struct bao_fake *f = test->priv;
	struct swait_queue *s = f->sleepers;

	/* One thread for each request, in their order. */
	bao_sleep(f);
	bao_fake_push_and_drain(f, 1);
	KUNIT_EXPECT_TRUE(test, bao_is_awake(&s[0]));
	KUNIT_EXPECT_FALSE(test, bao_is_awake(&s[1]));
	bao_fake_push_and_drain(f, 2);
	KUNIT_EXPECT_TRUE(test, bao_is_awake(&s[1]));

	/* One for a request that comes back. */
	bao_sleep(f);
	bao_unfetch(&f->b, bao_fake_fetch(f, f->b.slots[0].ask.addr).id);
	KUNIT_EXPECT_TRUE(test, bao_is_awake(&s[0]));
	KUNIT_EXPECT_FALSE(test, bao_is_awake(&s[1]));

	/* All at the end. */
	list_add_tail(&s[0].task_list, &f->b.sleepers.task_list);
	bao_set_gone(&f->b);
	KUNIT_EXPECT_TRUE(test, bao_is_awake(&s[0]));
	KUNIT_EXPECT_TRUE(test, bao_is_awake(&s[1]));
}

static void bao_test_polling(struct kunit *test)
{
	struct bao_fake *f = test->priv;
	struct swait_queue *s = f->sleepers;

	bao_sleep(f);

	/* The first is the poller's, a second is for somebody else. */
	atomic_inc(&f->b.busy_pollers);
	bao_fake_push_and_drain(f, 1);
	KUNIT_EXPECT_FALSE(test, bao_is_awake(&s[0]));
	bao_fake_push_and_drain(f, 1);
	KUNIT_EXPECT_TRUE(test, bao_is_awake(&s[0]));

	atomic_dec(&f->b.busy_pollers);
	bao_serve_all(f);
	bao_fake_push_and_drain(f, 1);
	KUNIT_EXPECT_TRUE(test, bao_is_awake(&s[1]));
}

static void bao_test_notify(struct kunit *test)
{
	struct bao_fake *f = test->priv;

	KUNIT_EXPECT_EQ(test, bao_notify(&f->b), 0);
	f->refuse[BAO_HC_NOTIFY] = BAO_STATUS_FAILED;
	KUNIT_EXPECT_EQ(test, bao_notify(&f->b), -EIO);
	f->refuse[BAO_HC_NOTIFY] = BAO_STATUS_EMPTY;
	KUNIT_EXPECT_EQ(test, bao_notify(&f->b), -EIO);

	KUNIT_EXPECT_EQ(test, f->calls[BAO_HC_NOTIFY], 3);
	KUNIT_EXPECT_EQ(test, bao_fake_asks(f), 0);
	KUNIT_EXPECT_EQ(test, f->nr_answers, 0);
}

struct bao_verdict_case {
	const char *name;
	s64 undefined;
	s64 ask;
	unsigned int pushed;
	int ret;
};

static const struct bao_verdict_case bao_verdict_cases[] = {
	{ "a request", BAO_STATUS_INVALID, BAO_STATUS_OK, 1, 0 },
	{ "two requests", BAO_STATUS_INVALID, BAO_STATUS_OK, 2, 0 },
	{ "empty", BAO_STATUS_INVALID, BAO_STATUS_EMPTY, 0, 0 },
	{ "no frontend yet", BAO_STATUS_INVALID, BAO_STATUS_FAILED, 0, 0 },
	{ "no such device", BAO_STATUS_INVALID, BAO_STATUS_INVALID, 0,
	  -ENODEV },
	{ "unknown hypercall", BAO_STATUS_UNKNOWN, BAO_STATUS_OK, 1, -ENODEV },
	{ "unknown to SMCCC", BAO_STATUS_FAILED, BAO_STATUS_OK, 1, -ENODEV },
	{ "success", BAO_STATUS_OK, BAO_STATUS_OK, 1, -ENODEV },
	{ "empty for no operation", BAO_STATUS_EMPTY, BAO_STATUS_OK, 1,
	  -ENODEV },
	{ "nonsense", 0xbadca11, BAO_STATUS_OK, 1, -ENODEV },
	{ "-3 of 32 bits", 0xfffffffd, BAO_STATUS_OK, 1, -ENODEV },
};

KUNIT_ARRAY_PARAM_DESC(bao_verdict, bao_verdict_cases, name);

static void bao_test_verdict(struct kunit *test)
{
	const struct bao_verdict_case *c = test->param_value;
	struct bao_fake *f = test->priv;
	u64 first = bao_fake_push_many(f, c->pushed);
	unsigned int popped = c->ret ? 0 : min(c->pushed, 1);

	f->b.dev = kunit_device_register(test, "bao-kunit");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, f->b.dev);
	f->undefined = c->undefined;
	f->refuse[BAO_HC_ASK] = c->ask;

	KUNIT_EXPECT_EQ(test, bao_check_hypervisor(&f->b), c->ret);
	KUNIT_EXPECT_EQ(test, f->probes, 1);
	KUNIT_EXPECT_EQ(test, bao_fake_asks(f),
			c->undefined == BAO_STATUS_INVALID);

	/* What came with the answer is kept, what did not is not lost. */
	KUNIT_EXPECT_EQ(test, bao_fake_count(f, BAO_FAKE_PROCESSING), popped);
	bao_deliver(&f->b);
	KUNIT_EXPECT_EQ(test, bao_is_waiting(&f->b), popped > 0);
	while (bao_fake_drain(f))
		;
	for (int i = 0; i < c->pushed; i++)
		bao_fake_fetch(f, bao_fake_nth(first, i));
}

static struct kunit_case bao_cases[] = {
	KUNIT_CASE(bao_test_order),
	KUNIT_CASE(bao_test_ids_grow),
	KUNIT_CASE_PARAM(bao_test_asks, bao_asks_gen_params),
	KUNIT_CASE(bao_test_full),
	KUNIT_CASE(bao_test_full_with_none_pending),
	KUNIT_CASE_PARAM(bao_test_unfetch, bao_unfetch_gen_params),
	KUNIT_CASE(bao_test_unfetch_meanwhile),
	KUNIT_CASE(bao_test_interrupt),
	KUNIT_CASE(bao_test_known_load),
	KUNIT_CASE(bao_test_spurious_interrupt),
	KUNIT_CASE(bao_test_storm),
	KUNIT_CASE(bao_test_time_limit),
	KUNIT_CASE_PARAM(bao_test_time, bao_time_gen_params),
	KUNIT_CASE(bao_test_gap_counts_once),
	KUNIT_CASE(bao_test_wakeups),
	KUNIT_CASE(bao_test_polling),
	KUNIT_CASE(bao_test_notify),
	KUNIT_CASE_PARAM(bao_test_verdict, bao_verdict_gen_params),
	{ }
};

static struct kunit_suite bao_suite = {
	.name = "bao",
	.init = bao_fake_init,
	.exit = bao_fake_exit,
	.test_cases = bao_cases,
};

kunit_test_suite(bao_suite);
