// SPDX-License-Identifier: GPL-2.0
/*
 * The guests' device trees
 *
 * Written front to back with libfdt's sequential interface, so that nodes are
 * found, and devices probed, in the order in which they are written here.
 */
#include <libfdt.h>
#include <stdio.h>
#include <string.h>

#include "bed.h"

#define PHANDLE_GIC	1
#define PHANDLE_POOL(i)	(2 + (i))
#define PHANDLE_BAD	PHANDLE_POOL(DEVICES_MAX)

#define GIC_SPI		0
#define GIC_PPI		1

#define UART_CLOCK	1843200
#define UART_FIFO	128

/* What every kernel here is told. A panic resets, which ends the run. */
#define CMDLINE	"earlycon=uart8250,mmio,0x9100000 console=ttyS0 panic=-1"

void tree_must(int err)
{
	if (err)
		die("cannot make a device tree: %s", fdt_strerror(err));
}

static void put_cells(void *fdt, const char *name, const u32 *cells,
		      unsigned int n)
{
	u32 *value;
	unsigned int i;
	void *place;

	tree_must(fdt_property_placeholder(fdt, name, n * sizeof(*value),
					   &place));
	for (i = 0, value = place; i < n; i++)
		value[i] = cpu_to_fdt32(cells[i]);
}

void tree_put_regs(void *fdt, const struct reg *regs, unsigned int n)
{
	struct reg *value;
	unsigned int i;
	void *place;

	tree_must(fdt_property_placeholder(fdt, "reg", n * sizeof(*regs),
					   &place));
	for (i = 0, value = place; i < n; i++) {
		value[i].addr = cpu_to_fdt64(regs[i].addr);
		value[i].size = cpu_to_fdt64(regs[i].size);
	}
}

/* Write `interrupts`: shared peripheral interrupts, all of one type */
void tree_put_spis(void *fdt, const u32 *spis, unsigned int n, u32 type)
{
	u32 cells[3 * (DEVICES_MAX + 1)];
	unsigned int i;

	for (i = 0; i < n; i++) {
		cells[3 * i] = GIC_SPI;
		cells[3 * i + 1] = spis[i];
		cells[3 * i + 2] = type;
	}
	put_cells(fdt, "interrupts", cells, 3 * n);
}

static void put_reg(void *fdt, u64 addr, u64 size)
{
	const struct reg reg = { addr, size };

	tree_put_regs(fdt, &reg, 1);
}

static void begin_at(void *fdt, const char *name, u64 addr)
{
	char full[64];

	snprintf(full, sizeof(full), "%s@%llx", name,
		 addr);
	tree_must(fdt_begin_node(fdt, full));
}

static void end(void *fdt)
{
	tree_must(fdt_end_node(fdt));
}

static void put_chosen(void *fdt, struct guest *guest)
{
	char cmdline[1024];

	snprintf(cmdline, sizeof(cmdline), "%s %s", CMDLINE,
		 guest->cmdline ? guest->cmdline : "");
	tree_must(fdt_begin_node(fdt, "chosen"));
	tree_must(fdt_property_string(fdt, "bootargs", cmdline));
	if (guest->initrd) {
		u64 start = guest->initrd_addr;
		u64 end = start + guest->initrd_size;

		tree_must(fdt_property_u64(fdt, "linux,initrd-start", start));
		tree_must(fdt_property_u64(fdt, "linux,initrd-end", end));
	}
	end(fdt);
}

static void put_cpus(void *fdt, struct guest *guest)
{
	unsigned int i;

	tree_must(fdt_begin_node(fdt, "cpus"));
	tree_must(fdt_property_u32(fdt, "#address-cells", 1));
	tree_must(fdt_property_u32(fdt, "#size-cells", 0));
	for (i = 0; i < guest->nr_vcpus; i++) {
		begin_at(fdt, "cpu", i);
		tree_must(fdt_property_string(fdt, "device_type", "cpu"));
		tree_must(fdt_property_string(fdt, "compatible", "arm,armv8"));
		tree_must(fdt_property_string(fdt, "enable-method", "psci"));
		tree_must(fdt_property_u32(fdt, "reg", i));
		end(fdt);
	}
	end(fdt);

	tree_must(fdt_begin_node(fdt, "psci"));
	tree_must(fdt_property_string(fdt, "compatible", "arm,psci-0.2"));
	tree_must(fdt_property_string(fdt, "method", "hvc"));
	end(fdt);
}

static void put_memory(void *fdt, u64 addr, u64 size)
{
	begin_at(fdt, "memory", addr);
	tree_must(fdt_property_string(fdt, "device_type", "memory"));
	put_reg(fdt, addr, size);
	end(fdt);
}

static void put_gic(void *fdt, struct guest *guest)
{
	const struct reg regs[] = {
		{ GICD_ADDR, GICD_SIZE },
		{ GICR_ADDR, GICR_SIZE * guest->nr_vcpus },
	};

	begin_at(fdt, "interrupt-controller", GICD_ADDR);
	tree_must(fdt_property_string(fdt, "compatible", "arm,gic-v3"));
	tree_must(fdt_property_u32(fdt, "#interrupt-cells", 3));
	tree_must(fdt_property(fdt, "interrupt-controller", NULL, 0));
	tree_put_regs(fdt, regs, ARRAY_SIZE(regs));
	tree_must(fdt_property_u32(fdt, "phandle", PHANDLE_GIC));
	end(fdt);
}

static void put_timer(void *fdt)
{
	const u32 interrupts[] = {	/* secure, non-secure, virtual, hyp */
		GIC_PPI, 13, IRQ_HIGH, GIC_PPI, 14, IRQ_HIGH,
		GIC_PPI, 11, IRQ_HIGH, GIC_PPI, 10, IRQ_HIGH,
	};

	tree_must(fdt_begin_node(fdt, "timer"));
	tree_must(fdt_property_string(fdt, "compatible", "arm,armv8-timer"));
	put_cells(fdt, "interrupts", interrupts, ARRAY_SIZE(interrupts));
	tree_must(fdt_property(fdt, "always-on", NULL, 0));
	end(fdt);
}

static void put_uart(void *fdt)
{
	const u32 interrupts[] = { GIC_SPI, UART_SPI, IRQ_HIGH };

	begin_at(fdt, "serial", UART_ADDR);
	tree_must(fdt_property_string(fdt, "compatible", "ns16550a"));
	put_reg(fdt, UART_ADDR, UART_SIZE);
	tree_must(fdt_property_u32(fdt, "reg-shift", UART_SHIFT));
	tree_must(fdt_property_u32(fdt, "clock-frequency", UART_CLOCK));
	tree_must(fdt_property_u32(fdt, "fifo-size", UART_FIFO));
	put_cells(fdt, "interrupts", interrupts, ARRAY_SIZE(interrupts));
	end(fdt);
}

/* Everything that the two guests have in common; leaves the root node open */
static void begin(void *fdt, struct guest *guest, size_t room)
{
	tree_must(fdt_create(fdt, room));
	tree_must(fdt_finish_reservemap(fdt));
	tree_must(fdt_begin_node(fdt, ""));
	tree_must(fdt_property_string(fdt, "model", guest->name));
	tree_must(fdt_property_string(fdt, "compatible", "linux,dummy-virt"));
	tree_must(fdt_property_u32(fdt, "#address-cells", 2));
	tree_must(fdt_property_u32(fdt, "#size-cells", 2));
	tree_must(fdt_property_u32(fdt, "interrupt-parent", PHANDLE_GIC));
	put_chosen(fdt, guest);
	put_cpus(fdt, guest);
	put_memory(fdt, RAM_ADDR, guest->ram_size);
	put_gic(fdt, guest);
	put_timer(fdt);
	put_uart(fdt);
}

/*
 * Shared regions can be beside the backend's memory, or a reserved part of it.
 * Tests see to both kinds, by turns.
 */
static bool is_in_memory(struct bed *bed, unsigned int i)
{
	return !bed->scripted || i % 2;
}

static void put_memory_region(void *fdt, struct bed *bed)
{
	u32 phandles[DEVICES_MAX];
	unsigned int i, n = 0;

	for (i = 0; i < bed->bao.nr_devices; i++)
		if (is_in_memory(bed, i))
			phandles[n++] = PHANDLE_POOL(i);
	if (n)
		put_cells(fdt, "memory-region", phandles, n);
}

static void put_dispatcher(void *fdt, struct bed *bed)
{
	unsigned int i, n = bed->bao.nr_devices;
	struct reg regs[DEVICES_MAX];
	u32 spis[DEVICES_MAX];

	for (i = 0; i < n; i++) {
		regs[i].addr = SHARED_ADDR + i * bed->region_size;
		regs[i].size = bed->region_size;
		spis[i] = DEVICE_SPI(i);
	}
	begin_at(fdt, "remote-io", SHARED_ADDR);
	tree_must(fdt_property_string(fdt, "compatible", "bao,io-dispatcher"));
	tree_put_regs(fdt, regs, n);
	tree_put_spis(fdt, spis, n, IRQ_EDGE);
	put_memory_region(fdt, bed);
	end(fdt);
}

/* No driver's business: it tells tests that the control page is there */
static void put_control(void *fdt)
{
	tree_must(fdt_begin_node(fdt, BED_CTL_NODE));
	put_reg(fdt, BED_CTL_ADDR, BED_CTL_SIZE);
	end(fdt);
}

static void begin_reserved(void *fdt)
{
	tree_must(fdt_begin_node(fdt, "reserved-memory"));
	tree_must(fdt_property_u32(fdt, "#address-cells", 2));
	tree_must(fdt_property_u32(fdt, "#size-cells", 2));
	tree_must(fdt_property(fdt, "ranges", NULL, 0));
}

static void put_regions_in_memory(void *fdt, struct bed *bed)
{
	unsigned int i;
	u64 addr;

	for (i = 0; i < bed->bao.nr_devices; i++)
		if (is_in_memory(bed, i))
			put_memory(fdt, SHARED_ADDR + i * bed->region_size,
				   bed->region_size);

	begin_reserved(fdt);
	for (i = 0; i < bed->bao.nr_devices; i++) {
		addr = SHARED_ADDR + i * bed->region_size;
		if (!is_in_memory(bed, i))
			continue;
		begin_at(fdt, "shared", addr);
		put_reg(fdt, addr, bed->region_size);
		tree_must(fdt_property_u32(fdt, "phandle", PHANDLE_POOL(i)));
		end(fdt);
	}
	if (bed->bad_nodes)
		tree_bad_reservations(fdt, PHANDLE_BAD);
	end(fdt);
}

/* The backend's tree */
void tree_backend(struct guest *guest, void *fdt, size_t room)
{
	struct bed *bed = guest->bed;

	begin(fdt, guest, room);
	put_regions_in_memory(fdt, bed);
	put_dispatcher(fdt, bed);
	if (bed->bad_nodes)
		tree_bad_nodes(bed, fdt, PHANDLE_BAD);
	if (bed->scripted)
		put_control(fdt);
	if (bed->pmem) {
		begin_at(fdt, "pmem", PMEM_ADDR);
		tree_must(fdt_property_string(fdt, "compatible", "pmem-region"));
		put_reg(fdt, PMEM_ADDR, bed->pmem_size);
		end(fdt);
	}
	end(fdt);
	tree_must(fdt_finish(fdt));
}

static void put_pools(void *fdt, struct bed *bed)
{
	unsigned int i;

	begin_reserved(fdt);
	for (i = 0; i < bed->bao.nr_devices; i++) {
		u64 addr = SHARED_ADDR + i * bed->region_size;

		begin_at(fdt, "restricted-dma", addr);
		tree_must(fdt_property_string(fdt, "compatible",
					      "restricted-dma-pool"));
		put_reg(fdt, addr, bed->region_size);
		tree_must(fdt_property_u32(fdt, "phandle", PHANDLE_POOL(i)));
		end(fdt);
	}
	end(fdt);
}

static void put_window(void *fdt, unsigned int i)
{
	u64 addr = WINDOW_ADDR + i * WINDOW_STRIDE;
	const u32 spi = DEVICE_SPI(i);

	begin_at(fdt, "virtio", addr);
	tree_must(fdt_property_string(fdt, "compatible", "virtio,mmio"));
	put_reg(fdt, addr, WINDOW_SIZE);
	tree_put_spis(fdt, &spi, 1, IRQ_EDGE);
	tree_must(fdt_property(fdt, "dma-coherent", NULL, 0));
	tree_must(fdt_property_u32(fdt, "memory-region", PHANDLE_POOL(i)));
	end(fdt);
}

/*
 * The frontend's tree. The shared regions are part of its memory, since a
 * restricted DMA pool must lie in the kernel's linear map, and reserved.
 */
void tree_frontend(struct guest *guest, void *fdt, size_t room)
{
	struct bed *bed = guest->bed;
	unsigned int i;

	begin(fdt, guest, room);
	put_memory(fdt, SHARED_ADDR, bed->bao.nr_devices * bed->region_size);
	put_pools(fdt, bed);
	for (i = 0; i < bed->bao.nr_devices; i++)
		put_window(fdt, i);
	end(fdt);
	tree_must(fdt_finish(fdt));
}
