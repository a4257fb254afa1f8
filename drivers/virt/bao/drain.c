// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bao I/O dispatcher: from the interrupt to the request table
 *
 * Interrupts coalesce, so each makes the driver ask for requests until nothing
 * is pending. What needs no VMM is answered as soon as it is popped. The handler
 * does as much of it as its limits allow, and leaves the rest to the backend's
 * thread. There are three limits:
 *
 *  - on the requests of one interrupt;
 *  - on the share of a CPU that the interrupts of all backends take together,
 *    as frontends that kick without pause have one interrupt follow on the
 *    other;
 *  - the table: what it has no room for stays in the hypervisor until a slot
 *    is free.
 *
 * To signal an eventfd or to wake up poll() takes locks that sleep on PREEMPT_RT.
 * A hard interrupt cannot do it there, but it can ask and answer, and wake a
 * thread that sleeps in SERVE. So there the thread signals the kicks, and what
 * arrives before it has done so takes its turn behind them.
 */
#include <linux/cleanup.h>
#include <linux/device.h>
#include <linux/irqflags.h>
#include <linux/lockdep.h>
#include <linux/minmax.h>
#include <linux/percpu.h>
#include <linux/sched.h>
#include <linux/sched/clock.h>
#include <linux/time64.h>

#include "bao_private.h"
#include "hypercall.h"

/*
 * Without PREEMPT_RT a spinlock_t spins, and is fine in interrupts and below a
 * raw spinlock. lockdep, which checks for both kinds of kernels, must be told.
 */
static DEFINE_WAIT_OVERRIDE_MAP(bao_not_rt_map, LD_WAIT_CONFIG);

static void bao_signal_now(struct bao_kick *kick)
{
	lock_map_acquire_try(&bao_not_rt_map);
	bao_ioeventfd_signal(kick);
	lock_map_release(&bao_not_rt_map);
}

static void bao_wake_poll_now(struct bao_backend *b)
{
	lock_map_acquire_try(&bao_not_rt_map);
	wake_up(&b->wait);
	lock_map_release(&bao_not_rt_map);
}

/**
 * bao_poll_is_due() - a request waits: whether to wake up poll()
 * @b: the backend, whose lock the caller holds
 *
 * On PREEMPT_RT, where the caller may be an interrupt, it is left to the thread.
 *
 * Context: any.
 * Return: true if the caller is to wake up poll(), without the lock.
 */
bool bao_poll_is_due(struct bao_backend *b)
{
	lockdep_assert_held(&b->lock);

	/* bao_poll() looks for requests under the lock too. */
	if (b->gone || !waitqueue_active(&b->wait))
		return false;
	if (!IS_ENABLED(CONFIG_PREEMPT_RT))
		return true;

	b->polls_due++;
	kthread_queue_work(b->worker, &b->delivery.work);
	return false;
}

/* Lets the thread deliver what has been popped into a slot. */
static void bao_deliver_later(struct bao_backend *b, struct bao_slot *slot)
{
	slot->state = BAO_SLOT_ARRIVED;
	list_move_tail(&slot->link, &b->arrived);
	kthread_queue_work(b->worker, &b->delivery.work);
}

/* Sees to a request that has been popped into a slot. Returns like bao_queue(). */
static bool bao_dispatch(struct bao_backend *b, struct bao_slot *slot)
{
	if (bao_iovalue_load(b, &slot->ask))
		return false;
	slot->kick = bao_ioeventfd_kick(b, &slot->ask);
	if (!slot->kick)
		bao_accept(b, slot);

	if (IS_ENABLED(CONFIG_PREEMPT_RT) &&
	    (slot->kick || !list_empty(&b->arrived)))
		bao_deliver_later(b, slot);
	else if (slot->kick)
		bao_signal_now(slot->kick);
	else
		return bao_queue(b, slot);

	return false;
}

/*
 * Moves one request from the hypervisor into the table, unless it can be
 * answered at once, and says whether more are pending. Returns what the ASK did,
 * or BAO_STATUS_EMPTY without an ASK if there is no room for a request.
 *
 * The ASK is made under the lock, so that two CPUs that drain at once cannot
 * swap two requests' places. Nor can the next request of a vCPU that kicked
 * reach a VMM before the kick has been signalled. A slot is secured first: what
 * has been popped cannot be put back.
 */
static s64 bao_pop(struct bao_backend *b, bool *more)
{
	struct bao_slot *slot;
	bool poll = false;
	s64 status;

	scoped_guard(raw_spinlock_irqsave, &b->lock) {
		if (b->gone)
			return BAO_STATUS_EMPTY;

		slot = list_first_entry_or_null(&b->free, typeof(*slot), link);
		b->stalled = !slot;
		if (!slot)
			return BAO_STATUS_EMPTY;

		status = bao_hypercall(b, BAO_HC_ASK, 0, 0, &slot->ask);
		if (status == BAO_STATUS_OK) {
			*more = slot->ask.more;
			poll = bao_dispatch(b, slot);
		}
	}

	if (poll)
		bao_wake_poll_now(b);
	return status;
}

/*
 * A slot is on the list until it is delivered, so that nothing overtakes it.
 * Nobody else takes it off.
 */
static bool bao_deliver_one(struct bao_backend *b)
{
	struct bao_slot *slot;

	scoped_guard(raw_spinlock_irqsave, &b->lock)
		slot = list_first_entry_or_null(&b->arrived, typeof(*slot),
						link);
	if (!slot)
		return false;

	if (slot->kick)
		bao_ioeventfd_signal(slot->kick);

	scoped_guard(raw_spinlock_irqsave, &b->lock) {
		if (slot->kick)
			bao_free_slot(b, slot);
		else
			bao_queue(b, slot);
	}

	return true;
}

/**
 * bao_deliver() - signal the kicks and queue the requests that have arrived
 * @b: the backend
 *
 * At least what had arrived before the call is delivered when it returns.
 * Without PREEMPT_RT nothing ever waits for it.
 *
 * Context: may sleep.
 */
void bao_deliver(struct bao_backend *b)
{
	if (!IS_ENABLED(CONFIG_PREEMPT_RT))
		return;

	/* One at a time, so that nothing overtakes a signal. */
	guard(spinlock)(&b->deliver_lock);
	for (int i = 0; i < BAO_MAX_REQUESTS; i++)
		if (!bao_deliver_one(b))
			break;
}

/**
 * bao_drain() - take up what waits in the hypervisor, within limits
 * @b: the backend
 *
 * Stops after BAO_DRAIN_BUDGET requests, when nothing is pending, and when the
 * table is full, in which case the next slot to become free starts again.
 *
 * Context: any.
 * Return: true if the budget ended it, so that more may be pending.
 */
bool bao_drain(struct bao_backend *b)
{
	bool more;

	for (int i = 0; i < BAO_DRAIN_BUDGET; i++)
		if (bao_pop(b, &more) != BAO_STATUS_OK || !more)
			return false;

	return true;
}

/**
 * bao_check_hypervisor() - see that there is a Bao, and that it has the device
 * @b: the backend, before its interrupt is requested
 *
 * Bao calls an operation that does not exist invalid, where other hypervisors
 * know no such hypercall. Whether it has the device shows when it is asked for
 * a request. If there is one, it is the first in the table.
 *
 * Context: may sleep.
 * Return: 0 or -ENODEV.
 */
int bao_check_hypervisor(struct bao_backend *b)
{
	s64 status = bao_raw_hypercall(b, BAO_HC_UNDEFINED, 0, 0, NULL);
	bool more;

	if (status != BAO_STATUS_INVALID)
		return dev_err_probe(b->dev, -ENODEV,
				     "the hypervisor does not know the Remote I/O hypercall (status %lld): is it Bao?\n",
				     status);

	if (bao_pop(b, &more) == BAO_STATUS_INVALID)
		return dev_err_probe(b->dev, -ENODEV,
				     "the hypervisor has no Remote I/O device %u: compare reg with its configuration\n",
				     b->id);

	/* It may have refused: the frontend need not be there yet. */
	return 0;
}

static DEFINE_PER_CPU(struct bao_cpu_time, bao_cpu_time);

#define BAO_CPU_PERIOD_NS	(10 * NSEC_PER_MSEC)
#define BAO_CPU_LIMIT_NS	(8 * NSEC_PER_MSEC)

/**
 * bao_time_is_up() - whether what has priority must stop on a CPU
 * @t: the CPU's
 * @now: the time
 *
 * Context: interrupts off.
 * Return: true until the end of a period in which the limit was reached.
 */
bool bao_time_is_up(struct bao_cpu_time *t, u64 now)
{
	if (now - t->start >= BAO_CPU_PERIOD_NS) {
		t->start = now;
		t->used = 0;
	}
	return t->used >= BAO_CPU_LIMIT_NS;
}

/**
 * bao_time_enter() - an interrupt handler begins
 * @t: its CPU's
 * @now: the time
 *
 * The ways in and out of an interrupt take time that cannot be measured here,
 * and all that lies between two of them in a storm. About as much as the handler
 * itself took is what they are charged with.
 *
 * Context: interrupts off.
 */
void bao_time_enter(struct bao_cpu_time *t, u64 now)
{
	t->used += min(now - t->end, t->took);
	t->took = 0;
}

/**
 * bao_time_leave() - an interrupt handler that has drained ends
 * @t: its CPU's
 * @start: when it began
 * @now: the time
 *
 * Context: interrupts off.
 */
void bao_time_leave(struct bao_cpu_time *t, u64 start, u64 now)
{
	t->end = now;
	t->took = now - start;
	t->used += t->took;
}

static bool bao_drain_in_interrupt(struct bao_backend *b,
				   struct bao_cpu_time *t, u64 start)
{
	bool more = bao_drain(b);

	bao_time_leave(t, start, local_clock());
	return more;
}

/* A piece of the thread's work: when it began, and how often others came first. */
struct bao_stint {
	u64 start;
	unsigned long preempted;
};

/* For the thread, which has the priority of an interrupt on PREEMPT_RT. */
static bool bao_thread_time_is_up(struct bao_stint *stint)
{
	stint->preempted = current->nivcsw;

	guard(irqsave)();
	stint->start = local_clock();
	return bao_time_is_up(this_cpu_ptr(&bao_cpu_time), stint->start);
}

/*
 * Time that went to threads of a higher priority is none of ours. To charge it
 * would let them turn the handler off as well.
 */
static void bao_charge_cpu(const struct bao_stint *stint)
{
	if (current->nivcsw == stint->preempted)
		this_cpu_add(bao_cpu_time.used, local_clock() - stint->start);
}

/**
 * bao_delivery_work() - bao_deliver() and wake up poll(), on PREEMPT_RT
 * @work: &bao_backend.delivery
 *
 * If its time is up the table fills, and what then comes stays in the hypervisor.
 *
 * Context: the backend's own thread.
 */
void bao_delivery_work(struct kthread_work *work)
{
	struct bao_backend *b = container_of(work, struct bao_backend,
					     delivery.work);
	struct bao_stint stint;
	unsigned int polls;

	if (bao_thread_time_is_up(&stint)) {
		kthread_queue_delayed_work(b->worker, &b->delivery, 1);
		return;
	}

	bao_deliver(b);

	/* Only if there is a new request: epoll may be edge-triggered. */
	scoped_guard(raw_spinlock_irqsave, &b->lock) {
		polls = b->polls_due;
		b->polls_due = 0;
	}
	if (polls)
		wake_up_nr(&b->wait, polls);

	bao_charge_cpu(&stint);
}

/**
 * bao_drain_soon() - have the thread look for requests
 * @b: the backend, not gone yet
 *
 * Context: any.
 */
void bao_drain_soon(struct bao_backend *b)
{
	kthread_queue_work(b->worker, &b->drain.work);
}

/**
 * bao_drain_work() - drain outside the interrupt
 * @work: &bao_backend.drain
 *
 * Between two calls the thread lets others run. On PREEMPT_RT it has the
 * priority of an interrupt thread, which only sleeping lets others pass, so the
 * limit of the interrupt handler is its own there.
 *
 * Context: the backend's own thread.
 */
void bao_drain_work(struct kthread_work *work)
{
	struct bao_backend *b = container_of(work, struct bao_backend,
					     drain.work);
	bool rt = IS_ENABLED(CONFIG_PREEMPT_RT);
	struct bao_stint stint;
	bool more;

	if (rt && bao_thread_time_is_up(&stint)) {
		kthread_queue_delayed_work(b->worker, &b->drain, 1);
		return;
	}

	more = bao_drain(b);
	if (rt)
		bao_charge_cpu(&stint);

	if (more)
		bao_drain_soon(b);
	else
		WRITE_ONCE(b->deferred, false);
}

/* Leaves it to the thread until that finds nothing pending. */
static void bao_defer(struct bao_backend *b)
{
	WRITE_ONCE(b->deferred, true);
	bao_drain_soon(b);
}

/**
 * bao_interrupt() - requests wait in the hypervisor, or did a moment ago
 * @irq: the interrupt
 * @data: the backend
 *
 * While the thread is at work the handler only makes sure that it looks once
 * more.
 *
 * Context: hard interrupt, whatever the kernel was told about threads: a
 *	handler that is made to run in a thread has its line masked meanwhile.
 * Return: IRQ_HANDLED, also when nothing was pending. Interrupts coalesce, so
 *	that is usual, and the core would disable a line that it finds spurious.
 */
irqreturn_t bao_interrupt(int irq, void *data)
{
	struct bao_cpu_time *t = this_cpu_ptr(&bao_cpu_time);
	struct bao_backend *b = data;
	u64 now = local_clock();

	bao_time_enter(t, now);
	if (READ_ONCE(b->deferred) || bao_time_is_up(t, now) ||
	    bao_drain_in_interrupt(b, t, now))
		bao_defer(b);

	return IRQ_HANDLED;
}
