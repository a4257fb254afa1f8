// SPDX-License-Identifier: GPL-2.0
/*
 * Leaves a VMM behind that has requests in flight and sleeps in SERVE for more,
 * and requests of a device without a VMM
 *
 * Then the machine is powered off, and the driver must answer them all. As no
 * test can look any more, the bed says what became of them (BED_CMD_FOLLOW), and
 * scripts/leg-kernel compares.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bao_test_util.h"

#define NR	5

/* A read of each width, and a write */
static bool hold(int fd)
{
	struct bao_request requests[NR];

	for (unsigned int i = 0; i < NR - 1; i++)
		frontend_read(0, BAO_ADDR + 8 * i, 1 << i);
	frontend_write(0, BAO_ADDR + 8 * (NR - 1), 4, BAO_GARBAGE);
	return bao_fetch(fd, requests, NR) == NR;
}

/* The driver has popped it, which is as far as it gets. */
static bool leave_waiting(void)
{
	u64 handle = frontend_read(1, BAO_ADDR, 4);

	return bao_wait_until(frontend_query(handle).state == BED_PROCESSING);
}

static void sleep_in_serve(int fd)
{
	struct bao_request request;
	struct bao_serve s;

	/* Whoever waits for the end of the output shall not wait for this. */
	for (int i = 0; i < 3; i++)
		close(i);
	bao_serve(fd, &s, NULL, 0, &request, 1);
	_exit(0);
}

int main(void)
{
	const char *why = bao_begin(2);
	pid_t vmm;
	int fd;

	if (why) {
		fprintf(stderr, "# %s\n", why);
		return 1;
	}
	bed_follow();
	fd = bao_open(0, O_RDWR);
	if (fd < 0 || !hold(fd) || !leave_waiting())
		return 1;

	vmm = fork();
	if (!vmm)
		sleep_in_serve(fd);
	return vmm < 0 || !bao_wait_until(bao_blocked_in(vmm, __NR_ioctl));
}
