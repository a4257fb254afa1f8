// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bao I/O dispatcher: ioeventfds
 *
 * A write that is only a signal, such as a virtio driver's notification, need
 * not go by way of the VMM. It is matched where it is popped, completed there
 * and then, and passed on through an eventfd: two hypercalls, and nobody is
 * woken before the frontend runs again.
 *
 * Whoever drains looks through the list under the backend's lock, which the ASK
 * needs anyway, and not under RCU: to remove an ioeventfd would then take a grace
 * period, and a frontend may be waiting for it, as its devices are reset in a
 * request. A configuration looks through it under a mutex, and has the lock only
 * for a moment.
 */
#include <linux/cleanup.h>
#include <linux/eventfd.h>
#include <linux/slab.h>

#include "bao_private.h"
#include "hypercall.h"
#include "trace.h"

/**
 * struct bao_kick - a write that signals an eventfd
 * @link: on bao_backend.kicks
 * @ctx: what it signals
 * @addr: guest-physical address of the write
 * @data: the value that matches, unless @any_data
 * @len: the width that matches, 0 for any
 * @any_data: every value matches
 */
struct bao_kick {
	struct list_head link;
	struct eventfd_ctx *ctx;
	u64 addr;
	u64 data;
	u32 len;
	bool any_data;
};

static bool bao_kick_matches(const struct bao_kick *kick,
			     const struct bao_ask *ask)
{
	return kick->addr == ask->addr &&
	       (!kick->len || kick->len == ask->width) &&
	       (kick->any_data || kick->data == ask->value);
}

/* Whether there is a write that would match both. */
static bool bao_kicks_collide(const struct bao_kick *a,
			      const struct bao_kick *b)
{
	return a->addr == b->addr &&
	       (!a->len || !b->len || a->len == b->len) &&
	       (a->any_data || b->any_data || a->data == b->data);
}

static bool bao_kicks_equal(const struct bao_kick *a, const struct bao_kick *b)
{
	return a->ctx == b->ctx && a->addr == b->addr && a->len == b->len &&
	       a->any_data == b->any_data && a->data == b->data;
}

static struct bao_kick *bao_kick_find(struct bao_backend *b,
				      const struct bao_ask *ask)
{
	struct bao_kick *kick;

	lockdep_assert_held(&b->lock);

	list_for_each_entry(kick, &b->kicks, link)
		if (bao_kick_matches(kick, ask))
			return kick;

	return NULL;
}

/**
 * bao_ioeventfd_kick() - complete a request that is a kick
 * @b: the backend, whose lock the caller holds
 * @ask: the request, just popped
 *
 * It is completed before it is signalled, so that nothing that the signal sets
 * off delays the frontend.
 *
 * Context: any. Before the caller drops the lock the kick must be signalled, or
 *	be where bao_deliver() will find it.
 * Return: what is to be signalled; NULL if the request is still to be served:
 *	no ioeventfd matches, or the hypervisor did not complete it.
 */
struct bao_kick *bao_ioeventfd_kick(struct bao_backend *b,
				    const struct bao_ask *ask)
{
	struct bao_kick *kick;

	if (ask->op != BAO_OP_WRITE)
		return NULL;

	kick = bao_kick_find(b, ask);
	if (!kick || !bao_is_over(bao_answer(b, ask, 0)))
		return NULL;

	trace_bao_kick(b->id, 0, ask);
	b->stats.kicks++;
	return kick;
}

/**
 * bao_ioeventfd_signal() - tell of a kick that has been completed
 * @kick: what bao_ioeventfd_kick() returned
 *
 * Context: any but, on PREEMPT_RT, a hard interrupt.
 */
void bao_ioeventfd_signal(struct bao_kick *kick)
{
	eventfd_signal(kick->ctx);
}

static int bao_ioeventfd_link(struct bao_backend *b, struct bao_kick *new)
{
	struct bao_kick *kick;
	unsigned int nr = 0;

	guard(mutex)(&b->eventfd_mutex);

	list_for_each_entry(kick, &b->kicks, link) {
		if (bao_kicks_collide(kick, new))
			return -EEXIST;
		if (++nr == BAO_MAX_EVENTFDS)
			return -ENOSPC;
	}

	scoped_guard(raw_spinlock_irqsave, &b->lock)
		list_add_tail(&new->link, &b->kicks);
	return 0;
}

static int bao_ioeventfd_assign(struct bao_backend *b,
				const struct bao_kick *like)
{
	struct bao_kick *new = kmemdup(like, sizeof(*like), GFP_KERNEL_ACCOUNT);
	int ret;

	if (!new)
		return -ENOMEM;

	ret = bao_ioeventfd_link(b, new);
	if (ret)
		kfree(new);
	return ret;
}

static struct bao_kick *bao_ioeventfd_unlink(struct bao_backend *b,
					     const struct bao_kick *like)
{
	struct bao_kick *kick;

	guard(mutex)(&b->eventfd_mutex);

	list_for_each_entry(kick, &b->kicks, link) {
		if (!bao_kicks_equal(kick, like))
			continue;
		scoped_guard(raw_spinlock_irqsave, &b->lock)
			list_del(&kick->link);
		return kick;
	}

	return NULL;
}

/* After bao_deliver(), which makes sure that nobody is to signal it any more. */
static void bao_kick_free(struct bao_kick *kick)
{
	eventfd_ctx_put(kick->ctx);
	kfree(kick);
}

static int bao_ioeventfd_deassign(struct bao_backend *b,
				  const struct bao_kick *like)
{
	struct bao_kick *kick = bao_ioeventfd_unlink(b, like);

	if (!kick)
		return -ENOENT;

	bao_deliver(b);
	bao_kick_free(kick);
	return 0;
}

static bool bao_ioeventfd_is_valid(const struct bao_ioeventfd *args)
{
	bool match = args->flags & BAO_IOEVENTFD_DATAMATCH;

	switch (args->len) {
	case 0:
		/* What is the data's width then? */
		return !match && !args->data;
	case 1:
	case 2:
	case 4:
	case 8:
		/* A value cut to the width can equal no wider one. */
		return match ? bao_cut(args->data, args->len) == args->data :
			       !args->data;
	default:
		return false;
	}
}

/**
 * bao_ioeventfd_config() - ioctl(BAO_IOCTL_IOEVENTFD)
 * @b: the backend
 * @args: what the VMM wants
 *
 * Context: may sleep.
 * Return: see &struct bao_ioeventfd.
 */
int bao_ioeventfd_config(struct bao_backend *b,
			 const struct bao_ioeventfd *args)
{
	struct bao_kick kick = {
		.addr = args->addr,
		.data = args->data,
		.len = args->len,
		.any_data = !(args->flags & BAO_IOEVENTFD_DATAMATCH),
	};
	int ret;

	if (args->flags & ~(BAO_IOEVENTFD_DATAMATCH | BAO_IOEVENTFD_DEASSIGN))
		return -EOPNOTSUPP;
	if (!bao_ioeventfd_is_valid(args))
		return -EINVAL;

	kick.ctx = eventfd_ctx_fdget(args->fd);
	if (IS_ERR(kick.ctx))
		return PTR_ERR(kick.ctx);

	if (args->flags & BAO_IOEVENTFD_DEASSIGN)
		ret = bao_ioeventfd_deassign(b, &kick);
	else
		ret = bao_ioeventfd_assign(b, &kick);

	/* What was assigned keeps the reference. */
	if (ret || args->flags & BAO_IOEVENTFD_DEASSIGN)
		eventfd_ctx_put(kick.ctx);
	return ret;
}

/**
 * bao_ioeventfd_release() - the VMM went away: remove its ioeventfds
 * @b: the backend
 *
 * Context: may sleep.
 */
void bao_ioeventfd_release(struct bao_backend *b)
{
	struct bao_kick *kick, *next;
	LIST_HEAD(kicks);

	scoped_guard(raw_spinlock_irqsave, &b->lock)
		list_splice_init(&b->kicks, &kicks);
	bao_deliver(b);

	list_for_each_entry_safe(kick, next, &kicks, link)
		bao_kick_free(kick);
}
