// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bao I/O dispatcher: the character device of a backend
 *
 * The open file keeps the backend's memory alive, and nothing else of it: once
 * bao_backend.gone is set every operation fails with -ENODEV, and the driver
 * does not wait for the file to be closed.
 */
#include <linux/cleanup.h>
#include <linux/device.h>
#include <linux/ktime.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "bao_private.h"

/* What an ioctl works on: where it came from, and its argument. */
struct bao_call {
	struct bao_backend *b;
	struct file *file;
	void __user *uarg;
	u32 size;		/* of *uarg, as the caller sees it */
	union bao_arg {
		struct bao_info info;
		struct bao_serve serve;
		struct bao_notify notify;
		struct bao_ioeventfd ioeventfd;
		struct bao_irqfd irqfd;
		struct bao_iovalue iovalue;
	} arg;
};

/**
 * bao_vmm_begin() - make a file the VMM of a backend
 * @b: the backend, to which the caller has a reference
 * @file: the file, in the making. bao_release() is for it from here on.
 *
 * Context: may sleep.
 * Return: 0, or -EBUSY if there is a VMM.
 */
int bao_vmm_begin(struct bao_backend *b, struct file *file)
{
	if (test_and_set_bit(0, &b->opened))
		return -EBUSY;

	kref_get(&b->kref);
	file->private_data = b;

	scoped_guard(mutex, &b->map_lock)
		b->mapping = file->f_mapping;
	return 0;
}

static int bao_open(struct inode *inode, struct file *file)
{
	struct miscdevice *misc = file->private_data;
	struct bao_backend *b = container_of(misc, struct bao_backend, misc);

	/* misc_deregister() waits for this function, so b is there. */
	return bao_vmm_begin(b, file) ?: stream_open(inode, file);
}

/**
 * bao_release() - the VMM went away
 * @inode: not used
 * @file: the file of bao_vmm_begin()
 *
 * Context: may sleep.
 * Return: 0.
 */
int bao_release(struct inode *inode, struct file *file)
{
	struct bao_backend *b = file->private_data;

	scoped_guard(mutex, &b->map_lock)
		b->mapping = NULL;

	bao_ioeventfd_release(b);
	bao_iovalue_release(b);
	bao_irqfd_release(b);
	bao_give_back(b);
	clear_bit_unlock(0, &b->opened);
	bao_backend_put(b);
	return 0;
}

static int bao_ioctl_info(struct bao_call *call)
{
	struct bao_backend *b = call->b;
	struct bao_info info = {
		.size = sizeof(info),
		.device_id = b->id,
		.shmem_addr = b->shmem.start,
		.shmem_size = resource_size(&b->shmem),
		.features = BAO_FEATURE_IOEVENTFD | BAO_FEATURE_IRQFD |
			    BAO_FEATURE_IOVALUE,
		.max_requests = BAO_MAX_REQUESTS,
	};

	if (b->shmem.flags & IORESOURCE_SYSRAM)
		info.features |= BAO_FEATURE_PAGES;

	if (call->arg.info.reserved)
		return -EINVAL;

	/* The surplus of a longer structure is zero: it was checked. */
	return copy_to_user(call->uarg, &info, sizeof(info)) ? -EFAULT : 0;
}

static int bao_serve_complete(struct bao_call *call)
{
	struct bao_serve *s = &call->arg.serve;
	struct bao_completion __user *from = u64_to_user_ptr(s->completions);
	struct bao_completion c;
	int ret = 0;

	for (; s->nr_completed < s->nr_completions; s->nr_completed++, from++) {
		if (copy_from_user(&c, from, sizeof(c)))
			ret = -EFAULT;
		else
			ret = bao_complete(call->b, c.id, c.value);
		if (ret)
			break;
	}

	return ret;
}

static bool bao_may_spin(struct bao_backend *b, u64 end)
{
	return !bao_is_waiting(b) && !READ_ONCE(b->gone) &&
	       !signal_pending(current) && ktime_get_ns() < end;
}

/*
 * Waits without sleeping, so that nobody need be woken for a request. Other
 * tasks of this CPU get their share of it.
 *
 * The caller must fetch afterwards, with no look at the list before it. Under the
 * lock it finds what was left to this thread, unless another one has been faster,
 * and who queues a request later sees, by that lock, that nobody polls any more.
 */
static void bao_spin(struct bao_backend *b, u64 end)
{
	atomic_inc(&b->busy_pollers);
	while (bao_may_spin(b, end)) {
		cpu_relax();
		cond_resched();
	}
	atomic_dec(&b->busy_pollers);
}

static int bao_busy_poll(struct bao_call *call, struct bao_request *req)
{
	u64 end = ktime_get_ns() +
		  (u64)call->arg.serve.busy_poll_us * NSEC_PER_USEC;
	int ret;

	/* Another thread may be faster each time. */
	do {
		bao_spin(call->b, end);
		ret = bao_fetch(call->b, req);
	} while (ret == -EAGAIN && bao_may_spin(call->b, end));

	return ret;
}

static int bao_fetch_first(struct bao_call *call, struct bao_request *req)
{
	int ret = -EAGAIN;

	if (call->file->f_flags & O_NONBLOCK)
		return bao_fetch(call->b, req);

	if (call->arg.serve.busy_poll_us)
		ret = bao_busy_poll(call, req);

	return ret == -EAGAIN ? bao_fetch_wait(call->b, req) : ret;
}

/*
 * Waits for a request, and fetches until the array is full or nothing waits.
 * Each request is counted in the caller's structure as soon as it is in the
 * array. If one of the two cannot be written the request goes back.
 */
static int bao_serve_fetch(struct bao_call *call)
{
	struct bao_serve __user *us = call->uarg;
	struct bao_serve *s = &call->arg.serve;
	struct bao_request __user *to = u64_to_user_ptr(s->requests);
	struct bao_request req;
	int ret = 0;

	for (; s->nr_fetched < s->nr_requests; s->nr_fetched++, to++) {
		ret = s->nr_fetched ? bao_fetch(call->b, &req) :
				      bao_fetch_first(call, &req);
		if (ret)
			break;
		if (copy_to_user(to, &req, sizeof(req)) ||
		    put_user(s->nr_fetched + 1, &us->nr_fetched)) {
			bao_unfetch(call->b, req.id);
			ret = -EFAULT;
			break;
		}
	}

	return s->nr_fetched ? 0 : ret;
}

static int bao_ioctl_serve(struct bao_call *call)
{
	struct bao_serve __user *us = call->uarg;
	struct bao_serve *s = &call->arg.serve;
	int ret;

	if (s->flags)
		return -EOPNOTSUPP;
	if (s->reserved || s->busy_poll_us > BAO_BUSY_POLL_MAX_US)
		return -EINVAL;

	s->nr_completed = 0;
	s->nr_fetched = 0;
	ret = bao_serve_complete(call);

	/* Said before the wait, which a signal may end in a restart. */
	if (put_user(s->nr_completed, &us->nr_completed) ||
	    put_user(0, &us->nr_fetched))
		return -EFAULT;
	if (ret || !s->nr_requests)
		return ret;

	ret = bao_serve_fetch(call);
	if (s->nr_completed && (ret == -EAGAIN || ret == -ERESTARTSYS))
		return 0;
	return ret;
}

static int bao_ioctl_notify(struct bao_call *call)
{
	if (call->arg.notify.flags)
		return -EOPNOTSUPP;
	return bao_notify(call->b);
}

static int bao_ioctl_ioeventfd(struct bao_call *call)
{
	return bao_ioeventfd_config(call->b, &call->arg.ioeventfd);
}

static int bao_ioctl_irqfd(struct bao_call *call)
{
	return bao_irqfd_config(call->b, &call->arg.irqfd);
}

static int bao_ioctl_iovalue(struct bao_call *call)
{
	return bao_iovalue_config(call->b, &call->arg.iovalue);
}

/**
 * struct bao_ioctl - a row of the ioctl table
 * @cmd: the number
 * @size: of its structure. A shorter one than the first that was published is
 *	refused; when a structure grows this needs a minimum beside it.
 * @fn: checks flags and reserved fields, and does it. Longer structures and
 *	gone backends have been dealt with. Returns 0 or a negative errno.
 */
struct bao_ioctl {
	unsigned int cmd;
	u32 size;
	int (*fn)(struct bao_call *call);
};

/* No padding, and the same on 32 and 64 bit. */
static_assert(sizeof(struct bao_info) == 40);
static_assert(sizeof(struct bao_request) == 32);
static_assert(sizeof(struct bao_completion) == 16);
static_assert(sizeof(struct bao_serve) == 48);
static_assert(sizeof(struct bao_notify) == 8);
static_assert(sizeof(struct bao_ioeventfd) == 32);
static_assert(sizeof(struct bao_irqfd) == 12);
static_assert(sizeof(struct bao_iovalue) == 32);

static const struct bao_ioctl bao_ioctls[] = {
	{ BAO_IOCTL_INFO, sizeof(struct bao_info), bao_ioctl_info },
	{ BAO_IOCTL_SERVE, sizeof(struct bao_serve), bao_ioctl_serve },
	{ BAO_IOCTL_NOTIFY, sizeof(struct bao_notify), bao_ioctl_notify },
	{ BAO_IOCTL_IOEVENTFD, sizeof(struct bao_ioeventfd),
	  bao_ioctl_ioeventfd },
	{ BAO_IOCTL_IRQFD, sizeof(struct bao_irqfd), bao_ioctl_irqfd },
	{ BAO_IOCTL_IOVALUE, sizeof(struct bao_iovalue), bao_ioctl_iovalue },
};

static const struct bao_ioctl *bao_find_ioctl(unsigned int cmd)
{
	for (int i = 0; i < ARRAY_SIZE(bao_ioctls); i++)
		if (bao_ioctls[i].cmd == cmd)
			return &bao_ioctls[i];

	return NULL;
}

static long bao_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	const struct bao_ioctl *op = bao_find_ioctl(cmd);
	struct bao_call call = {
		.b = file->private_data,
		.file = file,
		.uarg = (void __user *)arg,
	};
	int ret;

	if (!op)
		return -ENOTTY;
	if (READ_ONCE(call.b->gone))
		return -ENODEV;

	if (get_user(call.size, (u32 __user *)call.uarg))
		return -EFAULT;
	if (call.size < op->size)
		return -EINVAL;
	if (call.size > PAGE_SIZE)
		return -E2BIG;

	ret = copy_struct_from_user(&call.arg, op->size, call.uarg, call.size);
	if (ret)
		return ret;

	return op->fn(&call);
}

/**
 * bao_poll() - poll() of a VMM's file
 * @file: the file of bao_vmm_begin()
 * @wait: where to wait
 *
 * Context: may sleep.
 * Return: EPOLL*.
 */
__poll_t bao_poll(struct file *file, poll_table *wait)
{
	struct bao_backend *b = file->private_data;
	__poll_t events = 0;

	poll_wait(file, &b->wait, wait);

	/* The lock makes sure that bao_poll_is_due() sees who sees nothing. */
	scoped_guard(raw_spinlock_irqsave, &b->lock) {
		if (bao_is_waiting(b))
			events |= EPOLLIN | EPOLLRDNORM;
		if (b->gone)
			events |= EPOLLHUP;
	}

	return events;
}

static const struct file_operations bao_fops = {
	.owner = THIS_MODULE,
	.open = bao_open,
	.release = bao_release,
	.unlocked_ioctl = bao_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.poll = bao_poll,
	.mmap = bao_shmem_mmap,
};

/**
 * bao_chrdev_add() - publish /dev/bao/backend<i>
 * @b: the backend
 *
 * Context: may sleep.
 * Return: 0 or a negative errno.
 */
int bao_chrdev_add(struct bao_backend *b)
{
	int ret;

	b->misc = (struct miscdevice) {
		.minor = MISC_DYNAMIC_MINOR,
		.name = b->name,
		.nodename = b->nodename,
		.mode = 0600,
		.parent = b->dev,
		.groups = bao_stats_groups,
		.fops = &bao_fops,
	};

	ret = misc_register(&b->misc);
	if (ret)
		return dev_err_probe(b->dev, ret, "/dev/%s cannot be made\n",
				     b->nodename);
	return 0;
}

/**
 * bao_chrdev_del() - let nobody open the device any more
 * @b: the backend
 *
 * Context: may sleep.
 */
void bao_chrdev_del(struct bao_backend *b)
{
	misc_deregister(&b->misc);
}
