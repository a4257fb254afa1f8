// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bao I/O dispatcher: iovalues
 *
 * A load whose value the VMM knows in advance, such as the one of a virtio
 * device's InterruptStatus with which each interrupt begins, is answered where
 * it is popped: two hypercalls, and the VMM has nothing to do. They are the
 * loads' counterpart of ioeventfds.
 *
 * There is room for all of them, so that to change a value, which a VMM does
 * when its device has news, cannot fail.
 */
#include <linux/cleanup.h>

#include "bao_private.h"
#include "hypercall.h"
#include "trace.h"

static struct bao_value *bao_value_find(struct bao_backend *b, u64 addr,
					u32 len)
{
	lockdep_assert_held(&b->lock);

	for (unsigned int i = 0; i < b->nr_values; i++)
		if (b->values[i].addr == addr && b->values[i].len == len)
			return &b->values[i];

	return NULL;
}

/**
 * bao_iovalue_load() - complete a request that is a load with a known value
 * @b: the backend, whose lock the caller holds
 * @ask: the request, just popped; gets the value if it is completed
 *
 * Context: any.
 * Return: false if the request is still to be served: no iovalue matches, or
 *	the hypervisor did not complete it.
 */
bool bao_iovalue_load(struct bao_backend *b, struct bao_ask *ask)
{
	struct bao_value *v;

	lockdep_assert_held(&b->lock);

	if (ask->op != BAO_OP_READ)
		return false;

	v = bao_value_find(b, ask->addr, ask->width);
	if (!v || !bao_is_over(bao_answer(b, ask, v->value)))
		return false;

	ask->value = v->value;
	trace_bao_load(b->id, 0, ask);
	b->stats.loads++;
	return true;
}

static int bao_iovalue_assign(struct bao_backend *b,
			      const struct bao_iovalue *args)
{
	struct bao_value *v;

	scoped_guard(raw_spinlock_irqsave, &b->lock) {
		v = bao_value_find(b, args->addr, args->len);
		if (!v && b->nr_values == BAO_MAX_VALUES)
			return -ENOSPC;
		if (!v)
			v = &b->values[b->nr_values++];
		*v = (struct bao_value) {
			.addr = args->addr,
			.value = args->value,
			.len = args->len,
		};
	}

	return 0;
}

static int bao_iovalue_deassign(struct bao_backend *b,
				const struct bao_iovalue *args)
{
	struct bao_value *v;

	scoped_guard(raw_spinlock_irqsave, &b->lock) {
		v = bao_value_find(b, args->addr, args->len);
		if (!v)
			return -ENOENT;
		*v = b->values[--b->nr_values];
	}

	return 0;
}

static bool bao_iovalue_is_valid(const struct bao_iovalue *args)
{
	switch (args->len) {
	case 1:
	case 2:
	case 4:
	case 8:
		break;
	default:
		return false;
	}

	if (args->flags & BAO_IOVALUE_DEASSIGN && args->value)
		return false;
	/* No such load could return more. */
	return bao_cut(args->value, args->len) == args->value &&
	       !args->reserved;
}

/**
 * bao_iovalue_config() - ioctl(BAO_IOCTL_IOVALUE)
 * @b: the backend
 * @args: what the VMM wants
 *
 * Context: any.
 * Return: see &struct bao_iovalue.
 */
int bao_iovalue_config(struct bao_backend *b, const struct bao_iovalue *args)
{
	if (args->flags & ~BAO_IOVALUE_DEASSIGN)
		return -EOPNOTSUPP;
	if (!bao_iovalue_is_valid(args))
		return -EINVAL;

	if (args->flags & BAO_IOVALUE_DEASSIGN)
		return bao_iovalue_deassign(b, args);
	return bao_iovalue_assign(b, args);
}

/**
 * bao_iovalue_release() - the VMM went away: remove its iovalues
 * @b: the backend
 *
 * Context: any.
 */
void bao_iovalue_release(struct bao_backend *b)
{
	scoped_guard(raw_spinlock_irqsave, &b->lock)
		b->nr_values = 0;
}
