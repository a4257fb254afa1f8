// SPDX-License-Identifier: GPL-2.0
/*
 * Malformed device-tree nodes: each is refused with one message that names the
 * mistake, and leaves nothing behind
 *
 * The bed adds the nodes (bed/badnodes.c) if it is started with --bad-nodes.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "../kselftest_harness.h"
#include "event_util.h"

#define DEVICES	"/sys/bus/platform/devices"

/* The platform device of a node: the node's name, after an address and a dot */
static bool find_device(const char *node, char *name, size_t size)
{
	struct dirent *entry;
	bool found = false;
	const char *dot;
	DIR *dir;

	dir = opendir(DEVICES);
	while (dir && !found && (entry = readdir(dir))) {
		dot = strchr(entry->d_name, '.');
		found = !strcmp(dot ? dot + 1 : entry->d_name, node);
		if (found)
			snprintf(name, size, "%s", entry->d_name);
	}
	if (dir)
		closedir(dir);
	return found;
}

static bool has_driver(const char *device)
{
	char path[512];

	snprintf(path, sizeof(path), DEVICES "/%s/driver", device);
	return !access(path, F_OK);
}

/* All of a file of /proc, for comparison */
static void read_all(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY);
	size_t len = 0;
	ssize_t n;

	while (fd >= 0 && (n = read(fd, text + len, size - 1 - len)) > 0)
		len += n;
	text[len] = 0;
	close(fd);
}

static unsigned int count_in(const char *path, const char *word)
{
	static char text[1 << 17];
	unsigned int nr = 0;

	read_all(path, text, sizeof(text));
	for (char *at = text; (at = strstr(at, word)); at += strlen(word))
		nr++;
	return nr;
}

/* Threads of backends, each of which has one */
static unsigned int nr_threads(void)
{
	struct dirent *entry;
	unsigned int nr = 0;
	char path[512];
	DIR *dir;

	dir = opendir("/proc");
	while (dir && (entry = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/%s/comm", entry->d_name);
		nr += isdigit(entry->d_name[0]) && count_in(path, "bao-backend");
	}
	if (dir)
		closedir(dir);
	return nr;
}

static unsigned int nr_backends(void)
{
	struct dirent *entry;
	unsigned int nr = 0;
	DIR *dir;

	dir = opendir("/dev/bao");
	while (dir && (entry = readdir(dir)))
		nr += !strncmp(entry->d_name, "backend", 7);
	if (dir)
		closedir(dir);
	return nr;
}

FIXTURE(node) {
	char device[256];
	int log;
	char before[1 << 14];
	char after[1 << 14];
};

FIXTURE_VARIANT(node) {
	const char *name;
	int error;
	const char *message;
};

FIXTURE_VARIANT_ADD(node, counts_differ) {
	"remote-io-counts-differ", -EINVAL,
	"2 memory regions but 1 interrupts"
};

FIXTURE_VARIANT_ADD(node, no_regions) {
	"remote-io-no-regions", -EINVAL,
	"no memory regions"
};

FIXTURE_VARIANT_ADD(node, too_many_regions) {
	"remote-io-too-many-regions", -EINVAL,
	"65 memory regions"
};

FIXTURE_VARIANT_ADD(node, empty_region) {
	"remote-io-empty-region", -EINVAL,
	"region 0 at 0x0000000050100000 is empty"
};

FIXTURE_VARIANT_ADD(node, misaligned_address) {
	"remote-io-misaligned-address", -EINVAL,
	"is not made of whole pages"
};

FIXTURE_VARIANT_ADD(node, misaligned_size) {
	"remote-io-misaligned-size", -EINVAL,
	"is not made of whole pages"
};

FIXTURE_VARIANT_ADD(node, overlapping_regions) {
	"remote-io-overlapping-regions", -EINVAL,
	"overlaps region 0"
};

FIXTURE_VARIANT_ADD(node, region_in_ram) {
	"remote-io-region-in-ram", -EBUSY,
	"is in use"
};

FIXTURE_VARIANT_ADD(node, region_not_named) {
	"remote-io-region-not-named", -EBUSY,
	"is in use"
};

FIXTURE_VARIANT_ADD(node, region_half_reserved) {
	"remote-io-region-half-reserved", -EBUSY,
	"is in use"
};

FIXTURE_VARIANT_ADD(node, region_reusable) {
	"remote-io-region-reusable", -EBUSY,
	"is in use"
};

/* It can be served, if nobody else has the device. */
FIXTURE_VARIANT_ADD(node, region_no_map) {
	"remote-io-region-no-map", -EBUSY,
	"device 0 belongs to another node"
};

FIXTURE_VARIANT_ADD(node, region_claimed) {
	"remote-io-region-claimed", -EBUSY,
	"is in use"
};

FIXTURE_VARIANT_ADD(node, unmappable_interrupt) {
	"remote-io-unmappable-interrupt", -ENXIO,
	"interrupt 0 cannot be mapped"
};

FIXTURE_VARIANT_ADD(node, same_interrupts) {
	"remote-io-same-interrupts", -EINVAL,
	"interrupts 0 and 1 are the same"
};

FIXTURE_VARIANT_ADD(node, taken_ids) {
	"remote-io-taken-ids", -EBUSY,
	"device 0 belongs to another node"
};

FIXTURE_SETUP(node)
{
	const char *why = bao_begin(1);

	if (why)
		SKIP(return, "%s", why);
	if (!find_device(variant->name, self->device, sizeof(self->device)))
		SKIP(return, "the bed was started without --bad-nodes");
	self->log = bao_log_open();
	ASSERT_LE(0, self->log);
}

FIXTURE_TEARDOWN(node)
{
	close(self->log);
}

TEST_F(node, is_refused)
{
	unsigned int own = nr_backends();

	/* Boot has tried already. */
	EXPECT_FALSE(has_driver(self->device));
	EXPECT_EQ(0, count_in("/proc/iomem", self->device));
	EXPECT_EQ(bao_nr_devices(), count_in("/proc/interrupts", "bao-backend"));
	EXPECT_EQ(bao_nr_devices(), own);

	read_all("/proc/iomem", self->before, sizeof(self->before));
	EXPECT_EQ(variant->error, bao_bind(self->device));
	read_all("/proc/iomem", self->after, sizeof(self->after));

	EXPECT_FALSE(has_driver(self->device));
	EXPECT_STREQ(self->before, self->after);
	EXPECT_EQ(bao_nr_devices(), count_in("/proc/interrupts", "bao-backend"));
	EXPECT_EQ(own, nr_backends());
}

/* The kernel's core adds a line of its own, which looks different. */
TEST_F(node, one_message_names_the_mistake)
{
	int second = bao_log_open();

	ASSERT_LE(0, second);
	EXPECT_NE(0, bao_bind(self->device));
	EXPECT_EQ(1, bao_log_count(self->log, self->device, variant->message));
	EXPECT_EQ(1, bao_log_count(second, self->device, ": error -"));
	close(second);
}

FIXTURE(nodes) {
	char taken[256];
};

FIXTURE_SETUP(nodes)
{
	const char *why = bao_begin(1);

	if (why)
		SKIP(return, "%s", why);
	if (!find_device("remote-io-taken-ids", self->taken,
			 sizeof(self->taken)))
		SKIP(return, "the bed was started without --bad-nodes");
}

FIXTURE_TEARDOWN(nodes)
{
	if (!bao_is_bound())
		EXPECT_EQ(0, bao_bind(bao_device()));
}

/* Two good nodes: whichever comes first has the devices, until it is unbound. */
TEST_F(nodes, ids_are_given_back)
{
	char good[256];

	snprintf(good, sizeof(good), "%s", bao_device());
	ASSERT_EQ(0, bao_unbind());
	EXPECT_EQ(0, nr_backends());
	EXPECT_EQ(0, count_in("/proc/interrupts", "bao-backend"));
	EXPECT_EQ(0, count_in("/proc/iomem", good));

	ASSERT_EQ(0, bao_bind(self->taken));
	EXPECT_EQ(1, nr_backends());
	EXPECT_EQ(1, count_in("/proc/iomem", self->taken));
	EXPECT_EQ(-EBUSY, bao_bind(good));
	EXPECT_EQ(1, nr_backends());
	EXPECT_EQ(0, count_in("/proc/iomem", good));
	ASSERT_EQ(0, bao_unbind());

	ASSERT_EQ(0, bao_bind(good));
	EXPECT_EQ(bao_nr_devices(), nr_backends());
	/* Every other region is reserved memory, which needs no claim. */
	EXPECT_EQ((bao_nr_devices() + 1) / 2, count_in("/proc/iomem", good));
}

/* What the kernel has not mapped is no memory to it: it has no pages. */
TEST_F(nodes, no_map_is_beside_memory)
{
	struct bao_info info = { .size = sizeof(info) };
	char device[256];
	u64 *p;
	int fd;

	ASSERT_TRUE(find_device("remote-io-region-no-map", device,
				sizeof(device)));
	ASSERT_EQ(0, bao_unbind());
	ASSERT_EQ(0, bao_bind(device));
	fd = bao_open(0, O_RDWR);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, bao_ioctl(fd, BAO_IOCTL_INFO, &info));
	EXPECT_EQ(0, info.features & BAO_FEATURE_PAGES);

	p = mmap(NULL, info.shmem_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		 0);
	ASSERT_NE(MAP_FAILED, p);
	for (u64 i = 0; i < info.shmem_size / sizeof(*p); i++)
		p[i] = ~i;
	EXPECT_EQ(0, munmap(p, info.shmem_size));
	p = mmap(NULL, info.shmem_size, PROT_READ, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, p);
	for (u64 i = 0; i < info.shmem_size / sizeof(*p); i++)
		ASSERT_EQ(~i, p[i]);
	munmap(p, info.shmem_size);
	close(fd);
	ASSERT_EQ(0, bao_unbind());
}

/*
 * The second device fails when the first is in service, and perhaps when it has
 * a request itself. The frontend has a request for each before the driver comes.
 */
FIXTURE(half) {
	char good[256];
	char device[256];
	u64 handles[2];
	int log;
};

FIXTURE_VARIANT(half) {
	const char *name;		/* NULL: the good node */
	s64 status;			/* of the second device's first ASK */
	int error;
	const char *message;
	bool popped;			/* the second device's request */
};

FIXTURE_VARIANT_ADD(half, device_unknown) {
	NULL, -3, -ENODEV, "the hypervisor has no Remote I/O device 1", false
};

FIXTURE_VARIANT_ADD(half, interrupt_taken) {
	"remote-io-taken-interrupt", 0, -EBUSY, "interrupt 1 cannot be had",
	true
};

FIXTURE_SETUP(half)
{
	const char *why = bao_begin(2);

	if (why)
		SKIP(return, "%s", why);
	snprintf(self->good, sizeof(self->good), "%s", bao_device());
	snprintf(self->device, sizeof(self->device), "%s", self->good);
	if (variant->name && !find_device(variant->name, self->device,
					  sizeof(self->device)))
		SKIP(return, "the bed was started without --bad-nodes");
	ASSERT_EQ(0, bao_unbind());
	self->log = bao_log_open();
	ASSERT_LE(0, self->log);
	for (int dev = 0; dev < 2; dev++)
		self->handles[dev] = frontend_read(dev, BAO_ADDR, 4);
	if (variant->status)
		bed_fault(1, BED_OP_ASK, variant->status, 1);
}

FIXTURE_TEARDOWN(half)
{
	close(self->log);
	if (!bao_is_bound())
		EXPECT_EQ(0, bao_bind(self->good));
}

/* A backend answers its next request. */
static bool serves(unsigned int device, u64 handle)
{
	int fd = bao_open(device, O_RDWR);
	struct bao_request r;
	bool good;

	good = bao_fetch(fd, &r, 1) == 1 && !r.flags &&
	       !bao_complete(fd, r.id, 0xcafe) && frontend_got(handle, 0xcafe);
	close(fd);
	return good;
}

TEST_F(half, is_undone)
{
	ASSERT_EQ(variant->error, bao_bind(self->device));
	EXPECT_EQ(1, bao_log_count(self->log, self->device, variant->message));

	EXPECT_FALSE(has_driver(self->device));
	EXPECT_NE(0, access("/dev/bao", F_OK));
	EXPECT_EQ(0, count_in("/proc/interrupts", "bao-backend"));
	EXPECT_EQ(0, count_in("/proc/iomem", self->device));
	EXPECT_EQ(0, nr_threads());

	/* What it had popped is answered; the rest is the next driver's. */
	EXPECT_TRUE(frontend_got(self->handles[0], 0xffffffff));
	if (variant->popped)
		EXPECT_TRUE(frontend_got(self->handles[1], 0xffffffff));
	if (!variant->popped)
		EXPECT_EQ(BED_PENDING, frontend_query(self->handles[1]).state);
}

TEST_F(half, good_node_serves_afterwards)
{
	ASSERT_EQ(variant->error, bao_bind(self->device));
	ASSERT_EQ(0, bao_bind(self->good));
	EXPECT_EQ(bao_nr_devices(), nr_threads());
	EXPECT_TRUE(serves(0, frontend_read(0, BAO_ADDR, 4)));
	if (variant->popped)
		self->handles[1] = frontend_read(1, BAO_ADDR, 4);
	EXPECT_TRUE(serves(1, self->handles[1]));
}

TEST_HARNESS_MAIN
