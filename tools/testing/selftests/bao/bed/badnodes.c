// SPDX-License-Identifier: GPL-2.0
/*
 * Malformed dispatcher nodes, each of which a driver must refuse
 *
 * A node's name says what is wrong with it, so that a test finds the driver's
 * message by the name. They follow the good node in the tree, which is thus
 * probed first. Their regions lie where the backend has nothing, except where
 * the mistake is about memory in use. A node that could be served in every
 * other way still names device ids that belong to the good node already; the
 * last ones are for tests that unbind the good node first.
 */
#include <libfdt.h>

#include "bed.h"

#define SPARE_ADDR	0x50000000ULL
#define SPARE_SPI	100
#define SPARE_SIZE	KIB(64)

struct bad_node {
	const char *name;
	unsigned int nr_regs, nr_spis;
	struct reg regs[2];
	u32 spis[2];
	u32 type;			/* of the interrupts; 0: edges */
	u32 reservation;		/* the one that it names; 0: none */
};

enum { OTHERS = 1, REUSABLE, UNMAPPED };

/* What some of them have to do with, by the number that their phandles add */
static const struct reservation {
	const char *name;
	const char *property;
	struct reg reg;
} reservations[] = {
	[OTHERS] = {
		"others", NULL, { RAM_ADDR + MIB(65), SPARE_SIZE },
	},
	[REUSABLE] = {
		"reusable", "reusable", { RAM_ADDR + MIB(66), SPARE_SIZE },
	},
	[UNMAPPED] = {
		"unmapped", "no-map", { RAM_ADDR + MIB(67), SPARE_SIZE },
	},
};

static const struct bad_node bad_nodes[] = {
	{
		.name = "remote-io-counts-differ",
		.nr_regs = 2, .nr_spis = 1, .spis = { SPARE_SPI },
		.regs = {
			{ SPARE_ADDR, SPARE_SIZE },
			{ SPARE_ADDR + SPARE_SIZE, SPARE_SIZE },
		},
	}, {
		.name = "remote-io-no-regions",
		.nr_regs = 0, .nr_spis = 1, .spis = { SPARE_SPI },
	}, {
		.name = "remote-io-empty-region",
		.nr_regs = 1, .nr_spis = 1, .spis = { SPARE_SPI },
		.regs = { { SPARE_ADDR + MIB(1), 0 } },
	}, {
		.name = "remote-io-misaligned-address",
		.nr_regs = 1, .nr_spis = 1, .spis = { SPARE_SPI },
		.regs = { { SPARE_ADDR + MIB(2) + 0x800, SPARE_SIZE } },
	}, {
		.name = "remote-io-misaligned-size",
		.nr_regs = 1, .nr_spis = 1, .spis = { SPARE_SPI },
		.regs = { { SPARE_ADDR + MIB(3), SPARE_SIZE + 0x800 } },
	}, {
		.name = "remote-io-overlapping-regions",
		.nr_regs = 2, .nr_spis = 2,
		.spis = { SPARE_SPI, SPARE_SPI + 1 },
		.regs = {
			{ SPARE_ADDR + MIB(4), SPARE_SIZE },
			{ SPARE_ADDR + MIB(4) + SPARE_SIZE / 2, SPARE_SIZE },
		},
	}, {
		.name = "remote-io-region-in-ram",
		.nr_regs = 1, .nr_spis = 1, .spis = { SPARE_SPI },
		.regs = { { RAM_ADDR + MIB(64), SPARE_SIZE } },
	}, {
		/* Reserved, but for others */
		.name = "remote-io-region-not-named",
		.nr_regs = 1, .nr_spis = 1, .spis = { SPARE_SPI },
		.regs = { { RAM_ADDR + MIB(65), SPARE_SIZE } },
	}, {
		.name = "remote-io-region-half-reserved",
		.nr_regs = 1, .nr_spis = 1, .spis = { SPARE_SPI },
		.regs = { { RAM_ADDR + MIB(65) + SPARE_SIZE / 2, SPARE_SIZE } },
		.reservation = OTHERS,
	}, {
		.name = "remote-io-region-reusable",
		.nr_regs = 1, .nr_spis = 1, .spis = { SPARE_SPI },
		.regs = { { RAM_ADDR + MIB(66), SPARE_SIZE } },
		.reservation = REUSABLE,
	}, {
		/* No fault of its own */
		.name = "remote-io-region-no-map",
		.nr_regs = 1, .nr_spis = 1, .spis = { SPARE_SPI },
		.regs = { { RAM_ADDR + MIB(67), SPARE_SIZE } },
		.reservation = UNMAPPED,
	}, {
		.name = "remote-io-region-claimed",
		.nr_regs = 1, .nr_spis = 1, .spis = { SPARE_SPI },
		.regs = { { SHARED_ADDR, SPARE_SIZE } },
	}, {
		/* A GICv3 has no shared peripheral interrupt 2000 */
		.name = "remote-io-unmappable-interrupt",
		.nr_regs = 1, .nr_spis = 1, .spis = { 2000 },
		.regs = { { SPARE_ADDR + MIB(5), SPARE_SIZE } },
	}, {
		.name = "remote-io-same-interrupts",
		.nr_regs = 2, .nr_spis = 2,
		.spis = { SPARE_SPI, SPARE_SPI },
		.regs = {
			{ SPARE_ADDR + MIB(6), SPARE_SIZE },
			{ SPARE_ADDR + MIB(6) + SPARE_SIZE, SPARE_SIZE },
		},
	}, {
		.name = "remote-io-taken-ids",
		.nr_regs = 1, .nr_spis = 1, .spis = { SPARE_SPI },
		.regs = { { SPARE_ADDR + MIB(7), SPARE_SIZE } },
	}, {
		/*
		 * Its second interrupt, and no other, is in use, by the console.
		 * The driver finds out when the first device is in service.
		 */
		.name = "remote-io-taken-interrupt",
		.nr_regs = 2, .nr_spis = 2,
		.spis = { SPARE_SPI + 2, UART_SPI }, .type = IRQ_HIGH,
		.regs = {
			{ SPARE_ADDR + MIB(8), SPARE_SIZE },
			{ SPARE_ADDR + MIB(8) + SPARE_SIZE, SPARE_SIZE },
		},
	},
};

static void put_node(void *fdt, const char *name, const struct reg *regs,
		     unsigned int nr_regs, const u32 *spis,
		     unsigned int nr_spis, u32 type, u32 phandle)
{
	tree_must(fdt_begin_node(fdt, name));
	tree_must(fdt_property_string(fdt, "compatible", "bao,io-dispatcher"));
	if (nr_regs)
		tree_put_regs(fdt, regs, nr_regs);
	tree_put_spis(fdt, spis, nr_spis, type ? type : IRQ_EDGE);
	if (phandle)
		tree_must(fdt_property_u32(fdt, "memory-region", phandle));
	tree_must(fdt_end_node(fdt));
}

static void put_too_many(void *fdt)
{
	struct reg regs[DEVICES_MAX + 1];
	u32 spis[DEVICES_MAX + 1];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(regs); i++) {
		spis[i] = SPARE_SPI + i;
		regs[i].addr = SPARE_ADDR + MIB(16) + i * SPARE_SIZE;
		regs[i].size = SPARE_SIZE;
	}
	put_node(fdt, "remote-io-too-many-regions", regs, ARRAY_SIZE(regs),
		 spis, ARRAY_SIZE(spis), IRQ_EDGE, 0);
}

/*
 * Append what is reserved for some of them, with phandles from the next one on;
 * /reserved-memory is open
 */
void tree_bad_reservations(void *fdt, u32 phandle)
{
	const struct reservation *r;

	for (r = &reservations[OTHERS]; r <= &reservations[UNMAPPED]; r++) {
		tree_must(fdt_begin_node(fdt, r->name));
		tree_put_regs(fdt, &r->reg, 1);
		if (r->property)
			tree_must(fdt_property(fdt, r->property, NULL, 0));
		tree_must(fdt_property_u32(fdt, "phandle",
					   phandle + (r - reservations)));
		tree_must(fdt_end_node(fdt));
	}
}

/* Append the malformed nodes; the root node is open */
void tree_bad_nodes(struct bed *bed, void *fdt, u32 phandle)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad_nodes); i++) {
		const struct bad_node *bad = &bad_nodes[i];

		put_node(fdt, bad->name, bad->regs, bad->nr_regs, bad->spis,
			 bad->nr_spis, bad->type,
			 bad->reservation ? phandle + bad->reservation : 0);
	}
	put_too_many(fdt);
	if (bed->verbose)
		say("%zu malformed nodes follow the good one",
		    ARRAY_SIZE(bad_nodes) + 1);
}
