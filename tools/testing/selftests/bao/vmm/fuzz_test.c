// SPDX-License-Identifier: GPL-2.0
/*
 * The sample VMM's devices against frontends that write whatever they like
 *
 * What a device does with nonsense is its own affair, as long as it stays in
 * the shared memory (pages around it and sanitizers see to that), leaves the
 * file its size, and works again after a reset. BAO_SEED repeats a run.
 */
#include <kselftest_harness.h>

#include <fcntl.h>
#include <time.h>

#include <linux/virtio_blk.h>

#include "frontend.h"

#define ROUNDS		20000
#define DISK_SIZE	0x8000

static __u64 state;

static __u32 rnd(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state >> 16;
}

static void start_random(void)
{
	const char *s = getenv("BAO_SEED");

	state = s ? strtoull(s, NULL, 0) : (__u64)time(NULL) * 0x9e3779b9 | 1;
	printf("# seed: BAO_SEED=0x%llx\n", state);
	fflush(stdout);
}

/* Most numbers that matter lie near some edge. */
static __u64 edge(void)
{
	static const __u64 edges[] = { 0, MEM_GPA, MEM_GPA + MEM_SIZE,
				       MEM_GPA + DATA, MEM_SIZE, 512, 1ULL << 16,
				       1ULL << 31, 1ULL << 32, 1ULL << 63 };

	return edges[rnd() % 10] + rnd() % 40 - 20;
}

static __u64 address(void)
{
	return rnd() % 8 ? MEM_GPA + rnd() % (MEM_SIZE - 1024) : edge();
}

static __u32 length(void)
{
	static const __u32 usual[] = { 16, 1, 512, 1024 };

	return rnd() % 16 ? usual[rnd() % 4] : edge();
}

static void random_rings(struct frontend *f)
{
	unsigned int i;

	for (i = 0; i < RING; i++) {
		put_desc(f, i, address(), length(), rnd() % 4,
			 rnd() % 16 ? rnd() % RING : edge());
		if (!(rnd() % 64))
			f->desc[i].flags = rnd();
		f->avail->ring[i] = rnd() % 16 ? rnd() % RING : edge();
	}
	/* header of a likely request where many descriptors point */
	for (i = 0; i < 64; i++) {
		struct virtio_blk_outhdr hdr = {
			.type = rnd() % 8 ? rnd() % 9 : rnd(),
			.sector = rnd() % 8 ? rnd() % 70 : edge(),
		};

		memcpy(at(f, rnd() % (MEM_SIZE - 16)), &hdr, sizeof(hdr));
	}
	f->avail->idx += rnd() % 16 ? rnd() % 4 : edge();
}

static void random_access(struct frontend *f)
{
	static const __u32 offsets[] = {
		VIRTIO_MMIO_QUEUE_SEL, VIRTIO_MMIO_QUEUE_NUM,
		VIRTIO_MMIO_QUEUE_READY, VIRTIO_MMIO_STATUS,
		VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_QUEUE_DESC_LOW,
		VIRTIO_MMIO_QUEUE_AVAIL_LOW, VIRTIO_MMIO_QUEUE_USED_LOW,
		VIRTIO_MMIO_QUEUE_USED_HIGH, VIRTIO_MMIO_DRIVER_FEATURES,
	};

	if (rnd() % 2)
		set(f, offsets[rnd() % 10], rnd() % 2 ? rnd() % 32 : edge());
	else
		virtio_mmio_read(&f->dev, rnd(), 1 << rnd() % 4);
}

static bool still_works(struct frontend *f, __u32 queue)
{
	__u32 len;

	if (!frontend_probe(f, 0, queue))
		return false;
	if (f->dev.config_len == sizeof(struct virtio_blk_config)) {
		memset(at(f, DATA), 0, 16);
		add(f, DATA, 16, 0);
	} else if (queue) {
		add(f, DATA, 1, 0);
	}
	if (!queue)
		add(f, DATA + 0x100, 513, VRING_DESC_F_WRITE);
	return submit(f, queue, &len) && !frontend_needs_reset(f);
}

static void attack(struct frontend *f, __u32 queue)
{
	unsigned int n = rnd() % 8;

	frontend_probe(f, rnd() % 2 ? _BITULL(VIRTIO_BLK_F_FLUSH) : 0, queue);
	random_rings(f);
	while (n--) {
		if (!(rnd() % 8))
			random_access(f);
		set(f, VIRTIO_MMIO_QUEUE_NOTIFY, queue);
		f->avail->idx += rnd() % 3;
	}
}

static bool survives(struct frontend *f, __u32 queue, unsigned int rounds)
{
	unsigned int i;

	f->dev.complained = true;	/* it will not fall silent otherwise */
	for (i = 0; i < rounds; i++)
		attack(f, queue);
	return still_works(f, queue);
}

static int make_disk(struct virtio_dev *dev, char *path)
{
	int fd = mkstemp(path);

	if (fd < 0 || ftruncate(fd, DISK_SIZE) || !blk_create(dev, path))
		return -1;
	return fd;
}

TEST(blk)
{
	char path[] = "/tmp/bao-fuzz-XXXXXX";
	struct frontend f = { .next = 0 };
	int fd = make_disk(&f.dev, path);
	off_t size;

	start_random();
	ASSERT_LE(0, fd);
	unlink(path);
	ASSERT_TRUE(frontend_start(&f));
	EXPECT_TRUE(survives(&f, 0, ROUNDS));
	size = lseek(fd, 0, SEEK_END);
	EXPECT_EQ(DISK_SIZE, size);
}

TEST(rng)
{
	struct frontend f = { .next = 0 };

	start_random();
	ASSERT_TRUE(rng_create(&f.dev));
	ASSERT_TRUE(frontend_start(&f));
	EXPECT_TRUE(survives(&f, 0, ROUNDS / 4));
}

TEST(console)
{
	struct frontend f = { .next = 0 };

	start_random();
	ASSERT_TRUE(console_create(&f.dev, "/dev/null"));
	ASSERT_TRUE(frontend_start(&f));
	EXPECT_TRUE(survives(&f, 1, ROUNDS));
}

TEST_HARNESS_MAIN
