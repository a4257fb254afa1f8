// SPDX-License-Identifier: GPL-2.0
/*
 * The floor: a backend that does nothing but ASK and complete
 *
 * No driver can take fewer instructions for a round trip, so this is what one
 * compares with. By its command line, the scripted frontend makes
 * floor.accesses=N reads for each line of the output, first by one vCPU that
 * pauses floor.pause=US microseconds before each and visits 1, 2, 8 and 64
 * devices, as far as the bed has them, then by a vCPU for each device, without
 * a pause. A line has the times as BED_CMD_TIMES reports them.
 */
#include "bare.h"

#define DEFAULT_ACCESSES	1000
#define DEFAULT_PAUSE		1000
#define ADDR			0x100

struct plan {
	uint64_t accesses, pause;
};

static unsigned int fdt_size(const void *fdt)
{
	return __builtin_bswap32(((const uint32_t *)fdt)[1]);
}

static bool starts_with(const char *text, const char *prefix)
{
	while (*prefix)
		if (*text++ != *prefix++)
			return false;
	return true;
}

/* The command line is the only text in the tree that has such a word */
static uint64_t parameter(const void *fdt, const char *name, uint64_t value)
{
	const char *text = fdt, *end = text + fdt_size(fdt);

	while (text < end && !starts_with(text, name))
		text++;
	if (text == end)
		return value;
	while (*text++ != '=')
		;
	for (value = 0; *text >= '0' && *text <= '9'; text++)
		value = 10 * value + *text - '0';
	return value;
}

static void put_item(const char *name, uint64_t value)
{
	put_string(" ");
	put_string(name);
	put_string("=");
	put_number(value);
}

static uint64_t serve_all(unsigned int device)
{
	uint64_t served = 0;
	struct asked asked;

	do {
		asked = ask(device);
		if (asked.status)
			break;
		remote_io(device, asked.addr, asked.op, 0, asked.id);
		served++;
	} while (asked.more);
	return served;
}

static void serve(uint64_t accesses)
{
	uint64_t served = 0;
	unsigned int device;

	while (served < accesses) {
		wait_for_interrupt();
		device = gic_acknowledge();
		if (device == NO_INTERRUPT)
			continue;
		served += serve_all(device);
		gic_end(device);
	}
}

static void put_times(const char *load, unsigned int devices)
{
	static const char * const names[] = {
		"requests", "p50", "p99", "max", "mean", "elapsed",
	};
	unsigned int i;

	ctl_command(BED_CMD_TIMES, 0, NULL);
	put_string("bench: time what=floor poll=0 load=");
	put_string(load);
	put_item("backends", devices);
	for (i = 0; i < sizeof(names) / sizeof(*names); i++)
		put_item(names[i], ctl_read(BED_REG_RET(i)));
	put_string("\n");
}

static void measure(const struct plan *plan, const char *load,
		    unsigned int devices, unsigned int vcpus, uint64_t pause)
{
	if (command(BED_CMD_PACE, 0, devices, BED_OP_READ, ADDR, vcpus,
		    plan->accesses, pause)) {
		put_string("floor: the bed refuses the accesses\n");
		reset();
	}
	serve(plan->accesses);
	put_times(load, devices);
}

static uint64_t counter(void)
{
	uint64_t value;

	asm volatile("isb\n\tmrs %0, cntvct_el0" : "=r"(value));
	return value;
}

static uint64_t counter_hz(void)
{
	uint64_t value;

	asm volatile("mrs %0, cntfrq_el0" : "=r"(value));
	return value;
}

/* The frontend has no part in a NOTIFY, so the guest takes the time itself */
static void measure_notify(const struct plan *plan)
{
	uint64_t begin = counter(), ns, i;

	for (i = 0; i < plan->accesses; i++)
		remote_io(0, 0, BED_OP_NOTIFY, 0, 0);
	ns = (counter() - begin) * 1000000000 / counter_hz();
	put_string("bench: time what=floor-notify poll=0 load=alone");
	put_item("backends", 1);
	put_item("requests", plan->accesses);
	put_item("mean", ns / plan->accesses);
	put_item("elapsed", ns);
	put_string("\n");
}

void bare_main(const void *fdt)
{
	static const unsigned int sizes[] = { 1, 2, 8, 64 };
	struct plan plan = {
		.accesses = parameter(fdt, "floor.accesses=", DEFAULT_ACCESSES),
		.pause = parameter(fdt, "floor.pause=", DEFAULT_PAUSE),
	};
	unsigned int i, n;

	gic_init();
	for (i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		n = sizes[i];
		if (n > ctl_read(BED_REG_NR_DEVICES))
			break;
		measure(&plan, "alone", n, 1, plan.pause);
		measure(&plan, "full", n, n, 0);
	}
	measure_notify(&plan);
	power_off();
}
