// SPDX-License-Identifier: GPL-2.0
/*
 * Random reads and writes of 4 KiB on a block device, past the page cache
 *
 * Destroys what is on the device. Prints a line for each operation and queue
 * depth. A written block says which one it is, so that a read sees whether it
 * got the right one.
 *
 * usage: blk-bench NAME DEVICE OPERATIONS [SEED]
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <stdnoreturn.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

typedef unsigned long long u64;

#define BLOCK		4096
#define DEPTH_MAX	32
#define MAGIC		0x62616f2d62656eULL

/* An operation under way */
struct slot {
	struct iocb iocb;
	u64 *buffer;
	u64 block;
	u64 since;
};

static struct {
	const char *name;
	int fd;
	u64 blocks;
	u64 random;
	unsigned int operations;
	aio_context_t aio;
	struct slot slots[DEPTH_MAX];
	u64 *times;
} bench;

#define __printf(a, b)	__attribute__((format(printf, a, b)))

static noreturn void __printf(1, 2) fail(const char *fmt, ...)
{
	va_list args;

	fputs("bench: error: ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, " (%s)\n", strerror(errno));
	exit(1);
}

static u64 now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

/* xorshift64 */
static u64 next_random(void)
{
	u64 x = bench.random;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	bench.random = x;
	return x;
}

static void submit(struct slot *slot, bool write)
{
	struct iocb *iocb = &slot->iocb;

	slot->block = next_random() % bench.blocks;
	*iocb = (struct iocb) {
		.aio_data = (uintptr_t)slot,
		.aio_lio_opcode = write ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD,
		.aio_fildes = bench.fd,
		.aio_buf = (uintptr_t)slot->buffer,
		.aio_nbytes = BLOCK,
		.aio_offset = slot->block * BLOCK,
	};
	if (write) {
		slot->buffer[0] = MAGIC;
		slot->buffer[BLOCK / 8 - 1] = slot->block;
	}
	slot->since = now_ns();
	if (syscall(__NR_io_submit, bench.aio, 1, &iocb) != 1)
		fail("an operation cannot be submitted");
}

/* What lay on the device before has no magic number. */
static void check(const struct slot *slot)
{
	if (slot->buffer[0] == MAGIC &&
	    slot->buffer[BLOCK / 8 - 1] != slot->block)
		fail("block %llu has the contents of block %llu",
		     slot->block, slot->buffer[BLOCK / 8 - 1]);
}

static struct slot *wait_for_one(bool write, u64 *time)
{
	struct io_event event;
	struct slot *slot;

	if (syscall(__NR_io_getevents, bench.aio, 1, 1, &event, NULL) != 1)
		fail("no operation completes");
	slot = (struct slot *)(uintptr_t)event.data;
	*time = now_ns() - slot->since;
	if (event.res != BLOCK)
		fail("%s of block %llu returned %lld",
		     write ? "the write" : "the read", slot->block,
		     (long long)event.res);
	if (!write)
		check(slot);
	return slot;
}

static int compare(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return (x > y) - (x < y);
}

static void print(bool write, unsigned int depth, u64 elapsed)
{
	unsigned int n = bench.operations;
	u64 *t = bench.times;

	qsort(t, n, sizeof(*t), compare);
	printf("bench: blk where=%s op=%s depth=%u operations=%u", bench.name,
	       write ? "write" : "read", depth, n);
	printf(" p50=%llu p99=%llu max=%llu elapsed=%llu\n", t[(n - 1) / 2],
	       t[(n - 1) * 99 / 100], t[n - 1], elapsed);
}

static void work(bool write, unsigned int depth, u64 *elapsed)
{
	unsigned int done, submitted = 0;
	u64 begin = now_ns();
	struct slot *slot;

	for (; submitted < depth; submitted++)
		submit(&bench.slots[submitted], write);
	for (done = 0; done < bench.operations; done++) {
		slot = wait_for_one(write, &bench.times[done]);
		if (submitted < bench.operations) {
			submit(slot, write);
			submitted++;
		}
	}
	*elapsed = now_ns() - begin;
}

static void measure(bool write, unsigned int depth)
{
	u64 elapsed;

	work(write, depth, &elapsed);
	print(write, depth, elapsed);
}

static void prepare(const char *device)
{
	u64 size;

	bench.fd = open(device, O_RDWR | O_DIRECT | O_CLOEXEC);
	if (bench.fd < 0 || ioctl(bench.fd, BLKGETSIZE64, &size))
		fail("%s cannot be opened", device);
	bench.blocks = size / BLOCK;
	bench.times = calloc(bench.operations, sizeof(*bench.times));
	if (!bench.blocks || !bench.times)
		fail("%s is empty, or there is no memory", device);
	for (int i = 0; i < DEPTH_MAX; i++) {
		bench.slots[i].buffer = aligned_alloc(BLOCK, BLOCK);
		if (!bench.slots[i].buffer)
			fail("no memory");
		memset(bench.slots[i].buffer, 0, BLOCK);
	}
	if (syscall(__NR_io_setup, DEPTH_MAX, &bench.aio))
		fail("no asynchronous I/O");
}

int main(int argc, char **argv)
{
	u64 untimed;

	if (argc < 4)
		fail("usage: %s NAME DEVICE OPERATIONS [SEED]", argv[0]);
	bench.name = argv[1];
	bench.operations = atoi(argv[3]);
	bench.random = argc > 4 ? strtoull(argv[4], NULL, 0) : 1;
	if (bench.operations < DEPTH_MAX || !bench.random)
		fail("at least %d operations, and a seed other than 0, please",
		     DEPTH_MAX);
	prepare(argv[2]);
	printf("bench: seed %llu\n", bench.random);
	/* Untimed: the first touch of the device and of the buffers */
	work(true, DEPTH_MAX, &untimed);
	for (int write = 1; write >= 0; write--) {
		measure(write, 1);
		measure(write, DEPTH_MAX);
	}
	return 0;
}
