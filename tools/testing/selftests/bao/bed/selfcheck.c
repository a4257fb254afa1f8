// SPDX-License-Identifier: GPL-2.0
/*
 * Checks the test bed itself: does it answer as Bao does?
 *
 * A bare-metal backend, since hypercalls cannot be made from user space. It
 * wants --scripted, --devices 2 and --backend-vcpus 1, prints TAP, and powers
 * off if all went well; otherwise it resets, which the bed reports as a crash.
 */
#include "bare.h"

#define POISON	0x5a5a5a5a5a5a5a5aULL

static unsigned int checks, failures;

static void check(bool ok, const char *what)
{
	put_string(ok ? "ok " : "not ok ");
	put_number(++checks);
	put_string(" - ");
	put_string(what);
	put_string("\n");
	failures += !ok;
}

/* Return: the handle of a new request */
static uint64_t request(unsigned int device, enum bed_op op, uint64_t addr,
			unsigned int width, uint64_t value, uint64_t flags)
{
	if (command(BED_CMD_REQUEST, device, op, addr, width, value, flags))
		return 0;
	return ctl_read(BED_REG_RET(0));
}

static uint64_t quiet_write(unsigned int device)
{
	return request(device, BED_OP_WRITE, 0x50, 4, 7, BED_NO_IRQ);
}

static uint64_t state(uint64_t handle)
{
	if (command(BED_CMD_QUERY, handle))
		return ~0ULL;
	return ctl_read(BED_REG_RET(0));
}

static uint64_t counter(unsigned int device, enum bed_counter which)
{
	command(BED_CMD_COUNTERS, device);
	return ctl_read(BED_REG_RET(which));
}

static void begin(void)
{
	unsigned int device;

	command(BED_CMD_RESET);
	while ((device = gic_acknowledge()) != NO_INTERRUPT)
		gic_end(device);
}

static void check_empty_ask(void)
{
	struct hvc hvc = { .x = { REMOTE_IO, 0, POISON, BED_OP_ASK, POISON,
				  POISON, POISON } };

	begin();
	check(ask(0).status == 1, "an empty ASK returns +1");
	bare_hvc(hvc.x);
	check(hvc.x[0] == 1, "an empty ASK with an address returns +1");
	check(hvc.x[1] == 0 && hvc.x[2] == POISON && hvc.x[3] == BED_OP_ASK &&
	      hvc.x[4] == POISON && hvc.x[5] == POISON && hvc.x[6] == POISON,
	      "an empty ASK leaves the registers alone");
	check(counter(0, BED_CNT_ASK_EMPTY) == 2, "empty ASKs are counted");
}

static void check_statuses(void)
{
	struct hvc hvc = { .x = { 0xC6000001 } };

	begin();
	bare_hvc(hvc.x);
	check((int64_t)hvc.x[0] == -2, "an unknown function returns -2");
	check(remote_io(0, 0, 4, 0, 0) == -3, "an unknown op returns -3");
	check(remote_io(2, 0, BED_OP_ASK, 0, 0) == -3 &&
	      remote_io(~0ULL, 0, BED_OP_ASK, 0, 0) == -3,
	      "a device id out of range returns -3");
	check(remote_io(0, 0, BED_OP_WRITE, 0, 0) == -1 &&
	      remote_io(0, 0, BED_OP_READ, 0, BED_POOL_MAX) == -1,
	      "completing an unknown id returns -1");
	check(remote_io(0, 0, BED_OP_NOTIFY, 0, 0) == 0 &&
	      counter(0, BED_CNT_NOTIFY) == 1, "NOTIFY returns 0");
	check(counter(0, BED_CNT_REFUSED) == 3, "refusals are counted");
}

static void check_life(void)
{
	struct asked asked;
	uint64_t handle;

	begin();
	handle = request(0, BED_OP_READ, 0x1008, 8, POISON, 0);
	check(state(handle) == BED_PENDING, "a request is pending at first");
	check(remote_io(0, 0, BED_OP_READ, 0, 0) == -1 &&
	      state(handle) == BED_PENDING,
	      "a request cannot be completed before it is popped");
	check(ask(1).status == 1, "the other device has no request");
	asked = ask(0);
	check(asked.status == 0 && asked.addr == 0x1008 &&
	      asked.op == BED_OP_READ && asked.value == POISON &&
	      asked.width == 8 && asked.id == 0 && asked.more == 0,
	      "ASK reports the request");
	check(state(handle) == BED_PROCESSING, "ASK moves it to processing");
	check(ask(0).status == 1, "ASK does not offer it again");
	check(remote_io(1, 0, BED_OP_READ, 1, 0) == -1 &&
	      state(handle) == BED_PROCESSING,
	      "another device cannot complete it");
	check(remote_io(0, 0x1008, BED_OP_READ, 0x1234, 0) == 0,
	      "its own device completes it");
	check(state(handle) == BED_COMPLETED &&
	      ctl_read(BED_REG_RET(1)) == BED_OP_READ &&
	      ctl_read(BED_REG_RET(2)) == 0x1234 &&
	      ctl_read(BED_REG_RET(3)) == 0 && ctl_read(BED_REG_RET(4)) == 1,
	      "the query tells how");
	check(remote_io(0, 0x1008, BED_OP_READ, 0, 0) == -1,
	      "a second completion returns -1");
	check(counter(0, BED_CNT_VIOLATION) == 0, "no violation was seen");
}

static void check_ids(void)
{
	struct asked first, second;

	begin();
	quiet_write(0);
	quiet_write(0);
	first = ask(0);
	second = ask(0);
	check(first.id == 0 && second.id == 1, "ids are small and unique");
	check(first.more == 1 && second.more == 0,
	      "the more-pending flag tells whether another waits");
	remote_io(0, 0, BED_OP_WRITE, 0, 0);
	quiet_write(1);
	check(ask(1).id == 0, "an id is reused at once");

	command(BED_CMD_NEXT_ID, 0, 0xffff0001);
	quiet_write(0);
	check(ask(0).id == 0xffff0001 &&
	      remote_io(0, 0, BED_OP_WRITE, 0, 0xffff0001) == 0,
	      "ASK can be made to report an id out of range");
}

static void check_lost(void)
{
	uint64_t handle;

	begin();
	handle = quiet_write(0);
	check(remote_io(0, 0, BED_OP_WRITE, 0, ~0ULL) == -1,
	      "completing id -1 fails");
	check(state(handle) == BED_LOST && ask(0).status == 1,
	      "and loses the request that was pending");
	check(counter(0, BED_CNT_VIOLATION) == 1, "which is a violation");
}

static void check_violations(void)
{
	begin();
	request(0, BED_OP_READ, 0, 4, 0, BED_NO_IRQ);
	check(remote_io(0, 0, BED_OP_WRITE, 0, ask(0).id) == 0 &&
	      counter(0, BED_CNT_VIOLATION) == 1,
	      "a read completed as a write goes through, as a violation");
	request(0, BED_OP_READ, 0, 1, 0, BED_NO_IRQ);
	check(remote_io(0, 0, BED_OP_READ, 0x100, ask(0).id) == 0 &&
	      counter(0, BED_CNT_VIOLATION) == 2,
	      "an uncut value goes through, as a violation");
}

static void check_fault(void)
{
	uint64_t handle;

	begin();
	handle = quiet_write(0);
	command(BED_CMD_FAULT, 0, BED_OP_ASK, -1, 2);
	check(ask(0).status == -1 && ask(0).status == -1 &&
	      state(handle) == BED_PENDING,
	      "a fault fails calls and changes nothing");
	check(ask(0).status == 0, "and is over after so many calls");
}

static void check_pool(void)
{
	begin();
	check(command(BED_CMD_POOL, BED_POOL_MAX + 1) == -22 &&
	      command(BED_CMD_POOL, 0) == -22, "the pool's size is checked");
	check(command(BED_CMD_POOL, 2) == 0 && quiet_write(0) && quiet_write(1),
	      "the pool holds as many requests as told");
	check(command(BED_CMD_REQUEST, 0, BED_OP_WRITE, 0, 4, 0, 0) == -28,
	      "and no more");
	check(command(BED_CMD_POOL, 4) == -16,
	      "it cannot change while requests are outstanding");
}

static void check_interrupts(void)
{
	begin();
	quiet_write(0);
	check(gic_acknowledge() == NO_INTERRUPT,
	      "a request can come without its interrupt");
	request(1, BED_OP_WRITE, 0, 4, 0, 0);
	request(1, BED_OP_WRITE, 0, 4, 0, 0);
	check(gic_acknowledge() == 1, "a request raises its device's interrupt");
	gic_end(1);
	check(gic_acknowledge() == NO_INTERRUPT, "interrupts coalesce");
	command(BED_CMD_IRQ, 0);
	check(gic_acknowledge() == 0, "an interrupt can come without a request");
	gic_end(0);
	check(counter(0, BED_CNT_IRQS) == 1 && counter(1, BED_CNT_IRQS) == 2,
	      "interrupts are counted");
}

static void check_line(void)
{
	begin();
	command(BED_CMD_LINE, 0);
	check(ctl_read(BED_REG_RET(0)) == 1 && ctl_read(BED_REG_RET(1)) == 0,
	      "an enabled line is seen enabled");
	ask(0);
	command(BED_CMD_LINE, 0);
	check(ctl_read(BED_REG_RET(1)) == 0,
	      "an ASK with the line enabled leaves no trace");
	gic_set_enabled(0, false);
	ask(0);
	gic_set_enabled(0, true);
	command(BED_CMD_LINE, 0);
	check(ctl_read(BED_REG_RET(0)) == 1 && ctl_read(BED_REG_RET(1)) == 1,
	      "an ASK with the line disabled is remembered");
	command(BED_CMD_LINE, 1);
	check(ctl_read(BED_REG_RET(1)) == 0, "for its own device only");
}

static void check_delay(void)
{
	uint64_t handle;

	begin();
	command(BED_CMD_REQUEST, 0, BED_OP_WRITE, 0, 4, 0, 0, 1);
	handle = ctl_read(BED_REG_RET(0));
	while (gic_acknowledge() == NO_INTERRUPT)
		wait_for_interrupt();
	gic_end(0);
	check(state(handle) == BED_PENDING,
	      "a delayed access is made and raises an interrupt");

	command(BED_CMD_REQUEST, 0, BED_OP_WRITE, 0, 4, 0, 0, 3600000);
	check(state(ctl_read(BED_REG_RET(0))) == BED_DELAYED,
	      "a delayed access is not made before its time");
}

/* Answer everything that two devices have, reads with a mistake of @wrong */
static void serve_both(uint64_t wrong)
{
	unsigned int device, idle = 0;
	struct asked asked;
	uint64_t value, mask;

	for (device = 0; idle < 2; device = !device) {
		asked = ask(device);
		idle = asked.status ? idle + 1 : 0;
		if (asked.status)
			continue;
		mask = asked.width == 8 ? ~0ULL : (1ULL << 8 * asked.width) - 1;
		value = (bed_expected(asked.addr) ^ wrong) & mask;
		remote_io(device, asked.addr, asked.op, value, asked.id);
	}
}

static void check_loads(void)
{
	begin();
	command(BED_CMD_STORM, 1, BED_OP_WRITE, 0x50, 4, 1, 3, 100);
	check(counter(1, BED_CNT_REQUESTS) == 3,
	      "a storm has as many requests outstanding as vCPUs");
	serve_both(0);
	command(BED_CMD_PROGRESS);
	check(ctl_read(BED_REG_RET(0)) == 100 && ctl_read(BED_REG_RET(1)) == 100,
	      "a storm ends after as many accesses as told");

	begin();
	command(BED_CMD_STORM, 1, BED_OP_WRITE, 0x50, 4, 1, 3, 100);
	command(BED_CMD_STOP);
	serve_both(0);
	command(BED_CMD_PROGRESS);
	check(ctl_read(BED_REG_RET(0)) == 3 && ctl_read(BED_REG_RET(1)) == 3,
	      "a storm can be stopped");

	begin();
	command(BED_CMD_GENERATE, 42, 500, 0, 2, 8);
	serve_both(0);
	command(BED_CMD_PROGRESS);
	check(ctl_read(BED_REG_RET(1)) == 500 && ctl_read(BED_REG_RET(2)) == 0,
	      "the oracle finds no fault with right answers");

	begin();
	command(BED_CMD_GENERATE, 42, 10, 0, 2, 8);
	serve_both(1);
	command(BED_CMD_PROGRESS);
	check(ctl_read(BED_REG_RET(1)) == 10 && ctl_read(BED_REG_RET(2)) > 0,
	      "the oracle sees wrong answers");

	begin();
	command(BED_CMD_GENERATE, 42, 10, 0, 2, 8);
	remote_io(0, 0, BED_OP_WRITE, 0, 5);
	command(BED_CMD_PROGRESS);
	check(ctl_read(BED_REG_RET(2)) == 1,
	      "the oracle sees a completion too many");
}

static void check_memory(void)
{
	uint64_t addr = 0x60000ff8;	/* in the first device's region */

	begin();
	check(command(BED_CMD_POKE, addr, POISON) == 0 &&
	      command(BED_CMD_PEEK, addr) == 0 &&
	      ctl_read(BED_REG_RET(0)) == POISON && read64(addr) == POISON,
	      "the frontend's shared memory is the backend's");
	check(command(BED_CMD_PEEK, 0x5ffffff8) == -22 &&
	      command(BED_CMD_PEEK, addr + 1) == -22,
	      "an address outside it is refused");
}

static void check_reset(void)
{
	uint64_t handle = quiet_write(0);

	uint64_t id;

	begin();
	check(ask(0).status == 1, "a reset forgets requests");
	check(state(handle) == ~0ULL && quiet_write(0) > handle,
	      "handles are never reused");

	id = ask(0).id;
	begin();
	quiet_write(0);
	check(ask(0).id != id, "nor is the id of a forgotten request at once");
	check(remote_io(0, 0, BED_OP_WRITE, 0, id) == -1,
	      "completing the forgotten request returns -1");
	quiet_write(0);
	check(ask(0).id == id, "and then the id is free");
}

/* The last one: what the log says of it is for scripts/leg-bed to check. */
static void check_follow(void)
{
	begin();
	check(command(BED_CMD_FOLLOW) == 0, "requests can be followed");
	request(0, BED_OP_READ, 0x1000, 8, 0, BED_NO_IRQ);
	request(0, BED_OP_WRITE, 0x1008, 4, 0, BED_NO_IRQ);
	request(1, BED_OP_READ, 0x1010, 1, 0, BED_NO_IRQ);
	remote_io(0, 0, BED_OP_READ, 0x1234, ask(0).id);
	ask(0);
}

void bare_main(const void *fdt)
{
	(void)fdt;
	put_string("TAP version 13\n");
	gic_init();
	check(ctl_read(BED_REG_MAGIC) == BED_CTL_MAGIC &&
	      ctl_read(BED_REG_NR_DEVICES) == 2 &&
	      ctl_read(BED_REG_FRONTEND) == BED_FRONTEND_SCRIPTED,
	      "the control page is there, for two devices");
	check_empty_ask();
	check_statuses();
	check_life();
	check_ids();
	check_lost();
	check_violations();
	check_fault();
	check_pool();
	check_interrupts();
	check_line();
	check_delay();
	check_loads();
	check_memory();
	check_reset();
	check_follow();
	put_string("1..");
	put_number(checks);
	put_string("\n");
	if (failures)
		reset();
	power_off();
}
