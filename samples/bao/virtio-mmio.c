// SPDX-License-Identifier: GPL-2.0
/*
 * The register window of a virtio device: virtio-mmio version 2, without the
 * legacy interface
 *
 * A driver that breaks the rules finds its device in need of a reset, which
 * the NEEDS_RESET bit of the status register and a configuration interrupt
 * tell it. No queue is served from then on until it writes status 0.
 */
#include <endian.h>
#include <string.h>
#include <sys/eventfd.h>

#include <linux/const.h>
#include <linux/virtio_config.h>
#define VIRTIO_MMIO_NO_LEGACY
#include <linux/virtio_mmio.h>

#include "bao-vmm.h"

/*
 * The dispatcher reports guest-physical addresses and a backend has a single
 * window, so the first access shows where it lies: like most virtio-mmio windows
 * it is 512 bytes long and begins at a multiple of that.
 */
#define WINDOW_SIZE	0x200

#define MAGIC		0x74726976	/* "virt" */
#define VERSION		2
#define VENDOR		0x006f6142	/* "Bao" */

/*
 * ACCESS_PLATFORM is not a matter of taste: without it the driver would pass
 * addresses of buffers anywhere in the frontend's memory. With it, it asks its
 * DMA layer, and the restricted-dma-pool of the device's node makes that copy
 * everything through the shared region.
 */
#define REQUIRED	(_BITULL(VIRTIO_F_VERSION_1) | \
			 _BITULL(VIRTIO_F_ACCESS_PLATFORM))

#define DRIVER_STATUS	(VIRTIO_CONFIG_S_ACKNOWLEDGE | \
			 VIRTIO_CONFIG_S_DRIVER | \
			 VIRTIO_CONFIG_S_DRIVER_OK | \
			 VIRTIO_CONFIG_S_FEATURES_OK | \
			 VIRTIO_CONFIG_S_FAILED)

static __u32 get(const __u32 *reg)
{
	return __atomic_load_n(reg, __ATOMIC_ACQUIRE);
}

static void set_bits(__u32 *reg, __u32 bits)
{
	__atomic_fetch_or(reg, bits, __ATOMIC_ACQ_REL);
}

/*
 * What loads of InterruptStatus return that nobody asks us about: that there may
 * be used buffers, always, since a driver can look at its rings in vain; and the
 * truth about the rest. So it hardly ever changes.
 */
static void show_interrupts(struct virtio_dev *dev)
{
	__u32 status = dev->interrupt_status | VIRTIO_MMIO_INT_VRING;

	if (dev->show && dev->shown != status) {
		dev->shown = status;
		dev->show(dev->notify_arg, status);
	}
}

static void change_interrupts(struct virtio_dev *dev, __u32 set, __u32 clear)
{
	pthread_mutex_lock(&dev->interrupt_lock);
	__atomic_store_n(&dev->interrupt_status,
			 (dev->interrupt_status | set) & ~clear,
			 __ATOMIC_RELEASE);
	show_interrupts(dev);
	pthread_mutex_unlock(&dev->interrupt_lock);
}

/* The status is set first: the driver's handler reads it to know the reason. */
static void interrupt(struct virtio_dev *dev, __u32 reason)
{
	change_interrupts(dev, reason, 0);
	dev->notify(dev->notify_arg);
}

static void stop_kernel(struct virtio_dev *dev)
{
	if (dev->ops->stop)
		dev->ops->stop(dev);
}

static void need_reset(struct virtio_dev *dev, const char *fault)
{
	/* Once: a driver must not be able to fill a log. */
	if (!__atomic_fetch_or(&dev->complained, 1, __ATOMIC_ACQ_REL))
		vmm_err("%s: %s; the driver must reset the device", dev->name,
			fault);
	set_bits(&dev->status, VIRTIO_CONFIG_S_NEEDS_RESET);
	stop_kernel(dev);
	interrupt(dev, VIRTIO_MMIO_INT_CONFIG);
}

static void reset(struct virtio_dev *dev)
{
	struct virtqueue *vq;

	stop_kernel(dev);
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
	change_interrupts(dev, 0, ~0u);
	__atomic_store_n(&dev->status, 0, __ATOMIC_RELEASE);
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
	dev->features |= REQUIRED;
	dev->untouched = true;
	dev->call_fd = -1;
	pthread_mutex_init(&dev->interrupt_lock, NULL);
	for (i = 0; i < VQ_COUNT_MAX; i++) {
		dev->kick_fd[i] = -1;
		pthread_mutex_init(&dev->vq[i].lock, NULL);
	}
	reset(dev);
}

/**
 * virtio_show_interrupts() - let somebody else answer loads of InterruptStatus
 * @dev: the device
 * @show: is told what they return, at once and whenever it changes; the device's
 *	@notify_arg comes with it
 */
void virtio_show_interrupts(struct virtio_dev *dev,
			    void (*show)(void *arg, __u32 status))
{
	pthread_mutex_lock(&dev->interrupt_lock);
	dev->show = show;
	show_interrupts(dev);
	pthread_mutex_unlock(&dev->interrupt_lock);
}

static bool queue_running(struct virtio_dev *dev, struct virtqueue *vq)
{
	const __u32 bits = VIRTIO_CONFIG_S_DRIVER_OK |
			      VIRTIO_CONFIG_S_NEEDS_RESET;

	return vq->ready && (get(&dev->status) & bits) ==
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
		need_reset(dev, fault);
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

static bool features_fit(const struct virtio_dev *dev)
{
	return !(dev->driver_features & ~dev->features) &&
	       !(REQUIRED & ~dev->driver_features);
}

static void start(struct virtio_dev *dev)
{
	const char *fault = NULL;

	if (!(get(&dev->status) & VIRTIO_CONFIG_S_FEATURES_OK))
		fault = "driver starts without agreed features";
	else if (dev->ops->start)
		fault = dev->ops->start(dev);
	if (fault)
		need_reset(dev, fault);
}

/* The driver adds bits as it goes; only a reset takes them away. */
static void write_status(struct virtio_dev *dev, __u32 value)
{
	__u32 status = get(&dev->status);

	if (!value) {
		if (status & VIRTIO_CONFIG_S_DRIVER_OK)
			dev->released = true;
		reset(dev);
		return;
	}
	value &= DRIVER_STATUS;
	/* A driver looks whether this bit stuck, and gives up if not. */
	if (status & VIRTIO_CONFIG_S_NEEDS_RESET || !features_fit(dev))
		value &= ~VIRTIO_CONFIG_S_FEATURES_OK;
	set_bits(&dev->status, value);
	if (value & ~status & VIRTIO_CONFIG_S_DRIVER_OK)
		start(dev);
}

static void set_half(__u64 *reg, bool high, __u32 value)
{
	unsigned int shift = high ? 32 : 0;

	*reg &= ~((__u64)UINT32_MAX << shift);
	*reg |= (__u64)value << shift;
}

static void write_features(struct virtio_dev *dev, __u32 value)
{
	if (dev->driver_sel < 2 &&
	    !(get(&dev->status) & VIRTIO_CONFIG_S_FEATURES_OK))
		set_half(&dev->driver_features, dev->driver_sel, value);
}

static void write_ready(struct virtio_dev *dev, struct virtqueue *vq,
			bool ready)
{
	const char *fault = NULL;

	if (!ready)
		stop_kernel(dev);
	pthread_mutex_lock(&vq->lock);
	if (!ready)
		vq_stop(vq);
	else if (!vq->ready)
		fault = vq_start(vq, dev->mem);
	pthread_mutex_unlock(&vq->lock);
	if (fault)
		need_reset(dev, fault);
}

static void write_queue(struct virtio_dev *dev, __u32 offset, __u32 value)
{
	struct virtqueue *vq;

	if (dev->queue_sel >= dev->ops->nr_queues)
		return;
	vq = &dev->vq[dev->queue_sel];
	if (offset == VIRTIO_MMIO_QUEUE_READY) {
		write_ready(dev, vq, value & 1);
		return;
	}
	/* A running queue keeps the place and size that were checked. */
	if (vq->ready)
		return;
	switch (offset) {
	case VIRTIO_MMIO_QUEUE_NUM:
		vq->num = value;
		break;
	case VIRTIO_MMIO_QUEUE_DESC_LOW:
	case VIRTIO_MMIO_QUEUE_DESC_HIGH:
		set_half(&vq->desc_gpa, offset & 4, value);
		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
	case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
		set_half(&vq->avail_gpa, offset & 4, value);
		break;
	case VIRTIO_MMIO_QUEUE_USED_LOW:
	case VIRTIO_MMIO_QUEUE_USED_HIGH:
		set_half(&vq->used_gpa, offset & 4, value);
		break;
	}
}

static void write_register(struct virtio_dev *dev, __u32 offset,
			   __u32 value)
{
	switch (offset) {
	case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
		dev->device_sel = value;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
		dev->driver_sel = value;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES:
		write_features(dev, value);
		break;
	case VIRTIO_MMIO_QUEUE_SEL:
		dev->queue_sel = value;
		break;
	case VIRTIO_MMIO_QUEUE_NOTIFY:
		virtio_kick(dev, value);
		break;
	case VIRTIO_MMIO_INTERRUPT_ACK:
		change_interrupts(dev, 0, value);
		break;
	case VIRTIO_MMIO_STATUS:
		write_status(dev, value);
		break;
	default:
		write_queue(dev, offset, value);
	}
}

static __u32 read_queue(const struct virtio_dev *dev, __u32 offset)
{
	/* A queue size of 0 says that there is no such queue. */
	if (dev->queue_sel >= dev->ops->nr_queues)
		return 0;
	return offset == VIRTIO_MMIO_QUEUE_NUM_MAX ?
	       VQ_NUM_MAX : dev->vq[dev->queue_sel].ready;
}

/*
 * The interrupts of queues that the kernel serves do not pass through here, so
 * any that the driver asks about may have been one of them. If it was not, the
 * driver looks at its rings in vain, which is allowed.
 */
static __u32 read_interrupt_status(const struct virtio_dev *dev)
{
	return get(&dev->interrupt_status) |
	       (dev->ops->start ? VIRTIO_MMIO_INT_VRING : 0);
}

static __u32 read_register(const struct virtio_dev *dev, __u32 offset)
{
	switch (offset) {
	case VIRTIO_MMIO_MAGIC_VALUE:
		return MAGIC;
	case VIRTIO_MMIO_VERSION:
		return VERSION;
	case VIRTIO_MMIO_DEVICE_ID:
		return dev->ops->id;
	case VIRTIO_MMIO_VENDOR_ID:
		return VENDOR;
	case VIRTIO_MMIO_DEVICE_FEATURES:
		return dev->device_sel < 2 ?
		       dev->features >> (32 * dev->device_sel) : 0;
	case VIRTIO_MMIO_QUEUE_NUM_MAX:
	case VIRTIO_MMIO_QUEUE_READY:
		return read_queue(dev, offset);
	case VIRTIO_MMIO_INTERRUPT_STATUS:
		return read_interrupt_status(dev);
	case VIRTIO_MMIO_STATUS:
		return get(&dev->status);
	case VIRTIO_MMIO_SHM_LEN_LOW:
	case VIRTIO_MMIO_SHM_LEN_HIGH:
	case VIRTIO_MMIO_SHM_BASE_LOW:
	case VIRTIO_MMIO_SHM_BASE_HIGH:
		/* All ones: the device has no memory region of that number. */
		return UINT32_MAX;
	case VIRTIO_MMIO_CONFIG_GENERATION:
		/* The configuration space never changes under a driver. */
	default:
		return 0;
	}
}

static __u64 read_config(const struct virtio_dev *dev, __u32 offset,
			 unsigned int width)
{
	__u64 value = 0;

	if (offset >= dev->config_len)
		return 0;
	if (width > dev->config_len - offset)
		width = dev->config_len - offset;
	memcpy(&value, (const __u8 *)dev->config + offset, width);
	return le64toh(value);
}

/*
 * A VMM that takes over from one that crashed starts with all registers reset,
 * and does not know the rings that the driver filled in the meantime. Were it
 * to say nothing, the driver would wait for ever for requests that nobody
 * remembers. So whatever the first access is, unless a driver begins with it,
 * it finds a device that needs a reset.
 *
 * Not every driver acts on that. Linux's virtio drivers ignore the bit so far:
 * there, unbinding and binding the driver or restarting the frontend helps.
 */
static void first_access(struct virtio_dev *dev, bool begins)
{
	if (dev->untouched && !begins)
		need_reset(dev, "an earlier VMM served this driver");
	dev->untouched = false;
}

static bool is_register(__u32 offset, unsigned int width)
{
	return width == 4 && !(offset & 3);
}

/**
 * virtio_mmio_at() - where a register lies
 * @addr: guest-physical address of any access to the device
 * @offset: VIRTIO_MMIO_*
 *
 * Return: the register's guest-physical address.
 */
__u64 virtio_mmio_at(__u64 addr, __u32 offset)
{
	return (addr & ~(__u64)(WINDOW_SIZE - 1)) + offset;
}

/**
 * virtio_mmio_read() - a load of the driver
 * @dev: the device
 * @addr: guest-physical address
 * @width: bytes
 *
 * Return: what the load returns.
 */
__u64 virtio_mmio_read(struct virtio_dev *dev, __u64 addr,
		       unsigned int width)
{
	__u32 offset = addr & (WINDOW_SIZE - 1);

	first_access(dev, offset == VIRTIO_MMIO_MAGIC_VALUE);
	if (offset >= VIRTIO_MMIO_CONFIG)
		return read_config(dev, offset - VIRTIO_MMIO_CONFIG, width);
	return is_register(offset, width) ? read_register(dev, offset) : 0;
}

/**
 * virtio_mmio_write() - a store of the driver
 * @dev: the device
 * @addr: guest-physical address
 * @width: bytes
 * @value: what it stores
 *
 * No configuration field of the devices here can be written, nor can any of
 * those registers be accessed in parts: such stores change nothing.
 */
void virtio_mmio_write(struct virtio_dev *dev, __u64 addr,
		       unsigned int width, __u64 value)
{
	__u32 offset = addr & (WINDOW_SIZE - 1);

	first_access(dev, offset == VIRTIO_MMIO_STATUS && !value);
	if (offset < VIRTIO_MMIO_CONFIG && is_register(offset, width))
		write_register(dev, offset, value);
}
