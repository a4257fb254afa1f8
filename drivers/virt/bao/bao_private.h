/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Bao I/O dispatcher: what its files share
 *
 * Lock order, outermost first:
 *
 *   mmap_lock			the mm's, held by a page fault
 *     bao_backend.map_lock	against unbind while a page is mapped
 *       the mm's locks for mapping and unmapping a page
 *
 *   bao_backend.eventfd_mutex	configuration of ioeventfds and irqfds
 *     bao_backend.lock		for a moment
 *     an eventfd's wait queue lock
 *       bao_backend.irqfd_lock	the list of irqfds
 *
 *   bao_backend.deliver_lock	delivery of what has arrived, on PREEMPT_RT
 *     an eventfd's wait queue lock
 *     bao_backend.lock		requests and iovalues; raw, taken in interrupts
 *       an eventfd's wait queue lock, but not on PREEMPT_RT
 *       the worker's and the scheduler's locks, to wake a thread
 *
 * Nothing that touches user memory runs under the last two chains.
 */
#ifndef BAO_PRIVATE_H
#define BAO_PRIVATE_H

#include <linux/atomic.h>
#include <linux/bao.h>
#include <linux/bits.h>
#include <linux/fs.h>
#include <linux/interrupt.h>
#include <linux/ioport.h>
#include <linux/kref.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/miscdevice.h>
#include <linux/mutex.h>
#include <linux/poll.h>
#include <linux/spinlock.h>
#include <linux/swait.h>
#include <linux/types.h>
#include <linux/wait.h>

struct attribute_group;
struct bao_kick;
struct device;
struct vm_area_struct;

/* Remote I/O devices of a dispatcher; a limit of the device-tree binding. */
#define BAO_MAX_BACKENDS	64

/*
 * Requests a backend's table holds. A frontend vCPU has one request at most,
 * so this is more than today's frontends can have outstanding. It is a limit
 * on memory and not on frontends: what finds no slot waits in the hypervisor.
 */
#define BAO_MAX_REQUESTS	64

/*
 * Ioeventfds of a backend, and irqfds. They are looked through with interrupts
 * off, the former for each write, so a VMM must not have any number of them.
 */
#define BAO_MAX_EVENTFDS	128

/* Iovalues of a backend, which each load is compared with in the same way */
#define BAO_MAX_VALUES		16

/*
 * Requests taken up in one go, which bounds the time in one hard interrupt and
 * the time between two chances of the draining thread to yield.
 */
#define BAO_DRAIN_BUDGET	(IS_ENABLED(CONFIG_PREEMPT_RT) ? 4 : 16)

/**
 * struct bao_ask - a request as the hypervisor hands it over
 * @addr: guest-physical address of the access
 * @value: what was stored, cut to @width; 0 for a read
 * @hv_id: the hypervisor's name for it; reused after completion
 * @width: width of the access in bytes
 * @op: enum bao_op
 * @more: false if nothing else was pending at that moment. What arrives later
 *	raises a new interrupt.
 */
struct bao_ask {
	u64 addr;
	u64 value;
	u64 hv_id;
	u16 width;
	u16 op;
	bool more;
};

/**
 * struct bao_value - an iovalue: what a load returns
 * @addr: guest-physical address of the load
 * @value: what it returns
 * @len: the width that matches
 */
struct bao_value {
	u64 addr;
	u64 value;
	u32 len;
};

/**
 * enum bao_slot_state - where a request is in its life
 * @BAO_SLOT_FREE: no request; on bao_backend.free
 * @BAO_SLOT_ARRIVED: a kick that is to be signalled, or what came behind one; on
 *	bao_backend.arrived, with PREEMPT_RT only
 * @BAO_SLOT_WAITING: to be fetched; on bao_backend.waiting
 * @BAO_SLOT_IN_FLIGHT: with the VMM; on bao_backend.in_flight
 */
enum bao_slot_state {
	BAO_SLOT_FREE,
	BAO_SLOT_ARRIVED,
	BAO_SLOT_WAITING,
	BAO_SLOT_IN_FLIGHT,
};

/**
 * struct bao_slot - a place for a request
 * @link: on the list that @state says
 * @id: bao_request.id. Grows with the order of arrival; modulo
 *	BAO_MAX_REQUESTS it is the slot's index.
 * @ask: the request
 * @kick: what to signal for it, while it is BAO_SLOT_ARRIVED; NULL if it is for
 *	the VMM
 * @state: enum bao_slot_state
 * @flags: bao_request.flags
 */
struct bao_slot {
	struct list_head link;
	u64 id;
	struct bao_ask ask;
	struct bao_kick *kick;
	enum bao_slot_state state;
	u32 flags;
};

/**
 * struct bao_stats - counters
 * @completed: requests that a VMM completed
 * @redelivered: requests that lost their VMM
 * @kicks: writes completed for an ioeventfd
 * @loads: reads completed from an iovalue
 * @notifies: NOTIFYs that the hypervisor accepted
 * @hypercall_errors: hypercalls that it refused
 *
 * The plain ones are protected by bao_backend.lock.
 */
struct bao_stats {
	u64 completed;
	u64 redelivered;
	u64 kicks;
	u64 loads;
	atomic64_t notifies;
	atomic64_t hypercall_errors;
};

/**
 * struct bao_cpu_time - what draining with priority took of a CPU
 * @start: start of the period, by local_clock()
 * @used: nanoseconds taken in it
 * @end: when an interrupt handler last finished draining
 * @took: nanoseconds that it had taken, until the next one starts
 */
struct bao_cpu_time {
	u64 start;
	u64 used;
	u64 end;
	u64 took;
};

/**
 * struct bao_backend - a Remote I/O device and the VMM that serves it
 * @dev: the dispatcher, as long as not @gone
 * @id: the device id in hypercalls
 * @name: of the interrupt, the thread and, with a dash, the misc device
 * @nodename: of the device node, below /dev
 * @misc: the character device
 * @shmem: the memory shared with the frontend; with IORESOURCE_SYSRAM if it is
 *	a reserved part of this kernel's memory, and has pages
 * @irq: the interrupt that says that requests wait in the hypervisor. It stays
 *	enabled from request_irq() to free_irq(): Bao drops the active state of
 *	a line that is masked while active, and never raises it again.
 * @worker: the thread that does what the interrupt handler leaves over
 * @drain: how it drains
 * @delivery: how it delivers what has arrived, and wakes up poll(), on PREEMPT_RT
 * @deferred: @worker drains, and the interrupt handler only wakes it
 * @kref: held by the driver and by the open file
 * @opened: bit 0 is set while a VMM has the file open
 * @wait: threads in poll()
 * @busy_pollers: threads that busy-poll, and take a request without being woken
 * @deliver_lock: one at a time delivers what has arrived
 * @lock: protects what follows, down to @slots
 * @gone: the driver has let go of the device. Set once.
 * @stalled: requests may wait in the hypervisor for a slot to become free
 * @polls_due: requests for which @delivery is to wake up @wait, on PREEMPT_RT
 * @arrivals: requests popped so far, for bao_slot.id
 * @free: slots without a request
 * @arrived: what bao_deliver() has to deliver, oldest first
 * @waiting: requests not yet fetched, sorted by bao_slot.id
 * @in_flight: requests with the VMM
 * @sleepers: threads that sleep in SERVE, the one that has slept longest first
 * @nr_values: how many iovalues there are
 * @values: iovalues, in any order
 * @stats: counters, for sysfs
 * @slots: the table
 * @kicks: ioeventfds; changed under @lock and @eventfd_mutex, read under either.
 *	The last close needs no mutex: no configuration can be under way.
 * @eventfd_mutex: one configuration of ioeventfds and irqfds at a time
 * @irqfd_lock: protects @irqfds; who takes an irqfd off the list ends it
 * @irqfds: eventfds that raise the frontend's interrupt
 * @map_lock: protects @mapping, and the mapping of a page against unbind
 * @mapping: the open file's address space, for unbind to zap
 * @fake_hypervisor: answers hypercalls in KUnit tests
 */
struct bao_backend {
	struct device *dev;
	u32 id;
	char name[16];
	char nodename[20];
	struct miscdevice misc;
	struct resource shmem;
	int irq;
	struct kthread_worker *worker;
	struct kthread_delayed_work drain;
	struct kthread_delayed_work delivery;
	bool deferred;
	struct kref kref;
	unsigned long opened;
	wait_queue_head_t wait;
	atomic_t busy_pollers;
	spinlock_t deliver_lock;	/* delivery */

	raw_spinlock_t lock;	/* the request table, down to slots */
	bool gone;
	bool stalled;
	unsigned int polls_due;
	u64 arrivals;
	struct list_head free;
	struct list_head arrived;
	struct list_head waiting;
	struct list_head in_flight;
	struct swait_queue_head sleepers;
	unsigned int nr_values;
	struct bao_value values[BAO_MAX_VALUES];
	struct bao_stats stats;
	struct bao_slot slots[BAO_MAX_REQUESTS];

	struct list_head kicks;
	struct mutex eventfd_mutex;	/* configuration of kicks and irqfds */
	spinlock_t irqfd_lock;	/* irqfds */
	struct list_head irqfds;

	struct mutex map_lock;	/* mapping, and faults against unbind */
	struct address_space *mapping;

#if IS_ENABLED(CONFIG_BAO_IO_DISPATCHER_KUNIT_TEST)
	s64 (*fake_hypervisor)(struct bao_backend *b, u64 op, u64 value,
			       u64 hv_id, struct bao_ask *ask);
#endif
};

/**
 * bao_cut() - cut a register to the width of an access
 * @value: the register
 * @width: bytes
 *
 * Return: the low @width bytes of @value; all of it from 8 bytes up.
 */
static inline u64 bao_cut(u64 value, unsigned int width)
{
	return width < sizeof(value) ? value & (BIT_ULL(width * 8) - 1) : value;
}

/* main.c */
int bao_check_regions(struct device *dev, const struct resource *regions,
		      unsigned int nr);
int bao_check_counts(struct device *dev, unsigned int regions,
		     unsigned int irqs);

/* backend.c */
struct bao_backend *bao_backend_add(struct device *dev, u32 id,
				    const struct resource *shmem, int irq);
int bao_backend_start_thread(struct bao_backend *b);
void bao_backend_stop_thread(struct bao_backend *b);
void bao_backend_del(struct bao_backend *b);
void bao_backend_put(struct bao_backend *b);

/* chrdev.c */
int bao_vmm_begin(struct bao_backend *b, struct file *file);
int bao_release(struct inode *inode, struct file *file);
__poll_t bao_poll(struct file *file, poll_table *wait);
int bao_chrdev_add(struct bao_backend *b);
void bao_chrdev_del(struct bao_backend *b);

/* shmem.c */
int bao_shmem_claim(struct device *dev, unsigned int i, struct resource *res);
int bao_shmem_mmap(struct file *file, struct vm_area_struct *vma);
void bao_shmem_zap(struct bao_backend *b);

/* drain.c */
bool bao_time_is_up(struct bao_cpu_time *t, u64 now);
void bao_time_enter(struct bao_cpu_time *t, u64 now);
void bao_time_leave(struct bao_cpu_time *t, u64 start, u64 now);
bool bao_drain(struct bao_backend *b);
void bao_drain_soon(struct bao_backend *b);
void bao_drain_work(struct kthread_work *work);
void bao_deliver(struct bao_backend *b);
void bao_delivery_work(struct kthread_work *work);
bool bao_poll_is_due(struct bao_backend *b);
irqreturn_t bao_interrupt(int irq, void *data);
int bao_check_hypervisor(struct bao_backend *b);

/* request.c */
void bao_table_init(struct bao_backend *b);
void bao_free_slot(struct bao_backend *b, struct bao_slot *slot);
void bao_accept(struct bao_backend *b, struct bao_slot *slot);
bool bao_queue(struct bao_backend *b, struct bao_slot *slot);
int bao_fetch(struct bao_backend *b, struct bao_request *req);
int bao_fetch_wait(struct bao_backend *b, struct bao_request *req);
void bao_unfetch(struct bao_backend *b, u64 id);
s64 bao_answer(struct bao_backend *b, const struct bao_ask *ask, u64 value);
bool bao_is_over(s64 status);
int bao_complete(struct bao_backend *b, u64 id, u64 value);
void bao_give_back(struct bao_backend *b);
void bao_set_gone(struct bao_backend *b);
unsigned int bao_abandon(struct bao_backend *b);
int bao_notify(struct bao_backend *b);
void bao_count_error(struct bao_backend *b, u64 op, u64 hv_id, s64 status);

/* ioeventfd.c */
struct bao_kick *bao_ioeventfd_kick(struct bao_backend *b,
				    const struct bao_ask *ask);
void bao_ioeventfd_signal(struct bao_kick *kick);
int bao_ioeventfd_config(struct bao_backend *b,
			 const struct bao_ioeventfd *args);
void bao_ioeventfd_release(struct bao_backend *b);

/* iovalue.c */
bool bao_iovalue_load(struct bao_backend *b, struct bao_ask *ask);
int bao_iovalue_config(struct bao_backend *b, const struct bao_iovalue *args);
void bao_iovalue_release(struct bao_backend *b);

/* compat.c */
#if IS_ENABLED(CONFIG_BAO_IO_DISPATCHER_COMPAT)
int bao_compat_add(struct device *dev, struct bao_backend **backends,
		   unsigned int nr);
#else
static inline int bao_compat_add(struct device *dev,
				 struct bao_backend **backends, unsigned int nr)
{
	return 0;
}
#endif

/* stats.c */
extern const struct attribute_group *bao_stats_groups[];

/* irqfd.c */
int bao_irqfd_config(struct bao_backend *b, const struct bao_irqfd *args);
void bao_irqfd_release(struct bao_backend *b);

/**
 * bao_is_waiting() - whether a fetch would find a request
 * @b: the backend
 *
 * Context: any. Without the lock the answer may be old when it arrives.
 * Return: true if one is in the table.
 */
static inline bool bao_is_waiting(struct bao_backend *b)
{
	return !list_empty(&b->waiting);
}

#endif /* BAO_PRIVATE_H */
