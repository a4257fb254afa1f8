// SPDX-License-Identifier: GPL-2.0
/*
 * The shared region in the VMM's address space: all of it, nothing beside it,
 * the same memory that the frontend has, and no longer than the driver is there
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "../kselftest_harness.h"
#include "bao_test_util.h"

FIXTURE(map) {
	int fd;
	size_t page;
	struct bao_info info;
};

/*
 * A region beside the backend's memory, and one that is a reserved part of it:
 * the bed has both kinds by turns.
 */
FIXTURE_VARIANT(map) {
	unsigned int device;
};

FIXTURE_VARIANT_ADD(map, beside_memory) {
	0
};

FIXTURE_VARIANT_ADD(map, reserved_memory) {
	1
};

FIXTURE_SETUP(map)
{
	const char *why = bao_begin(variant->device + 1);

	if (why)
		SKIP(return, "%s", why);
	self->fd = bao_open(variant->device, O_RDWR);
	ASSERT_LE(0, self->fd);
	self->page = sysconf(_SC_PAGESIZE);
	self->info.size = sizeof(self->info);
	ASSERT_EQ(0, bao_ioctl(self->fd, BAO_IOCTL_INFO, &self->info));
	ASSERT_LE(4 * self->page, self->info.shmem_size);
}

FIXTURE_TEARDOWN(map)
{
	close(self->fd);
	/* Some tests unbind; the next program expects a driver. */
	if (!bao_is_bound())
		EXPECT_EQ(0, bao_bind(bao_device()));
}

static void *map_shared(int fd, size_t length, off_t offset)
{
	return mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		    offset);
}

TEST_F(map, same_memory_as_the_frontends)
{
	const size_t size = self->info.shmem_size;
	const size_t at[] = { 0, 8, self->page, size / 2, size - 8 };
	char *p = map_shared(self->fd, size, 0);

	ASSERT_NE(MAP_FAILED, p);
	for (int i = 0; i < ARRAY_SIZE(at); i++) {
		u64 *word = (u64 *)(p + at[i]);

		__atomic_store_n(word, BAO_GARBAGE + i, __ATOMIC_SEQ_CST);
		EXPECT_EQ(BAO_GARBAGE + i,
			  bed_peek(self->info.shmem_addr + at[i]));
		bed_poke(self->info.shmem_addr + at[i], 0x7777 + i);
		EXPECT_EQ(0x7777 + i, __atomic_load_n(word, __ATOMIC_SEQ_CST));
	}
	munmap(p, size);
}

TEST_F(map, offset_counts_from_the_region)
{
	char *p;

	bed_poke(self->info.shmem_addr, 1);
	bed_poke(self->info.shmem_addr + self->page, 2);
	bed_poke(self->info.shmem_addr + self->info.shmem_size - self->page, 3);

	p = map_shared(self->fd, self->page, self->page);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(2, *(u64 *)p);
	munmap(p, self->page);

	p = map_shared(self->fd, self->page,
		       self->info.shmem_size - self->page);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(3, *(u64 *)p);
	munmap(p, self->page);
}

/* As memory does and a mapping for device registers does not */
TEST_F(map, is_ordinary_memory)
{
	char *p = map_shared(self->fd, self->page, 0);

	ASSERT_NE(MAP_FAILED, p);
	memset(p, 0x5a, self->page);
	memcpy(p + 3, p + 1024 + 1, 512 - 5);
	__atomic_store_n((u64 *)(p + 1), BAO_GARBAGE, __ATOMIC_RELAXED);
	EXPECT_EQ(BAO_GARBAGE,
		  __atomic_load_n((u64 *)(p + 1), __ATOMIC_RELAXED));
	EXPECT_EQ(5, __atomic_add_fetch((u64 *)memset(p, 0, 8), 5,
					__ATOMIC_SEQ_CST));
	munmap(p, self->page);
}

TEST_F(map, outside_the_region)
{
	const off_t size = self->info.shmem_size;
	const struct {
		off_t length, offset;
	} bad[] = {
		{ size + self->page, 0 },
		{ size, self->page },
		{ self->page, size },
		{ 2 * self->page, size - self->page },
		{ self->page, 2 * size },
		{ self->page, self->info.shmem_addr },
		/* The sum wraps round to a part of the region. */
		{ 2 * self->page, -(off_t)self->page },
		{ 3 * self->page, -2 * (off_t)self->page },
		{ self->page, LONG_MAX & -(off_t)self->page },
		{ size, LONG_MIN },
	};
	char *p;

	for (int i = 0; i < ARRAY_SIZE(bad); i++) {
		p = map_shared(self->fd, bad[i].length, bad[i].offset);
		EXPECT_EQ(MAP_FAILED, p)
			TH_LOG("case %d", i);
		EXPECT_TRUE(errno == EINVAL || errno == EOVERFLOW)
			TH_LOG("case %d: errno %d", i, errno);
	}
	EXPECT_EQ(MAP_FAILED, map_shared(self->fd, self->page, 8));
	EXPECT_EQ(EINVAL, errno);
}

/* A mapping of the last page must not be stretched over what follows. */
TEST_F(map, does_not_grow)
{
	off_t last = self->info.shmem_size - self->page;
	char *p = map_shared(self->fd, self->page, last);

	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(MAP_FAILED, mremap(p, self->page, 2 * self->page,
				     MREMAP_MAYMOVE));
	EXPECT_EQ(EFAULT, errno);
	munmap(p, self->page);
}

TEST_F(map, no_private_copy)
{
	EXPECT_EQ(MAP_FAILED, mmap(NULL, self->page, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE, self->fd, 0));
	EXPECT_EQ(EINVAL, errno);
}

TEST_F(map, read_only_file)
{
	int fd;
	char *p;

	close(self->fd);
	fd = bao_open(variant->device, O_RDONLY);
	ASSERT_LE(0, fd);
	EXPECT_EQ(MAP_FAILED, map_shared(fd, self->page, 0));
	EXPECT_EQ(EACCES, errno);

	p = mmap(NULL, self->page, PROT_READ, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, p);
	bed_poke(self->info.shmem_addr, 4711);
	EXPECT_EQ(4711, *(u64 *)p);
	EXPECT_EQ(-1, mprotect(p, self->page, PROT_READ | PROT_WRITE));
	munmap(p, self->page);
	self->fd = fd;
}

TEST_F(map, contents_survive_the_vmm)
{
	u64 *p = map_shared(self->fd, self->page, 0);

	ASSERT_NE(MAP_FAILED, p);
	for (int i = 0; i < 64; i++)
		p[i] = BAO_GARBAGE * i;
	munmap(p, self->page);
	close(self->fd);

	self->fd = bao_open(variant->device, O_RDWR);
	ASSERT_LE(0, self->fd);
	p = map_shared(self->fd, self->page, 0);
	ASSERT_NE(MAP_FAILED, p);
	for (int i = 0; i < 64; i++)
		EXPECT_EQ(BAO_GARBAGE * i, p[i]);
	munmap(p, self->page);
}

/* The mapping holds the file, and so the backend, after close(). */
TEST_F(map, outlives_the_descriptor)
{
	u64 *p = map_shared(self->fd, 2 * self->page, 0);

	ASSERT_NE(MAP_FAILED, p);
	close(self->fd);
	EXPECT_EQ(-EBUSY, bao_open(variant->device, O_RDWR));
	p[0] = 31;
	EXPECT_EQ(31, bed_peek(self->info.shmem_addr));

	/* Half of it is enough to hold it. */
	munmap(p, self->page);
	EXPECT_EQ(-EBUSY, bao_open(variant->device, O_RDWR));
	munmap((char *)p + self->page, self->page);
	self->fd = bao_open(variant->device, O_RDWR);
	EXPECT_LE(0, self->fd);
}

TEST_F(map, child_has_it_too)
{
	u64 *p = map_shared(self->fd, self->page, 0);
	int status;
	pid_t pid;

	ASSERT_NE(MAP_FAILED, p);
	p[0] = 1;
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		p[1] = p[0] + 1;
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(2, p[1]);
	EXPECT_EQ(2, bed_peek(self->info.shmem_addr + 8));
	munmap(p, self->page);
}

/* System calls that touch the memory fail as well. */
static bool kernel_sees_efault(char *p)
{
	struct timespec *t = (struct timespec *)p;

	return syscall(__NR_clock_gettime, 0, t) == -1 && errno == EFAULT;
}

TEST_F(map, unbind_takes_it_back)
{
	const size_t size = self->info.shmem_size;
	char *p = map_shared(self->fd, size, 0);

	ASSERT_NE(MAP_FAILED, p);
	/* One page that was touched, and one far away that was not */
	EXPECT_FALSE(bao_raises_sigbus(p));
	ASSERT_EQ(0, bao_unbind());

	EXPECT_TRUE(bao_raises_sigbus(p));
	EXPECT_TRUE(bao_raises_sigbus(p + size - 1));
	EXPECT_TRUE(kernel_sees_efault(p));
	EXPECT_EQ(MAP_FAILED, map_shared(self->fd, self->page, 0));
	EXPECT_EQ(ENODEV, errno);

	/* The next driver's memory is not the old VMM's. */
	ASSERT_EQ(0, bao_bind(bao_device()));
	EXPECT_TRUE(bao_raises_sigbus(p));
	munmap(p, size);
}

TEST_F(map, contents_survive_the_driver)
{
	u64 *p = map_shared(self->fd, self->page, 0);

	ASSERT_NE(MAP_FAILED, p);
	p[3] = BAO_GARBAGE;
	ASSERT_EQ(0, bao_unbind());
	EXPECT_EQ(BAO_GARBAGE, bed_peek(self->info.shmem_addr + 24));
	ASSERT_EQ(0, bao_bind(bao_device()));
	munmap(p, self->page);

	close(self->fd);
	self->fd = bao_open(variant->device, O_RDWR);
	ASSERT_LE(0, self->fd);
	p = map_shared(self->fd, self->page, 0);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(BAO_GARBAGE, p[3]);
	munmap(p, self->page);
}

#define DISK		"/dev/ram0"
#define DISK_BLOCK	4096

/* A disk, without the cache between it and the caller's memory */
static ssize_t direct(int flags, off_t at, void *buf, size_t size)
{
	int fd = open(DISK, flags | O_DIRECT | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = flags == O_RDONLY ? pread(fd, buf, size, at) :
				pwrite(fd, buf, size, at);
	if (n < 0)
		n = -errno;
	close(fd);
	return n;
}

/* Pages are what it takes. The data itself must be right in both directions. */
TEST_F(map, direct_io)
{
	const size_t size = 3 * DISK_BLOCK;
	char *p = map_shared(self->fd, self->info.shmem_size, 0);
	u64 *own = aligned_alloc(DISK_BLOCK, size);
	const u64 gpa = self->info.shmem_addr;

	ASSERT_NE(MAP_FAILED, p);
	if (access(DISK, F_OK))
		SKIP(return, "no " DISK " (CONFIG_BLK_DEV_RAM is off)");
	if (!variant->device) {
		EXPECT_EQ(-EFAULT, direct(O_WRONLY, 0, p, size));
		EXPECT_EQ(-EFAULT, direct(O_RDONLY, 0, p, size));
		return;
	}

	/* From the frontend's store to the disk */
	for (int i = 0; i < size / 8; i += 64)
		bed_poke(gpa + 8 * i, BAO_GARBAGE + i);
	ASSERT_EQ(size, direct(O_WRONLY, DISK_BLOCK, p, size));
	ASSERT_EQ(size, direct(O_RDONLY, DISK_BLOCK, own, size));
	for (int i = 0; i < size / 8; i += 64)
		EXPECT_EQ(BAO_GARBAGE + i, own[i]);

	/* And from the disk to the frontend's load */
	for (int i = 0; i < size / 8; i++)
		own[i] = 3 * i + 1;
	ASSERT_EQ(size, direct(O_WRONLY, 0, own, size));
	ASSERT_EQ(size, direct(O_RDONLY, 0, p + self->page, size));
	for (int i = 0; i < size / 8; i += 64)
		EXPECT_EQ(3 * i + 1, bed_peek(gpa + self->page + 8 * i));
	munmap(p, self->info.shmem_size);
	free(own);
}

/* Pages of files that this process has mapped */
static long pages_mapped(void)
{
	long size, resident, shared = -1;
	FILE *f = fopen("/proc/self/statm", "r");

	if (f && fscanf(f, "%ld %ld %ld", &size, &resident, &shared) != 3)
		shared = -1;
	if (f)
		fclose(f);
	return shared;
}

/* What is counted by page goes up by the mapping, and down again with it. */
TEST_F(map, counted_by_page)
{
	const size_t size = self->info.shmem_size;
	long before = pages_mapped();
	char *p;

	ASSERT_LT(0, before);
	for (int i = 0; i < 50; i++) {
		p = map_shared(self->fd, size, 0);
		ASSERT_NE(MAP_FAILED, p);
		p[0] = i;
		p[size - 1] = i;
		EXPECT_EQ(variant->device ? size / self->page : 0,
			  pages_mapped() - before);
		ASSERT_EQ(0, munmap(p, size));
		ASSERT_EQ(before, pages_mapped());
	}
}

/*
 * Whoever has pages pinned, here a pipe, keeps them when mapping and driver are
 * gone. They are the region's own still.
 */
TEST_F(map, pinned_pages_outlive_the_driver)
{
	u64 *p = map_shared(self->fd, self->page, 0);
	struct iovec iov = { p, self->page };
	u64 word;
	int fds[2];

	ASSERT_NE(MAP_FAILED, p);
	p[0] = 1;
	ASSERT_EQ(0, pipe(fds));
	if (!variant->device) {
		EXPECT_EQ(-1, vmsplice(fds[1], &iov, 1, 0));
		EXPECT_EQ(EFAULT, errno);
	} else {
		ASSERT_EQ(self->page, vmsplice(fds[1], &iov, 1, 0));
		ASSERT_EQ(0, bao_unbind());
		bed_poke(self->info.shmem_addr, BAO_GARBAGE);
		ASSERT_EQ(8, read(fds[0], &word, 8));
		EXPECT_EQ(BAO_GARBAGE, word);
		ASSERT_EQ(0, bao_bind(bao_device()));
		bed_poke(self->info.shmem_addr + 8, ~BAO_GARBAGE);
		ASSERT_EQ(8, read(fds[0], &word, 8));
		EXPECT_EQ(~BAO_GARBAGE, word);
	}
	close(fds[0]);
	close(fds[1]);
	munmap(p, self->page);
}

TEST_F(map, each_device_has_its_own)
{
	u64 *p, *q;
	int other;

	if (bao_nr_devices() < 2)
		SKIP(return, "the bed has one Remote I/O device");
	other = bao_open(!variant->device, O_RDWR);
	ASSERT_LE(0, other);
	p = map_shared(self->fd, self->page, 0);
	q = map_shared(other, self->page, 0);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_NE(MAP_FAILED, q);
	p[0] = 10;
	q[0] = 20;
	EXPECT_EQ(10, p[0]);
	EXPECT_EQ(10, bed_peek(self->info.shmem_addr));
	munmap(q, self->page);
	munmap(p, self->page);
	close(other);
}

TEST_HARNESS_MAIN
