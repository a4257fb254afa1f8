/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A frontend's driver, as far as tests of the sample VMM need one
 *
 * It accesses the registers by calling the VMM's functions and fills rings in
 * memory of its own. Pages that cannot be accessed surround that memory, so a
 * VMM that leaves it is killed on the spot.
 */
#ifndef FRONTEND_H
#define FRONTEND_H

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <linux/const.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>

#include "bao-vmm.h"

#define MEM_GPA		0x60000000ULL
#define MEM_SIZE	0x20000ULL
#define GUARD		0x10000

#define DESC		0x0000
#define AVAIL		0x1000
#define USED		0x2000
#define DATA		0x4000		/* buffers from here on */

#define WINDOW		0x0a003e00ULL
#define RING		16

#define BASIC_FEATURES	(_BITULL(VIRTIO_F_VERSION_1) | \
			 _BITULL(VIRTIO_F_ACCESS_PLATFORM))

struct frontend {
	struct region mem;
	struct virtio_dev dev;
	unsigned int notifies;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	__u16 next;		/* first free descriptor */
};

static inline void frontend_notified(void *arg)
{
	((struct frontend *)arg)->notifies++;
}

static inline bool frontend_memory(struct region *mem)
{
	__u8 *all = mmap(NULL, MEM_SIZE + 2 * GUARD, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	mem->gpa = MEM_GPA;
	mem->size = MEM_SIZE;
	mem->host = all + GUARD;
	return all != MAP_FAILED &&
	       !mprotect(mem->host, MEM_SIZE, PROT_READ | PROT_WRITE);
}

static inline void *at(struct frontend *f, __u64 offset)
{
	return f->mem.host + offset;
}

static inline __u32 get(struct frontend *f, __u32 offset)
{
	return virtio_mmio_read(&f->dev, WINDOW + offset, 4);
}

static inline void set(struct frontend *f, __u32 offset, __u32 value)
{
	virtio_mmio_write(&f->dev, WINDOW + offset, 4, value);
}

static inline bool frontend_needs_reset(struct frontend *f)
{
	return get(f, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET;
}

/* The device is created already. Returns before the first access. */
static inline bool frontend_start(struct frontend *f)
{
	if (!frontend_memory(&f->mem))
		return false;
	virtio_init(&f->dev, &f->mem, frontend_notified, f);
	f->desc = at(f, DESC);
	f->avail = at(f, AVAIL);
	f->used = at(f, USED);
	return true;
}

static inline bool frontend_features(struct frontend *f, __u64 features)
{
	set(f, VIRTIO_MMIO_STATUS, 0);
	set(f, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	set(f, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE |
				   VIRTIO_CONFIG_S_DRIVER);
	set(f, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	set(f, VIRTIO_MMIO_DRIVER_FEATURES, features >> 32);
	set(f, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	set(f, VIRTIO_MMIO_DRIVER_FEATURES, features);
	set(f, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE |
				   VIRTIO_CONFIG_S_DRIVER |
				   VIRTIO_CONFIG_S_FEATURES_OK);
	return get(f, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_FEATURES_OK;
}

static inline void frontend_queue(struct frontend *f, __u32 queue, __u32 num,
				  __u64 gpa)
{
	set(f, VIRTIO_MMIO_QUEUE_SEL, queue);
	set(f, VIRTIO_MMIO_QUEUE_NUM, num);
	set(f, VIRTIO_MMIO_QUEUE_DESC_LOW, gpa + DESC);
	set(f, VIRTIO_MMIO_QUEUE_DESC_HIGH, (gpa + DESC) >> 32);
	set(f, VIRTIO_MMIO_QUEUE_AVAIL_LOW, gpa + AVAIL);
	set(f, VIRTIO_MMIO_QUEUE_AVAIL_HIGH, (gpa + AVAIL) >> 32);
	set(f, VIRTIO_MMIO_QUEUE_USED_LOW, gpa + USED);
	set(f, VIRTIO_MMIO_QUEUE_USED_HIGH, (gpa + USED) >> 32);
	set(f, VIRTIO_MMIO_QUEUE_READY, 1);
}

/* Up to a running device with one queue. */
static inline bool frontend_probe(struct frontend *f, __u64 features,
				  __u32 queue)
{
	memset(f->mem.host, 0, DATA);
	f->next = 0;
	if (!frontend_features(f, BASIC_FEATURES | features))
		return false;
	frontend_queue(f, queue, RING, MEM_GPA);
	set(f, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE |
				   VIRTIO_CONFIG_S_DRIVER |
				   VIRTIO_CONFIG_S_FEATURES_OK |
				   VIRTIO_CONFIG_S_DRIVER_OK);
	return get(f, VIRTIO_MMIO_QUEUE_READY) && !frontend_needs_reset(f);
}

static inline void put_desc(struct frontend *f, __u16 i, __u64 gpa, __u32 len,
			    __u16 flags, __u16 next)
{
	f->desc[i] = (struct vring_desc){ gpa, len, flags, next };
}

/* Append a buffer to the chain that begins at f->next == 0. */
static inline void add(struct frontend *f, __u64 offset, __u32 len, __u16 flags)
{
	if (f->next)
		f->desc[f->next - 1].flags |= VRING_DESC_F_NEXT;
	put_desc(f, f->next, MEM_GPA + offset, len, flags, f->next + 1);
	f->next++;
}

static inline void offer(struct frontend *f, __u16 head)
{
	f->avail->ring[f->avail->idx % RING] = head;
	f->avail->idx++;
}

/*
 * Offer the chain that add() made, kick, and start afresh. Returns whether the
 * device gave it back, with the length in *len.
 */
static inline bool submit(struct frontend *f, __u32 queue, __u32 *len)
{
	__u16 before = f->used->idx;

	f->next = 0;
	offer(f, 0);
	set(f, VIRTIO_MMIO_QUEUE_NOTIFY, queue);
	*len = f->used->ring[before % RING].len;
	return f->used->idx == (__u16)(before + 1) &&
	       f->used->ring[before % RING].id == 0;
}

#endif /* FRONTEND_H */
