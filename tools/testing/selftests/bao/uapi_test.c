// SPDX-License-Identifier: GPL-2.0
/*
 * The rules of the user-space interface: structures that grow, fields that
 * must be zero, numbers that do not exist, and who may open the device
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "../kselftest_harness.h"
#include "event_util.h"
#include "uapi_layout.h"

/* Any argument, with room behind it for what a later kernel may know */
union arg {
	u32 size;
	struct bao_info info;
	struct bao_serve serve;
	struct bao_notify notify;
	struct bao_ioeventfd ioeventfd;
	struct bao_irqfd irqfd;
	struct bao_iovalue iovalue;
	char bytes[256];
};

FIXTURE(ioctl) {
	int fd;
	size_t page;
	/* Two pages, of which the second cannot be accessed */
	char *edge;
	union arg arg;
};

/* @zeros: what a structure returns that has nothing but its size */
FIXTURE_VARIANT(ioctl) {
	unsigned long cmd;
	u32 size;
	int zeros;
};

FIXTURE_VARIANT_ADD(ioctl, info) {
	BAO_IOCTL_INFO, sizeof(struct bao_info), 0
};

FIXTURE_VARIANT_ADD(ioctl, serve) {
	BAO_IOCTL_SERVE, sizeof(struct bao_serve), 0
};

FIXTURE_VARIANT_ADD(ioctl, notify) {
	BAO_IOCTL_NOTIFY, sizeof(struct bao_notify), 0
};

/* File 0 is no eventfd. */
FIXTURE_VARIANT_ADD(ioctl, ioeventfd) {
	BAO_IOCTL_IOEVENTFD, sizeof(struct bao_ioeventfd), -EINVAL
};

FIXTURE_VARIANT_ADD(ioctl, irqfd) {
	BAO_IOCTL_IRQFD, sizeof(struct bao_irqfd), -EINVAL
};

/* A load of no bytes cannot have a value. */
FIXTURE_VARIANT_ADD(ioctl, iovalue) {
	BAO_IOCTL_IOVALUE, sizeof(struct bao_iovalue), -EINVAL
};

FIXTURE_SETUP(ioctl)
{
	const char *why = bao_begin(1);

	if (why)
		SKIP(return, "%s", why);
	self->fd = bao_open(0, O_RDWR | O_NONBLOCK);
	ASSERT_LE(0, self->fd);

	self->page = sysconf(_SC_PAGESIZE);
	self->edge = bao_edge_map();
	ASSERT_NE(NULL, self->edge);
}

FIXTURE_TEARDOWN(ioctl)
{
	bao_edge_unmap(self->edge);
	close(self->fd);
}

/* Whether the frontend got an interrupt; other calls leave no trace here. */
static bool had_effect(unsigned long cmd)
{
	return cmd == BAO_IOCTL_NOTIFY && bed_count(0, BED_CNT_NOTIFY);
}

#define REFUSED(err, p) do {						\
	EXPECT_EQ(err, bao_ioctl(self->fd, variant->cmd, p));		\
	EXPECT_FALSE(had_effect(variant->cmd));				\
} while (0)

TEST_F(ioctl, too_short)
{
	for (u32 size = 0; size < variant->size; size++) {
		self->arg.size = size;
		REFUSED(-EINVAL, &self->arg);
	}
}

TEST_F(ioctl, exact)
{
	self->arg.size = variant->size;
	EXPECT_EQ(variant->zeros, bao_ioctl(self->fd, variant->cmd, &self->arg));
}

TEST_F(ioctl, longer_with_zeros)
{
	char *p = self->edge;

	self->arg.size = variant->size + 4;
	EXPECT_EQ(variant->zeros, bao_ioctl(self->fd, variant->cmd, &self->arg));
	self->arg.size = sizeof(self->arg);
	EXPECT_EQ(variant->zeros, bao_ioctl(self->fd, variant->cmd, &self->arg));

	*(u32 *)p = self->page;
	EXPECT_EQ(variant->zeros, bao_ioctl(self->fd, variant->cmd, p));
}

TEST_F(ioctl, longer_with_something)
{
	const size_t at[] = { variant->size, variant->size + 4, 255 };

	for (int i = 0; i < ARRAY_SIZE(at); i++) {
		memset(&self->arg, 0, sizeof(self->arg));
		self->arg.size = sizeof(self->arg);
		self->arg.bytes[at[i]] = 1;
		REFUSED(-E2BIG, &self->arg);
	}
}

TEST_F(ioctl, huge)
{
	const u32 sizes[] = { self->page + 1, 1u << 31, ~0u };
	const size_t room = 3 * self->page;
	char *p = mmap(NULL, room, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, p);
	for (int i = 0; i < ARRAY_SIZE(sizes); i++) {
		*(u32 *)p = sizes[i];
		REFUSED(-E2BIG, p);
	}
	munmap(p, room);
}

TEST_F(ioctl, bad_pointer)
{
	char *end = self->edge + self->page;

	REFUSED(-EFAULT, NULL);
	REFUSED(-EFAULT, end);
	REFUSED(-EFAULT, (void *)-1UL);
	REFUSED(-EFAULT, (void *)-4096UL);
	/* Only the size can be read, or not even all of it. */
	*(u32 *)(end - 4) = variant->size;
	REFUSED(-EFAULT, end - 4);
	REFUSED(-EFAULT, end - 2);
	/* All of the structure, but not what its size says follows it */
	memset(end - variant->size, 0, variant->size);
	*(u32 *)(end - variant->size) = variant->size + 8;
	REFUSED(-EFAULT, end - variant->size);
}

/* A program that was compiled for packed structures is no reason to fail. */
TEST_F(ioctl, misaligned_pointer)
{
	char *p = self->edge + 1;

	memcpy(p, &variant->size, 4);
	EXPECT_EQ(variant->zeros, bao_ioctl(self->fd, variant->cmd, p));
}

/* The number alone names a call; one that encodes another size is unknown. */
TEST_F(ioctl, number_with_a_size)
{
	self->arg.size = variant->size;
	EXPECT_EQ(-ENOTTY, bao_ioctl(self->fd, variant->cmd |
				     _IOC(_IOC_READ | _IOC_WRITE, 0, 0,
					  variant->size), &self->arg));
	EXPECT_EQ(-ENOTTY, bao_ioctl(self->fd, variant->cmd ^ 0x100,
				     &self->arg));
	EXPECT_FALSE(had_effect(variant->cmd));
}

FIXTURE(uapi) {
	int fd;
};

FIXTURE_SETUP(uapi)
{
	const char *why = bao_begin(1);

	if (why)
		SKIP(return, "%s", why);
	self->fd = bao_open(0, O_RDWR | O_NONBLOCK);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(uapi)
{
	close(self->fd);
}

TEST_F(uapi, unknown_ioctls)
{
	const unsigned int known = _IOC_NR(BAO_IOCTL_INFO);
	union arg arg = { .size = sizeof(arg) };

	for (unsigned int nr = 0; nr < 256; nr++) {
		if (nr >= known && nr <= _IOC_NR(BAO_IOCTL_IOVALUE))
			continue;
		EXPECT_EQ(-ENOTTY, bao_ioctl(self->fd, _IO(BAO_IOCTL_TYPE, nr),
					     &arg));
	}
	EXPECT_EQ(-ENOTTY, bao_ioctl(self->fd, _IO('b', known), &arg));
	EXPECT_EQ(-ENOTTY, bao_ioctl(self->fd, 0x12345678, &arg));
}

TEST_F(uapi, unknown_flags)
{
	struct bao_notify n = { .size = sizeof(n) };
	struct bao_serve s = { .size = sizeof(s) };
	struct bao_ioeventfd io = { .size = sizeof(io) };
	struct bao_irqfd irq = { .size = sizeof(irq) };
	struct bao_iovalue val = { .size = sizeof(val) };

	for (int bit = 0; bit < 32; bit++) {
		n.flags = 1u << bit;
		s.flags = 1u << bit;
		EXPECT_EQ(-EOPNOTSUPP,
			  bao_ioctl(self->fd, BAO_IOCTL_NOTIFY, &n));
		EXPECT_EQ(-EOPNOTSUPP,
			  bao_ioctl(self->fd, BAO_IOCTL_SERVE, &s));
		io.flags = 1u << bit;
		if (!(io.flags & (BAO_IOEVENTFD_DATAMATCH |
				  BAO_IOEVENTFD_DEASSIGN)))
			EXPECT_EQ(-EOPNOTSUPP,
				  bao_ioctl(self->fd, BAO_IOCTL_IOEVENTFD, &io));
		irq.flags = 1u << bit;
		if (irq.flags != BAO_IRQFD_DEASSIGN)
			EXPECT_EQ(-EOPNOTSUPP,
				  bao_ioctl(self->fd, BAO_IOCTL_IRQFD, &irq));
		val.flags = 1u << bit;
		if (val.flags != BAO_IOVALUE_DEASSIGN)
			EXPECT_EQ(-EOPNOTSUPP,
				  bao_ioctl(self->fd, BAO_IOCTL_IOVALUE, &val));
	}
	EXPECT_EQ(0, bed_count(0, BED_CNT_NOTIFY));
}

TEST_F(uapi, reserved_fields)
{
	struct bao_request r;
	struct bao_info i = { .size = sizeof(i), .reserved = 1 };
	struct bao_serve s = {
		.size = sizeof(s),
		.requests = (uintptr_t)&r,
		.nr_requests = 1,
		.reserved = 1u << 31,
	};

	EXPECT_EQ(-EINVAL, bao_ioctl(self->fd, BAO_IOCTL_INFO, &i));
	frontend_read(0, BAO_ADDR, 4);
	ASSERT_TRUE(bao_poll_in(self->fd));
	EXPECT_EQ(-EINVAL, bao_ioctl(self->fd, BAO_IOCTL_SERVE, &s));
	EXPECT_EQ(1, bao_fetch(self->fd, &r, 1));
}

/* What a refused call says to complete is not completed. */
TEST_F(uapi, refused_serve_completes_nothing)
{
	struct bao_completion c = {};
	struct bao_serve s = {
		.size = sizeof(s),
		.completions = (uintptr_t)&c,
		.nr_completions = 1,
	};
	struct bao_request r;
	u64 handle;

	handle = frontend_read(0, BAO_ADDR, 4);
	ASSERT_EQ(1, bao_fetch(self->fd, &r, 1));
	c.id = r.id;

	s.flags = 1;
	EXPECT_EQ(-EOPNOTSUPP, bao_ioctl(self->fd, BAO_IOCTL_SERVE, &s));
	s.flags = 0;
	s.reserved = 1;
	EXPECT_EQ(-EINVAL, bao_ioctl(self->fd, BAO_IOCTL_SERVE, &s));
	EXPECT_EQ(BED_PROCESSING, frontend_query(handle).state);
	EXPECT_EQ(0, bao_complete(self->fd, r.id, 0));
}

/* Number @nr of a 64-bit pair list in a property of the dispatcher's node */
static u64 node_cell(const char *property, unsigned int nr)
{
	unsigned char b[8] = {};
	u64 value = 0;
	char path[128];
	int fd;

	snprintf(path, sizeof(path),
		 "/sys/bus/platform/devices/%s/of_node/%s", bao_device(),
		 property);
	fd = open(path, O_RDONLY);
	if (fd < 0 || pread(fd, b, 8, nr * 8) != 8)
		fprintf(stderr, "# cannot read %s\n", path);
	close(fd);
	for (int i = 0; i < 8; i++)
		value = value << 8 | b[i];
	return value;
}

TEST_F(uapi, info)
{
	/* More than the kernel knows: it may fill in its part only. */
	struct {
		struct bao_info info;
		u64 more;
	} i = {};

	close(self->fd);
	for (unsigned int dev = 0; dev < bao_nr_devices(); dev++) {
		memset(&i, 0, sizeof(i));
		i.info.size = sizeof(i);
		self->fd = bao_open(dev, O_RDWR);
		ASSERT_LE(0, self->fd);
		EXPECT_EQ(0, bao_ioctl(self->fd, BAO_IOCTL_INFO, &i));
		EXPECT_EQ(sizeof(struct bao_info), i.info.size);
		EXPECT_EQ(dev, i.info.device_id);
		EXPECT_EQ(node_cell("reg", 2 * dev), i.info.shmem_addr);
		EXPECT_EQ(node_cell("reg", 2 * dev + 1), i.info.shmem_size);
		EXPECT_EQ(BAO_SLOTS, i.info.max_requests);
		EXPECT_EQ(BAO_FEATURE_IOEVENTFD | BAO_FEATURE_IRQFD |
			  BAO_FEATURE_IOVALUE |
			  (dev % 2 ? BAO_FEATURE_PAGES : 0), i.info.features);
		EXPECT_EQ(0, i.info.reserved);
		EXPECT_EQ(0, i.more);
		close(self->fd);
	}
	self->fd = -1;
}

TEST_F(uapi, one_vmm_at_a_time)
{
	int second;

	EXPECT_EQ(-EBUSY, bao_open(0, O_RDWR));
	EXPECT_EQ(-EBUSY, bao_open(0, O_RDONLY));

	/* A copy of the file descriptor is the same VMM's. */
	second = dup(self->fd);
	close(self->fd);
	EXPECT_EQ(-EBUSY, bao_open(0, O_RDWR));
	close(second);
	self->fd = bao_open(0, O_RDWR);
	EXPECT_LE(0, self->fd);
	EXPECT_EQ(-EBUSY, bao_open(0, O_RDWR));
}

/* The refused open must not take the first VMM's requests from it. */
TEST_F(uapi, refused_open_changes_nothing)
{
	struct bao_request r;
	u64 handle;

	handle = frontend_read(0, BAO_ADDR, 4);
	ASSERT_EQ(1, bao_fetch(self->fd, &r, 1));
	EXPECT_EQ(-EBUSY, bao_open(0, O_RDWR));
	EXPECT_EQ(0, bao_complete(self->fd, r.id, 7));
	EXPECT_EQ(7, frontend_query(handle).value);
}

TEST_F(uapi, node_is_private_to_root)
{
	char path[64];
	struct stat st;

	for (unsigned int dev = 0; dev < bao_nr_devices(); dev++) {
		snprintf(path, sizeof(path), "/dev/bao/backend%u", dev);
		ASSERT_EQ(0, stat(path, &st));
		EXPECT_TRUE(S_ISCHR(st.st_mode));
		EXPECT_EQ(0600, st.st_mode & 07777);
		EXPECT_EQ(0, st.st_uid);
		EXPECT_EQ(0, st.st_gid);
	}
	snprintf(path, sizeof(path), "/dev/bao/backend%u", bao_nr_devices());
	EXPECT_EQ(-1, stat(path, &st));
}

/* A request is the open file's, and not the process's that fetched it. */
TEST_F(uapi, child_shares_the_file)
{
	struct bao_request *r = mmap(NULL, sizeof(*r), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	u64 handle;
	int status;
	pid_t pid;

	ASSERT_NE(MAP_FAILED, r);
	handle = frontend_read(0, BAO_ADDR, 4);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(bao_fetch(self->fd, r, 1) != 1);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);

	EXPECT_EQ(0, bao_complete(self->fd, r->id, 42));
	EXPECT_EQ(BED_COMPLETED, frontend_query(handle).state);
	EXPECT_EQ(42, frontend_query(handle).value);
	munmap(r, sizeof(*r));
}

/* Neither bytes nor positions: everything goes through ioctls. */
TEST_F(uapi, no_stream_of_bytes)
{
	char c = 0;

	EXPECT_EQ(-1, read(self->fd, &c, 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, write(self->fd, &c, 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, lseek(self->fd, 0, SEEK_SET));
	EXPECT_EQ(ESPIPE, errno);
}

TEST_HARNESS_MAIN
