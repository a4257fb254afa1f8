// SPDX-License-Identifier: GPL-2.0
/*
 * A virtio device behind its registers: interrupts, reset, and the service of its
 * queues
 *
 * A driver that breaks the rules finds its device in need of a reset, which
 * the NEEDS_RESET bit of the status register and a configuration interrupt
 * tell it. No queue is served from then on until it writes status 0.
 */
#include <string.h>
#include <sys/eventfd.h>

#include <linux/virtio_config.h>
#define VIRTIO_MMIO_NO_LEGACY
#include <linux/virtio_mmio.h>

#include "bao-vmm.h"

#define NOT_SHOWN	UINT32_MAX

/*
 * What loads of InterruptStatus return that nobody asks us about: that there may
 * be used buffers, as long as the driver runs, since it can look at its rings in
 * vain; and the truth about the rest. So it hardly ever changes.
 */
static void show_interrupts(struct virtio_dev *dev)
{
	__u32 status = dev->interrupt_status;

	if (get_reg(&dev->status) & VIRTIO_CONFIG_S_DRIVER_OK)
		status |= VIRTIO_MMIO_INT_VRING;
	if (dev->show && dev->shown != status &&
	    dev->show(dev->notify_arg, status))
		dev->shown = status;
}

/**
 * virtio_change_interrupts() - set and clear bits of InterruptStatus
 * @dev: the device
 * @set: VIRTIO_MMIO_INT_*
 * @clear: VIRTIO_MMIO_INT_*
 *
 * This raises no interrupt.
 */
void virtio_change_interrupts(struct virtio_dev *dev, __u32 set, __u32 clear)
{
	pthread_mutex_lock(&dev->interrupt_lock);
	__atomic_store_n(&dev->interrupt_status,
			 (dev->interrupt_status | set) & ~clear,
			 __ATOMIC_RELEASE);
	show_interrupts(dev);
	pthread_mutex_unlock(&dev->interrupt_lock);
}

/**
 * virtio_change_status() - set and clear bits of the status register
 * @dev: the device
 * @set: VIRTIO_CONFIG_S_*
 * @clear: VIRTIO_CONFIG_S_*
 */
void virtio_change_status(struct virtio_dev *dev, __u32 set, __u32 clear)
{
	pthread_mutex_lock(&dev->interrupt_lock);
	__atomic_store_n(&dev->status, (dev->status | set) & ~clear,
			 __ATOMIC_RELEASE);
	show_interrupts(dev);
	pthread_mutex_unlock(&dev->interrupt_lock);
}

/* The status is set first: the driver's handler reads it to know the reason. */
static void interrupt(struct virtio_dev *dev, __u32 reason)
{
	virtio_change_interrupts(dev, reason, 0);
	dev->notify(dev->notify_arg);
}

/**
 * virtio_stop_kernel() - have the kernel let go of the queues, if it has them
 * @dev: the device
 */
void virtio_stop_kernel(struct virtio_dev *dev)
{
	if (dev->ops->stop)
		dev->ops->stop(dev);
}

/**
 * virtio_need_reset() - the driver has broken the rules
 * @dev: the device
 * @fault: how
 */
void virtio_need_reset(struct virtio_dev *dev, const char *fault)
{
	/* Once: a driver must not be able to fill a log. */
	if (!__atomic_fetch_or(&dev->complained, 1, __ATOMIC_ACQ_REL))
		vmm_err("%s: %s; the driver must reset the device", dev->name,
			fault);
	virtio_change_status(dev, VIRTIO_CONFIG_S_NEEDS_RESET, 0);
	virtio_stop_kernel(dev);
	interrupt(dev, VIRTIO_MMIO_INT_CONFIG);
}

/**
 * virtio_reset() - back to how the device was before a driver used it
 * @dev: the device
 *
 * Waits for a queue that is being served.
 */
void virtio_reset(struct virtio_dev *dev)
{
	struct virtqueue *vq;

	virtio_stop_kernel(dev);
	/* A queue being served is waited for: its buffers are let go of here. */
	for (vq = dev->vq; vq < dev->vq + VQ_COUNT_MAX; vq++) {
		pthread_mutex_lock(&vq->lock);
		vq_stop(vq);
		vq->num = 0;
		vq->desc_gpa = 0;
		vq->avail_gpa = 0;
		vq->used_gpa = 0;
		pthread_mutex_unlock(&vq->lock);
	}
	dev->driver_features = 0;
	dev->device_sel = 0;
	dev->driver_sel = 0;
	dev->queue_sel = 0;
	virtio_change_interrupts(dev, 0, ~0u);
	virtio_change_status(dev, 0, ~0u);
}

/**
 * virtio_init() - prepare a device that was created for its first access
 * @dev: the device, which one of the create functions has filled in
 * @mem: memory shared with the driver
 * @notify: raises the device's interrupt
 * @notify_arg: for @notify
 */
void virtio_init(struct virtio_dev *dev, const struct region *mem,
		 void (*notify)(void *arg), void *notify_arg)
{
	unsigned int i;

	dev->mem = mem;
	dev->notify = notify;
	dev->notify_arg = notify_arg;
	dev->features |= VIRTIO_REQUIRED;
	dev->untouched = true;
	dev->call_fd = -1;
	pthread_mutex_init(&dev->interrupt_lock, NULL);
	for (i = 0; i < VQ_COUNT_MAX; i++) {
		dev->kick_fd[i] = -1;
		pthread_mutex_init(&dev->vq[i].lock, NULL);
	}
	virtio_reset(dev);
}

/**
 * virtio_show_interrupts() - let somebody else answer loads of InterruptStatus
 * @dev: the device
 * @show: is told what they return, at once and whenever it changes, and says
 *	whether it will be so; the device's @notify_arg comes with it
 *
 * Return: whether somebody does; if not, such loads remain requests.
 */
bool virtio_show_interrupts(struct virtio_dev *dev,
			    bool (*show)(void *arg, __u32 status))
{
	pthread_mutex_lock(&dev->interrupt_lock);
	dev->show = show;
	dev->shown = NOT_SHOWN;
	show_interrupts(dev);
	if (dev->shown == NOT_SHOWN)
		dev->show = NULL;
	pthread_mutex_unlock(&dev->interrupt_lock);
	return dev->show;
}

/**
 * virtio_take_over() - begin to serve a driver that may have been served before
 * @dev: the device
 *
 * Such a driver may wait for an interrupt, and need not kick while it does. One
 * that gets an interrupt accesses the device, and then virtio-mmio.c sees that
 * it had begun with somebody else. If there is no driver nobody minds.
 */
void virtio_take_over(struct virtio_dev *dev)
{
	if (dev->untouched)
		dev->notify(dev->notify_arg);
}

static bool queue_running(struct virtio_dev *dev, struct virtqueue *vq)
{
	const __u32 bits = VIRTIO_CONFIG_S_DRIVER_OK |
			      VIRTIO_CONFIG_S_NEEDS_RESET;

	return vq->ready && (get_reg(&dev->status) & bits) ==
			    VIRTIO_CONFIG_S_DRIVER_OK;
}

static const char *serve_one(struct virtio_dev *dev, struct virtqueue *vq,
			     request_fn serve)
{
	__u32 written = 0;
	const char *fault;
	struct chain c;

	fault = vq_pop(vq, dev->mem, &c);
	if (!fault)
		fault = serve(dev, &c, &written);
	if (!fault)
		vq_push(vq, c.head, written);
	return fault;
}

/*
 * Serves what is there now. The work of one kick is bounded, so that a driver that
 * adds without end cannot keep its backend from noticing that it should stop.
 */
static const char *serve_batch(struct virtio_dev *dev, struct virtqueue *vq,
			       request_fn serve, unsigned int *count)
{
	const char *fault = vq_pending(vq, count);
	unsigned int i;

	for (i = 0; i < *count && !fault; i++)
		fault = serve_one(dev, vq, serve);
	return fault;
}

/*
 * With an eventfd the driver need not kick meanwhile, which would stop its CPU:
 * what it adds is announced here for it.
 */
static const char *serve_without_kicks(struct virtio_dev *dev,
				       struct virtqueue *vq, request_fn serve,
				       int kick_fd, unsigned int *count)
{
	const char *fault;
	unsigned int more;

	vq_want_kicks(vq, false);
	fault = serve_batch(dev, vq, serve, count);
	vq_want_kicks(vq, true);
	if (!fault)
		fault = vq_pending(vq, &more);
	if (!fault && more)
		eventfd_write(kick_fd, 1);
	return fault;
}

static void serve_queue(struct virtio_dev *dev, struct virtqueue *vq,
			request_fn serve)
{
	int kick_fd = dev->kick_fd[vq - dev->vq];
	unsigned int count;
	const char *fault;

	if (kick_fd >= 0)
		fault = serve_without_kicks(dev, vq, serve, kick_fd, &count);
	else
		fault = serve_batch(dev, vq, serve, &count);

	if (fault)
		virtio_need_reset(dev, fault);
	else if (count && vq_wants_interrupt(vq))
		interrupt(dev, VIRTIO_MMIO_INT_VRING);
}

/**
 * virtio_kick() - serve what a queue holds
 * @dev: the device
 * @index: which queue
 *
 * This is what a write to the QueueNotify register comes to, be it a request
 * or the signal of an eventfd. If the kernel serves the queue it is told: the
 * write was a request only because it came before there was an ioeventfd.
 */
void virtio_kick(struct virtio_dev *dev, unsigned int index)
{
	struct virtqueue *vq;

	if (index >= dev->ops->nr_queues)
		return;
	if (!dev->ops->serve[index]) {
		if (dev->kick_fd[index] >= 0)
			eventfd_write(dev->kick_fd[index], 1);
		return;
	}
	__atomic_fetch_add(&dev->kicks, 1, __ATOMIC_RELAXED);
	vq = &dev->vq[index];
	pthread_mutex_lock(&vq->lock);
	if (queue_running(dev, vq))
		serve_queue(dev, vq, dev->ops->serve[index]);
	pthread_mutex_unlock(&vq->lock);
}
