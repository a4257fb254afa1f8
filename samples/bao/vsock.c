// SPDX-License-Identifier: GPL-2.0
/*
 * virtio-vsock, served by the kernel's vhost: sockets between the frontend and
 * this VM
 *
 * A device whose data never passes through the VMM. This file only introduces
 * the two sides to each other: once the driver has set up its rings, vhost is
 * told where they lie, which eventfd the dispatcher signals when the driver
 * notifies one, and which eventfd interrupts the driver. From then on there are
 * no requests.
 *
 * Nothing needs to be checked that vhost would read from the rings: it does
 * that itself, and knows of no memory but the shared region.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/ioctl.h>

#include <linux/const.h>
#include <linux/vhost.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_vsock.h>

#include "bao-vmm.h"

#define VHOST		"/dev/vhost-vsock"

/* Of the three queues the last one, for events, is never used. */
#define QUEUES		3
#define DATA_QUEUES	2

/*
 * What may be passed on from vhost to the driver. ACCESS_PLATFORM is between the
 * driver and virtio-mmio.c alone: to vhost it would mean that addresses are
 * none of the memory table's. Indirect descriptors, which vhost would take, are
 * of no use for requests of two or three buffers.
 */
#define FEATURES	(_BITULL(VIRTIO_F_VERSION_1) | \
			 _BITULL(VIRTIO_RING_F_EVENT_IDX) | \
			 _BITULL(VIRTIO_VSOCK_F_SEQPACKET))

struct vsock {
	int fd;
	__u64 features;
	struct virtio_vsock_config config;
};

static bool set_memory(const struct vsock *v, const struct region *mem)
{
	struct vhost_memory *table;
	bool ok;

	table = calloc(1, sizeof(*table) + sizeof(table->regions[0]));
	if (!table)
		return false;
	table->nregions = 1;
	table->regions[0].guest_phys_addr = mem->gpa;
	table->regions[0].memory_size = mem->size;
	table->regions[0].userspace_addr = (uintptr_t)mem->host;
	ok = !ioctl(v->fd, VHOST_SET_MEM_TABLE, table);
	free(table);
	return ok;
}

static bool set_ring(const struct vsock *v, unsigned int index,
		     const struct virtqueue *vq)
{
	struct vhost_vring_state num = { .index = index, .num = vq->num };
	struct vhost_vring_state base = { .index = index, .num = 0 };
	struct vhost_vring_addr addr = {
		.index = index,
		.desc_user_addr = (uintptr_t)vq->desc,
		.avail_user_addr = (uintptr_t)vq->avail,
		.used_user_addr = (uintptr_t)vq->used,
	};

	return !ioctl(v->fd, VHOST_SET_VRING_NUM, &num) &&
	       !ioctl(v->fd, VHOST_SET_VRING_BASE, &base) &&
	       !ioctl(v->fd, VHOST_SET_VRING_ADDR, &addr);
}

static bool set_eventfds(const struct vsock *v, unsigned int index,
			 int kick_fd, int call_fd)
{
	struct vhost_vring_file kick = { .index = index, .fd = kick_fd };
	struct vhost_vring_file call = { .index = index, .fd = call_fd };

	return !ioctl(v->fd, VHOST_SET_VRING_CALL, &call) &&
	       !ioctl(v->fd, VHOST_SET_VRING_KICK, &kick);
}

static bool set_running(const struct vsock *v, int running)
{
	return !ioctl(v->fd, VHOST_VSOCK_SET_RUNNING, &running);
}

static const char *vsock_start(struct virtio_dev *dev)
{
	struct vsock *v = dev->priv;
	__u64 features = dev->driver_features & v->features;
	unsigned int i;
	bool ok;

	for (i = 0; i < DATA_QUEUES; i++)
		if (!dev->vq[i].ready)
			return "driver starts without its queues";

	ok = !ioctl(v->fd, VHOST_SET_FEATURES, &features) &&
	     set_memory(v, dev->mem);
	for (i = 0; ok && i < DATA_QUEUES; i++)
		ok = set_ring(v, i, &dev->vq[i]) &&
		     set_eventfds(v, i, dev->kick_fd[i], dev->call_fd);
	return ok && set_running(v, 1) ? NULL : "vhost refuses the queues";
}

/* Returns when vhost is through with what it may be doing in the rings. */
static void vsock_stop(struct virtio_dev *dev)
{
	set_running(dev->priv, 0);
}

static void vsock_free(struct vsock *v)
{
	if (v->fd >= 0)
		close(v->fd);
	free(v);
}

static void vsock_destroy(struct virtio_dev *dev)
{
	vsock_free(dev->priv);
}

static const struct virtio_ops vsock_ops = {
	.id = VIRTIO_ID_VSOCK,
	.nr_queues = QUEUES,
	.start = vsock_start,
	.stop = vsock_stop,
	.destroy = vsock_destroy,
};

/* 0 to 2 name the hypervisor, this machine and the host, all ones is nobody. */
static bool parse_cid(const char *text, __u64 *cid)
{
	char *end;

	errno = 0;
	*cid = strtoull(text, &end, 10);
	if (!errno && text[0] >= '0' && text[0] <= '9' && !*end && *cid > 2 &&
	    *cid < UINT32_MAX)
		return true;
	vmm_err("--vsock needs the frontend's context id, a number from 3 to 4294967294, not '%s'",
		text);
	return false;
}

static bool open_vhost(struct vsock *v, __u64 cid)
{
	v->fd = open(VHOST, O_RDWR | O_CLOEXEC);
	if (v->fd < 0) {
		vmm_err(VHOST ": %s%s", strerror(errno), errno == ENOENT ?
			"; load the module vhost_vsock" : "");
		return false;
	}
	if (ioctl(v->fd, VHOST_SET_OWNER, NULL) ||
	    ioctl(v->fd, VHOST_GET_FEATURES, &v->features)) {
		vmm_err(VHOST ": not usable: %s", strerror(errno));
		return false;
	}
	if (ioctl(v->fd, VHOST_VSOCK_SET_GUEST_CID, &cid)) {
		vmm_err("--vsock %llu: %s%s", cid, strerror(errno),
			errno == EADDRINUSE ? "; give each frontend its own" :
			"");
		return false;
	}
	return true;
}

static void describe(struct virtio_dev *dev, struct vsock *v, __u64 cid)
{
	v->features &= FEATURES;
	v->config.guest_cid = htole64(cid);

	dev->ops = &vsock_ops;
	dev->priv = v;
	dev->config = &v->config;
	dev->config_len = sizeof(v->config);
	dev->features = v->features;
	snprintf(dev->name, sizeof(dev->name), "virtio-vsock of context id %llu",
		 cid);
}

/**
 * vsock_create() - make a socket device
 * @dev: the device to set up
 * @cid: context id of the frontend, in decimal
 *
 * Return: true, or false after saying what is wrong.
 */
bool vsock_create(struct virtio_dev *dev, const char *cid)
{
	struct vsock *v = calloc(1, sizeof(*v));
	__u64 number;

	if (!v) {
		vmm_err("out of memory");
		return false;
	}
	v->fd = -1;
	if (!parse_cid(cid, &number) || !open_vhost(v, number)) {
		vsock_free(v);
		return false;
	}
	describe(dev, v, number);
	return true;
}
