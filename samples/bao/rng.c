// SPDX-License-Identifier: GPL-2.0
/*
 * virtio-rng: random numbers of this VM's kernel for the frontend
 *
 * The smallest device there is, and so the one to read first: one queue, of
 * which each request is a set of buffers to fill.
 */
#include <errno.h>
#include <sys/random.h>

#include <linux/virtio_ids.h>

#include "bao-vmm.h"

static bool fill(__u8 *buf, size_t len)
{
	ssize_t n;

	while (len) {
		n = getrandom(buf, len, 0);
		if (n < 0 && errno != EINTR)
			return false;
		if (n > 0) {
			buf += n;
			len -= n;
		}
	}
	return true;
}

static const char *rng_serve(struct virtio_dev *dev, struct chain *c,
			     __u32 *written)
{
	const struct iovec *iov = c->iov + c->nr_out;
	unsigned int i;

	(void)dev;
	/* Short of random numbers: the driver sees how many it got. */
	for (i = 0; i < c->nr_in && fill(iov[i].iov_base, iov[i].iov_len); i++)
		*written += iov[i].iov_len;
	return NULL;
}

static const struct virtio_ops rng_ops = {
	.id = VIRTIO_ID_RNG,
	.nr_queues = 1,
	.serve = { rng_serve },
};

/**
 * rng_create() - make a source of random numbers
 * @dev: the device to set up
 *
 * Return: true.
 */
bool rng_create(struct virtio_dev *dev)
{
	dev->ops = &rng_ops;
	snprintf(dev->name, sizeof(dev->name), "virtio-rng");
	return true;
}
