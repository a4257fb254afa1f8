// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bao I/O dispatcher: from a device-tree node to backends
 *
 * The node lists memory regions and interrupts. Number i of each, together,
 * are the Remote I/O device i of this VM.
 */
#include <linux/cleanup.h>
#include <linux/mm.h>
#include <linux/mod_devicetable.h>
#include <linux/module.h>
#include <linux/of.h>
#include <linux/of_irq.h>
#include <linux/platform_device.h>
#include <linux/pm.h>
#include <linux/slab.h>

#include "bao_private.h"
#include "hypercall.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

/**
 * struct bao_dispatcher - what probe made of a node
 * @dev: the platform device
 * @nr: how many backends there are so far
 * @backends: the backends
 */
struct bao_dispatcher {
	struct device *dev;
	unsigned int nr;
	struct bao_backend *backends[BAO_MAX_BACKENDS];
};

static void bao_remove_backends(void *data)
{
	struct bao_dispatcher *d = data;

	while (d->nr)
		bao_backend_del(d->backends[--d->nr]);
}

static int bao_check_region(struct device *dev, const struct resource *regions,
			    unsigned int i)
{
	const struct resource *res = &regions[i];
	resource_size_t size = resource_size(res);

	if (!size)
		return dev_err_probe(dev, -EINVAL, "region %u at %pa is empty\n",
				     i, &res->start);
	if (!PAGE_ALIGNED(res->start) || !PAGE_ALIGNED(size))
		return dev_err_probe(dev, -EINVAL,
				     "region %u %pR is not made of whole pages of %lu bytes\n",
				     i, res, PAGE_SIZE);

	for (unsigned int j = 0; j < i; j++)
		if (resource_overlaps(res, &regions[j]))
			return dev_err_probe(dev, -EINVAL,
					     "region %u %pR overlaps region %u %pR\n",
					     i, res, j, &regions[j]);
	return 0;
}

/**
 * bao_check_regions() - see that the memory regions make sense together
 * @dev: for messages, of which there is one if they do not
 * @regions: as the node lists them
 * @nr: how many
 *
 * Context: may sleep.
 * Return: 0 or -EINVAL.
 */
int bao_check_regions(struct device *dev, const struct resource *regions,
		      unsigned int nr)
{
	int ret = 0;

	for (unsigned int i = 0; i < nr && !ret; i++)
		ret = bao_check_region(dev, regions, i);

	return ret;
}

/**
 * struct bao_node - what the node lists
 * @nr: how many of each
 * @regions: memory regions
 * @irqs: interrupts
 */
struct bao_node {
	unsigned int nr;
	struct resource regions[BAO_MAX_BACKENDS];
	int irqs[BAO_MAX_BACKENDS];
};

/* Copies the regions, and returns how many the node lists. */
static unsigned int bao_get_regions(struct platform_device *pdev,
				    struct bao_node *node)
{
	struct resource *res;
	unsigned int nr = 0;

	while ((res = platform_get_resource(pdev, IORESOURCE_MEM, nr))) {
		if (nr < BAO_MAX_BACKENDS)
			node->regions[nr] = *res;
		nr++;
	}

	return nr;
}

/*
 * How many interrupts the node lists. platform_irq_count() would stop at one
 * that cannot be mapped, which deserves a message of its own.
 */
static unsigned int bao_count_irqs(const struct platform_device *pdev)
{
	struct of_phandle_args args;
	unsigned int nr = 0;

	while (!of_irq_parse_one(pdev->dev.of_node, nr, &args)) {
		of_node_put(args.np);
		nr++;
	}

	return nr;
}

/* All are mapped before the first is used: one may have to wait for a driver. */
static int bao_map_irqs(struct platform_device *pdev, struct bao_node *node)
{
	struct device *dev = &pdev->dev;

	for (unsigned int i = 0; i < node->nr; i++) {
		int irq = platform_get_irq_optional(pdev, i);

		if (irq < 0)
			return dev_err_probe(dev, irq,
					     "interrupt %u cannot be mapped\n",
					     i);
		for (unsigned int j = 0; j < i; j++)
			if (node->irqs[j] == irq)
				return dev_err_probe(dev, -EINVAL,
						     "interrupts %u and %u are the same\n",
						     j, i);
		node->irqs[i] = irq;
	}

	return 0;
}

/**
 * bao_check_counts() - see that there are regions, and as many interrupts
 * @dev: for messages, of which there is one if not
 * @regions: how many memory regions the node lists
 * @irqs: how many interrupts the node lists
 *
 * Context: may sleep.
 * Return: 0 or -EINVAL.
 */
int bao_check_counts(struct device *dev, unsigned int regions,
		     unsigned int irqs)
{
	if (!regions)
		return dev_err_probe(dev, -EINVAL,
				     "no memory regions: reg must list 1 to %u\n",
				     BAO_MAX_BACKENDS);
	if (regions > BAO_MAX_BACKENDS)
		return dev_err_probe(dev, -EINVAL,
				     "%u memory regions: reg must list 1 to %u\n",
				     regions, BAO_MAX_BACKENDS);
	if (regions != irqs)
		return dev_err_probe(dev, -EINVAL,
				     "%u memory regions but %u interrupts: each device needs one of each\n",
				     regions, irqs);
	return 0;
}

static int bao_claim_regions(struct device *dev, struct bao_node *node)
{
	int ret = 0;

	for (unsigned int i = 0; i < node->nr && !ret; i++)
		ret = bao_shmem_claim(dev, i, &node->regions[i]);

	return ret;
}

/* Reads the node and claims what it lists. */
static int bao_parse_node(struct platform_device *pdev, struct bao_node *node)
{
	struct device *dev = &pdev->dev;
	int ret;

	node->nr = bao_get_regions(pdev, node);
	ret = bao_check_counts(dev, node->nr, bao_count_irqs(pdev));
	if (!ret)
		ret = bao_check_regions(dev, node->regions, node->nr);
	if (!ret)
		ret = bao_map_irqs(pdev, node);
	if (!ret)
		ret = bao_claim_regions(dev, node);
	return ret;
}

static int bao_add_backends(struct bao_dispatcher *d,
			    const struct bao_node *node)
{
	for (unsigned int i = 0; i < node->nr; i++) {
		struct bao_backend *b = bao_backend_add(d->dev, i,
							&node->regions[i],
							node->irqs[i]);

		if (IS_ERR(b))
			return PTR_ERR(b);
		d->backends[d->nr++] = b;
	}

	return 0;
}

static int bao_probe(struct platform_device *pdev)
{
	struct bao_node *node __free(kfree) = NULL;
	struct device *dev = &pdev->dev;
	struct bao_dispatcher *d;
	int ret;

	if (!bao_can_hypercall())
		return dev_err_probe(dev, -ENODEV,
				     "this kernel is itself the hypervisor (EL2), there is no Bao below it\n");

	d = devm_kzalloc(dev, sizeof(*d), GFP_KERNEL);
	node = kzalloc(sizeof(*node), GFP_KERNEL);
	if (!d || !node)
		return -ENOMEM;

	ret = bao_parse_node(pdev, node);
	if (ret)
		return ret;

	d->dev = dev;
	platform_set_drvdata(pdev, d);
	ret = devm_add_action_or_reset(dev, bao_remove_backends, d);
	if (ret)
		return ret;

	ret = bao_add_backends(d, node);
	if (ret)
		return ret;

	return bao_compat_add(dev, d->backends, d->nr);
}

/*
 * The machine goes down or boots another kernel, with a VMM or without one:
 * either way what this kernel has popped must be answered by this kernel.
 */
static void bao_shutdown(struct platform_device *pdev)
{
	bao_remove_backends(platform_get_drvdata(pdev));
}

/*
 * The interrupts stay enabled over a suspend, but one that the hypervisor
 * raised while the CPUs were off may be lost. So look for requests.
 */
static int bao_resume(struct device *dev)
{
	struct bao_dispatcher *d = dev_get_drvdata(dev);

	for (unsigned int i = 0; i < d->nr; i++)
		bao_drain_soon(d->backends[i]);
	return 0;
}

/*
 * An image of this kernel would bring back requests that are long answered, and
 * an old copy of memory that a frontend has gone on using.
 */
static int bao_freeze(struct device *dev)
{
	dev_err(dev, "a backend cannot hibernate: its frontends go on\n");
	return -EOPNOTSUPP;
}

static const struct dev_pm_ops bao_pm_ops = {
	.resume = pm_sleep_ptr(bao_resume),
	.freeze = pm_sleep_ptr(bao_freeze),
};

static const struct of_device_id bao_of_match[] = {
	{ .compatible = "bao,io-dispatcher" },
	{ }
};
MODULE_DEVICE_TABLE(of, bao_of_match);

static struct platform_driver bao_driver = {
	.probe = bao_probe,
	.shutdown = bao_shutdown,
	.driver = {
		.name = "bao-io-dispatcher",
		.of_match_table = bao_of_match,
		.pm = pm_sleep_ptr(&bao_pm_ops),
	},
};
module_platform_driver(bao_driver);

MODULE_DESCRIPTION("Bao hypervisor I/O dispatcher");
MODULE_LICENSE("GPL");
