// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bao I/O dispatcher: counters of a backend
 *
 * They are in /sys/class/misc/bao-backend<i>/stats/ and described in
 * Documentation/ABI/testing/sysfs-class-misc-bao.
 */
#include <linux/cleanup.h>
#include <linux/device.h>
#include <linux/sysfs.h>

#include "bao_private.h"

/* The core has made the misc device the driver data of its class device. */
static struct bao_backend *bao_from_dev(struct device *dev)
{
	struct miscdevice *misc = dev_get_drvdata(dev);

	return container_of(misc, struct bao_backend, misc);
}

/* On PREEMPT_RT those that the thread has yet to queue are among them. */
static u64 bao_count_waiting(struct bao_backend *b)
{
	u64 nr = list_count_nodes(&b->waiting);
	struct bao_slot *slot;

	list_for_each_entry(slot, &b->arrived, link)
		nr += !slot->kick;
	return nr;
}

#define BAO_STAT(_name, _value)						\
static ssize_t _name##_show(struct device *dev,				\
			    struct device_attribute *attr, char *buf)	\
{									\
	struct bao_backend *b = bao_from_dev(dev);			\
	u64 value;							\
									\
	scoped_guard(raw_spinlock_irqsave, &b->lock)			\
		value = (_value);					\
									\
	return sysfs_emit(buf, "%llu\n", value);			\
}									\
static DEVICE_ATTR_RO(_name)

BAO_STAT(queued, b->arrivals);
BAO_STAT(completed, b->stats.completed);
BAO_STAT(redelivered, b->stats.redelivered);
BAO_STAT(kicks, b->stats.kicks);
BAO_STAT(loads, b->stats.loads);
BAO_STAT(notifies, atomic64_read(&b->stats.notifies));
BAO_STAT(hypercall_errors, atomic64_read(&b->stats.hypercall_errors));
BAO_STAT(waiting, bao_count_waiting(b));
BAO_STAT(in_flight, list_count_nodes(&b->in_flight));

static struct attribute *bao_stats_attrs[] = {
	&dev_attr_queued.attr,
	&dev_attr_completed.attr,
	&dev_attr_redelivered.attr,
	&dev_attr_kicks.attr,
	&dev_attr_loads.attr,
	&dev_attr_notifies.attr,
	&dev_attr_hypercall_errors.attr,
	&dev_attr_waiting.attr,
	&dev_attr_in_flight.attr,
	NULL
};

static const struct attribute_group bao_stats_group = {
	.name = "stats",
	.attrs = bao_stats_attrs,
};

const struct attribute_group *bao_stats_groups[] = {
	&bao_stats_group,
	NULL
};
