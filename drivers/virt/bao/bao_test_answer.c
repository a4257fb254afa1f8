// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of the Bao I/O dispatcher: the request table, on the way back
 *
 * From the VMM to the hypervisor: completions, and what becomes of requests
 * whose VMM or driver goes away.
 */
#include <kunit/test.h>
#include <linux/limits.h>
#include <linux/string_choices.h>

#include "bao_test.h"

struct bao_complete_case {
	u64 op;
	unsigned int width;
	u64 answer;
	u64 answered;
};

static const struct bao_complete_case bao_complete_cases[] = {
	{ BAO_HC_READ, 1, U64_MAX, 0xff },
	{ BAO_HC_READ, 2, U64_MAX, 0xffff },
	{ BAO_HC_READ, 4, U64_MAX, 0xffffffff },
	{ BAO_HC_READ, 8, U64_MAX, U64_MAX },
	{ BAO_HC_READ, 1, 0x1122334455667788, 0x88 },
	{ BAO_HC_READ, 2, 0x1122334455667788, 0x7788 },
	{ BAO_HC_READ, 4, 0x1122334455667788, 0x55667788 },
	{ BAO_HC_READ, 8, 0x1122334455667788, 0x1122334455667788 },
	{ BAO_HC_READ, 4, 0, 0 },
	{ BAO_HC_WRITE, 1, U64_MAX, 0 },
	{ BAO_HC_WRITE, 2, U64_MAX, 0 },
	{ BAO_HC_WRITE, 4, U64_MAX, 0 },
	{ BAO_HC_WRITE, 8, U64_MAX, 0 },
};

static void bao_complete_desc(const struct bao_complete_case *c, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%s of %u bytes, %#llx",
		 str_read_write(c->op == BAO_HC_READ), c->width, c->answer);
}

KUNIT_ARRAY_PARAM(bao_complete, bao_complete_cases, bao_complete_desc);

static void bao_test_complete(struct kunit *test)
{
	const struct bao_complete_case *c = test->param_value;
	struct bao_fake *f = test->priv;
	u64 addr = bao_fake_push(f, c->op, c->width, 0x8877665544332211);
	u64 id;

	bao_fake_drain(f);
	id = bao_fake_fetch(f, addr).id;
	KUNIT_EXPECT_EQ(test, bao_complete(&f->b, id, c->answer), 0);

	KUNIT_EXPECT_EQ(test, f->nr_answers, 1);
	KUNIT_EXPECT_EQ(test, bao_fake_last(f)->addr, addr);
	KUNIT_EXPECT_EQ(test, bao_fake_last(f)->op, c->op);
	KUNIT_EXPECT_EQ(test, bao_fake_last(f)->value, c->answered);
}

/* Differences from the id of a request in flight, all of which hit nothing. */
static const s64 bao_bad_ids[] = {
	1, -1, 63, BAO_MAX_REQUESTS, -BAO_MAX_REQUESTS,
	1000 * BAO_MAX_REQUESTS, 1LL << 32, S64_MIN,
};

static void bao_bad_id_desc(const s64 *diff, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "id %+lld", *diff);
}

KUNIT_ARRAY_PARAM(bao_bad_id, bao_bad_ids, bao_bad_id_desc);

static void bao_test_bad_id(struct kunit *test)
{
	const s64 *diff = test->param_value;
	struct bao_fake *f = test->priv;
	u64 id = bao_fake_push_and_fetch(f, BAO_HC_READ).id;

	KUNIT_EXPECT_EQ(test, bao_complete(&f->b, id + *diff, 1), -ENOENT);
	KUNIT_EXPECT_EQ(test, f->nr_answers, 0);

	KUNIT_EXPECT_EQ(test, bao_complete(&f->b, id, 2), 0);
	KUNIT_EXPECT_EQ(test, bao_fake_last(f)->value, 2);
}

static const u64 bao_wild_ids[] = {
	0, 1, 63, BAO_MAX_REQUESTS, S64_MAX, U64_MAX - 63, U64_MAX,
};

static void bao_test_nothing_in_flight(struct kunit *test)
{
	struct bao_fake *f = test->priv;

	for (int i = 0; i < ARRAY_SIZE(bao_wild_ids); i++) {
		KUNIT_EXPECT_EQ(test, bao_complete(&f->b, bao_wild_ids[i], 0),
				-ENOENT);
		bao_unfetch(&f->b, bao_wild_ids[i]);
	}

	KUNIT_EXPECT_EQ(test, f->nr_answers, 0);
	KUNIT_EXPECT_FALSE(test, bao_is_waiting(&f->b));
}

/* One id through its life: only while it is in flight does it name anything. */
static void bao_test_id_life(struct kunit *test)
{
	struct bao_fake *f = test->priv;
	u64 addr = bao_fake_push_and_drain(f, 1);
	u64 id = f->b.slots[0].id;

	KUNIT_EXPECT_EQ(test, bao_complete(&f->b, id, 0), -ENOENT);
	KUNIT_EXPECT_EQ(test, bao_fake_fetch(f, addr).id, id);
	bao_unfetch(&f->b, id);
	KUNIT_EXPECT_EQ(test, bao_complete(&f->b, id, 0), -ENOENT);
	KUNIT_EXPECT_EQ(test, f->nr_answers, 0);

	KUNIT_EXPECT_EQ(test, bao_fake_fetch(f, addr).id, id);
	KUNIT_EXPECT_EQ(test, bao_complete(&f->b, id, 0), 0);
	KUNIT_EXPECT_EQ(test, bao_complete(&f->b, id, 0), -ENOENT);

	/* All slots are used again, and so is the hypervisor's id. */
	bao_fake_push_and_drain(f, BAO_MAX_REQUESTS);
	for (int i = 0; i < BAO_MAX_REQUESTS; i++)
		bao_fake_fetch(f, bao_fake_nth(addr, 1 + i));
	KUNIT_EXPECT_EQ(test, bao_complete(&f->b, id, 0), -ENOENT);
	KUNIT_EXPECT_EQ(test, f->nr_answers, 1);
}

struct bao_refuse_case {
	u64 op;
	s64 status;
	bool forgotten;
};

static const struct bao_refuse_case bao_refuse_cases[] = {
	{ BAO_HC_READ, BAO_STATUS_FAILED, true },
	{ BAO_HC_WRITE, BAO_STATUS_FAILED, true },
	{ BAO_HC_READ, BAO_STATUS_INVALID, false },
	{ BAO_HC_WRITE, BAO_STATUS_INVALID, false },
	{ BAO_HC_READ, BAO_STATUS_UNKNOWN, false },
	{ BAO_HC_WRITE, 0xbadca11, false },
};

static void bao_refuse_desc(const struct bao_refuse_case *c, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "op %llu, status %lld", c->op,
		 c->status);
}

KUNIT_ARRAY_PARAM(bao_refuse, bao_refuse_cases, bao_refuse_desc);

static void bao_test_refuse(struct kunit *test)
{
	const struct bao_refuse_case *c = test->param_value;
	struct bao_fake *f = test->priv;
	u64 id = bao_fake_push_and_fetch(f, c->op).id;

	f->refuse[c->op] = c->status;
	KUNIT_EXPECT_EQ(test, bao_complete(&f->b, id, 7), -EIO);
	KUNIT_EXPECT_EQ(test, f->nr_answers, 1);

	KUNIT_EXPECT_EQ(test, bao_complete(&f->b, id, 8),
			c->forgotten ? -ENOENT : 0);
	KUNIT_EXPECT_EQ(test, f->nr_answers, c->forgotten ? 1 : 2);
	KUNIT_EXPECT_EQ(test, bao_fake_last(f)->value,
			c->op == BAO_HC_WRITE ? 0 : c->forgotten ? 7 : 8);

	/* Either way its slot is free by now. */
	bao_fake_push_and_drain(f, BAO_MAX_REQUESTS);
	KUNIT_EXPECT_EQ(test, bao_fake_count(f, BAO_FAKE_PENDING), 0);
}

static void bao_test_refused_keeps_its_place(struct kunit *test)
{
	struct bao_fake *f = test->priv;
	u64 first = bao_fake_push_and_drain(f, 3);
	u64 id = bao_fake_fetch(f, first).id;

	bao_fake_fetch(f, bao_fake_nth(first, 1));
	f->refuse[BAO_HC_WRITE] = BAO_STATUS_INVALID;
	KUNIT_EXPECT_EQ(test, bao_complete(&f->b, id, 0), -EIO);

	bao_give_back(&f->b);
	for (int i = 0; i < 3; i++)
		bao_fake_fetch(f, bao_fake_nth(first, i));
}

/* Expects requests, given as digits, with these flags. */
static void bao_expect_flags(struct bao_fake *f, u64 first, const char *which,
			     u32 flags)
{
	for (; *which; which++)
		KUNIT_EXPECT_EQ(f->test,
				bao_fake_fetch(f, bao_fake_nth(first, *which - '0'))
				.flags, flags);
}

static void bao_test_give_back(struct kunit *test)
{
	struct bao_fake *f = test->priv;
	u64 first = bao_fake_push_and_drain(f, 6);

	/* Of 0 to 3, 1 is completed and 3 never reached the VMM. */
	bao_expect_flags(f, first, "0123", 0);
	KUNIT_EXPECT_EQ(test, bao_complete(&f->b, f->b.slots[1].id, 0), 0);
	bao_unfetch(&f->b, f->b.slots[3].id);
	bao_give_back(&f->b);

	bao_expect_flags(f, first, "02", BAO_REQUEST_REDELIVERED);
	bao_expect_flags(f, first, "34", 0);

	/* The next VMM goes away too. */
	bao_give_back(&f->b);
	bao_expect_flags(f, first, "0234", BAO_REQUEST_REDELIVERED);
	bao_expect_flags(f, first, "5", 0);
	KUNIT_EXPECT_FALSE(test, bao_is_waiting(&f->b));
}

static void bao_test_flags_end_with_request(struct kunit *test)
{
	struct bao_fake *f = test->priv;
	u64 first = bao_fake_push_and_drain(f, BAO_MAX_REQUESTS);

	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < BAO_MAX_REQUESTS; i++)
			bao_fake_fetch(f, bao_fake_nth(first, i));
		bao_give_back(&f->b);
	}

	for (int i = 0; i < BAO_MAX_REQUESTS; i++) {
		u64 id = bao_fake_fetch(f, bao_fake_nth(first, i)).id;

		KUNIT_EXPECT_EQ(test, bao_complete(&f->b, id, 0), 0);
	}

	first = bao_fake_push_and_drain(f, BAO_MAX_REQUESTS);
	for (int i = 0; i < BAO_MAX_REQUESTS; i++)
		KUNIT_EXPECT_EQ(test,
				bao_fake_fetch(f, bao_fake_nth(first, i)).flags, 0);
}

static void bao_test_gone(struct kunit *test)
{
	struct bao_fake *f = test->priv;
	u64 id = bao_fake_push_and_fetch(f, BAO_HC_READ).id;
	unsigned int asks = bao_fake_asks(f);

	bao_set_gone(&f->b);
	bao_fake_push_many(f, 2);

	KUNIT_EXPECT_FALSE(test, bao_drain(&f->b));
	KUNIT_EXPECT_EQ(test, bao_fake_asks(f), asks);
	KUNIT_EXPECT_EQ(test, bao_complete(&f->b, id, 0), -ENODEV);
	KUNIT_EXPECT_EQ(test, bao_complete(&f->b, id + 1, 0), -ENODEV);
	KUNIT_EXPECT_EQ(test, f->nr_answers, 0);
}

/* Checks what bao_abandon() answered to a request. */
static void bao_expect_abandoned(struct bao_fake *f, u64 addr, u64 op,
				 u64 value)
{
	for (int i = 0; i < f->nr_answers; i++) {
		if (f->answers[i].addr != addr)
			continue;
		KUNIT_EXPECT_EQ(f->test, f->answers[i].op, op);
		KUNIT_EXPECT_EQ(f->test, f->answers[i].value, value);
		return;
	}

	KUNIT_FAIL(f->test, "%#llx has no answer", addr);
}

static void bao_test_abandon(struct kunit *test)
{
	static const u64 ones[] = { 0xff, 0xffff, 0xffffffff, U64_MAX };
	struct bao_fake *f = test->priv;
	u64 first = bao_fake_push_and_drain(f, 8);
	struct bao_request req;

	/* Some fetched, some waiting, some still in the hypervisor. */
	for (int i = 0; i < 3; i++)
		bao_fake_fetch(f, bao_fake_nth(first, i));
	bao_fake_push_many(f, 2);

	bao_fake_stop(f);
	KUNIT_EXPECT_EQ(test, bao_abandon(&f->b), 8);

	KUNIT_EXPECT_EQ(test, f->nr_answers, 8);
	for (int i = 0; i < 8; i += 2) {
		bao_expect_abandoned(f, bao_fake_nth(first, i), BAO_HC_WRITE, 0);
		bao_expect_abandoned(f, bao_fake_nth(first, i + 1), BAO_HC_READ,
				     ones[i / 2]);
	}
	KUNIT_EXPECT_EQ(test, bao_fake_count(f, BAO_FAKE_PENDING), 2);

	KUNIT_EXPECT_EQ(test, bao_fetch(&f->b, &req), -ENODEV);
	KUNIT_EXPECT_EQ(test, bao_abandon(&f->b), 0);
	KUNIT_EXPECT_EQ(test, f->nr_answers, 8);
}

static void bao_test_abandon_full(struct kunit *test)
{
	struct bao_fake *f = test->priv;

	/* One more waits for a free slot, but there is no thread to wake. */
	bao_fake_push_and_drain(f, BAO_MAX_REQUESTS + 1);
	bao_fake_stop(f);
	f->refuse[BAO_HC_READ] = BAO_STATUS_FAILED;

	/* A refusal does not keep the others from their answer. */
	KUNIT_EXPECT_EQ(test, bao_abandon(&f->b), BAO_MAX_REQUESTS);
	KUNIT_EXPECT_EQ(test, f->nr_answers, BAO_MAX_REQUESTS);
	KUNIT_EXPECT_EQ(test, bao_fake_count(f, BAO_FAKE_PROCESSING), 0);
	KUNIT_EXPECT_EQ(test, bao_fake_count(f, BAO_FAKE_PENDING), 1);
}

static void bao_test_counters(struct kunit *test)
{
	struct bao_fake *f = test->priv;
	struct bao_stats *stats = &f->b.stats;
	u64 id = bao_fake_push_and_fetch(f, BAO_HC_READ).id;

	bao_complete(&f->b, id + 1, 0);
	KUNIT_EXPECT_EQ(test, stats->completed, 0);
	KUNIT_EXPECT_EQ(test, atomic64_read(&stats->hypercall_errors), 0);

	f->refuse[BAO_HC_READ] = BAO_STATUS_INVALID;
	bao_complete(&f->b, id, 0);
	KUNIT_EXPECT_EQ(test, stats->completed, 0);
	KUNIT_EXPECT_EQ(test, atomic64_read(&stats->hypercall_errors), 1);

	bao_give_back(&f->b);
	KUNIT_EXPECT_EQ(test, stats->redelivered, 1);
	bao_fake_fetch(f, bao_fake_last(f)->addr);
	bao_complete(&f->b, id, 0);
	KUNIT_EXPECT_EQ(test, stats->completed, 1);

	/* An empty ASK is none. */
	bao_drain(&f->b);
	KUNIT_EXPECT_EQ(test, atomic64_read(&stats->hypercall_errors), 1);
	bao_notify(&f->b);
	KUNIT_EXPECT_EQ(test, atomic64_read(&stats->notifies), 1);
}

static struct kunit_case bao_answer_cases[] = {
	KUNIT_CASE_PARAM(bao_test_complete, bao_complete_gen_params),
	KUNIT_CASE_PARAM(bao_test_bad_id, bao_bad_id_gen_params),
	KUNIT_CASE(bao_test_nothing_in_flight),
	KUNIT_CASE(bao_test_id_life),
	KUNIT_CASE_PARAM(bao_test_refuse, bao_refuse_gen_params),
	KUNIT_CASE(bao_test_refused_keeps_its_place),
	KUNIT_CASE(bao_test_give_back),
	KUNIT_CASE(bao_test_flags_end_with_request),
	KUNIT_CASE(bao_test_gone),
	KUNIT_CASE(bao_test_abandon),
	KUNIT_CASE(bao_test_abandon_full),
	KUNIT_CASE(bao_test_counters),
	{ }
};

static struct kunit_suite bao_answer_suite = {
	.name = "bao_answer",
	.init = bao_fake_init,
	.exit = bao_fake_exit,
	.test_cases = bao_answer_cases,
};

kunit_test_suite(bao_answer_suite);
