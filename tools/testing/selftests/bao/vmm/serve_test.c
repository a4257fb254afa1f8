// SPDX-License-Identifier: GPL-2.0
/*
 * The sample VMM's loop around the SERVE call, against a stand-in for the
 * driver
 */
#include <kselftest_harness.h>

#include <linux/virtio_ids.h>

#include "fake_bao.h"

FIXTURE(serve)
{
	struct backend b;
	char path[32];
};

FIXTURE_SETUP(serve)
{
	ASSERT_TRUE(fake_file(self->path));
	self->b.path = self->path;
	ASSERT_TRUE(rng_create(&self->b.dev));
	ASSERT_TRUE(backend_open(&self->b));
	/* Once all requests are served the backend goes away. */
	fake.idle_error = ENODEV;
}

FIXTURE_TEARDOWN(serve)
{
	backend_close(&self->b);
	unlink(self->path);
}

static void fill(unsigned int count)
{
	fake_read(VIRTIO_MMIO_MAGIC_VALUE);
	while (fake.count < count)
		fake_read(fake.count % 2 ? VIRTIO_MMIO_VERSION :
					   VIRTIO_MMIO_DEVICE_ID);
}

static unsigned int completed(void)
{
	unsigned int i, n = 0;

	for (i = 0; i < fake.count; i++)
		n += fake.requests[i].completed == 1;
	return n;
}

TEST_F(serve, opens)
{
	EXPECT_EQ(FAKE_GPA, self->b.mem.gpa);
	EXPECT_EQ(FAKE_SIZE, self->b.mem.size);
	self->b.mem.host[FAKE_SIZE - 1] = 1;
}

/* One system call per request: it completes one and fetches the next. */
TEST_F(serve, one_call_per_request)
{
	fake.per_call = 1;
	fill(20);
	EXPECT_EQ(-ENODEV, backend_serve(&self->b));
	EXPECT_EQ(21, fake.serves);
	EXPECT_EQ(20, completed());
	EXPECT_EQ(20, self->b.requests);
	EXPECT_EQ(0x74726976, fake.requests[0].value);
	EXPECT_EQ(2, fake.requests[1].value);
	EXPECT_EQ(VIRTIO_ID_RNG, fake.requests[2].value);
}

TEST_F(serve, busy_poll)
{
	fill(3);
	EXPECT_EQ(-ENODEV, backend_serve(&self->b));
	EXPECT_EQ(0, fake.busy_poll_us);
	self->b.busy_poll_us = 50;
	EXPECT_EQ(-ENODEV, backend_serve(&self->b));
	EXPECT_EQ(50, fake.busy_poll_us);
}

TEST_F(serve, many_at_a_time)
{
	unsigned int i;

	fill(40);
	EXPECT_EQ(-ENODEV, backend_serve(&self->b));
	EXPECT_GE(4, fake.serves);
	EXPECT_EQ(40, completed());
	for (i = 1; i < 40; i++)
		EXPECT_EQ(i % 2 ? 2 : VIRTIO_ID_RNG, fake.requests[i].value);
}

TEST_F(serve, notifies)
{
	/* The first access is not one that a driver begins with. */
	struct fake_request *r = fake_read(VIRTIO_MMIO_STATUS);

	r->req.flags = BAO_REQUEST_REDELIVERED;
	EXPECT_EQ(-ENODEV, backend_serve(&self->b));
	EXPECT_EQ(64, r->value);
	/* One to find out whether there is a driver, one since it must reset */
	EXPECT_EQ(2, fake.notifies);
	EXPECT_EQ(2, self->b.notifies);
}

/* A driver that waits for its interrupt kicks nobody and accesses nothing. */
TEST_F(serve, interrupt_without_an_access)
{
	EXPECT_EQ(-ENODEV, backend_serve(&self->b));
	EXPECT_EQ(1, fake.notifies);

	/* Not one that this VMM knows. */
	fake_read(VIRTIO_MMIO_MAGIC_VALUE);
	EXPECT_EQ(-ENODEV, backend_serve(&self->b));
	EXPECT_EQ(2, fake.notifies);
	EXPECT_EQ(-ENODEV, backend_serve(&self->b));
	EXPECT_EQ(2, fake.notifies);
}

TEST_F(serve, notify_that_fails)
{
	fake.notify_error = EIO;
	fake_read(VIRTIO_MMIO_STATUS);
	EXPECT_EQ(-ENODEV, backend_serve(&self->b));
	EXPECT_EQ(1, completed());
	EXPECT_EQ(0, self->b.notifies);
}

/* A passing refusal costs nothing. */
TEST_F(serve, refused_once)
{
	fill(3);
	fake.requests[1].errors[0] = EIO;
	EXPECT_EQ(-ENODEV, backend_serve(&self->b));
	EXPECT_EQ(3, completed());
	EXPECT_EQ(2, fake.requests[1].attempts);
}

/* One that the hypervisor has forgotten does not hold up the others. */
TEST_F(serve, refused_and_lost)
{
	fill(3);
	fake.requests[1].errors[0] = EIO;
	fake.requests[1].errors[1] = ENOENT;
	EXPECT_EQ(-ENODEV, backend_serve(&self->b));
	EXPECT_EQ(2, completed());
	EXPECT_EQ(1, fake.requests[2].completed);
}

TEST_F(serve, refused_for_good)
{
	unsigned int i;

	fill(5);
	for (i = 1; i < 4; i++) {
		fake.requests[i].errors[0] = EIO;
		fake.requests[i].errors[1] = EIO;
	}
	EXPECT_EQ(-ENODEV, backend_serve(&self->b));
	EXPECT_EQ(2, completed());
	for (i = 1; i < 4; i++)
		EXPECT_EQ(2, fake.requests[i].attempts);
}

TEST_F(serve, unknown_to_the_driver)
{
	fill(3);
	fake.requests[0].errors[0] = ENOENT;
	EXPECT_EQ(-ENODEV, backend_serve(&self->b));
	EXPECT_EQ(2, completed());
	EXPECT_EQ(1, fake.requests[0].attempts);
}

TEST_F(serve, other_errors_end_it)
{
	fake.idle_error = EFAULT;
	EXPECT_EQ(-EFAULT, backend_serve(&self->b));
	EXPECT_EQ(1, fake.serves);
}

static void *run(void *arg)
{
	return (void *)(intptr_t)backend_serve(arg);
}

static void nothing(int sig)
{
}

/*
 * To stop a thread that sleeps, that is about to, and that is at work. Where
 * the signal finds it is up to the scheduler, so there are many attempts.
 */
TEST_F(serve, stop)
{
	struct sigaction action = { .sa_handler = nothing };
	pthread_t thread;
	unsigned int i;
	void *ret;

	sigaction(SIGUSR1, &action, NULL);
	for (i = 0; i < 3000; i++) {
		memset(&fake, 0, sizeof(fake));
		fake.busy = i % 3 == 1;
		if (i % 3 == 2)
			fill(i % 30 + 1);
		__atomic_store_n(&self->b.stop, false, __ATOMIC_RELEASE);
		fcntl(self->b.fd, F_SETFL, O_RDWR);
		ASSERT_EQ(0, pthread_create(&thread, NULL, run, &self->b));
		if (i % 2)
			sched_yield();
		backend_stop(&self->b);
		pthread_kill(thread, SIGUSR1);
		ASSERT_EQ(0, pthread_join(thread, &ret));
		ASSERT_EQ(NULL, ret);
		/* Nothing is left half done. */
		if (!fake.busy)
			ASSERT_EQ(fake.fetched, completed());
	}
}

/* What was fetched is completed, and nothing more is fetched. */
TEST_F(serve, stop_with_requests_fetched)
{
	fill(40);
	fake.stop = &self->b;
	EXPECT_EQ(0, backend_serve(&self->b));
	EXPECT_EQ(2, fake.serves);
	EXPECT_GT(40, fake.fetched);
	EXPECT_EQ(fake.fetched, completed());
}

/* A signal that means nothing is no reason to stop. */
TEST_F(serve, interrupted)
{
	struct sigaction action = { .sa_handler = nothing };
	pthread_t thread;
	unsigned int i;
	void *ret;

	sigaction(SIGUSR1, &action, NULL);
	fake.idle_error = 0;
	ASSERT_EQ(0, pthread_create(&thread, NULL, run, &self->b));
	for (i = 0; i < 100; i++) {
		pthread_kill(thread, SIGUSR1);
		sched_yield();
	}
	EXPECT_EQ(EBUSY, pthread_tryjoin_np(thread, &ret));
	backend_stop(&self->b);
	pthread_kill(thread, SIGUSR1);
	EXPECT_EQ(0, pthread_join(thread, &ret));
	EXPECT_EQ(NULL, ret);
}

TEST(errors_of_open)
{
	struct backend b = { .path = "/nonexistent/backend0" };

	EXPECT_FALSE(backend_open(&b));
	b.path = "/tmp";
	EXPECT_FALSE(backend_open(&b));
}

TEST_HARNESS_MAIN
