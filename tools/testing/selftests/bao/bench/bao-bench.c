// SPDX-License-Identifier: GPL-2.0
/*
 * The benchmark's part in the backend: serves the scripted frontend's paced
 * accesses and prints what they cost
 *
 * A line of output is a record of key=value pairs. "count" has what happened in
 * the window of so many requests, "time" has the times as the bed took them.
 * What is accessed is a kick (a write that an ioeventfd matches) or a load (a
 * read that an iovalue matches), or a read or a write that the VMM handles; and a
 * notify is a signal to an irqfd.
 *
 * There are two loads. "alone": one vCPU, which pauses before each access, and
 * visits the backends in turn. "full": a vCPU for each backend, with no pause.
 *
 * usage: bao-bench -c [-n ACCESSES] [-p PAUSE]		count
 *	  bao-bench [-a] [-n ACCESSES] [-p PAUSE] [-b POLL] BACKENDS...
 * -a leaves out the load "full"; PAUSE and POLL, how long the VMM polls before
 * it sleeps, are in microseconds. Times are taken for each number of BACKENDS.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

static struct {
	bool count;
	bool alone;			/* this load, and not the other */
	unsigned int accesses;
	unsigned int pause_us;
	unsigned int busy_poll_us;
} options = {
	.accesses = 1000,
	.pause_us = 1000,
	.busy_poll_us = 4000,
};

/* What is measured; by default the VMM handles it */
struct subject {
	const char *what;
	enum bed_op op;
	void (*add)(struct vmm *vmm);
};

static const struct subject subjects[] = {
	{ "kick", BED_OP_WRITE, vmm_add_kicks },
	{ "load", BED_OP_READ, vmm_add_values },
	{ "read", BED_OP_READ, NULL },
	{ "write", BED_OP_WRITE, NULL },
};

#define NR_SUBJECTS	(sizeof(subjects) / sizeof(*subjects))

static bool is_kick(const struct subject *s)
{
	return s->add == vmm_add_kicks;
}

struct load {
	const char *name;
	unsigned int vcpus;
	unsigned int pause_us;
};

void fail(const char *fmt, ...)
{
	va_list args;

	fflush(stdout);
	fputs("bench: error: ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputs("\n", stderr);
	exit(1);
}

static void bed_must(enum bed_cmd cmd, unsigned int nr, const u64 *args)
{
	long status = bed_try(cmd, nr, args);

	if (status)
		fail("the bed refuses command %u: %s", cmd, strerror(-status));
}

static u64 accesses_completed(void)
{
	bed_must(BED_CMD_TIMES, 0, NULL);
	return bed_ret(0);
}

/*
 * Returns when the frontend has made so many accesses. Looks seldom, so as not
 * to disturb.
 */
static void run(const struct subject *s, unsigned int backends,
		const struct load *load, unsigned int accesses)
{
	const u64 args[] = {
		0, backends, s->op, BENCH_ADDR, load->vcpus, accesses,
		load->pause_us,
	};
	const struct timespec nap = { .tv_nsec = 20000000 };
	u64 before = 0, now, since = bao_now_ms();

	bed_must(BED_CMD_PACE, sizeof(args) / sizeof(*args), args);
	while ((now = accesses_completed()) < accesses) {
		if (now != before)
			since = bao_now_ms();
		else if (bao_now_ms() - since > BAO_WATCHDOG_MS)
			fail("%s: no progress after %llu accesses", s->what,
			     now);
		before = now;
		nanosleep(&nap, NULL);
	}
}

static u64 hypercalls(unsigned int backends)
{
	static const enum bed_counter counters[] = {
		BED_CNT_ASK, BED_CNT_ASK_EMPTY, BED_CNT_WRITE, BED_CNT_READ,
		BED_CNT_NOTIFY, BED_CNT_REFUSED,
	};
	u64 sum = 0, device;

	for (device = 0; device < backends; device++) {
		bed_must(BED_CMD_COUNTERS, 1, &device);
		for (size_t i = 0; i < sizeof(counters) / sizeof(*counters); i++)
			sum += bed_ret(counters[i]);
	}
	return sum;
}

static void check_violations(unsigned int backends)
{
	for (unsigned int i = 0; i < backends; i++)
		if (bed_count(i, BED_CNT_VIOLATION))
			fail("backend %u did what Bao forbids", i);
}

/* Starts the VMM and makes each backend serve once or more. */
static void begin(struct vmm *vmm, const struct subject *s,
		  unsigned int backends, unsigned int busy_poll_us)
{
	const struct load warm_up = { .vcpus = 1, .pause_us = 100 };

	vmm_start(vmm, backends, busy_poll_us);
	if (s->add)
		s->add(vmm);
	run(s, backends, &warm_up, backends + 16);
	vmm_settle(vmm);
	if (is_kick(s) && vmm_kicks(vmm) != backends + 16)
		fail("not every kick arrived");
}

static void end(struct vmm *vmm, const struct subject *s)
{
	if (is_kick(s) && vmm_kicks(vmm) != options.accesses)
		fail("not every kick arrived");
	vmm_stop(vmm);
	check_violations(vmm->nr);
}

static void print_item(const char *key, u64 value)
{
	printf(" %s=%llu", key, value);
}

static void print_time(const char *what, bool poll, const char *load,
		       unsigned int backends)
{
	printf("bench: time what=%s poll=%d load=%s backends=%u", what, poll,
	       load, backends);
}

static void print_times(const struct subject *s, const struct load *load,
			const struct vmm *vmm, u64 calls)
{
	static const char * const keys[] = {
		"requests", "p50", "p99", "max", "mean", "elapsed",
	};

	bed_must(BED_CMD_TIMES, 0, NULL);
	print_time(s->what, vmm->busy_poll_us, load->name, vmm->nr);
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		print_item(keys[i], bed_ret(i));
	print_item("hypercalls", calls);
	printf("\n");
}

static void time_load(const struct subject *s, const struct load *load,
		      unsigned int backends, unsigned int busy_poll_us)
{
	struct vmm vmm;
	u64 calls;

	begin(&vmm, s, backends, busy_poll_us);
	calls = hypercalls(backends);
	run(s, backends, load, options.accesses);
	print_times(s, load, &vmm, hypercalls(backends) - calls);
	end(&vmm, s);
}

static void time_subject(const struct subject *s, unsigned int backends)
{
	const struct load alone = { "alone", 1, options.pause_us };
	const struct load full = { "full", backends, 0 };
	unsigned int poll[] = { 0, options.busy_poll_us };

	/* Nobody polls for what the driver does by itself. */
	for (int i = 0; i < (s->add ? 1 : 2); i++) {
		time_load(s, &alone, backends, poll[i]);
		if (!options.alone)
			time_load(s, &full, backends, poll[i]);
	}
}

static void print_count(const char *what, bool poll, u64 calls,
			const struct tally *t)
{
	printf("bench: count what=%s poll=%d", what, poll);
	print_item("requests", options.accesses);
	print_item("hypercalls", calls);
	print_item("syscalls", t->syscalls);
	print_item("switches", t->switches);
	print_item("early_switches", t->early_switches);
	print_item("wakeups", t->wakeups);
	print_item("allocs", t->allocs);
	print_item("interrupts", t->interrupts);
	printf("\n");
}

static void count_subject(const struct subject *s, unsigned int busy_poll_us)
{
	const struct load alone = { "alone", 1, options.pause_us };
	struct tally tally;
	struct vmm vmm;
	u64 calls;
	int tid;

	begin(&vmm, s, 1, busy_poll_us);
	tid = vmm.servers[0].tid;
	calls = hypercalls(1);
	trace_begin();
	run(s, 1, &alone, options.accesses);
	vmm_settle(&vmm);
	trace_end(&tid, 1, &tally);
	if (tally.direct != (s->add ? options.accesses : 0))
		fail("%s: the trace has %llu kicks and loads", s->what,
		     tally.direct);
	print_count(s->what, busy_poll_us, hypercalls(1) - calls, &tally);
	end(&vmm, s);
}

static u64 now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return (x > y) - (x < y);
}

static void signal_irqfd(int fd)
{
	const u64 one = 1;

	if (write(fd, &one, sizeof(one)) != sizeof(one))
		fail("the irqfd's eventfd cannot be signalled");
}

static int add_irqfd(int backend)
{
	struct bao_irqfd arg = {
		.size = sizeof(arg),
		.fd = eventfd(0, EFD_CLOEXEC),
	};
	int ret = bao_ioctl(backend, BAO_IOCTL_IRQFD, &arg);

	if (ret)
		fail("an irqfd is refused: %s", strerror(-ret));
	signal_irqfd(arg.fd);
	return arg.fd;
}

static void print_samples(u64 *t, unsigned int n)
{
	u64 sum = 0;

	for (unsigned int i = 0; i < n; i++)
		sum += t[i];
	qsort(t, n, sizeof(*t), compare);
	print_item("requests", n);
	print_item("p50", t[(n - 1) / 2]);
	print_item("p99", t[(n - 1) * 99 / 100]);
	print_item("max", t[n - 1]);
	print_item("mean", sum / n);
	print_item("elapsed", sum);
	printf("\n");
}

/* The time of a notify is that of the write() that signals. */
static void time_notify(int irqfd)
{
	u64 *t = calloc(options.accesses, sizeof(*t)), begin;

	if (!t)
		fail("no memory");
	for (unsigned int i = 0; i < options.accesses; i++) {
		begin = now_ns();
		signal_irqfd(irqfd);
		t[i] = now_ns() - begin;
	}
	print_time("notify", false, "alone", 1);
	print_samples(t, options.accesses);
	free(t);
}

static void count_notify(int irqfd)
{
	const int tid = getpid();
	u64 calls = hypercalls(1);
	struct tally tally;

	trace_begin();
	for (unsigned int i = 0; i < options.accesses; i++)
		signal_irqfd(irqfd);
	trace_end(&tid, 1, &tally);
	print_count("notify", false, hypercalls(1) - calls, &tally);
}

static void measure_notify(void (*measure)(int irqfd))
{
	int backend = bao_open(0, O_RDWR), irqfd;

	if (backend < 0)
		fail("backend 0 cannot be opened: %s", strerror(-backend));
	irqfd = add_irqfd(backend);
	measure(irqfd);
	close(irqfd);
	close(backend);
}

/* If there are no allocations to be seen here, nobody has looked. */
static void check_counting(void)
{
	const int tid = getpid();
	struct tally tally;

	trace_begin();
	close(eventfd(0, EFD_CLOEXEC));
	trace_end(&tid, 1, &tally);
	if (tally.syscalls != 2 || !tally.allocs)
		fail("tracing is at fault: it shows %llu system calls, not 2, and %llu allocations",
		     tally.syscalls, tally.allocs);
}

static void count_all(void)
{
	trace_open();
	check_counting();
	for (size_t i = 0; i < NR_SUBJECTS; i++) {
		count_subject(&subjects[i], 0);
		if (!subjects[i].add)
			count_subject(&subjects[i], BAO_BUSY_POLL_MAX_US);
	}
	measure_notify(count_notify);
	trace_close();
}

static void time_all(char **sizes)
{
	for (; *sizes; sizes++)
		for (size_t i = 0; i < NR_SUBJECTS; i++)
			time_subject(&subjects[i], atoi(*sizes));
	measure_notify(time_notify);
}

static void parse_options(int argc, char **argv)
{
	int opt;

	while ((opt = getopt(argc, argv, "n:p:b:ac")) != -1) {
		if (opt == 'a')
			options.alone = true;
		else if (opt == 'c')
			options.count = true;
		else if (opt == 'n')
			options.accesses = atoi(optarg);
		else if (opt == 'p')
			options.pause_us = atoi(optarg);
		else if (opt == 'b')
			options.busy_poll_us = atoi(optarg);
		else
			fail("see the first comment of the program");
	}
}

int main(int argc, char **argv)
{
	const char *why;

	setvbuf(stdout, NULL, _IOLBF, 0);
	parse_options(argc, argv);
	why = bao_begin(1);
	if (why)
		fail("%s", why);
	/* A page fault would look like an allocation for a request. */
	if (mlockall(MCL_CURRENT | MCL_FUTURE))
		fail("no memory");
	if (options.count)
		count_all();
	else
		time_all(argv + optind);
	return 0;
}
