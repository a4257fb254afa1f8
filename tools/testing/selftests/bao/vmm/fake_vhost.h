/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A stand-in for the kernel's vhost-vsock, linked in place of open() and ioctl()
 *
 * It takes what it is told, and notes it.
 */
#ifndef FAKE_VHOST_H
#define FAKE_VHOST_H

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/ioctl.h>

#include <linux/vhost.h>
#include <linux/virtio_vsock.h>

#include "frontend.h"

#define SEQPACKET	_BITULL(VIRTIO_VSOCK_F_SEQPACKET)
#define EVENT_IDX	_BITULL(VIRTIO_RING_F_EVENT_IDX)

static struct fake_vhost {
	int open_error;
	unsigned long fails;	/* this command */
	int error;		/* with this error */
	bool owned;
	__u64 cid;
	__u64 features;		/* that were set */
	struct vhost_memory_region region;
	struct vhost_vring_state num[2];
	struct vhost_vring_addr addr[2];
	int kick[2];
	int call[2];
	bool running;
	unsigned int starts;
} vhost;

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
int __real_ioctl(int fd, unsigned long cmd, ...);
int __wrap_ioctl(int fd, unsigned long cmd, ...);

int __wrap_open64(const char *path, int flags, ...)
{
	if (strcmp(path, "/dev/vhost-vsock"))
		return __real_open64(path, flags);
	errno = vhost.open_error;
	return errno ? -1 : __real_open64("/dev/null", O_RDWR);
}

static inline int vhost_set_vring(unsigned long cmd, const void *arg)
{
	const struct vhost_vring_file *file = arg;

	/* Vhost refuses to change a ring that it is serving. */
	if (file->index > 1 || vhost.running) {
		errno = vhost.running ? EBUSY : ENOBUFS;
		return -1;
	}
	if (cmd == VHOST_SET_VRING_NUM)
		vhost.num[file->index] = *(const struct vhost_vring_state *)arg;
	else if (cmd == VHOST_SET_VRING_ADDR)
		vhost.addr[file->index] = *(const struct vhost_vring_addr *)arg;
	else if (cmd == VHOST_SET_VRING_KICK)
		vhost.kick[file->index] = file->fd;
	else if (cmd == VHOST_SET_VRING_CALL)
		vhost.call[file->index] = file->fd;
	return 0;
}

static inline int vhost_set_running(int running)
{
	vhost.starts += running;
	vhost.running = running;
	return 0;
}

int __wrap_ioctl(int fd, unsigned long cmd, ...)
{
	va_list args;
	void *arg;

	va_start(args, cmd);
	arg = va_arg(args, void *);
	va_end(args);

	if (cmd == vhost.fails) {
		errno = vhost.error;
		return -1;
	}
	switch (cmd) {
	case VHOST_SET_OWNER:
		vhost.owned = true;
		return 0;
	case VHOST_GET_FEATURES:
		*(__u64 *)arg = BASIC_FEATURES | SEQPACKET | EVENT_IDX |
				_BITULL(VIRTIO_RING_F_INDIRECT_DESC);
		return 0;
	case VHOST_SET_FEATURES:
		vhost.features = *(__u64 *)arg;
		return 0;
	case VHOST_VSOCK_SET_GUEST_CID:
		vhost.cid = *(__u64 *)arg;
		return 0;
	case VHOST_SET_MEM_TABLE:
		vhost.region = ((struct vhost_memory *)arg)->regions[0];
		return ((struct vhost_memory *)arg)->nregions - 1;
	case VHOST_VSOCK_SET_RUNNING:
		return vhost_set_running(*(int *)arg);
	default:
		return vhost_set_vring(cmd, arg);
	}
}

#endif /* FAKE_VHOST_H */
