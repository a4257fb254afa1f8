// SPDX-License-Identifier: GPL-2.0
/*
 * The sample VMM's rings against frontends that do not keep to the rules
 */
#include <kselftest_harness.h>

#include "frontend.h"

/* A queue on which no device sits. */
FIXTURE(vq)
{
	struct frontend f;
	struct virtqueue vq;
	struct chain c;
};

FIXTURE_SETUP(vq)
{
	ASSERT_TRUE(frontend_memory(&self->f.mem));
	self->f.desc = at(&self->f, DESC);
	self->f.avail = at(&self->f, AVAIL);
	self->f.used = at(&self->f, USED);
	self->vq.num = RING;
	self->vq.desc_gpa = MEM_GPA + DESC;
	self->vq.avail_gpa = MEM_GPA + AVAIL;
	self->vq.used_gpa = MEM_GPA + USED;
	ASSERT_EQ(NULL, vq_start(&self->vq, &self->f.mem));
}

FIXTURE_TEARDOWN(vq)
{
}

#define SELF FIXTURE_DATA(vq)

static const char *pop(SELF *self)
{
	offer(&self->f, 0);
	return vq_pop(&self->vq, &self->f.mem, &self->c);
}

TEST_F(vq, region_bounds)
{
	const struct region *mem = &self->f.mem;
	const __u64 end = MEM_GPA + MEM_SIZE;

	EXPECT_EQ(mem->host, region_at(mem, MEM_GPA, 1));
	EXPECT_EQ(mem->host, region_at(mem, MEM_GPA, MEM_SIZE));
	EXPECT_EQ(mem->host + MEM_SIZE - 1, region_at(mem, end - 1, 1));

	EXPECT_EQ(NULL, region_at(mem, MEM_GPA - 1, 1));
	EXPECT_EQ(NULL, region_at(mem, MEM_GPA - 1, 2));
	EXPECT_EQ(NULL, region_at(mem, MEM_GPA, MEM_SIZE + 1));
	EXPECT_EQ(NULL, region_at(mem, end - 1, 2));
	EXPECT_EQ(NULL, region_at(mem, end, 1));
	EXPECT_EQ(NULL, region_at(mem, end + 1, 0));
	EXPECT_EQ(NULL, region_at(mem, 0, 1));
	EXPECT_EQ(NULL, region_at(mem, ~0ULL, 1));
	EXPECT_EQ(NULL, region_at(mem, MEM_GPA, ~0ULL));
	EXPECT_EQ(NULL, region_at(mem, MEM_GPA + 1, ~0ULL));
	/* start + length is exactly 2^64, and a little more */
	EXPECT_EQ(NULL, region_at(mem, MEM_GPA, -MEM_GPA));
	EXPECT_EQ(NULL, region_at(mem, MEM_GPA + 16, -MEM_GPA));
}

TEST_F(vq, start_refuses_sizes)
{
	static const __u32 bad[] = { 0, 3, RING - 1, VQ_NUM_MAX + 1,
				     VQ_NUM_MAX * 2, 0x10000, 0x80000000 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		vq_stop(&self->vq);
		self->vq.num = bad[i];
		EXPECT_NE(NULL, vq_start(&self->vq, &self->f.mem))
			TH_LOG("size %u was accepted", bad[i]);
		EXPECT_FALSE(self->vq.ready);
	}
	self->vq.num = VQ_NUM_MAX;
	EXPECT_EQ(NULL, vq_start(&self->vq, &self->f.mem));
	self->vq.num = 1;
	EXPECT_EQ(NULL, vq_start(&self->vq, &self->f.mem));
}

/*
 * Each ring may end with the region and not a byte later. The sizes are those
 * of the virtio specification.
 */
TEST_F(vq, start_refuses_places)
{
	__u64 *place[] = { &self->vq.desc_gpa, &self->vq.avail_gpa,
			   &self->vq.used_gpa };
	const __u64 length[] = { 16 * RING, 6 + 2 * RING, 6 + 8 * RING };
	const __u64 align[] = { 16, 2, 4 };
	const __u64 end = MEM_GPA + MEM_SIZE;
	unsigned int i, j;

	for (i = 0; i < 3; i++) {
		__u64 last = (end - length[i]) / align[i] * align[i];
		const __u64 bad[] = { last + align[i], end, end - align[i],
				      MEM_GPA - align[i], 0, -align[i],
				      -length[i], MEM_GPA + align[i] / 2 };
		const __u64 good = *place[i];

		for (j = 0; j < ARRAY_SIZE(bad); j++) {
			vq_stop(&self->vq);
			*place[i] = bad[j];
			EXPECT_NE(NULL, vq_start(&self->vq, &self->f.mem))
				TH_LOG("ring %u at %llx", i, bad[j]);
			EXPECT_FALSE(self->vq.ready);
		}
		*place[i] = last;
		EXPECT_EQ(NULL, vq_start(&self->vq, &self->f.mem));
		*place[i] = good;
	}
}

TEST_F(vq, index_jumps)
{
	static const __u16 bad[] = { RING + 1, 0x7fff, 0x8000, 0xffff };
	unsigned int count, i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		self->f.avail->idx = bad[i];
		EXPECT_NE(NULL, vq_pending(&self->vq, &count))
			TH_LOG("an index ahead by %u was accepted", bad[i]);
		EXPECT_EQ(0, count);
	}
	self->f.avail->idx = RING;
	EXPECT_EQ(NULL, vq_pending(&self->vq, &count));
	EXPECT_EQ(RING, count);
	self->f.avail->idx = 0;
	EXPECT_EQ(NULL, vq_pending(&self->vq, &count));
	EXPECT_EQ(0, count);
}

/* Indices run freely: 65535 is followed by 0. */
TEST_F(vq, index_wraps)
{
	unsigned int count, i;

	put_desc(&self->f, 0, MEM_GPA + DATA, 8, 0, 0);
	for (i = 1; i <= 0x10000 + 3; i++) {
		ASSERT_EQ(NULL, pop(self));
		vq_push(&self->vq, self->c.head, i);
		ASSERT_EQ((__u16)i, self->f.used->idx);
		ASSERT_EQ(i, self->f.used->ring[(i - 1) % RING].len);
		ASSERT_EQ(0, self->f.used->ring[(i - 1) % RING].id);
	}
	self->f.avail->idx = 2;
	EXPECT_NE(NULL, vq_pending(&self->vq, &count));
	self->f.avail->idx = 4;
	EXPECT_EQ(NULL, vq_pending(&self->vq, &count));
	EXPECT_EQ(1, count);
}

TEST_F(vq, chain_of_all_kinds)
{
	struct chain *c = &self->c;

	add(&self->f, DATA, 16, 0);
	add(&self->f, DATA + 0x100, 3, 0);
	add(&self->f, DATA + 0x200, 1, VRING_DESC_F_WRITE);
	add(&self->f, MEM_SIZE - 7, 7, VRING_DESC_F_WRITE);
	ASSERT_EQ(NULL, pop(self));

	EXPECT_EQ(2, c->nr_out);
	EXPECT_EQ(19, c->out_len);
	EXPECT_EQ(2, c->nr_in);
	EXPECT_EQ(8, c->in_len);
	EXPECT_EQ(at(&self->f, DATA), c->iov[0].iov_base);
	EXPECT_EQ(at(&self->f, DATA + 0x100), c->iov[1].iov_base);
	EXPECT_EQ(at(&self->f, DATA + 0x200), c->iov[2].iov_base);
	EXPECT_EQ(at(&self->f, MEM_SIZE - 7), c->iov[3].iov_base);
	EXPECT_EQ(7, c->iov[3].iov_len);
}

TEST_F(vq, longest_chain)
{
	unsigned int i;

	for (i = 0; i < RING; i++)
		add(&self->f, DATA + 8 * i, 8, 0);
	ASSERT_EQ(NULL, pop(self));
	EXPECT_EQ(RING, self->c.nr_out);
	EXPECT_EQ(8 * RING, self->c.out_len);
}

TEST_F(vq, loops)
{
	/* one descriptor that names itself */
	put_desc(&self->f, 0, MEM_GPA + DATA, 8, VRING_DESC_F_NEXT, 0);
	EXPECT_NE(NULL, pop(self));

	/* two that name each other, after one that does not belong to it */
	put_desc(&self->f, 0, MEM_GPA + DATA, 8, VRING_DESC_F_NEXT, 1);
	put_desc(&self->f, 1, MEM_GPA + DATA, 8, VRING_DESC_F_NEXT, 2);
	put_desc(&self->f, 2, MEM_GPA + DATA, 8, VRING_DESC_F_NEXT, 1);
	EXPECT_NE(NULL, pop(self));
}

TEST_F(vq, descriptor_indices)
{
	static const __u16 bad[] = { RING, RING + 1, 0x8000, 0xffff };
	unsigned int i;

	/* What lies behind the table looks right. */
	put_desc(&self->f, RING, MEM_GPA + DATA, 8, 0, 0);
	put_desc(&self->f, RING + 1, MEM_GPA + DATA, 8, 0, 0);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		put_desc(&self->f, 0, MEM_GPA + DATA, 8, VRING_DESC_F_NEXT,
			 bad[i]);
		EXPECT_NE(NULL, pop(self));

		offer(&self->f, bad[i]);
		EXPECT_NE(NULL,
			  vq_pop(&self->vq, &self->f.mem, &self->c));
	}
}

TEST_F(vq, bad_buffers)
{
	const __u64 end = MEM_GPA + MEM_SIZE;
	const struct {
		__u64 gpa;
		__u32 len;
		__u16 flags;
		const char *what;
	} bad[] = {
		{ end, 1, 0, "just past the region" },
		{ end - 1, 2, 0, "last byte past the region" },
		{ MEM_GPA - 1, 2, 0, "first byte before the region" },
		{ MEM_GPA, MEM_SIZE + 1, 0, "longer than the region" },
		{ MEM_GPA, 0xffffffff, 0, "longest there is" },
		{ -1ULL, 1, 0, "last byte of all" },
		{ -16ULL, 32, 0, "wraps around" },
		{ -16ULL, 16, 0, "ends at 2^64" },
		{ MEM_GPA | 1ULL << 63, 16, 0, "highest bit set" },
		{ MEM_GPA + (1ULL << 32), 16, 0, "right modulo 2^32" },
		{ 0, 16, 0, "at zero" },
		{ MEM_GPA + DATA, 0, 0, "empty" },
		{ end, 0, 0, "empty and past the region" },
		{ MEM_GPA + DATA, 16, VRING_DESC_F_INDIRECT, "indirect" },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		put_desc(&self->f, 0, bad[i].gpa, bad[i].len, bad[i].flags, 0);
		EXPECT_NE(NULL, pop(self))
			TH_LOG("accepted: %s", bad[i].what);

		put_desc(&self->f, 0, bad[i].gpa, bad[i].len,
			 bad[i].flags | VRING_DESC_F_WRITE, 0);
		EXPECT_NE(NULL, pop(self))
			TH_LOG("accepted for writing: %s", bad[i].what);
	}
}

TEST_F(vq, order_of_buffers)
{
	add(&self->f, DATA, 8, VRING_DESC_F_WRITE);
	add(&self->f, DATA + 8, 8, 0);
	EXPECT_NE(NULL, pop(self));
}

/* The same megabytes a hundred times over would make one request endless. */
TEST_F(vq, buffers_that_overlap)
{
	add(&self->f, 0, MEM_SIZE, 0);
	add(&self->f, DATA, 1, VRING_DESC_F_WRITE);
	EXPECT_NE(NULL, pop(self));

	self->f.next = 0;
	add(&self->f, 0, MEM_SIZE - 1, 0);
	add(&self->f, DATA, 1, VRING_DESC_F_WRITE);
	EXPECT_EQ(NULL, pop(self));
}

TEST_F(vq, interrupt_suppression)
{
	EXPECT_TRUE(vq_wants_interrupt(&self->vq));
	self->f.avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	EXPECT_FALSE(vq_wants_interrupt(&self->vq));
	self->f.avail->flags = (__u16)~VRING_AVAIL_F_NO_INTERRUPT;
	EXPECT_TRUE(vq_wants_interrupt(&self->vq));
}

/* What the driver writes into the used ring is never read. */
TEST_F(vq, used_index_is_not_trusted)
{
	put_desc(&self->f, 0, MEM_GPA + DATA, 8, 0, 0);
	ASSERT_EQ(NULL, pop(self));
	self->f.used->idx = 0x4321;
	vq_push(&self->vq, 5, 77);
	EXPECT_EQ(1, self->f.used->idx);
	EXPECT_EQ(5, self->f.used->ring[0].id);
	EXPECT_EQ(77, self->f.used->ring[0].len);
}

TEST_F(vq, read_across_buffers)
{
	char buf[8] = "";

	memcpy(at(&self->f, DATA), "abc", 3);
	memcpy(at(&self->f, DATA + 64), "d", 1);
	memcpy(at(&self->f, DATA + 128), "efgh", 4);
	add(&self->f, DATA, 3, 0);
	add(&self->f, DATA + 64, 1, 0);
	add(&self->f, DATA + 128, 4, 0);
	ASSERT_EQ(NULL, pop(self));

	EXPECT_FALSE(chain_read(&self->c, buf, 9));
	EXPECT_STREQ("", buf);
	EXPECT_TRUE(chain_read(&self->c, buf, 6));
	EXPECT_STREQ("abcdef", buf);
	EXPECT_EQ(2, self->c.out_len);
	EXPECT_EQ(at(&self->f, DATA + 130), self->c.iov[2].iov_base);
	EXPECT_EQ(2, self->c.iov[2].iov_len);
	EXPECT_FALSE(chain_read(&self->c, buf, 3));
}

TEST(advance)
{
	char a[4], b[2], c[3];
	struct iovec all[] = { { a, 4 }, { b, 2 }, { c, 3 } };
	struct iovec *iov = all;
	unsigned int nr = 3;

	iov_advance(&iov, &nr, 1);
	EXPECT_EQ(3, nr);
	EXPECT_EQ((void *)(a + 1), iov->iov_base);
	EXPECT_EQ(3, iov->iov_len);

	iov_advance(&iov, &nr, 3);
	EXPECT_EQ(2, nr);
	EXPECT_EQ((void *)b, iov->iov_base);

	iov_advance(&iov, &nr, 4);
	EXPECT_EQ(1, nr);
	EXPECT_EQ((void *)(c + 2), iov->iov_base);
	EXPECT_EQ(1, iov->iov_len);

	iov_advance(&iov, &nr, 1);
	EXPECT_EQ(0, nr);
}

TEST_HARNESS_MAIN
