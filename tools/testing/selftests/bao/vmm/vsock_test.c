// SPDX-License-Identifier: GPL-2.0
/*
 * The sample VMM's virtio-vsock device: what it tells vhost, and when
 */
#include <kselftest_harness.h>

#include <sys/eventfd.h>

#include <linux/virtio_ids.h>

#include "fake_vhost.h"

FIXTURE(vsock)
{
	struct frontend f;
};

FIXTURE_SETUP(vsock)
{
	unsigned int i;

	ASSERT_TRUE(vsock_create(&self->f.dev, "42"));
	ASSERT_TRUE(frontend_start(&self->f));
	for (i = 0; i < 3; i++)
		self->f.dev.kick_fd[i] = eventfd(0, EFD_NONBLOCK);
	self->f.dev.call_fd = eventfd(0, EFD_NONBLOCK);
	EXPECT_EQ(0x74726976, get(&self->f, VIRTIO_MMIO_MAGIC_VALUE));
}

FIXTURE_TEARDOWN(vsock)
{
	self->f.dev.ops->destroy(&self->f.dev);
}

static bool start(struct frontend *f, __u64 features, unsigned int queues)
{
	unsigned int i;

	memset(f->mem.host, 0, DATA);
	if (!frontend_features(f, BASIC_FEATURES | features))
		return false;
	for (i = 0; i < queues; i++)
		frontend_queue(f, i, RING, MEM_GPA + 0x4000 * i);
	set(f, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE |
				   VIRTIO_CONFIG_S_DRIVER |
				   VIRTIO_CONFIG_S_FEATURES_OK |
				   VIRTIO_CONFIG_S_DRIVER_OK);
	return !frontend_needs_reset(f);
}

TEST_F(vsock, identity)
{
	struct frontend *f = &self->f;

	EXPECT_TRUE(vhost.owned);
	EXPECT_EQ(42, vhost.cid);
	EXPECT_EQ(VIRTIO_ID_VSOCK, get(f, VIRTIO_MMIO_DEVICE_ID));
	EXPECT_EQ(42, get(f, VIRTIO_MMIO_CONFIG));
	EXPECT_EQ(0, get(f, VIRTIO_MMIO_CONFIG + 4));
	EXPECT_EQ(42, virtio_mmio_read(&f->dev, WINDOW + VIRTIO_MMIO_CONFIG,
				       8));
	set(f, VIRTIO_MMIO_QUEUE_SEL, 2);
	EXPECT_NE(0, get(f, VIRTIO_MMIO_QUEUE_NUM_MAX));
	set(f, VIRTIO_MMIO_QUEUE_SEL, 3);
	EXPECT_EQ(0, get(f, VIRTIO_MMIO_QUEUE_NUM_MAX));
	EXPECT_FALSE(vhost.running);
}

/* What vhost has and this device wants, and nothing else */
TEST_F(vsock, features)
{
	struct frontend *f = &self->f;

	set(f, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	EXPECT_EQ(SEQPACKET | EVENT_IDX, get(f, VIRTIO_MMIO_DEVICE_FEATURES));
	set(f, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	EXPECT_EQ(BASIC_FEATURES >> 32, get(f, VIRTIO_MMIO_DEVICE_FEATURES));
}

TEST_F(vsock, handed_over)
{
	struct frontend *f = &self->f;
	unsigned int i;

	ASSERT_TRUE(start(f, SEQPACKET, 3));
	EXPECT_TRUE(vhost.running);
	/* With ACCESS_PLATFORM vhost would take no guest-physical address. */
	EXPECT_EQ(_BITULL(VIRTIO_F_VERSION_1) | SEQPACKET, vhost.features);
	EXPECT_EQ(MEM_GPA, vhost.region.guest_phys_addr);
	EXPECT_EQ(MEM_SIZE, vhost.region.memory_size);
	EXPECT_EQ((uintptr_t)f->mem.host, vhost.region.userspace_addr);
	for (i = 0; i < 2; i++) {
		uintptr_t ring = (uintptr_t)f->mem.host + 0x4000 * i;

		EXPECT_EQ(RING, vhost.num[i].num);
		EXPECT_EQ(ring + DESC, vhost.addr[i].desc_user_addr);
		EXPECT_EQ(ring + AVAIL, vhost.addr[i].avail_user_addr);
		EXPECT_EQ(ring + USED, vhost.addr[i].used_user_addr);
		EXPECT_EQ(f->dev.kick_fd[i], vhost.kick[i]);
		EXPECT_EQ(f->dev.call_fd, vhost.call[i]);
	}
	EXPECT_EQ(0, f->notifies);
}

/* Every interrupt may be for a queue, also after one was acknowledged. */
TEST_F(vsock, interrupt_status)
{
	struct frontend *f = &self->f;

	ASSERT_TRUE(start(f, 0, 3));
	EXPECT_EQ(1, get(f, VIRTIO_MMIO_INTERRUPT_STATUS));
	set(f, VIRTIO_MMIO_INTERRUPT_ACK, 1);
	EXPECT_EQ(1, get(f, VIRTIO_MMIO_INTERRUPT_STATUS));
}

/* A notification that came as a request must not be lost. */
TEST_F(vsock, kick_that_is_a_request)
{
	struct frontend *f = &self->f;
	eventfd_t count = 0;

	ASSERT_TRUE(start(f, 0, 3));
	set(f, VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	set(f, VIRTIO_MMIO_QUEUE_NOTIFY, 3);
	EXPECT_EQ(0, eventfd_read(f->dev.kick_fd[1], &count));
	EXPECT_EQ(1, count);
	EXPECT_EQ(-1, eventfd_read(f->dev.kick_fd[0], &count));
}

TEST_F(vsock, stopped_by_reset)
{
	struct frontend *f = &self->f;

	ASSERT_TRUE(start(f, 0, 3));
	set(f, VIRTIO_MMIO_STATUS, 0);
	EXPECT_FALSE(vhost.running);
	ASSERT_TRUE(start(f, 0, 3));
	EXPECT_TRUE(vhost.running);
	EXPECT_EQ(2, vhost.starts);
}

TEST_F(vsock, stopped_with_a_queue)
{
	struct frontend *f = &self->f;

	ASSERT_TRUE(start(f, 0, 3));
	set(f, VIRTIO_MMIO_QUEUE_SEL, 1);
	set(f, VIRTIO_MMIO_QUEUE_READY, 0);
	EXPECT_FALSE(vhost.running);
}

/* A driver at fault loses the service of vhost too. */
TEST_F(vsock, stopped_by_a_fault)
{
	struct frontend *f = &self->f;

	ASSERT_TRUE(start(f, 0, 2));
	frontend_queue(f, 2, RING, 0);
	EXPECT_TRUE(frontend_needs_reset(f));
	EXPECT_FALSE(vhost.running);
	EXPECT_EQ(3, get(f, VIRTIO_MMIO_INTERRUPT_STATUS));
}

/* Not at the second DRIVER_OK, not without features, not without queues */
TEST_F(vsock, not_started)
{
	struct frontend *f = &self->f;

	EXPECT_FALSE(start(f, 0, 1));
	EXPECT_FALSE(start(f, 1ULL << 63, 3));
	set(f, VIRTIO_MMIO_STATUS, 0);
	set(f, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_DRIVER_OK);
	EXPECT_TRUE(frontend_needs_reset(f));
	EXPECT_EQ(0, vhost.starts);
	ASSERT_TRUE(start(f, 0, 2));
	set(f, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_DRIVER_OK);
	EXPECT_EQ(1, vhost.starts);
}

/* Whatever vhost refuses, the driver is told, and can try again. */
TEST_F(vsock, vhost_refuses)
{
	static const unsigned long cmds[] = {
		VHOST_SET_FEATURES, VHOST_SET_MEM_TABLE, VHOST_SET_VRING_NUM,
		VHOST_SET_VRING_BASE, VHOST_SET_VRING_ADDR,
		VHOST_SET_VRING_KICK, VHOST_SET_VRING_CALL,
		VHOST_VSOCK_SET_RUNNING,
	};
	unsigned int i;

	vhost.error = EFAULT;
	for (i = 0; i < ARRAY_SIZE(cmds); i++) {
		vhost.fails = cmds[i];
		EXPECT_FALSE(start(&self->f, 0, 3));
		EXPECT_FALSE(vhost.running);
	}
	vhost.fails = 0;
	EXPECT_TRUE(start(&self->f, 0, 3));
}

TEST(wrong_cid)
{
	static const char * const wrong[] = {
		"", "x", "3x", "-3", "+3", " 3", "0", "2", "4294967295",
		"99999999999999999999",
	};
	struct virtio_dev dev = { };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++)
		EXPECT_FALSE(vsock_create(&dev, wrong[i]));
	EXPECT_FALSE(vhost.owned);
}

TEST(no_vhost)
{
	static const unsigned long cmds[] = {
		VHOST_SET_OWNER, VHOST_GET_FEATURES, VHOST_VSOCK_SET_GUEST_CID,
	};
	struct virtio_dev dev = { };
	unsigned int i;

	vhost.open_error = ENOENT;
	EXPECT_FALSE(vsock_create(&dev, "3"));
	vhost.open_error = 0;
	vhost.error = EADDRINUSE;
	for (i = 0; i < ARRAY_SIZE(cmds); i++) {
		vhost.fails = cmds[i];
		EXPECT_FALSE(vsock_create(&dev, "3"));
	}
}

TEST_HARNESS_MAIN
