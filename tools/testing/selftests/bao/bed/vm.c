// SPDX-License-Identifier: GPL-2.0
/*
 * A virtual machine: memory, interrupt controller, vCPU threads
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bed.h"

/*
 * All of Bao's function numbers on arm64 (fast calls of a vendor hypervisor in
 * the 64-bit convention). KVM's own vendor calls use the 32-bit one.
 */
#define BAO_FUNCTIONS		0xC6000000U
#define BAO_NR_FUNCTIONS	0x10000

#define GICD_ISENABLER		0x100

static void set_attr(int fd, u32 group, u64 attr, void *value,
		     const char *what)
{
	struct kvm_device_attr arg = {
		.group = group,
		.attr = attr,
		.addr = (uintptr_t)value,
	};

	if (ioctl(fd, KVM_SET_DEVICE_ATTR, &arg))
		die("KVM refuses %s: %s", what, strerror(errno));
}

/* Reserve memory for a guest; what it never touches costs nothing */
void *vm_memory(u64 size)
{
	void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (mem == MAP_FAILED)
		die("no %llu MiB of memory for a guest: %s",
		    (size >> 20), strerror(errno));
	return mem;
}

void vm_map(struct guest *guest, u64 gpa, void *mem, u64 size,
	    u32 flags)
{
	struct kvm_userspace_memory_region region = {
		.slot = guest->nr_slots++,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)mem,
	};

	if (ioctl(guest->fd, KVM_SET_USER_MEMORY_REGION, &region))
		die("KVM refuses memory at 0x%llx of the %s: %s",
		    gpa, guest->name, strerror(errno));
}

static void create_vgic(struct guest *guest)
{
	struct kvm_create_device device = {
		.type = KVM_DEV_TYPE_ARM_VGIC_V3,
	};
	u64 dist = GICD_ADDR, redist = GICR_ADDR;
	u32 nr_intids = NR_INTIDS;

	if (ioctl(guest->fd, KVM_CREATE_DEVICE, &device))
		die("this machine's KVM has no virtual GICv3: %s",
		    strerror(errno));
	guest->vgic = device.fd;
	set_attr(device.fd, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &nr_intids,
		 "the number of interrupts");
	set_attr(device.fd, KVM_DEV_ARM_VGIC_GRP_ADDR,
		 KVM_VGIC_V3_ADDR_TYPE_DIST, &dist, "the GIC's distributor");
	set_attr(device.fd, KVM_DEV_ARM_VGIC_GRP_ADDR,
		 KVM_VGIC_V3_ADDR_TYPE_REDIST, &redist,
		 "the GIC's redistributors");
	set_attr(device.fd, KVM_DEV_ARM_VGIC_GRP_CTRL,
		 KVM_DEV_ARM_VGIC_CTRL_INIT, NULL, "to start the GIC");
}

static void forward_hypercalls(struct guest *guest)
{
	struct kvm_smccc_filter filter = {
		.base = BAO_FUNCTIONS,
		.nr_functions = BAO_NR_FUNCTIONS,
		.action = KVM_SMCCC_FILTER_FWD_TO_USER,
	};
	struct kvm_device_attr probe = {
		.group = KVM_ARM_VM_SMCCC_CTRL,
		.attr = KVM_ARM_VM_SMCCC_FILTER,
	};

	if (ioctl(guest->fd, KVM_HAS_DEVICE_ATTR, &probe))
		die("KVM cannot hand over hypercalls: it needs Linux 6.4 or newer");
	set_attr(guest->fd, KVM_ARM_VM_SMCCC_CTRL, KVM_ARM_VM_SMCCC_FILTER,
		 &filter, "the hypercall filter");
}

static void enable_cap(struct guest *guest, u32 cap, const char *what)
{
	struct kvm_enable_cap arg = { .cap = cap };

	if (ioctl(guest->fd, KVM_ENABLE_CAP, &arg))
		die("KVM refuses %s: %s", what, strerror(errno));
}

static void set_capabilities(struct guest *guest)
{
	/* Hear of accesses that KVM cannot decode, not just of a failure */
	enable_cap(guest, KVM_CAP_ARM_NISV_TO_USER, "to report accesses");
	/* An idle vCPU that polls takes an emulated machine's time from others */
	enable_cap(guest, KVM_CAP_HALT_POLL, "to stop polling");
}

static void create_vcpu(struct guest *guest, unsigned int index, long run_size)
{
	struct vcpu *vcpu = &guest->vcpus[index];
	struct kvm_vcpu_init init = {};

	vcpu->guest = guest;
	vcpu->index = index;
	vcpu->fd = ioctl(guest->fd, KVM_CREATE_VCPU, index);
	if (vcpu->fd < 0)
		die("cannot create vCPU %u of the %s: %s", index, guest->name,
		    strerror(errno));

	vcpu->run = mmap(NULL, run_size, PROT_READ | PROT_WRITE, MAP_SHARED,
			 vcpu->fd, 0);
	if (vcpu->run == MAP_FAILED)
		die("cannot map a vCPU's state: %s", strerror(errno));

	if (ioctl(guest->fd, KVM_ARM_PREFERRED_TARGET, &init))
		die("KVM knows no CPU model for this machine: %s",
		    strerror(errno));
	init.features[0] |= BIT(KVM_ARM_VCPU_PSCI_0_2);
	if (index)	/* the guest starts it through PSCI */
		init.features[0] |= BIT(KVM_ARM_VCPU_POWER_OFF);
	if (ioctl(vcpu->fd, KVM_ARM_VCPU_INIT, &init))
		die("cannot initialize a vCPU: %s", strerror(errno));
}

void vm_create(struct guest *guest)
{
	long run_size = ioctl(guest->bed->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	unsigned int i;

	guest->fd = ioctl(guest->bed->kvm, KVM_CREATE_VM, 0);
	if (guest->fd < 0)
		die("cannot create the %s: %s", guest->name, strerror(errno));
	for (i = 0; i < guest->nr_vcpus; i++)
		create_vcpu(guest, i, run_size);
	create_vgic(guest);
	forward_hypercalls(guest);
	set_capabilities(guest);
	console_attach(guest);
}

/* Set the level of an interrupt line; for an edge only the rise counts */
void vm_set_spi(struct guest *guest, unsigned int spi, bool level)
{
	struct kvm_irq_level irq = {
		.irq = KVM_ARM_IRQ_TYPE_SPI << KVM_ARM_IRQ_TYPE_SHIFT |
		       (32 + spi),
		.level = level,
	};

	if (ioctl(guest->fd, KVM_IRQ_LINE, &irq))
		die("cannot raise interrupt %u of the %s: %s", spi,
		    guest->name, strerror(errno));
}

/*
 * Raise an edge. KVM forgets one that comes before the guest has declared the
 * line to be an edge, whereas Bao keeps it. A driver that drains after it has
 * enabled its interrupt, as it must, does not see the difference.
 */
void vm_raise(struct guest *guest, unsigned int spi)
{
	vm_set_spi(guest, spi, true);
	vm_set_spi(guest, spi, false);
}

/* Only while no vCPU runs, i.e. from the only vCPU's own thread */
bool vm_spi_enabled(struct guest *guest, unsigned int spi)
{
	unsigned int intid = 32 + spi;
	u32 bits = 0;
	struct kvm_device_attr arg = {
		.group = KVM_DEV_ARM_VGIC_GRP_DIST_REGS,
		.attr = GICD_ISENABLER + intid / 32 * 4,
		.addr = (uintptr_t)&bits,
	};

	if (ioctl(guest->vgic, KVM_GET_DEVICE_ATTR, &arg))
		die("cannot read the GIC's state: %s", strerror(errno));
	return bits >> intid % 32 & 1;
}

static u64 x_reg(unsigned int n)
{
	return KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE |
	       (KVM_REG_ARM_CORE_REG(regs.regs[0]) + 2 * n);
}

static void one_reg(struct vcpu *vcpu, unsigned long request, u64 id,
		    u64 *value)
{
	struct kvm_one_reg reg = { .id = id, .addr = (uintptr_t)value };

	if (ioctl(vcpu->fd, request, &reg))
		die("cannot access a vCPU's register: %s", strerror(errno));
}

u64 vcpu_get_x(struct vcpu *vcpu, unsigned int n)
{
	u64 value;

	one_reg(vcpu, KVM_GET_ONE_REG, x_reg(n), &value);
	return value;
}

void vcpu_set_x(struct vcpu *vcpu, unsigned int n, u64 value)
{
	one_reg(vcpu, KVM_SET_ONE_REG, x_reg(n), &value);
}

static void vcpu_system_event(struct vcpu *vcpu)
{
	u32 type = vcpu->run->system_event.type;

	if (type == KVM_SYSTEM_EVENT_SHUTDOWN)
		guest_off(vcpu->guest);
	else if (atomic_load(&vcpu->guest->panicked))
		bed_end(vcpu->guest->bed, BED_CRASHED, vcpu->guest,
			"its kernel panicked");
	else
		bed_end(vcpu->guest->bed, BED_CRASHED, vcpu->guest,
			"it rebooted (system event %u)", type);
}

static void vcpu_mmio(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	struct guest *guest = vcpu->guest;

	if (console_mmio(guest, run))
		return;
	if (guest->mmio && guest->mmio(vcpu, run))
		return;
	bed_end(guest->bed, BED_CRASHED, guest,
		"vCPU %u %s %u bytes at 0x%llx, where there is nothing",
		vcpu->index, run->mmio.is_write ? "stored" : "loaded",
		run->mmio.len, run->mmio.phys_addr);
}

static void vcpu_exit(struct vcpu *vcpu)
{
	struct guest *guest = vcpu->guest;

	switch (vcpu->run->exit_reason) {
	case KVM_EXIT_MMIO:
		vcpu_mmio(vcpu);
		break;
	case KVM_EXIT_HYPERCALL:
		bao_hypercall(vcpu, vcpu->run->hypercall.nr);
		break;
	case KVM_EXIT_SYSTEM_EVENT:
		vcpu_system_event(vcpu);
		break;
	case KVM_EXIT_INTR:
		break;
	case KVM_EXIT_ARM_NISV:
		bed_end(guest->bed, BED_CRASHED, guest,
			"vCPU %u accessed no memory at 0x%llx, in a complex way",
			vcpu->index, vcpu->run->arm_nisv.fault_ipa);
		break;
	default:
		bed_end(guest->bed, BED_CRASHED, guest,
			"KVM gave up on vCPU %u (exit reason %u)", vcpu->index,
			vcpu->run->exit_reason);
	}
}

static void vcpu_failed(struct vcpu *vcpu, int err)
{
	bed_end(vcpu->guest->bed, BED_CRASHED, vcpu->guest,
		"KVM cannot run vCPU %u: %s", vcpu->index, strerror(err));
}

static void *vcpu_thread(void *arg)
{
	struct vcpu *vcpu = arg;
	struct guest *guest = vcpu->guest;

	while (guest_is_on(guest)) {
		int err = ioctl(vcpu->fd, KVM_RUN, 0) ? errno : 0;

		if (err == EINTR || err == EAGAIN)
			continue;
		if (err) {
			vcpu_failed(vcpu, err);
			break;
		}
		atomic_store(&guest->sign_of_life, now_ms());
		console_drain(guest);
		vcpu_exit(vcpu);
	}
	return NULL;
}

static void set_entry(struct guest *guest)
{
	struct vcpu *boot = &guest->vcpus[0];

	vcpu_set_x(boot, 0, guest->fdt_addr);
	one_reg(boot, KVM_SET_ONE_REG,
		KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE |
		KVM_REG_ARM_CORE_REG(regs.pc), &guest->entry);
}

void vm_start(struct guest *guest)
{
	unsigned int i;
	int err;

	set_entry(guest);
	atomic_store(&guest->sign_of_life, now_ms());
	atomic_store(&guest->running, true);
	for (i = 0; i < guest->nr_vcpus; i++) {
		struct vcpu *vcpu = &guest->vcpus[i];

		err = pthread_create(&vcpu->thread, NULL, vcpu_thread, vcpu);
		if (err)
			die("cannot start a vCPU's thread: %s", strerror(err));
	}
}
