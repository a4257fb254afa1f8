// SPDX-License-Identifier: GPL-2.0
/*
 * The sample VMM's virtio-mmio registers, with the devices of few lines,
 * virtio-rng and virtio-console, behind them
 */
#include <kselftest_harness.h>

#include <fcntl.h>

#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>

#include "frontend.h"

FIXTURE(mmio)
{
	struct frontend f;
};

FIXTURE_SETUP(mmio)
{
	ASSERT_TRUE(rng_create(&self->f.dev));
	ASSERT_TRUE(frontend_start(&self->f));
	/* As every driver begins; see the restart tests for those that do not. */
	EXPECT_EQ(0x74726976, get(&self->f, VIRTIO_MMIO_MAGIC_VALUE));
}

FIXTURE_TEARDOWN(mmio)
{
}

TEST_F(mmio, identity)
{
	struct frontend *f = &self->f;

	EXPECT_EQ(2, get(f, VIRTIO_MMIO_VERSION));
	EXPECT_EQ(VIRTIO_ID_RNG, get(f, VIRTIO_MMIO_DEVICE_ID));
	EXPECT_EQ(0, get(f, VIRTIO_MMIO_STATUS));
	EXPECT_EQ(0, get(f, VIRTIO_MMIO_INTERRUPT_STATUS));
	EXPECT_EQ(0, get(f, VIRTIO_MMIO_CONFIG_GENERATION));
	EXPECT_EQ(0xffffffff, get(f, VIRTIO_MMIO_SHM_LEN_LOW));
	EXPECT_EQ(0xffffffff, get(f, VIRTIO_MMIO_SHM_LEN_HIGH));
	EXPECT_EQ(0, f->notifies);
}

TEST_F(mmio, offered_features)
{
	struct frontend *f = &self->f;

	set(f, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	EXPECT_EQ(BASIC_FEATURES >> 32, get(f, VIRTIO_MMIO_DEVICE_FEATURES));
	set(f, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	EXPECT_EQ(0, get(f, VIRTIO_MMIO_DEVICE_FEATURES));
	set(f, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 2);
	EXPECT_EQ(0, get(f, VIRTIO_MMIO_DEVICE_FEATURES));
	set(f, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0xffffffff);
	EXPECT_EQ(0, get(f, VIRTIO_MMIO_DEVICE_FEATURES));
}

/* Both basic features, nothing that was not offered: or the bit falls off. */
TEST_F(mmio, feature_agreement)
{
	struct frontend *f = &self->f;

	EXPECT_FALSE(frontend_features(f, 0));
	EXPECT_FALSE(frontend_features(f, _BITULL(VIRTIO_F_VERSION_1)));
	EXPECT_FALSE(frontend_features(f, _BITULL(VIRTIO_F_ACCESS_PLATFORM)));
	EXPECT_FALSE(frontend_features(f, BASIC_FEATURES | 1));
	EXPECT_FALSE(frontend_features(f, BASIC_FEATURES |
				       _BITULL(VIRTIO_RING_F_INDIRECT_DESC)));
	EXPECT_FALSE(frontend_features(f, BASIC_FEATURES |
				       _BITULL(VIRTIO_RING_F_EVENT_IDX)));
	EXPECT_FALSE(frontend_features(f, ~0ULL));
	EXPECT_TRUE(frontend_features(f, BASIC_FEATURES));
	EXPECT_FALSE(frontend_needs_reset(f));
}

TEST_F(mmio, features_are_final)
{
	struct frontend *f = &self->f;

	ASSERT_TRUE(frontend_features(f, BASIC_FEATURES));
	set(f, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	set(f, VIRTIO_MMIO_DRIVER_FEATURES, 0);
	EXPECT_EQ(BASIC_FEATURES, f->dev.driver_features);
}

TEST_F(mmio, start_without_features)
{
	struct frontend *f = &self->f;

	set(f, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_DRIVER_OK);
	EXPECT_TRUE(frontend_needs_reset(f));
	EXPECT_EQ(VIRTIO_MMIO_INT_CONFIG, get(f, VIRTIO_MMIO_INTERRUPT_STATUS));
	EXPECT_EQ(1, f->notifies);
	/* Only a reset helps. */
	set(f, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	EXPECT_TRUE(frontend_needs_reset(f));
	set(f, VIRTIO_MMIO_STATUS, 0);
	EXPECT_EQ(0, get(f, VIRTIO_MMIO_STATUS));
	EXPECT_EQ(0, get(f, VIRTIO_MMIO_INTERRUPT_STATUS));
}

TEST_F(mmio, reset_forgets_everything)
{
	struct frontend *f = &self->f;

	ASSERT_TRUE(frontend_probe(f, 0, 0));
	set(f, VIRTIO_MMIO_STATUS, 0);
	EXPECT_EQ(0, get(f, VIRTIO_MMIO_STATUS));
	EXPECT_EQ(0, get(f, VIRTIO_MMIO_QUEUE_READY));
	EXPECT_EQ(0, f->dev.driver_features);
	EXPECT_EQ(0, f->dev.vq[0].num);
	EXPECT_EQ(0, f->dev.vq[0].desc_gpa);
	EXPECT_EQ(NULL, f->dev.vq[0].desc);
}

TEST_F(mmio, queue_registers)
{
	struct frontend *f = &self->f;

	EXPECT_EQ(VQ_NUM_MAX, get(f, VIRTIO_MMIO_QUEUE_NUM_MAX));
	set(f, VIRTIO_MMIO_QUEUE_SEL, 1);
	EXPECT_EQ(0, get(f, VIRTIO_MMIO_QUEUE_NUM_MAX));
	set(f, VIRTIO_MMIO_QUEUE_READY, 1);
	EXPECT_EQ(0, get(f, VIRTIO_MMIO_QUEUE_READY));
	set(f, VIRTIO_MMIO_QUEUE_SEL, 0xffffffff);
	EXPECT_EQ(0, get(f, VIRTIO_MMIO_QUEUE_NUM_MAX));
	set(f, VIRTIO_MMIO_QUEUE_NUM, 4);
	set(f, VIRTIO_MMIO_QUEUE_READY, 1);
	EXPECT_EQ(0, get(f, VIRTIO_MMIO_QUEUE_READY));
	EXPECT_FALSE(frontend_needs_reset(f));
}

/* Rings that were checked stay where they are until they are stopped. */
TEST_F(mmio, running_queue_stays)
{
	struct frontend *f = &self->f;

	ASSERT_TRUE(frontend_probe(f, 0, 0));
	frontend_queue(f, 0, 8, MEM_GPA + 0x8000);
	EXPECT_EQ(RING, f->dev.vq[0].num);
	EXPECT_EQ(MEM_GPA + USED, f->dev.vq[0].used_gpa);

	set(f, VIRTIO_MMIO_QUEUE_READY, 0);
	EXPECT_EQ(0, get(f, VIRTIO_MMIO_QUEUE_READY));
	frontend_queue(f, 0, 8, MEM_GPA + 0x8000);
	EXPECT_EQ(1, get(f, VIRTIO_MMIO_QUEUE_READY));
	EXPECT_EQ(8, f->dev.vq[0].num);
	EXPECT_FALSE(frontend_needs_reset(f));
}

TEST_F(mmio, queue_outside_the_region)
{
	static const __u64 bad[] = { 0, MEM_GPA + MEM_SIZE, MEM_GPA - 0x1000,
				     MEM_GPA | 1ULL << 40, -0x1000ULL };
	struct frontend *f = &self->f;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		ASSERT_TRUE(frontend_features(f, BASIC_FEATURES));
		frontend_queue(f, 0, RING, bad[i]);
		EXPECT_EQ(0, get(f, VIRTIO_MMIO_QUEUE_READY));
		EXPECT_TRUE(frontend_needs_reset(f));
	}
}

TEST_F(mmio, widths)
{
	struct frontend *f = &self->f;

	EXPECT_EQ(0, virtio_mmio_read(&f->dev, WINDOW, 1));
	EXPECT_EQ(0, virtio_mmio_read(&f->dev, WINDOW, 2));
	EXPECT_EQ(0, virtio_mmio_read(&f->dev, WINDOW, 8));
	EXPECT_EQ(0, virtio_mmio_read(&f->dev, WINDOW + 2, 4));
	virtio_mmio_write(&f->dev, WINDOW + VIRTIO_MMIO_STATUS, 1, 1);
	virtio_mmio_write(&f->dev, WINDOW + VIRTIO_MMIO_STATUS, 8, 1);
	EXPECT_EQ(0, get(f, VIRTIO_MMIO_STATUS));
}

/* Whatever is written, anywhere, with any width: no harm, and no answer lost */
TEST_F(mmio, every_offset)
{
	struct frontend *f = &self->f;
	unsigned int width;
	__u32 offset;

	for (offset = 0; offset < 0x200; offset++) {
		for (width = 1; width <= 8; width *= 2) {
			virtio_mmio_write(&f->dev, WINDOW + offset, width,
					  ~0ULL);
			virtio_mmio_read(&f->dev, WINDOW + offset, width);
		}
	}
	set(f, VIRTIO_MMIO_STATUS, 0);
	EXPECT_TRUE(frontend_probe(f, 0, 0));
}

TEST_F(mmio, random_numbers)
{
	static const __u8 zeroes[100];
	struct frontend *f = &self->f;
	__u32 len;

	ASSERT_TRUE(frontend_probe(f, 0, 0));
	add(f, DATA, 60, VRING_DESC_F_WRITE);
	add(f, DATA + 0x100, 40, VRING_DESC_F_WRITE);
	EXPECT_TRUE(submit(f, 0, &len));
	EXPECT_EQ(100, len);
	EXPECT_NE(0, memcmp(at(f, DATA), zeroes, 60));
	EXPECT_NE(0, memcmp(at(f, DATA + 0x100), zeroes, 40));
	EXPECT_EQ(0, memcmp(at(f, DATA + 60), zeroes, 100));
	EXPECT_EQ(0, memcmp(at(f, DATA + 0x100 + 40), zeroes, 100));
}

TEST_F(mmio, interrupt_and_acknowledge)
{
	struct frontend *f = &self->f;
	__u32 len;

	ASSERT_TRUE(frontend_probe(f, 0, 0));
	add(f, DATA, 4, VRING_DESC_F_WRITE);
	EXPECT_TRUE(submit(f, 0, &len));
	EXPECT_EQ(1, f->notifies);
	EXPECT_EQ(VIRTIO_MMIO_INT_VRING, get(f, VIRTIO_MMIO_INTERRUPT_STATUS));
	set(f, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_CONFIG);
	EXPECT_EQ(VIRTIO_MMIO_INT_VRING, get(f, VIRTIO_MMIO_INTERRUPT_STATUS));
	set(f, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
	EXPECT_EQ(0, get(f, VIRTIO_MMIO_INTERRUPT_STATUS));

	f->avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	add(f, DATA, 4, VRING_DESC_F_WRITE);
	EXPECT_TRUE(submit(f, 0, &len));
	EXPECT_EQ(1, f->notifies);
	EXPECT_EQ(0, get(f, VIRTIO_MMIO_INTERRUPT_STATUS));
}

/* One kick, many requests, one interrupt; a kick for nothing, none */
TEST_F(mmio, several_requests_per_kick)
{
	struct frontend *f = &self->f;
	unsigned int i;

	ASSERT_TRUE(frontend_probe(f, 0, 0));
	for (i = 0; i < RING; i++) {
		put_desc(f, i, MEM_GPA + DATA + 64 * i, i + 1,
			 VRING_DESC_F_WRITE, 0);
		offer(f, i);
	}
	set(f, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	EXPECT_EQ(RING, f->used->idx);
	for (i = 0; i < RING; i++) {
		EXPECT_EQ(i, f->used->ring[i].id);
		EXPECT_EQ(i + 1, f->used->ring[i].len);
	}
	EXPECT_EQ(1, f->notifies);
	set(f, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	EXPECT_EQ(1, f->notifies);
	EXPECT_EQ(2, f->dev.kicks);
}

TEST_F(mmio, kicks_that_do_nothing)
{
	struct frontend *f = &self->f;

	/* before the driver is ready */
	ASSERT_TRUE(frontend_features(f, BASIC_FEATURES));
	frontend_queue(f, 0, RING, MEM_GPA);
	put_desc(f, 0, MEM_GPA + DATA, 4, VRING_DESC_F_WRITE, 0);
	offer(f, 0);
	set(f, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	EXPECT_EQ(0, f->used->idx);

	/* of queues that do not exist */
	ASSERT_TRUE(frontend_probe(f, 0, 0));
	set(f, VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	set(f, VIRTIO_MMIO_QUEUE_NOTIFY, 0xffffffff);

	/* of a stopped queue */
	set(f, VIRTIO_MMIO_QUEUE_READY, 0);
	offer(f, 0);
	set(f, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	EXPECT_EQ(0, f->used->idx);
	EXPECT_EQ(0, f->notifies);
	EXPECT_FALSE(frontend_needs_reset(f));
}

TEST_F(mmio, hostile_index)
{
	struct frontend *f = &self->f;
	__u32 len;

	ASSERT_TRUE(frontend_probe(f, 0, 0));
	f->avail->idx = RING + 1;
	set(f, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	EXPECT_EQ(0, f->used->idx);
	EXPECT_TRUE(frontend_needs_reset(f));
	EXPECT_EQ(VIRTIO_MMIO_INT_CONFIG, get(f, VIRTIO_MMIO_INTERRUPT_STATUS));
	EXPECT_EQ(1, f->notifies);

	/* Nothing is served until the reset, and all is well after it. */
	f->avail->idx = 1;
	set(f, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	EXPECT_EQ(0, f->used->idx);
	ASSERT_TRUE(frontend_probe(f, 0, 0));
	add(f, DATA, 4, VRING_DESC_F_WRITE);
	EXPECT_TRUE(submit(f, 0, &len));
}

TEST_F(mmio, hostile_chain_after_good_ones)
{
	struct frontend *f = &self->f;

	ASSERT_TRUE(frontend_probe(f, 0, 0));
	put_desc(f, 0, MEM_GPA + DATA, 4, VRING_DESC_F_WRITE, 0);
	put_desc(f, 1, MEM_GPA + MEM_SIZE, 4, VRING_DESC_F_WRITE, 0);
	offer(f, 0);
	offer(f, 1);
	offer(f, 0);
	set(f, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	EXPECT_EQ(1, f->used->idx);
	EXPECT_TRUE(frontend_needs_reset(f));
}

/* A driver that an earlier VMM served learns that its device is not the same */
FIXTURE(restart)
{
	struct frontend f;
};

FIXTURE_SETUP(restart)
{
	ASSERT_TRUE(rng_create(&self->f.dev));
	ASSERT_TRUE(frontend_start(&self->f));
}

FIXTURE_TEARDOWN(restart)
{
}

TEST_F(restart, first_access_is_a_kick)
{
	struct frontend *f = &self->f;

	set(f, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	EXPECT_EQ(1, f->notifies);
	EXPECT_EQ(VIRTIO_MMIO_INT_CONFIG, get(f, VIRTIO_MMIO_INTERRUPT_STATUS));
	EXPECT_TRUE(frontend_needs_reset(f));
	EXPECT_TRUE(frontend_probe(f, 0, 0));
}

TEST_F(restart, first_access_asks_for_the_interrupt)
{
	struct frontend *f = &self->f;

	EXPECT_EQ(VIRTIO_MMIO_INT_CONFIG, get(f, VIRTIO_MMIO_INTERRUPT_STATUS));
	EXPECT_TRUE(frontend_needs_reset(f));
}

/* A driver that goes on regardless is refused where it looks for a refusal. */
TEST_F(restart, features_are_refused)
{
	struct frontend *f = &self->f;

	EXPECT_EQ(VIRTIO_CONFIG_S_NEEDS_RESET, get(f, VIRTIO_MMIO_STATUS));
	set(f, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	set(f, VIRTIO_MMIO_DRIVER_FEATURES, BASIC_FEATURES >> 32);
	set(f, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_FEATURES_OK);
	EXPECT_EQ(VIRTIO_CONFIG_S_NEEDS_RESET, get(f, VIRTIO_MMIO_STATUS));
}

TEST_F(restart, first_access_is_a_reset)
{
	struct frontend *f = &self->f;

	set(f, VIRTIO_MMIO_STATUS, 0);
	EXPECT_FALSE(frontend_needs_reset(f));
	EXPECT_EQ(0, f->notifies);
}

/* Output only, on the second queue; what lies in the first is left alone */
TEST(console)
{
	char path[] = "/tmp/bao-console-XXXXXX";
	int fd = mkstemp(path);
	struct frontend f = { .next = 0 };
	char buf[64] = "";
	__u32 len;

	ASSERT_LE(0, fd);
	ASSERT_TRUE(console_create(&f.dev, path));
	ASSERT_TRUE(frontend_start(&f));
	ASSERT_EQ(0x74726976, get(&f, VIRTIO_MMIO_MAGIC_VALUE));
	EXPECT_EQ(VIRTIO_ID_CONSOLE, get(&f, VIRTIO_MMIO_DEVICE_ID));

	ASSERT_TRUE(frontend_probe(&f, 0, 0));
	add(&f, DATA, 64, VRING_DESC_F_WRITE);
	EXPECT_FALSE(submit(&f, 0, &len));
	EXPECT_FALSE(frontend_needs_reset(&f));

	ASSERT_TRUE(frontend_probe(&f, 0, 1));
	memcpy(at(&f, DATA), "hello, ", 7);
	memcpy(at(&f, DATA + 64), "world\n", 6);
	add(&f, DATA, 7, 0);
	add(&f, DATA + 64, 6, 0);
	EXPECT_TRUE(submit(&f, 1, &len));
	EXPECT_EQ(0, len);
	EXPECT_EQ(13, pread(fd, buf, sizeof(buf), 0));
	EXPECT_STREQ("hello, world\n", buf);

	f.dev.ops->destroy(&f.dev);
	close(fd);
	unlink(path);
}

/* A full disk over here is no fault of the driver. */
TEST(console_that_cannot_write)
{
	struct frontend f = { .next = 0 };
	__u32 len;

	ASSERT_TRUE(console_create(&f.dev, "/dev/full"));
	ASSERT_TRUE(frontend_start(&f));
	ASSERT_TRUE(frontend_probe(&f, 0, 1));
	add(&f, DATA, 7, 0);
	EXPECT_TRUE(submit(&f, 1, &len));
	add(&f, DATA, 7, 0);
	EXPECT_TRUE(submit(&f, 1, &len));
	EXPECT_FALSE(frontend_needs_reset(&f));
	f.dev.ops->destroy(&f.dev);
}

TEST_HARNESS_MAIN
