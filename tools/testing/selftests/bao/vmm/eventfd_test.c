// SPDX-License-Identifier: GPL-2.0
/*
 * The sample VMM with ioeventfds and an irqfd, against a stand-in for the driver
 */
#include <kselftest_harness.h>

#include <linux/virtio_config.h>

#include "fake_bao.h"

#define DESC	FAKE_GPA
#define AVAIL	(FAKE_GPA + 0x1000)
#define USED	(FAKE_GPA + 0x2000)
#define DATA	(FAKE_GPA + 0x4000)
#define RING	8

#define BOTH	(BAO_FEATURE_IOEVENTFD | BAO_FEATURE_IRQFD)
#define ALL	(BOTH | BAO_FEATURE_IOVALUE)

static const __u32 ready = VIRTIO_CONFIG_S_ACKNOWLEDGE |
			   VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK;

FIXTURE(eventfd)
{
	struct backend b;
	char path[32];
	pthread_t thread;
};

FIXTURE_SETUP(eventfd)
{
	struct sigaction action = { .sa_handler = SIG_IGN };

	fake.features = BOTH;
	ASSERT_TRUE(fake_file(self->path));
	self->b.path = self->path;
	sigaction(SIGPIPE, &action, NULL);
}

FIXTURE_TEARDOWN(eventfd)
{
	if (self->b.mem.host)
		backend_close(&self->b);
	unlink(self->path);
}

#define SELF FIXTURE_DATA(eventfd)

static bool open_rng(SELF *self)
{
	return rng_create(&self->b.dev) && backend_open(&self->b);
}

static void set(struct backend *b, __u32 offset, __u32 value)
{
	virtio_mmio_write(&b->dev, FAKE_WINDOW + offset, 4, value);
}

/* What a driver does to begin, without the fake in between. */
static void probe(struct backend *b, __u32 queue)
{
	memset(b->mem.host, 0, 0x4000);
	set(b, VIRTIO_MMIO_STATUS, 0);
	set(b, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	set(b, VIRTIO_MMIO_DRIVER_FEATURES,
	    1 << (VIRTIO_F_VERSION_1 - 32) |
	    1 << (VIRTIO_F_ACCESS_PLATFORM - 32));
	set(b, VIRTIO_MMIO_STATUS, ready);
	set(b, VIRTIO_MMIO_QUEUE_SEL, queue);
	set(b, VIRTIO_MMIO_QUEUE_NUM, RING);
	set(b, VIRTIO_MMIO_QUEUE_DESC_LOW, DESC);
	set(b, VIRTIO_MMIO_QUEUE_AVAIL_LOW, AVAIL);
	set(b, VIRTIO_MMIO_QUEUE_USED_LOW, USED);
	set(b, VIRTIO_MMIO_QUEUE_READY, 1);
	set(b, VIRTIO_MMIO_STATUS, ready | VIRTIO_CONFIG_S_DRIVER_OK);
}

/* Offer @count requests, each a buffer of 4 bytes. */
static void offer(struct backend *b, unsigned int count, __u16 flags)
{
	struct vring_desc *desc = region_at(&b->mem, DESC, 16 * RING);
	struct vring_avail *avail = region_at(&b->mem, AVAIL, 4 + 2 * RING);
	unsigned int i;

	for (i = 0; i < count; i++) {
		desc[i] = (struct vring_desc){ DATA + 4 * i, 4, flags, 0 };
		avail->ring[(__u16)(avail->idx + i) % RING] = i;
	}
	__atomic_store_n(&avail->idx, avail->idx + count, __ATOMIC_RELEASE);
}

static __u16 used(struct backend *b)
{
	struct vring_used *ring = region_at(&b->mem, USED, 4);

	return __atomic_load_n(&ring->idx, __ATOMIC_ACQUIRE);
}

static void *run(void *arg)
{
	return (void *)(intptr_t)backend_serve(arg);
}

static void nothing(int sig)
{
}

static bool start(SELF *self)
{
	struct sigaction action = { .sa_handler = nothing };

	sigaction(SIGUSR1, &action, NULL);
	return !pthread_create(&self->thread, NULL, run, &self->b);
}

static bool stop(SELF *self)
{
	void *ret;

	backend_stop(&self->b);
	pthread_kill(self->thread, SIGUSR1);
	return !pthread_join(self->thread, &ret) && !ret;
}

/* Sleeps until the interrupt is raised by eventfd. */
static __u64 interrupts(SELF *self)
{
	struct pollfd p = { .fd = fake.irqfd, .events = POLLIN };
	eventfd_t count;

	poll(&p, 1, -1);
	return eventfd_read(fake.irqfd, &count) ? 0 : count;
}

TEST_F(eventfd, assigned_at_the_first_access)
{
	unsigned int i;

	ASSERT_TRUE(console_create(&self->b.dev, self->path));
	ASSERT_TRUE(backend_open(&self->b));
	EXPECT_EQ(1, fake.nr_irqfds);
	EXPECT_EQ(0, fake.nr_ioeventfds);
	fake_read(VIRTIO_MMIO_MAGIC_VALUE);
	fake_read(VIRTIO_MMIO_CONFIG);
	fake.idle_error = ENODEV;
	EXPECT_EQ(-ENODEV, backend_serve(&self->b));
	ASSERT_EQ(2, fake.nr_ioeventfds);
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(FAKE_WINDOW + 0x50, fake.ioeventfds[i].addr);
		EXPECT_EQ(4, fake.ioeventfds[i].len);
		EXPECT_EQ(i, fake.ioeventfds[i].data);
		EXPECT_EQ(self->b.dev.kick_fd[i], fake.ioeventfds[i].fd);
	}
	EXPECT_NE(fake.ioeventfds[0].fd, fake.ioeventfds[1].fd);
}

TEST_F(eventfd, kick_is_no_request)
{
	ASSERT_TRUE(open_rng(self));
	fake_read(VIRTIO_MMIO_MAGIC_VALUE);
	fake.per_call = 1;
	fake_write(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	fake_read(VIRTIO_MMIO_STATUS);
	probe(&self->b, 0);
	offer(&self->b, 3, VRING_DESC_F_WRITE);
	ASSERT_TRUE(start(self));
	EXPECT_EQ(1, interrupts(self));
	EXPECT_EQ(3, used(&self->b));
	ASSERT_TRUE(stop(self));
	EXPECT_EQ(1, fake.kicks);
	EXPECT_EQ(1, self->b.dev.kicks);
	EXPECT_EQ(2, self->b.requests);
	EXPECT_EQ(1, self->b.notifies);
	EXPECT_EQ(0, fake.notifies);
}

/* It was in the queue before the window was known. */
TEST_F(eventfd, kick_that_is_a_request)
{
	ASSERT_TRUE(open_rng(self));
	fake_write(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	fake.idle_error = ENODEV;
	probe(&self->b, 0);
	offer(&self->b, 1, VRING_DESC_F_WRITE);
	EXPECT_EQ(-ENODEV, backend_serve(&self->b));
	EXPECT_EQ(1, fake.nr_ioeventfds);
	EXPECT_EQ(0, fake.kicks);
	EXPECT_EQ(1, self->b.requests);
	EXPECT_EQ(1, used(&self->b));
	EXPECT_EQ(1, interrupts(self));
}

/* A queue that does not exist has no ioeventfd, and does no harm. */
TEST_F(eventfd, kick_of_no_queue)
{
	ASSERT_TRUE(open_rng(self));
	fake.per_call = 1;
	fake_read(VIRTIO_MMIO_MAGIC_VALUE);
	fake_write(VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	fake_write(VIRTIO_MMIO_QUEUE_NOTIFY, 0xffffffff);
	fake.idle_error = ENODEV;
	EXPECT_EQ(-ENODEV, backend_serve(&self->b));
	EXPECT_EQ(3, self->b.requests);
	EXPECT_EQ(0, self->b.dev.kicks);
}

/* Falls back to requests and NOTIFY, each for itself. */
static void check_fallback(struct __test_metadata *_metadata, SELF *self,
			   unsigned int kicks, unsigned int notifies)
{
	ASSERT_TRUE(open_rng(self));
	fake.per_call = 1;
	fake_read(VIRTIO_MMIO_MAGIC_VALUE);
	fake_write(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	fake.idle_error = ENODEV;
	probe(&self->b, 0);
	offer(&self->b, 1, VRING_DESC_F_WRITE);
	EXPECT_EQ(-ENODEV, backend_serve(&self->b));
	EXPECT_EQ(1, used(&self->b));
	EXPECT_EQ(1, self->b.notifies);
	EXPECT_EQ(kicks, fake.kicks);
	EXPECT_EQ(notifies, fake.notifies);
}

TEST_F(eventfd, driver_without)
{
	fake.features = 0;
	check_fallback(_metadata, self, 0, 1);
}

TEST_F(eventfd, driver_without_irqfd)
{
	fake.features = BAO_FEATURE_IOEVENTFD;
	check_fallback(_metadata, self, 1, 1);
}

TEST_F(eventfd, driver_without_ioeventfd)
{
	fake.features = BAO_FEATURE_IRQFD;
	check_fallback(_metadata, self, 0, 0);
}

TEST_F(eventfd, switched_off)
{
	self->b.no_eventfd = true;
	check_fallback(_metadata, self, 0, 1);
	EXPECT_EQ(0, fake.nr_irqfds);
	EXPECT_EQ(0, fake.nr_ioeventfds);
}

TEST_F(eventfd, driver_refuses)
{
	fake.ioeventfd_error = ENOSPC;
	fake.irqfd_error = ENOSPC;
	check_fallback(_metadata, self, 0, 1);
}

/* An interrupt of a queue passes without the VMM, once the driver runs. */
TEST_F(eventfd, interrupt_is_no_request)
{
	struct fake_request *before, *after;

	fake.features = ALL;
	fake.per_call = 1;
	fake.idle_error = ENODEV;
	ASSERT_TRUE(open_rng(self));
	fake_read(VIRTIO_MMIO_MAGIC_VALUE);
	before = fake_read(VIRTIO_MMIO_INTERRUPT_STATUS);
	EXPECT_EQ(-ENODEV, backend_serve(&self->b));
	EXPECT_EQ(FAKE_WINDOW + VIRTIO_MMIO_INTERRUPT_STATUS,
		  fake.iovalue.addr);
	EXPECT_EQ(4, fake.iovalue.len);
	EXPECT_EQ(0, before->value);

	probe(&self->b, 0);
	after = fake_read(VIRTIO_MMIO_INTERRUPT_STATUS);
	fake_write(VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
	EXPECT_EQ(-ENODEV, backend_serve(&self->b));
	EXPECT_EQ(VIRTIO_MMIO_INT_VRING, after->value);
	EXPECT_EQ(1, self->b.requests);
	EXPECT_EQ(1, fake.kicks);
	EXPECT_EQ(2, fake.loads);

	set(&self->b, VIRTIO_MMIO_STATUS, 0);
	EXPECT_EQ(0, fake.iovalue.value);
}

/* One of the configuration does not, for the VMM must know when it is seen. */
TEST_F(eventfd, status_follows_the_device)
{
	__u32 both = VIRTIO_MMIO_INT_VRING | VIRTIO_MMIO_INT_CONFIG;

	fake.features = ALL;
	ASSERT_TRUE(open_rng(self));
	fake_read(VIRTIO_MMIO_MAGIC_VALUE);
	fake.idle_error = ENODEV;
	EXPECT_EQ(-ENODEV, backend_serve(&self->b));
	EXPECT_EQ(1, interrupts(self));
	probe(&self->b, 0);
	EXPECT_EQ(VIRTIO_MMIO_INT_VRING, fake.iovalue.value);

	/* A ring that holds more than it has room for: the device needs a reset. */
	offer(&self->b, 1, VRING_DESC_F_WRITE);
	((struct vring_avail *)region_at(&self->b.mem, AVAIL, 4))->idx = 1000;
	virtio_kick(&self->b.dev, 0);
	EXPECT_EQ(both, fake.iovalue.value);
	EXPECT_EQ(1, interrupts(self));

	fake_write(VIRTIO_MMIO_INTERRUPT_ACK, both);
	EXPECT_EQ(-ENODEV, backend_serve(&self->b));
	EXPECT_EQ(2, self->b.requests);
	EXPECT_EQ(VIRTIO_MMIO_INT_VRING, fake.iovalue.value);
}

/* Without it the device tells the truth, request by request. */
static void check_status_requests(struct __test_metadata *_metadata, SELF *self)
{
	struct fake_request *load[3];

	ASSERT_TRUE(open_rng(self));
	fake.per_call = 1;
	load[0] = fake_read(VIRTIO_MMIO_INTERRUPT_STATUS);
	fake.idle_error = ENODEV;
	EXPECT_EQ(-ENODEV, backend_serve(&self->b));
	probe(&self->b, 0);
	offer(&self->b, 1, VRING_DESC_F_WRITE);
	virtio_kick(&self->b.dev, 0);
	load[1] = fake_read(VIRTIO_MMIO_INTERRUPT_STATUS);
	fake_write(VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
	load[2] = fake_read(VIRTIO_MMIO_INTERRUPT_STATUS);
	EXPECT_EQ(-ENODEV, backend_serve(&self->b));
	/* The first access of all says that somebody was here before. */
	EXPECT_EQ(VIRTIO_MMIO_INT_CONFIG, load[0]->value);
	EXPECT_EQ(VIRTIO_MMIO_INT_VRING, load[1]->value);
	EXPECT_EQ(0, load[2]->value);
	EXPECT_EQ(4, self->b.requests);
	EXPECT_EQ(0, fake.loads);
	EXPECT_EQ(0, fake.kicks);
}

TEST_F(eventfd, driver_without_iovalue)
{
	check_status_requests(_metadata, self);
}

TEST_F(eventfd, driver_refuses_iovalue)
{
	fake.features = ALL;
	fake.iovalue_error = ENOSPC;
	check_status_requests(_metadata, self);
}

/* What changes while it is refused is shown as soon as it is not. */
TEST_F(eventfd, status_is_not_forgotten)
{
	fake.features = ALL;
	fake.idle_error = ENODEV;
	ASSERT_TRUE(open_rng(self));
	fake_read(VIRTIO_MMIO_MAGIC_VALUE);
	EXPECT_EQ(-ENODEV, backend_serve(&self->b));
	fake.iovalue_error = ENODEV;
	probe(&self->b, 0);
	EXPECT_EQ(0, fake.iovalue.value);
	fake.iovalue_error = 0;
	virtio_need_reset(&self->b.dev, "the test says so");
	EXPECT_EQ(VIRTIO_MMIO_INT_VRING | VIRTIO_MMIO_INT_CONFIG,
		  fake.iovalue.value);
}

/*
 * While a queue waits for something slow, here a pipe that is full, the
 * registers answer.
 */
TEST_F(eventfd, registers_answer_meanwhile)
{
	struct fake_request *last;
	char page[4096];
	int fds[2];

	ASSERT_EQ(0, pipe2(fds, O_NONBLOCK));
	while (write(fds[1], "", 1) == 1)
		;
	fcntl(fds[1], F_SETFL, 0);
	snprintf(page, sizeof(page), "/dev/fd/%d", fds[1]);
	ASSERT_TRUE(console_create(&self->b.dev, page));
	ASSERT_TRUE(backend_open(&self->b));
	fake.per_call = 1;
	fake_read(VIRTIO_MMIO_MAGIC_VALUE);
	fake_write(VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	last = fake_read(VIRTIO_MMIO_DEVICE_ID);
	probe(&self->b, 1);
	offer(&self->b, 1, 0);
	ASSERT_TRUE(start(self));
	while (!__atomic_load_n(&last->completed, __ATOMIC_ACQUIRE))
		sched_yield();
	EXPECT_EQ(0, used(&self->b));
	while (read(fds[0], page, sizeof(page)) > 0)
		;
	EXPECT_EQ(1, interrupts(self));
	EXPECT_EQ(1, used(&self->b));
	EXPECT_TRUE(stop(self));
}

static __u16 used_flags(struct backend *b)
{
	struct vring_used *ring = region_at(&b->mem, USED, 4);

	return __atomic_load_n(&ring->flags, __ATOMIC_ACQUIRE);
}

/*
 * While a queue is served its driver need not kick. What it adds then is served
 * all the same. The first request waits for a pipe that is full.
 */
TEST_F(eventfd, no_kicks_meanwhile)
{
	char page[4096];
	int fds[2];

	ASSERT_EQ(0, pipe2(fds, O_NONBLOCK));
	while (write(fds[1], "", 1) == 1)
		;
	fcntl(fds[1], F_SETFL, 0);
	snprintf(page, sizeof(page), "/dev/fd/%d", fds[1]);
	ASSERT_TRUE(console_create(&self->b.dev, page));
	ASSERT_TRUE(backend_open(&self->b));
	probe(&self->b, 1);
	offer(&self->b, 1, 0);
	ASSERT_TRUE(start(self));
	eventfd_write(self->b.dev.kick_fd[1], 1);
	/* From then on the first request is all that this kick stands for. */
	while (!__atomic_load_n(&self->b.dev.vq[1].last_avail, __ATOMIC_ACQUIRE))
		sched_yield();
	EXPECT_EQ(VRING_USED_F_NO_NOTIFY, used_flags(&self->b));
	offer(&self->b, 2, 0);
	EXPECT_EQ(0, used(&self->b));

	while (used(&self->b) < 3)
		while (read(fds[0], page, sizeof(page)) > 0)
			;
	EXPECT_TRUE(stop(self));
	EXPECT_EQ(3, used(&self->b));
	EXPECT_EQ(0, used_flags(&self->b));
	EXPECT_LE(2, self->b.dev.kicks);
}

/*
 * Reset by one thread, served by the other: no ring is used after its reset. The
 * thread of the requests has nothing to do meanwhile.
 */
TEST_F(eventfd, reset_against_kicks)
{
	unsigned int i;

	ASSERT_TRUE(open_rng(self));
	ASSERT_TRUE(start(self));
	for (i = 0; i < 2000; i++) {
		probe(&self->b, 0);
		offer(&self->b, RING, VRING_DESC_F_WRITE);
		eventfd_write(self->b.dev.kick_fd[0], 1);
		if (i % 3 == 1)
			sched_yield();
		if (i % 3 == 2)
			ASSERT_NE(0, interrupts(self));
		if (i % 2)
			set(&self->b, VIRTIO_MMIO_QUEUE_READY, 0);
		set(&self->b, VIRTIO_MMIO_STATUS, 0);
		/* From here on the driver may do with the memory as it likes. */
		memset(self->b.mem.host, 0xff, 0x4000);
		eventfd_write(self->b.dev.kick_fd[0], 1);
	}
	EXPECT_TRUE(stop(self));
	EXPECT_EQ(0, self->b.dev.complained);
}

/* What was announced before the end is served, whatever the threads do. */
TEST_F(eventfd, stop_against_kicks)
{
	unsigned int i;

	ASSERT_TRUE(open_rng(self));
	for (i = 0; i < 1000; i++) {
		probe(&self->b, 0);
		offer(&self->b, 1, VRING_DESC_F_WRITE);
		__atomic_store_n(&self->b.stop, false, __ATOMIC_RELEASE);
		fcntl(self->b.fd, F_SETFL, O_RDWR);
		ASSERT_TRUE(start(self));
		if (i % 2)
			sched_yield();
		eventfd_write(self->b.dev.kick_fd[0], 1);
		ASSERT_TRUE(stop(self));
		ASSERT_EQ(1, used(&self->b));
	}
}

/* Nothing is left open. */
TEST_F(eventfd, no_descriptor_leaks)
{
	unsigned int i;
	int fd = dup(0);

	close(fd);
	for (i = 0; i < 10; i++) {
		struct backend b = { .path = self->path };

		ASSERT_TRUE(rng_create(&b.dev));
		ASSERT_TRUE(backend_open(&b));
		backend_close(&b);
	}
	EXPECT_EQ(fd, dup(0));
}

TEST_HARNESS_MAIN
