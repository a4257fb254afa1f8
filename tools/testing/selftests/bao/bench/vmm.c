// SPDX-License-Identifier: GPL-2.0
/*
 * The VMM of the benchmark: answers requests and does nothing else
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench.h"

/* Completes a request and fetches the next, in one call. */
static void serve(struct server *s, const struct bao_completion *c,
		  unsigned int nr_c, struct bao_request *r)
{
	struct bao_serve call = {
		.size = sizeof(call),
		.completions = (uintptr_t)c,
		.requests = (uintptr_t)r,
		.nr_completions = nr_c,
		.nr_requests = 1,
		.busy_poll_us = s->vmm->busy_poll_us,
	};
	int ret;

	ret = bao_ioctl(s->fd, BAO_IOCTL_SERVE, &call);
	if (ret || call.nr_fetched != 1)
		fail("SERVE fetched %u requests, error %s", call.nr_fetched,
		     strerror(-ret));
}

static void *server_thread(void *data)
{
	struct server *s = data;
	struct bao_completion c = {};
	struct bao_request r;
	unsigned int nr_c = 0;

	s->tid = syscall(__NR_gettid);
	do {
		serve(s, &c, nr_c, &r);
		c = (struct bao_completion) { .id = r.id, .value = r.addr };
		nr_c = 1;
	} while (r.addr != BAO_STOP_ADDR);

	if (bao_complete(s->fd, c.id, 0))
		fail("the last completion failed");
	return NULL;
}

/* All memory is locked, so 64 stacks of the usual size would be too much. */
#define STACK_SIZE	0x20000

static void start_thread(struct server *s)
{
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	if (pthread_create(&s->thread, &attr, server_thread, s))
		fail("a thread cannot be started");
	pthread_attr_destroy(&attr);
}

static void start_server(struct vmm *vmm, unsigned int device)
{
	struct server *s = &vmm->servers[device];

	s->vmm = vmm;
	s->kick = -1;
	s->tid = 0;
	s->fd = bao_open(device, O_RDWR);
	if (s->fd < 0)
		fail("backend %u cannot be opened: %s", device,
		     strerror(-s->fd));
	start_thread(s);
}

void vmm_start(struct vmm *vmm, unsigned int nr, unsigned int busy_poll_us)
{
	vmm->nr = nr;
	vmm->busy_poll_us = busy_poll_us;
	for (unsigned int i = 0; i < nr; i++)
		start_server(vmm, i);
}

static void stop_server(struct vmm *vmm, unsigned int device)
{
	struct server *s = &vmm->servers[device];

	frontend_read(device, BAO_STOP_ADDR, 4);
	pthread_join(s->thread, NULL);
	close(s->fd);
	if (s->kick >= 0)
		close(s->kick);
}

void vmm_stop(struct vmm *vmm)
{
	for (unsigned int i = 0; i < vmm->nr; i++)
		stop_server(vmm, i);
}

/* From here on a write to BENCH_ADDR is a kick. */
void vmm_add_kicks(struct vmm *vmm)
{
	for (unsigned int i = 0; i < vmm->nr; i++) {
		struct server *s = &vmm->servers[i];
		struct bao_ioeventfd arg = {
			.size = sizeof(arg),
			.addr = BENCH_ADDR,
			.len = 4,
		};
		int ret;

		s->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		arg.fd = s->kick;
		ret = bao_ioctl(s->fd, BAO_IOCTL_IOEVENTFD, &arg);
		if (ret)
			fail("an ioeventfd is refused: %s", strerror(-ret));
	}
}

/* From here on a read of BENCH_ADDR has a known value. */
void vmm_add_values(struct vmm *vmm)
{
	for (unsigned int i = 0; i < vmm->nr; i++) {
		struct bao_iovalue arg = {
			.size = sizeof(arg),
			.addr = BENCH_ADDR,
			.value = 1,
			.len = 4,
		};
		int ret = bao_ioctl(vmm->servers[i].fd, BAO_IOCTL_IOVALUE,
				    &arg);

		if (ret)
			fail("an iovalue is refused: %s", strerror(-ret));
	}
}

/* How many kicks there were since the last call */
u64 vmm_kicks(struct vmm *vmm)
{
	u64 sum = 0, count;

	for (unsigned int i = 0; i < vmm->nr; i++)
		if (read(vmm->servers[i].kick, &count, sizeof(count)) ==
		    sizeof(count))
			sum += count;
	return sum;
}

/* Waits until all threads wait for requests. */
void vmm_settle(struct vmm *vmm)
{
	for (unsigned int i = 0; i < vmm->nr; i++)
		if (!bao_wait_until(vmm->busy_poll_us ||
				    bao_blocked_in(vmm->servers[i].tid,
						   __NR_ioctl)))
			fail("the VMM does not wait for requests");
}
