/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the bare-metal guests have in place of an operating system
 */
#ifndef BARE_H
#define BARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdnoreturn.h>

#include "../bed_ctl.h"

#define REMOTE_IO	0xC6000002ULL	/* function number */
#define NO_INTERRUPT	1023U

/* The registers of a hypercall */
struct hvc {
	uint64_t x[7];
};

/* What an ASK reports */
struct asked {
	int64_t status;
	uint64_t addr, op, value, width, id, more;
};

void bare_hvc(uint64_t *regs);
void bare_main(const void *fdt);

void put_string(const char *text);
void put_number(uint64_t value);
noreturn void power_off(void);
noreturn void reset(void);

int64_t remote_io(uint64_t device, uint64_t addr, uint64_t op, uint64_t value,
		  uint64_t id);
struct asked ask(uint64_t device);

uint64_t read64(uint64_t addr);
uint64_t ctl_read(unsigned int reg);
void ctl_write(unsigned int reg, uint64_t value);
int64_t ctl_command(enum bed_cmd cmd, unsigned int n, const uint64_t *args);
#define command(cmd, ...) \
	ctl_command(cmd, sizeof((uint64_t[]){ __VA_ARGS__ }) / 8, \
		    (uint64_t[]){ __VA_ARGS__ })

void gic_init(void);
void gic_set_enabled(unsigned int device, bool enabled);
unsigned int gic_acknowledge(void);
void gic_end(unsigned int device);
void wait_for_interrupt(void);

#endif /* BARE_H */
