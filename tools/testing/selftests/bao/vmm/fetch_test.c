// SPDX-License-Identifier: GPL-2.0
/*
 * The sample VMM reads no value of the frontend's twice
 *
 * Between two readings the frontend can change a value, so a check of the first
 * says nothing of the second. No race is needed to find such a pair: the VMM is
 * compiled with the calls that a thread sanitizer wants at every access, and
 * the functions that they reach are here.
 */
#include <kselftest_harness.h>

#include <stddef.h>

#include <linux/virtio_blk.h>

#include "fake_tsan.h"
#include "frontend.h"

#define HDR		DATA
#define BUF		(DATA + 0x1000)
#define STATUS		(DATA + 0x80)

FIXTURE(fetch)
{
	struct frontend f;
	char path[32];
	__u32 len;
};

FIXTURE_SETUP(fetch)
{
	int fd;

	snprintf(self->path, sizeof(self->path), "/tmp/bao-fetch-XXXXXX");
	fd = mkstemp(self->path);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, 0x8000));
	close(fd);
	ASSERT_TRUE(blk_create(&self->f.dev, self->path));
	ASSERT_TRUE(frontend_start(&self->f));
	ASSERT_EQ(0x74726976, get(&self->f, VIRTIO_MMIO_MAGIC_VALUE));
	ASSERT_TRUE(frontend_probe(&self->f, _BITULL(VIRTIO_BLK_F_FLUSH), 0));
}

FIXTURE_TEARDOWN(fetch)
{
	self->f.dev.ops->destroy(&self->f.dev);
	unlink(self->path);
}

#define SELF FIXTURE_DATA(fetch)

/* A request of two data buffers, and a header in two parts */
static void make_request(SELF *self, __u32 type, __u64 sector)
{
	struct virtio_blk_outhdr hdr = { .type = type, .sector = sector };
	__u16 flags = type == VIRTIO_BLK_T_OUT ? 0 : VRING_DESC_F_WRITE;
	struct frontend *f = &self->f;

	memcpy(at(f, HDR), &hdr, sizeof(hdr));
	add(f, HDR, 6, 0);
	add(f, HDR + 6, 10, 0);
	add(f, BUF, 512, flags);
	add(f, BUF + 0x400, 512, flags);
	add(f, STATUS, 1, VRING_DESC_F_WRITE);
}

/* Returns whether the device gave the request back, having read nothing twice. */
static bool watched(SELF *self)
{
	bool done;

	watch(self->f.mem.host, self->f.mem.size);
	done = submit(&self->f, 0, &self->len);
	watch_end();
	return done;
}

static bool was_read(SELF *self, __u64 offset, size_t len)
{
	while (len && reads_of(self->f.mem.host + offset) == 1) {
		offset++;
		len--;
	}
	return !len;
}

TEST_F(fetch, requests)
{
	static const __u32 types[] = { VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT,
				       VIRTIO_BLK_T_GET_ID, VIRTIO_BLK_T_FLUSH,
				       VIRTIO_BLK_T_DISCARD };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(types); i++) {
		__u16 slot = self->f.avail->idx % RING;

		make_request(self, types[i], 3);
		EXPECT_TRUE(watched(self));
		EXPECT_EQ(-1, read_twice());

		/* What must have been read was seen to be read, once. */
		EXPECT_TRUE(was_read(self, DESC, 5 * 16));
		EXPECT_TRUE(was_read(self, AVAIL, 4));
		EXPECT_TRUE(was_read(self, AVAIL + 4 + 2 * slot, 2));
		EXPECT_TRUE(was_read(self, HDR, 16));
		/* What the device writes it has no business to read. */
		EXPECT_EQ(0, reads_of(at(&self->f, USED + 2)));
		EXPECT_EQ(0, reads_of(at(&self->f, STATUS)));
	}
}

TEST_F(fetch, refused_requests)
{
	make_request(self, VIRTIO_BLK_T_IN, ~0ULL);
	EXPECT_TRUE(watched(self));
	EXPECT_EQ(-1, read_twice());

	make_request(self, VIRTIO_BLK_T_IN, 0);
	self->f.desc[3].addr = MEM_GPA + MEM_SIZE;
	EXPECT_FALSE(watched(self));
	EXPECT_EQ(-1, read_twice());
	EXPECT_TRUE(was_read(self, DESC, 4 * 16));
	EXPECT_TRUE(frontend_needs_reset(&self->f));
}

/* The watch itself: it would see a second reading. */
TEST_F(fetch, watch_works)
{
	watch(self->f.mem.host, self->f.mem.size);
	__tsan_read4(at(&self->f, 100));
	EXPECT_EQ(-1, read_twice());
	__tsan_read8(at(&self->f, 96));
	EXPECT_EQ(100, read_twice());
	watch_end();
}

TEST_HARNESS_MAIN
