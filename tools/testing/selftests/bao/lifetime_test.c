// SPDX-License-Identifier: GPL-2.0
/*
 * VMMs and the driver come and go at any time. No frontend vCPU may be left
 * standing, and nobody who is in a call may be left there.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>

#include "../kselftest_harness.h"
#include "bao_test_util.h"

#define NR	5

FIXTURE(life) {
	int fd;
	u64 handles[NR];
	struct bao_request requests[NR];
};

#define SELF	FIXTURE_DATA(life)

FIXTURE_SETUP(life)
{
	const char *why = bao_begin(1);

	if (why)
		SKIP(return, "%s", why);
	self->fd = bao_open(0, O_RDWR);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(life)
{
	close(self->fd);
	/* Whatever a test did to it, the next one expects a driver. */
	EXPECT_EQ(NULL, bao_load());
	if (!bao_is_bound())
		EXPECT_EQ(0, bao_bind(bao_device()));
}

static u64 addr(unsigned int i)
{
	return BAO_ADDR + 8 * i;
}

static void reopen(SELF *self)
{
	close(self->fd);
	self->fd = bao_open(0, O_RDWR);
}

static bool is_answered(u64 handle, u64 value)
{
	struct bed_result r = frontend_query(handle);

	return r.state == BED_COMPLETED && r.op == BED_OP_READ &&
	       r.value == value;
}

/* A request comes, is fetched, is completed, and the vCPU gets the answer. */
static bool serves(int fd)
{
	u64 handle = frontend_read(0, BAO_ADDR, 8);
	struct bao_request r;

	return bao_fetch(fd, &r, 1) == 1 && !r.flags &&
	       !bao_complete(fd, r.id, 0xcafe) && is_answered(handle, 0xcafe);
}

TEST_F(life, requests_before_open)
{
	close(self->fd);
	for (int i = 0; i < NR; i++)
		self->handles[i] = frontend_read(0, addr(i), 4);

	self->fd = bao_open(0, O_RDWR);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(NR, bao_fetch(self->fd, self->requests, NR));
	for (int i = 0; i < NR; i++) {
		EXPECT_EQ(addr(i), self->requests[i].addr);
		EXPECT_EQ(0, self->requests[i].flags);
		EXPECT_EQ(0, bao_complete(self->fd, self->requests[i].id, i));
		EXPECT_TRUE(is_answered(self->handles[i], i));
	}
}

TEST_F(life, requests_before_bind)
{
	ASSERT_EQ(0, bao_unbind());
	for (int i = 0; i < NR; i++)
		self->handles[i] = frontend_read(0, addr(i), 4);
	EXPECT_EQ(BED_PENDING, frontend_query(self->handles[0]).state);

	ASSERT_EQ(0, bao_bind(bao_device()));
	reopen(self);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(NR, bao_fetch(self->fd, self->requests, NR));
	for (int i = 0; i < NR; i++) {
		EXPECT_EQ(addr(i), self->requests[i].addr);
		EXPECT_EQ(0, self->requests[i].flags);
		EXPECT_EQ(0, bao_complete(self->fd, self->requests[i].id, i));
		EXPECT_TRUE(is_answered(self->handles[i], i));
	}
	EXPECT_TRUE(serves(self->fd));
}

/* A VMM that fetches requests and then stops; the caller waits for that. */
static pid_t vmm_that_hangs(int nr)
{
	struct bao_request r[NR];
	pid_t pid = fork();
	int fd, status;

	if (pid)
		return waitpid(pid, &status, WUNTRACED) == pid &&
		       WIFSTOPPED(status) ? pid : -1;

	fd = bao_open(0, O_RDWR);
	if (fd >= 0 && bao_fetch(fd, r, nr) == nr)
		raise(SIGSTOP);
	_exit(1);
}

static bool kill_vmm(pid_t pid)
{
	int status;

	return !kill(pid, SIGKILL) && waitpid(pid, &status, 0) == pid &&
	       WIFSIGNALED(status);
}

TEST_F(life, killed_vmms_requests_come_again)
{
	pid_t pid;

	close(self->fd);
	self->fd = -1;
	for (int i = 0; i < NR - 1; i++)
		self->handles[i] = frontend_read(0, addr(i), 4);
	pid = vmm_that_hangs(NR - 2);
	ASSERT_LT(0, pid);
	ASSERT_TRUE(kill_vmm(pid));
	self->handles[NR - 1] = frontend_read(0, addr(NR - 1), 4);

	/* Three that were fetched, one that waited, and a new one */
	self->fd = bao_open(0, O_RDWR);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(NR, bao_fetch(self->fd, self->requests, NR));
	for (int i = 0; i < NR; i++) {
		EXPECT_EQ(addr(i), self->requests[i].addr);
		EXPECT_EQ(i < NR - 2 ? BAO_REQUEST_REDELIVERED : 0,
			  self->requests[i].flags);
		EXPECT_EQ(0, bao_complete(self->fd, self->requests[i].id, i));
		EXPECT_TRUE(is_answered(self->handles[i], i));
	}
	/* The flag belongs to the request and not to its place in a table. */
	EXPECT_TRUE(serves(self->fd));
	EXPECT_EQ(0, bed_count(0, BED_CNT_REFUSED));
}

/* What was given back is in flight only when it has been fetched again. */
TEST_F(life, given_back_is_not_in_flight)
{
	self->handles[0] = frontend_read(0, addr(0), 4);
	self->handles[1] = frontend_read(0, addr(1), 4);
	ASSERT_EQ(2, bao_fetch(self->fd, self->requests, 2));
	ASSERT_EQ(0, bao_complete(self->fd, self->requests[0].id, 1));
	reopen(self);
	ASSERT_LE(0, self->fd);

	EXPECT_EQ(-ENOENT, bao_complete(self->fd, self->requests[1].id, 1));
	EXPECT_EQ(1, bed_completions(0));
	EXPECT_EQ(BED_PROCESSING, frontend_query(self->handles[1]).state);

	ASSERT_EQ(1, bao_fetch(self->fd, self->requests, 1));
	EXPECT_EQ(addr(1), self->requests[0].addr);
	EXPECT_EQ(BAO_REQUEST_REDELIVERED, self->requests[0].flags);

	/* Given back twice, it is still one request. */
	reopen(self);
	ASSERT_EQ(1, bao_fetch(self->fd, self->requests, 1));
	EXPECT_EQ(BAO_REQUEST_REDELIVERED, self->requests[0].flags);
	EXPECT_EQ(0, bao_complete(self->fd, self->requests[0].id, 2));
	EXPECT_TRUE(is_answered(self->handles[1], 2));
}

TEST_F(life, unbind_wakes_blocked_callers)
{
	struct bao_caller c[3] = {};

	for (int i = 0; i < 3; i++) {
		c[i].fd = self->fd;
		ASSERT_TRUE(bao_caller_start(&c[i]));
	}
	ASSERT_EQ(0, bao_unbind());
	for (int i = 0; i < 3; i++) {
		ASSERT_TRUE(bao_caller_join(&c[i]));
		EXPECT_EQ(-ENODEV, c[i].ret);
		EXPECT_EQ(0, c[i].serve.nr_fetched);
	}
}

/* A hang-up is not asked for, and always told of. */
TEST_F(life, unbind_wakes_poll)
{
	struct pollfd p = { .fd = self->fd, .events = POLLIN };
	pid_t pid = fork();
	int status;

	ASSERT_LE(0, pid);
	if (!pid)
		_exit(poll(&p, 1, -1) == 1 ? p.revents : 0xff);
	ASSERT_TRUE(bao_wait_until(bao_blocked_in(pid, __NR_ppoll)));
	ASSERT_EQ(0, bao_unbind());
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFEXITED(status));
	EXPECT_TRUE(WEXITSTATUS(status) & POLLHUP);
	EXPECT_NE(0xff, WEXITSTATUS(status));

	ASSERT_EQ(1, poll(&p, 1, 0));
	EXPECT_EQ(POLLHUP, p.revents);
}

TEST_F(life, unbind_completes_what_is_left)
{
	int log = bao_log_open();

	ASSERT_LE(0, log);
	/* In flight: a narrow read and a write. Waiting: a wide read. */
	self->handles[0] = frontend_read(0, addr(0), 2);
	self->handles[1] = frontend_write(0, addr(1), 4, 5);
	ASSERT_EQ(2, bao_fetch(self->fd, self->requests, 2));
	self->handles[2] = frontend_read(0, addr(2), 8);
	ASSERT_TRUE(bao_poll_in(self->fd));

	ASSERT_EQ(0, bao_unbind());
	EXPECT_TRUE(is_answered(self->handles[0], 0xffff));
	EXPECT_EQ(BED_COMPLETED, frontend_query(self->handles[1]).state);
	EXPECT_EQ(BED_OP_WRITE, frontend_query(self->handles[1]).op);
	EXPECT_TRUE(is_answered(self->handles[2], ~0ULL));
	EXPECT_EQ(3, bed_completions(0));
	EXPECT_EQ(1, bao_log_count(log, bao_device(), "backend 0: 3 requests"));
	close(log);

	/* Their completion comes too late, and comes to nothing. */
	EXPECT_EQ(-ENODEV, bao_complete(self->fd, self->requests[0].id, 0));
	EXPECT_EQ(3, bed_completions(0));
}

TEST_F(life, unbind_with_nothing_left_is_silent)
{
	int log = bao_log_open();

	ASSERT_LE(0, log);
	ASSERT_TRUE(serves(self->fd));
	ASSERT_EQ(0, bao_unbind());
	EXPECT_EQ(0, bao_log_count(log, bao_device(), NULL));
	close(log);
}

TEST_F(life, calls_after_unbind)
{
	struct pollfd p = { .fd = self->fd, .events = POLLIN };
	struct bao_notify n = { .size = sizeof(n) };
	struct bao_info i = { .size = sizeof(i) };
	struct bao_request r;
	struct bao_serve s;

	ASSERT_EQ(0, bao_unbind());
	for (int bound = 0; bound < 2; bound++) {
		EXPECT_EQ(-ENODEV, bao_ioctl(self->fd, BAO_IOCTL_INFO, &i));
		EXPECT_EQ(-ENODEV, bao_ioctl(self->fd, BAO_IOCTL_NOTIFY, &n));
		EXPECT_EQ(-ENODEV, bao_serve(self->fd, &s, NULL, 0, &r, 1));
		EXPECT_EQ(-ENODEV, bao_serve(self->fd, &s, NULL, 0, NULL, 0));
		EXPECT_EQ(1, poll(&p, 1, 0));
		EXPECT_EQ(POLLHUP, p.revents);

		/* A new driver does not revive the old file. */
		if (!bound)
			ASSERT_EQ(0, bao_bind(bao_device()));
	}
	EXPECT_EQ(0, bed_count(0, BED_CNT_NOTIFY));
}

TEST_F(life, nothing_to_open_while_unbound)
{
	ASSERT_EQ(0, bao_unbind());
	for (unsigned int dev = 0; dev < bao_nr_devices(); dev++)
		EXPECT_EQ(-ENOENT, bao_open(dev, O_RDWR));
}

/* The old file neither occupies the new device nor disturbs it when closed. */
TEST_F(life, new_vmm_beside_an_old_file)
{
	struct bao_request r;
	int fresh;

	frontend_read(0, BAO_ADDR, 4);
	ASSERT_EQ(1, bao_fetch(self->fd, &r, 1));
	ASSERT_EQ(0, bao_unbind());
	ASSERT_EQ(0, bao_bind(bao_device()));

	fresh = bao_open(0, O_RDWR);
	ASSERT_LE(0, fresh);
	EXPECT_EQ(-EBUSY, bao_open(0, O_RDWR));
	self->handles[0] = frontend_read(0, addr(1), 4);
	ASSERT_EQ(1, bao_fetch(fresh, &r, 1));
	close(self->fd);
	self->fd = fresh;
	EXPECT_EQ(-EBUSY, bao_open(0, O_RDWR));
	EXPECT_EQ(0, bao_complete(fresh, r.id, 8));
	EXPECT_TRUE(is_answered(self->handles[0], 8));
	EXPECT_TRUE(serves(fresh));
}

TEST_F(life, rebind_many_times)
{
	for (int i = 0; i < 5; i++) {
		ASSERT_EQ(0, bao_unbind());
		ASSERT_EQ(0, bao_bind(bao_device()));
		reopen(self);
		ASSERT_LE(0, self->fd);
		ASSERT_TRUE(serves(self->fd));
	}
}

/* Unbind while requests are served as fast as they come */
TEST_F(life, unbind_under_load)
{
	struct bao_server s = { .fd = self->fd };

	for (int i = 0; i < 3; i++) {
		bao_server_start(&s);
		bed_storm(0, BAO_ADDR, 8, 1 << 30);
		ASSERT_TRUE(bao_wait_until(s.served >= 20 || s.done));
		ASSERT_EQ(0, bao_unbind());
		ASSERT_TRUE(bao_wait_until(s.done));
		pthread_join(s.thread, NULL);
		EXPECT_EQ(-ENODEV, s.error);
		EXPECT_EQ(0, bed_count(0, BED_CNT_REFUSED));

		/* Nothing was left with the driver: a new one serves on. */
		ASSERT_EQ(0, bao_bind(bao_device()));
		reopen(self);
		s.fd = self->fd;
		bao_server_start(&s);
		ASSERT_TRUE(bao_wait_until(s.served >= 20 || s.done));
		ASSERT_TRUE(bao_server_forget(&s));
		ASSERT_TRUE(bao_server_stop(0, &s, 1));
	}
}

/* An image would bring back what the frontend has long got over. */
TEST_F(life, hibernation_is_refused)
{
	int state = open("/sys/power/state", O_RDWR);
	char states[64] = "";

	if (state < 0 || read(state, states, sizeof(states) - 1) < 0 ||
	    !strstr(states, "disk"))
		SKIP(return, "CONFIG_HIBERNATION is off");
	self->handles[0] = frontend_read(0, addr(0), 4);
	ASSERT_EQ(1, bao_fetch(self->fd, self->requests, 1));
	EXPECT_EQ(-1, write(state, "disk", 4));
	EXPECT_EQ(EOPNOTSUPP, errno);
	close(state);

	EXPECT_EQ(0, bao_complete(self->fd, self->requests[0].id, 5));
	EXPECT_TRUE(is_answered(self->handles[0], 5));
	EXPECT_TRUE(serves(self->fd));
}

TEST_F(life, module)
{
	const char *name = "bao_io_dispatcher";

	if (access("/sys/module/bao_io_dispatcher/initstate", F_OK))
		SKIP(return, "the driver is built in");

	EXPECT_EQ(-1, syscall(__NR_delete_module, name, O_NONBLOCK));
	EXPECT_EQ(EWOULDBLOCK, errno);
	EXPECT_TRUE(serves(self->fd));

	/* Unbound, the file still needs the driver's code. */
	ASSERT_EQ(0, bao_unbind());
	EXPECT_EQ(-1, syscall(__NR_delete_module, name, O_NONBLOCK));
	close(self->fd);
	self->fd = -1;

	ASSERT_EQ(0, syscall(__NR_delete_module, name, O_NONBLOCK));
	self->handles[0] = frontend_read(0, addr(0), 4);
	ASSERT_EQ(NULL, bao_load());
	reopen(self);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(1, bao_fetch(self->fd, self->requests, 1));
	EXPECT_EQ(0, bao_complete(self->fd, self->requests[0].id, 6));
	EXPECT_TRUE(is_answered(self->handles[0], 6));
}

TEST_HARNESS_MAIN
