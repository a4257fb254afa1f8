/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * For building the driver out of tree against kernels older than the one that
 * it is written for. In the kernel tree nothing of this is needed.
 */
#ifndef BAO_OLDER_KERNELS_H
#define BAO_OLDER_KERNELS_H

#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
#include <linux/ioport.h>

/* Their arguments were not const at first. */
#define resource_overlaps(a, b)	\
	resource_overlaps((struct resource *)(a), (struct resource *)(b))
#define resource_contains(a, b)	\
	resource_contains((struct resource *)(a), (struct resource *)(b))

/* Stable kernels have it too. */
#ifndef __uninitialized
#define __uninitialized
#endif
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 8, 0)
#include <linux/eventfd.h>

/* The count was an argument. */
#define eventfd_signal(ctx)	eventfd_signal(ctx, 1)
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 4, 0)
#include <linux/lockdep.h>

/* Stable kernels have it too. Where it is missing nobody checks for it. */
#ifndef DEFINE_WAIT_OVERRIDE_MAP
#define DEFINE_WAIT_OVERRIDE_MAP(_name, _type)	\
	struct lockdep_map __maybe_unused _name = {}
#define lock_map_acquire_try(l)			do { } while (0)
#undef lock_map_release
#define lock_map_release(l)			do { } while (0)
#endif
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
#include <linux/mm.h>

static inline void vm_flags_set(struct vm_area_struct *vma, vm_flags_t flags)
{
	vma->vm_flags |= flags;
}
#endif

#endif /* BAO_OLDER_KERNELS_H */
