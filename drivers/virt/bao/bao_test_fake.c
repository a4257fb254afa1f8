// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of the Bao I/O dispatcher: the hypervisor that they play
 *
 * It is as strict as Bao and more: what Bao would carry out to a frontend's
 * harm, such as a read that is completed as a write, is a mistake here.
 */
#include <kunit/test.h>
#include <linux/cleanup.h>
#include <linux/sched/clock.h>
#include <linux/string.h>
#include <linux/time64.h>

#include "bao_test.h"

/* Where the first request's address lies. */
#define BAO_FAKE_BASE		0x0a000000ULL

/* What Bao hands over as the value of a read: whatever the register held. */
#define BAO_FAKE_JUNK		0x5a5a5a5a5a5a5a5aULL

/* A little more than the interrupt handler may take of each period. */
#define BAO_FAKE_SLOW_NS	(8300 * NSEC_PER_USEC)

static void bao_fake_dawdle(void)
{
	u64 start = local_clock();

	while (local_clock() - start < BAO_FAKE_SLOW_NS)
		cpu_relax();
}

static s64 bao_fake_ask(struct bao_fake *f, struct bao_ask *ask)
{
	struct bao_fake_request *r;

	if (f->slow_ask)
		bao_fake_dawdle();
	f->slow_ask = false;

	r = list_first_entry_or_null(&f->pending, typeof(*r), link);
	if (!r)
		return BAO_STATUS_EMPTY;

	list_del(&r->link);
	r->state = BAO_FAKE_PROCESSING;

	const u64 results[] = {
		r->addr, r->op, r->value, r->width, r - f->pool,
		f->always_more || !list_empty(&f->pending),
	};

	bao_decode_ask(results, ask);
	return BAO_STATUS_OK;
}

/* Whether an answer suits its request. */
static bool bao_fake_suits(const struct bao_fake_request *r, u64 op, u64 value)
{
	if (op != r->op)
		return false;
	if (op == BAO_HC_WRITE)
		return !value;
	return r->width == 8 || !(value >> (8 * r->width));
}

static s64 bao_fake_complete(struct bao_fake *f, u64 op, u64 value, u64 hv_id,
			     s64 refuse)
{
	struct bao_fake_request *r = &f->pool[hv_id];

	if (hv_id >= BAO_FAKE_POOL || r->state != BAO_FAKE_PROCESSING) {
		f->mistakes++;
		return BAO_STATUS_FAILED;
	}

	if (!bao_fake_suits(r, op, value))
		f->mistakes++;

	f->answers[f->nr_answers++ % BAO_FAKE_POOL] =
		(struct bao_fake_answer) { op, value, r->addr };

	/* Bao refuses so what it does not have, so then it is not there. */
	if (!refuse || refuse == BAO_STATUS_FAILED)
		r->state = BAO_FAKE_FREE;
	return refuse;
}

static s64 bao_fake_call(struct bao_fake *f, u64 op, u64 value, u64 hv_id,
			 struct bao_ask *ask)
{
	s64 refuse;

	if (op == BAO_HC_UNDEFINED) {
		f->probes++;
		return f->undefined;
	}
	if (op > BAO_HC_NOTIFY) {
		f->mistakes++;
		return BAO_STATUS_INVALID;
	}

	f->calls[op]++;
	refuse = f->refuse[op];
	f->refuse[op] = 0;

	if (op == BAO_HC_WRITE || op == BAO_HC_READ)
		return bao_fake_complete(f, op, value, hv_id, refuse);

	if (value || hv_id)
		f->mistakes++;
	if (refuse || op == BAO_HC_NOTIFY)
		return refuse;
	return bao_fake_ask(f, ask);
}

static s64 bao_fake_hypercall(struct bao_backend *b, u64 op, u64 value,
			      u64 hv_id, struct bao_ask *ask)
{
	struct bao_fake *f = container_of(b, struct bao_fake, b);
	s64 status;

	scoped_guard(raw_spinlock_irqsave, &f->lock)
		status = bao_fake_call(f, op, value, hv_id, ask);

	return status;
}

/* A request that the hypervisor does not have yet, or NULL. */
static struct bao_fake_request *bao_fake_alloc(struct bao_fake *f)
{
	/* The lowest, so that ids are used again as soon as can be. */
	for (int i = 0; i < BAO_FAKE_POOL; i++)
		if (f->pool[i].state == BAO_FAKE_FREE)
			return &f->pool[i];

	f->mistakes++;
	return NULL;
}

/**
 * bao_fake_push() - a frontend vCPU traps
 * @f: the fake
 * @op: BAO_HC_WRITE or BAO_HC_READ
 * @width: bytes
 * @value: the register stored
 *
 * Return: the request's address.
 */
u64 bao_fake_push(struct bao_fake *f, u64 op, unsigned int width, u64 value)
{
	struct bao_fake_request *r;

	scoped_guard(raw_spinlock_irqsave, &f->lock) {
		r = bao_fake_alloc(f);
		if (!r)
			return 0;
		r->addr = bao_fake_nth(BAO_FAKE_BASE, f->pushed++);
		r->op = op;
		r->width = width;
		r->value = op == BAO_HC_READ ? BAO_FAKE_JUNK : value;
		r->state = BAO_FAKE_PENDING;
		list_add_tail(&r->link, &f->pending);
	}

	return r->addr;
}

/**
 * bao_fake_push_many() - reads and writes of all widths
 * @f: the fake
 * @nr: how many
 *
 * Return: the address of the first, see bao_fake_nth().
 */
u64 bao_fake_push_many(struct bao_fake *f, unsigned int nr)
{
	u64 first = bao_fake_nth(BAO_FAKE_BASE, f->pushed);

	for (unsigned int i = 0; i < nr; i++)
		bao_fake_push(f, i % 2 ? BAO_HC_READ : BAO_HC_WRITE,
			      1 << (i / 2 % 4), ~(u64)i);

	return first;
}

/**
 * bao_fake_find() - a request that is not answered yet
 * @f: the fake
 * @addr: its address
 *
 * Return: NULL if there is none.
 */
const struct bao_fake_request *bao_fake_find(struct bao_fake *f, u64 addr)
{
	for (int i = 0; i < BAO_FAKE_POOL; i++)
		if (f->pool[i].state != BAO_FAKE_FREE &&
		    f->pool[i].addr == addr)
			return &f->pool[i];

	return NULL;
}

/**
 * bao_fake_count() - how many requests are in a state
 * @f: the fake
 * @state: the state
 *
 * Return: the number.
 */
unsigned int bao_fake_count(struct bao_fake *f, enum bao_fake_state state)
{
	unsigned int nr = 0;

	for (int i = 0; i < BAO_FAKE_POOL; i++)
		nr += f->pool[i].state == state;

	return nr;
}

static void bao_fake_wait_for_gate(struct kthread_work *work)
{
	struct bao_fake *f = container_of(work, struct bao_fake, gate_work);

	wait_for_completion(&f->gate);
}

/**
 * bao_fake_close_gate() - keep the backend's thread from what is queued next
 * @f: the fake
 */
void bao_fake_close_gate(struct bao_fake *f)
{
	reinit_completion(&f->gate);
	kthread_queue_work(f->b.worker, &f->gate_work);
}

/**
 * bao_fake_open_gate() - let the backend's thread do what has been queued
 * @f: the fake
 */
void bao_fake_open_gate(struct bao_fake *f)
{
	complete_all(&f->gate);
	bao_fake_settle(f);
}

static bool bao_fake_is_busy(struct kthread_worker *w)
{
	bool busy;

	scoped_guard(raw_spinlock_irq, &w->lock)
		busy = w->current_work || !list_empty(&w->work_list) ||
		       !list_empty(&w->delayed_work_list);

	return busy;
}

/**
 * bao_fake_settle() - let the backend's thread do all that it has to
 * @f: the fake
 *
 * The work may queue itself once more, at once or for later.
 */
void bao_fake_settle(struct bao_fake *f)
{
	while (bao_fake_is_busy(f->b.worker))
		kthread_flush_worker(f->b.worker);
}

/**
 * bao_fake_fetch() - fetch, and see that it is the right request
 * @f: the fake
 * @addr: its address
 *
 * Return: the request. Its flags are left to the caller.
 */
struct bao_request bao_fake_fetch(struct bao_fake *f, u64 addr)
{
	const struct bao_fake_request *r = bao_fake_find(f, addr);
	struct kunit *test = f->test;
	struct bao_request req;
	u64 value = 0;

	KUNIT_ASSERT_NOT_NULL(test, r);
	KUNIT_ASSERT_EQ(test, bao_fetch(&f->b, &req), 0);

	if (r->op == BAO_HC_WRITE)
		value = r->width == 8 ? r->value :
					r->value & ((1ULL << r->width * 8) - 1);

	KUNIT_ASSERT_EQ(test, req.addr, addr);
	KUNIT_ASSERT_EQ(test, req.value, value);
	KUNIT_ASSERT_EQ(test, req.width, r->width);
	KUNIT_ASSERT_EQ(test, req.op, r->op);
	return req;
}

/**
 * bao_fake_drain() - drain, and deliver what that leaves to the thread
 * @f: the fake
 *
 * Return: what bao_drain() does.
 */
bool bao_fake_drain(struct bao_fake *f)
{
	bool more = bao_drain(&f->b);

	bao_deliver(&f->b);
	return more;
}

/**
 * bao_fake_push_and_drain() - requests of all widths that reach the table
 * @f: the fake
 * @nr: how many; what the table cannot hold stays in the hypervisor
 *
 * Return: the address of the first.
 */
u64 bao_fake_push_and_drain(struct bao_fake *f, unsigned int nr)
{
	u64 first = bao_fake_push_many(f, nr);

	while (bao_fake_drain(f))
		;
	return first;
}

/**
 * bao_fake_push_and_fetch() - a request that reaches the VMM
 * @f: the fake
 * @op: BAO_HC_WRITE or BAO_HC_READ, of 4 bytes
 *
 * Return: the request.
 */
struct bao_request bao_fake_push_and_fetch(struct bao_fake *f, u64 op)
{
	u64 addr = bao_fake_push(f, op, 4, 1);

	bao_fake_drain(f);
	return bao_fake_fetch(f, addr);
}

/**
 * bao_fake_init() - &kunit_suite.init of a suite that needs a hypervisor
 * @test: its priv becomes the &struct bao_fake
 *
 * Return: 0 or a negative errno.
 */
int bao_fake_init(struct kunit *test)
{
	struct bao_fake *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);
	int ret;

	if (!f)
		return -ENOMEM;

	f->test = test;
	f->undefined = BAO_STATUS_INVALID;
	raw_spin_lock_init(&f->lock);
	INIT_LIST_HEAD(&f->pending);
	init_completion(&f->gate);
	kthread_init_work(&f->gate_work, bao_fake_wait_for_gate);

	bao_table_init(&f->b);
	f->b.fake_hypervisor = bao_fake_hypercall;
	strscpy(f->b.name, "bao-kunit", sizeof(f->b.name));
	ret = bao_backend_start_thread(&f->b);
	if (ret)
		return ret;

	test->priv = f;
	return 0;
}

/**
 * bao_fake_stop() - what unbind does before it abandons the requests
 * @f: the fake, which has no thread from here on
 */
void bao_fake_stop(struct bao_fake *f)
{
	bao_set_gone(&f->b);
	complete_all(&f->gate);
	bao_backend_stop_thread(&f->b);
	f->b.worker = NULL;
}

/**
 * bao_fake_exit() - &kunit_suite.exit of a suite that needs a hypervisor
 * @test: the test
 */
void bao_fake_exit(struct kunit *test)
{
	struct bao_fake *f = test->priv;

	if (!f)
		return;

	/* The thread that made them may be gone. */
	INIT_LIST_HEAD(&f->b.sleepers.task_list);
	if (f->b.worker)
		bao_fake_stop(f);
	KUNIT_EXPECT_EQ(test, f->mistakes, 0);
}
