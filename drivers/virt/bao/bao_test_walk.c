// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of the Bao I/O dispatcher: a random walk
 *
 * The request table does whatever comes up, thousands of times, next to a
 * model that does the same in the simplest way: a list by age, of which the
 * driver can have the first BAO_MAX_REQUESTS. After each step the two agree.
 */
#include <kunit/test.h>
#include <linux/irqflags.h>
#include <linux/prandom.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "bao_test.h"

#define BAO_WALK_STEPS		4000

/**
 * struct bao_walk_request - a request that has no answer yet
 * @addr: its address, which also gives its age
 * @id: what the driver calls it, if ever fetched
 * @in_flight: with the VMM
 * @redelivered: its VMM has gone away
 */
struct bao_walk_request {
	u64 addr;
	u64 id;
	bool in_flight;
	bool redelivered;
};

/**
 * struct bao_walk - the model
 * @f: what it is compared with
 * @test: the test
 * @rnd: all that is random
 * @step: for messages
 * @last_id: the highest id so far
 * @nr: requests without an answer
 * @answered: requests that had one
 * @requests: by age
 */
struct bao_walk {
	struct bao_fake *f;
	struct kunit *test;
	struct rnd_state rnd;
	unsigned int step;
	u64 last_id;
	unsigned int nr;
	unsigned int answered;
	struct bao_walk_request requests[BAO_FAKE_POOL];
};

#define BAO_WALK_ASSERT_EQ(w, a, b)					\
do {									\
	const struct bao_walk *w_ = (w);				\
									\
	KUNIT_ASSERT_EQ_MSG(w_->test, a, b, "step %u", w_->step);	\
} while (0)

static unsigned int bao_walk_below(struct bao_walk *w, unsigned int limit)
{
	return prandom_u32_state(&w->rnd) % limit;
}

static u64 bao_walk_u64(struct bao_walk *w)
{
	return (u64)prandom_u32_state(&w->rnd) << 32 |
	       prandom_u32_state(&w->rnd);
}

/* A request in flight, or NULL. */
static struct bao_walk_request *bao_walk_pick(struct bao_walk *w)
{
	unsigned int from = w->nr ? bao_walk_below(w, w->nr) : 0;

	for (unsigned int i = 0; i < w->nr; i++)
		if (w->requests[(from + i) % w->nr].in_flight)
			return &w->requests[(from + i) % w->nr];

	return NULL;
}

static void bao_walk_forget(struct bao_walk *w, struct bao_walk_request *r)
{
	unsigned int after = w->requests + w->nr - (r + 1);

	memmove(r, r + 1, after * sizeof(*r));
	w->nr--;
}

/*
 * A burst of requests, of which one interrupt tells. Full and empty tables
 * take turns.
 */
static void bao_walk_push(struct bao_walk *w)
{
	bool rush = w->step / 512 % 2;
	unsigned long flags;
	unsigned int nr = bao_walk_below(w, rush ? 32 : 8);

	for (; nr && w->nr < BAO_FAKE_POOL; nr--)
		w->requests[w->nr++] = (struct bao_walk_request) {
			.addr = bao_fake_push(w->f, bao_walk_below(w, 2),
					      1 << bao_walk_below(w, 4),
					      bao_walk_u64(w)),
		};

	local_irq_save(flags);
	bao_interrupt(0, &w->f->b);
	local_irq_restore(flags);
}

static void bao_walk_lie(struct bao_walk *w)
{
	w->f->always_more = !w->f->always_more;
}

static void bao_walk_fetch(struct bao_walk *w)
{
	unsigned int in_table = min(w->nr, BAO_MAX_REQUESTS);
	struct bao_walk_request *r = w->requests;
	struct bao_request req;

	while (r < w->requests + in_table && r->in_flight)
		r++;
	if (r == w->requests + in_table) {
		BAO_WALK_ASSERT_EQ(w, bao_fetch(&w->f->b, &req), -EAGAIN);
		return;
	}

	req = bao_fake_fetch(w->f, r->addr);
	BAO_WALK_ASSERT_EQ(w, req.flags,
			   r->redelivered ? BAO_REQUEST_REDELIVERED : 0);
	if (r->id)
		BAO_WALK_ASSERT_EQ(w, req.id, r->id);
	else
		KUNIT_ASSERT_GT(w->test, req.id, w->last_id);

	w->last_id = max(w->last_id, req.id);
	r->id = req.id;
	r->in_flight = true;
}

static void bao_walk_unfetch(struct bao_walk *w)
{
	struct bao_walk_request *r = bao_walk_pick(w);

	if (!r)
		return;

	bao_unfetch(&w->f->b, r->id);
	r->in_flight = false;
}

static void bao_walk_complete(struct bao_walk *w)
{
	struct bao_walk_request *r = bao_walk_pick(w);
	unsigned int answers = w->f->nr_answers;

	if (!r)
		return;

	BAO_WALK_ASSERT_EQ(w, bao_complete(&w->f->b, r->id, bao_walk_u64(w)),
			   0);
	BAO_WALK_ASSERT_EQ(w, w->f->nr_answers, answers + 1);
	BAO_WALK_ASSERT_EQ(w, bao_fake_last(w->f)->addr, r->addr);
	w->answered++;
	bao_walk_forget(w, r);
}

static void bao_walk_refuse(struct bao_walk *w)
{
	struct bao_walk_request *r = bao_walk_pick(w);
	s64 status = bao_walk_below(w, 2) ? BAO_STATUS_FAILED :
					    BAO_STATUS_INVALID;
	u64 op;

	if (!r)
		return;

	op = bao_fake_find(w->f, r->addr)->op;
	w->f->refuse[op] = status;
	BAO_WALK_ASSERT_EQ(w, bao_complete(&w->f->b, r->id, 0), -EIO);
	BAO_WALK_ASSERT_EQ(w, w->f->refuse[op], 0);

	if (status == BAO_STATUS_FAILED) {
		w->answered++;
		bao_walk_forget(w, r);
	}
}

/* An id that is made up, or that of a request that is not in flight. */
static void bao_walk_bad_id(struct bao_walk *w)
{
	unsigned int answers = w->f->nr_answers;
	u64 id = bao_walk_u64(w);

	if (w->nr && bao_walk_below(w, 2))
		id = w->requests[bao_walk_below(w, w->nr)].id;
	for (unsigned int i = 0; i < w->nr; i++)
		if (w->requests[i].in_flight && w->requests[i].id == id)
			return;

	BAO_WALK_ASSERT_EQ(w, bao_complete(&w->f->b, id, 0), -ENOENT);
	bao_unfetch(&w->f->b, id);
	BAO_WALK_ASSERT_EQ(w, w->f->nr_answers, answers);
}

static void bao_walk_give_back(struct bao_walk *w)
{
	struct bao_walk_request *r;

	bao_give_back(&w->f->b);
	for (r = w->requests; r < w->requests + w->nr; r++) {
		r->redelivered |= r->in_flight;
		r->in_flight = false;
	}
}

/* How often out of 64 each comes up. Together they keep the table busy. */
static const struct {
	unsigned int weight;
	void (*fn)(struct bao_walk *w);
} bao_walk_steps[] = {
	{ 2, bao_walk_push },
	{ 25, bao_walk_fetch },
	{ 3, bao_walk_unfetch },
	{ 22, bao_walk_complete },
	{ 6, bao_walk_refuse },
	{ 4, bao_walk_bad_id },
	{ 1, bao_walk_give_back },
	{ 1, bao_walk_lie },
};

static void bao_walk_step(struct bao_walk *w)
{
	unsigned int at = bao_walk_below(w, 64);
	unsigned int i = 0;

	while (at >= bao_walk_steps[i].weight)
		at -= bao_walk_steps[i++].weight;

	bao_walk_steps[i].fn(w);
	bao_fake_settle(w->f);

	BAO_WALK_ASSERT_EQ(w, BAO_FAKE_POOL -
			   bao_fake_count(w->f, BAO_FAKE_FREE), w->nr);
	BAO_WALK_ASSERT_EQ(w, bao_fake_count(w->f, BAO_FAKE_PROCESSING),
			   min(w->nr, BAO_MAX_REQUESTS));
}

/* Serves all that is left, after which there is nothing anywhere. */
static void bao_walk_finish(struct bao_walk *w)
{
	while (w->nr) {
		bao_walk_fetch(w);
		bao_walk_complete(w);
		bao_fake_settle(w->f);
	}

	KUNIT_EXPECT_FALSE(w->test, bao_is_waiting(&w->f->b));
	KUNIT_EXPECT_EQ(w->test, w->answered, w->f->pushed);
	KUNIT_EXPECT_EQ(w->test, bao_fake_count(w->f, BAO_FAKE_FREE),
			BAO_FAKE_POOL);
}

static const u64 bao_walk_seeds[] = { 1, 0xba0, 20260717 };

static void bao_walk_desc(const u64 *seed, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "seed %llu", *seed);
}

KUNIT_ARRAY_PARAM(bao_walk, bao_walk_seeds, bao_walk_desc);

static void bao_test_walk(struct kunit *test)
{
	const u64 *seed = test->param_value;
	struct bao_walk *w = kunit_kzalloc(test, sizeof(*w), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, w);
	w->f = test->priv;
	w->test = test;
	prandom_seed_state(&w->rnd, *seed);

	for (w->step = 0; w->step < BAO_WALK_STEPS; w->step++)
		bao_walk_step(w);
	bao_walk_finish(w);

	/* Nothing has been tested by a walk that went nowhere. */
	KUNIT_EXPECT_GT(test, w->answered, BAO_WALK_STEPS / 8);
}

static struct kunit_case bao_walk_cases[] = {
	KUNIT_CASE_PARAM(bao_test_walk, bao_walk_gen_params),
	{ }
};

static struct kunit_suite bao_walk_suite = {
	.name = "bao_walk",
	.init = bao_fake_init,
	.exit = bao_fake_exit,
	.test_cases = bao_walk_cases,
};

kunit_test_suite(bao_walk_suite);
