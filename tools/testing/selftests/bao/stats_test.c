// SPDX-License-Identifier: GPL-2.0
/*
 * What the driver tells about itself: the counters of a backend in sysfs, and
 * the tracepoints, each of which names device and request
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mount.h>

#include "../kselftest_harness.h"
#include "event_util.h"

#define KICK		(BAO_ADDR + 0x10)
#define TRACING		"/sys/kernel/tracing/"
#define EVENTS		TRACING "events/bao/"

/* The device under test, with another one that must not be mixed up with it */
#define DEV		1

static const char * const names[] = {
	"queued", "waiting", "in_flight", "completed", "redelivered", "kicks",
	"loads", "notifies", "hypercall_errors",
};

enum {
	QUEUED, WAITING, IN_FLIGHT, COMPLETED, REDELIVERED, KICKS, LOADS,
	NOTIFIES, ERRORS, NR_NAMES
};

struct stats {
	s64 of[NR_NAMES];
};

static struct stats look(unsigned int device)
{
	struct stats s;

	for (int i = 0; i < NR_NAMES; i++)
		s.of[i] = bao_stat(device, names[i]);
	return s;
}

FIXTURE(stats) {
	int fd;
	int ev;
	struct stats before[2];
};

FIXTURE_SETUP(stats)
{
	const char *why = bao_begin(2);

	if (why)
		SKIP(return, "%s", why);
	self->fd = bao_open(DEV, O_RDWR | O_NONBLOCK);
	ASSERT_LE(0, self->fd);
	self->ev = bao_eventfd(0);
	ASSERT_LE(0, self->ev);
	for (int dev = 0; dev < 2; dev++) {
		self->before[dev] = look(dev);
		for (int i = 0; i < NR_NAMES; i++) {
			ASSERT_LE(0, self->before[dev].of[i])
				TH_LOG("%s", names[i]);
		}
	}
}

FIXTURE_TEARDOWN(stats)
{
	close(self->ev);
	close(self->fd);
}

/* How much a counter has grown since the test began */
static s64 grown(const struct stats *before, int name)
{
	return bao_stat(DEV, names[name]) - before[DEV].of[name];
}

#define GROWN(name)	grown(self->before, name)

static bool serve(int fd, u64 value)
{
	struct bao_request r;

	return bao_fetch(fd, &r, 1) == 1 && !bao_complete(fd, r.id, value);
}

static int notify(int fd)
{
	struct bao_notify n = { .size = sizeof(n) };

	return bao_ioctl(fd, BAO_IOCTL_NOTIFY, &n);
}

TEST_F(stats, requests)
{
	struct bao_request r[2];

	for (int i = 0; i < 5; i++) {
		frontend_read(DEV, BAO_ADDR, 4);
		ASSERT_TRUE(serve(self->fd, i));
	}
	EXPECT_EQ(5, GROWN(QUEUED));
	EXPECT_EQ(5, GROWN(COMPLETED));
	EXPECT_EQ(0, bao_stat(DEV, "waiting"));
	EXPECT_EQ(0, bao_stat(DEV, "in_flight"));

	for (int i = 0; i < 3; i++)
		frontend_write(DEV, BAO_ADDR, 4, 0);
	EXPECT_TRUE(bao_wait_until(bao_stat(DEV, "waiting") == 3));
	ASSERT_EQ(2, bao_fetch(self->fd, r, 2));
	EXPECT_EQ(1, bao_stat(DEV, "waiting"));
	EXPECT_EQ(2, bao_stat(DEV, "in_flight"));
	EXPECT_EQ(8, GROWN(QUEUED));
	EXPECT_EQ(5, GROWN(COMPLETED));

	close(self->fd);
	EXPECT_EQ(3, bao_stat(DEV, "waiting"));
	EXPECT_EQ(0, bao_stat(DEV, "in_flight"));
	EXPECT_EQ(2, GROWN(REDELIVERED));
	EXPECT_EQ(8, GROWN(QUEUED));

	self->fd = bao_open(DEV, O_RDWR | O_NONBLOCK);
	for (int i = 0; i < 3; i++)
		EXPECT_TRUE(serve(self->fd, 0));
	EXPECT_EQ(8, GROWN(COMPLETED));
	EXPECT_EQ(0, bao_stat(DEV, "waiting"));
	EXPECT_EQ(0, GROWN(KICKS));
	EXPECT_EQ(0, GROWN(ERRORS));
}

TEST_F(stats, kicks_are_no_requests)
{
	ASSERT_EQ(0, bao_ioeventfd(self->fd, self->ev, 0, KICK, 4, 0));
	for (int i = 0; i < 7; i++)
		EXPECT_TRUE(frontend_wrote(frontend_write(DEV, KICK, 4, i)));
	ASSERT_EQ(7, bao_signals(self->ev, 7));
	EXPECT_EQ(7, GROWN(KICKS));
	EXPECT_EQ(0, GROWN(QUEUED));
	EXPECT_EQ(0, GROWN(COMPLETED));
}

TEST_F(stats, loads_are_no_requests)
{
	ASSERT_EQ(0, bao_iovalue(self->fd, 0, KICK, 4, 9));
	for (int i = 0; i < 3; i++)
		EXPECT_TRUE(frontend_got(frontend_read(DEV, KICK, 4), 9));
	EXPECT_EQ(3, GROWN(LOADS));
	EXPECT_EQ(0, GROWN(KICKS));
	EXPECT_EQ(0, GROWN(QUEUED));
	EXPECT_EQ(0, GROWN(COMPLETED));
}

TEST_F(stats, notifies)
{
	ASSERT_EQ(0, bao_irqfd(self->fd, self->ev, 0));
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(0, eventfd_write(self->ev, 1));
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, notify(self->fd));
	EXPECT_EQ(5, GROWN(NOTIFIES));
	EXPECT_EQ(5, bed_count(DEV, BED_CNT_NOTIFY));
	EXPECT_EQ(0, GROWN(ERRORS));
}

TEST_F(stats, refused_hypercalls)
{
	struct bao_request r;

	bed_fault(DEV, BED_OP_NOTIFY, -1, 2);
	EXPECT_EQ(-EIO, notify(self->fd));
	EXPECT_EQ(-EIO, notify(self->fd));
	EXPECT_EQ(2, GROWN(ERRORS));
	EXPECT_EQ(0, GROWN(NOTIFIES));

	frontend_read(DEV, BAO_ADDR, 4);
	ASSERT_EQ(1, bao_fetch(self->fd, &r, 1));
	bed_fault(DEV, BED_OP_READ, -3, 1);
	EXPECT_EQ(-EIO, bao_complete(self->fd, r.id, 0));
	EXPECT_EQ(3, GROWN(ERRORS));
	EXPECT_EQ(0, GROWN(COMPLETED));
	EXPECT_EQ(1, bao_stat(DEV, "in_flight"));
	EXPECT_EQ(0, bao_complete(self->fd, r.id, 0));
	EXPECT_EQ(1, GROWN(COMPLETED));

	/* Nothing pending is no refusal. */
	bed_irq(DEV);
	ASSERT_TRUE(bao_wait_until(bed_count(DEV, BED_CNT_ASK_EMPTY)));
	EXPECT_EQ(3, GROWN(ERRORS));
}

TEST_F(stats, another_backends_are_untouched)
{
	struct stats now;

	ASSERT_EQ(0, bao_ioeventfd(self->fd, self->ev, 0, KICK, 4, 0));
	frontend_read(DEV, BAO_ADDR, 4);
	ASSERT_TRUE(serve(self->fd, 0));
	EXPECT_TRUE(frontend_wrote(frontend_write(DEV, KICK, 4, 0)));
	EXPECT_EQ(0, notify(self->fd));
	now = look(0);
	EXPECT_EQ(0, memcmp(&now, &self->before[0], sizeof(now)));
	EXPECT_EQ(1, GROWN(COMPLETED));
}

static bool put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_TRUNC);
	bool done;

	if (fd < 0)
		return false;
	done = write(fd, text, strlen(text)) == strlen(text);
	close(fd);
	return done;
}

FIXTURE(trace) {
	int fd;
	int ev;
};

FIXTURE_SETUP(trace)
{
	const char *why = bao_begin(2);

	if (why)
		SKIP(return, "%s", why);
	if (access(TRACING "trace", F_OK))
		mount("tracefs", TRACING, "tracefs", 0, NULL);
	if (access(TRACING "trace", F_OK))
		SKIP(return, "no tracefs (CONFIG_FTRACE is off)");
	/* With tracefs there must be events. */
	ASSERT_EQ(0, access(EVENTS "enable", F_OK));
	self->fd = bao_open(DEV, O_RDWR | O_NONBLOCK);
	self->ev = bao_eventfd(0);
	ASSERT_LE(0, self->fd);
	ASSERT_LE(0, self->ev);
	put(TRACING "trace", "");
	ASSERT_TRUE(put(EVENTS "enable", "1"));
}

FIXTURE_TEARDOWN(trace)
{
	put(EVENTS "enable", "0");
	close(self->ev);
	close(self->fd);
}

/*
 * How many events of a name the trace has. The last one's fields go to @fields.
 */
static int traced(const char *name, char *fields, size_t size)
{
	FILE *trace = fopen(TRACING "trace", "re");
	char line[512], key[64];
	int nr = 0;
	char *at;

	snprintf(key, sizeof(key), ": %s: ", name);
	while (trace && fgets(line, sizeof(line), trace)) {
		at = strstr(line, key);
		if (line[0] == '#' || !at)
			continue;
		at[strcspn(at, "\n")] = 0;
		snprintf(fields, size, "%s", at + strlen(key));
		nr++;
	}
	if (trace)
		fclose(trace);
	return nr;
}

#define EXPECT_TRACED(name, ...) do {					\
	char __found[512] = "", __wanted[256];				\
									\
	snprintf(__wanted, sizeof(__wanted), __VA_ARGS__);		\
	EXPECT_EQ(1, traced(name, __found, sizeof(__found)));				\
	EXPECT_STREQ(__wanted, __found);				\
} while (0)

TEST_F(trace, request)
{
	struct bao_request r;
	char text[512];
	u64 handle, hv;

	handle = frontend_write(DEV, BAO_ADDR, 2, 0xabcd1234);
	ASSERT_EQ(1, bao_fetch(self->fd, &r, 1));
	hv = frontend_query(handle).id;
	EXPECT_TRACED("bao_request_queued",
		      "device=%d id=%llu hv=%llu write addr=0x%llx width=2 value=0x1234",
		      DEV, r.id, hv, BAO_ADDR);
	EXPECT_TRACED("bao_request_fetched",
		      "device=%d id=%llu hv=%llu write addr=0x%llx width=2 value=0x1234",
		      DEV, r.id, hv, BAO_ADDR);
	EXPECT_EQ(0, traced("bao_request_completed", text,
			    sizeof(text)));

	ASSERT_EQ(0, bao_complete(self->fd, r.id, 77));
	EXPECT_TRACED("bao_request_completed",
		      "device=%d id=%llu hv=%llu write value=0x0 status=0", DEV,
		      r.id, hv);
	EXPECT_EQ(0, traced("bao_kick", text, sizeof(text)));
	EXPECT_EQ(0, traced("bao_hypercall_error", text, sizeof(text)));
}

/* The answer is traced as the frontend gets it. */
TEST_F(trace, answer)
{
	struct bao_request r;
	u64 handle, hv;

	handle = frontend_read(DEV, BAO_ADDR, 1);
	ASSERT_EQ(1, bao_fetch(self->fd, &r, 1));
	hv = frontend_query(handle).id;
	ASSERT_EQ(0, bao_complete(self->fd, r.id, 0xabcd));
	EXPECT_TRACED("bao_request_completed",
		      "device=%d id=%llu hv=%llu read value=0xcd status=0", DEV,
		      r.id, hv);
}

TEST_F(trace, kick)
{
	char text[512];
	u64 handle;

	ASSERT_EQ(0, bao_ioeventfd(self->fd, self->ev, 0, KICK, 4, 0));
	handle = frontend_write(DEV, KICK, 4, 6);
	ASSERT_EQ(1, bao_signals(self->ev, 1));
	EXPECT_TRACED("bao_kick",
		      "device=%d id=0 hv=%llu write addr=0x%llx width=4 value=0x6",
		      DEV, frontend_query(handle).id, KICK);
	EXPECT_EQ(0, traced("bao_request_queued", text, sizeof(text)));
}

TEST_F(trace, load)
{
	char text[512];
	u64 handle;

	ASSERT_EQ(0, bao_iovalue(self->fd, 0, KICK, 4, 0x1234));
	handle = frontend_read(DEV, KICK, 4);
	ASSERT_TRUE(frontend_got(handle, 0x1234));
	EXPECT_TRACED("bao_load",
		      "device=%d id=0 hv=%llu read addr=0x%llx width=4 value=0x1234",
		      DEV, frontend_query(handle).id, KICK);
	EXPECT_EQ(0, traced("bao_request_queued", text, sizeof(text)));
}

TEST_F(trace, notify)
{
	ASSERT_EQ(0, bao_irqfd(self->fd, self->ev, 0));
	ASSERT_EQ(0, eventfd_write(self->ev, 1));
	EXPECT_TRACED("bao_notify", "device=%d status=0", DEV);
}

TEST_F(trace, hypercall_error)
{
	struct bao_request r;
	u64 handle, hv;

	handle = frontend_read(DEV, BAO_ADDR, 4);
	ASSERT_EQ(1, bao_fetch(self->fd, &r, 1));
	hv = frontend_query(handle).id;
	bed_fault(DEV, BED_OP_READ, -3, 1);
	ASSERT_EQ(-EIO, bao_complete(self->fd, r.id, 1));
	EXPECT_TRACED("bao_hypercall_error",
		      "device=%d op=1 hv=%llu status=-3", DEV, hv);
	EXPECT_TRACED("bao_request_completed",
		      "device=%d id=%llu hv=%llu read value=0x1 status=-3", DEV,
		      r.id, hv);
	EXPECT_EQ(0, bao_complete(self->fd, r.id, 1));
}

TEST_HARNESS_MAIN
