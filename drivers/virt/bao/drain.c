// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bao I/O dispatcher: from the interrupt to the request table
 *
 * Interrupts coalesce, so each makes the driver ask for requests until nothing
 * is pending. The handler does as much of it as its limits allow, and leaves
 * the rest to the backend's thread. There are three limits:
 *
 *  - on the requests of one interrupt;
 *  - on the share of a CPU that the interrupts of all backends take together,
 *    as frontends that kick without pause have one interrupt follow on the
 *    other;
 *  - the table: what it has no room for stays in the hypervisor until a slot
 *    is free.
 */
#include <linux/cleanup.h>
#include <linux/device.h>
#include <linux/percpu.h>
#include <linux/sched/clock.h>
#include <linux/time64.h>

#include "bao_private.h"
#include "hypercall.h"

/*
 * Moves one request from the hypervisor into the table, and says whether more
 * are pending. Returns what the ASK did, or BAO_STATUS_EMPTY without an ASK if
 * there is no room for a request.
 *
 * The ASK is made under the lock, so that two CPUs that drain at once cannot
 * swap two requests' places. A slot is secured before it: what has been popped
 * cannot be put back.
 */
static s64 bao_pop(struct bao_backend *b, bool *more)
{
	struct bao_slot *slot;
	s64 status;
	bool wake;

	scoped_guard(spinlock_irqsave, &b->lock) {
		if (b->gone)
			return BAO_STATUS_EMPTY;

		slot = list_first_entry_or_null(&b->free, typeof(*slot), link);
		b->stalled = !slot;
		if (!slot)
			return BAO_STATUS_EMPTY;

		status = bao_hypercall(b, BAO_HC_ASK, 0, 0, &slot->ask);
		if (status != BAO_STATUS_OK)
			return status;

		*more = slot->ask.more;
		if (bao_ioeventfd_kick(b, &slot->ask) ||
		    bao_iovalue_load(b, &slot->ask))
			return BAO_STATUS_OK;
		wake = bao_queue(b, slot);
	}

	if (wake)
		wake_up(&b->wait);
	return BAO_STATUS_OK;
}

/**
 * bao_drain() - take up what waits in the hypervisor, within limits
 * @b: the backend
 *
 * Stops after BAO_DRAIN_BUDGET requests, when nothing is pending, and when the
 * table is full, in which case the next slot to become free starts again.
 *
 * Context: any but, on PREEMPT_RT, a hard interrupt.
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

/**
 * struct bao_cpu_time - what draining with priority took of a CPU
 * @start: start of the period, by local_clock()
 * @used: nanoseconds taken in it
 */
struct bao_cpu_time {
	u64 start;
	u64 used;
};

static DEFINE_PER_CPU(struct bao_cpu_time, bao_cpu_time);

#define BAO_CPU_PERIOD_NS	(10 * NSEC_PER_MSEC)
#define BAO_CPU_LIMIT_NS	(8 * NSEC_PER_MSEC)

static bool bao_cpu_time_is_up(u64 now)
{
	struct bao_cpu_time *t = get_cpu_ptr(&bao_cpu_time);
	bool up;

	if (now - t->start >= BAO_CPU_PERIOD_NS) {
		t->start = now;
		t->used = 0;
	}
	up = t->used >= BAO_CPU_LIMIT_NS;

	put_cpu_ptr(&bao_cpu_time);
	return up;
}

/* Returns what bao_drain() does, and charges this CPU for it. */
static bool bao_drain_with_priority(struct bao_backend *b, u64 start)
{
	bool more = bao_drain(b);

	this_cpu_add(bao_cpu_time.used, local_clock() - start);
	return more;
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
	u64 now = local_clock();

	if (rt && bao_cpu_time_is_up(now))
		kthread_queue_delayed_work(b->worker, &b->drain, 1);
	else if (rt ? bao_drain_with_priority(b, now) : bao_drain(b))
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

static void bao_drain_in_interrupt(struct bao_backend *b, u64 start)
{
	/*
	 * Without PREEMPT_RT a spinlock_t spins, and is fine here. lockdep,
	 * which checks for both kinds of kernels, must be told.
	 */
	static DEFINE_WAIT_OVERRIDE_MAP(bao_not_rt_map, LD_WAIT_CONFIG);

	lock_map_acquire_try(&bao_not_rt_map);
	if (bao_drain_with_priority(b, start))
		bao_defer(b);
	lock_map_release(&bao_not_rt_map);
}

/**
 * bao_interrupt() - requests wait in the hypervisor, or did a moment ago
 * @irq: the interrupt
 * @data: the backend
 *
 * While the thread is at work the handler only makes sure that it looks once
 * more. PREEMPT_RT has no lock for a hard interrupt that could also wake a VMM,
 * so there the thread does all of it.
 *
 * Context: hard interrupt, whatever the kernel was told about threads: a
 *	handler that is made to run in a thread has its line masked meanwhile.
 * Return: IRQ_HANDLED, also when nothing was pending. Interrupts coalesce, so
 *	that is usual, and the core would disable a line that it finds spurious.
 */
irqreturn_t bao_interrupt(int irq, void *data)
{
	struct bao_backend *b = data;
	u64 now = local_clock();

	if (IS_ENABLED(CONFIG_PREEMPT_RT) || READ_ONCE(b->deferred) ||
	    bao_cpu_time_is_up(now))
		bao_defer(b);
	else
		bao_drain_in_interrupt(b, now);

	return IRQ_HANDLED;
}
