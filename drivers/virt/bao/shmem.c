// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bao I/O dispatcher: the memory shared with the frontend
 *
 * A region is of one of two kinds, as the device tree has it:
 *
 *  - beside the kernel's memory. The driver claims it, and its mapping is one of
 *    page frames: programs and vhost can use it, but what pins pages, such as
 *    O_DIRECT, cannot, as there are none;
 *  - a part of the kernel's memory that is reserved for it, as memory-region of
 *    the node says. It has pages, and the mapping is one of these. They stay
 *    what they are when the driver goes, however long somebody has them pinned.
 */
#include <linux/cleanup.h>
#include <linux/device.h>
#include <linux/ioport.h>
#include <linux/mm.h>
#include <linux/of.h>
#include <linux/of_address.h>
#include <linux/pagemap.h>
#include <linux/sizes.h>

#include "bao_private.h"

static bool bao_node_has(struct device_node *np, const struct resource *res)
{
	struct resource part;

	for (int i = 0; !of_address_to_resource(np, i, &part); i++)
		if (resource_contains(&part, res))
			return true;

	return false;
}

/* Whether the device tree sets it aside for this, and so that Linux maps it. */
static bool bao_is_set_aside(const struct device *dev,
			     const struct resource *res)
{
	struct device_node *np;
	bool found = false;

	for (int i = 0; !found; i++) {
		np = of_parse_phandle(dev->of_node, "memory-region", i);
		if (!np)
			break;
		found = of_device_is_available(np) && bao_node_has(np, res) &&
			!of_property_read_bool(np, "no-map") &&
			!of_property_read_bool(np, "reusable");
		of_node_put(np);
	}

	return found;
}

/*
 * Whether the kernel has done what the device tree says. A page that can be
 * moved could not be pinned for long.
 */
static bool bao_is_reserved_ram(const struct resource *res)
{
	unsigned long pfn = PHYS_PFN(res->start);
	unsigned long end = pfn + PHYS_PFN(resource_size(res));

	for (; pfn < end; pfn++) {
		cond_resched();
		if (!pfn_valid(pfn) || !page_is_ram(pfn) ||
		    !PageReserved(pfn_to_page(pfn)) ||
		    is_zone_movable_page(pfn_to_page(pfn)))
			return false;
	}

	return true;
}

/**
 * bao_shmem_claim() - see that nobody else uses a region
 * @dev: the dispatcher, which has the region until it is unbound
 * @i: the region's number, for the message
 * @res: the region; gets IORESOURCE_SYSRAM if it has pages
 *
 * What is reserved for this device needs no claim. Other regions that are
 * memory are claimed in vain: the kernel has them.
 *
 * Context: may sleep.
 * Return: 0, or -EBUSY after a message.
 */
int bao_shmem_claim(struct device *dev, unsigned int i, struct resource *res)
{
	if (bao_is_set_aside(dev, res) && bao_is_reserved_ram(res)) {
		res->flags |= IORESOURCE_SYSRAM;
		return 0;
	}

	if (devm_request_mem_region(dev, res->start, resource_size(res),
				    dev_name(dev)))
		return 0;

	return dev_err_probe(dev, -EBUSY,
			     "region %u %pR is in use: it must be in no other device, and memory only if memory-region reserves it\n",
			     i, res);
}

/* Pages that one fault maps, if they are in the mapping. */
#define BAO_FAULT_AROUND	SZ_2M

static vm_fault_t bao_map_pfn(struct vm_area_struct *vma, unsigned long addr,
			      unsigned long pfn)
{
	if (vma->vm_flags & VM_MIXEDMAP)
		return vmf_insert_page(vma, addr, pfn_to_page(pfn));
	return vmf_insert_pfn(vma, addr, pfn);
}

/*
 * Maps a part of the region. It is done here and not in mmap(), because unbind
 * can take back only what is known to the address space, and a mapping becomes
 * known after mmap() is through.
 */
static vm_fault_t bao_fault(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct bao_backend *b = vma->vm_private_data;
	unsigned long addr = ALIGN_DOWN(vmf->address, BAO_FAULT_AROUND);
	unsigned long end = min(addr + BAO_FAULT_AROUND, vma->vm_end);
	unsigned long pfn;
	vm_fault_t ret;

	addr = max(addr, vma->vm_start);
	pfn = PHYS_PFN(b->shmem.start) + linear_page_index(vma, addr);

	guard(mutex)(&b->map_lock);
	if (READ_ONCE(b->gone))
		return VM_FAULT_SIGBUS;

	for (; addr < end; addr += PAGE_SIZE, pfn++) {
		ret = bao_map_pfn(vma, addr, pfn);
		if (ret != VM_FAULT_NOPAGE)
			break;
	}

	return ret;
}

static const struct vm_operations_struct bao_vm_ops = {
	.fault = bao_fault,
};

/**
 * bao_shmem_mmap() - map the region, or a part of it, into a VMM
 * @file: the VMM's file, with an address space of its own
 * @vma: the mapping, whose offset counts from the start of the region
 *
 * Context: may sleep; the mm's mmap_lock is held.
 * Return: 0, -EINVAL if it is private or not within the region, -ENODEV if the
 *	backend is gone.
 */
int bao_shmem_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct bao_backend *b = file->private_data;
	unsigned long pages = resource_size(&b->shmem) >> PAGE_SHIFT;

	if (READ_ONCE(b->gone))
		return -ENODEV;
	/* A private copy would be no shared memory any more. */
	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;
	if (vma->vm_pgoff >= pages || vma_pages(vma) > pages - vma->vm_pgoff)
		return -EINVAL;

	vm_flags_set(vma, VM_DONTEXPAND | VM_DONTDUMP |
			  (b->shmem.flags & IORESOURCE_SYSRAM ?
			   VM_MIXEDMAP : VM_PFNMAP));
	vma->vm_private_data = b;
	vma->vm_ops = &bao_vm_ops;
	return 0;
}

/**
 * bao_shmem_zap() - take the region back from a VMM that maps it
 * @b: the backend, after bao_set_gone()
 *
 * From here on an access to the mapping raises SIGBUS.
 *
 * Context: may sleep.
 */
void bao_shmem_zap(struct bao_backend *b)
{
	guard(mutex)(&b->map_lock);

	/* Not NULL only while the file is open, which keeps it alive. */
	if (b->mapping)
		unmap_mapping_range(b->mapping, 0, 0, 1);
}
