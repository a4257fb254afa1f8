// SPDX-License-Identifier: GPL-2.0
/*
 * Bao's Remote I/O, as the hypervisor behaves towards both sides
 *
 * A frontend vCPU's access becomes a request in the device's queue and raises
 * the device's interrupt in the backend. The backend pops it with ASK and
 * completes it with WRITE or READ, whereupon the vCPU goes on. The peculiarities
 * are Bao's own; a driver has to live with them.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bed.h"

/* Bao's only hypercall here; the other function numbers are unknown to it */
#define REMOTE_IO_FUNCTION	0xC6000002U

/* Statuses */
#define HC_SUCCESS		0
#define HC_EMPTY		1		/* ASK alone, when nothing waits */
#define HC_FAILURE		(-1)
#define HC_UNKNOWN		(-2)
#define HC_INVALID		(-3)

/* The first violations are printed, the rest only counted */
#define VIOLATIONS_PRINTED	20

struct call {
	u64 device, addr, op, value, id;	/* x1..x5 */
	u64 results[6];			/* x1..x6 */
	bool has_results;
};

static u64 *count(struct bed *bed, unsigned int device,
		  enum bed_counter counter)
{
	return &bed->bao.devices[device].counters[counter];
}

/* What Bao itself would not notice, but a correct driver never does */
void bao_violation(struct bed *bed, unsigned int device, const char *fmt, ...)
{
	char text[200];
	va_list args;

	++*count(bed, device, BED_CNT_VIOLATION);
	if (bed->bao.totals.violations++ >= VIOLATIONS_PRINTED)
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	say("violation: device %u: %s", device, text);
}

static bool is_free(const struct bao *bao, unsigned int slot)
{
	return bao->free[slot / 64] >> slot % 64 & 1;
}

static void mark_free(struct bao *bao, const struct request *req)
{
	bao->free[req->slot / 64] |= BIT(req->slot % 64);
}

/*
 * Forget all requests and counts, and have a pool of so many requests. The id
 * of a request that the backend has popped is not given out again before the
 * backend has tried to complete it, or that would hit a stranger.
 */
void bao_forget(struct bao *bao, unsigned int pool)
{
	unsigned int i;

	bao->forgotten = 0;
	for (i = 0; i < BED_POOL_MAX; i++) {
		struct request *req = &bao->slots[i];

		req->forgotten = !is_free(bao, i) &&
				 req->state == BED_PROCESSING;
		bao->forgotten += req->forgotten;
		if (!req->forgotten)
			mark_free(bao, req);
	}
	memset(bao->devices, 0, sizeof(bao->devices));
	for (i = 0; i < DEVICES_MAX; i++)
		bao->devices[i].tail = &bao->devices[i].head;
	bao->pool = pool;
	bao->outstanding = 0;
	bao->followed = false;
}

void bao_init(struct bed *bed, unsigned int pool)
{
	unsigned int i;

	pthread_mutex_init(&bed->bao.lock, NULL);
	for (i = 0; i < BED_POOL_MAX; i++)
		bed->bao.slots[i].slot = i;
	bao_forget(&bed->bao, pool);
}

/* The lowest free one: ids are small, and reused at once */
static struct request *take_slot(struct bao *bao)
{
	unsigned int i, slot;

	if (bao->outstanding == bao->pool)
		return NULL;
	for (i = 0; i < ARRAY_SIZE(bao->free); i++) {
		if (!bao->free[i])
			continue;
		slot = i * 64 + __builtin_ctzll(bao->free[i]);
		bao->free[i] &= bao->free[i] - 1;
		bao->outstanding++;
		memset(&bao->slots[slot], 0, sizeof(bao->slots[slot]));
		bao->slots[slot].slot = slot;
		bao->slots[slot].id = slot;
		return &bao->slots[slot];
	}
	return NULL;
}

static void put_slot(struct bao *bao, struct request *req)
{
	if (req->id != req->slot)
		bao->aliases--;
	if (req->forgotten)
		bao->forgotten--;
	else
		bao->outstanding--;
	req->state = BED_COMPLETED;
	mark_free(bao, req);
}

/* Raise the device's interrupt in the backend */
void bao_raise(struct bed *bed, unsigned int device)
{
	++*count(bed, device, BED_CNT_IRQS);
	bed->bao.totals.irqs++;
	vm_raise(&bed->backend, DEVICE_SPI(device));
}

/*
 * A frontend vCPU traps and stops. Needs bao.lock.
 * Return: 0 and the request, or -1 if the pool is exhausted.
 */
int bao_access(struct bed *bed, const struct access *access,
	       struct request **out)
{
	struct request *req = take_slot(&bed->bao);
	struct device *dev = &bed->bao.devices[access->device];

	if (!req)
		return -1;
	req->access = *access;
	req->state = BED_PENDING;
	req->since = now_ms();
	*dev->tail = req;
	dev->tail = &req->next;
	++*count(bed, access->device, BED_CNT_REQUESTS);
	bed->bao.totals.requests++;
	if (out)
		*out = req;
	if (!access->silent)
		bao_raise(bed, access->device);
	return 0;
}

static struct request *pop(struct device *dev)
{
	struct request *req = dev->head;

	if (!req)
		return NULL;
	dev->head = req->next;
	if (!dev->head)
		dev->tail = &dev->head;
	req->next = NULL;
	return req;
}

static int hc_ask(struct bed *bed, struct call *call)
{
	struct device *dev = &bed->bao.devices[call->device];
	struct request *req = pop(dev);

	if (!req) {
		++*count(bed, call->device, BED_CNT_ASK_EMPTY);
		bed->bao.totals.empty_asks++;
		return HC_EMPTY;	/* and the results stay as they were */
	}
	if (dev->has_next_id) {
		dev->has_next_id = false;
		req->id = dev->next_id;
		bed->bao.aliases += req->id != req->slot;
	}
	req->state = BED_PROCESSING;
	++*count(bed, call->device, BED_CNT_ASK);
	bed->bao.totals.asks++;
	call->results[0] = req->access.addr;
	call->results[1] = req->access.op;
	call->results[2] = req->access.value;
	call->results[3] = req->access.width;
	call->results[4] = req->id;
	call->results[5] = !!dev->head;
	call->has_results = true;
	return HC_SUCCESS;
}

static bool is_processing(const struct request *req, const struct call *call)
{
	return req->state == BED_PROCESSING &&
	       req->access.device == call->device && req->id == call->id;
}

static struct request *find(struct bao *bao, const struct call *call)
{
	unsigned int i;

	if (call->id < BED_POOL_MAX &&
	    is_processing(&bao->slots[call->id], call))
		return &bao->slots[call->id];
	for (i = 0; bao->aliases && i < BED_POOL_MAX; i++)
		if (is_processing(&bao->slots[i], call))
			return &bao->slots[i];
	return NULL;
}

/* Bao takes id -1 for "the next pending one", and then finds it unfit */
static void lose_pending(struct bed *bed, struct call *call)
{
	struct request *req = pop(&bed->bao.devices[call->device]);

	if (!req)
		return;
	req->state = BED_LOST;
	bao_violation(bed, call->device,
		      "completion of id -1: a pending request is lost");
}

static void check_completion(struct bed *bed, const struct request *req)
{
	const struct access *access = &req->access;
	u64 garbage = req->completed_value & ~width_mask(access->width);

	if (req->completed_op != access->op)
		bao_violation(bed, access->device,
			      "a %s completed as a %s (id %llu, address 0x%llx)",
			      access->op == BED_OP_READ ? "read" : "write",
			      access->op == BED_OP_READ ? "write" : "read",
			      req->id,
			      access->addr);
	else if (access->op == BED_OP_READ && garbage)
		bao_violation(bed, access->device,
			      "value 0x%llx exceeds the %u bytes read at 0x%llx",
			      req->completed_value,
			      access->width, access->addr);
}

/* "request 0: device 0, read of 4 bytes at 0x1000", in a buffer of the caller */
static const char *describe(const struct request *req, char *text, size_t size)
{
	snprintf(text, size, "request %u: device %u, %s of %u bytes at 0x%llx",
		 req->slot, req->access.device,
		 req->access.op == BED_OP_READ ? "read" : "write",
		 req->access.width, req->access.addr);
	return text;
}

static void say_completion(const struct request *req)
{
	char text[100];

	say("%s, completed with 0x%llx", describe(req, text, sizeof(text)),
	    req->completed_value);
}

static int hc_complete(struct bed *bed, struct call *call)
{
	struct request *req = find(&bed->bao, call), done;

	if (!req) {
		if (call->id == ~0ULL)
			lose_pending(bed, call);
		return HC_FAILURE;
	}
	if (req->forgotten) {
		put_slot(&bed->bao, req);
		return HC_FAILURE;
	}
	req->completed_op = call->op;
	req->completed_value = call->value;
	++*count(bed, call->device, call->op == BED_OP_READ ? BED_CNT_READ :
							      BED_CNT_WRITE);
	check_completion(bed, req);
	if (bed->bao.followed)
		say_completion(req);
	/* The slot is free before the vCPU goes on, and may be taken again */
	put_slot(&bed->bao, req);
	done = *req;
	done.access.done(bed, &done);
	return HC_SUCCESS;
}

static int hc_notify(struct bed *bed, struct call *call)
{
	++*count(bed, call->device, BED_CNT_NOTIFY);
	bed->bao.totals.notifies++;
	if (bed->bao.notified)
		vm_raise(bed->bao.notified, DEVICE_SPI(call->device));
	return HC_SUCCESS;
}

/* Is the line of the device, whose requests are being handled, enabled? */
static void watch_line(struct bed *bed, unsigned int device)
{
	struct guest *backend = &bed->backend;

	if (bed->scripted && backend->nr_vcpus == 1 &&
	    !vm_spi_enabled(backend, DEVICE_SPI(device)))
		bed->bao.devices[device].seen_disabled = true;
}

static bool take_fault(struct bed *bed, const struct call *call, s64 *status)
{
	struct fault *fault = &bed->bao.devices[call->device].faults[call->op];

	if (!fault->calls)
		return false;
	fault->calls--;
	*status = fault->status;
	return true;
}

static s64 remote_io(struct bed *bed, struct call *call)
{
	s64 status;

	if (call->device >= bed->bao.nr_devices || call->op > BED_OP_NOTIFY)
		return HC_INVALID;
	if (call->op == BED_OP_ASK)
		watch_line(bed, call->device);
	if (take_fault(bed, call, &status))
		return status;

	switch (call->op) {
	case BED_OP_ASK:
		return hc_ask(bed, call);
	case BED_OP_NOTIFY:
		return hc_notify(bed, call);
	default:
		return hc_complete(bed, call);
	}
}

static void count_refused(struct bed *bed, const struct call *call)
{
	if (call->device >= bed->bao.nr_devices)
		return;
	++*count(bed, call->device, BED_CNT_REFUSED);
	if (bed->scripted)
		script_refused(bed, call->device, call->op, call->id);
}

static void fetch_call(struct vcpu *vcpu, struct call *call)
{
	u64 *args[] = { &call->device, &call->addr, &call->op,
			     &call->value, &call->id };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(args); i++)
		*args[i] = vcpu_get_x(vcpu, 1 + i);
}

/* Serve a hypercall of the backend */
void bao_hypercall(struct vcpu *vcpu, u64 function)
{
	struct bed *bed = vcpu->guest->bed;
	struct call call = {};
	s64 status;
	unsigned int i;

	fetch_call(vcpu, &call);
	pthread_mutex_lock(&bed->bao.lock);
	bed->bao.totals.hypercalls++;
	if (function != REMOTE_IO_FUNCTION) {
		status = HC_UNKNOWN;
	} else if (vcpu->guest != &bed->backend) {
		status = HC_FAILURE;	/* it has no device to serve */
	} else {
		status = remote_io(bed, &call);
		if (status < 0)
			count_refused(bed, &call);
	}
	if (status < 0)
		bed->bao.totals.refused++;
	pthread_mutex_unlock(&bed->bao.lock);

	vcpu_set_x(vcpu, 0, status);
	for (i = 0; call.has_results && i < ARRAY_SIZE(call.results); i++)
		vcpu_set_x(vcpu, 1 + i, call.results[i]);
}

static const char *state_name(enum bed_request_state state)
{
	return state == BED_PENDING ? "waits for an ASK" :
	       state == BED_LOST ? "was lost" :
	       "was popped, and waits for its completion";
}

static bool in_use(const struct bao *bao, unsigned int slot)
{
	return !is_free(bao, slot) && !bao->slots[slot].forgotten;
}

/* What the frontend waits for at the end of a run */
void bao_print_outstanding(struct bed *bed)
{
	struct bao *bao = &bed->bao;
	char text[100];
	unsigned int i;

	pthread_mutex_lock(&bao->lock);
	for (i = 0; i < BED_POOL_MAX; i++) {
		const struct request *req = &bao->slots[i];

		if (!in_use(bao, i))
			continue;
		say("%s, %s since %llu ms", describe(req, text, sizeof(text)),
		    state_name(req->state), now_ms() - req->since);
	}
	pthread_mutex_unlock(&bao->lock);
}

/* Return: whether a request is outstanding, and since when the oldest is */
bool bao_oldest(struct bed *bed, u64 *since)
{
	struct bao *bao = &bed->bao;
	bool found = false;
	unsigned int i;

	pthread_mutex_lock(&bao->lock);
	for (i = 0; i < BED_POOL_MAX; i++) {
		if (!in_use(bao, i) ||
		    (found && bao->slots[i].since >= *since))
			continue;
		*since = bao->slots[i].since;
		found = true;
	}
	pthread_mutex_unlock(&bao->lock);
	return found;
}
