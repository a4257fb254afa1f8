// SPDX-License-Identifier: GPL-2.0
/*
 * The control page, through which the backend's tests command the bed
 * (../bed_ctl.h)
 */
#include <errno.h>
#include <string.h>

#include "bed.h"

#define NR_ARGS		8
#define NR_RETS		16

/* The registers' contents. Guarded by bao.lock. */
static struct {
	u64 arg[NR_ARGS];
	u64 ret[NR_RETS];
	s64 status;
} page;

static bool in_bank(u64 reg, u64 first, unsigned int n,
		    unsigned int *index)
{
	*index = (reg - first) / 8;
	return reg >= first && *index < n;
}

static void control_store(struct bed *bed, u64 reg, u64 value)
{
	unsigned int i;

	if (in_bank(reg, BED_REG_ARG(0), NR_ARGS, &i)) {
		page.arg[i] = value;
	} else if (reg == BED_REG_CMD && bed->scripted) {
		memset(page.ret, 0, sizeof(page.ret));
		page.status = script_command(bed, value, page.arg, page.ret);
	} else if (reg == BED_REG_CMD) {
		page.status = -EOPNOTSUPP;
	}
}

static u64 control_load(struct bed *bed, u64 reg)
{
	unsigned int i;

	if (in_bank(reg, BED_REG_ARG(0), NR_ARGS, &i))
		return page.arg[i];
	if (in_bank(reg, BED_REG_RET(0), NR_RETS, &i))
		return page.ret[i];
	switch (reg) {
	case BED_REG_STATUS:
		return page.status;
	case BED_REG_MAGIC:
		return BED_CTL_MAGIC;
	case BED_REG_NR_DEVICES:
		return bed->bao.nr_devices;
	case BED_REG_FRONTEND:
		return bed->scripted ? BED_FRONTEND_SCRIPTED :
		       guest_is_on(&bed->frontend) ? BED_FRONTEND_ON :
						     BED_FRONTEND_OFF;
	}
	return 0;
}

/* Return: false if the access is not one to the page's registers */
bool control_mmio(struct vcpu *vcpu, struct kvm_run *run)
{
	struct bed *bed = vcpu->guest->bed;
	u64 reg = run->mmio.phys_addr - BED_CTL_ADDR;
	u64 value;

	if (run->mmio.phys_addr < BED_CTL_ADDR || reg >= BED_CTL_SIZE ||
	    run->mmio.len != 8)
		return false;
	pthread_mutex_lock(&bed->bao.lock);
	if (run->mmio.is_write) {
		memcpy(&value, run->mmio.data, sizeof(value));
		control_store(bed, reg, value);
	} else {
		value = control_load(bed, reg);
		memcpy(run->mmio.data, &value, sizeof(value));
	}
	pthread_mutex_unlock(&bed->bao.lock);
	return true;
}
