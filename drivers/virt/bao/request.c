// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bao I/O dispatcher: the request table
 *
 * A request is popped from the hypervisor by an ASK, which is the last that
 * the hypervisor says of it: from then on this table is the only place that
 * knows that a frontend vCPU stands still. The life of a slot:
 *
 *   free -> waiting -> in flight -> free
 *              ^-----------'  the VMM went away, or could not take it
 *
 * Both lists are sorted by arrival. What the table has no room for stays in the
 * hypervisor, which offers it again whenever it is asked.
 *
 * On PREEMPT_RT there is one more list before them, "arrived": of kicks that are
 * to be signalled, and of what came behind them. See bao_deliver().
 */
#include <linux/cleanup.h>
#include <linux/sched.h>

#include "bao_private.h"
#include "hypercall.h"
#include "trace.h"

/**
 * bao_count_error() - the hypervisor refused
 * @b: the backend
 * @op: BAO_HC_*
 * @hv_id: the request, or 0
 * @status: what it said
 *
 * There is no message: a frontend that is reset may cause this at will.
 *
 * Context: any.
 */
void bao_count_error(struct bao_backend *b, u64 op, u64 hv_id, s64 status)
{
	atomic64_inc(&b->stats.hypercall_errors);
	trace_bao_hypercall_error(b->id, op, hv_id, status);
}

/**
 * bao_table_init() - make an empty table
 * @b: a backend that nobody else knows yet
 */
void bao_table_init(struct bao_backend *b)
{
	raw_spin_lock_init(&b->lock);
	init_waitqueue_head(&b->wait);
	init_swait_queue_head(&b->sleepers);
	spin_lock_init(&b->deliver_lock);
	INIT_LIST_HEAD(&b->free);
	INIT_LIST_HEAD(&b->arrived);
	INIT_LIST_HEAD(&b->waiting);
	INIT_LIST_HEAD(&b->in_flight);
	INIT_LIST_HEAD(&b->kicks);
	kthread_init_delayed_work(&b->drain, bao_drain_work);
	kthread_init_delayed_work(&b->delivery, bao_delivery_work);

	for (int i = 0; i < BAO_MAX_REQUESTS; i++) {
		b->slots[i].state = BAO_SLOT_FREE;
		list_add_tail(&b->slots[i].link, &b->free);
	}
}

/* Takes a request from its list to where its age belongs on another. */
static void bao_move(struct bao_slot *slot, struct list_head *list,
		     enum bao_slot_state state)
{
	struct bao_slot *pos;

	list_del(&slot->link);

	/* Mostly the newest, so look from the end. */
	list_for_each_entry_reverse(pos, list, link)
		if (pos->id < slot->id)
			break;
	list_add(&slot->link, &pos->link);
	slot->state = state;
}

/**
 * bao_free_slot() - forget a request that is over
 * @b: the backend, whose lock the caller holds
 * @slot: the request's
 *
 * Who drained when there was no slot left will do so again.
 *
 * Context: any.
 */
void bao_free_slot(struct bao_backend *b, struct bao_slot *slot)
{
	lockdep_assert_held(&b->lock);

	slot->state = BAO_SLOT_FREE;
	list_move(&slot->link, &b->free);

	if (b->stalled && !b->gone) {
		b->stalled = false;
		bao_drain_soon(b);
	}
}

/**
 * bao_accept() - give a request its id
 * @b: the backend, whose lock the caller holds
 * @slot: a free slot that the request has been popped into
 *
 * Context: any.
 */
void bao_accept(struct bao_backend *b, struct bao_slot *slot)
{
	lockdep_assert_held(&b->lock);

	slot->id = ++b->arrivals * BAO_MAX_REQUESTS + (slot - b->slots);
	slot->flags = 0;
	trace_bao_request_queued(b->id, slot->id, &slot->ask);
}

/**
 * bao_queue() - let a request wait for a VMM
 * @b: the backend, whose lock the caller holds
 * @slot: the request's, after bao_accept()
 *
 * One thread that sleeps in SERVE is woken for it. Nobody is told of a single
 * request that is left to a thread that busy-polls.
 *
 * Context: any.
 * Return: true if the caller is to wake up poll(), without the lock.
 */
bool bao_queue(struct bao_backend *b, struct bao_slot *slot)
{
	/* Looked at first: a thread that sees the request polls no more. */
	bool polled = atomic_read(&b->busy_pollers) && list_empty(&b->waiting);

	lockdep_assert_held(&b->lock);

	bao_move(slot, &b->waiting, BAO_SLOT_WAITING);
	if (polled)
		return false;

	swake_up_one(&b->sleepers);
	return bao_poll_is_due(b);
}

static int bao_fetch_locked(struct bao_backend *b, struct bao_request *req)
{
	struct bao_slot *slot;

	lockdep_assert_held(&b->lock);

	if (b->gone)
		return -ENODEV;

	slot = list_first_entry_or_null(&b->waiting, typeof(*slot), link);
	if (!slot)
		return -EAGAIN;

	bao_move(slot, &b->in_flight, BAO_SLOT_IN_FLIGHT);
	*req = (struct bao_request) {
		.id = slot->id,
		.addr = slot->ask.addr,
		.value = slot->ask.value,
		.op = slot->ask.op,
		.width = slot->ask.width,
		.flags = slot->flags,
	};
	trace_bao_request_fetched(b->id, slot->id, &slot->ask);
	return 0;
}

/**
 * bao_fetch() - hand the oldest waiting request to the VMM
 * @b: the backend
 * @req: filled in
 *
 * Context: any.
 * Return: 0, -EAGAIN if none waits, -ENODEV if the backend is gone.
 */
int bao_fetch(struct bao_backend *b, struct bao_request *req)
{
	int ret;

	scoped_guard(raw_spinlock_irqsave, &b->lock)
		ret = bao_fetch_locked(b, req);
	return ret;
}

/**
 * bao_fetch_wait() - hand the oldest waiting request to the VMM, if need be later
 * @b: the backend
 * @req: filled in
 *
 * The queue is a simple one, so that an interrupt can wake a thread on PREEMPT_RT
 * as well. To fetch and to leave the queue are one step under the lock: a thread
 * that had its request and was still there would take the wake-up for the next
 * one along, which is for somebody else.
 *
 * Context: may sleep.
 * Return: 0, -ERESTARTSYS for a signal, -ENODEV if the backend is gone.
 */
int bao_fetch_wait(struct bao_backend *b, struct bao_request *req)
{
	DECLARE_SWAITQUEUE(me);
	int ret;

	raw_spin_lock_irq(&b->lock);
	while ((ret = bao_fetch_locked(b, req)) == -EAGAIN) {
		ret = prepare_to_swait_event(&b->sleepers, &me,
					     TASK_INTERRUPTIBLE);
		if (ret)
			break;

		raw_spin_unlock_irq(&b->lock);
		schedule();
		raw_spin_lock_irq(&b->lock);
	}
	finish_swait(&b->sleepers, &me);
	raw_spin_unlock_irq(&b->lock);

	return ret;
}

/* The slot of a request in flight, or NULL. */
static struct bao_slot *bao_find(struct bao_backend *b, u64 id)
{
	struct bao_slot *slot = &b->slots[id % BAO_MAX_REQUESTS];

	lockdep_assert_held(&b->lock);

	if (slot->state != BAO_SLOT_IN_FLIGHT || slot->id != id)
		return NULL;

	return slot;
}

/**
 * bao_unfetch() - undo a fetch whose request did not reach the VMM
 * @b: the backend
 * @id: bao_request.id
 *
 * Context: any.
 */
void bao_unfetch(struct bao_backend *b, u64 id)
{
	struct bao_slot *slot;
	bool poll = false;

	scoped_guard(raw_spinlock_irqsave, &b->lock) {
		slot = bao_find(b, id);
		if (slot)
			poll = bao_queue(b, slot);
	}

	if (poll)
		wake_up(&b->wait);
}

/**
 * bao_answer() - let the frontend's vCPU run again
 * @b: the backend
 * @ask: its request
 * @value: what its load returns, if it is one
 *
 * Bao does not compare the operation with the request's own and writes the
 * value back uncut, so both are chosen here.
 *
 * Context: any.
 * Return: BAO_STATUS_*.
 */
s64 bao_answer(struct bao_backend *b, const struct bao_ask *ask, u64 value)
{
	if (ask->op == BAO_OP_READ)
		return bao_hypercall(b, BAO_HC_READ, bao_cut(value, ask->width),
				     ask->hv_id, NULL);

	return bao_hypercall(b, BAO_HC_WRITE, 0, ask->hv_id, NULL);
}

/**
 * bao_is_over() - whether an answer was the last that a request needs
 * @status: what bao_answer() returned
 *
 * If the hypervisor says that it has no such request, no vCPU waits for it.
 * Any other refusal has changed nothing, and the vCPU still waits.
 *
 * Return: true if nobody waits for the request any more.
 */
bool bao_is_over(s64 status)
{
	return status == BAO_STATUS_OK || status == BAO_STATUS_FAILED;
}

/**
 * bao_complete() - answer a request
 * @b: the backend
 * @id: bao_request.id, as user space has it: any number
 * @value: what the frontend's load returns, if it is one
 *
 * The hypercall is made under the lock: a request is either with the driver or
 * over, so that nothing can come between, not even the end of this kernel.
 * If the request is not over after a refusal it stays in flight.
 *
 * Context: any.
 * Return: 0, -ENOENT if no such request is in flight, -EIO if the hypervisor
 *	refused, -ENODEV if the backend is gone.
 */
int bao_complete(struct bao_backend *b, u64 id, u64 value)
{
	struct bao_slot *slot;
	s64 status;

	scoped_guard(raw_spinlock_irqsave, &b->lock) {
		if (b->gone)
			return -ENODEV;
		slot = bao_find(b, id);
		if (!slot)
			return -ENOENT;

		status = bao_answer(b, &slot->ask, value);
		trace_bao_request_completed(b->id, id, &slot->ask, value,
					    status);
		b->stats.completed += status == BAO_STATUS_OK;
		if (bao_is_over(status))
			bao_free_slot(b, slot);
	}

	return status == BAO_STATUS_OK ? 0 : -EIO;
}

static bool bao_give_back_one(struct bao_backend *b)
{
	struct bao_slot *slot;

	scoped_guard(raw_spinlock_irqsave, &b->lock) {
		slot = list_first_entry_or_null(&b->in_flight, typeof(*slot),
						link);
		if (!slot)
			return false;

		slot->flags |= BAO_REQUEST_REDELIVERED;
		b->stats.redelivered++;
		bao_move(slot, &b->waiting, BAO_SLOT_WAITING);
	}

	return true;
}

/**
 * bao_give_back() - the VMM went away: keep its requests for the next one
 * @b: the backend, with no thread of the VMM in a call any more
 *
 * Context: any.
 */
void bao_give_back(struct bao_backend *b)
{
	while (bao_give_back_one(b))
		;
}

/**
 * bao_set_gone() - let nobody start anything on this backend any more
 * @b: the backend
 *
 * Requests are neither popped nor completed by others from here on, and the
 * thread is not woken for a free slot, nor for poll().
 *
 * Context: may sleep.
 */
void bao_set_gone(struct bao_backend *b)
{
	scoped_guard(raw_spinlock_irqsave, &b->lock)
		WRITE_ONCE(b->gone, true);

	swake_up_all(&b->sleepers);
	wake_up_all(&b->wait);
}

static bool bao_abandon_one(struct bao_backend *b)
{
	struct list_head *list;
	struct bao_slot *slot;

	scoped_guard(raw_spinlock_irqsave, &b->lock) {
		list = list_empty(&b->waiting) ? &b->in_flight : &b->waiting;
		slot = list_first_entry_or_null(list, typeof(*slot), link);
		if (!slot)
			return false;

		bao_answer(b, &slot->ask, U64_MAX);
		bao_free_slot(b, slot);
	}

	return true;
}

/**
 * bao_abandon() - answer all requests that only the driver knows
 * @b: the backend, after bao_set_gone() and without its interrupt and thread
 *
 * A vCPU whose request went down with the driver would stand still for ever.
 * So its load returns all ones, as from a bus with no device on it, and its
 * store goes nowhere. What the hypervisor still holds waits for the next driver.
 *
 * Context: may sleep.
 * Return: how many requests there were.
 */
unsigned int bao_abandon(struct bao_backend *b)
{
	unsigned int nr = 0;

	while (bao_abandon_one(b))
		nr++;

	return nr;
}

/**
 * bao_notify() - raise the device's interrupt in the frontend
 * @b: the backend
 *
 * Context: any.
 * Return: 0, or -EIO if the hypervisor refused.
 */
int bao_notify(struct bao_backend *b)
{
	s64 status = bao_hypercall(b, BAO_HC_NOTIFY, 0, 0, NULL);

	trace_bao_notify(b->id, status);
	if (status == BAO_STATUS_OK)
		atomic64_inc(&b->stats.notifies);
	return status == BAO_STATUS_OK ? 0 : -EIO;
}
