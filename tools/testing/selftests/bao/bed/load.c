// SPDX-License-Identifier: GPL-2.0
/*
 * What lies in a guest's memory when it starts: kernel, initramfs, device tree
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bed.h"

#define FDT_SIZE	KIB(128)
#define IMAGE_MAGIC	0x644d5241	/* "ARM\x64" */
/* A pmem device is made of sections this large */
#define PMEM_ALIGN	MIB(2)

/* The header of an arm64 Image (Documentation/arch/arm64/booting.rst) */
struct image_header {
	u32 code[2];
	u64 text_offset, image_size, flags, res2, res3, res4;
	u32 magic, res5;
};

static u64 align_up(u64 value, u64 to)
{
	return (value + to - 1) & ~(to - 1);
}

static u64 read_file(struct guest *guest, const char *path, u64 offset)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	u64 done = 0;
	ssize_t n;

	if (fd < 0)
		die("cannot open %s: %s", path, strerror(errno));
	while ((n = read(fd, (char *)guest->ram + offset + done,
			 guest->ram_size - offset - done)) > 0)
		done += n;
	if (n < 0)
		die("cannot read %s: %s", path, strerror(errno));
	if (offset + done == guest->ram_size)
		die("%s does not fit in the %s's memory: raise --%s-mem", path,
		    guest->name, guest->name);
	close(fd);
	return done;
}

/* Return: the first byte past the kernel, its bss included */
static u64 load_kernel(struct guest *guest)
{
	struct image_header *header = guest->ram;
	u64 size = read_file(guest, guest->kernel, 0);
	u64 offset;

	if (size < sizeof(*header) || le32toh(header->magic) != IMAGE_MAGIC)
		die("%s is not an uncompressed arm64 Image", guest->kernel);
	offset = le64toh(header->text_offset);
	if (le64toh(header->image_size) > size)
		size = le64toh(header->image_size);
	if (offset + size > guest->ram_size)
		die("%s does not fit in the %s's memory: raise --%s-mem",
		    guest->kernel, guest->name, guest->name);
	if (offset)
		memmove((char *)guest->ram + offset, guest->ram, size);
	guest->entry = RAM_ADDR + offset;
	return offset + size;
}

static void load_fdt(struct guest *guest, u64 offset)
{
	void *fdt = (char *)guest->ram + offset;

	guest->fdt_addr = RAM_ADDR + offset;
	if (guest == &guest->bed->backend)
		tree_backend(guest, fdt, FDT_SIZE);
	else
		tree_frontend(guest, fdt, FDT_SIZE);
}

/* Lay out RAM: the kernel, the device tree, the initramfs */
void load_guest(struct guest *guest)
{
	u64 fdt = align_up(load_kernel(guest), MIB(2));
	u64 initrd = fdt + MIB(2);

	if (initrd >= guest->ram_size)
		die("%s does not fit in the %s's memory: raise --%s-mem",
		    guest->kernel, guest->name, guest->name);
	if (guest->initrd) {
		guest->initrd_addr = RAM_ADDR + initrd;
		guest->initrd_size = read_file(guest, guest->initrd, initrd);
	}
	load_fdt(guest, fdt);
}

static u64 disk_size(int fd, const char *path)
{
	struct stat st;
	u64 size;

	if (fstat(fd, &st))
		die("cannot stat %s: %s", path, strerror(errno));
	if (!S_ISBLK(st.st_mode))
		return st.st_size;
	if (ioctl(fd, BLKGETSIZE64, &size))
		die("cannot get the size of %s: %s", path, strerror(errno));
	return size;
}

/*
 * Map the disk for the backend. It sees a device rounded up to whole sections;
 * what it writes past the end of the file is lost.
 */
void load_disk(struct bed *bed)
{
	int fd = open(bed->disk, O_RDWR | O_CLOEXEC);
	u64 size;

	if (fd < 0)
		die("cannot open %s: %s", bed->disk, strerror(errno));
	size = disk_size(fd, bed->disk);
	if (!size)
		die("%s is empty: a disk needs a size", bed->disk);
	bed->pmem_size = align_up(size, PMEM_ALIGN);
	bed->pmem = vm_memory(bed->pmem_size);
	if (mmap(bed->pmem, size, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
		die("cannot map %s: %s", bed->disk, strerror(errno));
	close(fd);
}

void save_disk(struct bed *bed)
{
	if (bed->pmem && msync(bed->pmem, bed->pmem_size, MS_SYNC))
		die("cannot write %s: %s", bed->disk, strerror(errno));
}
