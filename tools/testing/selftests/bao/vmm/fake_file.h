/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Stands between a device under test and its file, to see what the device does
 * and to make it fail or stop half-way
 *
 * Linked in place of the C library's functions (see the Makefile).
 */
#ifndef FAKE_FILE_H
#define FAKE_FILE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

static unsigned int syncs;	/* calls of fdatasync() */
static bool sync_fails;
static size_t piece;		/* move at most so many bytes a call, unless 0 */

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
ssize_t __real_preadv64(int fd, const struct iovec *iov, int nr, off_t pos);
ssize_t __wrap_preadv64(int fd, const struct iovec *iov, int nr, off_t pos);
ssize_t __real_pwritev64(int fd, const struct iovec *iov, int nr, off_t pos);
ssize_t __wrap_pwritev64(int fd, const struct iovec *iov, int nr, off_t pos);

int __wrap_fdatasync(int fd)
{
	syncs++;
	if (sync_fails) {
		errno = EIO;
		return -1;
	}
	return __real_fdatasync(fd);
}

static inline struct iovec shorten(const struct iovec *iov)
{
	struct iovec first;

	while (!iov->iov_len)
		iov++;
	first = *iov;
	if (first.iov_len > piece)
		first.iov_len = piece;
	return first;
}

ssize_t __wrap_preadv64(int fd, const struct iovec *iov, int nr, off_t pos)
{
	struct iovec first = shorten(iov);

	return piece ? __real_preadv64(fd, &first, 1, pos) :
		       __real_preadv64(fd, iov, nr, pos);
}

ssize_t __wrap_pwritev64(int fd, const struct iovec *iov, int nr, off_t pos)
{
	struct iovec first = shorten(iov);

	return piece ? __real_pwritev64(fd, &first, 1, pos) :
		       __real_pwritev64(fd, iov, nr, pos);
}

#endif /* FAKE_FILE_H */
