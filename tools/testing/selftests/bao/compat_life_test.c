// SPDX-License-Identifier: GPL-2.0
/*
 * Programs that speak the published interface: threads that wait, programs that
 * die, and the driver that is unbound while they run. They are treated like
 * those that speak the driver's own.
 */
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "../kselftest_harness.h"
#include "compat_util.h"

#define NR	5

FIXTURE(dm) {
	int control;
	int fd;
	u64 handles[NR];
};

#define SELF	FIXTURE_DATA(dm)

FIXTURE_SETUP(dm)
{
	const char *why = dm_begin(1);

	if (why)
		SKIP(return, "%s", why);
	self->control = dm_control();
	ASSERT_LE(0, self->control);
	self->fd = dm_open(0);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(dm)
{
	close(self->fd);
	close(self->control);
	/* Whatever a test did to it, the next one expects a driver. */
	EXPECT_EQ(NULL, bao_load());
	if (!bao_is_bound())
		EXPECT_EQ(0, bao_bind(bao_device()));
}

static u64 addr(unsigned int i)
{
	return BAO_ADDR + 8 * i;
}

/**
 * struct waiter - a thread in one ATTACH call
 * @fd: the file
 * @r: what came
 * @ret: what the call returned
 * @tid: the thread, once it runs
 * @done: the call has returned
 */
struct waiter {
	int fd;
	struct dm_request r;
	int ret;
	atomic_int tid;
	atomic_bool done;
	pthread_t thread;
};

static void *waiter_thread(void *data)
{
	struct waiter *w = data;

	w->tid = syscall(__NR_gettid);
	w->ret = dm_attach(w->fd, &w->r);
	w->done = true;
	return NULL;
}

static bool waiter_sleeps(struct waiter *w)
{
	return bao_wait_until(w->done ||
			      bao_blocked_in(w->tid, __NR_ioctl)) && !w->done;
}

/* Returns whether the thread sleeps in the call. */
static bool waiter_start(struct waiter *w, int fd)
{
	*w = (struct waiter) { .fd = fd, .tid = -1 };
	return !pthread_create(&w->thread, NULL, waiter_thread, w) &&
	       waiter_sleeps(w);
}

static bool waiter_join(struct waiter *w)
{
	return bao_wait_until(w->done) && !pthread_join(w->thread, NULL);
}

TEST_F(dm, blocked_thread_gets_the_request)
{
	struct waiter w;

	for (int i = 0; i < 3; i++) {
		ASSERT_TRUE(waiter_start(&w, self->fd));
		self->handles[i] = frontend_read(0, addr(i), 4);
		ASSERT_TRUE(waiter_join(&w));
		ASSERT_EQ(0, w.ret);
		EXPECT_EQ(addr(i), w.r.addr);
		EXPECT_EQ(0, dm_complete(self->fd, &w.r, i));
		EXPECT_TRUE(dm_answered(self->handles[i], BED_OP_READ, i));
	}
}

TEST_F(dm, each_request_wakes_one)
{
	struct waiter w[2];

	for (int i = 0; i < 2; i++)
		ASSERT_TRUE(waiter_start(&w[i], self->fd));
	frontend_read(0, addr(0), 4);
	ASSERT_TRUE(bao_wait_until(w[0].done || w[1].done));
	EXPECT_TRUE(waiter_sleeps(&w[w[0].done]));
	frontend_read(0, addr(1), 4);
	for (int i = 0; i < 2; i++) {
		ASSERT_TRUE(waiter_join(&w[i]));
		EXPECT_EQ(0, w[i].ret);
		EXPECT_EQ(0, dm_complete(self->fd, &w[i].r, 0));
	}
	EXPECT_EQ(addr(0) + addr(1), w[0].r.addr + w[1].r.addr);
}

TEST_F(dm, nonblock)
{
	struct dm_request r;

	ASSERT_EQ(0, fcntl(self->fd, F_SETFL, O_NONBLOCK));
	EXPECT_EQ(-EAGAIN, dm_attach(self->fd, &r));
	EXPECT_TRUE(dm_serves(self->fd));
}

static void ignore(int sig)
{
}

/* Without SA_RESTART the call ends, with it the caller notices nothing. */
TEST_F(dm, signals)
{
	struct sigaction action = { .sa_handler = ignore };
	struct waiter w;

	sigaction(SIGUSR1, &action, NULL);
	action.sa_flags = SA_RESTART;
	sigaction(SIGUSR2, &action, NULL);

	ASSERT_TRUE(waiter_start(&w, self->fd));
	pthread_kill(w.thread, SIGUSR1);
	ASSERT_TRUE(waiter_join(&w));
	EXPECT_EQ(-EINTR, w.ret);

	ASSERT_TRUE(waiter_start(&w, self->fd));
	pthread_kill(w.thread, SIGUSR2);
	EXPECT_TRUE(waiter_sleeps(&w));
	self->handles[0] = frontend_read(0, addr(0), 4);
	ASSERT_TRUE(waiter_join(&w));
	ASSERT_EQ(0, w.ret);
	EXPECT_EQ(0, dm_complete(self->fd, &w.r, 9));
	EXPECT_TRUE(dm_answered(self->handles[0], BED_OP_READ, 9));
}

/* The loop that such programs consist of; a request for BAO_STOP_ADDR ends it. */
static void *serving_thread(void *data)
{
	struct waiter *w = data;

	do {
		w->ret = dm_attach(w->fd, &w->r);
		if (!w->ret)
			w->ret = dm_complete(w->fd, &w->r,
					     bed_expected(w->r.addr));
	} while (!w->ret && w->r.addr != BAO_STOP_ADDR);
	w->done = true;
	return NULL;
}

TEST_F(dm, two_threads_serve)
{
	const u64 accesses = 2000;
	struct waiter w[2] = {};

	for (int i = 0; i < 2; i++) {
		w[i].fd = self->fd;
		ASSERT_EQ(0, pthread_create(&w[i].thread, NULL, serving_thread,
					    &w[i]));
	}
	bed_generate(bao_seed(), accesses, 0, 1, 6);
	EXPECT_TRUE(bed_finished(accesses));
	for (int i = 0; i < 2; i++)
		frontend_read(0, BAO_STOP_ADDR, 4);
	for (int i = 0; i < 2; i++) {
		ASSERT_TRUE(waiter_join(&w[i]));
		EXPECT_EQ(0, w[i].ret);
	}
	EXPECT_EQ(0, bed_progress().violations);
	EXPECT_EQ(accesses + 2, bed_completions(0));
	EXPECT_EQ(0, bed_count(0, BED_CNT_REFUSED));
}

/*
 * A program that takes @nr requests, has a kick and an irqfd, and then stops;
 * the caller waits for that.
 */
static pid_t program_that_hangs(SELF *self, int nr, int ev)
{
	struct dm_request r;
	pid_t pid = fork();
	int fd, status;

	if (pid)
		return waitpid(pid, &status, WUNTRACED) == pid &&
		       WIFSTOPPED(status) ? pid : -1;

	close(self->fd);
	fd = dm_open(0);
	if (fd < 0 || dm_ioeventfd(fd, ev, 0, addr(NR), 4, 0) ||
	    dm_irqfd(fd, ev, 0))
		_exit(1);
	while (nr--)
		if (dm_fetch(fd, &r))
			_exit(1);
	raise(SIGSTOP);
	_exit(1);
}

static bool kill_program(pid_t pid)
{
	int status;

	return !kill(pid, SIGKILL) && waitpid(pid, &status, 0) == pid &&
	       WIFSIGNALED(status);
}

/* Three that were handed out, one that waited, and one that came later */
static bool leave_requests(SELF *self, int ev)
{
	pid_t pid;

	close(self->fd);
	self->fd = -1;
	for (int i = 0; i < NR - 1; i++)
		self->handles[i] = frontend_read(0, addr(i), 4);
	pid = program_that_hangs(self, NR - 2, ev);
	if (pid < 0 || !kill_program(pid))
		return false;
	self->handles[NR - 1] = frontend_read(0, addr(NR - 1), 4);
	return true;
}

TEST_F(dm, killed_programs_requests_go_to_the_next)
{
	int ev = bao_eventfd(0);
	struct dm_request r;

	ASSERT_LE(0, ev);
	ASSERT_TRUE(leave_requests(self, ev));
	self->fd = dm_open(0);
	ASSERT_LE(0, self->fd);
	for (int i = 0; i < NR; i++) {
		ASSERT_EQ(0, dm_fetch(self->fd, &r));
		EXPECT_EQ(addr(i), r.addr);
		EXPECT_EQ(0, dm_complete(self->fd, &r, i));
		EXPECT_TRUE(dm_answered(self->handles[i], BED_OP_READ, i));
	}

	/* Its eventfds ended with it. */
	frontend_write(0, addr(NR), 4, 0);
	ASSERT_EQ(0, dm_fetch(self->fd, &r));
	EXPECT_EQ(addr(NR), r.addr);
	EXPECT_EQ(0, dm_complete(self->fd, &r, 0));
	EXPECT_EQ(0, bao_signals(ev, 0));
	ASSERT_EQ(0, eventfd_write(ev, 1));
	EXPECT_EQ(0, bed_count(0, BED_CNT_NOTIFY));
	EXPECT_EQ(0, bed_count(0, BED_CNT_REFUSED));
	close(ev);
}

TEST_F(dm, killed_programs_requests_go_to_another_kind)
{
	struct bao_request r[NR];
	int ev = bao_eventfd(0);

	ASSERT_LE(0, ev);
	ASSERT_TRUE(leave_requests(self, ev));
	self->fd = bao_open(0, O_RDWR);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(NR, bao_fetch(self->fd, r, NR));
	for (int i = 0; i < NR; i++) {
		EXPECT_EQ(addr(i), r[i].addr);
		EXPECT_EQ(i < NR - 2 ? BAO_REQUEST_REDELIVERED : 0, r[i].flags);
		EXPECT_EQ(0, bao_complete(self->fd, r[i].id, i));
		EXPECT_TRUE(dm_answered(self->handles[i], BED_OP_READ, i));
	}
	close(ev);
}

TEST_F(dm, takes_over_from_another_kind)
{
	struct bao_request native[2];
	struct dm_request r;

	close(self->fd);
	self->fd = bao_open(0, O_RDWR);
	ASSERT_LE(0, self->fd);
	for (int i = 0; i < 3; i++)
		self->handles[i] = frontend_read(0, addr(i), 4);
	ASSERT_EQ(2, bao_fetch(self->fd, native, 2));
	close(self->fd);

	self->fd = dm_open(0);
	ASSERT_LE(0, self->fd);
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(0, dm_fetch(self->fd, &r));
		EXPECT_EQ(addr(i), r.addr);
		if (i < 2)
			EXPECT_EQ(native[i].id, r.request_id);
		EXPECT_EQ(0, dm_complete(self->fd, &r, i));
		EXPECT_TRUE(dm_answered(self->handles[i], BED_OP_READ, i));
	}
}

/* Two backends, and another user of the kernel's files without a name */
TEST_F(dm, file_shares_no_inode)
{
	struct stat own, other;
	int ev = bao_eventfd(0);

	ASSERT_LE(0, ev);
	ASSERT_EQ(0, fstat(self->fd, &own));
	ASSERT_EQ(0, fstat(ev, &other));
	EXPECT_NE(other.st_ino, own.st_ino);
	close(ev);
	if (bao_nr_devices() < 2)
		return;
	ev = dm_open(1);
	ASSERT_LE(0, ev);
	ASSERT_EQ(0, fstat(ev, &other));
	EXPECT_NE(other.st_ino, own.st_ino);
	close(ev);
}

TEST_F(dm, unbind_wakes_blocked_threads)
{
	struct waiter w[3];

	for (int i = 0; i < 3; i++)
		ASSERT_TRUE(waiter_start(&w[i], self->fd));
	ASSERT_EQ(0, bao_unbind());
	for (int i = 0; i < 3; i++) {
		ASSERT_TRUE(waiter_join(&w[i]));
		EXPECT_EQ(-ENODEV, w[i].ret);
	}
}

TEST_F(dm, calls_after_unbind)
{
	struct pollfd p = { .fd = self->fd, .events = POLLIN };
	int ev = bao_eventfd(0);
	struct dm_request r;
	struct dm_info info;
	int fd;

	ASSERT_LE(0, ev);
	ASSERT_EQ(0, dm_irqfd(self->fd, ev, 0));
	self->handles[0] = frontend_read(0, addr(0), 4);
	ASSERT_EQ(0, dm_fetch(self->fd, &r));
	ASSERT_EQ(0, bao_unbind());
	EXPECT_TRUE(dm_answered(self->handles[0], BED_OP_READ, 0xffffffff));
	EXPECT_EQ(-ENOENT, dm_control());

	for (int bound = 0; bound < 2; bound++) {
		EXPECT_EQ(-ENODEV, dm_complete(self->fd, &r, 0));
		EXPECT_EQ(-ENODEV, dm_notify(self->fd, 0));
		EXPECT_EQ(-ENODEV, dm_attach(self->fd, &r));
		EXPECT_EQ(-ENODEV, dm_irqfd(self->fd, ev, DM_IRQFD_DEASSIGN));
		EXPECT_EQ(-ENODEV, dm_ioeventfd(self->fd, ev, 0, addr(0), 4, 0));
		EXPECT_EQ(MAP_FAILED, mmap(NULL, 4096, PROT_READ, MAP_SHARED,
					   self->fd, 0));
		EXPECT_EQ(ENODEV, errno);
		EXPECT_EQ(1, poll(&p, 1, 0));
		EXPECT_EQ(POLLHUP, p.revents);
		/* This one was open all the time. */
		EXPECT_EQ(-ENODEV, dm_get_info(self->control, 0, &info));

		/* A new driver does not revive the old files. */
		if (!bound)
			ASSERT_EQ(0, bao_bind(bao_device()));
	}
	ASSERT_EQ(0, eventfd_write(ev, 1));
	EXPECT_EQ(0, bed_count(0, BED_CNT_NOTIFY));

	fd = dm_open(0);
	ASSERT_LE(0, fd);
	close(self->fd);
	self->fd = fd;
	EXPECT_EQ(-EBUSY, dm_open(0));
	EXPECT_TRUE(dm_serves(fd));
	close(ev);
}

TEST_F(dm, unbind_takes_the_mapping_back)
{
	const size_t page = sysconf(_SC_PAGESIZE);
	char *p = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_SHARED,
		       self->fd, 0);

	ASSERT_NE(MAP_FAILED, p);
	/* A second one that is refused does not make the driver forget it. */
	EXPECT_EQ(-EBUSY, dm_open(0));
	EXPECT_FALSE(bao_raises_sigbus(p));
	ASSERT_EQ(0, bao_unbind());
	EXPECT_TRUE(bao_raises_sigbus(p));
	EXPECT_TRUE(bao_raises_sigbus(p + page));
	ASSERT_EQ(0, bao_bind(bao_device()));
	EXPECT_TRUE(bao_raises_sigbus(p));
	munmap(p, 2 * page);
}

/* Both kinds of files need the driver's code, bound or not. */
TEST_F(dm, module)
{
	const char *name = "bao_io_dispatcher";

	if (access("/sys/module/bao_io_dispatcher/initstate", F_OK))
		SKIP(return, "the driver is built in");

	ASSERT_EQ(0, bao_unbind());
	close(self->control);
	self->control = -1;
	EXPECT_EQ(-1, syscall(__NR_delete_module, name, O_NONBLOCK));
	EXPECT_EQ(EWOULDBLOCK, errno);
	close(self->fd);
	ASSERT_EQ(0, bao_bind(bao_device()));
	self->fd = dm_control();
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, bao_unbind());
	EXPECT_EQ(-1, syscall(__NR_delete_module, name, O_NONBLOCK));
	EXPECT_EQ(EWOULDBLOCK, errno);
	close(self->fd);
	self->fd = -1;
	EXPECT_EQ(0, syscall(__NR_delete_module, name, O_NONBLOCK));
}

TEST_HARNESS_MAIN
