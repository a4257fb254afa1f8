// SPDX-License-Identifier: GPL-2.0
/*
 * The scripted frontend: single accesses, storms, a generator and its oracle
 * (../bed_ctl.h says what the commands mean)
 *
 * Everything here runs with bao.lock held.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bed.h"

#define LOADS_MAX	128

/* What is remembered of an access that a test made by hand */
struct record {
	struct access access;
	struct request *req;		/* until it is completed */
	bool delayed, completed;
	u64 due;			/* ms, if delayed */
	enum bed_op op;
	u64 value, id, order;
};

/* vCPUs that make accesses one after the other */
struct load {
	bool generated;
	struct access access;		/* the one that a storm repeats */
	u64 random;		/* the generator's state */
	unsigned int first_device, nr_devices;
	u64 total, made, completed;
};

struct script {
	struct record *records;
	size_t nr_records, room;
	unsigned int nr_delayed;
	u64 nr_completed;
	struct load loads[LOADS_MAX];
	unsigned int nr_loads;
};

static void next_access(struct bed *bed, struct load *load);

/*
 * Handles count up from 1 for the whole run: those of before a reset stay
 * unknown rather than naming something new.
 */
static size_t first_handle = 1;

static struct record *find_record(struct script *script, u64 handle)
{
	if (handle < first_handle ||
	    handle - first_handle >= script->nr_records)
		return NULL;
	return &script->records[handle - first_handle];
}

/* Whether the pool has requests for so many more vCPUs */
bool script_has_room(struct bed *bed, unsigned int vcpus)
{
	const struct bao *bao = &bed->bao;
	unsigned int used = bao->outstanding + bed->script->nr_delayed + vcpus;

	return used <= bao->pool && used + bao->forgotten <= BED_POOL_MAX;
}

static bool valid_access(struct bed *bed, const struct access *access)
{
	unsigned int w = access->width;

	return access->device < bed->bao.nr_devices &&
	       (access->op == BED_OP_WRITE || access->op == BED_OP_READ) &&
	       (w == 1 || w == 2 || w == 4 || w == 8);
}

/* arg: device, op, addr, width, value */
static struct access parse_access(const u64 *arg)
{
	return (struct access) {
		.device = arg[0] < DEVICES_MAX ? arg[0] : DEVICES_MAX,
		.op = arg[1] <= BED_OP_READ ? arg[1] : BED_OP_ASK,
		.addr = arg[2],
		.width = arg[3] <= 8 ? arg[3] : 0,
		.value = arg[4],
	};
}

static void record_completed(struct bed *bed, const struct request *req)
{
	struct script *script = bed->script;
	struct record *record = find_record(script, (uintptr_t)req->access.ctx);

	record->completed = true;
	record->req = NULL;
	record->op = req->completed_op;
	record->value = req->completed_value;
	record->id = req->id;
	record->order = ++script->nr_completed;
}

static struct record *add_record(struct script *script)
{
	if (script->nr_records == script->room) {
		script->room = script->room ? 2 * script->room : 256;
		script->records = realloc(script->records,
					  script->room *
					  sizeof(*script->records));
		if (!script->records)
			die("no memory for the scripted frontend");
	}
	memset(&script->records[script->nr_records], 0,
	       sizeof(*script->records));
	return &script->records[script->nr_records++];
}

static int cmd_request(struct bed *bed, const u64 *arg, u64 *ret)
{
	struct script *script = bed->script;
	struct access access = parse_access(arg);
	struct record *record;

	if (!valid_access(bed, &access) || arg[5] & ~BED_NO_IRQ)
		return -EINVAL;
	if (!script_has_room(bed, 1))
		return -ENOSPC;
	record = add_record(script);
	ret[0] = first_handle + script->nr_records - 1;
	access.silent = arg[5] & BED_NO_IRQ;
	access.done = record_completed;
	access.ctx = (void *)(uintptr_t)ret[0];
	record->access = access;
	if (arg[6]) {
		record->delayed = true;
		record->due = now_ms() + arg[6];
		script->nr_delayed++;
		return 0;
	}
	return bao_access(bed, &access, &record->req);
}

static int cmd_query(struct bed *bed, const u64 *arg, u64 *ret)
{
	struct record *record = find_record(bed->script, arg[0]);

	if (!record)
		return -ENOENT;
	if (record->completed) {
		ret[0] = BED_COMPLETED;
		ret[1] = record->op;
		ret[2] = record->value;
		ret[3] = record->id;
		ret[4] = record->order;
		return 0;
	}
	ret[0] = record->delayed ? BED_DELAYED : record->req->state;
	ret[3] = record->delayed ? 0 : record->req->id;
	return 0;
}

static int cmd_fault(struct bed *bed, const u64 *arg)
{
	struct fault *fault;

	if (arg[0] >= bed->bao.nr_devices || arg[1] > BED_OP_NOTIFY)
		return -EINVAL;
	fault = &bed->bao.devices[arg[0]].faults[arg[1]];
	fault->status = arg[2];
	fault->calls = arg[3];
	return 0;
}

static int cmd_pool(struct bed *bed, u64 pool)
{
	if (!pool || pool > BED_POOL_MAX)
		return -EINVAL;
	if (bed->bao.outstanding || bed->script->nr_delayed)
		return -EBUSY;
	bed->bao.pool = pool;
	return 0;
}

/* splitmix64 */
static u64 next_random(struct load *load)
{
	u64 x = load->random += 0x9e3779b97f4a7c15ULL;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

static struct access generate(struct load *load)
{
	u64 random = next_random(load);
	struct access access = load->access;

	access.device = load->first_device +
			(random & 0xffff) % load->nr_devices;
	access.op = random >> 16 & 1 ? BED_OP_READ : BED_OP_WRITE;
	access.width = 1 << (random >> 17 & 3);
	access.addr = access.device * 0x1000 + (random >> 19 & 0x1ff) * 8;
	if (access.op == BED_OP_WRITE) {
		u64 mask = width_mask(access.width);

		access.value = (bed_expected(access.addr) & mask) |
			       (next_random(load) & ~mask);
	}
	return access;
}

static void check_value(struct bed *bed, const struct request *req)
{
	u64 mask = width_mask(req->access.width);
	u64 expected = bed_expected(req->access.addr) & mask;

	if (req->access.op == BED_OP_READ &&
	    (req->completed_value & mask) != expected)
		bao_violation(bed, req->access.device,
			      "read of %u bytes at 0x%llx: 0x%llx, expected 0x%llx",
			      req->access.width, req->access.addr,
			      req->completed_value, expected);
}

static void load_completed(struct bed *bed, const struct request *req)
{
	struct load *load = req->access.ctx;

	load->completed++;
	if (load->generated)
		check_value(bed, req);
	next_access(bed, load);
}

static void next_access(struct bed *bed, struct load *load)
{
	struct access access;

	if (load->made == load->total)
		return;
	access = load->generated ? generate(load) : load->access;
	load->made++;
	/* Its vCPU's previous request has just made room */
	if (bao_access(bed, &access, NULL))
		die("the pool of requests is exhausted under load");
}

static int start_load(struct bed *bed, struct load *load, u64 vcpus)
{
	struct script *script = bed->script;
	struct load *slot;

	if (!vcpus || !load->total)
		return -EINVAL;
	if (vcpus > load->total)
		vcpus = load->total;
	if (vcpus > BED_POOL_MAX || !script_has_room(bed, vcpus) ||
	    script->nr_loads == LOADS_MAX)
		return -ENOSPC;
	slot = &script->loads[script->nr_loads++];
	*slot = *load;
	slot->access.done = load_completed;
	slot->access.ctx = slot;
	while (vcpus--)
		next_access(bed, slot);
	return 0;
}

static int cmd_storm(struct bed *bed, const u64 *arg)
{
	struct load load = {
		.access = parse_access(arg),
		.total = arg[6],
	};

	if (!valid_access(bed, &load.access))
		return -EINVAL;
	return start_load(bed, &load, arg[5]);
}

static int cmd_generate(struct bed *bed, const u64 *arg)
{
	struct load load = {
		.generated = true,
		.random = arg[0],
		.total = arg[1],
		.first_device = arg[2],
		.nr_devices = arg[3],
	};
	unsigned int n = bed->bao.nr_devices;

	if (arg[2] >= n || !arg[3] || arg[3] > n - arg[2])
		return -EINVAL;
	say("generator: seed 0x%llx, %llu accesses by %llu vCPUs to devices %llu..%llu",
	    arg[0], arg[1], arg[4], arg[2], arg[2] + arg[3] - 1);
	return start_load(bed, &load, arg[4]);
}

static int cmd_stop(struct bed *bed)
{
	struct script *script = bed->script;
	unsigned int i;

	pace_stop(bed);
	for (i = 0; i < script->nr_loads; i++)
		script->loads[i].total = script->loads[i].made;
	return 0;
}

static int cmd_progress(struct bed *bed, u64 *ret)
{
	unsigned int i;

	for (i = 0; i < bed->script->nr_loads; i++) {
		ret[0] += bed->script->loads[i].made;
		ret[1] += bed->script->loads[i].completed;
	}
	for (i = 0; i < bed->bao.nr_devices; i++)
		ret[2] += bed->bao.devices[i].counters[BED_CNT_VIOLATION];
	return 0;
}

static int cmd_line(struct bed *bed, unsigned int device, u64 *ret)
{
	if (bed->backend.nr_vcpus > 1)
		return -EOPNOTSUPP;
	ret[0] = vm_spi_enabled(&bed->backend, DEVICE_SPI(device));
	ret[1] = bed->bao.devices[device].seen_disabled;
	return 0;
}

static int cmd_next_id(struct bed *bed, unsigned int device, u64 id)
{
	bed->bao.devices[device].has_next_id = true;
	bed->bao.devices[device].next_id = id;
	return 0;
}

/* A word of the shared memory, or NULL */
static u64 *shared_word(struct bed *bed, u64 addr)
{
	u64 size = bed->bao.nr_devices * bed->region_size;

	if (addr < SHARED_ADDR || addr - SHARED_ADDR >= size || addr % 8)
		return NULL;
	return (u64 *)((char *)bed->shared + (addr - SHARED_ADDR));
}

static int cmd_peek(struct bed *bed, u64 addr, u64 *ret)
{
	u64 *word = shared_word(bed, addr);

	if (!word)
		return -EINVAL;
	ret[0] = __atomic_load_n(word, __ATOMIC_SEQ_CST);
	return 0;
}

static int cmd_poke(struct bed *bed, u64 addr, u64 value)
{
	u64 *word = shared_word(bed, addr);

	if (!word)
		return -EINVAL;
	__atomic_store_n(word, value, __ATOMIC_SEQ_CST);
	return 0;
}

static int cmd_reset(struct bed *bed)
{
	struct script *script = bed->script;

	bao_forget(&bed->bao, BED_POOL_DEFAULT);
	pace_reset(bed);
	first_handle += script->nr_records;
	script->nr_records = 0;
	script->nr_delayed = 0;
	script->nr_completed = 0;
	script->nr_loads = 0;
	return 0;
}

static int device_command(struct bed *bed, u64 cmd, const u64 *arg,
			  u64 *ret)
{
	if (arg[0] >= bed->bao.nr_devices)
		return -EINVAL;
	switch (cmd) {
	case BED_CMD_IRQ:
		bao_raise(bed, arg[0]);
		return 0;
	case BED_CMD_COUNTERS:
		memcpy(ret, bed->bao.devices[arg[0]].counters,
		       sizeof(bed->bao.devices[arg[0]].counters));
		return 0;
	case BED_CMD_NEXT_ID:
		return cmd_next_id(bed, arg[0], arg[1]);
	case BED_CMD_LINE:
		return cmd_line(bed, arg[0], ret);
	}
	return -EINVAL;
}

/* Carry out a command. Return: 0 or a negative errno, for BED_REG_STATUS. */
int script_command(struct bed *bed, u64 cmd, const u64 *arg,
		   u64 *ret)
{
	switch (cmd) {
	case BED_CMD_RESET:
		return cmd_reset(bed);
	case BED_CMD_REQUEST:
		return cmd_request(bed, arg, ret);
	case BED_CMD_QUERY:
		return cmd_query(bed, arg, ret);
	case BED_CMD_FAULT:
		return cmd_fault(bed, arg);
	case BED_CMD_POOL:
		return cmd_pool(bed, arg[0]);
	case BED_CMD_STORM:
		return cmd_storm(bed, arg);
	case BED_CMD_GENERATE:
		return cmd_generate(bed, arg);
	case BED_CMD_PROGRESS:
		return cmd_progress(bed, ret);
	case BED_CMD_STOP:
		return cmd_stop(bed);
	case BED_CMD_PACE:
		return pace_start(bed, arg);
	case BED_CMD_TIMES:
		return pace_times(bed, ret);
	case BED_CMD_PEEK:
		return cmd_peek(bed, arg[0], ret);
	case BED_CMD_POKE:
		return cmd_poke(bed, arg[0], arg[1]);
	case BED_CMD_FOLLOW:
		bed->bao.followed = true;
		return 0;
	default:
		return device_command(bed, cmd, arg, ret);
	}
}

static bool generator_runs(const struct script *script)
{
	unsigned int i;

	for (i = 0; i < script->nr_loads; i++)
		if (script->loads[i].generated &&
		    script->loads[i].completed < script->loads[i].total)
			return true;
	return false;
}

/*
 * A refused hypercall. Under the generator's load nobody makes up ids, so a
 * refused completion was one too many.
 */
void script_refused(struct bed *bed, unsigned int device, enum bed_op op,
		    u64 id)
{
	if ((op == BED_OP_WRITE || op == BED_OP_READ) &&
	    generator_runs(bed->script))
		bao_violation(bed, device,
			      "completion of id %llu, which is not in flight",
			      id);
}

static void make_delayed(struct bed *bed, struct record *record)
{
	record->delayed = false;
	bed->script->nr_delayed--;
	if (bao_access(bed, &record->access, &record->req))
		die("the pool of requests is exhausted");
}

/* Make the delayed accesses that are due */
void script_tick(struct bed *bed)
{
	struct script *script = bed->script;
	u64 now = now_ms();
	size_t i;

	pthread_mutex_lock(&bed->bao.lock);
	for (i = 0; script->nr_delayed && i < script->nr_records; i++) {
		struct record *record = &script->records[i];

		if (record->delayed && record->due <= now)
			make_delayed(bed, record);
	}
	pthread_mutex_unlock(&bed->bao.lock);
}

void script_init(struct bed *bed)
{
	bed->script = calloc(1, sizeof(*bed->script));
	if (!bed->script)
		die("no memory for the scripted frontend");
	pace_init(bed);
}
