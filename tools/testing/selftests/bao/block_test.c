// SPDX-License-Identifier: GPL-2.0
/*
 * Waiting for requests: blocked callers, O_NONBLOCK, poll, signals, and several
 * threads at once
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

#include "../kselftest_harness.h"
#include "event_util.h"

FIXTURE(block) {
	int fd;
};

FIXTURE_SETUP(block)
{
	const char *why = bao_begin(1);

	if (why)
		SKIP(return, "%s", why);
	self->fd = bao_open(0, O_RDWR);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(block)
{
	close(self->fd);
}

static bool set_nonblock(int fd, bool on)
{
	return !fcntl(fd, F_SETFL, on ? O_NONBLOCK : 0);
}

static bool is_answered(u64 handle, u64 value)
{
	struct bed_result r = frontend_query(handle);

	return r.state == BED_COMPLETED && r.value == value;
}

TEST_F(block, request_wakes_caller)
{
	struct bao_caller c = { .fd = self->fd };
	u64 handle;

	ASSERT_TRUE(bao_caller_start(&c));
	handle = frontend_read(0, BAO_ADDR, 8);
	ASSERT_TRUE(bao_caller_join(&c));
	EXPECT_EQ(0, c.ret);
	ASSERT_EQ(1, c.serve.nr_fetched);
	EXPECT_EQ(BAO_ADDR, c.request.addr);
	EXPECT_EQ(0, bao_complete(self->fd, c.request.id, 77));
	EXPECT_TRUE(is_answered(handle, 77));
}

/* Whether a request reached a VMM while the backend's thread could not run. */
static bool served_beside_hog(void)
{
	struct bao_hog hog;
	bool good;
	u64 handle;

	if (!bao_hog_begin(&hog, 0))
		return false;
	handle = frontend_read(0, BAO_ADDR, 8);
	good = bao_is_done_beside_hog(handle);
	bao_hog_end(&hog);
	return frontend_got(handle, bed_expected(BAO_ADDR)) && good;
}

/* The interrupt handler itself wakes the VMM, on PREEMPT_RT as well. */
TEST_F(block, served_without_a_thread)
{
	struct bao_server s = { .fd = self->fd };
	unsigned int tries = 0;
	bool good = false;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP(return, "needs a second CPU");
	ASSERT_TRUE(bao_pin(0));
	bao_server_start(&s);

	while (!good && tries++ < 20)
		good = served_beside_hog();
	EXPECT_TRUE(good);
	ASSERT_TRUE(bao_server_stop(0, &s, 1));
	EXPECT_EQ(tries, s.served);
}

TEST_F(block, completes_before_it_sleeps)
{
	struct bao_caller c = { .fd = self->fd, .nr_completions = 1 };
	struct bao_request r;
	u64 handle;

	handle = frontend_read(0, BAO_ADDR, 8);
	ASSERT_EQ(1, bao_fetch(self->fd, &r, 1));
	c.completion = (struct bao_completion) { r.id, 99 };

	ASSERT_TRUE(bao_caller_start(&c));
	EXPECT_TRUE(is_answered(handle, 99));

	frontend_read(0, BAO_ADDR + 8, 8);
	ASSERT_TRUE(bao_caller_join(&c));
	EXPECT_EQ(0, c.ret);
	EXPECT_EQ(1, c.serve.nr_completed);
	EXPECT_EQ(1, c.serve.nr_fetched);
	EXPECT_EQ(BAO_ADDR + 8, c.request.addr);
}

TEST_F(block, nonblock)
{
	struct bao_completion done;
	struct bao_request r;
	struct bao_serve s;

	ASSERT_TRUE(set_nonblock(self->fd, true));
	EXPECT_EQ(-EAGAIN, bao_serve(self->fd, &s, NULL, 0, &r, 1));
	EXPECT_EQ(0, s.nr_completed);
	EXPECT_EQ(0, s.nr_fetched);

	frontend_read(0, BAO_ADDR, 8);
	ASSERT_EQ(1, bao_fetch(self->fd, &r, 1));
	EXPECT_EQ(-EAGAIN, bao_serve(self->fd, &s, NULL, 0, &r, 1));

	/* With something done there is something to tell. */
	done = (struct bao_completion) { r.id, 1 };
	EXPECT_EQ(0, bao_serve(self->fd, &s, &done, 1, &r, 1));
	EXPECT_EQ(1, s.nr_completed);
	EXPECT_EQ(0, s.nr_fetched);
}

/* More than one look goes by before the caller goes to sleep. */
TEST_F(block, busy_poll_ends_in_sleep)
{
	struct bao_request r;
	struct bao_serve s = {
		.size = sizeof(s),
		.requests = (uintptr_t)&r,
		.nr_requests = 1,
		.busy_poll_us = 1000,
	};
	u64 handle;
	pid_t child;
	int status;

	child = fork();
	ASSERT_LE(0, child);
	if (!child)
		_exit(bao_ioctl(self->fd, BAO_IOCTL_SERVE, &s) ||
		      s.nr_fetched != 1 ||
		      bao_complete(self->fd, r.id, 5));

	EXPECT_TRUE(bao_wait_until(bao_blocked_in(child, __NR_ioctl)));
	handle = frontend_read(0, BAO_ADDR, 8);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_TRUE(is_answered(handle, 5));
}

TEST_F(block, busy_poll_finds_request)
{
	struct bao_request r;
	struct bao_serve s = {
		.size = sizeof(s),
		.requests = (uintptr_t)&r,
		.nr_requests = 1,
		.busy_poll_us = BAO_BUSY_POLL_MAX_US,
	};

	frontend_access(0, BED_OP_READ, BAO_ADDR, 8, 0, 0, 50);
	ASSERT_EQ(0, bao_ioctl(self->fd, BAO_IOCTL_SERVE, &s));
	ASSERT_EQ(1, s.nr_fetched);
	EXPECT_EQ(BAO_ADDR, r.addr);

	ASSERT_TRUE(set_nonblock(self->fd, true));
	EXPECT_EQ(-EAGAIN, bao_ioctl(self->fd, BAO_IOCTL_SERVE, &s));
	s.busy_poll_us++;
	EXPECT_EQ(-EINVAL, bao_ioctl(self->fd, BAO_IOCTL_SERVE, &s));
}

static short poll_now(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLPRI };

	return poll(&p, 1, 0) < 0 ? -1 : p.revents;
}

TEST_F(block, poll_says_in_only_while_a_request_waits)
{
	struct bao_request r[2];

	EXPECT_EQ(0, poll_now(self->fd));
	frontend_read(0, BAO_ADDR, 8);
	frontend_read(0, BAO_ADDR, 8);
	EXPECT_TRUE(bao_poll_in(self->fd));

	ASSERT_EQ(1, bao_fetch(self->fd, &r[0], 1));
	EXPECT_TRUE(bao_poll_in(self->fd));
	ASSERT_EQ(1, bao_fetch(self->fd, &r[1], 1));
	EXPECT_EQ(0, poll_now(self->fd));
	EXPECT_EQ(0, bao_complete(self->fd, r[0].id, 0));
	EXPECT_EQ(0, poll_now(self->fd));
}

/*
 * Returns POLLIN etc. as exit status: a process, so that its pid is known. It has
 * no time limit of poll()'s own, which looks once more when the time is up and
 * so hides that nobody was woken.
 */
static pid_t poll_in_child(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	pid_t child = fork();

	if (!child) {
		alarm(BAO_WATCHDOG_MS / 1000);
		_exit(poll(&p, 1, -1) == 1 ? p.revents : 0xff);
	}
	return child;
}

TEST_F(block, request_wakes_poll)
{
	pid_t child = poll_in_child(self->fd);
	int status;

	ASSERT_LT(0, child);
	ASSERT_TRUE(bao_wait_until(bao_blocked_in(child, __NR_ppoll)));
	frontend_read(0, BAO_ADDR, 8);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	ASSERT_TRUE(WIFEXITED(status));
	EXPECT_EQ(POLLIN, WEXITSTATUS(status));
}

TEST_F(block, epoll)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u32 = 4711 };
	struct bao_request r[2];
	int ep = epoll_create1(EPOLL_CLOEXEC);

	ASSERT_LE(0, ep);
	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, self->fd, &ev));
	EXPECT_EQ(0, epoll_wait(ep, &ev, 1, 0));

	frontend_read(0, BAO_ADDR, 8);
	ASSERT_EQ(1, epoll_wait(ep, &ev, 1, BAO_WATCHDOG_MS));
	EXPECT_EQ(EPOLLIN, ev.events);
	EXPECT_EQ(4711, ev.data.u32);
	EXPECT_EQ(1, epoll_wait(ep, &ev, 1, 0));
	ASSERT_EQ(1, bao_fetch(self->fd, &r[0], 1));
	EXPECT_EQ(0, epoll_wait(ep, &ev, 1, 0));

	/* Edge-triggered: told once of an arrival, and again of the next. */
	ev.events = EPOLLIN | EPOLLET;
	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_MOD, self->fd, &ev));
	for (int i = 0; i < 2; i++) {
		frontend_read(0, BAO_ADDR, 8);
		ASSERT_EQ(1, epoll_wait(ep, &ev, 1, BAO_WATCHDOG_MS));
		EXPECT_EQ(EPOLLIN, ev.events);
		EXPECT_EQ(0, epoll_wait(ep, &ev, 1, 0));
	}
	EXPECT_EQ(2, bao_fetch(self->fd, r, 2));
	close(ep);
}

/* In an event loop of its own, one of several. Exits with 0 when it is told. */
static pid_t epoll_in_child(int fd)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLEXCLUSIVE };
	pid_t child = fork();
	int ep;

	if (child)
		return child;
	alarm(BAO_WATCHDOG_MS / 1000);
	ep = epoll_create1(0);
	_exit(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) ||
	      epoll_wait(ep, &ev, 1, -1) != 1);
}

/* Also if the thread that wakes them on PREEMPT_RT comes late. */
TEST_F(block, each_request_wakes_an_event_loop)
{
	struct bao_hog hog;
	pid_t children[2];
	int status;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP(return, "needs a second CPU");
	for (int i = 0; i < 2; i++) {
		children[i] = epoll_in_child(self->fd);
		ASSERT_LT(0, children[i]);
		ASSERT_TRUE(bao_wait_until(bao_blocked_in(children[i],
							  __NR_epoll_pwait)));
	}

	ASSERT_TRUE(bao_hog_begin(&hog, 0));
	frontend_read(0, BAO_ADDR, 8);
	frontend_read(0, BAO_ADDR, 8);
	EXPECT_TRUE(bao_wait_until(bed_count(0, BED_CNT_ASK) == 2));
	bao_hog_end(&hog);

	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(children[i], waitpid(children[i], &status, 0));
		EXPECT_EQ(0, status);
	}
}

static atomic_int signals;

static void count_signal(int sig)
{
	signals++;
}

static bool catch_signals(int flags)
{
	struct sigaction action = {
		.sa_handler = count_signal,
		.sa_flags = flags,
	};

	signals = 0;
	return !sigaction(SIGUSR1, &action, NULL);
}

TEST_F(block, signal_interrupts)
{
	struct bao_caller c = { .fd = self->fd };
	struct bao_request r;
	u64 handle;

	ASSERT_TRUE(catch_signals(0));
	ASSERT_TRUE(bao_caller_start(&c));
	ASSERT_EQ(0, pthread_kill(c.thread, SIGUSR1));
	ASSERT_TRUE(bao_caller_join(&c));
	EXPECT_EQ(-EINTR, c.ret);
	EXPECT_EQ(1, signals);
	EXPECT_EQ(0, c.serve.nr_completed);
	EXPECT_EQ(0, c.serve.nr_fetched);

	/* Nobody is left that a request could be given to by mistake. */
	handle = frontend_read(0, BAO_ADDR, 8);
	ASSERT_EQ(1, bao_fetch(self->fd, &r, 1));
	EXPECT_EQ(0, bao_complete(self->fd, r.id, 3));
	EXPECT_TRUE(is_answered(handle, 3));
}

TEST_F(block, signal_restarts)
{
	struct bao_caller c = { .fd = self->fd };

	ASSERT_TRUE(catch_signals(SA_RESTART));
	ASSERT_TRUE(bao_caller_start(&c));
	for (int i = 1; i <= 3; i++) {
		ASSERT_EQ(0, pthread_kill(c.thread, SIGUSR1));
		ASSERT_TRUE(bao_wait_until(signals == i));
		ASSERT_TRUE(bao_caller_blocked(&c));
	}

	frontend_read(0, BAO_ADDR, 8);
	ASSERT_TRUE(bao_caller_join(&c));
	EXPECT_EQ(0, c.ret);
	EXPECT_EQ(1, c.serve.nr_fetched);
	EXPECT_EQ(BAO_ADDR, c.request.addr);
}

/*
 * A restart would complete a second time and end in -ENOENT, and -EINTR would
 * leave the VMM in doubt.
 */
static void signal_after_completion(struct __test_metadata *_metadata, int fd,
				    int flags)
{
	struct bao_caller c = { .fd = fd, .nr_completions = 1 };
	struct bao_request r;
	u64 handle;

	ASSERT_TRUE(catch_signals(flags));
	handle = frontend_read(0, BAO_ADDR, 8);
	ASSERT_EQ(1, bao_fetch(fd, &r, 1));
	c.completion = (struct bao_completion) { r.id, 12 };

	ASSERT_TRUE(bao_caller_start(&c));
	ASSERT_EQ(0, pthread_kill(c.thread, SIGUSR1));
	ASSERT_TRUE(bao_caller_join(&c));
	EXPECT_EQ(0, c.ret);
	EXPECT_EQ(1, c.serve.nr_completed);
	EXPECT_EQ(0, c.serve.nr_fetched);
	EXPECT_TRUE(is_answered(handle, 12));
	EXPECT_EQ(1, bed_completions(0));
}

TEST_F(block, signal_after_completion)
{
	signal_after_completion(_metadata, self->fd, 0);
}

TEST_F(block, restarting_signal_after_completion)
{
	signal_after_completion(_metadata, self->fd, SA_RESTART);
}

#define THREADS	4

static int nr_done(struct bao_caller *c)
{
	int nr = 0;

	for (int i = 0; i < THREADS; i++)
		nr += c[i].done;
	return nr;
}

/* The sleeps of the threads whose call has not returned */
static long sleeps(struct bao_caller *c)
{
	long sum = 0;

	for (int i = 0; i < THREADS; i++)
		sum += c[i].done ? 0 : bao_switches(c[i].tid);
	return sum;
}

TEST_F(block, one_request_wakes_one_thread)
{
	struct bao_caller c[THREADS] = {};
	long before[THREADS];
	long expected;

	for (int i = 0; i < THREADS; i++) {
		c[i].fd = self->fd;
		ASSERT_TRUE(bao_caller_start(&c[i]));
	}

	for (int n = 1; n <= THREADS; n++) {
		for (int i = 0; i < THREADS; i++)
			before[i] = c[i].done ? 0 : bao_switches(c[i].tid);
		frontend_read(0, BAO_ADDR + 8 * n, 8);
		ASSERT_TRUE(bao_wait_until(nr_done(c) == n));

		/* A thread that was woken in vain has gone to sleep again. */
		expected = 0;
		for (int i = 0; i < THREADS; i++) {
			if (c[i].done)
				continue;
			EXPECT_TRUE(bao_caller_blocked(&c[i]));
			expected += before[i];
		}
		EXPECT_EQ(expected, sleeps(c));
		EXPECT_EQ(n, nr_done(c));
	}

	for (int i = 0; i < THREADS; i++) {
		ASSERT_TRUE(bao_caller_join(&c[i]));
		EXPECT_EQ(0, c[i].ret);
		EXPECT_EQ(1, c[i].serve.nr_fetched);
		for (int j = 0; j < i; j++)
			EXPECT_NE(c[i].request.addr, c[j].request.addr);
	}
}

TEST_F(block, each_request_goes_to_one_thread)
{
	struct bao_server s[THREADS] = {};
	const u64 accesses = 400;
	unsigned long served = 0;

	for (int i = 0; i < THREADS; i++) {
		s[i].fd = self->fd;
		bao_server_start(&s[i]);
	}
	bed_generate(20260701, accesses, 0, 1, 2 * THREADS);
	EXPECT_TRUE(bao_wait_until(bed_progress().completed == accesses));
	EXPECT_EQ(0, bed_progress().violations);
	ASSERT_TRUE(bao_server_stop(0, s, THREADS));

	for (int i = 0; i < THREADS; i++) {
		served += s[i].served;
		EXPECT_EQ(0, s[i].bad);
	}
	EXPECT_EQ(accesses, served);
	EXPECT_EQ(0, bed_count(0, BED_CNT_REFUSED));
	EXPECT_EQ(accesses + THREADS, bed_count(0, BED_CNT_ASK));
}

TEST_HARNESS_MAIN
