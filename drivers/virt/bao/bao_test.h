/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * KUnit tests of the Bao I/O dispatcher: the hypervisor that they play
 *
 * A backend whose hypercalls end up in a model of Bao, which hands out the
 * requests that a test has queued, notes each answer, and counts what no
 * driver must ever do as a mistake. Mistakes fail the test at its end.
 */
#ifndef BAO_TEST_H
#define BAO_TEST_H

#include <linux/completion.h>
#include <linux/list.h>
#include <linux/spinlock.h>

#include "bao_private.h"
#include "hypercall.h"

struct kunit;

/* Requests outstanding in the whole machine: more than a table holds. */
#define BAO_FAKE_POOL		(2 * BAO_MAX_REQUESTS)

/**
 * enum bao_fake_state - what the hypervisor knows of a request
 * @BAO_FAKE_FREE: nothing; its id is the next to be given out
 * @BAO_FAKE_PENDING: no ASK has popped it yet
 * @BAO_FAKE_PROCESSING: popped, to be answered once
 */
enum bao_fake_state {
	BAO_FAKE_FREE,
	BAO_FAKE_PENDING,
	BAO_FAKE_PROCESSING,
};

/**
 * struct bao_fake_request - a frontend vCPU's access
 * @link: on bao_fake.pending while that is its state
 * @state: enum bao_fake_state
 * @addr: its address, by which tests tell requests apart: no two are alike,
 *	and they grow with age
 * @value: the register stored, uncut
 * @width: bytes
 * @op: BAO_HC_WRITE or BAO_HC_READ
 */
struct bao_fake_request {
	struct list_head link;
	enum bao_fake_state state;
	u64 addr;
	u64 value;
	unsigned int width;
	u64 op;
};

/**
 * struct bao_fake_answer - a completion as it reached the hypervisor
 * @op: BAO_HC_WRITE or BAO_HC_READ
 * @value: argument of the hypercall
 * @addr: &bao_fake_request.addr of the request that it named
 */
struct bao_fake_answer {
	u64 op;
	u64 value;
	u64 addr;
};

/**
 * struct bao_fake - a backend and its hypervisor
 * @b: the backend
 * @test: the test that it is for
 * @gate_work: keeps the backend's thread busy until @gate
 * @gate: see bao_fake_close_gate()
 * @lock: protects all below; taken inside bao_backend.lock
 * @pool: the requests; the index is the hypervisor's id
 * @pending: requests to be popped, oldest first
 * @pushed: requests there ever were
 * @answers: the latest completions that named a request, in a ring
 * @nr_answers: how many there ever were
 * @calls: hypercalls of each operation
 * @undefined: status of the operation that does not exist
 * @probes: how often it was tried
 * @refuse: status of the next hypercall of an operation, if not 0
 * @slow_ask: the next ASK takes longer than a handler has time
 * @always_more: say of each request that more are pending, true or not
 * @mistakes: hypercalls that Bao would not forgive
 * @sleepers: as if they were threads that sleep in SERVE; see bao_sleep()
 */
struct bao_fake {
	struct bao_backend b;
	struct kunit *test;
	struct kthread_work gate_work;
	struct completion gate;

	raw_spinlock_t lock;	/* the model, that is all below */
	struct bao_fake_request pool[BAO_FAKE_POOL];
	struct list_head pending;
	unsigned int pushed;
	struct bao_fake_answer answers[BAO_FAKE_POOL];
	unsigned int nr_answers;
	unsigned int calls[BAO_HC_NOTIFY + 1];
	s64 undefined;
	unsigned int probes;
	s64 refuse[BAO_HC_NOTIFY + 1];
	bool slow_ask;
	bool always_more;
	unsigned int mistakes;
	struct swait_queue sleepers[2];
};

int bao_fake_init(struct kunit *test);
void bao_fake_exit(struct kunit *test);
void bao_fake_stop(struct bao_fake *f);
u64 bao_fake_push(struct bao_fake *f, u64 op, unsigned int width, u64 value);
u64 bao_fake_push_many(struct bao_fake *f, unsigned int nr);
const struct bao_fake_request *bao_fake_find(struct bao_fake *f, u64 addr);
unsigned int bao_fake_count(struct bao_fake *f, enum bao_fake_state state);
void bao_fake_close_gate(struct bao_fake *f);
void bao_fake_open_gate(struct bao_fake *f);
void bao_fake_settle(struct bao_fake *f);
struct bao_request bao_fake_fetch(struct bao_fake *f, u64 addr);
bool bao_fake_drain(struct bao_fake *f);
u64 bao_fake_push_and_drain(struct bao_fake *f, unsigned int nr);
struct bao_request bao_fake_push_and_fetch(struct bao_fake *f, u64 op);

/**
 * bao_fake_nth() - the address of a later request
 * @first: address of a request
 * @n: how many were pushed from there to the one that is meant
 *
 * Return: its address.
 */
static inline u64 bao_fake_nth(u64 first, unsigned int n)
{
	return first + 8 * n;
}

/**
 * bao_fake_asks() - how often the driver has asked for a request
 * @f: the fake
 *
 * Return: the number, with the empty ones.
 */
static inline unsigned int bao_fake_asks(struct bao_fake *f)
{
	return f->calls[BAO_HC_ASK];
}

/**
 * bao_fake_last() - the latest answer
 * @f: the fake
 *
 * Return: never NULL, but of meaning only if there was one.
 */
static inline const struct bao_fake_answer *bao_fake_last(struct bao_fake *f)
{
	return &f->answers[(f->nr_answers - 1) % BAO_FAKE_POOL];
}

#endif /* BAO_TEST_H */
