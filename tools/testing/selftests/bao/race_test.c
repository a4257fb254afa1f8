// SPDX-License-Identifier: GPL-2.0
/*
 * Everything against everything: threads assign and remove ioeventfds, irqfds
 * and iovalues, signal and close eventfds, close and open backends, and serve, while
 * frontends do not pause and the driver comes and goes. Whatever happens, each
 * access is completed once, nobody hangs, and nothing is left over.
 *
 * BAO_RACE_ROUNDS says how many things the threads shall have achieved, in the
 * environment or on the kernel's command line; BAO_SEED, what they try.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "../kselftest_harness.h"
#include "event_util.h"

#define ROUNDS		20000
#define RACERS		8
#define BACKENDS	2
#define SERVERS		(2 * BACKENDS)
#define EVENTFDS	8
#define ADDRS		2	/* of each eventfd, in each backend */
#define KICK		0x0a000050ULL

/**
 * struct backend - a backend's file, as the threads share it
 * @fd: the file, or -1 while there is none
 * @generation: changes with the file
 * @opening: held by the one that replaces it
 */
struct backend {
	atomic_int fd;
	atomic_uint generation;
	pthread_mutex_t opening;
};

static struct backend backends[BACKENDS];
static atomic_int eventfds[EVENTFDS];

/* What the racers have achieved, and what nobody may see */
enum {
	ADD_KICK, DEL_KICK, ADD_IRQ, DEL_IRQ, SET_VALUE, DEL_VALUE, SIGNAL,
	HANG_UP, REOPEN, NR_OPS
};

static const char * const op_names[] = {
	"ioeventfds assigned", "ioeventfds removed", "irqfds assigned",
	"irqfds removed", "iovalues set", "iovalues removed", "signals",
	"eventfds closed", "backends closed",
};

static atomic_ulong achieved[NR_OPS], rounds, unexpected;
static atomic_ulong limit;	/* of rounds, for now; at @target they end */
static unsigned long target;
static atomic_bool servers_stop;

struct thread {
	u64 random;
	unsigned int device;	/* a server's */
	atomic_bool done;
	pthread_t thread;
};

static struct thread racers[RACERS], servers[SERVERS];

/*
 * A number of a file that another thread has just closed may by now name
 * nothing, or a file of another kind.
 */
static bool is_usual(int ret)
{
	switch (ret) {
	case 0:
	case -EBADF:
	case -EEXIST:
	case -EINVAL:
	case -ENODEV:
	case -ENOENT:
	case -ENOSPC:
	case -ENOTTY:
		return true;
	}
	return false;
}

static int note(int ret, const char *what)
{
	if (!is_usual(ret) && !unexpected++)
		fprintf(stderr, "# %s failed with %d\n", what, ret);
	return ret;
}

static void count(int op)
{
	achieved[op]++;
	rounds++;
}

static void wake_servers(unsigned int device)
{
	for (int i = 0; i < SERVERS; i++)
		if (servers[i].device == device && !servers[i].done)
			pthread_kill(servers[i].thread, SIGUSR1);
}

/* Until all calls on the old file have come back the new one is busy. */
static void open_backend(struct backend *b)
{
	unsigned int device = b - backends;
	struct bao_watchdog dog = { .last_ms = bao_now_ms() };
	int fd;

	while ((fd = bao_open(device, O_RDWR)) < 0) {
		if (!bao_watchdog_pause(&dog)) {
			note(-ETIMEDOUT, "opening a backend");
			return;
		}
		wake_servers(device);
	}
	b->fd = fd;
}

static bool reopen(struct backend *b)
{
	int old;

	if (pthread_mutex_trylock(&b->opening)) {
		bao_pause();
		return false;
	}
	old = atomic_exchange(&b->fd, -1);
	b->generation++;
	if (old >= 0)
		close(old);
	open_backend(b);
	pthread_mutex_unlock(&b->opening);
	return true;
}

static u64 kick_addr(unsigned int device, unsigned int i, unsigned int n)
{
	return device * 0x1000 + (i * ADDRS + n) * 8;
}

static int config_kick(u32 flags, unsigned int device, int ev,
		       unsigned int i, unsigned int n)
{
	return note(bao_ioeventfd(backends[device].fd, ev, flags,
				  kick_addr(device, i, n), 0, 0),
		    "configuration of an ioeventfd");
}

static int config_irq(u32 flags, unsigned int device, int ev)
{
	return note(bao_irqfd(backends[device].fd, ev, flags),
		    "configuration of an irqfd");
}

/* The value is the one that the oracle expects. */
static int config_value(u32 flags, unsigned int device, unsigned int i,
			unsigned int n)
{
	u64 addr = kick_addr(device, i, n);
	u64 value = flags ? 0 : bao_cut(bed_expected(addr), 4);

	return note(bao_iovalue(backends[device].fd, flags, addr, 4, value),
		    "configuration of an iovalue");
}

/* Half of the time its ioeventfds stay until the backend is closed. */
static int hang_up(unsigned int i, bool remove)
{
	int new = bao_eventfd(0), old;

	if (new < 0)
		return note(-EMFILE, "making an eventfd");
	old = atomic_exchange(&eventfds[i], new);
	for (unsigned int n = 0; remove && n < BACKENDS * ADDRS; n++)
		config_kick(BAO_IOEVENTFD_DEASSIGN, n / ADDRS, old, i,
			    n % ADDRS);
	close(old);
	return 0;
}

/* Which of the things to do next. What may fail is tried more often. */
static int choose(u64 random)
{
	static const int ops[] = {
		ADD_KICK, ADD_KICK, ADD_KICK, DEL_KICK, DEL_KICK, DEL_KICK,
		DEL_KICK, DEL_KICK, ADD_IRQ, ADD_IRQ, ADD_IRQ, DEL_IRQ,
		DEL_IRQ, DEL_IRQ, DEL_IRQ, SET_VALUE, SET_VALUE, DEL_VALUE,
		DEL_VALUE, DEL_VALUE, SIGNAL, SIGNAL, SIGNAL, HANG_UP,
	};

	return random % 128 ? ops[random / 128 % ARRAY_SIZE(ops)] : REOPEN;
}

static int act(int op, u64 random)
{
	unsigned int device = random % BACKENDS;
	unsigned int n = random / BACKENDS % ADDRS;
	unsigned int i = random / 64 % EVENTFDS;
	int ev = eventfds[i];

	switch (op) {
	case ADD_KICK:
		return config_kick(0, device, ev, i, n);
	case DEL_KICK:
		return config_kick(BAO_IOEVENTFD_DEASSIGN, device, ev, i, n);
	case ADD_IRQ:
		return config_irq(0, device, ev);
	case DEL_IRQ:
		return config_irq(BAO_IRQFD_DEASSIGN, device, ev);
	case SET_VALUE:
		return config_value(0, device, i, n);
	case DEL_VALUE:
		return config_value(BAO_IOVALUE_DEASSIGN, device, i, n);
	case SIGNAL:
		return eventfd_write(ev, 1);
	case HANG_UP:
		return hang_up(i, n % 2);
	default:
		return reopen(&backends[device]) ? 0 : -EBUSY;
	}
}

static void *race(void *data)
{
	struct thread *t = data;
	u64 random;
	int op, ret;

	while (rounds < target && !unexpected) {
		if (rounds >= limit) {
			bao_pause();
			continue;
		}
		random = bao_random(&t->random);
		op = choose(random >> 32);
		ret = act(op, random);
		if (!ret)
			count(op);
		else if (ret == -ENODEV)
			reopen(&backends[random % BACKENDS]);
	}
	t->done = true;
	return NULL;
}

/* Serves on a descriptor of its own, so that each id stays with its file. */
static void serve_file(struct thread *t, int fd, unsigned int generation)
{
	struct backend *b = &backends[t->device];
	struct bao_completion c = {};
	struct bao_request r = {};
	struct bao_serve s = {};
	unsigned int nr_c = 0;
	int ret;

	while (b->generation == generation && !servers_stop) {
		s = (struct bao_serve) {
			.size = sizeof(s),
			.completions = (uintptr_t)&c,
			.requests = (uintptr_t)&r,
			.nr_completions = nr_c,
			.nr_requests = 1,
			.busy_poll_us = bao_random(&t->random) % 100,
		};
		ret = bao_ioctl(fd, BAO_IOCTL_SERVE, &s);
		if (ret == -ENODEV || ret == -ENOTTY)
			return;
		if (ret == -ENOENT || (ret && ret != -EINTR))
			note(ret == -ENOENT ? -EPROTO : ret, "SERVE");
		nr_c = !ret && s.nr_fetched;
		c = (struct bao_completion) { r.id, bed_expected(r.addr) };
	}
	/* The last request may be in hand: it goes to whoever comes next. */
}

static void *serve(void *data)
{
	struct thread *t = data;
	struct backend *b = &backends[t->device];
	unsigned int generation;
	int fd;

	while (!servers_stop) {
		generation = b->generation;
		fd = dup(b->fd);
		if (fd >= 0) {
			serve_file(t, fd, generation);
			close(fd);
		}
		if (b->generation == generation)
			bao_pause();
	}
	t->done = true;
	return NULL;
}

static bool all_done(struct thread *threads, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		if (!threads[i].done)
			return false;
	return true;
}

static bool start(struct thread *threads, unsigned int nr, void *(*fn)(void *),
		  u64 seed)
{
	for (unsigned int i = 0; i < nr; i++) {
		threads[i].random = seed + ((u64)i << 40);
		threads[i].device = i % BACKENDS;
		threads[i].done = false;
		if (pthread_create(&threads[i].thread, NULL, fn, &threads[i]))
			return false;
	}
	return true;
}

static void ignore(int sig)
{
}

FIXTURE(race) {
	u64 start_ms;
	s64 before[BACKENDS];	/* completed by the driver, for whomever */
};

#define SELF	FIXTURE_DATA(race)

static s64 completed(unsigned int device)
{
	return bao_stat(device, "kicks") + bao_stat(device, "loads") +
	       bao_stat(device, "completed");
}

FIXTURE_SETUP(race)
{
	const char *why = bao_begin(BACKENDS);
	struct sigaction action = { .sa_handler = ignore };
	const char *text = getenv("BAO_RACE_ROUNDS");
	u64 seed;

	if (why)
		SKIP(return, "%s", why);
	target = (text ? strtoul(text, NULL, 0) : ROUNDS) / 2;
	seed = bao_seed();
	ASSERT_EQ(0, sigaction(SIGUSR1, &action, NULL));
	for (int i = 0; i < BACKENDS; i++) {
		self->before[i] = completed(i);
		pthread_mutex_init(&backends[i].opening, NULL);
		backends[i].fd = bao_open(i, O_RDWR);
		ASSERT_LE(0, backends[i].fd);
	}
	for (int i = 0; i < EVENTFDS; i++) {
		eventfds[i] = bao_eventfd(0);
		ASSERT_LE(0, eventfds[i]);
	}
	self->start_ms = bao_now_ms();
	ASSERT_TRUE(start(servers, SERVERS, serve, seed << 8));
	ASSERT_TRUE(start(racers, RACERS, race, seed));
}

FIXTURE_TEARDOWN(race)
{
}

/* Whether the racers come on; else one of them hangs. */
static bool come_on(void)
{
	unsigned long last = rounds;

	return bao_wait_until(rounds != last || all_done(racers, RACERS));
}

static void report(SELF *self, unsigned int rebinds)
{
	u64 ms = bao_now_ms() - self->start_ms;

	printf("# %lu rounds in %llu ms, %llu accesses, driver bound anew %u times\n",
	       rounds, ms, bed_progress().completed, rebinds);
	for (int i = 0; i < NR_OPS; i++)
		printf("# %lu %s\n", achieved[i], op_names[i]);
	fflush(stdout);
}

static bool stop_servers(void)
{
	servers_stop = true;
	return bao_wait_until(({
		for (int i = 0; i < BACKENDS; i++)
			wake_servers(i);
		all_done(servers, SERVERS);
	}));
}

/* All comes to rest: the frontends have their answers, and nothing is left. */
static bool rest(void)
{
	bool settled;

	for (int i = 0; i < RACERS; i++)
		pthread_join(racers[i].thread, NULL);
	bed_stop();
	settled = bao_wait_until(bed_settled());
	if (!stop_servers())
		return false;
	for (int i = 0; i < SERVERS; i++)
		pthread_join(servers[i].thread, NULL);
	for (int i = 0; i < BACKENDS; i++)
		close(backends[i].fd);
	for (int i = 0; i < EVENTFDS; i++)
		close(eventfds[i]);
	return settled;
}

/* A driver that has been through all this still does what it is for. */
static bool still_works(unsigned int device)
{
	int fd = bao_open(device, O_RDWR | O_NONBLOCK);
	int ev = bao_eventfd(0);
	u64 before = bed_count(device, BED_CNT_NOTIFY);
	bool good;

	good = fd >= 0 && ev >= 0 && !bao_ioeventfd(fd, ev, 0, KICK, 4, 0) &&
	       frontend_wrote(frontend_write(device, KICK, 4, 0)) &&
	       bao_signals(ev, 1) == 1 && !bao_irqfd(fd, ev, 0) &&
	       !eventfd_write(ev, 1) &&
	       bed_count(device, BED_CNT_NOTIFY) == before + 1 &&
	       bao_reaches_vmm(device, fd, frontend_read(device, KICK, 4));
	close(ev);
	close(fd);
	return good;
}

/* With an oracle that knows what each load must return */
TEST_F_TIMEOUT(race, files_against_each_other, 900)
{
	struct bed_progress p;

	limit = target;
	bed_generate(racers[0].random, 1ULL << 40, 0, BACKENDS, 12);
	while (!all_done(racers, RACERS))
		ASSERT_TRUE(come_on());
	ASSERT_TRUE(rest());
	report(self, 0);

	p = bed_progress();
	EXPECT_EQ(0, p.violations);
	EXPECT_EQ(p.made, completed(0) + completed(1) - self->before[0] -
			  self->before[1]);
	EXPECT_EQ(0, unexpected);
	for (int i = 0; i < NR_OPS; i++) {
		EXPECT_LT(0, achieved[i])
			TH_LOG("never: %s", op_names[i]);
	}
	for (int i = 0; i < BACKENDS; i++) {
		EXPECT_EQ(bed_count(i, BED_CNT_ASK), bed_completions(i));
		EXPECT_EQ(0, bed_count(i, BED_CNT_REFUSED));
		EXPECT_TRUE(still_works(i));
	}
}

static void storm(unsigned int device, enum bed_op op, u64 addr)
{
	const u64 args[] = { device, op, addr, 4, BAO_GARBAGE, 1, 1ULL << 40 };

	if (bed_try(BED_CMD_STORM, ARRAY_SIZE(args), args))
		note(-EIO, "BED_CMD_STORM");
}

/*
 * What loads return while the driver is away is no VMM's answer, so these are
 * storms, of which only the number is known.
 */
TEST_F_TIMEOUT(race, driver_against_all, 900)
{
	/* Each takes its time, for each device and in the midst of storms. */
	const unsigned int rebinds = 2 + 32 / bao_nr_devices();

	for (int i = 0; i < 2 * BACKENDS; i++)
		storm(i / 2, i % 2 ? BED_OP_READ : BED_OP_WRITE,
		      kick_addr(i / 2, i % EVENTFDS, 0));
	for (unsigned int i = 1; i <= rebinds; i++) {
		limit = target * i / rebinds;
		ASSERT_EQ(0, bao_unbind());
		ASSERT_EQ(0, bao_bind(bao_device()));
		while (rounds < limit && !all_done(racers, RACERS))
			ASSERT_TRUE(come_on());
	}
	while (!all_done(racers, RACERS))
		ASSERT_TRUE(come_on());
	/* The servers need an open backend for the last accesses. */
	for (int i = 0; i < BACKENDS; i++)
		reopen(&backends[i]);
	ASSERT_TRUE(rest());
	report(self, rebinds);

	EXPECT_EQ(0, bed_progress().violations);
	EXPECT_EQ(0, unexpected);
	for (int i = 0; i < BACKENDS; i++) {
		/* Each probe asks whether the hypervisor is Bao: one refusal. */
		EXPECT_EQ(rebinds, bed_count(i, BED_CNT_REFUSED));
		EXPECT_EQ(bed_count(i, BED_CNT_ASK),
			  bed_completions(i) - rebinds);
		EXPECT_TRUE(still_works(i));
	}
}

TEST_HARNESS_MAIN
