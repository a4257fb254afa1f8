// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bao I/O dispatcher: the life of a backend
 *
 * Its memory lives as long as the driver or an open file needs it. All else
 * ends with bao_backend_del().
 */
#include <linux/cpu.h>
#include <linux/device.h>
#include <linux/idr.h>
#include <linux/irq.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "bao_private.h"

/*
 * Device ids that are taken. They count from 0 in each node while the
 * hypervisor knows one list of devices for the whole VM, so that a second node
 * finds its ids in here.
 */
static DEFINE_IDA(bao_ids);

static void bao_backend_free(struct kref *kref)
{
	struct bao_backend *b = container_of(kref, struct bao_backend, kref);

	mutex_destroy(&b->eventfd_mutex);
	mutex_destroy(&b->map_lock);
	kfree(b);
}

/**
 * bao_backend_put() - drop a reference
 * @b: the backend, which may be gone afterwards
 *
 * Context: any.
 */
void bao_backend_put(struct bao_backend *b)
{
	kref_put(&b->kref, bao_backend_free);
}

static struct bao_backend *bao_backend_alloc(struct device *dev, u32 id)
{
	struct bao_backend *b = kzalloc(sizeof(*b), GFP_KERNEL);

	if (!b)
		return NULL;

	b->dev = dev;
	b->id = id;
	snprintf(b->name, sizeof(b->name), "bao-backend%u", id);
	snprintf(b->nodename, sizeof(b->nodename), "bao/backend%u", id);
	kref_init(&b->kref);
	mutex_init(&b->map_lock);
	mutex_init(&b->eventfd_mutex);
	spin_lock_init(&b->irqfd_lock);
	INIT_LIST_HEAD(&b->irqfds);
	bao_table_init(b);
	return b;
}

static int bao_backend_claim_id(struct bao_backend *b)
{
	int ret = ida_alloc_range(&bao_ids, b->id, b->id, GFP_KERNEL);

	if (ret == -ENOSPC)
		return dev_err_probe(b->dev, -EBUSY,
				     "Remote I/O device %u belongs to another node: all devices must be in one\n",
				     b->id);
	return ret < 0 ? ret : 0;
}

/**
 * bao_backend_start_thread() - start what does the interrupt handler's rest
 * @b: the backend
 *
 * Context: may sleep.
 * Return: 0 or a negative errno.
 */
int bao_backend_start_thread(struct bao_backend *b)
{
	b->worker = kthread_create_worker(0, "%s", b->name);
	if (IS_ERR(b->worker))
		return dev_err_probe(b->dev, PTR_ERR(b->worker),
				     "backend %u: no thread can be started\n",
				     b->id);

	/* There it stands for the interrupt thread, so it gets its priority. */
	if (IS_ENABLED(CONFIG_PREEMPT_RT))
		sched_set_fifo(b->worker->task);

	/* Newer kernels leave that to the caller. */
	wake_up_process(b->worker->task);
	return 0;
}

/**
 * bao_backend_stop_thread() - end the thread, with nothing left for it to do
 * @b: the backend, after bao_set_gone(), so that nobody queues anything any more
 *
 * Context: may sleep.
 */
void bao_backend_stop_thread(struct bao_backend *b)
{
	/* They may be about to queue themselves, which this prevents. */
	kthread_cancel_delayed_work_sync(&b->drain);
	kthread_cancel_delayed_work_sync(&b->delivery);
	kthread_destroy_worker(b->worker);
	bao_deliver(b);
}

/*
 * The line must never be masked while it is active. Forced threading and
 * suspend would do it, and so would setting the affinity, which has no use
 * either: Bao raises the interrupts in the VM's first vCPU.
 */
#define BAO_IRQ_FLAGS	(IRQF_NO_THREAD | IRQF_NO_SUSPEND | IRQF_NOBALANCING)

static int bao_backend_request_irq(struct bao_backend *b)
{
	int ret = request_irq(b->irq, bao_interrupt, BAO_IRQ_FLAGS, b->name, b);

	if (ret)
		return dev_err_probe(b->dev, ret,
				     "interrupt %u cannot be had\n", b->id);
	return 0;
}

static long bao_free_irq(void *data)
{
	struct bao_backend *b = data;

	free_irq(b->irq, b);
	return 0;
}

/*
 * free_irq() masks the line first and waits for the handler then. On the CPU
 * that takes the interrupt it cannot meet the handler, nor the line active.
 */
static void bao_backend_free_irq(struct bao_backend *b)
{
	const struct cpumask *mask;
	unsigned int cpu;

	cpus_read_lock();
	mask = irq_get_effective_affinity_mask(b->irq);
	cpu = mask ? cpumask_any_and(mask, cpu_online_mask) : nr_cpu_ids;
	if (cpu >= nr_cpu_ids)
		cpu = cpumask_first(cpu_online_mask);
	work_on_cpu(cpu, bao_free_irq, b);
	cpus_read_unlock();
}

/* Answers what the driver has popped. Nobody else would. */
static void bao_backend_abandon(struct bao_backend *b)
{
	unsigned int nr = bao_abandon(b);

	if (nr)
		dev_warn(b->dev,
			 "backend %u: %u requests ended without their VMM, reads with all ones\n",
			 b->id, nr);
}

/*
 * From the interrupt on requests arrive. Those from before it raised none that
 * anyone saw, so they are looked for.
 */
static int bao_backend_start(struct bao_backend *b)
{
	int ret;

	ret = bao_backend_start_thread(b);
	if (ret)
		return ret;

	ret = bao_check_hypervisor(b);
	if (ret)
		goto err_thread;

	ret = bao_backend_request_irq(b);
	if (ret)
		goto err_thread;

	bao_drain_soon(b);

	ret = bao_chrdev_add(b);
	if (ret)
		goto err_irq;

	return 0;

err_irq:
	bao_backend_free_irq(b);
err_thread:
	bao_set_gone(b);
	bao_backend_stop_thread(b);
	bao_backend_abandon(b);
	return ret;
}

/* Undoes bao_backend_start(). A VMM may be in the middle of anything. */
static void bao_backend_stop(struct bao_backend *b)
{
	bao_chrdev_del(b);
	bao_set_gone(b);
	bao_shmem_zap(b);
	bao_backend_free_irq(b);
	bao_backend_stop_thread(b);
	bao_backend_abandon(b);
}

/**
 * bao_backend_add() - bring a Remote I/O device into service
 * @dev: the dispatcher
 * @id: the device's id
 * @shmem: the memory shared with its frontend, claimed by the caller
 * @irq: its interrupt
 *
 * Context: may sleep.
 * Return: the backend or an error pointer. A message has been printed then.
 */
struct bao_backend *bao_backend_add(struct device *dev, u32 id,
				    const struct resource *shmem, int irq)
{
	struct bao_backend *b = bao_backend_alloc(dev, id);
	int ret;

	if (!b)
		return ERR_PTR(-ENOMEM);

	b->shmem = *shmem;
	b->irq = irq;

	ret = bao_backend_claim_id(b);
	if (ret)
		goto err_put;

	ret = bao_backend_start(b);
	if (ret)
		goto err_id;

	return b;

err_id:
	ida_free(&bao_ids, b->id);
err_put:
	bao_backend_put(b);
	return ERR_PTR(ret);
}

/**
 * bao_backend_del() - take a Remote I/O device out of service
 * @b: the backend, whose memory stays if a VMM has its file open
 *
 * Context: may sleep. Does not wait for VMMs.
 */
void bao_backend_del(struct bao_backend *b)
{
	bao_backend_stop(b);
	ida_free(&bao_ids, b->id);
	bao_backend_put(b);
}
