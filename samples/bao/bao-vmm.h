/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the parts of the sample VMM know of each other
 *
 * From the frontend's driver inwards: backend.c fetches register accesses from
 * the dispatcher, and eventfd.c takes what needs no request; virtio-mmio.c is
 * the registers, device.c what lies behind them, virtqueue.c the rings that the
 * registers point at, and blk.c, rng.c and console.c serve what lies in the
 * rings. vsock.c has the kernel do that. Only backend.c and eventfd.c know of
 * /dev/bao, so the rest runs in host tests.
 *
 * The frontend is not trusted. It can rewrite the shared memory at any moment,
 * so a value there is read once, into a variable, and checked there.
 */
#ifndef BAO_VMM_H
#define BAO_VMM_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/uio.h>

#include <linux/const.h>
#include <linux/types.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#define vmm_err(fmt, ...) \
	fprintf(stderr, "bao-vmm: " fmt "\n", ##__VA_ARGS__)

/* Longest ring offered to the driver, and so the longest chain */
#define VQ_NUM_MAX	128

/* Most queues of a device here */
#define VQ_COUNT_MAX	3

/*
 * What a driver must accept. ACCESS_PLATFORM is not a matter of taste: without
 * it the driver would pass addresses of buffers anywhere in the frontend's
 * memory. With it, it asks its DMA layer, and the restricted-dma-pool of the
 * device's node makes that copy everything through the shared region.
 */
#define VIRTIO_REQUIRED	(_BITULL(VIRTIO_F_VERSION_1) | \
			 _BITULL(VIRTIO_F_ACCESS_PLATFORM))

/**
 * struct region - memory shared with the frontend
 * @gpa: its guest-physical address, the same in both VMs
 * @size: bytes
 * @host: where it is mapped here
 */
struct region {
	__u64 gpa;
	__u64 size;
	__u8 *host;
};

/**
 * struct chain - one request of the driver, all its buffers checked
 * @head: names the chain when it is given back
 * @nr_out: buffers the driver filled: the first of @iov
 * @nr_in: buffers to fill: they follow in @iov
 * @out_len: bytes in the first kind
 * @in_len: bytes in the second kind
 * @iov: the buffers, inside the shared region
 */
struct chain {
	__u16 head;
	unsigned int nr_out;
	unsigned int nr_in;
	__u64 out_len;
	__u64 in_len;
	struct iovec iov[VQ_NUM_MAX];
};

/**
 * struct virtqueue - a split ring
 * @lock: held while the queue is served, started or stopped
 * @num: entries, as the driver set it
 * @desc_gpa: descriptor table, as the driver set it
 * @avail_gpa: available ring, as the driver set it
 * @used_gpa: used ring, as the driver set it
 * @ready: the rings were checked and may be used
 * @desc: descriptor table
 * @avail: what the driver offers
 * @used: what the device gives back
 * @last_avail: offers taken so far
 * @used_idx: requests given back so far. The copy in shared memory is only
 *	ever written: what the driver may put there is of no interest.
 */
struct virtqueue {
	pthread_mutex_t lock;
	__u32 num;
	__u64 desc_gpa;
	__u64 avail_gpa;
	__u64 used_gpa;
	bool ready;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	__u16 last_avail;
	__u16 used_idx;
};

/*
 * Functions of virtqueue.c that can find the driver at fault return a sentence
 * about it, or NULL if all is well.
 */
void *region_at(const struct region *mem, __u64 gpa, __u64 len);
const char *vq_start(struct virtqueue *vq, const struct region *mem);
void vq_stop(struct virtqueue *vq);
const char *vq_pending(const struct virtqueue *vq, unsigned int *count);
const char *vq_pop(struct virtqueue *vq, const struct region *mem,
		   struct chain *c);
void vq_push(struct virtqueue *vq, __u16 head, __u32 len);
void vq_want_kicks(struct virtqueue *vq, bool wanted);
bool vq_wants_interrupt(const struct virtqueue *vq);

void iov_advance(struct iovec **iov, unsigned int *nr, size_t len);
bool chain_read(struct chain *c, void *buf, size_t len);

struct virtio_dev;

/**
 * typedef request_fn - serves one request of a queue
 * @dev: the device
 * @c: the request's buffers; the function may change @c as it likes
 * @written: how many bytes it put into the buffers to fill, counted from the
 *	first
 *
 * Return: NULL, or what is wrong with the request if it is so malformed that
 * the driver cannot even be sent an error.
 */
typedef const char *(*request_fn)(struct virtio_dev *dev, struct chain *c,
				  __u32 *written);

/**
 * struct virtio_ops - a kind of device
 * @id: VIRTIO_ID_*
 * @nr_queues: how many queues it has
 * @serve: by queue; NULL for a queue whose buffers are not used, or not here
 * @start: for a device whose queues the kernel serves: the driver is ready, the
 *	kernel may begin. Returns NULL, or what keeps it from doing so.
 * @stop: goes with @start: the kernel must let go of the queues, if it has them
 * @destroy: frees what the device's create function set up
 */
struct virtio_ops {
	__u32 id;
	unsigned int nr_queues;
	request_fn serve[VQ_COUNT_MAX];
	const char *(*start)(struct virtio_dev *dev);
	void (*stop)(struct virtio_dev *dev);
	void (*destroy)(struct virtio_dev *dev);
};

/**
 * struct virtio_dev - a virtio device behind a register window
 * @ops: the kind of device
 * @priv: for the kind of device
 * @config: its configuration space, constant while it exists
 * @config_len: bytes
 * @features: offered
 * @name: what it serves, for the person who started it
 * @mem: the memory that all rings and buffers must lie in
 * @notify: raises the interrupt in the frontend
 * @notify_arg: for @notify
 * @kick_fd: by queue: eventfd that a notification of the driver signals, or -1
 * @call_fd: eventfd that raises the interrupt in the frontend, or -1
 * @show: tells somebody who answers loads of InterruptStatus what they return,
 *	with @notify_arg; NULL if such loads are requests
 * @shown: what it took last
 * @interrupt_lock: held while @status, @interrupt_status or @show is changed
 * @untouched: the driver has not accessed a register yet
 * @complained: 1 if a fault of the driver was reported already
 * @released: the driver ran and has let go of the device again
 * @driver_features: accepted by the driver so far
 * @device_sel: which half of @features the driver reads
 * @driver_sel: which half of @driver_features the driver writes
 * @queue_sel: which queue the queue registers show
 * @status: VIRTIO_CONFIG_S_*
 * @interrupt_status: VIRTIO_MMIO_INT_*
 * @vq: the queues
 * @kicks: queue notifications taken
 *
 * Register accesses are made by one thread. virtio_kick() may be called by
 * another, which is why @status, @interrupt_status, @complained and @kicks are
 * accessed atomically and each queue has a lock. A register access never waits
 * for the request that a queue is serving, unless it stops that queue.
 */
struct virtio_dev {
	const struct virtio_ops *ops;
	void *priv;
	const void *config;
	size_t config_len;
	__u64 features;
	char name[128];

	const struct region *mem;
	void (*notify)(void *arg);
	void *notify_arg;
	int kick_fd[VQ_COUNT_MAX];
	int call_fd;
	bool (*show)(void *arg, __u32 status);
	__u32 shown;
	pthread_mutex_t interrupt_lock;

	bool untouched;
	bool released;
	__u32 complained;
	__u64 driver_features;
	__u32 device_sel;
	__u32 driver_sel;
	__u32 queue_sel;
	__u32 status;
	__u32 interrupt_status;
	struct virtqueue vq[VQ_COUNT_MAX];
	unsigned long kicks;
};

static inline __u32 get_reg(const __u32 *reg)
{
	return __atomic_load_n(reg, __ATOMIC_ACQUIRE);
}

/* device.c */
void virtio_init(struct virtio_dev *dev, const struct region *mem,
		 void (*notify)(void *arg), void *notify_arg);
bool virtio_show_interrupts(struct virtio_dev *dev,
			    bool (*show)(void *arg, __u32 status));
void virtio_take_over(struct virtio_dev *dev);
void virtio_change_status(struct virtio_dev *dev, __u32 set, __u32 clear);
void virtio_change_interrupts(struct virtio_dev *dev, __u32 set, __u32 clear);
void virtio_stop_kernel(struct virtio_dev *dev);
void virtio_need_reset(struct virtio_dev *dev, const char *fault);
void virtio_reset(struct virtio_dev *dev);
void virtio_kick(struct virtio_dev *dev, unsigned int index);

/* virtio-mmio.c */
__u64 virtio_mmio_read(struct virtio_dev *dev, __u64 addr,
		       unsigned int width);
void virtio_mmio_write(struct virtio_dev *dev, __u64 addr,
		       unsigned int width, __u64 value);
__u64 virtio_mmio_at(__u64 addr, __u32 offset);

/*
 * Each sets up ops, priv, config, features and name of a zeroed device, or
 * says why it cannot and returns false.
 */
bool blk_create(struct virtio_dev *dev, const char *spec);
bool rng_create(struct virtio_dev *dev);
bool console_create(struct virtio_dev *dev, const char *path);
bool vsock_create(struct virtio_dev *dev, const char *cid);

/**
 * struct backend - a device served on /dev/bao/backend<i>
 * @path: the character device
 * @fd: @path, opened
 * @stop: set to end backend_serve()
 * @once: end when the driver has let go of the device
 * @verbose: print every request
 * @no_eventfd: do without ioeventfds and irqfd though the driver has them
 * @busy_poll_us: how long SERVE polls before it sleeps
 * @features: BAO_FEATURE_* of the driver that are made use of
 * @mem: the mapped shared region
 * @dev: what is served
 * @requests: register accesses served
 * @notifies: interrupts raised in the frontend
 * @notify_failed: 1 if a failure to do so was reported already
 * @has_window: the frontend's window is known, and the ioeventfds are assigned
 * @status_addr: guest-physical address of InterruptStatus, if @has_window
 * @ack_fd: eventfd for writes that need no more than their completion, or -1
 * @wake_fd: eventfd that ends @kick_thread, or -1
 * @has_kick_thread: @kick_thread runs
 * @kick_thread: serves the queues whose eventfds are signalled
 */
struct backend {
	const char *path;
	int fd;
	bool stop;
	bool once;
	bool verbose;
	bool no_eventfd;
	__u32 busy_poll_us;
	__u64 features;
	struct region mem;
	struct virtio_dev dev;
	unsigned long requests;
	unsigned long notifies;
	__u32 notify_failed;

	bool has_window;
	__u64 status_addr;
	int ack_fd;
	int wake_fd;
	bool has_kick_thread;
	pthread_t kick_thread;
};

bool backend_open(struct backend *b);
int backend_serve(struct backend *b);
void backend_stop(struct backend *b);
void backend_close(struct backend *b);

bool eventfds_open(struct backend *b);
void eventfds_assign(struct backend *b, __u64 addr);
int eventfds_start(struct backend *b);
void eventfds_stop(struct backend *b);
void eventfds_close(struct backend *b);

#endif /* BAO_VMM_H */
