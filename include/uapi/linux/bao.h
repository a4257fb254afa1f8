/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * User-space interface of the Bao I/O dispatcher
 *
 * A frontend VM's access to an emulated device traps into the Bao hypervisor,
 * which stops that vCPU and stores a request. The dispatcher driver of the
 * backend VM hands the request to a virtual machine monitor (VMM) through
 * /dev/bao/backend<i>, and the VMM's completion lets the vCPU run again.
 *
 * Every structure starts with its size as the caller knows it, so that fields
 * can be added at the end. A structure longer than the kernel's is accepted if
 * the surplus is zero, and refused with -E2BIG otherwise. Reserved fields and
 * undefined flags must be zero, or the call fails with -EINVAL (reserved) or
 * -EOPNOTSUPP (flags). Once the backend is gone every call fails with -ENODEV.
 */
#ifndef _UAPI_LINUX_BAO_H
#define _UAPI_LINUX_BAO_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define BAO_IOCTL_TYPE		0xA6

/* BAO_IOCTL_IOEVENTFD, BAO_IOCTL_IRQFD and BAO_IOCTL_IOVALUE are there. */
#define BAO_FEATURE_IOEVENTFD	(1ULL << 0)
#define BAO_FEATURE_IRQFD	(1ULL << 1)
#define BAO_FEATURE_IOVALUE	(1ULL << 2)
/* The mapping has pages that can be pinned: O_DIRECT into it works. */
#define BAO_FEATURE_PAGES	(1ULL << 3)

/**
 * struct bao_info - ioctl(BAO_IOCTL_INFO)
 * @size: sizeof(struct bao_info); the kernel writes back the size it knows
 * @device_id: the Remote I/O device that this backend serves
 * @shmem_addr: guest-physical address of the memory shared with the frontend,
 *	the same in both VMs
 * @shmem_size: size of that memory in bytes; mmap() offsets 0 to
 *	@shmem_size - 1 map it
 * @features: what this kernel offers for this backend, a set of BAO_FEATURE_*
 * @max_requests: how many requests the driver holds for this backend at a
 *	time, waiting and in flight together; further ones wait in the
 *	hypervisor
 * @reserved: zero
 *
 * Return: 0.
 */
struct bao_info {
	__u32 size;
	__u32 device_id;
	__aligned_u64 shmem_addr;
	__aligned_u64 shmem_size;
	__aligned_u64 features;
	__u32 max_requests;
	__u32 reserved;
};

#define BAO_IOCTL_INFO		_IO(BAO_IOCTL_TYPE, 0x10)

/**
 * enum bao_op - what the frontend did
 * @BAO_OP_WRITE: it stored &struct bao_request.value
 * @BAO_OP_READ: it waits for the value that its load returns
 */
enum bao_op {
	BAO_OP_WRITE = 0,
	BAO_OP_READ = 1,
};

/*
 * The request was handed to an earlier VMM, which went away without completing
 * it. Whatever that VMM had already done for it may be done a second time.
 */
#define BAO_REQUEST_REDELIVERED	(1u << 0)

/**
 * struct bao_request - an access of the frontend that waits for completion
 * @id: names the request in its completion; unique for the lifetime of the
 *	backend, so a stale id never hits another request
 * @addr: guest-physical address of the access
 * @value: the value stored, cut to @width; 0 for a read
 * @op: enum bao_op
 * @width: width of the access: 1, 2, 4 or 8 bytes
 * @flags: set of BAO_REQUEST_*
 */
struct bao_request {
	__aligned_u64 id;
	__aligned_u64 addr;
	__aligned_u64 value;
	__u16 op;
	__u16 width;
	__u32 flags;
};

/**
 * struct bao_completion - the answer to a request
 * @id: &struct bao_request.id
 * @value: what the frontend's load returns, of which the driver keeps the
 *	access's width; ignored for a write
 */
struct bao_completion {
	__aligned_u64 id;
	__aligned_u64 value;
};

/**
 * struct bao_serve - ioctl(BAO_IOCTL_SERVE)
 * @size: sizeof(struct bao_serve)
 * @flags: must be 0
 * @completions: address of an array of &struct bao_completion
 * @requests: address of an array of &struct bao_request
 * @nr_completions: length of @completions; may be 0
 * @nr_requests: room in @requests; may be 0
 * @nr_completed: out: how many of @completions were carried out
 * @nr_fetched: out: how many of @requests were filled in
 * @busy_poll_us: how long to poll before sleeping, in microseconds, at most
 *	BAO_BUSY_POLL_MAX_US. Other tasks get their share of the CPU meanwhile.
 *	Ignored with O_NONBLOCK.
 * @reserved: must be 0
 *
 * Completes the requests named in @completions, in order, and then fetches
 * waiting requests, oldest first. With room for requests and none waiting it
 * polls for @busy_poll_us and then sleeps until one arrives, unless the file is
 * O_NONBLOCK. Any number of threads may call it at once; each request goes to
 * one of them.
 *
 * No call loses what it has done. If a signal comes, the machine is suspended,
 * or O_NONBLOCK finds nothing, after something was completed, it returns 0 with
 * @nr_fetched 0.
 * @nr_completed and @nr_fetched are valid after every error but -EFAULT,
 * -EINVAL, -EOPNOTSUPP, -E2BIG and -ENODEV. Only the @nr_ out fields are
 * written, so the structure can be used again for the next call.
 *
 * Return: 0, or
 *
 * * -EAGAIN: O_NONBLOCK, nothing completed, and no request waiting;
 * * -EINTR: a signal came while waiting, with nothing completed by this call;
 * * -ENOENT: completions[nr_completed] names no request in flight;
 * * -EIO: the hypervisor refused completions[nr_completed]. Its request is gone
 *   if the hypervisor does not know it, and is else still in flight;
 * * -EFAULT: an array, or this structure, is not accessible. A request that
 *   could not be handed over stays first in the queue.
 */
struct bao_serve {
	__u32 size;
	__u32 flags;
	__aligned_u64 completions;
	__aligned_u64 requests;
	__u32 nr_completions;
	__u32 nr_requests;
	__u32 nr_completed;
	__u32 nr_fetched;
	__u32 busy_poll_us;
	__u32 reserved;
};

#define BAO_BUSY_POLL_MAX_US	1000000
#define BAO_IOCTL_SERVE		_IO(BAO_IOCTL_TYPE, 0x11)

/**
 * struct bao_notify - ioctl(BAO_IOCTL_NOTIFY)
 * @size: sizeof(struct bao_notify)
 * @flags: must be 0
 *
 * Raises the device's interrupt in the frontend.
 *
 * Return: 0, or -EIO if the hypervisor refused.
 */
struct bao_notify {
	__u32 size;
	__u32 flags;
};

#define BAO_IOCTL_NOTIFY	_IO(BAO_IOCTL_TYPE, 0x12)

/* Only writes of bao_ioeventfd.data match. */
#define BAO_IOEVENTFD_DATAMATCH	(1u << 0)
/* Remove the ioeventfd instead of adding it. */
#define BAO_IOEVENTFD_DEASSIGN	(1u << 1)

/**
 * struct bao_ioeventfd - ioctl(BAO_IOCTL_IOEVENTFD)
 * @size: sizeof(struct bao_ioeventfd)
 * @flags: set of BAO_IOEVENTFD_*
 * @addr: guest-physical address of the writes
 * @data: the value that matches, with BAO_IOEVENTFD_DATAMATCH; else 0
 * @len: the width that matches, 1, 2, 4 or 8 bytes; 0 for any, which is not
 *	possible with BAO_IOEVENTFD_DATAMATCH
 * @fd: an eventfd
 *
 * A matching write of the frontend is completed at once and signals the
 * eventfd; SERVE never sees it. Other writes to the address, and reads, are
 * fetched as usual. To remove an ioeventfd the same values are passed again;
 * when the call returns, the eventfd has had its last signal. The last close of
 * the backend's file removes all.
 *
 * Return: 0, or
 *
 * * -EEXIST: there is an ioeventfd that some of the same writes match;
 * * -ENOSPC: there are 128 of this backend already;
 * * -ENOENT: nothing to remove;
 * * -EBADF, -EINVAL: @fd is no file, or no eventfd.
 */
struct bao_ioeventfd {
	__u32 size;
	__u32 flags;
	__aligned_u64 addr;
	__aligned_u64 data;
	__u32 len;
	__s32 fd;
};

#define BAO_IOCTL_IOEVENTFD	_IO(BAO_IOCTL_TYPE, 0x13)

/* Remove the irqfd instead of adding it. */
#define BAO_IRQFD_DEASSIGN	(1u << 0)

/**
 * struct bao_irqfd - ioctl(BAO_IOCTL_IRQFD)
 * @size: sizeof(struct bao_irqfd)
 * @flags: set of BAO_IRQFD_*
 * @fd: an eventfd
 *
 * From now on a signal of the eventfd raises the device's interrupt in the
 * frontend, and the driver reads the eventfd's counter. A signal from before
 * counts. The irqfd ends when it is removed, when the backend's file is closed,
 * and when the last descriptor of the eventfd is closed.
 *
 * Return: 0, or
 *
 * * -EEXIST: the eventfd is an irqfd of this backend already;
 * * -ENOSPC: there are 128 of this backend already;
 * * -ENOENT: nothing to remove;
 * * -EBADF, -EINVAL: @fd is no file, or no eventfd.
 */
struct bao_irqfd {
	__u32 size;
	__u32 flags;
	__s32 fd;
};

#define BAO_IOCTL_IRQFD		_IO(BAO_IOCTL_TYPE, 0x14)

/* Remove the iovalue instead of setting it. */
#define BAO_IOVALUE_DEASSIGN	(1u << 0)

/**
 * struct bao_iovalue - ioctl(BAO_IOCTL_IOVALUE)
 * @size: sizeof(struct bao_iovalue)
 * @flags: set of BAO_IOVALUE_*
 * @addr: guest-physical address of the loads
 * @value: what they return; nothing above @len bytes. 0 with
 *	BAO_IOVALUE_DEASSIGN
 * @len: the width that matches, 1, 2, 4 or 8 bytes
 * @reserved: must be 0
 *
 * A matching load of the frontend is completed at once with the value; SERVE
 * never sees it. Loads of other widths are fetched as usual, and so are stores,
 * which may match an ioeventfd of the same address. To change the value the same
 * address and width are passed again, which cannot fail while the backend is
 * there: what the driver takes up after that returns the new one. The last close
 * of the backend's file removes all.
 *
 * Return: 0, or
 *
 * * -ENOSPC: there are 16 of this backend already;
 * * -ENOENT: nothing to remove;
 * * -EINVAL: @len is no width, or @value has more than @len bytes.
 */
struct bao_iovalue {
	__u32 size;
	__u32 flags;
	__aligned_u64 addr;
	__aligned_u64 value;
	__u32 len;
	__u32 reserved;
};

#define BAO_IOCTL_IOVALUE	_IO(BAO_IOCTL_TYPE, 0x15)

#endif /* _UAPI_LINUX_BAO_H */
