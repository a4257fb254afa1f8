// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bao I/O dispatcher: irqfds
 *
 * An eventfd whose signal raises the device's interrupt in the frontend. The
 * hypercall is made by whoever signals, in the eventfd's wake-up, so that
 * nobody else has to run first.
 *
 * An irqfd ends in one of three ways: the VMM deassigns it, the VMM closes the
 * backend's file, or the last descriptor of the eventfd is closed (EPOLLHUP).
 * Whoever takes it off the list frees it, and the others leave it alone.
 */
#include <linux/cleanup.h>
#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/poll.h>
#include <linux/slab.h>

#include "bao_private.h"

/**
 * struct bao_irq_source - an eventfd that raises the frontend's interrupt
 * @link: on bao_backend.irqfds
 * @b: the backend
 * @ctx: the eventfd
 * @wqh: its wait queue
 * @wait: the entry there
 * @pt: what puts @wait there
 */
struct bao_irq_source {
	struct list_head link;
	struct bao_backend *b;
	struct eventfd_ctx *ctx;
	wait_queue_head_t *wqh;
	wait_queue_entry_t wait;
	poll_table pt;
};

/* Whether the caller is the one to end it. */
static bool bao_irqfd_unlink(struct bao_irq_source *src)
{
	scoped_guard(spinlock_irqsave, &src->b->irqfd_lock) {
		if (list_empty(&src->link))
			return false;
		list_del_init(&src->link);
	}

	return true;
}

static void bao_irqfd_free(struct bao_irq_source *src)
{
	eventfd_ctx_put(src->ctx);
	kfree(src);
}

/* The caller holds the lock of the eventfd's wait queue. */
static void bao_irqfd_fire(struct bao_irq_source *src)
{
	u64 count;

	/* It may be 0: another irqfd of the same eventfd was first. */
	eventfd_ctx_do_read(src->ctx, &count);
	if (!READ_ONCE(src->b->gone))
		bao_notify(src->b);
}

/*
 * The eventfd was signalled or closed. Runs under the lock of its wait queue,
 * in the context of whoever did it, which may be an interrupt.
 */
static int bao_irqfd_wakeup(wait_queue_entry_t *wait, unsigned int mode,
			    int sync, void *key)
{
	struct bao_irq_source *src =
		container_of(wait, struct bao_irq_source, wait);
	__poll_t events = key_to_poll(key);

	if (events & EPOLLIN)
		bao_irqfd_fire(src);

	/*
	 * The file that is being closed still has its reference to the
	 * eventfd, so dropping ours under the eventfd's lock is safe.
	 */
	if (events & EPOLLHUP && bao_irqfd_unlink(src)) {
		list_del_init(&src->wait.entry);
		bao_irqfd_free(src);
	}

	return 0;
}

static void bao_irqfd_enqueue(struct file *file, wait_queue_head_t *wqh,
			      poll_table *pt)
{
	struct bao_irq_source *src =
		container_of(pt, struct bao_irq_source, pt);

	src->wqh = wqh;
	add_wait_queue(wqh, &src->wait);
}

static struct bao_irq_source *bao_irqfd_find(struct bao_backend *b,
					     const struct eventfd_ctx *ctx)
{
	struct bao_irq_source *src;

	lockdep_assert_held(&b->irqfd_lock);

	list_for_each_entry(src, &b->irqfds, link)
		if (src->ctx == ctx)
			return src;

	return NULL;
}

/* Makes it known, so that all three ways of its end find it. */
static int bao_irqfd_publish(struct bao_irq_source *src)
{
	struct bao_backend *b = src->b;

	scoped_guard(spinlock_irqsave, &b->irqfd_lock) {
		if (bao_irqfd_find(b, src->ctx))
			return -EEXIST;
		if (list_count_nodes(&b->irqfds) == BAO_MAX_EVENTFDS)
			return -ENOSPC;
		list_add_tail(&src->link, &b->irqfds);
	}

	return 0;
}

/*
 * From vfs_poll() on signals arrive, and until then they add up in the
 * eventfd. The caller's file keeps EPOLLHUP away, and the mutex a deassignment,
 * so that nobody ends it half-way.
 */
static void bao_irqfd_connect(struct bao_irq_source *src, struct file *file)
{
	init_waitqueue_func_entry(&src->wait, bao_irqfd_wakeup);
	init_poll_funcptr(&src->pt, bao_irqfd_enqueue);

	if (!(vfs_poll(file, &src->pt) & EPOLLIN))
		return;

	scoped_guard(spinlock_irqsave, &src->wqh->lock)
		bao_irqfd_fire(src);
}

static int bao_irqfd_assign(struct bao_backend *b, struct file *file,
			    struct eventfd_ctx *ctx)
{
	struct bao_irq_source *src;
	int ret;

	src = kzalloc(sizeof(*src), GFP_KERNEL_ACCOUNT);
	if (!src)
		return -ENOMEM;

	src->b = b;
	src->ctx = ctx;

	guard(mutex)(&b->eventfd_mutex);
	ret = bao_irqfd_publish(src);
	if (ret)
		kfree(src);
	else
		bao_irqfd_connect(src, file);

	return ret;
}

/* Ends an irqfd that the caller has taken off the list. */
static void bao_irqfd_disconnect(struct bao_irq_source *src)
{
	u64 count;

	/* Waits for a wake-up that is under way. */
	eventfd_ctx_remove_wait_queue(src->ctx, &src->wait, &count);
	bao_irqfd_free(src);
}

static int bao_irqfd_deassign(struct bao_backend *b, struct eventfd_ctx *ctx)
{
	struct bao_irq_source *src;

	guard(mutex)(&b->eventfd_mutex);

	scoped_guard(spinlock_irqsave, &b->irqfd_lock) {
		src = bao_irqfd_find(b, ctx);
		if (!src)
			return -ENOENT;
		list_del_init(&src->link);
	}

	bao_irqfd_disconnect(src);
	return 0;
}

static int bao_irqfd_config_file(struct bao_backend *b, struct file *file,
				 bool deassign)
{
	struct eventfd_ctx *ctx = eventfd_ctx_fileget(file);
	int ret;

	if (IS_ERR(ctx))
		return PTR_ERR(ctx);

	if (deassign)
		ret = bao_irqfd_deassign(b, ctx);
	else
		ret = bao_irqfd_assign(b, file, ctx);

	/* What was assigned keeps the reference. */
	if (ret || deassign)
		eventfd_ctx_put(ctx);
	return ret;
}

/**
 * bao_irqfd_config() - ioctl(BAO_IOCTL_IRQFD)
 * @b: the backend
 * @args: what the VMM wants
 *
 * Context: may sleep.
 * Return: see &struct bao_irqfd.
 */
int bao_irqfd_config(struct bao_backend *b, const struct bao_irqfd *args)
{
	struct file *file;
	int ret;

	if (args->flags & ~BAO_IRQFD_DEASSIGN)
		return -EOPNOTSUPP;

	file = fget(args->fd);
	if (!file)
		return -EBADF;

	ret = bao_irqfd_config_file(b, file, args->flags & BAO_IRQFD_DEASSIGN);
	fput(file);
	return ret;
}

/**
 * bao_irqfd_release() - the VMM went away: end its irqfds
 * @b: the backend
 *
 * Context: may sleep.
 */
void bao_irqfd_release(struct bao_backend *b)
{
	struct bao_irq_source *src;

	do {
		scoped_guard(spinlock_irqsave, &b->irqfd_lock) {
			src = list_first_entry_or_null(&b->irqfds,
						       typeof(*src), link);
			if (src)
				list_del_init(&src->link);
		}
		if (src)
			bao_irqfd_disconnect(src);
	} while (src);
}
