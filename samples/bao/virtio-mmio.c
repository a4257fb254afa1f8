// SPDX-License-Identifier: GPL-2.0
/*
 * The register window of a virtio device: virtio-mmio version 2, without the
 * legacy interface
 */
#include <endian.h>
#include <string.h>

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

#define DRIVER_STATUS	(VIRTIO_CONFIG_S_ACKNOWLEDGE | \
			 VIRTIO_CONFIG_S_DRIVER | \
			 VIRTIO_CONFIG_S_DRIVER_OK | \
			 VIRTIO_CONFIG_S_FEATURES_OK | \
			 VIRTIO_CONFIG_S_FAILED)

static bool features_fit(const struct virtio_dev *dev)
{
	return !(dev->driver_features & ~dev->features) &&
	       !(VIRTIO_REQUIRED & ~dev->driver_features);
}

static void start(struct virtio_dev *dev)
{
	const char *fault = NULL;

	if (!(get_reg(&dev->status) & VIRTIO_CONFIG_S_FEATURES_OK))
		fault = "driver starts without agreed features";
	else if (dev->ops->start)
		fault = dev->ops->start(dev);
	if (fault)
		virtio_need_reset(dev, fault);
}

/* The driver adds bits as it goes; only a reset takes them away. */
static void write_status(struct virtio_dev *dev, __u32 value)
{
	__u32 status = get_reg(&dev->status);

	if (!value) {
		if (status & VIRTIO_CONFIG_S_DRIVER_OK)
			dev->released = true;
		virtio_reset(dev);
		return;
	}
	value &= DRIVER_STATUS;
	/* A driver looks whether this bit stuck, and gives up if not. */
	if (status & VIRTIO_CONFIG_S_NEEDS_RESET || !features_fit(dev))
		value &= ~VIRTIO_CONFIG_S_FEATURES_OK;
	virtio_change_status(dev, value, 0);
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
	    !(get_reg(&dev->status) & VIRTIO_CONFIG_S_FEATURES_OK))
		set_half(&dev->driver_features, dev->driver_sel, value);
}

static void write_ready(struct virtio_dev *dev, struct virtqueue *vq,
			bool ready)
{
	const char *fault = NULL;

	if (!ready)
		virtio_stop_kernel(dev);
	pthread_mutex_lock(&vq->lock);
	if (!ready)
		vq_stop(vq);
	else if (!vq->ready)
		fault = vq_start(vq, dev->mem);
	pthread_mutex_unlock(&vq->lock);
	if (fault)
		virtio_need_reset(dev, fault);
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
		virtio_change_interrupts(dev, 0, value);
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
	return get_reg(&dev->interrupt_status) |
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
		return get_reg(&dev->status);
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
		virtio_need_reset(dev, "an earlier VMM served this driver");
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
