// SPDX-License-Identifier: GPL-2.0
/*
 * The real frontend: its accesses to a device stop the vCPU until the backend
 * has completed them
 */
#include <endian.h>
#include <string.h>

#include "bed.h"

#define VIRTIO_MMIO_QUEUE_NOTIFY	0x050

/*
 * Bao hands over the whole register, of which KVM shows only the bytes stored.
 * What is above them is made up, so that a driver that forgets to cut is seen.
 */
#define GARBAGE	0xa5a5a5a5a5a5a5a5ULL

struct stopped {
	pthread_cond_t resumed;
	bool done;
	u64 value;
};

static bool find_window(struct bed *bed, u64 addr, unsigned int *device)
{
	if (addr < WINDOW_ADDR ||
	    (addr - WINDOW_ADDR) % WINDOW_STRIDE >= WINDOW_SIZE)
		return false;
	*device = (addr - WINDOW_ADDR) / WINDOW_STRIDE;
	return *device < bed->bao.nr_devices;
}

static void resume(struct bed *bed, const struct request *req)
{
	struct stopped *stopped = req->access.ctx;

	(void)bed;
	stopped->value = req->completed_value;
	stopped->done = true;
	pthread_cond_signal(&stopped->resumed);
}

static u64 stored_value(const struct kvm_run *run)
{
	u64 value = 0;

	memcpy(&value, run->mmio.data, run->mmio.len);
	return le64toh(value) | (GARBAGE & ~width_mask(run->mmio.len));
}

static void wait_for_backend(struct bed *bed, struct access *access)
{
	struct stopped *stopped = access->ctx;

	pthread_mutex_lock(&bed->bao.lock);
	if (access->op == BED_OP_WRITE &&
	    access->addr % WINDOW_STRIDE == VIRTIO_MMIO_QUEUE_NOTIFY)
		bed->bao.totals.kicks++;
	/* The pool has a request for each vCPU, and this one has no other */
	if (bao_access(bed, access, NULL))
		die("the pool of requests is exhausted");
	while (!stopped->done)
		pthread_cond_wait(&stopped->resumed, &bed->bao.lock);
	pthread_mutex_unlock(&bed->bao.lock);
}

/* Return: false if there is nothing at the address */
bool frontend_mmio(struct vcpu *vcpu, struct kvm_run *run)
{
	struct bed *bed = vcpu->guest->bed;
	struct stopped stopped = { .resumed = PTHREAD_COND_INITIALIZER };
	struct access access = {
		.op = run->mmio.is_write ? BED_OP_WRITE : BED_OP_READ,
		.width = run->mmio.len,
		.addr = run->mmio.phys_addr,
		.done = resume,
		.ctx = &stopped,
	};
	u64 value;

	if (!find_window(bed, access.addr, &access.device))
		return false;
	if (run->mmio.is_write)
		access.value = stored_value(run);
	wait_for_backend(bed, &access);
	value = htole64(stopped.value);
	if (!run->mmio.is_write)
		memcpy(run->mmio.data, &value, sizeof(value));
	atomic_store(&vcpu->guest->sign_of_life, now_ms());
	return true;
}
