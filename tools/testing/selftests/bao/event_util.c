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

/**
 * bao_pin_backend() - bind the kernel thread of a backend to a CPU
 * @device: the device
 * @cpu: the CPU
 *
 * It stays there until the driver is bound again.
 *
 * Return: whether that worked.
 */
bool bao_pin_backend(unsigned int device, unsigned int cpu)
{
	bool good = false;
	char name[32];
	glob_t comms;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	snprintf(name, sizeof(name), "bao-backend%u", device);
	if (glob("/proc/[0-9]*/comm", 0, NULL, &comms))
		return false;
	for (size_t i = 0; i < comms.gl_pathc; i++)
		if (has_name(comms.gl_pathv[i], name))
			good = !sched_setaffinity(atoi(comms.gl_pathv[i] + 6),
						  sizeof(set), &set);
	globfree(&comms);
	return good;
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
