// SPDX-License-Identifier: GPL-2.0
/*
 * All that a VMM has to do with /dev/bao/backend<i>
 *
 * Open it, ask with INFO what it is, map the shared memory, and then call SERVE
 * in a loop: each call completes the requests fetched by the one before and
 * sleeps until there are new ones. NOTIFY raises the device's interrupt in the
 * frontend. linux/bao.h describes each call. That much is a VMM; eventfd.c makes
 * it a faster one.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <linux/bao.h>

#include "bao-vmm.h"

/*
 * A frontend vCPU waits for its access, so there are as many requests at a time
 * as it has vCPUs. If there are more than this, the rest come with the next
 * call.
 */
#define BATCH	16

/**
 * struct session - what one SERVE call hands to the next
 * @done: requests served and not yet completed
 * @nr_done: how many
 * @retried: the first of @done was refused once
 * @fetched: requests that the call brought
 */
struct session {
	struct bao_completion done[BATCH];
	unsigned int nr_done;
	bool retried;
	struct bao_request fetched[BATCH];
};

static int notify(struct backend *b)
{
	struct bao_notify notify = { .size = sizeof(notify) };

	return ioctl(b->fd, BAO_IOCTL_NOTIFY, &notify);
}

static void raise_interrupt(void *arg)
{
	struct backend *b = arg;

	if (!(b->dev.call_fd >= 0 ? eventfd_write(b->dev.call_fd, 1) :
				    notify(b))) {
		__atomic_fetch_add(&b->notifies, 1, __ATOMIC_RELAXED);
		return;
	}
	/* ENODEV needs no words here: the next SERVE returns it as well. */
	if (errno != ENODEV &&
	    !__atomic_fetch_or(&b->notify_failed, 1, __ATOMIC_ACQ_REL))
		vmm_err("%s: cannot interrupt the frontend: %s; its driver may hang",
			b->path, strerror(errno));
}

static const char *open_advice(int err)
{
	switch (err) {
	case ENOENT:
		return "; is the driver loaded, and a bao,io-dispatcher node in the device tree?";
	case EBUSY:
		return "; another VMM serves it: stop that one first";
	case EACCES:
	case EPERM:
		return "; run as root, or let a udev rule give you the device";
	default:
		return "";
	}
}

static bool map_shared(struct backend *b)
{
	struct bao_info info = { .size = sizeof(info) };
	void *host = MAP_FAILED;

	if (ioctl(b->fd, BAO_IOCTL_INFO, &info)) {
		vmm_err("%s: not a Bao backend: %s", b->path, strerror(errno));
		return false;
	}
	b->features = b->no_eventfd ? 0 : info.features;
	b->mem.gpa = info.shmem_addr;
	b->mem.size = info.shmem_size;
	errno = ENOMEM;
	if ((size_t)b->mem.size == b->mem.size)
		host = mmap(NULL, b->mem.size, PROT_READ | PROT_WRITE,
			    MAP_SHARED, b->fd, 0);
	if (host == MAP_FAILED) {
		vmm_err("%s: cannot map 0x%llx bytes of shared memory: %s",
			b->path, b->mem.size, strerror(errno));
		return false;
	}
	b->mem.host = host;
	return true;
}

/**
 * backend_open() - open a backend, map its memory, prepare its device
 * @b: has path and dev set up, the rest zero
 *
 * Return: true, or false after saying what is wrong.
 */
bool backend_open(struct backend *b)
{
	b->fd = open(b->path, O_RDWR | O_CLOEXEC);
	if (b->fd < 0) {
		vmm_err("%s: %s%s", b->path, strerror(errno),
			open_advice(errno));
		return false;
	}
	if (!map_shared(b)) {
		close(b->fd);
		return false;
	}
	virtio_init(&b->dev, &b->mem, raise_interrupt, b);
	if (eventfds_open(b))
		return true;
	munmap(b->mem.host, b->mem.size);
	close(b->fd);
	return false;
}

/**
 * backend_close() - undo backend_open() and free the device
 * @b: the backend
 *
 * Requests that were fetched and not completed, if any, are kept by the driver
 * for the next VMM.
 */
void backend_close(struct backend *b)
{
	/* First those that could still use the rings or signal an interrupt. */
	if (b->dev.ops->destroy)
		b->dev.ops->destroy(&b->dev);
	eventfds_close(b);
	munmap(b->mem.host, b->mem.size);
	close(b->fd);
}

/*
 * BAO_REQUEST_REDELIVERED says that an earlier VMM fetched this access and died
 * over it. Perhaps it had carried it out, perhaps not. For a device whose
 * accesses have effects outside (a FIFO, a counter) that would matter. Here
 * all that an access could have changed died with that VMM, and the device
 * starts anew: whatever is done now is done for the first time. The access
 * gets its answer like any other, and virtio-mmio.c tells the driver that the
 * device needs a reset.
 */
static void handle(struct backend *b, const struct bao_request *req,
		   struct bao_completion *done)
{
	__u64 value = 0;

	eventfds_assign(b, req->addr);
	if (req->op == BAO_OP_READ)
		value = virtio_mmio_read(&b->dev, req->addr, req->width);
	else
		virtio_mmio_write(&b->dev, req->addr, req->width, req->value);

	done->id = req->id;
	done->value = value;
	b->requests++;
	if (b->verbose)
		vmm_err("%s: %s %u bytes at 0x%llx: 0x%llx%s",
			b->path, req->op == BAO_OP_READ ? "read" : "write",
			req->width, req->addr,
			req->op == BAO_OP_READ ? value : req->value,
			req->flags & BAO_REQUEST_REDELIVERED ?
			", redelivered" : "");
}

/* Forget the first completions of the session: they are carried out. */
static void drop(struct session *s, unsigned int count)
{
	s->nr_done -= count;
	memmove(s->done, s->done + count, s->nr_done * sizeof(s->done[0]));
}

/*
 * A refused completion must not end the service of a whole device. It is tried
 * once more, in case the hypervisor had a passing trouble, and then given up:
 * if the request is still alive it goes to the next VMM.
 */
static void refused(struct backend *b, struct session *s, int err)
{
	if (!s->nr_done)
		return;
	if (err == EIO && !s->retried) {
		s->retried = true;
		return;
	}
	vmm_err("%s: a request could not be completed: %s; the frontend's CPU may hang until the VMM is started again",
		b->path, strerror(err));
	s->retried = false;
	drop(s, 1);
}

/* Complete what is done and fetch what is new, in one system call. */
static int serve(struct backend *b, struct session *s, bool fetch)
{
	struct bao_serve call = {
		.size = sizeof(call),
		.completions = (uintptr_t)s->done,
		.requests = (uintptr_t)s->fetched,
		.nr_completions = s->nr_done,
		.nr_requests = fetch ? BATCH : 0,
		.busy_poll_us = fetch ? b->busy_poll_us : 0,
	};
	int err = ioctl(b->fd, BAO_IOCTL_SERVE, &call) ? errno : 0;

	switch (err) {
	case 0:
		s->nr_done = 0;
		s->retried = false;
		return call.nr_fetched;
	case EINTR:	/* a signal: perhaps backend_stop() */
	case EAGAIN:	/* O_NONBLOCK, so certainly backend_stop() */
		return 0;
	case EIO:
	case ENOENT:
		if (call.nr_completed)
			s->retried = false;
		drop(s, call.nr_completed);
		refused(b, s, err);
		return 0;
	default:
		return -err;
	}
}

static int serve_requests(struct backend *b)
{
	struct session s = { .nr_done = 0 };
	int i, count;
	bool stop;

	for (;;) {
		stop = __atomic_load_n(&b->stop, __ATOMIC_ACQUIRE) ||
		       (b->once && b->dev.released);
		if (stop && !s.nr_done)
			return 0;
		count = serve(b, &s, !stop);
		if (count < 0)
			return count;
		for (i = 0; i < count; i++)
			handle(b, &s.fetched[i], &s.done[s.nr_done++]);
	}
}

/**
 * backend_serve() - serve until told to stop
 * @b: an open backend
 *
 * No request stays half done: what was fetched is completed before the
 * function returns, unless the driver refuses.
 *
 * Return: 0 once backend_stop() was called, or the driver has let go of the
 * device and that is to be the end, or a negative errno, which is
 * -ENODEV if the backend is gone.
 */
int backend_serve(struct backend *b)
{
	int ret = eventfds_start(b);

	if (ret)
		return ret;
	virtio_take_over(&b->dev);
	ret = serve_requests(b);
	eventfds_stop(b);
	return ret;
}

/**
 * backend_stop() - end backend_serve() in another thread
 * @b: the backend
 *
 * The caller then sends that thread a signal with a handler that does nothing.
 * If the signal finds it asleep in SERVE, that fails with EINTR. If it comes
 * before, after the thread has looked at @stop for the last time, nothing
 * would wake it any more, but then O_NONBLOCK keeps it from falling asleep.
 */
void backend_stop(struct backend *b)
{
	__atomic_store_n(&b->stop, true, __ATOMIC_RELEASE);
	fcntl(b->fd, F_SETFL, fcntl(b->fd, F_GETFL) | O_NONBLOCK);
}
