/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A stand-in for the dispatcher's driver, linked in place of ioctl()
 *
 * It behaves as linux/bao.h says for one backend: requests come from an array
 * that a test fills, completions are noted there, and a test can prepare
 * errors. The file that the VMM opens as its backend is an ordinary one, which
 * makes mmap() and O_NONBLOCK real.
 */
#ifndef FAKE_BAO_H
#define FAKE_BAO_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/bao.h>
#include <linux/virtio_mmio.h>

#include "bao-vmm.h"

#define FAKE_REQUESTS	64
#define FAKE_EVENTFDS	8
#define FAKE_GPA	0x60000000ULL
#define FAKE_SIZE	0x10000
#define FAKE_WINDOW	0x0a000000ULL

struct fake_request {
	struct bao_request req;
	int errors[2];		/* of the attempts to complete it, first to last */
	bool lost;		/* not in flight any more after an error */
	unsigned int attempts;
	unsigned int completed;
	__u64 value;
};

static struct fake_bao {
	struct fake_request requests[FAKE_REQUESTS];
	unsigned int count;	/* requests made */
	unsigned int fetched;	/* of them */
	unsigned int per_call;	/* at most so many are fetched by a call */
	unsigned int serves;	/* SERVE calls */
	__u32 busy_poll_us;	/* of the last one that fetched */
	unsigned int notifies;
	int notify_error;
	int idle_error;		/* what SERVE fails with when all is done */
	struct backend *stop;	/* is stopped while SERVE fetches */
	bool busy;		/* invent requests without end */

	__u64 features;		/* BAO_FEATURE_* that INFO reports */
	struct bao_ioeventfd ioeventfds[FAKE_EVENTFDS];
	unsigned int nr_ioeventfds;
	int ioeventfd_error;	/* what the next assignments fail with */
	unsigned int kicks;	/* requests that ioeventfds matched */
	struct bao_iovalue iovalue;
	int iovalue_error;
	unsigned int loads;	/* requests that it answered */
	unsigned int nr_irqfds;
	int irqfd;
	int irqfd_error;
} fake;

static inline struct fake_request *fake_add(__u16 op, __u32 offset, __u64 value)
{
	struct fake_request *r = &fake.requests[fake.count];

	r->req = (struct bao_request){ .id = 1000 + fake.count, .op = op,
				       .addr = FAKE_WINDOW + offset,
				       .value = value, .width = 4 };
	fake.count++;
	return r;
}

static inline struct fake_request *fake_read(__u32 offset)
{
	return fake_add(BAO_OP_READ, offset, 0);
}

static inline struct fake_request *fake_write(__u32 offset, __u32 value)
{
	return fake_add(BAO_OP_WRITE, offset, value);
}

static inline int fake_error(int err)
{
	errno = -err;
	return -1;
}

static inline int fake_complete_one(const struct bao_completion *c)
{
	struct fake_request *r = &fake.requests[c->id - 1000];
	int err = 0;

	if (c->id < 1000 || c->id >= 1000 + fake.fetched || r->lost ||
	    r->completed)
		return -ENOENT;
	if (r->attempts < 2)
		err = -r->errors[r->attempts];
	r->attempts++;
	if (err)
		return err;
	r->value = c->value;
	__atomic_fetch_add(&r->completed, 1, __ATOMIC_RELEASE);
	return 0;
}

static inline int fake_complete(struct bao_serve *s)
{
	const struct bao_completion *c = (void *)(uintptr_t)s->completions;
	int err;

	for (s->nr_completed = 0; s->nr_completed < s->nr_completions;
	     s->nr_completed++) {
		err = fake_complete_one(&c[s->nr_completed]);
		if (err)
			return err;
	}
	return 0;
}

static inline bool fake_matches(const struct bao_ioeventfd *io,
				const struct bao_request *req)
{
	return req->op == BAO_OP_WRITE && io->addr == req->addr &&
	       io->len == req->width && io->data == req->value;
}

/* Completes a request if it is a kick. */
static inline bool fake_kick(struct fake_request *r)
{
	unsigned int i;

	for (i = 0; i < fake.nr_ioeventfds; i++) {
		if (!fake_matches(&fake.ioeventfds[i], &r->req))
			continue;
		r->completed++;
		fake.kicks++;
		eventfd_write(fake.ioeventfds[i].fd, 1);
		return true;
	}
	return false;
}

/* Completes a request if its value is known. */
static inline bool fake_load(struct fake_request *r)
{
	if (!fake.iovalue.size || r->req.op != BAO_OP_READ ||
	    r->req.addr != fake.iovalue.addr ||
	    r->req.width != fake.iovalue.len)
		return false;
	r->value = fake.iovalue.value;
	r->completed++;
	fake.loads++;
	return true;
}

static inline unsigned int fake_fetch(struct bao_serve *s, unsigned int room)
{
	struct bao_request *out = (void *)(uintptr_t)s->requests;
	unsigned int n = 0;

	if (fake.per_call && room > fake.per_call)
		room = fake.per_call;
	if (fake.busy && fake.fetched == fake.count) {
		fake.fetched = 0;
		fake.count = 0;
		fake.requests[0] = (struct fake_request){ };
		fake_read(VIRTIO_MMIO_MAGIC_VALUE);
	}
	for (; n < room && fake.fetched < fake.count; fake.fetched++)
		if (!fake_kick(&fake.requests[fake.fetched]) &&
		    !fake_load(&fake.requests[fake.fetched]))
			out[n++] = fake.requests[fake.fetched].req;
	if (n && fake.stop)
		backend_stop(fake.stop);
	return n;
}

/*
 * As the kernel does it: between the look at O_NONBLOCK and falling asleep no
 * signal is lost.
 */
static inline int fake_sleep(int fd, bool did_something)
{
	sigset_t all, old;
	int err = -EAGAIN;

	if (did_something && fcntl(fd, F_GETFL) & O_NONBLOCK)
		return 0;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	if (!(fcntl(fd, F_GETFL) & O_NONBLOCK)) {
		ppoll(NULL, 0, NULL, &old);
		err = -EINTR;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return did_something ? 0 : err;
}

static inline int fake_serve(int fd, struct bao_serve *s)
{
	unsigned int room = s->nr_requests;
	int err;

	fake.serves++;
	if (s->size != sizeof(*s) || s->flags || s->reserved ||
	    s->busy_poll_us > BAO_BUSY_POLL_MAX_US)
		return fake_error(-EINVAL);
	if (room)
		fake.busy_poll_us = s->busy_poll_us;
	err = fake_complete(s);
	s->nr_fetched = 0;
	if (err)
		return fake_error(err);
	s->nr_fetched = fake_fetch(s, room);
	if (s->nr_fetched || !room)
		return 0;
	if (fake.idle_error == EINTR && s->nr_completed)
		return 0;	/* a signal does not undo what was done */
	err = -fake.idle_error;
	if (!err)
		err = fake_sleep(fd, s->nr_completed);
	return err ? fake_error(err) : 0;
}

static inline int fake_info(struct bao_info *info)
{
	if (info->size != sizeof(*info))
		return fake_error(-EINVAL);
	info->shmem_addr = FAKE_GPA;
	info->shmem_size = FAKE_SIZE;
	info->features = fake.features;
	info->max_requests = FAKE_REQUESTS;
	return 0;
}

static inline int fake_notify(const struct bao_notify *n)
{
	if (n->size != sizeof(*n) || n->flags)
		return fake_error(-EINVAL);
	if (fake.notify_error)
		return fake_error(-fake.notify_error);
	fake.notifies++;
	return 0;
}

static inline int fake_ioeventfd(const struct bao_ioeventfd *io)
{
	if (io->size != sizeof(*io) || io->flags != BAO_IOEVENTFD_DATAMATCH)
		return fake_error(-EINVAL);
	if (fake.ioeventfd_error)
		return fake_error(-fake.ioeventfd_error);
	if (fake.nr_ioeventfds == FAKE_EVENTFDS)
		return fake_error(-ENOSPC);
	fake.ioeventfds[fake.nr_ioeventfds++] = *io;
	return 0;
}

/* One address is enough. */
static inline int fake_iovalue(const struct bao_iovalue *io)
{
	if (io->size != sizeof(*io) || io->flags || io->reserved)
		return fake_error(-EINVAL);
	if (fake.iovalue_error)
		return fake_error(-fake.iovalue_error);
	if (fake.iovalue.size && fake.iovalue.addr != io->addr)
		return fake_error(-ENOSPC);
	fake.iovalue = *io;
	return 0;
}

/* Nobody reads its counter but the test. */
static inline int fake_set_irqfd(const struct bao_irqfd *irqfd)
{
	if (irqfd->size != sizeof(*irqfd) || irqfd->flags)
		return fake_error(-EINVAL);
	if (fake.irqfd_error)
		return fake_error(-fake.irqfd_error);
	fake.nr_irqfds++;
	fake.irqfd = irqfd->fd;
	return 0;
}

int __real_ioctl(int fd, unsigned long cmd, ...);
int __wrap_ioctl(int fd, unsigned long cmd, ...);

int __wrap_ioctl(int fd, unsigned long cmd, ...)
{
	va_list args;
	void *arg;

	va_start(args, cmd);
	arg = va_arg(args, void *);
	va_end(args);

	switch (cmd) {
	case BAO_IOCTL_INFO:
		return fake_info(arg);
	case BAO_IOCTL_SERVE:
		return fake_serve(fd, arg);
	case BAO_IOCTL_NOTIFY:
		return fake_notify(arg);
	case BAO_IOCTL_IOEVENTFD:
		return fake_ioeventfd(arg);
	case BAO_IOCTL_IOVALUE:
		return fake_iovalue(arg);
	case BAO_IOCTL_IRQFD:
		return fake_set_irqfd(arg);
	default:
		return __real_ioctl(fd, cmd, arg);
	}
}

/* A file to open as the backend; @path becomes its name. */
static inline bool fake_file(char path[32])
{
	int fd;

	snprintf(path, 32, "/tmp/bao-backend-XXXXXX");
	fd = mkstemp(path);
	return fd >= 0 && !ftruncate(fd, FAKE_SIZE) && !close(fd);
}

#endif /* FAKE_BAO_H */
