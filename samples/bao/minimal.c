// SPDX-License-Identifier: GPL-2.0
/*
 * minimal - the shortest complete VMM for Bao's Remote I/O
 *
 * It uses each call of linux/bao.h once and is meant to be read. What it serves
 * is a bank of registers, which hold what the frontend stores in them, and a
 * doorbell: a store of 32 bits to its first address comes back as an interrupt.
 * bao-vmm is the program to start from for virtio devices.
 *
 * usage: minimal /dev/bao/backend0 0x0a000000
 * with the address at which the frontend sees the device.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/bao.h>

#define BATCH		8	/* more come with the next call */
#define DOORBELL	0	/* offsets in the device */
#define REGISTERS	8
#define REGISTERS_END	264U

struct device {
	int fd;
	__u64 base;		/* where the frontend sees the device */
	void *shmem;
	__u8 registers[REGISTERS_END - REGISTERS];
};

static void fail(const char *what)
{
	fprintf(stderr, "minimal: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void open_backend(struct device *d, const char *path)
{
	struct bao_info info = { .size = sizeof(info) };

	d->fd = open(path, O_RDWR | O_CLOEXEC);
	if (d->fd < 0)
		fail(path);
	if (ioctl(d->fd, BAO_IOCTL_INFO, &info))
		fail("BAO_IOCTL_INFO");

	/*
	 * This device has no use for shared memory. A device that has finds the
	 * frontend's address A at shmem + (A - info.shmem_addr), once it has
	 * checked that all of the buffer is below info.shmem_size.
	 */
	d->shmem = mmap(NULL, info.shmem_size, PROT_READ | PROT_WRITE,
			MAP_SHARED, d->fd, 0);
	if (d->shmem == MAP_FAILED)
		fail("mmap of the shared memory");

	printf("minimal: device %u, %llu KiB of shared memory at 0x%llx\n",
	       info.device_id, info.shmem_size / 1024, info.shmem_addr);
}

/*
 * The store to the doorbell signals an eventfd, and the eventfd raises the
 * interrupt: all of it happens in the kernel. A VMM with work to do at a kick
 * uses two eventfds, reads one and writes the other when the work is done.
 */
static void connect_doorbell(struct device *d)
{
	int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct bao_ioeventfd kick = {
		.size = sizeof(kick),
		.addr = d->base + DOORBELL,
		.len = 4,
		.fd = event,
	};
	struct bao_irqfd irq = { .size = sizeof(irq), .fd = event };

	if (event < 0)
		fail("eventfd");
	if (ioctl(d->fd, BAO_IOCTL_IOEVENTFD, &kick))
		fail("BAO_IOCTL_IOEVENTFD");
	if (ioctl(d->fd, BAO_IOCTL_IRQFD, &irq))
		fail("BAO_IOCTL_IRQFD");
}

/* Whatever a frontend asks for, it may not reach beyond the registers. */
static __u8 *find_register(struct device *d, const struct bao_request *req)
{
	__u64 offset = req->addr - d->base;

	if (offset < REGISTERS || offset > REGISTERS_END - req->width)
		return NULL;
	return &d->registers[offset - REGISTERS];
}

/* An access to nothing is answered too: the frontend's vCPU waits for it. */
static __u64 handle(struct device *d, const struct bao_request *req)
{
	__u8 *reg = find_register(d, req);
	__u64 value = req->value;

	if (!reg)
		return UINT64_MAX;

	/* This takes the machine to be little-endian: low bytes come first. */
	if (req->op == BAO_OP_READ)
		memcpy(&value, reg, req->width);
	else
		memcpy(reg, &value, req->width);
	return value;
}

/*
 * The hypervisor or the driver refused completions[nr_completed]. Leave that
 * one out and go on after it; the frontend may have been reset meanwhile.
 */
static void skip_refused(struct bao_serve *call)
{
	__u32 skip = call->nr_completed + 1;

	call->completions += skip * sizeof(struct bao_completion);
	call->nr_completions -= skip;
}

/* Each call completes what the one before fetched. Ends when unbound. */
static void serve(struct device *d)
{
	struct bao_completion done[BATCH];
	struct bao_request todo[BATCH];
	struct bao_serve call = {
		.size = sizeof(call),
		.requests = (uintptr_t)todo,
		.nr_requests = BATCH,
	};

	for (;;) {
		if (!ioctl(d->fd, BAO_IOCTL_SERVE, &call)) {
			for (__u32 i = 0; i < call.nr_fetched; i++) {
				done[i].id = todo[i].id;
				done[i].value = handle(d, &todo[i]);
			}
			call.completions = (uintptr_t)done;
			call.nr_completions = call.nr_fetched;
		} else if (errno == EIO || errno == ENOENT) {
			skip_refused(&call);
		} else if (errno == ENODEV) {
			return;
		} else if (errno != EINTR) {
			fail("BAO_IOCTL_SERVE");
		}
	}
}

int main(int argc, char **argv)
{
	struct device d = { .fd = -1 };

	if (argc != 3) {
		fprintf(stderr, "usage: minimal /dev/bao/backend<i> ADDRESS\n");
		return 1;
	}

	d.base = strtoull(argv[2], NULL, 0);
	open_backend(&d, argv[1]);
	connect_doorbell(&d);

	/*
	 * There is nothing to clean up at the end, however it comes: closing
	 * the file removes both eventfds, and requests that were fetched and
	 * not completed wait for the next VMM.
	 */
	serve(&d);
	return 0;
}
