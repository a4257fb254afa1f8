// SPDX-License-Identifier: GPL-2.0
/*
 * Split virtqueues in memory that an untrusted frontend can change at will
 *
 * Nothing that is read from a ring is used before it is checked, and nothing
 * is read twice: the second reading could differ from the one that passed the
 * check. Addresses become pointers in region_at() and nowhere else.
 *
 * Neither indirect descriptors nor event indices are offered. They would save
 * little here, and what is not offered need not be defended.
 */
#include <endian.h>
#include <stddef.h>
#include <string.h>

#include "bao-vmm.h"

/*
 * After this line the compiler cannot fetch again what it fetched before, so
 * a private copy stays what it was when it was checked.
 */
#define fetched() __atomic_signal_fence(__ATOMIC_SEQ_CST)

static __u16 load16(const __virtio16 *p)
{
	return le16toh(__atomic_load_n(p, __ATOMIC_RELAXED));
}

/**
 * region_at() - translate a range of guest-physical addresses
 * @mem: the shared region
 * @gpa: start of the range
 * @len: bytes
 *
 * Return: where the range lies here, or NULL if it is not all in @mem. No sum
 * is formed of numbers that the frontend chose, so none can overflow.
 */
void *region_at(const struct region *mem, __u64 gpa, __u64 len)
{
	__u64 offset = gpa - mem->gpa;

	if (gpa < mem->gpa || offset > mem->size || len > mem->size - offset)
		return NULL;
	return mem->host + offset;
}

static void *ring_at(const struct region *mem, __u64 gpa, __u64 len,
		     __u64 align)
{
	return gpa % align ? NULL : region_at(mem, gpa, len);
}

/**
 * vq_start() - begin to use the rings whose addresses the driver has set
 * @vq: the queue, with its lock held
 * @mem: the shared region
 *
 * Return: NULL, or what is wrong with the addresses or the size.
 */
const char *vq_start(struct virtqueue *vq, const struct region *mem)
{
	__u32 num = vq->num;

	if (!num || num > VQ_NUM_MAX || num & (num - 1))
		return "queue size is not a power of two within the maximum";

	/* Both rings end in an event index, which is there though unused. */
	vq->desc = ring_at(mem, vq->desc_gpa, num * sizeof(*vq->desc),
			   VRING_DESC_ALIGN_SIZE);
	vq->avail = ring_at(mem, vq->avail_gpa,
			    sizeof(*vq->avail) + (num + 1) * sizeof(__virtio16),
			    VRING_AVAIL_ALIGN_SIZE);
	vq->used = ring_at(mem, vq->used_gpa, sizeof(*vq->used) +
			   num * sizeof(vq->used->ring[0]) + sizeof(__virtio16),
			   VRING_USED_ALIGN_SIZE);
	if (!vq->desc || !vq->avail || !vq->used)
		return "queue is misaligned or not in the shared memory";

	vq->last_avail = 0;
	vq->used_idx = 0;
	vq->ready = true;
	return NULL;
}

/**
 * vq_stop() - let go of the rings
 * @vq: the queue, with its lock held
 */
void vq_stop(struct virtqueue *vq)
{
	vq->ready = false;
	vq->desc = NULL;
	vq->avail = NULL;
	vq->used = NULL;
}

/**
 * vq_pending() - how many requests the driver has made available
 * @vq: a ready queue, with its lock held
 * @count: the number, at most the queue's size
 *
 * Return: NULL, or what is wrong with the ring.
 */
const char *vq_pending(const struct virtqueue *vq, unsigned int *count)
{
	/*
	 * Acquire: the entries and descriptors that the index announces are
	 * read after it.
	 */
	__u16 idx = le16toh(__atomic_load_n(&vq->avail->idx,
					       __ATOMIC_ACQUIRE));
	__u16 ahead = idx - vq->last_avail;

	*count = 0;
	if (ahead > vq->num)
		return "available index is ahead by more than the queue holds";
	*count = ahead;
	return NULL;
}

static const char *chain_add(struct chain *c, const struct region *mem,
			     __u64 gpa, __u32 len, bool writable)
{
	struct iovec *iov = &c->iov[c->nr_out + c->nr_in];

	if (!len)
		return "empty buffer";
	if (!writable && c->nr_in)
		return "buffer to read follows a buffer to write";
	/* Distinct buffers fit in the region: more is one buffer many times. */
	if (c->out_len + c->in_len + len > mem->size)
		return "buffers of one request exceed the shared memory";

	iov->iov_base = region_at(mem, gpa, len);
	iov->iov_len = len;
	if (!iov->iov_base)
		return "buffer is not in the shared memory";

	if (writable) {
		c->nr_in++;
		c->in_len += len;
	} else {
		c->nr_out++;
		c->out_len += len;
	}
	return NULL;
}

/**
 * vq_pop() - take the next request
 * @vq: a ready queue with a request pending, with its lock held
 * @mem: the shared region
 * @c: set to the request's buffers
 *
 * Return: NULL, or what is wrong with the request.
 */
const char *vq_pop(struct virtqueue *vq, const struct region *mem,
		   struct chain *c)
{
	__u16 i = load16(&vq->avail->ring[vq->last_avail % vq->num]);
	struct vring_desc desc;
	const char *fault;
	__u16 flags;
	unsigned int n;

	vq->last_avail++;
	memset(c, 0, offsetof(struct chain, iov));
	c->head = i;

	/* No chain is longer than the table, unless it bites its tail. */
	for (n = 0; n < vq->num; n++) {
		if (i >= vq->num)
			return "descriptor index beyond the table";
		memcpy(&desc, &vq->desc[i], sizeof(desc));
		fetched();

		flags = le16toh(desc.flags);
		if (flags & VRING_DESC_F_INDIRECT)
			return "indirect descriptor, which was not offered";
		fault = chain_add(c, mem, le64toh(desc.addr), le32toh(desc.len),
				  flags & VRING_DESC_F_WRITE);
		if (fault)
			return fault;
		if (!(flags & VRING_DESC_F_NEXT))
			return NULL;
		i = le16toh(desc.next);
	}
	return "descriptors form a loop";
}

/**
 * vq_push() - give a request back
 * @vq: a ready queue, with its lock held
 * @head: &struct chain.head
 * @len: bytes written to the request's buffers
 */
void vq_push(struct virtqueue *vq, __u16 head, __u32 len)
{
	vring_used_elem_t *elem = &vq->used->ring[vq->used_idx % vq->num];

	elem->id = htole32(head);
	elem->len = htole32(len);
	/* Release: whoever sees the index sees the entry and the data too. */
	__atomic_store_n(&vq->used->idx, htole16(++vq->used_idx),
			 __ATOMIC_RELEASE);
}

/**
 * vq_want_kicks() - say whether the driver is to announce what it adds
 * @vq: a ready queue, with its lock held
 * @wanted: false while the queue is looked at anyway
 *
 * A driver need not heed it. After kicks are wanted again the queue must be
 * looked at once more: what came just before was not announced.
 */
void vq_want_kicks(struct virtqueue *vq, bool wanted)
{
	__u16 flags = wanted ? 0 : VRING_USED_F_NO_NOTIFY;

	__atomic_store_n(&vq->used->flags, htole16(flags), __ATOMIC_SEQ_CST);
	/* The driver stores its index and then looks here: one sees the other. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/**
 * vq_wants_interrupt() - whether to interrupt the driver for what was pushed
 * @vq: a ready queue, with its lock held
 *
 * Return: false if the driver looks at the ring without being told.
 */
bool vq_wants_interrupt(const struct virtqueue *vq)
{
	/*
	 * The driver clears the flag and then looks at the index once more; the
	 * index is stored and then the flag looked at here. With a full barrier
	 * on both sides at least one of the two sees the other's store.
	 */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return !(load16(&vq->avail->flags) & VRING_AVAIL_F_NO_INTERRUPT);
}

/**
 * iov_advance() - drop bytes from the front of an array of buffers
 * @iov: the array; moved past the buffers that became empty
 * @nr: its length
 * @len: bytes to drop, at most as many as there are
 */
void iov_advance(struct iovec **iov, unsigned int *nr, size_t len)
{
	while (*nr && len >= (*iov)->iov_len) {
		len -= (*iov)->iov_len;
		(*iov)++;
		(*nr)--;
	}
	if (len) {
		(*iov)->iov_base = (__u8 *)(*iov)->iov_base + len;
		(*iov)->iov_len -= len;
	}
}

/**
 * chain_read() - copy from the buffers that the driver filled, and drop what
 *	was copied
 * @c: the request
 * @buf: where to
 * @len: bytes
 *
 * A driver may cut its buffers where it likes, so a header can begin in one
 * and end in the next.
 *
 * Return: false if there are fewer bytes, with nothing copied.
 */
bool chain_read(struct chain *c, void *buf, size_t len)
{
	struct iovec *iov = c->iov;
	size_t n;

	if (len > c->out_len)
		return false;
	c->out_len -= len;
	for (; len; iov++) {
		n = len < iov->iov_len ? len : iov->iov_len;
		memcpy(buf, iov->iov_base, n);
		iov->iov_base = (__u8 *)iov->iov_base + n;
		iov->iov_len -= n;
		buf = (__u8 *)buf + n;
		len -= n;
	}
	fetched();
	return true;
}
