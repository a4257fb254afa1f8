/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The interface of the Bao project's own dispatcher module, as programs know it
 *
 * Written from what was published, so that the driver's idea of it is compared
 * with another one. Calls return 0 or a negative errno.
 */
#ifndef COMPAT_UTIL_H
#define COMPAT_UTIL_H

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "event_util.h"

#define CONTROL_NODE	"/dev/bao-io-dispatcher"

struct dm_info {
	u32 id;
	u64 shmem_addr;
	u64 shmem_size;
	u32 irq;
	int fd;
};

struct dm_request {
	u64 dm_id;
	u64 addr;
	u64 op;
	u64 value;
	u64 access_width;
	u64 request_id;
};

struct dm_ioeventfd {
	u32 fd;
	u32 flags;
	u64 addr;
	u32 len;
	u32 reserved;
	u64 data;
};

struct dm_irqfd {
	int fd;
	u32 flags;
};

#define DM_GET_INFO		_IOWR(0xA6, 1, struct dm_info)
#define DM_ATTACH		_IOWR(0xA6, 2, struct dm_request)
#define DM_COMPLETE		_IOW(0xA6, 3, struct dm_request)
#define DM_IOEVENTFD		_IOW(0xA6, 4, struct dm_ioeventfd)
#define DM_IRQFD		_IOW(0xA6, 5, struct dm_irqfd)

/* The operations are the hypercall's: enum bed_op. */
#define DM_IOEVENTFD_DATAMATCH	0x2
#define DM_IOEVENTFD_DEASSIGN	0x4
#define DM_IRQFD_DEASSIGN	0x1

/* Returns NULL or a reason to skip, or ends the program like bao_begin(). */
static inline const char *dm_begin(unsigned int nr_devices)
{
	const char *why = bao_begin(nr_devices);

	if (!why && access(CONTROL_NODE, F_OK))
		why = "no " CONTROL_NODE ": the kernel has no CONFIG_BAO_IO_DISPATCHER_COMPAT";
	return why;
}

static inline int dm_control(void)
{
	int fd = open(CONTROL_NODE, O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* As programs do it: they set all fields, and none but the id counts. */
static inline int dm_get_info(int control, u32 id, struct dm_info *info)
{
	*info = (struct dm_info) { .id = id };
	return bao_ioctl(control, DM_GET_INFO, info);
}

/* A file for a backend, from a control node that is open for the moment only */
static inline int dm_open(u32 id)
{
	int control = dm_control(), ret;
	struct dm_info info;

	if (control < 0)
		return control;
	ret = dm_get_info(control, id, &info);
	close(control);
	return ret ?: info.fd;
}

static inline int dm_attach(int fd, struct dm_request *r)
{
	*r = (struct dm_request) { .op = BED_OP_ASK };
	return bao_ioctl(fd, DM_ATTACH, r);
}

/* The same for a request that must come. */
static inline int dm_fetch(int fd, struct dm_request *r)
{
	return bao_poll_in(fd) ? dm_attach(fd, r) : -ETIME;
}

/* The struct goes back as it came, with the answer in it. */
static inline int dm_complete(int fd, struct dm_request *r, u64 value)
{
	if (r->op == BED_OP_READ)
		r->value = value;
	return bao_ioctl(fd, DM_COMPLETE, r);
}

static inline int dm_notify(int fd, u64 id)
{
	struct dm_request r = { .dm_id = id, .op = BED_OP_NOTIFY };

	return bao_ioctl(fd, DM_COMPLETE, &r);
}

static inline int dm_ioeventfd(int fd, int ev, u32 flags, u64 addr, u32 len,
			       u64 data)
{
	struct dm_ioeventfd args = {
		.fd = ev,
		.flags = flags,
		.addr = addr,
		.len = len,
		.data = data,
	};

	return bao_ioctl(fd, DM_IOEVENTFD, &args);
}

static inline int dm_irqfd(int fd, int ev, u32 flags)
{
	struct dm_irqfd args = { .fd = ev, .flags = flags };

	return bao_ioctl(fd, DM_IRQFD, &args);
}

static inline bool dm_answered(u64 handle, enum bed_op op, u64 value)
{
	struct bed_result r = frontend_query(handle);

	return r.state == BED_COMPLETED && r.op == op &&
	       (op == BED_OP_WRITE || r.value == value);
}

/* A request comes, is handed out, is completed, and the vCPU gets the answer. */
static inline bool dm_serves(int fd)
{
	u64 handle = frontend_read(0, BAO_ADDR, 8);
	struct dm_request r;

	return !dm_fetch(fd, &r) && r.addr == BAO_ADDR &&
	       !dm_complete(fd, &r, 0xcafe) &&
	       dm_answered(handle, BED_OP_READ, 0xcafe);
}

#endif /* COMPAT_UTIL_H */
