// SPDX-License-Identifier: GPL-2.0
/*
 * The sample VMM's virtio-blk: what becomes of a file's contents
 */
#include <kselftest_harness.h>

#include <fcntl.h>
#include <stddef.h>

#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>

#include "fake_file.h"
#include "frontend.h"

#define SECTORS		64
#define HDR		(DATA + 0x0)
#define STATUS		(DATA + 0x20)
#define BUF		(DATA + 0x1000)
#define UNTOUCHED	0xee

FIXTURE(blk)
{
	struct frontend f;
	char path[64];
	int fd;
	__u32 len;		/* bytes written, of the last request */
};

FIXTURE_VARIANT(blk)
{
	const char *options;
	bool read_only;
};

FIXTURE_VARIANT_ADD(blk, writable) {
	.options = ",serial=12345678901234567890",
	.read_only = false,
};

FIXTURE_VARIANT_ADD(blk, read_only) {
	.options = ",serial=12345678901234567890,ro",
	.read_only = true,
};

/* Helpers take the fixture of a test. */
#define SELF FIXTURE_DATA(blk)

/* Byte n of the file, as it is at first */
static __u8 original(__u64 n)
{
	return n * 7 + n / 512;
}

FIXTURE_SETUP(blk)
{
	__u8 data[SECTORS * 512];
	char spec[128];
	unsigned int i;

	for (i = 0; i < sizeof(data); i++)
		data[i] = original(i);
	snprintf(self->path, sizeof(self->path), "/tmp/bao-blk-XXXXXX");
	self->fd = mkstemp(self->path);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(sizeof(data), write(self->fd, data, sizeof(data)));

	snprintf(spec, sizeof(spec), "%s%s", self->path, variant->options);
	ASSERT_TRUE(blk_create(&self->f.dev, spec));
	ASSERT_TRUE(frontend_start(&self->f));
	ASSERT_EQ(0x74726976, get(&self->f, VIRTIO_MMIO_MAGIC_VALUE));
	ASSERT_TRUE(frontend_probe(&self->f, _BITULL(VIRTIO_BLK_F_FLUSH), 0));
}

FIXTURE_TEARDOWN(blk)
{
	self->f.dev.ops->destroy(&self->f.dev);
	close(self->fd);
	unlink(self->path);
}

static void header(struct frontend *f, __u32 type, __u64 sector)
{
	struct virtio_blk_outhdr hdr = { .type = type, .sector = sector };

	memcpy(at(f, HDR), &hdr, sizeof(hdr));
	add(f, HDR, sizeof(hdr), 0);
}

/* Returns the status, or UNTOUCHED if the device did not give it back. */
static __u8 finish(SELF *self)
{
	__u8 *status = at(&self->f, STATUS);

	*status = UNTOUCHED;
	add(&self->f, STATUS, 1, VRING_DESC_F_WRITE);
	return submit(&self->f, 0, &self->len) ? *status : UNTOUCHED;
}

static __u8 request(SELF *self, __u32 type, __u64 sector,
		    __u32 len)
{
	header(&self->f, type, sector);
	if (len)
		add(&self->f, BUF, len,
		    type == VIRTIO_BLK_T_OUT ? 0 : VRING_DESC_F_WRITE);
	return finish(self);
}

static bool is_original(const __u8 *buf, __u64 pos, size_t len)
{
	size_t i;

	for (i = 0; i < len && buf[i] == original(pos + i); i++)
		;
	return i == len;
}

static bool file_is(SELF *self, __u64 pos, size_t len, __u8 byte)
{
	__u8 buf[SECTORS * 512];
	size_t i;

	if (pread(self->fd, buf, len, pos) != len)
		return false;
	for (i = 0; i < len && buf[i] == byte; i++)
		;
	return i == len;
}

static bool file_is_original(SELF *self, __u64 pos, size_t len)
{
	__u8 buf[SECTORS * 512];

	return pread(self->fd, buf, len, pos) == len &&
	       is_original(buf, pos, len);
}

TEST_F(blk, config)
{
	struct frontend *f = &self->f;
	__u32 features;

	EXPECT_EQ(VIRTIO_ID_BLOCK, get(f, VIRTIO_MMIO_DEVICE_ID));
	EXPECT_EQ(SECTORS, get(f, VIRTIO_MMIO_CONFIG));
	EXPECT_EQ(0, get(f, VIRTIO_MMIO_CONFIG + 4));
	EXPECT_EQ(SECTORS, virtio_mmio_read(&f->dev, WINDOW +
					    VIRTIO_MMIO_CONFIG, 8));
	EXPECT_EQ(SECTORS, virtio_mmio_read(&f->dev, WINDOW +
					    VIRTIO_MMIO_CONFIG, 1));
	EXPECT_EQ(512, get(f, VIRTIO_MMIO_CONFIG +
			   offsetof(struct virtio_blk_config, blk_size)));
	EXPECT_EQ(0, get(f, VIRTIO_MMIO_CONFIG +
			 sizeof(struct virtio_blk_config)));
	EXPECT_EQ(0, get(f, 0x1fc));

	set(f, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	features = get(f, VIRTIO_MMIO_DEVICE_FEATURES);
	EXPECT_EQ(variant->read_only, !!(features & 1 << VIRTIO_BLK_F_RO));
	EXPECT_TRUE(features & 1 << VIRTIO_BLK_F_FLUSH);

	/* Nothing can be written there. */
	set(f, VIRTIO_MMIO_CONFIG, 0);
	EXPECT_EQ(SECTORS, get(f, VIRTIO_MMIO_CONFIG));
}

TEST_F(blk, read)
{
	EXPECT_EQ(VIRTIO_BLK_S_OK, request(self, VIRTIO_BLK_T_IN, 3, 1024));
	EXPECT_EQ(1025, self->len);
	EXPECT_TRUE(is_original(at(&self->f, BUF), 3 * 512, 1024));
}

TEST_F(blk, read_all_but_no_further)
{
	EXPECT_EQ(VIRTIO_BLK_S_OK,
		  request(self, VIRTIO_BLK_T_IN, 0, SECTORS * 512));
	EXPECT_TRUE(is_original(at(&self->f, BUF), 0, SECTORS * 512));
	EXPECT_EQ(VIRTIO_BLK_S_OK,
		  request(self, VIRTIO_BLK_T_IN, SECTORS - 1, 512));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR,
		  request(self, VIRTIO_BLK_T_IN, SECTORS - 1, 1024));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR,
		  request(self, VIRTIO_BLK_T_IN, SECTORS, 512));
	/* To read nothing is allowed, but not beyond the end. */
	EXPECT_EQ(VIRTIO_BLK_S_OK, request(self, VIRTIO_BLK_T_IN, SECTORS, 0));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR,
		  request(self, VIRTIO_BLK_T_IN, SECTORS + 1, 0));
}

/* Sectors that become small, negative or in range when multiplied or added */
TEST_F(blk, sector_overflow)
{
	static const __u64 bad[] = { ~0ULL, ~0ULL / 512, ~0ULL / 512 + 1,
				     1ULL << 63, 1ULL << 55, 1ULL << 54,
				     1ULL << 32, (1ULL << 55) + 1, -1ULL << 9 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(VIRTIO_BLK_S_IOERR,
			  request(self, VIRTIO_BLK_T_IN, bad[i], 512));
		EXPECT_EQ(VIRTIO_BLK_S_IOERR,
			  request(self, VIRTIO_BLK_T_OUT, bad[i], 512));
	}
	EXPECT_TRUE(file_is_original(self, 0, SECTORS * 512));
}

TEST_F(blk, broken_lengths)
{
	static const __u32 bad[] = { 1, 511, 513, 1023 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(VIRTIO_BLK_S_IOERR,
			  request(self, VIRTIO_BLK_T_IN, 0, bad[i]));
		EXPECT_EQ(VIRTIO_BLK_S_IOERR,
			  request(self, VIRTIO_BLK_T_OUT, 0, bad[i]));
	}
	EXPECT_TRUE(file_is_original(self, 0, SECTORS * 512));
}

TEST_F(blk, write)
{
	__u8 wanted = variant->read_only ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK;

	memset(at(&self->f, BUF), 0x5a, 1024);
	EXPECT_EQ(wanted, request(self, VIRTIO_BLK_T_OUT, 5, 1024));
	EXPECT_EQ(1, self->len);
	EXPECT_EQ(variant->read_only, file_is_original(self, 5 * 512, 1024));
	EXPECT_EQ(!variant->read_only, file_is(self, 5 * 512, 1024, 0x5a));
	EXPECT_TRUE(file_is_original(self, 0, 5 * 512));
	EXPECT_TRUE(file_is_original(self, 7 * 512, (SECTORS - 7) * 512));
}

TEST_F(blk, write_past_the_end)
{
	off_t size;

	EXPECT_EQ(VIRTIO_BLK_S_IOERR,
		  request(self, VIRTIO_BLK_T_OUT, SECTORS, 512));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR,
		  request(self, VIRTIO_BLK_T_OUT, SECTORS - 1, 1024));
	size = lseek(self->fd, 0, SEEK_END);
	EXPECT_EQ(SECTORS * 512, size);
	EXPECT_TRUE(file_is_original(self, 0, SECTORS * 512));
}

/* Buffers and header cut at odd places, and the data moved in odd pieces */
TEST_F(blk, segments)
{
	struct frontend *f = &self->f;
	static const __u32 cut[] = { 1, 100, 511, 412 };
	__u32 offset, pos;
	unsigned int i;

	for (piece = 0; piece <= 300; piece += 100) {
		struct virtio_blk_outhdr hdr = { .type = VIRTIO_BLK_T_IN,
						 .sector = 9 };

		memset(at(f, BUF), 0, 0x2000);
		memcpy(at(f, HDR), &hdr, 5);
		memcpy(at(f, HDR + 0x100), (__u8 *)&hdr + 5, 11);
		add(f, HDR, 5, 0);
		add(f, HDR + 0x100, 11, 0);
		for (i = 0, offset = BUF; i < 4; i++, offset += 0x400)
			add(f, offset, cut[i], VRING_DESC_F_WRITE);
		EXPECT_EQ(VIRTIO_BLK_S_OK, finish(self));
		EXPECT_EQ(1025, self->len);

		pos = 9 * 512;
		for (i = 0, offset = BUF; i < 4; i++, offset += 0x400) {
			EXPECT_TRUE(is_original(at(f, offset), pos, cut[i]));
			EXPECT_EQ(0, *(__u8 *)at(f, offset + cut[i]));
			pos += cut[i];
		}
	}
}

TEST_F(blk, segments_of_a_write)
{
	struct frontend *f = &self->f;

	if (variant->read_only)
		return;
	for (piece = 0; piece <= 600; piece += 150) {
		memset(at(f, BUF), 0x10 + piece / 150, 1536);
		/* The first buffer holds the end of the header and data. */
		header(f, VIRTIO_BLK_T_OUT, 20);
		f->next = 0;
		memcpy(at(f, BUF - 6), at(f, HDR + 10), 6);
		add(f, HDR, 10, 0);
		add(f, BUF - 6, 6 + 700, 0);
		add(f, BUF + 700, 836, 0);
		EXPECT_EQ(VIRTIO_BLK_S_OK, finish(self));
		EXPECT_TRUE(file_is(self, 20 * 512, 1536, 0x10 + piece / 150));
	}
	EXPECT_TRUE(file_is_original(self, 0, 20 * 512));
	EXPECT_TRUE(file_is_original(self, 23 * 512, (SECTORS - 23) * 512));
}

/* The status is the last byte, though data and status share a buffer. */
TEST_F(blk, status_behind_the_data)
{
	struct frontend *f = &self->f;

	header(f, VIRTIO_BLK_T_IN, 1);
	add(f, BUF, 513, VRING_DESC_F_WRITE);
	*(__u8 *)at(f, BUF + 512) = UNTOUCHED;
	EXPECT_TRUE(submit(f, 0, &self->len));
	EXPECT_EQ(VIRTIO_BLK_S_OK, *(__u8 *)at(f, BUF + 512));
	EXPECT_TRUE(is_original(at(f, BUF), 512, 512));
}

TEST_F(blk, flush)
{
	EXPECT_EQ(VIRTIO_BLK_S_OK, request(self, VIRTIO_BLK_T_FLUSH, 0, 0));
	EXPECT_EQ(1, syncs);
	sync_fails = true;
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, request(self, VIRTIO_BLK_T_FLUSH, 0, 0));
	EXPECT_EQ(2, syncs);
}

/* Without flushes a write is durable when it is done, and only then. */
TEST_F(blk, driver_that_never_flushes)
{
	if (variant->read_only)
		return;
	EXPECT_EQ(VIRTIO_BLK_S_OK, request(self, VIRTIO_BLK_T_OUT, 0, 512));
	EXPECT_EQ(0, syncs);
	ASSERT_TRUE(frontend_probe(&self->f, 0, 0));
	EXPECT_EQ(VIRTIO_BLK_S_OK, request(self, VIRTIO_BLK_T_OUT, 0, 512));
	EXPECT_EQ(1, syncs);
	sync_fails = true;
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, request(self, VIRTIO_BLK_T_OUT, 0, 512));
}

TEST_F(blk, get_id)
{
	char *buf = at(&self->f, BUF);

	memset(buf, UNTOUCHED, 64);
	EXPECT_EQ(VIRTIO_BLK_S_OK,
		  request(self, VIRTIO_BLK_T_GET_ID, 0, VIRTIO_BLK_ID_BYTES));
	EXPECT_EQ(0, memcmp(buf, "12345678901234567890", 20));
	EXPECT_EQ(UNTOUCHED, (__u8)buf[20]);
	EXPECT_EQ(21, self->len);

	/* into less, and more, and parts */
	memset(buf, UNTOUCHED, 64);
	EXPECT_EQ(VIRTIO_BLK_S_OK, request(self, VIRTIO_BLK_T_GET_ID, 0, 7));
	EXPECT_EQ(0, memcmp(buf, "1234567\xee", 8));

	EXPECT_EQ(VIRTIO_BLK_S_OK, request(self, VIRTIO_BLK_T_GET_ID, 0, 24));
	EXPECT_EQ(0, memcmp(buf, "12345678901234567890\0\0\0\0\xee", 25));

	header(&self->f, VIRTIO_BLK_T_GET_ID, 0);
	add(&self->f, BUF, 3, VRING_DESC_F_WRITE);
	add(&self->f, BUF + 32, 17, VRING_DESC_F_WRITE);
	EXPECT_EQ(VIRTIO_BLK_S_OK, finish(self));
	EXPECT_EQ(0, memcmp(buf + 32, "45678901234567890", 17));
}

TEST_F(blk, unknown_requests)
{
	static const __u32 types[] = { VIRTIO_BLK_T_DISCARD, 2, 3, 5, 13, 14,
				       VIRTIO_BLK_T_BARRIER, ~0U };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(types); i++)
		EXPECT_EQ(VIRTIO_BLK_S_UNSUPP,
			  request(self, types[i], 0, 512));
	EXPECT_TRUE(file_is_original(self, 0, SECTORS * 512));
	EXPECT_FALSE(frontend_needs_reset(&self->f));
}

/* No status can be given: the device stops instead. */
TEST_F(blk, no_header)
{
	struct frontend *f = &self->f;

	add(f, HDR, 15, 0);
	EXPECT_EQ(UNTOUCHED, finish(self));
	EXPECT_TRUE(frontend_needs_reset(f));
}

TEST_F(blk, no_status)
{
	struct frontend *f = &self->f;

	header(f, VIRTIO_BLK_T_FLUSH, 0);
	EXPECT_FALSE(submit(f, 0, &self->len));
	EXPECT_TRUE(frontend_needs_reset(f));
	EXPECT_EQ(0, syncs);
}

TEST_F(blk, only_a_status)
{
	EXPECT_EQ(UNTOUCHED, finish(self));
	EXPECT_TRUE(frontend_needs_reset(&self->f));
}

TEST_F(blk, data_outside_the_region)
{
	struct frontend *f = &self->f;

	header(f, VIRTIO_BLK_T_IN, 0);
	add(f, MEM_SIZE - 511, 512, VRING_DESC_F_WRITE);
	EXPECT_EQ(UNTOUCHED, finish(self));
	EXPECT_TRUE(frontend_needs_reset(f));
	ASSERT_TRUE(frontend_probe(f, _BITULL(VIRTIO_BLK_F_FLUSH), 0));
	EXPECT_EQ(VIRTIO_BLK_S_OK, request(self, VIRTIO_BLK_T_IN, 0, 512));
}

/* The file shrinks under the device. */
TEST_F(blk, truncated_file)
{
	ASSERT_EQ(0, ftruncate(self->fd, 10 * 512));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, request(self, VIRTIO_BLK_T_IN, 10, 512));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, request(self, VIRTIO_BLK_T_IN, 9, 1024));
	/* With a gap before the status, no written byte is promised. */
	EXPECT_EQ(0, self->len);
	EXPECT_EQ(VIRTIO_BLK_S_OK, request(self, VIRTIO_BLK_T_IN, 9, 512));
}

TEST_F(blk, second_vmm_is_refused)
{
	struct virtio_dev other = { .name = "" };
	char spec[128];

	EXPECT_FALSE(blk_create(&other, self->path));
	snprintf(spec, sizeof(spec), "%s,ro", self->path);
	EXPECT_EQ(variant->read_only, blk_create(&other, spec));
	if (variant->read_only)
		other.ops->destroy(&other);
}

TEST(bad_specs)
{
	char path[] = "/tmp/bao-blk-XXXXXX";
	struct virtio_dev dev = { .name = "" };
	int fd = mkstemp(path);
	char spec[128];

	ASSERT_LE(0, fd);
	EXPECT_FALSE(blk_create(&dev, path));	/* empty */
	ASSERT_EQ(0, ftruncate(fd, 511));
	EXPECT_FALSE(blk_create(&dev, path));
	ASSERT_EQ(0, ftruncate(fd, 4096));
	snprintf(spec, sizeof(spec), "%s,rw", path);
	EXPECT_FALSE(blk_create(&dev, spec));
	snprintf(spec, sizeof(spec), "%s,serial=123456789012345678901", path);
	EXPECT_FALSE(blk_create(&dev, spec));
	EXPECT_FALSE(blk_create(&dev, ""));
	EXPECT_FALSE(blk_create(&dev, "/dev/null"));
	EXPECT_FALSE(blk_create(&dev, "/tmp"));
	EXPECT_FALSE(blk_create(&dev, "/nonexistent/disk"));
	ASSERT_TRUE(blk_create(&dev, path));
	dev.ops->destroy(&dev);
	close(fd);
	unlink(path);
}

TEST_HARNESS_MAIN
