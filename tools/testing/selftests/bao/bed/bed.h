/* SPDX-License-Identifier: GPL-2.0 */
/*
 * bao-bed: plays the Bao hypervisor's part with KVM
 *
 * What the files of the test bed share: the guests' physical map, the state,
 * and the prototypes.
 *
 * Threads: one per vCPU, and the main thread, which watches over the run.
 * Locks: bao.lock guards everything about Remote I/O (requests, devices, the
 * scripted frontend); end.lock guards how the run ends; the log has a lock of
 * its own. They nest in that order: bao.lock, end.lock, log.
 */
#ifndef BED_H
#define BED_H

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdnoreturn.h>
#include <linux/kvm.h>
#include <linux/types.h>

#include "../bed_ctl.h"

/* The KVM headers of some toolchains are older than the hypercall filter */
#ifndef KVM_ARM_VM_SMCCC_CTRL
#define KVM_ARM_VM_SMCCC_CTRL		0
#define KVM_ARM_VM_SMCCC_FILTER		0

struct kvm_smccc_filter {
	__u32 base;
	__u32 nr_functions;
	__u8 action;
	__u8 pad[15];
};

#define KVM_SMCCC_FILTER_FWD_TO_USER	2
#endif

typedef __u8 u8;
typedef __u32 u32;
typedef __s64 s64;
typedef __u64 u64;

#define __printf(a, b)	__attribute__((format(printf, a, b)))
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define BIT(n)		(1ULL << (n))
#define KIB(n)		((u64)(n) << 10)
#define MIB(n)		((u64)(n) << 20)

/* The map, the same for both guests. 64 KiB is the largest page KVM uses. */
#define GUEST_PAGE_MAX	KIB(64)
#define GICD_ADDR	0x08000000ULL
#define GICD_SIZE	KIB(64)
#define GICR_ADDR	0x080a0000ULL
#define GICR_SIZE	KIB(128)		/* per vCPU */
#define UART_ADDR	0x09000000ULL
#define UART_SHIFT	16			/* a page per register, see console.c */
#define UART_SIZE	(8ULL << UART_SHIFT)
#define EARLY_ADDR	0x09100000ULL		/* output before the UART driver runs */
#define WINDOW_ADDR	0x0a000000ULL		/* the frontend's virtio-mmio windows */
#define WINDOW_STRIDE	0x1000ULL
#define WINDOW_SIZE	0x200ULL
#define SHARED_ADDR	0x60000000ULL
#define RAM_ADDR	0x80000000ULL
#define PMEM_ADDR	0x100000000ULL

/* Shared peripheral interrupts, counted as in a device tree */
#define UART_SPI	0
#define DEVICE_SPI(i)	(32 + (i))
#define NR_INTIDS	256

/* Kinds of interrupts, as in a device tree */
#define IRQ_EDGE	1
#define IRQ_HIGH	4

#define DEVICES_MAX	64
#define VCPUS_MAX	16
#define TAIL_LINES	30
#define LINE_MAX_LEN	512

/* Exit statuses of bao-bed */
enum bed_exit {
	BED_OK = 0,
	BED_SETUP = 1,
	BED_CRASHED = 2,
	BED_HUNG = 3,
};

struct guest;
struct bed;

struct vcpu {
	struct guest *guest;
	unsigned int index;
	int fd;
	struct kvm_run *run;
	pthread_t thread;
};

/* An entry of a device tree's `reg` */
struct reg {
	u64 addr, size;
};

/* The log of one guest: the line being put together and the last lines */
struct log {
	const char *prefix;
	char line[LINE_MAX_LEN];
	size_t len;
	char tail[TAIL_LINES][LINE_MAX_LEN];
	unsigned int lines;
};

struct uart {
	u8 ier, lcr, mcr, scr;
	bool interrupt;
	struct kvm_coalesced_mmio_ring *ring;
	pthread_mutex_t lock;
};

struct guest {
	const char *name;
	struct bed *bed;
	int fd, vgic;
	unsigned int nr_vcpus, nr_slots;
	struct vcpu vcpus[VCPUS_MAX];
	void *ram;
	u64 ram_size;
	u64 entry, fdt_addr, initrd_addr, initrd_size;
	const char *kernel, *initrd, *cmdline;
	struct uart uart;
	struct log log;
	atomic_bool running, panicked;
	atomic_ullong sign_of_life;		/* ms, see now_ms() */
	/* Serves an access that is neither memory nor UART */
	bool (*mmio)(struct vcpu *vcpu, struct kvm_run *run);
};

struct request;

/* An access of a frontend vCPU, as it is handed to Bao */
struct access {
	unsigned int device;
	enum bed_op op;
	unsigned int width;
	u64 addr, value;
	bool silent;				/* raise no interrupt */
	/* The vCPU may go on. Called with bao.lock held. */
	void (*done)(struct bed *bed, const struct request *req);
	void *ctx;
};

struct request {
	struct access access;
	enum bed_request_state state;
	u64 id;				/* what the backend knows it by */
	unsigned int slot;
	bool forgotten;				/* see bao_forget() */
	struct request *next;			/* in the device's queue */
	u64 since;				/* ms */
	/* What it was completed with */
	enum bed_op completed_op;
	u64 completed_value;
};

struct fault {
	s64 status;
	u64 calls;
};

struct device {
	struct request *head, **tail;		/* pending */
	u64 counters[BED_CNT_NR];
	struct fault faults[4];			/* by enum bed_op */
	bool has_next_id, seen_disabled;
	u64 next_id;
};

/* What the summary counts, over the whole run */
struct totals {
	u64 requests, kicks, irqs, notifies, hypercalls;
	u64 asks, empty_asks, refused, violations;
};

struct bao {
	pthread_mutex_t lock;
	unsigned int nr_devices, pool, outstanding, forgotten, aliases;
	bool followed;			/* see BED_CMD_FOLLOW */
	u64 free[BED_POOL_MAX / 64];	/* bit set: slot is free */
	struct request slots[BED_POOL_MAX];
	struct device devices[DEVICES_MAX];
	struct totals totals;
	/* What a frontend does with NOTIFY; NULL for the scripted one */
	struct guest *notified;
};

struct script;
struct pace;

struct bed {
	struct guest backend, frontend;
	bool scripted, bad_nodes, verbose;
	unsigned int timeout;			/* seconds, 0 = never */
	u64 region_size;
	void *shared;
	const char *disk;
	void *pmem;
	u64 pmem_size;
	int kvm;
	struct bao bao;
	struct script *script;
	struct pace *pace;
	struct {
		pthread_mutex_t lock;
		pthread_cond_t changed;
		bool over;
		enum bed_exit status;
		struct guest *culprit;
		char reason[256];
	} end;
};

static inline u64 width_mask(unsigned int width)
{
	return width >= 8 ? ~0ULL : BIT(8 * width) - 1;
}

/* run.c: the main thread's watch, and how a run ends */
u64 now_ms(void);
enum bed_exit bed_run(struct bed *bed);
void __printf(4, 5) bed_end(struct bed *bed, enum bed_exit status,
			    struct guest *culprit, const char *fmt, ...);
void guest_off(struct guest *guest);
bool guest_is_on(const struct guest *guest);

/* console.c */
void console_init(struct guest *guest);
void console_attach(struct guest *guest);
void console_drain(struct guest *guest);
bool console_mmio(struct guest *guest, struct kvm_run *run);
void log_write(struct log *log, const char *text, size_t len);
void log_finish(struct log *log);
void log_tail(struct log *log);
void __printf(1, 2) say(const char *fmt, ...);
noreturn void __printf(1, 2) die(const char *fmt, ...);

/* vm.c */
void vm_create(struct guest *guest);
void vm_map(struct guest *guest, u64 gpa, void *mem, u64 size,
	    u32 flags);
void *vm_memory(u64 size);
void vm_raise(struct guest *guest, unsigned int spi);
void vm_set_spi(struct guest *guest, unsigned int spi, bool level);
bool vm_spi_enabled(struct guest *guest, unsigned int spi);
void vm_start(struct guest *guest);
u64 vcpu_get_x(struct vcpu *vcpu, unsigned int n);
void vcpu_set_x(struct vcpu *vcpu, unsigned int n, u64 value);

/* load.c */
void load_guest(struct guest *guest);
void load_disk(struct bed *bed);
void save_disk(struct bed *bed);

/* fdt.c, badnodes.c */
void tree_backend(struct guest *guest, void *fdt, size_t room);
void tree_frontend(struct guest *guest, void *fdt, size_t room);
void tree_bad_reservations(void *fdt, u32 phandle);
void tree_bad_nodes(struct bed *bed, void *fdt, u32 phandle);
void tree_must(int err);
void tree_put_regs(void *fdt, const struct reg *regs, unsigned int n);
void tree_put_spis(void *fdt, const u32 *spis, unsigned int n, u32 type);

/* bao.c */
void bao_init(struct bed *bed, unsigned int pool);
void bao_forget(struct bao *bao, unsigned int pool);
int bao_access(struct bed *bed, const struct access *access,
	       struct request **req);
void bao_raise(struct bed *bed, unsigned int device);
void bao_hypercall(struct vcpu *vcpu, u64 function);
void __printf(3, 4) bao_violation(struct bed *bed, unsigned int device,
				  const char *fmt, ...);
void bao_print_outstanding(struct bed *bed);
bool bao_oldest(struct bed *bed, u64 *since);

/* frontend.c */
bool frontend_mmio(struct vcpu *vcpu, struct kvm_run *run);

/* control.c */
bool control_mmio(struct vcpu *vcpu, struct kvm_run *run);

/* script.c */
void script_init(struct bed *bed);
void script_tick(struct bed *bed);
bool script_has_room(struct bed *bed, unsigned int vcpus);
int script_command(struct bed *bed, u64 cmd, const u64 *arg,
		   u64 *ret);
void script_refused(struct bed *bed, unsigned int device, enum bed_op op,
		    u64 id);

/* pace.c */
void pace_init(struct bed *bed);
int pace_start(struct bed *bed, const u64 *arg);
int pace_times(struct bed *bed, u64 *ret);
void pace_stop(struct bed *bed);
void pace_reset(struct bed *bed);

#endif /* BED_H */
