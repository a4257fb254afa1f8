// SPDX-License-Identifier: GPL-2.0
/*
 * Eventfds, counters, chance and bad memory, for the tests that need them
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../kselftest.h"
#include "event_util.h"

/* An empty eventfd, whose counter can be looked at without waiting. */
int bao_eventfd(unsigned int flags)
{
	return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC | flags);
}

/* Whether there were so many of them to be had. */
bool bao_eventfds(int *evs, unsigned int nr)
{
	bool good = true;

	for (unsigned int i = 0; i < nr; i++) {
		evs[i] = bao_eventfd(0);
		good &= evs[i] >= 0;
	}
	return good;
}

int bao_ioeventfd(int fd, int ev, u32 flags, u64 addr, u32 len, u64 data)
{
	struct bao_ioeventfd args = {
		.size = sizeof(args),
		.flags = flags,
		.addr = addr,
		.data = data,
		.len = len,
		.fd = ev,
	};

	return bao_ioctl(fd, BAO_IOCTL_IOEVENTFD, &args);
}

int bao_irqfd(int fd, int ev, u32 flags)
{
	struct bao_irqfd args = {
		.size = sizeof(args),
		.flags = flags,
		.fd = ev,
	};

	return bao_ioctl(fd, BAO_IOCTL_IRQFD, &args);
}

int bao_iovalue(int fd, u32 flags, u64 addr, u32 len, u64 value)
{
	struct bao_iovalue args = {
		.size = sizeof(args),
		.flags = flags,
		.addr = addr,
		.value = value,
		.len = len,
	};

	return bao_ioctl(fd, BAO_IOCTL_IOVALUE, &args);
}

/**
 * bao_signals() - read an eventfd
 * @ev: the eventfd
 * @nr: how many signals to wait for; 0 to only look
 *
 * Return: how many there were; fewer than @nr if no more came in time.
 */
u64 bao_signals(int ev, u64 nr)
{
	struct pollfd p = { .fd = ev, .events = POLLIN };
	u64 sum = 0, n;

	while (sum < nr && poll(&p, 1, BAO_WATCHDOG_MS) == 1)
		if (read(ev, &n, sizeof(n)) == sizeof(n))
			sum += n;
	if (read(ev, &n, sizeof(n)) == sizeof(n))
		sum += n;
	return sum;
}

/**
 * bao_eventfd_id() - the kernel's own number of an eventfd
 * @ev: the eventfd
 *
 * A new eventfd gets the lowest number that is free, and keeps it until nothing
 * in the kernel refers to it any more. So a number that is given out again
 * shows that no reference to its former owner was left.
 *
 * Return: the number or -1.
 */
long bao_eventfd_id(int ev)
{
	char path[48], text[512];
	const char *at;
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", ev);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[len > 0 ? len : 0] = 0;
	at = strstr(text, "eventfd-id:");
	return at ? strtol(at + strlen("eventfd-id:"), NULL, 10) : -1;
}

/**
 * bao_reaches_vmm() - whether an access is fetched, and nothing else before it
 * @device: the Remote I/O device
 * @fd: its backend
 * @handle: the access, which is completed then
 *
 * Return: whether the VMM is the one to complete it.
 */
bool bao_reaches_vmm(unsigned int device, int fd, u64 handle)
{
	struct bao_request r;
	u64 before;

	if (bao_fetch(fd, &r, 1) != 1)
		return false;
	before = bed_completions(device);
	return frontend_query(handle).state == BED_PROCESSING &&
	       !bao_complete(fd, r.id, 1) &&
	       bed_completions(device) == before + 1 &&
	       frontend_query(handle).state == BED_COMPLETED;
}

/* Whether an access is completed, or soon is, as a write. */
bool frontend_wrote(u64 handle)
{
	return bao_wait_until(frontend_query(handle).state == BED_COMPLETED) &&
	       frontend_query(handle).op == BED_OP_WRITE;
}

/* Whether an access is completed, or soon is, as a read with this value. */
bool frontend_got(u64 handle, u64 value)
{
	return bao_wait_until(frontend_query(handle).state == BED_COMPLETED) &&
	       frontend_query(handle).op == BED_OP_READ &&
	       frontend_query(handle).value == value;
}

void bed_stop(void)
{
	if (bed_try(BED_CMD_STOP, 0, NULL)) {
		fprintf(stderr, "# test bed: BED_CMD_STOP is refused\n");
		_exit(KSFT_FAIL);
	}
}

/* Whether storm and generator, after bed_stop(), have got all their answers. */
bool bed_settled(void)
{
	struct bed_progress p = bed_progress();

	return p.completed == p.made;
}

/**
 * bed_finished() - wait for the end of a load
 * @accesses: how many it makes
 *
 * However long it takes, as long as it goes on.
 *
 * Return: whether all were completed.
 */
bool bed_finished(u64 accesses)
{
	u64 last;

	do
		last = bed_progress().completed;
	while (last < accesses &&
	       bao_wait_until(bed_progress().completed > last));
	return last == accesses;
}

/* A counter of the backend in sysfs, or -1. */
s64 bao_stat(unsigned int device, const char *name)
{
	char path[80], text[32];
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), "/sys/class/misc/bao-backend%u/stats/%s",
		 device, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (len <= 0)
		return -1;
	text[len] = 0;
	return strtoll(text, NULL, 10);
}

/* BAO_SEED repeats a run as far as the scheduler lets it. */
u64 bao_seed(void)
{
	const char *text = getenv("BAO_SEED");
	u64 seed = text ? strtoull(text, NULL, 0) : bao_now_ms();

	printf("# seed: BAO_SEED=%llu\n", seed);
	fflush(stdout);
	return seed;
}

/* The next number of a thread's own sequence */
u64 bao_random(u64 *state)
{
	return bed_expected(++*state);
}

/* Keeps the calling thread on one CPU. */
bool bao_pin(unsigned int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return !sched_setaffinity(0, sizeof(set), &set);
}

static bool has_name(const char *comm, const char *name)
{
	char line[64] = "";
	FILE *f = fopen(comm, "re");

	if (!f)
		return false;
	if (fgets(line, sizeof(line), f))
		line[strcspn(line, "\n")] = 0;
	fclose(f);
	return !strcmp(line, name);
}

/* Lets the kernel thread of a backend run on these CPUs only. */
static bool place_backend(unsigned int device, const cpu_set_t *cpus)
{
	bool good = false;
	char name[32];
	glob_t comms;

	snprintf(name, sizeof(name), "bao-backend%u", device);
	if (glob("/proc/[0-9]*/comm", 0, NULL, &comms))
		return false;
	for (size_t i = 0; i < comms.gl_pathc; i++)
		if (has_name(comms.gl_pathv[i], name))
			good = !sched_setaffinity(atoi(comms.gl_pathv[i] + 6),
						  sizeof(*cpus), cpus);
	globfree(&comms);
	return good;
}

#define HOG_CPU		1

static void *hog_thread(void *data)
{
	struct sched_param param = {
		.sched_priority = sched_get_priority_max(SCHED_FIFO),
	};
	struct bao_hog *hog = data;

	hog->runs = bao_pin(HOG_CPU) &&
		    !sched_setscheduler(0, SCHED_FIFO, &param);
	while (hog->runs && !hog->stop)
		;
	return NULL;
}

/**
 * bao_hog_begin() - keep the kernel thread of a backend from running
 * @hog: filled in, for bao_hog_end()
 * @device: the device
 *
 * That thread is bound to a CPU on which nothing but interrupts runs any more,
 * and the caller to another one.
 *
 * Return: whether that worked.
 */
bool bao_hog_begin(struct bao_hog *hog, unsigned int device)
{
	cpu_set_t cpus;

	*hog = (struct bao_hog) { .device = device };
	CPU_ZERO(&cpus);
	CPU_SET(HOG_CPU, &cpus);
	if (!bao_pin(0) || !place_backend(device, &cpus) ||
	    pthread_create(&hog->thread, NULL, hog_thread, hog))
		return false;
	if (bao_wait_until(hog->runs))
		return true;
	bao_hog_end(hog);
	return false;
}

/**
 * bao_is_done_beside_hog() - whether a request is completed with a hog there
 * @handle: the request's
 *
 * The scheduler lets others have 50 ms of each second, at its end. A machine that
 * stands still before that looks as if the frontend had used up its time, so one
 * answer of false means little.
 *
 * Return: whether it was completed early in the second.
 */
bool bao_is_done_beside_hog(u64 handle)
{
	u64 end = bao_now_ms() + 300;

	while (frontend_query(handle).state != BED_COMPLETED)
		if (bao_now_ms() > end)
			return false;
	return true;
}

/**
 * bao_hog_end() - let the backend's thread run again, where it likes
 * @hog: from bao_hog_begin()
 */
void bao_hog_end(struct bao_hog *hog)
{
	cpu_set_t cpus;

	hog->stop = true;
	pthread_join(hog->thread, NULL);
	memset(&cpus, 0xff, sizeof(cpus));
	place_backend(hog->device, &cpus);
}

/**
 * bao_edge_map() - make a page of memory with one behind it that cannot be used
 *
 * Return: the first page, or NULL.
 */
char *bao_edge_map(void)
{
	size_t page = sysconf(_SC_PAGESIZE);
	char *edge = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (edge == MAP_FAILED || mprotect(edge + page, page, PROT_NONE))
		return NULL;
	return edge;
}

void bao_edge_unmap(char *edge)
{
	munmap(edge, 2 * sysconf(_SC_PAGESIZE));
}
