// SPDX-License-Identifier: GPL-2.0
/*
 * virtio-console: what the frontend writes to its console appears on standard
 * output or in a file
 *
 * There is no input: the buffers that the driver offers for it stay unused.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>

#include "bao-vmm.h"

struct console {
	int fd;
	bool broken;
	struct virtio_console_config config;
};

static bool write_all(int fd, const __u8 *buf, size_t len)
{
	ssize_t n;

	while (len) {
		n = write(fd, buf, len);
		if (n < 0 && errno != EINTR)
			return false;
		if (n > 0) {
			buf += n;
			len -= n;
		}
	}
	return true;
}

/*
 * Output that cannot be written is dropped, as if nobody looked at the screen:
 * the frontend has no part in a full disk or a closed pipe over here.
 */
static const char *console_output(struct virtio_dev *dev, struct chain *c,
				  __u32 *written)
{
	struct console *con = dev->priv;
	unsigned int i;

	(void)written;
	for (i = 0; i < c->nr_out; i++) {
		if (write_all(con->fd, c->iov[i].iov_base, c->iov[i].iov_len))
			continue;
		if (!con->broken)
			vmm_err("%s: output is lost: %s", dev->name,
				strerror(errno));
		con->broken = true;
	}
	return NULL;
}

static void console_destroy(struct virtio_dev *dev)
{
	struct console *con = dev->priv;

	if (con->fd != STDOUT_FILENO)
		close(con->fd);
	free(con);
}

static const struct virtio_ops console_ops = {
	.id = VIRTIO_ID_CONSOLE,
	.nr_queues = 2,
	.serve = { NULL, console_output },
	.destroy = console_destroy,
};

static int open_output(const char *path)
{
	int fd = STDOUT_FILENO;

	if (path) {
		fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
			  0644);
		if (fd < 0)
			vmm_err("%s: %s", path, strerror(errno));
	}
	return fd;
}

/**
 * console_create() - make a console
 * @dev: the device to set up
 * @path: file to append its output to, or NULL for standard output
 *
 * Return: true, or false after saying what is wrong.
 */
bool console_create(struct virtio_dev *dev, const char *path)
{
	struct console *con = calloc(1, sizeof(*con));

	if (!con) {
		vmm_err("out of memory");
		return false;
	}
	con->fd = open_output(path);
	if (con->fd < 0) {
		free(con);
		return false;
	}
	dev->ops = &console_ops;
	dev->priv = con;
	dev->config = &con->config;
	dev->config_len = sizeof(con->config);
	snprintf(dev->name, sizeof(dev->name), "virtio-console to %s",
		 path ? path : "standard output");
	return true;
}
