// SPDX-License-Identifier: GPL-2.0
/*
 * The VMM's side of a test: set-up, calls, threads, and waiting for things
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "bao_test_util.h"

#define DRIVER_DIR	"/sys/bus/platform/drivers/bao-io-dispatcher"

u64 bao_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000ULL + now.tv_nsec / 1000000;
}

/* Gives the CPU away between two looks at what a test waits for. */
void bao_pause(void)
{
	poll(NULL, 0, 1);
}

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int ret = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

/**
 * bao_device() - the dispatcher's platform device
 *
 * Return: the name of the one that is bound, or else of the bed's.
 */
const char *bao_device(void)
{
	static char name[64];
	struct dirent *entry;
	DIR *dir;

	snprintf(name, sizeof(name), "60000000.remote-io");
	dir = opendir(DRIVER_DIR);
	if (!dir)
		return name;
	while ((entry = readdir(dir)))
		if (entry->d_type == DT_LNK && strchr(entry->d_name, '.'))
			snprintf(name, sizeof(name), "%.63s", entry->d_name);
	closedir(dir);
	return name;
}

bool bao_is_bound(void)
{
	char path[128];

	snprintf(path, sizeof(path), DRIVER_DIR "/%s", bao_device());
	return !access(path, F_OK);
}

/* Returns what the driver's probe returned. */
int bao_bind(const char *device)
{
	return write_file(DRIVER_DIR "/bind", device);
}

int bao_unbind(void)
{
	return write_file(DRIVER_DIR "/unbind", bao_device());
}

/**
 * bao_load() - load the driver if it is a module and not loaded
 *
 * Return: NULL, or the reason why there is no driver.
 */
const char *bao_load(void)
{
	const char *path = getenv("BAO_MODULE") ?:
			   "/modules/bao_io_dispatcher.ko";
	int fd;

	if (!access(DRIVER_DIR, F_OK))
		return NULL;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return "no driver, and no module of it where BAO_MODULE says";
	if (syscall(__NR_finit_module, fd, "", 0)) {
		close(fd);
		return "the driver's module cannot be loaded";
	}
	close(fd);
	return NULL;
}

int bao_open(unsigned int device, int flags)
{
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/dev/bao/backend%u", device);
	fd = open(path, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/**
 * bao_open_first() - open several backends
 * @fds: where the files go
 * @nr: how many, from backend 0
 * @flags: as for bao_open()
 *
 * Return: whether all could be opened.
 */
bool bao_open_first(int *fds, unsigned int nr, int flags)
{
	bool good = true;

	for (unsigned int i = 0; i < nr; i++) {
		fds[i] = bao_open(i, flags);
		good &= fds[i] >= 0;
	}
	return good;
}

int bao_ioctl(int fd, unsigned long cmd, void *arg)
{
	return ioctl(fd, cmd, arg) < 0 ? -errno : 0;
}

/**
 * bao_serve() - a SERVE call
 * @fd: the file
 * @s: filled in, and what the kernel made of it
 * @completions: to carry out
 * @nr_c: how many
 * @requests: where fetched requests go
 * @nr_r: how many at most
 *
 * Return: 0 or a negative errno.
 */
int bao_serve(int fd, struct bao_serve *s,
	      const struct bao_completion *completions, unsigned int nr_c,
	      struct bao_request *requests, unsigned int nr_r)
{
	*s = (struct bao_serve) {
		.size = sizeof(*s),
		.completions = (uintptr_t)completions,
		.requests = (uintptr_t)requests,
		.nr_completions = nr_c,
		.nr_requests = nr_r,
		/* Not what a test expects, so that it sees them written. */
		.nr_completed = 0xdead,
		.nr_fetched = 0xdead,
	};
	return bao_ioctl(fd, BAO_IOCTL_SERVE, s);
}

/**
 * bao_complete() - complete one request
 * @fd: the file
 * @id: the request
 * @value: the answer
 *
 * Return: 0 or a negative errno; -EPROTO if what the call returned and what it
 *	says to have completed do not fit together.
 */
int bao_complete(int fd, u64 id, u64 value)
{
	struct bao_completion c = { .id = id, .value = value };
	struct bao_serve s;
	int ret = bao_serve(fd, &s, &c, 1, NULL, 0);

	if (ret && ret != -ENOENT && ret != -EIO)
		return ret;
	return s.nr_completed == !ret && !s.nr_fetched ? ret : -EPROTO;
}

/* Whether a request waits, or comes before the watchdog's time is up. */
bool bao_poll_in(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, BAO_WATCHDOG_MS) == 1 && p.revents == POLLIN;
}

/**
 * bao_fetch() - fetch a known number of requests, in as many calls as it takes
 * @fd: the file
 * @requests: where they go
 * @nr: how many
 *
 * Return: @nr, less if no more came, or a negative errno.
 */
int bao_fetch(int fd, struct bao_request *requests, unsigned int nr)
{
	unsigned int done = 0;
	struct bao_serve s;
	int ret;

	while (done < nr && bao_poll_in(fd)) {
		ret = bao_serve(fd, &s, NULL, 0, requests + done, nr - done);
		if (ret)
			return ret;
		done += s.nr_fetched;
	}
	return done;
}

/*
 * Completes what earlier tests left behind, those that failed in the middle
 * included. The bed has forgotten those requests and refuses, after which the
 * driver forgets them too.
 */
static const char *settle(unsigned int device)
{
	struct bao_request requests[16];
	struct bao_serve s;
	int fd;

	fd = bao_open(device, O_RDWR | O_NONBLOCK);
	if (fd < 0)
		return "cannot open a backend that the bed has";
	while (!bao_serve(fd, &s, NULL, 0, requests, 16))
		for (unsigned int i = 0; i < s.nr_fetched; i++)
			bao_complete(fd, requests[i].id, 0);
	close(fd);
	return NULL;
}

/**
 * bao_begin() - bring driver and bed into a known state
 * @nr_devices: how many backends the test uses
 *
 * Return: NULL, or a reason to skip the test.
 */
const char *bao_begin(unsigned int nr_devices)
{
	const char *why = bed_map();

	if (why)
		return why;
	if (bao_nr_devices() < nr_devices)
		return "the bed has fewer Remote I/O devices than this test needs";

	bed_reset();
	why = bao_load();
	if (!why && !bao_is_bound() && bao_bind(bao_device()))
		why = "the dispatcher is not bound and cannot be";
	for (unsigned int i = 0; !why && i < nr_devices; i++)
		why = settle(i);
	if (why) {
		/* In the bed nothing of this is a reason to skip. */
		fprintf(stderr, "# %s\n", why);
		_exit(1);
	}
	bed_reset();
	return NULL;
}

static bool read_proc(pid_t tid, const char *file, char *text, size_t size)
{
	char path[64];
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", tid, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	len = read(fd, text, size - 1);
	close(fd);
	text[len > 0 ? len : 0] = 0;
	return len > 0;
}

/**
 * bao_blocked_in() - whether a thread sleeps in a system call
 * @tid: the thread, of this process or a child
 * @syscall_nr: the system call
 *
 * A thread that waits for a lock of the kernel's is in another state.
 */
bool bao_blocked_in(pid_t tid, long syscall_nr)
{
	char text[512];
	char *state;

	if (!read_proc(tid, "stat", text, sizeof(text)))
		return false;
	state = strrchr(text, ')');
	if (!state || state[2] != 'S')
		return false;
	return read_proc(tid, "syscall", text, sizeof(text)) &&
	       text[0] != 'r' && strtol(text, NULL, 10) == syscall_nr;
}

/**
 * bao_watchdog_pause() - wait a moment
 * @dog: the watchdog
 *
 * A machine that stands still makes the clock leap, and with it everything that
 * is waited for stands still. So not much counts between two looks.
 *
 * Return: whether to go on waiting.
 */
bool bao_watchdog_pause(struct bao_watchdog *dog)
{
	u64 now, step;

	bao_pause();
	now = bao_now_ms();
	step = now - dog->last_ms;
	dog->last_ms = now;
	dog->waited_ms += step < 100 ? step : 100;
	return dog->waited_ms < BAO_WATCHDOG_MS;
}

static void report_file(pid_t tid, const char *file)
{
	char text[4096];
	char *line, *rest = text;

	if (!read_proc(tid, file, text, sizeof(text)))
		return;
	while ((line = strsep(&rest, "\n")) && *line)
		fprintf(stderr, "#   %s\n", line);
}

/**
 * bao_watchdog_report() - something was waited for in vain
 * @file: the source file that says so
 * @line: the line there
 * @cond: what did not happen
 *
 * Tells what the threads of this process do instead.
 */
void bao_watchdog_report(const char *file, int line, const char *cond)
{
	static const char * const files[] = { "stat", "syscall", "stack" };
	glob_t tasks;

	fprintf(stderr, "# %s:%d: waited %d s in vain for: %s\n", file, line,
		BAO_WATCHDOG_MS / 1000, cond);
	if (glob("/proc/self/task/*", 0, NULL, &tasks))
		return;
	for (size_t i = 0; i < tasks.gl_pathc; i++) {
		pid_t tid = atoi(strrchr(tasks.gl_pathv[i], '/') + 1);

		fprintf(stderr, "# thread %d\n", tid);
		for (int j = 0; j < 3; j++)
			report_file(tid, files[j]);
	}
	globfree(&tasks);
}

/* How often a thread went to sleep so far, or -1. */
long bao_switches(pid_t tid)
{
	static const char key[] = "\nvoluntary_ctxt_switches:";
	char text[4096];
	char *at;

	if (!read_proc(tid, "status", text, sizeof(text)))
		return -1;
	at = strstr(text, key);
	return at ? strtol(at + strlen(key), NULL, 10) : -1;
}

static void *caller_thread(void *data)
{
	struct bao_caller *c = data;

	c->tid = syscall(__NR_gettid);
	c->ret = bao_serve(c->fd, &c->serve, &c->completion, c->nr_completions,
			   &c->request, 1);
	c->done = true;
	return NULL;
}

bool bao_caller_blocked(struct bao_caller *c)
{
	return bao_wait_until(c->done ||
			      bao_blocked_in(c->tid, __NR_ioctl)) && !c->done;
}

/* Returns whether the call blocks; if not, its result is there. */
bool bao_caller_start(struct bao_caller *c)
{
	c->tid = -1;
	c->done = false;
	if (pthread_create(&c->thread, NULL, caller_thread, c))
		return false;
	return bao_caller_blocked(c);
}

/* Returns whether the call came to an end. */
bool bao_caller_join(struct bao_caller *c)
{
	return bao_wait_until(c->done) && !pthread_join(c->thread, NULL);
}

static bool write_is_good(const struct bao_request *r)
{
	return r->op != BAO_OP_WRITE ||
	       r->value == bao_cut(bed_expected(r->addr), r->width);
}

static void *server_thread(void *data)
{
	struct bao_server *s = data;
	struct bao_completion c = {};
	unsigned int nr_c = 0;
	struct bao_request r;
	struct bao_serve call;
	int ret;

	s->tid = syscall(__NR_gettid);
	for (;;) {
		ret = bao_serve(s->fd, &call, &c, nr_c, &r, 1);
		if (ret && !(ret == -EIO && s->tolerant)) {
			s->error = ret;
			break;
		}
		nr_c = !ret && call.nr_fetched;
		if (!nr_c)
			continue;

		c = (struct bao_completion) { r.id, bed_expected(r.addr) };
		if (r.addr == BAO_STOP_ADDR) {
			s->error = bao_complete(s->fd, c.id, c.value);
			break;
		}
		s->bad += !write_is_good(&r);
		s->served++;
	}
	s->done = true;
	return NULL;
}

void bao_server_start(struct bao_server *s)
{
	s->served = 0;
	s->bad = 0;
	s->error = 0;
	s->done = false;
	s->tid = -1;
	if (pthread_create(&s->thread, NULL, server_thread, s)) {
		s->error = -EAGAIN;
		s->done = true;
	}
}

/**
 * bao_server_forget() - let the bed forget all requests under a server's feet
 * @s: the thread
 *
 * Returns when the thread has got rid of those that it or the driver still had.
 * The hypervisor uses their ids again, so that a request made any earlier could
 * be taken for one of them.
 *
 * Return: whether that came to an end.
 */
bool bao_server_forget(struct bao_server *s)
{
	bool idle;

	s->tolerant = true;
	bed_reset();
	idle = bao_wait_until(s->done || bao_blocked_in(s->tid, __NR_ioctl));
	s->tolerant = false;
	bed_reset();
	return idle && !s->done;
}

/**
 * bao_server_stop() - stop threads that serve one backend
 * @device: the backend
 * @s: array of threads, all on the same file
 * @nr: how many
 *
 * Each stops at a request of its own, so none is disturbed in a call.
 *
 * Return: whether all stopped in time and without an error.
 */
bool bao_server_stop(unsigned int device, struct bao_server *s,
		     unsigned int nr)
{
	bool good = true;

	for (unsigned int i = 0; i < nr; i++)
		frontend_read(device, BAO_STOP_ADDR, 4);
	for (unsigned int i = 0; i < nr; i++) {
		if (!bao_wait_until(s[i].done))
			return false;
		pthread_join(s[i].thread, NULL);
		if (s[i].error)
			fprintf(stderr, "# serving ended with %d\n", s[i].error);
		good &= !s[i].error;
	}
	return good;
}

/**
 * bao_log_open() - watch the kernel log
 *
 * Return: a file that bao_log_count() finds all later messages in.
 */
int bao_log_open(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0)
		lseek(fd, 0, SEEK_END);
	return fd;
}

/**
 * bao_log_count() - count messages
 * @fd: from bao_log_open()
 * @must: what a message must contain to be counted
 * @also: the same, or NULL
 *
 * Return: how many there were since the last call for this file.
 */
unsigned int bao_log_count(int fd, const char *must, const char *also)
{
	unsigned int nr = 0;
	char text[2048];
	ssize_t len;

	while ((len = read(fd, text, sizeof(text) - 1)) > 0 ||
	       (len < 0 && errno == EPIPE)) {
		if (len < 0)
			continue;
		text[len] = 0;
		nr += strstr(text, must) && (!also || strstr(text, also));
	}
	return nr;
}

static sigjmp_buf on_sigbus;

static void catch_sigbus(int sig)
{
	siglongjmp(on_sigbus, 1);
}

/* Whether a store to mapped memory raises SIGBUS. */
bool bao_raises_sigbus(char *p)
{
	struct sigaction action = { .sa_handler = catch_sigbus };
	struct sigaction saved;
	bool raised = true;

	sigaction(SIGBUS, &action, &saved);
	if (!sigsetjmp(on_sigbus, 1)) {
		__atomic_store_n(p, 1, __ATOMIC_SEQ_CST);
		raised = false;
	}
	sigaction(SIGBUS, &saved, NULL);
	return raised;
}
