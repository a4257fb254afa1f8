// SPDX-License-Identifier: GPL-2.0
/*
 * The sample VMM as a whole: options, messages, signals, exit status
 *
 * Its main() runs in a child process, on the stand-in for the driver.
 */
#include <kselftest_harness.h>

#include <linux/virtio_config.h>

#include "fake_bao.h"

#define main vmm_main
#include "bao-vmm.c"
#undef main

/* What lies in the options' arrays at exit is no leak. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

struct run {
	pid_t pid;
	int out;		/* its standard output and standard error */
	char text[4096];	/* what it printed */
	size_t len;
};

/* @line: arguments without the program's name, a blank between them */
static void start(struct run *r, const char *line)
{
	char *argv[32] = { "bao-vmm" };
	int argc = 1, fds[2];
	char *copy = strdup(line);

	memset(r, 0, sizeof(*r));
	if (pipe(fds))
		exit(99);
	r->out = fds[0];
	r->pid = fork();
	if (r->pid) {
		close(fds[1]);
		free(copy);
		return;
	}
	dup2(fds[1], STDOUT_FILENO);
	dup2(fds[1], STDERR_FILENO);
	while ((argv[argc] = strsep(&copy, " ")))
		argc += !!argv[argc][0];
	exit(vmm_main(argc, argv));
}

/* Read until @text was printed; false if the output ends before. */
static bool wait_for(struct run *r, const char *text)
{
	ssize_t n;

	while (!strstr(r->text, text)) {
		n = read(r->out, r->text + r->len,
			 sizeof(r->text) - 1 - r->len);
		if (n <= 0)
			return false;
		r->len += n;
	}
	return true;
}

/* Returns the exit status, or -1 if it died of something else. */
static int finish(struct run *r)
{
	int status;

	wait_for(r, "\xff");
	close(r->out);
	if (waitpid(r->pid, &status, 0) != r->pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

static bool prints(const char *line, int status, const char *text)
{
	struct run r;

	start(&r, line);
	if (finish(&r) == status && strstr(r.text, text))
		return true;
	printf("# 'bao-vmm %s' printed: %s\n", line, r.text);
	return false;
}

TEST(help)
{
	EXPECT_TRUE(prints("--help", 0, "Examples:"));
	EXPECT_TRUE(prints("-h", 0, "Usage: bao-vmm"));
}

/* Each says what is wrong, and fails. */
TEST(wrong_usage)
{
	EXPECT_TRUE(prints("", 1, "nothing to serve"));
	EXPECT_TRUE(prints("-v", 1, "nothing to serve"));
	EXPECT_TRUE(prints("--rng", 1, "its own --backend before it"));
	EXPECT_TRUE(prints("--backend x", 1, "without a device"));
	EXPECT_TRUE(prints("--backend x --backend y --rng", 1,
			   "without a device"));
	EXPECT_TRUE(prints("--backend x --rng --rng", 1,
			   "its own --backend before it"));
	EXPECT_TRUE(prints("--backend x --rng y", 1, "too many"));
	EXPECT_TRUE(prints("--wrong", 1, "--help"));
	EXPECT_TRUE(prints("--backend", 1, "--help"));
	EXPECT_TRUE(prints("--busy-poll 1000001", 1, "from 0 to 1000000"));
	EXPECT_TRUE(prints("--busy-poll -1", 1, "from 0 to 1000000"));
	EXPECT_TRUE(prints("--busy-poll 5us", 1, "from 0 to 1000000"));
	EXPECT_TRUE(prints("--backend x --vsock 2", 1, "from 3 to"));
	EXPECT_TRUE(prints("--backend x --blk /nonexistent/disk", 1,
			   "/nonexistent/disk: No such file"));
	EXPECT_TRUE(prints("--backend /nonexistent/backend0 --rng", 1,
			   "is the driver loaded"));
}

FIXTURE(vmm)
{
	char path[3][32];	/* backends */
	char disk[32];
	struct run run;
};

FIXTURE_SETUP(vmm)
{
	unsigned int i;

	for (i = 0; i < 3; i++)
		ASSERT_TRUE(fake_file(self->path[i]));
	ASSERT_TRUE(fake_file(self->disk));
}

FIXTURE_TEARDOWN(vmm)
{
	unsigned int i;

	for (i = 0; i < 3; i++)
		unlink(self->path[i]);
	unlink(self->disk);
}

#define SELF FIXTURE_DATA(vmm)

static void start_on(SELF *self, const char *device)
{
	char line[256];

	snprintf(line, sizeof(line), "--backend %s %s", self->path[0], device);
	start(&self->run, line);
}

TEST_F(vmm, serves_and_stops)
{
	char expected[256];

	/* Left over from a VMM before: a read, and a kick that means nothing */
	fake_read(VIRTIO_MMIO_MAGIC_VALUE);
	fake_write(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	start_on(self, "--rng");
	snprintf(expected, sizeof(expected), "bao-vmm: %s: virtio-rng\n",
		 self->path[0]);
	ASSERT_TRUE(wait_for(&self->run, expected));
	kill(self->run.pid, SIGTERM);
	EXPECT_EQ(0, finish(&self->run));
	EXPECT_NE(NULL, strstr(self->run.text, " requests, "));
}

/* The first interrupt asks a driver that may be there to come forward. */
TEST_F(vmm, statistics)
{
	fake_read(VIRTIO_MMIO_STATUS);
	fake_write(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	fake.idle_error = ENODEV;
	start_on(self, "--rng");
	EXPECT_EQ(1, finish(&self->run));
	EXPECT_NE(NULL, strstr(self->run.text,
			       "bao-vmm: 2 requests, 1 kicks, 2 notifies\n"));
}

/* A kick that an ioeventfd takes is no request. */
TEST_F(vmm, statistics_with_eventfds)
{
	fake.features = BAO_FEATURE_IOEVENTFD | BAO_FEATURE_IRQFD;
	fake.per_call = 1;
	fake_read(VIRTIO_MMIO_STATUS);
	fake_write(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	fake.idle_error = ENODEV;
	start_on(self, "--rng");
	EXPECT_EQ(1, finish(&self->run));
	EXPECT_NE(NULL, strstr(self->run.text,
			       "bao-vmm: 1 requests, 1 kicks, 2 notifies\n"));
}

TEST_F(vmm, switched_off)
{
	fake.features = BAO_FEATURE_IOEVENTFD | BAO_FEATURE_IRQFD;
	fake.per_call = 1;
	fake_read(VIRTIO_MMIO_STATUS);
	fake_write(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	fake.idle_error = ENODEV;
	start_on(self, "--rng --no-eventfd --busy-poll 1000000");
	EXPECT_EQ(1, finish(&self->run));
	EXPECT_NE(NULL, strstr(self->run.text,
			       "bao-vmm: 2 requests, 1 kicks, 2 notifies\n"));
}

TEST_F(vmm, backend_gone)
{
	fake.idle_error = ENODEV;
	start_on(self, "--rng");
	EXPECT_EQ(1, finish(&self->run));
	EXPECT_NE(NULL, strstr(self->run.text, "the backend went away"));
}

TEST_F(vmm, three_devices)
{
	char line[256];

	snprintf(line, sizeof(line),
		 "-v -b %s --blk %s,ro --backend %s --console -b %s --rng",
		 self->path[0], self->disk, self->path[1], self->path[2]);
	start(&self->run, line);
	EXPECT_TRUE(wait_for(&self->run, ", 64 KiB, read-only\n"));
	EXPECT_TRUE(wait_for(&self->run, ": virtio-console to standard output\n"));
	EXPECT_TRUE(wait_for(&self->run, ": virtio-rng\n"));
	kill(self->run.pid, SIGINT);
	EXPECT_EQ(0, finish(&self->run));
}

TEST_F(vmm, console_file)
{
	char device[64];

	snprintf(device, sizeof(device), "--console %s", self->disk);
	start_on(self, device);
	EXPECT_TRUE(wait_for(&self->run, self->disk));
	kill(self->run.pid, SIGINT);
	EXPECT_EQ(0, finish(&self->run));
}

/*
 * A reset begins the service and another ends it. With --once the VMM ends
 * there, and not before.
 */
TEST_F(vmm, once)
{
	const __u32 ok = VIRTIO_CONFIG_S_FEATURES_OK;

	fake_write(VIRTIO_MMIO_STATUS, 0);
	fake_write(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	fake_write(VIRTIO_MMIO_DRIVER_FEATURES,
		   1 << (VIRTIO_F_VERSION_1 - 32) |
		   1 << (VIRTIO_F_ACCESS_PLATFORM - 32));
	fake_write(VIRTIO_MMIO_STATUS, ok);
	fake_write(VIRTIO_MMIO_STATUS, ok | VIRTIO_CONFIG_S_DRIVER_OK);
	fake_write(VIRTIO_MMIO_STATUS, 0);
	fake.per_call = 1;
	start_on(self, "--rng --once");
	EXPECT_EQ(0, finish(&self->run));
	EXPECT_NE(NULL, strstr(self->run.text, "bao-vmm: 6 requests, 0 kicks"));
}

/* Whenever the signal comes after the device is announced, it counts. */
TEST_F(vmm, no_signal_is_lost)
{
	unsigned int i;

	for (i = 0; i < 100; i++) {
		fake.busy = i % 2;
		start_on(self, "--rng");
		ASSERT_TRUE(wait_for(&self->run, "virtio-rng\n"));
		kill(self->run.pid, i % 4 < 2 ? SIGTERM : SIGINT);
		ASSERT_EQ(0, finish(&self->run));
		ASSERT_NE(NULL, strstr(self->run.text, " requests, "));
	}
}

TEST_HARNESS_MAIN
