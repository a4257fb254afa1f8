// SPDX-License-Identifier: GPL-2.0
/*
 * virtio-blk on a file or a block device
 *
 * Data moves between the file and the driver's buffers in the shared region
 * without a copy in between. That needs no check beyond those of virtqueue.c:
 * what the driver does to a buffer meanwhile can only spoil its own data.
 */
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <linux/const.h>
#include <linux/fs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_blk.h>

#include "bao-vmm.h"

#define SECTOR		512

/*
 * Buffers of one request. Two full requests, with header and status each, fit
 * in a ring, and the driver's bounce pool is shared by several.
 */
#define SEGMENTS	(VQ_NUM_MAX / 2 - 2)

struct blk {
	int fd;
	bool read_only;
	__u64 sectors;
	char serial[VIRTIO_BLK_ID_BYTES];
	struct virtio_blk_config config;
};

static_assert(sizeof(off_t) == 8, "files beyond 2 GiB need 64-bit offsets");

static ssize_t move(int fd, bool write, const struct iovec *iov,
		    unsigned int nr, off_t pos)
{
	ssize_t ret;

	do {
		ret = write ? pwritev(fd, iov, nr, pos) :
			      preadv(fd, iov, nr, pos);
	} while (ret < 0 && errno == EINTR);
	return ret;
}

static bool move_all(int fd, bool write, struct iovec *iov, unsigned int nr,
		     __u64 len, off_t pos)
{
	ssize_t n;

	while (len) {
		n = move(fd, write, iov, nr, pos);
		/* Nothing read: someone has cut the file short. */
		if (n <= 0)
			return false;
		iov_advance(&iov, &nr, n);
		len -= n;
		pos += n;
	}
	return true;
}

static bool in_range(const struct blk *blk, __u64 sector, __u64 len)
{
	return !(len % SECTOR) && sector <= blk->sectors &&
	       len / SECTOR <= blk->sectors - sector;
}

static __u8 blk_read(struct blk *blk, struct chain *c, __u64 sector)
{
	if (!in_range(blk, sector, c->in_len) ||
	    !move_all(blk->fd, false, c->iov + c->nr_out, c->nr_in, c->in_len,
		      sector * SECTOR))
		return VIRTIO_BLK_S_IOERR;
	return VIRTIO_BLK_S_OK;
}

static __u8 blk_flush(const struct blk *blk)
{
	return fdatasync(blk->fd) ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK;
}

static __u8 blk_write(struct blk *blk, struct chain *c, __u64 sector,
		      bool driver_flushes)
{
	if (blk->read_only || !in_range(blk, sector, c->out_len) ||
	    !move_all(blk->fd, true, c->iov, c->nr_out, c->out_len,
		      sector * SECTOR))
		return VIRTIO_BLK_S_IOERR;
	/* A driver that will not flush takes a finished write for durable. */
	return driver_flushes ? VIRTIO_BLK_S_OK : blk_flush(blk);
}

static __u8 blk_get_id(const struct blk *blk, struct chain *c)
{
	const struct iovec *iov = c->iov + c->nr_out;
	size_t done = 0, n;
	unsigned int i;

	for (i = 0; i < c->nr_in; i++) {
		n = sizeof(blk->serial) - done;
		if (n > iov[i].iov_len)
			n = iov[i].iov_len;
		memcpy(iov[i].iov_base, blk->serial + done, n);
		memset((__u8 *)iov[i].iov_base + n, 0, iov[i].iov_len - n);
		done += n;
	}
	return VIRTIO_BLK_S_OK;
}

static __u8 blk_do(struct virtio_dev *dev, struct chain *c,
		   const struct virtio_blk_outhdr *hdr)
{
	__u64 sector = le64toh(hdr->sector);
	struct blk *blk = dev->priv;

	switch (le32toh(hdr->type)) {
	case VIRTIO_BLK_T_IN:
		return blk_read(blk, c, sector);
	case VIRTIO_BLK_T_OUT:
		return blk_write(blk, c, sector, dev->driver_features &
				 _BITULL(VIRTIO_BLK_F_FLUSH));
	case VIRTIO_BLK_T_FLUSH:
		return blk_flush(blk);
	case VIRTIO_BLK_T_GET_ID:
		return blk_get_id(blk, c);
	default:
		return VIRTIO_BLK_S_UNSUPP;
	}
}

/* The status goes into the last byte of all, wherever that lies. */
static __u8 *take_status(struct chain *c)
{
	struct iovec *last = &c->iov[c->nr_out + c->nr_in - 1];

	if (!c->nr_in)
		return NULL;
	c->in_len--;
	last->iov_len--;
	return (__u8 *)last->iov_base + last->iov_len;
}

static const char *blk_serve(struct virtio_dev *dev, struct chain *c,
			     __u32 *written)
{
	struct virtio_blk_outhdr hdr;
	__u8 *status, result;
	__u64 in_len;

	if (!chain_read(c, &hdr, sizeof(hdr)))
		return "block request without a whole header";
	status = take_status(c);
	if (!status)
		return "block request without room for a status";

	in_len = c->in_len;
	result = blk_do(dev, c, &hdr);
	*status = result;
	/* After an error there may be a gap before the status: promise less. */
	if (result == VIRTIO_BLK_S_OK || !in_len)
		*written = in_len + 1;
	return NULL;
}

static void blk_destroy(struct virtio_dev *dev)
{
	struct blk *blk = dev->priv;

	close(blk->fd);
	free(blk);
}

static const struct virtio_ops blk_ops = {
	.id = VIRTIO_ID_BLOCK,
	.nr_queues = 1,
	.serve = { blk_serve },
	.destroy = blk_destroy,
};

/* FILE[,ro][,serial=NAME]; leaves FILE alone in @spec */
static bool parse(struct blk *blk, char *spec)
{
	char *option;

	strsep(&spec, ",");
	while ((option = strsep(&spec, ","))) {
		if (!strcmp(option, "ro")) {
			blk->read_only = true;
		} else if (!strncmp(option, "serial=", 7) &&
			   strlen(option + 7) <= sizeof(blk->serial)) {
			/* Zeroes fill it up, but need not end it. */
			memcpy(blk->serial, option + 7, strlen(option + 7));
		} else {
			vmm_err("--blk does not know '%s': use ro or serial=NAME, NAME of at most %zu bytes",
				option, sizeof(blk->serial));
			return false;
		}
	}
	return true;
}

static bool get_size(struct blk *blk, const char *path)
{
	struct stat st;
	__u64 size;

	if (fstat(blk->fd, &st))
		goto fail;
	size = st.st_size;
	if (S_ISBLK(st.st_mode)) {
		if (ioctl(blk->fd, BLKGETSIZE64, &size))
			goto fail;
	} else if (!S_ISREG(st.st_mode)) {
		vmm_err("%s: neither a file nor a block device", path);
		return false;
	} else if (flock(blk->fd, LOCK_NB |
			 (blk->read_only ? LOCK_SH : LOCK_EX))) {
		vmm_err("%s: in use by another VMM; serve it read-only in both, or use a copy",
			path);
		return false;
	}
	blk->sectors = size / SECTOR;
	if (blk->sectors)
		return true;
	vmm_err("%s: smaller than a sector; make it larger, for example with 'truncate -s 64M'",
		path);
	return false;
fail:
	vmm_err("%s: cannot tell its size: %s", path, strerror(errno));
	return false;
}

static bool open_disk(struct blk *blk, const char *path)
{
	blk->fd = open(path, (blk->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	if (blk->fd < 0) {
		vmm_err("%s: %s%s", path, strerror(errno),
			!blk->read_only && (errno == EACCES || errno == EROFS) ?
			"; append ',ro' to serve it read-only" : "");
		return false;
	}
	if (get_size(blk, path))
		return true;
	close(blk->fd);
	return false;
}

static void describe(struct virtio_dev *dev, struct blk *blk, const char *path)
{
	__u64 kib = blk->sectors / 2;
	bool mib = !(kib % 1024);

	blk->config.capacity = htole64(blk->sectors);
	blk->config.seg_max = htole32(SEGMENTS);
	blk->config.blk_size = htole32(SECTOR);

	dev->ops = &blk_ops;
	dev->priv = blk;
	dev->config = &blk->config;
	dev->config_len = sizeof(blk->config);
	dev->features = _BITULL(VIRTIO_BLK_F_SEG_MAX) |
			_BITULL(VIRTIO_BLK_F_BLK_SIZE) |
			_BITULL(VIRTIO_BLK_F_FLUSH);
	if (blk->read_only)
		dev->features |= _BITULL(VIRTIO_BLK_F_RO);
	snprintf(dev->name, sizeof(dev->name),
		 "virtio-blk on %s, %llu %s%s", path,
		 mib ? kib / 1024 : kib, mib ? "MiB" : "KiB",
		 blk->read_only ? ", read-only" : "");
}

/**
 * blk_create() - make a disk
 * @dev: the device to set up
 * @spec: FILE[,ro][,serial=NAME]
 *
 * Return: true, or false after saying what is wrong.
 */
bool blk_create(struct virtio_dev *dev, const char *spec)
{
	struct blk *blk = calloc(1, sizeof(*blk));
	char *path = strdup(spec);
	bool ok = blk && path;

	if (!ok)
		vmm_err("out of memory");
	else
		ok = parse(blk, path) && open_disk(blk, path);
	if (ok)
		describe(dev, blk, path);
	else
		free(blk);
	free(path);
	return ok;
}
