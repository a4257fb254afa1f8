// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of the Bao I/O dispatcher: what needs no hypervisor
 *
 * The registers in which each architecture gets an answer, the width of an
 * access, and the device-tree nodes that probe refuses.
 */
#include <kunit/device.h>
#include <kunit/test.h>
#include <linux/limits.h>
#include <linux/sizes.h>

#include "bao_private.h"
#include "hypercall.h"

struct bao_cut_case {
	unsigned int width;
	u64 value;
	u64 cut;
};

static const struct bao_cut_case bao_cut_cases[] = {
	{ 0, U64_MAX, 0 },
	{ 1, U64_MAX, 0xff },
	{ 2, U64_MAX, 0xffff },
	{ 4, U64_MAX, 0xffffffff },
	{ 8, U64_MAX, U64_MAX },
	{ 9, U64_MAX, U64_MAX },
	{ 64, U64_MAX, U64_MAX },
	{ U16_MAX, U64_MAX, U64_MAX },
	{ 1, 0x1122334455667788, 0x88 },
	{ 2, 0x1122334455667788, 0x7788 },
	{ 4, 0x1122334455667788, 0x55667788 },
	{ 8, 0x1122334455667788, 0x1122334455667788 },
	{ 1, 0xffffffffffffff00, 0 },
};

static void bao_cut_desc(const struct bao_cut_case *c, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%#llx to %u bytes", c->value,
		 c->width);
}

KUNIT_ARRAY_PARAM(bao_cut, bao_cut_cases, bao_cut_desc);

static void bao_test_cut(struct kunit *test)
{
	const struct bao_cut_case *c = test->param_value;

	KUNIT_EXPECT_EQ(test, bao_cut(c->value, c->width), c->cut);
}

/* How an architecture reads what a call left in its registers. */
struct bao_arch {
	s64 (*status)(const u64 *regs);
	unsigned int results;
};

static const struct bao_arch bao_arm64 = {
	bao_arm64_status, BAO_ARM64_RESULTS
};

static const struct bao_arch bao_arm = {
	bao_arm_status, BAO_ARM_RESULTS
};

static const struct bao_arch bao_riscv = {
	bao_riscv_status, BAO_RISCV_RESULTS
};

struct bao_status_case {
	const char *name;
	const struct bao_arch *arch;
	s64 status;
	u64 regs[BAO_HC_REGS];
};

/* Where Bao has no results the arguments of an ASK are left: device 3, op 2. */
static const struct bao_status_case bao_status_cases[] = {
	{ "arm64 success", &bao_arm64, BAO_STATUS_OK,
	  { 0, 0x0a000070, 0, 4, 4, 1, 0 } },
	{ "arm64 empty", &bao_arm64, BAO_STATUS_EMPTY, { 1, 3, 0, 2 } },
	{ "arm64 -1", &bao_arm64, BAO_STATUS_FAILED, { -1ULL, 3, 0, 2 } },
	{ "arm64 -2", &bao_arm64, BAO_STATUS_UNKNOWN, { -2ULL, 3, 0, 2 } },
	{ "arm64 -3", &bao_arm64, BAO_STATUS_INVALID, { -3ULL, 3, 0, 2 } },
	{ "arm64 upper half", &bao_arm64, 1LL << 32, { 1ULL << 32 } },

	{ "arm success", &bao_arm, BAO_STATUS_OK,
	  { 0, 0x0a000070, 0, 4, 4, 1, 0 } },
	{ "arm empty", &bao_arm, BAO_STATUS_EMPTY, { 1, 3, 0, 2 } },
	{ "arm -1", &bao_arm, BAO_STATUS_FAILED, { 0xffffffff, 3, 0, 2 } },
	{ "arm -2", &bao_arm, BAO_STATUS_UNKNOWN, { 0xfffffffe, 3, 0, 2 } },
	{ "arm -3", &bao_arm, BAO_STATUS_INVALID, { 0xfffffffd, 3, 0, 2 } },

	{ "riscv success", &bao_riscv, BAO_STATUS_OK,
	  { 0, 0, 0x0a000070, 0, 4, 4, 1, 0 } },
	{ "riscv empty", &bao_riscv, BAO_STATUS_EMPTY,
	  { 0, 1, 2, 0, 0, 0, 2, 0x08000ba0 } },
	{ "riscv -1", &bao_riscv, BAO_STATUS_FAILED, { 0, -1ULL, 2 } },
	{ "riscv -2", &bao_riscv, BAO_STATUS_UNKNOWN, { 0, -2ULL, 2 } },
	{ "riscv -3", &bao_riscv, BAO_STATUS_INVALID, { 0, -3ULL, 2 } },
	{ "riscv no such extension", &bao_riscv, BAO_STATUS_UNKNOWN,
	  { -2ULL, 0, 2 } },
	{ "riscv SBI failure", &bao_riscv, BAO_STATUS_UNKNOWN,
	  { -1ULL, 0, 2 } },
	{ "riscv SBI failure, empty", &bao_riscv, BAO_STATUS_UNKNOWN,
	  { -3ULL, 1, 2 } },
	{ "riscv SBI number of its own", &bao_riscv, BAO_STATUS_UNKNOWN,
	  { 1, 0, 2 } },
};

KUNIT_ARRAY_PARAM_DESC(bao_status, bao_status_cases, name);

static void bao_test_status(struct kunit *test)
{
	const struct bao_status_case *c = test->param_value;

	KUNIT_EXPECT_EQ(test, c->arch->status(c->regs), c->status);
}

struct bao_ask_case {
	const char *name;
	const struct bao_arch *arch;
	struct bao_ask ask;
	u64 regs[BAO_HC_REGS];
};

#define BAO_ASK(addr_, value_, hv_id_, width_, op_, more_)		\
	{ .addr = addr_, .value = value_, .hv_id = hv_id_,		\
	  .width = width_, .op = BAO_OP_##op_, .more = more_ }

static const struct bao_ask_case bao_ask_cases[] = {
	{ "arm64 1 byte", &bao_arm64,
	  BAO_ASK(0xa000070, 0xf1, 5, 1, WRITE, true),
	  { 0, 0xa000070, 0, 0xfffffffffffffff1, 1, 5, 1 } },
	{ "arm64 2 bytes", &bao_arm64,
	  BAO_ASK(0xa000071, 0xf1f2, 0, 2, WRITE, false),
	  { 0, 0xa000071, 0, 0xfffffffffffff1f2, 2, 0, 0 } },
	{ "arm64 4 bytes", &bao_arm64,
	  BAO_ASK(0xff000000000, 0xf1f2f3f4, 9, 4, WRITE, false),
	  { 0, 0xff000000000, 0, 0xfffffffff1f2f3f4, 4, 9, 0 } },
	{ "arm64 8 bytes", &bao_arm64,
	  BAO_ASK(0xa000078, 0xf1f2f3f4f5f6f7f8, 9, 8, WRITE, false),
	  { 0, 0xa000078, 0, 0xf1f2f3f4f5f6f7f8, 8, 9, 0 } },
	{ "arm64 read", &bao_arm64,
	  BAO_ASK(0xa000070, 0, 7, 8, READ, true),
	  { 0, 0xa000070, 1, U64_MAX, 8, 7, 1 } },
	{ "arm64 any flag", &bao_arm64,
	  BAO_ASK(0xa000070, 0, 7, 4, READ, true),
	  { 0, 0xa000070, 1, 0, 4, 7, 1ULL << 32 } },
	{ "arm write", &bao_arm,
	  BAO_ASK(0xa000070, 0xf3f4, 5, 2, WRITE, true),
	  { 0, 0xa000070, 0, 0xf1f2f3f4, 2, 5, 1 } },
	{ "arm read", &bao_arm,
	  BAO_ASK(0xa000070, 0, 5, 4, READ, false),
	  { 0, 0xa000070, 1, 0xf1f2f3f4, 4, 5, 0 } },
	{ "riscv write", &bao_riscv,
	  BAO_ASK(0xa000070, 0xf1f2f3f4, 5, 4, WRITE, true),
	  { 0, 0, 0xa000070, 0, 0xfffffffff1f2f3f4, 4, 5, 1 } },
	{ "riscv read", &bao_riscv,
	  BAO_ASK(0xa000070, 0, 5, 1, READ, false),
	  { 0, 0, 0xa000070, 1, U64_MAX, 1, 5, 0 } },
};

KUNIT_ARRAY_PARAM_DESC(bao_ask, bao_ask_cases, name);

static void bao_test_decode_ask(struct kunit *test)
{
	const struct bao_ask_case *c = test->param_value;
	struct bao_ask ask;

	memset(&ask, 0xff, sizeof(ask));
	bao_decode_ask(c->regs + c->arch->results, &ask);

	KUNIT_EXPECT_EQ(test, ask.addr, c->ask.addr);
	KUNIT_EXPECT_EQ(test, ask.value, c->ask.value);
	KUNIT_EXPECT_EQ(test, ask.hv_id, c->ask.hv_id);
	KUNIT_EXPECT_EQ(test, ask.width, c->ask.width);
	KUNIT_EXPECT_EQ(test, ask.op, c->ask.op);
	KUNIT_EXPECT_EQ(test, ask.more, c->ask.more);
}

static struct device *bao_test_device(struct kunit *test)
{
	struct device *dev = kunit_device_register(test, "bao-kunit");

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dev);
	return dev;
}

#define BAO_TEST_BASE		0x60000000UL

/* In bytes, from BAO_TEST_BASE. */
#define BAO_BYTES(start, size)	DEFINE_RES_MEM(BAO_TEST_BASE + (start), (size))
#define BAO_PAGES(start, nr)	BAO_BYTES((start) * PAGE_SIZE, (nr) * PAGE_SIZE)

struct bao_regions_case {
	const char *name;
	int ret;
	unsigned int nr;
	struct resource regions[3];
};

static const struct bao_regions_case bao_regions_cases[] = {
	{ "one", 0, 1, { BAO_PAGES(0, 1) } },
	{ "adjacent", 0, 3,
	  { BAO_PAGES(0, 1), BAO_PAGES(1, 4), BAO_PAGES(5, 1) } },
	{ "adjacent, falling", 0, 3,
	  { BAO_PAGES(5, 1), BAO_PAGES(1, 4), BAO_PAGES(0, 1) } },
	{ "empty", -EINVAL, 1, { BAO_BYTES(0, 0) } },
	{ "last is empty", -EINVAL, 3,
	  { BAO_PAGES(0, 1), BAO_PAGES(1, 1), BAO_PAGES(2, 0) } },
	{ "unaligned start", -EINVAL, 1, { BAO_BYTES(8, PAGE_SIZE) } },
	{ "unaligned start, aligned end", -EINVAL, 1,
	  { BAO_BYTES(8, PAGE_SIZE - 8) } },
	{ "a byte too long", -EINVAL, 1, { BAO_BYTES(0, PAGE_SIZE + 1) } },
	{ "a byte too short", -EINVAL, 1, { BAO_BYTES(0, PAGE_SIZE - 1) } },
	{ "second unaligned", -EINVAL, 2,
	  { BAO_PAGES(0, 1), BAO_BYTES(SZ_1M, 8) } },
	{ "identical", -EINVAL, 2, { BAO_PAGES(0, 4), BAO_PAGES(0, 4) } },
	{ "overlap by a page", -EINVAL, 2,
	  { BAO_PAGES(0, 4), BAO_PAGES(3, 4) } },
	{ "overlap by a page, falling", -EINVAL, 2,
	  { BAO_PAGES(3, 4), BAO_PAGES(0, 4) } },
	{ "nested", -EINVAL, 2, { BAO_PAGES(0, 4), BAO_PAGES(1, 1) } },
	{ "nested, outer last", -EINVAL, 2,
	  { BAO_PAGES(1, 1), BAO_PAGES(0, 4) } },
	{ "first and last overlap", -EINVAL, 3,
	  { BAO_PAGES(0, 4), BAO_PAGES(8, 4), BAO_PAGES(3, 1) } },
};

KUNIT_ARRAY_PARAM_DESC(bao_regions, bao_regions_cases, name);

static void bao_test_regions(struct kunit *test)
{
	const struct bao_regions_case *c = test->param_value;
	struct device *dev = bao_test_device(test);

	KUNIT_EXPECT_EQ(test, bao_check_regions(dev, c->regions, c->nr),
			c->ret);
}

static void bao_test_many_regions(struct kunit *test)
{
	struct device *dev = bao_test_device(test);
	struct resource *regions;

	regions = kunit_kcalloc(test, BAO_MAX_BACKENDS, sizeof(*regions),
				GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, regions);
	for (int i = 0; i < BAO_MAX_BACKENDS; i++)
		regions[i] = BAO_PAGES(2 * i, 2);

	KUNIT_EXPECT_EQ(test,
			bao_check_regions(dev, regions, BAO_MAX_BACKENDS), 0);

	regions[BAO_MAX_BACKENDS - 1] = BAO_PAGES(0, 1);
	KUNIT_EXPECT_EQ(test,
			bao_check_regions(dev, regions, BAO_MAX_BACKENDS),
			-EINVAL);
}

struct bao_counts_case {
	unsigned int regions;
	unsigned int irqs;
	int ret;
};

static const struct bao_counts_case bao_counts_cases[] = {
	{ 0, 0, -EINVAL },
	{ 0, 1, -EINVAL },
	{ 1, 0, -EINVAL },
	{ 1, 1, 0 },
	{ 1, 2, -EINVAL },
	{ 2, 1, -EINVAL },
	{ 64, 63, -EINVAL },
	{ 64, 64, 0 },
	{ 64, 65, -EINVAL },
	{ 65, 64, -EINVAL },
	{ 65, 65, -EINVAL },
};

static void bao_counts_desc(const struct bao_counts_case *c, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%u regions, %u interrupts",
		 c->regions, c->irqs);
}

KUNIT_ARRAY_PARAM(bao_counts, bao_counts_cases, bao_counts_desc);

static void bao_test_counts(struct kunit *test)
{
	const struct bao_counts_case *c = test->param_value;
	struct device *dev = bao_test_device(test);

	KUNIT_EXPECT_EQ(test, bao_check_counts(dev, c->regions, c->irqs),
			c->ret);
}

static struct kunit_case bao_decode_cases[] = {
	KUNIT_CASE_PARAM(bao_test_cut, bao_cut_gen_params),
	KUNIT_CASE_PARAM(bao_test_status, bao_status_gen_params),
	KUNIT_CASE_PARAM(bao_test_decode_ask, bao_ask_gen_params),
	KUNIT_CASE_PARAM(bao_test_regions, bao_regions_gen_params),
	KUNIT_CASE(bao_test_many_regions),
	KUNIT_CASE_PARAM(bao_test_counts, bao_counts_gen_params),
	{ }
};

static struct kunit_suite bao_decode_suite = {
	.name = "bao_decode",
	.test_cases = bao_decode_cases,
};

kunit_test_suite(bao_decode_suite);
