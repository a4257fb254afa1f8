// SPDX-License-Identifier: GPL-2.0
/*
 * The interrupt line is never masked while the driver has it
 *
 * On aarch64 Bao drops the active state of a line that is masked while it is
 * active, after which the line is dead. So a probe on the function that masks a
 * line in the interrupt controller must stay silent, whatever the kernel does
 * meanwhile, also with threaded interrupt handlers and on PREEMPT_RT.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "../kselftest_harness.h"
#include "bao_test_util.h"

#define TRACING		"/sys/kernel/tracing/"
#define GROUP		"bao_line"
#define MAX_IRQ		256

static bool put(const char *path, const char *text, int flags)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | flags);
	bool done;

	if (fd < 0)
		return false;
	done = write(fd, text, strlen(text)) == strlen(text);
	close(fd);
	return done;
}

static bool get(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len;

	if (fd < 0)
		return false;
	len = read(fd, text, size - 1);
	close(fd);
	text[len > 0 ? len : 0] = 0;
	return len >= 0;
}

/* Which of the kernel's interrupts are the driver's */
static unsigned int find_irqs(bool *is_ours)
{
	char path[64], text[256];
	unsigned int nr = 0;

	for (int irq = 0; irq < MAX_IRQ; irq++) {
		snprintf(path, sizeof(path), "/sys/kernel/irq/%d/actions", irq);
		is_ours[irq] = get(path, text, sizeof(text)) &&
			       strstr(text, "bao-backend");
		nr += is_ours[irq];
	}
	return nr;
}

/*
 * The controllers' functions have the same name, so that each is named by its
 * address. irq is the second field of struct irq_data.
 */
static unsigned int add_mask_probes(void)
{
	FILE *symbols = fopen("/proc/kallsyms", "re");
	char line[512], event[128], name[128];
	unsigned int nr = 0;
	u64 addr;

	while (symbols && fgets(line, sizeof(line), symbols)) {
		if (sscanf(line, "%llx %*c %127s", &addr, name) != 2 ||
		    strcmp(name, "gic_mask_irq") || !addr)
			continue;
		snprintf(event, sizeof(event),
			 "p:" GROUP "/mask%u 0x%llx irq=+4(%%x0):u32\n",
			 nr, addr);
		nr += put(TRACING "kprobe_events", event, O_APPEND);
	}
	if (symbols)
		fclose(symbols);
	return nr;
}

static void remove_probes(void)
{
	put(TRACING "events/" GROUP "/enable", "0", 0);
	put(TRACING "events/irq/irq_handler_entry/enable", "0", 0);
	put(TRACING "kprobe_events", "", O_TRUNC);
}

FIXTURE(line) {
	int fd;
	bool is_ours[MAX_IRQ];
};

FIXTURE_SETUP(line)
{
	const char *why = bao_begin(1);

	if (why)
		SKIP(return, "%s", why);
#ifndef __aarch64__
	SKIP(return, "only the aarch64 Bao has this trouble");
#endif
	if (access(TRACING "kprobe_events", F_OK))
		mount("tracefs", TRACING, "tracefs", 0, NULL);
	if (access(TRACING "kprobe_events", F_OK))
		SKIP(return, "CONFIG_KPROBE_EVENTS is off");

	remove_probes();
	ASSERT_EQ(bao_nr_devices(), find_irqs(self->is_ours));
	ASSERT_LT(0, add_mask_probes());
	ASSERT_TRUE(put(TRACING "trace_clock", "mono", 0));
	ASSERT_TRUE(put(TRACING "events/irq/irq_handler_entry/enable", "1", 0));
	ASSERT_TRUE(put(TRACING "events/" GROUP "/enable", "1", 0));
	ASSERT_TRUE(put(TRACING "trace", "", O_TRUNC));

	self->fd = bao_open(0, O_RDWR);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(line)
{
	close(self->fd);
	remove_probes();
	if (!bao_is_bound())
		EXPECT_EQ(0, bao_bind(bao_device()));
}

/* What the trace tells */
struct seen {
	unsigned int masked;		/* masked lines of ours */
	unsigned int handled;		/* interrupts of ours */
	unsigned int handled_asleep;	/* those while the kernel's were suspended */
};

static struct seen look(const bool *is_ours)
{
	FILE *trace = fopen(TRACING "trace", "re");
	struct seen seen = {};
	bool asleep = false;
	char line[512];
	char *at;
	int irq;

	while (trace && fgets(line, sizeof(line), trace)) {
		if (strstr(line, ": suspended:"))
			asleep = true;
		if (strstr(line, ": resumed:"))
			asleep = false;
		at = strstr(line, " irq=");
		if (!at || sscanf(at, " irq=%d", &irq) != 1 ||
		    irq < 0 || irq >= MAX_IRQ || !is_ours[irq])
			continue;
		if (strstr(line, ": mask")) {
			seen.masked++;
			fprintf(stderr, "# %s", line);
		} else {
			seen.handled++;
			seen.handled_asleep += asleep;
		}
	}
	if (trace)
		fclose(trace);
	return seen;
}

static bool serve(int fd, u64 handle)
{
	struct bao_request r;

	return bao_fetch(fd, &r, 1) == 1 && !bao_complete(fd, r.id, 5) &&
	       frontend_query(handle).state == BED_COMPLETED;
}

/* If this fails, the silence in the other tests says nothing. */
TEST_F(line, release_is_seen)
{
	struct seen before = look(self->is_ours);

	ASSERT_EQ(0, bao_unbind());
	EXPECT_EQ(0, before.masked);
	EXPECT_EQ(bao_nr_devices(), look(self->is_ours).masked);
}

TEST_F(line, requests_one_by_one)
{
	struct seen seen;

	for (int i = 0; i < 50; i++)
		ASSERT_TRUE(serve(self->fd, frontend_read(0, BAO_ADDR, 4)));
	seen = look(self->is_ours);
	EXPECT_EQ(50, seen.handled);
	EXPECT_EQ(0, seen.masked);
}

TEST_F(line, interrupts_for_nothing)
{
	struct seen seen;

	for (int i = 1; i <= 50; i++) {
		bed_irq(0);
		ASSERT_TRUE(bao_wait_until(bed_count(0, BED_CNT_ASK_EMPTY) >= i));
	}
	ASSERT_TRUE(serve(self->fd, frontend_read(0, BAO_ADDR, 4)));
	seen = look(self->is_ours);
	EXPECT_EQ(51, seen.handled);
	EXPECT_EQ(0, seen.masked);
}

TEST_F(line, load)
{
	struct bao_server s[2] = { { .fd = self->fd }, { .fd = self->fd } };
	const u64 accesses = 400;
	struct seen seen;

	bao_server_start(&s[0]);
	bao_server_start(&s[1]);
	bed_generate(7, accesses, 0, 1, 32);
	/* Coalesced ones among them, and some that find nothing */
	while (bed_progress().completed < accesses / 2 && !s[0].done)
		bed_irq(0);
	EXPECT_TRUE(bao_wait_until(bed_progress().completed == accesses));
	EXPECT_EQ(0, bed_progress().violations);
	ASSERT_TRUE(bao_server_stop(0, s, 2));
	EXPECT_EQ(accesses, s[0].served + s[1].served);

	seen = look(self->is_ours);
	EXPECT_LT(0, seen.handled);
	EXPECT_EQ(0, seen.masked);
}

/* Moving an interrupt to another CPU masks it. */
TEST_F(line, affinity)
{
	char path[64];

	for (int irq = 0; irq < MAX_IRQ; irq++) {
		if (!self->is_ours[irq])
			continue;
		snprintf(path, sizeof(path), "/proc/irq/%d/smp_affinity", irq);
		if (access(path, F_OK))
			SKIP(return, "this kernel is for one CPU");
		EXPECT_FALSE(put(path, "1", 0));
		EXPECT_FALSE(put(path, "2", 0));
		break;
	}
	EXPECT_TRUE(serve(self->fd, frontend_read(0, BAO_ADDR, 4)));
	EXPECT_EQ(0, look(self->is_ours).masked);
}

/* Enough to have some arrive in each phase of going to sleep and waking up */
#define ARRIVALS	60
#define INTERVAL_MS	100

static bool set_up_suspend(void)
{
	return put("/sys/power/pm_test", "platform", 0) &&
	       put("/sys/module/suspend/parameters/pm_test_delay", "1", 0) &&
	       put(TRACING "kprobe_events",
		   "p:" GROUP "/suspended suspend_device_irqs\n", O_APPEND) &&
	       put(TRACING "kprobe_events",
		   "p:" GROUP "/resumed resume_device_irqs\n", O_APPEND) &&
	       put(TRACING "events/" GROUP "/enable", "1", 0);
}

TEST_F(line, suspend)
{
	u64 handles[ARRIVALS];
	struct seen seen;

	if (access("/sys/power/pm_test", F_OK))
		SKIP(return, "CONFIG_SUSPEND or CONFIG_PM_DEBUG is off");
	ASSERT_TRUE(set_up_suspend());

	for (int i = 0; i < ARRIVALS; i++)
		handles[i] = frontend_access(0, BED_OP_READ, BAO_ADDR + 8 * i,
					     4, 0, 0, (i + 1) * INTERVAL_MS);
	ASSERT_TRUE(put("/sys/power/state", "freeze", 0));
	ASSERT_TRUE(put("/sys/power/pm_test", "none", 0));

	for (int i = 0; i < ARRIVALS; i++)
		ASSERT_TRUE(serve(self->fd, handles[i]));
	seen = look(self->is_ours);
	EXPECT_LT(0, seen.handled_asleep);
	EXPECT_EQ(0, seen.masked);
}

/* The same from the other side of the line, which only the bed sees */
TEST_F(line, enabled_in_the_distributor)
{
	struct bao_server s = { .fd = self->fd };
	const u64 device = 0;
	long status = bed_try(BED_CMD_LINE, 1, &device);

	if (status == -EOPNOTSUPP)
		SKIP(return, "the bed can tell with one vCPU only");
	ASSERT_EQ(0, status);
	EXPECT_EQ(1, bed_ret(0));

	bao_server_start(&s);
	bed_generate(8, 300, 0, 1, 16);
	EXPECT_TRUE(bao_wait_until(bed_progress().completed == 300));
	ASSERT_TRUE(bao_server_stop(0, &s, 1));
	ASSERT_EQ(0, bed_try(BED_CMD_LINE, 1, &device));
	EXPECT_EQ(1, bed_ret(0));
	EXPECT_EQ(0, bed_ret(1));

	ASSERT_EQ(0, bao_unbind());
	ASSERT_EQ(0, bed_try(BED_CMD_LINE, 1, &device));
	EXPECT_EQ(0, bed_ret(0));
}

TEST_HARNESS_MAIN
