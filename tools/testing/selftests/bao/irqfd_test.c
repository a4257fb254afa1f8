// SPDX-License-Identifier: GPL-2.0
/*
 * Interrupts by eventfd: a signal is one NOTIFY, made by whoever signals, and
 * an irqfd ends when it is removed and when either of its two files is closed
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>

#include "../kselftest_harness.h"
#include "event_util.h"

#define KICK		(BAO_ADDR + 0x10)
#define DEASSIGN	BAO_IRQFD_DEASSIGN

FIXTURE(irqfd) {
	int fd;
	int ev[3];
};

FIXTURE_SETUP(irqfd)
{
	const char *why = bao_begin(1);

	if (why)
		SKIP(return, "%s", why);
	self->fd = bao_open(0, O_RDWR | O_NONBLOCK);
	ASSERT_LE(0, self->fd);
	ASSERT_TRUE(bao_eventfds(self->ev, 3));
}

FIXTURE_TEARDOWN(irqfd)
{
	for (int i = 0; i < 3; i++)
		close(self->ev[i]);
	close(self->fd);
	if (!bao_is_bound())
		EXPECT_EQ(0, bao_bind(bao_device()));
}

static u64 notifies(void)
{
	return bed_count(0, BED_CNT_NOTIFY);
}

TEST_F(irqfd, signal_is_one_notify)
{
	ASSERT_EQ(0, bao_irqfd(self->fd, self->ev[0], 0));
	EXPECT_EQ(0, notifies());
	/* No thread is on the way, so there is nothing to wait for. */
	for (int i = 1; i <= 50; i++) {
		ASSERT_EQ(0, eventfd_write(self->ev[0], i));
		ASSERT_EQ(i, notifies());
		EXPECT_EQ(0, bao_signals(self->ev[0], 0));
	}
	EXPECT_EQ(0, bed_count(0, BED_CNT_ASK_EMPTY));
	EXPECT_EQ(0, bed_completions(0));
	EXPECT_EQ(50, notifies());
}

TEST_F(irqfd, reading_is_no_signal)
{
	ASSERT_EQ(0, bao_irqfd(self->fd, self->ev[0], 0));
	EXPECT_EQ(0, bao_signals(self->ev[0], 0));
	EXPECT_EQ(0, notifies());
}

TEST_F(irqfd, signal_from_before_counts)
{
	ASSERT_EQ(0, eventfd_write(self->ev[0], 3));
	ASSERT_EQ(0, bao_irqfd(self->fd, self->ev[0], 0));
	EXPECT_EQ(1, notifies());
	EXPECT_EQ(0, bao_signals(self->ev[0], 0));
	ASSERT_EQ(0, eventfd_write(self->ev[0], 1));
	EXPECT_EQ(2, notifies());
}

/* The counter of such an eventfd goes down by one at a time. */
TEST_F(irqfd, semaphore)
{
	int ev = bao_eventfd(EFD_SEMAPHORE);

	ASSERT_EQ(0, bao_irqfd(self->fd, ev, 0));
	for (int i = 1; i <= 5; i++) {
		ASSERT_EQ(0, eventfd_write(ev, 1));
		EXPECT_EQ(i, notifies());
		EXPECT_EQ(0, bao_signals(ev, 0));
	}
	ASSERT_EQ(0, eventfd_write(ev, 3));
	EXPECT_EQ(6, notifies());
	ASSERT_EQ(0, bao_irqfd(self->fd, ev, DEASSIGN));
	close(ev);

	ev = bao_eventfd(EFD_SEMAPHORE);
	ASSERT_EQ(0, eventfd_write(ev, 1));
	ASSERT_EQ(0, bao_irqfd(self->fd, ev, 0));
	EXPECT_EQ(7, notifies());
	EXPECT_EQ(0, bao_signals(ev, 0));
	close(ev);
}

TEST_F(irqfd, several)
{
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(0, bao_irqfd(self->fd, self->ev[i], 0));
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(0, eventfd_write(self->ev[i], 1));
		EXPECT_EQ(i + 1, notifies());
	}
	ASSERT_EQ(0, bao_irqfd(self->fd, self->ev[1], DEASSIGN));
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(0, eventfd_write(self->ev[i], 1));
	EXPECT_EQ(5, notifies());
	EXPECT_EQ(1, bao_signals(self->ev[1], 0));
}

TEST_F(irqfd, errors)
{
	int fd = self->fd, *ev = self->ev;
	int file = open("/dev/null", O_RDWR | O_CLOEXEC);
	int dead = bao_eventfd(0);
	long id = bao_eventfd_id(dead);

	EXPECT_EQ(-ENOENT, bao_irqfd(fd, ev[0], DEASSIGN));
	ASSERT_EQ(0, bao_irqfd(fd, ev[0], 0));
	EXPECT_EQ(-EEXIST, bao_irqfd(fd, ev[0], 0));
	EXPECT_EQ(-ENOENT, bao_irqfd(fd, ev[1], DEASSIGN));
	for (int bit = 1; bit < 32; bit++)
		EXPECT_EQ(-EOPNOTSUPP, bao_irqfd(fd, ev[1], 1u << bit));
	close(dead);
	EXPECT_EQ(-EBADF, bao_irqfd(fd, -1, 0));
	EXPECT_EQ(-EBADF, bao_irqfd(fd, dead, 0));
	EXPECT_EQ(-EBADF, bao_irqfd(fd, dead, DEASSIGN));
	EXPECT_EQ(-EINVAL, bao_irqfd(fd, file, 0));
	EXPECT_EQ(-EINVAL, bao_irqfd(fd, file, DEASSIGN));
	EXPECT_EQ(-EINVAL, bao_irqfd(fd, fd, 0));
	close(file);

	/* The refused second one has not taken the first one with it. */
	ASSERT_EQ(0, eventfd_write(ev[0], 1));
	EXPECT_EQ(1, notifies());
	ASSERT_EQ(0, eventfd_write(ev[1], 1));
	EXPECT_EQ(1, notifies());

	/* And no refusal has kept a reference. */
	EXPECT_EQ(0, bao_irqfd(fd, ev[0], DEASSIGN));
	close(ev[0]);
	close(ev[1]);
	ev[0] = bao_eventfd(0);
	ev[1] = bao_eventfd(0);
	dead = bao_eventfd(0);
	EXPECT_EQ(id, bao_eventfd_id(dead));
	close(dead);
}

TEST_F(irqfd, deassign_leaves_the_eventfd_alone)
{
	ASSERT_EQ(0, bao_irqfd(self->fd, self->ev[0], 0));
	EXPECT_EQ(0, bao_irqfd(self->fd, self->ev[0], DEASSIGN));
	EXPECT_EQ(-ENOENT, bao_irqfd(self->fd, self->ev[0], DEASSIGN));

	ASSERT_EQ(0, eventfd_write(self->ev[0], 2));
	EXPECT_EQ(0, notifies());
	EXPECT_EQ(2, bao_signals(self->ev[0], 0));
	EXPECT_EQ(0, bao_irqfd(self->fd, self->ev[0], 0));
	ASSERT_EQ(0, eventfd_write(self->ev[0], 1));
	EXPECT_EQ(1, notifies());
}

TEST_F(irqfd, last_close_of_the_backend)
{
	int again = dup(self->fd);

	ASSERT_EQ(0, bao_irqfd(self->fd, self->ev[0], 0));
	close(self->fd);
	ASSERT_EQ(0, eventfd_write(self->ev[0], 1));
	EXPECT_EQ(1, notifies());
	close(again);
	ASSERT_EQ(0, eventfd_write(self->ev[0], 1));
	EXPECT_EQ(1, bao_signals(self->ev[0], 0));
	EXPECT_EQ(1, notifies());

	self->fd = bao_open(0, O_RDWR | O_NONBLOCK);
	EXPECT_EQ(0, bao_irqfd(self->fd, self->ev[0], 0));
}

TEST_F(irqfd, last_close_of_the_eventfd)
{
	int ev = bao_eventfd(0), again = dup(ev);
	long id = bao_eventfd_id(ev);

	ASSERT_EQ(0, bao_irqfd(self->fd, ev, 0));
	close(ev);
	ASSERT_EQ(0, eventfd_write(again, 1));
	EXPECT_EQ(1, notifies());
	close(again);

	ev = bao_eventfd(0);
	EXPECT_EQ(id, bao_eventfd_id(ev));
	EXPECT_EQ(-ENOENT, bao_irqfd(self->fd, ev, DEASSIGN));
	ASSERT_EQ(0, bao_irqfd(self->fd, ev, 0));
	ASSERT_EQ(0, eventfd_write(ev, 1));
	EXPECT_EQ(2, notifies());
	close(ev);
	EXPECT_EQ(2, notifies());
}

TEST_F(irqfd, at_most_128)
{
	int ev[BAO_EVENTFDS + 1];

	for (int i = 0; i <= BAO_EVENTFDS; i++) {
		ev[i] = bao_eventfd(0);
		ASSERT_LE(0, ev[i]);
	}
	for (int i = 0; i < BAO_EVENTFDS; i++)
		ASSERT_EQ(0, bao_irqfd(self->fd, ev[i], 0));
	EXPECT_EQ(-ENOSPC, bao_irqfd(self->fd, ev[BAO_EVENTFDS], 0));
	EXPECT_EQ(-EEXIST, bao_irqfd(self->fd, ev[3], 0));
	ASSERT_EQ(0, eventfd_write(ev[BAO_EVENTFDS - 1], 1));
	EXPECT_EQ(1, notifies());

	/* The end of any, by whichever way, makes room for another one. */
	close(ev[3]);
	EXPECT_EQ(0, bao_irqfd(self->fd, ev[BAO_EVENTFDS], 0));
	EXPECT_EQ(-ENOSPC, bao_irqfd(self->fd, self->ev[0], 0));
	EXPECT_EQ(0, bao_irqfd(self->fd, ev[4], DEASSIGN));
	EXPECT_EQ(0, bao_irqfd(self->fd, self->ev[0], 0));
	for (int i = 0; i <= BAO_EVENTFDS; i++)
		if (i != 3)
			close(ev[i]);
	for (int i = 0; i < BAO_EVENTFDS - 1; i++) {
		ev[i] = bao_eventfd(0);
		ASSERT_EQ(0, bao_irqfd(self->fd, ev[i], 0));
	}
	EXPECT_EQ(-ENOSPC, bao_irqfd(self->fd, self->ev[1], 0));
	for (int i = 0; i < BAO_EVENTFDS - 1; i++)
		close(ev[i]);
}

TEST_F(irqfd, hypervisor_refuses)
{
	ASSERT_EQ(0, bao_irqfd(self->fd, self->ev[0], 0));
	bed_fault(0, BED_OP_NOTIFY, -1, 1);
	ASSERT_EQ(0, eventfd_write(self->ev[0], 1));
	EXPECT_EQ(0, notifies());
	EXPECT_EQ(1, bed_count(0, BED_CNT_REFUSED));
	EXPECT_EQ(0, bao_signals(self->ev[0], 0));
	ASSERT_EQ(0, eventfd_write(self->ev[0], 1));
	EXPECT_EQ(1, notifies());
}

TEST_F(irqfd, unbind)
{
	ASSERT_EQ(0, bao_irqfd(self->fd, self->ev[0], 0));
	ASSERT_EQ(0, bao_unbind());
	ASSERT_EQ(0, eventfd_write(self->ev[0], 1));
	EXPECT_EQ(0, notifies());
	EXPECT_EQ(-ENODEV, bao_irqfd(self->fd, self->ev[1], 0));
	EXPECT_EQ(-ENODEV, bao_irqfd(self->fd, self->ev[0], DEASSIGN));

	/* Of the old backend's file nothing comes into the new backend. */
	ASSERT_EQ(0, bao_bind(bao_device()));
	ASSERT_EQ(0, eventfd_write(self->ev[0], 1));
	EXPECT_EQ(0, notifies());
	close(self->fd);
	self->fd = bao_open(0, O_RDWR | O_NONBLOCK);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, bao_irqfd(self->fd, self->ev[1], 0));
	ASSERT_EQ(0, eventfd_write(self->ev[1], 1));
	EXPECT_EQ(1, notifies());
}

/* The signal of a kick raises the interrupt, with no user space on the way. */
TEST_F(irqfd, kick_is_the_signal)
{
	ASSERT_EQ(0, bao_ioeventfd(self->fd, self->ev[0], 0, KICK, 4, 0));
	ASSERT_EQ(0, bao_irqfd(self->fd, self->ev[0], 0));
	for (int i = 1; i <= 50; i++) {
		EXPECT_TRUE(frontend_wrote(frontend_write(0, KICK, 4, i)));
		ASSERT_TRUE(bao_wait_until(notifies() >= i));
		EXPECT_EQ(i, notifies());
		EXPECT_EQ(i, bed_count(0, BED_CNT_ASK));
		EXPECT_EQ(i, bed_completions(0));
	}
	EXPECT_EQ(0, bed_count(0, BED_CNT_ASK_EMPTY));
	EXPECT_EQ(0, bao_signals(self->ev[0], 0));
}

FIXTURE(two) {
	int fd[2];
	int ev;
};

FIXTURE_SETUP(two)
{
	const char *why = bao_begin(2);

	if (why)
		SKIP(return, "%s", why);
	ASSERT_TRUE(bao_open_first(self->fd, 2, O_RDWR | O_NONBLOCK));
	self->ev = bao_eventfd(0);
	ASSERT_LE(0, self->ev);
}

FIXTURE_TEARDOWN(two)
{
	close(self->ev);
	close(self->fd[0]);
	close(self->fd[1]);
}

TEST_F(two, one_eventfd_notifies_both)
{
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, bao_irqfd(self->fd[i], self->ev, 0));
	for (int i = 1; i <= 20; i++) {
		ASSERT_EQ(0, eventfd_write(self->ev, 1));
		EXPECT_EQ(i, bed_count(0, BED_CNT_NOTIFY));
		EXPECT_EQ(i, bed_count(1, BED_CNT_NOTIFY));
		EXPECT_EQ(0, bao_signals(self->ev, 0));
	}

	ASSERT_EQ(0, bao_irqfd(self->fd[0], self->ev, DEASSIGN));
	ASSERT_EQ(0, eventfd_write(self->ev, 1));
	EXPECT_EQ(20, bed_count(0, BED_CNT_NOTIFY));
	EXPECT_EQ(21, bed_count(1, BED_CNT_NOTIFY));
	close(self->fd[1]);
	ASSERT_EQ(0, eventfd_write(self->ev, 1));
	EXPECT_EQ(21, bed_count(1, BED_CNT_NOTIFY));
	EXPECT_EQ(1, bao_signals(self->ev, 0));
	self->fd[1] = bao_open(1, O_RDWR | O_NONBLOCK);
}

/* One device's kick is another's interrupt. */
TEST_F(two, kick_of_one_notifies_the_other)
{
	ASSERT_EQ(0, bao_ioeventfd(self->fd[0], self->ev, 0, KICK, 4, 0));
	ASSERT_EQ(0, bao_irqfd(self->fd[1], self->ev, 0));
	for (int i = 1; i <= 20; i++) {
		EXPECT_TRUE(frontend_wrote(frontend_write(0, KICK, 4, i)));
		ASSERT_TRUE(bao_wait_until(bed_count(1, BED_CNT_NOTIFY) >= i));
		EXPECT_EQ(i, bed_count(1, BED_CNT_NOTIFY));
		EXPECT_EQ(0, bed_count(0, BED_CNT_NOTIFY));
	}
}

TEST_HARNESS_MAIN
