// SPDX-License-Identifier: GPL-2.0
/*
 * Notifications that are no requests: ioeventfds and an irqfd
 *
 * When the frontend notifies a queue, the dispatcher's driver lets its CPU go on
 * at once and signals the queue's eventfd. A thread of the device waits for
 * these and serves the queues, so that no CPU of the frontend stands still while
 * a disk works. In the other direction a signal of an eventfd raises the
 * interrupt, which leaves it to others, such as vhost, to do so.
 *
 * The devices whose queues are served here can do without, and fall back where
 * the driver has no such thing or refuses: notifications then come as requests,
 * and interrupts go through NOTIFY. They also have to take the one that came as
 * a request before the ioeventfds were assigned.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>

#include <linux/bao.h>
#define VIRTIO_MMIO_NO_LEGACY
#include <linux/virtio_mmio.h>

#include "bao-vmm.h"

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/*
 * Non-blocking: to add to a counter that is full, or to read one that another
 * thread has emptied, is not worth waiting for.
 */
static bool make_eventfd(struct backend *b, int *fd)
{
	*fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (*fd < 0)
		vmm_err("%s: cannot make an eventfd: %s", b->path,
			strerror(errno));
	return *fd >= 0;
}

static bool make_kick_fds(struct backend *b)
{
	unsigned int i;

	for (i = 0; i < b->dev.ops->nr_queues; i++)
		if (!make_eventfd(b, &b->dev.kick_fd[i]))
			return false;
	return make_eventfd(b, &b->ack_fd) && make_eventfd(b, &b->wake_fd);
}

static bool make_irqfd(struct backend *b)
{
	struct bao_irqfd irqfd = { .size = sizeof(irqfd) };

	if (!make_eventfd(b, &b->dev.call_fd))
		return false;
	irqfd.fd = b->dev.call_fd;
	if (!ioctl(b->fd, BAO_IOCTL_IRQFD, &irqfd))
		return true;
	vmm_err("%s: cannot assign an irqfd, does without: %s", b->path,
		strerror(errno));
	close_fd(&b->dev.call_fd);
	return true;
}

static bool make_all(struct backend *b)
{
	if (b->features & BAO_FEATURE_IOEVENTFD && !make_kick_fds(b))
		return false;
	if (b->features & BAO_FEATURE_IRQFD && !make_irqfd(b))
		return false;
	if (!b->dev.ops->start ||
	    (b->ack_fd >= 0 && b->dev.call_fd >= 0))
		return true;
	vmm_err("%s: %s needs ioeventfds and irqfds: use a driver that has them, and not --no-eventfd",
		b->path, b->dev.name);
	return false;
}

/**
 * eventfds_open() - make the eventfds, as far as the driver has a use for them
 * @b: the backend, with its file open and the device initialized
 *
 * Return: true, or false after saying what is wrong.
 */
bool eventfds_open(struct backend *b)
{
	b->ack_fd = -1;
	b->wake_fd = -1;
	if (make_all(b))
		return true;
	eventfds_close(b);
	return false;
}

/**
 * eventfds_close() - undo eventfds_open()
 * @b: the backend
 *
 * The driver forgets the eventfds when the backend's own file is closed.
 */
void eventfds_close(struct backend *b)
{
	unsigned int i;

	for (i = 0; i < VQ_COUNT_MAX; i++)
		close_fd(&b->dev.kick_fd[i]);
	close_fd(&b->dev.call_fd);
	close_fd(&b->ack_fd);
	close_fd(&b->wake_fd);
}

static bool add_ioeventfd(struct backend *b, __u64 addr, __u32 data, int fd)
{
	struct bao_ioeventfd io = {
		.size = sizeof(io),
		.flags = BAO_IOEVENTFD_DATAMATCH,
		.addr = addr,
		.data = data,
		.len = 4,
		.fd = fd,
	};

	if (!ioctl(b->fd, BAO_IOCTL_IOEVENTFD, &io))
		return true;
	vmm_err("%s: cannot assign an ioeventfd, does without: %s", b->path,
		strerror(errno));
	return false;
}

/* Once there is such a value, only a driver that is gone refuses a new one. */
static bool show_status(void *arg, __u32 status)
{
	struct backend *b = arg;
	struct bao_iovalue io = {
		.size = sizeof(io),
		.addr = b->status_addr,
		.value = status,
		.len = 4,
	};

	return !ioctl(b->fd, BAO_IOCTL_IOVALUE, &io);
}

/*
 * The frontend's interrupt handler begins with a load of InterruptStatus and ends
 * with a store to InterruptACK. Neither need be a request.
 */
static void add_interrupts(struct backend *b, __u64 addr)
{
	bool shows;

	b->status_addr = virtio_mmio_at(addr, VIRTIO_MMIO_INTERRUPT_STATUS);
	shows = b->features & BAO_FEATURE_IOVALUE &&
		virtio_show_interrupts(&b->dev, show_status);
	/*
	 * Whether the frontend has seen an interrupt of a queue changes nothing
	 * then, so nobody reads this eventfd.
	 */
	if (shows || b->dev.ops->start)
		add_ioeventfd(b, virtio_mmio_at(addr, VIRTIO_MMIO_INTERRUPT_ACK),
			      VIRTIO_MMIO_INT_VRING, b->ack_fd);
}

/**
 * eventfds_assign() - have the driver complete the frontend's notifications
 * @b: the backend
 * @addr: guest-physical address of an access, which shows where the window is
 *
 * To be called before the access is answered. Only the first one counts: a
 * device has one window.
 */
void eventfds_assign(struct backend *b, __u64 addr)
{
	__u64 notify = virtio_mmio_at(addr, VIRTIO_MMIO_QUEUE_NOTIFY);
	unsigned int i;

	if (b->has_window || !(b->features & BAO_FEATURE_IOEVENTFD))
		return;
	b->has_window = true;
	for (i = 0; i < b->dev.ops->nr_queues; i++)
		if (!add_ioeventfd(b, notify, i, b->dev.kick_fd[i]))
			return;
	add_interrupts(b, addr);
}

static void serve_kicked(struct backend *b, const struct pollfd *fds)
{
	eventfd_t count;
	unsigned int i;

	/*
	 * Read first: what the driver adds to the ring after this shows, or is
	 * followed by another signal.
	 */
	for (i = 0; i < VQ_COUNT_MAX; i++)
		if (fds[i].revents & POLLIN && !eventfd_read(fds[i].fd, &count))
			virtio_kick(&b->dev, i);
}

static void *serve_kicks(void *arg)
{
	struct pollfd fds[VQ_COUNT_MAX + 1] = { };
	struct pollfd *wake = &fds[VQ_COUNT_MAX];
	struct backend *b = arg;
	unsigned int i;

	/* poll() ignores negative descriptors. */
	for (i = 0; i < VQ_COUNT_MAX; i++) {
		fds[i].fd = b->dev.ops->serve[i] ? b->dev.kick_fd[i] : -1;
		fds[i].events = POLLIN;
	}
	wake->fd = b->wake_fd;
	wake->events = POLLIN;

	/* What was signalled before the wake-up is still served. */
	do {
		if (poll(fds, VQ_COUNT_MAX + 1, -1) > 0)
			serve_kicked(b, fds);
	} while (!wake->revents);
	return NULL;
}

static bool serves_queues(const struct virtio_ops *ops)
{
	unsigned int i;

	for (i = 0; i < ops->nr_queues; i++)
		if (ops->serve[i])
			return true;
	return false;
}

/**
 * eventfds_start() - start the thread that serves queues, if there is a need
 * @b: the backend
 *
 * Return: 0 or a negative errno.
 */
int eventfds_start(struct backend *b)
{
	eventfd_t count;
	int err;

	if (b->wake_fd < 0 || !serves_queues(b->dev.ops))
		return 0;
	eventfd_read(b->wake_fd, &count);
	err = pthread_create(&b->kick_thread, NULL, serve_kicks, b);
	b->has_kick_thread = !err;
	return -err;
}

/**
 * eventfds_stop() - end that thread, once it has finished what it is doing
 * @b: the backend
 */
void eventfds_stop(struct backend *b)
{
	if (!b->has_kick_thread)
		return;
	eventfd_write(b->wake_fd, 1);
	pthread_join(b->kick_thread, NULL);
	b->has_kick_thread = false;
}
