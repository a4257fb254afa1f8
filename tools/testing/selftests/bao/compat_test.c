// SPDX-License-Identifier: GPL-2.0
/*
 * The interface that programs for the Bao project's own dispatcher module
 * speak: its five ioctls, the way they are used, and what is wrong with a call.
 * What happens when such a program ends is in compat_life_test.c.
 */
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "../kselftest_harness.h"
#include "compat_util.h"

#define KICK	(BAO_ADDR + 0x10)

FIXTURE(compat) {
	int control;
	int fd;
	int ev[2];
	size_t page;
	struct dm_info info;
	struct dm_request r;
};

#define SELF	FIXTURE_DATA(compat)

FIXTURE_SETUP(compat)
{
	const char *why = dm_begin(1);

	if (why)
		SKIP(return, "%s", why);
	self->page = sysconf(_SC_PAGESIZE);
	self->control = dm_control();
	ASSERT_LE(0, self->control);
	ASSERT_EQ(0, dm_get_info(self->control, 0, &self->info));
	self->fd = self->info.fd;
	for (int i = 0; i < 2; i++) {
		self->ev[i] = bao_eventfd(0);
		ASSERT_LE(0, self->ev[i]);
	}
}

FIXTURE_TEARDOWN(compat)
{
	for (int i = 0; i < 2; i++)
		close(self->ev[i]);
	close(self->fd);
	close(self->control);
}

/* The lowest number that is free, which tells whether a file was left open */
static int next_fd(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

TEST_F(compat, published_numbers)
{
	EXPECT_EQ(0xC020A601, DM_GET_INFO);
	EXPECT_EQ(0xC030A602, DM_ATTACH);
	EXPECT_EQ(0x4030A603, DM_COMPLETE);
	EXPECT_EQ(0x4020A604, DM_IOEVENTFD);
	EXPECT_EQ(0x4008A605, DM_IRQFD);
}

TEST_F(compat, control_node_is_roots)
{
	struct stat st;

	ASSERT_EQ(0, stat(CONTROL_NODE, &st));
	EXPECT_TRUE(S_ISCHR(st.st_mode));
	EXPECT_EQ(0600, st.st_mode & 07777);
}

/* Every backend, at the same time, with what its own interface says of it */
TEST_F(compat, info)
{
	struct bao_info native = { .size = sizeof(native) };
	const unsigned int nr = bao_nr_devices();
	struct dm_info info;
	int fd;

	EXPECT_EQ(FD_CLOEXEC, fcntl(self->fd, F_GETFD));
	EXPECT_EQ(O_RDWR, fcntl(self->fd, F_GETFL) & O_ACCMODE);
	close(self->fd);
	for (unsigned int id = 0; id < nr; id++) {
		fd = bao_open(id, O_RDWR);
		ASSERT_LE(0, fd);
		ASSERT_EQ(0, bao_ioctl(fd, BAO_IOCTL_INFO, &native));
		close(fd);
		ASSERT_EQ(0, dm_get_info(self->control, id, &info));
		EXPECT_EQ(id, info.id);
		EXPECT_EQ(native.shmem_addr, info.shmem_addr);
		EXPECT_EQ(native.shmem_size, info.shmem_size);
		EXPECT_LT(0, info.irq);
		EXPECT_EQ(0, dm_notify(info.fd, id));
		EXPECT_EQ(1, bed_count(id, BED_CNT_NOTIFY));
		close(info.fd);
	}
}

TEST_F(compat, no_such_backend)
{
	static const u32 ids[] = { 64, 0x10000, 0x7fffffff, 0x80000000, ~0u };
	const int next = next_fd();
	struct dm_info info;

	EXPECT_EQ(-ENOENT, dm_get_info(self->control, bao_nr_devices(), &info));
	for (int i = 0; i < ARRAY_SIZE(ids); i++)
		EXPECT_EQ(-ENOENT, dm_get_info(self->control, ids[i], &info));
	EXPECT_EQ(0, info.fd);
	EXPECT_EQ(next, next_fd());
}

TEST_F(compat, seek_tells_the_size)
{
	const off_t size = self->info.shmem_size;

	EXPECT_EQ(size, lseek(self->fd, 0, SEEK_END));
	EXPECT_EQ(0, lseek(self->fd, 0, SEEK_SET));
	EXPECT_EQ(0, lseek(self->fd, 0, SEEK_CUR));
	EXPECT_EQ(size, lseek(self->fd, 0, SEEK_END));
	EXPECT_EQ(-1, lseek(self->fd, 1, SEEK_END));
	EXPECT_EQ(-1, lseek(self->fd, -1, SEEK_SET));
}

TEST_F(compat, offset_0_maps_the_region)
{
	const size_t size = lseek(self->fd, 0, SEEK_END);
	const u64 last = size - 8;
	char *p;

	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd, 0);
	ASSERT_NE(MAP_FAILED, p);
	for (u64 at = 0; at <= last; at += last) {
		__atomic_store_n((u64 *)(p + at), at + 5, __ATOMIC_SEQ_CST);
		EXPECT_EQ(at + 5, bed_peek(self->info.shmem_addr + at));
		bed_poke(self->info.shmem_addr + at, at + 7);
		EXPECT_EQ(at + 7, __atomic_load_n((u64 *)(p + at),
						  __ATOMIC_SEQ_CST));
	}
	munmap(p, size);

	EXPECT_EQ(MAP_FAILED, mmap(NULL, size + self->page, PROT_READ,
				   MAP_SHARED, self->fd, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, self->page, PROT_READ, MAP_SHARED,
				   self->fd, size));
	EXPECT_EQ(EINVAL, errno);
}

TEST_F(compat, writes)
{
	u64 handle;

	for (unsigned int width = 1; width <= 8; width *= 2) {
		handle = frontend_write(0, BAO_ADDR, width, BAO_GARBAGE);
		ASSERT_EQ(0, dm_fetch(self->fd, &self->r));
		EXPECT_EQ(0, self->r.dm_id);
		EXPECT_EQ(BAO_ADDR, self->r.addr);
		EXPECT_EQ(BED_OP_WRITE, self->r.op);
		EXPECT_EQ(width, self->r.access_width);
		EXPECT_EQ(bao_cut(BAO_GARBAGE, width), self->r.value);
		EXPECT_EQ(BED_PROCESSING, frontend_query(handle).state);
		EXPECT_EQ(0, dm_complete(self->fd, &self->r, 0));
		EXPECT_TRUE(dm_answered(handle, BED_OP_WRITE, 0));
	}
	EXPECT_EQ(0, bed_count(0, BED_CNT_REFUSED));
	EXPECT_EQ(0, bed_count(0, BED_CNT_VIOLATION));
}

TEST_F(compat, reads)
{
	u64 handle;

	for (unsigned int width = 1; width <= 8; width *= 2) {
		handle = frontend_read(0, BAO_ADDR + 8, width);
		ASSERT_EQ(0, dm_fetch(self->fd, &self->r));
		EXPECT_EQ(0, self->r.dm_id);
		EXPECT_EQ(BAO_ADDR + 8, self->r.addr);
		EXPECT_EQ(BED_OP_READ, self->r.op);
		EXPECT_EQ(width, self->r.access_width);
		EXPECT_EQ(0, dm_complete(self->fd, &self->r, BAO_GARBAGE));
		EXPECT_TRUE(dm_answered(handle, BED_OP_READ,
					bao_cut(BAO_GARBAGE, width)));
	}
	EXPECT_EQ(0, bed_count(0, BED_CNT_REFUSED));
	EXPECT_EQ(0, bed_count(0, BED_CNT_VIOLATION));
}

/* The hypervisor uses its ids again at once, the driver does not. */
TEST_F(compat, other_device_and_new_ids)
{
	u64 last = 0, handle;
	int fd;

	if (bao_nr_devices() < 2)
		SKIP(return, "the bed has one Remote I/O device only");
	fd = dm_open(1);
	ASSERT_LE(0, fd);
	for (int i = 0; i < 5; i++) {
		handle = frontend_read(1, BAO_ADDR, 4);
		ASSERT_EQ(0, dm_fetch(fd, &self->r));
		EXPECT_EQ(1, self->r.dm_id);
		EXPECT_LT(last, self->r.request_id);
		last = self->r.request_id;
		/* This backend's file is not for it. */
		EXPECT_EQ(-EINVAL, dm_complete(self->fd, &self->r, 1));
		EXPECT_EQ(0, dm_complete(fd, &self->r, i));
		EXPECT_TRUE(dm_answered(handle, BED_OP_READ, i));
	}
	close(fd);
}

TEST_F(compat, notify)
{
	u64 handle = frontend_read(0, BAO_ADDR, 4);

	ASSERT_EQ(0, dm_fetch(self->fd, &self->r));
	for (int i = 1; i <= 3; i++) {
		EXPECT_EQ(0, dm_notify(self->fd, 0));
		EXPECT_EQ(i, bed_count(0, BED_CNT_NOTIFY));
	}
	EXPECT_EQ(-EINVAL, dm_notify(self->fd, 1));
	EXPECT_EQ(3, bed_count(0, BED_CNT_NOTIFY));
	EXPECT_EQ(BED_PROCESSING, frontend_query(handle).state);

	bed_fault(0, BED_OP_NOTIFY, -1, 1);
	EXPECT_EQ(-EIO, dm_notify(self->fd, 0));
	EXPECT_EQ(0, dm_complete(self->fd, &self->r, 3));
	EXPECT_TRUE(dm_answered(handle, BED_OP_READ, 3));
}

/* Of what goes back, the driver believes the id alone. */
TEST_F(compat, completion_does_not_choose_the_hypercall)
{
	u64 handle = frontend_read(0, BAO_ADDR, 2);

	ASSERT_EQ(0, dm_fetch(self->fd, &self->r));
	self->r.op = BED_OP_WRITE;
	self->r.addr = ~0ULL;
	self->r.access_width = 8;
	self->r.value = 0x12345678;
	EXPECT_EQ(0, bao_ioctl(self->fd, DM_COMPLETE, &self->r));
	EXPECT_TRUE(dm_answered(handle, BED_OP_READ, 0x5678));
	EXPECT_EQ(0, bed_count(0, BED_CNT_VIOLATION));
}

TEST_F(compat, wrong_completions)
{
	static const u64 ops[] = { BED_OP_ASK, 4, 1ULL << 32, ~0ULL };
	u64 handle = frontend_read(0, BAO_ADDR, 4);
	u64 waiting, asked;
	struct dm_request bad;

	ASSERT_EQ(0, dm_fetch(self->fd, &self->r));
	waiting = frontend_quiet(0, BAO_ADDR + 8);
	asked = bed_count(0, BED_CNT_ASK) + bed_count(0, BED_CNT_ASK_EMPTY);

	for (int i = 0; i < ARRAY_SIZE(ops); i++) {
		bad = self->r;
		bad.op = ops[i];
		EXPECT_EQ(-EINVAL, bao_ioctl(self->fd, DM_COMPLETE, &bad));
	}
	bad = self->r;
	bad.dm_id = 1;
	EXPECT_EQ(-EINVAL, dm_complete(self->fd, &bad, 1));
	bad.dm_id = 1ULL << 32;
	EXPECT_EQ(-EINVAL, dm_complete(self->fd, &bad, 1));

	/* The hypervisor's own id, others, and one that would pop a request */
	for (int i = -1; i < 4; i++) {
		bad = self->r;
		bad.request_id = i;
		EXPECT_EQ(-ENOENT, dm_complete(self->fd, &bad, 1));
	}
	EXPECT_EQ(asked, bed_count(0, BED_CNT_ASK) +
			 bed_count(0, BED_CNT_ASK_EMPTY));
	EXPECT_EQ(BED_PENDING, frontend_query(waiting).state);
	EXPECT_EQ(BED_PROCESSING, frontend_query(handle).state);

	EXPECT_EQ(0, dm_complete(self->fd, &self->r, 2));
	EXPECT_EQ(-ENOENT, dm_complete(self->fd, &self->r, 2));
	EXPECT_TRUE(dm_answered(handle, BED_OP_READ, 2));
	EXPECT_EQ(0, bed_count(0, BED_CNT_REFUSED));
}

/* One eventfd for each queue, as for QueueNotify of virtio-mmio */
TEST_F(compat, ioeventfd)
{
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, dm_ioeventfd(self->fd, self->ev[i],
					  DM_IOEVENTFD_DATAMATCH, KICK, 4, i));
	for (int i = 0; i < 2; i++) {
		EXPECT_TRUE(frontend_wrote(frontend_write(0, KICK, 4, i)));
		EXPECT_EQ(1, bao_signals(self->ev[i], 1));
		EXPECT_EQ(0, bao_signals(self->ev[!i], 0));
	}
	EXPECT_TRUE(frontend_wrote(frontend_write(0, KICK, 4, 1ULL << 32)));
	EXPECT_EQ(1, bao_signals(self->ev[0], 1));

	/* What does not match, another width and a load are the program's. */
	frontend_write(0, KICK, 4, 2);
	ASSERT_EQ(0, dm_fetch(self->fd, &self->r));
	EXPECT_EQ(2, self->r.value);
	EXPECT_EQ(0, dm_complete(self->fd, &self->r, 0));
	frontend_write(0, KICK, 2, 0);
	ASSERT_EQ(0, dm_fetch(self->fd, &self->r));
	EXPECT_EQ(2, self->r.access_width);
	EXPECT_EQ(0, dm_complete(self->fd, &self->r, 0));
	frontend_read(0, KICK, 4);
	ASSERT_EQ(0, dm_fetch(self->fd, &self->r));
	EXPECT_EQ(BED_OP_READ, self->r.op);
	EXPECT_EQ(0, dm_complete(self->fd, &self->r, 0));

	ASSERT_EQ(0, dm_ioeventfd(self->fd, self->ev[1],
				  DM_IOEVENTFD_DATAMATCH |
				  DM_IOEVENTFD_DEASSIGN, KICK, 4, 1));
	frontend_write(0, KICK, 4, 1);
	ASSERT_EQ(0, dm_fetch(self->fd, &self->r));
	EXPECT_EQ(0, dm_complete(self->fd, &self->r, 0));
	EXPECT_EQ(0, bao_signals(self->ev[1], 0));
	EXPECT_TRUE(frontend_wrote(frontend_write(0, KICK, 4, 0)));
	EXPECT_EQ(1, bao_signals(self->ev[0], 1));
}

/* Fields without a meaning may hold anything. */
TEST_F(compat, ioeventfd_for_any_value)
{
	struct dm_ioeventfd args = {
		.fd = self->ev[0],
		.addr = KICK,
		.len = 4,
		.reserved = ~0u,
		.data = 17,
	};

	ASSERT_EQ(0, bao_ioctl(self->fd, DM_IOEVENTFD, &args));
	EXPECT_TRUE(frontend_wrote(frontend_write(0, KICK, 4, 0)));
	EXPECT_TRUE(frontend_wrote(frontend_write(0, KICK, 4, 17)));
	EXPECT_EQ(2, bao_signals(self->ev[0], 2));

	args.data = 18;
	EXPECT_EQ(-EEXIST, bao_ioctl(self->fd, DM_IOEVENTFD, &args));
	args.flags = DM_IOEVENTFD_DEASSIGN;
	EXPECT_EQ(0, bao_ioctl(self->fd, DM_IOEVENTFD, &args));
	EXPECT_EQ(-ENOENT, bao_ioctl(self->fd, DM_IOEVENTFD, &args));
}

TEST_F(compat, wrong_ioeventfds)
{
	static const u32 flags[] = { 1u << 0, 1u << 3, 1u << 31 };
	static const u32 lengths[] = { 0, 3, 5, 16, ~0u };

	for (int i = 0; i < ARRAY_SIZE(flags); i++)
		EXPECT_EQ(-EOPNOTSUPP, dm_ioeventfd(self->fd, self->ev[0],
						    flags[i], KICK, 4, 0));
	for (int i = 0; i < ARRAY_SIZE(lengths); i++)
		EXPECT_EQ(-EINVAL, dm_ioeventfd(self->fd, self->ev[0], 0, KICK,
						lengths[i], 0));
	EXPECT_EQ(-EINVAL, dm_ioeventfd(self->fd, self->ev[0],
					DM_IOEVENTFD_DATAMATCH, KICK, 4,
					1ULL << 32));
	EXPECT_EQ(-EBADF, dm_ioeventfd(self->fd, -1, 0, KICK, 4, 0));
	EXPECT_EQ(-EINVAL, dm_ioeventfd(self->fd, self->fd, 0, KICK, 4, 0));

	frontend_write(0, KICK, 4, 0);
	ASSERT_EQ(0, dm_fetch(self->fd, &self->r));
	EXPECT_EQ(0, dm_complete(self->fd, &self->r, 0));
}

TEST_F(compat, irqfd)
{
	static const u32 flags[] = { 1u << 1, 1u << 2, 1u << 31 };
	const int ev = self->ev[0];

	ASSERT_EQ(0, dm_irqfd(self->fd, ev, 0));
	EXPECT_EQ(-EEXIST, dm_irqfd(self->fd, ev, 0));
	for (int i = 1; i <= 3; i++) {
		ASSERT_EQ(0, eventfd_write(ev, 1));
		EXPECT_EQ(i, bed_count(0, BED_CNT_NOTIFY));
	}
	ASSERT_EQ(0, dm_irqfd(self->fd, ev, DM_IRQFD_DEASSIGN));
	ASSERT_EQ(0, eventfd_write(ev, 1));
	EXPECT_EQ(3, bed_count(0, BED_CNT_NOTIFY));

	EXPECT_EQ(-ENOENT, dm_irqfd(self->fd, ev, DM_IRQFD_DEASSIGN));
	EXPECT_EQ(-EBADF, dm_irqfd(self->fd, -1, 0));
	EXPECT_EQ(-EINVAL, dm_irqfd(self->fd, self->fd, 0));
	for (int i = 0; i < ARRAY_SIZE(flags); i++)
		EXPECT_EQ(-EOPNOTSUPP, dm_irqfd(self->fd, ev, flags[i]));
	EXPECT_EQ(3, bed_count(0, BED_CNT_NOTIFY));
}

/* A backend has one VMM, whichever interface it speaks. */
TEST_F(compat, one_vmm_at_a_time)
{
	const int next = next_fd();
	struct dm_info info;

	for (int i = 0; i < 2; i++) {
		EXPECT_EQ(-EBUSY, dm_get_info(self->control, 0, &info));
		EXPECT_EQ(-EBUSY, bao_open(0, O_RDWR));
	}
	EXPECT_EQ(next, next_fd());
	EXPECT_TRUE(dm_serves(self->fd));
	close(self->fd);

	self->fd = bao_open(0, O_RDWR);
	ASSERT_LE(0, self->fd);
	EXPECT_EQ(-EBUSY, dm_get_info(self->control, 0, &info));
	EXPECT_EQ(-EBUSY, bao_open(0, O_RDWR));
	close(self->fd);

	self->fd = dm_open(0);
	ASSERT_LE(0, self->fd);
	EXPECT_TRUE(dm_serves(self->fd));
}

TEST_F(compat, unknown_ioctls)
{
	struct bao_info native = { .size = sizeof(native) };
	char any[256] = {};
	int fd;

	/* The right number on the wrong file */
	EXPECT_EQ(-ENOTTY, bao_ioctl(self->fd, DM_GET_INFO, any));
	EXPECT_EQ(-ENOTTY, bao_ioctl(self->control, DM_ATTACH, any));
	EXPECT_EQ(-ENOTTY, bao_ioctl(self->control, DM_COMPLETE, any));
	EXPECT_EQ(-ENOTTY, bao_ioctl(self->control, DM_IOEVENTFD, any));
	EXPECT_EQ(-ENOTTY, bao_ioctl(self->control, DM_IRQFD, any));
	/* The driver's own interface and this one do not mix. */
	EXPECT_EQ(-ENOTTY, bao_ioctl(self->fd, BAO_IOCTL_INFO, &native));
	EXPECT_EQ(-ENOTTY, bao_ioctl(self->control, BAO_IOCTL_INFO, &native));
	/* Numbers that are not taken, and a size that is not the one */
	EXPECT_EQ(-ENOTTY, bao_ioctl(self->fd, _IO(0xA6, 0), any));
	EXPECT_EQ(-ENOTTY, bao_ioctl(self->fd, _IO(0xA6, 6), any));
	EXPECT_EQ(-ENOTTY, bao_ioctl(self->fd, _IO(0xA6, 2), any));
	EXPECT_EQ(-ENOTTY, bao_ioctl(self->control, _IO(0xA6, 1), any));

	close(self->fd);
	fd = bao_open(0, O_RDWR);
	ASSERT_LE(0, fd);
	EXPECT_EQ(-ENOTTY, bao_ioctl(fd, DM_ATTACH, any));
	EXPECT_EQ(-ENOTTY, bao_ioctl(fd, DM_GET_INFO, any));
	self->fd = fd;
}

/* Nothing is lost, and no file is left behind. */
TEST_F(compat, bad_pointers)
{
	struct dm_info *info;
	int log, next;
	u64 handle;

	/* It can be read, for the id, and not be written. */
	info = mmap(NULL, self->page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS,
		    -1, 0);
	ASSERT_NE(MAP_FAILED, info);
	log = bao_log_open();
	ASSERT_LE(0, log);

	handle = frontend_read(0, BAO_ADDR, 4);
	ASSERT_TRUE(bao_poll_in(self->fd));
	for (int i = 0; i < 2; i++) {
		EXPECT_EQ(-EFAULT, bao_ioctl(self->fd, DM_ATTACH, NULL));
		EXPECT_EQ(-EFAULT, bao_ioctl(self->fd, DM_ATTACH, info));
	}
	EXPECT_EQ(-EFAULT, bao_ioctl(self->fd, DM_COMPLETE, NULL));
	EXPECT_EQ(-EFAULT, bao_ioctl(self->fd, DM_IOEVENTFD, NULL));
	EXPECT_EQ(-EFAULT, bao_ioctl(self->fd, DM_IRQFD, NULL));
	ASSERT_EQ(0, dm_fetch(self->fd, &self->r));
	EXPECT_EQ(BAO_ADDR, self->r.addr);
	EXPECT_EQ(0, dm_complete(self->fd, &self->r, 6));
	EXPECT_TRUE(dm_answered(handle, BED_OP_READ, 6));

	close(self->fd);
	next = next_fd();
	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(-EFAULT, bao_ioctl(self->control, DM_GET_INFO, NULL));
		EXPECT_EQ(-EFAULT, bao_ioctl(self->control, DM_GET_INFO, info));
	}
	EXPECT_EQ(next, next_fd());
	self->fd = dm_open(0);
	ASSERT_LE(0, self->fd);
	EXPECT_EQ(0, bao_log_count(log, "bao", NULL));
	close(log);
	munmap(info, self->page);
}

TEST_F(compat, no_descriptor_left)
{
	struct rlimit old, none;
	struct dm_info info;

	close(self->fd);
	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &old));
	none = old;
	none.rlim_cur = 0;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
	EXPECT_EQ(-EMFILE, dm_get_info(self->control, 0, &info));
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &old));

	self->fd = dm_open(0);
	ASSERT_LE(0, self->fd);
	EXPECT_TRUE(dm_serves(self->fd));
}

TEST_HARNESS_MAIN
