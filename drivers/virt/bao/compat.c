// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bao I/O dispatcher: the interface that was published before this driver
 *
 * Programs that were written for the dispatcher module of the Bao project open
 * /dev/bao-io-dispatcher, ask it for one of the backends by its id, and get a
 * file for that backend. Such a file is here what /dev/bao/backend<i> is: the
 * one VMM of the backend, with all that follows when it is closed.
 *
 * The structures and numbers are those of that module's header. They do not
 * change any more, so what a program leaves in a field without a meaning is
 * ignored and not refused: no later kernel will give it one.
 */
#include <linux/anon_inodes.h>
#include <linux/device.h>
#include <linux/file.h>
#include <linux/nospec.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "bao_private.h"

/* With the padding that Arm and RISC-V, of 32 and of 64 bit, agree on. */
struct bao_compat_info {
	__u32 id;		/* in, all else is out */
	__u32 pad;
	__aligned_u64 shmem_addr;
	__aligned_u64 shmem_size;
	__u32 irq;
	__s32 fd;
};

struct bao_compat_request {
	__aligned_u64 dm_id;
	__aligned_u64 addr;
	__aligned_u64 op;
	__aligned_u64 value;
	__aligned_u64 access_width;
	__aligned_u64 request_id;
};

struct bao_compat_ioeventfd {
	__u32 fd;
	__u32 flags;
	__aligned_u64 addr;
	__u32 len;
	__u32 reserved;
	__aligned_u64 data;
};

struct bao_compat_irqfd {
	__s32 fd;
	__u32 flags;
};

/* bao_compat_request.op beside enum bao_op, whose numbers are the same */
#define BAO_COMPAT_OP_NOTIFY		3

/* Bit 0 was never used. */
#define BAO_COMPAT_IOEVENTFD_DATAMATCH	BIT(1)
#define BAO_COMPAT_IOEVENTFD_DEASSIGN	BIT(2)
#define BAO_COMPAT_IRQFD_DEASSIGN	BIT(0)

/* Not _IOWR() and _IOW(), which clang does not take for constants. */
#define BAO_COMPAT_IOC(dir, nr, type) \
	_IOC(dir, BAO_IOCTL_TYPE, nr, sizeof(type))
#define BAO_COMPAT_GET_INFO \
	BAO_COMPAT_IOC(_IOC_READ | _IOC_WRITE, 1, struct bao_compat_info)
#define BAO_COMPAT_ATTACH \
	BAO_COMPAT_IOC(_IOC_READ | _IOC_WRITE, 2, struct bao_compat_request)
#define BAO_COMPAT_COMPLETE \
	BAO_COMPAT_IOC(_IOC_WRITE, 3, struct bao_compat_request)
#define BAO_COMPAT_IOEVENTFD \
	BAO_COMPAT_IOC(_IOC_WRITE, 4, struct bao_compat_ioeventfd)
#define BAO_COMPAT_IRQFD \
	BAO_COMPAT_IOC(_IOC_WRITE, 5, struct bao_compat_irqfd)

/* The numbers as they are in the programs; they contain the sizes. */
static_assert(BAO_COMPAT_GET_INFO == 0xC020A601);
static_assert(BAO_COMPAT_ATTACH == 0xC030A602);
static_assert(BAO_COMPAT_COMPLETE == 0x4030A603);
static_assert(BAO_COMPAT_IOEVENTFD == 0x4020A604);
static_assert(BAO_COMPAT_IRQFD == 0x4008A605);
static_assert(offsetof(struct bao_compat_info, shmem_addr) == 8);
static_assert(offsetof(struct bao_compat_info, fd) == 28);
static_assert(offsetof(struct bao_compat_ioeventfd, data) == 24);

/**
 * struct bao_control - /dev/bao-io-dispatcher
 * @misc: the device
 * @kref: held by the driver and by open files
 * @nr: how many backends there are
 * @backends: all of them by their ids, with a reference to each. What a file
 *	finds here after unbind is gone, and says so.
 */
struct bao_control {
	struct miscdevice misc;
	struct kref kref;
	unsigned int nr;
	struct bao_backend *backends[] __counted_by(nr);
};

/* What the caller's structure held before is of no interest. */
static int bao_compat_attach(struct file *file, void __user *uarg)
{
	struct bao_backend *b = file->private_data;
	struct bao_compat_request out;
	struct bao_request req;
	int ret;

	ret = file->f_flags & O_NONBLOCK ? bao_fetch(b, &req) :
					   bao_fetch_wait(b, &req);
	if (ret)
		return ret;

	out = (struct bao_compat_request) {
		.dm_id = b->id,
		.addr = req.addr,
		.op = req.op,
		.value = req.value,
		.access_width = req.width,
		.request_id = req.id,
	};
	if (copy_to_user(uarg, &out, sizeof(out))) {
		bao_unfetch(b, req.id);
		return -EFAULT;
	}

	return 0;
}

/*
 * Programs hand the structure back as it came, with another value if it was a
 * read. Address, width and kind of access are in the request table, so that
 * they need not be believed.
 */
static int bao_compat_complete(struct bao_backend *b, const void __user *uarg)
{
	struct bao_compat_request req;

	if (copy_from_user(&req, uarg, sizeof(req)))
		return -EFAULT;
	if (req.dm_id != b->id)
		return -EINVAL;

	switch (req.op) {
	case BAO_OP_WRITE:
	case BAO_OP_READ:
		return bao_complete(b, req.request_id, req.value);
	case BAO_COMPAT_OP_NOTIFY:
		return bao_notify(b);
	default:
		/* It went to the hypervisor once, where 2 pops a request. */
		return -EINVAL;
	}
}

static int bao_compat_ioeventfd(struct bao_backend *b,
				const void __user *uarg)
{
	struct bao_compat_ioeventfd in;
	struct bao_ioeventfd args = {};

	if (copy_from_user(&in, uarg, sizeof(in)))
		return -EFAULT;
	if (in.flags & ~(BAO_COMPAT_IOEVENTFD_DATAMATCH |
			 BAO_COMPAT_IOEVENTFD_DEASSIGN))
		return -EOPNOTSUPP;
	/* It did not mean any length. */
	if (!in.len)
		return -EINVAL;

	args.addr = in.addr;
	args.len = in.len;
	args.fd = in.fd;
	if (in.flags & BAO_COMPAT_IOEVENTFD_DATAMATCH) {
		args.flags |= BAO_IOEVENTFD_DATAMATCH;
		args.data = in.data;
	}
	if (in.flags & BAO_COMPAT_IOEVENTFD_DEASSIGN)
		args.flags |= BAO_IOEVENTFD_DEASSIGN;

	return bao_ioeventfd_config(b, &args);
}

static int bao_compat_irqfd(struct bao_backend *b, const void __user *uarg)
{
	struct bao_compat_irqfd in;
	struct bao_irqfd args = {};

	if (copy_from_user(&in, uarg, sizeof(in)))
		return -EFAULT;
	if (in.flags & ~BAO_COMPAT_IRQFD_DEASSIGN)
		return -EOPNOTSUPP;

	args.fd = in.fd;
	if (in.flags & BAO_COMPAT_IRQFD_DEASSIGN)
		args.flags = BAO_IRQFD_DEASSIGN;

	return bao_irqfd_config(b, &args);
}

static long bao_compat_vmm_ioctl(struct file *file, unsigned int cmd,
				 unsigned long arg)
{
	struct bao_backend *b = file->private_data;
	void __user *uarg = (void __user *)arg;

	if (READ_ONCE(b->gone))
		return -ENODEV;

	switch (cmd) {
	case BAO_COMPAT_ATTACH:
		return bao_compat_attach(file, uarg);
	case BAO_COMPAT_COMPLETE:
		return bao_compat_complete(b, uarg);
	case BAO_COMPAT_IOEVENTFD:
		return bao_compat_ioeventfd(b, uarg);
	case BAO_COMPAT_IRQFD:
		return bao_compat_irqfd(b, uarg);
	default:
		return -ENOTTY;
	}
}

/* Programs ask for the end to learn the size of what they can map. */
static loff_t bao_compat_vmm_llseek(struct file *file, loff_t offset,
				    int whence)
{
	struct bao_backend *b = file->private_data;

	return fixed_size_llseek(file, offset, whence,
				 resource_size(&b->shmem));
}

static int bao_compat_vmm_release(struct inode *inode, struct file *file)
{
	/* A file that could not become the VMM has no backend. */
	return file->private_data ? bao_release(inode, file) : 0;
}

static const struct file_operations bao_compat_vmm_fops = {
	.owner = THIS_MODULE,
	.release = bao_compat_vmm_release,
	.unlocked_ioctl = bao_compat_vmm_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.poll = bao_poll,
	.mmap = bao_shmem_mmap,
	.llseek = bao_compat_vmm_llseek,
};

static struct file *bao_compat_vmm_file(struct bao_backend *b)
{
	struct file *file;
	int ret;

	/*
	 * With an inode of its own: unbind takes back all that is mapped of
	 * it, and the usual one is every driver's.
	 */
	file = anon_inode_create_getfile("[bao-backend]", &bao_compat_vmm_fops,
					 NULL, O_RDWR, NULL);
	if (IS_ERR(file))
		return file;

	ret = bao_vmm_begin(b, file);
	if (ret) {
		fput(file);
		return ERR_PTR(ret);
	}

	return file;
}

/*
 * Nobody but the caller knows the file before it has its number, and once it
 * has, nothing can fail any more.
 */
static int bao_compat_give_file(struct bao_backend *b,
				struct bao_compat_info __user *uinfo)
{
	struct bao_compat_info info = {
		.id = b->id,
		.shmem_addr = b->shmem.start,
		.shmem_size = resource_size(&b->shmem),
		.irq = b->irq,
	};
	struct file *file = bao_compat_vmm_file(b);

	if (IS_ERR(file))
		return PTR_ERR(file);

	info.fd = get_unused_fd_flags(O_CLOEXEC);
	if (info.fd < 0) {
		fput(file);
		return info.fd;
	}
	if (copy_to_user(uinfo, &info, sizeof(info))) {
		put_unused_fd(info.fd);
		fput(file);
		return -EFAULT;
	}

	fd_install(info.fd, file);
	return 0;
}

static int bao_compat_get_info(struct bao_control *control,
			       struct bao_compat_info __user *uinfo)
{
	struct bao_backend *b;
	u32 id;

	if (get_user(id, &uinfo->id))
		return -EFAULT;
	if (id >= control->nr)
		return -ENOENT;

	b = control->backends[array_index_nospec(id, control->nr)];
	if (READ_ONCE(b->gone))
		return -ENODEV;

	return bao_compat_give_file(b, uinfo);
}

static long bao_compat_control_ioctl(struct file *file, unsigned int cmd,
				     unsigned long arg)
{
	if (cmd != BAO_COMPAT_GET_INFO)
		return -ENOTTY;
	return bao_compat_get_info(file->private_data, (void __user *)arg);
}

static void bao_control_free(struct kref *kref)
{
	struct bao_control *control = container_of(kref, struct bao_control,
						   kref);

	for (unsigned int i = 0; i < control->nr; i++)
		bao_backend_put(control->backends[i]);
	kfree(control);
}

static int bao_compat_control_open(struct inode *inode, struct file *file)
{
	struct miscdevice *misc = file->private_data;
	struct bao_control *control = container_of(misc, struct bao_control,
						   misc);

	/* misc_deregister() waits for this function, so it is there. */
	kref_get(&control->kref);
	file->private_data = control;
	return stream_open(inode, file);
}

static int bao_compat_control_release(struct inode *inode, struct file *file)
{
	struct bao_control *control = file->private_data;

	kref_put(&control->kref, bao_control_free);
	return 0;
}

static const struct file_operations bao_compat_control_fops = {
	.owner = THIS_MODULE,
	.open = bao_compat_control_open,
	.release = bao_compat_control_release,
	.unlocked_ioctl = bao_compat_control_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static struct bao_control *bao_control_alloc(struct device *dev,
					     struct bao_backend **backends,
					     unsigned int nr)
{
	struct bao_control *control = kzalloc(struct_size(control, backends, nr),
					      GFP_KERNEL);

	if (!control)
		return NULL;

	kref_init(&control->kref);
	control->misc = (struct miscdevice) {
		.minor = MISC_DYNAMIC_MINOR,
		.name = "bao-io-dispatcher",
		.mode = 0600,
		.parent = dev,
		.fops = &bao_compat_control_fops,
	};
	control->nr = nr;
	for (unsigned int i = 0; i < nr; i++) {
		kref_get(&backends[i]->kref);
		control->backends[i] = backends[i];
	}

	return control;
}

static void bao_control_del(void *data)
{
	struct bao_control *control = data;

	misc_deregister(&control->misc);
	kref_put(&control->kref, bao_control_free);
}

/**
 * bao_compat_add() - publish /dev/bao-io-dispatcher until unbind
 * @dev: the dispatcher. There is one at a time, as each has a backend 0.
 * @backends: its backends, by their ids
 * @nr: how many
 *
 * Context: may sleep.
 * Return: 0 or a negative errno.
 */
int bao_compat_add(struct device *dev, struct bao_backend **backends,
		   unsigned int nr)
{
	struct bao_control *control = bao_control_alloc(dev, backends, nr);
	int ret;

	if (!control)
		return -ENOMEM;

	ret = misc_register(&control->misc);
	if (ret) {
		kref_put(&control->kref, bao_control_free);
		return dev_err_probe(dev, ret,
				     "/dev/bao-io-dispatcher cannot be made\n");
	}

	return devm_add_action_or_reset(dev, bao_control_del, control);
}
